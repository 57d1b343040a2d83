// The list of operations: filters, pages, selection, and what it says about actions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { read, submit } from "./bundle.mjs";
import { withPage } from "./fixture.mjs";

const all = withPage();
const echo = { function: "demo.echo" };
const long = { function: "demo.countdown", arguments: { steps: 1000, step_ms: 1000 } };

const ids = () =>
  all.page.locator("tbody a.id").evaluateAll((links) => links.map((link) => link.title));
const rows = (count) => all.page.waitForFunction(
  (wanted) => document.querySelectorAll("tbody a.id").length === wanted, count);
const outcome = () => all.page.locator("#outcome");

async function cancelled(owner) {
  const { id } = await submit(all.bundle, long, owner);
  await act(id, "cancel", owner);
  return id;
}

async function act(id, action, owner) {
  const response = await fetch(`${all.bundle.api}/operations/${id}/${action}`, {
    method: "POST", headers: { authorization: `Bearer ${owner}` },
  });
  assert.equal(response.status, 200);
}

test("filters are in the URL, and survive a reload and the way back", async () => {
  const { page, bundle } = all;
  await submit(bundle, { function: "demo.fail" }, "dora");
  const { id } = await submit(bundle, echo, "dora");
  await all.open("/");
  await page.getByLabel("Owner").fill("local:dora");
  await page.getByLabel("Function").fill("demo.echo");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL("**/?owner=local%3Adora&function=demo.echo");
  await rows(1);
  assert.deepEqual(await ids(), [id]);
  await page.reload();
  await rows(1);
  assert.deepEqual(await ids(), [id]);
  await page.getByRole("link", { name: "Remove the filter function demo.echo" }).click();
  await rows(2);
  await page.goBack();
  await rows(1);
});

test("several statuses are chosen at once, and shortcuts keep the owner", async () => {
  const { page, bundle } = all;
  const done = (await submit(bundle, echo, "eva")).id;
  const ended = await cancelled("eva");
  await submit(bundle, { ...echo, start_after_seconds: 600 }, "eva");
  await read(bundle, done, "eva");
  await all.open("/?owner=local%3Aeva");
  await rows(3);
  await page.getByRole("checkbox", { name: "completed" }).check();
  await page.getByRole("checkbox", { name: "cancelled" }).check();
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL("**/?owner=local%3Aeva&status=completed%2Ccancelled");
  await rows(2);
  assert.deepEqual(await ids(), [ended, done]);
  assert.ok(await page.getByRole("checkbox", { name: "completed" }).isChecked());
  assert.ok(!await page.getByRole("checkbox", { name: "failed" }).isChecked());
  await page.getByRole("link", { name: "In flight" }).click();
  await page.waitForURL("**/?owner=local%3Aeva&status=pending%2Cprocessing");
  await rows(1);
  for (const name of ["Failed", "Callback exhausted", "All"]) {
    await page.getByRole("link", { name, exact: true }).click();
    assert.equal(new URL(page.url()).searchParams.get("owner"), "local:eva", name);
  }
});

test("all owners are listed together, newest first, page by page and back", async () => {
  const { page, bundle } = all;
  const submitted = [];
  for (let number = 0; number < 102; number += 1) {
    const body = { function: "demo.long", arguments: { legs: 1 } };
    submitted.unshift((await submit(bundle, body, `owner${number % 3}`)).id);
  }
  const pages = [submitted.slice(0, 50), submitted.slice(50, 100), submitted.slice(100)];
  const shows = async (number) => {
    await page.locator(`a[href="/operation/${pages[number][0]}"]`).waitFor();
    assert.deepEqual(await ids(), pages[number], `page ${number}`);
  };
  const follow = (name) => page.getByRole("link", { name, exact: true }).click();
  await all.open("/?function=demo.long");
  await shows(0);
  assert.equal(await page.getByRole("link", { name: "Newer" }).count(), 0);
  await follow("Older");
  await shows(1);
  await follow("Older");
  await shows(2);
  assert.ok(await page.getByRole("link", { name: "Older" }).isHidden());
  // The page knows the way back after a reload as well.
  await page.reload();
  await shows(2);
  await follow("Newer");
  await shows(1);
  await follow("Newer");
  await page.waitForURL("**/?function=demo.long");
  await shows(0);
  assert.equal(await page.getByRole("link", { name: "Newer" }).count(), 0);
});

test("all rows of the page are selected at once, and a line says what was done", async () => {
  const { page, bundle } = all;
  const cancel = [];
  for (let number = 0; number < 3; number += 1) {
    cancel.push((await submit(bundle, long, "bulk")).id);
  }
  await all.open("/?owner=local%3Abulk");
  await rows(3);
  const select = page.getByLabel("Select all");
  await page.getByLabel(`Select ${cancel[0]}`).check();
  assert.ok(await select.evaluate((element) => element.indeterminate));
  await select.check();
  // The second one changes before the page can know it.
  await page.getByLabel("Refresh").selectOption("0");
  await page.getByRole("button", { name: "Cancel 3" }).click();
  await act(cancel[1], "cancel", "bulk");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await outcome().getByText("Cancel: 2 done, 1 not").waitFor();
  const results = page.locator("section li");
  await results.nth(2).waitFor();
  const refused = await results.filter({ hasText: cancel[1].slice(-4) }).textContent();
  assert.match(refused, /: it is cancelled now, and changed since the page showed it$/);
  for (const id of cancel) assert.equal((await read(bundle, id, "bulk")).status, "cancelled");
  // An erase of many needs their number.
  await page.getByLabel("Refresh").selectOption("1");
  await page.getByRole("button", { name: "Erase 3" }).click();
  const erase = page.getByRole("dialog").getByRole("button", { name: "Erase" });
  assert.ok(await erase.isDisabled());
  await page.getByLabel("Type 3 to confirm").fill("3");
  await erase.click();
  await outcome().getByText("Erase: 3 done, 0 not").waitFor();
  await page.getByText("Nothing matches.").waitFor();
});

test("a line says what one action did, and why it was not done", async () => {
  const { page, bundle } = all;
  const { id } = await submit(bundle, long, "one");
  await all.open("/?owner=local%3Aone");
  await rows(1);
  await page.locator("tbody a.id").focus();
  await page.getByLabel("Refresh").selectOption("0");
  await page.locator("tbody a.id").focus();
  await page.keyboard.press("c");
  await act(id, "cancel", "one");
  await page.getByRole("button", { name: "Cancel operation" }).click();
  await outcome().getByText("was not done: it is cancelled now").waitFor();
  assert.ok(await outcome().isVisible());
  assert.equal(await outcome().getAttribute("class"), "problem");
});

test("a copy says that it was made, or that it failed", async () => {
  const { page, bundle, context } = all;
  const { id } = await submit(bundle, echo, "copy");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await all.open("/?owner=local%3Acopy");
  await page.getByRole("button", { name: "Copy id" }).click();
  await outcome().getByText("id copied").waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), id);
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new Error("no clipboard"));
  });
  await page.getByRole("button", { name: "Copy id" }).click();
  await outcome().getByText("id not copied: no clipboard").waitFor();
});

test("an operation is found by its id and by the webhook-id of a row, and an owner", async () => {
  const { page, bundle } = all;
  const body = { ...echo, callback_url: "http://127.0.0.1:9/hook" };
  const { id } = await submit(bundle, body, "finn");
  await all.open("/find");
  await page.locator("#q:focus").waitFor();
  await page.keyboard.type(` ${id} `);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${bundle.console}/operation/${id}`);
  const term = page.locator("dt").filter({ hasText: "webhook-id" });
  const webhookId = await term.locator("+ dd").textContent();
  assert.match(webhookId, /^msg_/);
  // Only the list, since a reload forgets what was seen.
  await all.open("/?owner=local%3Afinn");
  await rows(1);
  await page.getByRole("link", { name: "Find" }).click();
  await page.locator("#q").fill(webhookId);
  await page.getByRole("button", { name: "Find" }).click();
  await page.waitForURL(`${bundle.console}/operation/${id}`);
  await all.open(`/find?q=${webhookId}`);
  await page.getByText("If it is a webhook-id").waitFor();
  await all.open("/find?q=local%3Afinn");
  await page.getByRole("link", { name: "operations of local:finn" }).click();
  await page.waitForURL("**/?owner=local%3Afinn");
});

test("times count while nothing else changes", async () => {
  const { page, bundle } = all;
  const sleeping = { function: "demo.long", arguments: { legs: 2, wait_seconds: 50 } };
  const { id } = await submit(bundle, sleeping, "tick");
  await submit(bundle, { ...echo, start_after_seconds: 50 }, "tick");
  await all.open("/?owner=local%3Atick");
  const row = page.getByRole("row").filter({ has: page.locator(`a[href="/operation/${id}"]`) });
  await row.getByText(/resumes in \d+ seconds/).waitFor();
  await page.getByLabel("Refresh").selectOption("0");
  const texts = () => page.locator("tbody [data-ticks]").allTextContents();
  const first = await texts();
  assert.equal(first.filter((text) => /(starts|resumes) in/.test(text)).length, 2);
  await page.waitForFunction(([before]) => {
    const now = [...document.querySelectorAll("tbody [data-ticks]")].map((one) => one.textContent);
    // All but the empty progress of the one that has not started.
    return now.every((text, at) => text === "" || text !== before[at]);
  }, [first]);
});

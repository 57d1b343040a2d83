// What people do with the console.
import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";
import { launch, openPage, read, startBundle, startReceiver, submit } from "./bundle.mjs";

let bundle, browser, receiver, page, context, wrong;
before(async () => {
  [bundle, browser, receiver] = await Promise.all([startBundle(), launch(), startReceiver()]);
});
after(async () => {
  receiver?.stop();
  await browser?.close();
  await bundle?.stop();
});
beforeEach(async () => {
  ({ page, context, wrong } = await openPage(browser, bundle));
});
afterEach(async () => {
  await context.close();
  assert.deepEqual(wrong, []);
});

const open = (path) => page.goto(`${bundle.console}${path}`);
const main = () => page.locator("main");
const operation = (body, owner) => submit(bundle, body, owner);

test("a table is submitted by the form with a file, completes, and its callback is delivered", async () => {
  await open("/functions");
  await page.getByRole("link", { name: "csv.summarize" }).click();
  await page.getByLabel("Owner").fill("local:carol");
  await page.getByLabel("csv from a file").setInputFiles({
    name: "table.csv", mimeType: "text/csv", buffer: Buffer.from("city,people\nRiga,600000\nOslo,700000\n"),
  });
  const editor = page.getByLabel("Arguments as JSON");
  await page.waitForFunction(() => document.querySelector("#json").value.includes("Riga"));
  assert.deepEqual(JSON.parse(await editor.inputValue()), { csv: "city,people\nRiga,600000\nOslo,700000\n" });
  await page.getByText("More", { exact: true }).click();
  await page.getByLabel("Callback URL").fill(receiver.url);
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.waitForURL(/\/operation\/op_/);
  await main().getByText("● completed", { exact: false }).first().waitFor();
  await main().getByText("650000").waitFor();
  await main().getByText(/callback → 204/).waitFor();
  assert.equal(receiver.received.length, 1);
  assert.ok(!(await page.content()).includes("token=secret"), "the callback's query is shown");
});

test("progress moves, and a cancel ends the work", async () => {
  const { id } = await operation({ function: "demo.countdown", arguments: { steps: 100, step_ms: 300 } });
  await open("/");
  const row = page.getByRole("row").filter({ has: page.locator(`a[href="/operation/${id}"]`) });
  const bar = row.getByRole("progressbar");
  await bar.waitFor();
  const first = await bar.evaluate((element) => element.value);
  await page.waitForFunction(([element, value]) => element.value > value, [await bar.elementHandle(), first]);
  await row.getByRole("link").click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(id).waitFor();
  await dialog.getByText("local:alice").waitFor();
  await dialog.getByRole("button", { name: "Back" }).click();
  assert.equal((await read(bundle, id)).status, "processing");
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await dialog.getByRole("button", { name: "Cancel operation" }).click();
  await main().getByText("– cancelled").first().waitFor();
  assert.equal((await read(bundle, id)).status, "cancelled");
  assert.ok(await page.getByRole("button", { name: "Cancel", exact: true }).isHidden());
});

test("attempts have their own times and errors, and a failure is redriven", async () => {
  const { id } = await operation({ function: "demo.fail", arguments: { retryable: true, code: "BROKEN" } });
  assert.equal((await read(bundle, id)).status, "failed");
  await open(`/operation/${id}`);
  const events = page.locator("ol.timeline li");
  await events.filter({ hasText: "attempt 3 failed BROKEN" }).waitFor();
  for (const attempt of [1, 2]) {
    assert.equal(await events.filter({ hasText: `attempt ${attempt} retried BROKEN` }).count(), 1);
  }
  const times = await events.filter({ hasText: "began" }).locator("time").evaluateAll((all) => all.map((one) => one.dateTime));
  assert.equal(new Set(times).size, 3);
  await page.getByRole("button", { name: "Redrive", exact: true }).click();
  await page.waitForURL((url) => url.pathname.startsWith("/operation/") && !url.pathname.endsWith(id));
  await page.getByText("Redrive of").waitFor();
  const redrive = new URL(page.url()).pathname.split("/").at(-1);
  assert.equal((await read(bundle, redrive)).redrive_of, id);
});

test("an operation continues from its state when it is redriven from it", async () => {
  const { id } = await operation({ function: "demo.long", arguments: { legs: 3, wait_seconds: 60 }, deadline_seconds: 2 });
  await open(`/operation/${id}`);
  await main().getByText("✕ failed").first().waitFor({ timeout: 30_000 });
  await page.getByRole("button", { name: "Redrive from its state" }).click();
  await page.waitForURL((url) => !url.pathname.endsWith(id));
  await page.getByText("Redrive of").waitFor();
});

test("a callback that was given up is delivered again", async () => {
  receiver.status = 500;
  const { id } = await operation({ function: "demo.echo", callback_url: receiver.url });
  await open("/?callback_status=exhausted");
  await page.getByRole("link", { name: new RegExp(id.slice(-4)) }).waitFor();
  await page.getByRole("link", { name: new RegExp(id.slice(-4)) }).click();
  receiver.status = 204;
  await page.getByRole("button", { name: "Redeliver callback" }).click();
  await main().getByText(/callback → 204/).waitFor();
  const deliveries = await page.locator("ol.timeline li").filter({ hasText: "callback →" }).allTextContents();
  assert.match(deliveries[0], /callback → 500/);
  assert.match(deliveries.at(-1), /callback → 204/);
});

test("an erase needs the last characters of the id, and the operation is gone", async () => {
  const { id } = await operation({ function: "demo.echo" });
  await read(bundle, id);
  await open(`/operation/${id}`);
  await page.getByRole("button", { name: "Erase" }).click();
  const erase = page.getByRole("dialog").getByRole("button", { name: "Erase" });
  assert.ok(await erase.isDisabled());
  await page.getByLabel(/Type/).fill(id.slice(-4));
  await erase.click();
  await page.waitForURL(`${bundle.console}/`);
  await open(`/operation/${id}`);
  await page.getByText("there is no such operation").waitFor();
});

test("run again fills the form with the arguments exactly as they were sent", async () => {
  const { id } = await operation('{"function":"demo.echo","arguments":{"b":1.50,"a":12345678901234567890}}');
  await read(bundle, id);
  await open(`/operation/${id}`);
  await main().getByText("1.50").first().waitFor();
  await page.getByRole("button", { name: "Run again" }).click();
  await page.waitForURL(/\/function\/demo\.echo/);
  const text = await page.getByLabel("Arguments as JSON").inputValue();
  assert.equal(text.replaceAll(/\s/g, ""), '{"b":1.50,"a":12345678901234567890}');
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.waitForURL(/\/operation\/op_/);
  await main().getByText("● completed").first().waitFor();
  assert.equal(await main().getByText("12345678901234567890").count(), 2);
});

test("problems are at their fields, and a summary links to each", async () => {
  await open("/function/demo.countdown");
  await page.getByLabel("steps (required)", { exact: false }).first().fill("0");
  await page.getByRole("button", { name: "Submit", exact: true }).click({ noWaitAfter: true });
  // The browser's own check comes first, so the form is bypassed as Ctrl+Enter does.
  await page.keyboard.press("Control+Enter");
  const problems = page.getByRole("alert").filter({ hasText: "problem" });
  await problems.getByText("/arguments/steps").waitFor();
  await problems.getByRole("link", { name: /steps/ }).click();
  assert.match(await page.evaluate(() => document.activeElement.id), /^field-/);
});

test("many operations are cancelled at once", async () => {
  const ids = [];
  for (let number = 0; number < 3; number += 1) {
    ids.push((await operation({ function: "demo.countdown", arguments: { steps: 100, step_ms: 1000 } }, "bulk")).id);
  }
  await open("/?owner=local%3Abulk&status=pending%2Cprocessing");
  for (const id of ids) await page.getByLabel(`Select ${id}`).check();
  await page.getByRole("button", { name: "Cancel 3" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Cancel: what was done").waitFor();
  for (const id of ids) assert.equal((await read(bundle, id, "bulk")).status, "cancelled");
});

test("filters are in the URL, and survive a reload and the way back", async () => {
  await operation({ function: "demo.fail" }, "dora");
  const { id } = await operation({ function: "demo.echo" }, "dora");
  await open("/");
  await page.getByLabel("Owner").fill("local:dora");
  await page.getByLabel("Function").fill("demo.echo");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL("**/?owner=local%3Adora&function=demo.echo");
  const ids = () => page.locator("tbody a.id").evaluateAll((links) => links.map((link) => link.title));
  await page.waitForFunction(() => document.querySelectorAll("tbody a.id").length === 1);
  assert.deepEqual(await ids(), [id]);
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll("tbody a.id").length === 1);
  assert.deepEqual(await ids(), [id]);
  await page.getByRole("link", { name: "Remove the filter function demo.echo" }).click();
  await page.waitForFunction(() => document.querySelectorAll("tbody a.id").length === 2);
  await page.goBack();
  await page.waitForFunction(() => document.querySelectorAll("tbody a.id").length === 1);
});

test("all owners are listed together, newest first, page by page", async () => {
  for (let number = 0; number < 60; number += 1) {
    await operation({ function: "demo.echo" }, `owner${number % 3}`);
  }
  const listed = [];
  await open("/?function=demo.echo");
  for (;;) {
    await page.getByText("examined").waitFor();
    listed.push(...await page.locator("tbody a.id").evaluateAll((links) => links.map((link) => link.title)));
    const older = page.getByRole("link", { name: "Older" });
    if (await older.isHidden()) break;
    const next = await older.getAttribute("href");
    await older.click();
    await page.waitForURL((url) => `${url.pathname}${url.search}` === next);
    await page.waitForFunction((first) => document.querySelector("tbody a.id")?.title !== first, listed.at(-50));
  }
  assert.equal(new Set(listed).size, listed.length);
  assert.ok(listed.length >= 60, `${listed.length}`);
});

test("queues and processes are shown", async () => {
  await open("/queues");
  await page.getByRole("cell", { name: "ferry-dispatch", exact: true }).waitFor();
  assert.equal(await page.getByRole("cell", { name: /alarm at/ }).count(), 4);
  await page.getByRole("cell", { name: "worker" }).waitFor();
});

test("an id is found, and an owner", async () => {
  const { id } = await operation({ function: "demo.echo" });
  await open("/find");
  await page.locator("#q:focus").waitFor();
  await page.keyboard.type(` ${id} `);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${bundle.console}/operation/${id}`);
  await open("/find?q=local%3Aalice");
  await page.getByRole("link", { name: "operations of local:alice" }).click();
  await page.waitForURL("**/?owner=local%3Aalice");
});


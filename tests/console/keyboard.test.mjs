// Everything by keyboard alone: no test in this file uses a mouse.
import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, test } from "node:test";
import { launch, openPage, read, startBundle, submit } from "./bundle.mjs";

let bundle, browser, page, context, wrong;
before(async () => {
  [bundle, browser] = await Promise.all([startBundle(), launch()]);
});
after(async () => {
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

const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
const focused = (read) => page.evaluate(`(${read})(document.activeElement)`);

/** Presses Tab until the focus is on an element with this accessible name or text. */
async function tabTo(name) {
  for (let presses = 0; presses < 80; presses += 1) {
    await press("Tab");
    const text = await focused("(element) => element.getAttribute('aria-label') || element.labels?.[0]?.textContent || element.textContent");
    if (text.trim().startsWith(name)) return;
  }
  throw new Error(`Tab does not reach ${name}`);
}

const countdown = { function: "demo.countdown", arguments: { steps: 200, step_ms: 500 } };

test("an operation is found, opened, cancelled and left", async () => {
  const { id } = await submit(bundle, countdown);
  await page.goto(bundle.console);
  await page.locator("tbody a.id").first().waitFor();
  await press("j");
  assert.equal(await focused("(element) => element.title"), id);
  await press("Enter");
  await page.waitForURL(`**/operation/${id}`);
  await page.getByText("Lease until").waitFor();
  await press("c");
  await page.getByRole("dialog").waitFor();
  assert.ok(await focused("(element) => element.closest('dialog') !== null"));
  await press("Enter");
  await page.getByText("– cancelled").first().waitFor();
  assert.equal((await read(bundle, id)).status, "cancelled");
  await press("Escape");
  await page.waitForURL(`${bundle.console}/`);
});

test("a function is submitted by Tab and Ctrl+Enter", async () => {
  await page.goto(bundle.console);
  await page.getByText("examined").waitFor();
  await press("n");
  await page.waitForURL("**/functions");
  await page.getByRole("link", { name: "demo.countdown" }).waitFor();
  await tabTo("demo.countdown");
  await press("Enter");
  await page.waitForURL("**/function/demo.countdown**");
  await page.getByLabel("Arguments as JSON").waitFor();
  await tabTo("steps");
  await page.keyboard.type("1");
  await tabTo("step_ms");
  await page.keyboard.type("1");
  await press("Control+Enter");
  await page.waitForURL("**/operation/op_*");
  await page.getByText("● completed").first().waitFor();
});

test("operations are selected and cancelled together", async () => {
  const ids = [];
  for (let number = 0; number < 2; number += 1) ids.push((await submit(bundle, countdown, "bulk")).id);
  await page.goto(`${bundle.console}/?owner=local%3Abulk`);
  await page.locator("tbody a.id").nth(1).waitFor();
  await press("j", "x", "j", "x");
  await page.getByRole("button", { name: "Cancel 2" }).waitFor();
  await page.getByRole("button", { name: "Cancel 2" }).focus();
  await press("Enter");
  await page.getByRole("dialog").waitFor();
  await press("Enter");
  await page.getByText("Cancel: what was done").waitFor();
  for (const id of ids) assert.equal((await read(bundle, id, "bulk")).status, "cancelled");
});

test("the focus stays where it is while rows change, and moves on when its row goes", async () => {
  const first = await submit(bundle, { function: "demo.echo" }, "focus");
  const second = await submit(bundle, { function: "demo.echo" }, "focus");
  await read(bundle, second.id, "focus");
  await page.goto(`${bundle.console}/?owner=local%3Afocus`);
  await page.locator("tbody a.id").nth(1).waitFor();
  await press("j");
  const third = await submit(bundle, { function: "demo.echo" }, "focus");
  await page.locator(`a[href="/operation/${third.id}"]`).waitFor();
  assert.equal(await focused("(element) => element.title"), second.id);
  const erased = await fetch(`${bundle.api}/operations/${second.id}`, { method: "DELETE", headers: { authorization: "Bearer focus" } });
  assert.equal(erased.status, 204);
  await page.locator(`a[href="/operation/${second.id}"]`).waitFor({ state: "detached" });
  assert.equal(await focused("(element) => element.title"), first.id);
});

test("no shortcut acts in a field, with a modifier, or when they are off", async () => {
  await page.goto(bundle.console);
  await page.getByText("examined").waitFor();
  await press("/");
  assert.equal(await focused("(element) => element.name"), "owner");
  await page.keyboard.type("n?x");
  assert.equal(await focused("(element) => element.value"), "n?x");
  assert.equal(new URL(page.url()).pathname, "/");
  await page.locator("#main").focus();
  await press("Alt+n");
  assert.equal(new URL(page.url()).pathname, "/");
  await press("?");
  await page.getByRole("dialog").waitFor();
  await tabTo("Shortcuts are on");
  await press("Space", "Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.locator("#main").focus();
  await press("n");
  assert.equal(new URL(page.url()).pathname, "/");
});

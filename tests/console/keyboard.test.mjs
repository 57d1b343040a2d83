// Everything by keyboard alone: no test in this file uses a mouse. The focus is never lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { read, submit } from "./bundle.mjs";
import { focused, hasFocus, press, tabTo, withPage } from "./fixture.mjs";

const all = withPage();
const countdown = { function: "demo.countdown", arguments: { steps: 200, step_ms: 500 } };
const echo = { function: "demo.echo" };

const keys = (...names) => press(all.page, ...names);
const button = (name) => all.page.getByRole("button", { name, exact: true });
const link = (id) => all.page.locator(`tbody a[href="/operation/${id}"]`);
const dialog = () => all.page.getByRole("dialog");
const focusedTitle = () => focused(all.page, "title");
const until = (locator) => locator.waitFor();

async function activate(locator) {
  await tabTo(all.page, locator);
  await keys("Enter");
}

/** Completed operations of an owner, the newest first. */
async function completed(count, owner, more = {}) {
  const ids = [];
  for (let number = 0; number < count; number += 1) {
    const { id } = await submit(all.bundle, { ...echo, ...more }, owner);
    await read(all.bundle, id, owner);
    ids.unshift(id);
  }
  return ids;
}

async function openList(owner, first) {
  await all.open(`/?owner=local%3A${owner}`);
  await until(link(first));
}

test("an operation is found, opened, cancelled and left, with the focus on its row", async () => {
  const { page, bundle } = all;
  const other = (await submit(bundle, echo, "kim")).id;
  const { id } = await submit(bundle, countdown, "kim");
  await openList("kim", other);
  await keys("j", "k", "j");
  assert.equal(await focusedTitle(), other);
  await keys("ArrowUp");
  assert.equal(await focusedTitle(), id);
  await keys("Enter");
  await page.waitForURL(`**/operation/${id}`);
  assert.equal(await focused(page, "id"), "main");
  await until(page.getByText("Lease until"));
  await keys("c");
  await until(dialog());
  assert.ok(await page.evaluate(() => document.activeElement.closest("dialog") !== null));
  await keys("Enter");
  await until(page.getByText("– cancelled").first());
  assert.equal((await read(bundle, id, "kim")).status, "cancelled");
  assert.equal(await focused(page, "id"), "main");
  await keys("Escape");
  await page.waitForURL("**/?owner=local%3Akim");
  await until(page.locator(`a[href="/operation/${id}"]:focus`));
});

test("a function is submitted by Tab and Ctrl+Enter", async () => {
  const { page } = all;
  await all.open("/");
  await until(page.getByText("examined"));
  await keys("n");
  await page.waitForURL("**/functions");
  await activate(page.getByRole("link", { name: "demo.countdown" }));
  await page.waitForURL("**/function/demo.countdown**");
  await tabTo(page, page.getByLabel("steps (required)"));
  await page.keyboard.type("1");
  await tabTo(page, page.getByLabel("step_ms (required)"));
  await page.keyboard.type("1");
  await keys("Control+Enter");
  await page.waitForURL("**/operation/op_*");
  assert.equal(await focused(page, "id"), "main");
  await until(page.getByText("● completed").first());
});

test("selected operations are cancelled, and the focus is on what was done", async () => {
  const { page, bundle } = all;
  const ids = [];
  for (let number = 0; number < 2; number += 1) {
    ids.unshift((await submit(bundle, countdown, "bulk")).id);
  }
  await openList("bulk", ids[0]);
  await keys("j", "x", "j", "x");
  await activate(button("Cancel 2"));
  await until(dialog());
  await keys("Enter");
  await until(page.locator("h2:focus").getByText("Cancel: what was done"));
  for (const id of ids) assert.equal((await read(bundle, id, "bulk")).status, "cancelled");
  // The buttons of what was selected change under the focus.
  await tabTo(page, page.getByLabel("Select all"));
  await keys("Tab");
  assert.equal(await focused(page, "textContent"), "Erase 2");
  await fetch(`${bundle.api}/operations/${ids[0]}`, {
    method: "DELETE", headers: { authorization: "Bearer bulk" },
  });
  await until(page.locator("button:focus").getByText("Erase 1"));
});

test("the focus stays where it is while rows change, and moves on when its row goes", async () => {
  const { page, bundle } = all;
  const [second, first] = await completed(2, "focus");
  await openList("focus", first);
  await keys("j");
  const third = await submit(bundle, echo, "focus");
  await until(link(third.id));
  assert.equal(await focusedTitle(), second);
  await keys("e");
  await until(dialog());
  await page.keyboard.type(second.slice(-4));
  await keys("Enter");
  await link(second).waitFor({ state: "detached" });
  assert.equal(await focusedTitle(), first);
  await until(page.getByText(/^erase op_.*: erased$/));
});

test("a callback is delivered again, and an operation erased, on its page", async () => {
  const { page, bundle } = all;
  const [third, second, first] = await completed(3, "lena");
  const body = { ...echo, callback_url: "http://127.0.0.1:9/hook" };
  const { id } = await submit(bundle, body, "lena");
  await openList("lena", first);
  await until(page.getByText("✕ exhausted"));
  await keys("j", "Enter");
  await page.waitForURL(`**/operation/${id}`);
  await until(button("Redeliver callback"));
  await keys("r");
  await until(page.getByText(/^redeliver op_.*: another round of the callback begins$/));
  await until(page.getByText(/POST 3 → /));
  await keys("Escape");
  await until(page.locator(`a[href="/operation/${id}"]:focus`));
  await keys("j", "j", "Enter");
  await page.waitForURL(`**/operation/${second}`);
  await activate(button("Erase"));
  await page.keyboard.type(second.slice(-4));
  await keys("Enter");
  // Back in the same list, on the row below.
  await page.waitForURL("**/?owner=local%3Alena");
  await until(page.locator(`a[href="/operation/${first}"]:focus`));
  assert.equal(await link(third).count(), 1);
});

test("a dialog gives the focus back, that of the shortcuts too", async () => {
  const { page } = all;
  const [id] = await completed(1, "mia");
  await openList("mia", id);
  await keys("j");
  for (const leave of ["Escape", "Enter"]) {
    await keys("?");
    await until(dialog());
    if (leave === "Enter") await tabTo(page, button("Close"));
    await keys(leave);
    await dialog().waitFor({ state: "detached" });
    assert.equal(await focusedTitle(), id, leave);
  }
  await keys("e");
  await until(dialog());
  await keys("Escape");
  await dialog().waitFor({ state: "detached" });
  assert.equal(await focusedTitle(), id);
});

test("newer operations do not move the page, and are shown on request", async () => {
  const { page, bundle } = all;
  const ids = await completed(20, "nora");
  await page.setViewportSize({ width: 1280, height: 300 });
  await openList("nora", ids[0]);
  await keys("j", ...Array(15).fill("j"));
  assert.equal(await focusedTitle(), ids[15]);
  assert.ok(await page.evaluate(() => scrollY > 80));
  const { id } = await submit(bundle, echo, "nora");
  await until(page.getByText("1 newer"));
  assert.equal(await link(id).count(), 0);
  await page.keyboard.down("Shift");
  await tabTo(page, button("1 newer"));
  await page.keyboard.up("Shift");
  await keys("Enter");
  await until(page.locator(`a[href="/operation/${id}"]:focus`));
});

test("no shortcut acts in a field, with a modifier, or when they are off", async () => {
  const { page } = all;
  await all.open("/");
  await until(page.getByText("examined"));
  const path = () => new URL(page.url()).pathname;
  await keys("/");
  assert.equal(await focused(page, "name"), "owner");
  await page.keyboard.type("n?x");
  assert.equal(await focused(page, "value"), "n?x");
  assert.equal(path(), "/");
  await page.locator("#main").focus();
  await keys("Alt+n");
  assert.equal(path(), "/");
  await keys("?");
  await until(dialog());
  const on = page.getByLabel("Shortcuts are on");
  await tabTo(page, on);
  await keys("Space", "Escape");
  await dialog().waitFor({ state: "detached" });
  await page.locator("#main").focus();
  await keys("n");
  assert.equal(path(), "/");
  assert.ok(await hasFocus(page.locator("#main")));
});

// What most files of tests need: the bundle, a browser, and a page for each test.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach } from "node:test";
import { launch, openPage, startBundle } from "./bundle.mjs";

/**
 * The bundle and a browser for all tests of a file, as members of the object returned. `prepare` is
 * called with it once they are there.
 */
export function withBundle(prepare = async () => {}) {
  const all = {};
  before(async () => {
    [all.bundle, all.browser] = await Promise.all([startBundle(), launch()]);
    await prepare(all);
  });
  after(async () => {
    await all.browser?.close();
    await all.bundle?.stop();
  });
  return all;
}

/** Also a page for each test, in which nothing may go wrong. */
export function withPage() {
  const all = withBundle();
  beforeEach(async () => {
    Object.assign(all, await openPage(all.browser, all.bundle));
    all.open = (path) => all.page.goto(`${all.bundle.console}${path}`);
  });
  afterEach(async () => {
    await all.context.close();
    assert.deepEqual(all.wrong, []);
  });
  return all;
}

/** What a member of the element that has the focus is. */
export const focused = (page, member) =>
  page.evaluate((name) => document.activeElement[name], member);

export const hasFocus = (locator) =>
  locator.evaluate((element) => element === document.activeElement);

const PRESSES_MAX = 150;

/** Presses Tab until the focus is on this element. */
export async function tabTo(page, locator) {
  await locator.waitFor({ state: "attached" });
  for (let presses = 0; presses < PRESSES_MAX; presses += 1) {
    if (await hasFocus(locator)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not reach ${locator}`);
}

export async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
}

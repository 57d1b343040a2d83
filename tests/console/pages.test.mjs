// How the pages look and behave for everybody: accessibility, small screens, empty and broken states.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { launch, openPage, read, startBundle, submit, until } from "./bundle.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const { CONSOLE_PAGES: shots } = process.env;

let bundle, browser, paths;
before(async () => {
  [bundle, browser] = await Promise.all([startBundle(), launch()]);
  const completed = await submit(bundle, { function: "csv.summarize", arguments: { csv: "city,people\nRiga,600000" }, callback_url: "http://127.0.0.1:9/hook" });
  const failed = await submit(bundle, { function: "demo.fail", arguments: { retryable: true } });
  const later = await submit(bundle, { function: "demo.echo", start_after_seconds: 3600 });
  const running = await submit(bundle, { function: "demo.countdown", arguments: { steps: 1000, step_ms: 1000 } });
  const waiting = await submit(bundle, { function: "demo.long", arguments: { legs: 3, wait_seconds: 600 } });
  await read(bundle, completed.id);
  await read(bundle, failed.id);
  paths = {
    operations: "/", completed: `/operation/${completed.id}`, failed: `/operation/${failed.id}`, later: `/operation/${later.id}`,
    running: `/operation/${running.id}`, waiting: `/operation/${waiting.id}`, functions: "/functions",
    submit: "/function/csv.summarize", queues: "/queues", find: "/find?q=local%3Aalice",
    nothing: "/?function=none", gone: "/operation/op_000000000000000000000000",
  };
  if (shots) await mkdir(shots, { recursive: true });
});
after(async () => {
  await browser?.close();
  await bundle?.stop();
});

const settled = (page) => page.waitForFunction(() => document.querySelector("main").children.length > 1
  && !document.querySelector("main").textContent.includes("Loading"));

for (const colorScheme of ["light", "dark"]) {
  test(`no page breaks a rule of WCAG 2.2 AA, ${colorScheme}`, async () => {
    const { page, context, wrong } = await openPage(browser, bundle, { colorScheme, bypassCSP: true });
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(`${bundle.console}${path}`);
      await settled(page);
      if (shots) await page.screenshot({ path: `${shots}/${name}-${colorScheme}.png`, fullPage: true });
      await page.addScriptTag({ path: axe });
      const { violations } = await page.evaluate(() =>
        axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
      const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
      assert.deepEqual(found, [], name);
      assert.equal(await page.locator("h1").count(), 1, name);
    }
    await context.close();
    assert.deepEqual(wrong, []);
  });
}

test("nothing needs more than 320 pixels of width", async () => {
  const { page, context, wrong } = await openPage(browser, bundle, { viewport: { width: 320, height: 640 } });
  for (const [name, path] of Object.entries(paths)) {
    await page.goto(`${bundle.console}${path}`);
    await settled(page);
    if (shots) await page.screenshot({ path: `${shots}/${name}-320.png`, fullPage: true });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 320, `${name} is ${width} wide`);
  }
  await context.close();
  assert.deepEqual(wrong, []);
});

test("a page without data says what to do", async () => {
  const other = await startBundle();
  const { page, context, wrong } = await openPage(browser, other);
  await page.goto(other.console);
  await page.getByText("No operations yet").waitFor();
  await page.getByText(`curl ${other.api}/operations`).waitFor();
  await page.goto(`${other.console}/?function=none`);
  await page.getByText("Nothing matches.").waitFor();
  await page.getByRole("link", { name: "Clear filters" }).click();
  await page.getByText("No operations yet").waitFor();
  await page.goto(`${other.console}/?status=almost`);
  await page.getByText("status must be").waitFor();
  await page.goto(`${other.console}/function/none`);
  await page.getByText("There is no such function").waitFor();
  await context.close();
  await other.stop();
  assert.deepEqual(wrong, []);
});

test("a page keeps what it showed when the console has ended, and says so", async () => {
  const other = await startBundle();
  await submit(other, { function: "demo.echo" });
  const { page, context } = await openPage(browser, other);
  await page.goto(other.console);
  await page.locator("tbody a.id").waitFor();
  await other.stop();
  await page.getByText("Not up to date since").waitFor();
  await page.getByText("the console has ended. Start it again").waitFor();
  assert.equal(await page.locator("tbody a.id").count(), 1);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("Not up to date since").waitFor();
  await context.close();
});

test("polling is cheap, stops when nobody looks, and asks for what is new", async () => {
  const { page, context, wrong } = await openPage(browser, bundle);
  const statuses = [];
  page.on("response", (response) => {
    if (response.url().includes("/api/list")) statuses.push(response.status());
  });
  await page.goto(`${bundle.console}/?function=csv.summarize`);
  await until("an unchanged page", () => statuses.includes(304));
  assert.equal(statuses[0], 200);
  await page.getByLabel("Refresh").selectOption("0");
  await page.waitForResponse(/api\/list/);
  const before = statuses.length;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(statuses.length, before);
  await context.close();
  assert.deepEqual(wrong, []);
});

test("the three files are small, and the page loads nothing else", async () => {
  const { page, context, wrong } = await openPage(browser, bundle);
  const files = new Map();
  page.on("response", async (response) => {
    const { pathname } = new URL(response.url());
    if (!pathname.startsWith("/api/")) files.set(pathname, (await response.body()).length);
  });
  await page.goto(bundle.console);
  await settled(page);
  assert.deepEqual([...files.keys()].sort(), ["/", "/console.css", "/console.js"]);
  const bytes = [...files.values()].reduce((sum, size) => sum + size, 0);
  assert.ok(bytes <= 70 * 1024, `${bytes} bytes`);
  await context.close();
  assert.deepEqual(wrong, []);
});

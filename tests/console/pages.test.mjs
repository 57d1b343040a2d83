// How the pages look and behave for everybody: accessibility, small screens, empty and broken
// states.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdir } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { openPage, read, startBundle, submit, until } from "./bundle.mjs";
import { focused, withBundle } from "./fixture.mjs";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const { CONSOLE_PAGES: shots } = process.env;

let paths;
const all = withBundle(async ({ bundle }) => {
  const completed = await submit(bundle, {
    function: "csv.summarize", arguments: { csv: "city,people\nRiga,600000" },
    callback_url: "http://127.0.0.1:9/hook",
  });
  const failed = await submit(bundle, { function: "demo.fail", arguments: { retryable: true } });
  const later = await submit(bundle, { function: "demo.echo", start_after_seconds: 3600 });
  const running = await submit(bundle, {
    function: "demo.countdown", arguments: { steps: 1000, step_ms: 1000 },
  });
  const waiting = await submit(bundle, {
    function: "demo.long", arguments: { legs: 3, wait_seconds: 600 },
  });
  await read(bundle, completed.id);
  await read(bundle, failed.id);
  paths = {
    operations: "/", completed: `/operation/${completed.id}`, failed: `/operation/${failed.id}`,
    later: `/operation/${later.id}`, running: `/operation/${running.id}`,
    waiting: `/operation/${waiting.id}`, functions: "/functions",
    submit: "/function/csv.summarize", queues: "/queues", find: "/find?q=local%3Aalice",
    nothing: "/?function=none", gone: "/operation/op_000000000000000000000000",
  };
  if (shots) await mkdir(shots, { recursive: true });
});

/** Runs `check` with a page, in which nothing may go wrong. */
async function withPage(options, check) {
  const { page, context, wrong } = await openPage(all.browser, all.bundle, options);
  try {
    await check(page, context);
  } finally {
    await context.close();
  }
  assert.deepEqual(wrong, []);
}

const settled = (page) => page.waitForFunction(() => {
  const main = document.querySelector("main");
  return main.children.length > 1 && !main.textContent.includes("Loading");
});

async function violations(page) {
  await page.addScriptTag({ path: axe });
  const found = await page.evaluate((rules) => axe.run(document, { runOnly: rules }), RULES);
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
}

for (const colorScheme of ["light", "dark"]) {
  test(`no page breaks a rule of WCAG 2.2 AA, ${colorScheme}`, () =>
    withPage({ colorScheme, bypassCSP: true }, async (page) => {
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(`${all.bundle.console}${path}`);
        await settled(page);
        const picture = `${shots}/${name}-${colorScheme}.png`;
        if (shots) await page.screenshot({ path: picture, fullPage: true });
        assert.deepEqual(await violations(page), [], name);
        assert.equal(await page.locator("h1").count(), 1, name);
      }
    }));
}

// As 1280 pixels at 400 % are.
const SMALL = { viewport: { width: 320, height: 256 }, deviceScaleFactor: 4 };

test("nothing needs more than 320 pixels of width, at 400 %", () =>
  withPage(SMALL, async (page) => {
    for (const [name, path] of Object.entries(paths)) {
      await page.goto(`${all.bundle.console}${path}`);
      await settled(page);
      if (shots) await page.screenshot({ path: `${shots}/${name}-320.png`, fullPage: true });
      const wide = await page.evaluate(() => [...document.querySelectorAll("html, main *")]
        .filter((element) => !element.closest("thead"))
        .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect().right])
        .filter(([, right]) => right > document.documentElement.clientWidth));
      assert.deepEqual(wide, [], name);
    }
  }));

test("tables that are shown as cards are tables for a screen reader", () =>
  withPage(SMALL, async (page, context) => {
    const session = await context.newCDPSession(page);
    for (const [path, header] of [
      ["/", "Attempt"], ["/functions", "Deadline"], ["/queues", "Delayed"],
    ]) {
      await page.goto(`${all.bundle.console}${path}`);
      await page.locator("tbody td").first().waitFor();
      const { nodes } = await session.send("Accessibility.getFullAXTree");
      const named = (role) => nodes.filter((node) => !node.ignored && node.role?.value === role);
      const rows = await page.locator("tr").count();
      const cells = await page.locator("td:visible").count();
        assert.deepEqual([named("row").length, named("cell").length], [rows, cells], path);
      assert.ok(named("columnheader").some(({ name }) => name.value === header), path);
      // Chromium keeps the roles of elements that `display` changes, and others do not.
      const parts = page.locator("table, thead, tbody, tr, th, td");
      assert.equal(await parts.and(page.locator(":not([role])")).count(), 0, path);
    }
  }));

test("progress moves smoothly unless its reader wants less motion", async () => {
  for (const [reducedMotion, seconds] of [["reduce", "0s"], ["no-preference", "0.2s"]]) {
    await withPage({ reducedMotion }, async (page) => {
      await page.goto(`${all.bundle.console}${paths.running}`);
      await page.locator("progress").waitFor();
      const duration = await page.locator("progress")
        .evaluate((bar) => getComputedStyle(bar).transitionDuration);
      assert.equal(duration, seconds);
    });
  }
});

test("a page without data says what to do", async () => {
  const other = await startBundle();
  const { page, context, wrong } = await openPage(all.browser, other);
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
  const { page, context } = await openPage(all.browser, other, { bypassCSP: true });
  await page.goto(other.console);
  await page.locator("tbody a.id").waitFor();
  await other.stop();
  await page.getByText(/Not up to date since \d\d:\d\d:\d\d: the console has ended. Start it again/)
    .waitFor();
  assert.equal(await page.locator("tbody a.id").count(), 1);
  assert.deepEqual(await violations(page), []);
  await context.close();
});

test("Try again reads at once, on a page that is read once as well", () =>
  withPage({}, async (page) => {
    // No poll may come between the failed read and the button.
    await page.addInitScript(() => localStorage.setItem("refresh", "0"));
    for (const path of ["/", "/functions", "/function/demo.echo"]) {
      await page.route("**/api/**", (route) => route.abort());
      await page.goto(`${all.bundle.console}${path}`);
      await page.getByText("Not up to date since").waitFor();
      await page.unroute("**/api/**");
      await page.getByRole("button", { name: "Try again" }).click();
      await settled(page);
      assert.ok(await page.getByRole("alert").filter({ hasText: "Not up to date" }).isHidden());
    }
  }));

test("polling is cheap, and stops when nobody sees the page", () =>
  withPage({}, async (page) => {
    const statuses = [];
    const list = /\/api\/list/;
    let requests = 0;
    page.on("request", (request) => {
      if (list.test(request.url())) requests += 1;
    });
    page.on("response", (response) => {
      if (list.test(response.url())) statuses.push(response.status());
    });
    await page.clock.install();
    await page.goto(`${all.bundle.console}/?function=csv.summarize`);
    await until("an unchanged page", () => statuses.includes(304));
    assert.equal(statuses[0], 200);
    // From here on the test moves the page's time.
    await page.clock.pauseAt(Date.now() + 2000);
    const setFocus = (is) => page.evaluate((hasFocus) => {
      document.hasFocus = () => hasFocus;
      dispatchEvent(new Event(hasFocus ? "focus" : "blur"));
    }, is);
    const setVisibility = (is) => page.evaluate((value) => {
      Object.defineProperty(document, "visibilityState", { value, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, is);
    const refresh = page.getByLabel("Refresh");
    for (const [name, pause, resume] of [
      ["off", () => refresh.selectOption("0"), () => refresh.selectOption("1")],
      ["blurred", () => setFocus(false), () => setFocus(true)],
      ["hidden", () => setVisibility("hidden"), () => setVisibility("visible")],
    ]) {
      const seen = requests;
      await until(`a poll before it is ${name}`, async () => {
        await page.clock.runFor(1000);
        return requests > seen;
      });
      await until("its response", () => statuses.length === requests);
      // The change itself may read once more.
      const last = name === "off" ? page.waitForResponse(list) : undefined;
      await pause();
      await last;
      const before = requests;
      await page.clock.runFor(120_000);
      // The browser reports requests in their order, and this one is the last.
      await page.evaluate(() => fetch("/console.css").then((response) => response.text()));
      assert.equal(requests, before, name);
      const resumed = page.waitForResponse(list);
      await resume();
      await resumed;
    }
  }));

test("side effects and targets of functions are shown", () =>
  withPage({}, async (page) => {
    await page.route("**/api/functions", async (route) => {
      const response = await route.fetch();
      const { functions } = await response.json();
      const [compiled] = functions.filter(({ name }) => name === "demo.echo");
      const registered = {
        ...compiled, name: "image.resize", target: "resize:live",
        side_effects: ["create", "update"],
      };
      await route.fulfill({ response, json: { functions: [compiled, registered] } });
    });
    await page.goto(`${all.bundle.console}/functions`);
    const cells = (name) => page.getByRole("row").filter({ hasText: name }).getByRole("cell");
    await cells("image.resize").getByText("create, update").waitFor();
    await cells("image.resize").getByText("resize:live").waitFor();
    await cells("demo.echo").getByText("none").waitFor();
    await cells("demo.echo").getByText("compiled in").waitFor();
  }));

test("queues and processes are shown, and a queue that does not answer", () =>
  withPage({}, async (page) => {
    await page.goto(`${all.bundle.console}/queues`);
    await page.getByRole("cell", { name: "ferry-dispatch", exact: true }).waitFor();
    assert.equal(await page.getByRole("cell", { name: /alarm at/ }).count(), 4);
    await page.getByRole("cell", { name: "worker" }).waitFor();
    await page.route("**/api/queues", async (route) => {
      const headers = { ...route.request().headers(), "if-none-match": "" };
      const response = await route.fetch({ headers });
      const json = await response.json();
      const { name, purpose } = json.queues[0];
      json.queues[0] = { name, purpose, error: "connection refused" };
      await route.fulfill({ response, json });
    });
    await page.getByRole("cell", { name: "connection refused" }).waitFor();
    assert.equal(await page.getByRole("cell", { name: "?" }).count(), 3);
  }));

test("the three files are small, and the page loads nothing else", () =>
  withPage({}, async (page) => {
    const bodies = new Map();
    page.on("response", (response) => {
      const { pathname } = new URL(response.url());
      if (!pathname.startsWith("/api/")) bodies.set(pathname, response.body());
    });
    await page.goto(all.bundle.console);
    await settled(page);
    assert.deepEqual([...bodies.keys()].sort(), ["/", "/console.css", "/console.js"]);
    const files = await Promise.all(bodies.values());
    const bytes = files.reduce((sum, file) => sum + file.length, 0);
    assert.ok(bytes <= 70 * 1024, `${bytes} bytes`);
    const compressed = gzipSync(await bodies.get("/console.js")).length;
    assert.ok(compressed <= 20 * 1024, `${compressed} bytes`);
    assert.equal(await focused(page, "tagName"), "BODY");
  }));

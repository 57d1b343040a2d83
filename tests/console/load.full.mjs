// Limits that take long to reach: ten thousand operations, and ten minutes of polls. And the picture
// of the README.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage, read, startBundle, submit } from "./bundle.mjs";

const OPERATIONS = 10_000;
const POLLS = 600;

let bundle, browser;
before(async () => {
  [bundle, browser] = await Promise.all([startBundle(), launch()]);
});
after(async () => {
  await browser?.close();
  await bundle?.stop();
});

test("the picture of the README shows the console at work", { skip: !process.env.CONSOLE_PICTURE }, async () => {
  const bodies = [
    { function: "csv.summarize", arguments: { csv: "city,people\nRiga,600000" } },
    { function: "demo.fail", arguments: { code: "UPSTREAM_DOWN", retryable: true } },
    { function: "demo.long", arguments: { legs: 3, wait_seconds: 600 } },
    { function: "demo.echo", start_after_seconds: 3600 },
    { function: "demo.countdown", arguments: { steps: 100, step_ms: 100 } },
  ];
  for (const [at, body] of bodies.entries()) await submit(bundle, body, ["alice", "bob"][at % 2]);
  const { page, context, wrong } = await openPage(browser, bundle, { viewport: { width: 1280, height: 470 } });
  await page.goto(bundle.console);
  await page.getByText("✕ failed").waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll("progress")].some((bar) => bar.value > 0.4 && bar.value < 0.9));
  await page.screenshot({ path: process.env.CONSOLE_PICTURE });
  await context.close();
  assert.deepEqual(wrong, []);
});

test("the first list is there in 300 ms with ten thousand operations stored", async () => {
  for (let sent = 0; sent < OPERATIONS; sent += 20) {
    await Promise.all(Array.from({ length: 20 }, () => submit(bundle, { function: "demo.echo" }, `owner${sent % 5}`)));
  }
  const { page, context, wrong } = await openPage(browser, bundle);
  await page.goto(bundle.console);
  const milliseconds = await page.evaluate(async () => {
    const { loadEventEnd } = performance.getEntriesByType("navigation")[0];
    while (document.querySelectorAll("tbody a.id").length < 50) await new Promise(requestAnimationFrame);
    return performance.now() - loadEventEnd;
  });
  console.log(`first list after ${milliseconds.toFixed(0)} ms`);
  assert.ok(milliseconds < 300, `${milliseconds} ms`);
  await context.close();
  assert.deepEqual(wrong, []);
});

test("ten minutes of polls leave no more than 2 MB on the heap", { timeout: 900_000 }, async () => {
  const { id } = await submit(bundle, { function: "demo.countdown", arguments: { steps: 10_000, step_ms: 1000 } }, "owner0");
  const { page, context, wrong } = await openPage(browser, bundle);
  const session = await context.newCDPSession(page);
  const heap = async () => {
    await session.send("HeapProfiler.collectGarbage");
    return (await session.send("Runtime.getHeapUsage")).usedSize;
  };
  for (const path of ["/?owner=local%3Aowner0", `/operation/${id}`]) {
    await page.goto(`${bundle.console}${path}`);
    let polls = 0;
    page.on("response", (response) => { if (response.url().includes("/api/")) polls += 1; });
    const reach = async (count) => { while (polls < count) await page.waitForResponse(/\/api\//); };
    await reach(20);
    const before = await heap();
    await reach(POLLS / 2);
    const growth = (await heap()) - before;
    console.log(`${path}: ${(growth / 1024).toFixed(0)} KiB after ${polls} polls`);
    assert.ok(growth <= 2 * 1024 * 1024, `${growth} bytes`);
  }
  await read(bundle, id, "owner0").catch(() => {});
  await context.close();
  assert.deepEqual(wrong, []);
});

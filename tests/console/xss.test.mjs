// Data is text on every page, whatever it contains.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openPage, read, startBundle, submit } from "./bundle.mjs";

const TEXTS = [
  "<script>window.__x=1</script>", '"><img src=x onerror=window.__x=1>', "'-window.__x=1-'",
  "javascript:window.__x=1", "data:text/html,<script>window.__x=1</script>",
  "</textarea><svg onload=window.__x=1>", "{{constructor.constructor('window.__x=1')()}}",
  "${window.__x=1}", "<style>@import'//evil'</style>", "\u202egnp.exe", "a\u0000b",
];

let bundle, browser;
before(async () => {
  [bundle, browser] = await Promise.all([startBundle(), launch()]);
});
after(async () => {
  await browser?.close();
  await bundle?.stop();
});

async function inspect(paths, check = async () => {}) {
  const { page, context, wrong } = await openPage(browser, bundle);
  try {
    for (const path of paths) {
      await page.goto(`${bundle.console}${path}`);
      await page.locator("main h1").waitFor();
      await check(page, path);
      assert.equal(await page.evaluate(() => window.__x), undefined, path);
      const schemes = await page.evaluate(() => [...document.links].map((link) => new URL(link.href).protocol));
      assert.deepEqual([...new Set(schemes)].filter((scheme) => !["http:", "https:"].includes(scheme)), [], path);
      assert.equal(await page.locator("main img, main svg, main style, main script, main iframe").count(), 0, path);
      assert.ok(!/[\u0000\u202e]/.test(await page.locator("main").innerText()), path);
    }
  } finally {
    await context.close();
  }
  assert.deepEqual(wrong, []);
}

test("what callers store is text on the list and on its own page", async () => {
  for (const text of TEXTS) {
    const echo = await submit(bundle, {
      function: "demo.echo", arguments: { [text]: text, __proto__: { constructor: text }, ["__proto__"]: text },
      metadata: { [text]: [text] }, callback_url: `http://127.0.0.1:9/${encodeURIComponent(text)}`,
    }, "xss");
    const failed = await submit(bundle, { function: "demo.fail", arguments: { message: text, code: "X" } }, "xss");
    await read(bundle, echo.id, "xss");
    await read(bundle, failed.id, "xss");
    const shown = text.replace("\u202e", "U+202E").replace("\u0000", "\\u0000");
    await inspect([`/operation/${echo.id}`, `/operation/${failed.id}`], async (page) => {
      const quoted = JSON.stringify(shown).slice(1, -1).replace("\\\\u0000", "\\u0000");
      await page.waitForFunction((wanted) => [...document.querySelectorAll("pre")].some((pre) => pre.textContent.includes(wanted)), quoted);
    });
  }
  await inspect(["/", "/?owner=local%3Axss"], (page) => page.locator("tbody a.id").first().waitFor());
});

test("what a link puts into the URL is text", async () => {
  for (const text of TEXTS) {
    const value = encodeURIComponent(text);
    await inspect([
      `/?owner=${value}`, `/?status=${value}`, `/?function=${value}`, `/?cursor=${value}`, `/?created_after=${value}`,
      `/operation/${value}`, `/function/${value}`, `/function/demo.echo?version=${value}`, `/find?q=${value}`, `/${value}`,
    ]);
  }
});

test("an owner's name and an idempotency key are text", async () => {
  const owner = "\"><img/src=x/onerror=window.__x=1>";
  const response = await fetch(`${bundle.api}/operations`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${owner}`, "idempotency-key": "<script>window.__x=1</script>" },
    body: '{"function":"demo.echo"}',
  });
  const { id } = await response.json();
  await inspect(["/", `/operation/${id}`, "/functions", "/function/demo.echo", "/queues"], (page) =>
    page.waitForFunction(() => document.querySelector("main").children.length > 1));
});

test("large, deep and odd data keeps the page quick", async () => {
  const deep = `${"[".repeat(60)}${"]".repeat(60)}`;
  const ids = [];
  for (const argument of [JSON.stringify("x".repeat(250_000)), deep, JSON.stringify(Array(20_000).fill(1))]) {
    ids.push((await submit(bundle, `{"function":"demo.echo","arguments":{"a":${argument}}}`, "large")).id);
  }
  for (const id of ids) await read(bundle, id, "large");
  await inspect(ids.map((id) => `/operation/${id}`), async (page) => {
    await page.locator("pre").first().waitFor();
    const started = await page.evaluate(() => performance.now());
    assert.ok(started < 3000, `${started} ms`);
  });
});

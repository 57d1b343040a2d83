// Data is text on every page, whatever it contains, and however much of it there is.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { read, submit, until, useConsole } from "./bundle.mjs";

const TEXTS = [
  "<script>window.__x=1</script>", '"><img src=x onerror=window.__x=1>', "'-window.__x=1-'",
  "javascript:window.__x=1", "data:text/html,<script>window.__x=1</script>",
  "</textarea><svg onload=window.__x=1>", "{{constructor.constructor('window.__x=1')()}}",
  "${window.__x=1}", "<style>@import'//evil'</style>", "\u202egnp.exe", "a\u0000b",
];
// Names that every object has.
const NAMES = ["constructor", "__proto__", "toString"];

const object = (names, value) => Object.fromEntries(names.map((name) => [name, value]));

/** A function whose description and schemas have the texts. Its arguments contain themselves. */
function hostile(endpoint) {
  const text = TEXTS.join(" ");
  const string = { type: "string", description: text };
  const child = { $ref: "#/$defs/node" };
  const node = {
    type: "object", description: text,
    properties: { child, children: { type: "array", items: child } },
  };
  return {
    name: "hostile.run", version: "1.0.0", description: text,
    arguments_schema: {
      type: "object", title: text, description: text, $defs: { node },
      properties: {
        ...object(TEXTS, string), ["__proto__"]: string, constructor: string, toString: string,
        child, choice: { enum: TEXTS, default: text },
      },
    },
    result_schema: { type: "object", description: text, properties: object(TEXTS, string) },
    target: { lambda: { function: "hostile" }, local: { endpoint } },
  };
}

/** What the function answers: an error of the texts. */
const target = createServer(async (request, response) => {
  for await (const _ of request);
  const details = { ...object(TEXTS, TEXTS), ["__proto__"]: TEXTS, constructor: TEXTS };
  const error = { code: "constructor", message: TEXTS.join(" "), details, retryable: false };
  response.setHeader("content-type", "application/json").end(JSON.stringify({ $error: error }));
});
target.listen(0, "127.0.0.1").unref();
await once(target, "listening");
const directory = await mkdtemp(join(tmpdir(), "ferry-console-"));
const functions = join(directory, "functions.json");
const file = { format: 1, functions: [hostile(`http://127.0.0.1:${target.address().port}`)] };
await writeFile(functions, JSON.stringify(file));

const used = useConsole({}, "--functions-file", functions);
const { onPage } = used;
after(async () => {
  target.close();
  await rm(directory, { recursive: true });
});

/** What a page has once it shows its data. */
const SHOWN = [
  [/^\/operation\//, "section pre, .empty p"],
  [/^\/function\//, "fieldset, .form .quiet, .empty p"],
  [/^\/functions/, "tbody tr"], [/^\/queues/, "tbody tr"], [/^\/find/, "ul li, #q"],
  [/^\/(\?|$)/, "tbody tr, .empty:not([hidden]) p"], [/^/, "h1"],
];

/** Opens a path: the first one by a load, the others as the way back does, which is quicker. */
async function goto(page, path) {
  if (page.url() === "about:blank") await page.goto(`${used.bundle.console}${path}`);
  else {
    await page.evaluate((to) => {
      history.pushState(null, "", to);
      dispatchEvent(new PopStateEvent("popstate"));
    }, path);
  }
  const [, shown] = SHOWN.find(([pattern]) => pattern.test(path));
  await page.locator("main").locator(shown).first().waitFor();
}

async function assertText(page, path) {
  const found = await page.evaluate(() => ({
    x: window.__x,
    schemes: [...document.links].map((link) => new URL(link.href).protocol)
      .filter((scheme) => !["http:", "https:"].includes(scheme)),
    markup: document.querySelectorAll("main :is(img, svg, style, script, iframe, object)").length,
    hidden: document.querySelector("main").innerText.match(/[\u0000\u202e]/g),
  }));
  assert.deepEqual(found, { x: undefined, schemes: [], markup: 0, hidden: null }, path);
}

const inspect = (paths, check = async () => {}) => onPage(async (page) => {
  for (const path of paths) {
    await goto(page, path);
    await check(page, path);
    await assertText(page, path);
  }
});

/** A text as a page shows it within JSON. */
function quoted(text) {
  return JSON.stringify(text).slice(1, -1).replaceAll("\u202e", "U+202E");
}

const hasText = (page, selector, text) => page.waitForFunction(([within, wanted]) => {
  const elements = [...document.querySelectorAll(within)];
  return elements.some((element) => element.textContent.includes(wanted));
}, [selector, text]);

test("what callers store is text on the list and on its own page", async () => {
  const texts = new Map();
  await Promise.all(TEXTS.map(async (text) => {
    const echo = {
      function: "demo.echo", arguments: { [text]: text, ["__proto__"]: text, constructor: text },
      metadata: { [text]: [text] }, callback_url: `http://127.0.0.1:9/${encodeURIComponent(text)}`,
    };
    const fail = { function: "demo.fail", arguments: { message: text, code: text.slice(0, 64) } };
    for (const body of [echo, fail]) {
      const { id } = await submit(used.bundle, body, "xss");
      texts.set(`/operation/${id}`, text);
      await read(used.bundle, id, "xss");
    }
  }));
  await inspect([...texts.keys()], (page, path) => hasText(page, "pre", quoted(texts.get(path))));
  await inspect(["/", "/?owner=local%3Axss"]);
});

test("what a function says of itself and of an error is text", async () => {
  const { id } = await submit(used.bundle, { function: "hostile.run", arguments: {} }, "xss");
  assert.equal((await read(used.bundle, id, "xss")).status, "failed");
  await inspect([`/operation/${id}`], async (page) => {
    for (const text of TEXTS) await hasText(page, "pre[aria-label=Errors]", quoted(text));
  });
  await inspect(["/functions", "/function/hostile.run"], async (page, path) => {
    for (const text of TEXTS.slice(0, -2)) await hasText(page, "main", text);
    if (path === "/functions") return;
    await page.locator("details").evaluateAll((all) => {
      for (const details of all) details.open = true;
    });
    for (const name of NAMES) {
      const field = page.getByLabel(name, { exact: true });
      assert.equal(await field.inputValue(), "", name);
      await field.fill(name);
    }
    const typed = await page.getByLabel("Arguments as JSON").inputValue();
    const { choice, ...named } = JSON.parse(typed);
    assert.equal(choice, TEXTS.join(" "), "its default");
    assert.deepEqual(Object.entries(named), NAMES.map((name) => [name, name]));
  });
});

test("what a link puts into the URL is text", async () => {
  const paths = TEXTS.map(encodeURIComponent).flatMap((value) => [
    `/?owner=${value}`, `/?status=${value}`, `/?function=${value}`, `/?cursor=${value}`,
    `/?created_after=${value}`, `/operation/${value}`, `/function/${value}`,
    `/function/demo.echo?version=${value}`, `/find?q=${value}`, `/${value}`,
  ]);
  await inspect(paths);
});

test("an owner's name and an idempotency key are text", async () => {
  const owner = "\"><img/src=x/onerror=window.__x=1>";
  const response = await fetch(`${used.bundle.api}/operations`, {
    method: "POST",
    headers: {
      "content-type": "application/json", authorization: `Bearer ${owner}`,
      "idempotency-key": "<script>window.__x=1</script>",
    },
    body: '{"function":"demo.echo"}',
  });
  const { id } = await response.json();
  await inspect(["/", `/operation/${id}`, "/functions", "/function/demo.echo", "/queues"]);
});

/** Replaces every text but names, times and what is one of a few words. */
function tampered(value, text) {
  if (typeof value === "string") return /^\d{4}-\d\d-\d\dT/.test(value) ? value : text;
  if (Array.isArray(value)) return value.map((one) => tampered(one, text));
  if (value === null || typeof value !== "object") return value;
  const kept = ["id", "name", "next_cursor", "status", "outcome", "availability"];
  const members = Object.entries(value);
  return Object.fromEntries(members.map(([name, one]) =>
    [name, kept.includes(name) ? one : tampered(one, text)]));
}

test("whatever the console's server answers is text, and what work reports as well", async () => {
  const body = { function: "demo.fail", callback_url: "http://127.0.0.1:9/" };
  const { id } = await submit(used.bundle, body, "tampered");
  await read(used.bundle, id, "tampered");
  const { id: redrive } = await (await fetch(`${used.bundle.api}/operations/${id}/redrive`, {
    method: "POST", headers: { authorization: "Bearer tampered" },
  })).json();
  await onPage(async (page) => {
    let text;
    await page.route("**/api/**", async (route) => {
      const response = await route.fetch();
      if (response.status() === 304) return route.fulfill({ response });
      const json = tampered(await response.json(), text);
      const shown = json.owner ? [json] : json.operations ?? [];
      const reported = { progress: 0.5, progress_message: text };
      for (const operation of shown) Object.assign(operation, reported);
      return route.fulfill({ response, json });
    });
    const paths = ["/", `/operation/${redrive}`, "/functions", "/function/demo.fail", "/queues"];
    for (text of TEXTS) {
      for (const path of paths) {
        await goto(page, path);
        await hasText(page, "main", text.replace("\u202e", "U+202E").replace("\u0000", "U+0000"));
        await assertText(page, path);
      }
    }
  });
});

// The limit of one second is held as CPU time of the page's thread, which other programs do not
// lengthen; what keeps the page below it is that it shows a bounded part.
test("large, deep and odd data keeps the page quick", async () => {
  const deep = `${"[".repeat(60)}${"]".repeat(60)}`;
  const ids = [];
  const wide = JSON.stringify("x".repeat(250_000));
  const long = JSON.stringify(Array(20_000).fill(1));
  for (const argument of [wide, deep, long]) {
    const body = `{"function":"demo.echo","arguments":{"a":${argument}}}`;
    ids.push((await submit(used.bundle, body, "large")).id);
  }
  for (const id of ids) await read(used.bundle, id, "large");
  // More than the API stores, as one line without a space.
  const answers = [undefined, undefined, undefined, JSON.stringify("x".repeat(1_000_000))];
  await onPage(async (page, context) => {
    let answer;
    await page.route("**/stored", async (route) => {
      if (answer === undefined) return route.continue();
      return route.fulfill({ json: { arguments: answer, metadata: "{}", result: answer } });
    });
    const session = await context.newCDPSession(page);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    let before = 0;
    for (const [at, text] of answers.entries()) {
      answer = text;
      const path = `/operation/${ids[at % ids.length]}`;
      await goto(page, path);
      // The frame that shows it has been made when the next one begins.
      for (const _ of [1, 2]) await page.evaluate(() => new Promise(requestAnimationFrame));
      const { metrics } = await session.send("Performance.getMetrics");
      const { value } = metrics.find(({ name }) => name === "TaskDuration");
      assert.ok(value - before < 1, `${at}: ${value - before} s`);
      before = value;
      const lines = await page.locator("pre").evaluateAll((all) =>
        all.map((pre) => pre.textContent.split("\n").length));
      assert.ok(lines.every((count) => count <= 200), `${lines}`);
      const elements = await page.locator("main *").count();
      assert.ok(elements < 300, `${elements} elements`);
      await assertText(page, path);
    }
  });
});

test("a clock that is an hour off changes what is said of a time and nothing else", async () => {
  const countdown = { function: "demo.countdown", arguments: { steps: 100, step_ms: 200 } };
  const { id } = await submit(used.bundle, countdown, "clock");
  for (const [hours, created] of [[-1, /^in (59|60) minutes$/], [1, /^1 hour ago$/]]) {
    await onPage(async (page) => {
      await page.addInitScript((milliseconds) => {
        const RealDate = Date;
        globalThis.Date = class extends RealDate {
          constructor(...values) {
            if (values.length === 0) super(RealDate.now() + milliseconds);
            else super(...values);
          }

          static now() { return RealDate.now() + milliseconds; }
        };
      }, hours * 3_600_000);
      await goto(page, "/?owner=local%3Aclock");
      await page.locator("td time").filter({ hasText: created }).waitFor();
      const progress = page.getByRole("progressbar");
      const first = await progress.evaluate((bar) => bar.value);
      await until("progress", async () => await progress.evaluate((bar) => bar.value) > first);
      await page.getByRole("link", { name: new RegExp(id.slice(-4)) }).click();
      await hasText(page, "ol.timeline li:first-child", "submitted");
      await page.getByRole("button", { name: "Cancel", exact: true }).waitFor();
    });
  }
});

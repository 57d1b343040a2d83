// What other pages, other names and other programs get. The guard's own tests have every name and
// header; here it is the browser that sends them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { launch, openPage, read, startBundle, submit, until, useConsole } from "./bundle.mjs";

const OWN = { "x-ferry-console": "1" };

const used = useConsole();
const { onPage } = used;

const port = () => Number(new URL(used.bundle.console).port);

test("a name that resolves to this machine gets nothing, as after DNS rebinding", async () => {
  const browser = await launch("--host-resolver-rules=MAP *.example 127.0.0.1");
  try {
    const page = await browser.newPage();
    for (const name of ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example"]) {
      const response = await page.goto(`http://${name}:${port()}/`);
      assert.equal(response.status(), 421, name);
      // For the browser this is the same origin now, so it may send every header.
      const statuses = await page.evaluate(async (headers) => {
        const paths = ["/", "/console.js", "/api/list", "/api/place"];
        const answers = await Promise.all(paths.map((path) => fetch(path, { headers })));
        return answers.map((answer) => answer.status);
      }, OWN);
      assert.deepEqual(statuses, [421, 421, 421, 421], name);
    }
  } finally {
    await browser.close();
  }
});

test("the page itself gets nothing without its header", () => onPage(async (page) => {
  await page.goto(used.bundle.console);
  const statuses = await page.evaluate(async () => {
    const sent = [undefined, "0", "", "1"];
    const answers = await Promise.all(sent.map((value) => {
      const headers = value === undefined ? {} : { "x-ferry-console": value };
      return fetch("/api/list", { headers });
    }));
    return answers.map((answer) => answer.status);
  });
  assert.deepEqual(statuses, [403, 403, 403, 200]);
}));

test("a page of another origin can neither read, change nor show anything", async () => {
  const { bundle, browser } = used;
  const countdown = { function: "demo.countdown", arguments: { steps: 100, step_ms: 500 } };
  const { id } = await submit(bundle, countdown);
  const evil = createServer((_, response) => {
    response.setHeader("content-type", "text/html").end("<!doctype html><p>evil");
  });
  evil.listen(0, "127.0.0.1");
  await once(evil, "listening");
  const cancel = `${bundle.console}/api/operation/${id}/cancel`;
  try {
    // Another port is another origin of the same site, another name one of another site.
    for (const name of ["127.0.0.1", "localhost"]) {
      const page = await browser.newPage();
      await page.goto(`http://${name}:${evil.address().port}/`);
      const outcomes = await page.evaluate(async ([list, action, headers]) => {
        const post = { method: "POST", body: "{}" };
        const attempts = {
          read: () => fetch(list),
          readWithHeader: () => fetch(list, { headers }),
          cancel: () => fetch(action, { ...post, headers }),
          simple: () => fetch(action, { ...post, mode: "no-cors" }),
        };
        const found = {};
        for (const [what, attempt] of Object.entries(attempts)) {
          found[what] = await attempt().then((answer) => answer.type, () => "refused");
        }
        return found;
      }, [`${bundle.console}/api/list`, cancel, OWN]);
      // The page learns nothing of a simple request, or the browser refuses it.
      const { simple, ...others } = outcomes;
      assert.deepEqual(others, { read: "refused", readWithHeader: "refused", cancel: "refused" });
      assert.ok(["opaque", "refused"].includes(simple), simple);

      await page.evaluate((src) => {
        const frame = document.createElement("iframe");
        Object.assign(frame, { src, name: "console" });
        document.body.append(frame);
      }, bundle.console);
      // What the browser shows in place of a page that must not be framed.
      const isError = () => page.frame("console")?.url().startsWith("chrome-error:");
      await until("an error in the frame", isError);

      const [answer] = await Promise.all([
        page.waitForResponse(cancel),
        page.evaluate((action) => {
          const form = document.createElement("form");
          Object.assign(form, { method: "post", action, target: "console" });
          document.body.append(form);
          form.submit();
        }, cancel),
      ]);
      assert.equal(answer.status(), 403);
      await page.close();
    }
    const headers = { authorization: "Bearer alice" };
    const response = await fetch(`${bundle.api}/operations/${id}`, { headers });
    assert.equal((await response.json()).status, "processing");
  } finally {
    evil.close();
  }
});

test("a mistake of the page would make no markup and run no text", async () => {
  const { page, context, wrong } = await openPage(used.browser, used.bundle);
  const url = `${used.bundle.console}/find`;
  // As if markup of somebody's had come into the file itself.
  await page.route(url, async (route) => {
    const response = await route.fetch();
    const inline = "<script>window.__x=1</script><img src=/x onerror=window.__x=1>";
    const body = (await response.text()).replace("</body>", `${inline}</body>`);
    await route.fulfill({ response, body });
  });
  await page.goto(url);
  await page.locator("#q").waitFor();
  const violated = (directive) => until(`a violation of ${directive}: ${wrong.join("\n")}`, () =>
    wrong.includes(`console: policy: ${directive}`));
  for (const directive of ["script-src-elem", "script-src-attr"]) await violated(directive);
  assert.equal(await page.evaluate(() => window.__x), undefined);
  const outcomes = await page.evaluate(async () => {
    // The policy does not bind the debugger, which runs what comes before this.
    await new Promise((resolve) => setTimeout(resolve));
    const main = document.getElementById("main");
    const markup = "<img src=x onerror=window.__x=1>";
    const sinks = {
      innerHTML: () => { main.innerHTML = markup; },
      outerHTML: () => { main.outerHTML = markup; },
      insertAdjacentHTML: () => main.insertAdjacentHTML("beforeend", markup),
      "document.write": () => document.write(markup),
      parseFromString: () => new DOMParser().parseFromString(markup, "text/html"),
      "script text": () => { document.createElement("script").text = "window.__x=1"; },
      "script src": () => { document.createElement("script").src = "data:,window.__x=1"; },
      policy: () => trustedTypes.createPolicy("any", { createHTML: (text) => text }),
      eval: () => eval("window.__x=1"),
      Function: () => new Function("window.__x=1")(),
    };
    const thrown = ([name, sink]) => {
      try {
        sink();
        return [name, "none"];
      } catch (error) {
        return [name, error.name];
      }
    };
    return Object.fromEntries(Object.entries(sinks).map(thrown));
  });
  const { eval: evaluated, Function: made, ...sinks } = outcomes;
  for (const [sink, thrown] of Object.entries(sinks)) assert.equal(thrown, "TypeError", sink);
  for (const thrown of [evaluated, made]) assert.equal(thrown, "EvalError");

  for (const directive of ["require-trusted-types-for", "trusted-types"]) await violated(directive);

  wrong.length = 0;
  await page.evaluate(() => {
    const link = Object.assign(document.createElement("a"), { href: "javascript:window.__x=1" });
    document.body.append(link);
    link.click();
  });
  await violated("script-src-elem");
  assert.equal(await page.evaluate(() => window.__x), undefined);
  await context.close();
});

test("no secret is in a URL, the history or a storage, or a callback's in an answer", async () => {
  await onPage(async (page, context) => {
    const urls = [];
    const bodies = [];
    page.on("request", (request) => urls.push(request.url()));
    page.on("framenavigated", (frame) => urls.push(frame.url()));
    page.on("response", async (response) => bodies.push(await response.text().catch(() => "")));
    await page.goto(`${used.bundle.console}/function/demo.echo`);
    await page.getByLabel("Theme").selectOption("dark");
    await page.getByLabel("Refresh").selectOption("5");
    await page.getByLabel("Arguments as JSON").fill('{"password":"s3cret"}');
    await page.getByText("More", { exact: true }).click();
    await page.getByLabel("Callback URL").fill("http://127.0.0.1:9/hook?token=s3cret-token");
    await page.getByLabel("Idempotency key").fill("s3cret-key");
    await page.getByLabel("Metadata").fill('{"password":"s3cret"}');
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    await page.waitForURL(/\/operation\/op_/);
    await page.getByText("?REDACTED").waitFor();
    await page.getByRole("button", { name: "Run again" }).click();
    await page.waitForURL(/\/function\/demo\.echo/);
    await page.getByRole("link", { name: "Operations" }).click();
    await page.locator("tbody a.id").first().waitFor();

    const session = await context.newCDPSession(page);
    const { entries } = await session.send("Page.getNavigationHistory");
    assert.ok(entries.length >= 4, `${entries.length} entries`);
    const shown = entries.flatMap(({ url, title }) => [url, title]);
    const secret = [...urls, ...shown].filter((text) => text.includes("s3cret"));
    assert.deepEqual(secret, []);
    assert.deepEqual(bodies.filter((body) => body.includes("s3cret-token")), []);
    const stored = await page.evaluate(async () => ({
      local: { ...localStorage }, session: { ...sessionStorage }, cookie: document.cookie,
      state: history.state, caches: await caches.keys(), databases: await indexedDB.databases(),
    }));
    const { local, ...others } = stored;
    assert.deepEqual(local, { theme: "dark", refresh: "5" });
    assert.deepEqual(others, { session: {}, cookie: "", state: null, caches: [], databases: [] });
  });
});

test("the audit record names the console", async () => {
  const audited = await startBundle({ AWS_LAMBDA_LOG_LEVEL: "INFO" });
  try {
    const callback_url = "http://127.0.0.1:9/hook";
    const failed = await submit(audited, { function: "demo.fail", callback_url });
    await until("the end of the callback", async () => {
      const { callback } = await read(audited, failed.id);
      return callback.status === "exhausted";
    });
    const countdown = { function: "demo.countdown", arguments: { steps: 100, step_ms: 500 } };
    const running = await submit(audited, countdown);
    const acted = { cancel: running, redeliver: failed, redrive: failed, erase: failed };
    for (const [action, { id }] of Object.entries(acted)) {
      const url = `${audited.console}/api/operation/${id}/${action}`;
      const response = await fetch(url, { method: "POST", headers: OWN, body: "{}" });
      assert.equal(response.status, 200, await response.text());
      const members = [
        `audit="${action}"`, 'actor="console"', `operation_id=${id}`, 'owner="local:alice"',
        'outcome="done"',
      ].join(" ");
      const isRecorded = () => audited.log.some((line) => line.includes(members));
      await until(`the record ${members}`, isRecorded);
    }
  } finally {
    await audited.stop();
  }
});

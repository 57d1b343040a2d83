// What other pages, other names and other programs get.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { launch, openPage, read, startBundle, submit } from "./bundle.mjs";

let bundle, browser, port;
before(async () => {
  [bundle, browser] = await Promise.all([startBundle(), launch()]);
  port = Number(new URL(bundle.console).port);
});
after(async () => {
  await browser?.close();
  await bundle?.stop();
});

const OWN = { "x-ferry-console": "1" };

/** A request with exactly these headers. */
async function raw(method, path, headers, body) {
  const sent = httpRequest({ host: "127.0.0.1", port, method, path, headers, setHost: false });
  sent.end(body);
  const [response] = await once(sent, "response");
  response.resume();
  await once(response, "end");
  return response;
}

test("only the console's own names are served, for files too", async () => {
  for (const path of ["/", "/console.js", "/api/place"]) {
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`]) {
      assert.equal((await raw("GET", path, { ...OWN, host })).statusCode, 200, `${host}${path}`);
    }
    for (const host of [
      "127.0.0.1.evil.example", `127.0.0.1.evil.example:${port}`, "evil.example", `evil.example:${port}`,
      `[::1]:${port}`, "127.0.0.1", "localhost", `localhost:${port + 1}`, `LOCALHOST:${port}`, "",
    ]) {
      assert.equal((await raw("GET", path, { ...OWN, host })).statusCode, 421, `${host}${path}`);
    }
    // HTTP/1.1 requires it, so the server itself may refuse a request without it.
    assert.ok([400, 421].includes((await raw("GET", path, OWN)).statusCode));
  }
});

test("every request but that for the page needs the header", async () => {
  const host = `127.0.0.1:${port}`;
  for (const [method, path] of [
    ["GET", "/api/list"], ["GET", "/api/place"], ["POST", "/api/submit"], ["POST", "/"],
    ["POST", "/api/operation/op_000000000000000000000000/cancel"], ["GET", "/api/unknown"],
  ]) {
    for (const header of [{}, { "x-ferry-console": "0" }, { "x-ferry-console": "" }]) {
      assert.equal((await raw(method, path, { host, ...header })).statusCode, 403, `${method} ${path}`);
    }
  }
  for (const site of ["cross-site", "same-site", "other"]) {
    const headers = { host, ...OWN, "sec-fetch-site": site };
    assert.equal((await raw("GET", "/", headers)).statusCode, 403);
    assert.equal((await raw("GET", "/api/list", headers)).statusCode, 403);
  }
});

test("every response has the headers that protect the page, and none that opens it", async () => {
  const host = `127.0.0.1:${port}`;
  for (const [path, headers] of [
    ["/", {}], ["/console.js", {}], ["/api/list", OWN], ["/api/list", {}], ["/unknown", {}],
    ["/", { host: "evil.example" }],
  ]) {
    const response = await raw("GET", path, { host, ...headers });
    const found = response.headers;
    const policy = found["content-security-policy"];
    for (const part of [
      "default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'none'",
      "require-trusted-types-for 'script'", "trusted-types 'none'", "base-uri 'none'",
    ]) {
      assert.ok(policy.includes(part), `${path}: ${part}`);
    }
    assert.ok(!policy.includes("unsafe"), policy);
    assert.equal(found["x-frame-options"], "DENY");
    assert.equal(found["x-content-type-options"], "nosniff");
    assert.equal(found["referrer-policy"], "no-referrer");
    assert.equal(found["cross-origin-opener-policy"], "same-origin");
    assert.equal(found["cross-origin-resource-policy"], "same-origin");
    assert.match(found["cache-control"], /^no-(store|cache)$/);
    assert.deepEqual(Object.keys(found).filter((name) => name.startsWith("access-control")), []);
  }
});

test("a page of another origin can neither read nor change anything", async () => {
  const { id } = await submit(bundle, { function: "demo.countdown", arguments: { steps: 100, step_ms: 500 } });
  const evil = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!doctype html><p>evil"));
  evil.listen(0, "127.0.0.1");
  await once(evil, "listening");
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    // Another port is another origin of the same site, another name one of another site.
    for (const name of ["127.0.0.1", "localhost"]) {
      await page.goto(`http://${name}:${evil.address().port}/`);
      const outcomes = await page.evaluate(async ([target, operation]) => {
        const attempts = {
          read: () => fetch(`${target}/api/list`),
          readWithHeader: () => fetch(`${target}/api/list`, { headers: { "x-ferry-console": "1" } }),
          cancel: () => fetch(`${target}/api/operation/${operation}/cancel`, { method: "POST", headers: { "x-ferry-console": "1" }, body: "{}" }),
          simple: () => fetch(`${target}/api/operation/${operation}/cancel`, { method: "POST", mode: "no-cors", body: "{}" }),
        };
        const found = {};
        for (const [what, attempt] of Object.entries(attempts)) {
          try {
            found[what] = (await attempt()).type;
          } catch {
            found[what] = "refused";
          }
        }
        const frame = document.createElement("iframe");
        frame.src = target;
        document.body.append(frame);
        await new Promise((resolve) => frame.addEventListener("load", resolve));
        try {
          found.frame = frame.contentDocument === null ? "blocked" : "open";
        } catch {
          found.frame = "blocked";
        }
        const form = document.createElement("form");
        form.method = "post";
        form.action = `${target}/api/operation/${operation}/cancel`;
        form.target = "sink";
        document.body.append(form);
        form.submit();
        await new Promise((resolve) => setTimeout(resolve, 300));
        return found;
      }, [bundle.console, id]);
      assert.equal(outcomes.read, "refused");
      assert.equal(outcomes.readWithHeader, "refused");
      assert.equal(outcomes.cancel, "refused");
      // The page learns nothing of it, or the browser refuses it.
      assert.ok(["opaque", "refused"].includes(outcomes.simple), outcomes.simple);
      assert.equal(outcomes.frame, "blocked");
    }
    const response = await fetch(`${bundle.api}/operations/${id}`, { headers: { authorization: "Bearer alice" } });
    assert.equal((await response.json()).status, "processing");
  } finally {
    await context.close();
    evil.close();
  }
});

test("nothing but theme and refresh is stored, and no callback's query is anywhere", async () => {
  const { page, context, wrong } = await openPage(browser, bundle);
  const { id } = await submit(bundle, { function: "demo.echo", callback_url: "http://127.0.0.1:9/hook?token=s3cret" });
  await read(bundle, id);
  await page.goto(bundle.console);
  await page.getByText("examined").waitFor();
  await page.getByLabel("Theme").selectOption("dark");
  await page.getByLabel("Refresh").selectOption("5");
  const seen = [];
  page.on("response", async (response) => seen.push(response.url(), await response.text().catch(() => "")));
  await page.getByRole("link", { name: new RegExp(id.slice(-4)) }).click();
  await page.getByText("?REDACTED").waitFor();
  const stored = await page.evaluate(() => ({
    local: { ...localStorage }, session: { ...sessionStorage }, cookie: document.cookie,
  }));
  assert.deepEqual(stored, { local: { theme: "dark", refresh: "5" }, session: {}, cookie: "" });
  assert.ok(!seen.join("\n").includes("s3cret"));
  await context.close();
  assert.deepEqual(wrong, []);
});

test("the audit record names the console", async () => {
  const audited = await startBundle({ AWS_LAMBDA_LOG_LEVEL: "INFO" });
  try {
    const { id } = await submit(audited, { function: "demo.countdown", arguments: { steps: 100, step_ms: 500 } });
    const response = await fetch(`${audited.console}/api/operation/${id}/cancel`, { method: "POST", headers: OWN, body: "{}" });
    assert.equal(response.status, 200);
    const line = audited.log.find((one) => one.includes("actor"));
    assert.match(line ?? audited.log.join("\n"), new RegExp(`audit="cancel" actor="console" operation_id=${id} owner="local:alice" outcome="done"`));
  } finally {
    await audited.stop();
  }
});

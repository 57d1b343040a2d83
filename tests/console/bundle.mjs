// The bundle with its console, a browser, and a receiver of callbacks, for each file of tests.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

/** How long the bundle may take to start. */
const START_MILLISECONDS = 60_000;

const { CONSOLE_BINARIES: binaries, CHROMIUM: executablePath = "/usr/bin/chromium" } = process.env;

/**
 * Starts the bundle, also with more options. `api` and `console` are its URLs; `ended` resolves
 * when it has ended.
 */
export async function startBundle(variables = {}, ...options) {
  const child = spawn(`${binaries}/local`, ["--port", "0", "--binaries", binaries, ...options], {
    env: {
      PATH: process.env.PATH, AWS_LAMBDA_LOG_LEVEL: "WARN",
      CALLBACK_ALLOWED_NETWORKS: "127.0.0.0/8", CALLBACK_RETRY_SECONDS: "1", LEASE_SECONDS: "5",
      ...variables,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(line));
  const found = {};
  // Its output ends with it, and the loop with its output.
  const deadline = setTimeout(() => child.kill("SIGKILL"), START_MILLISECONDS);
  for await (const line of createInterface({ input: child.stdout })) {
    const [name, url] = line.split(" ");
    found[name] = url;
    if (found.ready && found.console) break;
  }
  clearTimeout(deadline);
  if (!found.console) throw new Error(`the bundle did not start:\n${log.join("\n")}`);
  const ended = once(child, "exit");
  return {
    api: found.ready, console: found.console, log, ended,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** Submits through the API. */
export async function submit(bundle, body, owner = "alice") {
  const response = await fetch(`${bundle.api}/operations`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${owner}` },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const operation = await response.json();
  if (response.status !== 202) throw new Error(JSON.stringify(operation));
  return operation;
}

export async function read(bundle, id, owner = "alice") {
  const response = await fetch(`${bundle.api}/operations/${id}`, {
    headers: { authorization: `Bearer ${owner}`, prefer: "wait=10" },
  });
  return response.json();
}

/** A receiver of callbacks, which answers with `status`. */
export async function startReceiver() {
  const receiver = { status: 204, received: [] };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    receiver.received.push(Buffer.concat(chunks).toString());
    response.writeHead(receiver.status).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  receiver.url = `http://127.0.0.1:${server.address().port}/hook?token=secret`;
  receiver.stop = () => server.close();
  return receiver;
}

export function launch(...more) {
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--no-first-run", ...more],
  });
}

/**
 * The bundle and the browser of a file of tests. `onPage` gives a function a page of a fresh
 * profile, in which nothing may go wrong.
 */
export function useConsole(...options) {
  const used = {
    async onPage(run, options) {
      const { page, context, wrong } = await openPage(used.browser, used.bundle, options);
      try {
        await run(page, context);
      } finally {
        // A request of the page may be under way.
        await page.unrouteAll({ behavior: "ignoreErrors" });
        await context.close();
      }
      assert.deepEqual(wrong, []);
    },
  };
  before(async () => {
    [used.bundle, used.browser] = await Promise.all([startBundle(...options), launch()]);
  });
  after(async () => {
    await used.browser?.close();
    await used.bundle?.stop();
  });
  return used;
}

/**
 * A page of a fresh profile. `wrong` has what must never happen: errors of the page, violations of
 * its policy, and requests to other hosts.
 */
export async function openPage(browser, bundle, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // A response of 4xx is logged as an error, and is expected by some tests.
    const isStatus = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isStatus) wrong.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    const isOwn = origin === bundle.console || ["data:", "blob:"].includes(protocol);
    if (!isOwn) wrong.push(`request: ${request.url()}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", ({ violatedDirective }) =>
      console.error(`policy: ${violatedDirective}`));
  });
  return { page, context, wrong };
}

/** Waits until `find` returns something true. */
export async function until(what, find, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    const found = await find();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not happen within ${seconds} s`);
}

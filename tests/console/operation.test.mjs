// One operation's page: its timeline, the facts of its record, and requests to copy.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { read, submit } from "./bundle.mjs";
import { withPage } from "./fixture.mjs";

const all = withPage();
const event = (text) => all.page.locator("ol.timeline li").filter({ hasText: text });
const fact = (name) => all.page.locator(`dt:text-is("${name}") + dd`);

/** Changes each response of the operation, for states that pass too quickly to be seen. */
async function alter(id, change) {
  await all.page.route(`**/api/operation/${id}`, async (route) => {
    const headers = { ...route.request().headers() };
    delete headers["if-none-match"];
    const response = await route.fetch({ headers });
    await route.fulfill({ response, json: change(await response.json()) });
  });
}

test("each attempt has its times, its error, and when the next one follows", async () => {
  const failing = { retryable: true, code: "BROKEN", message: "no" };
  const body = { function: "demo.fail", arguments: failing };
  const { id } = await submit(all.bundle, body);
  await all.open(`/operation/${id}`);
  // While it waits for the next attempt.
  await event(/attempt 1 retried BROKEN "no" \(retryable\), next (in \d seconds?|now)/).waitFor();
  assert.equal((await read(all.bundle, id)).status, "failed");
  await event(/attempt 1 began, queued \d+ ms/).waitFor();
  await event('attempt 3 failed BROKEN "no" (retryable, but every attempt failed)').waitFor();
  // Their messages are not kept.
  for (const attempt of [1, 2]) {
    const text = new RegExp(`attempt ${attempt} retried BROKEN.* \\(retryable\\), next after`);
    assert.equal(await event(text).count(), 1);
  }
  const times = await event("began").locator("time")
    .evaluateAll((elements) => elements.map(({ dateTime }) => dateTime));
  assert.equal(new Set(times).size, 3);
  await event("readable until").waitFor();
});

test("an error that is not retryable is called so", async () => {
  const { id } = await submit(all.bundle, { function: "demo.fail", arguments: { code: "NEVER" } });
  await read(all.bundle, id);
  await all.open(`/operation/${id}`);
  await event('attempt 1 failed NEVER "asked to fail" (not retryable)').waitFor();
});

test("a callback is due, and the next POST is counted down", async () => {
  const body = { function: "demo.echo", callback_url: "http://127.0.0.1:9/hook" };
  const { id } = await submit(all.bundle, body);
  await read(all.bundle, id);
  await alter(id, (operation) => {
    const { callback } = operation;
    callback.status = "due";
    callback.attempts.splice(1);
    callback.next_attempt_at = new Date(Date.now() + 20_000).toISOString();
    return { ...operation, deliveries_made: 1 };
  });
  await all.open(`/operation/${id}`);
  await event(/callback due$/).waitFor();
  await event(/POST 1 → connection refused.*, \d+ ms, next in 1\d seconds/i).waitFor();
});

test("a lease that ran out says that another worker takes over", async () => {
  const body = { function: "demo.countdown", arguments: { steps: 1000, step_ms: 1000 } };
  const { id } = await submit(all.bundle, body);
  const until = new Date(Date.now() - 60_000);
  await alter(id, (operation) => ({
    ...operation, availability: "claimable", lease_until: until.toISOString(),
  }));
  await all.open(`/operation/${id}`);
  const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(until);
  await event(`no heartbeat since ${clock}; another worker takes over`).waitFor();
});

test("the facts are those that the operator tool prints, with the state's size", async () => {
  const long = { function: "demo.long", arguments: { legs: 2, wait_seconds: 600 } };
  const { id } = await submit(all.bundle, long);
  await all.open(`/operation/${id}`);
  await fact("Saved state").getByText(/^\d+ bytes, by attempt 1$/).waitFor();
  await fact("Kept after its end").getByText("86400 s").waitFor();
  await fact("Idempotency key").getByText("none").waitFor();
  assert.match(await fact("Record").textContent(), /^format \d+, \d+ bytes$/);
  for (const name of ["create_id", "claim_id", "lock_version", "Deleted after", "Lease until"]) {
    assert.notEqual(await fact(name).textContent(), "", name);
  }
  const large = Array.from({ length: 300 }, () => Math.random());
  const { id: other } = await submit(all.bundle, {
    function: "demo.echo", arguments: { large },
  });
  await read(all.bundle, other);
  await all.open(`/operation/${other}`);
  await fact("Payload item").getByText(/^arguments#.*, \d+ bytes$/).waitFor();
});

test("the command to submit it again does so", async () => {
  const sent = '{"quote":"it\'s","number":1.50}';
  const { id } = await submit(all.bundle, `{"function":"demo.echo","arguments":${sent}}`, "gus");
  await read(all.bundle, id, "gus");
  await all.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await all.open(`/operation/${id}`);
  await all.page.getByRole("button", { name: "Copy Submit again" }).click();
  const command = await all.page.evaluate(() => navigator.clipboard.readText());
  const { stdout } = await promisify(execFile)("sh", ["-c", `${command} --silent`]);
  const again = JSON.parse(stdout);
  assert.notEqual(again.id, id);
  const response = await fetch(`${all.bundle.api}/operations/${again.id}?include=arguments`, {
    headers: { authorization: "Bearer gus" },
  });
  assert.ok((await response.text()).includes(`"arguments":${sent}`));
});

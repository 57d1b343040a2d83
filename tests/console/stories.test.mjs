// What people do with the console.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, read, startReceiver, submit } from "./bundle.mjs";
import { tabTo, withPage } from "./fixture.mjs";

const all = withPage();
let receiver;
before(async () => {
  receiver = await startReceiver();
});
after(() => receiver?.stop());

const main = () => all.page.locator("main");
const event = (text) => all.page.locator("ol.timeline li").filter({ hasText: text });

test("progress moves, and a cancel ends the work", async () => {
  const { bundle, page } = all;
  const { id } = await submit(bundle, {
    function: "demo.countdown", arguments: { steps: 100, step_ms: 300 },
  });
  await all.open("/");
  const link = page.locator(`a[href="/operation/${id}"]`);
  const row = page.getByRole("row").filter({ has: link });
  const bar = row.getByRole("progressbar");
  await bar.waitFor();
  const first = await bar.evaluate((element) => element.value);
  await page.waitForFunction(([element, value]) => element.value > value,
    [await bar.elementHandle(), first]);
  await link.click();
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(id).waitFor();
  await dialog.getByText("local:alice").waitFor();
  await dialog.getByRole("button", { name: "Back" }).click();
  const response = await fetch(`${bundle.api}/operations/${id}`, {
    headers: { authorization: "Bearer alice" },
  });
  assert.equal((await response.json()).status, "processing");
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await dialog.getByRole("button", { name: "Cancel operation" }).click();
  await main().getByText("– cancelled").first().waitFor();
  assert.equal((await read(bundle, id)).status, "cancelled");
  assert.ok(await page.getByRole("button", { name: "Cancel", exact: true }).isHidden());
});

test("a failure is redriven from the start when it has no state", async () => {
  const { bundle, page } = all;
  const { id } = await submit(bundle, { function: "demo.fail" });
  assert.equal((await read(bundle, id)).status, "failed");
  await all.open(`/operation/${id}`);
  await page.getByRole("button", { name: "Redrive from the start" }).click();
  await page.waitForURL((url) =>
    url.pathname.startsWith("/operation/") && !url.pathname.endsWith(id));
  await page.getByText("Redrive of").waitFor();
  const redrive = new URL(page.url()).pathname.split("/").at(-1);
  assert.equal((await read(bundle, redrive)).redrive_of, id);
});

test("a callback that was given up is delivered again", async () => {
  const { bundle, page } = all;
  receiver.status = 500;
  const { id } = await submit(bundle, { function: "demo.echo", callback_url: receiver.url });
  await all.open("/?callback_status=exhausted");
  await page.getByRole("link", { name: new RegExp(id.slice(-4)) }).click();
  await event(/^.*POST 1 → 500, \d+ ms, next after /).waitFor();
  await event(/POST 2 → 500, \d+ ms: exhausted$/).waitFor();
  receiver.status = 204;
  await page.getByRole("button", { name: "Redeliver callback" }).click();
  await event(/POST 3 → 204, \d+ ms: delivered$/).waitFor();
});

test("an erase needs the last characters of the id, and the operation is gone", async () => {
  const { bundle, page } = all;
  const { id } = await submit(bundle, { function: "demo.echo" });
  await read(bundle, id);
  await all.open(`/operation/${id}`);
  await page.getByRole("button", { name: "Erase" }).click();
  const erase = page.getByRole("dialog").getByRole("button", { name: "Erase" });
  assert.ok(await erase.isDisabled());
  await page.getByLabel(/Type/).fill(id.slice(-4));
  await erase.click();
  await page.waitForURL(`${bundle.console}/`);
  await page.getByText(`erase ${id.slice(0, 9)}…${id.slice(-4)}: erased`).waitFor();
  await all.open(`/operation/${id}`);
  await page.getByText("there is no such operation").waitFor();
});

test("run again fills the form with version and arguments exactly as they were sent", async () => {
  const { bundle, page } = all;
  const sent = '{"b":1.50,"a":12345678901234567890}';
  const { id } = await submit(bundle, `{"function":"demo.echo","arguments":${sent}}`);
  await read(bundle, id);
  await all.open(`/operation/${id}`);
  await main().getByText("1.50").first().waitFor();
  await page.getByRole("button", { name: "Run again" }).click();
  await page.waitForURL("**/function/demo.echo?version=1.0.0");
  const text = await page.getByLabel("Arguments as JSON").inputValue();
  assert.equal(text.replaceAll(/\s/g, ""), sent);
  const submitted = page.waitForRequest("**/api/submit");
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  assert.equal((await submitted).postDataJSON().body.version, "1.0.0");
  await page.waitForURL(/\/operation\/op_/);
  await main().getByText("● completed").first().waitFor();
  assert.equal(await page.locator("pre").filter({ hasText: "12345678901234567890" }).count(), 2);
});

// What each way does to an element, and how it fills a field and chooses a file.
const click = {
  activate: (_, locator) => locator.click(),
  fill: (_, locator, text) => locator.fill(text),
};
const keyboard = {
  async activate(page, locator, key = "Enter") {
    await tabTo(page, locator);
    await page.keyboard.press(key);
  },
  async fill(page, locator, text) {
    await tabTo(page, locator);
    await page.keyboard.press("Control+A");
    await page.keyboard.type(text);
  },
};
const WAYS = [
  ["by mouse", click, {}], ["by keyboard alone", keyboard, {}],
  ["at 320 pixels", click, { viewport: { width: 320, height: 640 } }],
  ["in dark mode", click, { colorScheme: "dark" }],
];

// The state that it saves says that the second leg is next, which would otherwise wait a minute.
const failing = {
  function: "demo.long", arguments: { legs: 2, wait_seconds: 60 }, deadline_seconds: 2,
};
const TABLE = "city,people\nRiga,600000\nOslo,700000\n";

for (const [name, way, options] of WAYS) {
  test(`from a submitted file to a redriven failure, ${name}`, { timeout: 60_000 }, async () => {
    const failure = await submit(all.bundle, failing);
    const opened = await openPage(all.browser, all.bundle, options);
    try {
      if (way === keyboard) await refuseMouse(opened.page);
      await story(opened.page, way, failure);
    } finally {
      await opened.context.close();
    }
    assert.deepEqual(opened.wrong, []);
  });
}

/** Any use of the mouse is an error of the page, which `wrong` has. */
function refuseMouse(page) {
  return page.addInitScript(() => {
    for (const name of ["pointerdown", "mousedown", "touchstart"]) {
      addEventListener(name, () => console.error(`used: ${name}`), true);
    }
  });
}

async function story(page, way, failure) {
  const { bundle } = all;
  const button = (name) => page.getByRole("button", { name, exact: true });
  const activate = (locator, key) => way.activate(page, locator, key);
  const entry = (text) => page.locator("ol.timeline li").filter({ hasText: text });
  receiver.received.length = 0;
  receiver.status = 204;

  // Submits a file, and sees it complete and its callback arrive.
  await page.goto(`${bundle.console}/functions`);
  await activate(page.getByRole("link", { name: "csv.summarize" }));
  await way.fill(page, page.getByLabel("Owner"), "local:carol");
  const chooser = page.waitForEvent("filechooser");
  await activate(page.getByLabel("csv from a file"), "Space");
  await (await chooser).setFiles({
    name: "table.csv", mimeType: "text/csv", buffer: Buffer.from(TABLE),
  });
  await page.waitForFunction(() => document.querySelector("#json").value.includes("Riga"));
  const sent = await page.getByLabel("Arguments as JSON").inputValue();
  assert.deepEqual(JSON.parse(sent), { csv: TABLE });
  await activate(page.locator("summary").filter({ hasText: "More" }));
  await way.fill(page, page.getByLabel("Callback URL"), receiver.url);
  await activate(button("Submit"));
  await page.waitForURL("**/operation/op_*");
  const submitted = new URL(page.url()).pathname.split("/").at(-1);
  await page.getByText("● completed").waitFor();
  await page.getByText("650000").waitFor();
  await entry(/POST 1 → 204, \d+ ms: delivered/).waitFor();
  assert.equal(receiver.received.length, 1);
  assert.ok(!(await page.content()).includes("token=secret"), "the callback's query is shown");

  // Delivers it once more.
  await activate(button("Redeliver callback"));
  await entry(/POST 2 → 204, \d+ ms: delivered/).waitFor();
  assert.equal(receiver.received.length, 2);

  // Cancels a countdown that runs.
  const { id } = await submit(bundle, {
    function: "demo.countdown", arguments: { steps: 100, step_ms: 500 },
  }, "carol");
  await activate(page.getByRole("link", { name: "Operations" }));
  await activate(page.locator(`a[href="/operation/${id}"]`));
  await page.getByRole("progressbar").waitFor();
  await activate(button("Cancel"));
  await activate(button("Cancel operation"));
  await page.getByText(/^cancel op_.*: cancelled$/).waitFor();
  assert.equal((await read(bundle, id, "carol")).status, "cancelled");

  // Redrives a failure from its state.
  assert.equal((await until(bundle, failure.id)).status, "failed");
  await activate(page.getByRole("link", { name: "Operations" }));
  await activate(page.locator(`a[href="/operation/${failure.id}"]`));
  await activate(button("Redrive from its state"));
  await page.waitForURL((url) => !url.pathname.endsWith(failure.id));
  await page.locator("dd").getByRole("link", { name: failure.id }).waitFor();
  const redriven = await read(bundle, new URL(page.url()).pathname.split("/").at(-1));
  assert.deepEqual([redriven.status, redriven.redrive_of], ["completed", failure.id]);
  // From the start its first attempt would have continued, and the second leg would wait.
  assert.deepEqual(redriven.attempts.map(({ outcome }) => outcome), ["completed"]);

  // Erases the first operation.
  await activate(page.getByRole("link", { name: "Operations" }));
  await activate(page.locator(`a[href="/operation/${submitted}"]`));
  await activate(button("Erase"));
  await way.fill(page, page.getByLabel(/Type/), submitted.slice(-4));
  await activate(page.getByRole("dialog").getByRole("button", { name: "Erase" }));
  await page.getByText(/^erase op_.*: erased$/).waitFor();
  assert.equal((await read(bundle, submitted, "carol")).code, "ASYNC_OPERATION_NOT_FOUND");
}

/** The operation at its end, which may be some seconds away. */
async function until(bundle, id) {
  for (;;) {
    const operation = await read(bundle, id);
    if (!["pending", "processing"].includes(operation.status)) return operation;
  }
}

// Submitting by the form of a JSON Schema.
import assert from "node:assert/strict";
import { test } from "node:test";
import { focused, withPage } from "./fixture.mjs";

const all = withPage();

// What no function of the bundle has. The form knows the schema only.
const SCHEMA = {
  type: "object",
  required: ["kind", "urgent", "size", "place"],
  properties: {
    kind: { const: "parcel" },
    note: { type: "string", minLength: 2, maxLength: 9, description: "For the driver." },
    urgent: { type: "boolean" },
    fragile: { type: "boolean", default: true },
    size: { type: "integer", default: 3 },
    place: { $ref: "#/$defs/place" },
    sender: { anyOf: [{ $ref: "#/$defs/place" }, { type: "null" }] },
    tags: { type: ["array", "null"], items: { type: "string" }, maxItems: 4 },
    stops: { type: "array", items: { $ref: "#/$defs/place" } },
    mixed: { type: ["string", "integer"] },
  },
  $defs: {
    place: {
      type: "object", required: ["city"], properties: {
        city: { type: "string" }, floor: { type: "integer" }, inner: { $ref: "#/$defs/place" },
      },
    },
  },
};

/** The page of a function with another schema. */
async function openForm(schema = SCHEMA) {
  await all.page.route("**/api/functions", async (route) => {
    const response = await route.fetch();
    const { functions } = await response.json();
    const [echo] = functions.filter(({ name }) => name === "demo.echo");
    await route.fulfill({ response, json: { functions: [{ ...echo, arguments_schema: schema }] } });
  });
  await all.open("/function/demo.echo");
  await all.page.getByLabel("Arguments as JSON").waitFor();
}

const form = () => all.page.getByRole("region", { name: "Form" });
const field = (name) => form().getByLabel(name, { exact: true });
const click = (name) => form().getByRole("button", { name, exact: true }).click();
const json = async () => JSON.parse(await all.page.getByLabel("Arguments as JSON").inputValue());
const described = (locator) => locator.evaluate((element) =>
  element.getAttribute("aria-describedby").split(" ")
    .map((id) => document.getElementById(id).textContent).join(" ").trim());

test("a new form has constants and defaults, and a description is tied to its field", async () => {
  await openForm();
  assert.deepEqual(await json(), { kind: "parcel", fragile: true, size: 3, place: {} });
  assert.equal(await described(field("note")),
    "For the driver. (at least 2 characters, at most 9 characters)");
  assert.equal(await described(field("size (required)")), "(default 3)");
  // A required boolean has no value before one is chosen.
  const urgent = field("urgent (required)");
  assert.equal(await urgent.inputValue(), "");
  await urgent.selectOption("false");
  await field("note").fill("ring");
  await field("fragile").selectOption("–");
  assert.deepEqual(await json(), {
    kind: "parcel", size: 3, place: {}, urgent: false, note: "ring",
  });
});

test("lists and objects are added, filled and removed", async () => {
  await openForm();
  await click("Add tags");
  // The new item has the focus.
  await all.page.keyboard.type("red");
  await click("Add to tags");
  await all.page.keyboard.type("blue");
  assert.deepEqual((await json()).tags, ["red", "blue"]);
  await click("Remove tags 1");
  assert.deepEqual((await json()).tags, ["blue"]);
  await click("Remove tags 1");
  assert.equal((await json()).tags, undefined);
  assert.equal(await focused(all.page, "textContent"), "Add tags");
  await click("Add stops");
  await form().getByRole("group", { name: "stops 1" })
    .getByLabel("city (required)").fill("Riga");
  assert.deepEqual((await json()).stops, [{ city: "Riga" }]);
  await click("Add sender");
  await form().getByRole("group", { name: "sender" }).getByLabel("floor").fill("2");
  assert.deepEqual((await json()).sender, { floor: 2 });
  await click("Remove sender");
  assert.equal((await json()).sender, undefined);
});

test("a node of another kind, or a deep one, is a field of JSON", async () => {
  await openForm();
  await field("mixed").fill("[1");
  await form().getByText("is not JSON").waitFor();
  await field("mixed").fill("7");
  assert.equal((await json()).mixed, 7);
  const place = form().getByRole("group", { name: "place", exact: false }).first();
  for (let depth = 2; depth < 6; depth += 1) {
    await place.getByRole("button", { name: "Add inner" }).last().click();
  }
  assert.equal(await form().getByRole("button", { name: "Add inner" }).count(), 0);
  await place.getByLabel("inner").last().fill('{"city":"Oslo"}');
  const { place: { inner: { inner: { inner: { inner } } } } } = await json();
  assert.deepEqual(inner, { inner: { city: "Oslo" } });
});

test("problems are at their fields, and a summary links to each", async () => {
  const { page } = all;
  await all.open("/function/demo.countdown");
  await field("steps (required)").fill("0");
  await field("step_ms (required)").fill("70000");
  // The browser's own check would stop here.
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  const problems = page.getByRole("alert").filter({ hasText: "2 problems" });
  await problems.getByRole("link", { name: "/arguments/steps" }).click();
  assert.equal(await field("steps (required)").getAttribute("aria-invalid"), "true");
  assert.match(await described(field("steps (required)")), /must be/);
  assert.equal(await focused(page, "id"), await field("steps (required)").getAttribute("id"));
  // A single one has the focus at once.
  await field("steps (required)").fill("1");
  const answered = page.waitForResponse("**/api/submit");
  await page.keyboard.press("Control+Enter");
  assert.equal((await answered).status(), 400);
  await page.getByText("One problem:").waitFor();
  assert.equal(await focused(page, "id"), await field("step_ms (required)").getAttribute("id"));
  assert.equal(await field("steps (required)").getAttribute("aria-invalid"), null);
});

test("a problem of a member under More opens it and has the focus", async () => {
  const { page } = all;
  await all.open("/function/demo.echo");
  const more = page.locator("details").filter({ hasText: "Metadata, a JSON object" });
  const metadata = page.getByLabel("Metadata, a JSON object");
  const submitted = async (text) => {
    if (!await metadata.isVisible()) await more.locator("summary").click();
    await metadata.fill(text);
    await more.locator("summary").click();
    assert.ok(await metadata.isHidden());
    await page.getByRole("button", { name: "Submit", exact: true }).click();
    await page.locator("#metadata:focus").waitFor();
    assert.ok(await metadata.isVisible());
  };
  await all.page.getByLabel("Arguments as JSON").waitFor();
  await submitted("5");
  assert.match(await described(metadata), /must be an object/);
  await submitted("{");
  assert.equal(await described(metadata), "is not JSON");
});

test("a version that is not there any more is not replaced silently", async () => {
  await all.open("/function/demo.echo?version=0.9.0");
  await all.page.getByText("Version 0.9.0 is not there any more. This is 1.0.0.").waitFor();
});

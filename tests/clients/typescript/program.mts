// A caller of the API with openapi-fetch and the types that openapi-typescript generates from the
// API's document. It uses the types without a cast, except for a function's result, whose type the
// document leaves open.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import createClient from "openapi-fetch";

import type { components, paths } from "./ferry.js";

type Operation = components["schemas"]["Operation"];

interface Summary {
  rows: number;
  columns: { name: string; count: number; mean?: number }[];
}

const baseUrl = process.argv[2] ?? "http://127.0.0.1:3000";
const headers = { authorization: "Bearer typescript" };
const api = createClient<paths>({ baseUrl, headers });
let steps = 0;

/** Runs one step, and prints that it passed. */
async function step(name: string, run: () => Promise<void>): Promise<void> {
  await run();
  steps += 1;
  console.log(`typescript: ${name}`);
}

async function submit(body: components["schemas"]["Submission"]): Promise<Operation> {
  const { data, error, response } = await api.POST("/operations", { body });
  if (error) throw new Error(`${response.status} ${JSON.stringify(error)}`);
  assert.equal(response.headers.get("location"), `${baseUrl}/operations/${data.id}`);
  return data;
}

async function read(id: string): Promise<Operation> {
  const { data, error } = await api.GET("/operations/{id}", { params: { path: { id } } });
  if (error) throw new Error(JSON.stringify(error));
  assert(data);
  return data;
}

/** Polls until the operation has ended. */
async function waitForEnd(operation: Operation): Promise<Operation> {
  while (operation.status === "pending" || operation.status === "processing") {
    await sleep(operation.retry_after.value * 1000);
    operation = await read(operation.id);
  }
  return operation;
}

await step("submit with arguments, and poll for the result", async () => {
  const csv = "city,population\nRiga,600000\nOslo,700000\n";
  const operation = await waitForEnd(
    await submit({ function: "csv.summarize", arguments: { csv }, metadata: { order: 17 } }),
  );
  assert.equal(operation.function, "csv.summarize");
  assert.equal(operation.metadata["order"], 17);
  if (operation.status !== "completed") throw new Error(operation.status);
  const summary = operation.result as Summary;
  assert.equal(summary.rows, 2);
  assert.deepEqual(summary.columns.map((column) => column.mean), [undefined, 650000]);
});

await step("submit once with an idempotency key, and wait", async () => {
  const submitOnce = () =>
    api.POST("/operations", {
      body: { function: "demo.echo", arguments: { ripe: true }, ttl_seconds: 60 },
      params: { header: { "Idempotency-Key": "order-17", Prefer: "wait=10" } },
    });
  const first = await submitOnce();
  const second = await submitOnce();
  assert(first.data && second.data);
  assert.equal(first.data.status, "completed");
  assert.equal(second.data.id, first.data.id);
  assert.equal(second.response.headers.get("idempotent-replayed"), "true");
});

await step("a failed operation and its errors", async () => {
  const operation = await waitForEnd(await submit({ function: "demo.fail" }));
  if (operation.status !== "failed") throw new Error(operation.status);
  assert.deepEqual(operation.errors.map(({ code }) => code), ["DEMO_FAILURE"]);
});

await step("cancel", async () => {
  const operation = await submit({
    function: "demo.countdown",
    arguments: { steps: 100, step_ms: 1000 },
  });
  const params = { path: { id: operation.id } };
  const { data } = await api.POST("/operations/{id}/cancel", { params });
  if (data?.status !== "cancelled") throw new Error(data?.status);
  assert(Date.parse(data.cancelled_at) >= Date.parse(data.created_at));
});

await step("an invalid member by its pointer", async () => {
  const { error, response } = await api.POST("/operations", {
    body: { function: "csv.summarize", arguments: { csv: "a\n1\n" }, ttl_seconds: 1 },
  });
  assert.equal(response.status, 400);
  assert(error && "errors" in error && error.errors);
  assert.equal(error.code, "INVALID_ARGUMENTS");
  assert.deepEqual(error.errors.map(({ pointer }) => pointer), ["/ttl_seconds"]);
});

await step("a request that the gateway refuses", async () => {
  const { error, response } = await api.GET("/operations", {
    headers: { authorization: "Basic YTpi" },
  });
  assert.equal(response.status, 401);
  assert(error && !("code" in error));
  assert.equal(error.message, "Unauthorized");
});

/** Every operation of the caller, page by page. */
async function listAll(): Promise<components["schemas"]["OperationSummary"][]> {
  const operations: components["schemas"]["OperationSummary"][] = [];
  let cursor: string | undefined;
  do {
    const { data, error } = await api.GET("/operations", {
      params: { query: { limit: 2, ...(cursor && { cursor }) } },
    });
    if (error) throw new Error(JSON.stringify(error));
    operations.push(...data.operations);
    cursor = data.next_cursor;
  } while (cursor);
  return operations;
}

await step("list, page by page", async () => {
  const functions = (await listAll()).map((operation) => operation.function);
  assert.deepEqual(functions, ["demo.countdown", "demo.fail", "demo.echo", "csv.summarize"]);
});

await step("erase", async () => {
  for (const { id } of await listAll()) {
    const params = { path: { id } };
    const erased = await api.DELETE("/operations/{id}", { params });
    assert.equal(erased.response.status, 204);
    const { error } = await api.GET("/operations/{id}", { params });
    assert(error && "code" in error);
    assert.equal(error.code, "ASYNC_OPERATION_NOT_FOUND");
  }
  assert.deepEqual(await listAll(), []);
});

await step("list functions", async () => {
  const { data } = await api.GET("/functions");
  const summarize = data?.functions.find(({ name }) => name === "csv.summarize");
  assert.equal(summarize?.arguments_schema["type"], "object");
});

await step("call over Forrst", async () => {
  const { data, error } = await api.POST("/forrst", {
    body: {
      protocol: { name: "forrst", version: "0.1.0" },
      id: "req_1",
      call: { function: "demo.echo", arguments: { ripe: true } },
      extensions: [
        { urn: "urn:cline:forrst:ext:deadline", options: { value: 20, unit: "second" } },
      ],
    },
  });
  if (error) throw new Error(JSON.stringify(error));
  assert.equal(data.id, "req_1");
  assert.deepEqual(data.result, { ripe: true });
});

console.log(`typescript: ${steps} steps passed`);

// What the conformance suite of the Model Context Protocol wants its functions to do.
import { setTimeout } from "node:timers/promises";

/** Longer than a call waits for its result (MCP_WAIT_SECONDS), so that the call gets a task. */
const LONG_MS = 3500;

export async function simpleText() {
  return "This is a simple text response for testing.";
}

export async function errorHandling() {
  throw new Error("This tool intentionally returns an error for testing");
}

export async function greet({ data }) {
  return `Hello, ${data.arguments.name}!`;
}

export async function slowCompute({ data }) {
  const { seconds, label } = data.arguments;
  // The suite expects a task for one second of work, and a result for none.
  if (seconds > 0) await setTimeout(Math.max(seconds * 1000, LONG_MS));
  return { seconds, label };
}

export async function failingJob() {
  await setTimeout(LONG_MS);
  throw new Error("the job failed");
}

export async function protocolErrorJob() {
  await setTimeout(LONG_MS);
  process.exit(1);
}

// Runs a Node handler on Lambda's Runtime API: `node node.mjs app.handler`, in the directory of
// `app`. https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
//
// npm's `aws-lambda-ric` needs Node 22, and compiles native code when it is installed. This needs
// Node 20 and nothing else. It uses `http`: `fetch` gives up after five minutes without a response,
// which is too short for a process that waits for its next invocation.

import { existsSync } from "node:fs";
import { request } from "node:http";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const env = process.env;
const name = process.argv[2];
let requestId; // Of the invocation in progress.

function call(method, path, body, headers) {
  const url = `http://${env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/${path}`;
  return new Promise((done, failed) => {
    const sent = request(url, { method, headers }, async (response) => {
      const chunks = await response.toArray();
      done({ headers: response.headers, text: Buffer.concat(chunks).toString() });
    });
    sent.on("error", failed).end(body);
  });
}

function report(path, error) {
  const document = { errorType: typeof error, errorMessage: String(error), stackTrace: [] };
  if (error instanceof Error) {
    document.errorType = error.name;
    document.errorMessage = error.message;
    const [, ...lines] = String(error.stack).split("\n");
    document.stackTrace = lines.map((line) => line.trim());
  }
  const headers = { "lambda-runtime-function-error-type": "Unhandled" };
  return call("POST", path, JSON.stringify(document), headers);
}

const initError = (type, message) => Object.assign(new Error(message), { name: `Runtime.${type}` });

// `directory/app.handler` is the export `handler` of `directory/app`.
async function load() {
  if (!name) throw initError("MalformedHandlerName", "name a handler: node node.mjs app.handler");
  const [module, ...path] = basename(name).split(".");
  const files = [".mjs", ".js", ".cjs"].map((ending) => resolve(dirname(name), module + ending));
  const file = files.find((file) => existsSync(file));
  if (!file) throw initError("ImportModuleError", `Cannot find module '${module}'`);
  const exports = await import(pathToFileURL(file));
  const member = (from) => path.reduce((value, key) => value?.[key], from);
  // The exports of a CommonJS module that Node cannot list are members of `default`.
  const handler = member(exports) ?? member(exports.default);
  if (typeof handler === "function") return handler;
  throw initError("HandlerNotFound", `${name} is not a function`);
}

// As on Lambda, a handler returns a promise or calls the callback. When it does neither, the
// response is `null` once nothing is left to run; a plain value that it returns is ignored.
function invoke(handler, event, context) {
  let nothingLeft;
  const outcome = new Promise((done, failed) => {
    nothingLeft = () => done(null);
    const callback = (error, value) => (error ? failed(error) : done(value));
    const result = handler(event, context, callback);
    if (typeof result?.then === "function") result.then(done, failed);
  });
  process.on("beforeExit", nothingLeft);
  return outcome.finally(() => process.off("beforeExit", nothingLeft));
}

process.on("uncaughtException", async (error) => {
  console.error(error);
  if (requestId) await report(`invocation/${requestId}/error`, error);
  process.exit(1);
});

let handler;
try {
  handler = await load();
} catch (error) {
  console.error(error);
  await report("init/error", error);
  process.exit(1);
}
for (;;) {
  const { headers, text } = await call("GET", "invocation/next");
  requestId = headers["lambda-runtime-aws-request-id"];
  env._X_AMZN_TRACE_ID = headers["lambda-runtime-trace-id"];
  const context = {
    awsRequestId: requestId,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    getRemainingTimeInMillis: () => headers["lambda-runtime-deadline-ms"] - Date.now(),
  };
  try {
    const value = await invoke(handler, JSON.parse(text), context);
    await call("POST", `invocation/${requestId}/response`, JSON.stringify(value) ?? "null");
  } catch (error) {
    console.error(error);
    await report(`invocation/${requestId}/error`, error);
  }
  requestId = undefined;
}

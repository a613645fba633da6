// The adapter: what the host calls, and Lambda's way of calling a handler and of telling its failures.
import { forget } from "./prelude.mjs";
import { wake } from "./globals.mjs";
import "./web.mjs";
import { source } from "wasmill:handler/script@0.1.0";
import * as log from "./log.mjs";
import { until } from "./loop.mjs";
import { require } from "./node.mjs";
import { process, readEnvironment, takeExit } from "./process.mjs";
import { install, setBundle, trace } from "./stack.mjs";

forget();

let handler;

/** Declares the world's stream type; the host never calls it. */
export function turn() {}

class Failure extends Error {
  constructor(name, message, cause) { super(message); this.name = name; if (cause) this.frames = trace(cause); }
}

/** Lambda's JSON of what was thrown; logged as Lambda does. */
function failed(thrown) {
  const isError = thrown instanceof Error || (typeof thrown === "object" && thrown !== null && "message" in thrown && "stack" in thrown);
  const failure = isError
    ? { errorType: String(thrown.name ?? "Error"), errorMessage: String(thrown.message), trace: thrown.frames ?? trace(thrown) }
    : { errorType: typeof thrown, errorMessage: String(thrown), trace: [] };
  const extra = isError ? Object.fromEntries(Object.entries(thrown).filter(([key]) => key !== "frames" && key !== "name")) : {};
  let text;
  try { text = JSON.stringify({ errorType: failure.errorType, errorMessage: failure.errorMessage, ...extra, stack: failure.trace }); } catch { text = JSON.stringify(failure); }
  log.line("ERROR", `Invoke Error \t${text}`, true);
  return JSON.stringify(failure);
}

/** Runs the user's files, at the first invocation: the environment, the clock and randomness are then the real ones. */
function load() {
  const text = source();
  const module = { exports: {} };
  let run;
  try {
    run = new Function("module", "require", text);
  } catch (error) {
    throw new Failure("Runtime.UserCodeSyntaxError", `SyntaxError: ${error.message}`, error);
  }
  setBundle(text, FIRST_LINE, FILE_NAME);
  install();
  try {
    run(module, require);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Failure("Runtime.UserCodeSyntaxError", `SyntaxError: ${error.message}`, error);
    if (error?.code === "MODULE_NOT_FOUND" || error?.code === "ERR_MODULE_NOT_FOUND" || error?.code === "ERR_UNSUPPORTED") throw new Failure("Runtime.ImportModuleError", `Error: ${error.message}`, error);
    throw error;
  }
  const name = process.env._HANDLER ?? "index.handler";
  const wanted = name.slice(name.lastIndexOf(".") + 1);
  const found = module.exports?.[wanted] ?? module.exports?.default?.[wanted];
  if (found === undefined || found === null) throw new Failure("Runtime.HandlerNotFound", `${name} is undefined or not exported`);
  if (typeof found !== "function") throw new Failure("Runtime.HandlerNotFound", `${name} is not a function`);
  return found;
}

/** Where the body of `new Function` begins in the engine's line numbers, and what it calls the file: asked of it once. */
const [FIRST_LINE, FILE_NAME] = (() => {
  try {
    new Function("module", "require", "throw new Error('probe')")();
  } catch (error) {
    const [, file, line] = /\(?([^\s(]+):(\d+):\d+\)?/.exec(error.stack) ?? [];
    return [Number(line ?? 1) - 1, file];
  }
})();

export async function handle(eventText, ctx) {
  log.setRequestId(ctx.requestId);
  const call = { answer: undefined, held: undefined, promised: false, waits: true };
  try {
    if (handler === undefined) {
      wake();
      readEnvironment();
    }
    if (ctx.traceId) process.env._X_AMZN_TRACE_ID = ctx.traceId;
    else delete process.env._X_AMZN_TRACE_ID;
    handler ??= load();
    begin(call, JSON.parse(eventText), ctx);
    await until(() => call.answer !== undefined);
  } catch (error) {
    // What a timer's callback throws ends the invocation, as an uncaught exception does on Lambda.
    call.answer = { error };
  }
  const exit = takeExit();
  if (exit) call.answer = { error: exit };
  call.answer ??= call.held ?? (call.promised ? { error: neverSettled() } : { value: null });
  if ("error" in call.answer) throw failed(call.answer.error);
  try {
    return JSON.stringify(call.answer.value) ?? "null";
  } catch (error) {
    throw failed(new Failure("Runtime.MarshalError", `Unable to stringify response body: ${error.message}`, error));
  }
}

const neverSettled = () => new Failure("Runtime.NodeJsExit", "the handler's promise never settled, and nothing is left that it could be waiting for");

/** Calls the handler. The first answer counts, whichever of Lambda's ways it comes by. */
function begin(call, event, ctx) {
  const answer = (one) => { call.answer ??= one; };
  const answered = (error, value) => (error === undefined || error === null ? { value } : { error });
  const context = contextOf(ctx, (error, value) => answer(answered(error, value)), call);
  const callback = (error, value) => {
    call.held ??= answered(error, value);
    // By default the answer waits until nothing is left to run.
    if (!call.waits) answer(call.held);
  };
  const result = handler(event, context, callback);
  if (typeof result?.then === "function") {
    call.promised = true;
    result.then((value) => answer({ value }), (error) => answer({ error }));
  } else if (handler.length < 3 && result !== undefined) {
    answer({ value: result });
  }
}

function contextOf(ctx, answered, call) {
  const stamp = new Date().toISOString().slice(0, 10).replaceAll("-", "/");
  const context = {
    functionVersion: ctx.functionVersion,
    functionName: ctx.functionName,
    memoryLimitInMB: String(ctx.memoryLimitMb),
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME ?? `/aws/lambda/${ctx.functionName}`,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME ?? `${stamp}/[${ctx.functionVersion}]${ctx.requestId.replaceAll("-", "")}`,
    clientContext: undefined,
    identity: undefined,
    invokedFunctionArn: ctx.functionArn,
    awsRequestId: ctx.requestId,
    getRemainingTimeInMillis: () => Math.max(0, Number(ctx.deadlineMs) - Date.now()),
    done: (error, value) => answered(error, value),
    fail: (error) => answered(error ?? "handled", undefined),
    succeed: (value) => answered(null, value),
  };
  return Object.defineProperty(context, "callbackWaitsForEmptyEventLoop", {
    enumerable: true,
    get: () => call.waits,
    set: (waits) => { call.waits = Boolean(waits); },
  });
}

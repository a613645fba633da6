// The console, with Lambda's prefix on every message: time, request id and level, tab-separated.
import { getStdout } from "wasj:cli/stdout@0.2.9";
import { getStderr } from "wasj:cli/stderr@0.2.9";
import { formatWithOptions, inspect } from "node-inspect-extracted";
import { encode } from "./encoding.mjs";
import { clock } from "./loop.mjs";

/** What one write to the host may have. */
const WRITE_BYTES_MAX = 4096;

let requestId = "";
let out;
let err;

export const setRequestId = (id) => void (requestId = id);

/** Writes text as it is. Where it goes may be full or closed; a handler does not fail for that. */
export function write(text, toStderr = false) {
  const bytes = encode(String(text));
  const stream = toStderr ? (err ??= getStderr()) : (out ??= getStdout());
  try {
    for (let at = 0; at < bytes.length; at += WRITE_BYTES_MAX) {
      stream.blockingWriteAndFlush(bytes.subarray(at, at + WRITE_BYTES_MAX));
    }
  } catch {}
}

const format = (...args) => formatWithOptions({ colors: false }, ...args);

export function line(level, text, toStderr) {
  write(`${new Date().toISOString()}\t${requestId}\t${level}\t${text}\n`, toStderr);
}

const counts = new Map();
const times = new Map();
let indent = "";
const say = (level, toStderr) => (...args) => line(level, indent + format(...args).replaceAll("\n", "\n" + indent), toStderr);

export const console = {
  log: say("INFO"),
  info: say("INFO"),
  debug: say("DEBUG"),
  warn: say("WARN", true),
  error: say("ERROR", true),
  trace: (...args) => line("TRACE", `Trace: ${format(...args)}\n${String(new Error().stack).split("\n").slice(1).join("\n")}`, true),
  fatal: say("FATAL", true),
  dir: (value, options) => line("INFO", inspect(value, { customInspect: false, ...options })),
  dirxml: say("INFO"),
  table: (rows) => line("INFO", inspect(rows)),
  assert: (truth, ...args) => truth || line("ERROR", args.length ? `Assertion failed: ${format(...args)}` : "Assertion failed", true),
  count: (label = "default") => { counts.set(label, (counts.get(label) ?? 0) + 1); line("INFO", `${label}: ${counts.get(label)}`); },
  countReset: (label = "default") => void counts.delete(label),
  time: (label = "default") => void times.set(label, clock()),
  timeLog: (label = "default", ...args) => line("INFO", `${label}: ${(clock() - times.get(label)).toFixed(3)}ms ${format(...args)}`.trimEnd()),
  timeEnd: (label = "default") => { line("INFO", `${label}: ${(clock() - times.get(label)).toFixed(3)}ms`); times.delete(label); },
  group: (...args) => { if (args.length) console.log(...args); indent += "  "; },
  groupCollapsed: (...args) => console.group(...args),
  groupEnd: () => void (indent = indent.slice(2)),
};

/** node:console's class: what it is told goes to its streams as it is, without Lambda's prefix. */
export class Console {
  constructor(stdout, stderr) {
    const isStream = typeof stdout?.write === "function";
    const [out, err] = isStream ? [stdout, stderr] : [stdout.stdout, stdout.stderr];
    const to = (stream) => (...args) => void stream.write(`${format(...args)}\n`);
    for (const name of Object.keys(console)) this[name] = console[name];
    for (const name of ["log", "info", "debug", "dirxml"]) this[name] = to(out);
    for (const name of ["warn", "error", "trace"]) this[name] = to(err ?? out);
    this.dir = (value, options) => void out.write(`${inspect(value, { customInspect: false, ...options })}\n`);
    this.table = (rows) => void out.write(`${inspect(rows)}\n`);
  }
}
console.Console = Console;

// What `require` and `import` of Node.js's own modules give. What cannot work in a sandbox of WebAssembly is refused in
// one line: when the user's own file asks for it, at once; when a package does, at the first use, as packages often load
// what they do not need.
import assert from "assert";
import buffer from "buffer";
import EventEmitter from "events";
import path from "path-browserify";
import querystring from "querystring-es3";
import stream from "readable-stream";
import string_decoder from "string_decoder";
import legacyUtil from "util";
import { formatWithOptions, format, inspect } from "node-inspect-extracted";
import crypto from "./crypto.mjs";
import { AbortController, AbortSignal, Event, EventTarget, sleep } from "./events.mjs";
import { TextDecoder, TextEncoder } from "./encoding.mjs";
import { http, https } from "./http.mjs";
import { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "./loop.mjs";
import { process } from "./process.mjs";

const custom = Symbol.for("nodejs.util.promisify.custom");

function promisify(run) {
  if (run[custom]) return run[custom];
  return function (...args) {
    return new Promise((resolve, reject) => run.call(this, ...args, (error, value) => (error ? reject(error) : resolve(value))));
  };
}
promisify.custom = custom;
setTimeout[custom] = sleep;
setImmediate[custom] = (value) => new Promise((resolve) => setImmediate(resolve, value));

const util = {
  ...legacyUtil, inspect, format, formatWithOptions, promisify, TextDecoder, TextEncoder,
  isDeepStrictEqual: (a, b) => { try { assert.deepStrictEqual(a, b); return true; } catch { return false; } },
  stripVTControlCharacters: (text) => String(text).replace(/\u001b\[[0-9;]*[A-Za-z]/g, ""),
  styleText: (_, text) => text, debug: () => Object.assign(() => {}, { enabled: false }), debuglog: () => Object.assign(() => {}, { enabled: false }),
  toUSVString: (text) => String(text).toWellFormed(), getSystemErrorName: (code) => String(code), parseArgs: () => refuse("util.parseArgs", "a handler has no arguments"),
};

/** As far as one invocation at a time needs it: the store of `run` holds until what it was given has settled. */
class AsyncLocalStorage {
  #store;
  getStore() { return this.#store; }
  enterWith(store) { this.#store = store; }
  disable() { this.#store = undefined; }
  exit(run, ...args) { return this.run(undefined, run, ...args); }
  run(store, run, ...args) {
    const before = this.#store;
    this.#store = store;
    const back = () => { if (this.#store === store) this.#store = before; };
    let result;
    try { result = run(...args); } catch (error) { back(); throw error; }
    if (typeof result?.then === "function") result.then(back, back);
    else back();
    return result;
  }
  static bind(run) { return run; }
  static snapshot() { return (run, ...args) => run(...args); }
}
class AsyncResource {
  runInAsyncScope(run, self, ...args) { return run.apply(self, args); }
  emitDestroy() { return this; }
  bind(run) { return run; }
  static bind(run) { return run; }
}

const noFile = (call, name) => Object.assign(new Error(`ENOENT: no such file or directory, ${call} '${name}' (the JavaScript runtime has no files: import what the handler needs, JSON included)`), { code: "ENOENT", errno: -2, syscall: call, path: String(name) });
const fsCalls = { readFile: "open", stat: "stat", lstat: "lstat", access: "access", readdir: "scandir", open: "open", realpath: "realpath", readlink: "readlink", writeFile: "open", appendFile: "open", mkdir: "mkdir", mkdtemp: "mkdtemp", unlink: "unlink", rm: "rm", rmdir: "rmdir", rename: "rename", copyFile: "copyfile" };
const fs = { existsSync: () => false, constants: { F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 }, promises: { constants: { F_OK: 0, R_OK: 4, W_OK: 2, X_OK: 1 } } };
for (const [name, call] of Object.entries(fsCalls)) {
  fs[`${name}Sync`] = (file) => { throw noFile(call, file); };
  fs.promises[name] = async (file) => { throw noFile(call, file); };
  fs[name] = (file, ...rest) => queueMicrotask(() => rest.at(-1)(noFile(call, file)));
}
for (const name of ["createReadStream", "createWriteStream", "watch"]) fs[name] = (file) => { throw noFile("open", file); };

const os = {
  EOL: "\n", arch: () => "wasm32", platform: () => "linux", type: () => "Linux", release: () => "0", version: () => "wasmill", machine: () => "wasm32", endianness: () => "LE", homedir: () => "/", tmpdir: () => "/tmp", hostname: () => "localhost",
  cpus: () => [{ model: "wasm", speed: 0, times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } }], availableParallelism: () => 1, totalmem: () => Number(process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE ?? 128) << 20, freemem: () => 0, uptime: () => process.uptime(), loadavg: () => [0, 0, 0], networkInterfaces: () => ({}), userInfo: () => ({ username: "sandbox", uid: 993, gid: 990, shell: null, homedir: "/" }), constants: { signals: {}, errno: {} }, devNull: "/dev/null",
};

const url = {
  get URL() { return globalThis.URL; },
  get URLSearchParams() { return globalThis.URLSearchParams; },
  fileURLToPath: (value) => { const made = new globalThis.URL(value); if (made.protocol !== "file:") throw Object.assign(new TypeError("The URL must be of scheme file"), { code: "ERR_INVALID_URL_SCHEME" }); return decodeURIComponent(made.pathname); },
  pathToFileURL: (name) => new globalThis.URL(`file://${path.resolve(name).split("/").map(encodeURIComponent).join("/")}`),
  parse: (text, query = false) => { const { protocol, username, password, host, port, hostname, hash, search, pathname, href } = new globalThis.URL(text); return { protocol, slashes: true, auth: username ? `${username}:${password}` : null, host, port: port || null, hostname, hash: hash || null, search: search || null, query: query ? querystring.parse(search.slice(1)) : search.slice(1) || null, pathname, path: pathname + search, href }; },
  format: (value) => (typeof value === "string" ? value : value.href ?? `${value.protocol ?? ""}//${value.auth ? `${value.auth}@` : ""}${value.host ?? value.hostname + (value.port ? `:${value.port}` : "")}${value.pathname ?? ""}${value.search ?? ""}${value.hash ?? ""}`),
  resolve: (from, to) => new globalThis.URL(to, from).href,
  domainToASCII: (name) => new globalThis.URL(`http://${name}`).hostname, domainToUnicode: (name) => name,
};

Object.assign(EventEmitter, { EventEmitter, once: EventEmitter.once, errorMonitor: Symbol("events.errorMonitor"), setMaxListeners: () => {}, EventEmitterAsyncResource: EventEmitter });
const posixPath = Object.assign(path, { posix: path });
const timers = { setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate };
timers.promises = { setTimeout: sleep, setImmediate: setImmediate[custom], scheduler: { wait: sleep, yield: setImmediate[custom] } };
const channel = () => ({ hasSubscribers: false, publish() {}, subscribe() {}, unsubscribe() {}, runStores: (_, run, self, ...args) => run.apply(self, args), bindStore() {} });

const modules = {
  assert, "assert/strict": assert.strict, buffer: { ...buffer, atob, btoa }, console: () => globalThis.console, constants: os.constants, crypto, diagnostics_channel: { channel, hasSubscribers: () => false, subscribe() {}, unsubscribe() {}, tracingChannel: () => ({ start: channel(), end: channel(), asyncStart: channel(), asyncEnd: channel(), error: channel(), hasSubscribers: false, traceSync: (run, _, self, ...args) => run.apply(self, args), tracePromise: (run, _, self, ...args) => run.apply(self, args) }) },
  async_hooks: { AsyncLocalStorage, AsyncResource, executionAsyncId: () => 1, triggerAsyncId: () => 0, createHook: () => ({ enable() {}, disable() {} }) },
  events: EventEmitter, fs, "fs/promises": fs.promises, http, https, os, path: posixPath, "path/posix": posixPath, perf_hooks: { performance: () => globalThis.performance }, process, punycode: undefined, querystring, stream, "stream/promises": stream.promises,
  string_decoder, sys: util, timers, "timers/promises": timers.promises, tty: { isatty: () => false, ReadStream: class {}, WriteStream: class {} }, url, util, "util/types": util.types,
  "stream/web": () => ({ ReadableStream: globalThis.ReadableStream, WritableStream: globalThis.WritableStream, TransformStream: globalThis.TransformStream }),
  module: { createRequire: (from) => createRequire(from), builtinModules: [], isBuiltin: (name) => name.replace(/^node:/, "") in modules },
};
modules.perf_hooks = { get performance() { return globalThis.performance; } };
delete modules.punycode;

const why = {
  child_process: "the sandbox has one process", cluster: "the sandbox has one process", worker_threads: "the sandbox has one thread", net: "the sandbox has no sockets; use fetch, or node:https", tls: "the sandbox has no sockets; use fetch, or node:https", dgram: "the sandbox has no sockets",
  dns: "the host resolves names; use fetch", "dns/promises": "the host resolves names; use fetch", http2: "the host speaks HTTP/1.1; use fetch, or node:https", inspector: "there is no debugger in the sandbox", "inspector/promises": "there is no debugger in the sandbox", readline: "there is no terminal", "readline/promises": "there is no terminal", repl: "there is no terminal",
  v8: "the engine is QuickJS", vm: "the engine is QuickJS", wasi: "the engine is QuickJS", trace_events: "the engine is QuickJS", zlib: "the runtime has no zlib; use a package written in JavaScript, such as fflate", sqlite: "the sandbox has no files", test: "tests run in Node.js", domain: "it is deprecated", sea: "the engine is QuickJS", punycode: "it is deprecated; install the package of that name",
};

function refuse(name, reason) {
  throw Object.assign(new Error(`${name} is not supported by the JavaScript runtime: ${reason}`), { code: "ERR_UNSUPPORTED" });
}

/** Stands for a refused module in packages: its first use fails. */
const refused = (name, reason) =>
  new Proxy(function () {}, {
    get: (_, key) => (typeof key === "symbol" || key === "then" || key === "__esModule" || key === "default" ? undefined : key === "constants" ? {} : refusing(`${name}.${key}`, reason)),
    has: () => true,
    apply: () => refuse(name, reason),
    construct: () => refuse(name, reason),
  });
function refusing(name, reason) {
  return Object.assign(function () { refuse(name, reason); }, {});
}

/** The `require` of the bundle. */
export function require(specifier, from = "") {
  const name = specifier.replace(/^node:/, "");
  if (Object.hasOwn(modules, name)) return typeof modules[name] === "function" && (name === "console" || name === "stream/web") ? modules[name]() : modules[name];
  if (Object.hasOwn(why, name)) return from.includes("/node_modules/") ? refused(`node:${name}`, why[name]) : refuse(`node:${name}`, why[name]);
  throw Object.assign(new Error(`Cannot find module '${specifier}'\nRequire stack:\n- ${from} (only what is imported by a literal name is in the bundle)`), { code: "MODULE_NOT_FOUND", requireStack: [from] });
}

function createRequire(from) {
  const file = String(from).replace(/^file:\/\//, "");
  const own = globalThis[Symbol.for("wasmill.requires")]?.get(file);
  return own ?? ((specifier) => require(specifier, file));
}

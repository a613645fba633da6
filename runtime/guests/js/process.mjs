// process, as far as there is one: the environment is read from the host when the first invocation begins.
import { getEnvironment } from "wasj:cli/environment@0.2.9";
import EventEmitter from "events";
import { clock } from "./loop.mjs";
import { write } from "./log.mjs";

/** process.exit() ends the invocation, as it ends Lambda's environment. */
export class Exit extends Error {
  constructor(code) { super(`Runtime exited with error: exit status ${code}`); this.name = "Runtime.ExitError"; this.code = code; }
}

const hrtime = (before) => {
  const t = clock() * 1e6;
  const time = [Math.floor(t / 1e9), Math.floor(t % 1e9)];
  if (!before) return time;
  const nanoseconds = (time[0] - before[0]) * 1e9 + time[1] - before[1];
  return [Math.floor(nanoseconds / 1e9), nanoseconds % 1e9];
};
hrtime.bigint = () => BigInt(Math.round(clock() * 1e6));

let exited;
export const takeExit = () => { const exit = exited; exited = undefined; return exit; };
const stream = (toStderr, fd) => ({
  fd, isTTY: false, writable: true, columns: 80,
  write: (text, encoding, done) => { write(typeof text === "string" ? text : new TextDecoder().decode(text), toStderr); (typeof encoding === "function" ? encoding : done)?.(); return true; },
  end: () => {}, on() { return this; }, once() { return this; }, removeListener() { return this; }, emit: () => false,
});

export const process = Object.assign(new EventEmitter(), {
  env: {},
  argv: ["node", "/var/runtime/index.mjs"],
  argv0: "node", execArgv: [], execPath: "/var/lang/bin/node", title: "node", pid: 1, ppid: 0,
  // What QuickJS understands is about what this Node.js does.
  version: "v22.0.0",
  versions: { node: "22.0.0", quickjs: "ng" },
  platform: "linux", arch: "wasm32", release: { name: "node" }, features: {}, config: { variables: {} },
  exitCode: undefined, browser: false,
  stdout: stream(false, 1), stderr: stream(true, 2), stdin: { fd: 0, isTTY: false, on() { return this; } },
  cwd: () => "/app",
  chdir: () => { throw new Error("process.chdir: the sandbox has no folders"); },
  umask: () => 0o22, getuid: () => 993, getgid: () => 990, geteuid: () => 993, getegid: () => 990,
  nextTick: (callback, ...args) => queueMicrotask(() => callback(...args)),
  hrtime,
  uptime: () => clock() / 1e3,
  memoryUsage: Object.assign(() => { const used = __cqjs.getMemoryUsage(); return { rss: used.mallocSize, heapTotal: used.mallocSize, heapUsed: used.memoryUsedSize, external: 0, arrayBuffers: 0 }; }, { rss: () => __cqjs.getMemoryUsage().mallocSize }),
  cpuUsage: () => ({ user: Math.round(clock() * 1e3), system: 0 }),
  emitWarning: (warning) => globalThis.console.warn(String(warning)),
  exit: (code) => { exited = new Exit(code ?? process.exitCode ?? 0); throw exited; },
  abort: () => process.exit(134),
  kill: () => { throw new Error("process.kill: the sandbox has one process"); },
  binding: (name) => { throw new Error(`process.binding('${name}'): the runtime is not Node.js`); },
});

export function readEnvironment() {
  for (const [name, value] of getEnvironment()) process.env[name] = value;
}

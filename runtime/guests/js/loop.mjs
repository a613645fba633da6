// The event loop: timers, immediates and what waits for the host, turned only while an invocation runs.
import { now, subscribeDuration } from "wasj:clocks/monotonic-clock@0.2.9";
import { poll } from "wasj:io/poll@0.2.9";

const timers = new Map();
const immediates = new Map();
const waiting = new Set();
let lastId = 0;

export const clock = () => now() / 1e6;

/** Resolves when every microtask that was queued has run: the engine answers a stream only then. */
export async function drained() {
  const { readable, writable } = wit.Stream(wit.Stream.U8);
  const byte = readable.read(1);
  writable.write(new Uint8Array(1));
  await byte;
  readable.drop();
  writable.drop();
}

class Timeout {
  constructor(id) { this.id = id; }
  ref() { const t = timers.get(this.id); if (t) t.ref = true; return this; }
  unref() { const t = timers.get(this.id); if (t) t.ref = false; return this; }
  hasRef() { return timers.get(this.id)?.ref ?? false; }
  refresh() { const t = timers.get(this.id); if (t) t.at = clock() + t.delay; return this; }
  close() { timers.delete(this.id); return this; }
  [Symbol.toPrimitive]() { return this.id; }
  [Symbol.dispose]() { timers.delete(this.id); }
}

function start(callback, delay, args, repeat) {
  if (typeof callback !== "function") {
    throw Object.assign(new TypeError('The "callback" argument must be of type function.'), { code: "ERR_INVALID_ARG_TYPE" });
  }
  delay = delay >= 1 && delay <= 2147483647 ? Math.trunc(delay) : 1;
  const id = ++lastId;
  timers.set(id, { id, callback, args, delay, repeat, at: clock() + delay, ref: true });
  return new Timeout(id);
}

export const setTimeout = (callback, delay, ...args) => start(callback, delay, args, false);
export const setInterval = (callback, delay, ...args) => start(callback, delay, args, true);
export const clearTimeout = (timer) => void timers.delete(Number(timer?.id ?? timer));
export const clearInterval = clearTimeout;
export function setImmediate(callback, ...args) {
  const id = ++lastId;
  immediates.set(id, { callback, args });
  return { id, ref() { return this; }, unref() { return this; }, hasRef: () => true };
}
export const clearImmediate = (immediate) => void immediates.delete(immediate?.id);

/** Resolves when the host says that `pollable` is ready; the loop then drops it. */
export const ready = (pollable) => new Promise((resolve) => waiting.add({ pollable, resolve }));

export const isEmpty = () => immediates.size === 0 && waiting.size === 0 && ![...timers.values()].some((timer) => timer.ref);

const due = () => [...timers.values()].sort((a, b) => a.at - b.at || a.id - b.id);

/** One turn: runs what is due, or waits for what comes first.  */
async function turn() {
  const [first] = due();
  if (immediates.size > 0) {
    for (const [id, { callback, args }] of [...immediates]) {
      if (immediates.delete(id)) callback(...args);
      await drained();
    }
  }
  if (waiting.size > 0 || (first && first.at > clock() && !isEmpty())) wait(first);
  for (const timer of due()) {
    if (timer.at > clock()) break;
    if (!timers.has(timer.id)) continue;
    if (timer.repeat) timer.at = clock() + timer.delay;
    else timers.delete(timer.id);
    timer.callback(...timer.args);
    await drained();
  }
}

function wait(first) {
  const all = [...waiting];
  const pollables = all.map(({ pollable }) => pollable);
  const pause = first && immediates.size === 0 ? Math.max(0, first.at - clock()) : immediates.size > 0 ? 0 : undefined;
  const alarm = pause === undefined ? undefined : subscribeDuration(Math.ceil(pause * 1e6));
  if (alarm) pollables.push(alarm);
  const indexes = Array.from(poll(pollables));
  alarm?.[Symbol.dispose]();
  for (const index of indexes) {
    const one = all[index];
    if (!one) continue;
    waiting.delete(one);
    one.pollable[Symbol.dispose]();
    one.resolve();
  }
}

/** Turns until `isDone`, or until nothing is left that could make it so. */
export async function until(isDone) {
  for (;;) {
    await drained();
    if (isDone()) return true;
    if (isEmpty()) return false;
    await turn();
  }
}

// What a handler finds without importing it. First of the imports: the npm packages look for some of it when they load.
import { Buffer } from "buffer";
import { clock, clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from "./loop.mjs";
import { TextDecoder, TextEncoder } from "./encoding.mjs";
import { console } from "./log.mjs";
import { process } from "./process.mjs";
import { random } from "./random.mjs";

const define = (values) => {
  for (const [name, value] of Object.entries(values)) Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
};

let origin = 0;
/** Time is counted from the first invocation, and Math.random is the host's from then on. */
export function wake() {
  origin = clock();
  Math.random = random;
}

const memory = new Map();
const performance = {
  now: () => clock() - origin,
  get timeOrigin() { return Date.now() - performance.now(); },
  mark: (name) => { const entry = { name, entryType: "mark", startTime: performance.now(), duration: 0 }; memory.set(name, entry); return entry; },
  measure: (name, from, to) => { const start = memory.get(from)?.startTime ?? 0; const entry = { name, entryType: "measure", startTime: start, duration: (memory.get(to)?.startTime ?? performance.now()) - start }; return entry; },
  clearMarks: (name) => (name ? memory.delete(name) : memory.clear()), clearMeasures() {}, getEntries: () => [], getEntriesByName: () => [], getEntriesByType: () => [], toJSON: () => ({}),
};

define({ global: globalThis, Buffer, console, process, setTimeout, setInterval, setImmediate, clearTimeout, clearInterval, clearImmediate, TextEncoder, TextDecoder, performance });

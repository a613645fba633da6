// Event, EventTarget, AbortController and AbortSignal.
import { clearTimeout, setTimeout } from "./loop.mjs";

export class Event {
  #type; #stopped = false; #prevented = false;
  constructor(type, { bubbles = false, cancelable = false, composed = false } = {}) {
    this.#type = String(type);
    Object.assign(this, { bubbles, cancelable, composed, target: null, currentTarget: null, timeStamp: performance.now() });
  }
  get type() { return this.#type; }
  get defaultPrevented() { return this.#prevented; }
  preventDefault() { if (this.cancelable) this.#prevented = true; }
  stopPropagation() {}
  stopImmediatePropagation() { this.#stopped = true; }
  static isStopped(event) { return event.#stopped; }
}

export class CustomEvent extends Event {
  constructor(type, options = {}) { super(type, options); this.detail = options.detail ?? null; }
}

export class EventTarget {
  #listeners = new Map();
  addEventListener(type, listener, options) {
    if (!listener) return;
    const { once = false, signal } = typeof options === "object" && options ? options : {};
    if (signal?.aborted) return;
    const list = this.#listeners.get(type) ?? this.#listeners.set(type, []).get(type);
    if (list.some((one) => one.listener === listener)) return;
    list.push({ listener, once });
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener));
  }
  removeEventListener(type, listener) {
    const list = this.#listeners.get(type);
    if (list) this.#listeners.set(type, list.filter((one) => one.listener !== listener));
  }
  dispatchEvent(event) {
    event.target = event.currentTarget = this;
    const own = this[`on${event.type}`];
    if (typeof own === "function") own.call(this, event);
    for (const { listener, once } of [...(this.#listeners.get(event.type) ?? [])]) {
      if (once) this.removeEventListener(event.type, listener);
      if (typeof listener === "function") listener.call(this, event);
      else listener.handleEvent(event);
      if (Event.isStopped(event)) break;
    }
    return !event.defaultPrevented;
  }
}

const key = Symbol("abort");

export class AbortSignal extends EventTarget {
  onabort = null;
  aborted = false;
  reason = undefined;
  throwIfAborted() { if (this.aborted) throw this.reason; }
  [key](reason = new DOMException("This operation was aborted", "AbortError")) {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.dispatchEvent(new Event("abort"));
  }
  static abort(reason) { const signal = new AbortSignal(); signal[key](reason); return signal; }
  static timeout(delay) {
    const signal = new AbortSignal();
    setTimeout(() => signal[key](new DOMException("The operation was aborted due to timeout", "TimeoutError")), delay).unref();
    return signal;
  }
  static any(signals) {
    const signal = new AbortSignal();
    for (const one of signals) {
      if (one.aborted) { signal[key](one.reason); break; }
      one.addEventListener("abort", () => signal[key](one.reason));
    }
    return signal;
  }
}

export class AbortController {
  signal = new AbortSignal();
  abort(reason) { this.signal[key](reason); }
}

/** A promise of the delay, as timers/promises has it. */
export const sleep = (delay, value, { signal } = {}) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(() => resolve(value), delay);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

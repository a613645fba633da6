// The rest of the web platform that Node.js has as globals: those that npm packages bring, and ours on top of them.
import "core-js/actual/url/index.js";
import "core-js/actual/url-search-params/index.js";
import "core-js/actual/structured-clone.js";
import { ReadableStream, TransformStream, WritableStream } from "web-streams-polyfill";
import { webcrypto } from "./crypto.mjs";
import { AbortController, AbortSignal, CustomEvent, Event, EventTarget } from "./events.mjs";
import { fetch, Headers, Request, Response } from "./fetch.mjs";

for (const [name, value] of Object.entries({ ReadableStream, TransformStream, WritableStream, crypto: webcrypto, AbortController, AbortSignal, CustomEvent, Event, EventTarget, fetch, Headers, Request, Response })) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

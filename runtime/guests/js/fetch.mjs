// fetch with Headers, Request, Response over wasi:http; the host does TLS and decides which hosts may be reached. Bodies
// are buffered: what is sent and what is received may each have BODY_BYTES_MAX.
import { handle } from "wasj:http/outgoing-handler@0.2.9";
import { Fields, OutgoingBody, OutgoingRequest } from "wasj:http/types@0.2.9";
import { ready } from "./loop.mjs";
import { encode } from "./encoding.mjs";

const BODY_BYTES_MAX = 16 << 20;
const READ_BYTES = 65536;
const WRITE_BYTES_MAX = 65536;
const REDIRECTS_MAX = 20;

export class Headers {
  #all = new Map();
  constructor(init) {
    if (!init) return;
    const pairs = init instanceof Headers || typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const [name, value] of pairs) this.append(name, value);
  }
  append(name, value) {
    const key = Headers.#name(name);
    const had = this.#all.get(key);
    this.#all.set(key, had === undefined ? [Headers.#value(value)] : [...had, Headers.#value(value)]);
  }
  set(name, value) { this.#all.set(Headers.#name(name), [Headers.#value(value)]); }
  get(name) { return this.#all.get(Headers.#name(name))?.join(", ") ?? null; }
  getSetCookie() { return this.#all.get("set-cookie") ?? []; }
  has(name) { return this.#all.has(Headers.#name(name)); }
  delete(name) { this.#all.delete(Headers.#name(name)); }
  forEach(callback, self) { for (const [name, value] of this) callback.call(self, value, name, this); }
  *entries() { for (const name of [...this.#all.keys()].sort()) yield [name, this.get(name)]; }
  *keys() { for (const [name] of this) yield name; }
  *values() { for (const [, value] of this) yield value; }
  [Symbol.iterator]() { return this.entries(); }
  static #name(name) {
    const key = String(name).toLowerCase();
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(key)) throw new TypeError(`Headers: "${name}" is no header name`);
    return key;
  }
  static #value(value) {
    const text = String(value).trim();
    if (/[\0\r\n]/.test(text)) throw new TypeError("Headers: a header value is one line");
    return text;
  }
}

async function toBytes(body) {
  if (body === null || body === undefined) return [null, null];
  if (typeof body === "string") return [encode(body), "text/plain;charset=UTF-8"];
  if (body instanceof URLSearchParams) return [encode(String(body)), "application/x-www-form-urlencoded;charset=UTF-8"];
  if (body instanceof ArrayBuffer) return [new Uint8Array(body), null];
  if (ArrayBuffer.isView(body)) return [new Uint8Array(body.buffer, body.byteOffset, body.byteLength), null];
  if (typeof body[Symbol.asyncIterator] === "function" || typeof body.getReader === "function") {
    const parts = [];
    for await (const part of body) parts.push(typeof part === "string" ? encode(part) : part);
    return [join(parts), null];
  }
  return [encode(String(body)), "text/plain;charset=UTF-8"];
}

function join(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

class Body {
  bodyUsed = false;
  #source;
  constructor(source) { this.#source = source; }
  get body() {
    if (this.#source === null || this.#source === undefined) return null;
    const take = () => this.bytes();
    return new ReadableStream({ async pull(controller) { const bytes = await take(); if (bytes.length) controller.enqueue(bytes); controller.close(); } });
  }
  async bytes() {
    if (this.bodyUsed) throw new TypeError("Body is unusable: Body has already been read");
    this.bodyUsed = true;
    return (await toBytes(this.#source))[0] ?? new Uint8Array(0);
  }
  async arrayBuffer() { const bytes = await this.bytes(); return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength); }
  async text() { return new TextDecoder().decode(await this.bytes()); }
  async json() { return JSON.parse(await this.text()); }
  static source(body) { return body.#source; }
}

export class Request extends Body {
  constructor(input, init = {}) {
    const from = input instanceof Request ? input : {};
    super(init.body ?? (input instanceof Request ? Body.source(input) : null));
    this.url = input instanceof Request ? input.url : String(new URL(input));
    this.method = String(init.method ?? from.method ?? "GET").toUpperCase();
    this.headers = new Headers(init.headers ?? from.headers);
    this.signal = init.signal ?? from.signal ?? null;
    this.redirect = init.redirect ?? from.redirect ?? "follow";
    if (init.body != null && (this.method === "GET" || this.method === "HEAD")) throw new TypeError("Request with GET/HEAD method cannot have body.");
  }
  clone() { return new Request(this); }
}

export class Response extends Body {
  constructor(body = null, { status = 200, statusText = "", headers, url = "", redirected = false } = {}) {
    super(body);
    Object.assign(this, { status, statusText, url, redirected, type: "default", headers: new Headers(headers) });
    if (typeof body === "string" && !this.headers.has("content-type")) this.headers.set("content-type", "text/plain;charset=UTF-8");
  }
  get ok() { return this.status >= 200 && this.status < 300; }
  clone() { const copy = new Response(Body.source(this), this); return copy; }
  static json(value, init = {}) { const headers = new Headers(init.headers); if (!headers.has("content-type")) headers.set("content-type", "application/json"); return new Response(JSON.stringify(value), { ...init, headers }); }
  static error() { return new Response(null, { status: 0 }); }
  static redirect(url, status = 302) { return new Response(null, { status, headers: { location: String(url) } }); }
}

/** What Node.js calls the host's errors, for those who look at `cause.code`. */
const CODES = { "connection-refused": "ECONNREFUSED", "connection-terminated": "ECONNRESET", "connection-timeout": "ETIMEDOUT", "connection-read-timeout": "ETIMEDOUT", "DNS-error": "ENOTFOUND", "DNS-timeout": "EAI_AGAIN", "HTTP-request-denied": "EACCES" };

/** The TypeError that fetch rejects with; what the host said is its cause. */
function failed(why) {
  const code = why?.payload ?? why;
  if (code instanceof Error) return new TypeError("fetch failed", { cause: code });
  const tag = typeof code === "string" ? code : String(code?.tag ?? "unknown");
  const denied = ": the function's allowed_hosts does not name this host";
  const more = tag === "HTTP-request-denied" ? denied : typeof code?.val === "string" ? `: ${code.val}` : "";
  return new TypeError("fetch failed", { cause: Object.assign(new Error(tag + more), { code: CODES[tag] ?? "EPROTO" }) });
}

export async function fetch(input, init) {
  let request = new Request(input, init);
  let [bytes, type] = await toBytes(Body.source(request));
  if (type && !request.headers.has("content-type")) request.headers.set("content-type", type);
  for (let hops = 0; ; hops++) {
    request.signal?.throwIfAborted();
    const response = await aborted(request.signal, once(request, bytes, hops > 0));
    const location = response.headers.get("location");
    if (![301, 302, 303, 307, 308].includes(response.status) || location === null || request.redirect === "manual") return response;
    if (request.redirect === "error" || hops === REDIRECTS_MAX) throw failed(new Error(hops === REDIRECTS_MAX ? "redirect count exceeded" : "unexpected redirect"));
    const url = new URL(location, request.url);
    const headers = new Headers(request.headers);
    if (url.origin !== new URL(request.url).origin) for (const name of ["authorization", "cookie", "proxy-authorization"]) headers.delete(name);
    const toGet = response.status === 303 ? request.method !== "HEAD" : response.status < 303 && request.method === "POST";
    if (toGet) for (const name of ["content-type", "content-length", "content-encoding"]) headers.delete(name);
    request = new Request(String(url), { method: toGet ? "GET" : request.method, headers, signal: request.signal, redirect: request.redirect });
    if (toGet) bytes = null;
  }
}

function aborted(signal, work) {
  if (!signal) return work;
  return Promise.race([work, new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }))]);
}

async function once(request, bytes, redirected) {
  const url = new URL(request.url);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw failed(new Error(`unknown scheme ${url.protocol}`));
  if (bytes && bytes.length > BODY_BYTES_MAX) throw failed(new Error(`a request's body may have ${BODY_BYTES_MAX} bytes`));
  try {
    return await exchange(request, url, bytes, redirected);
  } catch (why) {
    throw why instanceof TypeError && why.message === "fetch failed" ? why : failed(why);
  }
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
/** The host sets these itself. */
const HOSTS = new Set(["host", "connection", "keep-alive", "transfer-encoding", "upgrade", "expect", "content-length"]);

async function exchange(request, url, bytes, redirected) {
  const fields = new Fields();
  for (const [name, value] of request.headers) if (!HOSTS.has(name)) fields.append(name, encode(value));
  if (bytes) fields.append("content-length", encode(String(bytes.length)));
  if (!request.headers.has("user-agent")) fields.append("user-agent", encode("wasmill"));
  if (!request.headers.has("accept")) fields.append("accept", encode("*/*"));
  const outgoing = new OutgoingRequest(fields);
  outgoing.setMethod(METHODS.includes(request.method) ? { tag: request.method.toLowerCase() } : { tag: "other", val: request.method });
  outgoing.setScheme({ tag: url.protocol === "https:" ? "HTTPS" : "HTTP" });
  outgoing.setAuthority(url.host);
  outgoing.setPathWithQuery(url.pathname + url.search);
  const body = outgoing.body();
  const coming = handle(outgoing, null);
  await send(body, bytes);
  const pollable = coming.subscribe();
  await ready(pollable);
  const got = coming.get();
  const first = got?.val ?? got;
  const answer = first?.tag === "ok" ? first.val : first?.tag === "err" ? undefined : first;
  if (answer === undefined) throw failed(first.val);
  const result = answer?.tag === "err" ? undefined : answer?.tag === "ok" ? answer.val : answer;
  if (result === undefined) throw failed(answer.val);
  coming[Symbol.dispose]();
  const headers = new Headers();
  const incoming = result.headers();
  for (const [name, value] of incoming.entries()) headers.append(name, new TextDecoder("latin1").decode(value));
  incoming[Symbol.dispose]();
  const status = result.status();
  const content = await receive(result);
  const empty = status === 204 || status === 304 || request.method === "HEAD";
  return new Response(empty ? null : content, { status, headers, url: request.url, redirected });
}

/** Sends a body, as much at a time as the host takes. Who does not want all of it says why in the answer. */
async function send(body, bytes) {
  try {
    if (bytes) {
      const stream = body.write();
      for (let at = 0; at < bytes.length; ) {
        const room = Math.min(Number(stream.checkWrite()), WRITE_BYTES_MAX);
        if (room > 0) stream.write(bytes.subarray(at, (at += room)));
        else await ready(stream.subscribe());
      }
      stream[Symbol.dispose]();
    }
    OutgoingBody.finish(body, null);
  } catch {}
}

async function receive(result) {
  const body = result.consume();
  const stream = body.stream();
  const parts = [];
  let size = 0;
  for (;;) {
    let part;
    try {
      part = stream.read(READ_BYTES);
    } catch (end) {
      const tag = end?.tag ?? end?.payload?.tag;
      if (tag === "closed") break;
      throw failed(new Error("the response broke off"));
    }
    if (part.length === 0) {
      await ready(stream.subscribe());
      continue;
    }
    size += part.length;
    if (size > BODY_BYTES_MAX) throw failed(new Error(`a response's body may have ${BODY_BYTES_MAX} bytes`));
    parts.push(part instanceof Uint8Array ? part : new Uint8Array(part));
  }
  stream[Symbol.dispose]();
  body[Symbol.dispose]();
  result[Symbol.dispose]();
  return join(parts);
}

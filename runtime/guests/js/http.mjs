// node:http and node:https as clients: a request is gathered and goes out through fetch; an answer comes as a stream.
// There are no servers in here, and no sockets.
import EventEmitter from "events";
import { Readable, Writable } from "readable-stream";
import { fetch, Headers } from "./fetch.mjs";

const STATUS_CODES = { 200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 412: "Precondition Failed", 413: "Payload Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout" };

class IncomingMessage extends Readable {
  constructor(response, bytes) {
    super({ read() { if (bytes?.length) this.push(Buffer.from(bytes)); bytes = null; this.push(null); } });
    this.statusCode = response.status;
    this.statusMessage = STATUS_CODES[response.status] ?? "";
    this.httpVersion = "1.1";
    this.headers = Object.fromEntries(response.headers);
    const cookies = response.headers.getSetCookie();
    if (cookies.length) this.headers["set-cookie"] = cookies;
    this.rawHeaders = Object.entries(this.headers).flatMap(([name, value]) => [].concat(value).flatMap((one) => [name, one]));
    this.complete = true;
    this.socket = socket();
  }
  setTimeout() { return this; }
}

const socket = () => Object.assign(new EventEmitter(), { encrypted: true, destroy() {}, setTimeout() {}, setKeepAlive() {}, setNoDelay() {}, unref() {}, ref() {}, connecting: false });

class ClientRequest extends Writable {
  #parts = [];
  #url;
  #method;
  #headers = new Headers();
  #controller = new AbortController();
  constructor(scheme, input, options, callback) {
    super({ autoDestroy: false, emitClose: false, write: (chunk, encoding, done) => { this.#parts.push(typeof chunk === "string" ? Buffer.from(chunk, encoding) : chunk); done(); }, final: (done) => { done(); this.#send(); } });
    if (typeof input === "string" || input instanceof URL) input = { ...fromUrl(new URL(input)), ...options };
    else [input, callback] = [input, typeof options === "function" ? options : callback];
    const { protocol = scheme, hostname, host = "localhost", port, path = "/", method = "GET", headers = {}, auth, signal } = input;
    const name = (hostname ?? host).replace(/^(?!\[)(.*:.*:.*)$/, "[$1]");
    this.#url = `${protocol}//${name}${port ? `:${port}` : ""}${path}`;
    [this.method, this.path, this.host, this.protocol] = [method.toUpperCase(), path, name, protocol];
    this.#method = this.method;
    for (const [key, value] of Array.isArray(headers) ? headers : Object.entries(headers)) if (value !== undefined) this.setHeader(key, value);
    if (auth) this.setHeader("authorization", `Basic ${Buffer.from(auth).toString("base64")}`);
    if (callback) this.once("response", callback);
    signal?.addEventListener("abort", () => this.destroy(signal.reason));
    this.socket = this.connection = socket();
    this.reusedSocket = false;
    queueMicrotask(() => this.emit("socket", this.socket));
  }
  setHeader(name, value) { this.#headers.delete(name); for (const one of [].concat(value)) this.#headers.append(name, one); return this; }
  getHeader(name) { return this.#headers.get(name) ?? undefined; }
  getHeaders() { return Object.fromEntries(this.#headers); }
  hasHeader(name) { return this.#headers.has(name); }
  removeHeader(name) { this.#headers.delete(name); }
  flushHeaders() {}
  setTimeout(delay, callback) { if (callback) this.once("timeout", callback); return this; }
  setNoDelay() { return this; }
  setSocketKeepAlive() { return this; }
  abort() { this.destroy(); }
  _destroy(error, done) { this.#controller.abort(error ?? undefined); done(error); }
  async #send() {
    try {
      const body = this.#parts.length && this.#method !== "GET" && this.#method !== "HEAD" ? Buffer.concat(this.#parts) : undefined;
      const response = await fetch(this.#url, { method: this.#method, headers: this.#headers, body, redirect: "manual", signal: this.#controller.signal });
      const bytes = await response.bytes();
      this.res = new IncomingMessage(response, bytes);
      if (!this.emit("response", this.res)) this.res.resume();
    } catch (error) {
      if (!this.destroyed) this.destroy(error?.cause instanceof Error ? error.cause : error);
    }
  }
}

const fromUrl = (url) => ({ protocol: url.protocol, hostname: url.hostname, port: url.port, path: url.pathname + url.search, ...(url.username && { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` }) });

class Agent extends EventEmitter {
  constructor(options = {}) { super(); this.options = options; this.maxSockets = options.maxSockets ?? Infinity; this.sockets = {}; this.requests = {}; this.freeSockets = {}; }
  destroy() {}
  getName() { return ""; }
}

function make(scheme) {
  const request = (input, options, callback) => {
    if (typeof options === "function") [options, callback] = [undefined, options];
    return new ClientRequest(scheme, input, options, callback);
  };
  const get = (...args) => { const made = request(...args); made.end(); return made; };
  const createServer = () => { throw new Error(`${scheme.slice(0, -1)}.createServer is not supported: a handler is called by the queue, it cannot listen`); };
  return { request, get, Agent, globalAgent: new Agent(), ClientRequest, IncomingMessage, STATUS_CODES, METHODS: ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"], createServer, maxHeaderSize: 16384 };
}

export const http = make("http:");
export const https = make("https:");

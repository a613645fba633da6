// TextEncoder and TextDecoder: utf-8, utf-16le and latin1.
const CHUNK = 8192;

/** UTF-8 bytes of a string; lone surrogates become U+FFFD. */
export function encode(text) {
  const out = new Uint8Array(text.length * 3);
  return out.slice(0, encodeInto(text, out).written);
}

function encodeInto(text, out) {
  let at = 0;
  let read = 0;
  while (read < text.length) {
    // Most text is ASCII, and the engine has no faster way through it.
    for (let unit; at < out.length && (unit = text.charCodeAt(read)) < 0x80; read++) out[at++] = unit;
    if (read === text.length) break;
    const point = text.codePointAt(read);
    const units = point > 0xffff ? 2 : 1;
    const code = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (at + size > out.length) break;
    if (size === 1) out[at++] = code;
    else {
      if (size === 2) out[at++] = 0xc0 | (code >> 6);
      else {
        if (size === 3) out[at++] = 0xe0 | (code >> 12);
        else {
          out[at++] = 0xf0 | (code >> 18);
          out[at++] = 0x80 | ((code >> 12) & 63);
        }
        out[at++] = 0x80 | ((code >> 6) & 63);
      }
      out[at++] = 0x80 | (code & 63);
    }
    read += units;
  }
  return { read, written: at };
}

/** The length of the well-formed sequence at `at`, or minus how many bytes make one U+FFFD; 0 where the bytes end early. */
function sequence(bytes, at) {
  const first = bytes[at];
  if (first < 0x80) return 1;
  const size = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (size === 0) return -1;
  for (let i = 1; i < size; i++) {
    if (at + i >= bytes.length) return 0;
    const low = i > 1 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const high = i > 1 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    const byte = bytes[at + i];
    if (byte < low || byte > high) return -i;
  }
  return size;
}

function decodeUtf8(bytes, fatal, stream) {
  let text = "";
  let units = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] < 0x80) {
      let end = at + 1;
      while (end < bytes.length && end - at < CHUNK && bytes[end] < 0x80) end++;
      text += String.fromCharCode.apply(null, units) + String.fromCharCode.apply(null, bytes.subarray(at, end));
      units = [];
      at = end;
      continue;
    }
    const size = sequence(bytes, at);
    if (size === 0 && stream) break;
    if (size <= 0) {
      if (fatal) throw Object.assign(new TypeError("The encoded data was not valid for encoding utf-8"), { code: "ERR_ENCODING_INVALID_ENCODED_DATA" });
      units.push(0xfffd);
      at += size === 0 ? bytes.length - at : -size;
    } else {
      const [a, b, c, d] = [bytes[at], bytes[at + 1] & 63, bytes[at + 2] & 63, bytes[at + 3] & 63];
      const point = size === 1 ? a : size === 2 ? ((a & 31) << 6) | b : size === 3 ? ((a & 15) << 12) | (b << 6) | c : ((a & 7) << 18) | (b << 12) | (c << 6) | d;
      if (point > 0xffff) units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
      else units.push(point);
      at += size;
    }
    if (units.length >= CHUNK) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return [text + String.fromCharCode.apply(null, units), at];
}

export class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(text = "") { return encode(String(text)); }
  encodeInto(text, out) { return encodeInto(String(text), out); }
}

const NAMES = { utf8: "utf-8", "utf-8": "utf-8", "unicode-1-1-utf-8": "utf-8", "utf-16le": "utf-16le", "utf-16": "utf-16le", ucs2: "utf-16le", latin1: "latin1", "iso-8859-1": "latin1", ascii: "latin1", "us-ascii": "latin1", "windows-1252": "latin1" };

export class TextDecoder {
  #name;
  #rest = new Uint8Array(0);
  #started = false;
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    this.#name = NAMES[String(label).trim().toLowerCase()];
    if (!this.#name) throw Object.assign(new RangeError(`The "${label}" encoding is not supported: the JavaScript runtime has utf-8, utf-16le and latin1`), { code: "ERR_ENCODING_NOT_SUPPORTED" });
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }
  get encoding() { return this.#name === "latin1" ? "windows-1252" : this.#name; }
  decode(input = new Uint8Array(0), { stream = false } = {}) {
    let bytes = ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
    if (this.#rest.length) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    let text;
    let used = bytes.length;
    if (this.#name === "utf-8") [text, used] = decodeUtf8(bytes, this.fatal, stream);
    else {
      const step = this.#name === "latin1" ? 1 : 2;
      used -= used % step;
      text = "";
      for (let at = 0; at < used; at += CHUNK) {
        const units = [];
        for (let i = at; i < Math.min(at + CHUNK, used); i += step) units.push(step === 1 ? bytes[i] : bytes[i] | (bytes[i + 1] << 8));
        text += String.fromCharCode.apply(null, units);
      }
      if (!stream && used < bytes.length) text = text.replace(/[\ud800-\udbff]$/, "") + "\ufffd";
      if (!stream) text = text.toWellFormed();
    }
    this.#rest = stream ? bytes.slice(used) : new Uint8Array(0);
    if (!this.#started && text.length) {
      if (!this.ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      this.#started = true;
    }
    if (!stream) this.#started = false;
    return text;
  }
}

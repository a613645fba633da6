// node:crypto, as far as it needs no OpenSSL: randomness, hashes, HMAC and key derivation of @noble/hashes.
import { Buffer } from "buffer";
import { md5, ripemd160, sha1 } from "@noble/hashes/legacy.js";
import { sha224, sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { pbkdf2 } from "@noble/hashes/pbkdf2.js";
import { scrypt } from "@noble/hashes/scrypt.js";
import { fill, randomBytes as draw, randomUUID } from "./random.mjs";

const HASHES = { md5, sha1, sha224, sha256, sha384, sha512, ripemd160, rmd160: ripemd160 };

const bytesOf = (data, encoding) => (typeof data === "string" ? Buffer.from(data, encoding) : ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data));

function hashNamed(name) {
  const hash = HASHES[String(name).toLowerCase().replace("-", "")];
  if (!hash) throw Object.assign(new Error(`Digest method not supported: ${name}; the JavaScript runtime has ${Object.keys(HASHES).join(", ")}`), { code: "ERR_CRYPTO_INVALID_DIGEST" });
  return hash;
}

class Digest {
  #state;
  #done = false;
  constructor(state) { this.#state = state; }
  update(data, encoding) {
    if (this.#done) throw Object.assign(new Error("Digest already called"), { code: "ERR_CRYPTO_HASH_FINALIZED" });
    this.#state.update(bytesOf(data, encoding));
    return this;
  }
  digest(encoding) {
    if (this.#done) throw Object.assign(new Error("Digest already called"), { code: "ERR_CRYPTO_HASH_FINALIZED" });
    this.#done = true;
    const bytes = Buffer.from(this.#state.digest());
    return encoding && encoding !== "buffer" ? bytes.toString(encoding) : bytes;
  }
  copy() { return new Digest(this.#state.clone()); }
}

const createHash = (name) => new Digest(hashNamed(name).create());
const createHmac = (name, key) => new Digest(hmac.create(hashNamed(name), bytesOf(key)));
const hash = (name, data, encoding = "hex") => createHash(name).update(data).digest(encoding);

function randomBytes(size, callback) {
  const bytes = Buffer.from(draw(size).buffer);
  if (!callback) return bytes;
  queueMicrotask(() => callback(null, bytes));
}

function randomInt(low, high, callback) {
  if (high === undefined || typeof high === "function") [low, high, callback] = [0, low, high];
  const range = high - low;
  if (!(range > 0 && range <= 2 ** 48 - 1)) throw new RangeError(`randomInt: the range ${low} to ${high} is empty or above 2^48`);
  const limit = 2 ** 48 - (2 ** 48 % range);
  let value;
  do {
    const bytes = draw(6);
    value = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  } while (value >= limit);
  const result = low + (value % range);
  if (!callback) return result;
  queueMicrotask(() => callback(null, result));
}

function timingSafeEqual(a, b) {
  const [one, other] = [bytesOf(a), bytesOf(b)];
  if (one.length !== other.length) throw Object.assign(new RangeError("Input buffers must have the same byte length"), { code: "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH" });
  let difference = 0;
  for (let i = 0; i < one.length; i++) difference |= one[i] ^ other[i];
  return difference === 0;
}

const pbkdf2Sync = (password, salt, iterations, size, name) => Buffer.from(pbkdf2(hashNamed(name), bytesOf(password), bytesOf(salt), { c: iterations, dkLen: size }));
const scryptSync = (password, salt, size, { N = 16384, r = 8, p = 1, cost = N, blockSize = r, parallelization = p } = {}) =>
  Buffer.from(scrypt(bytesOf(password), bytesOf(salt), { N: cost, r: blockSize, p: parallelization, dkLen: size }));
const hkdfSync = (name, key, salt, info, size) => hkdf(hashNamed(name), bytesOf(key), bytesOf(salt), bytesOf(info), size).slice().buffer;
const later = (run) => (...args) => {
  const callback = args.pop();
  queueMicrotask(() => {
    let result;
    try { result = run(...args); } catch (error) { return callback(error); }
    callback(null, result);
  });
};

export const getRandomValues = (view) => {
  if (view.byteLength > 65536) throw new DOMException(`The requested length exceeds 65,536 bytes`, "QuotaExceededError");
  return fill(view);
};

const unsupported = (name) => { throw new Error(`crypto.subtle.${name} is not supported: the JavaScript runtime has digest only`); };
const subtle = new Proxy({
  digest: async (algorithm, data) => { const bytes = hashNamed(algorithm?.name ?? algorithm)(bytesOf(data)); return bytes.slice().buffer; },
}, { get: (target, name) => target[name] ?? (typeof name === "string" && name !== "then" ? async () => unsupported(name) : undefined) });

export const webcrypto = { getRandomValues, randomUUID, subtle };

const known = {
  createHash, createHmac, hash, randomBytes, randomInt, randomUUID, timingSafeEqual, getRandomValues, webcrypto, subtle,
  pbkdf2Sync, scryptSync, hkdfSync, pbkdf2: later(pbkdf2Sync), hkdf: later(hkdfSync),
  scrypt: (password, salt, size, options, callback) => (callback ? later(scryptSync)(password, salt, size, options, callback) : later(scryptSync)(password, salt, size, options)),
  randomFillSync: (view) => fill(view), randomFill: later(fill), pseudoRandomBytes: randomBytes,
  getHashes: () => Object.keys(HASHES), getCiphers: () => [], constants: {},
};
const absent = ["createCipheriv", "createDecipheriv", "createSign", "createVerify", "sign", "verify", "generateKeyPair", "generateKeyPairSync", "createPrivateKey", "createPublicKey", "createSecretKey", "createDiffieHellman", "createECDH", "publicEncrypt", "privateDecrypt", "X509Certificate"];
for (const name of absent) known[name] = function () { throw new Error(`crypto.${name} is not supported: the JavaScript runtime has hashes, HMAC, key derivation and randomness, no ciphers or signatures`); };

export default known;

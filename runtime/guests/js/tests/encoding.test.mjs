// The text coding against Node.js's own: node --test runtime/guests/js/tests
import assert from "node:assert/strict";
import { test } from "node:test";
import * as ours from "../encoding.mjs";

const random = (size) => Uint8Array.from({ length: size }, () => Math.floor(Math.random() * 256));

test("any bytes decode as Node.js decodes them", () => {
  for (let i = 0; i < 5000; i++) {
    const bytes = random(Math.floor(Math.random() * 12));
    for (const label of ["utf-8", "utf-16le"]) {
      assert.equal(new ours.TextDecoder(label).decode(bytes), new TextDecoder(label).decode(bytes), `${label} ${bytes}`);
    }
  }
});

test("any text encodes as Node.js encodes it, lone surrogates included", () => {
  for (let i = 0; i < 5000; i++) {
    const text = String.fromCharCode(...new Uint16Array(random(12).buffer));
    assert.deepEqual(ours.encode(text), new TextEncoder().encode(text));
  }
});

test("a character that is cut in two by a stream is decoded once it is whole", () => {
  const bytes = new TextEncoder().encode("aé€😀z".repeat(3));
  for (let cut = 0; cut <= bytes.length; cut++) {
    const decoder = new ours.TextDecoder();
    const text = decoder.decode(bytes.subarray(0, cut), { stream: true }) + decoder.decode(bytes.subarray(cut));
    assert.equal(text, "aé€😀z".repeat(3));
  }
});

test("an encoding that is not there is refused by name", () => {
  assert.throws(() => new ours.TextDecoder("shift_jis"), /"shift_jis" encoding is not supported/);
});

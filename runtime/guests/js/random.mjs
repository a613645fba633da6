// Randomness from the host. Nothing is drawn while the runtime is built: every instance has its own.
import { getRandomBytes } from "wasj:random/random@0.2.9";

/** What one draw from the host may have. */
const DRAW_BYTES_MAX = 65536;

export function fill(view) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let at = 0; at < bytes.length; at += DRAW_BYTES_MAX) bytes.set(getRandomBytes(Math.min(DRAW_BYTES_MAX, bytes.length - at)), at);
  return view;
}

export const randomBytes = (size) => fill(new Uint8Array(size));

export function randomUUID() {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

let state;

/** Math.random: xorshift128, seeded by the host at its first use; the engine's own seed is that of the build. */
export function random() {
  state ??= fill(new Uint32Array(4)).map((word) => word || 1);
  const step = () => {
    let t = state[3];
    const s = state[0];
    state[3] = state[2];
    state[2] = state[1];
    state[1] = s;
    t ^= t << 11;
    t ^= t >>> 8;
    state[0] = t ^ s ^ (s >>> 19);
    return state[0];
  };
  return ((step() >>> 5) * 67108864 + (step() >>> 6)) / 9007199254740992;
}

// Comes before everything: what npm packages take for granted while they load. entry.mjs takes it away again.
globalThis.Atomics = {};
export const forget = () => { delete globalThis.Atomics; };

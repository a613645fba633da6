// Numbers and times as people read them.

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 1234567 → 1.2M */
export const count = (value) => (value === undefined || Number.isNaN(value) ? "–" : compact.format(value));

/** Messages or calls per second. */
export function rate(perSecond) {
  if (perSecond === undefined || Number.isNaN(perSecond)) return "–";
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.1) return `${(perSecond * 60).toFixed(1)}/min`;
  return perSecond < 10 ? `${perSecond.toFixed(1)}/s` : `${compact.format(perSecond)}/s`;
}

/** A length of time in seconds. */
export function seconds(value) {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0 s";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 1 : 0)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  if (value < 86400) return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
  return `${Math.floor(value / 86400)} d ${Math.floor((value % 86400) / 3600)} h`;
}

export const bytes = (value) =>
  value === undefined || Number.isNaN(value) ? "–" : value < 1048576 ? `${(value / 1024).toFixed(0)} KiB` : `${(value / 1048576).toFixed(0)} MiB`;

/** How long ago a Unix time in milliseconds was. */
export const ago = (unixMs) => (unixMs ? `${seconds(Math.max(0, Date.now() - unixMs) / 1000)} ago` : "–");

/** A Unix time in milliseconds, in the reader's zone. */
export const time = (unixMs) =>
  unixMs ? new Date(unixMs).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" }) : "–";

/** A body, indented when it is JSON. Numbers stay as they were written: parsing would round them. */
export function pretty(text) {
  try {
    const value = JSON.parse(text);
    if (value === null || typeof value !== "object") return { text, isJson: false };
  } catch {
    return { text, isJson: false };
  }
  let out = "";
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (c === '"') {
      let end = at + 1;
      while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
      out += text.slice(at, end + 1);
      at = end;
    } else if (c === "{" || c === "[") {
      const rest = text.slice(at + 1).trimStart();
      if (rest[0] === "}" || rest[0] === "]") {
        out += c + rest[0];
        at = text.length - rest.length;
      } else {
        depth += 1;
        out += `${c}\n${"  ".repeat(depth)}`;
      }
    } else if (c === "}" || c === "]") {
      depth -= 1;
      out += `\n${"  ".repeat(depth)}${c}`;
    } else if (c === ",") {
      out += `,\n${"  ".repeat(depth)}`;
    } else if (c === ":") {
      out += ": ";
    } else if (!/\s/.test(c)) {
      out += c;
    }
  }
  return { text: out, isJson: true };
}

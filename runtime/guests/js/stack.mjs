// Stack traces that name the user's files: from the bundle's lines back to theirs (the table at the bundle's end is
// described in runtime/script/src/positions.rs), without the frames of this runtime.
const MARK = "//# wasmill-positions ";

let text = "";
let files;
/** The line of a frame that is the bundle's first, from 0, and what the engine calls the bundle. */
let offset = 0;
let evaluated = "<input>";

export function setBundle(source, firstLine, filename) {
  text = source;
  files = undefined;
  offset = firstLine;
  evaluated = filename;
}

function table() {
  if (files === undefined) {
    const at = text.lastIndexOf(MARK);
    files = at < 0 ? [] : JSON.parse(text.slice(at + MARK.length)).files;
    text = "";
  }
  return files;
}

/** The user's place of a place in the bundle; null where that is the loader's. */
function place(line, column) {
  const at = line - 1 - offset;
  let file;
  for (const one of table()) {
    if (one.first > at) break;
    file = one;
  }
  if (!file) return null;
  const points = file.lines[at - file.first];
  if (!points) return at - file.first >= file.lines.length && file.lines.length ? null : `/app/${file.name}`;
  let best = 0;
  for (let i = 0; i < points.length && points[i] <= column - 1; i += 3) best = i;
  if (points.length === 0) return `/app/${file.name}`;
  return `/app/${file.name}:${points[best + 1] + 1}:${points[best + 2] + 1}`;
}

/** Makes every Error's `stack` read as Node.js's does. */
export function install() {
  Error.prepareStackTrace = (error, sites) => {
    const lines = [header(error)];
    for (const site of sites) {
      if (site.getFileName() !== evaluated) continue;
      // As V8, the constructor of the error itself is left out.
      if (lines.length === 1 && site.getFunctionName() === error?.constructor?.name) continue;
      const where = place(site.getLineNumber(), site.getColumnNumber() ?? 1);
      const name = site.getFunctionName();
      if (where) lines.push(name && name !== "<anonymous>" && name !== "<eval>" ? `    at ${name} (${where})` : `    at ${where}`);
    }
    return lines.join("\n");
  };
}

function header(error) {
  try {
    return error.message ? `${error.name}: ${error.message}` : String(error.name);
  } catch {
    return "Error";
  }
}

/** The lines of an Error's trace. What it was named after it was made stands in its first line too. */
export function trace(error) {
  const lines = String(error.stack ?? "").split("\n").filter((line) => line.startsWith("    at "));
  return [...header(error).split("\n"), ...lines];
}

// Makes the component of the runtime's files: node build.mjs SOURCES WIT OUT, run where its packages are installed.
import { writeFileSync } from "node:fs";
import { build } from "esbuild";
import { componentize } from "componentize-qjs";

const [, , sources, witPath, out] = process.argv;

const { outputFiles: [script] } = await build({
  entryPoints: [`${sources}/entry.mjs`],
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
  platform: "neutral",
  mainFields: ["module", "main"],
  nodePaths: ["node_modules"],
  alias: { "readable-stream": "readable-stream/lib/ours/browser.js" },
  external: ["wasj:*", "wasmill:*"],
  // The engine keeps the text of every function.
  minify: true,
  legalComments: "none",
  logLevel: "error",
});
const { component } = await componentize({ witPath, jsSource: script.text, world: "javascript" });
writeFileSync(out, renamed(Buffer.from(component)));

/**
 * While the component is made, its modules run against stand-ins for what it imports, and the tool cannot stand in for
 * half of a family: it has a real wasi:io but no wasi:http, whose streams are then of another type. So the runtime's
 * imports have another family name, of the same length, of which all are stand-ins; here they get their own name back, in
 * the component's import sections (number 10) only.
 */
function renamed(bytes) {
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = bytes[at++];
      size += (byte & 0x7f) * 2 ** shift;
      more = byte >= 0x80;
    }
    const end = at + size;
    for (let found = at; id === 10 && (found = bytes.indexOf("wasj:", found)) >= 0 && found < end; ) bytes.write("wasi:", found);
    at = end;
  }
  return bytes;
}

// Traces: from the bundle's lines to the user's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { install, setBundle } from "../stack.mjs";

const site = (file, line, column, name) => ({ getFileName: () => file, getLineNumber: () => line, getColumnNumber: () => column, getFunctionName: () => name });

test("a frame is told with the user's file and line, and others are left out", () => {
  const files = [
    { name: "handler.mjs", first: 10, lines: [[0, 2, 0, 8, 2, 6], [], [4, 7, 1]] },
    { name: "lib/data.json", first: 20, lines: [] },
  ];
  setBundle(`text\n//# wasmill-positions ${JSON.stringify({ files })}\n`, 2, "<input>");
  const before = Error.prepareStackTrace;
  install();
  const prepare = Error.prepareStackTrace;
  Error.prepareStackTrace = before;
  const sites = [
    site("<input>", 13, 10, "inner"),
    site("engine", 13, 10, "ours"),
    site("<input>", 15, 5, "<anonymous>"),
    site("<input>", 2, 1, "loader"),
    site("<input>", 16, 1, "after"),
  ];
  assert.equal(prepare(new RangeError("no"), sites), "RangeError: no\n    at inner (/app/handler.mjs:3:7)\n    at /app/handler.mjs:8:2");
});

// Functions: versions, times, and what each said last.

import { chart } from "./charts.js";
import { metric, quantile, rateNow, rates, read, state } from "./data.js";
import { h } from "./dom.js";
import { bytes, count, rate, seconds, time } from "./format.js";

const FAULTS = ["handler_error", "trap", "timeout", "out_of_memory", "reply_too_large", "bad_reply", "host"];

/** All functions. */
export function functionsView() {
  return [
    h("div", { class: "bar" }, h("h1", {}, "Functions")),
    state.functions.length === 0 && h("p", { class: "empty" }, "No function is loaded here."),
    h("ul", { class: "rows" }, state.functions.map(row)),
  ];
}

const fact = (name, value, kind = "") => h("span", { class: `fact ${kind}` }, h("small", {}, name), h("b", {}, value));
const faultsNow = (of) => FAULTS.reduce((sum, kind) => sum + (rateNow("wasmill_function_invocations_total", { ...of, kind }) ?? 0), 0);

function row(one) {
  const of = { function: one.name };
  const faults = faultsNow(of);
  return h(
    "li",
    { "data-key": one.name },
    h(
      "a",
      { class: "row", href: `#/functions/${encodeURIComponent(one.name)}`, "data-row": true },
      h("span", { class: "name" }, h("b", {}, one.name), ...one.versions.map(({ version }) => h("span", { class: "tag" }, version)), one.latest && h("span", { class: "tag" }, one.latest.kind)),
      fact("calls", rate(rateNow("wasmill_function_invocations_total", of))),
      fact("faults", rate(faults), faults > 0 ? "bad" : ""),
      fact("p50", seconds(quantile(0.5, "wasmill_function_duration_seconds", of))),
      fact("p99", seconds(quantile(0.99, "wasmill_function_duration_seconds", of))),
      fact("cold", rate(rateNow("wasmill_function_starts_total", { ...of, start: "cold" }))),
      fact("running", count(metric("wasmill_function_running", of))),
      chart(`Calls of ${one.name}`, [{ name: "calls", color: "blue", values: rates("wasmill_function_invocations_total", of) }], { format: rate }),
    ),
  );
}

const logs = { of: "", lines: [], at: 0 };

/** One function. */
export function functionView(name, draw) {
  const one = state.functions.find((found) => found.name === name);
  if (!one) return h("p", { class: "empty" }, `No function ${name} is loaded here. `, h("a", { href: "#/functions" }, "All functions"));
  const of = { function: name };
  if (logs.of !== name || logs.at !== state.at) loadLogs(name, draw);
  const kinds = FAULTS.map((kind) => [kind, metric("wasmill_function_invocations_total", { ...of, kind })]).filter(([, value]) => value);
  const facts = [
    ["Invocations at a time", one.concurrent_executions],
    ...(one.latest ? [
      ["Code", one.latest.code_sha256], ["Kind", one.latest.kind], ["Timeout", seconds(one.latest.timeout_seconds)],
      ["Memory", `${one.latest.memory_size_mib} MiB`],
    ] : []),
    ...one.versions.map(({ version, batches }) => [`Version ${version}`, `${batches.ok} batches, ${batches.failed} failed`]),
    ["Memory peak, p99", bytes(quantile(0.99, "wasmill_function_memory_peak_bytes", of))],
    ["Latest load took", seconds(metric("wasmill_function_load_seconds", of))],
    ["Faults so far", kinds.length ? kinds.map(([kind, value]) => `${kind} ${count(value)}`).join(", ") : "none"],
  ];
  return [
    h("div", { class: "bar" }, h("h1", {}, h("a", { href: "#/functions", class: "up", "aria-label": "All functions" }, "Functions"), " / ", name)),
    h("ul", { class: "rows" }, row(one)),
    h("dl", { class: "facts" }, facts.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])),
    h("h2", {}, "Log ", h("small", { class: "muted" }, "what its handlers wrote, the latest first")),
    logs.of === name && logs.lines.length
      ? h("ol", { class: "log", tabindex: "0", "aria-label": `Log of ${name}` }, [...logs.lines].reverse().map((line) => h("li", { class: line.stream }, h("time", { title: `${time(line.unix_ms)}\nrequest ${line.request_id}` }, new Date(line.unix_ms).toLocaleTimeString()), h("span", {}, line.text))))
      : h("p", { class: "empty" }, "Nothing yet."),
  ];
}

async function loadLogs(name, draw) {
  Object.assign(logs, { of: name, at: state.at, lines: logs.of === name ? logs.lines : [] });
  const { lines } = await read(`/api/functions/${encodeURIComponent(name)}/logs`);
  if (logs.of === name && JSON.stringify(lines) !== JSON.stringify(logs.lines)) {
    logs.lines = lines;
    draw();
  }
}

// Mappings: how each is doing, and pausing it.

import { chart, legend } from "./charts.js";
import { act, metric, quantile, rateNow, rates, readOnly, refresh, state } from "./data.js";
import { ask, toast } from "./dialog.js";
import { h } from "./dom.js";
import { count, rate, seconds } from "./format.js";

/** All mappings. */
export function mappingsView(_, draw) {
  return [
    h("div", { class: "bar" }, h("h1", {}, "Mappings")),
    readOnly && h("p", { class: "note" }, readOnly),
    state.mappings.length === 0 && h("p", { class: "empty" }, "There is no mapping. ", h("code", {}, "[[event_source_mapping]]"), " in the config makes one, and so does Lambda's CreateEventSourceMapping."),
    h("ul", { class: "cards" }, state.mappings.map((mapping) => card(mapping, draw))),
  ];
}

function errorsNow(of) {
  const all = rateNow("wasmill_mapping_invocations_total", of);
  const ok = rateNow("wasmill_mapping_invocations_total", { ...of, outcome: "ok" });
  return all === undefined ? undefined : Math.max(0, all - (ok ?? 0));
}

function card(mapping, draw) {
  const of = { mapping: mapping.name ?? "" };
  const errors = errorsNow(of);
  const isWell = mapping.state === "Enabled" && mapping.status === "polling";
  const kind = isWell ? "good" : mapping.state === "Enabled" || mapping.problem ? "bad" : "";
  const [allowed, limit] = [metric("wasmill_mapping_concurrency_allowed", of), metric("wasmill_mapping_concurrency_limit", of)];
  const word = mapping.state === "Enabled" && !isWell ? mapping.status ?? "not running" : mapping.state.toLowerCase();
  const verdicts = (name, color, verdict) => ({ name, color, values: rates("wasmill_mapping_verdicts_total", { ...of, verdict }) });
  const records = [verdicts("done", "green", "done"), verdicts("retried", "amber", "retry"), verdicts("dead-lettered", "red", "dead_letter")];
  const fact = (name, value, look = "") => h("div", { class: `fact ${look}` }, h("small", {}, name), h("b", {}, value));
  return h(
    "li",
    { class: "card", "data-key": mapping.uuid, "data-row": true, tabindex: "0" },
    h(
      "div",
      { class: "bar" },
      h("h2", {}, h("a", { href: `#/queues/${encodeURIComponent(mapping.queue)}` }, mapping.queue), " → ", h("a", { href: `#/functions/${encodeURIComponent(mapping.function)}` }, mapping.function)),
      h("span", { class: `tag ${kind}` }, word),
      h("button", { type: "button", disabled: Boolean(readOnly) || !["Enabled", "Disabled"].includes(mapping.state), onclick: () => toggle(mapping, draw) }, mapping.state === "Disabled" ? "Enable" : "Disable…"),
    ),
    (mapping.problem ?? mapping.reason) && h("p", { class: "note bad" }, mapping.problem ?? mapping.reason),
    h(
      "div",
      { class: "factrow" },
      fact("messages", rate(rateNow("wasmill_mapping_received_total", of))),
      fact("invocations", rate(rateNow("wasmill_mapping_invocations_total", of))),
      fact("errors", rate(errors), errors > 0 ? "bad" : ""),
      fact("p50", seconds(quantile(0.5, "wasmill_mapping_invocation_seconds", of))),
      fact("p99", seconds(quantile(0.99, "wasmill_mapping_invocation_seconds", of))),
      fact("held", count(metric("wasmill_mapping_in_flight_messages", of))),
      fact("permits", `${count(metric("wasmill_mapping_concurrency_in_use", of))} of ${count(allowed)}`, allowed < limit ? "bad" : ""),
      fact("leases lost", count(metric("wasmill_mapping_leases_lost_total", of)), metric("wasmill_mapping_leases_lost_total", of) ? "bad" : ""),
    ),
    chart(`Records of ${mapping.queue}`, records, { width: 480, height: 56, format: rate }),
    legend(records, rate),
    h("p", { class: "muted" }, settings(mapping)),
  );
}

function settings(mapping) {
  const parts = [`batches of ${mapping.batch_size}`];
  if (mapping.window_seconds) parts.push(`window ${mapping.window_seconds} s`);
  parts.push(mapping.report_batch_item_failures ? "partial responses" : "all or nothing");
  if (mapping.filters) parts.push(mapping.filters === 1 ? "1 filter" : `${mapping.filters} filters`);
  if (mapping.maximum_concurrency) parts.push(`at most ${mapping.maximum_concurrency} at a time`);
  parts.push(mapping.origin === "config" ? "from the config" : "made through the API");
  return parts.join(" · ");
}

async function toggle(mapping, draw) {
  const isOn = mapping.state !== "Disabled";
  if (isOn) {
    const answer = await ask({
      title: `Disable ${mapping.queue} → ${mapping.function}?`,
      body: h("p", {}, "It receives nothing more; what it holds is finished. ", mapping.origin === "config" && "The config wins at the next start: enable it there for good."),
      action: "Disable", isDangerous: true,
    });
    if (!answer) return;
  }
  await act("UpdateEventSourceMapping", { UUID: mapping.uuid, Enabled: !isOn });
  toast(`${mapping.queue} → ${mapping.function} is being ${isOn ? "disabled" : "enabled"}`);
  await refresh();
  draw();
}

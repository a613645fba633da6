// One message: a line, and unfolded all that is known of it. Dead letters begin with why they are dead.

import { h } from "./dom.js";
import { ago, pretty, seconds, time } from "./format.js";

/** A message as a row that unfolds. */
export function messageView(message) {
  const latest = message.attempts.at(-1);
  const why = message.dead_letter_reason ?? (latest && `${latest.kind}: ${latest.message}`);
  return h(
    "li",
    { "data-key": message.position },
    h(
      "details",
      { class: "message" },
      h(
        "summary",
        { class: "row", "data-row": true },
        h("code", { class: "id", title: message.message_id }, message.message_id.slice(0, 8)),
        h("span", { class: "what" }, why ? h("span", { class: "why" }, why) : null, h("span", { class: "preview" }, message.body.slice(0, 200))),
        h("span", { class: `tag ${message.state}` }, message.state.replace("_", " "), message.visible_in_ms > 0 && ` ${seconds(message.visible_in_ms / 1000)}`),
        h("span", { class: "muted", title: time(message.sent_unix_ms) }, ago(message.sent_unix_ms)),
      ),
      h(
        "div",
        { class: "inside" },
        why && reason(message),
        message.attempts.length > 0 && attempts(message.attempts),
        body(message.body),
        facts(message),
      ),
    ),
  );
}

function reason(message) {
  const source = message.dead_letter_source_arn?.split(":").at(-1);
  const how = message.dead_letter_reason ? "by verdict" : source ? "received too often" : "not dead yet";
  return h("section", {}, h("h3", {}, "Why"), h("p", { class: "reason" }, message.dead_letter_reason ?? message.attempts.at(-1)?.message ?? ""), h("p", { class: "muted" }, source ? `Given up by ${source}: ${how}, received ${message.receive_count} times.` : `It failed ${message.attempts.length} times so far.`));
}

function attempts(list) {
  return h(
    "section",
    {},
    h("h3", {}, list.length === 1 ? "The attempt" : `The last ${list.length} attempts`),
    h("ol", { class: "attempts" }, [...list].reverse().map(attempt)),
  );
}

function attempt(one) {
  return h(
    "li",
    {},
    h("p", {}, h("span", { class: "tag bad" }, one.kind), " ", h("b", {}, one.message)),
    h(
      "p",
      { class: "muted" },
      `receive ${one.receive_count} · ${time(one.ended_unix_ms)} · took ${one.duration_ms ? seconds(one.duration_ms / 1000) : "under 1 ms"} · ${one.function} ${one.function_version}`,
      one.code_sha256 && h("span", { title: one.code_sha256 }, ` (${one.code_sha256.slice(0, 12)})`),
      ` · request ${one.request_id}`,
    ),
    one.backtrace && h("details", {}, h("summary", {}, "Backtrace"), h("pre", {}, one.backtrace)),
    one.log_tail && h("details", { open: true }, h("summary", {}, "Log"), h("pre", {}, one.log_tail)),
  );
}

function body(text) {
  const shown = pretty(text);
  return h("section", {}, h("h3", {}, "Body", h("small", { class: "muted" }, shown.isJson ? " JSON, indented" : ` ${text.length} characters`)), h("pre", { class: "body" }, shown.text), shown.isJson && h("details", {}, h("summary", {}, "As it was sent"), h("pre", {}, text)));
}

function facts(message) {
  const rows = [
    ["Message id", message.message_id],
    ["Sent", time(message.sent_unix_ms)],
    ["First received", message.first_received_unix_ms && time(message.first_received_unix_ms)],
    ["Received", `${message.receive_count} times`],
    ["Sender", message.sender_id],
    ["Message group", message.group_id],
    ["Deduplication id", message.deduplication_id],
    ["Sequence number", message.sequence_number],
    ["Trace header", message.trace_header],
    ["MD5 of the body", message.md5_of_body],
  ].filter(([, value]) => value);
  const own = Object.entries(message.attributes).map(([name, value]) => [`${name} (${value.data_type})`, value.text ?? `base64 ${value.base64}`]);
  return h("section", {}, h("h3", {}, "Attributes"), h("dl", { class: "facts" }, [...own, ...rows].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}

// Queues, and one queue with its messages.

import { chart, panel } from "./charts.js";
import { act, history, metric, rateNow, rates, read, readOnly, state } from "./data.js";
import { ask, toast } from "./dialog.js";
import { h } from "./dom.js";
import { count, rate, seconds, time } from "./format.js";
import { messageView } from "./messages.js";

let wanted = "";

const total = (queue) => queue.visible + queue.in_flight + queue.delayed;
const isDead = (queue) => queue.dead_letter_sources.length > 0;

/** All queues. */
export function queuesView(_, draw) {
  const queues = state.queues.filter((queue) => queue.name.includes(wanted));
  return [
    h("div", { class: "bar" }, h("h1", {}, "Queues"), search(draw)),
    state.queues.length === 0 && h("p", { class: "empty" }, "There is no queue here. ", h("code", {}, "wasmill queue send"), " needs one that the config or CreateQueue made."),
    h("ul", { class: "rows" }, queues.map(row)),
  ];
}

function search(draw) {
  return h("input", {
    type: "search", placeholder: "Find by name  /", "aria-label": "Find by name", value: wanted,
    oninput: (event) => { wanted = event.target.value; draw(); },
  });
}

function row(queue) {
  const of = { queue: queue.name };
  const age = metric("wasmill_queue_oldest_message_age_seconds", of) ?? 0;
  const depth = { name: "messages", color: isDead(queue) && total(queue) ? "red" : "blue", values: history("wasmill_queue_messages", of) };
  return h(
    "li",
    { "data-key": queue.name },
    h(
      "a",
      { class: "row", href: `#/queues/${encodeURIComponent(queue.name)}`, "data-row": true },
      h("span", { class: "name" }, h("b", {}, queue.name), isDead(queue) && h("span", { class: `tag ${total(queue) ? "bad" : ""}` }, `dead letters of ${queue.dead_letter_sources.join(", ")}`)),
      fact("visible", count(queue.visible), queue.visible && isDead(queue) ? "bad" : ""),
      fact("in flight", count(queue.in_flight)),
      fact("delayed", count(queue.delayed)),
      fact("oldest", age ? seconds(age) : "–"),
      fact("in", rate(inflow(queue))),
      fact("out", rate(rateNow("wasmill_queue_deleted_total", of))),
      chart(`Messages in ${queue.name}`, [depth], { format: count }),
    ),
  );
}

/** What comes in: what is sent, and the dead letters of other queues. */
function inflow(queue) {
  const given = queue.dead_letter_sources.map((source) => rateNow("wasmill_queue_dead_lettered_total", { queue: source }) ?? 0);
  const sent = rateNow("wasmill_queue_sent_total", { queue: queue.name });
  return sent === undefined ? undefined : given.reduce((sum, one) => sum + one, sent);
}

/** The dead letters that other queues gave it, over time. */
function given(queue) {
  const sums = new Map();
  for (const source of queue.dead_letter_sources) {
    for (const [at, value] of rates("wasmill_queue_dead_lettered_total", { queue: source })) sums.set(at, (sums.get(at) ?? 0) + value);
  }
  return [...sums].sort((a, b) => a[0] - b[0]);
}

const fact = (name, value, kind = "") => h("span", { class: `fact ${kind}` }, h("small", {}, name), h("b", {}, value));

// --- one queue

const page = { queue: "", state: "", messages: [], next: null, problem: "", isLoading: false };

/** One queue: its charts, what can be done with it, its messages. */
export function queueView(name, draw) {
  const queue = state.queues.find((one) => one.name === name);
  if (!queue) return h("p", { class: "empty" }, `There is no queue ${name}. `, h("a", { href: "#/queues" }, "All queues"));
  if (page.queue !== name) {
    Object.assign(page, { queue: name, state: "", messages: [], next: null, problem: "" });
    load(draw);
  }
  const of = { queue: name };
  const series = (label, state, color) => ({ name: label, color, values: history("wasmill_queue_messages", { ...of, state }) });
  const flow = (label, metric, color) => ({ name: label, color, values: rates(metric, of) });
  return [
    h("div", { class: "bar" }, h("h1", {}, h("a", { href: "#/queues", class: "up", "aria-label": "All queues" }, "Queues"), " / ", name), buttons(queue, draw)),
    readOnly && h("p", { class: "note" }, readOnly),
    isDead(queue) && h("p", { class: "note" }, "Dead letters of ", queue.dead_letter_sources.map((source, index) => [index ? ", " : "", h("a", { href: `#/queues/${encodeURIComponent(source)}` }, source)])),
    h(
      "div",
      { class: "panels" },
      panel("Messages", [series("visible", "visible", "blue"), series("in flight", "in_flight", "amber"), series("delayed", "delayed", "grey")], count),
      panel("Rates", [isDead(queue) && { name: "given up to it", color: "red", values: given(queue) }, flow("sent", "wasmill_queue_sent_total", "blue"), flow("received", "wasmill_queue_received_total", "amber"), flow("deleted", "wasmill_queue_deleted_total", "green")].filter(Boolean), rate),
    ),
    h("details", { class: "attributes" }, h("summary", {}, "Attributes"), attributes(queue)),
    h(
      "section",
      {},
      h("div", { class: "bar" }, h("h2", {}, "Messages"), h("span", { class: "muted" }, "looked at, not received"), filter(draw), h("button", { type: "button", onclick: () => load(draw) }, "Look again")),
      page.problem && h("p", { class: "note bad" }, page.problem),
      !page.isLoading && !page.problem && page.messages.length === 0 && h("p", { class: "empty" }, page.state ? `No message is ${page.state.replace("_", " ")}.` : "The queue is empty."),
      h("ul", { class: "rows" }, page.messages.map(messageView)),
      page.next !== null && h("button", { type: "button", class: "more", onclick: () => load(draw, page.next) }, "More"),
    ),
  ];
}

async function load(draw, after) {
  const { queue, state: only } = page;
  page.isLoading = true;
  try {
    const query = `max=50${only ? `&state=${only}` : ""}${after ? `&after=${after}` : ""}`;
    const found = await read(`/api/queues/${encodeURIComponent(queue)}/messages?${query}`);
    if (page.queue !== queue || page.state !== only) return;
    page.messages = after ? [...page.messages, ...found.messages] : found.messages;
    page.next = found.next;
    page.problem = "";
  } catch (error) {
    page.problem = String(error.message ?? error);
  } finally {
    page.isLoading = false;
    draw();
  }
}

function filter(draw) {
  const states = [["", "in any state"], ["visible", "visible"], ["in_flight", "in flight"], ["delayed", "delayed"]];
  return h(
    "select",
    { "aria-label": "State", onchange: (event) => { page.state = event.target.value; load(draw); } },
    states.map(([value, text]) => h("option", { value, selected: value === page.state }, text)),
  );
}

function attributes(queue) {
  const rows = [["QueueArn", queue.arn], ...Object.entries(queue.attributes), ["CreatedTimestamp", time(queue.created_unix_s * 1000)], ...Object.entries(queue.tags).map(([tag, value]) => [`tag ${tag}`, value])];
  return h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

const url = (queue) => `http://localhost/${queue.arn.split(":")[4]}/${queue.name}`;

function buttons(queue, draw) {
  const isOff = Boolean(readOnly);
  return h(
    "span",
    { class: "buttons" },
    isDead(queue) && h("button", { type: "button", class: "primary", disabled: isOff || !queue.visible, onclick: () => redrive(queue, draw) }, "Redrive…"),
    h("button", { type: "button", class: "danger", disabled: isOff || !total(queue), onclick: () => purge(queue, draw) }, "Purge…"),
  );
}

async function purge(queue, draw) {
  const answer = await ask({
    title: `Purge ${queue.name}?`,
    body: h("p", {}, `${count(total(queue))} messages are deleted for good, those in flight included.`),
    action: "Purge", confirm: queue.name, isDangerous: true,
  });
  if (!answer) return;
  await act("PurgeQueue", { QueueUrl: url(queue) });
  toast(`${queue.name} was purged`);
  load(draw);
}

async function redrive(queue, draw) {
  const others = state.queues.filter((one) => one.name !== queue.name);
  const answer = await ask({
    title: `Redrive ${queue.name}`,
    body: [
      h("p", {}, `${count(queue.visible)} messages are moved as the service moves them: each begins anew, with a new id.`),
      h("label", { class: "field" }, "To", h("select", { name: "to" }, h("option", { value: "" }, `where each came from (${queue.dead_letter_sources.join(", ")})`), others.map((one) => h("option", { value: one.arn }, one.name)))),
      h("label", { class: "field" }, "At most, a second", h("input", { name: "rate", type: "number", min: "1", max: "500", placeholder: "as fast as it goes" })),
    ],
    action: "Redrive",
  });
  if (!answer) return;
  const request = { SourceArn: queue.arn };
  if (answer.to) request.DestinationArn = answer.to;
  if (answer.rate) request.MaxNumberOfMessagesPerSecond = Number(answer.rate);
  await act("StartMessageMoveTask", request);
  toast(`Moving the messages of ${queue.name}`);
  follow(queue, draw);
}

async function follow(queue, draw) {
  const { Results: [task] = [] } = await act("ListMessageMoveTasks", { SourceArn: queue.arn, MaxResults: 1 });
  if (!task) return;
  const moved = `${task.ApproximateNumberOfMessagesMoved ?? 0} of ${task.ApproximateNumberOfMessagesToMove ?? "?"} moved`;
  toast(`${queue.name}: ${task.Status.toLowerCase()}, ${moved}${task.FailureReason ? `: ${task.FailureReason}` : ""}`, task.Status === "FAILED");
  if (task.Status === "RUNNING" || task.Status === "CANCELLING") setTimeout(() => follow(queue, draw), 1000);
  else if (page.queue === queue.name) load(draw);
}

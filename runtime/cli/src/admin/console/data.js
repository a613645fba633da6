// What the page knows: asked of the admin listener every two seconds, with a few minutes of the past for the small charts.

export const EVERY_MS = 2000;
const POINTS_MAX = 150;

const meta = (name) => document.querySelector(`meta[name="wasmill-${name}"]`).content;
/** Why the page may change nothing; empty when it may. */
export const readOnly = meta("actions");

export const state = { queues: [], mappings: [], functions: [], metrics: new Map(), health: "connecting", reason: "", at: 0 };
const past = new Map();

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok && answer.status !== 503) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer;
}

/** JSON of the read-only API. */
export async function read(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error ?? `HTTP ${answer.status}`);
  return content;
}

/** Calls one of the AWS listener's operations. `what` is SQS's action, or Lambda's method and path. */
export async function act(what, body) {
  const headers = { "content-type": "application/json", "x-wasmill-token": meta("token") };
  const answer = await fetch(`/api/actions/${what}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  const content = text ? JSON.parse(text) : {};
  if (!answer.ok) throw new Error(content.message ?? content.Message ?? content.error ?? `HTTP ${answer.status}`);
  return content;
}

/** Asks for everything once. */
export async function refresh() {
  try {
    const [queues, mappings, functions, metrics, ready] = await Promise.all([
      ask("/api/queues").then((answer) => answer.json()),
      ask("/api/mappings").then((answer) => answer.json()),
      ask("/api/functions").then((answer) => answer.json()),
      ask("/metrics").then((answer) => answer.text()),
      ask("/readyz").then((answer) => answer.json()),
    ]);
    Object.assign(state, { queues: queues.queues, mappings: mappings.mappings, functions: functions.functions });
    state.metrics = parse(metrics);
    state.at = performance.now() / 1000;
    const waiting = ready.components.filter((component) => !component.ready);
    state.health = waiting.length ? "not ready" : "ready";
    state.reason = waiting.map((component) => `${component.name}: ${component.reason}`).join("\n");
    remember();
  } catch (error) {
    state.health = "does not answer";
    state.reason = String(error);
  }
}

/** Prometheus's text: by name, a list of {labels, value}. */
function parse(text) {
  const families = new Map();
  for (const line of text.split("\n")) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    if (!families.has(found[1])) families.set(found[1], []);
    families.get(found[1]).push({ labels, value: Number(found[3].replace("+Inf", "Infinity")) });
  }
  return families;
}

const holds = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);

/** A metric now, added up over the series with these labels; undefined when there is none. */
export function metric(name, labels = {}) {
  const series = (state.metrics.get(name) ?? []).filter((one) => holds(one.labels, labels));
  return series.length ? series.reduce((sum, one) => sum + one.value, 0) : undefined;
}

/** A quantile of a histogram over the remembered past, as Prometheus estimates it; undefined when nothing was observed. */
export function quantile(q, name, labels) {
  const buckets = new Map();
  for (const { labels: own, value } of state.metrics.get(`${name}_bucket`) ?? []) {
    if (!holds(own, labels)) continue;
    const before = past.get(id(`${name}_bucket`, own))?.at(0)?.[1] ?? 0;
    const le = Number(own.le.replace("+Inf", "Infinity"));
    buckets.set(le, (buckets.get(le) ?? 0) + value - before);
  }
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const all = sorted.at(-1)?.[1] ?? 0;
  if (!all) return undefined;
  const index = sorted.findIndex(([, seen]) => seen >= q * all);
  const [le, seen] = sorted[index];
  const [from, below] = index ? sorted[index - 1] : [0, 0];
  return le === Infinity ? from : from + ((le - from) * (q * all - below)) / Math.max(seen - below, 1e-9);
}

const id = (name, labels) => `${name}|${Object.entries(labels).sort().flat().join("|")}`;

/** Of these every value of the last minutes is kept. */
const KEPT = /^wasmill_(queue_(messages|sent_total|received_total|deleted_total|dead_lettered_total|redriven_total)|mapping_(received_total|verdicts_total|invocations_total|invocation_seconds_bucket)|function_(invocations_total|duration_seconds_bucket|starts_total))$/;

function remember() {
  for (const [name, series] of state.metrics) {
    if (!KEPT.test(name)) continue;
    const points = name.endsWith("_bucket") ? 30 : POINTS_MAX;
    for (const { labels, value } of series) {
      const key = id(name, labels);
      if (!past.has(key)) past.set(key, []);
      const values = past.get(key);
      values.push([state.at, value]);
      if (values.length > points) values.shift();
    }
  }
}

function seriesOf(name, labels) {
  const found = [];
  for (const one of state.metrics.get(name) ?? []) {
    if (holds(one.labels, labels)) found.push(past.get(id(name, one.labels)) ?? []);
  }
  return found;
}

/** The remembered values of a metric, added up: [[time, value], …]. */
export function history(name, labels) {
  const sums = new Map();
  for (const points of seriesOf(name, labels)) {
    for (const [at, value] of points) sums.set(at, (sums.get(at) ?? 0) + value);
  }
  return [...sums].sort((a, b) => a[0] - b[0]);
}

/** How fast a counter grew between each two looks: [[time, per second], …]. A restart counts as no growth. */
export function rates(name, labels) {
  const points = history(name, labels);
  return points.slice(1).map(([at, value], index) => {
    const [before, last] = points[index];
    return [at, Math.max(0, value - last) / Math.max(at - before, 1e-3)];
  });
}

/** How fast a counter grew over the last ten seconds or so. */
export function rateNow(name, labels) {
  const points = history(name, labels).slice(-6);
  if (points.length < 2) return undefined;
  const [[begun, first], [ended, last]] = [points[0], points.at(-1)];
  return Math.max(0, last - first) / Math.max(ended - begun, 1e-3);
}

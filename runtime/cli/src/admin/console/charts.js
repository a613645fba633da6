// Small charts as SVG: a line with its area, for whoever looks; in words for whoever listens.

import { h } from "./dom.js";

/** A chart of one or more series of [time, value], drawn to one scale. */
export function chart(label, series, { width = 120, height = 28, format = String } = {}) {
  const points = series.map((one) => one.values);
  const all = points.flat();
  const highest = Math.max(...all.map(([, value]) => value), 1e-9);
  const [from, to] = [Math.min(...all.map(([at]) => at)), Math.max(...all.map(([at]) => at))];
  const x = (at) => (to > from ? ((at - from) / (to - from)) * width : width);
  const y = (value) => height - 2 - (value / highest) * (height - 4);
  const place = ([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`;
  const latest = series.map((one) => `${one.name} ${format(one.values.at(-1)?.[1] ?? 0)}`).join(", ");
  const text = `${label}: ${latest}`;
  return h(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": text },
    h("title", {}, text),
    series.map((one) => {
      if (one.values.length < 2) return null;
      const line = one.values.map(place).join(" L");
      return [
        h("path", { class: `area ${one.color}`, d: `M${x(one.values[0][0]).toFixed(1)},${height} L${line} L${x(one.values.at(-1)[0]).toFixed(1)},${height} Z` }),
        h("path", { class: `line ${one.color}`, d: `M${line}`, "vector-effect": "non-scaling-stroke" }),
      ];
    }),
  );
}

/** What the colours stand for, and how each stands now. */
export function legend(series, format) {
  return h(
    "ul",
    { class: "legend" },
    series.map((one) => h("li", { class: one.color }, `${one.name} `, h("b", {}, format(one.values.at(-1)?.[1] ?? 0)))),
  );
}

/** A larger chart with its legend and its highest value. */
export function panel(label, series, format) {
  const highest = Math.max(0, ...series.flatMap((one) => one.values.map(([, value]) => value)));
  return h(
    "figure",
    { class: "panel" },
    h("figcaption", {}, h("b", {}, label), h("span", { class: "muted" }, `max ${format(highest)}`)),
    chart(label, series, { width: 480, height: 96, format }),
    legend(series, format),
  );
}

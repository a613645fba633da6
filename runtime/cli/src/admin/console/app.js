// The page: which view is shown, what the keys do, and a fresh look every two seconds.

import { EVERY_MS, refresh, state } from "./data.js";
import { h, patch } from "./dom.js";
import { ask, toast } from "./dialog.js";
import { functionView, functionsView } from "./functions.js";
import { mappingsView } from "./mappings.js";
import { queueView, queuesView } from "./queues.js";

const VIEWS = { queues: [queuesView, queueView], mappings: [mappingsView, mappingsView], functions: [functionsView, functionView] };
const main = document.getElementById("main");
let shown = "";

/** `#/queues/orders` → the view's name and what it is of. */
function place() {
  const [view, name] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return VIEWS[view] ? { view, name } : { view: "queues", name: undefined };
}

export function draw() {
  const { view, name } = place();
  const build = VIEWS[view][name ? 1 : 0];
  const tree = h("main", { id: "main", tabindex: "-1" }, state.at || state.health !== "connecting" ? build(name, draw) : h("p", { class: "empty" }, "Loading…"));
  const here = `${view}/${name ?? ""}`;
  if (shown === here) patch(main, tree);
  else {
    main.replaceChildren(...tree.childNodes);
    scrollTo(0, 0);
    shown = here;
  }
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${name ?? view} · wasmill`;
  const health = document.getElementById("health");
  health.textContent = state.health;
  health.title = state.reason;
  health.className = `health ${state.health === "ready" ? "good" : "bad"}`;
}

async function look() {
  try {
    if (!document.hidden) {
      await refresh();
      draw();
    }
  } finally {
    // Whatever went wrong once may be well the next time.
    setTimeout(look, EVERY_MS);
  }
}

function theme(next) {
  if (next) localStorage.setItem("theme", next);
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}

function otherTheme() {
  const isDark = getComputedStyle(document.documentElement).colorScheme === "dark";
  theme(isDark ? "light" : "dark");
}

const KEYS = [
  ["1 2 3", "queues, mappings, functions"],
  ["j k", "next and previous row"],
  ["Enter", "open the row, unfold the message"],
  ["Esc", "back"],
  ["/", "find by name"],
  ["t", "light or dark"],
  ["?", "these keys"],
];

function showKeys() {
  ask({ title: "Keys", body: h("dl", { class: "keys" }, KEYS.map(([keys, what]) => [h("dt", {}, keys.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, what)])) });
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  const at = rows.findIndex((row) => row === document.activeElement || row.contains(document.activeElement));
  rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))]?.focus();
}

addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName);
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (isTyping) event.target.blur();
    else if (place().name) location.hash = `#/${place().view}`;
    return;
  }
  if (isTyping) return;
  const views = Object.keys(VIEWS);
  if ("123".includes(event.key)) location.hash = `#/${views[Number(event.key) - 1]}`;
  else if (event.key === "j" || event.key === "ArrowDown") step(1);
  else if (event.key === "k" || event.key === "ArrowUp") step(-1);
  else if (event.key === "/") document.querySelector("input[type=search]")?.focus();
  else if (event.key === "t") otherTheme();
  else if (event.key === "?") showKeys();
  else return;
  event.preventDefault();
});

addEventListener("hashchange", draw);
addEventListener("unhandledrejection", (event) => toast(String(event.reason?.message ?? event.reason), true));
document.getElementById("theme").addEventListener("click", otherTheme);
document.getElementById("help").addEventListener("click", showKeys);
theme();
draw();
look();

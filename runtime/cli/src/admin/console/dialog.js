// Questions and short answers: one dialog at a time, by keyboard as by mouse.

import { h } from "./dom.js";

const dialog = document.getElementById("dialog");
const toasts = document.getElementById("toast");
let hides;

/** Asks; resolves to the form's values, or null when it was dismissed. With `confirm` a name has to be typed first. */
export function ask({ title, body, action, confirm, isDangerous }) {
  return new Promise((resolve) => {
    const ok = action && h("button", { class: isDangerous ? "danger" : "primary", value: "ok", disabled: Boolean(confirm) }, action);
    const typed = confirm && h("input", {
      name: "confirm", autocomplete: "off", spellcheck: "false", "aria-label": `Type ${confirm}`,
      oninput: (event) => { ok.disabled = event.target.value !== confirm; },
    });
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", {}, title),
      body,
      confirm && h("label", { class: "field" }, h("span", {}, "Type ", h("code", {}, confirm), " to confirm"), typed),
      h("p", { class: "buttons" }, h("button", { value: "cancel", formnovalidate: true }, action ? "Cancel" : "Close"), ok),
    );
    // Enter in a field is the last button's, not the first one's.
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.nodeName === "INPUT") {
        event.preventDefault();
        if (ok && !ok.disabled) ok.click();
      }
    });
    dialog.replaceChildren(form);
    dialog.onclose = () => resolve(dialog.returnValue === "ok" ? Object.fromEntries(new FormData(form)) : null);
    dialog.returnValue = "";
    dialog.showModal();
    (typed ?? form.querySelector("input,select") ?? form.querySelector("button")).focus();
  });
}

/** Says something for a few seconds. */
export function toast(text, isBad = false) {
  toasts.textContent = text;
  toasts.className = `toast shown ${isBad ? "bad" : ""}`;
  clearTimeout(hides);
  hides = setTimeout(() => { toasts.className = "toast"; }, isBad ? 8000 : 4000);
}

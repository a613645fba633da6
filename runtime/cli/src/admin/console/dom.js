// Building and updating the page. A view is a function that builds its whole tree anew; `patch` changes what is shown into it,
// so that focus, scroll and selection stay. Text is only ever text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: h("a", {href: "#", onclick: f}, "text", child, …). False, null and undefined are left out. */
export function h(tag, properties = {}, ...children) {
  const isSvg = tag === "svg" || tag === "path" || tag === "circle" || tag === "title";
  const element = isSvg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  element.handlers = {};
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) listen(element, name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === false || child === null || child === undefined || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function listen(element, type, handler) {
  if (!element.handlers[type]) element.addEventListener(type, (event) => element.handlers[type]?.(event));
  element.handlers[type] = handler;
}

/** Makes `shown` what `wanted` is. What the reader did (a value typed, a part unfolded) stays. */
export function patch(shown, wanted) {
  const isSame = shown.nodeType === wanted.nodeType && shown.nodeName === wanted.nodeName && key(shown) === key(wanted);
  if (!isSame) {
    shown.replaceWith(wanted);
    return;
  }
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== wanted.data) shown.data = wanted.data;
    return;
  }
  for (const { name } of [...shown.attributes]) {
    if (!wanted.hasAttribute(name) && !isReaders(shown, name)) shown.removeAttribute(name);
  }
  for (const { name, value } of [...wanted.attributes]) {
    if (shown.getAttribute(name) !== value && !isReaders(shown, name)) shown.setAttribute(name, value);
  }
  for (const type of Object.keys(shown.handlers ?? {})) if (!wanted.handlers[type]) shown.handlers[type] = undefined;
  for (const [type, handler] of Object.entries(wanted.handlers ?? {})) listen(shown, type, handler);
  const [before, after] = [[...shown.childNodes], [...wanted.childNodes]];
  after.forEach((child, index) => (before[index] ? patch(before[index], child) : shown.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}

const key = (node) => node.dataset?.key;
const isReaders = (element, name) =>
  (name === "open" && element.nodeName === "DETAILS") || (name === "value" && element.nodeName === "INPUT");

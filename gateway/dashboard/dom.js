// dom.js: building the page. Text gets into it by textContent alone, so that nothing a request holds is ever markup.

/** An element: el("td", {class: "n", title: "..."}, "text", child). Properties that begin with "on" are listeners. */
export function el(tag, properties = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false || value === null) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

export const $ = (id) => document.getElementById(id);

/** Set the text of an element, if it is another one: selections and layout stay when nothing has changed. */
export function put(e, text) {
  text = String(text);
  if (e.firstChild?.nodeType === Node.TEXT_NODE && e.childNodes.length === 1) {
    if (e.firstChild.data !== text) e.firstChild.data = text;
  } else if (e.textContent !== text || e.childNodes.length > 1) {
    e.textContent = text;
  }
}

export function setAttribute(e, name, value) {
  if (e.getAttribute(name) !== value) e.setAttribute(name, value);
}

/**
 * Rows of a list, by key: kept as long as their key is there, so that focus and selection stay. `make(key)` gives
 * {node, update(item)}.
 */
export class Rows {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.rows = new Map();
  }

  show(items, keyOf) {
    const seen = new Set();
    let at = this.parent.firstChild;
    for (const item of items) {
      const key = keyOf(item);
      if (seen.has(key)) continue;
      seen.add(key);
      let row = this.rows.get(key);
      if (!row) this.rows.set(key, (row = this.make(key)));
      row.update(item);
      if (row.node === at) at = at.nextSibling;
      else this.parent.insertBefore(row.node, at);
    }
    for (const [key, row] of this.rows) {
      if (seen.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
  }
}

/** A state as a shape, a word and a colour, so that none of them is needed alone. */
export function badge(e, level, text) {
  setAttribute(e, "class", `badge ${level}`);
  put(e, text);
}

let toastTimer = 0;

/** Tell what came of something: seen for a while, read aloud when there is time. */
export function announce(text, level = "good") {
  const e = $("told");
  setAttribute(e, "class", `told shown ${level}`);
  e.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => setAttribute(e, "class", `told ${level}`), 8000);
}

/**
 * Ask whether something is really meant. {title, text, verb, isDanger, field: {label, value, ...attributes of an
 * input}}. Gives null when it is not, else the field's text, or "".
 */
export function confirm({ title, text, verb, isDanger = false, field = null }) {
  const dialog = $("confirm");
  put($("confirm-title"), title);
  put($("confirm-text"), text);
  put($("confirm-yes"), verb);
  $("confirm-yes").className = isDanger ? "danger" : "primary";
  const input = $("confirm-input");
  $("confirm-field").hidden = !field;
  input.disabled = !field;
  if (field) {
    put($("confirm-label"), field.label);
    input.value = field.value;
    input.max = field.max;
  }
  dialog.returnValue = "";
  dialog.showModal();
  (field ? input : $("confirm-no")).focus();
  if (field) input.select();
  return new Promise((resolve) => {
    const closed = () => resolve(dialog.returnValue === "yes" ? (field ? input.value : "") : null);
    dialog.addEventListener("close", closed, { once: true });
  });
}

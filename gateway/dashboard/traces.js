// traces.js: the traces that were kept, and one request whole: its line of the log, its spans as a waterfall.

import { $, Rows, badge, el, put, setAttribute } from "/dashboard/dom.js";
import { clock, count, latency } from "/dashboard/format.js";
import { levelOf, rove, seconds } from "/dashboard/log.js";
import { ask } from "/dashboard/wire.js";

const LIST_MAX = 50;
const EVERY_MS = 5000;
const WHOLES = ["forward", "try"]; // steps whose time is that of others inside them

/** The steps that took longest, as words. */
function longest(steps) {
  const all = Object.entries(steps ?? {}).filter(([name]) => !WHOLES.includes(name)).sort((a, b) => b[1] - a[1]);
  return all.slice(0, 3).map(([name, ms]) => `${name} ${latency(ms / 1000)}`).join(" · ");
}

function makeRow(open) {
  const time = el("td", { class: "faint" });
  const status = el("span", { class: "badge" });
  const steps = el("td", { class: "cut" });
  const took = el("td", { class: "n" });
  const spans = el("td", { class: "n faint" });
  const row = {};
  const button = el("button", { type: "button", class: "line mono", onclick: () => open(row.trace) });
  row.node = el("tr", {}, time, el("td", {}, status), el("td", { class: "cut wide" }, button), steps, took, spans);
  row.update = (trace) => {
    row.trace = trace;
    put(time, clock(seconds(trace.time), true));
    badge(status, trace.error ? "bad" : levelOf(trace.status), trace.status);
    put(button, `${trace.method} ${trace.path}`);
    setAttribute(button, "title", button.textContent);
    put(steps, longest(trace.steps));
    put(took, latency(trace.duration_ms / 1000));
    put(spans, count(trace.spans));
  };
  return row;
}

export class Traces {
  constructor(open, refused) {
    this.refused = refused;
    this.rows = new Rows($("traces-rows"), () => makeRow(open));
    this.isSeen = false;
    this.isHeld = false;
    this.asked = 0; // counts questions: the answer to an older one that comes late is not shown
    $("traces-filter-form").addEventListener("submit", (e) => (e.preventDefault(), this.load()));
    $("traces-slow").addEventListener("change", () => this.load());
    const body = $("traces-rows");
    body.addEventListener("focusin", () => (this.isHeld = true));
    body.addEventListener("focusout", () => (this.isHeld = false));
    rove(body);
    new IntersectionObserver((entries) => (this.isSeen = entries.at(-1).isIntersecting)).observe($("traces"));
    setInterval(() => this.isSeen && !this.isHeld && !document.hidden && this.load(), EVERY_MS);
  }

  async load() {
    const mine = ++this.asked;
    const query = new URLSearchParams({ max: LIST_MAX, slow: $("traces-slow").value });
    const filter = $("traces-filter").value.trim();
    if (filter) query.set("filter", filter);
    try {
      const got = await ask(`/traces?${query}`);
      if (mine !== this.asked) return;
      const list = Array.isArray(got) ? got : (got.traces ?? []);
      this.rows.show(list, (t) => `${t.trace_id} ${t.request_id} ${t.time}`);
      $("traces-none").hidden = list.length > 0;
      put($("traces-state"), "");
    } catch (error) {
      if (error.status === 401) return this.refused();
      if (mine !== this.asked) return;
      put($("traces-state"), error.status === 404 ? "this gateway keeps no traces" : String(error.message));
    }
  }
}

// ---- one request ----

/** Spans in the order of the tree, each with its depth. What names a parent that is not there stands at the top. */
function ordered(spans) {
  const children = new Map();
  const ids = new Set(spans.map((s) => s.id));
  for (const s of spans) {
    const parent = s.parent !== s.id && ids.has(s.parent) ? s.parent : "";
    if (!children.has(parent)) children.set(parent, []);
    children.get(parent).push(s);
  }
  const out = [];
  const walk = (parent, depth) => {
    const some = (children.get(parent) ?? []).sort((a, b) => a.begin_ms - b.begin_ms);
    children.delete(parent);
    for (const span of some) {
      out.push({ span, depth });
      walk(span.id, depth + 1);
    }
  };
  walk("", 0);
  return out;
}

function showFacts(list, facts) {
  list.replaceChildren(
    ...Object.entries(facts)
      .filter(([, v]) => v !== null && v !== undefined && v !== "" && typeof v !== "object")
      .map(([k, v]) => el("div", {}, el("dt", {}, k.replaceAll("_", " ")), el("dd", { class: "mono" }, String(v)))),
  );
}

function showSpan(span) {
  const facts = el("dl", { class: "facts wide" });
  showFacts(facts, { begin: latency(span.begin_ms / 1000), took: latency((span.end_ms - span.begin_ms) / 1000), ...span.attributes,
    ...(span.link ? { link: `${span.link.trace_id} ${span.link.span_id}` } : {}) });
  $("span-facts").replaceChildren(el("h3", {}, span.name), facts);
}

function spanRow({ span, depth }, total) {
  const bar = el("span", { class: `bar ${span.failed ? "failed" : String(span.kind).toLowerCase()}` });
  const at = (ms) => `${Math.min(100, Math.max(0, (ms / total) * 100))}%`;
  bar.style.left = at(span.begin_ms);
  bar.style.width = at(span.end_ms - span.begin_ms);
  const name = el("span", { class: "name" }, `${span.failed ? "✕ " : ""}${span.name}`);
  name.style.paddingLeft = `${Math.min(depth, 8) * 14}px`;
  const took = el("span", { class: "took" }, latency((span.end_ms - span.begin_ms) / 1000));
  const button = el("button", { type: "button", class: "span", onclick: () => showSpan(span) }, name, el("span", { class: "track" }, bar), took);
  return el("div", { role: "listitem" }, button);
}

/** All that is known of what LINE, of the log or of a list of traces, tells of. */
export class RequestDialog {
  constructor() {
    this.asked = 0; // counts openings: an answer that comes late is not shown
    $("request-close").addEventListener("click", () => $("request-dialog").close());
  }

  async open(line) {
    const mine = ++this.asked;
    const id = line.trace_id || line.request_id;
    put($("request-title"), line.message !== undefined ? "Line of the log" : `${line.method ?? ""} ${line.path ?? ""}`);
    put($("request-note"), line.message ?? (id ? "Looking for its trace…" : "It has no id."));
    $("waterfall").replaceChildren();
    $("span-facts").replaceChildren();
    showFacts($("request-facts"), line);
    if (!$("request-dialog").open) $("request-dialog").showModal();
    if (!id || line.message !== undefined) return;
    try {
      const trace = await ask(`/traces/${encodeURIComponent(id)}`);
      if (mine === this.asked) this.#show(trace, line);
    } catch (error) {
      if (mine === this.asked)
        put($("request-note"), error.status === 404 ? "Its trace was not kept, or is gone by now." : `No trace: ${error.message}`);
    }
  }

  #show(trace, line) {
    const spans = ordered(trace.spans ?? []);
    const total = Math.max(trace.duration_ms, ...spans.map((s) => s.span.end_ms), 0.001);
    put($("request-note"), `${latency(total / 1000)} in ${count(spans.length)} spans; trace ${trace.trace_id}`);
    $("waterfall").replaceChildren(...spans.map((s) => spanRow(s, total)));
    const causes = (trace.events ?? []).map((e) => el("li", {}, `${e.text || e.type} (${e.type}, at ${latency(e.at_ms / 1000)})`));
    $("span-facts").replaceChildren(...(causes.length ? [el("h3", {}, "Why"), el("ul", {}, ...causes)] : []));
    showFacts($("request-facts"), { ...trace, ...line, spans: undefined });
  }
}

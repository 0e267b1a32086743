// overview.js: the head of the page, what is wrong now, the tiles, the charts, errors by reason, and what changed.

import { chart, redraw, spark } from "/dashboard/chart.js";
import { $, Rows, badge, el, put, setAttribute } from "/dashboard/dom.js";
import { age, bytes, clock, count, latency, latencyShort, percent, plural, words } from "/dashboard/format.js";

const CHANGES_MAX = 50;
const PROBLEMS_MAX = 20;

/** A tile: {key, a column of the ring; label, tone, value(ring) -> [number, unit], note(model); more: other columns, latencies
 *  that stand before it}. */
const TILES = [
  { key: "rate", label: "Requests", tone: "c2", value: (r) => [count(r.last("rate")), "/s"],
    note: (m) => `${count(m.view.all.limited / m.view.seconds)}/s limited` },
  { key: "errors", label: "Errors", tone: "c5", value: (r) => split(percent(r.last("errors"))),
    note: (m) => `${count((m.view.all.requests["4xx"] ?? 0) / m.view.seconds)}/s are 4xx` },
  { key: "p99", label: "Latency", tone: "p99", more: ["p50", "p95"], value: (r) => split(latency(r.last("p99"))),
    note: (m) => m.view.seconds > 0 && `over the last ${m.view.seconds.toFixed(0)} s` },
  { key: "overhead", label: "Overhead p99", tone: "p95", value: (r) => split(latency(r.last("overhead"))),
    note: () => "without backends" },
  { key: "in_flight", label: "In flight", tone: "p50", value: (r) => [count(r.last("in_flight")), ""],
    note: (m) => m.status?.upstream && `${count(m.status.upstream.open)} to backends` },
  { key: "connections", label: "Connections", tone: "p50", value: (r) => [count(r.last("connections")), ""],
    note: (m) => m.status?.connections && `${count(m.status.connections.resting)} at rest` },
  { key: "cpu", label: "CPU", tone: "c4", value: (r) => split(percent(r.last("cpu"))),
    note: (m) => m.status?.workers && `${plural(m.status.workers.length, "worker")}` },
  { key: "memory", label: "Memory", tone: "c4", value: (r) => split(bytes(r.last("memory"))),
    note: (m) => m.status?.memory && `cache ${bytes(m.status.memory.cache)}` },
];

function split(text) {
  const at = text.lastIndexOf(" ");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function makeTile(tile, ring) {
  const number = el("b", { id: `tile-${tile.key}` }, "–");
  const unit = el("span", { class: "unit" });
  const note = el("p", { class: "note" }, " ");
  const canvas = el("canvas", { "aria-hidden": "true" });
  const more = (tile.more ?? []).map((name) => ({ name, number: el("b", {}, "–"), unit: el("span", { class: "unit" }) }));
  const values = more.map((m) => el("span", {}, m.number, m.unit));
  values.push(el("span", {}, number, unit));
  const kind = tile.more ? "panel tile double" : "panel tile";
  $("tiles").append(el("article", { class: kind }, el("h2", {}, tile.label), el("p", { class: "value" }, ...values), canvas, note));
  spark(canvas, ring, tile.key, tile.tone);
  return (model) => {
    const [text, u] = tile.value(ring);
    put(number, text);
    put(unit, tile.more ? `${u} ${tile.key}` : u);
    for (const m of more) {
      const [n, nu] = split(latency(ring.last(m.name)));
      put(m.number, n);
      put(m.unit, `${nu} ${m.name}`);
    }
    put(note, tile.note(model) || " ");
  };
}

function makeProblem() {
  const mark = el("span", { class: "badge" });
  const link = el("a", {});
  return {
    node: el("li", {}, mark, link),
    update(problem) {
      badge(mark, problem.level, problem.level === "bad" ? "✕" : "!");
      put(link, problem.text);
      setAttribute(link, "href", `#${problem.where}`);
    },
  };
}

function makeError() {
  const cells = [el("th", { scope: "row" }), el("td", { class: "n" }), el("td", { class: "n faint" })];
  return {
    node: el("tr", {}, ...cells),
    update(error) {
      put(cells[0], words(error.name));
      put(cells[1], count(error.rate));
      put(cells[2], count(error.total));
      setAttribute(cells[1], "class", error.rate > 0 ? "n strong" : "n");
    },
  };
}

export class Overview {
  constructor(model) {
    this.model = model;
    this.tiles = TILES.map((tile) => makeTile(tile, model.ring));
    this.problems = new Rows($("problems"), makeProblem);
    this.errors = new Rows($("errors-rows"), makeError);
    this.states = new Map(); // of breakers, and other things whose changes are told
    chart({
      canvas: $("rate-chart"), legend: $("rate-legend"), ring: model.ring, stacked: true, format: count,
      series: [
        { name: "2xx", label: "2xx", tone: "c2" }, { name: "3xx", label: "3xx", tone: "c3" },
        { name: "4xx", label: "4xx", tone: "c4" }, { name: "5xx", label: "5xx", tone: "c5" },
      ],
    });
    chart({
      canvas: $("latency-chart"), legend: $("latency-legend"), ring: model.ring, format: latency, axis: latencyShort,
      series: [
        { name: "p50", label: "p50", tone: "p50" }, { name: "p95", label: "p95", tone: "p95", dash: [5, 3] },
        { name: "p99", label: "p99", tone: "p99", width: 2 },
      ],
    });
  }

  /** live, polling, reconnecting, restarted, refused. */
  connection(state) {
    const level = { live: "good", polling: "good", restarted: "warn", reconnecting: "bad", refused: "bad" }[state];
    badge($("connection"), level ?? "idle", state);
    document.body.classList.toggle("stale", state === "reconnecting" || state === "refused");
  }

  show() {
    const { model } = this;
    const s = model.status;
    const name = s.gateway ?? "";
    put($("gateway"), name);
    $("gateway").hidden = !name;
    put($("version"), `${s.version} · ${s.revision}`);
    put($("uptime"), `up ${age(s.now - s.started)}`);
    badge($("ready"), s.ready ? "good" : "warn", s.ready ? "ready" : "draining");
    for (const update of this.tiles) update(model);
    this.#verdict();
    this.#errors();
    this.#changes();
    redraw();
  }

  #verdict() {
    const all = this.model.problems();
    const bad = all.filter((p) => p.level === "bad").length;
    const title = !all.length ? "All is well" : bad ? plural(bad, "thing") + (bad === 1 ? " is wrong" : " are wrong") : "Worth a look";
    put($("verdict-title"), title);
    setAttribute($("verdict"), "class", `panel verdict ${!all.length ? "good" : bad ? "bad" : "warn"}`);
    this.problems.show(all.slice(0, PROBLEMS_MAX), (p) => p.level + p.text);
    const prefix = all.length ? (bad ? "✕ " : "! ") : "";
    document.title = `${prefix}Tollgate${this.model.status.gateway ? ` · ${this.model.status.gateway}` : ""}`;
  }

  #errors() {
    const { status, view } = this.model;
    const all = Object.entries(status.errors ?? {})
      .filter(([, total]) => total > 0)
      .map(([name, total]) => ({ name, total, rate: (view.errors[name] ?? 0) / view.seconds }))
      .sort((a, b) => (b.rate || 0) - (a.rate || 0) || b.total - a.total || (a.name < b.name ? -1 : 1));
    this.errors.show(all, (e) => e.name);
    $("errors-none").hidden = all.length > 0;
  }

  /** Tell what is no longer as it was: breakers, servers, nodes, readiness, configuration. */
  #changes() {
    const s = this.model.status;
    const now = new Map([["Gateway", s.ready ? "ready" : "draining"], ["Configuration", `loaded ${clock(s.config_loaded)}`]]);
    for (const b of s.backends ?? []) {
      if (b.breaker) now.set(`Breaker of ${b.name}`, b.breaker.state);
      for (const server of b.servers ?? []) now.set(`${b.name} ${server.server}`, server.state);
    }
    for (const node of s.redis?.nodes ?? []) now.set(`Redis ${node.node}`, node.up ? "up" : "down");
    for (const [what, state] of now)
      if (this.states.has(what) && this.states.get(what) !== state) this.tell(`${what}: ${state}`);
    this.states = now;
  }

  tell(text) {
    const list = $("changes");
    if ($("changes-none")) $("changes-none").remove();
    list.prepend(el("li", {}, el("time", {}, clock(Date.now() / 1000)), el("span", {}, text)));
    while (list.childElementCount > CHANGES_MAX) list.lastElementChild.remove();
  }
}

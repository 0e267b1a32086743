// backends.js: backends with their breakers and servers, and the buttons that change them.

import { $, Rows, announce, badge, confirm, el, put, setAttribute } from "/dashboard/dom.js";
import { count, latency, percent, plural } from "/dashboard/format.js";

const WEIGHT_MAX = 1000;

/** A state's level and the shape that goes before its word. */
const LOOKS = {
  closed: ["good", "●"], "forced closed": ["warn", "●"], "half-open": ["warn", "◐"],
  open: ["bad", "○"], "forced open": ["bad", "○"], off: ["idle", "·"],
  up: ["good", "●"], drained: ["warn", "◐"], ejected: ["bad", "○"], unreachable: ["bad", "○"], down: ["bad", "○"],
};

const MEANINGS = {
  open: "All its requests are answered 503 until the breaker is closed or let go.",
  closed: "Requests reach it however many of them fail.",
  auto: "The breaker decides by itself again.",
};

function look(e, state) {
  const [level, shape] = LOOKS[state] ?? ["idle", "·"];
  badge(e, level, `${shape} ${state}`);
}

class Server {
  constructor(panel, backend) {
    const button = (label, act) => el("button", { type: "button", class: "small write", onclick: act }, label);
    this.name = el("th", { scope: "row", class: "mono" });
    this.state = el("span", { class: "badge" });
    this.weight = el("td", { class: "n" });
    this.note = el("td", { class: "faint" });
    this.drain = button("Drain", () => panel.drain(backend, this.server));
    this.reweigh = button("Weight", () => panel.weigh(backend, this.server));
    this.node = el("tr", {}, this.name, el("td", {}, this.state), this.weight, this.note, el("td", { class: "actions" }, this.drain, this.reweigh));
  }

  update(server) {
    this.server = server;
    put(this.name, server.server);
    setAttribute(this.name, "title", server.name ?? "");
    look(this.state, server.state);
    put(this.weight, count(server.weight));
    const notes = [];
    if (server.backup) notes.push("backup");
    if (server.failures_in_a_row) notes.push(`${plural(server.failures_in_a_row, "failure")} in a row`);
    if (server.ejected_for_s > 0) notes.push(`out for ${server.ejected_for_s.toFixed(0)} s`);
    put(this.note, notes.join(", "));
    put(this.drain, server.state === "drained" ? "Undrain" : "Drain");
    setAttribute(this.drain, "aria-label", `${this.drain.textContent} ${server.server}`);
    setAttribute(this.reweigh, "aria-label", `Weight of ${server.server}`);
  }
}

const FACTS = ["Requests/s", "p50", "p99", "Errors/s", "Retries/s", "Inside", "Queued", "Window"];

class Backend {
  constructor(panel, name) {
    this.panel = panel;
    this.name = name;
    this.state = el("span", { class: "badge", id: `breaker-${name}` });
    this.note = el("span", { class: "faint" });
    this.facts = FACTS.map(() => el("dd", {}, "–"));
    const button = (label, state) =>
      el("button", { type: "button", class: "small write", "aria-label": `${label} the breaker of ${name}`, onclick: () => panel.force(name, state) }, label);
    this.buttons = { open: button("Force open", "open"), closed: button("Force closed", "closed"), auto: button("Auto", "auto") };
    const body = el("tbody");
    this.servers = new Rows(body, () => new Server(panel, name));
    const head = ["Server", "State", "Weight", "", ""].map((t, i) =>
      t ? el("th", { scope: "col", class: i === 2 ? "n" : undefined }, t) : el("td"));
    this.node = el("article", { class: "backend" },
      el("div", { class: "head" }, el("h3", { class: "mono" }, name), this.state, this.note, el("span", { class: "gap" }), ...Object.values(this.buttons)),
      el("dl", { class: "facts" }, ...FACTS.map((label, i) => el("div", {}, el("dt", {}, label), this.facts[i]))),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Servers of ${name}` }, el("table", {}, el("thead", {}, el("tr", {}, ...head)), body)));
  }

  update(backend) {
    const breaker = backend.breaker;
    const state = breaker?.state ?? "off";
    look(this.state, state);
    put(this.note, breaker?.time_left_s > 0 ? `${breaker.time_left_s.toFixed(0)} s left` : breaker?.changes ? plural(breaker.changes, "change") : "");
    const forced = state.startsWith("forced") ? state.slice(7) : state === "off" ? "" : "auto";
    for (const [name, button] of Object.entries(this.buttons)) {
      setAttribute(button, "aria-pressed", String(forced === name));
      button.hidden = state === "off";
    }
    this.#facts(this.panel.model.view.backends.get(backend.name), breaker);
    this.servers.show(backend.servers ?? [], (s) => `${s.server} ${s.name}`);
  }

  #facts(view, breaker) {
    const window = breaker?.window;
    const values = [
      count(view?.rate), latency(view?.p50), latency(view?.p99), count(view?.errors), count(view?.retries),
      breaker?.bulkhead?.max ? `${breaker.bulkhead.inside} of ${breaker.bulkhead.max}` : count(breaker?.bulkhead?.inside),
      count(breaker?.bulkhead?.queued), window?.requests ? `${percent(window.failures / window.requests)} fail` : "–",
    ];
    values.forEach((text, i) => put(this.facts[i], text));
  }
}

export class Backends {
  constructor(model, change) {
    this.model = model;
    this.change = change;
    this.rows = new Rows($("backends-list"), (name) => new Backend(this, name));
  }

  show() {
    const all = this.model.status.backends ?? [];
    this.rows.show(all, (b) => b.name);
    $("backends-none").hidden = all.length > 0;
    const servers = all.flatMap((b) => b.servers ?? []);
    put($("backends-sum"), all.length ? `${servers.filter((s) => s.state === "up").length} of ${plural(servers.length, "server")} up` : "");
  }

  async force(backend, state) {
    const verb = { open: "Force open", closed: "Force closed", auto: "Let go" }[state];
    const sure = await confirm({ title: `${verb}: breaker of ${backend}`, text: MEANINGS[state], verb, isDanger: state === "open" });
    if (sure === null) return;
    const got = await this.change("/breakers", { backend, state });
    if (!got) return;
    announce(`The breaker of ${backend} is ${got.state}.`);
    this.model.setBreaker(got);
    this.show();
  }

  async drain(backend, server) {
    const is_drained = server.state === "drained";
    const verb = is_drained ? "Undrain" : "Drain";
    const text = is_drained ? "It gets requests again." : "It gets no new request; what is under way goes on.";
    const sure = await confirm({ title: `${verb} ${server.server}`, text, verb, isDanger: !is_drained });
    if (sure === null) return;
    const got = await this.change("/servers", { backend, server: server.server, drain: is_drained ? "no" : "yes" });
    if (got) announce(`${server.server} ${is_drained ? "is no longer drained" : "drains"}.`);
  }

  async weigh(backend, server) {
    const field = { label: "Weight (0: as configured)", value: server.weight, max: WEIGHT_MAX };
    const text = "Its share of the backend's requests, among the weights of the others. It holds until the process ends.";
    const weight = await confirm({ title: `Weight of ${server.server}`, text, verb: "Set", field });
    if (weight === null) return;
    const got = await this.change("/servers", { backend, server: server.server, weight });
    if (got) announce(weight === "0" ? `${server.server} has its configured weight.` : `${server.server} has weight ${weight}.`);
  }
}

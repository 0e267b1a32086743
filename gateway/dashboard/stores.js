// stores.js: limits, the cache with its purge, the ring of Redis nodes, workers.

import { chart, ringOfShares } from "/dashboard/chart.js";
import { $, Rows, announce, badge, confirm, el, put, setAttribute } from "/dashboard/dom.js";
import { age, bytes, count, percent, plural } from "/dashboard/format.js";

const TABLES = { minute: "a minute", hour: "an hour", longer: "longer" };
const TONES = ["n0", "n1", "n2", "n3", "n4", "n5"];
const LAG_BAD_MS = 100;

/** A row of plain texts: the first cell names it, numbers stand right. */
function textRow(kinds) {
  return () => {
    const cells = kinds.map((kind, i) => el(i ? "td" : "th", i ? { class: kind } : { scope: "row", class: kind }));
    return { node: el("tr", {}, ...cells), update: (texts) => texts.forEach((text, i) => put(cells[i], text)) };
  };
}

class Limits {
  constructor() {
    this.tables = new Rows($("limits-rows"), textRow(["", "n", "n", "n"]));
    this.refused = new Rows($("refused-rows"), textRow(["mono cut", "mono cut", "n"]));
  }

  show(status) {
    const limits = status.limits ?? [];
    const tables = Array.isArray(limits) ? limits : (limits.tables ?? []);
    const refused = status.refused ?? limits.refused ?? [];
    this.tables.show(
      tables.map((t) => [TABLES[t.fills_within] ?? t.fills_within, count(t.clients), count(t.clients_in_debt), count(t.evicted)]),
      (t) => t[0],
    );
    this.refused.show(refused.slice(0, 20).map((r) => [r.kind ? `${r.kind} ${r.key}` : r.key, r.route ?? "", count(r.count)]), (r) => `${r[0]}\n${r[1]}`);
    $("refused-none").hidden = refused.length > 0;
  }
}

class Cache {
  constructor(model, change) {
    this.model = model;
    this.change = change;
    this.facts = new Map();
    chart({
      canvas: $("cache-chart"), ring: model.ring, max: 1, format: percent,
      series: [{ name: "hits", label: "hit ratio", tone: "c2", width: 2 }],
    });
    $("purge-kind").addEventListener("change", () => this.#kind());
    $("purge").addEventListener("submit", (e) => (e.preventDefault(), this.#purge()));
  }

  #fact(label, text) {
    if (!this.facts.has(label)) {
      const value = el("dd");
      this.facts.set(label, value);
      $("cache-facts").append(el("div", {}, el("dt", {}, label), value));
    }
    put(this.facts.get(label), text);
  }

  show(status) {
    const c = status.cache;
    if (!c) return;
    put($("cache-hits"), percent(this.model.ring.last("hits")));
    $("cache-bar").style.width = `${c.size ? Math.min(100, (c.used / c.size) * 100) : 0}%`;
    this.#fact("Used", bytes(c.used));
    this.#fact("Room", bytes(c.size));
    this.#fact("Objects", count(c.objects));
    this.#fact("Evicted", count(c.evicted));
    this.#fact("No room", count(c.refused));
    this.#fact("Flights", count(c.flights));
    this.#fact("Joined", count(c.collapsed));
  }

  #kind() {
    const kind = $("purge-kind").value;
    const hints = { url: ["URL", "http://example.com/a"], prefix: ["Prefix", "http://example.com/a/"], tag: ["Tag", "blue"], all: ["Nothing", ""] };
    put($("purge-label"), hints[kind][0]);
    $("purge-what").placeholder = hints[kind][1];
    $("purge-what").disabled = kind === "all";
  }

  async #purge() {
    const kind = $("purge-kind").value;
    const what = $("purge-what").value.trim();
    const is_soft = $("purge-soft").checked;
    if (kind !== "all" && !what) return announce(`A ${kind === "url" ? "URL" : kind} is wanted.`, "bad");
    const text = `${kind === "all" ? "Everything that is stored" : `${kind === "url" ? "The URL" : `The ${kind}`} ${what}`} ${
      is_soft ? "becomes stale" : "goes"}, here and in all gateways that share the cache.`;
    const sure = await confirm({ title: kind === "all" ? "Purge everything" : `Purge by ${kind === "url" ? "URL" : kind}`, text, verb: "Purge", isDanger: true });
    if (sure === null) return;
    const got = await this.change("/cache/purge", { [kind]: kind === "all" ? "yes" : what, soft: is_soft ? "yes" : undefined });
    if (!got) return;
    if (got.complete === false) announce(`Purged ${plural(got.purged, "object")} here, but not every Redis node got it (${got.nodes_done ?? 0} of ${got.nodes ?? "all"}).`, "bad");
    else announce(`Purged ${plural(got.purged, "object")}.`);
  }
}

class Redis {
  constructor() {
    this.parts = [];
    this.rows = new Rows($("redis-rows"), () => {
      const swatch = el("i", { class: "swatch" });
      const name = el("span");
      const state = el("span", { class: "badge" });
      const share = el("td", { class: "n" });
      const checked = el("td", { class: "n faint" });
      return {
        node: el("tr", {}, el("th", { scope: "row", class: "mono" }, swatch, name), el("td", {}, state), share, checked),
        update(node) {
          setAttribute(swatch, "class", `swatch tone-${node.tone}`);
          put(name, node.node);
          badge(state, node.up ? "good" : "bad", node.up ? "● up" : "○ down");
          put(share, percent(node.share));
          put(checked, node.verified_ago_s > 0 ? `${age(node.verified_ago_s)} ago` : "–");
        },
      };
    });
    ringOfShares($("redis-ring"), () => this.parts);
  }

  show(status) {
    const nodes = status.redis?.nodes ?? [];
    this.parts = nodes.map((n, i) => ({ ...n, share: n.share ?? NaN, tone: TONES[i % TONES.length], is_up: n.up }));
    this.rows.show(this.parts, (n) => n.node);
    $("redis-none").hidden = nodes.length > 0;
    $("redis-ring").parentElement.hidden = nodes.length === 0;
    put($("redis-sum"), status.redis ? plural(status.redis.gateways, "gateway") : "");
    setAttribute($("redis-ring"), "aria-label", `${nodes.filter((n) => n.up).length} of ${plural(nodes.length, "Redis node")} up`);
  }
}

class Workers {
  constructor() {
    this.rows = new Rows($("workers-rows"), () => {
      const name = el("th", { scope: "row" });
      const state = el("span", { class: "badge" });
      const lag = el("td", { class: "n" });
      const flying = el("td", { class: "n" });
      return {
        node: el("tr", {}, name, el("td", {}, state), lag, flying),
        update(w) {
          const is_late = w.lag_ms >= LAG_BAD_MS;
          put(name, w.index);
          badge(state, w.stalled ? "bad" : is_late ? "warn" : "good", w.stalled ? "○ stalled" : is_late ? "◐ late" : "● fine");
          put(lag, `${w.lag_ms.toFixed(w.lag_ms < 10 ? 1 : 0)} ms`);
          put(flying, count(w.in_flight));
        },
      };
    });
  }

  show(status) {
    this.rows.show(status.workers ?? [], (w) => w.index);
  }
}

export class Stores {
  constructor(model, change) {
    this.model = model;
    this.panels = [new Limits(), new Cache(model, change), new Redis(), new Workers()];
  }

  show() {
    for (const panel of this.panels) panel.show(this.model.status);
  }
}

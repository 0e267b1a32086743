// routes.js: the table of routes: sorted by any column, filtered by name.

import { $, Rows, el, put, setAttribute } from "/dashboard/dom.js";
import { bytes, count, latency, percent, plural } from "/dashboard/format.js";

const COLUMNS = [
  { key: "name", label: "Route", text: (r) => r.name },
  { key: "rate", label: "Requests/s", text: (r) => count(r.rate) },
  { key: "errors", label: "Errors", text: (r) => percent(r.errors), is_bad: (r) => r.errors >= 0.01 },
  { key: "p50", label: "p50", text: (r) => latency(r.p50) },
  { key: "p95", label: "p95", text: (r) => latency(r.p95) },
  { key: "p99", label: "p99", text: (r) => latency(r.p99) },
  { key: "limited", label: "Limited/s", text: (r) => count(r.limited), is_bad: (r) => r.limited > 0 },
  { key: "hits", label: "Hits", text: (r) => percent(r.hits) },
  { key: "out", label: "Sent/s", text: (r) => bytes(r.out) },
  { key: "total", label: "Since start", text: (r) => count(r.total) },
];

function makeRow() {
  const cells = COLUMNS.map((c, i) => el(i ? "td" : "th", i ? { class: "n" } : { scope: "row", class: "mono" }));
  return {
    node: el("tr", {}, ...cells),
    update(route) {
      COLUMNS.forEach((c, i) => {
        put(cells[i], c.text(route));
        if (c.is_bad) setAttribute(cells[i], "class", c.is_bad(route) ? "n strong" : "n");
      });
    },
  };
}

export class Routes {
  constructor(model) {
    this.model = model;
    this.sort = { key: "rate", up: false };
    this.rows = new Rows($("routes-rows"), makeRow);
    this.heads = COLUMNS.map((c, i) => {
      const button = el("button", { type: "button", class: "sort", onclick: () => this.#sortBy(c.key) }, c.label);
      const head = el("th", { scope: "col", class: i ? "n" : undefined }, button);
      $("routes-head").append(head);
      return head;
    });
    $("routes-filter").addEventListener("input", () => this.show());
  }

  #sortBy(key) {
    this.sort = { key, up: this.sort.key === key ? !this.sort.up : key === "name" };
    this.show();
  }

  #compare(a, b) {
    const { key, up } = this.sort;
    const x = a[key];
    const y = b[key];
    const known = Number(Number.isNaN(x)) - Number(Number.isNaN(y)); // what is not known comes last, either way
    if (known) return known;
    const order = x < y ? -1 : x > y ? 1 : 0;
    return (up ? order : -order) || (a.name < b.name ? -1 : 1);
  }

  show() {
    if (!this.model.view) return; // the filter was typed into before anything was there
    const wanted = $("routes-filter").value.trim().toLowerCase();
    const all = this.model.view.routes.filter((r) => r.name !== "none" || r.total > 0);
    const some = all.filter((r) => r.name.toLowerCase().includes(wanted)).sort((a, b) => this.#compare(a, b));
    this.rows.show(some, (r) => r.name);
    put($("routes-sum"), some.length === all.length ? plural(all.length, "route") : `${some.length} of ${plural(all.length, "route")}`);
    $("routes-none").hidden = some.length > 0;
    COLUMNS.forEach((c, i) =>
      setAttribute(this.heads[i], "aria-sort", c.key !== this.sort.key ? "none" : this.sort.up ? "ascending" : "descending"));
  }
}

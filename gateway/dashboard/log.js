// log.js: the log as it is written: the last lines, newest first, with filters and a pause.
//
// Lines may come by the thousand: they are kept in a list of fixed length and drawn a few times a second into
// the same rows. Nothing moves while the pointer or the keyboard is among them.

import { $, announce, badge, el, put, setAttribute } from "/dashboard/dom.js";
import { clock, count, latency } from "/dashboard/format.js";
import { follow } from "/dashboard/wire.js";

const LINES_MAX = 200;
const DRAW_MS = 250;

const LEVELS = { debug: "idle", info: "idle", warn: "warn", error: "bad" };

/** The level of a status. */
export function levelOf(status) {
  return status >= 500 ? "bad" : status >= 400 ? "warn" : status >= 200 ? "good" : "idle";
}

export function seconds(time) {
  return Date.parse(time) / 1000;
}

/** A row whose line changes; its button opens what the row shows now. */
class Row {
  constructor(open) {
    this.time = el("td", { class: "faint" });
    this.status = el("span", { class: "badge" });
    this.request = el("button", { type: "button", class: "line mono", tabindex: "-1", onclick: () => open(this.line) });
    this.route = el("td", { class: "mono cut" });
    this.took = el("td", { class: "n" });
    this.why = el("td", { class: "cut" });
    this.node = el("tr", {}, this.time, el("td", {}, this.status), el("td", { class: "cut wide" }, this.request), this.route, this.took, this.why);
  }

  show(line) {
    this.line = line;
    put(this.time, clock(seconds(line.time), true));
    if (line.message !== undefined) {
      badge(this.status, LEVELS[line.level] ?? "idle", line.level ?? "log");
      put(this.request, line.message);
      for (const cell of [this.route, this.took, this.why]) put(cell, "");
    } else {
      badge(this.status, levelOf(line.status), line.status ?? "–");
      put(this.request, `${line.method ?? ""} ${line.path ?? ""}`);
      put(this.route, line.route ?? "");
      put(this.took, latency(line.duration_ms / 1000));
      put(this.why, line.reason ? line.reason.replaceAll("_", " ") : (line.cache_status ?? line.upstream_addr ?? ""));
    }
    setAttribute(this.request, "title", this.request.textContent);
  }
}

/** Arrow keys go from row to row; Tab passes by all but one. */
export function rove(body) {
  body.addEventListener("keydown", (e) => {
    const buttons = [...body.querySelectorAll("tr:not([hidden]) button")];
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[e.key];
    if (at < 0 || to === undefined || !buttons[to]) return;
    e.preventDefault();
    buttons[at].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  });
}

export class Log {
  constructor(open, refused) {
    this.open = open;
    this.refused = refused;
    this.lines = []; // newest first
    this.rows = [];
    this.unseen = 0;
    this.dropped = 0;
    this.state = "connecting";
    this.isPaused = false;
    this.isHeld = false;
    this.timer = 0;
    this.stop = new AbortController();
    $("log-filter").addEventListener("submit", (e) => (e.preventDefault(), this.restart(true)));
    $("log-pause").addEventListener("click", () => this.#pause());
    const body = $("log-rows");
    const hold = (held) => () => ((this.isHeld = held), this.#soon());
    body.addEventListener("pointerenter", hold(true));
    body.addEventListener("pointerleave", hold(false));
    body.addEventListener("focusin", hold(true));
    body.addEventListener("focusout", hold(false));
    rove(body);
  }

  /** Listen anew: with other filters, or another token. */
  restart(isCleared = false) {
    this.stop.abort();
    this.stop = new AbortController();
    if (isCleared) this.lines.length = this.unseen = 0;
    this.#soon();
    const query = new URLSearchParams();
    const filters = { request: "log-request", status: "log-status", route: "log-route", path: "log-path", min_ms: "log-min" };
    for (const [name, id] of Object.entries(filters)) if ($(id).value.trim()) query.set(name, $(id).value.trim());
    const text = query.toString();
    follow(text ? `/log?${text}` : "/log", {
      open: () => this.#state("live"),
      take: (type, data) => this.take(type, data),
      lost: (error) => this.#lost(error),
      signal: this.stop.signal,
    });
  }

  #state(state) {
    this.state = state;
    this.#soon();
  }

  #lost(error) {
    const status = error?.status;
    this.#state(status === 404 ? "this gateway has no live log" : "reconnecting");
    if (status === 400) announce(`The log: ${error.message}`, "bad");
    if (status === 400) this.#state("no such filter");
    if (status === 401) this.refused();
    return ![400, 401, 404].includes(status);
  }

  take(type, data) {
    if (this.isPaused && type !== "dropped") return void (this.unseen++, this.#soon());
    let line;
    try {
      line = JSON.parse(data);
    } catch {
      return;
    }
    if (type === "dropped") this.dropped += line.count ?? 0;
    else this.lines.unshift(line);
    if (this.lines.length > LINES_MAX) this.lines.length = LINES_MAX;
    this.#soon();
  }

  #pause() {
    this.isPaused = !this.isPaused;
    this.unseen = 0;
    setAttribute($("log-pause"), "aria-pressed", String(this.isPaused));
    put($("log-pause"), this.isPaused ? "Go on" : "Pause");
    this.#soon();
  }

  #soon() {
    if (!this.timer) this.timer = setTimeout(() => ((this.timer = 0), this.#draw()), DRAW_MS);
  }

  #draw() {
    const notes = [this.isPaused ? "paused" : this.isHeld && this.lines.length ? "held while you look" : this.state];
    if (this.unseen) notes.push(`${count(this.unseen)} passed by`);
    if (this.dropped) notes.push(`${count(this.dropped)} dropped`);
    put($("log-state"), notes.join(" · "));
    if (this.isHeld && this.lines.length) return;
    while (this.rows.length < this.lines.length) {
      const row = new Row(this.open);
      if (!this.rows.length) row.request.tabIndex = 0;
      this.rows.push(row);
      $("log-rows").append(row.node);
    }
    this.rows.forEach((row, i) => {
      row.node.hidden = i >= this.lines.length;
      if (!row.node.hidden) row.show(this.lines[i]);
    });
    $("log-none").hidden = this.lines.length > 0;
  }
}

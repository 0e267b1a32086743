// model.js: what the page knows: numbers of the last ten minutes, made from statuses whose counters only grow.
//
// Memory is bounded: rings of fixed size, and the last few statuses for rates over a short window. Counters of
// another process (another "instance") are never compared with those of this one.

export const HISTORY = 600; // samples
const WINDOW_S = 5; // rates and percentiles of tables are over this long
const WINDOW_MAX = 12; // statuses that are kept for that

export const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/** Columns of numbers over time; the oldest are overwritten. */
export class Ring {
  constructor(names, size = HISTORY) {
    this.size = size;
    this.n = 0; // samples ever added
    this.columns = new Map(names.map((name) => [name, new Float64Array(size)]));
  }

  add(row) {
    const at = this.n++ % this.size;
    for (const [name, column] of this.columns) column[at] = row[name] ?? NaN;
  }

  get length() {
    return Math.min(this.n, this.size);
  }

  /** Number i of a column; 0 is the oldest. */
  get(name, i) {
    return this.columns.get(name)[(this.n - this.length + i) % this.size];
  }

  last(name) {
    return this.length ? this.get(name, this.length - 1) : NaN;
  }
}

/** Fields of `now` less those of `before`; what `before` lacks counts as 0 there. */
export function difference(now, before) {
  const out = {};
  for (const name of Object.keys(now ?? {})) out[name] = Math.max(0, now[name] - (before?.[name] ?? 0));
  return out;
}

export function sum(object) {
  let total = 0;
  for (const name of Object.keys(object ?? {})) total += object[name];
  return total;
}

/** Buckets of histogram `now` less those of `before`, as an array. */
export function bucketsBetween(now, before) {
  return (now?.buckets ?? []).map((n, i) => Math.max(0, n - (before?.buckets?.[i] ?? 0)));
}

/**
 * The value below which share q of what the buckets hold lies, straight between a bucket's bounds. NaN when
 * they are empty; the highest bound when it lies above all.
 */
export function quantile(buckets, bounds, q) {
  const total = buckets.reduce((a, b) => a + b, 0);
  if (total === 0) return NaN;
  let left = q * total;
  for (let i = 0; i < buckets.length; i++) {
    if (buckets[i] > 0 && left <= buckets[i]) {
      const low = i === 0 ? 0 : bounds[i - 1];
      const high = i < bounds.length ? bounds[i] : low;
      return low + (high - low) * (left / buckets[i]);
    }
    left -= buckets[i];
  }
  return bounds[bounds.length - 1];
}

function add(into, buckets) {
  buckets.forEach((n, i) => (into[i] = (into[i] ?? 0) + n));
  return into;
}

function byName(list) {
  return new Map((list ?? []).map((one) => [one.name, one]));
}

/** The number of an answer's statuses that are errors of the gateway or of backends. */
function failures(requests) {
  return requests["5xx"] ?? 0;
}

function hitsOf(cache) {
  return (cache.HIT ?? 0) + (cache.STALE ?? 0) + (cache.REVALIDATED ?? 0);
}

/** What happened between two statuses of one process. */
function between(now, before) {
  const seconds = now === before ? NaN : now.now - before.now;
  const bounds = now.latency_bounds ?? [];
  const old = byName(before.routes);
  const all = { requests: {}, cache: {}, latency: [], limited: 0 };
  const routes = (now.routes ?? []).map((route) => {
    const was = old.get(route.name);
    const requests = difference(route.requests, was?.requests);
    const cache = difference(route.cache, was?.cache);
    const latency = bucketsBetween(route.latency, was?.latency);
    for (const name of Object.keys(requests)) all.requests[name] = (all.requests[name] ?? 0) + requests[name];
    for (const name of Object.keys(cache)) all.cache[name] = (all.cache[name] ?? 0) + cache[name];
    add(all.latency, latency);
    const limited = (route.limited ?? 0) - (was?.limited ?? 0);
    all.limited += limited;
    const n = sum(requests);
    return {
      name: route.name,
      rate: n / seconds,
      errors: n ? failures(requests) / n : 0,
      p50: quantile(latency, bounds, 0.5),
      p95: quantile(latency, bounds, 0.95),
      p99: quantile(latency, bounds, 0.99),
      limited: limited / seconds,
      hits: sum(cache) ? hitsOf(cache) / sum(cache) : NaN,
      out: ((route.bytes_out ?? 0) - (was?.bytes_out ?? 0)) / seconds,
      total: sum(route.requests),
    };
  });
  return { seconds, bounds, all, routes };
}

export class Model {
  constructor() {
    this.status = null;
    this.window = []; // statuses of this process, oldest first
    this.restarts = 0; // seen by this page
    this.restartedAt = NaN; // Unix time
    this.view = null; // rates over the last seconds, unknown until there are two statuses; see #look
    this.ring = new Ring([
      "t", ...CLASSES, "rate", "errors", "p50", "p95", "p99", "in_flight", "connections", "overhead", "cpu",
      "memory", "hits", "restart",
    ]);
  }

  /** Take a status. True: it is of another process than the one before. */
  push(status) {
    const is_new = this.status !== null && status.instance !== this.status.instance;
    if (is_new) {
      this.restarts++;
      this.restartedAt = status.now;
      this.window.length = 0;
    }
    const before = this.window[this.window.length - 1];
    if (before && status.now - before.now < 0.05) return false; // the same moment again tells nothing
    this.status = status;
    this.window.push(status);
    while (this.window.length > 2 && (status.now - this.window[1].now >= WINDOW_S || this.window.length > WINDOW_MAX))
      this.window.shift();
    this.view = this.#look();
    this.ring.add(this.#sample(before, is_new));
    return is_new;
  }

  #look() {
    const now = this.status;
    const before = this.window[0];
    const view = between(now, before);
    const old = byName(before.backends);
    view.errors = difference(now.errors, before.errors);
    view.backends = new Map();
    for (const backend of now.backends ?? []) {
      const was = old.get(backend.name);
      const latency = bucketsBetween(backend.latency, was?.latency);
      view.backends.set(backend.name, {
        rate: latency.reduce((a, b) => a + b, 0) / view.seconds,
        p50: quantile(latency, view.bounds, 0.5),
        p99: quantile(latency, view.bounds, 0.99),
        errors: sum(difference(backend.errors, was?.errors)) / view.seconds,
        retries: ((backend.retries ?? 0) - (was?.retries ?? 0)) / view.seconds,
      });
    }
    return view;
  }

  #sample(before, is_new) {
    const now = this.status;
    const row = {
      t: now.now,
      in_flight: now.in_flight,
      connections: now.connections?.open,
      memory: now.memory?.resident,
      restart: is_new ? 1 : 0,
    };
    if (!before) return row;
    const { seconds, bounds, all } = between(now, before);
    const n = sum(all.requests);
    for (const name of CLASSES) row[name] = (all.requests[name] ?? 0) / seconds;
    const recent = this.view.all; // percentiles of one second jump about
    row.rate = n / seconds;
    row.errors = n ? failures(all.requests) / n : 0;
    row.p50 = quantile(recent.latency, bounds, 0.5);
    row.p95 = quantile(recent.latency, bounds, 0.95);
    row.p99 = quantile(recent.latency, bounds, 0.99);
    row.overhead = quantile(bucketsBetween(now.overhead, this.window[0].overhead), bounds, 0.99);
    row.cpu = (now.cpu_seconds - before.cpu_seconds) / seconds;
    row.hits = sum(recent.cache) ? hitsOf(recent.cache) / sum(recent.cache) : NaN;
    return row;
  }

  /** A breaker has changed: told before the next status is due. */
  setBreaker(news) {
    const backend = this.status?.backends?.find((b) => b.name === (news.backend ?? news.name));
    if (backend?.breaker) Object.assign(backend.breaker, news);
  }

  /** What is wrong now, worst first: [{level: "bad"|"warn", text, where}]. */
  problems() {
    const found = [];
    const s = this.status;
    const tell = (level, text, where) => found.push({ level, text, where });
    if (!s) return found;
    if (!s.ready) tell("warn", "Draining: no new connections are taken", "top");
    if (s.config_ok === false) tell("warn", "The last reload failed; the old configuration is in use", "top");
    for (const b of s.backends ?? []) backendProblems(b, tell);
    for (const w of s.workers ?? []) if (w.stalled) tell("bad", `Worker ${w.index} has stalled`, "workers");
    for (const node of s.redis?.nodes ?? []) if (!node.up) tell("bad", `Redis ${node.node} is down`, "redis");
    if (s.redis?.same_nodes === false) tell("bad", "A gateway runs with other Redis nodes", "redis");
    rateProblems(this.view, tell);
    return found.sort((a, b) => (a.level === b.level ? 0 : a.level === "bad" ? -1 : 1));
  }
}

function backendProblems(b, tell) {
  const state = b.breaker?.state ?? "off";
  if (state.includes("open")) {
    const level = state === "half_open" || state === "half-open" ? "warn" : "bad";
    tell(level, `Breaker of ${b.name} is ${state.replaceAll("_", " ")}`, "backends");
  }
  const servers = b.servers ?? [];
  const out = servers.filter((one) => one.state !== "up" && one.state !== "drained");
  if (servers.length && out.length === servers.length) tell("bad", `No server of ${b.name} is up`, "backends");
  else if (out.length) tell("warn", `${b.name}: ${out.length} of ${servers.length} servers out`, "backends");
}

function rateProblems(view, tell) {
  const n = sum(view.all.requests);
  const failed = n ? failures(view.all.requests) / n : 0;
  if (failed >= 0.01) tell(failed >= 0.05 ? "bad" : "warn", `${(failed * 100).toFixed(1)} % of requests fail`, "errors");
}

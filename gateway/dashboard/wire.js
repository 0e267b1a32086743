// wire.js: talking to the admin port: requests with the token, and streams of server-sent events.
//
// Streams are read by fetch, since EventSource cannot send the token. Whoever reads one is told when it is
// gone; nothing here retries by itself but `follow`.

const TOKEN = "tollgate.token";
const EVENT_MAX = 4 << 20; // characters; an event that is longer ends the stream
const QUIET_MS = 40000; // a stream that says nothing for so long, not even a heartbeat, is gone
const RETRY_MS = [250, 500, 1000, 2000, 4000];

export class Refusal extends Error {
  constructor(status, text) {
    super(text || `the gateway answered ${status}`);
    this.status = status;
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function setToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

function fields() {
  return token() ? { Authorization: `Bearer ${token()}` } : {};
}

/** What the gateway says is wrong, in its own words. */
async function refusal(response) {
  const text = (await response.text()).slice(0, 500).trim();
  try {
    const j = JSON.parse(text);
    return new Refusal(response.status, j.detail || j.error || j.title);
  } catch {
    return new Refusal(response.status, text);
  }
}

/** The JSON at PATH; throws Refusal, or what fetch throws. */
export async function ask(path, { method = "GET", timeout = 10000 } = {}) {
  const signal = AbortSignal.timeout(timeout);
  const response = await fetch(path, { method, headers: fields(), signal, cache: "no-store", redirect: "error" });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** Change something; parameters that are undefined are left out. */
export function change(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, value);
  return ask(`${path}?${query}`, { method: "POST", timeout: 30000 });
}

/** Splits text into events (WHATWG HTML, 9.2.6), given piece by piece. */
export class Events {
  constructor(take) {
    this.take = take;
    this.held = "";
    this.type = "";
    this.data = [];
  }

  feed(text) {
    const lines = (this.held + text).split(/\r\n|\n|\r(?!$)/);
    this.held = lines.pop();
    for (const line of lines) this.#line(line);
    if (this.held.length > EVENT_MAX) throw new Error("an event is too long");
  }

  #line(line) {
    if (line === "") {
      if (this.data.length) this.take(this.type || "message", this.data.join("\n"));
      this.type = "";
      this.data = [];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.type = value;
    if (name === "data") this.data.push(value);
  }
}

/** Read the stream at PATH until it ends or SIGNAL is given. `open` is called once it is there. */
async function read(path, { open, take, signal, quiet = QUIET_MS }) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), quiet);
  try {
    const headers = { ...fields(), Accept: "text/event-stream" };
    const response = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.any([signal, silence.signal]) });
    if (!response.ok) throw await refusal(response);
    open();
    const events = new Events(take);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), quiet);
      events.feed(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });

/**
 * Follow the stream at PATH, again and again with growing pauses, until SIGNAL. `open()` at each beginning,
 * `take(type, data)` for each event, `lost(error)` when it ended. `lost` gives false to give up. `quiet`: after
 * so many milliseconds of silence it counts as ended.
 */
export async function follow(path, { open, take, lost, signal, quiet }) {
  for (let tries = 0; !signal.aborted; tries++) {
    let error = null;
    const opened = () => ((tries = 0), open());
    try {
      await read(path, { open: opened, take, signal, quiet });
    } catch (e) {
      error = e;
    }
    if (signal.aborted || lost(error) === false) return;
    const ms = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
    await pause(ms * (0.75 + Math.random() / 2), signal);
  }
}

// app.js: the dashboard. It follows the gateway's status and hands each one to the parts of the page.
//
//     GET /events?every=1s    a status each second, and breakers at once; where that is missing, GET /status is asked
//     GET /log                log.js
//     GET /traces             traces.js
//
// A gateway that goes away is looked for again with growing pauses. Another process in its place (another
// "instance") begins with fresh baselines; the charts keep what they have.

import { forgetColours, redraw } from "/dashboard/chart.js";
import { $, announce, put, setAttribute } from "/dashboard/dom.js";
import { Backends } from "/dashboard/backends.js";
import { Log } from "/dashboard/log.js";
import { Model } from "/dashboard/model.js";
import { Overview } from "/dashboard/overview.js";
import { Routes } from "/dashboard/routes.js";
import { Stores } from "/dashboard/stores.js";
import { RequestDialog, Traces } from "/dashboard/traces.js";
import { ask, change, follow, setToken, token } from "/dashboard/wire.js";

const EVERY = "1s";
const POLL_MS = 1000;
const QUIET_MS = 6000; // a status is due each second
const RESTART_SHOWN_S = 15;
const THEME = "tollgate.theme";

const model = new Model();
const overview = new Overview(model);
const backends = new Backends(model, write);
const routes = new Routes(model);
const stores = new Stores(model, write);
const dialog = new RequestDialog();
const log = new Log((line) => dialog.open(line), wantToken);
const traces = new Traces((trace) => dialog.open(trace), wantToken);

let mayWrite = true; // until the gateway says otherwise
let stop = new AbortController();

// ---- what comes in ----

/** Take a status, from wherever it comes. */
function feed(status) {
  const is_restart = model.push(status);
  if (is_restart) overview.tell("Gateway: restarted");
  document.body.classList.remove("waiting");
  for (const part of [overview, backends, routes, stores]) part.show();
  showRights();
}

function isRestarted() {
  return model.status && model.status.now - model.restartedAt < RESTART_SHOWN_S;
}

function take(type, data) {
  const news = JSON.parse(data);
  if (type === "status") {
    feed(news);
    overview.connection(isRestarted() ? "restarted" : "live");
  }
  if (type === "breaker" && model.status) {
    model.setBreaker(news);
    overview.show();
    backends.show();
  }
}

async function poll(signal) {
  for (let failures = 0; !signal.aborted; ) {
    const instance = model.status?.instance;
    try {
      feed(await ask("/status"));
      failures = 0;
      overview.connection(isRestarted() ? "restarted" : "polling");
      if (instance && instance !== model.status.instance) return start(); // this one may have the stream
    } catch (error) {
      if (error.status === 401 || error.status === 403) return refuse(error);
      failures++;
      overview.connection("reconnecting");
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * Math.min(1 + failures, 4)));
  }
}

/** The stream of statuses has ended; false: do not try again. */
function lost(error, signal) {
  if (error?.status === 401 || error?.status === 403) return refuse(error);
  if (error?.status === 404) {
    poll(signal);
    return false;
  }
  overview.connection("reconnecting");
  return true;
}

function start() {
  stop.abort();
  stop = new AbortController();
  const { signal } = stop;
  follow(`/events?every=${EVERY}`, { open() {}, take, lost: (error) => lost(error, signal), signal, quiet: QUIET_MS });
}

/** Learn what the token allows, rather than try. A gateway that does not tell is tried. */
async function learnRights() {
  try {
    mayWrite = (await ask("/access")).may_write !== false;
  } catch {
    mayWrite = true;
  }
  showRights();
}

function startAll() {
  start();
  learnRights();
  log.restart();
  traces.load();
}

// ---- rights ----

function refuse(error) {
  overview.connection("refused");
  if (error.status === 401) wantToken();
  else announce(error.message, "bad");
  return false;
}

/** Buttons that change something are not for those who may only read. */
function showRights() {
  for (const button of document.querySelectorAll("button.write")) {
    button.disabled = !mayWrite;
    if (mayWrite) button.removeAttribute("title");
    else setAttribute(button, "title", "This token may only read");
  }
}

/** Change something. Gives the answer, or null when it did not work, which was told then. */
async function write(path, parameters) {
  try {
    return await change(path, parameters);
  } catch (error) {
    if (error.status === 401) wantToken();
    if (error.status === 403) {
      mayWrite = false;
      showRights();
    }
    announce(error.status ? `Refused: ${error.message}` : `It did not get through: ${error.message}`, "bad");
    return null;
  }
}

function wantToken() {
  if ($("token-dialog").open) return;
  put($("token-text"), token()
    ? "The gateway does not take the token of this tab. Another one?"
    : "The admin port wants its token. It is kept in this tab only.");
  $("token-input").value = "";
  $("token-dialog").showModal();
}

function useToken(text) {
  setToken(text);
  $("token-dialog").close();
  startAll();
}

// ---- controls ----

function showTheme(theme) {
  const label = { auto: "Auto", light: "Light", dark: "Dark" }[theme];
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  put($("theme"), label);
  setAttribute($("theme"), "aria-label", `Colours: ${theme === "auto" ? "as the system" : theme}`);
  forgetColours();
}

function wireControls() {
  const themes = ["auto", "light", "dark"];
  const themeNow = () => (themes.includes(localStorage.getItem(THEME)) ? localStorage.getItem(THEME) : "auto");
  $("theme").addEventListener("click", () => {
    localStorage.setItem(THEME, themes[(themes.indexOf(themeNow()) + 1) % themes.length]);
    showTheme(themeNow());
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forgetColours);
  showTheme(themeNow());

  $("token").addEventListener("click", wantToken);
  $("token-forget").addEventListener("click", () => useToken(""));
  $("token-dialog").querySelector("form").addEventListener("submit", (e) => {
    e.preventDefault();
    useToken($("token-input").value.trim());
  });
  $("confirm-no").addEventListener("click", () => $("confirm").close(""));
  $("confirm").querySelector("form").addEventListener("submit", (e) => {
    e.preventDefault();
    $("confirm").close("yes");
  });
  new ResizeObserver(redraw).observe($("main"));
}

wireControls();
startAll();

/** Hear no more of the gateway. */
function pause() {
  stop.abort();
  log.stop.abort();
}

// For whoever looks at the page from outside: feed is what the stream calls.
globalThis.tollgate = { feed, model, pause };

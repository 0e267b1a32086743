"""The dashboard in a real browser, on real gateways with real backends.

    dashboard.py BINARY [TEST ...]

PICTURES=DIR in the environment: pictures of the page are put there.

Ends with a line of counts.
"""

import json
import os
import sys
import tempfile
import threading

from browser import Tabs
from harness import HOST, WAIT, Client, Gateway, Process, Redis, free_port, http, redis_conf, run, wait_for

PICTURES = os.environ.get("PICTURES")
PATHS = ["/api/users/%d", "/people/%d", "/orders/%d?ms=4", "/limited/%d", "/api/users/%d?status=404"]
READ, WRITE = "only-for-reading-0123", "for-everything-01234567"

ROUTES = """
route "/api/users/" { backend = users }
route "/people/" { backend = users  cache { ttl = 10s } }
route "/orders/" { backend = orders }
route "/limited/" { backend = orders  limit { rate = 5/s } }
"""


class Backend(Process):
    """`tollgate demo`, on a port that stays its own."""

    def __init__(self, binary, name):
        self.binary, self.name, self.port = binary, name, free_port()
        self.log = open(os.devnull, "w", encoding="ascii")
        self.start()

    def start(self):
        self.spawn([self.binary, "demo", "--listen", "127.0.0.1:%d" % self.port, "--name", self.name])
        wait_for(self.answers, "the backend " + self.name)

    def answers(self):
        try:
            return http(self.port, "GET", "/").status == 200
        except OSError:
            return False

    def stop(self):
        if self.is_running():
            self.kill()
        self.log.close()


class Gate(Gateway):
    """A gateway that can be started again on its ports. ADMIN: what stands in its section."""

    def __init__(self, binary, conf, admin=""):
        self.binary, self.port, self.admin = binary, free_port(), free_port()
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "gw.conf")
        with open(self.path, "w", encoding="ascii") as f:
            f.write(f'workers = 2\nlisten "127.0.0.1:{self.port}" {{}}\nadmin "127.0.0.1:{self.admin}" {{ {admin} }}\n'
                    f'log {{ access = off }}\ndrain_timeout = 1s\ntracing {{ sample = 100% }}\n{conf}')
        self.log = open(os.path.join(self.dir.name, "log"), "a+", encoding="utf-8", errors="replace")
        self.start()

    def start(self):
        self.spawn([self.binary, "-c", self.path])
        self.wait()


class Load:
    """Requests by turns to all PATHS, as fast as RATE a second, until it ends."""

    def __init__(self, port, rate=60):
        self.port, self.pause, self.over = port, 1 / rate, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        client, n = None, 0
        while not self.over.wait(self.pause):
            n += 1
            try:
                client = client or Client(self.port, WAIT)
                client.send("GET", PATHS[n % len(PATHS)] % (n % 20), (), host="h.example")
                client.receive()
            except (OSError, EOFError):
                client = None

    def stop(self):
        self.over.set()
        self.thread.join(WAIT)


def ask_admin(gate, path, *fields):
    """The admin port answers to the names of this machine alone."""
    client = Client(gate.admin, WAIT)
    try:
        client.send("GET", path, fields, host="127.0.0.1:%d" % gate.admin)
        return client.receive()
    finally:
        client.close()


class Scene:
    """Two backends, a gateway and the load on it."""

    def __init__(self, binary, admin="", nodes=0, load=True):
        self.users, self.orders = Backend(binary, "users"), Backend(binary, "orders")
        self.nodes = [Redis() for _ in range(nodes)]
        share = "share = open" if nodes else ""
        self.conf = ((redis_conf([n.port for n in self.nodes]) if nodes else "") +
                     f'backend "users" {{ server "http://127.0.0.1:{self.users.port}" {{}}  retry {{ attempts = 1 }}\n'
                     f'  eject {{ failures = 0 }}  breaker {{ consecutive = 5  open_for = 60s  {share} }} }}\n'
                     f'backend "orders" {{ server "http://127.0.0.1:{self.orders.port}" {{}}\n'
                     f'  server "http://localhost:{self.orders.port}" {{ weight = 2 }} }}\n{ROUTES}')
        self.gate = Gate(binary, self.conf, admin)
        self.load = Load(self.gate.port) if load else None

    @property
    def url(self):
        return "http://127.0.0.1:%d/" % self.gate.admin

    def see(self, path, token=None):
        return json.loads(ask_admin(self.gate, path, *(["Authorization: Bearer " + token] if token else [])).body)

    def breaker(self, backend="users"):
        return next(b["state"] for b in self.see("/breakers") if b["backend"] == backend)

    def servers(self, backend="orders"):
        return [s for s in self.see("/servers") if s["backend"] == backend]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.load:
            self.load.stop()
        try:
            self.gate.stop()
        finally:
            for one in [self.users, self.orders, *self.nodes]:
                one.stop()


def picture(page, name, whole=False):
    if PICTURES:
        os.makedirs(PICTURES, exist_ok=True)
        page.picture(os.path.join(PICTURES, name + ".png"), whole)


def open_page(browser, scene, **view):
    """The page, once it shows what comes in."""
    page = browser.open(scene.url, **view)
    page.wait_text("#connection", "live")
    page.wait_text("#routes-rows", "/api/users/")
    return page


def accept(page, verb):
    """Answer the question that is asked now."""
    page.wait("document.getElementById('confirm').open", "a question")
    page.wait_text("#confirm-yes", verb)
    page.click("#confirm-yes")


def button(backend, label):
    return f'button[aria-label="{label} the breaker of {backend}"]'


# ---- without a browser -----------------------------------------------------------------------------------------------


def test_files(binary):
    """The page is given without a token, may load nothing from elsewhere, and is not sent again to who has it."""
    with Scene(binary, f'token = "{WRITE}"', load=False) as scene:
        got = ask_admin(scene.gate, "/")
        assert got.status == 200 and b"<title>Tollgate</title>" in got.body
        policy = got.get("Content-Security-Policy")
        for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
                     "img-src 'self' data:", "frame-ancestors 'none'"):
            assert part in policy, policy
        assert got.get("X-Content-Type-Options") == "nosniff"
        again = ask_admin(scene.gate, "/", "If-None-Match: " + got.get("ETag"))
        assert again.status == 304 and not again.body
        assert ask_admin(scene.gate, "/dashboard/app.js").get("Content-Type").startswith("text/javascript")
        assert ask_admin(scene.gate, "/dashboard/none.js").status == 404
        assert ask_admin(scene.gate, "/status").status == 401


# ---- what is shown ---------------------------------------------------------------------------------------------------


def test_shown(binary):
    """Every part of the page has what the gateway tells, it moves, and nothing of the layout jumps."""
    with Scene(binary, nodes=2) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        for selector, part in [
                ("#ready", "ready"), ("#version", scene.see("/status")["version"]), ("#uptime", "up "),
                ("#backends-list", "users"), ("#backends-list", "127.0.0.1:%d" % scene.orders.port),
                ("#routes-rows", "/limited/"), ("#refused-rows", "/limited/"), ("#cache-facts", "Objects"),
                ("#redis-rows", scene.nodes[1].name), ("#redis-rows", "%.1f %%" % (100 * scene.see("/redis")["nodes"][1]["share"])), ("#workers-rows", "fine"), ("#errors-rows", "limited"),
                ("#log-rows", "/people/"), ("#log-rows", "429")]:
            page.wait_text(selector, part)
        page.wait("parseFloat(document.getElementById('tile-rate').textContent) > 10", "the rate of the load")
        page.wait("parseFloat(document.getElementById('tile-p99').textContent) > 0", "a latency")
        page.wait("parseFloat(document.getElementById('cache-hits').textContent) > 50", "hits of the cache")
        old = page.run("tollgate.model.ring.n")
        page.wait(f"tollgate.model.ring.n >= {old + 3}", "new samples")
        for canvas in ("rate-chart", "latency-chart", "cache-chart", "redis-ring"):
            page.wait(f"""(() => {{ const c = document.getElementById("{canvas}");
                const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                return new Set(new Uint32Array(d.buffer)).size > 4; }})()""", "a drawing in " + canvas)
        page.run("""globalThis.jumps = 0; new PerformanceObserver((list) => { for (const e of list.getEntries())
            if (!e.hadRecentInput) jumps += e.value; }).observe({type: "layout-shift", buffered: true}); 0""")
        scene.nodes[0].kill()
        page.wait_text("#verdict", "Redis %s is down" % scene.nodes[0].name)
        page.wait_text("#changes", "down")
        page.wait("jumps >= 0", "the count of jumps")
        assert page.run("jumps") < 0.1, page.run("jumps")
        assert page.problems == []


def test_breaker(binary):
    """A breaker that opens is seen within a second of the gateway's own knowledge, and closes again in sight."""
    with Scene(binary) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.wait_text("#breaker-users", "closed")
        page.wait_text("#verdict-title", "All is well")
        scene.users.kill()
        wait_for(lambda: scene.breaker() == "open", "the breaker opens")
        page.wait_text("#breaker-users", "open", deadline=1 if WAIT == 10 else 5)
        page.wait_text("#verdict", "Breaker of users is open")
        page.wait_text("#errors-rows", "breaker open")
        page.wait_text("#changes", "Breaker of users: open")
        page.wait("document.title.startsWith('✕')", "the title tells it")
        picture(page, "breaker")
        scene.users.start()
        page.click(button("users", "Force closed"))
        accept(page, "Force closed")
        page.wait_text("#breaker-users", "forced closed")
        wait_for(lambda: scene.breaker() == "forced closed", "the gateway does as told")
        assert page.problems == []


def test_a_fleet(binary):
    """A breaker that opens in one gateway under load is seen on the page of another one that shares it."""
    with Scene(binary, nodes=3, load=False) as scene, Tabs() as browser:
        other = Gate(binary, scene.conf)
        load = Load(other.port, rate=200)
        try:
            page = open_page(browser, scene)
            page.wait_text("#redis", "2 gateways")
            page.wait_text("#breaker-users", "closed")
            scene.users.kill()
            wait_for(lambda: scene.breaker() == "open", "the breaker opens here, too")
            page.wait_text("#breaker-users", "open", deadline=1 if WAIT == 10 else 5)
            assert page.problems == []
        finally:
            load.stop()
            other.stop()


# ---- what is changed -------------------------------------------------------------------------------------------------


def test_force(binary):
    """Open, closed and auto reach the gateway when they are meant, and not when the question is answered no."""
    with Scene(binary) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.click(button("users", "Force open"))
        page.wait("document.getElementById('confirm').open", "a question")
        page.click("#confirm-no")
        page.wait("!document.getElementById('confirm').open", "it goes away")
        assert scene.breaker() == "closed"
        for label, verb, state in [("Force open", "Force open", "forced open"), ("Auto", "Let go", "closed"),
                                   ("Force closed", "Force closed", "forced closed")]:
            page.click(button("users", label))
            accept(page, verb)
            page.wait_text("#told", "The breaker of users is")
            wait_for(lambda state=state: scene.breaker() == state, "the breaker is " + state)
            page.wait_text("#breaker-users", state)
        assert page.run(f"document.querySelector('{button('users', 'Force closed')}').ariaPressed") == "true"
        assert page.problems == []


def test_servers(binary):
    """A server is drained and weighed."""
    with Scene(binary) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        server = "127.0.0.1:%d" % scene.users.port
        page.click(f'button[aria-label="Drain {server}"]')
        accept(page, "Drain")
        wait_for(lambda: scene.servers("users")[0]["state"] == "drained", "it drains")
        page.wait(f"""!!document.querySelector('button[aria-label="Undrain {server}"]')""", "the button turns round")
        page.click(f'button[aria-label="Undrain {server}"]')
        accept(page, "Undrain")
        wait_for(lambda: scene.servers("users")[0]["state"] == "up", "it is back")
        page.click(f'button[aria-label="Weight of {server}"]')
        page.wait("document.getElementById('confirm').open", "a question")
        page.fill("#confirm-input", "7")
        accept(page, "Set")
        wait_for(lambda: scene.servers("users")[0]["weight"] == 7, "it has the weight")
        page.wait_text("#told", "weight 7")
        assert page.problems == []


def test_purge(binary):
    """By URL, by tag and everything; a mistake is told."""
    with Scene(binary, load=False) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        stored = [http(scene.gate.port, "GET", "/people/%d" % i) for i in range(5)]
        assert scene.see("/cache")["objects"] == len(stored)
        page.click("#purge button")
        page.wait_text("#told", "A URL is wanted")
        page.fill("#purge-what", "http://%s/people/3" % HOST)
        page.click("#purge button")
        accept(page, "Purge")
        page.wait_text("#told", "Purged 1 object.")
        assert scene.see("/cache")["objects"] == 4
        page.run("document.getElementById('purge-kind').value = 'all';"
                 "document.getElementById('purge-kind').dispatchEvent(new Event('change'))")
        page.click("#purge button")
        accept(page, "Purge")
        page.wait_text("#told", "Purged 4 objects.")
        assert scene.see("/cache")["objects"] == 0
        assert page.problems == []


def test_tokens(binary):
    """The page asks for the token, tells when it is none, and offers nothing that the token does not allow."""
    with Scene(binary, f'token = "{WRITE}"  read_token = "{READ}"') as scene, Tabs() as browser:
        page = browser.open(scene.url)
        force = f"document.querySelector('{button('users', 'Force open')}')"

        def give(token):
            page.wait("document.getElementById('token-dialog')?.open", "the token is asked for")
            page.fill("#token-input", token)
            page.click("#token-dialog button.primary")

        give("this-is-not-the-token")
        page.wait_text("#token-text", "does not take the token")
        give(READ)
        page.wait_text("#connection", "live")
        page.wait(f"{force}?.disabled", "buttons are not for readers")
        page.wait_text("#log-rows", "/orders/")
        assert page.run("document.querySelector('#purge button').disabled")
        page.click("#token")
        give(WRITE)
        page.wait(f"{force}?.disabled === false", "buttons are for writers")
        page.click(button("users", "Force open"))
        accept(page, "Force open")
        page.wait_text("#breaker-users", "forced open")
        assert page.run("sessionStorage.length") == 1 and WRITE not in page.run("document.documentElement.outerHTML")
        assert page.problems == []


# ---- the log ---------------------------------------------------------------------------------------------------------


def test_log(binary):
    """The log is filtered and paused, and what a client sends is text, whatever it holds."""
    with Scene(binary, load=False) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.wait_text("#log-state", "live")
        hostile = "/api/users/<img/src=x/onerror=document.title='taken'>"
        http(scene.gate.port, "GET", hostile)
        page.wait_text("#log-rows", "<img/src=x/onerror=")
        assert page.run("document.querySelectorAll('main img, main script').length") == 0
        assert "taken" not in page.run("document.title")
        page.fill("#log-status", "404")
        page.click("#log-filter button[type=submit]")
        page.wait_text("#log-none", "No line yet.")
        page.wait_text("#log-state", "live")
        http(scene.gate.port, "GET", "/api/users/1")
        http(scene.gate.port, "GET", "/api/users/2?status=404")
        page.wait_text("#log-rows", "/api/users/2")
        assert "/api/users/1" not in page.text("#log-rows")
        page.click("#log-pause")
        page.wait_text("#log-state", "paused")
        http(scene.gate.port, "GET", "/api/users/3?status=404")
        page.wait_text("#log-state", "1 passed by")
        assert "/api/users/3" not in page.text("#log-rows")
        page.click("#log-pause")
        page.click("#log-rows button.line")
        page.wait("document.getElementById('request-dialog').open", "the request is shown")
        page.wait_text("#request-title", "/api/users/2")
        page.wait_text("#request-facts", "404")
        picture(page, "request")
        page.key("Escape")
        page.wait("!document.getElementById('request-dialog').open", "it is closed")
        assert page.problems == []


def filter_traces(page, text):
    page.fill("#traces-filter", text)
    page.click("#traces-filter-form button")


def test_trace(binary):
    """A request's spans are seen as a waterfall: from a line of the log, and from the list of traces."""
    with Scene(binary, load=False) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.wait_text("#log-state", "live")
        http(scene.gate.port, "GET", "/orders/7?ms=30")
        page.wait_text("#log-rows", "/orders/7")
        line = page.run("document.querySelector('#log-rows button.line').textContent")
        assert line == "GET /orders/7", line
        page.click("#log-rows button.line")
        page.wait("document.querySelectorAll('#waterfall .span').length > 2", "spans")
        spans = scene.see("/traces/" + scene.see("/traces")[0]["trace_id"])["spans"]
        assert page.run("document.querySelectorAll('#waterfall .span').length") == len(spans)
        assert page.run("""[...document.querySelectorAll('#waterfall .bar')].every((b) =>
            b.getBoundingClientRect().left >= b.parentElement.getBoundingClientRect().left - 1 &&
            b.getBoundingClientRect().right <= b.parentElement.getBoundingClientRect().right + 3)"""), "bars lie in their tracks"
        page.click("#waterfall [role=listitem]:last-child .span")
        page.wait_text("#span-facts", spans[-1]["name"] if len(spans) == 1 else "took")
        picture(page, "waterfall")
        page.click("#request-close")
        page.click("#traces-filter-form button")
        page.wait_text("#traces-rows", "/orders/7")
        filter_traces(page, "0000000000")
        page.wait("!document.querySelector('#traces-none').hidden && !document.querySelector('#traces-rows button')", "no trace")
        filter_traces(page, "")
        page.wait_text("#traces-rows", "/orders/7")
        page.click("#traces-rows button.line")
        page.wait("document.querySelectorAll('#waterfall .span').length > 2", "spans again")
        assert page.problems == []


def test_an_answer_that_comes_late(binary):
    """The list of traces shows what was asked for last, whichever answer comes last."""
    with Scene(binary, load=False) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        http(scene.gate.port, "GET", "/orders/7?ms=30")
        wait_for(lambda: scene.see("/traces"), "the trace is kept")
        page.run("""globalThis.answers = []; globalThis.fetch = ((real) => async (url, options) => {
            const answer = await real(url, options);
            if (String(url).includes("0000000000")) await new Promise((go) => { globalThis.release = go; });
            if (String(url).includes("/traces?")) answers.push(url);
            return answer; })(fetch); 0""")
        filter_traces(page, "0000000000")
        page.wait("typeof release === 'function'", "the first answer is held back")
        filter_traces(page, "")
        page.wait_text("#traces-rows", "/orders/7")
        page.run("""globalThis.wasEmpty = false; new MutationObserver(() => {
            wasEmpty ||= !document.querySelector("#traces-rows button"); }).observe(
            document.getElementById("traces-rows"), {childList: true}); answers.length = 0; release(); 0""")
        page.click("#traces-filter-form button")
        page.wait("answers.length >= 2", "the late answer, and one more")
        page.wait_text("#traces-rows", "/orders/7")
        assert page.run("wasEmpty") is False
        assert page.problems == []


def test_filter_that_is_none(binary):
    """A filter that the gateway does not understand is told, and the next one works."""
    with Scene(binary, load=False) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.fill("#log-status", "many")
        page.click("#log-filter button[type=submit]")
        page.wait_text("#log-state", "no such filter")
        page.fill("#log-status", "")
        page.click("#log-filter button[type=submit]")
        page.wait_text("#log-state", "live")
        assert page.problems == []


# ---- for a long time -------------------------------------------------------------------------------------------------


def test_restart(binary):
    """The gateway crashes and comes back as another process: the page says so, goes on, and rates make sense."""
    with Scene(binary) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.wait("tollgate.model.ring.n > 3", "some history")
        first = page.run("tollgate.model.status.instance")
        scene.gate.kill()
        page.wait_text("#connection", "reconnecting")
        scene.gate.start()
        page.wait_text("#connection", "restarted")
        page.wait_text("#changes", "Gateway: restarted")
        assert page.run("tollgate.model.status.instance") != first
        page.wait("tollgate.model.window.length > 2", "new statuses")
        rates = page.run("[...tollgate.model.ring.columns.get('rate')].filter((n) => !(n >= 0 || Number.isNaN(n)) || n > 5000)")
        assert rates == [], rates
        below = page.run("[...tollgate.model.ring.columns.get('cpu')].filter((n) => n < 0)")
        assert below == [], "counters of two processes were compared: %s" % below
        page.wait_text("#log-state", "live")
        page.wait_text("#log-rows", "/people/")
        assert page.problems == []


HOUR = """(async () => {
    const last = tollgate.model.status, rows = ROWS;
    for (let i = 1; i <= rows; i++) {
        const s = structuredClone(last);
        s.now = last.now + FROM + i;
        for (const r of s.routes) {
            for (const k of Object.keys(r.requests)) r.requests[k] += (FROM + i) * 40;
            r.latency.buckets = r.latency.buckets.map((n, k) => n + (FROM + i) * (k % 7));
        }
        s.errors.connect_failed = (s.errors.connect_failed ?? 0) + FROM + i;
        s.backends[0].breaker.state = i % 10 ? "closed" : "open";
        tollgate.feed(s);
        if (i % 100 === 0) await new Promise(requestAnimationFrame);
    }
    return rows; })()"""


def test_an_hour(binary):
    """3,600 statuses through the function that the stream calls: neither memory nor the page grows."""
    with Scene(binary, load=False) as scene, Tabs() as browser:
        http(scene.gate.port, "GET", "/people/1")
        page = open_page(browser, scene)
        page.run("tollgate.pause()")  # only these statuses come
        assert page.run(HOUR.replace("FROM", "0").replace("ROWS", "3600")) == 3600  # the rings are full, the code is warm
        heap, nodes = page.heap()
        assert page.run(HOUR.replace("FROM", "3600").replace("ROWS", "3600")) == 3600
        heap_after, nodes_after = page.heap()
        assert page.run("tollgate.model.ring.length") == 600
        assert nodes_after == nodes, (nodes, nodes_after)
        assert heap_after < heap * 1.05, (heap, heap_after)
        assert page.problems == []
        return "heap %.2f MB, then %.2f MB; %d elements" % (heap / 1e6, heap_after / 1e6, nodes)


# ---- for everybody ---------------------------------------------------------------------------------------------------

CONTRAST = """(() => {
    const rgba = (t) => { const m = t.match(/[\\d.]+/g).map(Number); return [...m.slice(0, 3), m[3] ?? 1]; };
    const light = (c) => { const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
    const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
        if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
    const bad = [];
    let n = 0;
    for (const e of document.querySelectorAll("body *")) {
        const own = [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
        if (!own || !e.checkVisibility({visibilityProperty: true}) || e.closest(":disabled, .skip, .told")) continue;
        const s = getComputedStyle(e), a = light(rgba(s.color)), b = light(ground(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        const large = parseFloat(s.fontSize) >= 24 || (parseFloat(s.fontSize) >= 18.6 && s.fontWeight >= 700);
        n++;
        if (ratio < (large ? 3 : 4.5)) bad.push(`${e.tagName}.${e.className} "${e.textContent.slice(0, 20)}" ${ratio.toFixed(2)}`);
    }
    return [n, [...new Set(bad)]]; })()"""

NAMES = """(() => {
    const bad = [], ids = new Set();
    for (const e of document.querySelectorAll("button, input, select, canvas, dialog, section, nav, [role=region], a")) {
        const by = (e.getAttribute("aria-labelledby") ?? "").split(" ").map((i) => document.getElementById(i)?.textContent ?? "").join("");
        const name = e.ariaLabel || by || [...(e.labels ?? [])].map((l) => l.textContent.trim()).join("") ||
            (["BUTTON", "A"].includes(e.tagName) ? e.textContent.trim() : "");
        if (!name && e.ariaHidden !== "true" && e.tagName !== "INPUT" || e.tagName === "INPUT" && !name) bad.push("no name: " + e.outerHTML.slice(0, 90));
    }
    for (const e of document.querySelectorAll("[id]")) { if (ids.has(e.id)) bad.push("twice: " + e.id); ids.add(e.id); }
    for (const e of document.querySelectorAll("th:not([scope])")) bad.push("no scope: " + e.textContent);
    for (const e of document.querySelectorAll("[onclick], [style*=url], script:not([src])")) bad.push("inline: " + e.outerHTML.slice(0, 90));
    if (!document.documentElement.lang || !document.querySelector("main") || document.querySelectorAll("h1").length !== 1) bad.push("frame");
    return bad; })()"""


def test_looks(binary):
    """Light, dark and on a phone: contrast, names, sizes; nothing wider than the screen; no motion where none is wanted."""
    with Scene(binary, nodes=3) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.wait("tollgate.model.ring.n > 5", "some history")
        page.wait_text("#log-rows", "429")
        scene.users.kill()
        page.wait_text("#verdict", "Breaker of users is open")
        for name, dark in [("light", False), ("dark", True)]:
            page.prefer(dark=dark)
            n, bad = page.run(CONTRAST)
            assert n > 100 and bad == [], (name, bad)
            picture(page, name)
            picture(page, name + "-whole", True)
        assert page.run(NAMES) == []
        page.click("#theme")
        assert page.run("[getComputedStyle(document.body).colorScheme, document.getElementById('theme').textContent]") == ["light", "Light"]
        page.click("#theme")
        page.click("#theme")
        page.resize(390, 844, mobile=True)
        assert page.run("document.documentElement.scrollWidth") <= 390
        small = page.run("""[...document.querySelectorAll("button, input:not([type=checkbox]), select, nav a")].filter((e) => e.checkVisibility() &&
            e.getBoundingClientRect().height < 24).map((e) => e.outerHTML.slice(0, 80))""")
        assert small == [], small
        picture(page, "phone")
        picture(page, "phone-whole", True)
        page.prefer(still=True)
        assert page.run("[getComputedStyle(document.documentElement).scrollBehavior, getComputedStyle(document.getElementById('told')).transitionDuration]") == ["auto", "0s"]
        assert page.problems == []


def test_keyboard(binary):
    """Without a mouse: past the head by the first link, to a button and through its question; and along the log."""
    with Scene(binary) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        page.wait_text("#log-rows", "/people/")
        focused = "document.activeElement"
        page.key("Tab")
        assert page.run(f"{focused}.className") == "skip"
        ring = page.run(f"getComputedStyle({focused}).outlineStyle")
        assert ring != "none", "the focus is seen"
        page.key("Enter")
        page.wait(f"{focused}.id === 'main'", "the main part has the focus")
        for _ in range(30):
            page.key("Tab")
            if page.run(f"{focused}.ariaLabel") == "Force open the breaker of users":
                break
        assert page.run(f"{focused}.ariaLabel") == "Force open the breaker of users"
        page.key("Enter")
        page.wait(f"{focused}.id === 'confirm-no'", "the harmless button has the focus")
        page.key("Escape")
        page.wait(f"{focused}.ariaLabel === 'Force open the breaker of users'", "the focus is back")
        page.key("Enter")
        page.wait(f"{focused}.id === 'confirm-no'", "the question again")
        page.key("Tab")
        page.key("Enter")
        wait_for(lambda: scene.breaker() == "forced open", "the gateway does as told")
        page.run("document.querySelector('#log-rows button.line').focus()")
        page.wait_text("#log-state", "held while you look")
        page.key("ArrowDown")
        assert page.run(f"[...document.querySelectorAll('#log-rows button.line')].indexOf({focused})") == 1
        page.key("Enter")
        page.wait("document.getElementById('request-dialog').open", "the request is shown")
        assert page.problems == []


def test_routes(binary):
    """Sorted by what is clicked, both ways, and filtered."""
    with Scene(binary) as scene, Tabs() as browser:
        page = open_page(browser, scene)
        names = "[...document.querySelectorAll('#routes-rows th')].map((e) => e.textContent)"
        page.wait(f"{names}.length === 4", "all routes")
        page.click("#routes-head th:first-child button")
        assert page.run(names) == ["/api/users/", "/limited/", "/orders/", "/people/"]
        page.click("#routes-head th:first-child button")
        assert page.run(names) == ["/people/", "/orders/", "/limited/", "/api/users/"]
        assert page.run("document.querySelector('#routes-head th').ariaSort") == "descending"
        page.fill("#routes-filter", "ORD")
        assert page.run(names) == ["/orders/"]
        page.wait_text("#routes-sum", "1 of 4 routes")
        assert page.problems == []


if __name__ == "__main__":
    run(globals())

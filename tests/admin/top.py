"""`tollgate top` beside a real gateway: its rates are those of the traffic, and its screen obeys keys, sizes and restarts.

    top.py BINARY

The screen is looked at in a terminal of tmux. Ends with a line of counts.
"""

import http.client
import http.server
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

failures = []


def check(name, good, seen=""):
    print(f"{'ok    ' if good else 'FAILED'}  {name} {seen if not good else ''}")
    if not good:
        failures.append(name)


def wait(condition, name, seconds=20):
    """CONDITION gives what it saw when it holds; otherwise it is asked again."""
    end = time.monotonic() + seconds
    while not (good := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    check(name, good)
    return good


class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(503 if "bad" in self.path else 200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * 100)

    def log_message(self, *_):
        pass


def free_ports(n):
    servers = [http.server.HTTPServer(("127.0.0.1", 0), None) for _ in range(n)]
    ports = [server.server_address[1] for server in servers]
    for server in servers:
        server.server_close()
    return ports


class Gateway:
    def __init__(self, binary, directory, backend):
        self.binary = binary
        self.conf = f"{directory}/gw.conf"
        self.port, self.admin, dead = free_ports(3)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f'''workers = 2
listen "127.0.0.1:{self.port}" {{}}
admin "127.0.0.1:{self.admin}" {{ token = "sesame" }}
log {{ access = off error = "{directory}/error.log" }}
backend "good" {{ server "http://127.0.0.1:{backend}" {{}} }}
backend "dead" {{ server "http://127.0.0.1:{dead}" {{}} breaker {{ min_requests = 5 open_for = 5m }} }}
route "/" {{ backend = good }}
route "/cached/" {{ backend = good cache {{ ttl = 1m }} }}
route "/dead/" {{ backend = dead }}
route "/tight/" {{ backend = good limit {{ rate = "1/h" }} }}
''')
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen([self.binary, "-c", self.conf], stdin=subprocess.DEVNULL)
        wait(lambda: self.status() is not None, "the gateway started")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(20)

    def ask(self, port, path, token=None):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            c.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = c.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            c.close()

    def status(self):
        status, body = self.ask(self.admin, "/status", "sesame")
        return json.loads(body) if status == 200 else None

    def get(self, path, n=1):
        return [self.ask(self.port, path)[0] for _ in range(n)]


def counted(status, route):
    return sum(sum(r["requests"].values()) for r in status["routes"] if r["name"] == route)


def top(gateway, *options, env=None):
    done = subprocess.run([gateway.binary, "top", "-c", gateway.conf, "-b", *options], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, env=env, check=False)
    return done.returncode, done.stdout, done.stderr


def row(page, name):
    """The cells of the row of NAME."""
    found = [line.split() for line in page.splitlines() if line.split()[:1] == [name]]
    return found[0] if found else []


# ---- the status ----

def the_status(gateway):
    check("without its token nothing is told", gateway.ask(gateway.admin, "/status")[0] == 401)
    gateway.get("/a", 20)
    gateway.get("/bad", 4)
    gateway.get("/nowhere/../../x", 1)
    wait(lambda: counted(gateway.status(), "/") == 24, "all requests are counted")
    status = gateway.status()
    route = next(r for r in status["routes"] if r["name"] == "/")
    check("a route's statuses", route["requests"] == {"2xx": 20, "5xx": 4}, route)
    check("its histogram adds up", sum(route["latency"]["buckets"]) == route["latency"]["count"] == 24, route)
    check("its bytes", route["bytes_out"] == 2400, route)
    check("bounds and buckets fit", len(route["latency"]["buckets"]) == len(status["latency_bounds"]) + 1)
    check("no loop is late", not any(w["stalled"] for w in status["workers"]) and len(status["workers"]) == 2, status)


# ---- plain output ----

def rates(gateway):
    """Rates of the second page are those of the requests between the two."""
    reader = subprocess.Popen([gateway.binary, "top", "-c", gateway.conf, "-b", "-n", "2", "-i", "4", "-p", "routes"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    for line in reader.stdout:
        if line == "\n":  # the first page ends
            break
    begin, n = time.monotonic(), 0
    while time.monotonic() < begin + 2:
        gateway.get("/a", 4)
        gateway.get("/bad", 1)
        n += 5
    page = reader.communicate(timeout=60)[0]
    cells = row(page, "/")
    rate = float(cells[1].replace("k", "e3")) if len(cells) > 2 else 0
    check("the rate is that of the traffic", n / 4 * 0.5 < rate < n / 4 * 2, (n, page))
    check("every fifth request failed", len(cells) > 2 and 18 < float(cells[2]) < 22, page)


def what_is_shown(gateway):
    gateway.get("/dead/x", 30)
    gateway.get("/tight/x", 5)
    gateway.get("/cached/x", 5)
    wait(lambda: counted(gateway.status(), "/dead/") == 30, "the dead backend was asked")
    status, page, _ = top(gateway)
    check("it ends well", status == 0)
    check("the breaker is open", row(page, "dead")[1:2] == ["open"], page)
    check("the other one is closed", row(page, "good")[1:2] == ["closed"], page)
    check("reasons are counted", len(row(page, "breaker_open")) == 4, page)
    check("refusals are counted", "/tight/" in page.split("[3 limits]")[1].split("[4 cache]")[0], page)
    check("hits are counted", row(page.split("[4 cache]")[1], "/cached/")[1:2] == ["80.0"], page)
    check("there is no Redis", "shares nothing" in page, page)
    check("one panel is one", "[1 routes]" not in top(gateway, "-p", "errors")[1])


def refusals(gateway):
    env = {**os.environ, "TOLLGATE_ADMIN_TOKEN": "wrong"}
    status, _, complaint = top(gateway, env=env)
    check("a wrong token is told", status == 1 and "token" in complaint, complaint)
    status, _, complaint = top(gateway, "-t", "sesame", env=env)
    check("that of the option comes first", status == 0, complaint)
    url = f"http://127.0.0.1:{gateway.admin}"
    done = subprocess.run([gateway.binary, "top", "-b", "-a", url], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)
    check("the configuration's token is for its own gateway only", done.returncode == 1, done)
    check("misuse", top(gateway, "-i", "x")[0] == 2 and top(gateway, "-p", "x")[0] == 2)
    done = subprocess.run([gateway.binary, "top", "-c", gateway.conf], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)
    check("without a terminal it says so", done.returncode == 1 and "-b" in done.stderr, done)


# ---- the screen ----

class Terminal:
    """A terminal of tmux's, on a server of its own."""

    def __init__(self, directory, width, height, command):
        self.socket = tempfile.mktemp(prefix="tmux", dir=directory)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", str(width), "-y", str(height),
                  f"{command}; echo ended with $?; read x")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, check=False).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "t")

    def press(self, *keys):
        self.tmux("send-keys", "-t", "t", *keys)

    def shows(self, text, name, seconds=20):
        if not wait(lambda: text in self.screen(), name, seconds):
            print(self.screen())

    def close(self):
        self.tmux("kill-server")


def keys(gateway, directory, width, height, env=""):
    command = f"{env} {shlex.join([gateway.binary, 'top', '-c', gateway.conf, '-i', '0.3'])}"
    size = f"{width}x{height}{' ' + env if env else ''}"
    t = Terminal(directory, width, height, command)
    try:
        t.shows("[1 routes]", f"{size}: it begins with the routes")
        t.shows("/tight/", f"{size}: all of them")
        check(f"{size}: wide columns where there is room", ("out B/s" in t.screen()) == (width >= 200), t.screen())
        check(f"{size}: the last line", "q: quit" in t.screen().rstrip("\n").splitlines()[-1], t.screen())
        for key, panel in (("2", "2 backends"), ("Tab", "3 limits"), ("4", "4 cache"), ("5", "5 redis"),
                           ("6", "6 errors"), ("Tab", "1 routes")):
            t.press(key)
            t.shows(f"[{panel}]", f"{size}: {key} opens {panel}")
        t.press(">")
        t.shows(">5xx%", f"{size}: sorted by the next column")
        t.press("r")
        t.shows("<5xx%", f"{size}: and the other way round")
        t.press("Space")
        t.shows("PAUSED", f"{size}: it pauses")
        t.press("Space")
        wait(lambda: "PAUSED" not in t.screen(), f"{size}: and goes on")
        t.tmux("resize-window", "-t", "t", "-x", "60", "-y", "12")
        wait(lambda: t.screen().rstrip("\n").split("\n")[-1].startswith("1-6 Tab") and
             len(t.screen().split("\n")) == 13, f"{size}: it follows a smaller size")
        check(f"{size}: nothing is wider", max(len(line) for line in t.screen().splitlines()) <= 60, t.screen())
        t.tmux("resize-window", "-t", "t", "-x", "200", "-y", "50")
        t.shows("out B/s", f"{size}: and a larger one")
        t.press("q")
        t.shows("ended with 0", f"{size}: q leaves")
    finally:
        t.close()


def colours(gateway, directory, env, wanted):
    command = f"{env} {shlex.join([gateway.binary, 'top', '-c', gateway.conf, '-i', '0.3', '-p', 'backends'])}"
    t = Terminal(directory, 100, 24, command)
    try:
        t.shows("open", f"colours {wanted}: the breaker is shown")
        raw = t.tmux("capture-pane", "-p", "-e", "-t", "t")
        check(f"colours {wanted}: what is bad is red", bool(re.search(r"\x1b\[[0-9;]*31m", raw)) == wanted, repr(raw))
    finally:
        t.close()


def restart(gateway, directory):
    t = Terminal(directory, 100, 24, shlex.join([gateway.binary, "top", "-c", gateway.conf, "-i", "0.3"]))
    try:
        t.shows("[1 routes]", "restart: it runs")
        gateway.stop()
        t.shows("NO ANSWER", "restart: it says that there is no answer")
        t.press("2")
        t.shows("[2 backends]", "restart: keys are obeyed meanwhile")
        gateway.start()
        wait(lambda: "NO ANSWER" not in t.screen(), "restart: it recovers")
        t.shows("up 00:00:0", "restart: and shows the new one")
        t.press("q")
        t.shows("ended with 0", "restart: q leaves")
    finally:
        t.close()


def main():
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        gateway = Gateway(os.path.abspath(sys.argv[1]), directory, backend.server_address[1])
        try:
            the_status(gateway)
            rates(gateway)
            what_is_shown(gateway)
            refusals(gateway)
            keys(gateway, directory, 80, 24)
            keys(gateway, directory, 200, 50, "NO_COLOR=1")
            colours(gateway, directory, "", True)
            colours(gateway, directory, "NO_COLOR=1", False)
            restart(gateway, directory)
        finally:
            gateway.stop(signal.SIGKILL)
    print(f"{'some' if failures else 'all'} passed, {len(failures)} failed")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

"""The admin port of a real gateway held against conf/openapi.json, and who may do what there.

    api.py BINARY

Every operation of the description is called, and what comes back has to be as it says; every page of the gateway
has to be in the description, and the other way round. Ends with a line of counts.
"""

import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fleet"))
import openapi
from harness import Redis, free_port, wait_for

TOKEN, READ = "all-the-rights-0123456789", "only-for-looking-0123456789"
WAIT = 20
MANUAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "tollgate.1")
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf", "openapi.json")

# What an operation is called with, where the examples of the description do not fit a gateway of this test, or where
# they exclude each other. A new page that needs something of its own gets a line here.
CALLS = {
    "setServer": [{"server": "@BACKEND@", "drain": "no"}, {"server": "@BACKEND@", "weight": "7"},
                  {"server": "@BACKEND@", "drain": "no", "weight": "0"}],
    "purgeCache": [{"url": "http://example.com/a?x=1&y=%20"}, {"prefix": "http://example.com/a/", "soft": "yes"},
                   {"tag": "blue", "soft": "no"}, {"all": "yes"}],
    "getLog": [{"log": "no"}, {"route": "/", "backend": "users", "method": "GET", "path": "/", "status": "200,4xx,5xx",
                               "client": "127.0.0.0/8", "min_ms": "0", "log": "no"}, {"trace": "@TRACE@"},
               {"request": "@REQUEST@", "log": "yes"}],
    "getProfile": [{"seconds": "1", "hz": "499"}, {"seconds": "1", "format": "pprof"}],
}
TRACE, REQUEST = "4bf92f3577b34da6a3ce929d0e0e4736", "a-request-of-this-test"  # what the test's requests have
# Statuses of the description that another test comes upon: tests/dashboard, streams.py.
ELSEWHERE = {("getDashboard", 304), ("getDashboardFile", 304), ("getEvents", 503), ("getLog", 503)}

counts = {"passed": 0, "failed": 0}
seen = set()  # (operationId, status)


def check(name, good, what=""):
    counts["passed" if good else "failed"] += 1
    if not good:
        print(f"FAILED  {name}  {what}")


# ---- the gateway -----------------------------------------------------------------------------------------------------


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT)
        self.sock.connect(self.host)


class Gateway:
    """ADMIN is what stands inside the section admin; WHERE the address, None for one of loopback."""

    def __init__(self, binary, backend, admin="", more="", where=None):
        self.dir = tempfile.TemporaryDirectory()
        self.port, self.admin_port = free_port(), free_port()
        self.where = where and where.replace("@DIR@", self.dir.name)
        self.backend, self.more = backend, more
        self.error_log = os.path.join(self.dir.name, "error.log")
        self.configure(admin)
        self.process = subprocess.Popen([binary, "-c", self.conf], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.wait_log(" ready: ")

    def configure(self, admin, where=None):
        self.conf = os.path.join(self.dir.name, "gw.conf")
        where = where or self.where or f"127.0.0.1:{self.admin_port}"
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f'workers = 1\nlisten "127.0.0.1:{self.port}" {{ }}\nadmin "{where}" {{ {admin} }}\n'
                    f'log {{ access = off error = "{self.error_log}" }}\ncache {{ size = 1m }}\n{self.more}\n'
                    f'backend "users" {{ server "http://127.0.0.1:{self.backend}" {{ }} }}\n'
                    f'backend "off" {{ server "http://127.0.0.1:{self.backend}" {{ }} breaker {{ enabled = no }} }}\n'
                    f'backend "twins" {{ server "http://127.0.0.1:{self.backend}" {{ }}\n'
                    f'  server "http://localhost:{self.backend}" {{ }} }}\n'
                    'route "/" { backend = users }\nroute "/off" { backend = off }\n'
                    'route "/twins" { backend = twins }\n'
                    'route "/scarce" { backend = users limit { rate = 1/h } }\n')

    def log(self):
        try:
            with open(self.error_log, encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_log(self, text):
        wait_for(lambda: text in self.log() or self.process.poll() is not None, f"the log says '{text}'")

    def reload(self):
        before = self.log().count("configuration loaded")
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log().count("configuration loaded") > before, "the reload is done")

    def ask(self, method, target, token=None, headers=None, wait=WAIT):
        if self.where and self.where.startswith("unix:"):
            c = UnixConnection(self.where.removeprefix("unix:"), timeout=wait)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=wait)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        try:
            c.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                c.putheader(name, value)
            c.endheaders()
            r = c.getresponse()
            is_stream = r.headers.get("Content-Type", "").startswith("text/event-stream") and method != "HEAD"
            return Answer(r.status, r.headers, self.first_event(r) if is_stream else r.read())
        finally:
            c.close()

    def request(self, path, headers=None):
        """A request through the gateway; its status."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            c.request("GET", path, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": REQUEST,
                                            **(headers or {})})
            return c.getresponse().status
        finally:
            c.close()

    def first_event(self, r):
        """What a stream brings up to the first event, while there are requests to tell of. It has no end."""
        is_over = threading.Event()

        def ask():
            while not is_over.wait(0.02):
                self.request("/")

        client = threading.Thread(target=ask)
        client.start()
        try:
            lines = []
            while not any(line.startswith(b"data:") for line in lines) or lines[-1] != b"\n":
                lines.append(r.readline())
                if not lines[-1]:
                    break
            return b"".join(lines)
        finally:
            is_over.set()
            client.join()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check("the gateway ends", self.process.wait(timeout=WAIT) == 0)
        text = self.log()
        self.dir.cleanup()
        return text

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Backend(http.server.ThreadingHTTPServer):
    """Answers when it may."""

    daemon_threads = True

    def __init__(self):
        self.may, self.asked = threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.set()
                outer.may.wait(WAIT)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


# ---- the description -------------------------------------------------------------------------------------------------


def value_of(gateway, value):
    words = {"@BACKEND@": f"127.0.0.1:{gateway.backend}", "@TRACE@": TRACE[:8], "@REQUEST@": REQUEST[:8]}
    return words.get(value, str(value))


def calls(gateway, o):
    """All the queries to call it with, as {name: value}."""
    examples = {p["name"]: p["example"] for p in o.query()}
    required = {p["name"]: p["example"] for p in o.query() if p.get("required")}
    wanted = [{**required, **c} for c in CALLS[o.id]] if o.id in CALLS else [examples]
    return [{k: value_of(gateway, v) for k, v in one.items()} for one in wanted]


def target(gateway, o, query):
    path = o.path
    for p in o.parameters:
        if p["in"] == "path":
            path = path.replace("{%s}" % p["name"], value_of(gateway, p["example"]))
    return path + ("?" + urllib.parse.urlencode(query) if query else "")


def events_of(text):
    """The data of a stream's events, by their names."""
    events = re.findall(r"^event: (\w+)\n(?:id: \d+\n)?((?:data: .*\n)+)", text, re.M)
    return {name: json.loads("\n".join(re.findall(r"^data: (.*)$", data, re.M))) for name, data in events}


def check_body(doc, kind, schema, body):
    """Raises when the body is not as its schema says; a stream's events are held against what it tells of each."""
    if kind == "text/event-stream":
        events = events_of(body.decode())
        openapi.check(doc, schema, body.decode())
        openapi.check(doc, schema["contentSchema"], events)
        if not events:
            raise ValueError("there is no event")
    elif kind.endswith("json"):
        openapi.check(doc, schema, json.loads(body))
    else:
        openapi.check(doc, schema, body.decode("utf-8" if kind.startswith("text/") else "latin-1"))


def is_described(doc, o, answer, name):
    """The answer is what the description says of its status."""
    seen.add((o.id, answer.status))
    response = o.response(answer.status)
    kinds = response.get("content", {})
    kind = answer.headers.get("Content-Type", "").split(";")[0]
    for header, said in response.get("headers", {}).items():
        check(f"{name}: {header}", re.search(said["schema"].get("pattern", ""), answer.headers.get(header, "-")), header)
    if not kinds:
        return check(f"{name}: has no body", answer.body == b"", answer.body)
    check(f"{name}: the content is of a kind that is described", kind in kinds, f"{answer.status} {kind}")
    if kind not in kinds:
        return None
    try:
        check_body(doc, kind, kinds[kind]["schema"], answer.body)
        check(name, True)
    except Exception as e:
        check(name, False, f"{answer.status} {e}")
    if kind == "application/problem+json":
        check(f"{name}: the problem tells its status", answer.json()["status"] == answer.status, answer.body)
    return None


def messages(log):
    return [json.loads(line)["message"] for line in log.splitlines()]


class Auditor:
    """Sends what may be a write, and knows the lines that the log has to have of it."""

    WHO = {None: "no token", TOKEN: "token", READ: "read token"}

    def __init__(self, gateway, doc):
        self.gateway, self.doc, self.lines = gateway, doc, []

    def call(self, o, query, token, method=None, headers=None):
        where = target(self.gateway, o, query)
        answer = self.gateway.ask(method or o.method, where, token, headers)
        if o.rights == ["write"] and answer.status not in (401, 403):
            shown = where if len(where) <= 400 else where[:400] + "..."
            self.lines.append(f"admin: {self.WHO[token]} from 127.0.0.1: {o.method} {shown} -> {answer.status}")
        if not method:
            is_described(self.doc, o, answer, f"{o.id} {query} {'with' if token else 'without'} a token")
        return answer

    def check_log(self, log):
        told = [m for m in messages(log) if re.match(r"admin: .* from .* -> \d", m) and "refused" not in m]
        check("every write has a line of its own, in order", told == self.lines,
              f"\ntold    {told}\nwanted  {self.lines}")


def check_operations(doc, auditor):
    """Each is called, by those who may and those who may not."""
    gateway = auditor.gateway
    for o in openapi.operations(doc):
        for query in calls(gateway, o):
            for token in (None, "not-a-token-of-this-gateway", READ, TOKEN):
                if token and token not in auditor.WHO and not o.rights:
                    continue
                good = not o.rights or token == TOKEN or (token == READ and o.rights == ["read"])
                answer = auditor.call(o, query, token)
                wanted = good and (200 <= answer.status < 300) or not good and \
                    answer.status == (403 if token == READ else 401)
                check(f"{o.id} {query}: who may", wanted, f"{token} {answer.status} {answer.body[:200]}")
        if o.method == "GET":
            head = auditor.call(o, calls(gateway, o)[0], TOKEN, method="HEAD")
            check(f"{o.id}: HEAD is answered", head.status == 200 and head.body == b"", head.status)


def check_pages(doc, gateway):
    """The gateway and the description know the same pages, methods and parameters."""
    problem = gateway.ask("GET", "/nowhere")
    pages = set(re.findall(r"(/\S*)", problem.json()["detail"]))
    check("404 is a problem", problem.status == 404 and problem.headers["Content-Type"] == "application/problem+json")
    check("every page is described", pages - set(doc["paths"]) == set(), pages - set(doc["paths"]))
    check("every page that is described is there", set(doc["paths"]) - pages == set(), set(doc["paths"]) - pages)
    for path, item in doc["paths"].items():
        methods = {m.upper() for m in item} | ({"HEAD"} if "get" in item else set()) | {"OPTIONS"}
        where = target(gateway, openapi.Operation(doc, path, next(iter(item))), {})
        options = gateway.ask("OPTIONS", where)
        check(f"{path}: OPTIONS tells the methods", options.status == 204 and
              set(options.headers.get("Allow", "").split(", ")) == methods, options.headers.get("Allow"))
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"} - methods:
            other = gateway.ask(method, where, TOKEN)
            check(f"{path}: {method} is refused", other.status == 405 and
                  set(other.headers["Allow"].split(", ")) == methods, other.status)


def check_manual(doc):
    """conf/tollgate.1 lists the same pages."""
    with open(MANUAL, encoding="utf-8") as f:
        section = f.read().split(".Sh ADMIN PORT")[1].split(".Sh ")[0]
    items = re.findall(r"^\.It Pa (.*)$", section, re.M)
    listed = {word for item in items for word in item.split() if word.startswith("/")}
    paths = {re.sub(r"{.*}", "", path) for path in doc["paths"]}
    listed = {path.removesuffix("...") for path in listed}
    check("the manual lists every page", listed == paths, listed ^ paths)


def wrong_values(p):
    schema = p["schema"]
    is_free = not schema.keys() & {"enum", "pattern"} and schema.get("type") not in ("integer", "number")
    yield from ["nonsense"] if not is_free else []
    yield from [""] if "minLength" in schema else []
    yield from [str(schema["maximum"] + 1)] if "maximum" in schema else []
    yield from [str(schema["minimum"] - 1)] if "minimum" in schema else []


def check_parameters(doc, auditor):
    """What is not known, there twice, missing or out of its range is refused, and nothing is done."""
    for o in openapi.operations(doc):
        good = calls(auditor.gateway, o)[0]
        names = {p["name"] for p in o.query()}
        answer = auditor.call(o, {**good, "weigth": "5"}, TOKEN)
        detail = answer.json().get("detail", "") if answer.status == 400 else ""
        known = set(re.sub(r".*there are: ?([^;]*).*", r"\1", detail).split()) - {"none"}
        check(f"{o.id}: an unknown parameter", answer.status == 400 and "'weigth'" in detail and known == names, detail)
        for p in o.query():
            for wrong in wrong_values(p):
                query = {**({} if o.id == "purgeCache" and p["name"] != "soft" else good), p["name"]: wrong}
                answer = auditor.call(o, query, TOKEN)
                check(f"{o.id} {query}: a wrong value", answer.status == 400, answer.status)
            if p.get("required"):
                answer = auditor.call(o, {k: v for k, v in good.items() if k != p["name"]}, TOKEN)
                check(f"{o.id}: without {p['name']}", answer.status == 400, answer.status)


def check_hostile_purges(auditor):
    """None is taken for a purge of everything."""
    for query in ("prefix", "prefix=", "prefix=%00", "prefix=%00http://example.com/", "tag=", "tag=%00", "url=", "url=%00",
                  "all", "all=", "all=no", "prefix=&all=yes", "soft=yes", ""):
        answer = auditor.gateway.ask("POST", "/cache/purge?" + query, TOKEN)
        auditor.lines.append(f"admin: token from 127.0.0.1: POST /cache/purge?{query} -> 400")
        check(f"the purge of '{query}' is refused", answer.status == 400 and answer.json()["detail"], answer.status)


def check_hostile_queries(gateway):
    for query in ("state=open&state=auto", "state=%zz", "state=%", "state=%00", "&".join(f"p{i}=1" for i in range(40))):
        answer = gateway.ask("GET", "/breakers?" + query, TOKEN)
        check(f"the query {query[:30]} is refused", answer.status == 400 and answer.json()["detail"], answer.status)
    state = gateway.ask("GET", "/breakers", TOKEN).json()[0]["state"]
    check("and nothing was done", state in ("forced open", "closed"), state)


def check_profile_is_one(doc, gateway, o):
    """Of two who ask all the time, one is told to wait."""
    is_over, statuses = threading.Event(), set()

    def ask():
        while not is_over.is_set():
            answer = gateway.ask("GET", "/debug/profile?seconds=1", TOKEN)
            is_described(doc, o, answer, "one of two profiles")
            statuses.add(answer.status)

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    wait_for(lambda: 409 in statuses, "a profile is refused while there is another")
    is_over.set()
    for client in clients:
        client.join()
    check("and the other is made", statuses == {200, 409}, statuses)


def check_series(gateway):
    """No series is there twice, also where two servers have one address."""
    address = f"127.0.0.1:{gateway.backend}"
    wait_for(lambda: sum(s["backend"] == "twins" and s["server"] == address
                         for s in gateway.ask("GET", "/servers", TOKEN).json()) == 2, "both names are resolved")
    lines = gateway.ask("GET", "/metrics", TOKEN).body.decode().splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    twice = {s for s in series if series.count(s) > 1}
    check("every series is there once", not twice, twice)
    check("and that of the twins is", f'tollgate_server_up{{backend="twins",server="{address}"}}' in series)


def make_news(gateway):
    """Something to be seen in every list: a trace, and a client that is refused."""
    gateway.request("/scarce?a=b", {"User-Agent": "a", "Referer": "http://example.com/"})
    wait_for(lambda: gateway.request("/scarce") == 429, "a limit refuses")
    wait_for(lambda: gateway.ask("GET", "/limits", READ).json()["refused"], "it is known who is refused")
    wait_for(lambda: gateway.ask("GET", f"/traces/{TRACE}", READ).status == 200, "the trace is kept")


# ---- stories ---------------------------------------------------------------------------------------------------------


def tokens_story(binary, doc, backend):
    """A gateway with both tokens and a Redis node: all that the description tells, and the log of it."""
    redis = Redis()
    gateway = Gateway(binary, backend, f'token = "{TOKEN}" read_token = "{READ}"', f'redis {{ nodes = {{"{redis.name}"}} }}')
    auditor = Auditor(gateway, doc)
    by_id = {o.id: o for o in openapi.operations(doc)}
    try:
        wait_for(lambda: gateway.ask("GET", "/redis", READ).json()["nodes"][0]["up"], "the node is up")
        make_news(gateway)
        check_pages(doc, gateway)
        check_operations(doc, auditor)
        check_parameters(doc, auditor)
        for id, query, status in (("setBreaker", {"backend": "nobody", "state": "open"}, 404),
                                  ("setBreaker", {"backend": "off", "state": "open"}, 409),
                                  ("setServer", {"backend": "users", "server": "nobody:1", "drain": "yes"}, 404),
                                  ("purgeCache", {"tag": "x" * 2000}, 200)):
            answer = auditor.call(by_id[id], query, TOKEN)
            check(f"{id} {query}"[:80], answer.status == status, answer.status)
        etag = gateway.ask("GET", "/openapi.json", READ).headers["ETag"]
        answer = auditor.call(by_id["getDescription"], {}, READ, headers={"If-None-Match": f'"x", W/{etag}'})
        check("a description that is known is not sent again", answer.status == 304, answer.status)
        with open(DOCUMENT, "rb") as f:
            check("it is the file", gateway.ask("GET", "/openapi.json", READ).body == f.read())
        answer = gateway.ask("GET", "/traces/of-nobody", READ)
        is_described(doc, by_id["getTrace"], answer, "a trace that is not kept")
        check("a trace that is not kept", answer.status == 404, answer.status)
        check_hostile_purges(auditor)
        check_profile_is_one(doc, gateway, by_id["getProfile"])
        check_series(gateway)
        redis.kill()
        check("a purge that a node did not get", auditor.call(by_id["purgeCache"], {"all": "yes"}, TOKEN).status == 207)
        check_metrics(gateway, auditor)
        check_hostile_queries(gateway)
        auditor.check_log(gateway.stop())
    finally:
        gateway.kill()
        redis.stop()


def metric(gateway, name, token=TOKEN):
    return int(re.search(rf"^{re.escape(name)} (\d+)$", gateway.ask("GET", "/metrics", token).body.decode(), re.M)[1])


def check_metrics(gateway, auditor):
    writes = metric(gateway, 'tollgate_admin_requests_total{access="write"}')
    check("the metrics count as many writes as the log", writes == len(auditor.lines), f"{writes} {len(auditor.lines)}")
    name = 'tollgate_admin_requests_total{access="refused"}'
    refused, reads = metric(gateway, name), metric(gateway, 'tollgate_admin_requests_total{access="read"}')
    gateway.ask("GET", "/nowhere")
    gateway.ask("POST", "/limits", TOKEN)
    gateway.ask("GET", "/limits")
    check("a request that gets to no page is counted", metric(gateway, name) == refused + 3)
    check("and no other is", metric(gateway, 'tollgate_admin_requests_total{access="read"}') == reads + 2)


def guessing_story(binary, backend):
    """Somebody tries tokens: all are counted, a few lines tell of all of them."""
    gateway = Gateway(binary, backend, f'token = "{TOKEN}"')
    tries, begin = 300, time.monotonic()
    try:
        for i in range(tries):
            answer = gateway.ask("POST" if i % 2 else "GET", "/breakers", TOKEN[:-1] if i % 3 else "x" * 600)
            check("a wrong token", answer.status == 401 and "invalid_token" in answer.headers["WWW-Authenticate"])

        def told():
            text = gateway.log()
            lines = re.findall(r"admin: refused nobody from 127.0.0.1: ", text)
            more = re.findall(r"admin: .*and (\d+) more\)|admin: (\d+) more requests were refused", text)
            return len(lines) + sum(int(a or b) for a, b in more)

        wait_for(lambda: told() >= tries, "the log tells of all tries")
        check("the log tells of no more", told() == tries, told())
        lines = gateway.log().count("refused")
        check("at most one line a second", lines <= time.monotonic() - begin + 1, lines)
        check("each is counted", metric(gateway, "tollgate_admin_wrong_tokens_total") == tries)
        check("no token is in the log", TOKEN not in gateway.log() and TOKEN[:-1] not in gateway.log())
        gateway.stop()
    finally:
        gateway.kill()


def reload_story(binary, backend):
    """New tokens hold after a reload, unless they are meant for another address."""
    gateway = Gateway(binary, backend, f'token = "{TOKEN}"')
    secret = os.path.join(gateway.dir.name, "secret")
    with open(secret, "w", encoding="ascii") as f:
        f.write("\n  a-secret-of-a-container \r\n")
    try:
        check("the first token", gateway.ask("GET", "/limits", TOKEN).status == 200)
        gateway.configure(f'token_file = "{secret}" read_token = "{READ}"')
        gateway.reload()
        check("the old token", gateway.ask("GET", "/limits", TOKEN).status == 401)
        check("the new one, from a file", gateway.ask("GET", "/limits", "a-secret-of-a-container").status == 200)
        check("and the one for reading", gateway.ask("GET", "/limits", READ).status == 200)
        gateway.configure("", where=f"127.0.0.1:{free_port()}")
        gateway.reload()
        check("what goes with another address is not taken over", gateway.ask("GET", "/limits").status == 401)
        gateway.configure("")
        gateway.reload()
        check("none is wanted any more", gateway.ask("GET", "/limits").status == 200)
        text = gateway.stop()
        check("the log tells of it", text.count("the tokens of the new configuration hold") == 2)
    finally:
        gateway.kill()


def guards_story(binary, doc, backend):
    """Without tokens: what a browser of this machine may be made to send does not get in."""
    gateway = Gateway(binary, backend)
    own = f"127.0.0.1:{gateway.admin_port}"
    write = "/breakers?backend=users&state=auto"
    by_id = {(o.path, o.method): o for o in openapi.operations(doc)}
    try:
        for host in ("evil.example", f"evil.example:{gateway.admin_port}", "127.0.0.1.evil.example", "localhost.evil",
                     "127.0.0.1:80:80", "[::1", "10.0.0.1", "@127.0.0.1"):
            for o in openapi.operations(doc):
                answer = gateway.ask(o.method, target(gateway, o, calls(gateway, o)[0]), headers={"Host": host})
                wanted = 403 if o.rights else 200
                check(f"{o.id} for the host {host}", answer.status == wanted, answer.status)
                is_described(doc, o, answer, f"{o.id} for the host {host}")
        for host in (own, "localhost", "LocalHost:1", "127.0.0.1", "[::1]", f"[::1]:{gateway.admin_port}"):
            check(f"the host {host} is ours", gateway.ask("GET", "/limits", headers={"Host": host}).status == 200)
        for origin in ("https://evil.example", "null", "http://localhost", "127.0.0.1", own):
            answer = gateway.ask("POST", write, headers={"Host": own, "Origin": origin})
            check(f"a write from {origin}", answer.status == 403, answer.status)
        check("a write from its own page", gateway.ask("POST", write, headers={"Host": own, "Origin": "http://" + own}).status == 200)
        check("nor is anything read by another's page",
              gateway.ask("GET", "/limits", headers={"Host": own, "Origin": "null"}).status == 403)
        check("but for probes", gateway.ask("GET", "/healthz", headers={"Host": own, "Origin": "null"}).status == 200)
        answer = gateway.ask("GET", "/redis")
        is_described(doc, by_id["/redis", "GET"], answer, "no redis")
        check("no redis", answer.status == 404)
        text = gateway.stop()
        check("the log tells who wrote", f"admin: no token from 127.0.0.1: POST {write} -> 200" in text)
        check("and nothing of what was refused",
              len(re.findall("admin: no token from", text)) == 1, re.findall("admin: no.*", text))
    finally:
        gateway.kill()


def unix_story(binary, backend):
    """A unix socket: no browser gets there, whatever the name."""
    gateway = Gateway(binary, backend, where="unix:@DIR@/admin.sock")
    try:
        check("any host", gateway.ask("GET", "/limits", headers={"Host": "a"}).status == 200)
        answer = gateway.ask("POST", "/servers?backend=users&server=x&drain=yes", headers={"Host": "a"})
        check("a write", answer.status == 404)
        line = f"admin: no token from unix, user {os.getuid()}: POST /servers?backend=users&server=x&drain=yes -> 404"
        check("the log tells the user", line in gateway.stop(), line)
    finally:
        gateway.kill()


def drain_story(binary, doc):
    """While it drains, readiness is described too."""
    backend = Backend()
    gateway = Gateway(binary, backend.server_address[1])
    ready = next(o for o in openapi.operations(doc) if o.id == "getReadiness")
    got = []
    try:
        def ask():
            c = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=WAIT)
            c.request("GET", "/")
            got.append(c.getresponse().status)

        client = threading.Thread(target=ask)
        client.start()
        check("a request is under way", backend.asked.wait(WAIT))
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait_log("draining")
        answer = gateway.ask("GET", "/readyz")
        check("it is not ready", answer.status == 503, answer.status)
        is_described(doc, ready, answer, "readiness while it drains")
        backend.may.set()
        client.join(WAIT)
        check("the request has its answer", got == [200], got)
        check("and the gateway ends", gateway.process.wait(timeout=WAIT) == 0)
    finally:
        backend.may.set()
        gateway.kill()
        backend.shutdown()


def main():
    binary = sys.argv[1]
    with open(DOCUMENT, encoding="utf-8") as f:
        doc = json.load(f)
    faults = openapi.faults(doc)
    check("the description keeps the rules of OpenAPI 3.1", not faults, "\n  ".join(faults))
    check_manual(doc)
    backend = free_port()
    tokens_story(binary, doc, backend)
    guessing_story(binary, backend)
    reload_story(binary, backend)
    guards_story(binary, doc, backend)
    unix_story(binary, backend)
    drain_story(binary, doc)
    said = {(o.id, int(s)) for o in openapi.operations(doc) for s in o.responses if s != "default"}
    check("every status that is described was seen", said <= seen | ELSEWHERE, sorted(said - seen - ELSEWHERE))
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    sys.exit(counts["failed"] > 0)


main()

"""Traces as a collector gets them: real gateways, a real receiver that checks each document, and services between.

    story.py BINARY [TEST]
"""

import collections
import contextlib
import http.server
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "fleet"))
from harness import (Ask, Client, Fleet, Gateway, Origin, Reply, WAIT, crowd, free_port, http as ask, metric, run,  # noqa: E402
                     wait_for)


class Receiver:
    """receiver.py as a process: a collector that refuses what breaks a rule of OTLP."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-B", os.path.join(HERE, "receiver.py")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        self.process.wait(timeout=WAIT)

    def spans(self):
        """All that came; and nothing that did was refused."""
        bad = [r["error"] for r in json.loads(ask(self.port, "GET", "/requests").body) if r.get("error")]
        assert not bad, bad
        return json.loads(ask(self.port, "GET", "/spans").body)

    def behave(self, mode, **more):
        request = urllib.request.Request("http://127.0.0.1:%d/control" % self.port,
                                         data=json.dumps({"mode": mode, **more}).encode(), method="POST")
        urllib.request.urlopen(request, timeout=WAIT).close()


class Service:
    """A service that answers by SCRIPT(handler), which may ask others, each request on a thread of its own. seen: the
    header fields of each request."""

    def __init__(self, script):
        service = self
        self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.seen.append({k.lower(): v for k, v in self.headers.items()})
                body = script(self)
                with contextlib.suppress(ConnectionError):  # who has left needs no answer
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def conf_of(receiver, tracing, rest):
    return (f'tracing {{ endpoint = "http://127.0.0.1:{receiver.port}/v1/traces"  service = "edge"\n{tracing} }}\n'
            f'{rest}\n')


def backend(name, port, more=""):
    return f'backend "{name}" {{ server "http://127.0.0.1:{port}" {{}}  breaker {{ enabled = no }} {more} }}\n'


def named(spans, name):
    return [s for s in spans if s["name"] == name]


def only(spans, name):
    found = named(spans, name)
    assert len(found) == 1, (name, [s["name"] for s in spans])
    return found[0]


def server_spans(spans):
    return [s for s in spans if s["kind"] == 2]


def is_within(child, parent):
    return int(parent["startTimeUnixNano"]) <= int(child["startTimeUnixNano"]) and \
        int(child["endTimeUnixNano"]) <= int(parent["endTimeUnixNano"])


def value(span, name):
    """Of an attribute; None: it is not there."""
    for a in span["attributes"]:
        if a["key"] == name:
            return a["value"].get("stringValue", a["value"].get("intValue"))
    return None


def check_tree(spans, goes_on=False):
    """One trace, whose spans have their parents in it, or before it, and lie within them. GOES_ON: what asks the backend
    may do so after its client has left or was answered."""
    by_id = {s["spanId"]: s for s in spans}
    assert len(by_id) == len(spans), "ids are unique"
    assert len({s["traceId"] for s in spans}) == 1
    for s in spans:
        if s["kind"] != 2:
            parent = by_id[s["parentSpanId"]]
            is_late = goes_on and s["name"] == "try" and int(s["startTimeUnixNano"]) >= int(parent["startTimeUnixNano"])
            assert is_late or is_within(s, parent), (s["name"], parent["name"])


def test_through_a_service_and_back(binary):
    """Gateway, service, the same gateway, another service: one trace, and each knows who asked."""
    with Receiver() as receiver, Service(lambda h: b"deep") as deep:
        own_span = secrets.token_hex(8)
        ports = {}

        def asks_again(handler):
            version, trace, _, flags = handler.headers["traceparent"].split("-")
            got = ask(ports["gateway"], "GET", "/deep", (f"traceparent: {version}-{trace}-{own_span}-{flags}",))
            return got.body

        with Service(asks_again) as middle:
            g = Gateway(binary, conf_of(receiver, "sample = 100%", backend("middle", middle.port) +
                                        backend("deep", deep.port) + 'route "/middle" { backend = middle }\n'
                                        'route "/deep" { backend = deep }'))
            try:
                g.wait()
                ports["gateway"] = g.port
                client = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                got = ask(g.port, "GET", "/middle?a=1", ("traceparent: " + client, "tracestate: v=1"))
                assert got.status == 200 and got.body == b"deep"
                wait_for(lambda: len(server_spans(receiver.spans())) == 2, "both requests are exported")
                spans = receiver.spans()
            finally:
                g.stop()
        assert {s["traceId"] for s in spans} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
        outer = only(spans, "GET /middle")
        inner = only(spans, "GET /deep")
        tries = {t["parentSpanId"]: t for t in named(spans, "try")}
        steps = {s["spanId"]: s for s in named(spans, "forward")}
        assert outer["parentSpanId"] == "00f067aa0ba902b7" and inner["parentSpanId"] == own_span
        assert outer["traceState"] == "v=1"
        seen_by = {"middle": middle.seen[0]["traceparent"], "deep": deep.seen[0]["traceparent"]}
        for request, name in ((outer, "middle"), (inner, "deep")):
            step = next(s for s in steps.values() if s["parentSpanId"] == request["spanId"])
            t = tries[step["spanId"]]
            assert t["kind"] == 3
            assert seen_by[name] == "00-%s-%s-01" % (t["traceId"], t["spanId"]), (seen_by[name], t)
            assert value(t, "url.full").endswith("/" + name + ("?a=1" if name == "middle" else ""))
        assert middle.seen[0]["tracestate"] == "v=1"
        assert is_within(inner, outer)
        for name in ("GET /middle", "GET /deep"):
            root = only(spans, name)
            ids, mine = {root["spanId"]}, [root]
            for _ in spans:
                more = [s for s in spans if s.get("parentSpanId") in ids and s["kind"] != 2 and s not in mine]
                mine += more
                ids |= {s["spanId"] for s in more}
            check_tree(mine)
        assert value(outer, "http.response.status_code") == "200" and value(outer, "http.route") == "/middle"
        return "%d spans" % len(spans)


def test_what_is_kept(binary):
    """Of what is not sampled: what fails and what is slow, with what it waited for; not what is neither."""
    with Receiver() as receiver:
        slow = threading.Event()

        def script(handler):
            if handler.path == "/slow":
                slow.wait(0.3)  # nobody sets it: the service takes its time
            return b"x"
        with Service(script) as service:
            g = Gateway(binary, conf_of(receiver, "sample = 0%  slow = 200ms", backend("b", service.port) +
                                        backend("gone", free_port()) +
                                        'route "/" { backend = b }\nroute "/gone" { backend = gone }'))
            try:
                g.wait()
                for path, status in (("/fast", 200), ("/slow", 200), ("/gone", 502), ("/none", 200)):
                    assert ask(g.port, "GET", path).status == status, path
                wait_for(lambda: len(server_spans(receiver.spans())) >= 2, "both are exported")
            finally:
                g.stop()  # what waits is exported before it ends
        spans = receiver.spans()
        assert sorted(s["name"] for s in server_spans(spans)) == ["GET /", "GET /gone"], server_spans(spans)
        failed = only(spans, "GET /gone")
        assert failed["status"]["code"] == 2 and value(failed, "error.type") == "connect_failed"
        causes = [{a["key"]: a["value"]["stringValue"] for a in e["attributes"]} for e in failed["events"]]
        assert any("connect to" in c["exception.message"] for c in causes), causes
        kept = only(spans, "GET /")
        assert value(kept, "url.path") == "/slow" and "status" not in kept or kept["status"] == {}
        own = [s for s in spans if s["traceId"] == kept["traceId"]]
        check_tree(own)
        wait = only(own, "wait for answer")
        assert int(wait["endTimeUnixNano"]) - int(wait["startTimeUnixNano"]) >= 200e6
        return "%d spans" % len(spans)


def test_followers_are_linked(binary):
    """Those who wait for another's fetch say whose."""
    with Receiver() as receiver:
        origin = Origin()
        origin.script = lambda request: Reply(b"shared", "Cache-Control: max-age=60", delay=0.3)
        g = Gateway(binary, conf_of(receiver, "sample = 100%", backend("b", origin.port) +
                                    'route "/" { backend = b  cache {} }'))
        try:
            g.wait()
            answers = crowd([Ask(g.port, "/one") for _ in range(20)])
            assert {a.body for a in answers} == {b"shared"} and origin.asked["/one"] == 1
            wait_for(lambda: len(server_spans(receiver.spans())) == 20, "all are exported")
        finally:
            g.stop()
            origin.stop()
        spans = receiver.spans()
        leader = next(s for s in spans if s["name"] == "try")
        links = [s["links"] for s in named(spans, "flight")]
        request = next(s for s in server_spans(spans) if s["traceId"] == leader["traceId"])
        assert len(links) == 19, len(links)
        assert all(one == [{"traceId": request["traceId"], "spanId": request["spanId"]}] for one in links), links[0]
        return "19 of 20 waited for one"


def test_what_goes_on_without_its_client(binary):
    """A refresh in the background is part of the trace of the request that began it; so is the fetch of a client that
    has left."""
    with Receiver() as receiver:
        origin, seen = Origin(), []

        def script(request):
            seen.append(request.fields["traceparent"])
            return Reply(b"x", "Cache-Control: max-age=1, stale-while-revalidate=60", delay=0.3 if len(seen) > 1 else 0)
        origin.script = script
        g = Gateway(binary, conf_of(receiver, "sample = 100%", backend("b", origin.port) +
                                    'route "/" { backend = b  cache {} }'), workers=1)
        try:
            g.wait()
            ask(g.port, "GET", "/a")
            stale = wait_for(lambda: (got := ask(g.port, "GET", "/a")).has("X-Cache", "STALE") and got, "it is stale")
            assert stale.body == b"x"
            left = Client(g.port, WAIT)
            left.send("GET", "/b", (), host="h")
            wait_for(lambda: origin.asked["/b"] == 1, "it is fetched")
            left.close()
            wait_for(lambda: len([s for s in receiver.spans() if s["name"] == "try"]) == 3, "all tries are exported")
        finally:
            g.stop()
            origin.stop()
        spans = receiver.spans()
        for parent in seen:
            _, trace, span, _ = parent.split("-")
            own = [s for s in spans if s["traceId"] == trace]
            asks = next(s for s in own if s["spanId"] == span)
            assert asks["name"] == "try" and value(asks, "http.response.status_code") == "200", asks
            assert asks["parentSpanId"] in {s["spanId"] for s in own}
            assert int(asks["endTimeUnixNano"]) > int(asks["startTimeUnixNano"])


def test_steps_of_a_fleet(binary):
    """Who waits for another gateway's fetch has spans for the look-up in Redis and for the lock."""
    with Receiver() as receiver:
        with Fleet(binary, conf_of(receiver, "sample = 100%", 'route "/" { backend = b  cache { shared = yes } }'),
                   gateways=2, redis="timeout = 2s") as fleet:
            fleet.origin.script = lambda request: Reply(b"shared", "Cache-Control: max-age=60", delay=0.4)
            answers = crowd([Ask(g.port, "/one") for g in fleet.gateways])
            assert {a.body for a in answers} == {b"shared"} and fleet.origin.asked["/one"] == 1
            wait_for(lambda: len(server_spans(receiver.spans())) == 2, "both are exported")
        spans = receiver.spans()
        names = {s["name"] for s in spans}
        assert {"redis lookup", "lock", "cache", "forward", "try"} <= names, names
        for root in server_spans(spans):
            check_tree([s for s in spans if s["traceId"] == root["traceId"]])


def test_retries_are_told(binary):
    """Each try has a span, and the backend sees each one's."""
    tries = []

    def script(handler):
        tries.append(handler.headers["traceparent"].split("-")[2])
        if len(tries) == 1:
            handler.connection.shutdown(socket.SHUT_RDWR)
        return b"second"
    with Receiver() as receiver, Service(script) as service:
        retry = 'retry { attempts = 3  on = {"reset"} }'
        g = Gateway(binary, conf_of(receiver, "sample = 100%", backend("b", service.port, retry) +
                                    'route "/" { backend = b }'), workers=1)
        try:
            g.wait()
            assert ask(g.port, "GET", "/").body == b"second"
            wait_for(lambda: server_spans(receiver.spans()), "it is exported")
        finally:
            g.stop()
        spans = receiver.spans()
        seen = [s["spanId"] for s in named(spans, "try")]
        assert seen == tries and len(tries) == 2, (seen, tries)
        assert [s.get("status", {}).get("code", 0) for s in named(spans, "try")] == [2, 0]
        check_tree(spans)


def test_hedges_are_told(binary):
    """A second server is asked because the first is late: each sees a span of its own."""
    seen, is_over = [], threading.Event()

    def script(handler):
        seen.append(handler.headers["traceparent"].split("-")[2])
        if len(seen) == 1:
            is_over.wait(WAIT)
            return b"late"
        return b"early"
    with Receiver() as receiver, Service(script) as one, Service(script) as other:
        servers = "".join(f'server "http://127.0.0.1:{s.port}" {{}} ' for s in (one, other))
        g = Gateway(binary, conf_of(receiver, "sample = 100%", f'backend "b" {{ {servers} }}\n'
                                    'route "/" { backend = b  hedge { after = 20ms } }'), workers=1)
        try:
            g.wait()
            assert ask(g.port, "GET", "/").body == b"early"
            is_over.set()
            wait_for(lambda: server_spans(receiver.spans()), "it is exported")
        finally:
            is_over.set()
            g.stop()
        spans = receiver.spans()
        lost, won = sorted(named(spans, "try"), key=lambda s: int(s["startTimeUnixNano"]))
        assert [lost["spanId"], won["spanId"]] == seen, (lost, won, seen)
        assert (value(lost, "tollgate.hedge"), value(won, "tollgate.hedge")) == ("lost", None)
        assert {value(s, "server.port") for s in (lost, won)} == {str(one.port), str(other.port)}
        assert only(spans, "wait for answer")["parentSpanId"] == won["spanId"]
        check_tree(spans)


def whatever(seed):
    """A script for an origin: all that a backend does, at random."""
    draw = random.Random(seed)

    def script(request):
        cached = draw.choice(("no-store", "max-age=0, stale-while-revalidate=60", "max-age=1, stale-if-error=60", "no-cache"))
        return Reply(b"x" * draw.choice((0, 10, 100000)), "Cache-Control: " + cached, 'ETag: "1"',
                     status=draw.choice((200, 200, 200, 404, 500, 502, 503)), close=draw.random() < 0.1,
                     delay=draw.choice((0, 0, 0.005, 0.05)), pause=draw.choice((0, 0, 0.02)))
    return script


def send_and_leave(port, path, draw):
    """A request of some kind, whose client stays for the answer or leaves at some moment."""
    extra = draw.choice(("", "", "Cache-Control: no-cache\r\n", "Range: bytes=0-4\r\n", "Expect: 100-continue\r\n",
                         "Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    method, body = ("POST", b"b" * 2000) if "Expect" in extra or draw.random() < 0.2 else ("GET", b"")
    length = "Content-Length: %d\r\n" % len(body) if body else ""
    stays = draw.choice((1, 1, 0, 0.001, 0.01, 0.06))
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as s:
        s.sendall(("%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s%s\r\n" % (method, path, extra, length)).encode())
        s.sendall(body[:draw.choice((0, 1000, 2000, 2000))])
        try:
            s.settimeout(stays)
            while s.recv(draw.choice((100, 65536))):
                pass
        except OSError:
            pass  # it has seen enough


def test_every_end_has_a_tree(binary):
    """Clients that leave, servers that fail, retries, hedges, queues, fallbacks, answers that are stale: whatever happens,
    spans have their parents and lie within them."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(1 << 32))
    paths = ("/plain/", "/cached/", "/hedged/", "/queued/", "/fallback/", "/gone/", "/fixed/")
    trees = 0
    for sampling in ("sample = 100%", "sample = 0%  slow = 1ms"):
        with Receiver() as receiver:
            origin, other = Origin(), Origin()
            origin.script, other.script = whatever(seed), whatever(seed + 1)
            two = 'server "http://127.0.0.1:%d" {}' % other.port
            retry = 'retry { attempts = 3  on = {"connect", "reset", "502"} }'
            routes = "".join((backend("b", origin.port, two + retry + "timeout { first_byte = 40ms }"),
                              backend("narrow", origin.port, "bulkhead { max = 2  queue = 20  queue_timeout = 30ms }"),
                              backend("gone", free_port()),
                              'route "/plain/" { backend = b }\nroute "/cached/" { backend = b  cache { ttl = 1s } }\n',
                              'route "/hedged/" { backend = b  hedge { after = 10ms } }\n',
                              'route "/queued/" { backend = narrow  cache {} }\n',
                              'route "/fallback/" { backend = gone  fallback { backend = b } }\n',
                              'route "/gone/" { backend = gone }\n',
                              'route "/fixed/" { backend = gone  fallback { status = 200  body = "sorry" } }\n'))
            g = Gateway(binary, conf_of(receiver, sampling + "  queue = 100000", routes))

            def client(number):
                draw = random.Random(seed + number)
                for _ in range(25):
                    send_and_leave(g.port, draw.choice(paths) + str(draw.randrange(4)), draw)
            try:
                g.wait()
                threads = [threading.Thread(target=client, args=(i,)) for i in range(12)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join()
            finally:
                g.stop()  # what waits is exported before it ends
                origin.stop()
                other.stop()
            traces = collections.defaultdict(list)
            for s in receiver.spans():
                traces[s["traceId"]].append(s)
            for spans in traces.values():
                try:
                    check_tree(spans, goes_on=True)
                except (AssertionError, KeyError) as e:
                    begin = min(int(s["startTimeUnixNano"]) for s in spans)
                    shown = [(s["name"], s["spanId"], s.get("parentSpanId"), int(s["startTimeUnixNano"]) - begin,
                              int(s["endTimeUnixNano"]) - begin, value(s, "error.type")) for s in spans]
                    raise AssertionError("SEED=%d, %s: %r\n%s" % (seed, sampling, e, "\n".join(map(str, shown)))) from e
            assert len(traces) >= 50, len(traces)
            trees += len(traces)
    return "%d trees" % trees


def test_a_dead_collector_costs_nothing(binary):
    """Nobody takes the spans: all requests are answered, what does not fit is counted, and the end comes in time."""
    for mode in ("reset", "hang"):
        with Receiver() as receiver:
            receiver.behave(mode)
            origin = Origin()
            g = Gateway(binary, conf_of(receiver, "sample = 100%  queue = 64  timeout = 500ms",
                                        backend("b", origin.port) + 'route "/" { backend = b }'))
            try:
                g.wait()
                answers = crowd([Ask(g.port, "/") for _ in range(1000)])
                assert all(a.status == 200 for a in answers)
                wait_for(lambda: (metric(g, "tollgate_trace_spans_dropped_total") or 0) > 0, "drops are counted")
                assert metric(g, "tollgate_trace_spans_exported_total") == 0
            finally:
                begin = time.monotonic()
                g.stop()
                origin.stop()
            assert time.monotonic() - begin < WAIT


def test_shown_on_the_admin_port(binary):
    """The slowest of late, without any tracing section; one of them whole; found by request id."""
    origin = Origin()
    origin.script = lambda request: Reply(b"x", delay=0.2 if request.path == "/slow" else 0)
    g = Gateway(binary, backend("b", origin.port) + 'route "/" { backend = b }', workers=1)
    try:
        g.wait()
        for path in ("/a", "/slow", "/b"):
            assert ask(g.port, "GET", path, ("X-Request-Id: id" + path.replace("/", "-"),)).status == 200
        rows = wait_for(lambda: json.loads(ask(g.admin, "GET", "/debug/slow").body), "there is one")
        rows = wait_for(lambda: [r for r in json.loads(ask(g.admin, "GET", "/debug/slow").body) if r["path"] == "/slow"],
                        "the slow one is there")
        assert rows[0]["request_id"] == "id-slow" and rows[0]["duration_ms"] >= 200
        assert rows[0]["steps"]["wait for answer"] >= 190, rows[0]["steps"]
        one = json.loads(ask(g.admin, "GET", "/traces/id-slow").body)
        assert one["trace_id"] == rows[0]["trace_id"] and {s["name"] for s in one["spans"]} >= {"forward", "try"}
        assert ask(g.admin, "GET", "/traces/nobody").status == 404
        listed = json.loads(ask(g.admin, "GET", "/traces?filter=id-sl").body)
        assert [r["request_id"] for r in listed] == ["id-slow"]
        assert json.loads(ask(g.admin, "GET", "/traces?filter=zz").body) == []
    finally:
        g.stop()
        origin.stop()


if __name__ == "__main__":
    run(globals())

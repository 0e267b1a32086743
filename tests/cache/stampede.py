"""Many clients at once on one key: one fetch, and nobody waits for another's without need.

    stampede.py BINARY

Ends with a line of counts.
"""

import json
import selectors
import signal
import sys
import threading
import time

from harness import WAIT, Answer, Client, Gateway, Origin

CONF = """
listen "127.0.0.1:@PORT@" {}
admin "unix:@ADMIN@" {}
workers = 2
log { access = off  error = stderr  level = error }
client { max_connections = 4000 }
backend "origin" { server "http://127.0.0.1:@ORIGIN@" {}  breaker { enabled = no }  retry { attempts = 1 } }
route "/" { backend = origin  cache { purge = {"127.0.0.1"} } }
"""

FRESH = "Cache-Control: max-age=3600"


class Crowd:
    """N clients that have sent the same request."""

    def __init__(self, port, n, target, fields=()):
        self.clients = [Client(port) for _ in range(n)]
        for c in self.clients:
            c.send("GET", target, fields)
            c.got = b""
            c.socket.setblocking(False)

    def read_until(self, enough, what):
        """Read whatever comes until ENOUGH(bytes so far) holds for every client."""
        waiting = selectors.DefaultSelector()
        for c in self.clients:
            if not enough(c.got):
                waiting.register(c.socket, selectors.EVENT_READ, c)
        until = time.monotonic() + WAIT
        while waiting.get_map():
            if time.monotonic() > until:
                raise AssertionError("%s: %d of %d clients still wait" % (what, len(waiting.get_map()), len(self.clients)))
            for key, _ in waiting.select(0.1):
                c = key.data
                data = c.socket.recv(1 << 16)
                c.got += data
                if enough(c.got) or not data:
                    waiting.unregister(c.socket)
                    assert enough(c.got), "%s: a connection ended after %d bytes" % (what, len(c.got))
        waiting.close()

    def close(self):
        for c in self.clients:
            c.close()


def body_of(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    out = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        n = int(size, 16)
        out, body = out + rest[:n], rest[n + 2 :]
        if n == 0:
            break
    return out


def is_whole(raw):
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return True


class Tests:
    def __init__(self, binary):
        self.origin = Origin()
        self.gateway = Gateway(binary, CONF, self.origin)

    def cache(self, name):
        return json.loads(self.gateway.admin_call("GET", "/cache").body)[name]

    def until(self, holds, what):
        end = time.monotonic() + WAIT
        while not holds():
            assert time.monotonic() < end, "it did not come to: " + what
            time.sleep(0.002)

    def answer_all(self, answer):
        """The same answer for every request; how often it was asked for."""
        asked = []

        def give(request):
            asked.append(request)
            return answer

        self.origin.answer = give
        return asked

    def get(self, target, fields=()):
        c = Client(self.gateway.port)
        c.send("GET", target, fields)
        got = c.receive()
        c.close()
        return got

    # ---- one fetch ----

    def stampede(self, n, chunked, target):
        body = bytes(i % 251 for i in range(20000))
        answer = Answer(FRESH, body=body, chunked=chunked).holding(head=True, body=True)
        asked = self.answer_all(answer)
        before = self.cache("collapsed")
        crowd = Crowd(self.gateway.port, n, target)
        self.until(lambda: self.cache("collapsed") == before + n - 1, "all but one follow")
        answer.head_gate.set()
        crowd.read_until(lambda raw: len(body_of(raw)) >= 10000 if not chunked else len(raw) > 10000, "first half")
        assert not any(is_whole(c.got) for c in crowd.clients)
        answer.body_gate.set()
        crowd.read_until(is_whole, "the whole")
        assert all(body_of(c.got) == body for c in crowd.clients)
        assert len(asked) == 1, "%d fetches" % len(asked)
        self.until(lambda: self.cache("flights") == 0, "no flight")
        assert self.get(target).has("X-Cache", "HIT") and len(asked) == 1
        crowd.close()

    def test_a_thousand_clients_of_a_cold_key(self):
        self.stampede(1000, False, "/cold")

    def test_a_thousand_clients_and_no_length(self):
        self.stampede(1000, True, "/cold-chunked")

    def test_a_thousand_clients_of_a_stale_key(self):
        self.answer_all(Answer("Cache-Control: max-age=60, stale-while-revalidate=600", "Age: 100", body=b"old"))
        self.get("/swr")
        answer = Answer(FRESH, body=b"new").holding(head=True)
        asked = self.answer_all(answer)
        crowd = Crowd(self.gateway.port, 1000, "/swr")
        crowd.read_until(is_whole, "what is stale")
        assert all(body_of(c.got) == b"old" for c in crowd.clients)
        answer.head_gate.set()
        self.until(lambda: self.cache("flights") == 0, "no flight")
        assert len(asked) == 1, "%d fetches" % len(asked)
        assert self.get("/swr").body == b"new"
        crowd.close()

    # ---- nobody waits without need ----

    def test_two_hundred_clients_of_what_is_not_kept(self):
        self.answer_all(Answer("Cache-Control: no-store", body=b"x"))
        self.get("/not-kept")
        answer = Answer("Cache-Control: no-store", body=b"x").holding(head=True)
        asked = self.answer_all(answer)
        crowd = Crowd(self.gateway.port, 200, "/not-kept")
        self.until(lambda: len(asked) == 200, "all are at the origin at once")
        answer.head_gate.set()
        crowd.read_until(is_whole, "the answers")
        crowd.close()

    def test_what_turns_out_to_be_private_is_nobody_elses(self):
        gate = threading.Event()
        asked = []

        def give(request):
            asked.append(request)
            answer = Answer("Cache-Control: private", body=b"for " + request.get("X-Client").encode())
            answer.head_gate = gate
            return answer

        self.origin.answer = give
        before = self.cache("collapsed")
        clients = []
        for i in range(50):
            c = Client(self.gateway.port)
            c.send("GET", "/private", ("X-Client: %d" % i,))
            clients.append(c)
        self.until(lambda: self.cache("collapsed") == before + 49, "they follow")
        gate.set()
        for i, c in enumerate(clients):
            assert c.receive().body == b"for %d" % i
            c.close()
        assert len(asked) == 50

    def test_what_has_to_be_validated_is_nobody_elses(self):
        answer = Answer("Cache-Control: max-age=60, no-cache", 'ETag: "v1"', body=b"mine").holding(head=True)
        asked = self.answer_all(answer)
        before = self.cache("collapsed")
        crowd = Crowd(self.gateway.port, 20, "/validated")
        self.until(lambda: self.cache("collapsed") == before + 19, "they follow")
        answer.head_gate.set()
        crowd.read_until(is_whole, "the answers")
        assert len(asked) == 20, len(asked)
        crowd.close()

    def test_variants_are_told_apart(self):
        gate = threading.Event()

        def give(request):
            answer = Answer(FRESH, "Vary: X-Client", body=b"for " + request.get("X-Client").encode())
            answer.head_gate = gate
            return answer

        self.origin.answer = give
        before = self.cache("collapsed")
        clients = []
        for i in range(60):
            c = Client(self.gateway.port)
            c.send("GET", "/variants", ("X-Client: %d" % (i % 3),))
            clients.append(c)
        self.until(lambda: self.cache("collapsed") >= before + 59, "they follow")
        gate.set()
        for i, c in enumerate(clients):
            assert c.receive().body == b"for %d" % (i % 3)
            c.close()
        seen = self.origin.requests()
        assert len([r for r in seen if " /variants " in r.start]) == 3, seen

    def test_a_slow_reader_holds_nobody(self):
        body = b"z" * 900000
        answer = Answer(FRESH, body=body).holding(head=True)
        self.answer_all(answer)
        before = self.cache("collapsed")
        slow = Client(self.gateway.port)
        slow.send("GET", "/slow-reader")
        self.until(lambda: self.cache("flights") == 1, "it leads")
        crowd = Crowd(self.gateway.port, 10, "/slow-reader")
        self.until(lambda: self.cache("collapsed") == before + 10, "they follow")
        answer.head_gate.set()
        crowd.read_until(is_whole, "the whole, while the first does not read")
        assert slow.receive().body == body
        slow.close()
        crowd.close()

    def test_a_body_that_becomes_too_large(self):
        body = bytes(i % 253 for i in range(3000000))
        asked = self.answer_all(Answer(FRESH, body=body, chunked=True).holding(head=True))
        answer = Answer(FRESH, body=body, chunked=True).holding(head=True)
        asked = self.answer_all(answer)
        before = self.cache("collapsed")
        crowd = Crowd(self.gateway.port, 20, "/too-large")
        self.until(lambda: self.cache("collapsed") == before + 19, "they follow")
        answer.head_gate.set()
        crowd.read_until(is_whole, "the whole")
        assert all(body_of(c.got) == body for c in crowd.clients)
        assert len(asked) == 1
        crowd.close()
        self.until(lambda: self.cache("flights") == 0, "no flight")

    # ---- somebody goes, something fails ----

    def connections(self):
        text = self.gateway.admin_call("GET", "/metrics").body.decode()
        return int([l for l in text.splitlines() if l.startswith("tollgate_connections ")][0].split()[1])

    def test_the_leader_goes_and_the_fetch_goes_on(self):
        answer = Answer(FRESH, body=b"for all").holding(head=True, body=True)
        asked = self.answer_all(answer)
        before = self.cache("collapsed")
        leader = Client(self.gateway.port)
        leader.send("GET", "/leader-goes")
        self.until(lambda: self.cache("flights") == 1, "it leads")
        crowd = Crowd(self.gateway.port, 10, "/leader-goes")
        self.until(lambda: self.cache("collapsed") == before + 10, "they follow")
        open_before = self.connections()
        leader.reset()
        self.until(lambda: self.connections() == open_before - 1, "the leader is gone")
        answer.head_gate.set()
        answer.body_gate.set()
        crowd.read_until(is_whole, "the whole")
        assert all(body_of(c.got) == b"for all" for c in crowd.clients) and len(asked) == 1
        crowd.close()
        self.until(lambda: self.cache("flights") == 0, "no flight")
        assert self.get("/leader-goes").has("X-Cache", "HIT")

    def test_the_only_client_goes_and_the_fetch_ends(self):
        answer = Answer(FRESH, body=b"for nobody").holding(head=True)
        self.answer_all(answer)
        alone = Client(self.gateway.port)
        alone.send("GET", "/alone")
        self.until(lambda: self.cache("flights") == 1, "it leads")
        alone.reset()
        self.until(lambda: self.cache("flights") == 0, "the fetch is given up")
        answer.head_gate.set()

    def test_followers_go(self):
        answer = Answer(FRESH, body=b"for one").holding(head=True)
        asked = self.answer_all(answer)
        before = self.cache("collapsed")
        leader = Client(self.gateway.port)
        leader.send("GET", "/followers-go")
        self.until(lambda: self.cache("flights") == 1, "it leads")
        crowd = Crowd(self.gateway.port, 10, "/followers-go")
        self.until(lambda: self.cache("collapsed") == before + 10, "they follow")
        crowd.close()
        answer.head_gate.set()
        assert leader.receive().body == b"for one" and len(asked) == 1
        leader.close()

    def test_a_failure_is_everybodys(self):
        gate = threading.Event()
        asked = []

        def give(request):
            asked.append(request)
            gate.wait(WAIT)
            return Answer(close=True)

        self.origin.answer = give
        before = self.cache("collapsed")
        crowd = Crowd(self.gateway.port, 50, "/fails")
        self.until(lambda: self.cache("collapsed") == before + 49, "they follow")
        gate.set()
        crowd.read_until(is_whole, "the answers")
        assert all(b" 502 " in c.got.split(b"\r\n")[0] for c in crowd.clients)
        assert len(asked) <= 2, "%d fetches" % len(asked)  # the first may have met a connection that was closed
        crowd.close()

    def test_a_body_that_breaks_off_is_cut_for_all(self):
        answer = Answer(FRESH, body=b"0123456789", truncate=True).holding(head=True)
        self.answer_all(answer)
        before = self.cache("collapsed")
        clients = [Client(self.gateway.port) for _ in range(10)]
        for c in clients:
            c.send("GET", "/breaks-off")
        self.until(lambda: self.cache("collapsed") == before + 9, "they follow")
        answer.head_gate.set()
        for c in clients:
            try:
                got = c.receive()
                assert got.status == 502, got.status
            except EOFError:
                pass
            c.close()
        self.answer_all(Answer(FRESH, body=b"whole"))
        assert self.get("/breaks-off").body == b"whole"

    def test_what_was_asked_for_before_a_purge_is_not_stored_after_it(self):
        old = Answer(FRESH, body=b"old").holding(head=True)
        self.answer_all(old)
        first = Client(self.gateway.port)
        first.send("GET", "/purged-in-flight")
        self.until(lambda: self.cache("flights") == 1, "it is under way")
        purge = Client(self.gateway.port)
        purge.send("PURGE", "/purged-in-flight")
        assert purge.receive().status == 200
        purge.close()
        self.answer_all(Answer(FRESH, body=b"new"))
        assert self.get("/purged-in-flight").body == b"new"
        old.head_gate.set()
        assert first.receive().body == b"old"
        first.close()
        self.until(lambda: self.cache("flights") == 0, "no flight")
        assert self.get("/purged-in-flight").body == b"new"

    def test_a_reload_keeps_what_is_stored(self):
        asked = self.answer_all(Answer(FRESH, body=b"kept"))
        self.get("/reload")
        self.gateway.process.send_signal(signal.SIGHUP)
        metric = b'tollgate_config_reloads_total{result="success"} 1\n'
        self.until(lambda: metric in self.gateway.admin_call("GET", "/metrics").body, "the reload is done")
        assert self.get("/reload").has("X-Cache", "HIT") and len(asked) == 1


def main():
    tests = Tests(sys.argv[1])
    passed = failed = 0
    for name in [n for n in dir(Tests) if n.startswith("test_")]:
        if len(sys.argv) > 2 and sys.argv[2] not in name:
            continue
        try:
            getattr(tests, name)()
            passed += 1
        except Exception as e:  # the next ones are worth running
            failed += 1
            print("FAILED %s: %r" % (name, e))
        tests.origin.requests()
    tests.gateway.stop()
    print("%d passed, %d failed" % (passed, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

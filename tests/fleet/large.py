"""Objects that are too large for one value of Redis: kept there in pieces, read piece by piece.

    large.py BINARY [TEST ...]

Ends with a line of counts.
"""

import random
import re
import socket
import time

from harness import HOST, SANITIZED, WAIT, Ask, Crowd, Fleet, Reply, crowd, http, metric, run, tally, wait_for

MB = 1 << 20
PIECE = 128 << 10
FRESH = "Cache-Control: max-age=3600"
EACH = 40 if SANITIZED else 200  # clients of a gateway
SHARED = 'cache { size = 64m }\nroute "/" { backend = b  cache { shared = yes  max_object = 4m  shared_max = 4m } }\n'
PACKED = SHARED.replace("shared_max = 4m", "shared_max = 4m  compress = zstd")
PATIENT = "timeout = 2s"  # see stampede.py


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


def pieces_of(fleet):
    """[(node, key)] of all bodies in pieces."""
    return [(node, key) for node in fleet.nodes for key in node.command("KEYS", "t:p:*")]


def store(fleet, target, body, *fields):
    """Through the first gateway, until it lies in Redis whole; its (node, key)."""
    before = {key for _, key in pieces_of(fleet)}
    fleet.origin.script = lambda request: Reply(body, *(fields or (FRESH,)))
    got = http(fleet.gateways[0].port, "GET", target)
    assert got.status == 200 and got.body == body
    wait_for(lambda: any(target in key for node in fleet.nodes for key in node.command("KEYS", "t:o:*")), "it is stored")
    new = [pair for pair in pieces_of(fleet) if pair[1] not in before]
    assert len(new) == 1, new
    assert new[0][0].command("HLEN", new[0][1]) == (len(body) + PIECE - 1) // PIECE
    return new[0]


def check(got, body, status="HIT"):
    assert got.status == 200 and got.body == body, (got.status, len(got.body))
    assert status is None or got.get("X-Cache") == status, got.get("X-Cache")


def check_all(answers, body):
    wrong = [a for a in answers if a.error or a.status != 200 or a.body != body]
    assert not wrong, "%d of %d are not right: %s" % (len(wrong), len(answers), tally(wrong))


def others_get(routes, binary, body):
    with Fleet(binary, routes, redis=PATIENT) as fleet:
        node, key = store(fleet, "/large", body, FRESH, 'ETag: "v1"', "Content-Type: text/plain")
        for g in fleet.gateways[1:]:
            for _ in range(2):  # from Redis, then from memory
                got = http(g.port, "GET", "/large")
                check(got, body)
                assert got.get("ETag") == '"v1"' and int(got.get("Content-Length")) == len(body)
                assert "hit" in got.get("Cache-Status"), got.get("Cache-Status")
        assert fleet.origin.asked["/large"] == 1, fleet.origin.asked
        assert node.command("PTTL", key) > 0
        return sum(node.command("HSTRLEN", key, i) for i in range(node.command("HLEN", key)))


def test_what_one_stores_others_serve(binary):
    body = noise(3 * MB + 12345)
    size = others_get(SHARED, binary, body)
    assert size == len(body), size


def test_pieces_are_compressed(binary):
    body = b"".join(b"line %d of a text\n" % i for i in range(150000))[:3 * MB - 1]
    size = others_get(PACKED, binary, body)
    assert size < len(body) / 3, size
    return "%d bytes as %d" % (len(body), size)


def test_sizes_about_a_piece(binary):
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        for i, n in enumerate((PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 1)):
            body = noise(n, i)
            if n > PIECE:
                store(fleet, "/%d" % n, body)
            else:
                fleet.origin.script = lambda request, body=body: Reply(body, FRESH)
                http(fleet.gateways[0].port, "GET", "/%d" % n)
            for g in fleet.gateways[1:]:
                check(wait_for(lambda g=g: http(g.port, "GET", "/%d" % n), "an answer"), body)
        assert set(fleet.origin.asked.values()) == {1}, fleet.origin.asked


def test_one_fetch_of_a_cold_key(binary):
    body = noise(MB)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        fleet.origin.script = lambda request: Reply(body, FRESH, delay=0.5)
        answers = crowd([Ask(g.port, "/cold") for g in fleet.gateways for _ in range(EACH)])
        check_all(answers, body)
        assert fleet.origin.asked["/cold"] == 1, "%d fetches" % fleet.origin.asked["/cold"]
        return "%d clients, the last after %.1f s" % (len(answers), max(a.seconds for a in answers))


def test_many_keys_at_once(binary):
    """More bodies than may have pieces under way: each gets its turns."""
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        bodies = {"/k%d" % i: noise(MB, i) for i in range(12)}
        fleet.origin.script = lambda request: Reply(bodies[request.path], FRESH)
        asks = [Ask(g.port, target) for target in bodies for g in fleet.gateways for _ in range(4)]
        answers = crowd(asks)
        wrong = [a for a in answers if a.error or a.body != bodies[a.ask.target]]
        assert not wrong, tally(wrong)
        assert set(fleet.origin.asked.values()) == {1}, fleet.origin.asked


class Reader:
    """A client that reads as it is told to."""

    def __init__(self, port, target):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.socket.sendall(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        self.held = b""

    def read(self, n):
        while len(self.held) < n:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("after %d bytes" % len(self.held))
            self.held += more
        return self.held

    def head(self):
        while b"\r\n\r\n" not in self.held:
            self.read(len(self.held) + 1)
        head, _, self.held = self.held.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def close(self):
        self.socket.close()


def link_of(fleet, gateway, node):
    return fleet.links[gateway][fleet.nodes.index(node)]


def test_first_bytes_come_before_the_last_piece(binary):
    """The link to Redis lets but 1 MB of 3 pass: the client has most of that, while the rest has not been sent."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, linked=True, redis="timeout = 10s") as fleet:
        node, _ = store(fleet, "/large", body)
        link = link_of(fleet, 1, node)
        link.limit(MB)
        readers = [Reader(fleet.gateways[1].port, "/large") for _ in range(3)]
        for r in readers:
            head = r.head()
            assert "200" in head and "X-Cache: HIT" in head, head
            assert r.read(MB - 2 * PIECE) == body[:len(r.held)]
            assert len(r.held) < 2 * MB
        link.limit(None)
        for r in readers:
            assert r.read(len(body)) == body
            r.close()
        assert fleet.origin.asked["/large"] == 1


def damage(node, key, how, i):
    if how == "gone":
        assert node.command("HDEL", key, i) == 1
    elif how == "all gone":
        assert node.command("DEL", key) == 1
    elif how == "short":
        node.command("HSET", key, i, "x")
    else:
        value = node.command("HGET", key, i)
        assert len(value) > 1000
        node.command("EVAL", "local v = redis.call('HGET', KEYS[1], ARGV[1]) return redis.call('HSET', KEYS[1], ARGV[1],"
                     " string.sub(v, 1, 999) .. '!' .. string.char((string.byte(v, 1001) + 1) % 256) .. string.sub(v, 1002))",
                     1, key, i)


def test_pieces_that_are_missing_or_wrong_are_fetched_anew(binary):
    """Before anything was sent: no client sees it, and what is fetched is shared again."""
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        damages = (("gone", 0), ("gone", 17), ("all gone", 0), ("short", 0), ("changed", 0))
        for i, (how, at) in enumerate(damages):
            target, body = "/%d" % i, noise(3 * MB, i)
            node, key = store(fleet, target, body)
            damage(node, key, how, at)
            new = noise(3 * MB, 100 + i)
            fleet.origin.script = lambda request, new=new: Reply(new, FRESH)
            check(http(fleet.gateways[1].port, "GET", target), new, "MISS")
            assert fleet.origin.asked[target] == 2, (how, fleet.origin.asked[target])
            check(wait_for(lambda t=target: (lambda g: g if g.has("X-Cache", "HIT") else None)(
                http(fleet.gateways[2].port, "GET", t)), "a hit"), new)
            assert fleet.origin.asked[target] == 2, (how, fleet.origin.asked[target])


def test_a_crowd_meets_a_wrong_piece(binary):
    """Of all gateways that find it, one fetches."""
    body = noise(MB)
    with Fleet(binary, SHARED, gateways=4, redis=PATIENT) as fleet:
        node, key = store(fleet, "/crowd", body)
        damage(node, key, "changed", 0)
        fleet.origin.script = lambda request: Reply(body, FRESH, delay=0.3)
        answers = crowd([Ask(g.port, "/crowd") for g in fleet.gateways[1:] for _ in range(EACH // 4)])
        check_all(answers, body)
        assert fleet.origin.asked["/crowd"] == 2, fleet.origin.asked["/crowd"]


def test_a_wrong_piece_in_the_middle_breaks_off(binary):
    """No client gets a byte of it, and the next one what is fetched anew."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        node, key = store(fleet, "/broken", body)
        damage(node, key, "changed", 20)
        r = Reader(fleet.gateways[1].port, "/broken")
        r.head()
        try:
            r.read(len(body))
            raise AssertionError("it is all there")
        except (EOFError, ConnectionResetError):
            assert len(r.held) <= 20 * PIECE and r.held == body[:len(r.held)], len(r.held)
        new = noise(3 * MB, 2)
        fleet.origin.script = lambda request: Reply(new, FRESH)
        for g in fleet.gateways[1:]:
            check(http(g.port, "GET", "/broken"), new, None)
        assert fleet.origin.asked["/broken"] <= 3


def test_redis_goes_in_the_middle(binary):
    """Before the first piece: fetched. After it: broken off, and fetched by the next."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, linked=True, redis=PATIENT) as fleet:
        for target, n, is_sent in (("/early", 1000, False), ("/late", MB, True)):
            node, _ = store(fleet, target, body)
            link = link_of(fleet, 1, node)
            link.limit(n)
            r = Reader(fleet.gateways[1].port, target)
            if is_sent:
                assert "200" in r.head()
                try:
                    r.read(len(body))
                    raise AssertionError("it is all there")
                except (EOFError, ConnectionResetError):
                    assert r.held == body[:len(r.held)]
            else:
                assert "X-Cache: MISS" in r.head()
                assert r.read(len(body)) == body
            r.close()
            link.limit(None)
            check(http(fleet.gateways[1].port, "GET", target), body, None)
            wait_for(lambda: metric(fleet.gateways[1], "tollgate_redis_up") == 3, "the node is there again")
        for g in fleet.gateways:
            wait_for(lambda g=g: g.cache("flights") == 0, "no flight is left")


def test_parts_and_heads(binary):
    """What does not ask for the whole: from what lies in Redis all the same."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        for i, (method, fields, status) in enumerate((("HEAD", (), 200), ("GET", ("Range: bytes=%d-%d" % (PIECE - 5, PIECE + 4),), 206),
                                                      ("GET", ("Range: bytes=-10",), 206),
                                                      ("GET", ("Range: bytes=0-4,%d-" % (3 * MB - 5),), 206),
                                                      ("GET", ("Cache-Control: only-if-cached",), 200),
                                                      ("GET", ('If-None-Match: "v1"',), 304))):
            target = "/part%d" % i
            store(fleet, target, body, FRESH, 'ETag: "v1"')
            for g in fleet.gateways[1:]:
                got = http(g.port, method, target, fields)
                assert got.status == status, "%s %s: %d" % (method, fields, got.status)
                assert got.has("X-Cache", "HIT"), (method, fields, got.get("X-Cache"))
                if method == "HEAD":
                    assert got.get("Content-Length") == str(len(body)) and not got.body
                elif i == 1:
                    assert got.body == body[PIECE - 5:PIECE + 5]
                elif i == 2:
                    assert got.body == body[-10:]
                elif i == 3:
                    assert body[:5] in got.body and body[-5:] in got.body
                elif status == 200:
                    assert got.body == body
                check(http(g.port, "GET", target), body)
        assert set(fleet.origin.asked.values()) == {1}, fleet.origin.asked


def test_a_crowd_of_ranges_reads_once(binary):
    """Each worker's first looks, and one of all reads; also when it is not there after all."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        node, key = store(fleet, "/ranges", body)
        node.command("CONFIG", "RESETSTAT")
        answers = crowd([Ask(fleet.gateways[1].port, "/ranges", "Range: bytes=%d-%d" % (i * 5000, i * 5000 + 99))
                         for i in range(EACH)])
        wrong = [a for i, a in enumerate(answers) if a.error or a.status != 206 or a.body != body[i * 5000:i * 5000 + 100]]
        assert not wrong, "%s %s" % (tally(wrong), wrong[0].fields)
        reads = re.search(r"cmdstat_hlen:calls=(\d+)", node.command("INFO", "commandstats"))
        assert reads and reads.group(1) == "1", reads
        assert fleet.origin.asked["/ranges"] == 1, fleet.origin.asked
        damage(node, key, "changed", 0)
        mixed = [("Range: bytes=5-9",), ()] * (EACH // 4)
        for a in crowd([Ask(fleet.gateways[2].port, "/ranges", *fields) for fields in mixed]):
            if a.ask.fields:
                assert a.status == 206 and a.body == body[5:10] or a.status == 200 and a.body == body, (a.status, a.error)
            else:
                assert a.status == 200 and a.body == body, (a.status, a.error)
        return "%d clients, then %d fetches" % (len(answers), fleet.origin.asked["/ranges"] - 1)


def test_ranges_of_what_is_not_there_after_all(binary):
    """They waited for the whole in vain, and go on while others read its beginning."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        for target in ("/vain1", "/vain2", "/vain3"):
            node, key = store(fleet, target, body)
            damage(node, key, "changed", 0)
            fleet.origin.script = lambda request: Reply(body, FRESH, pause=0.3)
            for a in crowd([Ask(fleet.gateways[2].port, target, "Range: bytes=5-9")] * (EACH // 2)):
                assert a.status == 206 and a.body == body[5:10] or a.status == 200 and a.body == body, (a.status, a.error)


def test_purge_while_it_is_read(binary):
    """Those that read go on to the end, and nothing of it stays; who comes after the purge, while they still read or
    later, gets what is new, on every gateway."""
    old, new = noise(3 * MB, 1), noise(3 * MB, 2)
    with Fleet(binary, SHARED, linked=True, redis="timeout = 10s") as fleet:
        second = fleet.gateways[1]
        for target, comes_meanwhile in (("/later", False), ("/meanwhile", True)):
            node, _ = store(fleet, target, old)
            link = link_of(fleet, 1, node)
            link.limit(MB)
            r = Reader(second.port, target)
            r.head()
            r.read(PIECE)
            fleet.origin.script = lambda request: Reply(new, FRESH)
            done = fleet.gateways[0].purge("url=http://%s%s" % (HOST, target))
            assert done.status == 200, (done.status, done.body)
            meanwhile = Crowd([Ask(second.port, target)] * 2).go() if comes_meanwhile else None
            link.limit(None)
            assert r.read(len(old)) == old
            r.close()
            if meanwhile:
                check_all(meanwhile.answers(), new)
            for g in (second, *fleet.gateways):
                check(http(g.port, "GET", target), new, None)


def test_what_is_replaced_does_not_stay(binary):
    """Pieces of an older version, of a purged one, and of one that may not be stored."""
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        body = noise(MB)
        node, key = store(fleet, "/replaced", body, "Cache-Control: max-age=1", 'ETag: "v1"')
        assert node.command("PTTL", key) > 3600000
        time.sleep(1.1)  # it is to be stale
        fleet.origin.script = lambda request: Reply(body, FRESH, 'ETag: "v2"')
        check(http(fleet.gateways[1].port, "GET", "/replaced"), body, "MISS")
        wait_for(lambda: node.command("PTTL", key) <= 60000, "the older pieces are on their way out")
        (newer,) = [k for n, k in pieces_of(fleet) if k != key]
        assert node.command("PTTL", newer) > 3600000
        fleet.gateways[0].purge("url=http://%s/replaced" % HOST)
        fleet.origin.script = lambda request: Reply(body, "Cache-Control: no-store")
        http(fleet.gateways[2].port, "GET", "/replaced")
        wait_for(lambda: node.command("PTTL", newer) <= 60000, "what was purged too")


def test_stale_ones_are_asked_for_with_their_validators(binary):
    body = noise(MB)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        store(fleet, "/stale", body, "Cache-Control: max-age=1", 'ETag: "v1"')
        time.sleep(1.1)  # it is to be stale
        asked = []

        def script(request):
            asked.append(request.fields.get("if-none-match"))
            return Reply(b"", FRESH, 'ETag: "v1"', status=304)
        fleet.origin.script = script
        check(http(fleet.gateways[1].port, "GET", "/stale"), body, "REVALIDATED")
        assert asked == ['"v1"'], asked
        check(wait_for(lambda: (lambda g: g if g.has("X-Cache", "HIT") else None)(
            http(fleet.gateways[2].port, "GET", "/stale")), "a hit"), body)
        assert len(asked) == 1, asked


def test_clients_that_leave(binary):
    """The one that leads, those that follow, all of them: nothing is left behind, and those that stay are served."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, linked=True, redis="timeout = 10s") as fleet:
        second = fleet.gateways[1]
        for n in (1000, MB):
            for stay in (0, 2):
                target = "/%d-%d" % (n, stay)
                node, _ = store(fleet, target, body)
                link = link_of(fleet, 1, node)
                link.limit(n)
                leader = Reader(second.port, target)
                wait_for(lambda: second.cache("flights") == 1, "the flight")
                if n == MB:
                    leader.head()
                followers = [Reader(second.port, target) for _ in range(4)]
                if n == MB:
                    for f in followers:
                        f.head()
                        f.read(PIECE)
                leader.close()
                for f in followers[stay:]:
                    f.close()
                link.limit(None)
                for f in followers[:stay]:
                    if n != MB:
                        f.head()
                    assert f.read(len(body)) == body
                    f.close()
                wait_for(lambda: second.cache("flights") == 0, "no flight is left")
        assert set(fleet.origin.asked.values()) == {1}, fleet.origin.asked


def test_a_gateway_ends_while_it_reads(binary):
    """By TERM, with a client that it waits for, and by another TERM without (see Fleet's end: no leak, no crash)."""
    body = noise(3 * MB)
    with Fleet(binary, SHARED, linked=True, redis="timeout = 10s") as fleet:
        node, _ = store(fleet, "/end", body)
        for i in (1, 2):
            link_of(fleet, i, node).limit(MB)
        readers = [Reader(fleet.gateways[i].port, "/end") for i in (1, 2)]
        for r in readers:
            r.head()
        readers[1].close()
        second = fleet.gateways[1]
        second.signal(15)
        link_of(fleet, 1, node).limit(None)
        assert readers[0].read(len(body)) == body
        readers[0].close()


def settle(gateway):
    """RSS once it is at rest."""
    last = [0]

    def same():
        before, last[0] = last[0], gateway.rss()
        return abs(last[0] - before) < 64 << 10
    time.sleep(0.2)
    wait_for(same, "memory at rest")
    return gateway.rss()


def test_memory_of_a_slow_reader(binary):
    """The object, and less than another megabyte for all the rest."""
    if SANITIZED:
        return "not with a sanitizer"
    body = noise(3 * MB + 500000)
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        store(fleet, "/warm", body)
        second = fleet.gateways[1]
        http(second.port, "GET", "/warm")
        store(fleet, "/slow", body)
        before = settle(second)
        r = Reader(second.port, "/slow")
        r.head()
        wait_for(lambda: second.cache("flights") == 0, "all of it is in memory")
        grown = settle(second) - before
        assert r.read(len(body)) == body
        r.close()
        assert grown < len(body) + MB, "%d KB" % (grown >> 10)
        return "%d KB for %d" % (grown >> 10, len(body) >> 10)


def test_memory_of_many_objects(binary):
    """20 of 3 MB, one after the other and then at once, through a cache of 24 MB. The bound: the cache, and for each of
    two workers' links the reply that is being read (a piece as it came and a piece as it was taken, 256 KB, and what the
    allocator keeps of their growth)."""
    if SANITIZED:
        return "not with a sanitizer"
    size = 24 * MB
    bodies = {"/m%d" % i: noise(3 * MB, i) for i in range(20)}
    with Fleet(binary, SHARED.replace("64m", "24m"), redis=PATIENT) as fleet:
        for target, body in bodies.items():
            store(fleet, target, body)
        second = fleet.gateways[1]
        fleet.origin.script = lambda request: Reply(bodies[request.path], FRESH)
        before = second.rss()
        for target, body in bodies.items():
            check(http(second.port, "GET", target), body)
        in_turn = second.rss() - before
        answers = crowd([Ask(fleet.gateways[2].port, target) for target in bodies])
        wrong = [a for a in answers if a.error or a.body != bodies[a.ask.target]]
        assert not wrong, tally(wrong)
        at_once = fleet.gateways[2].rss() - before
        bound = size + 4 * MB
        assert in_turn < bound, "%d KB" % (in_turn >> 10)
        assert at_once < bound + 4 * MB, "%d KB at once" % (at_once >> 10)
        return "%d KB in turn, %d KB at once" % (in_turn >> 10, at_once >> 10)


run(globals())

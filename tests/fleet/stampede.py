"""Many clients at once on several gateways that share Redis nodes: one fetch for the whole fleet, and nobody waits for
another's without need.

    stampede.py BINARY [TEST ...]

Ends with a line of counts.
"""

import socket
import threading
import time

from harness import HOST, SANITIZED, WAIT, Ask, Crowd, Fleet, Reply, crowd, http, metric, run, tally, wait_for

FRESH = "Cache-Control: max-age=3600"
NOT_KEPT = "Cache-Control: no-store"
EACH = 100 if SANITIZED else 1000  # clients of a gateway
SLACK = 20 if SANITIZED else 4  # seconds for the work itself on a machine that others use too
LOCK_TTL = 3
# All processes of the fleet share few cores: a crowd of first requests may keep a node from answering for longer than the
# usual deadline, and what it does not answer each gateway fetches once. Where fetches are counted, it gets the time.
PATIENT = "timeout = 2s"

SHARED = 'route "/" { backend = b  cache { shared = yes  shared_max = 256k } }\n'
PACKED = SHARED.replace("256k", "256k  compress = zstd")


def everywhere(fleet, n, target, *fields):
    """N clients on each gateway that ask for the same."""
    return [Ask(g.port, target, *fields) for g in fleet.gateways for _ in range(n)]


def wait_until_stored(fleet, target):
    """A client has its answer before Redis has it."""
    wait_for(lambda: any(n.command("KEYS", f"t:o:*{target}*") for n in fleet.nodes), target + " is stored")


def check_all(answers, body, status=200):
    wrong = [a for a in answers if a.error or a.status != status or a.body != body]
    assert not wrong, "%d of %d are not %d with the right body: %s" % (len(wrong), len(answers), status, tally(wrong))


def one_cold_key(binary, routes):
    body = bytes(i % 251 for i in range(20000))
    with Fleet(binary, routes, redis=PATIENT) as fleet:
        fleet.origin.script = lambda request: Reply(body, FRESH, delay=0.5)
        answers = crowd(everywhere(fleet, EACH, "/cold"))
        check_all(answers, body)
        assert fleet.origin.asked["/cold"] == 1, "%d fetches" % fleet.origin.asked["/cold"]
        waits = [metric(g, "tollgate_cache_coalesced_total", {"scope": "cluster"}) for g in fleet.gateways]
        assert sorted(waits) == [0, 1, 1], "gateways that have waited for another: %s" % waits
        return "%d clients, the last after %.1f s" % (len(answers), max(a.seconds for a in answers))


def test_one_fetch_of_a_cold_key(binary):
    return one_cold_key(binary, SHARED)


def test_one_fetch_of_a_cold_key_that_is_packed(binary):
    return one_cold_key(binary, PACKED)


def test_one_fetch_of_each_of_a_thousand_keys(binary):
    with Fleet(binary, SHARED, redis=PATIENT) as fleet:
        fleet.origin.script = lambda request: Reply(request.path.encode(), FRESH, delay=0.5)
        asks = [Ask(g.port, "/k%d" % i) for i in range(EACH) for g in fleet.gateways]
        answers = crowd(asks)
        wrong = [a for a in answers if a.error or a.status != 200 or a.body != a.ask.target.encode()]
        assert not wrong, tally(wrong)
        asked = fleet.origin.asked
        assert len(asked) == EACH and sum(asked.values()) == EACH, "%d fetches of %d keys, up to %d of one" % (
            sum(asked.values()), len(asked), max(asked.values()))


def test_who_fetches_is_killed(binary):
    """The first request never ends. Its gateway dies; another takes its place, and nobody else notices more than that it
    takes time."""
    with Fleet(binary, SHARED) as fleet:
        first, *others = fleet.gateways
        fleet.origin.script = lambda request: Reply(b"body", FRESH, delay=0.5 if fleet.origin.asked["/dies"] > 1 else 300)
        leader = Crowd([Ask(first.port, "/dies")]).go()
        wait_for(lambda: fleet.origin.asked["/dies"] == 1, "the first fetch")
        waiting = Crowd([Ask(g.port, "/dies") for g in others for _ in range(EACH // 5)]).go()
        wait_for(lambda: all(g.cache("flights") == 1 for g in others), "the others wait")
        time.sleep(0.2)  # that they would have asked by now is the point
        assert fleet.origin.asked["/dies"] == 1, "others have not waited"
        first.kill()
        answers = waiting.answers(LOCK_TTL + SLACK + 5)
        leader.answers(1)
        check_all(answers, b"body")
        assert fleet.origin.asked["/dies"] <= 2, "%d fetches" % fleet.origin.asked["/dies"]
        last = max(a.seconds for a in answers)
        assert last < LOCK_TTL + 2 + SLACK, "the last waited for %.1f s" % last
        return "the last after %.1f s" % last


def test_who_waits_for_another_gateway_leaves(binary):
    """Its followers wait on. The gateway that fetches dies, and the request of the one that has left is sent for them."""
    with Fleet(binary, SHARED) as fleet:
        first, second, _ = fleet.gateways
        probes = []

        def script(request):
            probes.append(request.fields.get("x-probe"))
            return Reply(b"body", FRESH, delay=0.1 if fleet.origin.asked["/left"] > 1 else 300)
        fleet.origin.script = script
        Crowd([Ask(first.port, "/left", "X-Probe: first")]).go()
        wait_for(lambda: fleet.origin.asked["/left"] == 1, "the fetch")
        leaving = socket.create_connection(("127.0.0.1", second.port), timeout=WAIT)
        leaving.sendall(b"GET /left HTTP/1.1\r\nHost: %s\r\nX-Probe: it has left\r\n\r\n" % HOST.encode())
        wait_for(lambda: second.cache("flights") == 1, "it waits")
        followers = Crowd([Ask(second.port, "/left", "X-Probe: follower") for _ in range(10)]).go()
        wait_for(lambda: second.cache("collapsed") == 10, "others follow it")
        leaving.close()
        first.kill()
        check_all(followers.answers(LOCK_TTL + SLACK + 5), b"body")
        assert probes == ["first", "it has left"], probes


def bounded(answers, seconds, what):
    last = max(a.seconds for a in answers)
    assert last < seconds + SLACK, "%s: the last waited for %.1f s" % (what, last)
    return last


def test_what_is_not_kept_makes_nobody_wait(binary):
    """A cold key of which nobody knows that it is not kept, and once more when all know."""
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(b"mine", NOT_KEPT, delay=0.3)
        asks = everywhere(fleet, EACH // 5, "/not-kept")
        for what, rounds in (("cold", 3), ("known", 1)):
            before = fleet.origin.asked["/not-kept"]
            answers = crowd(asks)
            check_all(answers, b"mine")
            bounded(answers, rounds * 0.3, what)
            asked = fleet.origin.asked["/not-kept"] - before
            assert asked == len(asks), "%s: %d fetches for %d clients" % (what, asked, len(asks))


def test_failures_of_the_origin_stay_its_own(binary):
    """A 500 is the origin's, with its body, and no wait and no error is added to it."""
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(b"broken", status=500, delay=0.3)
        answers = crowd(everywhere(fleet, EACH // 5, "/broken"))
        check_all(answers, b"broken", 500)
        return "%d fetches, the last after %.1f s" % (fleet.origin.asked["/broken"], bounded(answers, 0.9, "500"))


def test_an_origin_that_hangs_up(binary):
    """502 for all; one that came later does not wait for what has failed."""
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(delay=0.3, close=True)
        answers = crowd(everywhere(fleet, EACH // 10, "/hangs-up"))
        assert all(a.status == 502 for a in answers), tally(answers)
        bounded(answers, 1.5, "502")
        fleet.origin.script = lambda request: Reply(b"well", FRESH)
        check_all(crowd(everywhere(fleet, 10, "/hangs-up")), b"well")


def test_one_refresh_of_a_stale_key(binary):
    """Born stale: all get it at once, and one fetch makes it new, everywhere."""
    with Fleet(binary, SHARED) as fleet:
        old = Reply(b"old", "Cache-Control: max-age=60, stale-while-revalidate=600", "Age: 100")
        fleet.origin.script = lambda request: old
        http(fleet.gateways[0].port, "GET", "/swr")
        second = fleet.gateways[1]
        wait_for(lambda: http(second.port, "GET", "/swr").has("X-Cache", "STALE"), "the second gateway has it too")
        wait_for(lambda: all(g.cache("flights") == 0 for g in fleet.gateways), "no refresh is under way")
        fleet.origin.asked.clear()
        fleet.origin.script = lambda request: Reply(b"new", FRESH, delay=0.5)
        answers = crowd(everywhere(fleet, EACH // 5, "/swr"))
        assert not any(a.error or a.status != 200 for a in answers), tally(answers)
        quick = [a for a in answers if a.body == b"old"]
        assert len(quick) == len(answers), "%d of %d had to wait" % (len(answers) - len(quick), len(answers))
        assert not any("fwd=" in a.fields["cache-status"] for a in answers), "stale answers that say that they were fetched"
        for g in fleet.gateways:
            wait_for(lambda g=g: http(g.port, "GET", "/swr").body == b"new", "what is new is everywhere")
        assert fleet.origin.asked["/swr"] == 1, "%d refreshes" % fleet.origin.asked["/swr"]


def test_one_fetch_of_each_variant(binary):
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(b"for " + request.fields["x-kind"].encode(), FRESH, "Vary: X-Kind",
                                                    delay=0.3)
        asks = [Ask(g.port, "/variants", "X-Kind: %d" % (i % 3)) for i in range(EACH // 4) for g in fleet.gateways]
        answers = crowd(asks)
        for a in answers:
            kind = a.ask.fields[0].split()[1]
            assert not a.error and a.status == 200 and a.body == b"for " + kind.encode(), (a.error, a.status, a.body)
        assert fleet.origin.asked["/variants"] == 3, "%d fetches of 3 variants" % fleet.origin.asked["/variants"]


def test_what_one_stores_others_serve(binary):
    """HIT with the right Age on the gateways that did not fetch it; also to HEAD, and parts of it."""
    body = bytes(i % 251 for i in range(5000))
    for routes in (SHARED, PACKED):
        with Fleet(binary, routes) as fleet:
            fleet.origin.script = lambda request: Reply(body, FRESH, "Age: 100", 'ETag: "v1"', "Content-Type: text/plain")
            begin = time.monotonic()
            first, second, third = fleet.gateways
            assert http(first.port, "GET", "/stored").body == body

            def is_hit(g):
                got = http(g.port, "GET", "/stored")
                assert got.status == 200 and got.body == body and got.get("Content-Type") == "text/plain"
                return got if got.has("X-Cache", "HIT") else None
            for g in (second, third):
                age = int(wait_for(lambda g=g: is_hit(g), "a hit on another gateway").get("Age"))
                assert 100 <= age <= 101 + time.monotonic() - begin, age
            # Keys that these two have not seen: what is shared answers, not their memory.
            for i, (method, fields, status) in enumerate((("HEAD", (), 200), ("GET", ("Range: bytes=10-19",), 206),
                                                          ("GET", ('If-None-Match: "v1"',), 304))):
                target = "/shared%d" % i
                http(first.port, "GET", target)
                wait_until_stored(fleet, target)
                for g in (second, third):
                    got = http(g.port, method, target, fields)
                    assert got.status == status, "%s %s: %d" % (method, fields, got.status)
                    assert method != "HEAD" or got.get("Content-Length") == "5000", got.get("Content-Length")
                    assert status != 206 or got.body == body[10:20] and got.get("Content-Range") == "bytes 10-19/5000"
            assert set(fleet.origin.asked.values()) == {1}, fleet.origin.asked


def test_what_is_broken_in_redis_is_replaced(binary):
    """A bit of a stored object has changed: nobody is served it, and it is fetched once."""
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(b"body", FRESH)
        first, *others = fleet.gateways
        assert http(first.port, "GET", "/broken").body == b"body"
        wait_until_stored(fleet, "/broken")
        for node in fleet.nodes:
            for key in node.command("KEYS", "t:o:*"):
                value = bytearray(node.command("GET", key), "latin-1")
                value[-10] ^= 1
                node.command("SET", key, bytes(value), "KEEPTTL")
        got = [http(g.port, "GET", "/broken") for g in others]
        assert all(g.status == 200 and g.body == b"body" for g in got), [(g.status, g.body) for g in got]
        assert fleet.origin.asked["/broken"] == 2, "%d fetches" % fleet.origin.asked["/broken"]


def test_a_range_through_another_gateway_while_the_whole_is_fetched(binary):
    """It may wait or go alone, but it is answered, and rightly."""
    body = bytes(i % 251 for i in range(5000))
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(body, FRESH, delay=0.5)
        first, second, _ = fleet.gateways
        whole = Crowd([Ask(first.port, "/whole")]).go()
        wait_for(lambda: fleet.origin.asked["/whole"] == 1, "the fetch")
        got = http(second.port, "GET", "/whole", ("Range: bytes=0-9",))
        assert (got.status, got.body) in ((206, body[:10]), (200, body)), (got.status, len(got.body))
        check_all(whole.answers(), body)


def test_too_large_to_be_shared(binary):
    """Larger than shared_max: each gateway has its own, and nobody waits for what will not come."""
    body = b"z" * 400000
    with Fleet(binary, SHARED) as fleet:
        fleet.origin.script = lambda request: Reply(body, FRESH, delay=0.3)
        answers = crowd(everywhere(fleet, 10, "/large"))
        check_all(answers, body)
        bounded(answers, 1.5, "large")
        assert fleet.origin.asked["/large"] <= 3, "%d fetches" % fleet.origin.asked["/large"]
        before = fleet.origin.asked["/large"]
        check_all(crowd(everywhere(fleet, 10, "/large")), body)
        assert fleet.origin.asked["/large"] == before, "it is kept in memory"


def test_all_of_redis_is_down(binary):
    """Each gateway for itself: one fetch each, and everybody is answered."""
    with Fleet(binary, SHARED) as fleet:
        for node in fleet.nodes:
            node.kill()
        fleet.origin.script = lambda request: Reply(b"body", FRESH, delay=0.5)
        for target in ("/down", "/down-again"):
            answers = crowd(everywhere(fleet, EACH // 5, target))
            check_all(answers, b"body")
            bounded(answers, 0.6, target)
            assert fleet.origin.asked[target] == 3, "%d fetches of 3 gateways" % fleet.origin.asked[target]


def test_redis_goes_while_others_wait(binary):
    """Who waits for another gateway hears that Redis is gone, and fetches: nobody waits for the lock's time."""
    with Fleet(binary, SHARED) as fleet:
        gate = threading.Event()
        fleet.origin.script = lambda request: Reply(b"body", FRESH, delay=0.2 if gate.is_set() else 2)
        first, *others = fleet.gateways
        leader = Crowd([Ask(first.port, "/goes")]).go()
        wait_for(lambda: fleet.origin.asked["/goes"] == 1, "the first fetch")
        waiting = Crowd([Ask(g.port, "/goes") for g in others for _ in range(EACH // 10)]).go()
        wait_for(lambda: all(g.cache("flights") == 1 for g in others), "the others wait")
        gate.set()
        for node in fleet.nodes:
            node.kill()
        answers = waiting.answers(WAIT)
        check_all(answers, b"body")
        check_all(leader.answers(WAIT), b"body")
        bounded(answers, 1.5, "the others")
        assert fleet.origin.asked["/goes"] <= 3, "%d fetches" % fleet.origin.asked["/goes"]


run(globals())

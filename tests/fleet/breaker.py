"""A breaker that opens in one gateway, and what the others make of it.

    breaker.py BINARY [TEST ...]

The origin fails for whoever asks for /fails, and only gateways[0] is asked for that: what gateways[1] knows of failures
it has heard, until its own part is failures too.

Ends with a line of counts.
"""

import json
import time

from harness import SANITIZED, Fleet, Reply, http, metric, run, wait_for

HEARD = 2 if SANITIZED else 0.1  # seconds until another gateway refuses
FAILURES = 6  # of which the first breaker opens
OPEN = 2 if SANITIZED else 0.6  # seconds, but for a jitter of a tenth
QUIET = 0.3  # seconds of requests that show that nothing happens


def start(binary, share, nodes=2, open_for=OPEN, open_max="1m"):
    """Two gateways, and the script of the origin."""
    breaker = (f"breaker {{ consecutive = {FAILURES}  min_requests = 1000  window = 1s  open_for = {int(open_for * 1000)}ms  "
               f"open_max = {open_max}  half_open_probes = 1  close_after = 2  share = {share} }}")
    fleet = Fleet(binary, 'route "/" { backend = b }\n', gateways=2, nodes=nodes, backend=breaker)
    fleet.origin.script = lambda request: (Reply(b"no", status=500) if request.path == "/fails" else
                                           Reply(b"yes", "Cache-Control: no-store"))
    return fleet


def breaker(gateway):
    return json.loads(http(gateway.admin, "GET", "/breakers").body)[0]


def ask(gateway, path="/"):
    return http(gateway.port, "GET", path)


def is_refused(got):
    """By the breaker, and told so."""
    return got.status == 503 and b"breaker_open" in got.body


def fail(gateway, times=FAILURES):
    """So many requests fail; the moment of the last one's end."""
    for _ in range(times):
        assert ask(gateway, "/fails").status == 500
    return time.monotonic()


def refused_after(gateway, since):
    """Seconds from SINCE to the first answer of the breaker."""
    wait_for(lambda: is_refused(ask(gateway)), "the breaker refuses")
    return time.monotonic() - since


def check_untouched(gateway):
    """It serves on, for as long as news may take, and knows of nothing."""
    end = time.monotonic() + QUIET
    while time.monotonic() < end:
        assert ask(gateway).status == 200
    seen = breaker(gateway)
    assert seen["state"] == "closed" and seen["changes"] == 1, seen
    assert seen["from_others"] == 0 and seen["cautious_for_s"] == 0, seen


def test_open(binary):
    """It opens too though it has seen no failure, and closes by its own probes."""
    with start(binary, "open") as fleet:
        one, two = fleet.gateways
        heard = metric(two, "tollgate_fleet_messages_total")
        seconds = refused_after(two, fail(one))
        assert seconds < HEARD, "it has opened after %.3f s" % seconds
        assert is_refused(ask(one))
        seen = breaker(two)
        assert seen["state"] == "open" and seen["from_others"] == 1, seen
        assert seen["when_it_opened"]["failures"] == 0, seen
        assert 0 < seen["time_left_s"] <= OPEN * 1.25, seen
        asked = fleet.origin.asked["/"]
        wait_for(lambda: ask(two).status == 200 and breaker(two)["state"] == "closed", "it closes by its probes")
        assert fleet.origin.asked["/"] >= asked + 2, "two probes"
        assert breaker(two)["from_others"] == 1, "the same news by another node"
        assert metric(two, "tollgate_fleet_messages_total") == heard + len(fleet.nodes), "told once, and no echo"
        assert metric(two, "tollgate_breaker_shared_total", {"backend": "b", "effect": "open"}) == 1
        assert metric(two, "tollgate_breaker_transitions_total", {"backend": "b", "change": "followed"}) == 1
        assert metric(two, "tollgate_breaker_transitions_total", {"backend": "b", "change": "opened"}) == 0
        assert "breaker opened, as another gateway's has" in two.text(), two.text()[-1000:]
        return "after %.1f ms" % (seconds * 1000)


def test_each_opening_is_told(binary):
    """A probe that fails opens it again, for longer; who has closed meanwhile hears of that too."""
    with start(binary, "open") as fleet:
        one, two = fleet.gateways
        refused_after(two, fail(one))
        wait_for(lambda: ask(two).status == 200 and breaker(two)["state"] == "closed", "it closes by its probes")
        wait_for(lambda: ask(one, "/fails").status == 500, "a probe of the first fails")
        seconds = refused_after(two, time.monotonic())
        assert seconds < HEARD, "it has opened again after %.3f s" % seconds
        assert breaker(two)["from_others"] == 2 and breaker(one)["from_others"] == 0


def test_by_hand_is_not_told(binary):
    with start(binary, "open") as fleet:
        one, two = fleet.gateways
        assert http(one.admin, "POST", "/breakers?backend=b&state=open").status == 200
        assert is_refused(ask(one))
        check_untouched(two)


def test_what_is_forced_stays(binary):
    with start(binary, "open") as fleet:
        one, two = fleet.gateways
        assert http(two.admin, "POST", "/breakers?backend=b&state=closed").status == 200
        heard = metric(two, "tollgate_fleet_messages_total")
        fail(one)
        wait_for(lambda: metric(two, "tollgate_fleet_messages_total") > heard, "it has heard")
        assert ask(two).status == 200
        assert breaker(two)["state"] == "forced closed" and breaker(two)["from_others"] == 0


def test_cautious(binary):
    """It opens after half of the failures, and goes by what is configured when the caution is over."""
    with start(binary, "cautious") as fleet:
        one, two = fleet.gateways
        begin = fail(one)
        wait_for(lambda: breaker(two)["cautious_for_s"] > 0, "the other is cautious")
        seconds = time.monotonic() - begin
        assert seconds < HEARD, "it is cautious after %.3f s" % seconds
        seen = breaker(two)
        assert seen["state"] == "closed" and seen["from_others"] == 0, seen
        assert seen["cautious_for_s"] <= OPEN * 1.1 + 1.01, seen
        assert ask(two).status == 200
        fail(two, FAILURES // 2)
        assert is_refused(ask(two)), "half of the failures"
        assert metric(two, "tollgate_breaker_shared_total", {"backend": "b", "effect": "cautious"}) == 1
        assert "breaker is cautious for" in two.text(), two.text()[-1000:]
        # The first has heard of that, and is cautious in turn; both come back to what they were.
        wait_for(lambda: ask(two).status == 200 and breaker(two)["state"] == "closed", "it closes")
        wait_for(lambda: breaker(two)["cautious_for_s"] == 0, "the caution is over")
        fail(two, FAILURES - 1)
        assert ask(two).status == 200, "the thresholds are as configured"


def test_off(binary):
    """Nobody is told, and who is told by others does nothing."""
    with start(binary, "off") as fleet:
        one, two = fleet.gateways
        heard = metric(two, "tollgate_fleet_messages_total")
        fail(one)
        assert is_refused(ask(one))
        check_untouched(two)
        assert metric(two, "tollgate_fleet_messages_total") == heard
        assert metric(two, "tollgate_breaker_shared_total") is None
        assert fleet.nodes[0].command("PUBLISH", "t:fleet", said(5000, "b")) == 2
        wait_for(lambda: metric(two, "tollgate_fleet_messages_total") > heard, "it has heard")
        check_untouched(two)


def test_without_redis(binary):
    """Each for itself while no node is there; together again afterwards."""
    with start(binary, "open") as fleet:
        one, two = fleet.gateways
        for node in fleet.nodes:
            node.kill()
        fail(one)
        assert is_refused(ask(one))
        check_untouched(two)
        wait_for(lambda: ask(one).status == 200 and breaker(one)["state"] == "closed", "it closes by its probes")
        for node in fleet.nodes:
            node.start()
        fleet.wait_joined()
        check_untouched(two)  # what was told to nobody does not come later
        seconds = refused_after(two, fail(one))
        assert seconds < HEARD, "it has opened after %.3f s" % seconds


def said(open_ms, name, sender="0123456789abcdef"):
    """An announcement, as another gateway makes it."""
    return "B" + sender + "%016x" % open_ms + name


HOSTILE = ["", "B", "B" * 17, said(5000, ""), said(5000, "c"), said(5000, "bb"), said(5000, "b\0"), said(5000, "b\n"),
           said(5000, "%s%n"), said(5000, "x" * 401), said(5000, "x" * 15000), said(0, "b"), said(5000, "b")[:-4],
           "B0123456789abcdef" + "g" * 16 + "b", "B0123456789abcdef" + "-000000000000001b"]


def test_hostile_news(binary):
    """Redis is not believed: names that are none and times that are none do nothing, and long times have a bound."""
    with start(binary, "open", nodes=1, open_max="2s") as fleet:
        two, node = fleet.gateways[1], fleet.nodes[0]
        heard = metric(two, "tollgate_fleet_messages_total")
        for text in HOSTILE:
            node.command("PUBLISH", "t:fleet", text)
        wait_for(lambda: metric(two, "tollgate_fleet_messages_total") >= heard + len(HOSTILE), "it has heard all")
        check_untouched(two)
        node.command("EVAL", "for i = 1, 20000 do redis.call('PUBLISH', 't:fleet', ARGV[1]) end", 0,
                     said(5000, "x" * 400))
        assert two.purge("all=yes").json["complete"], "a flood is in nobody's way"
        assert ask(two).status == 200
        node.command("PUBLISH", "t:fleet", said(2**64 - 1, "b"))
        wait_for(lambda: breaker(two)["state"] == "open", "it opens")
        assert breaker(two)["time_left_s"] <= 2 * 1.1 + 0.01, breaker(two)


run(globals())

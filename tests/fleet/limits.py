"""A limit of scope cluster is one limit, however many gateways there are, and whatever becomes of Redis.

    limits.py BINARY [TEST ...]

1,000 a second and a burst of 100 by route; 5,000 a second are offered to three gateways in parts of 80, 15 and 5 % by
pace.c, whose loop is open. Never more than the burst and the rate times the time may be let in; what is less than that
by a hundredth is too little. FLEET=full: as long as the promise says (20 s, and 10 of 24 s without Redis).

While Redis is down each gateway gives a third, of which the third gateway is asked for no more than 250 a second: 917 of
1,000 come together, within the tenth that is allowed for.

Ends with a line of counts.
"""

import glob
import threading
import time

from harness import FULL, SANITIZED, Fleet, Skip, http, metric, pace, run, wait_for

RATE, BURST = (200, 20) if SANITIZED else (1000, 100)
OFFERED = 5 * RATE
PARTS = (80, 15, 5)
LENGTH = 20 if FULL else 6
DOWN = 10 if FULL else 4  # seconds without Redis
BEFORE, AFTER = (6, 8) if FULL else (2, 4)
ENOUGH = 0.99 if FULL else 0.95  # what a machine that does all the work itself loses in a short time is a larger share


def limit(scope, more=""):
    return (f'route "/" {{ respond {{ body = "hi" }}\n  limit {{ rate = {RATE}/s  burst = {BURST}  key = route  '
            f'scope = {scope}  {more} }} }}\n')


def calls(fleet):
    return sum(n.scripts() for n in fleet.nodes)


def accuracy(binary, scope, seconds, env=None):
    """Offer it all; the load's report, and how often nodes ran a script meanwhile."""
    with Fleet(binary, limit(scope), env=env) as fleet:
        before = calls(fleet)
        load = pace(fleet, OFFERED, seconds, ["/"], PARTS).report()
        return load, calls(fleet) - before


def check_bounds(load, seconds, enough=ENOUGH):
    """Never above, and not below the share ENOUGH of what is right."""
    statuses = load.statuses()
    assert load.total["failed"] == 0 and set(statuses) <= {200, 429}, (statuses, load.total)
    admitted = statuses.get(200, 0)
    most = BURST + RATE * max(seconds, load.total["seconds"])
    assert admitted <= most, "%d let in, at most %.0f" % (admitted, most)
    least = enough * (BURST + RATE * seconds)
    assert admitted >= least, "%d let in, at least %.0f" % (admitted, least)
    return admitted


def cluster(binary, env=None):
    load, scripts = accuracy(binary, "cluster", LENGTH, env)
    admitted = check_bounds(load, LENGTH)
    most = 100 * LENGTH  # a tenth of what is let in at the full rate; how often they ask does not depend on it
    assert scripts < most, "%d calls for %d that were let in, at most %d" % (scripts, admitted, most)
    return "%d let in over %d s, %.4f calls for each, p99 %.1f ms" % (admitted, LENGTH, scripts / admitted,
                                                                       load.total["p99_us"] / 1000)


def test_one_limit_for_all(binary):
    return cluster(binary)


def test_one_limit_for_all_though_a_clock_is_wrong(binary):
    """The third gateway, and in the long form the first too, lives 30 s in the future."""
    if SANITIZED:
        raise Skip("libfaketime and sanitizers do not go together")
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise Skip("there is no libfaketime (package faketime)")
    wrong = {"LD_PRELOAD": found[0], "FAKETIME": "+30s", "DONT_FAKE_MONOTONIC": "1"}
    said = cluster(binary, [{}, {}, wrong])
    return said + ("; " + cluster(binary, [wrong, {}, {}]) if FULL else "")


def test_exact(binary):
    """Asks Redis for each request, and lets never more in."""
    load, scripts = accuracy(binary, "cluster-exact", LENGTH / 2)
    admitted = check_bounds(load, LENGTH / 2)
    return "%d let in over %.0f s, %d calls" % (admitted, LENGTH / 2, scripts)


def test_a_light_load_is_not_refused(binary):
    """Half of the limit, unevenly: nobody holds tokens that another needs."""
    with Fleet(binary, limit("cluster")) as fleet:
        load = pace(fleet, RATE // 2, 3, ["/"], PARTS).report()
        assert load.statuses() == {200: load.total["requests"]}, load.statuses()


def outage(binary, nodes, victims):
    """Redis nodes are killed in the middle of the load, and come back with nothing. VICTIMS(fleet): which."""
    with Fleet(binary, limit("cluster"), nodes=nodes) as fleet:
        length = BEFORE + DOWN + AFTER
        load = pace(fleet, OFFERED, length, ["/"], PARTS)
        moments = {}

        def at(seconds):
            time.sleep(max(0, load.begin + seconds - time.monotonic()))
            return time.monotonic()

        at(BEFORE)
        dead = victims(fleet)
        for node in dead:
            node.kill()
        moments["down"] = time.monotonic()
        moments["up"] = at(BEFORE + DOWN)
        for node in dead:
            node.start()
        moments["back"] = time.monotonic()
        load.report()
        statuses = load.statuses()
        assert load.total["failed"] == 0 and set(statuses) <= {200, 429}, (statuses, load.total)

        begin, end = load.slots_of(moments["down"], moments["up"])
        rate = load.count(200, begin, end) / (end - begin)
        assert 0.9 * RATE <= rate <= 1.1 * RATE, "without Redis %.0f a second are let in" % rate
        begin, end = load.slots_of(moments["back"] + 1, load.begin + length)
        after = load.count(200, begin, end)
        halves = [load.slots_of(moments["back"] + i / 2, moments["back"] + i / 2 + 0.5) for i in range(2 * AFTER - 1)]
        course = [round(load.count(200, *half) / (half[1] - half[0])) for half in halves]
        most, least = BURST + RATE * (end - begin), 0.98 * RATE * (end - begin)
        said = "%d let in in %.1f s from 1 s after the return, %.0f to %.0f are right; a second, by half seconds: %s" % (
            after, end - begin, least, most, course)
        assert least <= after <= most, said
        return "%.0f a second meanwhile, %.0f a second afterwards" % (rate, after / (end - begin))


def test_the_only_node_is_away(binary):
    return outage(binary, 1, lambda fleet: fleet.nodes)


def test_the_limits_own_node_of_three_is_away(binary):
    """Its successor takes over."""
    def owner(fleet):
        before = [n.scripts() for n in fleet.nodes]
        time.sleep(0.3)
        grown = [n.scripts() - b for n, b in zip(fleet.nodes, before)]
        return [fleet.nodes[grown.index(max(grown))]]
    return outage(binary, 3, owner)


def when_down(binary, answer, check):
    """No node, then all again."""
    with Fleet(binary, limit("cluster", f"when_down = {answer}")) as fleet:
        for node in fleet.nodes:
            node.kill()
        load = pace(fleet, OFFERED, 2, ["/"], PARTS).report()
        assert load.total["failed"] == 0, load.total
        check(load)
        links = [metric(g, "tollgate_redis_connects_total") + g.workers * len(fleet.nodes) for g in fleet.gateways]
        for node in fleet.nodes:
            node.start()
        fleet.wait_joined()
        for g, n in zip(fleet.gateways, links):  # until then they may disagree about whose the limit is
            wait_for(lambda g=g, n=n: metric(g, "tollgate_redis_connects_total") >= n, "all links are there again")
        load = pace(fleet, OFFERED, 2, ["/"], PARTS).report()
        check_bounds(load, 2, 0.9)  # that it is back is the point


def test_when_down_open(binary):
    def check(load):
        assert load.statuses() == {200: load.total["requests"]}, load.statuses()
    when_down(binary, "open", check)


def test_when_down_closed(binary):
    def check(load):
        # What was taken in advance may be spent; then nothing.
        let_in = load.statuses().get(200, 0)
        assert let_in <= BURST and set(load.statuses()) <= {200, 429, 503}, load.statuses()
        assert load.count(200, load.begin + 1) == 0, "after a second without Redis still let in"
    when_down(binary, "closed", check)


def test_when_down_each_gives_its_share_by_those_alive(binary):
    """One gateway is gone for good: those that are left give a half each, once its life has run out."""
    with Fleet(binary, limit("cluster")) as fleet:
        fleet.gateways[2].kill()
        fleet.gateways = fleet.gateways[:2]
        fleet.wait_joined()
        for node in fleet.nodes:
            node.kill()
        load = pace(fleet, OFFERED, 4, ["/"], (50, 50)).report()
        begin, end = load.slots_of(load.begin + 1, load.begin + 4)
        rate = load.count(200, begin, end) / (end - begin)
        assert 0.9 * RATE <= rate <= 1.1 * RATE, "%.0f a second are let in by two gateways" % rate


def test_limits_of_each_gateway_are_its_own(binary):
    """Scope gateway, beside a section redis: nobody asks Redis."""
    with Fleet(binary, limit("gateway")) as fleet:
        before = calls(fleet)
        load = pace(fleet, OFFERED, 2, ["/"], (1, 1, 1)).report()
        admitted = load.statuses()[200]
        most = 3 * (BURST + RATE * load.total["seconds"])
        assert ENOUGH * most <= admitted <= most, admitted
        asked = sum(metric(g, "tollgate_ratelimit_redis_calls_total") for g in fleet.gateways)
        assert asked == 0, "%d calls" % asked
        beats = len(fleet.gateways) * len(fleet.nodes) * (load.total["seconds"] + 4)
        assert calls(fleet) - before <= beats, "%d calls, but for at most %d beats" % (calls(fleet) - before, beats)


def test_clients_have_a_limit_each(binary):
    """Many keys over many nodes: each its own bucket, the same in all gateways."""
    route = ('route "/" { respond { body = "hi" } limit { rate = 1/h  burst = 5  key = header:X-Who  '
             'scope = cluster } }\n')
    with Fleet(binary, route, redis="timeout = 2s") as fleet:  # a token whose answer is late is lost for an hour
        let_in = {}

        def ask(who):
            let_in[who] = sum(http(g.port, "GET", "/", (f"X-Who: {who}",)).status == 200
                              for _ in range(3) for g in fleet.gateways)
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert set(let_in.values()) == {5}, let_in
        wait_for(lambda: all(n.scripts() > 0 for n in fleet.nodes), "all nodes have a part in it")


run(globals())

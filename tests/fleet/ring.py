"""Gateways that do not agree on the nodes say so.

    ring.py BINARY [TEST ...]

Ends with a line of counts.
"""

import re

from harness import Gateway, Redis, http, metric, redis_conf, run, wait_for

ROUTE = 'route "/" { respond { body = "hi" } }\n'
LOUD = re.compile(r"(?im)^.*error.*list of nodes.*$")


def mismatch(gateway):
    return metric(gateway, "tollgate_redis_ring_mismatch")


def pair(binary, first, second):
    """Two gateways that know these nodes (what stands in their sections redis)."""
    gateways = [Gateway(binary, conf + ROUTE) for conf in (first, second)]
    for gateway in gateways:
        gateway.wait()
    return gateways


def check_loud(gateways):
    for gateway in gateways:
        wait_for(lambda g=gateway: mismatch(g) == 1, "tollgate_redis_ring_mismatch 1")
        wait_for(lambda g=gateway: LOUD.search(g.text()), "a line about the nodes in the log: " + gateway.text()[-500:])
        assert http(gateway.port, "GET", "/").status == 200, "it serves all the same"


def test_lists_differ(binary):
    nodes = [Redis() for _ in range(3)]
    ports = [n.port for n in nodes]
    gateways = pair(binary, redis_conf(ports), redis_conf(ports[:2]))
    check_loud(gateways)
    said = LOUD.search(gateways[0].text()).group()
    gateways[1].stop()
    # Who was wrong is gone, and so is the trouble.
    wait_for(lambda: mismatch(gateways[0]) == 0, "tollgate_redis_ring_mismatch 0 again")
    for process in gateways[:1] + nodes:
        process.stop()
    return said.strip()[:160]


def test_weights_differ(binary):
    nodes = [Redis() for _ in range(2)]
    one, two = (n.port for n in nodes)
    gateways = pair(binary, redis_conf([one, two]), redis_conf([one], f'node "127.0.0.1:{two}" {{ weight = 2 }}'))
    check_loud(gateways)
    for process in gateways + nodes:
        process.stop()


def test_the_same_nodes_in_another_order(binary):
    """Not a difference: what counts is which nodes there are."""
    nodes = [Redis() for _ in range(3)]
    ports = [n.port for n in nodes]
    gateways = pair(binary, redis_conf(ports), redis_conf(ports[::-1]))
    wait_for(lambda: all(metric(g, "tollgate_fleet_gateways") == 2 for g in gateways), "they know of each other")
    for gateway in gateways:
        wait_for(lambda g=gateway: mismatch(g) == 0, "tollgate_redis_ring_mismatch 0")
        assert not LOUD.search(gateway.text()), gateway.text()
    for process in gateways + nodes:
        process.stop()


run(globals())

#!/usr/bin/env python3
"""Gateways whose Redis nodes lie: hostile.py TOLLGATE [TEST ...]

Two gateways share real nodes through a man in the middle (liar.py). While he lies, every request is answered in time and
with what the origin has for its URL and variant, and no gateway dies or grows; as soon as he is honest, what one gateway
has fetched the other has. In the environment: SEED, of the dice that all is told and asked by.

The one thing that may break is a large body that has begun to stream from Redis: what of it was not sent yet is lost with
the piece that is no good. It breaks so that the client sees it; what came before is right.

Ends with a line of counts.
"""

import asyncio
import collections
import functools
import os
import random
import re
import sys
import threading
import time
import zlib

from liar import Door, Lies  # first: it knows where the harness is
from harness import HOST, SANITIZED, Ask, Gateway, Origin, Redis, Reply, crowd, http, metric, redis_conf, run, wait_for

SEED = int(os.environ.get("SEED", "1"))
DEADLINE = 20 if SANITIZED else 10  # seconds for an answer; waits for a lock take up to 0.8, lookups 0.25 each
BACK = 30 if SANITIZED else 10  # seconds until all is well again; on a machine that is busy, too
CLIENTS = 8 if SANITIZED else 16
ENOUGH = 2500  # answers of 200, in which all kinds of lies are told; a machine that is too busy for so many has told some
GROWTH = 64 << 20  # bytes that a gateway may be larger after the lies than before
MORE_FDS = 150  # than before: connections of clients and to the origin, at any time
RATE, BURST = 500, 20
RETRY_MAX = 10**6 / RATE  # seconds that a limited client may be told to wait, when there are a million gateways

CONF = f'''
cache {{ size = 4m }}
backend "c" {{ server "http://127.0.0.1:@ORIGIN@" {{}} retry {{ attempts = 1 }} eject {{ failures = 0 }}
  breaker {{ open_for = 300ms  open_max = 1s  share = open }} }}
route "/c" {{ backend = c }}
route "/limited" {{ respond {{ body = "hi" }}
  limit {{ rate = {RATE}/s  burst = {BURST}  key = "header:X-Key"  scope = cluster }} }}
route "/exact" {{ respond {{ body = "hi" }}
  limit {{ rate = {RATE}/s  burst = {BURST}  key = "header:X-Key"  scope = cluster-exact }} }}
route "/" {{ backend = b  cache {{ shared = yes  compress = zstd }} }}
'''


# ---- what the origin has ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def body_of(path, variant=""):
    """Of large ones, half can be compressed."""
    dice = random.Random(path + "|" + variant)
    name = (path + "|" + variant + "\n").encode()
    if path.startswith("/big"):
        n = dice.randrange(140000, 800000)
        return name + (dice.randbytes(n) if path.endswith("0") else b"%d all of this is the same. " % n * (n // 30))
    if path.startswith(("/c", "/empty")):
        return b"" if path.startswith("/empty") else name
    return name + dice.randbytes(dice.randrange(200, 12000)).hex().encode()


def variant_of(request):
    return request.fields.get("x-variant", "") if request.path.startswith("/vary") else ""


def origin_says(request):
    variant = variant_of(request)
    tag = '"%08x"' % zlib.crc32((request.path + "|" + variant).encode())
    fields = ["ETag: " + tag, "X-Body: %s|%s" % (request.path, variant), "Surrogate-Key: t%d all" % (len(request.path) % 3)]
    lifetime = request.path.rpartition("-")[2]
    fields.append({"c": "Cache-Control: no-store", "swr": "Cache-Control: max-age=1, stale-while-revalidate=1"}.get(
        lifetime, "Cache-Control: max-age=" + re.sub(r"\D", "", lifetime)))
    if request.path.startswith("/vary"):
        fields.append("Vary: X-Variant")
    if request.fields.get("if-none-match") == tag:
        return Reply(b"", *fields, status=304)
    return Reply(body_of(request.path, variant), *fields, delay=0.02 if request.path.endswith("swr") else 0)


SMALL = ["/small%d-%s" % (i, t) for i in range(40) for t in ("1", "60", "swr")]
VARY = ["/vary%d-%s" % (i, t) for i in range(6) for t in ("2", "600")]
BIG = ["/big%d-%s" % (i, t) for i in range(4) for t in ("1", "600")]
STUCK = ["/locked-0", "/locked-1", "/noscript-1", "/noscript-swr"]  # of which the liar always says the same


# ---- clients ---------------------------------------------------------------------------------------------------------


class Question:
    def __init__(self, path, *fields, method="GET", variant="", allowed=(200,), begin=None):
        self.path, self.fields, self.method, self.variant, self.allowed = path, fields, method, variant, allowed
        self.begin = begin  # of a range

    def what(self):
        return " ".join((self.method, self.path, *self.fields))


def draw(dice):
    """What is asked next."""
    kind = dice.random()
    if kind < 0.25:
        return Question(dice.choice(SMALL))
    if kind < 0.35:
        return Question(dice.choice(SMALL + BIG), "Cache-Control: only-if-cached", allowed=(200, 504))
    if kind < 0.42:
        return Question(dice.choice(SMALL[:30] + BIG), "Cache-Control: no-cache")
    if kind < 0.57:
        variant = dice.choice("abc")
        return Question(dice.choice(VARY), "X-Variant: " + variant, variant=variant)
    if kind < 0.68:
        return Question(dice.choice(BIG))
    if kind < 0.72:
        begin = dice.randrange(100000)
        return Question(dice.choice(BIG), "Range: bytes=%d-" % begin, begin=begin, allowed=(200, 206))
    if kind < 0.75:
        return Question(dice.choice(SMALL + BIG + VARY[:2]), method="HEAD")
    if kind < 0.77:
        return Question(dice.choice(STUCK))
    if kind < 0.79:
        return Question("/empty%d-1" % dice.randrange(3))
    if kind < 0.82:
        return Question("/c", allowed=(200, 503))
    return Question(dice.choice(("/limited", "/exact")), "X-Key: k%d" % dice.randrange(12), allowed=(200, 429))


class Client:
    """A connection to a gateway that is made anew when it ends."""

    def __init__(self, port):
        self.port, self.writer = port, None

    async def ask(self, ask):
        """(status, fields, body, whether it broke off)"""
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = "".join(f + "\r\n" for f in ask.fields)
        self.writer.write(f"{ask.method} {ask.path} HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n".encode())
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        status = int(lines[0].split()[1])
        try:
            body = b"" if ask.method == "HEAD" else await self.body(fields)
        except asyncio.IncompleteReadError as e:
            return status, fields, e.partial, True
        if fields.get("connection") == "close":
            self.close()
        return status, fields, body, False

    async def body(self, fields):
        if fields.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(fields.get("content-length", 0)))
        body = b""
        while True:
            try:
                n = int(await self.reader.readuntil(b"\r\n"), 16)
                body += (await self.reader.readexactly(n + 2))[:-2]
            except asyncio.IncompleteReadError as e:
                raise asyncio.IncompleteReadError(body + e.partial, None) from e
            if n == 0:
                return body

    def close(self):
        if self.writer:
            self.writer.close()
        self.writer = None


def fault_of(ask, status, fields, body, is_cut):
    """What is wrong with an answer; None: nothing."""
    if status not in ask.allowed:
        return "answered with %d %s: %r" % (status, fields, body[:300])
    if status == 429:
        retry = fields.get("retry-after", "")
        is_right = re.fullmatch(r"[1-9]\d*", retry) and int(retry) <= RETRY_MAX
        return None if is_right else "retry after %r" % retry
    if ask.path in ("/limited", "/exact"):
        left = fields.get("x-ratelimit-remaining", "")
        is_right = re.fullmatch(r"\d+", left) and int(left) <= BURST and body == b"hi"
        return None if is_right else "%r, %s left" % (body, left)
    if status >= 500:
        return None
    if fields.get("x-body") != ask.path + "|" + ask.variant:
        return "the head of %s" % fields.get("x-body")
    right = body_of(ask.path, ask.variant)[ask.begin if status == 206 else 0:]
    if is_cut:
        is_right = ask.path in BIG and right.startswith(body)
        return None if is_right else "broken off after %d of %d bytes" % (len(body), len(right))
    if ask.method != "HEAD" and body != right:
        return "another body: %d bytes of %d, %r" % (len(body), len(right), body[:100])
    if ask.method == "HEAD" and int(fields["content-length"]) != len(right):
        return "another length: %s of %d" % (fields["content-length"], len(right))
    return None


class Load:
    """Clients that ask all they can, until it is stopped."""

    def __init__(self, gateways, seed):
        self.gateways, self.seed = gateways, seed
        self.wrong, self.counts, self.slowest, self.is_over = [], collections.Counter(), (0, ""), False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self.thread.start()

    async def _all(self):
        await asyncio.gather(*[self._one(self.gateways[i % len(self.gateways)], random.Random(self.seed * 1000 + i))
                               for i in range(CLIENTS)])

    async def _one(self, gateway, dice):
        client = Client(gateway.port)
        while not self.is_over:
            await self._ask(client, draw(dice))
        client.close()

    async def _ask(self, client, ask):
        begin = time.monotonic()
        try:
            status, fields, body, is_cut = await asyncio.wait_for(client.ask(ask), DEADLINE)
            wrong = fault_of(ask, status, fields, body, is_cut)
            self.counts["broken off" if is_cut else status] += 1
            self.counts["hits"] += fields.get("x-cache") == "HIT"
        except asyncio.TimeoutError:
            wrong, is_cut = "no answer in %d s" % DEADLINE, True
        except (OSError, EOFError) as e:
            wrong, is_cut = "no answer: %r" % e, True
        if is_cut:
            client.close()
        self.slowest = max(self.slowest, (time.monotonic() - begin, ask.what()))
        if wrong and len(self.wrong) < 20:
            self.wrong.append("%s: %s" % (ask.what(), wrong))

    def stop(self):
        self.is_over = True
        self.thread.join(DEADLINE + 5)
        assert not self.thread.is_alive(), "clients do not come to an end"


# ---- the fleet -------------------------------------------------------------------------------------------------------


class Hostile:
    """Two gateways behind doors to N nodes."""

    def __init__(self, binary, n, seed):
        self.lies, self.origin = Lies(seed), Origin()
        self.origin.script = origin_says
        self.nodes = [Redis() for _ in range(n)]
        self.doors = [Door(node.port, self.lies) for node in self.nodes]
        conf = redis_conf([d.port for d in self.doors], "timeout = 250ms  lock_wait = 800ms")
        conf = conf.replace("trust = 3s  lock_ttl = 3s", "trust = 1s  lock_ttl = 1s")
        conf += (f'backend "b" {{ server "http://127.0.0.1:{self.origin.port}" {{}} retry {{ attempts = 1 }} '
                 'eject { failures = 0 } breaker { enabled = no } }\n' + CONF.replace("@ORIGIN@", str(self.origin.port)))
        self.gateways = [Gateway(binary, conf) for _ in range(2)]
        self.fresh = 0

    def __enter__(self):
        try:
            for gateway in self.gateways:
                gateway.wait()
            self.wait_joined()
        except BaseException:
            self.__exit__(None, True, None)
            raise
        return self

    def __exit__(self, kind, error, trace):
        wrong = []
        for gateway in self.gateways:
            try:
                check_alive(gateway)
                gateway.stop()
            except AssertionError as e:
                wrong.append(e)
        for each in self.doors + self.nodes + [self.origin]:
            each.stop()
        if wrong and error is None:
            raise wrong[0]

    def wait_joined(self):
        for gateway in self.gateways:
            wait_for(lambda g=gateway: metric(g, "tollgate_redis_up") == len(self.nodes), "all nodes are heard", BACK)
            wait_for(lambda g=gateway: metric(g, "tollgate_fleet_gateways") == 2, "gateways that know of each other", BACK)

    def purge(self, dice):
        """Some of it, by the admin port; it may be told as incomplete, but is told in time."""
        query = dice.choice(["all=yes", "tag=t1", "tag=all", "prefix=http://%s/small1" % HOST,
                             "url=http://%s%s" % (HOST, dice.choice(SMALL))])
        begin = time.monotonic()
        got = dice.choice(self.gateways).purge(query + dice.choice(("", "&soft=yes")))
        took = time.monotonic() - begin
        assert "complete" in got.json and took < DEADLINE, (got.status, got.json, took)

    def is_shared(self, path):
        """What the first gateway fetches is the second's."""
        self.fresh += 1
        path = "%s%d-60" % (path, self.fresh)
        first, second = [http(g.port, "GET", path) for g in self.gateways]
        assert first.body == second.body == body_of(path), "another body of " + path
        return second.get("x-cache") == "HIT" and self.origin.asked[path] == 1

    def is_let_in(self, path, key):
        return all(http(g.port, "GET", path, ["X-Key: " + key]).status == 200 for g in self.gateways)


def check_alive(gateway):
    text = gateway.text()
    for word in ("Sanitizer", "runtime error", "crash", "panic", "CHECK", "\x1b"):
        assert word not in text, "%r in the log:\n%s" % (word, text[max(0, text.index(word) - 500):][:4000])
    assert gateway.is_running(), "a gateway has ended:\n" + text[-4000:]


def check_purged(fleet):
    """What was stored in the time of lies can be purged, and is shared as ever."""
    def is_purged(query):
        got = fleet.gateways[0].purge(query).json
        return got["complete"] and not got["gateways_late"]

    def is_new(path):
        before = fleet.origin.asked[path]
        first, second = [http(g.port, "GET", path) for g in fleet.gateways]
        assert first.has("X-Cache", "MISS"), "%s was purged: %s" % (path, first.get("cache-status"))
        return second.has("X-Cache", "HIT") and fleet.origin.asked[path] == before + 1

    wait_for(lambda: is_purged("all=yes"), "a purge of all", BACK)
    for path in SMALL[::2]:
        if not is_new(path):  # a busy machine
            wait_for(lambda p=path: is_purged("url=http://" + HOST + p) and is_new(p), "%s is shared" % path, BACK)


def check_back(fleet):
    """He is honest: all is as it ought to be, soon."""
    begin = time.monotonic()
    fleet.wait_joined()
    wait_for(lambda: fleet.is_shared("/small"), "a hit in Redis again", BACK)
    wait_for(lambda: fleet.is_shared("/big"), "a hit of a large body again", BACK)
    said = time.monotonic() - begin
    paths = ["/small"] * 20 + ["/big"] * 3
    wait_for(lambda: all(fleet.is_shared(p) for p in paths), "hits only", BACK)
    for path in ("/limited", "/exact"):
        for i in range(12):
            wait_for(lambda p=path, k="k%d" % i: fleet.is_let_in(p, k), "%s lets k%d in again" % (path, i), BACK)
    wait_for(lambda: all(http(g.port, "GET", "/c").status == 200 for g in fleet.gateways), "a closed breaker", BACK)
    check_purged(fleet)
    wait_for(lambda: not any(pair.is_open for pair in fleet.lies.garbled), "links that have heard garbage end", BACK)
    return said


def lie(fleet, seconds, seed):
    """The load, and lies for so long; what of it is to be told."""
    dice = random.Random(seed)
    fds = [g.fds() for g in fleet.gateways]
    load = Load(fleet.gateways, seed)
    wait_for(lambda: load.counts["hits"] > 50, "a load", 3 * BACK)
    sizes = [g.rss() for g in fleet.gateways]
    fleet.lies.begin()
    end = time.monotonic() + seconds
    most = 0
    try:
        while time.monotonic() < end or (fleet.lies.untold() and time.monotonic() < end + seconds):
            if load.wrong or fleet.lies.faults:
                break
            fleet.purge(dice)
            most = max(most, *[g.fds() - n for g, n in zip(fleet.gateways, fds)])
            time.sleep(0.2)
    finally:
        fleet.lies.end()
        load.stop()
    for gateway in fleet.gateways:
        check_alive(gateway)
    assert not load.wrong, "\n".join(load.wrong)
    assert not fleet.lies.faults, "\n".join(fleet.lies.faults)
    untold = fleet.lies.untold()
    assert not untold or load.counts[200] < ENOUGH, "he has not told all: %s" % untold
    assert most <= MORE_FDS, "%d more descriptors" % most
    grown = max(g.rss() - n for g, n in zip(fleet.gateways, sizes))
    assert SANITIZED or grown <= GROWTH, "it has grown by %d bytes" % grown
    return load, grown


def story(binary, nodes, seconds, seed):
    with Hostile(binary, nodes, seed) as fleet:
        load, grown = lie(fleet, seconds, seed)
        told = fleet.lies.told
        back = check_back(fleet)
        return "%d lies and %d announcements; answers: %s; the slowest %.1f s (%s); %d MB larger; back after %.1f s" % (
            sum(told.values()) - told["announcement"], told["announcement"], dict(load.counts), *load.slowest,
            grown >> 20, back)


def stubborn(binary):
    """He always says the same: this lock is another's, that script is not there."""
    with Hostile(binary, 1, 0) as fleet:
        fleet.lies.begin(is_stubborn=True)
        answers = crowd([Ask(g.port, path) for path in STUCK for g in fleet.gateways for _ in range(5)], DEADLINE)
        wrong = [(a.ask.target, a.error or a.status) for a in answers if a.error or a.body != body_of(a.ask.target)]
        assert not wrong, wrong
        asked = fleet.lies.asked["read"]
        assert asked < 200, "he was asked %d times" % asked
        got = fleet.gateways[0].purge("all=yes")
        assert not got.json["complete"] and fleet.lies.asked["purge"] < 20, (got.json, fleet.lies.asked["purge"])
        fleet.lies.end()
        check_back(fleet)
        return "%d lookups; the slowest answer after %.1f s" % (asked, max(a.seconds for a in answers))


def seeded(test):
    """Told with the seed when it fails."""
    try:
        return test(SEED)
    except BaseException:
        print("SEED=%d" % SEED)
        raise


def test_a_node_is_stubborn(binary):
    return stubborn(binary)


def test_one_node_lies(binary):
    return seeded(lambda seed: story(binary, 1, 8, seed))


def test_two_nodes_lie(binary):
    return seeded(lambda seed: story(binary, 2, 16, seed + 1))


run(globals())

"""What was purged is not seen again, through whichever gateway: a history of thousands of operations on a fleet whose
links break, and a checker that knows what may have been read when.

    coherence.py BINARY [TEST ...]

What is promised. A purge of key K is *acknowledged* when it was answered with 200 and "complete":true. Let it have been
sent at time p0 and its answer have been received at p1, and let the origin's version of K have been V at p0. Then each
read of K that is sent at r0 >= p1 gives V or a later one, except through a gateway that is cut off, or has been lately: a
gateway of which a link to a node was cut at a time c <= r1 (silently, or so that it was told), where r1 is when the read's
answer was received, and either

    r0 <= c + TRUST + EPSILON                            what it had in memory when it was cut off; or
    r0 <= p1 + TRUST + EPSILON and r0 <= m + EPSILON     what it has fetched since then, before the purge,

m being when its links were mended. So a gateway that is cut off gives what was purged for TRUST at most, after the cut or
after the purge, and one that is back has missed nothing. TRUST is the option `trust` of the section redis, 3 s here; EPSILON is
0.5 s for timers, new connections and the scheduler of a machine with two busy cores (2 s with sanitizers). A cut excuses only
reads; a purge that cannot reach a gateway must not be acknowledged as complete unless that gateway has by then given up its
memory.

No read may fail, cut off or not, and none may give a version that the origin did not have by r1.

All lifetimes are an hour, so that only purges make things new. Times are of one clock; "sent" is noted before, and
"received" after, so that no read is excused or blamed by the test's own delays.

Ends with a line of counts.
"""

import asyncio
import bisect
import collections
import json
import os
import random
import time

from harness import FULL, HOST, SANITIZED, Ask, Crowd, Fleet, Reply, crowd, http, metric, run, wait_for

TRUST = 3.0
EPSILON = 2.0 if SANITIZED else 0.5
OPERATIONS = 2000 if SANITIZED else 10000
LENGTH = 60 if FULL else 20  # seconds over which they are spread, at least, where links break
TASKS = 16
DIRECTORIES, FILES = 6, 10  # keys: /d0/f0 ... ; each has the tags d<i> and f<j>
ROUTE = 'route "/" { backend = b  cache { shared = yes } }\n'

Raise = collections.namedtuple("Raise", "key version at")  # the origin has it from then on, or up to EPS before
Purge = collections.namedtuple("Purge", "begin end gateway floor complete what")  # floor: {key: version at begin}
Read = collections.namedtuple("Read", "begin end gateway key version hit")
Cut = collections.namedtuple("Cut", "at gateway")
Mend = collections.namedtuple("Mend", "at gateway how")


def is_excused(read, purge, cuts, mends, trust):
    """By the cuts and mends of its gateway. PURGE: the first that the read is held to and does not meet."""
    for at in (at for at in cuts if at <= read.end):
        mended = next((m for m in mends if m >= at), float("inf"))
        if read.begin <= at + trust or read.begin <= min(purge.end + trust, mended + EPSILON):
            return True
    return False


def check_history(history, trust=TRUST + EPSILON):
    """What is wrong with it, as texts; and how many reads were held to a purge, and how many excused."""
    cuts, mends = collections.defaultdict(list), collections.defaultdict(list)
    raises = collections.defaultdict(list)
    purges = collections.defaultdict(list)  # by key: (end, the highest floor of those that ended by then, which)
    for entry in history:
        if isinstance(entry, Cut):
            cuts[entry.gateway].append(entry.at)
        elif isinstance(entry, Mend):
            mends[entry.gateway].append(entry.at)
        elif isinstance(entry, Raise):
            raises[entry.key].append((entry.version, entry.at))
    for entry in sorted((e for e in history if isinstance(e, Purge) and e.complete), key=lambda e: e.end):
        for key, version in entry.floor.items():
            kept = purges[key]
            if not kept or version > kept[-1][1]:
                kept.append((entry.end, version, entry))
    wrong, held, excused = [], 0, 0
    for read in (e for e in history if isinstance(e, Read)):
        born = dict(raises[read.key]).get(read.version, float("inf")) if read.version else 0
        if born > read.end:
            wrong.append("%s gives a version that the origin did not have" % (read,))
        kept = purges[read.key]
        i = bisect.bisect_right(kept, read.begin, key=lambda k: k[0])
        if i == 0:
            continue
        _, floor, purge = kept[i - 1]
        if read.version >= floor:
            held += 1
        elif is_excused(read, next(p for _, f, p in kept if f > read.version), cuts[read.gateway],
                        sorted(mends[read.gateway]), trust):
            excused += 1
        else:
            near = [round(read.begin - at, 3) for at in cuts[read.gateway] if at <= read.end]
            wrong.append("gateway %d gave %s version %d %.3f s after a purge (%s, through gateway %d, of %.3f s) was "
                         "complete, though it was %d when that began; %s; its last cut: %s s before\n%s"
                         % (read.gateway, read.key, read.version, read.begin - purge.end, purge.what, purge.gateway,
                            purge.end - purge.begin, floor, "HIT" if read.hit else "no HIT", near[-1] if near else "none",
                            told(history, read)))
    return wrong, held, excused


def told(history, read, seconds=6):
    """What happened to the key of a READ before it, for whoever wonders."""
    lines = []
    for entry in history:
        at = entry.at if hasattr(entry, "at") else entry.end
        if not read.begin - seconds < at < read.end + 0.1:
            continue
        if isinstance(entry, Purge):
            if read.key not in entry.floor:
                continue
            entry = entry._replace(floor={read.key: entry.floor[read.key]})
        elif isinstance(entry, (Read, Raise)) and entry.key != read.key:
            continue
        lines.append((at, "%s" % (entry,)))
    for i, name in enumerate(("begin", "end")):
        lines.append((read[i], "--> the read %ss" % name))
    return "\n".join("%+.4f %s" % (at - read.begin, line) for at, line in sorted(lines))


# ---- the checker's own tests -----------------------------------------------------------------------------------------


def history_of(*reads, cuts=(), mends=(), complete=True):
    """The origin goes to version 1 at 10; a purge goes from 11 to 12."""
    return [Raise("k", 1, 10.0), Purge(11.0, 12.0, 0, {"k": 1}, complete, "url"), *(Cut(at, 1) for at in cuts),
            *(Mend(at, 1, "") for at in mends), *reads]


def read_at(begin, version, end=None, gateway=1, key="k"):
    return Read(begin, end or begin + 0.1, gateway, key, version, True)


def test_checker_refuses_bad_histories(_):
    for name, history in (
            ("stale after a purge", history_of(read_at(12.0, 0))),
            ("stale long after", history_of(read_at(100.0, 0))),
            ("stale, and right before and after", history_of(read_at(12.5, 1), read_at(13.0, 0), read_at(13.5, 1))),
            ("another gateway was cut off", history_of(read_at(13.0, 0, gateway=2), cuts=[12.5])),
            ("cut off too long ago", history_of(read_at(20.0, 0), cuts=[20 - TRUST - EPSILON - 0.01])),
            ("mended too long ago", history_of(read_at(13.5 + EPSILON, 0), cuts=[5.0], mends=[13.4])),
            ("cut off all the time, purged too long ago", history_of(read_at(12.1 + TRUST + EPSILON, 0), cuts=[5.0])),
            ("cut off afterwards", history_of(read_at(13.0, 0, end=13.1), cuts=[13.2])),
            ("from the future", history_of(read_at(8.0, 1))),
            ("never had it", history_of(read_at(20.0, 2))),
            ("a later purge of an older version",
             history_of(read_at(16.0, 0)) + [Purge(14.0, 15.0, 0, {"k": 0}, True, "tag")])):
        wrong, _, _ = check_history(history)
        assert len(wrong) == 1, "%s: %s" % (name, wrong)


def test_checker_accepts_good_histories(_):
    for name, history in (
            ("new after a purge", history_of(read_at(12.0, 1))),
            ("old before it", history_of(read_at(10.5, 0))),
            ("old while it goes on", history_of(read_at(11.999, 0, end=13.0))),
            ("newer than asked for", history_of(read_at(31.0, 2)) + [Raise("k", 2, 30.0)]),
            ("a purge that was not complete", history_of(read_at(13.0, 0), complete=False)),
            ("another key", history_of(read_at(13.0, 0, key="other"))),
            ("cut off", history_of(read_at(13.0, 0), cuts=[12.5])),
            ("fetched while cut off", history_of(read_at(11.9 + TRUST, 0), cuts=[5.0])),
            ("fetched while cut off, and just mended", history_of(read_at(13.5, 0), cuts=[5.0], mends=[13.4])),
            ("just cut off", history_of(read_at(13.0, 0, end=13.1), cuts=[13.05])),
            ("cut off, at the last moment", history_of(read_at(20.0, 0), cuts=[20 - TRUST - EPSILON + 0.01]))):
        wrong, _, _ = check_history(history)
        assert not wrong, "%s: %s" % (name, wrong)


# ---- the fleet -------------------------------------------------------------------------------------------------------


class Connection:
    """One kept connection, made again when it is gone."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def ask(self, method, target, fields=()):
        """Status, fields, body."""
        if self.writer is None or self.reader.at_eof():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = "".join(f + "\r\n" for f in fields)
        length = "Content-Length: 0\r\n" if method == "POST" else ""
        self.writer.write(f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{head}{length}\r\n".encode())
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        got = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            got[name.lower()] = value.strip()
        body = await self.reader.readexactly(int(got.get("content-length", 0)))
        if got.get("connection") == "close":
            self.close()
        return int(lines[0].split()[1]), got, body

    def close(self):
        if self.writer:
            self.writer.transport.abort()
        self.writer = None


class Story:
    """The operations, and what became of them. One thread, but for the origin, which only reads `versions`."""

    def __init__(self, fleet, seed):
        self.fleet, self.random = fleet, random.Random(seed)
        self.keys = ["/d%d/f%d" % (d, f) for d in range(DIRECTORIES) for f in range(FILES)]
        self.versions = dict.fromkeys(self.keys, 0)
        self.history, self.failures, self.left, self.seconds = [], [], OPERATIONS, 0
        self.purges = collections.Counter()
        fleet.origin.script = self.answer

    def answer(self, request):
        version = self.versions[request.path]
        _, d, f = request.path.split("/")
        return Reply(b"%d" % version, "Cache-Control: max-age=3600", "Surrogate-Key: %s %s" % (d, f),
                     delay=random.choice((0, 0, 0.002, 0.02)))

    def covers(self, kind, key):
        """The parameter of a purge of this KIND near KEY, and the keys it is about."""
        _, d, f = key.split("/")
        if kind == "url":
            return "url=http://%s%s" % (HOST, key), [key]
        if kind == "tag":
            return "tag=" + f, [k for k in self.keys if k.endswith("/" + f)]
        if kind == "prefix":
            return "prefix=http://%s/%s/" % (HOST, d), [k for k in self.keys if k.startswith("/%s/" % d)]
        return "all=yes", self.keys

    async def one(self, connections):
        dice, key = self.random.random(), self.random.choice(self.keys)
        gateway = self.random.randrange(len(self.fleet.gateways))
        port, admin = connections[gateway]
        if dice < 0.06:
            version = self.versions[key] + 1
            self.history.append(Raise(key, version, time.monotonic()))
            self.versions[key] = version
        elif dice < 0.14:
            kind = self.random.choices(("url", "method", "tag", "prefix", "all"), (40, 20, 20, 15, 2))[0]
            query, keys = self.covers("url" if kind == "method" else kind, key)
            floor = {k: self.versions[k] for k in keys}
            begin = time.monotonic()
            if kind == "method":
                status, _, body = await port.ask("PURGE", key)
            else:
                status, _, body = await admin.ask("POST", "/cache/purge?" + query)
            said = json.loads(body)
            complete = status == 200 and said.get("complete") is True
            assert status in (200, 207) and complete == (status == 200), "a purge: %d %s" % (status, body)
            self.purges[status] += 1
            self.history.append(Purge(begin, time.monotonic(), gateway, floor, complete, kind))
        else:
            begin = time.monotonic()
            status, fields, body = await port.ask("GET", key)
            assert status == 200, "a read: %d %s" % (status, body[:300])
            self.history.append(Read(begin, time.monotonic(), gateway, key, int(body), fields.get("x-cache") == "HIT"))

    async def task(self, number):
        connections = [(Connection(g.port), Connection(g.admin)) for g in self.fleet.gateways]
        begin, each = time.monotonic(), OPERATIONS // TASKS
        for i in range(each):
            await asyncio.sleep(max(0, begin + i * self.seconds / each - time.monotonic()))
            try:
                await asyncio.wait_for(self.one(connections), 30)
            except Exception as e:
                self.failures.append(repr(e))
                for pair in connections:
                    for connection in pair:
                        connection.close()
            self.left -= 1
        for pair in connections:
            for connection in pair:
                connection.close()

    async def cutting(self, loop):
        """Links break, and are mended, until the operations are done."""
        dice = random.Random(self.random.random())
        while self.left > 0:
            await asyncio.sleep(dice.uniform(0.2, 1.5))
            gateway = dice.randrange(len(self.fleet.gateways))
            links = self.fleet.links[gateway]
            broken = links if dice.random() < 0.3 else [dice.choice(links)]
            is_silent = dice.random() < 0.6
            self.history.append(Cut(time.monotonic(), gateway))
            for link in broken:
                await loop.run_in_executor(None, link.silence if is_silent else link.close)
            self.history.append(Cut(time.monotonic(), gateway))
            await asyncio.sleep(dice.choice((0.05, 0.1, 0.3, 0.5, 1, 2, TRUST + EPSILON + 1)))
            # The ends of silently cut links may find each other again as if nothing had been, or not.
            reset = dice.random() < 0.5
            for link in broken:
                await loop.run_in_executor(None, link.restore, reset)
            how = "%s, %s" % ("silent" if is_silent else "closed", "with a reset" if reset else "as it was")
            self.history.append(Mend(time.monotonic(), gateway, "%d of %d links, %s" % (len(broken), len(links), how)))

    async def tell(self, with_cuts):
        loop = asyncio.get_running_loop()
        tasks = [self.task(i) for i in range(TASKS)]
        if with_cuts:
            self.seconds = LENGTH
            tasks.append(self.cutting(loop))
        await asyncio.gather(*tasks)


def random_operations(binary, with_cuts, seed):
    # Without cuts all purges are to be complete: no node is to be late on a machine that is busy.
    with Fleet(binary, ROUTE, linked=with_cuts, redis="" if with_cuts else "timeout = 500ms") as fleet:
        story = Story(fleet, seed)
        asyncio.run(story.tell(with_cuts))
        wrong, held, excused = check_history(story.history)
        reads = [e for e in story.history if isinstance(e, Read)]
        hits = sum(r.hit for r in reads)
        purges = story.purges
        cuts = sum(isinstance(e, Cut) for e in story.history) // 2
        said = ("%d reads, %.0f %% hits, %d after a purge and right, %d excused; %d purges complete, %d partial; %d cuts; "
                "seed %d"
                % (len(reads), 100 * hits / max(1, len(reads)), held, excused, purges[200], purges[207], cuts, seed))
        assert not story.failures, "%d operations failed: %s (%s)" % (len(story.failures), story.failures[:3], said)
        assert not wrong, "%d stale reads of %s:\n        %s" % (len(wrong), said, "\n        ".join(wrong[:3]))
        # Or nothing was put to the test.
        assert hits > 0.2 * len(reads) and held > 0.2 * len(reads), said
        assert with_cuts or purges[207] == 0 and excused == 0, said
        assert purges[200] > 0.2 * sum(purges.values()), said
        return said


def seed_now():
    return int(os.environ.get("SEED") or time.time())


def test_random_operations(binary):
    return random_operations(binary, False, seed_now())


def test_random_operations_while_links_break(binary):
    return random_operations(binary, True, seed_now())


def versions(fleet):
    """The origin's answers count up."""
    fleet.origin.script = lambda request: Reply(b"%d" % fleet.origin.asked[request.path], "Cache-Control: max-age=3600",
                                                "Surrogate-Key: tag")
    return [lambda target, g=g: int(http(g.port, "GET", target).body) for g in fleet.gateways]


def test_each_kind_of_purge_reaches_all(binary):
    with Fleet(binary, ROUTE) as fleet:
        reads = versions(fleet)
        first, last = fleet.gateways[0], fleet.gateways[2]
        for i, purge in enumerate((lambda: last.purge(f"url=http://{HOST}/a/b"), lambda: last.purge("tag=tag"),
                                   lambda: last.purge(f"prefix=http://{HOST}/a/"), lambda: last.purge("all=yes"),
                                   lambda: http(last.port, "PURGE", "/a/b"))):
            assert [read("/a/b") for read in reads] == [i + 1] * 3
            got = purge()
            said = json.loads(got.body)
            assert got.status == 200 and said["complete"] is True and said["purged"] >= 1, (i, got.status, said)
        assert first.is_running()


def test_reads_while_a_purge_goes_on(binary):
    """What a gateway reads from a node just before the node purges it may not be in its memory afterwards; the gateway
    that purges is one of them."""
    stale, complete = collections.Counter(), 0
    rounds, many = (5, 20) if SANITIZED else (20, 50)
    with Fleet(binary, ROUTE) as fleet:
        versions(fleet)
        for i in range(rounds):
            targets = ["/r%d/%d" % (i, j) for j in range(many)]
            crowd([Ask(fleet.gateways[2].port, t) for t in targets])  # stored, and not in the others' memory
            reading = Crowd([Ask(g.port, t) for t in targets for g in fleet.gateways[:2]]).go()
            got = fleet.gateways[0].purge(f"prefix=http://{HOST}/r{i}/")
            reading.answers()
            if got.status != 200:
                continue  # a node was late, with so much at once on few cores; then nothing is promised
            complete += 1
            for a in crowd([Ask(g.port, t) for t in targets for g in fleet.gateways]):
                stale[a.ask.port] += a.body == b"1"
        found = [stale[g.port] for g in fleet.gateways]
        assert found == [0, 0, 0], "stale answers of %d by gateway, the first purged: %s" % (complete * many, found)
        assert complete >= rounds / 2, "%d of %d purges were complete" % (complete, rounds)


def test_a_purge_that_does_not_reach_a_gateway(binary):
    """It is complete when that gateway has had the time to stop trusting its memory, and then it has; or it is partial."""
    with Fleet(binary, ROUTE, linked=True) as fleet:
        reads = versions(fleet)
        assert [read("/a") for read in reads] == [1] * 3
        begin = time.monotonic()
        for link in fleet.links[2]:
            link.silence()
        got = fleet.gateways[0].purge(f"url=http://{HOST}/a")
        took = time.monotonic() - begin
        assert took < TRUST + EPSILON, "it took %.1f s" % took
        if got.status == 200:
            assert got.json["complete"] is True
            assert reads[2]("/a") != 1, "complete after %.1f s, but what was cut off gives what is gone" % took
        else:
            assert got.status == 207 and got.json["complete"] is False, (got.status, got.json)
        assert 1 < reads[0]("/a") == reads[1]("/a")
        wait_for(lambda: reads[2]("/a") != 1, "the gateway that is cut off fetches anew", TRUST + EPSILON)
        return "%d after %.1f s" % (got.status, took)


def test_a_purge_that_does_not_reach_the_nodes_is_partial(binary):
    """And is made good: who was purged is not seen again when the nodes are back with all they had."""
    with Fleet(binary, ROUTE) as fleet:
        reads = versions(fleet)
        targets = ["/p%d" % i for i in range(12)]  # some on each node
        for target in targets:
            assert [read(target) for read in reads] == [1] * 3
        fleet.nodes[0].pause()
        wait_for(lambda: metric(fleet.gateways[0], "tollgate_redis_up", {"node": fleet.nodes[0].name}) == 0, "it is deaf")
        got = fleet.gateways[0].purge("all=yes")
        assert got.status == 207 and got.json["complete"] is False, (got.status, got.json)
        fleet.nodes[0].resume()
        fleet.wait_joined()
        for read in reads:
            wait_for(lambda read=read: all(read(t) > 1 for t in targets), "what was purged is gone", TRUST + EPSILON)
        for node in fleet.nodes:
            node.kill()
        got = fleet.gateways[0].purge("all=yes")
        assert got.status == 207 and got.json["complete"] is False, (got.status, got.json)


def test_a_gateway_that_was_away_has_missed_nothing(binary):
    """Its links are closed while another purges, and mended at once."""
    with Fleet(binary, ROUTE, linked=True) as fleet:
        reads = versions(fleet)
        for i in range(20):
            target = "/away%d" % i
            assert [read(target) for read in reads] == [1] * 3
            for link in fleet.links[2]:
                link.close()
            fleet.gateways[0].purge(f"url=http://{HOST}{target}")
            for link in fleet.links[2]:
                link.restore()
            fleet.wait_joined()
            wait_for(lambda target=target: reads[2](target) > 1, "what was purged meanwhile is gone", TRUST + EPSILON)
            if i >= 4 and not FULL:
                break


run(globals())

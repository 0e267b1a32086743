"""The numbers that limits, breakers and retries promise, under load through the real gateway.

    protect.py BINARY TOOLS [--seconds 5] [--requests 100000]

TOOLS is the folder with the bench's load and origin. Each test starts a gateway of its own on loopback; time is measured,
never assumed. Ends with a line of counts.
"""

import argparse
import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
failures = []


def check(name, good, seen):
    print(f"{'ok    ' if good else 'FAILED'}  {name}: {seen}")
    if not good:
        failures.append(name)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Gateway:
    """A gateway with ROUTES and backends as given; `with` ends it."""

    def __init__(self, binary, conf, workers=4):
        self.port, self.admin = free_port(), free_port()
        self.directory = tempfile.TemporaryDirectory()
        path = f"{self.directory.name}/gw.conf"
        with open(path, "w", encoding="ascii") as f:
            f.write(f'workers = {workers}\nlisten "127.0.0.1:{self.port}" {{}}\nadmin "127.0.0.1:{self.admin}" {{}}\n'
                    f'log {{ access = off }}\n{conf}')
        self.process = subprocess.Popen([binary, "-c", path], stderr=subprocess.DEVNULL)

    def metric(self, name):
        page = urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10).read().decode()
        return sum(float(v) for v in re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", page, re.M))

    def __enter__(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                self.metric("tollgate_connections")
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the gateway did not start")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.directory.cleanup()


class Load:
    """Connections that each send the next request when the last is answered, as long as MORE says so."""

    def __init__(self, port, connections, path="/"):
        self.port, self.connections = port, connections
        self.request = f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        self.statuses = {}
        self.first_sent = self.first_seen = self.last_sent = self.last_seen = 0.0
        self.answered = 0
        self.on_answer = lambda status: None

    async def run(self, more):
        loop = asyncio.get_running_loop()
        self.first_sent = time.monotonic()
        ends = []
        for _ in range(self.connections):
            end = loop.create_future()
            ends.append(end)
            await loop.create_connection(lambda end=end: Connection(self, more, end), "127.0.0.1", self.port)
        await asyncio.gather(*ends)


class Connection(asyncio.Protocol):
    def __init__(self, load, more, end):
        self.load, self.more, self.end, self.held = load, more, end, b""

    def connection_made(self, transport):
        self.transport = transport
        self.next()

    def next(self):
        if not self.more():
            self.transport.close()
            if not self.end.done():
                self.end.set_result(None)
            return
        self.load.last_sent = time.monotonic()
        self.transport.write(self.load.request)

    def data_received(self, data):
        self.held += data
        at = self.held.find(HEAD_END)
        if at < 0:
            return
        length = LENGTH.search(self.held, 0, at + 2)
        whole = at + 4 + (int(length.group(1)) if length else 0)
        if len(self.held) < whole:
            return
        status = int(self.held[9:12])
        self.held = self.held[whole:]
        load = self.load
        load.last_seen = time.monotonic()
        load.first_seen = load.first_seen or load.last_seen
        load.statuses[status] = load.statuses.get(status, 0) + 1
        load.answered += 1
        load.on_answer(status)
        self.next()

    def connection_lost(self, exc):
        if not self.end.done():
            self.load.statuses["lost"] = self.load.statuses.get("lost", 0) + 1
            self.end.set_result(None)


class Backend(asyncio.Protocol):
    """Answers with Backend.status and counts."""
    status = 200
    requests = 0

    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        self.held += data
        while (at := self.held.find(HEAD_END)) >= 0:
            self.held = self.held[at + 4:]
            Backend.requests += 1
            self.transport.write(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nhi" % Backend.status)


async def serve():
    Backend.status, Backend.requests = 200, 0
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def accuracy(options):
    """64 connections over 4 workers ask for at least ten times the limit."""
    rate, burst = 200, 100
    conf = f'route "/" {{ respond {{ body = "hi" }} limit {{ rate = {rate}/s  burst = {burst}  key = route }} }}\n'
    with Gateway(options.binary, conf) as gateway:
        load = Load(gateway.port, 64)
        end = time.monotonic() + options.seconds
        await load.run(lambda: time.monotonic() < end)
        admitted = load.statuses.get(200, 0)
        most = burst + rate * (load.last_seen - load.first_sent)
        least = (burst + rate * (load.last_sent - load.first_seen)) * 0.995
        check("limit: never above", admitted <= most, f"{admitted} admitted, at most {most:.1f}")
        check("limit: not below by more than 0.5 %", admitted >= least - 1, f"{admitted} admitted, at least {least:.1f}")
        check("limit: ten times as many asked", load.answered >= 10 * rate * options.seconds, f"{load.answered} asked")
        check("limit: answers are 200 and 429", set(load.statuses) == {200, 429}, load.statuses)


async def breaker(options):
    """A backend turns bad under load, and good again."""
    server, port = await serve()
    conf = (f'backend "b" {{ server "http://127.0.0.1:{port}" {{}} retry {{ attempts = 1 }} eject {{ failures = 0 }}\n'
            '  breaker { window = 10s  open_for = 1s  open_max = 1s  half_open_probes = 1  close_after = 1 } }\n'
            'route "/" { backend = b }\n')
    connections = 16
    with Gateway(options.binary, conf) as gateway:
        load = Load(gateway.port, connections)
        seen = {"good": 0, "bad": 0, "refused": 0, "opened": 0.0, "well": 0.0, "recovered": 0.0, "probes_from": 0}
        state = {"phase": "good"}

        def on_answer(status):
            now = time.monotonic()
            if state["phase"] == "good" and load.answered == 4000:
                seen["good"], Backend.status, state["phase"] = Backend.requests, 500, "bad"
            elif state["phase"] == "bad" and status == 503:
                seen["opened"], seen["bad"], state["phase"] = now, Backend.requests - seen["good"], "open"
                seen["probes_from"] = Backend.requests
            elif state["phase"] == "open" and now > seen["opened"] + 3:
                seen["probes"] = Backend.requests - seen["probes_from"]
                seen["well"], Backend.status, state["phase"] = now, 200, "well"
            elif state["phase"] == "well" and status == 200:
                seen["recovered"], state["phase"] = now, "done"

        load.on_answer = on_answer
        end = time.monotonic() + 60
        await load.run(lambda: state["phase"] != "done" and time.monotonic() < end)
        # Half of the window bad: as many as there were good ones, and those that were on their way.
        check("breaker: a window's worth of failures, no more", 0 < seen["bad"] <= seen["good"] + 2 * connections,
              f"{seen['bad']} failures after {seen['good']} successes")
        check("breaker: then only probes", seen.get("probes", 99) <= connections + 4,
              f"{seen.get('probes')} requests in 3 s, those on their way included")
        took = seen["recovered"] - seen["well"]
        check("breaker: recovers within open_for and a probe", seen["recovered"] > 0 and took < 1.1 + 0.5, f"{took:.2f} s")
        check("breaker: no connection lost", "lost" not in load.statuses, load.statuses)
    server.close()


async def storm(options):
    """Everything fails: retries stay within their budget."""
    (one, port), (two, other) = await serve(), await serve()
    Backend.status = 503
    conf = (f'backend "b" {{ server "http://127.0.0.1:{port}" {{}} server "http://127.0.0.1:{other}" {{}}\n'
            '  retry { on = {"connect", "reset", "503"}  budget = 20%  budget_min = 0 } breaker { enabled = no }\n'
            '  eject { failures = 0 } }\nroute "/" { backend = b }\n')
    with Gateway(options.binary, conf) as gateway:
        load, n = Load(gateway.port, 16), 5000
        left = iter(range(n))
        await load.run(lambda: next(left, None) is not None)
        check("retries: at most 1.2 times the requests", Backend.requests <= 1.2 * load.answered,
              f"{Backend.requests} tries of {load.answered} requests")
        check("retries: and the budget is used", Backend.requests >= 1.1 * load.answered, Backend.requests)
    one.close()
    two.close()


class Slow(asyncio.Protocol):
    """Works on eight requests at a time, ten milliseconds each; the others wait."""
    inside = most = 0
    work = None

    def connection_made(self, transport):
        self.transport, self.held = transport, b""

    def data_received(self, data):
        self.held += data
        while (at := self.held.find(HEAD_END)) >= 0:
            self.held = self.held[at + 4:]
            asyncio.get_running_loop().create_task(self.answer())

    async def answer(self):
        Slow.inside += 1
        Slow.most = max(Slow.most, Slow.inside)
        async with Slow.work:
            await asyncio.sleep(0.01)
        Slow.inside -= 1
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


async def adaptive(options):
    """An adaptive bulkhead finds out how much a backend can do at once."""
    Slow.work = asyncio.Semaphore(8)
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    conf = (f'backend "b" {{ server "http://127.0.0.1:{port}" {{}} bulkhead {{ max = 100  adaptive = yes  queue = 200 }}\n'
            '  breaker { enabled = no } }\nroute "/" { backend = b }\n')
    with Gateway(options.binary, conf) as gateway:
        load = Load(gateway.port, 64)
        begin = time.monotonic()
        seconds = max(options.seconds, 12)

        def on_answer(_):
            if time.monotonic() < begin + seconds * 2 / 3:
                Slow.most = 0

        load.on_answer = on_answer
        await load.run(lambda: time.monotonic() < begin + seconds)
        check("adaptive bulkhead: near what the backend can do", 0 < Slow.most <= 32, f"{Slow.most} of 64 at once, 8 work")
        served = load.statuses.get(200, 0) / seconds
        check("adaptive bulkhead: which stays at work", served >= 0.3 * 800, f"{served:.0f} of 800 a second")
    server.close()


def kill_one_of_three(options):
    """kill -9 of a server under load: nobody sees it."""
    ports = [free_port() for _ in range(3)]
    origins = [subprocess.Popen([f"{options.tools}/origin", str(port)]) for port in ports]
    servers = "".join(f'  server "http://127.0.0.1:{port}" {{}}\n' for port in ports)
    try:
        with Gateway(options.binary, f'backend "b" {{\n{servers}}}\nroute "/" {{ backend = b }}\n') as gateway:
            load = subprocess.Popen([f"{options.tools}/load", "--port", str(gateway.port), "--path", "/b/128", "--expect",
                                     "128", "--requests", str(options.requests), "--connections", "64"],
                                    stdout=subprocess.PIPE)
            while gateway.metric("tollgate_http_requests_total") < options.requests / 4 and load.poll() is None:
                time.sleep(0.01)
            origins[0].kill()
            report = json.loads(load.communicate()[0])
            retries = gateway.metric("tollgate_upstream_retries_total")
            check("a server is killed: no client sees an error", report["errors"] == 0,
                  f"{report['errors']} errors of {report['requests']} ({report['why']}), {retries:.0f} retries")
            check("a server is killed: in the middle of the load", retries > 0, f"{retries:.0f} retries")
    finally:
        for origin in origins:
            origin.kill()
            origin.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("tools")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--requests", type=int, default=100000)
    options = parser.parse_args()
    for test in (accuracy, breaker, storm, adaptive):
        asyncio.run(test(options))
    kill_one_of_three(options)
    print(f"{'some' if failures else 'all'} passed, {len(failures)} failed")
    sys.exit(bool(failures))


main()

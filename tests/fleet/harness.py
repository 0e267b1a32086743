"""Redis nodes, gateways that share them, a scripted origin, links that can be cut, and clients.

    fleet = Fleet(binary, 'route "/" { backend = b  cache { shared = yes } }\\n')
    with fleet:
        fleet.origin.script = lambda request: Reply(b"hello", "Cache-Control: max-age=60", delay=0.5)
        got = crowd([Ask(g.port, "/a") for g in fleet.gateways])

Everything is a process or a thread of this test on loopback, ends with it, and is waited for with a deadline: nothing
sleeps and hopes. Times are time.monotonic(), which pace.c uses too.
"""

import asyncio
import atexit
import collections
import importlib.util
import inspect
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SANITIZED = bool(os.environ.get("SANITIZED"))
FULL = os.environ.get("FLEET") == "full"
WAIT = 30 if SANITIZED else 10  # seconds for anything to happen
HOST = "localhost"  # to which the admin port of a loopback address answers, too


def _cache_harness():
    spec = importlib.util.spec_from_file_location("cache_harness", os.path.join(HERE, "..", "cache", "harness.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Client = _cache_harness().Client


class Skip(Exception):
    """This test cannot be done here; why."""


def wait_for(condition, what, deadline=WAIT):
    """What CONDITION() gives, as soon as it is true."""
    end = time.monotonic() + deadline
    while True:
        seen = condition()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError("it did not come to: " + what)
        time.sleep(0.01)


_given = set()


def free_port():
    """A port that no outgoing connection will ever get, so that what is restarted finds it free."""
    while True:
        port = random.randrange(15000, 32000)
        if port in _given:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


# ---- processes -------------------------------------------------------------------------------------------------------

_running = []


class Process:
    """A child that is gone when the test is."""

    def spawn(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **(env or {})})
        _running.append(self.process)

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """As a crash: at once, without a good-bye."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def is_running(self):
        return self.process.poll() is None


@atexit.register
def _end_all():
    for process in _running:
        if process.poll() is None:
            process.kill()
            process.wait()


class RedisError(Exception):
    """What a node said."""


class Redis(Process):
    """A node without any file; what it knew is lost when it is killed."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.name = "127.0.0.1:%d" % self.port
        self.dir = tempfile.TemporaryDirectory()
        self.log = open(os.path.join(self.dir.name, "log"), "a+", encoding="utf-8")
        self.start()

    def start(self):
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                    "--dir", self.dir.name, "--loglevel", "warning", "--tcp-backlog", "128"])
        wait_for(self.is_answering, "a Redis node that answers")

    def is_answering(self):
        try:
            return self.command("PING") == "PONG"
        except (OSError, EOFError, RedisError):
            return False

    def command(self, *words):
        """Over a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT) as s:
            packed = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(packed) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in packed))
            with s.makefile("rb") as f:
                return self._reply(f)

    def _reply(self, f):
        line = f.readline()
        if not line:
            raise EOFError("the node hung up")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"-":
            raise RedisError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return f.read(int(rest) + 2)[:-2].decode("latin-1") if rest != "-1" else None
        if kind == b"*":
            return [self._reply(f) for _ in range(int(rest))]
        return rest

    def scripts(self):
        """Calls of scripts since it started."""
        return sum(int(n) for n in re.findall(r"cmdstat_(?:eval|evalsha|fcall):calls=(\d+)",
                                              self.command("INFO", "commandstats")))

    def clients(self, kind="normal"):
        """Connections, but for the one that asks."""
        return len(self.command("CLIENT", "LIST", "TYPE", kind).splitlines()) - (kind == "normal")

    def keys(self):
        return self.command("DBSIZE")

    def stop(self):
        if self.is_running():
            self.resume()
            self.kill()
        self.log.close()
        self.dir.cleanup()


def metrics(gateway):
    """All samples, [(name, {label: value}, number)]."""
    got = http(gateway.admin, "GET", "/metrics")
    samples = []
    for name, labels, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", got.body.decode(), re.M):
        samples.append((name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)), float(value)))
    return samples


def metric(gateway, name, labels=None):
    """The sum of the samples of NAME that have LABELS; None when there are none."""
    wanted = (labels or {}).items()
    found = [value for n, has, value in metrics(gateway) if n == name and wanted <= has.items()]
    return sum(found) if found else None


class Gateway(Process):
    """`build/tollgate -c FILE`. DOORS: {port of a node: port to go to instead}. ENV: of the process. LOG: options of the
    section log."""

    def __init__(self, binary, conf, workers=2, doors=None, env=None, level="info", log="access = off"):
        self.port, self.admin, self.workers = free_port(), free_port(), workers
        self.dir = tempfile.TemporaryDirectory()
        path = os.path.join(self.dir.name, "gw.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write(f'workers = {workers}\nlisten "127.0.0.1:{self.port}" {{}}\nadmin "127.0.0.1:{self.admin}" {{}}\n'
                    f'log {{ {log}  level = {level} }}\nclient {{ max_connections = 8000 }}\n{conf}')
        self.log = open(os.path.join(self.dir.name, "log"), "a+", encoding="utf-8", errors="replace")
        env = dict(env or {})
        preload = [env["LD_PRELOAD"]] if "LD_PRELOAD" in env else []
        if doors:
            preload.append(os.path.abspath(os.path.join(os.path.dirname(binary), "fleet", "reroute.so")))
            env["REROUTE"] = ",".join("%d:%d" % pair for pair in doors.items())
        if preload:
            env["LD_PRELOAD"] = ":".join(preload)
            env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.spawn([binary, "-c", path], env)

    def wait(self):
        """Until it serves."""
        def serves():
            if not self.is_running():
                raise AssertionError("the gateway does not start:\n" + self.text()[-2000:])
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=WAIT).close()
                return http(self.admin, "GET", "/healthz").status == 200
            except (OSError, EOFError):
                return False
        wait_for(serves, "a gateway that serves")

    def text(self):
        """Its log so far."""
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            return f.read()

    def cache(self, name):
        return json.loads(http(self.admin, "GET", "/cache").body)[name]

    def purge(self, query):
        """POST /cache/purge; the answer, with its JSON as .json."""
        got = http(self.admin, "POST", "/cache/purge?" + query)
        got.json = json.loads(got.body)
        return got

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def rss(self):
        with open("/proc/%d/statm" % self.process.pid, encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def stop(self):
        """End it properly; it has to end well, unless it was killed before."""
        was_running = self.is_running()
        if was_running:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGCONT)
            try:
                self.process.wait(timeout=WAIT)
            except subprocess.TimeoutExpired:
                self.kill()
        code, text = self.process.returncode, self.text()
        self.log.close()
        self.dir.cleanup()
        if was_running and code != 0:
            raise AssertionError("the gateway ended with %d:\n%s" % (code, text[-4000:]))


def redis_conf(ports, more=""):
    nodes = ", ".join('"127.0.0.1:%d"' % port for port in ports)
    timeout = "" if "timeout" in more else "timeout = 50ms"
    return f'redis {{ nodes = {{{nodes}}}  {timeout}  trust = 3s  lock_ttl = 3s  prefix = "t"  {more} }}\n'


class Fleet:
    """Gateways with the same ROUTES on the same nodes, and an origin that they know as backend b. ENV: a list, one for
    each gateway. LINKED: each gateway goes to each node through a TcpProxy, links[gateway][node]."""

    def __init__(self, binary, routes, gateways=3, nodes=3, linked=False, env=None, redis="", backend=""):
        self.binary, self.gateways, self.links, self.nodes = binary, [], [], []
        self.origin = Origin()
        try:
            self.nodes += [Redis() for _ in range(nodes)]
            self.conf = (redis_conf([n.port for n in self.nodes], redis) +
                         f'backend "b" {{ server "http://127.0.0.1:{self.origin.port}" {{}} max_connections = 4000\n'
                         '  timeout { total = 60s  first_byte = 60s } retry { attempts = 1 } eject { failures = 0 }\n'
                         f'  {backend or "breaker { enabled = no }"} }}\n{routes}')
            for i in range(gateways):
                self.start_gateway(linked, env[i] if env else None)
            for gateway in self.gateways:
                gateway.wait()
            self.wait_joined()
        except BaseException:
            for process in self.gateways + self.nodes:
                process.kill()
            raise

    def start_gateway(self, linked=False, env=None):
        """One more; it has not joined yet."""
        links = [TcpProxy(n.port) for n in self.nodes] if linked else []
        self.links.append(links)
        doors = {node.port: link.port for node, link in zip(self.nodes, links)}
        self.gateways.append(Gateway(self.binary, self.conf, doors=doors, env=env))

    def wait_joined(self):
        """Until each gateway has all its connections to each node that runs, and knows of all others."""
        running = [g for g in self.gateways if g.is_running()]
        links = sum(g.workers for g in running)
        for node in self.nodes:
            if node.is_running():
                wait_for(lambda node=node: node.clients() >= links and node.clients("pubsub") >= len(running),
                         "all gateways are connected to " + node.name)
        nodes = sum(n.is_running() for n in self.nodes)
        for g in running:
            wait_for(lambda g=g: metric(g, "tollgate_redis_up") == nodes, "a gateway that hears all nodes")
            wait_for(lambda g=g: metric(g, "tollgate_fleet_gateways") == len(running), "gateways that know of each other")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        wrong = None
        for gateway in self.gateways:
            try:
                gateway.stop()
            except AssertionError as e:
                wrong = wrong or e
        for links in self.links:
            for link in links:
                link.stop()
        for node in self.nodes:
            node.stop()
        self.origin.stop()
        if wrong and error is None:
            raise wrong


def pace(fleet, rate, seconds, paths, weights=None, keys=0, connections=32):
    """Start the load; report() of what is given waits for its end."""
    return Pace(fleet.binary, [g.port for g in fleet.gateways], rate, seconds, paths, weights, keys, connections)


class Pace(Process):
    """pace.c, which see."""

    def __init__(self, binary, ports, rate, seconds, paths, weights, keys, connections):
        command = [os.path.join(os.path.dirname(binary), "fleet", "pace"), "--rate", str(rate), "--seconds", str(seconds),
                   "--keys", str(keys), "--connections", str(connections)]
        for port, weight in zip(ports, weights or [1] * len(ports)):
            command += ["--to", "%d=%d" % (port, weight)]
        for path in paths:
            command += ["--path", path]
        self.log = tempfile.TemporaryFile("w+")
        self.seconds = seconds
        self.spawn(command)
        self.begin = wait_for(self._start, "the load begins")

    def _start(self):
        self.log.seek(0)
        line = self.log.readline()
        return json.loads(line)["start_ms"] / 1000 if line.endswith("\n") else None

    def report(self):
        self.process.wait(timeout=self.seconds + 20)
        self.log.seek(0)
        lines = [json.loads(line) for line in self.log]
        self.log.close()
        self.slots, self.total = lines[1:-1], lines[-1]
        return self

    def count(self, status=None, begin=0.0, end=float("inf")):
        """Answers (with STATUS) in the slots that lie wholly between two moments."""
        n = 0
        for slot in self.slots:
            at = self.begin + slot["slot"] / 10
            if at >= begin and at + 0.1 <= end:
                n += sum(v for k, v in slot["statuses"].items() if status in (None, int(k)))
        return n

    def statuses(self):
        found = collections.Counter()
        for slot in self.slots:
            found.update({int(k): v for k, v in slot["statuses"].items()})
        return dict(found)

    def hits(self, begin=0.0, end=float("inf")):
        return sum(s["hits"] for s in self.slots
                   if self.begin + s["slot"] / 10 >= begin and self.begin + s["slot"] / 10 + 0.1 <= end)

    def slots_of(self, begin, end):
        """First and last moment of the slots that count() takes, since slots are not cut."""
        inside = [self.begin + s["slot"] / 10 for s in self.slots
                  if self.begin + s["slot"] / 10 >= begin and self.begin + s["slot"] / 10 + 0.1 <= end]
        return inside[0], inside[-1] + 0.1


# ---- threads of this process -----------------------------------------------------------------------------------------


class Loop:
    """An asyncio loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT)

    def call(self, function):
        """FUNCTION on the loop; what it gives."""
        async def body():
            return function()
        return self.run(body())


class Request:
    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path, _ = lines[0].split(" ", 2)
        self.fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.fields[name.lower()] = value.strip()
        self.at = time.monotonic()


class Reply:
    """What the origin says, DELAY seconds later. PAUSE: the second half of it so many seconds after the first. CLOSE: it
    hangs up instead."""

    def __init__(self, body=b"", *fields, status=200, delay=0.0, pause=0.0, close=False):
        self.body, self.fields, self.status, self.close = body, fields, status, close
        self.delay, self.pause = delay, pause

    def data(self, request):
        head = "".join(f + "\r\n" for f in self.fields)
        head = f"HTTP/1.1 {self.status} Reason\r\n{head}Content-Length: {len(self.body)}\r\n\r\n"
        return head.encode("latin-1") + (b"" if request.method == "HEAD" else self.body)


class Origin:
    """Answers by SCRIPT, a function of the request that runs in the origin's thread. asked: requests by path."""

    def __init__(self):
        self.script = lambda request: Reply(b"hi", "Cache-Control: no-store")
        self.asked = collections.Counter()
        self.thread = Loop()
        self.server = self.thread.run(self._listen())
        self.port = self.server.sockets[0].getsockname()[1]

    async def _listen(self):
        return await asyncio.get_running_loop().create_server(lambda: _OriginConnection(self), "127.0.0.1", free_port(),
                                                              backlog=4096)

    def stop(self):
        self.thread.call(self.server.close)
        self.thread.loop.call_soon_threadsafe(self.thread.loop.stop)


class _OriginConnection(asyncio.Protocol):
    def __init__(self, origin):
        self.origin, self.held = origin, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.held += data
        while (at := self.held.find(b"\r\n\r\n")) >= 0:
            head, self.held = self.held[:at], self.held[at + 4:]
            request = Request(head)
            self.origin.asked[request.path] += 1
            reply = self.origin.script(request)
            if reply.delay:
                self.origin.thread.loop.call_later(reply.delay, self.answer, request, reply)
            else:
                self.answer(request, reply)

    def answer(self, request, reply):
        if self.transport.is_closing():
            return
        if reply.close:
            self.transport.abort()
            return
        data = reply.data(request)
        half = len(data) // 2 if reply.pause else len(data)
        self.transport.write(data[:half])
        if reply.pause:
            self.origin.thread.loop.call_later(reply.pause, self.transport.write, data[half:])


class TcpProxy:
    """A link to a port that can be cut: silently, as by a cable that is pulled (what is sent then is held), or so that
    both ends see it. budget: bytes that each connection still gets from the port; then what it gets is held."""

    thread = None

    def __init__(self, target):
        TcpProxy.thread = TcpProxy.thread or Loop()
        self.target, self.is_silent, self.is_refusing, self.pairs = target, False, False, set()
        self.budget = None
        self.port = free_port()
        self.server = self.thread.run(self._listen())

    async def _listen(self):
        return await asyncio.get_running_loop().create_server(lambda: _Near(self), "127.0.0.1", self.port, backlog=128)

    def silence(self):
        """Nothing gets through any more, and nobody is told. Moment of the cut: when this is called."""
        def now():
            self.is_silent = True
            for pair in self.pairs:
                pair.pause()
        self.thread.call(now)

    def close(self):
        """All connections end with a reset, and new ones too."""
        def now():
            self.is_refusing = True
            self._abort()
        self.thread.call(now)

    def restore(self, reset=False):
        """As before; what was held goes on its way, or RESET: those connections end."""
        def now():
            self.is_silent = self.is_refusing = False
            if reset:
                self._abort()
            for pair in list(self.pairs):
                pair.resume()
        self.thread.call(now)

    def limit(self, budget):
        """From now on; None: no more, and what was held goes on its way."""
        def now():
            self.budget = budget
            for pair in list(self.pairs):
                pair.got = 0
                if budget is None:
                    pair.take(b"")
                    pair.resume()
        self.thread.call(now)

    def _abort(self):
        for pair in list(self.pairs):
            pair.abort()

    def stop(self):
        def now():
            self.server.close()
            self._abort()
        self.thread.call(now)


class _Near(asyncio.Protocol):
    """The gateway's side of a connection, and the pair of both."""

    def __init__(self, proxy):
        self.proxy, self.far, self.transport, self.is_connecting = proxy, None, None, False
        self.got, self.held, self.early = 0, b"", b""

    def connection_made(self, transport):
        self.transport = transport
        if self.proxy.is_refusing:
            transport.abort()
            return
        transport.pause_reading()
        self.proxy.pairs.add(self)
        if not self.proxy.is_silent:
            self.resume()

    def resume(self):
        if self.far:
            self.transport.resume_reading()
            self.far.resume_reading()
        elif not self.is_connecting:
            self.is_connecting = True
            self.proxy.thread.loop.create_task(self._connect())

    async def _connect(self):
        try:
            self.far, _ = await self.proxy.thread.loop.create_connection(lambda: _Far(self), "127.0.0.1", self.proxy.target)
        except OSError:
            self.abort()
            return
        if self not in self.proxy.pairs:
            self.far.abort()
        elif self.proxy.is_silent:
            self.far.pause_reading()
        else:
            self.transport.resume_reading()
        if self.early:
            self.far.write(self.early)
            self.early = b""

    def pause(self):
        self.transport.pause_reading()
        if self.far:
            self.far.pause_reading()

    def take(self, data):
        """What the port says, within the budget."""
        self.held += data
        budget = self.proxy.budget
        n = len(self.held) if budget is None else max(0, budget - self.got)
        self.transport.write(self.held[:n])
        self.got += min(n, len(self.held))
        self.held = self.held[n:]
        if self.held:
            self.pause()

    def abort(self):
        self.proxy.pairs.discard(self)
        self.transport.abort()
        if self.far:
            self.far.abort()

    def data_received(self, data):
        if not self.far:  # asyncio before 3.12 reads once more after a pause in connection_made
            self.early += data
            return
        self.far.write(data)

    def connection_lost(self, exc):
        if self in self.proxy.pairs:
            self.abort()


class _Far(asyncio.Protocol):
    def __init__(self, near):
        self.near = near

    def data_received(self, data):
        self.near.take(data)

    def connection_lost(self, exc):
        if self.near in self.near.proxy.pairs:
            self.near.abort()


# ---- clients ---------------------------------------------------------------------------------------------------------


def http(port, method, target, fields=(), timeout=WAIT):
    """One request over a connection of its own."""
    client = Client(port, timeout)
    try:
        client.send(method, target, fields, host=HOST)
        return client.receive()
    finally:
        client.close()


class Ask:
    def __init__(self, port, target, *fields, method="GET"):
        self.port, self.target, self.fields, self.method = port, target, fields, method


class Got:
    """The answer to an Ask; ERROR: there was none, and why. SECONDS: from the moment all began."""

    def __init__(self, ask):
        self.ask, self.status, self.fields, self.body, self.error, self.seconds = ask, 0, {}, b"", None, 0.0


class _Asking(asyncio.Protocol):
    def __init__(self, ask, end):
        self.got, self.end, self.held, self.begin = Got(ask), end, b"", 0.0

    def connection_made(self, transport):
        self.transport = transport

    def go(self):
        ask = self.got.ask
        self.begin = time.monotonic()
        if self.transport.is_closing():
            self.finish("closed before the request")
            return
        head = "".join(f + "\r\n" for f in ask.fields)
        self.transport.write(f"{ask.method} {ask.target} HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n".encode())

    def data_received(self, data):
        self.held += data
        got = self.got
        if not got.status:
            at = self.held.find(b"\r\n\r\n")
            if at < 0:
                return
            lines = self.held[:at].decode("latin-1").split("\r\n")
            self.held = self.held[at + 4:]
            got.status = int(lines[0].split()[1])
            for line in lines[1:]:
                name, _, value = line.partition(":")
                got.fields[name.lower()] = value.strip()
            self.is_chunked = got.fields.get("transfer-encoding") == "chunked"
            self.left = 0 if got.ask.method == "HEAD" else int(got.fields.get("content-length", 0))
        if self.is_chunked:
            if self.held.endswith(b"0\r\n\r\n"):
                got.body = _unchunk(self.held)
                self.finish(None)
        elif len(self.held) >= self.left:
            got.body = self.held
            self.finish(None)

    def finish(self, error):
        self.got.error, self.got.seconds = error, time.monotonic() - self.begin
        if not self.end.done():
            self.end.set_result(self.got)

    def connection_lost(self, exc):
        if not self.end.done() and self.begin:
            self.finish("broken off: %s" % exc)


def _unchunk(data):
    out = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        n = int(size, 16)
        out, data = out + rest[:n], rest[n + 2:]
    return out


class Crowd:
    """All of ASKS connected, then sent at once: Crowd(asks).go().answers()."""

    def __init__(self, asks):
        self.thread = Loop()
        self.clients = []
        asyncio.run_coroutine_threadsafe(self._connect(asks), self.thread.loop).result(WAIT * 3)

    async def _connect(self, asks):
        loop = asyncio.get_running_loop()
        for start in range(0, len(asks), 100):
            made = await asyncio.gather(*[
                loop.create_connection(lambda ask=ask: _Asking(ask, loop.create_future()), "127.0.0.1", ask.port)
                for ask in asks[start:start + 100]])
            self.clients += [protocol for _, protocol in made]

    def go(self):
        def now():
            for client in self.clients:
                client.go()
        self.thread.call(now)
        return self

    def answers(self, deadline=None):
        """All of them; who still waits at the DEADLINE has an error."""
        async def body():
            await asyncio.wait([c.end for c in self.clients], timeout=deadline or WAIT * 3)
            for c in self.clients:
                if not c.end.done():
                    c.finish("no answer")
                c.transport.abort()
            return [c.got for c in self.clients]
        got = asyncio.run_coroutine_threadsafe(body(), self.thread.loop).result()
        self.thread.loop.call_soon_threadsafe(self.thread.loop.stop)
        return got


def crowd(asks, deadline=None):
    return Crowd(asks).go().answers(deadline)


def tally(answers):
    """How often each outcome was seen, to be shown."""
    return dict(collections.Counter(got.error or got.status for got in answers))


# ---- the runner ------------------------------------------------------------------------------------------------------


def run(tests):
    """The functions test_* among TESTS (a module's globals), each given the binary, those named on the command line or
    all. Ends with a line of counts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000) if hard > 0 else 20000, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is to be undone is undone
    binary = sys.argv[1]
    passed = failed = skipped = 0
    for name, test in list(tests.items()):
        if not name.startswith("test_") or not inspect.isfunction(test):
            continue
        if len(sys.argv) > 2 and not any(word in name for word in sys.argv[2:]):
            continue
        begin = time.monotonic()
        try:
            said = test(binary)
            passed += 1
            print("ok      %s (%.1f s) %s" % (name, time.monotonic() - begin, said or ""))
        except Skip as e:
            skipped += 1
            print("skipped %s: %s" % (name, e))
        except Exception as e:  # the next ones are worth running
            failed += 1
            trace = traceback.extract_tb(e.__traceback__)
            at = ([f for f in trace if f.filename.startswith(HERE)] or trace)[-1]
            own = [f for f in trace if not f.filename.endswith("harness.py")]
            at = own[-1] if own else at
            print("FAILED  %s (%.1f s), line %d: %s" % (name, time.monotonic() - begin, at.lineno,
                                                        e if isinstance(e, AssertionError) and str(e) else repr(e)))
        sys.stdout.flush()
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    sys.exit(failed > 0)

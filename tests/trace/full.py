"""Every queue of what is written down is full at once, under load, and nobody stands still for it.

    full.py BINARY [TEST]

The access log and the error log go to pipes that nobody reads, the collector of traces hangs, and those who listen to
/log and /events read nothing. Nothing sleeps: what is to happen is waited for, with a deadline.
"""

import asyncio
import contextlib
import fcntl
import http.client
import os
import socket
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "fleet"))
from harness import Gateway, Loop, Origin, Reply, SANITIZED, WAIT, metric, run, wait_for  # noqa: E402
from story import Receiver, backend, conf_of  # noqa: E402

REQUESTS = 20000
CONNECTIONS = 64
LOAD_WAIT = 120 * (4 if SANITIZED else 1)  # seconds for all of them
ATTEMPTS = 3      # a machine that holds up the gateway does not do so each time
GROWTH_MAX = 24   # MB by which the full gateway may grow: its queues, and the traces that are kept to be looked at
SECOND_MAX = 4    # of it, while the second half of the requests is answered: then all queues are full
DROPS = ("tollgate_log_lines_dropped_total", "tollgate_error_log_lines_dropped_total",
         "tollgate_trace_spans_dropped_total")


class Pipe:
    """A pipe with a name and the least room there is, that is open and never read."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, 4096)

    def close(self):
        os.close(self.fd)


class Deaf:
    """A listener of the admin port that reads nothing until it is asked to."""

    def __init__(self, gateway, target):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.socket.settimeout(WAIT)
        self.socket.connect(("127.0.0.1", gateway.admin))
        self.socket.sendall(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        first = self.socket.recv(12, socket.MSG_PEEK)
        assert first.endswith(b" 200"), first

    def hears(self, text):
        """Read until TEXT has come."""
        held = b""
        while text not in held:
            data = self.socket.recv(65536)
            assert data, "it was closed"
            held = held[-len(text):] + data
        return True

    def close(self):
        self.socket.close()


class _Busy(asyncio.Protocol):
    """One connection of the load: its next request follows the answer to the last."""

    def __init__(self, load):
        self.load, self.held, self.path = load, b"", None

    def connection_made(self, transport):
        self.transport = transport
        self.go()

    def go(self):
        self.path = self.load.take()
        if not self.path:
            self.transport.close()
            return
        self.transport.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\n\r\n" % self.path)

    def data_received(self, data):
        self.held += data
        head, end, body = self.held.partition(b"\r\n\r\n")
        if end and len(body) >= len(self.path):
            self.held = b""
            self.load.note(head.startswith(b"HTTP/1.1 200 ") and body == self.path, self.path)
            self.go()

    def connection_lost(self, exc):
        if self.path:
            self.load.note(False, self.path)


class Load:
    """REQUESTS over CONNECTIONS, each to a path of its own, whose answer is the path."""

    def __init__(self, port, begin, end):
        self.numbers = iter(range(begin, end))
        self.left, self.wrong = end - begin, []
        self.thread = Loop()
        self.thread.run(self._connect(port))

    async def _connect(self, port):
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.create_connection(lambda: _Busy(self), "127.0.0.1", port)
                               for _ in range(CONNECTIONS)])

    def take(self):
        n = next(self.numbers, None)
        return None if n is None else b"/%06d" % n

    def note(self, good, path):
        self.left -= 1
        if not good:
            self.wrong.append(path)

    def end(self):
        """All are answered, and well."""
        wait_for(lambda: self.left <= 0 or self.wrong, "all requests are answered", LOAD_WAIT)
        self.thread.loop.call_soon_threadsafe(self.thread.loop.stop)
        assert not self.wrong, self.wrong[:3]


def fill_error_log(gateway):
    """Lines by the admin port, until they find no room."""
    admin = http.client.HTTPConnection("127.0.0.1", gateway.admin, timeout=WAIT)

    def is_full():
        for state in ("open", "closed") * 50:
            admin.request("POST", "/breakers?backend=idle&state=" + state)
            answer = admin.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
        return metric(gateway, DROPS[1]) > 0
    wait_for(is_full, "the error log is full", LOAD_WAIT)
    admin.close()


def stalls(gateway):
    return metric(gateway, "tollgate_worker_stalls_total")


class Seen:
    """What a run has shown: stalls, growth in MB, and that of the second half."""

    def __init__(self, gateway, during):
        Load(gateway.port, 0, REQUESTS // 10).end()
        warm = gateway.rss()
        first = Load(gateway.port, 0, REQUESTS // 2)
        during()
        first.end()
        half = gateway.rss()
        Load(gateway.port, REQUESTS // 2, REQUESTS).end()
        self.growth, self.second = (gateway.rss() - warm) / 1e6, (gateway.rss() - half) / 1e6
        self.stalls = stalls(gateway)


@contextlib.contextmanager
def started(gateway):
    """It serves; and it ends within its bounds, with success."""
    try:
        gateway.wait()
        yield gateway
    finally:
        gateway.stop()


def routes(origin):
    return (f'drain_timeout = 2s\n{backend("b", origin.port)}backend "idle" {{ server "http://127.0.0.1:1" {{}} }}\n'
            'route "/" { backend = b }\nroute "/idle" { backend = idle }\n')


def see_quiet(binary, origin):
    """Nobody looks on."""
    with started(Gateway(binary, routes(origin))) as g:
        return Seen(g, lambda: None)


def see_full(binary, origin):
    """All that can be full is."""
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        receiver.behave("hang")
        where = stack.enter_context(tempfile.TemporaryDirectory())
        access, errors = (Pipe(os.path.join(where, name)) for name in ("access", "errors"))
        stack.callback(access.close)
        stack.callback(errors.close)
        log = f'access = "{access.path}"  error = "{errors.path}"  queue = 16'
        g = stack.enter_context(started(Gateway(
            binary, conf_of(receiver, "sample = 100%  queue = 64  timeout = 500ms", routes(origin)), log=log)))
        listener, watcher = Deaf(g, "/log"), Deaf(g, "/events?every=250ms")
        stack.callback(listener.close)
        stack.callback(watcher.close)
        seen = Seen(g, lambda: fill_error_log(g))
        seen.drops = [int(metric(g, name)) for name in DROPS]
        assert all(n > 0 for n in seen.drops), dict(zip(DROPS, seen.drops))
        assert metric(g, "tollgate_trace_spans_exported_total") == 0
        assert listener.hears(b"event: dropped") and watcher.hears(b"event: ")
        return seen


def test_full_queues_stall_nobody(binary):
    """All is answered, no worker stands still, what has no room is counted, memory is bounded, and the end comes."""
    origin = Origin()
    origin.script = lambda request: Reply(request.path.encode(), "Cache-Control: no-store")
    try:
        for _ in range(ATTEMPTS):
            full = see_full(binary, origin)
            quiet = None if full.stalls == 0 else see_quiet(binary, origin)
            if full.stalls == 0 or full.stalls <= quiet.stalls:
                break
        else:
            raise AssertionError(f"workers stood still {full.stalls:.0f} times, with nobody looking on {quiet.stalls:.0f}")
    finally:
        origin.stop()
    if not SANITIZED:
        assert full.growth < GROWTH_MAX and full.second < SECOND_MAX, (full.growth, full.second)
    return "%d lines, %d error lines, %d spans dropped; grown by %.1f MB, %.1f of it in the second half" % (
        *full.drops, full.growth, full.second)


if __name__ == "__main__":
    run(globals())

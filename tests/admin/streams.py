"""Those who look on through the admin port: the log's tail, the status and breakers as server-sent events.

    streams.py BINARY

A gateway with two workers, a backend that fails when it is asked to, and clients that read slowly, leave or are too
many. Nothing sleeps: what is to happen is waited for, with a deadline. Ends with a line of counts.
"""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

WAIT = 20  # seconds for anything to happen
STREAMS_MAX = 32
FLOOD = 4000  # requests; their lines are far more than a stream holds
failures = []
passed = 0


def check(name, good, seen=""):
    global passed
    print(f"{'ok    ' if good else 'FAILED'}  {name} {seen if not good else ''}")
    if good:
        passed += 1
    else:
        failures.append(name)


def wait(what, condition):
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if (seen := condition()):
            return seen
        select.select([], [], [], 0.01)
    raise TimeoutError(what)


def serve(listener):
    """A backend: /fail is answered 500, everything else 200."""
    def one(conn):
        held = b""
        while data := conn.recv(65536):
            held += data
            while (end := held.find(b"\r\n\r\n")) >= 0:
                status = b"500 Oops" if b" /fail" in held[:end] else b"200 OK"
                held = held[end + 4:]
                conn.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nhi")
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


class Stream:
    """A client of the admin port; its events are read only when they are asked for."""

    def __init__(self, gateway, target, fields="Authorization: Bearer sesame\r\n", room=None):
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(WAIT)
        self.socket.connect(("127.0.0.1", gateway.admin))
        # HTTP/1.0: no chunks between the events
        self.socket.sendall(f"GET {target} HTTP/1.0\r\nHost: h\r\n{fields}\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.fields = b"".join(iter(self.file.readline, b"\r\n")).decode()
        if self.status == 200:
            self.begin = self.file.readline() + self.file.readline()

    def event(self):
        """The next one, as (name, data, id); None at the end."""
        name, data, number = None, [], None
        while line := self.file.readline():
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                data.append(value)
            elif key == "id":
                number = int(value)
            elif key == "" and data:
                return name, json.loads("\n".join(data)), number
        return None

    def until(self, name):
        while event := self.event():
            if event[0] == name:
                return event
        raise EOFError(name)

    def is_quiet(self):
        """Nothing more has come."""
        self.socket.settimeout(0)
        seen = self.file.peek(1)
        self.socket.settimeout(WAIT)
        return not seen

    def close(self):
        self.file.close()
        self.socket.close()


class Gateway:
    def __init__(self, binary, directory, backend, log):
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.admin = (probe.getsockname()[1] for probe in probes)
        for probe in probes:
            probe.close()
        with open(f"{directory}/gw.conf", "w", encoding="ascii") as f:
            f.write(f'workers = 2\ntrusted_proxies = {{"127.0.0.1"}}\nlisten "127.0.0.1:{self.port}" {{}}\n'
                    f'admin "127.0.0.1:{self.admin}" {{ token = "sesame" }}\nlog {{ {log} }}\n'
                    f'backend "b" {{ server "http://127.0.0.1:{backend}" {{}}\n retry {{ attempts = 1 }}\n'
                    f' breaker {{ consecutive = 3\n open_for = 60s }} }}\n'
                    f'backend "c" {{ server "http://127.0.0.1:{backend}" {{}}\n breaker {{ enabled = no }} }}\n'
                    'route "/" { backend = c }\nroute "/fail" { backend = b }\n')
        self.stderr = open(f"{directory}/stderr", "w+b")
        self.process = subprocess.Popen([binary, "-c", f"{directory}/gw.conf"], stdout=subprocess.DEVNULL,
                                        stderr=self.stderr)
        wait("the gateway starts", self.is_up)
        self.client = None

    def is_up(self):
        try:
            return b" 200 " in self.ask_admin("GET /readyz")
        except OSError:
            return False

    def ask_admin(self, request):
        with socket.create_connection(("127.0.0.1", self.admin), timeout=WAIT) as s:
            s.sendall(f"{request} HTTP/1.0\r\nAuthorization: Bearer sesame\r\n\r\n".encode())
            return b"".join(iter(lambda: s.recv(65536), b""))

    def get(self, *targets, fields=""):
        """On one connection, so that one worker has them all."""
        if not self.client:
            self.client = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)
            self.reader = self.client.makefile("rb")
        statuses = []
        for target in targets:
            self.client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode())
            statuses.append(int(self.reader.readline().split()[1]))
            head = b"".join(iter(self.reader.readline, b"\r\n"))
            self.reader.read(int(re.search(rb"(?i)content-length: (\d+)", head).group(1)))
        return statuses

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory_kb(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=WAIT)

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read()


def lines_and_filters(gateway):
    everything, failed, slow = Stream(gateway, "/log"), Stream(gateway, "/log?status=4xx,5xx&log=no"), \
        Stream(gateway, "/log?min_ms=60000&log=no")
    one = Stream(gateway, "/log?request=wanted-&path=/b%2F&client=127.0.0.0/8")
    check("a browser is told when to come back", everything.begin == b"retry: 1000\n\n", everything.begin)
    check("a stream says what it is", "text/event-stream" in everything.fields and "no-store" in everything.fields,
          everything.fields)
    targets = [f"/a/{i}?key=secret" for i in range(100)] + ["/fail/1"]
    gateway.get(*targets)
    gateway.get("/b/other", fields="X-Request-Id: unwanted-1\r\n")
    gateway.get("/c", fields="X-Request-Id: wanted-1\r\n")
    gateway.get("/b/this", fields="X-Request-Id: wanted-2\r\n")
    seen = [everything.until("request") for _ in targets]
    check("all lines come in order", [e[1]["path"] + ("?" + e[1]["query"] if "query" in e[1] else "") for e in seen] ==
          [t.replace("secret", "***") for t in targets], seen[:2])
    check("ids count up", [e[2] for e in seen] == list(range(1, len(targets) + 1)), [e[2] for e in seen][:9])
    event = failed.event()
    check("a filter by status lets only that through", event[1]["path"] == "/fail/1" and event[2] == 1, event)
    event = one.event()
    check("filters are all to match", event[1]["request_id"] == "wanted-2" and event[2] == 1, event)
    check("what took less is not seen", slow.is_quiet())
    for stream in (everything, failed, slow, one):
        stream.close()


def errors_too(gateway):
    both, only = Stream(gateway, "/log"), Stream(gateway, "/log?log=no")
    gateway.ask_admin("POST /breakers?backend=b&state=open")
    gateway.ask_admin("POST /breakers?backend=b&state=auto")
    event = both.until("log")
    check("lines of the error log come", "breaker of backend b set to open" in event[1]["message"], event)
    gateway.get("/x")
    check("and are not seen where they are not wanted", only.event()[0] == "request")
    both.close()
    only.close()


def refusals(gateway):
    for target in ("/log?status=9", "/log?client=me", "/events?every=10ms", "/events?every=2m", "/events?every=soon"):
        stream = Stream(gateway, target)
        check(f"{target} is refused", stream.status == 400, stream.status)
        stream.close()
    # A browser adds cookies to what other sites ask, so that none may stand for a token.
    for fields in ("", "Authorization: Bearer wrong\r\n", "Cookie: token=sesame\r\n"):
        for target in ("/events", "/log"):
            stream = Stream(gateway, target, fields)
            check(f"{target} with [{fields.strip()}] is refused", stream.status == 401, stream.status)
            stream.close()


def status_events(gateway):
    fast, slow = Stream(gateway, "/events?every=250ms"), Stream(gateway, "/events?every=60s")
    seen = [fast.until("status") for _ in range(4)]
    page = json.loads(gateway.ask_admin("GET /status").split(b"\r\n\r\n", 1)[1])
    check("the status comes again and again", all(e[1].keys() == page.keys() for e in seen), seen)
    check("to each as often as it wants", slow.event()[0] == "status" and slow.is_quiet())
    fast.close()
    slow.close()


def breaker_events(gateway):
    stream = Stream(gateway, "/events?every=60s")
    stream.until("status")
    gateway.get("/fail", "/fail", "/fail")
    event = stream.until("breaker")
    check("a breaker that opens is told", event[1]["backend"] == "b" and event[1]["state"] == "open", event)
    check("while it has just opened", event[1]["time_left_s"] > 0, event)
    gateway.ask_admin("POST /breakers?backend=b&state=closed")
    event = stream.until("breaker")
    check("and one set by hand", event[1]["state"] == "forced closed", event)
    gateway.ask_admin("POST /breakers?backend=b&state=auto")
    stream.close()


def slow_reader(gateway):
    slow, before = Stream(gateway, "/log?log=no", room=2048), gateway.memory_kb()
    for _ in range(FLOOD // 100):
        gateway.get(*["/flood/" + "x" * 1000] * 100)
    grown = gateway.memory_kb() - before
    got, told, asked, last = 0, 0, 0, None
    while not last:
        name, data, number = slow.event()
        if name == "dropped":  # one that is dropped as well is told of again
            told += data["count"]
            asked += 1
            gateway.get(f"/last/{asked}")
        elif data["path"].startswith("/last/"):
            last = (data["path"], number)
        else:
            got += 1
    check("who reads slowly is told what was dropped", told > 0 and got > 0, (got, told))
    check("exactly", last == (f"/last/{got + told + 1 - FLOOD}", got + told + 1), (got, told, last))
    if not os.environ.get("SANITIZED"):  # they keep what is freed
        check("and costs no memory", grown < 16 * 1024, grown)
    slow.close()


def too_many(gateway):
    files = wait("streams before are gone", lambda: stable_files(gateway))
    streams = [Stream(gateway, "/events?every=60s" if i % 2 else "/log") for i in range(STREAMS_MAX)]
    check("as many as may look on do", all(s.status == 200 for s in streams))
    more = Stream(gateway, "/log")
    check("one more is refused", more.status == 503 and "Retry-After" in more.fields, more.status)
    more.close()
    check("other pages are answered still", b" 200 " in gateway.ask_admin("GET /metrics"))
    streams.pop().close()

    def place():
        stream = Stream(gateway, "/log")
        if stream.status == 200:
            return stream
        stream.close()
        return None
    streams.append(wait("a place is free again", place))
    for stream in streams:
        stream.close()
    wait("their descriptors are free", lambda: gateway.files() <= files)
    check("who leaves gives everything back", True)
    return files


def stable_files(gateway):
    """Descriptors when no stream is open: the page of sockets that are closing is given time to be done."""
    stream = Stream(gateway, "/log")
    stream.close()
    seen = gateway.files()
    return seen if all(gateway.files() == seen for _ in range(50)) else 0


def keep_asking(gateway, target):
    """On one connection, until it ends."""
    try:
        with socket.create_connection(("127.0.0.1", gateway.admin), timeout=WAIT) as s:
            while True:
                s.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer sesame\r\n\r\n".encode() * 4)
                if not s.recv(1 << 20):
                    return
    except OSError:
        pass


def ends_while_it_is_asked(gateway):
    """A stream makes the port answer once more when everything else has gone."""
    stream = Stream(gateway, "/log")
    askers = [threading.Thread(target=keep_asking, args=(gateway, target))
              for target in ("/metrics", "/status", "/debug/memory", "/debug/threads", "/traces") * 2]
    for asker in askers:
        asker.start()
    first = Stream(gateway, "/events?every=250ms")
    first.until("status")
    check("a gateway that is asked stops", (status := gateway.stop()) == 0, status)
    for asker in askers:
        asker.join()
    first.close()
    stream.close()
    errors = gateway.errors()
    check("without a fault in its last answers", b"Sanitizer" not in errors, errors[:3000])


def stops_promptly(gateway):
    streams = [Stream(gateway, "/events?every=250ms"), Stream(gateway, "/log")]
    gateway.client.close()
    status = gateway.stop()
    check("a gateway with streams stops", status == 0, status)
    ended = all(list(iter(s.event, None)) is not None for s in streams)
    check("and ends them", ended)
    errors = gateway.errors()
    check("without waiting for them", b"drain_timeout" not in errors, errors[-300:])
    check("and without a fault", b"Sanitizer" not in errors, errors[-3000:])


def main(binary):
    backend = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=serve, args=(backend,), daemon=True).start()
    port = backend.getsockname()[1]
    usual = (lines_and_filters, errors_too, refusals, status_events, breaker_events, slow_reader, too_many,
             stops_promptly)
    for stories, log in ((usual, 'access = off\n mask_query = {"key"}'),
                         (usual, 'format = combined\n mask_query = {"key"}'),
                         ((ends_while_it_is_asked,), "access = off")):
        with tempfile.TemporaryDirectory() as directory:
            gateway = Gateway(binary, directory, port, log)
            try:
                for story in stories:
                    story(gateway)
            finally:
                if gateway.process.poll() is None:
                    gateway.process.kill()
                    gateway.process.wait()
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

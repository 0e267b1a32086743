"""A gateway, a scripted origin and a client, for tests of the cache.

The origin answers what the present exchange says and keeps what it was asked; answers may be slow, broken off or never
come. Nothing sleeps: what is old is born old, by Age and Date.
"""

import email.utils
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

WAIT = 10  # seconds for anything to happen


def date(offset, form="imf"):
    """A date so many seconds from now, in one of the three forms."""
    t = time.time() + offset
    if form == "850":
        return time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(t))
    if form == "asc":
        return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(t))
    return email.utils.formatdate(t, usegmt=True)


def fill(text):
    """<-100> is a date 100 seconds ago; <850:5> and <asc:5> are in the old forms."""
    return re.sub(r"<(?:(850|asc):)?([+-]?\d+)>", lambda m: date(int(m.group(2)), m.group(1) or "imf"), text)


class Message:
    """A request or an answer, as it was read."""

    def __init__(self, start, fields, body=b""):
        self.start, self.fields, self.body = start, fields, body

    def get(self, name):
        values = [v for n, v in self.fields if n.lower() == name.lower()]
        return ", ".join(values) if values else None

    def has(self, name, value=None):
        found = self.get(name)
        return found is not None if value is None else found == value


def read_head(f):
    start = f.readline().decode("latin-1").rstrip("\r\n")
    fields = []
    while True:
        line = f.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return Message(start, fields)
        name, _, value = line.partition(":")
        fields.append((name, value.strip()))


def read_chunks(f):
    body = b""
    while True:
        size = f.readline()
        if not size.strip():
            raise EOFError("chunks break off")
        n = int(size.split(b";")[0], 16)
        data = f.read(n)
        if len(data) < n:
            raise EOFError("chunk breaks off")
        body += data
        f.readline()
        if n == 0:
            return body


def read_body(f, message, has_none):
    if has_none:
        return b""
    if (message.get("Transfer-Encoding") or "").lower() == "chunked":
        return read_chunks(f)
    length = message.get("Content-Length")
    if length is None:
        return f.read() if message.start.startswith("HTTP/") else b""
    body = f.read(int(length))
    if len(body) < int(length):
        raise EOFError("body breaks off")
    return body


class Answer:
    """What the origin says. CLOSE: it hangs up instead. HELD: it waits for release() before the body."""

    def __init__(self, *fields, status=200, body=None, chunked=False, close=False, truncate=False):
        self.fields, self.status, self.body = fields, status, body
        self.chunked, self.close, self.truncate = chunked, close, truncate
        self.head_gate = self.body_gate = None

    def holding(self, head=False, body=False):
        self.head_gate = threading.Event() if head else None
        self.body_gate = threading.Event() if body else None
        return self

    def bytes_of_head(self, body, is_head):
        lines = ["HTTP/1.1 %d Reason" % self.status] + [fill(f) for f in self.fields]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.status not in (204, 304):
            lines.append("Content-Length: %d" % (len(body) + (5 if self.truncate else 0)))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Origin:
    """Answers by the function that is set, which gets the request."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.seen = queue.Queue()
        self.answer = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        f = conn.makefile("rb")
        try:
            while True:
                request = read_head(f)
                if not request.start:
                    return
                request.body = read_body(f, request, False)
                answer = self.answer(request)
                self.seen.put(request)
                if answer.close or not self.send(conn, request, answer):
                    return
        except (OSError, EOFError, ValueError):
            pass
        finally:
            f.close()
            conn.close()

    def send(self, conn, request, answer):
        body = answer.body if answer.body is not None else b""
        is_head = request.start.startswith("HEAD ")
        if answer.head_gate and not answer.head_gate.wait(WAIT):
            return False
        head = answer.bytes_of_head(body, is_head)
        has_body = not is_head and answer.status not in (204, 304)
        if has_body and not answer.chunked and not answer.body_gate:
            conn.sendall(head + body)
            return not answer.truncate
        conn.sendall(head)
        if not has_body:
            return True
        half = len(body) // 2
        for i, part in enumerate((body[:half], body[half:])):
            if i == 1 and answer.body_gate and not answer.body_gate.wait(WAIT):
                return False
            if part:
                conn.sendall(b"%x\r\n%s\r\n" % (len(part), part) if answer.chunked else part)
        if answer.truncate:
            return False
        if answer.chunked:
            conn.sendall(b"0\r\n\r\n")
        return True

    def requests(self):
        """All that were seen since the last look."""
        seen = []
        while True:
            try:
                seen.append(self.seen.get_nowait())
            except queue.Empty:
                return seen

    def next_request(self):
        return self.seen.get(timeout=WAIT)


class Client:
    """One connection to the gateway."""

    def __init__(self, port, timeout=WAIT):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, method, target, fields=(), body=b"", host="h.example"):
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: " + host] + [fill(f) for f in fields]
        if body:
            lines.append("Content-Length: %d" % len(body))
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        self.method = method

    def head(self):
        message = read_head(self.file)
        if not message.start:
            raise EOFError("no answer")
        message.status = int(message.start.split()[1])
        return message

    def receive(self):
        message = self.head()
        message.body = read_body(self.file, message, self.method == "HEAD" or message.status in (204, 304))
        return message

    def reset(self):
        """Go without a good-bye: to close alone could mean that there is nothing more to send."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    """The gateway, with CONF in which @PORT@, @ORIGIN@ and @ADMIN@ are set."""

    def __init__(self, binary, conf, origin):
        self.dir = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.admin = os.path.join(self.dir.name, "admin")
        path = os.path.join(self.dir.name, "conf")
        values = {"@PORT@": str(self.port), "@ORIGIN@": str(origin.port), "@ADMIN@": self.admin}
        for name, value in values.items():
            conf = conf.replace(name, value)
        with open(path, "w") as f:
            f.write(conf)
        self.log = open(os.path.join(self.dir.name, "log"), "w+")
        self.process = subprocess.Popen([binary, "run", "-c", path], stdout=self.log, stderr=self.log)
        until = time.monotonic() + WAIT
        while True:
            try:
                Client(self.port).close()
                return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    self.log.seek(0)
                    raise SystemExit("the gateway does not start:\n" + self.log.read())
                time.sleep(0.01)

    def admin_call(self, method, target, body=b""):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(WAIT)
        s.connect(self.admin)
        head = "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (method, target, len(body))
        s.sendall(head.encode() + body)
        f = s.makefile("rb")
        answer = read_head(f)
        answer.status = int(answer.start.split()[1])
        answer.body = read_body(f, answer, False)
        f.close()
        s.close()
        return answer

    def memory(self):
        with open("/proc/%d/statm" % self.process.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self.log.seek(0)
        text = self.log.read()
        self.log.close()
        self.dir.cleanup()
        if code != 0:
            raise SystemExit("the gateway ended with %d:\n%s" % (code, text[-4000:]))

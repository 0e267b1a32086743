"""Raw bytes against the gateway: what is ambiguous is refused and never reaches the backend.

    framing.py BINARY

A backend of our own records every byte that it gets; each case of the tables below opens a connection, sends its bytes,
and looks at the status and at what the backend saw. Ends with a line of counts.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

GET = b"GET /x HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\n"

# name, bytes, what may come back: a status, or None for a connection that is closed without an answer.
REFUSED = [
    ("length and chunked", POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("chunked and length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", {400}),
    ("two different lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400}),
    ("two equal lengths", POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {400}),
    ("list of lengths", POST + b"Content-Length: 5, 5\r\n\r\nhello", {400}),
    ("signed length", POST + b"Content-Length: +5\r\n\r\nhello", {400}),
    ("negative length", POST + b"Content-Length: -5\r\n\r\nhello", {400}),
    ("length in hex", POST + b"Content-Length: 0x5\r\n\r\nhello", {400}),
    ("empty length", POST + b"Content-Length: \r\n\r\n", {400}),
    ("length past 2^64", POST + b"Content-Length: 99999999999999999999999\r\n\r\n", {400, 413}),
    ("length with trailing junk", POST + b"Content-Length: 5zz\r\n\r\nhello", {400}),
    ("coding gzip", POST + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    ("coding gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("coding chunked, chunked", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("coding twice", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("coding identity", POST + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", {400, 501}),
    ("coding xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("coding with vertical tab", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("coding on 1.0", b"POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("space before colon", POST + b"Content-Length : 5\r\n\r\nhello", {400}),
    ("tab before colon", POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("folded length", POST + b"X: a\r\n Content-Length: 5\r\n\r\nhello", {400}),
    ("fold into the coding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", {400}),
    ("bare LF after a field", GET + b"X: a\nY: b\r\n\r\n", {400}),
    ("bare LF everywhere", b"GET /x HTTP/1.1\nHost: h\n\n", {400}),
    ("bare CR in a value", GET + b"X: a\rY: b\r\n\r\n", {400}),
    ("NUL in a value", GET + b"X: a\x00b\r\n\r\n", {400, None}),
    ("NUL in a name", GET + b"X\x00Y: b\r\n\r\n", {400, None}),
    ("NUL in the target", b"GET /x\x00y HTTP/1.1\r\nHost: h\r\n\r\n", {400, None}),
    ("line that begins with a colon", GET + b": x\r\n\r\n", {400}),
    ("colon line hides a request", GET + b":\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("line that begins with NUL", GET + b"\x00X: y\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", {400, None}),
    ("field without a colon", GET + b"just text\r\n\r\n", {400}),
    ("name with a space", GET + b"a b: c\r\n\r\n", {400}),
    ("name with a parenthesis", GET + b"a(b): c\r\n\r\n", {400}),
    ("control byte in a value", GET + b"X: a\x01b\r\n\r\n", {400}),
    ("no Host on 1.1", b"GET /x HTTP/1.1\r\n\r\n", {400}),
    ("two Hosts", b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    ("Host with userinfo", b"GET /x HTTP/1.1\r\nHost: a@b\r\n\r\n", {400}),
    ("Host with a path", b"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", {400}),
    ("Host with a bad port", b"GET /x HTTP/1.1\r\nHost: a:99999\r\n\r\n", {400}),
    ("HTTP/2.0", b"GET /x HTTP/2.0\r\nHost: h\r\n\r\n", {400, 505, None}),
    ("HTTP/1.10", b"GET /x HTTP/1.10\r\nHost: h\r\n\r\n", {400, 505, None}),
    ("lower case version", b"GET /x http/1.1\r\nHost: h\r\n\r\n", {400, 505, None}),
    ("no version", b"GET /x\r\n\r\n", {400, 505, None}),
    ("two spaces", b"GET  /x HTTP/1.1\r\nHost: h\r\n\r\n", {400, None}),
    ("space in the target", b"GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", {400, None}),
    ("bad method", b"G(T /x HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("raw fragment", b"GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("non-ASCII target", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("backslash", b"GET /..\\x HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("authority form", b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("asterisk with GET", b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("other scheme", b"GET ftp://h/x HTTP/1.1\r\nHost: h\r\n\r\n", {400}),
    ("CONNECT", b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", {400, 501}),
    ("TRACE", b"TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n", {501}),
    ("too many fields", GET + b"".join(b"X%d: y\r\n" % i for i in range(200)) + b"\r\n", {431}),
    ("endless field", GET + b"X: " + b"y" * 70000 + b"\r\n\r\n", {431, None}),
    ("endless target", b"GET /" + b"y" * 70000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", {414, None}),
    ("chunk size with sign", POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n", {400}),
    ("chunk size with 0x", POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", {400}),
    ("chunk size past 2^64", POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", {400, 413}),
    ("chunk without its CRLF", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n", {400}),
]

# Odd, but plain: these are served, and the backend sees exactly one request.
SERVED = [
    ("plain", GET + b"\r\n", 200),
    ("HTTP/1.0 without Host", b"GET /x HTTP/1.0\r\n\r\n", 200),
    ("empty line before the request", b"\r\n" + GET + b"\r\n", 200),
    ("white space around a value", GET + b"X: \t a \t \r\n\r\n", 200),
    ("empty value", GET + b"X:\r\n\r\n", 200),
    ("bytes above ASCII in a value", GET + b"X: \xc3\xa9\r\n\r\n", 200),
    ("length", POST + b"Content-Length: 5\r\n\r\nhello", 200),
    ("length with zeros", POST + b"Content-Length: 0005\r\n\r\nhello", 200),
    ("coding in capitals", POST + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
    # libmicrohttpd 1.0.1 miscounts lines with an extension and refuses some: then nothing else may happen.
    ("chunk extension", POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n", (200, 400)),
    ("trailers", POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", 200),
    ("own method", b"BREW /x HTTP/1.1\r\nHost: h\r\n\r\n", 200),
    ("absolute form", b"GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n", 200),
    ("IPv6 host", b"GET /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200),
]


class Backend(threading.Thread):
    """Answers 200 to each request and remembers the heads and bodies as they came."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen = []

    def run(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        stream = conn.makefile("rb")
        while True:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = stream.readline()
                if not line:
                    return
                head += line
            body = self.body(stream, head)
            self.seen.append((head, body))
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    @staticmethod
    def body(stream, head):
        length = re.search(rb"(?im)^content-length: (\d+)\r$", head)
        if length:
            return stream.read(int(length[1]))
        body = b""
        if re.search(rb"(?im)^transfer-encoding: chunked\r$", head):
            while True:
                line = stream.readline()
                size = int(line.split(b";")[0] or b"0", 16) if line.strip() else 0
                if size == 0:
                    while stream.readline() not in (b"\r\n", b""):
                        pass
                    break
                body += stream.read(size)
                stream.readline()
        return body


def exchange(path, data):
    """Send DATA, half close, read to the end."""
    conn = socket.socket(socket.AF_UNIX)
    conn.settimeout(10)
    conn.connect(path)
    answer = b""
    try:
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        while piece := conn.recv(65536):
            answer += piece
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        conn.close()
    return answer


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def start(binary, directory, port):
    conf = os.path.join(directory, "gw.conf")
    sock = os.path.join(directory, "gw.sock")
    with open(conf, "w") as f:
        f.write(f'workers = 1\nlisten "unix:{sock}" {{}}\nlog {{ access = off }}\n'
                f'backend "b" {{ server "http://127.0.0.1:{port}" {{}} }}\nroute "/" {{ backend = b }}\n')
    gateway = subprocess.Popen([binary, "-c", conf], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not os.path.exists(sock):
        if time.monotonic() > deadline or gateway.poll() is not None:
            sys.exit("the gateway did not start")
        time.sleep(0.02)
    return gateway, sock


def main():
    failures = []
    count = 0
    backend = Backend()
    backend.start()
    with tempfile.TemporaryDirectory() as directory:
        gateway, sock = start(sys.argv[1], directory, backend.port)
        try:
            for name, data, allowed in REFUSED:
                count += 1
                backend.seen.clear()
                got = statuses(exchange(sock, data))
                first = got[0] if got else None
                if first not in allowed:
                    failures.append(f"{name}: {got}, wanted {allowed}")
                if any(s == 200 for s in got) or any(b"smuggled" in head for head, _ in backend.seen):
                    failures.append(f"{name}: the backend was reached: {backend.seen}")
            for name, data, wanted in SERVED:
                # A path of its own: what an earlier case left under way does not count here.
                count += 1
                path = b"/%d" % count
                got = statuses(exchange(sock, data.replace(b"/x", path)))
                seen = [head for head, _ in backend.seen if path in head]
                wanted = wanted if isinstance(wanted, tuple) else (wanted,)
                # What is refused in its body may have reached the backend by then, or not.
                fits = len(got) == 1 and got[0] in wanted and len(seen) <= 1
                if not fits or (got[0] == 200 and len(seen) != 1):
                    failures.append(f"{name}: {got}, the backend saw {seen}")
            if gateway.poll() is not None:
                failures.append(f"the gateway ended with {gateway.returncode}")
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(20)
    for failure in failures:
        print("FAILED", failure)
    print(f"{count - len(failures)} passed, {len(failures)} failed")
    sys.exit(1 if failures or gateway.returncode != 0 else 0)


main()

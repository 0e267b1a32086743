"""Kept connections that rest: idle ones are put away, and speak, close, expire and drain as if they were not.

    resting.py BINARY

Ends with a line of counts.
"""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

REQUEST = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
IDLE_S = 8
failures = []


def check(name, good, seen=""):
    print(f"{'ok    ' if good else 'FAILED'}  {name} {seen if not good else ''}")
    if not good:
        failures.append(name)


def serve(listener):
    """A backend that answers every request with two bytes."""
    def one(conn):
        held = b""
        while data := conn.recv(65536):
            held += data
            while (end := held.find(b"\r\n\r\n")) >= 0:
                length = re.search(rb"(?i)content-length: (\d+)", held[:end])
                whole = end + 4 + (int(length.group(1)) if length else 0)
                if len(held) < whole:
                    break
                held = held[whole:]
                conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


class Gateway:
    def __init__(self, binary, directory, backend):
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.port, self.admin = (probe.getsockname()[1] for probe in probes)
        for probe in probes:
            probe.close()
        with open(f"{directory}/gw.conf", "w", encoding="ascii") as f:
            f.write(f'workers = 1\nlisten "127.0.0.1:{self.port}" {{}}\nadmin "127.0.0.1:{self.admin}" {{}}\n'
                    f'log {{ access = off }}\nclient {{ idle_timeout = {IDLE_S}s }}\n'
                    f'backend "b" {{ server "http://127.0.0.1:{backend}" {{}} }}\nroute "/" {{ backend = b }}\n')
        self.process = subprocess.Popen([binary, "-c", f"{directory}/gw.conf"], stderr=subprocess.DEVNULL)
        self.wait(lambda: self.resting() == 0, "the gateway started")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return s

    def resting(self):
        try:
            with socket.create_connection(("127.0.0.1", self.admin), timeout=5) as s:
                s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                page = b"".join(iter(lambda: s.recv(65536), b""))
        except OSError:
            return -1
        return int(re.search(rb"\ntollgate_connections_resting (\d+)", page).group(1))

    @staticmethod
    def wait(condition, name, seconds=20):
        end = time.monotonic() + seconds
        while not (good := condition()) and time.monotonic() < end:
            time.sleep(0.05)
        check(name, good)


def answers(s, request):
    s.sendall(request)
    got = b""
    while not got.endswith(b"\r\n\r\nhi"):
        data = s.recv(4096)
        if not data:
            break
        got += data
    return got.startswith(b"HTTP/1.1 200 ")


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        gateway = Gateway(sys.argv[1], directory, listener.getsockname()[1])
        try:
            speaks, half, closes = (gateway.connect() for _ in range(3))
            check("a first request", all(answers(s, POST) for s in (speaks, closes)))
            check("a request and the beginning of the next", answers(half, REQUEST + REQUEST[:7]))
            gateway.wait(lambda: gateway.resting() == 2, "two connections rest, not the one that has begun to speak")
            check("a resting connection is served", answers(speaks, REQUEST))
            gateway.wait(lambda: gateway.resting() == 1, "and rests no more")
            check("a request in two parts is served", answers(half, REQUEST[7:]))
            closes.close()
            gateway.wait(lambda: gateway.resting() == 0, "a resting connection that closes is forgotten")
            gateway.wait(lambda: gateway.resting() == 2, "the others rest again")
            check("and are served again", answers(speaks, POST) and answers(half, REQUEST))
            gateway.wait(lambda: gateway.resting() == 2, "and rest again")
            check("a resting connection ends with its idle timeout", speaks.recv(1) == b"" and half.recv(1) == b"")
            last = gateway.connect()
            answers(last, REQUEST)
            gateway.wait(lambda: gateway.resting() == 1, "one rests")
            gateway.process.send_signal(signal.SIGTERM)
            check("a drain closes it", last.recv(1) == b"")
            check("and ends", gateway.process.wait(timeout=10) == 0)
        finally:
            gateway.process.kill()
            gateway.process.wait()
    print(f"{'some' if failures else 'all'} passed, {len(failures)} failed")
    sys.exit(bool(failures))


main()

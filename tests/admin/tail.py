"""`tollgate tail` beside a real gateway: lines for the requests that are wanted, and again after a restart.

    tail.py BINARY

Ends with a line of counts.
"""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

from top import Backend, Gateway, check, failures, wait


class Tail:
    """What a `tollgate tail` has printed so far."""

    def __init__(self, gateway, *options):
        self.process = subprocess.Popen([gateway.binary, "tail", "-c", gateway.conf, *options], text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.complaints = [], []
        self.readers = [threading.Thread(target=self.read, args=pair) for pair in
                        ((self.process.stdout, self.lines), (self.process.stderr, self.complaints))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def read(pipe, lines):
        lines.extend(iter(pipe.readline, ""))

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        for reader in self.readers:
            reader.join()


def arrives(gateway, tail, path, name):
    """Requests of PATH are sent until one is seen: the stream may not be open yet."""
    wait(lambda: gateway.get(path) and any(path in line for line in tail.lines), name)


def lines(gateway):
    tail, bad = Tail(gateway), Tail(gateway, "-f", "status=5xx")
    try:
        arrives(gateway, tail, "/first", "a request is shown")
        arrives(gateway, bad, "/bad/1", "a filter lets through what it names")
        line = next((line for line in tail.lines if "/first" in line), "")
        check("with its status and route", " 200 GET " in line and " route=/ " in line, line)
        check("without colours in a pipe", "\x1b" not in line, line)
        check("and nothing else", not any("/first" in line for line in bad.lines), bad.lines)
    finally:
        tail.close()
        bad.close()


def as_json(gateway):
    tail = Tail(gateway, "-j", "path=/only")
    try:
        arrives(gateway, tail, "/only", "JSON is shown")
        seen = [json.loads(line) for line in tail.lines]
        check("each line is an object of the access log", all(one["path"] == "/only" for one in seen), seen)
    finally:
        tail.close()


def restart(gateway):
    tail = Tail(gateway)
    try:
        arrives(gateway, tail, "/before", "restart: it follows")
        gateway.stop()
        wait(lambda: any("trying again" in line for line in tail.complaints), "restart: it says that it was cut")
        gateway.start()
        arrives(gateway, tail, "/after", "restart: it follows the new one")
    finally:
        tail.close()


def refusals(gateway):
    env = {**os.environ, "TOLLGATE_ADMIN_TOKEN": "wrong"}
    done = subprocess.run([gateway.binary, "tail", "-c", gateway.conf], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=env, check=False)
    check("a wrong token is told", done.returncode == 1 and "token" in done.stderr, done)
    done = subprocess.run([gateway.binary, "tail", "-c", gateway.conf, "colour=red"], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, check=False)
    check("a filter that is none is told", done.returncode == 2, done)


def main():
    backend = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        gateway = Gateway(os.path.abspath(sys.argv[1]), directory, backend.server_address[1])
        try:
            refusals(gateway)
            lines(gateway)
            as_json(gateway)
            restart(gateway)
        finally:
            gateway.process.kill()
            gateway.process.wait(20)
    print(f"{'some' if failures else 'all'} passed, {len(failures)} failed")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())

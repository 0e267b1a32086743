#!/usr/bin/env python3
"""`tollgate redis-check` with real Redis servers, and with ones that lie: check.py TOLLGATE"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

BINARY = os.path.abspath(sys.argv[1])
WAIT = 10  # seconds for anything to happen
CONF = 'listen "127.0.0.1:1" { }\nroute "/" { respond { } }\n'
passed = 0
running = []  # what the present story has started


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis:
    """A redis-server in DIRECTORY, on a port or a unix socket."""

    def __init__(self, directory, *options, unix=False, tls=False):
        self.port = 0 if unix else free_port()
        self.path = os.path.join(directory, "redis-%d.sock" % id(self)) if unix else None
        command = ["redis-server", "--save", "", "--dir", directory, "--bind", "127.0.0.1", "--port",
                   "0" if tls else str(self.port)]
        command += ["--unixsocket", self.path] if unix else []
        command += ["--tls-port", str(self.port)] if tls else []
        self.log = open(os.path.join(directory, "log-%d" % id(self)), "w+")
        self.process = subprocess.Popen(command + list(options), stdout=self.log, stderr=self.log)
        running.append(self)
        until = time.monotonic() + WAIT
        while not self.is_up():
            if time.monotonic() > until or self.process.poll() is not None:
                self.log.seek(0)
                raise SystemExit("redis-server does not start:\n" + self.log.read())
            time.sleep(0.01)

    def is_up(self):
        try:
            self.connect().close()
            return True
        except OSError:
            return False

    def connect(self):
        s = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        s.settimeout(WAIT)
        s.connect(self.path or ("127.0.0.1", self.port))
        return s

    def command(self, *words):
        with self.connect() as s:
            s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            return s.recv(4096)

    def name(self):
        return "unix:" + self.path if self.path else "127.0.0.1:%d" % self.port

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Liar:
    """Answers each command that comes by the next of ANSWERS: bytes, or a function that gets the connection."""

    def __init__(self, *answers):
        self.answers = answers
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        running.append(self)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connection, _ = self.listener.accept()
        try:
            for answer in self.answers:
                if not connection.recv(4096):
                    return
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
            connection.recv(1)
        except OSError:
            pass
        finally:
            connection.close()

    def name(self):
        return "127.0.0.1:%d" % self.port

    def stop(self):
        self.listener.close()


def check(directory, nodes, options="", *arguments):
    """The command's exit status and output."""
    path = os.path.join(directory, "conf")
    names = ", ".join('"%s"' % (n if isinstance(n, str) else n.name()) for n in nodes)
    with open(path, "w") as f:
        f.write(CONF + "redis { nodes = {%s} %s }\n" % (names, options))
    done = subprocess.run([BINARY, "redis-check", "-c", path, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=WAIT, text=True, check=False)
    if "Sanitizer" in done.stderr:
        raise SystemExit(done.stderr)
    return done.returncode, done.stdout


def check_json(directory, nodes, options=""):
    status, text = check(directory, nodes, options, "--json")
    return status, json.loads(text)


def want(condition, what, *seen):
    global passed
    if not condition:
        raise SystemExit("FAILED: %s\n%s" % (what, "\n".join(str(s) for s in seen)))
    passed += 1


def columns(text, node):
    """The cells of a node's row."""
    rows = [line.split() for line in text.splitlines() if line.startswith(node)]
    return rows[0] if rows else []


FIT = ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lfu"]


def good_nodes(directory):
    a, b = Redis(directory, *FIT), Redis(directory, *FIT, unix=True)
    a.command("SET", "key", "value")
    status, text = check(directory, [a, b])
    want(status == 0 and "warning" not in text and "bad" not in text, "good nodes", text)
    cells = columns(text, a.name())
    want(cells[1:3] == [a.name(), "ok"] and cells[4] == "redis" and cells[8] == "1", "a row", text)
    want(columns(text, b.name())[2] == "ok", "a unix socket", text)
    status, j = check_json(directory, [a, b])
    want(status == 0 and j["good"] and j["warnings"] == [], "good nodes in JSON", j)
    node = j["nodes"][0]
    want(node["keys"] == 1 and node["maxmemory"] == 50 << 20 and node["policy"] == "allkeys-lfu", "numbers", j)
    want(0 < node["ping_median_us"] <= node["ping_max_us"], "latency", j)
    want(99.9 < sum(n["share_percent"] for n in j["nodes"]) < 100.1, "shares", j)
    want(a.command("DBSIZE") == b":1\r\n", "nothing is written")


def dead_node(directory):
    a = Redis(directory, *FIT)
    dead = "127.0.0.1:%d" % free_port()
    status, text = check(directory, [a, dead, "no.such.name.invalid"])
    want(status == 1, "a dead node", status, text)
    want("bad: %s: cannot connect: Connection refused" % dead in text, "why", text)
    want("bad: no.such.name.invalid: its name does not resolve" in text, "a name that is none", text)
    want(columns(text, a.name())[2] == "ok", "the others are looked at", text)
    status, text = check(directory, ["unix:/no/such/socket"])
    want(status == 1 and "no connection" in text, "a socket that is not there", text)


def logins(directory):
    a = Redis(directory, *FIT, "--requirepass", "secret", *"--user gate on >p@ss ~* &* +@all -info -dbsize".split())
    want(check(directory, [a], 'password = "secret"')[0] == 0, "the right password")
    status, text = check(directory, [a], 'password = "wrong"')
    want(status == 1 and "no login" in text and "AUTH: WRONGPASS" in text, "a wrong password", text)
    want("wrong" not in text, "it is not told", text)
    status, text = check(directory, [a])
    want(status == 1 and "no login" in text and "NOAUTH" in text, "no password", text)
    status, j = check_json(directory, [a], 'username = gate password = "p@ss"')
    want(status == 0 and j["nodes"][0]["keys"] is None and j["nodes"][0]["version"] is None, "a user", j)
    want("INFO: NOPERM" in j["warnings"][0]["text"], "one that may not ask for everything", j)
    status, text = check(directory, [a], 'password = "secret" database = 99')
    want(status == 1 and "no database" in text and "SELECT: ERR" in text, "no such database", text)


def warnings(directory):
    a = Redis(directory)
    b = Redis(directory, *FIT, "--replicaof", "127.0.0.1", str(a.port))
    status, j = check_json(directory, [a, b])
    texts = {n: " ".join(w["text"] for w in j["warnings"] if w["node"] == n) for n in (a.name(), b.name())}
    want(status == 0, "warnings do no harm", j)
    want("maxmemory is not set" in texts[a.name()] and "noeviction" in texts[a.name()], "memory", j)
    want("replica" in texts[b.name()], "a replica", j)


def other_gateways(directory):
    a, b = Redis(directory, *FIT), Redis(directory, *FIT)
    ours = check_json(directory, [a, b], "prefix = p")[1]["fingerprint"]
    want(ours == check_json(directory, [b, a], "prefix = p")[1]["fingerprint"], "the order does not matter")
    a.command("HSET", "p:rings", "gw-same", ours, "gw-other", "0123456789abcdef")
    b.command("HSET", "p:rings", "gw-other", "0123456789abcdef", "gw\x1b[31m", "x" * 1000)
    status, text = check(directory, [a, b], "prefix = p")
    want(status == 0 and text.count("GATEWAY gw-other RUNS WITH OTHER NODES") == 1, "another list of nodes", text)
    want("gw-same" not in text and "GATEWAY gw?[31m RUNS" in text and "\x1b" not in text, "others", text)
    want("RUNS WITH" not in check(directory, [a, b])[1], "another prefix is another fleet")
    b.command("DEL", "p:rings")
    b.command("SET", "p:rings", "no hash")
    want(check(directory, [b], "prefix = p")[0] == 0, "a key of another kind")


def make_certificate(directory):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=r.example", "-addext", "subjectAltName=DNS:r.example", "-keyout",
                    os.path.join(directory, "key.pem"), "-out", os.path.join(directory, "cert.pem")],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def tls(directory):
    make_certificate(directory)
    files = [os.path.join(directory, f) for f in ("cert.pem", "key.pem")]
    a = Redis(directory, *FIT, "--tls-cert-file", files[0], "--tls-key-file", files[1], "--tls-ca-cert-file", files[0],
              "--tls-auth-clients", "yes", tls=True)
    own = 'certificate = "cert.pem" key = "key.pem"'
    status, text = check(directory, [a], 'tls { ca = "cert.pem" server_name = "r.example" %s }' % own)
    want(status == 0 and columns(text, a.name())[2] == "ok", "TLS", text)
    status, text = check(directory, [a], 'tls { ca = "cert.pem" %s }' % own)
    want(status == 1 and "no TLS" in text, "another name", text)
    status, text = check(directory, [a], "tls { %s }" % own)
    want(status == 1 and "no TLS" in text, "an unknown root", text)
    want(check(directory, [a], "tls { verify = no %s }" % own)[0] == 0, "unverified")
    want(check(directory, [a], "tls { verify = no }")[0] == 1, "without a certificate of one's own")
    want(check(directory, [a])[0] == 1, "without TLS")
    plain = Redis(directory, *FIT)
    status, text = check(directory, [plain], "connect_timeout = 200ms tls { verify = no }")
    want(status == 1 and "no TLS" in text, "a node without TLS", text)


PONG = b"+PONG\r\n"
PONGS = [PONG] * 20
INFO = b"$18\r\nredis_version:7.0\r\n\r\n"


def drip(connection):
    """A reply that never ends, a byte at a time."""
    connection.sendall(b"$1000\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def flood(connection):
    connection.sendall(b"$536870912\r\n")
    while True:
        connection.sendall(b"x" * 65536)


LIES = [  # what is answered, and what is to be found
    ("another protocol", [b"HTTP/1.1 400 Bad Request\r\n\r\n"], "no Redis"),
    ("another kind", [b":1\r\n"], "no Redis"),
    ("another text", [b"+PING\r\n"], "no Redis"),
    ("a bulk of less than nothing", [b"$-7\r\n\r\n"], "no Redis"),
    ("many elements", [b"*2147483647\r\n"], "no Redis"),
    ("deep nesting", [b"*1\r\n" * 1000], "no Redis"),
    ("an end", [lambda c: c.close()], "no connection"),
    ("loading", [b"-LOADING Redis is loading the dataset in memory\r\n"], "loading"),
    ("a write error", [b"-MISCONF Redis is \x1b[31mconfigured\r\n"], "refuses"),
    ("silence", [lambda c: c.recv(1)], "late"),
    ("a drip", [drip], "late"),
    ("a flood", [*PONGS, flood], "no Redis"),
    ("a wrong INFO", [*PONGS, b"*1\r\n*1\r\n:1\r\n", b"$-1\r\n", b"*2\r\n:1\r\n*0\r\n", b"*1\r\n*-1\r\n"], "ok"),
    ("nothing of anything", [*PONGS, b"*-1\r\n", b":-1\r\n", b"*0\r\n", b"*2\r\n$-1\r\n:1\r\n"], "ok"),
]


def lies(directory):
    liars = [Liar(*answers) for _, answers, _ in LIES]
    begin = time.monotonic()
    status, j = check_json(directory, liars)
    took = time.monotonic() - begin
    want(status == 1 and took < 4.9, "two late ones", status, took)
    for (what, _, state), node in zip(LIES, j["nodes"]):
        want(node["state"] == state, what, node)
        want("\x1b" not in (node["why"] or ""), what, node)


def usage(directory):
    path = os.path.join(directory, "none")
    with open(path, "w") as f:
        f.write(CONF)

    def run(*arguments):
        return subprocess.run([BINARY, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=WAIT, check=False).returncode

    want(run("redis-check", "-c", path) == 1, "no section redis")
    want(run("redis-check", "-c", path + "x") == 1, "no configuration")
    want(run("redis-check", "-c", path, "more") == 2, "too many arguments")
    want(run("redis-check", "--nope") == 2, "an unknown option")


def main():
    for story in (good_nodes, dead_node, logins, warnings, other_gateways, tls, lies, usage):
        with tempfile.TemporaryDirectory() as directory:
            try:
                story(directory)
            finally:
                while running:
                    running.pop().stop()
    print("all passed: %d" % passed)


main()

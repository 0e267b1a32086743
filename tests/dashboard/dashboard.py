"""The dashboard in a real browser, on real gateways with real backends.

    dashboard.py BINARY [TEST ...]

PICTURES=DIR in the environment: pictures of the page are put there.

Ends with a line of counts.
"""

import json
import os
import sys
import tempfile
import threading

from browser import Browser
from harness import WAIT, Client, Gateway, Process, Redis, free_port, http, redis_conf, run, wait_for

PICTURES = os.environ.get("PICTURES")
PATHS = ["/api/users/%d", "/people/%d", "/orders/%d?ms=4", "/limited/%d", "/api/users/%d?status=404"]
READ, WRITE = "only-for-reading-0123", "for-everything-01234567"

ROUTES = """
route "/api/users/" { backend = users }
route "/people/" { backend = users  cache { ttl = 10s } }
route "/orders/" { backend = orders }
route "/limited/" { backend = orders  limit { rate = 5/s } }
"""


class Backend(Process):
    """`tollgate demo`, on a port that stays its own."""

    def __init__(self, binary, name):
        self.binary, self.name, self.port = binary, name, free_port()
        self.log = open(os.devnull, "w", encoding="ascii")
        self.start()

    def start(self):
        self.spawn([self.binary, "demo", "--listen", "127.0.0.1:%d" % self.port, "--name", self.name])
        wait_for(self.answers, "the backend " + self.name)

    def answers(self):
        try:
            return http(self.port, "GET", "/").status == 200
        except OSError:
            return False

    def stop(self):
        if self.is_running():
            self.kill()
        self.log.close()


class Gate(Gateway):
    """A gateway that can be started again on its ports. ADMIN: what stands in its section."""

    def __init__(self, binary, conf, admin=""):
        self.binary, self.port, self.admin = binary, free_port(), free_port()
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, "gw.conf")
        with open(self.path, "w", encoding="ascii") as f:
            f.write(f'workers = 2\nlisten "127.0.0.1:{self.port}" {{}}\nadmin "127.0.0.1:{self.admin}" {{ {admin} }}\n'
                    f'log {{ access = off }}\ndrain_timeout = 1s\n{conf}')
        self.log = open(os.path.join(self.dir.name, "log"), "a+", encoding="utf-8", errors="replace")
        self.start()

    def start(self):
        self.spawn([self.binary, "-c", self.path])
        self.wait()


class Load:
    """Requests by turns to all PATHS, as fast as RATE a second, until it ends."""

    def __init__(self, port, rate=60):
        self.port, self.pause, self.over = port, 1 / rate, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        client, n = None, 0
        while not self.over.wait(self.pause):
            n += 1
            try:
                client = client or Client(self.port, WAIT)
                client.send("GET", PATHS[n % len(PATHS)] % (n % 20), (), host="h.example")
                client.receive()
            except (OSError, EOFError):
                client = None

    def stop(self):
        self.over.set()
        self.thread.join(WAIT)


class Scene:
    """Two backends, a gateway and the load on it."""

    def __init__(self, binary, admin="", nodes=0, load=True):
        self.users, self.orders = Backend(binary, "users"), Backend(binary, "orders")
        self.nodes = [Redis() for _ in range(nodes)]
        self.conf = ((redis_conf([n.port for n in self.nodes]) if nodes else "") +
                     f'backend "users" {{ server "http://127.0.0.1:{self.users.port}" {{}}  retry {{ attempts = 1 }}\n'
                     '  eject { failures = 0 }  breaker { consecutive = 5  open_for = 60s } }\n'
                     f'backend "orders" {{ server "http://127.0.0.1:{self.orders.port}" {{}}\n'
                     f'  server "http://localhost:{self.orders.port}" {{ weight = 2 }} }}\n{ROUTES}')
        self.gate = Gate(binary, self.conf, admin)
        self.load = Load(self.gate.port) if load else None

    @property
    def url(self):
        return "http://127.0.0.1:%d/" % self.gate.admin

    def see(self, path, token=None):
        fields = ["Authorization: Bearer " + token] if token else []
        return json.loads(http(self.gate.admin, "GET", path, fields).body)

    def breaker(self, backend="users"):
        return next(b["state"] for b in self.see("/breakers") if b["backend"] == backend)

    def servers(self, backend="orders"):
        return [s for s in self.see("/servers") if s["backend"] == backend]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.load:
            self.load.stop()
        try:
            self.gate.stop()
        finally:
            for one in [self.users, self.orders, *self.nodes]:
                one.stop()

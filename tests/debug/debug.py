"""The /debug pages of a real gateway under load.

    debug.py BINARY TOOLS [--profiles 10]

TOOLS is the folder with the bench's load and origin. Where `perf` can sample, what it finds is compared with the
gateway's own profile. With SANITIZED in the environment, only what does not depend on memory and speed is checked. Ends
with a line of counts.
"""

import argparse
import collections
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

TOKEN = "a-token-for-the-operator-of-this"
SANITIZED = bool(os.environ.get("SANITIZED"))
counts = collections.Counter()


def check(name, good, seen):
    print(f"{'ok    ' if good else 'FAILED'}  {name}: {seen}")
    counts["passed" if good else "failed"] += 1


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def wait_for(what, seconds=20):
    """Whether WHAT becomes true in time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Gateway:
    """A gateway in front of an origin, with requests that go on until it is left."""

    def __init__(self, binary, tools):
        self.port, self.admin, self.origin_port = free_port(), free_port(), free_port()
        self.directory = tempfile.TemporaryDirectory()
        conf, self.tools, self.ends = f"{self.directory.name}/gw.conf", tools, False
        with open(conf, "w", encoding="ascii") as f:
            f.write(f'workers = 2\nlisten "127.0.0.1:{self.port}" {{}}\n'
                    f'admin "127.0.0.1:{self.admin}" {{ token = "{TOKEN}" }}\nlog {{ access = off }}\n'
                    f'backend "o" {{ server "http://127.0.0.1:{self.origin_port}" {{}} }}\n'
                    f'route "/" {{ backend = o }}\n')
        self.origin = subprocess.Popen([f"{tools}/origin", str(self.origin_port)])
        self.process = subprocess.Popen([binary, "-c", conf], stderr=subprocess.DEVNULL)
        self.load = threading.Thread(target=self.load_on)

    def load_on(self):
        while not self.ends:
            subprocess.run([f"{self.tools}/load", "--port", str(self.port), "--path", "/b/128", "--expect", "128",
                            "--connections", "16", "--requests", "20000"], stdout=subprocess.DEVNULL, check=False)

    def get(self, path, token=TOKEN, timeout=120):
        """Status, type and bytes."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers["Content-Type"], e.read()

    def is_up(self):
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def footprint(self):
        """Descriptors, threads and resident KB."""
        pid = self.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            resident = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
        return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")), resident

    def timers(self):
        with open(f"/proc/{self.process.pid}/timers", encoding="ascii") as f:
            return f.read().count("ID:")

    def __enter__(self):
        if not wait_for(self.is_up):
            self.process.kill()
            self.origin.kill()
            raise RuntimeError("the gateway did not start")
        self.load.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.load.join()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.origin.kill()
        self.origin.wait()
        self.directory.cleanup()


def self_counts(folded):
    """Samples by the innermost function, and in all."""
    leaves = collections.Counter()
    for line in folded.splitlines():
        stack, _, n = line.rpartition(" ")
        leaves[stack.rpartition(";")[2]] += int(n)
    return leaves


class Perf:
    """perf, sampling PID in the background."""

    def __init__(self, pid, path, seconds):
        self.path = path
        self.process = subprocess.Popen(
            ["perf", "record", "-e", "cpu-clock", "-F", "197", "-g", "-o", path, "-p", str(pid), "--", "sleep",
             str(seconds)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def counts(self):
        """Samples by the innermost function outside of the kernel."""
        self.process.wait()
        script = subprocess.run(["perf", "script", "-i", self.path, "-F", "ip,sym,dso"], capture_output=True, text=True,
                                check=False).stdout
        leaves = collections.Counter()
        for sample in script.split("\n\n"):
            for frame in sample.splitlines():
                ip, _, rest = frame.strip().partition(" ")
                if not ip or len(ip) == 16 and ip.startswith("ffff"):
                    continue
                leaves[rest.split(" (")[0].split("+")[0]] += 1
                break
        return leaves


def test_profile(gateway):
    seconds = 4
    perf = Perf(gateway.process.pid, f"{gateway.directory.name}/perf", seconds) if shutil.which("perf") else None
    answers = []
    asker = threading.Thread(target=lambda: answers.append(gateway.get(f"/debug/profile?seconds={seconds}&hz=197")))
    asker.start()
    check("timers are there while a profile runs", wait_for(lambda: gateway.timers() > 0), gateway.timers())
    check("a second asker is told to wait", gateway.get("/debug/profile?seconds=1")[0] == 409, "409")
    begin = time.monotonic()
    healthy = gateway.get("/healthz")[0]
    check("the admin port answers meanwhile", healthy == 200 and asker.is_alive(), f"{time.monotonic() - begin:.3f} s")
    asker.join()
    status, kind, body = answers[0]
    own = self_counts(body.decode())
    check("a profile as text", status == 200 and kind.startswith("text/plain") and sum(own.values()) > 0,
          f"{sum(own.values())} samples")
    whole = sum(int(line.rpartition(" ")[2]) for line in body.decode().splitlines()
                if re.match(r"worker-\d;.*;uv_run;", line))
    check("stacks of workers reach from the loop on", SANITIZED or whole > 0.8 * sum(own.values()), whole)
    check("no timer is left", gateway.timers() == 0, gateway.timers())
    theirs = perf.counts() if perf else {}
    if SANITIZED or sum(theirs.values()) < 100:
        print("skip    perf cannot sample here")
        return
    theirs = collections.Counter({name: n for name, n in theirs.items() if not name.startswith(("[", "0x"))})
    ours = [name for name, _ in own.most_common(40) if not re.search(r"\+0x", name)][:5]
    named = [name for name, _ in theirs.most_common(5)]
    bare = {re.sub(r"^_*(libc_|GI_)*", "", name) for name in ours}
    same = [name for name in named if re.sub(r"^_*(libc_|GI_)*", "", name) in bare]
    check("the top of it is what perf finds", len(same) >= 3, f"{ours} and {named}")


def test_pprof(gateway):
    status, kind, body = gateway.get("/debug/profile?seconds=1&format=pprof")
    plain = gzip.decompress(body) if status == 200 else b""
    check("a profile for pprof", kind == "application/octet-stream" and b"nanoseconds" in plain and b"uv_run" in plain,
          f"{len(body)} bytes")


def test_refusals(gateway):
    for query in ("seconds=0", "seconds=61", "seconds=x", "hz=0", "hz=501", "format=svg"):
        check(f"no profile for {query}", gateway.get(f"/debug/profile?{query}")[0] == 400, "400")
    for page in ("profile?seconds=1", "threads", "memory"):
        check(f"no /debug/{page} without the token", gateway.get(f"/debug/{page}", token=None)[0] == 401, "401")


def test_threads(gateway):
    status, _, body = gateway.get("/debug/threads")
    threads = json.loads(body)["threads"] if status == 200 else []
    workers = [t for t in threads if "worker" in t]
    names = {t["name"] for t in threads}
    check("every worker is there", sorted(t["worker"] for t in workers) == [0, 1], [t["name"] for t in workers])
    check("others are there", {"watchdog", "prober", "debug"} <= names, sorted(names))
    # ThreadSanitizer holds signals back while a thread waits in a call that it does not know
    check("all say where they are", SANITIZED or all(t["stack"] for t in threads), sum(1 for t in threads if t["stack"]))
    check("a worker is in its loop", SANITIZED or all("uv_run" in t["stack"] for t in workers), workers[0]["stack"][:4])


def test_memory(gateway):
    status, _, body = gateway.get("/debug/memory")
    page = json.loads(body) if status == 200 else {}
    check("memory is told by kind", page["resident"] > 1 << 20 and page["exchanges"]["bytes"] > 0 and
          page["connections"]["clients"] >= 0 and page["limits"]["reserved"] >= 0, page)


def test_metric(gateway):
    page = gateway.get("/metrics")[2].decode()
    stalls = re.findall(r'^tollgate_worker_stalls_total\{worker="(\d)"\} \d+$', page, re.M)
    check("stalls are counted", stalls == ["0", "1"], stalls)


def test_client_leaves(gateway):
    with socket.create_connection(("127.0.0.1", gateway.admin)) as s:
        s.sendall(f"GET /debug/profile?seconds=60 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        check("a long profile has begun", wait_for(lambda: gateway.timers() > 0), gateway.timers())
    check("it ends when its client has left", wait_for(lambda: gateway.timers() == 0), gateway.timers())
    check("and another may ask", wait_for(lambda: gateway.get("/debug/profile?seconds=1")[0] == 200), "200")


def test_leaves_nothing(gateway, profiles):
    before = gateway.footprint()
    good = sum(gateway.get("/debug/profile?seconds=1&hz=500")[0] == 200 for _ in range(profiles))
    check("profiles in a row", good == profiles, good)
    check("descriptors and threads are back", wait_for(lambda: gateway.footprint()[1] <= before[1] and
                                                       gateway.footprint()[0] <= before[0] + 8), gateway.footprint())
    check("memory is back", SANITIZED or gateway.footprint()[2] < before[2] + 8192, (before, gateway.footprint()))


def test_end_while_it_runs(gateway):
    """The gateway ends in time although somebody waits for a profile."""
    with socket.create_connection(("127.0.0.1", gateway.admin)) as s:
        s.sendall(f"GET /debug/profile?seconds=60 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        wait_for(lambda: gateway.timers() > 0)
        gateway.ends = True
        gateway.load.join()
        gateway.process.send_signal(signal.SIGTERM)
        try:
            check("it ends in the middle of a profile", gateway.process.wait(timeout=30) == 0, "0")
        except subprocess.TimeoutExpired:
            check("it ends in the middle of a profile", False, "it does not")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("tools")
    parser.add_argument("--profiles", type=int, default=10)
    options = parser.parse_args()
    with Gateway(options.binary, options.tools) as gateway:
        test_refusals(gateway)
        test_profile(gateway)
        test_pprof(gateway)
        test_threads(gateway)
        test_memory(gateway)
        test_metric(gateway)
        test_client_leaves(gateway)
        test_leaves_nothing(gateway, options.profiles)
        test_end_while_it_runs(gateway)
    print(f"{counts['passed']} passed, {counts['failed']} failed" if counts["failed"] else f"all {counts['passed']} passed")
    raise SystemExit(1 if counts["failed"] else 0)


if __name__ == "__main__":
    main()

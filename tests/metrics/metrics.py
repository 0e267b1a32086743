"""A real Prometheus watches a real gateway under some traffic: metrics.py BINARY

Everything on loopback. Prometheus scrapes the gateway twice: as it does by itself, in OpenMetrics and packed, and through a
relay that asks for nothing, so that it gets the older text. Then its API is asked whether all is there and right. Ends with a
line of counts.
"""

import collections
import contextlib
import gzip
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

WAIT = 20  # seconds for anything to happen
ROUNDS, EACH = 3, 20  # of requests; each round waits for a scrape
ROUTES = ("fixed", "good", "cached", "limited", "fails")
RULES = "conf/prometheus"
OPENMETRICS = "application/openmetrics-text"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

CONF = """workers = 2
listen "127.0.0.1:{port}" {{}}
admin "127.0.0.1:{admin}" {{}}
tracing {{ sample = 0% }}
log {{ access = "{dir}/access.log" }}
redis {{ nodes = {{"127.0.0.1:{redis}"}} }}
backend "good" {{ server "http://127.0.0.1:{origin}" {{}}  bulkhead {{ max = 50 }} }}
backend "bad" {{ server "http://127.0.0.1:{origin}" {{}}  breaker {{ consecutive = 5  open_for = 1m }}  retry {{ attempts = 1 }} }}
route "/fixed" {{ respond {{ body = "x" }} }}
route "/good" {{ backend = good }}
route "/cached" {{ backend = good  cache {{ ttl = 1m }} }}
route "/limited" {{ respond {{}}  limit {{ rate = 1/h  burst = 5 }} }}
route "/fails" {{ backend = bad }}
"""

PROMETHEUS = """global: {{scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 300ms}}
rule_files: [{dir}/rules.yml, {dir}/alerts.yml]
scrape_configs:
  - {{job_name: tollgate, static_configs: [{{targets: ["127.0.0.1:{admin}"]}}]}}
  - {{job_name: text, static_configs: [{{targets: ["127.0.0.1:{relay}"]}}]}}
"""

passed, failures = 0, []


def check(name, good, seen=""):
    global passed
    print(f"{'ok    ' if good else 'FAILED'}  {name}  {'' if good else seen}", flush=True)
    if good:
        passed += 1
    else:
        failures.append(name)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def wait_for(what, condition):
    """The first true value of CONDITION; what fails to connect counts as false."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            value = condition()
            if value:
                return value
        time.sleep(0.05)
    raise SystemExit(f"waited in vain for {what}")


def fetch(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=WAIT) as answer:
        return answer.read(), answer.headers


def ask(url):
    """The status, and what the cache says."""
    request = urllib.request.Request(url, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as answer:
            return answer.status, answer.headers["X-Cache"]
    except urllib.error.HTTPError as e:
        return e.code, None


@contextlib.contextmanager
def process(*command, log):
    with open(log, "wb") as out, subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL) as p:
        try:
            yield p
        finally:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(WAIT)
            except subprocess.TimeoutExpired:
                p.kill()


@contextlib.contextmanager
def server(answer):
    """An HTTP server whose GETs are answered by ANSWER(path): status, type, body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, kind, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, daemon=True).start()
    try:
        yield s.server_address[1]
    finally:
        s.shutdown()
        s.server_close()


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, path, **parameters):
        text, _ = fetch(self.base + path + "?" + urllib.parse.urlencode(parameters))
        return json.loads(text)["data"]

    def query(self, expr):
        return self.ask("query", query=expr)["result"]

    def value(self, expr):
        """The number of EXPR, None when there is none."""
        result = self.query(expr)
        return float(result[0]["value"][1]) if len(result) == 1 else None

    def names(self, job):
        return set(self.ask("label/__name__/values", **{"match[]": f'{{job="{job}"}}'}))


# ---- the page itself ----


def check_pages(admin):
    page = f"http://127.0.0.1:{admin}/metrics"
    text, head = fetch(page)
    check("text is what everybody gets", head["Content-Type"].startswith("text/plain; version=0.0.4"), head)
    judged = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    check("promtool finds nothing", judged.returncode == 0 and not judged.stderr, judged.stderr)
    opened, head = fetch(page, Accept=OPENMETRICS)
    check("OpenMetrics is for who names it", head["Content-Type"].startswith(OPENMETRICS + "; version=1.0.0"), head)
    families = list(read_openmetrics(opened.decode()))
    check("and is read by a strict parser", len(families) > 50, len(families))
    packed, head = fetch(page, **{"Accept-Encoding": "gzip"})
    check("a page may be packed", head["Content-Encoding"] == "gzip" and b"# TYPE" in gzip.decompress(packed), head)


# ---- what Prometheus has of it ----


def send_round(gateway):
    """What a client sees: answers by route and status, and by the word of the cache."""
    seen = collections.Counter()
    for route in ROUTES:
        for _ in range(EACH):
            status, cache = ask(f"{gateway}/{route}")
            seen[route, status] += 1
            if cache:
                seen[cache] += 1
    return seen


def send_all(gateway, prometheus):
    """Rounds with a scrape of both jobs between; the sums of what clients saw."""
    total = collections.Counter()
    for i in range(ROUNDS):
        total += send_round(gateway)
        expr = 'min(sum by (job) (tollgate_http_requests_total{route!="none"}))'
        wait_for("a scrape", lambda want=EACH * len(ROUTES) * (i + 1): prometheus.value(expr) == want)
    return total


def check_counts(prometheus, total):
    for job in ("tollgate", "text"):
        for (route, code), n in sorted((key, n) for key, n in total.items() if isinstance(key, tuple)):
            expr = f'tollgate_http_requests_total{{job="{job}",route="/{route}",code="{code}"}}'
            check(f"{job} {route} {code}", prometheus.value(expr) == n, (prometheus.value(expr), n))
        for route in ROUTES:
            expr = f'tollgate_http_request_duration_seconds_count{{job="{job}",route="/{route}"}}'
            check(f"{job} durations of {route}", prometheus.value(expr) == ROUNDS * EACH, prometheus.value(expr))
    check("the limit is in the numbers", total["limited", 200] == 5, total)
    for result in ("allowed", "refused"):
        expr = f'sum(tollgate_ratelimit_decisions_total{{job="tollgate",result="{result}"}})'
        want = 5 if result == "allowed" else ROUNDS * EACH - 5
        check(f"decisions: {result}", prometheus.value(expr) == want, prometheus.value(expr))
    for word in ("HIT", "MISS"):
        n = prometheus.value(f'tollgate_cache_requests_total{{job="tollgate",status="{word}"}}')
        check(f"the cache says {word} as often as its client heard it", n == total[word] > 0, (n, total))
    opened = prometheus.value('tollgate_breaker_transitions_total{job="tollgate",backend="bad",change="opened"}')
    check("the breaker has opened", opened == 1, opened)


def check_families(prometheus, admin):
    text = fetch(f"http://127.0.0.1:{admin}/metrics")[0].decode()
    printed = set(re.findall(r"^([a-z_]+)(?:{| )", text, re.M))
    for job in ("tollgate", "text"):
        missing = printed - prometheus.names(job)
        check(f"{job}: all that is printed is stored", len(printed) > 60 and not missing, missing)
    # The same series in both, so that a change of format breaks no graph.
    expr = 'count by (__name__, le) ({{job="{0}",__name__=~"tollgate_.+"}}) unless count by (__name__, le) ({{job="{1}"}})'
    for jobs in (("tollgate", "text"), ("text", "tollgate")):
        odd = prometheus.query(expr.format(*jobs))
        check(f"{jobs[0]} has no series that {jobs[1]} lacks", not odd, odd)
    kinds = {m["metric"]: m["type"] for m in prometheus.ask("targets/metadata", match_target='{job="tollgate"}')}
    check("types are understood", kinds.get("tollgate_http_requests") == "counter" and
          kinds.get("tollgate_overhead_seconds") == "histogram" and kinds.get("tollgate_connections") == "gauge", kinds)
    return printed


def check_rules(prometheus, printed):
    with open(f"{RULES}/rules.yml", encoding="utf-8") as f:
        rules = f.read()
    with open(f"{RULES}/alerts.yml", encoding="utf-8") as f:
        alerts = f.read()
    recorded = re.findall(r"record: (\S+)", rules)
    check("there are recording rules", len(recorded) >= 15, recorded)
    for name in recorded:
        result = wait_for(name, lambda name=name: prometheus.query(f'{name}{{job="tollgate"}}'))
        check(name, any(r["value"][1] != "NaN" for r in result), result) # NaN: a quantile of nothing
    texts = r"#.*|(?:description|summary|name): (?:>-\n(?: {12}.*\n)+|.*\n)"
    exprs = re.sub(texts, "", rules + alerts)
    used = set(re.findall(r"(?<![\w:])((?:tollgate|process)_\w+)(?=[\[{ )\n])", exprs))
    check("rules name what is printed", len(used) > 25 and used <= printed, used - printed)
    hot = prometheus.value('job_route:tollgate_http_errors:ratio_rate5m{job="tollgate",route="/fails"}')
    check("all that fails is an error", hot == 1, hot)


def check_alerts(prometheus):
    def firing():
        return {a["labels"]["alertname"] + " " + a["labels"].get("backend", "") for a in prometheus.ask("alerts")["alerts"]
                if a["state"] == "firing" and a["labels"].get("job") == "tollgate"}

    wait_for("the alert of the breaker", lambda: "TollgateBreakerOpen bad" in firing())
    check("the breaker that is open alerts", True)
    quiet = {"TollgateDown", "TollgateReloadFailed", "TollgateRedisDown", "TollgateRingMismatch", "TollgateLogDrops"}
    loud = {a for a in firing() if a.split()[0] in quiet or a == "TollgateBreakerOpen good"}
    check("what is well does not", not loud, loud)


def check_exemplars(prometheus, admin):
    """Only where the page shows any: it does when requests are traced."""
    text = fetch(f"http://127.0.0.1:{admin}/metrics", Accept=OPENMETRICS)[0].decode()
    if "trace_id=" not in text:
        print("        no request was sampled: exemplars are not looked at")
        return
    for name, key in (("http_request", 'route="/good"'), ("upstream_request", 'backend="good"')):
        series = prometheus.ask("query_exemplars", query=f"tollgate_{name}_duration_seconds_bucket{{{key}}}",
                                start=time.time() - 600, end=time.time() + 60)
        traces = {e["labels"]["trace_id"] for s in series for e in s["exemplars"]}
        check(f"exemplars of {name}", traces == {TRACE}, series)


# ---- the whole ----


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def copy_rules(directory):
    """As they are, but alerts do not wait."""
    for name in ("rules.yml", "alerts.yml"):
        with open(f"{RULES}/{name}", encoding="utf-8") as f:
            write(f"{directory}/{name}", re.sub(r"for: \w+", "for: 1s", f.read()))


def origin(path):
    return (503, "text/plain", b"no") if path == "/fails" else (200, "text/plain", b"yes")


def watch(binary, directory, stack):
    ports = {"port": free_port(), "admin": free_port(), "redis": free_port(), "prometheus": free_port(),
             "origin": stack.enter_context(server(origin)), "dir": directory}
    page = f"http://127.0.0.1:{ports['admin']}/metrics"
    ports["relay"] = stack.enter_context(server(lambda _: (200, "text/plain; version=0.0.4", fetch(page)[0])))
    write(f"{directory}/gw.conf", CONF.format(**ports))
    write(f"{directory}/prometheus.yml", PROMETHEUS.format(**ports))
    copy_rules(directory)
    stack.enter_context(process("redis-server", "--port", str(ports["redis"]), "--bind", "127.0.0.1", "--save", "", "--dir",
                                directory, log=f"{directory}/redis.log"))
    wait_for("redis", lambda: socket.create_connection(("127.0.0.1", ports["redis"]), 1).close() or True)
    gateway = stack.enter_context(process(binary, "-c", f"{directory}/gw.conf", log=f"{directory}/gw.log"))
    wait_for("the gateway", lambda: 'tollgate_redis_up{node="127.0.0.1:%d"} 1' % ports["redis"] in fetch(page)[0].decode())
    stack.enter_context(process("prometheus", f"--config.file={directory}/prometheus.yml",
                                f"--storage.tsdb.path={directory}/data", "--enable-feature=exemplar-storage",
                                f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                                log=f"{directory}/prometheus.log"))
    return ports, gateway


def story(binary, directory):
    with contextlib.ExitStack() as stack:
        ports, gateway = watch(binary, directory, stack)
        prometheus = Prometheus(ports["prometheus"])
        wait_for("both to be up", lambda: prometheus.value("sum(up)") == 2)
        total = send_all(f"http://127.0.0.1:{ports['port']}", prometheus)
        check_pages(ports["admin"])
        check_counts(prometheus, total)
        printed = check_families(prometheus, ports["admin"])
        check_rules(prometheus, printed)
        check_alerts(prometheus)
        check_exemplars(prometheus, ports["admin"])
    check("the gateway ends well", gateway.returncode == 0, gateway.returncode)


def main():
    with tempfile.TemporaryDirectory() as directory:
        try:
            story(os.path.abspath(sys.argv[1]), directory)
        except SystemExit:
            for name in ("gw.log", "prometheus.log"):
                with contextlib.suppress(OSError), open(f"{directory}/{name}", encoding="utf-8") as f:
                    print(name, f.read()[-3000:])
            raise
    print(f"{passed} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


main()

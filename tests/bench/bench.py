"""Tollgate beside nginx and HAProxy, in one run: CPU time per request, latency, memory, start-up.

    sh tests/bench/run.sh [--rounds N] [--cases small,post,...] [--strace] [--callgrind] [--json FILE]

Each proxy runs with one worker, keeps its connections to the origin and writes no access log. nginx buffers request
bodies (its default) except in the cases upload and stream. Proxy, origin and load share one core, and what is compared
is the CPU time that the proxy's whole process tree took for each request: that is steady on a machine where throughput
is not. Rounds are interleaved (one of each proxy, then again, each round beginning with another); a ratio is taken
within each round, and its median and range over the rounds are shown.
"""
import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import observed
import proxies
from measure import instructions_each, run_rounds, show, spread
from processes import Process, cpu_ns, memory, tree

US_CASES = {
    # name: (title, requests a round, arguments of load)
    'small': ('128 B answer, 64 kept connections', 50000, []),
    'close': ('128 B answer, a new connection for each request', 20000, ['--connections', 16, '--close']),
    'post': ('16 KB POST, 64 kept connections', 20000, ['--post', 16384]),
    'large': ('1 MB answer, 8 kept connections', 800,
              ['--path', '/b/1048576', '--expect', 1048576, '--connections', 8]),
    'upload': ('1 MB POST, 8 kept connections', 800, ['--post', 1048576, '--connections', 8]),
    'hit': ('1 KB hit in the cache, 64 kept connections', 50000, ['--path', '/b/1024', '--expect', 1024]),
    'hit64': ('64 KB hit in the cache, 16 kept connections', 20000,
              ['--path', '/b/65536', '--expect', 65536, '--connections', 16]),
    'limit': ('128 B answer, each client limited, far from its limit', 50000, []),
    'refuse': ('429: over the limit', 50000, ['--refused']),
}
# What an expert would set for that traffic alone, by proxy; found by trial. HAProxy's default of 16 KB holds no 16 KB
# body with its head, and costs the 1 MB cases; larger ones cost the small case. nginx would spool 1 MB bodies to disk.
TUNED = {
    'post': {'haproxy': {'GLOBAL': 'tune.bufsize 32768'}},
    'large': {'haproxy': {'GLOBAL': 'tune.bufsize 65536'}},
    'upload': {'haproxy': {'GLOBAL': 'tune.bufsize 65536'}, 'nginx': {'REQUEST_BUFFERING': 'off'}},
    # The rate is one that the load cannot reach.
    'limit': {'tollgate': {'ROUTE': 'limit { rate = 10000000/s }'},
              'nginx': {'HTTP': 'limit_req_zone $binary_remote_addr zone=z:10m rate=1000000r/s;',
                        'LOCATION': 'limit_req zone=z burst=1000000 nodelay;'},
              'haproxy': {'FRONTEND': 'stick-table type ip size 100k expire 10s store http_req_rate(1s)\n'
                                      '    http-request track-sc0 src\n'
                                      '    http-request return status 429 content-type text/plain string refused '
                                      'if { sc_http_req_rate(0) gt 10000000 }'}},
    # Only the path that is measured has a limit, or the proxy would not seem to serve.
    'refuse': {'tollgate': {'ROUTES': 'route "/b/128" { backend = origin  limit { rate = 1/d } }'},
               'nginx': {'HTTP': 'limit_req_zone $binary_remote_addr zone=z:10m rate=1r/m; limit_req_status 429; '
                                 'limit_req_log_level info;',
                         'SERVER': 'location /b/128 { limit_req zone=z; proxy_pass http://origin; }'},
               'haproxy': {'FRONTEND': 'stick-table type ip size 100k expire 1h store http_req_rate(1h)\n'
                                       '    http-request track-sc0 src if { path /b/128 }\n'
                                       '    http-request return status 429 content-type text/plain string refused '
                                       'if { path /b/128 } { sc_http_req_rate(0) gt 1 }'}},
}
# nginx keeps its files in memory, and them open.
CACHES = {'tollgate': {'ROUTE': 'cache { ttl = 1h }'},
          'nginx': {'HTTP': 'proxy_cache_path /dev/shm/tollgate-bench levels=1:2 keys_zone=c:10m max_size=256m use_temp_path=off;'
                            ' open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;',
                    'LOCATION': 'proxy_cache c; proxy_cache_valid 200 1h;'},
          'haproxy': {'GLOBAL': 'cache c\n    total-max-size 64\n    max-object-size 1000000\n    max-age 3600',
                      'FRONTEND': 'filter cache c\n    http-request cache-use c\n'
                                  '    http-response set-header Cache-Control max-age=3600\n'
                                  '    http-response cache-store c'}}
TUNED['hit'] = TUNED['hit64'] = CACHES
# What is measured as the same proxy in another guise, in the case of that name.
OPENS_FILES = [('nginx', 'nginx-opens', {'HTTP': CACHES['nginx']['HTTP'].split(' open_file_cache')[0]})]
VARIANTS = {
    'hit': OPENS_FILES,
    'hit64': OPENS_FILES,
    'large': [('haproxy', 'haproxy-splice', {'DEFAULTS': 'option splice-auto'})],
    'limit': [('tollgate', 'tollgate-bare', {'ROUTE': '', 'BACKEND': 'breaker { enabled = no }  eject { failures = 0 }'})],
}
SHARED_KEYS = 20000
SHARED_SLICE = 5000  # requests
OTHER_CASES = ('shared', 'observed', 'latency', 'idle', 'stream', 'start')


class Bench:
    """What all cases share: the built tools, the origin, ports, results."""

    def __init__(self, options):
        self.options = options
        self.dir = Path(tempfile.mkdtemp(prefix='tollgate-bench-'))
        self.dir.chmod(0o755)  # nginx's worker has another user and keeps temporary files there
        self.tools = Path(options.tools)
        self.proxies, self.missing = proxies.find(options.build)
        self.files = raise_file_limit()
        self.origin_port = options.port
        self.next_port = options.port + 1
        cores = sorted(os.sched_getaffinity(0))
        self.core = {cores[-1]}      # where everything runs
        self.other = {cores[0]}      # this script, and the load where latency is measured
        self.results = {}
        self.failures = []

    def port(self):
        """A port nobody had before in this run, so that no closed connection of another proxy is in the way."""
        self.next_port += 1
        return self.next_port

    def load(self, port, arguments, cores):
        """Run load to its end; its report."""
        command = [self.tools / 'load', '--port', port, *arguments]
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=False, timeout=600,
                              preexec_fn=lambda: os.sched_setaffinity(0, cores))
        return json.loads(done.stdout)

    def note_errors(self, where, report):
        """Remember the wrong answers of a run; they fail the bench."""
        if report['errors']:
            self.failures.append(f"{where}: {report['errors']} errors of {report['requests']}: {report['why']}")


def raise_file_limit():
    """As many open files as the idle case needs, if this user may; the number allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (30000, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, max(hard, wanted)), max(hard, wanted)))
            return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        except (ValueError, OSError):
            continue
    return soft


def case_cpu(bench, name):
    """CPU time of the proxy per request, in microseconds."""
    title, requests, arguments = US_CASES[name]
    under_test = [p.with_words(**TUNED.get(name, {}).get(p.name, {})) for p in bench.proxies]
    under_test += [p.with_words(guise, **words) for of, guise, words in VARIANTS.get(name, []) for p in under_test
                   if p.name == of]

    def measure(proxy, port, process, turn):
        n = requests if turn is not None else requests // 4
        if name == 'refuse' and turn is None:
            bench.load(port, ['--requests', 2], bench.core)  # what the limit lets in
        before = cpu_ns(process.pid)
        report = bench.load(port, ['--requests', n, *arguments], bench.core)
        bench.note_errors(f'{name} {proxy}', report)
        return (cpu_ns(process.pid) - before) / n / 1000

    show(bench, name, title, 'us of CPU per request', run_rounds(bench, under_test, bench.core, measure))


def cache_sums(port):
    """(connections, commands, writes) of the gateway to its Redis nodes so far, and how many requests were no hits."""
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=5) as page:
        text = page.read().decode()
    lines = [rf'redis_{name}_total{{.*}}' for name in ('connects', 'commands', 'writes')]
    return [sum(float(v) for v in re.findall(rf'^tollgate_{line} (\S+)$', text, re.M))
            for line in [*lines, r'cache_requests_total{.*status="(?!HIT).*}']]


def case_shared(bench):
    """Hits in Redis beside hits in memory: 20,000 keys of 1 KB, which memory has room for or not. Redis has the other core."""
    ours = [p for p in bench.proxies if p.name == 'tollgate']
    arguments = ['--path', '/b/1024', '--expect', 1024, '--keys', SHARED_KEYS]
    ports, admins = [bench.port() for _ in range(3)], {}
    nodes = ', '.join(f'"127.0.0.1:{port}"' for port in ports)
    room, none = 'cache { size = 256m }', 'cache { size = 1m }'

    def guise(name, *words):
        admins[name] = bench.port()
        more = ' '.join([*words, f'admin "127.0.0.1:{admins[name]}" {{}}'])
        return ours[0].with_words(name, ROUTE='cache { ttl = 1h }', ROUTES=more)

    def redis(name):
        return f'redis {{ nodes = {{{nodes}}}  timeout = 2s  prefix = "{name}" }}'

    def measure(proxy, port, process, turn):
        n = SHARED_SLICE if turn is not None else 2 * SHARED_KEYS
        first = next_key.get(proxy, 0)
        next_key[proxy] = (first + n) % SHARED_KEYS
        before = cpu_ns(process.pid)
        report = bench.load(port, ['--requests', n, '--first', first, *arguments], bench.core)
        bench.note_errors(f'shared {proxy}', report)
        return (cpu_ns(process.pid) - before) / n / 1000

    def sums(name, port, process, turn):
        before = cache_sums(admins[name])
        cost = measure(name, port, process, turn)
        connects, commands, writes, misses = (b - a for a, b in zip(before, cache_sums(admins[name])))
        if misses and turn is not None:
            bench.failures.append(f'shared {name}: {misses:.0f} of {SHARED_SLICE} requests were no hits')
        if name == 'redis' and turn is not None:
            seen.append((before[0] + connects, commands / max(writes, 1)))
        return cost

    seen, next_key = [], {}
    with contextlib.ExitStack() as stack:
        for port in ports:
            stack.enter_context(Process(['redis-server', '--port', port, '--save', '', '--appendonly', 'no'],
                                        bench.dir / 'redis.log', bench.other))
        rounds = run_rounds(bench, [guise('memory', room), guise('memory-shared', room, redis('m')),
                                    guise('redis', none, redis('r'))] if ours else [], bench.core, sums,
                            slices=10)
    print(f'\nshared: 1 KB hits of 20,000 keys, 64 kept connections; us of CPU per request, median (range) of {len(rounds)} rounds')
    for name in rounds[0]:
        print(f'  {name:<18}{spread([r[name] for r in rounds])}')
    found = [r['redis'] / r['memory-shared'] for r in rounds]
    print(f'  redis/memory      {spread(found, "{:.2f}")}')
    print(f'  commands a write  {spread([c for _, c in seen])}; connections to 3 nodes: {seen[-1][0]:.0f}')
    bench.results['shared'] = {'unit': 'us', 'rounds': rounds, 'redis/memory': median(found)}


def case_observed(bench):
    """What it costs to be observed."""
    observed.run(bench)


def case_latency(bench):
    """p99 at a fixed rate, open loop. The proxy has one core, load and origin the other."""
    rate = bench.options.rate
    arguments = ['--rate', rate, '--requests', rate * 3, '--connections', 64]

    def measure(proxy, port, _, turn):
        report = bench.load(port, arguments if turn is not None else ['--requests', 1000], bench.other)
        bench.note_errors(f'latency {proxy}', report)
        reports.setdefault(proxy, []).append(report)
        return report['p99_us']

    reports = {}
    with Process([bench.tools / 'origin', bench.port()], bench.dir / 'origin.log', bench.other):
        kept, bench.origin_port = bench.origin_port, bench.next_port
        try:
            rounds = run_rounds(bench, bench.proxies, bench.core, measure)
        finally:
            bench.origin_port = kept
    show(bench, 'latency', f'{rate} requests/s, open loop, 64 connections', 'p99 in us', rounds)
    for proxy, seen in reports.items():
        print(f"  {proxy:<18}p50 {median(r['p50_us'] for r in seen[1:]):.0f}, "
              f"p90 {median(r['p90_us'] for r in seen[1:]):.0f} us")


def settled_memory(pid):
    """Memory once it has not fallen for ten seconds, or after two minutes: what is idle may be put away."""
    least, since, end = memory(pid), time.monotonic(), time.monotonic() + 120
    while time.monotonic() < min(since + 10, end):
        time.sleep(1)
        now = memory(pid)
        if now < least:
            least, since = now, time.monotonic()
    return now


def case_idle(bench):
    """Memory of connections that had one request and are kept."""
    n = min(bench.options.idle, bench.files - 500)
    print(f'\nidle: {n} kept connections after one request each; resident memory of the process tree, without files')
    result = bench.results['idle'] = {'connections': n}
    for proxy in bench.proxies:
        port = bench.port()
        with proxy.start(bench, port, bench.core) as process:
            bench.load(port, ['--requests', 2000], bench.core)
            before = memory(process.pid)
            command = [bench.tools / 'load', '--port', port, '--requests', n, '--connections', n, '--rate', 4000, '--hold']
            with subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) as load:
                report = json.loads(load.stdout.readline())
                load.stdout.readline()
                bench.note_errors(f'idle {proxy.name}', report)
                after = settled_memory(process.pid)
                load.stdin.close()
        print(f'  {proxy.name:<18}{(after - before) / n:9.0f} bytes a connection   '
              f'{before / 1e6:7.1f} -> {after / 1e6:.1f} MB')
        result[proxy.name] = {'bytes_a_connection': (after - before) / n, 'before': before, 'after': after}
        sys.stdout.flush()


class Stream:
    """One proxy with one long transfer through it: way 'get' has a slow reader, 'put' a slow backend."""

    def __init__(self, bench, proxy, way):
        options = bench.options
        self.label = f'{proxy.name} {way}'
        self.client = None
        self.most = 0
        port = bench.port()
        self.process = proxy.with_words(REQUEST_BUFFERING='off').start(bench, port, bench.core)
        try:
            bench.load(port, ['--requests', 2000], bench.core)
            self.before = memory(self.process.pid)
            command = [bench.tools / 'stream', way, port, options.stream_size, options.stream_rate,
                       options.stream_seconds]
            self.client = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
        except BaseException:
            self.stop()
            raise

    def is_running(self):
        """Look at the memory once more; whether the transfer goes on."""
        self.most = max(self.most, memory(self.process.pid) - self.before)
        return self.client.poll() is None

    def stop(self):
        """End both processes."""
        if self.client:
            self.client.kill()
            self.client.wait()
        self.process.stop()


def case_stream(bench):
    """Growth of memory while one end is much slower than the other. All at once, since nothing competes for CPU."""
    options = bench.options
    print(f'\nstream: {options.stream_size / 1e6:.0f} MB to a reader (get), to a backend (put) of '
          f'{options.stream_rate / 1e6:.1f} MB/s, watched for {options.stream_seconds} s; growth of memory. '
          'nginx has proxy_request_buffering off here.')
    streams = []
    try:
        for proxy in bench.proxies:
            streams += [Stream(bench, proxy, way) for way in ('get', 'put')]
        while any([stream.is_running() for stream in streams]):  # a list: all are to be looked at
            time.sleep(0.25)
        for stream in streams:
            moved = int(stream.client.stdout.read() or 0)
            if stream.client.returncode != 0:
                bench.failures.append(f'stream {stream.label}: wrong bytes or a broken connection')
            print(f'  {stream.label:<18}{stream.most / 1e6:9.2f} MB   ({moved / 1e6:.1f} MB moved)')
            bench.results.setdefault('stream', {})[stream.label] = {'growth': stream.most, 'moved': moved}
    finally:
        for stream in streams:
            stream.stop()


def case_start(bench):
    """Size of the binary, and time from exec to the first good answer through the proxy."""
    print('\nstart: size of the binary; ms from exec to the first proxied answer, median (range) of 10')
    for proxy in bench.proxies:
        took = []
        for _ in range(10):
            with proxy.start(bench, bench.port(), bench.core) as process:
                took.append(process.start_s * 1000)
        size = os.stat(os.path.realpath(proxy.binary)).st_size
        print(f'  {proxy.name:<18}{spread(took)}   {size / 1e6:.2f} MB')
        bench.results.setdefault('start', {})[proxy.name] = {'ms': took, 'bytes': size}


def traced_calls(bench, process, port, n):
    """System calls of the tree during N small requests: (total, {name: count})."""
    out = bench.dir / 'strace.txt'
    attach = [word for pid in tree(process.pid) for word in ('-p', str(pid))]
    with subprocess.Popen(['strace', '-c', '-f', '-o', str(out), *attach], stderr=subprocess.DEVNULL) as strace:
        give_up = time.time() + 10
        while time.time() < give_up and not all(is_traced(pid) for pid in tree(process.pid)):
            time.sleep(0.05)
        bench.load(port, ['--requests', n], bench.core)
        strace.send_signal(signal.SIGINT)
    rows = re.findall(r'^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?([a-z]\w*)$', out.read_text(), re.M)
    calls = {name: int(count) for count, name in rows if name != 'total'}
    return sum(calls.values()), calls


def is_traced(pid):
    """Whether a tracer is attached to every thread of PID."""
    try:
        return all('TracerPid:\t0' not in Path(f'/proc/{pid}/task/{tid}/status').read_text()
                   for tid in os.listdir(f'/proc/{pid}/task'))
    except OSError:
        return False


def case_strace(bench):
    """System calls per small request."""
    n = 4000
    print(f'\nstrace: system calls per request, {n} of case small')
    for proxy in bench.proxies:
        port = bench.port()
        with proxy.start(bench, port, bench.core) as process:
            bench.load(port, ['--requests', 2000], bench.core)
            total, calls = traced_calls(bench, process, port, n)
        most = sorted(calls.items(), key=lambda c: -c[1])[:7]
        print(f'  {proxy.name:<18}{total / n:9.2f}   ' + ', '.join(f'{name} {count / n:.2f}' for name, count in most))
        bench.results.setdefault('strace', {})[proxy.name] = {name: count / n for name, count in calls.items()}


def case_callgrind(bench):
    """User-space instructions per small request: the difference of two runs, which takes start and end away."""
    n = 5000
    print(f'\ncallgrind: user-space instructions per request, ({2 * n} requests less {n}) / {n}')
    for proxy in bench.proxies:
        each = instructions_each(bench, proxy, n)
        print(f'  {proxy.name:<18}{each:9.0f}')
        bench.results.setdefault('callgrind', {})[proxy.name] = each
        sys.stdout.flush()


def parse():
    """The command line; each option may also be given by its environment variable in upper case."""
    def env(name, default):
        return os.environ.get(name) or default

    parser = argparse.ArgumentParser(description='CPU time per request of Tollgate beside nginx and HAProxy')
    parser.add_argument('--rounds', type=int, default=int(env('ROUNDS', 7)))
    parser.add_argument('--cases', default=env('CASES', ','.join([*US_CASES, *OTHER_CASES])))
    parser.add_argument('--build', default=env('BUILD', 'build'), help='where tollgate is')
    parser.add_argument('--tools', required=True, help='where load, origin and stream are')
    parser.add_argument('--port', type=int, default=int(env('PORT', 21000)), help='first of the ports to use')
    parser.add_argument('--rate', type=int, default=int(env('RATE', 2000)), help='requests a second, case latency')
    parser.add_argument('--idle', type=int, default=int(env('IDLE', 10000)), help='connections, case idle')
    parser.add_argument('--stream-size', type=int, default=int(env('STREAM_SIZE', 10**9)))
    parser.add_argument('--stream-rate', type=int, default=int(env('STREAM_RATE', 10**6)))
    parser.add_argument('--stream-seconds', type=int, default=int(env('STREAM_SECONDS', 20)))
    parser.add_argument('--strace', action='store_true', help='also count system calls per request')
    parser.add_argument('--callgrind', action='store_true', help='also count instructions per request')
    parser.add_argument('--json', help='write all numbers to this file')
    return parser.parse_args()


def run_cases(bench):
    """All cases that were asked for, in order."""
    wanted = bench.options.cases.split(',')
    unknown = [name for name in wanted if name not in US_CASES and name not in OTHER_CASES]
    if unknown:
        sys.exit(f'no such case: {", ".join(unknown)}; there are {", ".join([*US_CASES, *OTHER_CASES])}')
    with Process([bench.tools / 'origin', bench.origin_port], bench.dir / 'origin.log', bench.core):
        for name in wanted:
            if name in US_CASES:
                case_cpu(bench, name)
            else:
                globals()[f'case_{name}'](bench)
        if bench.options.strace:
            case_strace(bench)
        if bench.options.callgrind:
            case_callgrind(bench)


def main():
    """Run, print, say what failed."""
    bench = Bench(parse())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.sched_setaffinity(0, bench.other)
    start = time.time()
    for name in bench.missing:
        print(f'{name} is not there: left out')
    print(f'one core ({min(bench.core)}) for proxy, origin and load; under test: '
          + ', '.join(p.name for p in bench.proxies))
    try:
        run_cases(bench)
    finally:
        if bench.options.json:
            Path(bench.options.json).write_text(json.dumps(bench.results, indent=1), encoding='utf-8')
        if bench.failures:
            print(f'\nlogs are in {bench.dir}')
        else:
            shutil.rmtree(bench.dir, ignore_errors=True)
    print(f'\n{time.time() - start:.0f} s')
    for failure in bench.failures:
        print(f'FAILED  {failure}')
    sys.exit(1 if bench.failures else 0)


main()

"""What it costs to be observed: the same gateway with nobody looking, and with all that can be looked at.

The answer has 1 KB, the connections are kept. All threads of the process count: those that write the log, export
traces and answer on the admin port, too.

    off       no access log, no tracing section, no admin port
    log       the access log as JSON, to a file
    tracing   1 % of all traces are exported to a collector that checks them (tests/trace/receiver.py)
    scrape    /metrics is read every second, as OpenMetrics
    all       these three, and a listener to /events?every=1s
    profile   as off, with a CPU profile of five seconds under way; what it costs to write it down counts
"""
import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from statistics import median

from measure import instructions_each, run_rounds, spread
from processes import cpu_ns

RECEIVER = Path(__file__).resolve().parent.parent / 'trace' / 'receiver.py'
ARGUMENTS = ['--path', '/b/1024', '--expect', 1024]
REQUESTS = 50000
PROFILE_S = 5
BAR = 1.08          # all to off, where the machine is quiet
BAR_PROFILE = 1.02  # profile to off


@contextlib.contextmanager
def receiver(cores):
    """The collector as a process on CORES; its port."""
    with subprocess.Popen([sys.executable, '-B', str(RECEIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)) as process:
        yield int(process.stdout.readline().split()[1])
        process.stdin.close()


def get(port, path, accept='*/*', timeout=60):
    """The body of an answer of the admin port; anything but 200 is an error."""
    request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', headers={'Accept': accept})
    with urllib.request.urlopen(request, timeout=timeout) as page:
        return page.read()


class Task(threading.Thread):
    """What looks at a gateway while it is measured. An exception in it is one of the measurement."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.error = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except Exception as e:  # told by end()
            self.error = e

    def end(self):
        """Wait until it is over."""
        self.join(120)
        if self.error or self.is_alive():
            raise RuntimeError(f'who looked on failed: {self.error or "it does not end"}')


@contextlib.contextmanager
def scraping(admin):
    """Read the metrics every second, beginning now."""
    over = threading.Event()

    def work():
        while True:
            page = get(admin, '/metrics', 'application/openmetrics-text; version=1.0.0')
            if not page.endswith(b'# EOF\n'):
                raise ValueError('this is not OpenMetrics')
            if over.wait(1):
                return
    task = Task(work)
    yield
    over.set()
    task.end()


@contextlib.contextmanager
def listening(admin):
    """Listen to the events."""
    seen = 0
    with socket.create_connection(('127.0.0.1', admin), timeout=60) as s:
        s.sendall(b'GET /events?every=1s HTTP/1.0\r\nHost: localhost\r\n\r\n')

        def work():
            nonlocal seen
            while data := s.recv(65536):
                seen += len(data)
        task = Task(work)
        yield
        s.shutdown(socket.SHUT_RDWR)
        task.end()
    if seen == 0:
        raise ValueError('no event came')


@contextlib.contextmanager
def profiling(admin):
    """A profile that begins now, and has been read in the end."""
    page = []
    task = Task(lambda: page.append(get(admin, f'/debug/profile?seconds={PROFILE_S}')))
    yield
    task.end()
    if b';' not in page[0]:
        raise ValueError('the profile has no stacks')


class Guises:
    """The gateway as it is off, and as others look at it."""

    def __init__(self, bench, proxy, collector):
        self.bench, self.proxy = bench, proxy
        self.admins, self.logs = {}, {}
        self.tracing = f'tracing {{ sample = 1%  endpoint = "http://127.0.0.1:{collector}/v1/traces" }}'
        self.watchers = {'scrape': [scraping], 'all': [scraping, listening], 'profile': [profiling]}

    def make(self, name):
        """A proxy for that guise."""
        words, more = {}, []
        if name in ('log', 'all'):
            self.logs[name] = self.bench.dir / f'observed-{name}.log'
            words['LOG'] = f'access = "{self.logs[name]}"'
        if name in ('tracing', 'all'):
            more.append(self.tracing)
        if name in self.watchers:
            self.admins[name] = self.bench.port()
            more.append(f'admin "127.0.0.1:{self.admins[name]}" {{}}')
        return self.proxy.with_words(name, ROUTES='\n'.join(more), **words)

    def measure(self, name, port, process, turn):
        """CPU time of a request in microseconds, with all who look on."""
        n = REQUESTS if turn is not None else REQUESTS // 4
        before = cpu_ns(process.pid)
        with contextlib.ExitStack() as watchers:
            for watch in self.watchers.get(name, []):
                watchers.enter_context(watch(self.admins[name]))
            report = self.bench.load(port, ['--requests', n, *ARGUMENTS], self.bench.core)
        cost = (cpu_ns(process.pid) - before) / n / 1000
        self.bench.note_errors(f'observed {name}', report)
        if name in self.logs:
            os.truncate(self.logs[name], 0)  # the disk is not what is measured
        return cost


def show(bench, rounds):
    """Print the costs and their ratios to off."""
    print(f'\nobserved: 1 KB answer, 64 kept connections; us of CPU per request, median (range) of {len(rounds)} rounds, '
          'and the ratio to off')
    result = bench.results['observed'] = {'unit': 'us', 'rounds': rounds}
    for name in rounds[0]:
        found = [r[name] / r['off'] for r in rounds]
        print(f'  {name:<18}{spread([r[name] for r in rounds]):<30}{spread(found, "{:.3f}")}')
        result[f'{name}/off'] = median(found)
    print(f'  wanted: all/off <= {BAR}, profile/off <= {BAR_PROFILE}')
    sys.stdout.flush()


def show_instructions(bench, guises):
    """Instructions of a request; who looks on once a second has no part in them."""
    n = 5000
    print(f'observed: user-space instructions per request, ({2 * n} requests less {n}) / {n}; all: log and tracing')
    each = {name: instructions_each(bench, guises.make(name), n, ARGUMENTS) for name in ('off', 'log', 'tracing', 'all')}
    for name, count in each.items():
        print(f'  {name:<18}{count:9.0f}   {count / each["off"]:.3f}')
    bench.results['observed']['instructions'] = each
    sys.stdout.flush()


def run(bench):
    """The case `observed`; with --callgrind, its instructions too."""
    for proxy in [p for p in bench.proxies if p.name == 'tollgate']:
        with receiver(bench.other) as collector:
            guises = Guises(bench, proxy, collector)
            names = ('off', 'log', 'tracing', 'scrape', 'all', 'profile')
            show(bench, run_rounds(bench, [guises.make(name) for name in names], bench.core, guises.measure))
            if bench.options.callgrind:
                show_instructions(bench, guises)

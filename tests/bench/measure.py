"""How a case is measured and shown: rounds that are interleaved, their median and range, instructions by callgrind."""
import re
import sys
from statistics import median


def spread(values, form='{:.1f}'):
    """Median and range as text."""
    low, middle, high = (form.format(v) for v in (min(values), median(values), max(values)))
    return f'{middle:>9}  ({low} .. {high})'


def ratios(rounds, name):
    """Per-round ratios of Tollgate to NAME ('better': to the best of the others in that round)."""
    found = []
    for values in rounds:
        others = {k: v for k, v in values.items() if k != 'tollgate'}
        base = min(others.values()) if name == 'better' else others[name]
        found.append(values['tollgate'] / base)
    return found


def show(bench, name, title, unit, rounds):
    """Print a case measured in rounds, [{proxy: value}], and keep it for --json."""
    print(f'\n{name}: {title}; {unit}, median (range) of {len(rounds)} rounds')
    for proxy in rounds[0]:
        print(f'  {proxy:<18}{spread([r[proxy] for r in rounds])}')
    result = {'unit': unit, 'rounds': rounds}
    others = [p for p in rounds[0] if p != 'tollgate']
    if 'tollgate' in rounds[0] and others:
        for other in [*others, 'better']:
            found = ratios(rounds, other)
            print(f'  tollgate/{other:<9}{spread(found, "{:.2f}")}')
            result[f'tollgate/{other}'] = median(found)
    bench.results[name] = result
    sys.stdout.flush()


def run_rounds(bench, under_test, cores, measure, slices=1):
    """Start all, let MEASURE(name, port, process, round) look at each in turn, round by round; [{name: value}].

    A round of several SLICES goes round as often, and its values are their means: what changes about the machine
    from one second to the next is then felt by all alike.
    """
    running = []
    try:
        for proxy in under_test:
            port = bench.port()
            running.append((proxy.name, port, proxy.start(bench, port, cores)))
        for name, port, process in running:
            measure(name, port, process, None)  # warm up
        rounds = []
        for i in range(bench.options.rounds):
            values = {name: [] for name, _, _ in running}
            for j in range(i, i + slices):
                turn = running[j % len(running):] + running[:j % len(running)]
                for name, port, process in turn:
                    values[name].append(measure(name, port, process, i))
            rounds.append({name: sum(found) / slices for name, found in values.items()})
        return rounds
    finally:
        for _, _, process in running:
            process.stop()


def instructions(bench, proxy, requests, arguments=()):
    """Instructions the whole tree ran, from start to end, serving REQUESTS; ARGUMENTS are those of load."""
    out = bench.dir / f'callgrind-{proxy.name}-{requests}'
    out.mkdir()
    out.chmod(0o777)  # nginx's worker writes there as another user
    prefix = ['valgrind', '--tool=callgrind', '--trace-children=yes', f'--callgrind-out-file={out}/%p']
    port = bench.port()
    with proxy.start(bench, port, bench.core, prefix, patience=60) as process:
        report = bench.load(port, ['--requests', requests, '--connections', 8, *arguments], bench.core)
        bench.note_errors(f'callgrind {proxy.name}', report)
        process.stop(patience=60)
    return sum(int(n) for file in out.iterdir() for n in re.findall(r'^totals: (\d+)', file.read_text(), re.M))


def instructions_each(bench, proxy, n, arguments=()):
    """Of one request: the difference of two runs, which takes start and end away."""
    return (instructions(bench, proxy, 2 * n, arguments) - instructions(bench, proxy, n, arguments)) / n

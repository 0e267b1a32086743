"""The proxies under test: how each is configured, started and asked whether it serves."""
import os
import shutil
import socket
import time
from pathlib import Path

from processes import Process

HERE = Path(__file__).resolve().parent


def fetch(port, path='/b/2'):
    """Status of one GET, or None when there was no answer."""
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=5) as s:
            s.sendall(f'GET {path} HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n'.encode())
            first = s.recv(4096)
            return int(first.split()[1]) if first.startswith(b'HTTP/1.') else None
    except (OSError, ValueError, IndexError):
        return None


def wait_until_it_serves(process, port, patience):
    """Poll until PORT answers 200; seconds that took."""
    start = time.perf_counter()
    while time.perf_counter() < start + patience:
        if fetch(port) == 200:
            return time.perf_counter() - start
        if process.popen.poll() is not None:
            raise RuntimeError(f'{process.command[0]} ended at once')
        time.sleep(0.0002)
    raise RuntimeError(f'{process.command[0]} does not serve')


class Proxy:
    """One way to run a program: its binary, its conf's template and what is filled in."""

    def __init__(self, name, binary, template, words=None, before_conf=('-c',)):
        self.name = name
        self.binary = binary
        self.template = template
        self.words = words or {}
        self.before_conf = before_conf

    def with_words(self, name=None, **words):
        """The same proxy with other words in its conf."""
        return Proxy(name or self.name, self.binary, self.template, {**self.words, **words}, self.before_conf)

    def write_conf(self, bench, port):
        """Fill the template in; the conf's path."""
        words = {'PORT': port, 'ORIGIN': bench.origin_port, 'DIR': bench.dir / f'{self.name}-{port}',
                 'FILES': bench.files, **self.words}
        words['DIR'].mkdir(exist_ok=True)
        text = (HERE / self.template).read_text(encoding='utf-8')
        for word, value in words.items():
            text = text.replace(f'@{word}@', str(value))
        conf = words['DIR'] / self.template
        conf.write_text(text, encoding='utf-8')
        return conf

    def start(self, bench, port, cores, prefix=(), patience=15):
        """A Process that serves on PORT; its attribute start_s says how long it took to the first answer."""
        command = [*prefix, self.binary, *self.before_conf, self.write_conf(bench, port)]
        process = Process(command, bench.dir / f'{self.name}.log', cores)
        try:
            process.start_s = wait_until_it_serves(process, port, patience)
        except RuntimeError:
            process.stop()
            raise
        return process


def find(build):
    """(proxies that are there, names of those that are not)."""
    paths = {'tollgate': os.path.join(build, 'tollgate'), 'nginx': shutil.which('nginx', path=search_path()),
             'haproxy': shutil.which('haproxy', path=search_path())}
    if not os.access(paths['tollgate'], os.X_OK):
        paths['tollgate'] = None
    every = [Proxy('tollgate', paths['tollgate'], 'tollgate.conf',
                   {'LOG': 'access = off', 'BACKEND': '', 'ROUTE': '', 'ROUTES': ''}),
             Proxy('nginx', paths['nginx'], 'nginx.conf', {'REQUEST_BUFFERING': 'on', 'HTTP': '', 'SERVER': '', 'LOCATION': ''}),
             Proxy('haproxy', paths['haproxy'], 'haproxy.cfg', {'GLOBAL': '', 'DEFAULTS': '', 'FRONTEND': ''}, ('-db', '-f'))]
    return [p for p in every if p.binary], [p.name for p in every if not p.binary]


def search_path():
    """PATH with the directories of system programs, which not every user has in it."""
    return os.pathsep.join([os.environ.get('PATH', ''), '/usr/sbin', '/usr/local/sbin'])

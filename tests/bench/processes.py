"""Processes as the bench needs them: started on given cores, measured with their whole tree, ended by their id."""
import os
import signal
import subprocess
import time


def tree(root):
    """Process ids of ROOT and all that descend from it."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='ascii', errors='replace') as f:
                    parent = int(f.read().rpartition(')')[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_ns(root):
    """CPU time of the tree, user and system, in nanoseconds.

    Read from the kernel's clock of each process, which counts threads that have ended and is exact to the nanosecond;
    /proc/PID/stat counts the same in steps of 10 ms.
    """
    total = 0
    for pid in tree(root):
        try:
            total += time.clock_gettime_ns((~pid << 3) | 2)  # CPUCLOCK_SCHED of process PID
        except OSError:
            pass
    return total


def memory(root):
    """Resident memory of the tree that is its own, in bytes: heap, stacks and shared memory, each page counted once.

    Pages of files are left out: how many of those are a process's share depends on who else runs the same program.
    """
    total = 0
    for pid in tree(root):
        try:
            with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
                total += sum(int(line.split()[1]) * 1024 for line in f if line.startswith(('Pss_Anon:', 'Pss_Shmem:')))
        except OSError:
            pass
    return total


class Process:
    """A program on a set of cores, whose output goes to a file, ended when the `with` block is left."""

    def __init__(self, command, log, cores):
        self.command = [str(word) for word in command]
        with open(log, 'ab') as out:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.pid = self.popen.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, patience=15):
        """TERM, wait, and KILL what is left of the tree."""
        if self.popen.poll() is not None:
            return
        family = tree(self.pid)
        self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.popen.wait()

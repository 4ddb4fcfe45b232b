"""Rivals of a benchmark, each in a process of its own so that thread pools never fight.

A script answers ``--worker CASE RIVAL`` with `serve`; `race` starts it once per rival and lets them take
turns, each when the machine is otherwise idle, as far as it ever is.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 8  # seconds to wait for an idle machine, before every turn


def peak_memory():
    """Largest resident memory since the last reset, in MB; resets it (Linux)."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def serve(work, warm_up=None):
    """A line with a number of repetitions comes in, the seconds of each go out.

    Memory is what a call needs beyond what was there: after `warm_up`, a small job that compiles what there
    is to compile, or after a first call where there is none.
    """
    (warm_up or work)()
    started = peak_memory()
    started = peak_memory()
    work()
    extra = peak_memory() - started
    print(json.dumps({"extra_mb": extra}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


class Rival:
    """A worker process and the times it has reported."""

    def __init__(self, script, case, name, threads):
        limits = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | {variable: str(threads) for variable in limits}
        command = [sys.executable, script, "--worker", case, name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.extra_mb = json.loads(self.process.stdout.readline())["extra_mb"]
        self.times = []
        self.repeats = max(1, int(0.1 / min(self.turn(2))))

    def turn(self, repeats=None):
        self.process.stdin.write(f"{repeats or self.repeats}\n")
        self.process.stdin.flush()
        times = json.loads(self.process.stdout.readline())
        self.times += times
        return times

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.best, self.median = min(self.times), statistics.median(self.times)


def busy_seconds():
    """Processor time that all programs have used since the machine started (Linux)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def wait_until_idle():
    """Wait until other programs use less than a tenth of a processor, or patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(0.3)
        if busy_seconds() - before < 0.03:
            return


def race(script, case, names, threads, rounds):
    """Let the rivals take turns; a dict of finished `Rival`."""
    rivals = {name: Rival(script, case, name, threads) for name in names}
    for _ in range(rounds):
        for contestant in rivals.values():
            wait_until_idle()
            contestant.turn()
    for contestant in rivals.values():
        contestant.close()
    return rivals


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def run(script, say_report, rival, record, rounds, warm_up=False):
    """The command line that the benchmarks share.

    Parameters
    ----------
    script : str
        The benchmark's docstring.
    say_report : callable
        Called with (threads, rounds, say).
    rival : callable
        Called with (case, name), and small=True for the job that warms up.
    record : Path
        Where --record writes.
    rounds : int
        Turns of every rival.
    warm_up : bool
        Whether memory counts from a small job on (see `serve`).
    """
    parser = argparse.ArgumentParser(description=script.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--record", action="store_true", help=f"write {record.name}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", nargs=2, metavar=("CASE", "RIVAL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        small = rival(*arguments.worker, small=True) if warm_up else None
        return serve(rival(*arguments.worker), small)
    lines = []

    def say(text):
        print(text, flush=True)
        lines.append(text)

    say_report(arguments.threads, 2 if arguments.quick else rounds, say)
    if arguments.record:
        record.parent.mkdir(exist_ok=True)
        record.write_text("\n".join(lines) + "\n")

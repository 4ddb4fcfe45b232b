"""Time the steps of a fit on one and on several ranks of one thread each.

    python scripts/bench_ranks.py [--ranks 1 2] [--models ssnp bpm born] [--rounds 3] [--steps 12] [--record]

The images are those of ``fieldrx demo``.  Numbers of ranks take turns, so that what else the machine does
meets all of them.  A step is coarse (the field on every second pixel, as in most steps of a fit) or fine.
Given are the best and the median step by the clock; and, for machines that others use too, where ranks wait
for each other, the processor time that a median step computes on the rank that takes the most, without what
it spends in the communicator.  "Between ranks" is the share of the clock's time that the first rank spends
there, waiting included.  "Apart" are as many fits at once that know nothing of each other: what the machine's
cores, caches and memory give to several processes, and so the most that ranks can gain.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from racing import processor

RECORD = Path(__file__).parent / "records" / "bench_ranks.txt"
DEPTH = (-7.0, 7.0, 0.25)
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


class Timed:
    """A communicator that adds up the seconds spent in it, by the clock and by the processor."""

    def __init__(self, ranks):
        self.ranks, self.seconds, self.busy = ranks, 0.0, 0.0

    def __getattr__(self, name):
        value = getattr(self.ranks, name)
        if not callable(value):
            return value

        def timed(*arguments):
            begun, busy = time.perf_counter(), time.process_time()
            try:
                return value(*arguments)
            finally:
                self.seconds += time.perf_counter() - begun
                self.busy += time.process_time() - busy

        return timed


def work(path, model, steps):
    """What a rank does: the steps of a fit that is coarse in its first half; the first rank prints times."""
    from fieldrx import Fit, parallel, read_acquisition

    timed = Timed(parallel.world())
    schedule = {
        "steps": 2 * steps, "coarse": 0.5, "warm_steps": 0, "tilted_from": 0.0, "evaluate_every": 10 * steps,
    }  # fmt: skip
    with parallel.using(timed):
        fit = Fit(read_acquisition(path), DEPTH, model, schedule=schedule)
        fit.start()
        times = []
        for _ in range(2 * steps):
            timed.seconds, timed.busy = 0.0, 0.0
            begun, busy = time.perf_counter(), time.process_time()
            fit.step()
            busy = time.process_time() - busy - timed.busy
            times.append((time.perf_counter() - begun, timed.seconds, busy))
    most = np.max(timed.all_of([busy for *_, busy in times]), axis=0)
    times = [(*row[:2], float(busy)) for row, busy in zip(times, most, strict=True)]
    if timed.rank == 0:
        shape = "x".join(map(str, fit.grid.shape))
        print(json.dumps({"shape": shape, "coarse": times[2:steps], "fine": times[steps + 2 :]}), flush=True)


def launch(count, path, model, steps, apart=False):
    """Times of one round on some ranks; or of the first of as many fits, each for itself."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [str(mpiexec) if mpiexec.exists() else "mpiexec", "-n", str(count), sys.executable, __file__]
    done = subprocess.run(
        [*command, "--worker", str(path), model, str(steps)],
        check=True,
        capture_output=True,
        text=True,
        timeout=1800,
        env=os.environ | dict.fromkeys(THREADS, "1") | ({"FIELDRX_ALONE": "1"} if apart else {}),
    )
    return json.loads(done.stdout.splitlines()[0])


def measure(options, path, model):
    """Lines of one model."""
    ways = [(count, apart) for count in options.ranks for apart in ((False, True) if count > 1 else (False,))]
    found = {way: {"coarse": [], "fine": []} for way in ways}
    for _ in range(options.rounds):
        for count, apart in ways:
            told = launch(count, path, model, options.steps, apart)
            for kind, times in found[count, apart].items():
                times += told[kind]
    lines = [f"{model}, {told['shape']} voxels"]
    for kind in ("coarse", "fine"):
        first = None
        for count, apart in ways:
            times, inside, busy = np.array(found[count, apart][kind]).T
            here = np.array([times.min(), np.median(times), np.median(busy)])
            first = here if first is None else first
            gains = first / here * (count if apart else 1)
            cells = "".join(f"{1e3 * t:9.1f} ms{gain:6.2f} x" for t, gain in zip(here, gains, strict=True))
            between = "" if apart else f"{np.median(inside / times):9.0%} between ranks"
            lines.append(f"  {kind:<7}{count:>3} {'apart' if apart else 'ranks'}{cells}{between}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--models", nargs="+", default=["ssnp", "bpm", "born"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        path, model, steps = options.worker
        work(path, model, int(steps))
        return
    from fieldrx.demo import demo_acquisition

    lines = [
        f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, Python "
        f"{sys.version.split()[0]}, NumPy {np.__version__}; one thread a rank",
        f"{'':18}{'best step':>12}{'':9}{'median':>11}{'':9}{'computing':>11}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "acquisition.npz")
        demo_acquisition()[0].save(path)
        for model in options.models:
            lines += ["", *measure(options, path, model)]
            print("\n".join(lines), flush=True)
            if options.record:
                RECORD.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""Early steps that cross fewer, thicker slices: what they save, and whether they cost quality.

    python scripts/study_thick.py ZOO [--data DATA] [--only NAME ...] [--seeds N] [--thick 0.5 ...] [--record]

ZOO is a folder made by scripts/zoo.py; each member is fitted with its true directions, depth and sign.
DATA, if given, is a folder that holds hl60/{acquisition,truth}.npz.  A row a fit: `thick`, the share of the
steps that may cross thick slices (0: none), slices of either kind, steps done, seconds of processor time,
the error of unseen images, and of the index.
"""

import argparse
import time
from itertools import product
from pathlib import Path

from racing import processor
from zoo_record import best_fit, truth_and_optics

from fieldrx import Fit, evaluate, read_acquisition, read_volume
from fieldrx.fit.slices import thick_grid

RECORD = Path(__file__).parent / "records" / "study_thick.txt"
HL60 = (-9.7, 9.7, 0.28)


def members(options):
    """Name of each, and what makes its fit and reads its truth."""
    if options.data:
        folder = options.data / "hl60"
        truth = read_volume(folder / "truth.npz")
        acq = read_acquisition(folder / "acquisition.npz")
        yield "hl60", lambda schedule: Fit(acq, HL60, "ssnp", holdout=0.1, schedule=schedule), truth
    for folder in sorted(options.zoo.iterdir()) if options.zoo else ():
        if options.only and folder.name not in options.only:
            continue
        truth, told, path = truth_and_optics(folder)
        if truth is not None:
            acq = read_acquisition(path)
            yield folder.name, lambda s, a=acq, o=told, t=truth: best_fit(a, o, t, s), truth


def row(name, fit, truth, fewer):
    """A fit, as a line of the record; `fewer` is how many thick slices it may begin with."""
    schedule = fit.problem.schedule
    begun = time.process_time()
    field = fit.run()
    spent, errors = time.process_time() - begun, evaluate(field, fit.acquisition, truth)
    slices = f"{fit.grid.shape[0]}/{fewer}"
    return (
        f"{name:28} {fit.problem.model:5} {slices:>8} {schedule.seed:4} {schedule.thick:5.2f} "
        f"{field.provenance.steps_done:5} {spent:6.0f} "
        f"{errors['nrmse_holdout']:7.4f} {errors['index_nrmse']:7.4f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("zoo", type=Path, nargs="?")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--thick", type=float, nargs="*", default=[0.0, 0.5])
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    head = f"{'member':28} {'model':5} {'slices':>8} seed thick steps  cpu s    held   index"
    lines = [f"# {processor()}", head]
    print(head, flush=True)
    for name, make, truth in members(options):
        fewer = thick_grid(make({"thick": 1.0}).problem)
        if fewer is None:
            print(f"{name:28} has thick slices already", flush=True)
            continue
        for seed, thick in product(range(options.seeds), options.thick):
            lines.append(row(name, make({"thick": thick, "seed": seed}), truth, fewer.shape[0]))
            print(lines[-1], flush=True)
    if options.record:
        with RECORD.open("a") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

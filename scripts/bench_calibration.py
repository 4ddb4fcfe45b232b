"""What calibration and refinement are worth on measured images: errors of images used for neither.

    python scripts/bench_calibration.py ACQUISITION.toml [--depth Z0:Z1:DZ] [--known Z0:Z1] [--record]

A fifth of the images is held out before anything else.  Three fits follow, with the default model: with
the table as it is given; with the one that `fieldrx calibrate` makes of it; with that and refined optics.
Held-out directions follow the board that the other images show; nothing else is taken from those images, but
for the choice of the best step.  "levelled" is the error when every held-out image may have a brightness of
its own, which refined intensities cannot predict.
"""

import argparse
import os
import platform
import time
from dataclasses import replace
from pathlib import Path

import fieldrx
from fieldrx.evaluation import compare
from fieldrx.fit import split_images
from fieldrx.metrics import image_errors, levelled
from fieldrx.optics import parse_depth

RECORD = Path(__file__).parent / "records" / "bench_calibration.txt"


def errors(field, acquisition):
    """Held-out error, levelled held-out error and error of the fitted images."""
    compared = compare(field, acquisition)
    held = compared.held
    measured, predicted = acquisition.images[held], compared.predicted[held]
    mask = None if acquisition.mask is None else acquisition.mask[held]
    level = image_errors(levelled(predicted, measured, mask), measured, mask)[0]
    train = [k for k in compared.usable if k not in held]
    return compared.error(held)[0], level, compared.error(train)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("acquisition", type=Path)
    parser.add_argument("--depth", default="-120:0:5")
    parser.add_argument("--known", default="-120:0", help="where the sample lies, for the sign")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--refine", default="illumination,intensity,defocus,pupil")
    parser.add_argument("--steps", type=int, help="fewer, to try")
    parser.add_argument("--save", type=Path, help="folder that keeps the fields")
    parser.add_argument("--record", action="store_true", help=f"append to {RECORD.name}")
    options = parser.parse_args()
    given = fieldrx.read_acquisition(options.acquisition)
    given = replace(given, holdout=split_images(given, 0.2)[1])
    found = fieldrx.calibrate(given, tuple(map(float, options.known.split(":"))))
    lines = [
        f"# fieldrx {fieldrx.__version__}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}",
        *(f"# {note}" for note in found.notes),
        f"{options.acquisition.parent.name:<22}{'held out':>10}{'levelled':>10}{'fitted':>10}{'time s':>8}",
    ]
    print("\n".join(lines), flush=True)
    schedule = {} if options.steps is None else {"steps": options.steps}
    for name, acq, refine in (
        ("as given", given, None),
        ("calibrated", found.acquisition, None),
        ("calibrated, refined", found.acquisition, options.refine),
    ):
        begun = time.perf_counter()
        fit = fieldrx.Fit(acq, parse_depth(options.depth), options.model, refine=refine, schedule=schedule)
        field = fit.run()
        seconds = time.perf_counter() - begun
        if options.save:
            field.save(options.save / f"{name.replace(', ', '-').replace(' ', '-')}.npz")
        row = f"{name:<22}" + "".join(f"{e:>10.4f}" for e in errors(field, acq)) + f"{seconds:>8.0f}"
        lines += [row, *(f"# {note}" for note in fit.notes if "refined" in note)]
        print(row, *fit.notes, sep="\n", flush=True)
    if options.record:
        with open(RECORD, "a") as file:
            file.write("\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()

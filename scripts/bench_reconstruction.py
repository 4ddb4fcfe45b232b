"""Reconstruct the two real data sets from the command line and compare with the closed-form inversion.

    python scripts/bench_reconstruction.py DATA [--only algae|hl60] [--model born] [--record]

DATA is a folder that holds algae/acquisition.toml and hl60/{acquisition,truth}.npz.  Every fit is a
process of its own; its time (start, compilation where it is not cached, and reading included) and peak
memory are those the operating system reports.  The closed form gets the best of three regularisations for
the held-out images: the one its cross-validation chose and two stronger ones.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fieldrx
from fieldrx.fit import split_images
from fieldrx.metrics import image_errors, index_error
from fieldrx.models import make_model
from fieldrx.optics import Grid, parse_depth
from fieldrx.tikhonov import tikhonov

RECORD = Path(__file__).parent / "records" / "bench_reconstruction.txt"
JOBS = {
    "algae": ("algae/acquisition.toml", "-120:0:5", None),
    "hl60": ("hl60/acquisition.npz", "-9.7:9.7:0.28", "hl60/truth.npz"),
}


def closed_form(data, acquisition, depth, truth, model, holdout):
    """Held-out and index error of the Tikhonov inversion at its best regularisation.

    Beside a multi-slice model, which has no closed form, that of the Born model.
    """
    model = model if model in ("born", "rytov") else "born"
    acq = fieldrx.read_acquisition(data / acquisition)
    train, held = split_images(acq, holdout)
    grid = Grid.for_images(acq.image_shape, acq.microscope, parse_depth(depth))
    forward = make_model(model, grid, acq.microscope, acq.illumination, acq.image_shape)
    valid = np.ones(acq.images.shape, bool) if acq.mask is None else acq.mask

    def signal(images):
        return np.nan_to_num(forward.signal(acq.images[images])) * valid[images]

    begun = time.perf_counter()
    contrast, regularisation = tikhonov(forward, signal(train), train)
    seconds = time.perf_counter() - begun
    results = {}
    for factor in (1.0, 10**0.5, 10.0):  # the best for the held-out images may lie beside the chosen one
        if factor != 1.0:
            contrast, _ = tikhonov(forward, signal(train), train, regularisation * factor)
        error, _ = image_errors(forward.forward(contrast, held), acq.images[held], valid[held])
        results[error] = contrast
    best = min(results)
    out = {"nrmse_holdout": best, "seconds": seconds, "regularisation": regularisation}
    if truth:
        known = fieldrx.read_volume(data / truth)
        closed = fieldrx.Volume(results[best], grid.spacing_um, grid.origin_um, known.medium_index)
        out["index_nrmse"] = index_error(closed.on_axes(*known.grid.axes), known.contrast)
    return out


def command(data, acquisition, depth, truth, model, holdout):
    """The same from the command line, as a user would."""
    with tempfile.TemporaryDirectory() as folder:
        field = f"{folder}/field.npz"
        job = [
            sys.executable,
            "-m",
            "fieldrx",
            "reconstruct",
            str(data / acquisition),
            "--depth",
            depth,
            "--holdout",
            str(holdout),
            "--model",
            model,
            "-o",
            field,
            "--quiet",
        ]
        begun = time.perf_counter()
        process = subprocess.Popen(job)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(job)} failed")
        seconds, memory = time.perf_counter() - begun, usage.ru_maxrss / 2**20
        extra = ["--truth", str(data / truth)] if truth else []
        done = subprocess.run(
            [sys.executable, "-m", "fieldrx", "evaluate", field, str(data / acquisition), *extra],
            check=True,
            capture_output=True,
            text=True,
        )
        size = os.path.getsize(field) / 1e6
    return json.loads(done.stdout) | {"seconds": seconds, "memory_gib": memory, "field_mb": size}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=JOBS)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--holdout", type=float, default=0.2)
    parser.add_argument("--record", action="store_true", help=f"append to {RECORD.name}")
    options = parser.parse_args()
    lines = [
        f"# fieldrx {fieldrx.__version__}, {platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}",
        f"{'data':<7}{'model':<7}{'method':<14}{'held out':>10}{'index':>8}{'time s':>8}{'GiB':>6}{'MB':>6}",
    ]
    for name in [options.only] if options.only else JOBS:
        job = (options.data, *JOBS[name], options.model, options.holdout)
        closed, fitted = closed_form(*job), command(*job)
        for method, r in (("closed form", closed), ("neural field", fitted)):
            index = f"{r['index_nrmse']:.3f}" if "index_nrmse" in r else "-"
            memory = f"{r['memory_gib']:.1f}{r['field_mb']:6.1f}" if "field_mb" in r else f"-{'-':>6}"
            lines.append(
                f"{name:<7}{options.model:<7}{method:<14}{r['nrmse_holdout']:>10.4f}{index:>8}"
                f"{r['seconds']:>8.0f}{memory:>12}"
            )
        ratio = fitted["nrmse_holdout"] / closed["nrmse_holdout"]
        lines.append(f"{name}: held-out error of the field is {ratio:.3f} times that of the closed form")
    print("\n".join(lines))
    if options.record:
        RECORD.parent.mkdir(exist_ok=True)
        with open(RECORD, "a") as file:
            file.write("\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()

"""Whether a change that should only move code has changed what is computed, bit by bit.

    python scripts/check_unchanged.py write BEFORE.npz     # with the code as it was
    python scripts/check_unchanged.py compare BEFORE.npz   # with the code as it is now, on the same machine

Results depend in their last bits on the number of threads, which is 1 here, and on whether kernels were
compiled in the same run or before: let each of the two versions run once before it counts.

Small problems run through every kind of fit: linear (Born, Rytov), multi-slice (BPM, SSNP, multi-layer
Born), refined optics, an aligned board, background, absorbing samples, other losses, batches, early stop, a
fit that was interrupted and resumed, an ensemble with its twin, a calibration, and the way of `fieldrx run`.
Kept of each are the weights, the history, the contrast, and the provenance less times and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

os.environ["NUMBA_NUM_THREADS"] = "1"  # before the first import of it

import fieldrx
from fieldrx import Acquisition, Fit, Illumination, Microscope, Volume, simulate
from fieldrx.workflow import run

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.6, medium_index=1.33, pixel_size_um=0.25)
LIGHT = Illumination(
    np.concatenate([Illumination.led_ring(6, na, start_deg=10).sources_na for na in (0.25, 0.5)])
)
DEPTH, SHAPE = (-1.5, 1.5, 0.25), (40, 36)
SHORT = {"steps": 24, "evaluate_every": 4, "batch": 5, "seed": 3}
VOLATILE = {"seconds", "fieldrx", "numpy", "device"}  # of a provenance


def sample(strength=0.02, absorbing=False):
    """Two blobs off the centre, on voxels of unequal spacing."""
    spacing, origin = (0.25, 0.2, 0.22), (-1.5, 0.5, 0.4)
    z, y, x = np.ix_(*(o + d * np.arange(n) for o, d, n in zip(origin, spacing, (13, 41, 34), strict=True)))
    blobs = [(0.2, 3.9, 3.1, 1.2), (-0.5, 5.6, 4.9, 0.9)]
    contrast = sum(
        strength * np.exp(-(((z - a) / 0.7) ** 2) - ((y - b) / r) ** 2 - ((x - c) / r) ** 2)
        for a, b, c, r in blobs
    )
    return Volume(contrast * (1 + 0.1j) if absorbing else contrast, spacing, origin, SCOPE.medium_index)


def images(model="ssnp", absorbing=False, **options):
    optics = Acquisition(None, LIGHT, SCOPE, holdout=(4, 9), name="blobs")
    return simulate(sample(absorbing=absorbing), optics, model, SHAPE, photons=5000, **options)


def displaced(acq):
    """The same with every direction told wrongly."""
    wrong = acq.illumination.sources_na * 1.03 + 0.006
    return replace(acq, illumination=Illumination(wrong, acq.illumination.pattern))


def fit(acq, model, schedule=None, **options):
    return Fit(acq, DEPTH, model, schedule=SHORT | (schedule or {}), device="cpu", **options)


def resumed(folder):
    """A fit that was interrupted half way and went on from its checkpoint."""
    path, acq = Path(folder) / "checkpoint.npz", images("ssnp")

    def interrupt(progress):
        if progress.stage == "fit" and progress.done == 11:
            signal.raise_signal(signal.SIGINT)

    stopped = fit(acq, "ssnp", callback=interrupt).run(path)
    if not stopped.provenance["interrupted"]:
        raise RuntimeError("the fit was not interrupted")
    return fit(acq, "ssnp").run(path, resume=True)


def cases(folder):
    """Fields by name, made one at a time."""
    weak, strong, absorbing = images("born"), images("ssnp"), images("ssnp", absorbing=True)
    for model in ("born", "rytov"):
        yield model, fit(weak, model).run()
    for model in ("bpm", "ssnp", "mlb"):
        yield model, fit(strong, model).run()
    yield "default", fit(strong, "auto", {"steps": 30, "evaluate_every": 2, "patience": 2}).run()
    yield "absorbing", fit(absorbing, "bpm", loss="huber").run()
    yield "poisson", fit(strong, "ssnp", loss="poisson", priors={"tv": 1.0, "nonnegative": 30.0}).run()
    yield "background", fit(strong, "ssnp", background=True).run()
    yield "refined", fit(displaced(strong), "bpm", refine="illumination,intensity,defocus,pupil").run()
    yield "refined linear", fit(displaced(weak), "born", refine="illumination,intensity").run()
    yield "aligned", fit(displaced(strong), "ssnp", refine="board").run()
    yield "resumed", resumed(folder)
    field = fit(strong, "ssnp").run()
    ensemble = fieldrx.make_ensemble(field, strong, members=2, steps=6, device="cpu")
    yield "member", ensemble.members[1]
    yield "run", run(strong, contrast="positive", schedule=SHORT, device="cpu").field


def content(field):
    """What must not change of a field, as arrays."""
    told = {key: value for key, value in field.provenance.items() if key not in VOLATILE}
    arrays = {f"history {k}": v for k, v in field.history.items() if k != "seconds"}
    arrays |= {"weights": field.params, "contrast": field.volume(spacing=0.5).contrast}
    return arrays | {"provenance": np.array(json.dumps(told, sort_keys=True, default=str))}


def everything():
    """All arrays by case and name, with a line for each case."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, field in cases(folder):
            done = field.provenance
            print(f"{name}: {done['steps_done']} steps, held out {done['nrmse_holdout']}", flush=True)
            found |= {f"{name}: {key}": value for key, value in content(field).items()}
        calibrated = fieldrx.calibrate(displaced(images("ssnp")))
        found["calibration: directions"] = calibrated.acquisition.illumination.sources_na
    return found


def differences(before, now):
    """Names of what is missing, new, or not the same to the last bit."""
    for name in sorted(before.keys() | now.keys()):
        if name not in now or name not in before:
            yield f"{name}: only {'before' if name in before else 'now'}"
        elif before[name].dtype.kind == "U":
            if str(before[name]) != str(now[name]):
                yield f"{name}:\n  before {before[name]}\n  now    {now[name]}"
        elif not np.array_equal(before[name], now[name], equal_nan=True):
            yield f"{name}: differs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("action", choices=("write", "compare"))
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    now = everything()
    if options.action == "write":
        np.savez_compressed(options.file, **now)
        return
    with np.load(options.file, allow_pickle=False) as arrays:
        changed = list(differences(dict(arrays), now))
    print("\n".join(changed) or f"all {len(now)} results are the same to the last bit")
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()

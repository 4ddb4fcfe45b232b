"""What `fieldrx run` makes of the zoo, beside the same fits with the best settings known.

    python scripts/zoo.py make FOLDER
    python scripts/zoo_record.py FOLDER [--only NAME ...] [--steps N] [--seed S] [--error-bars]
        [--keep FOLDER] [--record]

Every member goes through `fieldrx.workflow.run` with its defaults; where that asks for the sign of the
contrast, the answer is the member's (and the row says so).  The reference fit is given the true directions,
depth and sign, and otherwise the same defaults.  Index errors are over the truth's box, |n - n_true| /
|n_true - n0|; `held` are errors of unseen images, `gap` is what remains of an image when the truth is put
through the model with the true directions and a smooth factor an image is fitted, beyond the noise, as a
share of the signal; `mass` is the interval of the dry mass over the true one; `cover` the share of the truth
inside the supported band, in the sample, within two standard deviations.  With --record, the rows of these
members replace those of scripts/records/zoo.json, and docs/zoo.rst, the table, is written anew; with --keep,
fields and ensembles are kept in a folder.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldrx import Fit, Illumination, InputError, evaluate, make_ensemble, read_acquisition, read_volume
from fieldrx.automatic import choose_model
from fieldrx.band import supported_band
from fieldrx.io import json_values
from fieldrx.models import grid_for, make_model
from fieldrx.noise import noise_floor
from fieldrx.priors import priors_of_sign
from fieldrx.shading import flattened
from fieldrx.totals import totals
from fieldrx.workflow import Undecided, run

RECORD = Path(__file__).parent / "records" / "zoo.json"
TABLE = Path(__file__).parents[1] / "docs" / "zoo.rst"
_MARGIN = 0.15  # of the sample's thickness, that a known depth range reaches beyond it on each side
_SLICES = 0.9  # slice distance over the wavelength in the medium
_MOST = 80  # slices
COLUMNS = {  # name: width, format of numbers
    "member": (27, ""), "images": (14, ""), "rad": (5, ".2f"), "model": (5, ""), "dirs": (11, ""),
    "asked": (5, ""), "index": (6, ".3f"), "best": (6, ".3f"), "ratio": (5, ".2f"), "held": (5, ".2f"),
    "floor": (5, ".2f"), "gap": (5, ".2f"), "mass": (11, ""), "cover": (5, ".2f"), "s": (4, ".0f"),
    "verdict": (8, ""), "advice": (0, ""),
}  # fmt: skip
INTRODUCTION = """The zoo
=======

What ``fieldrx run`` makes, with its defaults, of simulated acquisitions that it has never seen.  ``rad`` is
the phase that the sample adds to the light; ``index`` the error of the refractive index contrast over the
truth's box, beside the ``best`` that a fit reaches which is told the true directions, depth and sign, and
their ``ratio``; ``held`` the error of unseen images, ``floor`` what of it is noise; ``gap`` what the true
sample, put through the model, leaves of the images beyond noise; ``mass`` the interval of the dry mass over
the true one; ``cover`` the share of the truth within two standard deviations (where error bars were made);
``s`` seconds on two cores, of some rows beside other work.  Made by ``scripts/zoo.py`` and
``scripts/zoo_record.py``.

"""


def truth_and_optics(folder):
    """The truth (None for an empty member), what optics.json says, and the acquisition's file."""
    told = json.loads((folder / "optics.json").read_text())
    truth = read_volume(folder / "truth.npz")
    return (truth if np.abs(truth.contrast).max() > 0 else None), told, folder / told["acquisition"]


def contrast_sign(truth):
    """+1 of a sample that is denser than its medium, -1 of one that is less dense."""
    return -1 if truth.contrast.real.min() < -truth.contrast.real.max() else 1


def truly_lit(acq, told):
    """An acquisition with its true directions."""
    sources, pattern = np.array(told["sources_na"]), acq.illumination.pattern
    if len(sources) != pattern.shape[1]:  # lamps that no image uses
        pattern = np.array(told["pattern"])
    return replace(acq, illumination=Illumination(sources, pattern))


def best_fit(acq, told, truth, schedule):
    """A fit that is told the true directions, depth and sign."""
    acq = truly_lit(acq, told)
    scope, (low, high) = acq.microscope, told["depth_um"]
    wave, room = _SLICES * scope.wavelength_um / scope.medium_index, max(_MARGIN * (high - low), 1.0)
    thick = high - low + 2 * room
    dz = min(wave, thick / 12) if thick / wave <= _MOST else thick / _MOST
    depth = low - room, high + room, dz
    model = choose_model(acq, depth, np.flatnonzero(acq.usable))[0]
    model = "ssnp" if model == "born" and dz <= wave else model
    return Fit(acq, depth, model, priors=priors_of_sign(contrast_sign(truth)), schedule=schedule)


def known_best(acq, told, truth, schedule):
    """Index error of a fit that knows all, and the gap of the truth's images."""
    fit = best_fit(acq, told, truth, schedule)
    acq = fit.acquisition
    return evaluate(fit.run(), acq, truth)["index_nrmse"], gap(
        acq, truth, fit.problem.model, fit.problem.depth
    )


def gap(acq, truth, model, depth):
    """What the truth's images leave of the measured ones beyond noise, with a smooth factor an image."""
    grid = grid_for(model, acq.image_shape, acq.microscope, depth)
    images = np.flatnonzero(acq.usable)
    light = make_model(model, grid, acq.microscope, acq.illumination, acq.image_shape)
    predicted = light.forward(truth.on_axes(*grid.axes).astype(np.complex64), images)
    valid = np.ones(predicted.shape, bool) if acq.mask is None else acq.mask[images]
    measured = flattened(acq.images[images], predicted, valid)
    rest, signal = (np.sum((a[valid]).astype(float) ** 2) for a in (measured - predicted, measured - 1))
    noise = noise_floor(acq, images)
    white = noise.sigma**2 * valid.sum() if noise.measured else 0.0
    return float(np.sqrt(max(rest - white, 0) / signal))


def coverage(found, truth):
    """Share of the truth inside the supported band, in the sample, within two standard deviations."""
    ensemble = make_ensemble(found.field, found.acquisition)
    grid, acq = found.field.grid(), found.acquisition
    mean, std = ensemble.on_axes(*grid.axes)
    true = truth.on_axes(*grid.axes).real
    train = np.setdiff1d(np.flatnonzero(acq.usable), acq.holdout)
    band = supported_band(grid, acq.microscope, acq.illumination, train)
    error = np.abs(band.inside(mean.real) - band.inside(true))
    sample = np.abs(true) > 0.15 * np.abs(true).max()
    return ensemble, float(np.mean(error[sample] <= 2 * std.real[sample]))


def row(folder, schedule, seed, error_bars, keep=None):
    """One row of the record, by column."""
    truth, told, path = truth_and_optics(folder)
    begun, asked = time.time(), ""
    acq = read_acquisition(path)
    how = {"schedule": schedule, "seed": seed}
    try:
        found = run(acq, **how)
    except Undecided:
        negative = truth is not None and contrast_sign(truth) < 0
        asked = "yes"
        found = run(acq, contrast="negative" if negative else "positive", **how)
    seconds = time.time() - begun
    chosen = {choice.name: choice.value for choice in found.choices}
    done, n, (ny, nx) = found.field.provenance, acq.n_images, acq.image_shape
    values = {
        "member": folder.name,
        "images": f"{n} x {ny} x {nx}",
        "rad": told["peak_phase_rad"],
        "model": done["model"],
        "dirs": _directions(chosen),
        "asked": asked,
        "held": done["nrmse_holdout"],
        "floor": noise_floor(found.acquisition, np.asarray(done["holdout"], int)).share,
        "s": seconds,
        "verdict": found.verdict.grade,
        "advice": "; ".join(found.verdict.advice),
    }
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        found.field.save(keep / f"{folder.name}-field.npz")
    if truth is not None:
        ensemble = None
        if error_bars:
            ensemble, values["cover"] = coverage(found, truth)
            if keep:
                ensemble.save(keep / f"{folder.name}-ensemble.npz")
        values["index"] = evaluate(found.field, found.acquisition, truth)["index_nrmse"]
        values["best"], values["gap"] = known_best(acq, told, truth, schedule | {"seed": seed})
        values["ratio"] = values["index"] / values["best"]
        values["mass"] = covered_mass(found, ensemble, truth)
    return json_values(values)


def line(values):
    """A row as text."""
    cells = []
    for name, (width, form) in COLUMNS.items():
        value = values.get(name)
        text = "" if value is None else format(value, form if isinstance(value, float) else "")
        cells.append(text.ljust(width) if name in ("member", "advice") else text.rjust(width))
    return " ".join(cells).rstrip()


def head():
    return line({name: name for name in COLUMNS})


def record(values):
    """Put a row into the record, and write the table of all."""
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    known[values["member"]] = values
    RECORD.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    lines = [head(), *(line(known[name]) for name in sorted(known))]
    TABLE.write_text(INTRODUCTION + ".. code-block:: text\n\n" + "".join(f"    {text}\n" for text in lines))


def _directions(chosen):
    """What was done to the directions, in a word."""
    start = chosen["calibration"].removeprefix("as ")
    return f"{start[:5]}+field" if chosen["alignment"] == "with the field" else start


def covered_mass(found, ensemble, truth):
    """The interval of the total dry mass over the true one; in brackets where it does not hold it."""
    acq, increment = found.acquisition, 0.19
    train = np.setdiff1d(np.flatnonzero(acq.usable), acq.holdout)
    interval = totals(found.field, ensemble, acq.illumination, train, increment).dry_mass_interval_pg
    true = truth.contrast.real.sum(dtype=float) * np.prod(truth.spacing_um) / increment
    low, high = sorted(value / true for value in interval)
    words = f"{low:.2f}-{high:.2f}"
    return words if low <= 1 <= high else f"({words})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--error-bars", action="store_true")
    parser.add_argument("--record", action="store_true", help=f"into {RECORD} and {TABLE}")
    parser.add_argument("--keep", type=Path, help="fields and ensembles into this folder")
    options = parser.parse_args()
    names = options.only or sorted(p.name for p in options.folder.iterdir() if (p / "optics.json").exists())
    print(head(), flush=True)
    for name in names:
        schedule = {"steps": options.steps} if options.steps else {}
        try:
            values = row(options.folder / name, schedule, options.seed, options.error_bars, options.keep)
        except InputError as error:
            values = {"member": name, "verdict": "refused", "advice": str(error)}
        print(line(values), flush=True)
        if options.record:
            record(values)
    return 0


if __name__ == "__main__":
    sys.exit(main())

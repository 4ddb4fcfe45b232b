"""Whether an ensemble's standard deviation is right, against a known truth.

    python scripts/check_uncertainty.py DATA [--depth Z0:Z1:DZ] [--field FIELD.npz] [--ensemble ENSEMBLE.npz]

DATA is a folder that holds acquisition.npz (or .toml), whose held-out images calibrate, and truth.npz.  A
field is fitted and an ensemble made around it, unless they are given.  The share of voxels whose error lies
within two standard deviations should be about 95 % inside the band of spatial frequencies that the images
support; the truth is used for nothing else.  Errors and spreads inside the band are those of volumes cut to
it; "std as given" is what the ensemble answers for every point, unfiltered.  The sample is where the
truth's contrast exceeds a tenth of its largest.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np

import fieldrx
from fieldrx.band import supported_band
from fieldrx.ensemble import load_ensemble, make_ensemble
from fieldrx.metrics import index_error
from fieldrx.optics import Grid, parse_depth

RECORD = Path(__file__).parent / "records" / "check_uncertainty.txt"


def coverage(ensemble, acquisition, truth):
    """Rows (what, share of all voxels, share of the sample's) within two standard deviations."""
    grid, band = _band(ensemble, acquisition)
    window = tuple(
        (a >= lo - 1e-6) & (a <= hi + 1e-6)
        for a, (lo, hi) in zip(grid.axes, ensemble.members[0].region_um, strict=True)
    )
    known = truth.on_axes(*grid.axes).real
    values = np.stack([member.on_axes(*grid.axes).real for member in ensemble.members])
    mean = values.mean(axis=0)
    error = mean - known
    inside_error = band.inside(error)
    inside = ensemble.scaled(np.var([band.inside(v) for v in values], axis=0, ddof=1), mean)
    raw = np.std([band.inside(v) for v in values], axis=0, ddof=1)
    outside = ensemble.scaled(np.var([v - band.inside(v) for v in values], axis=0, ddof=1), mean)
    whole = ensemble.scaled(np.var(values, axis=0, ddof=1), mean)
    sample = known > 0.1 * known.max()
    cases = [
        ("inside the band", inside_error, inside),
        ("inside the band, std as given", inside_error, whole),
        ("inside the band, before calibration", inside_error, raw),
        ("outside the band (no promise)", error - inside_error, outside),
        ("everything (no promise)", error, whole),
    ]
    place = np.ix_(*window)
    rows = []
    for name, e, s in cases:
        within = (np.abs(e) <= 2 * s)[place]
        rows.append((name, float(within.mean()), float(within[sample[place]].mean())))
    size = float(np.linalg.norm(inside_error) / np.linalg.norm(band.inside(known)))
    return rows, size


def _band(ensemble, acquisition):
    """The fit's grid and the band that the fitted images support on it."""
    first = ensemble.members[0]
    grid = Grid(**first.provenance["grid"])
    held = ensemble.calibration["images"]
    train = np.setdiff1d(np.flatnonzero(acquisition.usable), held)
    return grid, supported_band(grid, acquisition.microscope, acquisition.illumination, train)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--depth", default="-9.7:9.7:0.28")
    parser.add_argument("--model", default="auto")
    parser.add_argument("--field", type=Path)
    parser.add_argument("--ensemble", type=Path)
    parser.add_argument("--save", type=Path, help="where the ensemble is kept")
    parser.add_argument("--record", action="store_true", help=f"append to {RECORD.name}")
    options = parser.parse_args()
    names = (options.data / f"acquisition.{ending}" for ending in ("npz", "toml"))
    path = next(name for name in names if name.exists())
    acq, truth = fieldrx.read_acquisition(path), fieldrx.read_volume(options.data / "truth.npz")
    lines = [
        f"# fieldrx {fieldrx.__version__}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numpy {np.__version__}"
    ]
    if options.ensemble:
        ensemble = load_ensemble(options.ensemble)
    else:
        if options.field:
            field = fieldrx.load_field(options.field)
        else:
            field = fieldrx.reconstruct(acq, parse_depth(options.depth), options.model)
        begun = time.perf_counter()
        ensemble = make_ensemble(field, acq)
        lines.append(f"ensemble of {len(ensemble.members)}: {time.perf_counter() - begun:.0f} s")
        if options.save:
            ensemble.save(options.save)
    rows, size = coverage(ensemble, acq, truth)
    mean, _ = ensemble.on_axes(*truth.grid.axes)
    lines.append(
        f"{options.data.name}: factor {ensemble.factor:.2f}, hidden {ensemble.hidden:.2g}, "
        f"relative {ensemble.relative:.2g}, from images {ensemble.calibration['images']}, "
        f"held-out error of the mean {ensemble.calibration['nrmse_holdout']:.4f}"
    )
    lines.append(
        f"index error of the mean {index_error(mean, truth.contrast):.3f}, inside the band {size:.3f}"
    )
    lines.append(f"{'within two standard deviations':<38}{'all voxels':>12}{'sample':>10}")
    lines += [f"{name:<38}{everywhere:>12.3f}{sample:>10.3f}" for name, everywhere, sample in rows]
    print("\n".join(lines))
    if options.record:
        with open(RECORD, "a") as file:
            file.write("\n".join(lines) + "\n\n")


if __name__ == "__main__":
    main()

"""Whether `fieldrx measure` is right: simulated beads of known radius and index, and the invented cell.

    python scripts/check_measure.py FOLDER [--only NAME ...] [--record]

Images are simulated by the split-step non-paraxial model from finer voxels, with the noise of 20,000 photons
a pixel, and fitted by beam propagation; an ensemble is made around the field and measured.  Ensembles are
kept in FOLDER, and taken from there the next time.  Some ten minutes a sample on two cores.
"""

import argparse
import os
import platform
from pathlib import Path

import numpy as np
from zoo_samples import Sample, add_ellipsoid

import fieldrx
from fieldrx import Acquisition, Fit, Illumination, Microscope, Volume
from fieldrx.ensemble import load_ensemble, make_ensemble
from fieldrx.measure import measure

RECORD = Path(__file__).parent / "records" / "check_measure.txt"
N0, ALPHA = 1.335, 0.19
HIGH = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=N0, pixel_size_um=0.16)
LOW = Microscope(wavelength_um=0.532, objective_na=0.4, medium_index=N0, pixel_size_um=0.25)
STEEP, FLAT = ((8, 0.4), (24, 0.79)), ((8, 0.2), (24, 0.39))
# name: microscope, rings, pixels, depth, beads as (centre (z, y, x) [um], radius [um], contrast)
BEADS = {
    "one": (HIGH, STEEP, 72, (-5, 5, 0.4), [((0, 5.7, 5.7), 2.0, 0.03)]),
    "three": (HIGH, STEEP, 96, (-6, 6, 0.4), [((0.5, 4.0, 4.5), 1.2, 0.04), ((-1.0, 5.0, 10.5), 2.0, 0.03),
                                              ((0.0, 11.0, 6.5), 2.8, 0.02)]),
    "low": (LOW, FLAT, 64, (-9, 9, 0.6), [((0, 8, 8), 2.5, 0.02)]),
}  # fmt: skip
NUMBERS = ("volume_um3", "surface_um2", "sphericity", "dry_mass_pg", "mean_index", "z_um")


def light(rings):
    along = [[[0.0, 0.0]], *(Illumination.led_ring(n, na, start_deg=7).sources_na for n, na in rings)]
    return Illumination(np.concatenate(along))


def bead_images(name):
    """Images of beads, the depth of the fit, and what is true: rows of numbers and places."""
    scope, rings, pixels, depth, beads = BEADS[name]
    sample = Sample()
    for centre, radius, contrast in beads:
        add_ellipsoid(sample, centre, radius, contrast)
    axes = [np.arange(lo - 0.4, hi + 0.4, 0.08) for lo, hi in sample.bounds]
    volume = Volume(sample.paint(axes), 0.08, tuple(a[0] for a in axes), N0)
    optics = Acquisition(None, light(rings), scope, holdout=np.arange(3, 33, 6), name=name)
    acq = fieldrx.simulate(volume, optics, "ssnp", (pixels, pixels), photons=20000)
    true = []
    for (z, y, x), radius, contrast in beads:
        room = 4 / 3 * np.pi * radius**3
        true.append(((z, y, x), (room, 4 * np.pi * radius**2, 1, room * contrast / ALPHA, N0 + contrast, z)))
    return acq, depth, true


def cell_images():
    """The same of the cell of `fieldrx demo`; its surface is not known."""
    from fieldrx.demo import SAMPLES, demo_acquisition

    acq, cell = demo_acquisition()
    contrast, voxel = cell.contrast.real.astype(float), float(np.prod(cell.spacing_um))
    inside = contrast > 0.5 * 0.45 * 0.03  # half of the cytoplasm's
    room, mass = float(inside.sum()) * voxel, float(contrast.sum()) * voxel / ALPHA
    place = [float(a[k].mean()) for a, k in zip(cell.grid.axes, np.nonzero(inside), strict=True)]
    numbers = (room, np.nan, np.nan, mass, N0 + mass * ALPHA / room, place[0])
    return acq, SAMPLES["cell"].depth, [(place, numbers)]


def check(name, folder):
    """Lines about one sample."""
    acq, depth, true = cell_images() if name == "cell" else bead_images(name)
    kept = folder / f"{name}-ens.npz"
    if kept.exists():
        ensemble = load_ensemble(kept)
    else:
        field = Fit(acq, depth, "bpm").run()
        field.save(folder / f"{name}.npz")
        ensemble = make_ensemble(field, acq)
        ensemble.save(kept)
    made = measure(ensemble, acq)
    lines = [f"{name}: {len(true)} true, {len(made)} found"]
    for place, numbers in true:
        if not len(made):
            break
        k = int(np.argmin(np.linalg.norm(made.values[:, :3] - place, axis=1)))
        lines.append(
            f"  {'object ' + str(k + 1):<13}{'measured':>10}{'+-':>9}{'true':>10}{'off by':>9}{'in std':>8}"
        )
        for what, known in zip(NUMBERS, numbers, strict=True):
            if np.isnan(known):
                continue
            value, std = made.column(what)[k], made.column_std(what)[k]
            off = "" if what == "z_um" else f"{100 * (value / known - 1):.1f} %"
            lines.append(
                f"  {what:<13}{value:>10.4g}{std:>9.2g}{known:>10.4g}{off:>9}{(value - known) / std:>8.1f}"
            )
        if made.notes[k]:
            lines.append(f"  note: {made.notes[k]}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[*BEADS, "cell"])
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} anew")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    lines = [
        f"# fieldrx {fieldrx.__version__}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numpy {np.__version__}"
    ]
    for name in options.only:
        found = check(name, options.folder)
        print("\n".join(found), flush=True)
        lines += found
    if options.record:
        RECORD.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

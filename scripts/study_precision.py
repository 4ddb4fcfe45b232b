"""Does a fit in half precision end with the held-out error of a fit in float32?

    python scripts/study_precision.py [--seeds N] [--steps N] [--case NAME]

Fits noisy, simulated images of a cell in both precisions, from the same seeds: on a GPU where there is one,
else on the CPU, with the arithmetic of the GPU's half precision in NumPy.  That this is what the kernels
compute is a test, tests/cudaemu/test_half_precision.py.  A seed draws the initial weights, the order of the
images and where the field is evaluated; the held-out images stay.  Prints all held-out errors and fails where
half precision is worse, in the mean, by more than the spread over seeds.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from fieldrx import Acquisition, Fit, Illumination, Microscope, Schedule, Volume, simulate
from fieldrx.backends import cuda_unavailable
from fieldrx.field import Network
from fieldrx.field.choices import default_encoding
from fieldrx.models import grid_for
from fieldrx.simulation import cell_phantom

SCOPE = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=1.335, pixel_size_um=0.16)
RINGS = [Illumination.led_ring(n, na, start_deg=7).sources_na for n, na in ((8, 0.4), (16, 0.75))]
LIGHT = Illumination(np.concatenate([[[0.0, 0.0]], *RINGS]))
HELD = np.arange(3, 25, 6)
DEPTH, SHAPE, PHOTONS = (-2.5, 2.5, 0.5), (44, 48), 20000
# Image formation, largest index contrast of the cell, neurons of both hidden layers.
CASES = {
    "born, 32 x 2": ("born", 0.02, 32),
    "born, 64 x 2": ("born", 0.02, 64),
    "bpm, 32 x 2": ("bpm", 0.03, 32),
}
PRECISIONS = "float32", "half"


def cell_images(model, contrast):
    """Images of a cell made of voxels finer than those of the fit, with photon noise."""
    cell = cell_phantom(spacing_um=0.125, diameter_um=4.0, peak_contrast=contrast)
    centre = 0.5 * SCOPE.pixel_size_um * (np.array(SHAPE) - 1)
    origin = np.add(cell.origin_um, [0, *centre])
    cell = Volume(cell.contrast, cell.spacing_um, tuple(origin), cell.medium_index)
    optics = Acquisition(None, LIGHT, SCOPE, holdout=HELD, name="cell")
    return simulate(cell, optics, model, SHAPE, photons=PHOTONS, seed=0)


def held_out_error(precision, acquisition, model, width, schedule):
    """Lowest relative error of the held-out images in a fit."""
    encoding = default_encoding(grid_for(model, SHAPE, SCOPE, DEPTH), SCOPE, LIGHT)
    network = Network(encoding.n_features, width=width, depth=2)
    options = {"encoding": encoding, "network": network, "schedule": schedule}
    if not cuda_unavailable():
        fit = Fit(acquisition, DEPTH, model, device="cuda", precision=precision, **options)
    else:
        fit = Fit(acquisition, DEPTH, model, device="cpu", **options)
        if precision == "half":
            fit.sampling.backend, fit.sampling.precision = in_numpy(), precision
    fit.run()
    if fit.diverged:
        raise RuntimeError(f"a fit in {precision}: {fit.diverged}")
    return float(fit.state.best_error)


def in_numpy():
    """The CPU's operators, with the field in half precision."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "cudaemu"))
    import half_precision

    return half_precision.Backend()


def study(name, seeds, steps):
    """Fit in both precisions, print the errors; how many standard deviations the means are apart."""
    model, contrast, width = CASES[name]
    acquisition = cell_images(model, contrast)
    errors, begun = np.empty((seeds, 2)), time.perf_counter()
    print(f"\n{name}: held-out error\n{'seed':>6} {'float32':>9} {'half':>9}", flush=True)
    for seed in range(seeds):
        schedule = Schedule.for_model(model, steps=steps, patience=0, seed=seed)
        for column, precision in enumerate(PRECISIONS):
            errors[seed, column] = held_out_error(precision, acquisition, model, width, schedule)
        print(f"{seed:6d} {errors[seed, 0]:9.6f} {errors[seed, 1]:9.6f}", flush=True)
    means, spread = errors.mean(axis=0), errors.std(axis=0, ddof=1)
    print(f"  mean {means[0]:9.6f} {means[1]:9.6f}")
    print(f"    sd {spread[0]:9.6f} {spread[1]:9.6f}")
    apart = (means[1] - means[0]) / spread[0]
    print(f"half minus float32: {apart:+.2f} standard deviations of float32 over seeds", end="")
    print(f"; {time.perf_counter() - begun:.0f} s")
    return apart


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="at least 2")
    parser.add_argument("--steps", type=int, default=220, help="of every fit")
    parser.add_argument("--case", choices=list(CASES), help="one of them alone")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("a spread needs at least 2 seeds")
    why = cuda_unavailable()
    print(f"half precision {'in NumPy: ' + why if why else 'on the GPU'}; {given.steps} steps a fit")
    apart = [study(name, given.seeds, given.steps) for name in ([given.case] if given.case else CASES)]
    return 0 if max(apart) < 1 else 1


if __name__ == "__main__":
    sys.exit(main())

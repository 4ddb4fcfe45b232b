"""Does a fit in mixed precision end with the held-out error of a fit in float32?

    python scripts/study_precision.py [--seeds N] [--steps N] [--emulate]

Fits simulated images of a few beads on the CPU, in float32, and on the GPU, where the network's products are
of halves, from the same seeds.  Prints the held-out error of every fit, the spread over seeds, and how far
the two precisions are apart.  Without a GPU, --emulate runs its kernels on the CPU, some seconds a step.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import numpy as np

from fieldrx import Acquisition, Fit, Illumination, Microscope, Schedule, Volume, simulate
from fieldrx.field import Hash, Network

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.6, medium_index=1.33, pixel_size_um=0.25)
LIGHT = Illumination.led_ring(12, 0.5, start_deg=10)
DEPTH, SHAPE, HELD = (-1.0, 1.0, 0.5), (24, 20), (3, 8)
ENCODING = Hash(((3, 5, 4), (4, 9, 8), (5, 15, 13)), log2_table_size=10)
NETWORK = Network(ENCODING.n_features, width=32, depth=2)


def beads(photons, seed):
    """Noisy images of three beads, and the optics."""
    z, y, x = np.meshgrid(
        np.arange(-1, 1.1, 0.5), np.arange(SHAPE[0]) * 0.25, np.arange(SHAPE[1]) * 0.25, indexing="ij"
    )
    contrast = np.zeros(z.shape)
    for centre, height in (((0, 1.8, 1.6), 0.01), ((0.5, 4, 3.2), 0.008), ((-0.5, 3.2, 1.1), 0.012)):
        r2 = sum(((a - c) / 0.6) ** 2 for a, c in zip((z, y, x), centre, strict=True))
        contrast += height * np.exp(-r2)
    volume = Volume(contrast, (0.5, 0.25, 0.25), (-1.0, 0.0, 0.0), SCOPE.medium_index)
    optics = Acquisition(None, LIGHT, SCOPE, holdout=HELD, name="beads")
    return simulate(volume, optics, "born", SHAPE, photons=photons, seed=seed)


def held_out_error(acquisition, device, seed, steps):
    """Lowest relative error of the held-out images in a fit."""
    schedule = Schedule(steps=steps, warm_steps=0, evaluate_every=5, patience=0, batch=5, seed=seed)
    options = {"encoding": ENCODING, "network": NETWORK, "schedule": schedule, "device": device}
    fit = Fit(acquisition, DEPTH, **options)
    fit.run()
    return float(fit.state.best_error)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4, help="at least 2")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--emulate", action="store_true", help="run the GPU's kernels on the CPU")
    given = parser.parse_args()
    if given.seeds < 2:
        parser.error("a spread needs at least 2 seeds")
    gpu = contextlib.nullcontext()
    if given.emulate:
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "cudaemu"))
        import fake_cupy

        gpu = fake_cupy.installed()
    acquisition = beads(photons=2000, seed=0)
    with gpu:
        errors = np.empty((2, given.seeds))
        print(f"{'seed':>4} {'float32':>9} {'half':>9}")
        for seed in range(given.seeds):
            for row, device in enumerate(("cpu", "cuda")):
                errors[row, seed] = held_out_error(acquisition, device, seed, given.steps)
            print(f"{seed:4d} {errors[0, seed]:9.5f} {errors[1, seed]:9.5f}", flush=True)
    means, spread = errors.mean(axis=1), errors.std(axis=1, ddof=1)
    print(f"mean {means[0]:9.5f} {means[1]:9.5f}")
    print(f"  sd {spread[0]:9.5f} {spread[1]:9.5f}")
    apart = abs(means[1] - means[0]) / spread.max()
    print(f"the means are {apart:.2f} standard deviations over seeds apart")
    return 0 if apart < 1 else 1


if __name__ == "__main__":
    sys.exit(main())

"""When does a depth settle the sign of the light?  Simulated images, with and without a sample in that depth.

    python scripts/check_sign.py [--seeds 10]

Specks of contrast are imaged with 23 lights, or with the 5 steepest of them, at several strengths of noise.
The depth that is given is -12 to -6 um.  Printed is by how much more of the images' power the best slice
explains within it than within its mirror image, smallest and largest over the seeds: with specks at -8 um
(should be settled), and with nothing to tell a sign (noise alone, specks in focus, specks far beyond).  The
margin in fieldrx/calibration/sample.py lies between the two.
"""

import argparse

import numpy as np

from fieldrx import Acquisition, Grid, Illumination, Microscope
from fieldrx.calibration.sample import find_sample
from fieldrx.models import Born

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.5, medium_index=1.33, pixel_size_um=0.25)
SHAPE = (120, 104)
LEDS = Illumination.led_grid(np.argwhere(np.ones((5, 5))), 4.0, 20.0, (1.9, 2.2)).sources_na
LEDS = LEDS[np.linalg.norm(LEDS, axis=1) < 0.49]
DEPTH = (-12.0, -6.0)
CASES = [  # what the images show, its height [um] if there is anything, noise over the background
    ("specks at -8", -8.0, 0.002),
    ("specks at -8", -8.0, 0.05),
    ("specks at -8", -8.0, 0.2),
    ("specks at -8", -8.0, 0.5),
    ("noise alone", None, 0.02),
    ("specks at 0", 0.0, 0.002),
    ("specks at 0", 0.0, 0.2),
    ("specks at -30", -30.0, 0.002),
]


def images(height, noise, seed):
    """Specks in three slices around a height, or an empty field."""
    rng = np.random.default_rng(seed)
    if height is None:
        clean = np.ones((len(LEDS), *SHAPE))
    else:
        grid = Grid((3, 160, 144), (1.0, 0.25, 0.25), (height - 1.0, -5.0, -5.0))
        contrast = np.zeros(grid.shape, complex)
        contrast.reshape(-1)[rng.choice(contrast.size, 400, replace=False)] = rng.uniform(0.05, 0.3, 400)
        clean = Born(grid, SCOPE, Illumination(LEDS), SHAPE).forward(contrast)
    return clean + noise * rng.standard_normal(clean.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    steepest = np.argsort(np.linalg.norm(LEDS, axis=1))[-5:]
    print(f"{'images':<16}{'noise':>8}{'lights':>8}{'least more':>12}{'most more':>12}{'settled':>12}")
    for name, height, noise in CASES:
        stacks = [images(height, noise, seed) for seed in range(options.seeds)]
        for chosen in (np.arange(len(LEDS)), steepest):
            light = Illumination(LEDS[chosen])
            found = [
                find_sample(Acquisition(stack[chosen], light, SCOPE), np.arange(len(chosen)), DEPTH)
                for stack in stacks
            ]
            more = [sample.given - sample.mirrored for sample in found]
            settled = sum(sample.side != 0 for sample in found)
            print(
                f"{name:<16}{noise:>8}{len(chosen):>8}{min(more):>12.3f}{max(more):>12.3f}"
                f"{settled:>9} of {len(found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""When does a depth, or a contrast, settle the sign of the light?

    python scripts/check_sign.py [--seeds 10]
    python scripts/check_sign.py --zoo FOLDER [ACQ ...]

Specks of contrast are imaged with 23 lights, or with the 5 steepest of them, at several strengths of noise.
The depth that is given is -12 to -6 um.  Printed is by how much more of the images' power the best slice
explains within it than within its mirror image, smallest and largest over the seeds: with specks at -8 um
(should be settled), and with nothing to tell a sign (noise alone, specks in focus, specks far beyond).  The
margin in fieldrx/calibration/sample.py lies between the two.

With --zoo the skewness of the index in the best slice of every member of the zoo (scripts/zoo.py), lit from
where it truly was, is printed with its standard error, positive where it has the sign of the sample's
contrast.  So are those of other acquisitions ACQ, taken to be lit as they say and denser than the medium.
The bound from which a contrast settles the sign in fieldrx/calibration/sign.py lies beyond the worst of the
wrong ones.
"""

import argparse
from pathlib import Path

import numpy as np
from zoo_record import contrast_sign, truly_lit, truth_and_optics

from fieldrx import Acquisition, Grid, Illumination, InputError, Microscope, read_acquisition
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


def skewed(name, acquisition, sign):
    """Print how much the index of an acquisition is skewed as its contrast is, and where."""
    try:
        sample = find_sample(acquisition, np.flatnonzero(acquisition.usable))
    except InputError as error:
        print(f"{name:<28}{error}")
        return
    looked_at = "" if sample.stands_out else "  (no height stands out: not asked)"
    told = f"{sign * sample.skewness:>+9.2f} +- {sample.error:<5.2f}"
    print(f"{name:<28}{told}{sample.height_um:>+9.1f}{looked_at}", flush=True)


def contrasts(zoo, measured):
    """What the contrast tells of samples whose directions are known."""
    print(f"{'images':<28}{'skewness':>17}{'z [um]':>9}")
    for folder in sorted(path.parent for path in zoo.glob("*/truth.npz")):
        truth, told, path = truth_and_optics(folder)
        if truth is not None:
            skewed(folder.name, truly_lit(read_acquisition(path), told), contrast_sign(truth))
    for path in measured:
        skewed(path.parent.name, read_acquisition(path), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--zoo", type=Path)
    parser.add_argument("measured", type=Path, nargs="*", metavar="ACQ")
    options = parser.parse_args()
    if options.zoo:
        contrasts(options.zoo, options.measured)
    else:
        depths(options)


def depths(options):
    """What the depth tells of specks."""
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

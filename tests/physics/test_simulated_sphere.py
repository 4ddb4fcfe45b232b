"""`simulate` against the exact sphere, as a volume of voxels that do not fit the pixels.

Radius 1.7 um, voxels of 0.08 um, pixels of 0.13 um, NA 0.7 at 0.532 um in water.  The exact image is that of
an aperture drawn on frequencies so close that closer ones change nothing.  scripts/study_simulation.py prints
the whole table.
"""

import numpy as np
import pytest
from sphere import sphere_contrast, sphere_intensity

from fieldrx import Acquisition, Illumination, Microscope, Volume, simulate

RADIUS, N0, WAVELENGTH, NA = 1.7, 1.335, 0.532, 0.7
VOXEL, PIXEL, SIZE, FINE = 0.08, 0.13, 96, 2048
SOURCES = {"0": (0.0, 0.0), "0.34": (0.3, -0.16), "0.66": (0.0, 0.66), "0.67": (-0.402, 0.536)}


def volume(contrast, z):
    """The sphere's voxels around the middle of the images."""
    n = int(np.ceil(RADIUS / VOXEL)) + 2
    middle = (z, 0.5 * SIZE * PIXEL + 0.03, 0.5 * SIZE * PIXEL - 0.017)
    origin = [m - n * VOXEL + 0.011 for m in middle]
    axes = [o + VOXEL * np.arange(2 * n + 1) for o in origin]
    return Volume(sphere_contrast(axes, middle, RADIUS, contrast), VOXEL, tuple(origin), N0), middle


def errors(model, contrast, z):
    """Relative error of I - 1 for every source."""
    sample, middle = volume(contrast, z)
    optics = Acquisition(None, Illumination(list(SOURCES.values())), Microscope(WAVELENGTH, NA, N0, PIXEL))
    images = simulate(sample, optics, model, (SIZE, SIZE)).images
    out = []
    for source, image in zip(SOURCES.values(), images, strict=True):
        sphere = middle, source, RADIUS, contrast, N0, WAVELENGTH, NA
        exact = sphere_intensity((FINE, FINE), PIXEL, *sphere)[:SIZE, :SIZE]
        out.append(np.linalg.norm(image - exact) / np.linalg.norm(exact - 1))
    return out


@pytest.mark.slow
def test_single_scattering():
    """To 2 %, the source near the pupil's edge too; light along the axis shows nothing in focus."""
    assert max(errors("born", 1e-4, 3.0)) < 0.02
    assert max(errors("born", 1e-4, 0.0)[1:]) < 0.02


@pytest.mark.slow
def test_split_step():
    """To 2 %; in focus, along the axis, the signal is of second order and feels what the voxels lose."""
    assert max(errors("ssnp", 0.03, 3.0)) < 0.02
    along, *tilted = errors("ssnp", 0.03, 0.0)
    assert max(tilted) < 0.02 and along < 0.03

"""Dark field against the exact sphere, where nothing hides behind an unscattered wave.

Radius 2 um, n0 1.335, wavelength 0.515 um, light at 1.2 and 1.6 times the objective's NA of 0.4.  Errors are
norms of the difference over norms of I.  At 1.6 the light that enters has passed the first minimum of a
sphere's scattering, where little is left that a finite step could get right.
"""

import numpy as np
import pytest
from sphere import sphere_contrast, sphere_field

from fieldrx.models import SSNP, BeamPropagation, MultiLayerBorn
from fieldrx.optics import Grid, Illumination, Microscope

RADIUS, N0, WAVELENGTH, NA = 2.0, 1.335, 0.515, 0.4
SOURCES = [(0.0, 1.2 * NA), (0.6 * 1.6 * NA, -0.8 * 1.6 * NA)]


def errors(kind, contrast, z, dz=0.08, pixel=0.1, size=320):
    """Relative error of I for both sources."""
    n = 2 * int(np.ceil(1.05 * RADIUS / dz)) + 1
    grid = Grid((n, size, size), (dz, pixel, pixel), (z - 0.5 * (n - 1) * dz, 0.0, 0.0))
    centre = z, size * pixel / 2 + 0.03, size * pixel / 2 + 0.017
    delta = sphere_contrast(grid.axes, centre, RADIUS, contrast).astype(np.float32)
    model = kind(grid, Microscope(WAVELENGTH, NA, N0, pixel), Illumination(SOURCES), border_um=4.0)
    out = []
    for source, image in zip(SOURCES, model.forward(delta), strict=True):
        sphere = centre, source, RADIUS, contrast, N0, WAVELENGTH, NA
        scattered = sphere_field(model.camera.shape, pixel, *sphere, still=True) - 1
        truth = (np.abs(scattered) ** 2)[:size, :size]
        out.append(float(np.linalg.norm(image - truth) / np.linalg.norm(truth)))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("contrast", [0.01, 0.03])
@pytest.mark.parametrize("z", [0.0, 3.0])
def test_split_step_is_accurate(contrast, z):
    near, far = errors(SSNP, contrast, z)
    assert near < 0.02
    assert far < 0.04


@pytest.mark.slow
def test_the_other_models_have_the_same_level():
    """Beam propagation misses more, the farther from the light's own direction; but no factor."""
    assert max(errors(MultiLayerBorn, 0.01, 3.0)) < 0.04
    near, far = errors(BeamPropagation, 0.01, 3.0, dz=0.12, pixel=0.15, size=240)
    assert near < 0.1
    assert far < 0.25

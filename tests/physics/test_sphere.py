"""Images of a sphere against its exact scattering: no sign, unit or factor can be wrong unnoticed."""

import numpy as np
import pytest
from sphere import partial_waves, sphere_contrast, sphere_field, sphere_intensity

from fieldrx.models import Born
from fieldrx.optics import Grid, Illumination, Microscope

SCOPE = Microscope(wavelength_um=0.532, objective_na=0.7, medium_index=1.33, pixel_size_um=0.1)
RADIUS, SHAPE, DZ = 1.7, (150, 160), 0.08
CENTRE = (7.43, 8.17)


def images(source, z, contrast):
    """Born's and the exact image of a sphere at height z [um]."""
    n = 2 * int(np.ceil(1.15 * RADIUS / DZ)) + 1
    grid = Grid((n, *SHAPE), (DZ, 0.1, 0.1), (z - 0.5 * (n - 1) * DZ, 0.0, 0.0))
    delta = sphere_contrast(grid.axes, (z, *CENTRE), RADIUS, contrast)
    born = Born(grid, SCOPE, Illumination([source])).forward(delta.astype(np.float32))[0]
    exact = sphere_intensity(SHAPE, 0.1, (z, *CENTRE), source, RADIUS, contrast, 1.33, 0.532, 0.7)
    return born, exact


def error(source, z, contrast):
    born, exact = images(source, z, contrast)
    return np.linalg.norm(born - exact) / np.linalg.norm(exact - 1)


@pytest.mark.parametrize("source", [(0.0, 0.0), (0.2, -0.28), (0.0, 0.35), (-0.45, 0.5), (0.0, 0.69)])
@pytest.mark.parametrize("z", [-4.0, 0.7, 3.5])
def test_weak_sphere(source, z):
    """On the axis, at half the aperture and near the pupil's edge; before, near and behind focus."""
    assert error(source, z, 1e-4) < 0.02


@pytest.mark.parametrize("source", [(0.2, -0.28), (0.0, 0.35), (-0.45, 0.5), (0.0, 0.69)])
def test_weak_sphere_in_focus(source):
    assert error(source, 0.0, 1e-4) < 0.02


@pytest.mark.slow
def test_phase_object_in_focus_is_invisible_on_axis():
    """The first-order signal vanishes there; what is left of the exact one is second order."""
    born, exact = images((0.0, 0.0), 0.0, 1e-4)
    out_of_focus = np.abs(images((0.0, 0.0), 3.5, 1e-4)[1] - 1).max()
    assert np.abs(born - 1).max() < 2e-3 * out_of_focus
    assert np.abs(exact - 1).max() < 2e-3 * out_of_focus


@pytest.mark.slow
def test_error_grows_with_the_contrast_as_that_of_first_order():
    """Ten times the contrast: about ten times the error beyond that of the voxels, which is Born's own."""
    weak, strong, stronger = (error((0.0, 0.69), 0.0, c) for c in (1e-4, 1e-3, 1e-2))
    assert weak < 0.005
    assert 0.005 < strong < 0.02
    assert 5 < stronger / strong < 15


@pytest.mark.parametrize(("z", "brighter"), [(-2.0, True), (2.0, False)])
def test_sides_of_focus_differ_in_sign(z, brighter):
    """A denser sphere is a converging lens.  Just before focus (z < 0) the focal plane lies behind it, where
    light converges: its centre is brighter; on the other side it is darker."""
    born, exact = images((0.0, 0.0), z, 1e-4)
    y, x = round(CENTRE[0] / 0.1), round(CENTRE[1] / 0.1)
    assert (exact[y, x] > 1) == brighter
    assert (born[y, x] > 1) == brighter


def test_exact_sphere_obeys_the_optical_theorem():
    """Total scattered power of a lossless sphere equals 4 pi / k Im f(0): |2 t_l + 1| = 1."""
    t = partial_waves(RADIUS, 0.03, 1.33, 0.532)
    assert np.allclose(np.abs(1 + 2 * t), 1, atol=1e-9)


def test_exact_field_of_a_shifted_sphere_is_shifted():
    args = (RADIUS, 0.01, 1.33, 0.532, 0.7)
    one = sphere_field(SHAPE, 0.1, (1.0, 7.0, 8.0), (0.2, 0.3), *args)
    other = sphere_field(SHAPE, 0.1, (1.0, 7.5, 7.8), (0.2, 0.3), *args)
    assert np.allclose(np.roll(one, (5, -2), axis=(0, 1)), other, atol=1e-10)

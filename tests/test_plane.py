"""Grids that are coarser or finer than the camera's pixels."""

import numpy as np
import pytest

from fieldrx.errors import InputError
from fieldrx.models import MODELS, grid_for, make_model
from fieldrx.models.plane import image_window, plane_of
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.tikhonov import tikhonov

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.5, medium_index=1.33, pixel_size_um=0.2)
LIGHT = Illumination([(0.0, 0.0), (0.3, -0.15), (-0.35, 0.1)], np.eye(3))
SHAPE, DEPTH = (30, 36), (-1.5, 1.5, 0.5)


def blobs(grid, strength=0.01):
    """A smooth sample at the grid's voxels, without detail that a coarse grid would miss."""
    z, y, x = np.meshgrid(*grid.axes, indexing="ij")
    out = np.zeros(grid.shape, complex)
    for cz, cy, cx, width, value in (
        (0, 2.8, 3.1, 0.55, 1),
        (0.6, 3.6, 4.4, 0.5, 0.7 + 0.2j),
        (-0.8, 2.4, 4.0, 0.6, -0.4),
    ):
        out += value * np.exp(-((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2) / (2 * width**2))
    return strength * out


def images(name, voxels, scope=SCOPE, shape=SHAPE):
    """On a grid of so many voxels, always of the same width: frequencies, and the aperture on them, stay."""
    width = 128 * SCOPE.pixel_size_um
    before = 48 * SCOPE.pixel_size_um
    grid = Grid((7, voxels, voxels), (0.5, width / voxels, width / voxels), (-1.5, -before, -before))
    return make_model(name, grid, scope, LIGHT, shape).forward(blobs(grid))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("voxels", [96, 160, 256])
def test_images_do_not_depend_on_the_grid(name, voxels):
    expected = images(name, 128)
    found = images(name, voxels)
    assert np.linalg.norm(found - expected) < 0.002 * np.linalg.norm(expected - 1)


@pytest.mark.parametrize("name", ["born", "bpm"])
def test_pixels_wider_than_the_field_are_points_of_a_finer_camera(name):
    """A camera of pixels 4 times as wide, beyond 1 / (2 NA), sees every fourth pixel of the finer one."""
    wide = Microscope(wavelength_um=0.5, objective_na=0.5, medium_index=1.33, pixel_size_um=0.8)
    fine = images(name, 128, shape=(32, 36))[:, ::4, ::4]
    coarse = images(name, 128, wide, (8, 9))
    assert np.linalg.norm(coarse - fine) < 0.002 * np.linalg.norm(fine - 1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("pixel", [0.2, 0.8])
@pytest.mark.parametrize("spacing", [0.25, 0.15])
def test_gradients_against_finite_differences(name, pixel, spacing):
    rng = np.random.default_rng(0)
    scope = Microscope(wavelength_um=0.5, objective_na=0.5, medium_index=1.33, pixel_size_um=pixel)
    shape = (10, 12)
    grid = Grid.for_images(shape, scope, DEPTH, 0.5, spacing)
    options = {} if name in ("born", "rytov") else {"engine": "plain"}

    def made(sources):
        return make_model(name, grid, scope, Illumination(sources, LIGHT.pattern), shape, **options)

    sources, contrast = LIGHT.sources_na, blobs(grid)
    change = 0.01 * (rng.normal(size=grid.shape) + 1j * rng.normal(size=grid.shape))
    d_images = rng.normal(size=(3, *shape))
    found = made(sources).gradients(contrast, d_images)

    def slope(value, step=1e-4):
        return (np.vdot(d_images, value(step)) - np.vdot(d_images, value(-step))) / (2 * step)

    along = slope(lambda h: made(sources).forward(contrast + h * change))
    assert np.vdot(found.contrast, change).real == pytest.approx(along, rel=1e-6)
    turn = 0.01 * rng.normal(size=sources.shape)
    turned = slope(lambda h: made(sources + h * turn).forward(contrast), 1e-5)
    assert np.vdot(found.sources_na, turn) == pytest.approx(turned, rel=1e-4)


def test_closed_form_on_a_coarser_grid():
    """It explains the images as well as that on the camera's pixels."""
    errors, signal = [], (images("born", 128) - 1).astype("f4")
    for spacing in (None, 0.25):
        grid = Grid.for_images(SHAPE, SCOPE, DEPTH, 4.0, spacing)
        born = make_model("born", grid, SCOPE, LIGHT, SHAPE)
        residual = born.linear_signal(tikhonov(born, signal, regularisation=1e-3)[0]) - signal
        errors.append(np.linalg.norm(residual) / np.linalg.norm(signal))
    assert errors[1] == pytest.approx(errors[0], rel=0.1)


def test_the_grid_that_is_made_fits_the_pixels():
    grid = grid_for("ssnp", SHAPE, SCOPE, DEPTH, 0.29)
    assert grid.spacing_um[1] == grid.spacing_um[2] == pytest.approx(0.2 * 4 / 3)  # 1.45 pixels at most
    plane = plane_of(grid, grid.shape[1:], SHAPE, SCOPE)
    assert [n * grid.spacing_um[1] for n in grid.shape[1:]] == pytest.approx([0.2 * n for n in plane.shape])
    inside = image_window(grid, SHAPE, SCOPE)
    for k, n in enumerate(SHAPE):
        places = grid.axis(k + 1)[inside[k]]
        assert 0 <= places[0] < grid.spacing_um[1] and n * 0.2 - 0.2 - places[-1] < grid.spacing_um[1]


def test_what_does_not_fit_is_said():
    with pytest.raises(InputError, match=r"0\.0125 um"):
        Grid.for_images(SHAPE, SCOPE, DEPTH, spacing_um=0.01)
    odd = Grid((3, 20, 20), (0.5, 0.2137, 0.2137))
    with pytest.raises(InputError, match="no few of them"):
        image_window(odd, (8, 8), SCOPE)
    with pytest.raises(InputError, match="whole number of pixels of"):
        plane_of(Grid((3, 21, 20), (0.5, 0.25, 0.25)), (21, 20), (8, 8), SCOPE)

"""Pixels that integrate: against finer cameras whose pixels are points, derivatives by differences, files."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tiny

from fieldrx import Illumination, InputError, Microscope, read_acquisition
from fieldrx.models import SSNP, BeamPropagation, Born, MultiLayerBorn, Rytov
from fieldrx.optics import Grid
from fieldrx.optics.pixels import pixel_points, pixel_response

KINDS = [Born, Rytov, BeamPropagation, SSNP, MultiLayerBorn]
SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18, pixel_fill=0.9)
GRID = Grid((5, 30, 40), (0.31, 0.18, 0.18), (-0.6, -5 * 0.18, -7 * 0.18))
IMAGE = (20, 27)
SOURCES = np.array([(0.0, 0.0), (0.31, -0.22), (-0.5, 0.11), (0.2, 0.55)])
PATTERN = np.array([(1, 0, 0, 0), (0, 1, 0, 0.5), (0.2, 0, 1, 0)])
LIGHT = Illumination(SOURCES, PATTERN)
PARTS = 9  # pixels of a finer camera along the side of one


def test_a_pixel_is_the_mean_of_finer_ones():
    scope, contrast = replace(SCOPE, pixel_fill=1.0), tiny.rough(GRID.shape, strength=0.02)
    found = Born(GRID, scope, LIGHT, IMAGE).forward(contrast)
    points = Born(GRID, replace(scope, pixel_fill=0.0), LIGHT, IMAGE).forward(contrast)
    pitch = scope.pixel_size_um / PARTS
    moved = np.add(GRID.origin_um, (0, *2 * (PARTS // 2 * pitch,)))  # seen from the first of the finer pixels
    fine = replace(scope, pixel_size_um=pitch, pixel_fill=0.0)
    model = Born(
        Grid(GRID.shape, GRID.spacing_um, tuple(moved)), fine, LIGHT, tuple(PARTS * n for n in IMAGE)
    )
    parts = model.forward(contrast).reshape(len(PATTERN), IMAGE[0], PARTS, IMAGE[1], PARTS)
    rest, damped = (np.linalg.norm(images - parts.mean(axis=(2, 4))) for images in (found, points))
    assert rest < 0.02 * damped


def waves_that_pass(model, contrast, s):
    """Spectrum of the scattered light on the camera, and its frequencies beside the source's."""
    slices, source = model._slices(contrast), SOURCES[s] / SCOPE.wavelength_um
    scattered = (model._march([s], slices).forward(slices, None)[0] - 1) * model.camera.fade
    nu = model.camera._support(source)[3]
    beside = 2j * np.pi * (nu - source[:, None])
    y, x = (np.exp(-b[:, None] * GRID.axis(k)) for k, b in zip((1, 2), beside, strict=True))
    spectrum = np.einsum("ky,yx,kx->k", y, scattered, x, optimize=True) / np.prod(model.camera.shape)
    return spectrum * model.camera._transfer(nu, source, np.zeros(2)), beside


@pytest.mark.parametrize("kind", [BeamPropagation, SSNP, MultiLayerBorn])
def test_a_pixel_is_the_mean_of_the_light_on_it(kind):
    contrast = tiny.rough(GRID.shape, strength=0.02)
    model = kind(GRID, SCOPE, Illumination(SOURCES[:2]), IMAGE, engine="plain")
    nodes, weights = np.polynomial.legendre.leggauss(5)
    side = SCOPE.pixel_fill * SCOPE.pixel_size_um
    y, x = (np.arange(n) * SCOPE.pixel_size_um for n in IMAGE)
    for s, image in enumerate(model.forward(contrast)):
        waves, beside = waves_that_pass(model, contrast, s)

        def intensity(dy, dx, waves=waves, beside=beside):
            along = (np.exp(np.outer(a + d, b)) for a, d, b in zip((y, x), (dy, dx), beside, strict=True))
            return np.abs(1 + np.einsum("k,yk,xk->yx", waves, *along, optimize=True)) ** 2

        points = itertools.product(zip(0.5 * side * nodes, 0.5 * weights, strict=True), repeat=2)
        expected = sum(w * v * intensity(dy, dx) for (dy, w), (dx, v) in points)
        damped = np.linalg.norm(intensity(0, 0) - expected)
        assert np.linalg.norm(image - expected) < 0.1 * damped


def test_logarithms_are_averaged_as_intensities_are():
    contrast = tiny.rough(GRID.shape, strength=0.001)
    born, rytov = (kind(GRID, SCOPE, LIGHT, IMAGE) for kind in (Born, Rytov))
    np.testing.assert_array_equal(rytov.linear_signal(contrast), born.linear_signal(contrast))


@pytest.mark.parametrize("fill", [0.3, 1.0])
@pytest.mark.parametrize("pixel", [0.05, 0.18, 0.6])
def test_points_damp_as_the_square_does(fill, pixel):
    scope = replace(SCOPE, pixel_size_um=pixel, pixel_fill=fill)
    weights, shifts = pixel_points(scope)
    assert weights.sum() == pytest.approx(1) and np.abs(shifts).max() < 0.5 * fill * pixel
    for nu in np.linspace(0, 2 * 0.7 / 0.5, 9):
        factor = weights @ np.cos(2 * np.pi * shifts[:, 1] * nu)
        assert factor == pytest.approx(pixel_response(nu, scope), abs=0.01)
        side = fill * pixel * ((np.arange(1000) + 0.5) / 1000 - 0.5)
        assert pixel_response(nu, scope) == pytest.approx(np.cos(2 * np.pi * nu * side).mean(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["contrast", "sources_na", "pattern", "defocus_um"])
def test_gradients(kind, what):
    rng = np.random.default_rng(0)
    d_intensity = rng.normal(size=(3, *IMAGE))
    engine = {} if issubclass(kind, Born) else {"engine": "plain"}
    change = {"contrast": rng.normal(size=GRID.shape), "sources_na": rng.normal(size=SOURCES.shape)}
    change |= {"pattern": PATTERN * rng.normal(size=PATTERN.shape), "defocus_um": 1.0}

    def images(t):
        moved = {name: t * value if name == what else 0 for name, value in change.items()}
        light = Illumination(SOURCES + moved["sources_na"], PATTERN + moved["pattern"])
        model = kind(GRID, SCOPE, light, IMAGE, defocus_um=0.4 + moved["defocus_um"], **engine)
        return model.forward(tiny.rough(GRID.shape) + moved["contrast"])

    step = 1e-6
    slope = np.vdot(d_intensity, images(step) - images(-step)) / (2 * step)
    found = kind(GRID, SCOPE, LIGHT, IMAGE, defocus_um=0.4, **engine).gradients(
        tiny.rough(GRID.shape), d_intensity
    )
    assert np.vdot(getattr(found, what), change[what]).real == pytest.approx(slope, rel=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_agrees(kind):
    model, contrast = kind(GRID, SCOPE, LIGHT, IMAGE), tiny.rough(GRID.shape)
    d_intensity = np.random.default_rng(1).normal(size=(3, *IMAGE))
    exact, slope = model.forward(contrast), model.vjp(contrast, d_intensity)
    intensity, pullback = model.forward_and_pullback(contrast.astype("c8"))
    gradient = pullback(d_intensity.astype("f4"))
    assert np.linalg.norm(intensity - exact) < 1e-5 * np.linalg.norm(exact)
    assert np.linalg.norm(gradient - slope) < 1e-4 * np.linalg.norm(slope)


def test_the_closed_form_knows_them():
    y, x = np.random.default_rng(2).uniform(-1.5, 1.5, (2, 30))
    damped, points = (
        Born(GRID, replace(SCOPE, pixel_fill=fill), LIGHT, IMAGE).transfer(y, x)[0] for fill in (0.9, 0.0)
    )
    expected = (np.sinc(0.9 * 0.18 * y) * np.sinc(0.9 * 0.18 * x))[:, None, None] * points
    np.testing.assert_allclose(damped, expected, rtol=1e-5, atol=1e-7 * np.abs(points).max())


@pytest.mark.parametrize("bad", [-0.1, 1.2, np.nan])
def test_a_fill_that_no_camera_has_is_refused(bad):
    with pytest.raises(InputError, match="pixel_fill"):
        replace(SCOPE, pixel_fill=bad)


def test_files_keep_it(tmp_path):
    acq = replace(tiny.acquisition(), microscope=replace(tiny.SCOPE, pixel_fill=0.8))
    acq.save(tmp_path / "a.npz")
    assert read_acquisition(tmp_path / "a.npz").microscope == acq.microscope
    assert "pixel_fill" not in tiny.SCOPE.to_dict()

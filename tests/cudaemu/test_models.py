"""Image formation, closed form and field with arrays on the emulated GPU, against the same on the CPU."""

from dataclasses import replace

import numpy as np
import pytest

from fieldrx.models import SSNP, BeamPropagation, Born, MultiLayerBorn, Rytov, multislice
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.pupil import Pupil
from fieldrx.tikhonov import tikhonov

KINDS = [BeamPropagation, SSNP, MultiLayerBorn]
SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
GRID = Grid((4, 15, 20), (0.31, 0.18, 0.18), (-0.6, -3 * 0.18, -4 * 0.18))
IMAGE = (9, 12)
SOURCES = np.array([(0.0, 0.0), (0.31, -0.22), (-0.5, 0.11), (0.2, 0.55), (0.05, 0.9)])
PATTERN = np.array([(1, 0, 0, 0, 0), (0, 1, 0, 0.5, 0), (0.2, 0, 1, 0, 0.7)])
OPTICS = {"pupil": Pupil([0.1, -0.2, 0.15, 0.3]), "defocus_um": 0.4, "gain": [1.1, 0.9, 1.2]}


def close(found, expected, tolerance):
    return np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


def sample(dtype):
    rng = np.random.default_rng(3)
    real, imaginary = rng.normal(size=(2, *GRID.shape))
    return (0.04 * (real + 0.3j * np.abs(imaginary))).astype(dtype)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("images", [None, [2, 0]])
def test_images_and_gradient(gpu, monkeypatch, kind, memory, images):
    import cupy

    monkeypatch.setattr(multislice, "_LANES", 2)  # several groups of sources
    monkeypatch.setenv("FIELDRX_CUDA_GRAPHS", "0")  # which are looked at once, before they are used
    model = kind(GRID, SCOPE, Illumination(SOURCES, PATTERN), IMAGE, memory=memory, edge="soft", **OPTICS)
    rng, c = np.random.default_rng(0), sample("c8")
    d = rng.normal(size=(3 if images is None else 2, *IMAGE)).astype("f4")
    intensity, pullback = model.forward_and_pullback(cupy.asarray(c), images)
    gradient = pullback(cupy.asarray(d))
    again = model.forward(cupy.asarray(c), images)
    assert gpu.transfers == 0
    expected, back = model.forward_and_pullback(c, images)
    assert close(intensity.get(), expected, 2e-6) and close(again.get(), expected, 2e-6)
    assert gradient.dtype == np.complex64
    assert close(gradient.get(), back(d), 1e-5)


@pytest.mark.parametrize("kind", [Born, SSNP])
def test_pixels_that_integrate(gpu, kind):
    import cupy

    model = kind(GRID, replace(SCOPE, pixel_fill=1.0), Illumination(SOURCES[:2]), IMAGE)
    c, d = sample("c8"), np.random.default_rng(0).normal(size=(2, *IMAGE)).astype("f4")
    intensity, pullback = model.forward_and_pullback(cupy.asarray(c))
    expected, back = model.forward_and_pullback(c)
    assert close(intensity.get(), expected, 2e-6)
    assert close(pullback(cupy.asarray(d)).get(), back(d), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_dark_field(gpu, kind):
    """Images without an unscattered wave, one of them under light beyond 0.95 of the medium's index."""
    import cupy

    scope, grid = (
        Microscope(0.5, 0.4, 1.33, 0.18),
        Grid((3, 20, 24), (0.31, 0.12, 0.12), (-0.3, -0.36, -0.36)),
    )
    light = Illumination([(0.1, 0.2), (-0.7, 0.3), (0.05, 1.3)])
    model, d = (
        kind(grid, scope, light, (8, 10)),
        np.random.default_rng(0).normal(size=(3, 8, 10)).astype("f4"),
    )
    c = (0.04 * np.random.default_rng(1).normal(size=grid.shape)).astype("c8")
    intensity, pullback = model.forward_and_pullback(cupy.asarray(c))
    expected, back = model.forward_and_pullback(c)
    assert expected[1:].max() < 0.5 * expected[0].min()
    assert close(intensity.get()[1:], expected[1:], 2e-5)
    assert close(intensity.get(), expected, 2e-6)
    assert close(pullback(cupy.asarray(d)).get(), back(d), 1e-4)
    assert np.abs(model.forward(cupy.asarray(0 * c)).get()[1:]).max() < 1e-9


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_plain_engine_and_all_gradients(gpu, kind, dtype):
    """The plain engine's array functions, also in double precision, and gradients of every parameter."""
    import cupy

    light = Illumination(SOURCES, PATTERN)
    model, d = (
        kind(GRID, SCOPE, light, IMAGE, engine="plain", **OPTICS),
        np.random.default_rng(1).normal(size=(3, *IMAGE)),
    )
    c = sample(dtype)
    d = d.astype(c.real.dtype)
    tolerance = 1e-5 if dtype == "c8" else 1e-12
    assert close(model.forward(cupy.asarray(c)).get(), model.forward(c), tolerance)
    found, expected = model.gradients(cupy.asarray(c), cupy.asarray(d)), model.gradients(c, d)
    assert close(found.contrast.get(), expected.contrast, tolerance)
    for name in ("sources_na", "pattern", "gain", "defocus_um", "pupil"):
        one, other = getattr(found, name), getattr(expected, name)
        assert close(np.asarray(one), np.asarray(other), 20 * tolerance), name


@pytest.mark.parametrize("kind", KINDS)
def test_double_precision_in_single_precision_out_of_the_compiled_engine(gpu, kind):
    import cupy

    model = kind(GRID, SCOPE, Illumination(SOURCES, PATTERN), IMAGE)
    c, d = sample("c16"), np.random.default_rng(1).normal(size=(3, *IMAGE))
    intensity, pullback = model.forward_and_pullback(cupy.asarray(c))
    expected, back = model.forward_and_pullback(c)
    assert intensity.dtype == expected.dtype == np.float64
    assert close(intensity.get(), expected, 2e-6)
    assert close(pullback(cupy.asarray(d)).get(), back(d), 1e-5)


@pytest.mark.parametrize("kind", [Born, Rytov])
@pytest.mark.parametrize("n_images", [3, 12])  # the smaller matrix is the images', or the slices'
def test_closed_form(gpu, kind, n_images):
    import cupy

    rng = np.random.default_rng(2)
    light = Illumination(rng.uniform(-0.45, 0.45, (n_images, 2)))
    model = kind(GRID, SCOPE, light, IMAGE)
    signal = 0.1 * rng.normal(size=(n_images, *IMAGE)).astype("f4")
    expected, tau = tikhonov(model, signal)
    found, same = tikhonov(model, cupy.asarray(signal))
    assert tau == same
    assert close(found.get(), expected, 1e-4)
    dark = np.array([[[1.0, 0.5, 1e-3]]], "f4")
    assert np.array_equal(model.signal(cupy.asarray(dark)).get(), model.signal(dark), equal_nan=True)


@pytest.mark.parametrize("kind", [*KINDS, Born, Rytov])
def test_fortran_ordered_arrays_are_arrays_like_others(gpu, kind):
    """CuPy's copies, FFTs and empty_like keep that order, which kernels do not know."""
    import cupy

    light = Illumination(SOURCES[:3])
    model, c = kind(GRID, SCOPE, light, IMAGE), sample("c8")
    d = np.random.default_rng(1).normal(size=(3, *IMAGE)).astype("f4")
    contrast, d_images = (cupy.asarray(np.asfortranarray(a)) for a in (c, d))
    assert contrast.flags.f_contiguous and d_images.flags.f_contiguous
    intensity, pullback = model.forward_and_pullback(contrast)
    expected, back = model.forward_and_pullback(c)
    assert close(intensity.get(), expected, 2e-6)
    assert close(pullback(d_images).get(), back(d), 1e-5)


def test_a_kernel_refuses_an_array_in_another_order(gpu):
    import cupy

    from fieldrx.backends.cuda.load import launch

    array = cupy.asarray(np.zeros((3, 4), "f4", order="F"))
    with pytest.raises(ValueError, match=r"adam_step: argument 0, of shape \(3, 4\), is not C-contiguous"):
        launch("adam.cu", "adam_step", (1,), (1,), (array,))

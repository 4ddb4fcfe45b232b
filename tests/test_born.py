"""The linear model against plain NumPy, its adjoint, and what follows from its symmetry."""

import re

import numpy as np
import pytest
import reference_born

from fieldrx.errors import InputError
from fieldrx.models import MODELS, Born, Rytov, make_model
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.volume import Volume

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.6, medium_index=1.34, pixel_size_um=0.21)
GRID = Grid((19, 30, 25), (0.37, 0.21, 0.21), (-2.9, -0.63, -1.05))  # unequal sides; odd nx
IMAGE = (22, 14)
LIGHT = Illumination(
    [(0.0, 0.0), (0.31, -0.2), (-0.1, 0.58), (0.0, -0.6)],
    [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0.5, 2], [0.3, 0.3, 0, 0], [0, 0, 0, 1]],
)


def contrast(seed=0, dtype=np.complex128):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(GRID.shape) + 1j * rng.standard_normal(GRID.shape)).astype(dtype) * 1e-3


def model(kind=Born):
    return kind(GRID, SCOPE, LIGHT, IMAGE)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.complex128, 1e-12), (np.complex64, 2e-6)])
def test_against_plain_numpy(dtype, tolerance):
    c = contrast()
    predicted = model().linear_signal(c.astype(dtype))
    (y, x) = model().window
    for image, weights in zip(predicted, LIGHT.pattern, strict=True):
        plain = reference_born.signal(c, GRID, SCOPE, LIGHT.sources_na, weights)[y, x]
        assert np.linalg.norm(image - plain) < tolerance * np.linalg.norm(plain)


def test_many_slices_keep_their_phase():
    """The recurrence over z must not drift in single precision."""
    grid = Grid((301, 8, 10), (0.1, 0.21, 0.21), (-15, 0, 0))
    rng = np.random.default_rng(3)
    c = rng.standard_normal(grid.shape) * 1e-3
    light = Illumination([(0.2, 0.5)])
    predicted = Born(grid, SCOPE, light).forward(c.astype(np.float32))[0] - 1
    plain = reference_born.signal(c, grid, SCOPE, light.sources_na, [1.0])
    assert np.linalg.norm(predicted - plain) < 5e-6 * np.linalg.norm(plain)


@pytest.mark.parametrize("images", [None, [3, 1]])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_dot_product(images, dtype, tolerance):
    m, rng = model(), np.random.default_rng(1)
    v = contrast().astype(np.complex64 if dtype == np.float32 else np.complex128)
    forward = m.linear_signal(v, images)
    w = rng.standard_normal(forward.shape).astype(dtype)
    back = m.adjoint(w, images)
    left, right = np.vdot(forward, w).real, np.vdot(v, back).real
    assert abs(left - right) < tolerance * np.linalg.norm(forward) * np.linalg.norm(w)


@pytest.mark.parametrize("kind", [Born, Rytov])
def test_directional_derivative(kind):
    m, rng = model(kind), np.random.default_rng(2)
    c = contrast(4) * 3
    intensity, pullback = m.forward_and_pullback(c)
    d = rng.standard_normal(intensity.shape)
    uphill = pullback(d)  # half of the direction, so that the slope is not a small difference
    direction = contrast(5) + uphill * (np.linalg.norm(contrast(5)) / np.linalg.norm(uphill))
    h = 1e-4
    slope = (d * (m.forward(c + h * direction) - m.forward(c - h * direction))).sum() / (2 * h)
    assert np.vdot(pullback(d), direction).real == pytest.approx(slope, rel=1e-8)
    assert np.array_equal(pullback(d), m.vjp(c, d))
    single = m.vjp(c.astype(np.complex64), d.astype(np.float32))
    assert np.vdot(single, direction).real == pytest.approx(slope, rel=1e-5)


def test_inputs_are_left_alone():
    m, c = model(), contrast(dtype=np.complex64)
    before, d = c.copy(), np.ones((5, *IMAGE), np.float32)
    m.forward(c)
    m.adjoint(d)
    assert np.array_equal(c, before)
    assert (d == 1).all()


def test_chosen_images_equal_rows_of_all():
    m, c = model(), contrast()
    assert np.allclose(m.forward(c, [4, 0]), m.forward(c)[[4, 0]], rtol=0, atol=1e-14)


def test_mirror_symmetry():
    """(na -> -na) with the sample mirrored gives the mirrored image."""
    grid = Grid((7, 15, 21), (0.4, 0.21, 0.21), (-1, 0, 0))
    rng = np.random.default_rng(6)
    c = rng.standard_normal(grid.shape) * 1e-3
    mirrored = np.roll(c[:, ::-1, ::-1], 1, axis=(1, 2))  # about voxel (0, 0)
    one = Born(grid, SCOPE, Illumination([(0.3, -0.25)])).forward(c)[0]
    other = Born(grid, SCOPE, Illumination([(-0.3, 0.25)])).forward(mirrored)[0]
    assert np.allclose(other, np.roll(one[::-1, ::-1], 1, axis=(0, 1)), atol=1e-12)


def test_multiplexed_light_is_the_weighted_mean():
    m, c = model(), contrast()
    single = Born(GRID, SCOPE, Illumination(LIGHT.sources_na), IMAGE).forward(c)
    assert np.allclose(m.forward(c)[2], (single[1] + 0.5 * single[2] + 2 * single[3]) / 3.5, atol=1e-13)


def test_dark_sources_add_no_first_order_signal():
    light = Illumination([(0.0, 0.2), (0.0, 0.9)], [[1, 5]])
    alone = Born(GRID, SCOPE, Illumination([(0.0, 0.2)]), IMAGE).forward(contrast())
    assert np.allclose(Born(GRID, SCOPE, light, IMAGE).forward(contrast()), alone, atol=1e-14)


def test_dark_image_is_refused_when_asked_for():
    m = Born(GRID, SCOPE, Illumination([(0.0, 0.2), (0.0, 0.9)]), IMAGE)
    assert m.forward(contrast(), [0]).shape == (1, *IMAGE)
    with pytest.raises(InputError, match="dark field"):
        m.forward(contrast())


def test_rytov_is_the_exponential():
    c = contrast()
    assert np.allclose(np.log(model(Rytov).forward(c)), model().forward(c) - 1, atol=1e-12)


def test_transfer_functions_are_those_of_the_operator():
    """A single frequency through `linear` equals its entry in `transfer`."""
    m = Born(Grid(GRID.shape, GRID.spacing_um, (-2.9, 0, 0)), SCOPE, LIGHT)
    nu_y, nu_x = GRID.frequencies()
    real, imaginary = m.transfer(nu_y[[2, 27]], nu_x[[24, 3]])
    for k, (row, column) in enumerate(((2, 24), (27, 3))):
        for part, factor in ((real, 1.0), (imaginary, 1j)):
            spectrum = np.zeros((GRID.shape[1], GRID.shape[2]), complex)
            spectrum[row, column] = 0.5
            spectrum[-row, -column] = 0.5
            slice_ = np.zeros(GRID.shape, complex)
            slice_[5] = factor * np.fft.ifft2(spectrum).real
            out = np.fft.fft2(m.forward(slice_) - 1)[:, row, column]
            assert np.allclose(out, 0.5 * part[k, :, 5], rtol=0, atol=2e-6 * np.abs(part[k]).max())


def test_grid_that_misses_the_pixels():
    with pytest.raises(InputError, match="whole number"):
        Born(Grid((3, 8, 8), (1, 0.21, 0.21), (0, -0.05, 0)), SCOPE, LIGHT, (4, 4))
    with pytest.raises(InputError, match="do not fit"):
        Born(Grid((3, 8, 8), (1, 0.21, 0.21), (0, -0.42, 0)), SCOPE, LIGHT, (8, 8))


def test_voxels_that_are_no_pixels():
    for spacing in ((1, 0.2137, 0.21), (1, 0.21, 0.2137), (1, 0.01, 0.01)):
        grid = Grid((3, 8, 8), spacing)
        for kind in MODELS.values():
            with pytest.raises(InputError, match=r"camera's pixels 0\.21: .* use Grid\.for_images"):
                kind(grid, SCOPE, LIGHT)
    Born(Grid((3, 8, 8), (1, 0.21 * (1 + 1e-6), 0.21)), SCOPE, LIGHT)


@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
def test_gradients_of_another_shape_are_refused(kind):
    m = kind(Grid((3, 12, 20), (0.4, 0.21, 0.21)), SCOPE, Illumination([(0.1, 0.2), (0.0, 0.3)]))
    c, shape = np.zeros(m.grid.shape, np.complex64), m.image_shape
    for wrong in (shape, (1, *shape), (3, *shape), (2, *shape[::-1]), (2, 1, 1), (2, 12, 19)):
        d = np.ones(wrong, np.float32)
        for use in (m.vjp, m.gradients, lambda c, d: m.forward_and_pullback(c)[1](d),
                    lambda c, d: m.signal_and_pullback(c)[1](d)):  # fmt: skip
            with pytest.raises(ValueError, match=re.escape(f"shape {wrong}; expected (2, 12, 20)")):
                use(c, d)
        if kind.name in ("born", "rytov"):
            with pytest.raises(ValueError, match="expected"):
                m.adjoint(d)
    with pytest.raises(ValueError, match=r"expected \(1, 12, 20\)"):
        m.vjp(c, np.ones((2, *shape), np.float32), [1])
    assert m.vjp(c, np.ones((1, *shape), np.float32), [1]).shape == m.grid.shape


@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
def test_the_index_is_no_contrast(kind):
    m = kind(Grid((3, 12, 20), (0.4, 0.21, 0.21)), SCOPE, Illumination([(0.1, 0.2)]))
    index = SCOPE.medium_index + 0.02 * np.random.default_rng(0).random(m.grid.shape)
    with pytest.raises(InputError, match=r"looks like the index n itself: subtract medium_index 1\.34"):
        m.forward(index)
    with pytest.raises(InputError, match="index n itself"):
        Volume(index + 0j, 0.2, (0, 0, 0), SCOPE.medium_index)
    m.forward(index - SCOPE.medium_index)
    Volume(np.full((3, 4, 5), 2.5), 0.2, (0, 0, 0), 1.0)  # silicon in air
    Volume(np.where(np.arange(60).reshape(3, 4, 5) < 20, 1.3, 0.0), 0.2, (0, 0, 0), 1.0)


@pytest.mark.parametrize("kind", MODELS.values())
def test_the_signal_and_its_inverse(kind):
    """Twice the contrast gives twice the signal of the models that say so, and of no others."""
    m, c, images = model(kind), contrast(), [0, 1]
    once, twice = (m.signal_and_pullback(factor * c, images)[0] for factor in (1, 2))
    assert np.allclose(twice, 2 * once, rtol=1e-9, atol=0) == m.linear
    predicted = m.forward(c, images)
    assert np.allclose(m.intensity(m.signal(predicted)), predicted, rtol=1e-6)


def test_unknown_model():
    with pytest.raises(InputError, match='no model "bron"; expected one of born, rytov'):
        make_model("bron", GRID, SCOPE, LIGHT)


def test_memory_does_not_grow_with_images_times_slices():
    """The model keeps no array larger than the volume or the images."""
    m = model()
    held = [v for v in vars(m).values() if isinstance(v, np.ndarray)]
    assert sum(v.nbytes for v in held) < 1000

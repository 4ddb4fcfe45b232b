"""Single scattering with aberrations, defocus and gains: derivatives, and limits known otherwise."""

from functools import partial

import numpy as np
import pytest

from fieldrx.errors import InputError
from fieldrx.models import SSNP, Born, Rytov, make_model
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.pupil import Pupil

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
GRID = Grid((4, 30, 40), (0.31, 0.18, 0.18), (-0.9, -5 * 0.18, -7 * 0.18))
WHOLE = Grid(GRID.shape, GRID.spacing_um, (-0.9, 0, 0))
IMAGE = (20, 27)
SOURCES = np.array([(0.0, 0.0), (0.31, -0.22), (-0.5, 0.11), (0.2, 0.55), (0.05, 0.9)])
PATTERN = np.array([(1, 0, 0, 0, 0), (0, 1, 0, 0.5, 0), (0.2, 0, 1, 0, 0.7)])
ZERNIKE = np.array([0.1, -0.2, 0.15, 0.3, -0.25, 0.1, 0.2])
GAIN = np.array([1.1, 0.9, 1.2])


def model(kind, sources=SOURCES, pattern=PATTERN, zernike=ZERNIKE, defocus=0.4, gain=GAIN):
    light = Illumination(sources, pattern)
    return kind(GRID, SCOPE, light, IMAGE, pupil=Pupil(zernike), defocus_um=defocus, gain=gain)


def sample():
    rng = np.random.default_rng(3)
    real, imaginary = rng.normal(size=(2, *GRID.shape))
    return 2e-3 * (real + 0.3j * np.abs(imaginary))


@pytest.mark.parametrize("kind", [Born, Rytov])
@pytest.mark.parametrize("what", ["contrast", "sources_na", "pattern", "gain", "defocus_um", "pupil"])
def test_gradients_are_central_differences(kind, what):
    rng = np.random.default_rng(0)
    d_intensity = rng.normal(size=(3, *IMAGE))
    start = {"sources_na": SOURCES, "pattern": PATTERN, "gain": GAIN, "defocus_um": 0.4, "pupil": ZERNIKE}
    start["contrast"] = sample()
    change = rng.normal(size=np.shape(start[what]))
    if what == "pattern":
        change = change * PATTERN
    if what == "contrast":
        change = change * (1 + 0.5j)

    def loss(t):
        at = start | {what: start[what] + t * change}
        here = model(kind, *(at[k] for k in ("sources_na", "pattern", "pupil", "defocus_um", "gain")))
        return float(np.vdot(d_intensity, here.forward(at["contrast"])))

    found = np.vdot(getattr(model(kind).gradients(sample(), d_intensity), what), change).real
    step = 1e-5
    assert found == pytest.approx((loss(step) - loss(-step)) / (2 * step), rel=3e-6)


@pytest.mark.parametrize("kind", [Born, Rytov])
def test_pullback_with_aberrations(kind):
    here, rng = model(kind), np.random.default_rng(1)
    change = rng.normal(size=GRID.shape) + 1j * rng.normal(size=GRID.shape)
    signal, pullback = here.signal_and_pullback(sample(), [2, 1])
    d = rng.normal(size=signal.shape)
    step = 1e-6
    plus, minus = (here.signal_and_pullback(sample() + t * change, [2, 1])[0] for t in (step, -step))
    expected = np.vdot(d, (plus - minus) / (2 * step))
    assert np.vdot(pullback(d), change).real == pytest.approx(expected, rel=1e-7)
    assert np.allclose(here.signal(here.forward(sample(), [2, 1])), signal, atol=1e-12)


def test_defocus_moves_the_sample():
    moved = Grid(GRID.shape, GRID.spacing_um, (GRID.origin_um[0] - 0.7, *GRID.origin_um[1:]))
    light = Illumination(SOURCES, PATTERN)
    defocused = Born(GRID, SCOPE, light, IMAGE, defocus_um=0.7).forward(sample())
    assert np.allclose(defocused, Born(moved, SCOPE, light, IMAGE).forward(sample()), atol=1e-12)


def test_tilted_phase_shifts_the_image():
    """A phase linear over the pupil moves the field on the camera: Zernike 1 is 2 rho_y."""
    pixels = 3
    c = np.pi * pixels * SCOPE.pixel_size_um * SCOPE.objective_na / SCOPE.wavelength_um
    light = Illumination(SOURCES[1:3])
    plain = Born(WHOLE, SCOPE, light).linear_signal(sample())
    tilted = Born(WHOLE, SCOPE, light, pupil=Pupil([0, c])).linear_signal(sample())
    assert np.allclose(tilted, np.roll(plain, -pixels, axis=1), atol=1e-12)


def test_transfer_is_that_of_the_operator():
    """The closed form's matrix and the matrix-free operator hold the same aberrations."""
    here = Born(WHOLE, SCOPE, Illumination(SOURCES, PATTERN), pupil=Pupil(ZERNIKE), defocus_um=0.4)
    contrast = np.zeros(GRID.shape, complex)
    contrast[2, 0, 0] = 1e-3
    spectrum = np.fft.fft2(here.linear_signal(contrast))
    nu_y, nu_x = here.grid.frequencies()
    rows, columns = np.array([1, 3, 28, 0]), np.array([2, 38, 5, 7])
    index, _ = here.transfer(nu_y[rows], nu_x[columns])
    assert np.allclose(1e-3 * index[:, :, 2].T, spectrum[:, rows, columns], rtol=1e-4, atol=1e-9)


def test_wrong_optics():
    light = Illumination(SOURCES, PATTERN)
    with pytest.raises(InputError, match="gain has shape"):
        Born(GRID, SCOPE, light, IMAGE, gain=[1.0])
    with pytest.raises(InputError, match="not an array"):
        Born(GRID, SCOPE, light, IMAGE, pupil=Pupil(array=np.ones((3, 3))))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (
            (GRID, Illumination(SOURCES), SCOPE, IMAGE),
            {},
            "microscope: expected a Microscope, got Illumination",
        ),
        ((GRID, SCOPE, SOURCES, IMAGE), {}, "illumination: expected an Illumination, got ndarray"),
        (((-1, 1, 0.5), SCOPE, Illumination(SOURCES)), {}, "grid: expected a Grid, got tuple"),
        ((GRID, SCOPE, Illumination(SOURCES), (5, *IMAGE)), {}, "image_shape is .*; expected two numbers"),
        (
            (GRID, SCOPE, Illumination(SOURCES), IMAGE),
            {"pupil": [0, 0, 0.1]},
            "pupil: expected a Pupil, got list",
        ),
    ],
)
@pytest.mark.parametrize("make", [Born, SSNP, partial(make_model, "bpm")])
def test_wrong_arguments(make, arguments, options, words):
    with pytest.raises(InputError, match=words):
        make(*arguments, **options)


@pytest.mark.parametrize("kind", [Born, Rytov, SSNP])
def test_wrong_arguments_of_the_way_back(kind):
    model, nothing = kind(GRID, SCOPE, Illumination(SOURCES[:3]), IMAGE), np.zeros(GRID.shape, "c8")
    with pytest.raises(InputError, match="d_intensity is complex"):
        model.vjp(nothing, np.ones((3, *IMAGE), complex))
    with pytest.raises(InputError, match="images names image 33"):
        model.vjp(nothing, np.ones((2, *IMAGE), "f4"), images=[0, 33])
    with pytest.raises(InputError, match="images has type"):
        model.forward(nothing, images=0)
    with pytest.raises(ValueError, match=r"the grid's \(4, 30, 40\), which Grid\.for_images .*margin_um=0"):
        model.forward(np.zeros((4, *IMAGE)))

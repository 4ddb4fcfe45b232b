"""Lamps of a size and a spectrum: sums over few points and wavelengths, against sums over many."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from scipy.integrate import dblquad

from fieldrx import Acquisition, Grid, Illumination, InputError, Microscope, read_acquisition, simulate
from fieldrx.models import Born, Optics, make_model
from fieldrx.optics.lamps import BOUND, disc_rule, spectrum_rule, spread

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.5, medium_index=1.33, pixel_size_um=0.3)
SHAPE = 36, 40
GRID = Grid.for_images(SHAPE, SCOPE, (24.0, 26.0, 1.0), 4.0)
LEDS = np.array([[0, 1], [-1, -1], [1, 0]])
BOARD = Illumination.led_grid(LEDS, 4e3, 20e3, (0, 0))
LED, BAND = 800.0, 0.03
MULTISLICE = ("bpm", "ssnp", "mlb")


def blob(strength=0.01):
    z, y, x = (GRID.axis(k) for k in range(3))
    r2 = ((z[:, None, None] - 25) / 0.9) ** 2 + ((y[:, None] - 5.2) / 0.4) ** 2 + ((x - 6.3) / 0.3) ** 2
    return (strength * (1 + 0.1j) * np.exp(-r2)).astype(np.complex128)


def options(name):
    return {"engine": "plain"} if name in MULTISLICE else {}


def wave(angle, radius, turn):
    """Its real part at a point of the disc, times the radius; the imaginary part averages to 0."""
    return radius * np.cos(turn * radius * np.cos(angle))


@pytest.mark.parametrize("turn", [0.2, 1.5, 4.0, 9.0])
def test_points_of_a_disc_average_a_wave_as_the_disc_does(turn):
    rule = disc_rule(turn)
    assert np.isclose(rule[:, 2].sum(), 1) and (np.hypot(*rule.T[:2]) <= 1).all()
    for share, angle in ((1.0, 0.3), (0.7, 1.4)):
        gradient = share * turn * np.array([np.sin(angle), np.cos(angle)])
        true = dblquad(wave, 0, 1, 0, 2 * np.pi, (share * turn,))[0] / np.pi
        assert abs(np.exp(1j * rule[:, :2] @ gradient) @ rule[:, 2] - true) <= BOUND
    assert len(rule) == 1 or abs(1 - true) > BOUND / 2  # a point where that is enough


def test_wavelengths_average_a_wave_as_a_gaussian_does():
    for turn in (0.1, 1.0, 5.0):
        nodes, weights = spectrum_rule(turn)
        place = np.linspace(-9, 9, 4001)
        density = np.exp(-0.5 * place**2)
        for share in (0.5, 1.0):
            true = (density * np.cos(share * turn * place)).sum() / density.sum()
            assert abs(np.exp(1j * share * turn * nodes) @ weights - true) <= BOUND


def test_points_of_a_lamp_shine_from_where_they_are():
    places = np.array([[0.01, -0.02], [0.0, 0.03]])
    found, slopes = spread(BOARD.sources_na, places)
    for k, place in enumerate(places):
        shifted = Illumination.led_grid(LEDS, 4e3, 20e3, (0, 0), offset_um=20e3 * place)
        assert np.allclose(found[:, k], shifted.sources_na, atol=1e-14)
    for axis in (0, 1):
        step = 1e-6 * np.eye(2)[axis]
        both = [spread(BOARD.sources_na + sign * step, places)[0] for sign in (1, -1)]
        assert np.allclose(slopes[..., axis], (both[0] - both[1]) / 2e-6, atol=1e-8)


def brute_force(name, contrast, led_um=0.0, band_um=0.0):
    """Mean of images of single points, evenly over the disc, and of single wavelengths of a Gaussian."""
    angle, radius = np.meshgrid((np.arange(12) + 0.5) / 12 * 2 * np.pi, np.sqrt((np.arange(6) + 0.5) / 6))
    offsets = 0.5 * led_um * np.stack([radius * np.sin(angle), radius * np.cos(angle)], -1).reshape(-1, 2)
    steps = np.linspace(-3, 3, 41) if band_um else np.zeros(1)
    share = np.exp(-0.5 * steps**2)
    total = 0.0
    for step, weight in zip(steps, share / share.sum(), strict=True):
        scope = replace(SCOPE, wavelength_um=SCOPE.wavelength_um + step * band_um / 2.3548)
        for offset in offsets if led_um else np.zeros((1, 2)):
            light = Illumination.led_grid(LEDS, 4e3, 20e3, (0, 0), offset_um=offset)
            model = make_model(name, GRID, scope, light, SHAPE, **options(name))
            total = total + weight * model.forward(contrast)
    return total / (len(offsets) if led_um else 1)


def test_transfers_are_within_the_bound_wherever_the_pupil_cuts_no_part_of_a_lamp():
    """Against plain sums of those of single points, frequency by frequency."""
    y, x = (f.ravel() for f in np.meshgrid(*GRID.frequencies(), indexing="ij"))
    found = make_model("born", GRID, SCOPE, BOARD.with_lamps(LED), SHAPE).transfer(y, x)[0]
    angle, radius = np.meshgrid((np.arange(12) + 0.5) / 12 * 2 * np.pi, np.sqrt((np.arange(6) + 0.5) / 6))
    offsets = 0.5 * LED * np.stack([radius * np.sin(angle), radius * np.cos(angle)], -1).reshape(-1, 2)
    true, largest, passed = 0.0, 0.0, np.zeros((2, len(y), len(LEDS)))
    for offset in offsets:
        light = Illumination.led_grid(LEDS, 4e3, 20e3, (0, 0), offset_um=offset)
        single = Born(GRID, SCOPE, light, SHAPE).transfer(y, x)[0]
        true, largest = true + single / len(offsets), max(largest, np.abs(single).max())
        for k, sign in enumerate((1, -1)):
            na = sign * SCOPE.wavelength_um * np.stack([y, x], -1)[:, None] + light.sources_na
            passed[k] += np.linalg.norm(na, axis=-1) <= SCOPE.objective_na
    whole = ((passed == 0) | (passed == len(offsets))).all(axis=0)
    assert 0.5 < whole.mean() < 1
    assert np.abs(found - true)[whole].max() <= BOUND * largest


@pytest.mark.parametrize("name, led, band", [("ssnp", LED, 0.0), ("born", LED, 0.0), ("bpm", 0.0, BAND)])
def test_images_of_lamps_are_within_twice_the_bound_of_a_sum_over_many_points(name, led, band):
    contrast = blob()
    light = BOARD.with_lamps(led, band)
    found = make_model(name, GRID, SCOPE, light, SHAPE, **options(name)).forward(contrast)
    true = brute_force(name, contrast, led, band)
    points = make_model(name, GRID, SCOPE, BOARD, SHAPE, **options(name)).forward(contrast)
    scale = np.linalg.norm(true - 1)
    assert np.linalg.norm(found - true) < 2 * BOUND * scale  # half of it for what the pupil's edge cuts
    assert np.linalg.norm(points - true) > 4 * BOUND * scale  # lamps matter here


@pytest.mark.parametrize("name", ["born", "rytov", "ssnp"])
def test_gradients_are_those_of_finite_differences(name):
    pattern = [[1, 0, 0.5], [0, 1, 0]]
    light = replace(BOARD, pattern=pattern).with_lamps(LED, 0.02)
    gain, contrast = np.array([1.1, 0.9]), blob(0.02)
    dims = np.random.default_rng(0).normal(size=(2, *SHAPE))

    def loss(c=contrast, light=light, gain=gain, defocus=0.2):
        model = make_model(name, GRID, SCOPE, light, SHAPE, gain=gain, defocus_um=defocus, **options(name))
        return float((dims * model.forward(c)).sum()), model

    model = loss()[1]
    found = model.gradients(contrast, dims)
    direction = np.random.default_rng(1).normal(size=(2, *GRID.shape)) * 1e-3
    direction = direction[0] + 1j * direction[1]
    for got in (found.contrast, model.vjp(contrast, dims), model.forward_and_pullback(contrast)[1](dims)):
        slope = (loss(contrast + 1e-3 * direction)[0] - loss(contrast - 1e-3 * direction)[0]) / 2e-3
        assert np.isclose(np.vdot(got, direction).real, slope, rtol=1e-5)

    def slope(change, step):
        return (loss(**change(step))[0] - loss(**change(-step))[0]) / (2 * step)

    for s, axis in ((0, 0), (2, 1)):
        move = np.zeros((3, 2))
        move[s, axis] = 1
        near = slope(lambda h, m=move: {"light": replace(light, sources_na=light.sources_na + h * m)}, 1e-6)
        assert np.isclose(found.sources_na[s, axis], near, rtol=1e-3)
        weigh = np.zeros((2, 3))
        weigh[0, s] = 1
        near = slope(lambda h, w=weigh: {"light": replace(light, pattern=light.pattern + h * w)}, 1e-4)
        assert np.isclose(found.pattern[0, s], near, rtol=1e-4)
    assert np.isclose(found.gain[1], slope(lambda h: {"gain": gain + [0, h]}, 1e-4), rtol=1e-4)
    assert np.isclose(found.defocus_um, slope(lambda h: {"defocus": 0.2 + h}, 1e-4), rtol=1e-3)


def test_single_scattering_of_lamps_is_linear_and_inverted_by_its_own_transfer():
    light = BOARD.with_lamps(LED, 0.02)
    grid = Grid((2, 18, 22), (1.0, 0.3, 0.3), (6.0, 0.0, 0.0))
    model = make_model("born", grid, SCOPE, light)
    rng = np.random.default_rng(2)
    contrast = rng.normal(size=(2, *grid.shape)) * 0.01
    contrast = contrast[0] + 1j * contrast[1]
    signal = rng.normal(size=(3, *model.image_shape))
    forward = model.linear_signal(contrast)
    assert np.isclose(np.vdot(signal, forward), np.vdot(model.adjoint(signal), contrast).real)
    y, x = grid.frequencies()
    real, imaginary = model.transfer(y[[1, 2]], x[[3, 1]])
    volumes = (np.fft.fft2(part)[:, [1, 2], [3, 1]] for part in (contrast.real, contrast.imag))
    seen = np.fft.fft2(forward)[:, [1, 2], [3, 1]]
    index, absorption = volumes
    summed = np.einsum("fmz,zf->mf", real, index) + np.einsum("fmz,zf->mf", imaginary, absorption)
    assert np.allclose(seen, summed, rtol=1e-4, atol=1e-4 * np.abs(seen).max())


def test_a_lamp_that_the_pupil_cuts_keeps_its_level():
    """Centres are just outside: what little passes is taken over all of the lamp, as the data are."""
    light = Illumination([[0.0, 0.52]], distance_um=20e3).with_lamps(2500)
    assert light.dark(SCOPE).all()
    level = make_model("ssnp", GRID, SCOPE, light, SHAPE, engine="plain").forward(
        np.zeros(GRID.shape, complex)
    )
    assert level.min() > 0.1 and level.max() < 0.6


def test_points_of_one_wavelength_are_the_models_themselves():
    assert BOARD.with_lamps().lamps is None
    assert type(make_model("born", GRID, SCOPE, BOARD, SHAPE)) is Born
    lamps = BOARD.with_lamps(LED, BAND)
    assert lamps.select([1]).lamps == lamps.at((100, 0)).lamps == lamps.lamps
    model = Optics.of(lamps).model("bpm", GRID, SCOPE, lamps, SHAPE)  # what a fit refines keeps its lamps
    assert len(model.parts.models) > 1 and len(model.parts.weights) > 1


@pytest.mark.parametrize(
    "light, size, words",
    [
        (Illumination.led_ring(4, 0.2), {"led_size_um": 500}, "how far the lamps are"),
        (BOARD, {"led_size_um": -1}, "negative|positive"),
        (BOARD, {"led_size_um": 2e4}, "as wide as they are far"),
        (BOARD, {"bandwidth_um": np.nan}, "finite"),
    ],
)
def test_lamps_that_cannot_be(light, size, words):
    with pytest.raises(InputError, match=words):
        light.with_lamps(**size)


def test_spectra_and_depths_that_no_few_wavelengths_stand_for():
    with pytest.raises(InputError, match="check its unit"):
        make_model("bpm", GRID, SCOPE, BOARD.with_lamps(bandwidth_um=0.4), SHAPE)
    far = Grid.for_images(SHAPE, SCOPE, (300.0, 301.0, 1.0), 2.0)
    for light in (BOARD.with_lamps(LED), BOARD.with_lamps(bandwidth_um=BAND)):
        with pytest.raises(InputError, match="refocus nearer"):
            make_model("born", far, SCOPE, light, SHAPE)


def test_files_hold_lamps(tmp_path):
    images = tiny.acquisition().images[:3]
    np.save(tmp_path / "s.npy", images)
    optics = "wavelength_um = 0.6\nobjective_na = 0.6\nmedium_index = 1.33\npixel_size_um = 0.25\n"
    light = 'kind = "led-grid"\npitch_mm = 4\ndistance_mm = 20\ncentre = [0, 0]\n'
    light += "leds = [[0, 1], [-1, -1], [1, 0]]\n"
    light += 'led_size_mm = 1.2\nbandwidth_nm = 30\ndirections = "travel"\n'
    text = f'[microscope]\n{optics}[images]\nfiles = "s.npy"\nbackground = 1\n[illumination]\n{light}'
    (tmp_path / "a.toml").write_text(text)
    read = read_acquisition(tmp_path / "a.toml")
    assert np.isclose(read.illumination.lamps.size, 0.06) and np.isclose(
        read.illumination.lamps.bandwidth_um, 0.03
    )
    read.save(tmp_path / "a.npz")
    again = read_acquisition(tmp_path / "a.npz")
    assert again.illumination.lamps == read.illumination.lamps
    points = replace(read, illumination=read.illumination.with_lamps())
    assert points.fingerprint() != read.fingerprint() == again.fingerprint()
    (tmp_path / "a.toml").write_text(
        text.replace("distance_mm = 20\n", "distance_mm = 20\nled_size_um = 3\n")
    )
    with pytest.raises(InputError, match="given twice"):
        read_acquisition(tmp_path / "a.toml")
    ring = 'kind = "led-ring"\ncount = 3\nna = 0.3\nled_size_um = 900\n'
    (tmp_path / "a.toml").write_text(text.split("[illumination]")[0] + "[illumination]\n" + ring)
    with pytest.raises(InputError, match=r"a\.toml.*how far the lamps are"):
        read_acquisition(tmp_path / "a.toml")


@pytest.mark.parametrize("name", ["born", "ssnp"])
def test_a_fit_predicts_the_images_of_lamps(name):
    light = replace(tiny.LIGHT, distance_um=2000.0).with_lamps(400.0, 0.03)
    optics = Acquisition(None, light, tiny.SCOPE, holdout=(4,))
    images = simulate(tiny.phantom(), optics, name, tiny.SHAPE)
    fit = tiny.fit(images, name)
    fit.run()
    assert len(fit.linear.parts.models) == len(fit.model.parts.models) > 1
    assert np.abs(images.images - tiny.acquisition(name).images).max() > 2e-3  # lamps show in them
    moments = tiny.fit(images, name).model
    found = moments.forward(np.zeros(moments.grid.shape, np.complex64))
    assert np.allclose(found, 1, atol=1e-5)
    again = [model.forward(tiny.rough(model.grid.shape, np.complex64)) for model in (fit.model, moments)]
    assert np.array_equal(*again)

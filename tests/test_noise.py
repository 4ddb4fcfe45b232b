"""The noise floor: found where it was put, whatever the sample."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Illumination, Microscope
from fieldrx.evaluation import evaluate, verdict
from fieldrx.noise import noise_floor


def smooth_images(shape=(3, 70, 58), sigma=0.02, pixel_um=0.12, seed=0):
    """Random images inside the band of an objective, plus white noise."""
    scope = Microscope(wavelength_um=0.6, objective_na=0.6, medium_index=1.33, pixel_size_um=pixel_um)
    rng = np.random.default_rng(seed)
    spectrum = np.fft.fft2(rng.standard_normal(shape))
    nu = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, pixel_um) for n in shape[1:]), indexing="ij"))
    signal = np.fft.ifft2(spectrum * (nu <= 1.9 * scope.cutoff)).real
    images = 1 + 0.2 * signal / signal.std() + sigma * rng.standard_normal(shape)
    return Acquisition(images, Illumination.led_ring(shape[0], 0.3), scope)


@pytest.mark.parametrize("sigma", [0.004, 0.05])
def test_noise_beneath_a_signal(sigma):
    acq = smooth_images(sigma=sigma)
    floor = noise_floor(acq)
    assert floor.method == "beyond the band"
    assert floor.sigma == pytest.approx(sigma, rel=0.05)
    assert floor.per_image == pytest.approx(sigma, rel=0.1)
    assert floor.share == pytest.approx(sigma / np.sqrt(np.mean((acq.images - 1) ** 2)), rel=0.05)


def test_masked_pixels_are_not_noise():
    acq = smooth_images(sigma=0.02)
    images, mask = acq.images.copy(), np.ones(acq.images.shape, bool)
    mask[:, 20:23, 30:36] = False
    mask[np.random.default_rng(1).random(mask.shape) < 0.01] = False
    dirty = Acquisition(images, acq.illumination, acq.microscope, mask)
    dirty.images[~mask] = 9.0  # it is the mask that counts, not the 1 that stands there
    assert noise_floor(dirty).sigma == pytest.approx(0.02, rel=0.15)


def test_large_pixels_give_an_upper_bound():
    """Where the band fills the spectrum, differences of pixels tell."""
    scope = Microscope(wavelength_um=0.6, objective_na=0.6, medium_index=1.33, pixel_size_um=0.5)
    y, x = np.mgrid[:60, :50]
    images = (
        1 + 0.1 * np.sin(y / 9)[None] * np.cos(x / 7) + np.random.default_rng(0).normal(0, 0.03, (2, 60, 50))
    )
    floor = noise_floor(Acquisition(images, Illumination.led_ring(2, 0.3), scope))
    assert floor.method == "differences of pixels"
    assert floor.sigma == pytest.approx(0.03, rel=0.1)


def test_photons_of_a_simulation():
    floor = noise_floor(tiny.acquisition(photons=2500))
    assert floor.sigma == pytest.approx(1 / 50, rel=0.2)


def test_nothing_valid_is_nan_and_not_an_error():
    acq = tiny.acquisition()
    empty = Acquisition(acq.images, acq.illumination, acq.microscope, np.zeros(acq.images.shape, bool))
    assert np.isnan(noise_floor(empty, [0, 1]).sigma)


@pytest.mark.parametrize(
    ("floor", "measured", "words"),
    [
        (0.075, True, "noise floor 7.5%: explained to the noise"),
        (0.02, True, "noise floor 2.0%: 7.7% is not noise"),
        (0.075, False, "noise floor at most 7.5%: noise alone may explain it"),
        (0.02, False, "noise floor at most 2.0%: at least 7.7% is not noise"),
        (np.nan, True, "noise floor unknown"),
        (None, True, "noise floor unknown"),
    ],
)
def test_verdict(floor, measured, words):
    said = verdict(0.08, floor, measured)
    assert said.startswith("predicts unseen illuminations to 8.0% of the signal; ")
    assert words in said
    assert "nan" not in said


def test_floor_of_an_image_counts_its_valid_pixels_alone():
    """Half of the pixels masked: the floor of the image is that of the set, not less."""
    acq = tiny.acquisition(photons=2500)
    mask = np.ones(acq.images.shape, bool)
    mask[:, ::2] = False
    found = evaluate(tiny.field(), replace(acq, mask=mask), model="born")
    floors = np.array([f for f in found["noise_floor_per_image"] if f is not None])
    assert floors.min() < found["noise_floor"] < floors.max()

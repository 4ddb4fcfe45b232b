"""Depth by refocusing: a sample out of focus is found where it was put."""

import numpy as np
import pytest

from fieldrx import Acquisition, Illumination, InputError, Microscope, Volume, simulate
from fieldrx.automatic import strength
from fieldrx.backends.fft import hann, taper
from fieldrx.refocus import axial_resolution_um, explained_share, find_depth, surroundings

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.5, medium_index=1.33, pixel_size_um=0.3)
LIGHT = Illumination.led_ring(8, 0.35, start_deg=5)
SHAPE = (72, 60)


def images(*heights_um, model="born", photons=3000):
    """Blobs of a few um at some heights."""
    spacing, origin = (0.4, 0.3, 0.3), (min(heights_um) - 2.0, 4.0, 4.0)
    n = round((max(heights_um) + 2.0 - origin[0]) / 0.4) + 1
    z, y, x = (o + d * np.arange(m) for o, d, m in zip(origin, spacing, (n, 46, 34), strict=True))
    contrast = np.zeros((n, 46, 34))
    for k, height in enumerate(heights_um):
        cy, cx = 9.0 + 2.5 * k, 8.0 + 1.5 * k
        r2 = ((z - height) ** 2)[:, None, None] + ((y - cy) ** 2)[:, None] + (x - cx) ** 2
        contrast += 0.02 * np.exp(-r2 / 1.2**2)
    optics = Acquisition(None, LIGHT, SCOPE)
    return simulate(Volume(contrast, spacing, origin, 1.33), optics, model, SHAPE, photons=photons)


@pytest.mark.parametrize("height", [-9.0, 0.0, 6.5])
@pytest.mark.parametrize("model", ["born", "ssnp"])
def test_a_blob_is_found_where_it_is(height, model):
    found = find_depth(images(height, model=model))
    first, last, dz = found.depth
    step = axial_resolution_um(SCOPE, LIGHT)
    assert found.heights_um[found.explained.argmax()] == pytest.approx(height, abs=0.6)
    assert first < height - 0.5
    assert last > height + 0.5
    if height:
        assert last - first < 6 * step
    else:  # little of a phase object shows in focus, and alike on both sides
        assert abs(first + last) < step
    assert 0 < dz <= 0.501 * step
    assert "refocusing" in found.note


def test_echoes_of_a_lattice_are_not_the_sample():
    """Nine directions on a lattice: a body of 2 um explains its images somewhat even 20 um away."""
    axis = np.array([-0.3, 0.0, 0.3])
    light = Illumination(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    spacing, origin = (0.4, 0.3, 0.3), (-4.0, 4.0, 4.0)
    z, y, x = (o + d * np.arange(m) for o, d, m in zip(origin, spacing, (21, 46, 34), strict=True))
    r = np.sqrt((z**2)[:, None, None] + ((y - 11) ** 2)[:, None] + (x - 9) ** 2)
    ball = Volume(0.02 / (1 + np.exp((r - 2) / 0.15)), spacing, origin, 1.33)
    acq = simulate(ball, Acquisition(None, light, SCOPE), "ssnp", SHAPE, photons=20000)
    found = find_depth(acq)
    first, last, _ = found.depth
    assert -6 < first < -2 and 2 < last < 6
    plain = explained_share(acq, np.arange(9), found.heights_um)
    echoes = found.heights_um[plain > surroundings(plain) + 0.2 * np.ptp(plain)]
    assert np.ptp(echoes) > 1.8 * (last - first)


def test_a_range_at_the_end_of_the_search_says_so():
    acq = images(-9.0)
    found = find_depth(acq, heights_um=np.linspace(-9.5, 5, 30))
    assert found.at_end and "give a wider --depth" in found.note
    assert not find_depth(acq).at_end


def test_two_blobs_are_both_in_the_range():
    first, last, _ = find_depth(images(-7.0, 5.0)).depth
    assert first < -7.0
    assert last > 5.0


def test_masked_pixels_do_not_matter():
    acq = images(-9.0)
    pixels, mask = acq.images.copy(), np.ones(acq.images.shape, bool)
    mask[:, 60:63, 50:53] = False
    dirty = Acquisition(pixels, LIGHT, SCOPE, mask)
    dirty.images[~mask] = 30.0  # it is the mask that counts, not the 1 that stands there
    found = find_depth(dirty)
    assert found.heights_um[found.explained.argmax()] == pytest.approx(-9, abs=0.6)


def test_noise_alone_has_no_depth():
    noise = 1 + 0.03 * np.random.default_rng(0).standard_normal((8, *SHAPE))
    with pytest.raises(InputError, match="no height"):
        find_depth(Acquisition(noise, LIGHT, SCOPE))


def test_one_direction_has_no_depth():
    still = Illumination(np.zeros((4, 2)))
    with pytest.raises(InputError, match="nearly one direction"):
        find_depth(Acquisition(images(0.0).images[:4], still, SCOPE))


@pytest.mark.parametrize("shape", [SHAPE, (2, 2)])
def test_images_without_signal_have_no_depth(shape):
    with pytest.raises(InputError, match="no signal at frequencies that tell depth"):
        find_depth(Acquisition(np.ones((8, *shape)), LIGHT, SCOPE))


def test_strength_takes_the_middle_where_nothing_tells_a_height_and_hides_no_mistake(monkeypatch):
    still = Acquisition(np.ones((8, *SHAPE)), LIGHT, SCOPE)
    assert strength(still, (-2, 6, 1), np.arange(8)).height_um == 2

    def wrong(*_):
        raise InputError("another mistake")

    monkeypatch.setattr("fieldrx.automatic.explained_share", wrong)
    with pytest.raises(InputError, match="another mistake"):
        strength(still, (-2, 6, 1), np.arange(8))


def test_the_window_is_hanns():
    """sin^2 that is 0 one sample outside; a product over the axes."""
    assert hann(5) == pytest.approx(np.sin(np.pi * np.arange(1, 6) / 6) ** 2)
    assert taper((3, 4, 5)) == pytest.approx(hann(3)[:, None, None] * hann(4)[:, None] * hann(5), rel=1e-14)
    assert taper((1, 2)).min() > 0

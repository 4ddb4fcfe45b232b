"""The supported band: against caps computed point by point, and against what images really tell."""

import numpy as np
import pytest
import tiny

from fieldrx import Illumination, Microscope
from fieldrx.band import Band, supported_band
from fieldrx.models import Born
from fieldrx.optics import Grid

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.17)
GRID = Grid((24, 30, 36), (0.4, 0.17, 0.15), (-4.6, 0.0, 0.0))
LIGHT = Illumination(np.array([[0.0, 0.0], [0.5, 0.1], [-0.2, 0.6], [0.9, 0.0]]), None)


def band(light=LIGHT, images=(0, 1, 2), **options):
    return supported_band(GRID, SCOPE, light, np.array(images), **options)


def test_every_supported_cell_is_crossed_by_a_cap():
    found = band(share=1e-9)
    nz = np.fft.fftfreq(24, 0.4)
    nu_y, nu_x = GRID.frequencies()
    expected = np.zeros(GRID.shape, bool)
    for s in LIGHT.sources_na[:3] / 0.5:
        for j, y in enumerate(nu_y):
            for k, x in enumerate(nu_x):
                for sign in (1, -1):
                    nu = sign * np.array([y, x]) + s
                    if nu @ nu <= SCOPE.cutoff**2:
                        f = [np.sqrt((1.33 / 0.5) ** 2 - v @ v) for v in (nu, s)]
                        height = sign * (f[0] - f[1])
                        # cells whose centre is less than one cell away; zero weight only where caps cancel
                        gap = np.abs(nz - height) * 24 * 0.4
                        expected[:, j, k] |= np.minimum(gap, 24 - gap) < 1
    assert not (found.supported & ~expected).any()
    assert (expected & ~found.supported).mean() < 0.002
    assert found.power.max() == 1


def test_symmetric_as_a_real_volume_needs():
    power = band().power
    mirrored = power[np.ix_(*(-np.arange(n) % n for n in power.shape))]
    # the Nyquist frequency stands for both its signs
    inner = np.ix_(*(np.arange(n) != n // 2 for n in power.shape))
    assert np.abs(power - mirrored)[inner].max() < 1e-6


def test_zero_frequency_and_the_axis_are_not_supported():
    """The mean and layers across the light: no image tells them."""
    supported = band().supported
    assert not supported[:, 0, 0].any()
    assert supported.any()


def test_a_wave_inside_changes_the_images_and_one_outside_does_not():
    """Against the linear model itself, on images as large as the grid."""
    scope = Microscope(0.5, 0.7, 1.33, 0.17)
    grid = Grid((24, 30, 30), (0.4, 0.17, 0.17), (-4.6, 0.0, 0.0))
    light = Illumination(LIGHT.sources_na[:3])
    found, model = supported_band(grid, scope, light), Born(grid, scope, light)
    rng = np.random.default_rng(0)
    white = rng.standard_normal(grid.shape)
    inside = found.inside(white)
    far = Band(grid, found.power, 1e-12)
    outside = white - far.inside(white)
    signal = [
        np.linalg.norm(model.linear_signal(v.astype(np.complex64))) / np.linalg.norm(v)
        for v in (inside, outside)
    ]
    assert signal[1] < 0.25 * signal[0]


def test_parts_add_up():
    found = band()
    volume = np.random.default_rng(1).standard_normal(GRID.shape)
    inside = found.inside(volume)
    assert inside.dtype == float
    assert found.inside(inside) == pytest.approx(inside, abs=1e-10)
    assert np.vdot(inside, volume - inside) == pytest.approx(0, abs=1e-8)
    stack = np.stack([volume, 2 * volume])
    assert found.inside(stack)[1] == pytest.approx(2 * inside)


def test_dark_sources_and_other_images_do_not_count():
    assert np.array_equal(band().power, band(Illumination(LIGHT.sources_na[:3])).power)
    assert not np.array_equal(band().power, band(images=(0, 1)).power)


def test_more_light_supports_more():
    one = supported_band(GRID, tiny.SCOPE, Illumination([[0.0, 0.3]]))
    ring = supported_band(GRID, tiny.SCOPE, Illumination.led_ring(12, 0.5))
    assert ring.supported.sum() > 2 * one.supported.sum()

"""One thin slice in closed form, against images of one."""

import numpy as np
import pytest

from fieldrx import Acquisition, Grid, Illumination, Microscope
from fieldrx.models import Rytov
from fieldrx.thin_slice import thin_slice

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.34, pixel_size_um=0.2)
LIGHT = Illumination(
    np.concatenate([Illumination.led_ring(n, na).sources_na for n, na in ((6, 0.3), (9, 0.6))])
)
SHAPE, HEIGHT = (40, 52), 1.5
IMAGES = np.arange(15)


def sample():
    """The index of a slice of 1 um: two details within the images."""
    y, x = (0.2 * np.arange(n) for n in SHAPE)
    details = ((0.01, 3.1, 4.0, 0.6), (-0.006, 5.2, 7.1, 0.4))
    return sum(a * np.exp(-(((y - b) / r) ** 2)[:, None] - ((x - c) / r) ** 2) for a, b, c, r in details)


def acquisition(mask=None):
    grid = Grid.for_images(SHAPE, SCOPE, (0.0, 1.0, 1.0))
    grid = Grid((1, *grid.shape[1:]), grid.spacing_um, (HEIGHT, *grid.origin_um[1:]))
    model, contrast = Rytov(grid, SCOPE, LIGHT, SHAPE), np.zeros(grid.shape, np.complex64)
    contrast[0][model.window] = sample()
    images = model.forward(contrast)
    return Acquisition(images, LIGHT, SCOPE, mask)


def weak(block, blocks):
    return 1e-3 * max(one.strongest for one in blocks)


def likeness(found):
    """Correlation with the truth, and the size of it that is found."""
    truth, found = sample() - sample().mean(), found - found.mean()
    return np.vdot(truth, found) / np.linalg.norm(truth) / np.linalg.norm(found), np.vdot(
        truth, found
    ) / np.vdot(truth, truth)


def test_a_thin_sample_is_found_at_its_height():
    found = thin_slice(acquisition(), HEIGHT, IMAGES, weak)
    alike, size = likeness(found)
    assert found.shape == SHAPE
    assert alike > 0.85  # what shows next to nothing, slow variations, is lost
    assert size == pytest.approx(1, abs=0.3)
    assert likeness(thin_slice(acquisition(), -HEIGHT, IMAGES, weak))[0] < 0.7


def test_masked_pixels_say_nothing():
    mask = np.random.default_rng(0).random((15, *SHAPE)) > 0.05
    whole, masked = acquisition(), acquisition(mask)
    spoilt = Acquisition(np.where(mask, whole.images, np.float32(9)), LIGHT, SCOPE, mask)
    assert np.array_equal(*(thin_slice(a, HEIGHT, IMAGES, weak) for a in (masked, spoilt)))


def test_the_ridge_of_every_block():
    """A stiff ridge leaves little; it is asked for with the block and all others."""
    seen = []

    def stiff(block, blocks):
        seen.append((block.mean, len(blocks)))
        return 1e3 * weak(block, blocks)

    found = thin_slice(acquisition(), HEIGHT, IMAGES, stiff)
    assert likeness(found)[1] < 0.6
    assert len(seen) == seen[0][1]
    assert all(mean > 0 for mean, _ in seen)

"""Measured images beside predicted ones, and the sums that errors are made of."""

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition
from fieldrx.comparison import MeasuredImages
from fieldrx.metrics import ErrorSums, error_sums, image_errors
from fieldrx.models import Born
from fieldrx.optics import Grid
from fieldrx.shading import flattened

GRID = Grid.for_images(tiny.SHAPE, tiny.SCOPE, tiny.DEPTH)
IMAGES = np.array([4, 0, 3])


def model():
    return Born(GRID, tiny.SCOPE, tiny.LIGHT, tiny.SHAPE)


def contrast():
    return tiny.field().on_axes(*GRID.axes)


def masked():
    images = tiny.acquisition().images
    mask = np.random.default_rng(0).random(images.shape) > 0.2
    return Acquisition(images, tiny.LIGHT, tiny.SCOPE, mask)


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("make", [tiny.acquisition, masked])
def test_some_images_beside_those_of_a_model(make, background):
    acq = make()
    pairs = MeasuredImages.of(acq, background).compare(model(), contrast(), IMAGES)
    predicted, measured = model().forward(contrast(), IMAGES), acq.images[IMAGES]
    mask = None if acq.mask is None else acq.mask[IMAGES]
    valid = np.ones(measured.shape, bool) if mask is None else mask
    measured = flattened(measured, predicted, mask) if background else measured
    assert np.array_equal(pairs.predicted, predicted)
    assert np.array_equal(pairs.measured, measured)
    assert np.array_equal(pairs.residual, np.where(valid, measured - predicted, 0))
    assert pairs.n_valid == valid.sum()
    assert np.array_equal(pairs.of_valid(predicted), predicted[valid])
    assert pairs.sums.nrmse == image_errors(predicted, measured, mask)[0]


def test_undefined_pixels_count_no_more_than_masked_ones():
    acq, defined = masked(), np.random.default_rng(1).random((3, *tiny.SHAPE)) > 0.3
    pairs = MeasuredImages.of(acq, True).beside(acq.images[IMAGES], IMAGES, defined)
    assert np.array_equal(pairs.valid, defined & acq.mask[IMAGES])
    assert (pairs.measured[~pairs.valid] == 1).all()
    assert pairs.n_valid == pairs.valid.sum()
    assert not pairs.masked(np.ones(pairs.valid.shape))[~pairs.valid].any()


def test_measured_images_are_left_alone():
    acq = masked()
    before = acq.images.copy()
    MeasuredImages.of(acq, True).compare(model(), contrast(), np.arange(6))
    assert np.array_equal(acq.images, before)


def test_sums_of_parts_are_those_of_the_whole_to_the_last_bit():
    rng = np.random.default_rng(2)
    predicted, measured = (1 + 0.3 * rng.standard_normal((2, 23, 9, 7))).astype(np.float32)
    mask = rng.random(measured.shape) > 0.3
    whole = error_sums(predicted, measured, mask)
    parts = np.array_split(rng.permutation(23), 4)
    sums = [error_sums(predicted[p], measured[p], mask[p]).among(p, 23) for p in parts]
    for order in (sums, sums[::-1]):
        total = sum(order[1:], order[0])
        for name in ("residual", "signal", "pixels", "nrmse", "nrmse_per_image"):
            assert np.array_equal(getattr(total, name), getattr(whole, name)), name
    assert whole.nrmse == image_errors(predicted, measured, mask)[0]
    assert whole.pixels.tolist() == mask.sum(axis=(1, 2)).tolist()


def test_nothing_to_compare_has_no_error():
    nothing = ErrorSums(np.zeros(2), np.zeros(2), np.zeros(2, int))
    assert np.isnan(nothing.nrmse)
    assert np.isnan(nothing.nrmse_per_image).all()

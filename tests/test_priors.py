"""Regularisers against plain NumPy and directional derivatives."""

import numpy as np
import pytest

from fieldrx.backends import cpu
from fieldrx.errors import InputError
from fieldrx.priors import Priors, priors_of_sign

SHAPE, WEIGHTS, EPS = (5, 7, 9), (0.3, 1.0, 0.7), 0.05


def plain_total_variation(u, weights=WEIGHTS, eps=EPS):
    squares = np.full(u.shape, eps**2)
    for axis, weight in enumerate(weights):
        d = np.zeros_like(u)
        inner = [slice(None)] * 3
        inner[axis] = slice(0, -1)
        d[tuple(inner)] = weight * np.diff(u, axis=axis)
        squares += d**2
    return (np.sqrt(squares) - eps).sum()


def plain_negativity(u):
    return (np.minimum(u, 0) ** 2).sum()


def plain_positivity(u):
    return (np.maximum(u, 0) ** 2).sum()


# What `regularise` adds up, and its factors (of the total variation, of negative values, of positive ones).
PARTS = {
    "total variation": (plain_total_variation, (2.0, 0.0, 0.0)),
    "negative": (plain_negativity, (0.0, 2.0, 0.0)),
    "positive": (plain_positivity, (0.0, 0.0, 2.0)),
}


def fused(u, factors, grad):
    return cpu.regularise(u, WEIGHTS, EPS, *factors, grad)


@pytest.mark.parametrize("part", PARTS)
def test_value_and_gradient(part):
    plain, factors = PARTS[part]
    rng = np.random.default_rng(1)
    u = rng.standard_normal(SHAPE)
    grad = np.full(SHAPE, 0.25, np.float32)  # gradients are added to what is there
    value = fused(u.astype(np.float32), factors, grad)
    assert value == pytest.approx(2 * plain(u), rel=1e-5)
    direction = rng.standard_normal(SHAPE)
    slope = (plain(u + 1e-6 * direction) - plain(u - 1e-6 * direction)) / 2e-6
    assert ((grad - 0.25) * direction).sum() == pytest.approx(2 * slope, rel=1e-5)


def test_flat_volume_costs_nothing():
    grad = np.zeros(SHAPE, np.float32)
    flat = np.full(SHAPE, 0.3, np.float32)
    assert fused(flat, (1.0, 1.0, 0.0), grad) == pytest.approx(0, abs=1e-4)
    assert not grad.any()


def test_a_sample_less_dense_than_its_medium():
    rng = np.random.default_rng(3)
    u = rng.standard_normal((1, *SHAPE))
    priors = Priors(**{"tv": 0.0, "tv_absorption": 0.0} | priors_of_sign(-1))
    value, grad = priors.value_and_gradient(u.astype(np.float32), (1, 1, 1), 1.0)
    positive = np.maximum(u, 0)
    assert value == pytest.approx(priors.nonpositive * (positive**2).mean(), rel=1e-5)
    expected = 2 * priors.nonpositive * positive / u.size
    assert np.abs(grad - expected).max() < 1e-5 * np.abs(expected).max()
    mirrored = Priors(**{"tv": 0.0, "tv_absorption": 0.0} | priors_of_sign(1))
    other, opposite = mirrored.value_and_gradient(-u.astype(np.float32), (1, 1, 1), 1.0)
    assert other == pytest.approx(value, rel=1e-6)
    assert np.abs(grad + opposite).max() < 1e-6


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_sum_of_weighted_regularisers(n_outputs):
    rng = np.random.default_rng(2)
    u = rng.standard_normal((n_outputs, *SHAPE))
    priors = Priors(tv=0.2, tv_absorption=0.5, nonnegative=0.3, nonnegative_absorption=0.7)

    def plain(u):
        pairs = ((0.2, 0.3), (0.5, 0.7))
        return sum(
            tv * plain_total_variation(part, (0.4, 1.0, 2 / 3), 0.02) / part.size
            + negative * plain_negativity(part) / part.size
            for part, (tv, negative) in zip(u, pairs, strict=False)
        )

    value, grad = priors.value_and_gradient(u.astype(np.float32), (0.5, 0.2, 0.3), 0.2)
    assert value == pytest.approx(plain(u), rel=1e-5)
    direction = rng.standard_normal(u.shape)
    slope = (plain(u + 1e-6 * direction) - plain(u - 1e-6 * direction)) / 2e-6
    assert (grad * direction).sum() == pytest.approx(slope, rel=1e-5)
    there = np.full(u.shape, 0.5, np.float32)
    same, added = priors.value_and_gradient(u.astype(np.float32), (0.5, 0.2, 0.3), 0.2, grad=there)
    assert same == value and added is there
    np.testing.assert_allclose(added, 0.5 + grad, atol=1e-6)


def test_negative_weight_is_refused():
    with pytest.raises(InputError, match="tv is -1"):
        Priors(tv=-1)

"""Adam against the formulas of the paper in float64."""

import numpy as np
import pytest

from fieldrx.backends.cpu import adam_step


def reference(params, gradients, lr, beta1, beta2, eps):
    params = params.astype(float)
    m = v = np.zeros_like(params)
    for step, g in enumerate(gradients.astype(float), 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        params = params - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)
    return params


@pytest.mark.parametrize("size", [0, 1, 4095, 10_001])
def test_matches_the_paper(size):
    rng = np.random.default_rng(size)
    params = rng.normal(size=size).astype("f4")
    gradients = (rng.normal(size=(20, size)) * 10.0 ** rng.uniform(-6, 3, size)).astype("f4")
    expected = reference(params, gradients, 0.01, 0.9, 0.99, 1e-8)
    m, v = np.zeros_like(params), np.zeros_like(params)
    for step, gradient in enumerate(gradients, 1):
        adam_step(params, gradient, m, v, step, 0.01, 0.9, 0.99, 1e-8)
    np.testing.assert_allclose(params, expected, atol=1e-5)


def test_slices_take_rates_of_their_own():
    arrays = [np.zeros(10, np.float32) for _ in range(3)]
    gradient = np.ones(10, np.float32)
    for part, lr in ((slice(4), 0.1), (slice(4, 10), 0.001)):
        params, m, v = (array[part] for array in arrays)
        adam_step(params, gradient[part], m, v, 1, lr)
    np.testing.assert_allclose(arrays[0], [-0.1] * 4 + [-0.001] * 6, rtol=1e-5)


def test_a_gradient_of_zero_changes_nothing():
    params, m, v = np.ones(7, np.float32), np.zeros(7, np.float32), np.zeros(7, np.float32)
    adam_step(params, np.zeros(7, np.float32), m, v, 1, 0.1)
    np.testing.assert_array_equal(params, np.ones(7))

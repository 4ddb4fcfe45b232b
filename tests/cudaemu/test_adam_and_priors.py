"""Adam and the regularisers on the emulated GPU, against formulas in float64."""

import numpy as np
import pytest
from test_adam import reference
from test_priors import EPS, PARTS, SHAPE, WEIGHTS

from fieldrx.backends import cpu


@pytest.mark.parametrize("size", [0, 1, 1001])
def test_adam_matches_the_paper(gpu, size):
    import cupy

    from fieldrx.backends import cuda

    rng = np.random.default_rng(size)
    params = rng.normal(size=size).astype("f4")
    gradients = (rng.normal(size=(5, size)) * 10.0 ** rng.uniform(-6, 3, size)).astype("f4")
    expected = reference(params, gradients, 0.01, 0.9, 0.99, 1e-8)
    ours, m, v = cupy.asarray(params), cupy.zeros(size, np.float32), cupy.zeros(size, np.float32)
    for step, gradient in enumerate(gradients, 1):
        cuda.adam_step(ours, cupy.asarray(gradient), m, v, step, 0.01, 0.9, 0.99, 1e-8)
    np.testing.assert_allclose(ours.get(), expected, atol=2e-6)


def test_adam_takes_a_slice(gpu):
    import cupy

    from fieldrx.backends import cuda

    params, m, v, ones = (cupy.full(10, x, np.float32) for x in (0, 0, 0, 1))
    cuda.adam_step(params[4:], ones[4:], m[4:], v[4:], 1, 0.001)
    np.testing.assert_allclose(params.get(), [0] * 4 + [-0.001] * 6, rtol=1e-5)


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 5), (3, 37, 11)])
@pytest.mark.parametrize("parts", [*((name,) for name in PARTS), tuple(PARTS)], ids="-".join)
def test_priors_against_plain_numpy(gpu, parts, shape):
    import cupy

    from fieldrx.backends import cuda

    def plain(u):
        return sum(2 * PARTS[name][0](u) for name in parts)

    u = np.random.default_rng(1).standard_normal(shape)
    factors = np.sum([PARTS[name][1] for name in parts], axis=0)
    grad, on_cpu = cupy.full(shape, 0.25, np.float32), np.full(shape, 0.25, np.float32)
    value = cuda.regularise(cupy.asarray(u.astype("f4")), WEIGHTS, EPS, *factors, grad)
    assert gpu.launches == ["regularise"] and gpu.transfers == 0  # the value stays on the device
    same = cpu.regularise(u.astype("f4"), WEIGHTS, EPS, *factors, on_cpu)
    assert float(value) == pytest.approx(plain(u), rel=1e-6) and same == pytest.approx(plain(u), rel=1e-5)
    np.testing.assert_allclose(grad.get(), on_cpu, atol=4e-6)
    again = cuda.regularise(cupy.asarray(u.astype("f4")), WEIGHTS, EPS, *factors, grad.copy(), value)
    assert again is value and float(value) == pytest.approx(2 * plain(u), rel=1e-6)
    twice = cpu.regularise(u.astype("f4"), WEIGHTS, EPS, *factors, on_cpu.copy(), same)
    assert twice == pytest.approx(2 * same, rel=1e-12)
    direction = np.random.default_rng(2).standard_normal(shape)
    slope = (plain(u + 1e-6 * direction) - plain(u - 1e-6 * direction)) / 2e-6
    assert ((grad.get() - 0.25) * direction).sum() == pytest.approx(slope, rel=1e-5)

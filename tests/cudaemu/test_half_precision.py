"""Half precision in NumPy, with which whole fits are studied, is that of the kernels.

Were one operand rounded elsewhere, it would be at most 4 times as near to the kernels as float32 is.
"""

import half_precision
import numpy as np
import pytest
from test_field import CASES, named_parts, problem

from fieldrx.backends import cpu


def assert_much_nearer(ours, exact, kernels):
    """In the median, since a number now and then rounds to another half for the last bit of a sum."""
    touched = kernels != 0
    apart, halves_apart = (np.median(np.abs(a - kernels)[touched]) for a in (ours, exact))
    assert 10 * apart < halves_apart


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-9, 1e5])
@pytest.mark.parametrize("case", ["default", "team", "wide", "sine"])
def test_points(gpu, case, size):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, precision = CASES[case]
    network, params, points, d_out, gain = problem(encoding, options, 301, margin=0)
    d_out *= np.float32(size / 1e-4)
    device = [cupy.asarray(a) for a in (params, points, d_out, gain)]
    value = cupy.empty(d_out.shape, np.float32)
    kernels = cuda.field_backward(encoding, network, *device, value, precision=precision).get()
    given = encoding, network, params, points
    ours, exact = half_precision.forward(*given, gain), cpu.field_forward(*given, gain)
    assert_much_nearer(ours, exact, value.get())
    ours, exact = half_precision.backward(*given, d_out, gain), cpu.field_backward(*given, d_out, gain)
    parts = (named_parts(encoding, network, gradient) for gradient in (ours, exact, kernels))
    for one, other, expected in zip(*(p.values() for p in parts), strict=True):
        assert_much_nearer(one, other, expected)


def test_what_is_too_large_becomes_the_largest_half(gpu):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, precision = CASES["default"]
    network, params, points, d_out, gain = problem(encoding, options, 60, margin=0)
    named = network.unpack(params[encoding.n_params :])
    named["bias_0"][3], named["bias_0"][5], named["weight_1"][8, 2] = 1e5, -1e6, 1e7
    device = [cupy.asarray(a) for a in (params, points, d_out, gain)]
    value = cupy.empty(d_out.shape, np.float32)
    gradient = cuda.field_backward(encoding, network, *device, value, precision=precision).get()
    ours = half_precision.forward(encoding, network, params, points, gain)
    np.testing.assert_allclose(value.get(), ours, rtol=1e-4)
    ours = half_precision.backward(encoding, network, params, points, d_out, gain)
    np.testing.assert_allclose(gradient, ours, rtol=1e-3, atol=1e-4 * np.abs(ours).max())


def test_grid(gpu):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, _ = CASES["default"]
    network, params, *_, gain = problem(encoding, options, 8, margin=0)
    rng, shape, backend = np.random.default_rng(3), (5, 9, 13), half_precision.Backend()
    axes = [np.sort(rng.uniform(-1, 1, n)).astype("f4") for n in shape]
    d_out = rng.normal(size=(network.n_outputs, *shape)).astype("f4")
    found = {"value": [], "gradient": []}
    for xp, put in ((backend, np.asarray), (cpu, np.asarray), (cuda, cupy.asarray)):
        at, of_output = [put(a) for a in (params, *axes)], put(d_out)
        found["value"].append(xp.grid_forward(encoding, network, *at, put(gain)))
        found["gradient"].append(xp.grid_backward(encoding, network, *at, of_output, put(gain)))
    for ours, exact, kernels in found.values():
        assert_much_nearer(ours, exact, kernels.get())

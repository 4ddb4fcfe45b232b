"""What does not depend on the order in which threads and blocks finish, and how far the rest does.

docs/gpu.rst promises: all but sums by atomic additions is the same to the last bit.
"""

import fake_cupy
import numpy as np
import pytest
from test_field import CASES, problem, relative

from fieldrx.backends import to_host

ORDERS = False, False, True  # twice the same, then every thread, warp and block in the reverse order
APART = 2e-6  # sums of floats, over their own size


@pytest.fixture
def in_orders():
    """Results of some work on the device in these orders."""

    def run(work):
        found = []
        for reverse in ORDERS:
            with fake_cupy.installed(reverse=reverse):
                import cupy

                from fieldrx.backends import cuda

                found.append([to_host(a) for a in work(cuda, cupy.asarray)])
        return zip(*found, strict=True)

    return run


@pytest.mark.parametrize("case", ["default", "default-float32", "team"])
def test_a_field(in_orders, case):
    encoding, options, precision = CASES[case]
    network, params, points, d_out, gain = problem(encoding, options, 301, margin=0)

    def work(cuda, put):
        device = [put(a) for a in (params, points, gain)]
        value = cuda.field_forward(encoding, network, *device, precision=precision)
        given = device[0], device[1], put(d_out), device[2]
        return value, cuda.field_backward(encoding, network, *given, precision=precision)

    (first, again, reverse), gradients = in_orders(work)
    assert np.array_equal(first, again) and np.array_equal(first, reverse)
    assert np.array_equal(gradients[0], gradients[1])  # one order gives one result
    if encoding.n_params:  # but atomic additions to its table do not keep to one
        assert not np.array_equal(gradients[0], gradients[2])
    assert relative(gradients[2], gradients[0]) < APART


@pytest.mark.parametrize("kind", ["Bpm", "Mlb", "Ssnp"])
def test_waves_and_their_gradient(in_orders, kind):
    rng, shape = np.random.default_rng(2), (15, 12)
    slices, d_wave = (rng.normal(size=(2, n, *shape)).astype("f4") for n in (4, 3))
    frequencies = [np.fft.fftfreq(n, 0.2) for n in shape]
    arguments = *frequencies, rng.uniform(-1, 1, (3, 2)), 2.66, np.array([0.3, 0.25, 0.4])

    def work(cuda, put):
        march = getattr(cuda, kind)(*arguments)
        wave = march.forward(put(0.3 * (slices[0] + 1j * abs(slices[1]))))
        return wave, march.backward(put(d_wave[0] + 1j * d_wave[1]))[0]

    for first, again, reverse in in_orders(work):
        assert np.array_equal(first, again) and np.array_equal(first, reverse)


def test_losses_priors_and_a_step_of_adam(in_orders):
    rng = np.random.default_rng(3)
    u, measured = rng.normal(size=(2, 4, 37, 61)).astype("f4")

    def work(cuda, put):
        grad, m, v = (put(np.zeros_like(u)) for _ in range(3))
        loss, d_loss = cuda.squared_error(put(u), put(measured), put(u > -1), 0.5)
        prior = cuda.regularise(put(u), (1.0, 0.5, 0.5), 0.02, 0.1, 0.1, 0.2, grad)
        params = put(u.ravel())
        cuda.adam_step(params, d_loss.ravel(), m.ravel(), v.ravel(), 1, 0.01)
        return loss, prior, d_loss, grad, params, m, v

    *sums, d_loss, grad, params, m, v = in_orders(work)
    for first, again, reverse in (d_loss, grad, params, m, v):
        assert np.array_equal(first, again) and np.array_equal(first, reverse)
    for first, again, reverse in sums:
        assert first == again and reverse == pytest.approx(first, rel=1e-13)  # sums in double precision

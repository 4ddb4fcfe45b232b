"""Passes over a volume on the emulated GPU and on the CPU: against formulas in double precision."""

import numpy as np
import pytest

SHAPE, N0 = (3, 7, 11), 1.34


def volumes(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 2, *SHAPE))


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_outputs_and_contrast(engine, n_outputs):
    operators, put, get = engine
    outputs, gradient = volumes(2)
    outputs = outputs[:n_outputs]
    contrast = get(operators.to_contrast(put(outputs.astype("f4")), 0.3))
    whole = 0.3 * (outputs[0] + (1j * outputs[1] if n_outputs == 2 else 0))
    assert contrast.dtype == np.complex64 and contrast.shape == SHAPE
    np.testing.assert_allclose(contrast, whole, rtol=1e-6)
    gradient = gradient[0] + 1j * gradient[1]
    back = get(operators.to_outputs(put(gradient.astype("c8")), n_outputs, 0.3))
    assert back.dtype == np.float32 and back.shape == outputs.shape
    # of the real inner product Re <gradient, contrast> the one is the adjoint of the other
    assert (back * outputs).sum() == pytest.approx(np.vdot(gradient, whole).real, rel=1e-5)


def test_parts_and_empty_volumes(engine):
    """A slab's planes are no contiguous array; where there are more ranks than planes, some have none."""
    operators, put, get = engine
    outputs = volumes(1)[0].astype("f4")
    part = operators.to_contrast(put(outputs)[:, 1:], 1.0)
    np.testing.assert_array_equal(get(part), outputs[0, 1:] + 1j * outputs[1, 1:])
    assert operators.to_contrast(put(outputs[:, :0]), 1.0).shape == (0, *SHAPE[1:])
    assert operators.to_outputs(part[:0], 2, 1.0).shape == (2, 0, *SHAPE[1:])


@pytest.mark.parametrize(("kind", "tolerance"), [("c8", 2e-6), ("c16", 1e-13)])
def test_potential(engine, kind, tolerance):
    operators, put, get = engine
    contrast, d_slices, change = (0.05 * (v[0] + 1j * v[1]) for v in volumes(3))
    factors = np.array([0.7, 1.3, 2.1])
    found = get(operators.potential(put(contrast.astype(kind)), N0, factors))

    def slices(c):
        return factors[:, None, None] * ((N0 + c) ** 2 - N0**2)

    assert found.dtype == kind
    assert np.linalg.norm(found - slices(contrast)) < tolerance * np.linalg.norm(found)
    given = put(contrast.astype(kind)), put(d_slices.astype(kind))
    back = get(operators.potential_vjp(*given, N0, factors))
    assert back.dtype == kind
    rise = (slices(contrast + 1e-5 * change) - slices(contrast - 1e-5 * change)) / 2e-5
    slope = np.vdot(d_slices, rise).real
    assert np.vdot(back, change).real == pytest.approx(slope, rel=max(1e-9, 10 * tolerance))

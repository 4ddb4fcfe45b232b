"""Whole fits on the emulated GPU, against the same fits on the CPU."""

import numpy as np
import pytest
import tiny

from fieldrx import Fit, Illumination, Priors, load_field
from fieldrx.backends import to_host
from fieldrx.field import Network, Positional
from fieldrx.io import load_npz

# Without a table, many of whose gradients are rounding errors, which Adam turns into whole steps.
WAVES = Positional(2, 2, 3)
SINE = Network(WAVES.n_features, width=16, depth=1, activation="sine", omega=2.0)  # float32 by default
PRIORS = Priors(0.1, 0.2, 5.0, 3.0)


def masked(acq):
    mask = np.random.default_rng(9).random(acq.images.shape) > 0.1
    return type(acq)(acq.images, acq.illumination, acq.microscope, mask, acq.holdout, acq.name)


def close(found, expected, tolerance):
    found, expected = to_host(found), to_host(expected)
    return np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


def fits(model, schedule):
    acq, given = masked(tiny.acquisition(model)), {"encoding": WAVES, "network": SINE, "priors": PRIORS}
    return [tiny.fit(acq, model, schedule=schedule, device=device, **given) for device in ("cpu", "cuda")]


@pytest.mark.parametrize("model", ["born", "rytov", "bpm", "ssnp", "mlb"])
def test_steps_equal_those_of_the_cpu(gpu, model):
    """Warm start, coarse steps and fine ones, batches, a mask and priors, in float32."""
    linear = model in ("born", "rytov")
    schedule = tiny.schedule(steps=3, warm_steps=2 if linear else 0, batch=2, coarse=0.5, evaluate_every=2)
    host, device = fits(model, schedule)
    host.start()
    device.start()
    assert close(device.state.params, host.state.params, 1e-4)
    for _ in range(3):
        expected, (data, prior) = host.step(), device.step()
        assert data == pytest.approx(expected[0], rel=1e-4)
        assert prior == pytest.approx(expected[1], rel=1e-3, abs=1e-6)
    assert close(device.state.params, host.state.params, 1e-3)
    assert close(device.state.m, host.state.m, 2e-3)
    assert close(device.state.history["holdout"][::2], host.state.history["holdout"][::2], 1e-4)
    field = device.field()
    assert isinstance(field.params, np.ndarray)

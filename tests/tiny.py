"""A problem small enough to fit in a second: a blob, six images, a field of a few hundred parameters."""

import numpy as np

from fieldrx import Acquisition, Fit, Illumination, Microscope, Schedule, Volume, simulate
from fieldrx.field import Hash, Network, NeuralField

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.6, medium_index=1.33, pixel_size_um=0.25)
LIGHT = Illumination.led_ring(6, 0.5, start_deg=10)
SHAPE = (24, 20)
DEPTH = (-1.0, 1.0, 0.5)
ENCODING = Hash(((3, 5, 4), (5, 15, 13)), log2_table_size=9)
NETWORK = Network(ENCODING.n_features, width=16, depth=1)


def rough(shape, dtype=np.complex128, strength=0.04):
    """A contrast without any smoothness, absorbing everywhere."""
    real, imaginary = np.random.default_rng(3).normal(size=(2, *shape))
    return (strength * (real + 0.3j * np.abs(imaginary))).astype(dtype)


def phantom(absorbing=False):
    """A blob off the centre of the images, on voxels of unequal spacing."""
    spacing, origin = (0.5, 0.25, 0.3), (-1.0, 0.5, 0.4)
    z, y, x = (o + d * np.arange(n) for o, d, n in zip(origin, spacing, (5, 19, 14), strict=True))
    r2 = (z[:, None, None] / 0.8) ** 2 + ((y[:, None] - 2.7) / 1.1) ** 2 + ((x - 2.1) / 0.9) ** 2
    contrast = 0.01 * np.exp(-r2)
    return Volume(contrast * (1 + 0.1j) if absorbing else contrast, spacing, origin, SCOPE.medium_index)


def acquisition(model="born", absorbing=False, holdout=(4,), shape=SHAPE, **options):
    """Images of the phantom."""
    optics = Acquisition(None, LIGHT, SCOPE, holdout=holdout, name="tiny")
    return simulate(phantom(absorbing), optics, model, shape, **options)


def schedule(**options):
    """A short fit."""
    return Schedule(**({"steps": 4, "warm_steps": 3, "evaluate_every": 1} | options))


def fit(acq=None, model="born", **options):
    """A fit of the small field."""
    given = {"encoding": ENCODING, "network": NETWORK, "schedule": schedule()} | options
    return Fit(acq or acquisition(), DEPTH, model, **given)


def field(seed=0, n_outputs=2, **options):
    """A field with random weights whose domain has unequal sides."""
    network = Network(ENCODING.n_features, width=16, depth=1, n_outputs=n_outputs)
    rng = np.random.default_rng(seed)
    params = rng.standard_normal(ENCODING.n_params + network.n_params).astype(np.float32)
    given = {
        "bounds_um": np.array([(-1.25, 1.25), (-2.0, 7.0), (-1.5, 6.0)]),
        "region_um": np.array([(-1.0, 1.0), (0.0, 5.75), (0.0, 4.75)]),
        "output_scale": 0.004,
        "medium_index": SCOPE.medium_index,
        "spacing_um": (0.5, 0.25, 0.25),
        "history": {"loss": np.array([0.3, 0.2])},
    } | options
    return NeuralField(ENCODING, network, params, **given)


def slope(objective, params, direction, h=5e-4):
    """Derivative of a function of float32 parameters along a direction, by differences of fourth order."""
    far, down, up, farther = (objective(params + np.float32(s * h) * direction) for s in (-2, -1, 1, 2))
    return (8 * (up - down) - (farther - far)) / (12 * h)

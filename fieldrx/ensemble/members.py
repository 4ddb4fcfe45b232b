"""Members that go on from a field, in large steps, on a part of its images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.ensemble.fits import refit
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, Schedule
from fieldrx.models import Optics

_OMITTED = 0.25  # share of the training images that a member does not see
_RESTART: dict[str, Any] = {"coarse": 0.7, "warm_steps": 1, "tilted_from": 0.0, "patience": 0}
_RATE = 0.5  # of the field's own first step size


def member_fit(
    parent: NeuralField, acquisition: Acquisition, train: np.ndarray, steps: int, seed: tuple, **how: Any
) -> Fit:
    """The fit of one member, which starts from the field.

    Parameters
    ----------
    parent : NeuralField
    acquisition : Acquisition
        The images it was fitted to.
    train : int array
        Those of them that it learnt from.
    steps : int
    seed : tuple of int
        Of the images that the member sees, and of their order.
    **how
        Callback, device and precision: as of `fieldrx.Fit`.
    """
    rng = np.random.default_rng(seed)
    part = np.sort(rng.permutation(train)[: max(round((1 - _OMITTED) * len(train)), 1)])
    own = Schedule(**parent.provenance.need("schedule"))
    schedule = replace(
        own,
        steps=steps,
        budget_s=None,
        evaluate_every=steps,
        learning_rate=_RATE * own.learning_rate,
        table_learning_rate=_RATE * own.table_learning_rate,
        seed=int(rng.integers(2**31)),
        **_RESTART,
    )
    optics = Optics.recorded(parent.provenance, acquisition.illumination).select(part)
    return refit(
        parent, acquisition.select(part), {"images": part.tolist()}, schedule, holdout=0, optics=optics, **how
    )

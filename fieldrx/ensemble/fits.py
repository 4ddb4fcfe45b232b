"""Fits again, with the settings of a field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, Schedule
from fieldrx.models import spacing_of
from fieldrx.priors import Priors


def refit(parent: NeuralField, part: Acquisition, origin: dict, schedule: Schedule, **options: Any) -> Fit:
    """A fit with a field's settings to part of its images, or to others of the same kind.

    Parameters
    ----------
    parent : NeuralField
    part : Acquisition
        The images of this fit.
    origin : dict
        JSON values that join the provenance.
    schedule : Schedule
    **options
        As of `fieldrx.Fit`.
    """
    settings = parent.provenance
    return Fit(
        part,
        settings.need("depth"),
        settings.need("model"),
        encoding=parent.encoding,
        network=parent.network,
        priors=Priors(**settings.need("priors")),
        schedule=schedule,
        loss=settings.loss,
        background=settings.background,
        grid_um=spacing_of(settings),
        origin=origin,
        **options,
    )


def schedule_anew(parent: NeuralField, rng: np.random.Generator, steps: int | None = None) -> Schedule:
    """The schedule of the field's fit from nothing, in steps whatever its budget was, with another seed."""
    own = Schedule(**parent.provenance.need("schedule"))
    steps = steps or (own.steps if own.budget_s is None else parent.provenance.need("steps_done"))
    return replace(own, steps=steps, budget_s=None, seed=int(rng.integers(2**31)))


def precision_of(field: NeuralField, device: str) -> str | None:
    """That of the field's fit; None, its only one, on a CPU, which cannot follow a GPU's."""
    return None if get(device) is get("cpu") else field.provenance.precision

"""Strength of the regularisation, chosen by images that a trial did not see.

A trial fit at the usual strength goes on for a few steps with weaker and with stronger total variation; the
end that predicts best a sixth of the training images, kept aside for this, wins.  The images that a fit
holds out for its report are not looked at.

Each end is judged by its last field, never by the field that all ends start from: the best of a course, as a
fit reports it, is that common start wherever large steps first make things worse, and then no end differs
from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.automatic import choose_model
from fieldrx.backends import to_host
from fieldrx.errors import InputError
from fieldrx.evaluation import model_of
from fieldrx.fit import Fit, Schedule, check_room, settings, split_images
from fieldrx.metrics import image_errors
from fieldrx.models import predict
from fieldrx.shading import flattened

FACTORS = (0.25, 1.0, 4.0)  # of the default strength
_USUAL = FACTORS.index(1.0)
_ASIDE = 6  # every sixth training image
_SHARES = 0.5, 0.15  # of a whole fit's steps or time: the trial, and each of its ends
_FEWEST = 10  # steps of an end: as many as Adam's rise takes
_TOLD = 1e-3  # relative difference of two errors below which they tell nothing


def choose_tv(
    acquisition: Acquisition,
    depth: Sequence[float],
    model: str,
    *,
    holdout: float | None = None,
    schedule: Schedule | dict[str, Any] | None = None,
    **options: Any,
) -> tuple[float, str]:
    """The weight of the total variation that predicts unseen images best.

    Takes about as many steps as the fit, or, where the schedule has a budget, at most about that time.

    Parameters
    ----------
    acquisition, depth, model, holdout, schedule, **options
        As of `fieldrx.Fit`, whose default weight is varied by `FACTORS`.

    Returns
    -------
    tv : float
        The default weight where the fit is too short to tell, or no other is clearly better.
    note : str
        What was tried, in a sentence.

    Raises
    ------
    InputError
        If too few images are left to choose by.
    KeyboardInterrupt
        If a trial was interrupted.
    """
    train = training_images(acquisition, holdout, schedule)
    if len(train) < 2 * _ASIDE:
        raise InputError(
            f"{len(train)} training images are too few to choose the total variation by: give its "
            f"weight, --tv"
        )
    if model == "auto":  # once, not for every trial
        check_room(acquisition, depth)
        model, _ = choose_model(acquisition, depth, train)
    priors, schedule = settings(model, None, schedule)
    usual, budget, steps = priors.tv, schedule.budget_s, round(_SHARES[1] * schedule.steps)
    if budget is None and steps < _FEWEST:
        return usual, _too_short(usual, f"{schedule.steps} steps")
    aside = train[_ASIDE // 2 :: _ASIDE]
    part, unseen = (acquisition.select(images) for images in (np.setdiff1d(train, aside), aside))
    trials = _Trials(part, depth, model, schedule, options)
    if budget is None:
        start = trials.run(steps=round(_SHARES[0] * schedule.steps))
    else:
        start = trials.run(budget_s=_SHARES[0] * budget)
        steps = int(_SHARES[1] * budget / _seconds_per_step(start.history["seconds"]))
        if steps < _FEWEST:
            return usual, _too_short(usual, f"{budget:g} s")
    ends = (trials.end(start, factor * usual, steps) for factor in FACTORS)
    return _chosen(usual, [_error(end, unseen, options.get("device", "auto")) for end in ends])


@dataclass(frozen=True)
class _Trials:
    """Fits to a part of the images."""

    part: Acquisition
    depth: Sequence[float]
    model: str
    schedule: Schedule
    options: dict[str, Any]

    def run(self, initial=None, priors=None, **changes):
        """The field of a trial with a schedule of its own: its last, as nothing is held out."""
        own = replace(self.schedule, patience=0, **changes)
        fit = Fit(self.part, self.depth, self.model, priors=priors, schedule=own, holdout=0, **self.options)
        field = fit.run(initial=initial)
        if field.provenance["interrupted"]:
            raise KeyboardInterrupt
        return field

    def end(self, start, tv, steps):
        """The field that a trial comes to with another weight."""
        changes = {"steps": steps, "budget_s": None, "coarse": 0.5, "warm_steps": 1, "tilted_from": 0.0}
        return self.run(start, {"tv": tv, "tv_absorption": tv}, **changes)


def training_images(
    acquisition: Acquisition, holdout: float | None = None, schedule: Schedule | dict[str, Any] | None = None
) -> np.ndarray:
    """Numbers of the images that a fit trains on; parameters as of `fieldrx.Fit`.

    Raises
    ------
    InputError
        If no image is left to train on.
    """
    seed = schedule.seed if isinstance(schedule, Schedule) else (schedule or {}).get("seed", 0)
    return split_images(acquisition, holdout, seed)[0]


def _error(field, unseen, device):
    """Relative error of images that a field was not fitted to."""
    images = np.arange(unseen.n_images)
    seen = unseen.microscope, unseen.illumination, unseen.image_shape
    _, forward, contrast = model_of(field, *seen, device=device)
    predicted = np.concatenate([to_host(part) for _, part in predict(forward, contrast, images)])
    measured = unseen.images
    if field.provenance.get("background"):
        measured = flattened(measured, predicted, unseen.mask)
    return float(np.nan_to_num(image_errors(predicted, measured, unseen.mask)[0], nan=np.inf))


def _chosen(usual, errors):
    """The weight of the lowest error, or the usual one where that is no better, and a sentence."""
    best, enough = int(np.argmin(errors)), (1 - _TOLD) * errors[_USUAL]
    tried = ", ".join(f"{f * usual:g}: {e:.4f}" for f, e in zip(FACTORS, errors, strict=True))
    if best != _USUAL and not errors[best] < enough:
        return usual, (
            f"total variation {usual:g}, the usual: errors of unseen images tell no better one ({tried})"
        )
    return (
        FACTORS[best] * usual,
        f"total variation {FACTORS[best] * usual:g}, by errors of unseen images ({tried})",
    )


def _too_short(usual, length):
    return (
        f"total variation {usual:g}, the usual: a fit of {length} is too short to choose it by unseen images"
    )


def _seconds_per_step(seconds):
    """Of the last tenth of a course, whose steps are no longer coarse; infinite for fewer than 3."""
    took = np.diff(seconds)
    return float(np.mean(took[-max(len(took) // 10, 1) :])) if len(took) > 1 else np.inf

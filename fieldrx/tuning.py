"""Strength of the regularisation, chosen by images that a trial did not see.

A trial fit at the usual strength goes on for a few steps with weaker and with stronger total variation; the
end that predicts best a sixth of the training images, kept aside for this, wins.  The images that a fit
holds out for its report are not looked at.

Each end is judged by its last field, never by the field that all ends start from: the best of a course, as a
fit reports it, is that common start wherever large steps first make things worse, and then no end differs
from another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get
from fieldrx.comparison import MeasuredImages
from fieldrx.errors import InputError
from fieldrx.evaluation import model_of
from fieldrx.fit import Fit, Options, Parts, Schedule, settings, settle_model, split_images

FACTORS = (0.25, 1.0, 4.0)  # of the default strength
_USUAL = FACTORS.index(1.0)
_ASIDE = 6  # every sixth training image
_SHARES = 0.5, 0.15  # of a whole fit's steps or time: the trial, and each of its ends
_FEWEST = 10  # steps of an end: as many as Adam's rise takes
_LEAST_DIFFERENCE = 1e-3  # of two errors, relative, below which they tell nothing


def choose_tv(
    acquisition: Acquisition,
    depth: Sequence[float],
    model: str,
    *,
    holdout: float | None = None,
    schedule: Schedule | dict | None = None,
    callback: Callable | None = None,
    parts: Parts | None = None,
    **options: Any,
) -> tuple[float, str]:
    """The weight of the total variation that predicts unseen images best.

    Takes about as many steps as the fit, or, where the schedule has a budget, at most about that time.

    Parameters
    ----------
    acquisition, depth, model, holdout, schedule, callback, **options
        As of `fieldrx.Fit`, whose default weight is varied by `FACTORS`.
    parts : Parts, optional
        Where trials are kept.

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
    # once, not for every trial
    model, _ = settle_model(acquisition, depth, model, train, get(options.get("device", "auto")))
    priors, schedule = settings(model, None, schedule)
    aside = train[_ASIDE // 2 :: _ASIDE]
    part, unseen = (acquisition.select(images) for images in (np.setdiff1d(train, aside), aside))

    def trial(initial=None, priors=None, **changes):
        own = replace(schedule, patience=0, **changes)  # nothing held out: its last field is what it returns
        how = {"schedule": own, "holdout": 0, "callback": callback, **options}
        return Fit(part, depth, model, priors=priors, **how).finish(initial, parts)

    start, steps = _start(trial, schedule)
    if start is None:
        return priors.tv, _too_short(priors.tv, schedule)
    errors = []
    for factor in FACTORS:
        weights = {"tv": factor * priors.tv, "tv_absorption": factor * priors.tv}
        end = trial(start, weights, steps=steps, budget_s=None, coarse=0.5, warm_steps=1, tilted_from=0.0)
        errors.append(_error(end, unseen, options.get("device", "auto")))
    return _chosen(priors.tv, errors)


def training_images(
    acquisition: Acquisition, holdout: float | None = None, schedule: Schedule | dict | None = None
) -> np.ndarray:
    """Numbers of the images that a fit trains on; parameters as of `fieldrx.Fit`.

    Raises
    ------
    InputError
        If no image is left to train on.
    """
    return split_images(acquisition, holdout, Options(schedule=schedule).seed)[0]


def _start(trial, schedule):
    """The field that all ends go on from, or None where they are too short to tell, and their steps."""
    budget = schedule.budget_s
    if budget is not None:
        start = trial(budget_s=_SHARES[0] * budget)
        steps = int(_SHARES[1] * budget / _seconds_per_step(start.history["seconds"]))
        return start if steps >= _FEWEST else None, steps
    steps = round(_SHARES[1] * schedule.steps)
    return trial(steps=round(_SHARES[0] * schedule.steps)) if steps >= _FEWEST else None, steps


def _error(field, unseen, device):
    """Relative error of images that a field was not fitted to."""
    setup = unseen.microscope, unseen.illumination, unseen.image_shape
    _, forward, contrast = model_of(field, *setup, device=device)
    measured = MeasuredImages.of(unseen, field.provenance.background)
    pairs = measured.compare(forward, contrast, np.arange(unseen.n_images))
    return float(np.nan_to_num(pairs.sums.nrmse, nan=np.inf))


def _chosen(usual, errors):
    """The weight of the lowest error, or the usual one where that is no better, and a sentence."""
    best, enough = int(np.argmin(errors)), (1 - _LEAST_DIFFERENCE) * errors[_USUAL]
    tried = ", ".join(f"{f * usual:g}: {e:.4f}" for f, e in zip(FACTORS, errors, strict=True))
    if best != _USUAL and not errors[best] < enough:
        return usual, (
            f"total variation {usual:g}, the usual: errors of unseen images tell no better one ({tried})"
        )
    return (
        FACTORS[best] * usual,
        f"total variation {FACTORS[best] * usual:g}, by errors of unseen images ({tried})",
    )


def _too_short(usual, schedule):
    length = f"{schedule.steps} steps" if schedule.budget_s is None else f"{schedule.budget_s:g} s"
    return (
        f"total variation {usual:g}, the usual: a fit of {length} is too short to choose it by unseen images"
    )


def _seconds_per_step(seconds):
    """Of the last tenth of a course, whose steps are no longer coarse; infinite for fewer than 3."""
    took = np.diff(seconds)
    return float(np.mean(took[-max(len(took) // 10, 1) :])) if len(took) > 1 else np.inf

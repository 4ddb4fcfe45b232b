"""Strength of the regularisation, chosen by images that a trial did not see.

A trial fit at the usual strength goes on for a few steps with weaker and with stronger total variation; the
one that predicts best a sixth of the training images, kept aside for this, wins.  The images that a fit
holds out for its report are not looked at.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fieldrx.errors import InputError
from fieldrx.fit import Fit, split_images

FACTORS = (0.25, 1.0, 4.0)  # of the default strength
_ASIDE = 6  # every sixth training image
_SHARES = 0.5, 0.15  # of a whole fit's steps: the trial, and each of its ends


def choose_tv(acquisition, depth, model, *, holdout=None, schedule=None, callback=None, **options):
    """The weight of the total variation that predicts unseen images best.

    Parameters
    ----------
    acquisition, depth, model, holdout, schedule, callback, **options
        As of `fieldrx.Fit`, whose default weight is varied by `FACTORS`.

    Returns
    -------
    tv : float
    note : str
        What was tried, in a sentence.

    Raises
    ------
    InputError
        If too few images are left to choose by, or the trial was interrupted.
    """
    schedule = dict(schedule or {})
    train, _ = split_images(acquisition, holdout, schedule.get("seed", 0))
    if len(train) < 2 * _ASIDE:
        raise InputError(
            f"{len(train)} training images are too few to choose the total variation by: give its "
            f"weight, --tv"
        )
    part = replace(acquisition.select(train), holdout=np.arange(_ASIDE // 2, len(train), _ASIDE))

    def trial(share, priors=None, initial=None, **changes):
        fit = Fit(
            part, depth, model, priors=priors, schedule=schedule | changes, callback=callback, **options
        )
        steps = max(round(share * fit.schedule.steps), 1)
        fit.schedule = replace(fit.schedule, steps=steps, budget_s=None, patience=0)
        field = fit.run(initial=initial)
        if field.provenance["interrupted"]:
            raise KeyboardInterrupt
        return field, fit

    first, fit = trial(_SHARES[0])
    usual, errors = fit.priors.tv, []
    for factor in FACTORS:
        priors = {"tv": factor * usual, "tv_absorption": factor * usual}
        field, _ = trial(_SHARES[1], priors, first, coarse=0.5, warm_steps=1, tilted_from=0.0)
        errors.append(field.history["holdout"][np.isfinite(field.history["holdout"])][-1])
    best = int(np.argmin(errors))
    tried = ", ".join(f"{f * usual:g}: {e:.4f}" for f, e in zip(FACTORS, errors, strict=True))
    return FACTORS[
        best
    ] * usual, f"total variation {FACTORS[best] * usual:g}, by errors of unseen images ({tried})"

"""Cross-validation: members fitted from nothing, each without one part of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.ensemble.fits import refit, schedule_anew
from fieldrx.ensemble.images import FitImages
from fieldrx.field import NeuralField
from fieldrx.fit import Fit
from fieldrx.models import Optics
from fieldrx.noise import noise_floor


def fold_fit(
    parent: NeuralField,
    acquisition: Acquisition,
    train: np.ndarray,
    held: np.ndarray,
    steps: int | None,
    seed: tuple,
    **how: Any,
) -> Fit:
    """The field's own fit, without one part of its images.

    Parameters
    ----------
    parent : NeuralField
    acquisition : Acquisition
        The images it was fitted to.
    train, held : int arrays
        Those to learn from, and those that are held out.
    steps : int, optional
        Those of the field's fit when not given.
    seed : tuple of int
    **how
        Callback, device and precision: as of `fieldrx.Fit`.
    """
    images = np.union1d(train, held)
    part = replace(acquisition.select(images), holdout=np.flatnonzero(np.isin(images, held)))
    refine, start = parent.provenance.refine or None, parent.provenance.optics_start
    optics = None if start is None else Optics.from_dict(start).select(images)
    schedule = schedule_anew(parent, np.random.default_rng(seed), steps)
    return refit(parent, part, {"images": train.tolist()}, schedule, refine=refine, optics=optics, **how)


def cross_validation(members: Sequence[NeuralField], parts: Sequence[np.ndarray], images: FitImages) -> dict:
    """How well every member predicts the part of the images that it never saw, JSON-ready.

    Parameters
    ----------
    members : sequence of NeuralField
    parts : sequence of int arrays
        The images that each of them never saw.
    images : FitImages

    Returns
    -------
    dict
        ``images`` and ``nrmse_per_image``, part by part; ``nrmse`` over all, ``nrmse_per_fold``,
        ``noise_floor`` and whether it is measured, not a bound.
    """
    predicted = [images.unseen(*both) for both in zip(members, parts, strict=True)]
    everything, measured = np.concatenate(parts), images.measured
    sums = measured.beside(np.concatenate(predicted), everything).sums
    folds = [measured.beside(p, part).sums for p, part in zip(predicted, parts, strict=True)]
    noise = noise_floor(images.acquisition, everything)
    return {
        "images": [part.tolist() for part in parts],
        "nrmse": sums.nrmse,
        "nrmse_per_fold": [fold.nrmse for fold in folds],
        "nrmse_per_image": sums.nrmse_per_image.tolist(),
        "noise_floor": noise.share,
        "noise_measured": noise.measured,
    }

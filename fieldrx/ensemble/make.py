"""Making an ensemble around a fitted field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx._version import __version__
from fieldrx.acquisition import Acquisition
from fieldrx.ensemble.calibration import calibrate_within
from fieldrx.ensemble.data import Ensemble, identity
from fieldrx.ensemble.fits import precision_of
from fieldrx.ensemble.folds import cross_validation, fold_fit
from fieldrx.ensemble.images import FitImages
from fieldrx.ensemble.members import member_fit
from fieldrx.ensemble.twin import against_twin, fit_twin, misfit, systematic
from fieldrx.errors import InputError
from fieldrx.evaluation import same_images
from fieldrx.field import NeuralField
from fieldrx.fit import Parts
from fieldrx.parallel import over_ranks

MEMBERS, STEPS = 6, 24
_TWIN = 7  # of the random numbers that a twin takes, beside the seed


def make_ensemble(
    field: NeuralField,
    acquisition: Acquisition,
    members: int = MEMBERS,
    steps: int | None = None,
    seed: int = 0,
    callback: Callable | None = None,
    folds: bool = False,
    device: str = "auto",
    twin: bool = True,
    parts: Parts | None = None,
) -> Ensemble:
    """An ensemble around a fitted field; of several ranks each fits other members.

    Parameters
    ----------
    field : NeuralField
        A fit with held-out images.
    acquisition : Acquisition
        The images it was fitted to.
    members : int
    steps : int, optional
        Of the optimiser, for every member; 24 by default, with ``folds`` those of the field's fit.
    seed : int
        Of the images that members see, and of their order.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every step.
    folds : bool
        Cross-validation: the fitted images are dealt into as many parts as there are members, and every
        member is fitted from nothing, as the field was, without one part, which it then predicts;
        ``calibration["folds"]`` says how well.  Takes as many times the field's own fit.
    device : str
        "cpu", "cuda" or "auto".  Networks compute in the precision of the field's fit, where the device can.
    twin : bool
        Fit a twin too, which takes as long as the field did; without it bars are mostly too short.
    parts : Parts, optional
        Where members and twin are kept.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        If the field is compressed, the images are not its own, none was held out, or a number does not make
        sense.
    KeyboardInterrupt
        If it was stopped.
    """
    train, held, shares = _images(field, acquisition, members, steps, folds, seed)
    how: dict[str, Any] = {"callback": callback, "device": device, "precision": precision_of(field, device)}

    def fit(k):
        if not folds:
            return member_fit(field, acquisition, train, steps or STEPS, (seed, k), **how)
        rest = np.setdiff1d(train, shares[k])
        return fold_fit(field, acquisition, rest, held, steps, (seed, k), **how)

    fields = tuple(over_ranks(lambda k: fit(k).finish(None if folds else field, parts), members))
    other = fit_twin(field, acquisition, train, held, (seed, _TWIN), parts=parts, **how) if twin else None
    images = FitImages(field.provenance, acquisition, device)
    raw = Ensemble(fields, provenance=_provenance(field, fields, seed))
    made = _calibrated(raw, field, other, images, train, held)
    if folds:
        made.calibration["folds"] = cross_validation(fields, shares, images)
    return made


def _images(field, acquisition, members, steps, folds, seed):
    """The images that a field learnt from, those held out, and the former in one part for each member."""
    if field.coded is not None:
        raise InputError("a compressed field cannot be fitted on: give the one that it was made from")
    if not same_images(field, acquisition):
        raise InputError("the field was fitted to other images: give the acquisition of its fit")
    held = np.intersect1d(field.provenance.held, np.flatnonzero(acquisition.usable))  # in bright field
    if not len(held):
        raise InputError("the fit held out no image, so nothing can calibrate its uncertainty: use --holdout")
    if members < 2 or (steps is not None and steps < 1):
        raise InputError(f"{members} members of {steps} steps; expected at least 2 members and 1 step")
    train = np.setdiff1d(np.flatnonzero(acquisition.usable), held)
    if folds and members > len(train):
        raise InputError(f"{len(train)} fitted images make no {members} folds: use fewer members")
    return train, held, np.array_split(np.random.default_rng(seed).permutation(train), members)


def _calibrated(raw, field, twin, images, train, held):
    """The ensemble with bars that unseen images, and the twin where there is one, ask for."""
    acquisition, band = images.acquisition, images.band(train)
    missed = misfit(field, acquisition, held)
    factor, hidden, calibration = calibrate_within(raw, images, band, held)
    calibration["factor_images"] = factor
    if twin is not None:
        needed, findings = against_twin(raw, field, twin, images.grid, band, hidden)
        excess = max(missed / misfit(twin, acquisition, held), 1.0)
        factor = max(factor, needed * excess)
        calibration |= findings | {"misfit_over_twin": excess}
    calibration["share_of_images"] = len(raw.members[0].provenance.origin["images"]) / len(train)
    calibration["misfit"] = missed
    relative = systematic(field, images.grid, band, missed)
    return replace(raw, factor=factor, hidden=hidden, relative=relative, calibration=calibration)


def _provenance(field, fields, seed):
    steps = [member.provenance.steps_done for member in fields]
    return {"fieldrx": __version__, "field": identity(field), "steps": steps, "seed": seed}

"""Depth range and model: from the images, then narrowed by what short fits find in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.automatic import choose_depth, choose_model
from fieldrx.errors import InputError
from fieldrx.evaluation import compare
from fieldrx.fit import split_images
from fieldrx.refocus import axial_resolution_um, slice_distance
from fieldrx.verdict import cut_off, depth_profile
from fieldrx.workflow.trials import WORSE, Case, Trials

_OCCUPIED = 0.25  # of the strongest slice, from which a height belongs to the sample of a short fit
_NARROWER = 0.85  # of a depth range, below which another short fit within what is occupied pays
_SHARES = (0.75, 0.55)  # of a depth range, tried about the sample's centre
_UNSEEN = 0.15  # of the images of a fit, and at least two, that judge these ranges
_AS_GOOD = 1.1  # error of these images over the least of all ranges, up to which the widest is taken
_UNKNOWN_DEPTH = 4  # axial resolutions on each side of the focus, where images tell no depth


def placed(acq: Acquisition) -> Case:
    """An acquisition with its depth and model."""
    images = split_images(acq)[0]
    try:
        depth, where = choose_depth(acq, images)
    except InputError as error:
        step = axial_resolution_um(acq.microscope, acq.illumination)
        reach = _UNKNOWN_DEPTH * min(step, acq.stack.shape[1] * acq.microscope.pixel_size_um / 8)
        depth, where = (-reach, reach, reach / 16), f"around the focus, since {error}"
    model, why = choose_model(acq, depth, images)
    return Case(acq, depth, model, (where, why))


def narrowed(case: Case, trials: Trials, chosen: Callable[[str, str, str], None]) -> Case:
    """The case within the heights that the field of its short fit occupies, if that fits as well, and within
    a share of these, if that tells images more surely that a short fit has not seen."""
    within = _occupied(case)
    if within is not None:
        narrow = trials.of(within)
        case = narrow if narrow.end < WORSE * case.end else case
    tight = _tightened(case, trials)
    case = case if tight is None else trials.of(tight)
    chosen("depth", ":".join(f"{d:.4g}" for d in case.depth) + " um", case.evidence[0])
    chosen("model", case.model, case.evidence[1])
    return case


def _occupied(case):
    """The case within the heights where its field holds a sample; None where that is nearly all of them."""
    z, power = depth_profile(case.field)
    most = int(np.argmax(power))
    less = np.flatnonzero(power < _OCCUPIED * power[most])
    low, high = less[less < most].max(initial=-1) + 1, less[less > most].min(initial=len(z)) - 1
    if low == high or z[high] - z[low] > _NARROWER * (z[-1] - z[0]):
        return None
    return _within(case, z[low], z[high], "the field of a short fit keeps to")


def _tightened(case, trials):
    """The case within a share of its depth range; None where that tells unseen images no better.

    Few tilts leave the depth of a sample open: a wide range then lets a fit explain its own images with what
    is far from the sample, which fails at images that it has not seen.
    """
    acq = case.acquisition
    train, held = split_images(acq)
    count = max(2, round(_UNSEEN * len(train)))
    if len(train) < 3 * count:
        return None
    unseen = np.sort(np.random.default_rng(trials.seed).permutation(train)[:count])
    blind = replace(acq, holdout=np.union1d(held, unseen))

    fits = [trials.of(replace(case, acquisition=blind))]
    for share in _SHARES:
        one = _about(case, _centre(fits[-1].field), share)
        fits.append(trials.of(replace(one, acquisition=blind)))
    errors = [compare(fit.field, blind, device=trials.device).error(unseen)[0] for fit in fits]
    # a range that cuts the sample off tells nothing, however well it does; the first is as wide as it was
    errors[1:] = [
        np.inf if cut_off(fit.field) else error for fit, error in zip(fits[1:], errors[1:], strict=True)
    ]
    best = int(np.argmax(np.array(errors) <= _AS_GOOD * np.min(errors)))  # the first; 0 if one is not finite
    return replace(fits[best], acquisition=acq) if best else None


def _centre(field):
    """Mean height of a field's sample [um]."""
    z, power = depth_profile(field)
    return float(np.average(z, weights=power - power.min() + np.finfo(float).tiny))


def _about(case, middle, share):
    """The case within a share of its depth range about a height."""
    first, last, _ = case.depth
    half = share * (last - first) / 2
    low, high = max(middle - half, first), min(middle + half, last)
    return _within(case, low, high, "short fits tell unseen images more surely within")


def _within(case, low, high, words):
    """The case between two heights, with the model for these."""
    acq = case.acquisition
    step = axial_resolution_um(acq.microscope, acq.illumination)
    dz = slice_distance(acq.microscope, high - low, step)
    depth = round(float(low), 3), round(float(high), 3), round(float(dz), 4)
    model, why = choose_model(acq, depth, split_images(acq)[0])
    where = f"{case.evidence[0]}; {words} {depth[0]:.4g}..{depth[1]:.4g} um"
    return replace(case, depth=depth, model=model, evidence=(where, why))

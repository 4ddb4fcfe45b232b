"""The sign of the contrast, as far as the images tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fieldrx.acquisition import Windowed
from fieldrx.errors import InputError
from fieldrx.tiles.choose import busiest
from fieldrx.workflow.trials import Case, Trials

# Where a trial with the light reversed ends, over that with the light as given: in the zoo 0.89 to 1.46 for
# samples denser than their medium, 0.59 and 0.66 for those less dense, 0.96 where the light was reversed.
_TOLD = 0.8  # below, the light is reversed or the sample less dense
_OPEN = 1.1  # from there up to here longer trials are asked
# By which the ratio of longer ones must differ from 1 to tell: below, a table is doubted, and believed.  It
# was 0.93 and 0.96 where the light was reversed, and 0.98 for a thin film whose light was not.
_CLEAR = 0.03
_SIDE = 192  # pixels of the part of larger images that longer trials see: a ratio of ends needs no more


_TURNED = (
    "the light was taken as reversed, as the images prefer it: if the sample is less dense than its medium, "
    "give --contrast negative"
)


class Undecided(InputError):
    """The images leave a question that only the user can answer."""


def signed(case: Case, contrast: str, trials: Trials, chosen: Callable[[str, str, str], None]) -> Case:
    """The case or its reverse, with the sign of the contrast and what there is to doubt about it."""
    ratio, other, evidence = _reversal(case, trials)
    doubt = _open_doubt(contrast) if abs(ratio - 1) < _CLEAR else ""
    if ratio >= (1.0 if case.turned else 1 - _CLEAR):
        chosen("sign", "light as given", evidence)
        return replace(case, sign=trials.sign, doubt=doubt)
    if ratio < _TOLD and contrast == "auto" and not case.turned:
        raise Undecided(
            "is the sample denser than its medium? With these directions of the light it looks less dense, "
            f"which may also mean that they are reversed ({evidence}): run again with --contrast negative if "
            "it is less dense, or --contrast positive to reverse the light"
        )
    why = "; calibrated so far from the table, light has no given sign" if case.turned else ""
    chosen("sign", "light reversed", evidence + why)
    if contrast == "auto" and not case.turned:
        doubt = _TURNED
    return replace(other, sign=trials.sign, doubt=doubt)


def _open_doubt(contrast):
    """What to say where neither light explains the images better."""
    looks = "denser than its medium" if contrast == "negative" else "like a hole in its medium"
    return (
        f"the images hardly tell whether the light is reversed: if the sample looks {looks}, change "
        "directions in [illumination]" + (", or give --contrast" if contrast == "auto" else "")
    )


def _reversal(case, trials):
    """Where trials of the reversed light end over those of the light as given, the reversed case after its
    short trial, and a sentence.

    Short trials tell signs that are plain; where they do not, the objective of longer ones is lower for the
    right sign, if only by a per cent for rings and thin films.  Only that is taken from the longer ones: what
    is chosen next compares short trials.
    """
    other = trials.of(case.reversed())
    ratio, ends, words = _ratio(case, other), (case, other), "short"
    if _TOLD < ratio < _OPEN:
        ends, words = tuple(trials.of(_part(c), long=True) for c in (case, other)), "longer"
        ratio = _ratio(*ends)
    held = "denser" if trials.sign > 0 else "less dense"
    evidence = (
        f"{words} fits that hold the sample for {held} than its medium end at {ends[0].end:.4f} with the "
        f"light as given and {ends[1].end:.4f} with it reversed (errors of images and priors)"
    )
    return ratio, other, evidence


def _part(case):
    """The case in the part of its images that varies most."""
    frame = Windowed.of(case.acquisition)
    return case if max(frame.shape) <= _SIDE else replace(case, acquisition=busiest(frame, _SIDE, _SIDE // 3))


def _ratio(case, other):
    """Of two ends; 1 where both trials diverged."""
    return 1.0 if np.isinf(case.end) and np.isinf(other.end) else other.end / case.end

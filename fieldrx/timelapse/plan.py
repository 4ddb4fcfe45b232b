"""The plan of a film: how long a frame is fitted, and when it is good enough.  Pure functions.

The first frame is fitted from nothing.  Every other goes on from the one before in rounds of few steps, until
unseen images are predicted as well as a fit from nothing predicted its own; where no round gets there, as
after a sudden change of the sample, the frame is fitted from nothing too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from fieldrx.evaluation import EMPTY
from fieldrx.fit import Schedule

ROUNDS = 3  # of a frame that goes on from another, before it is fitted from nothing
_SHARE, _LEAST = 0.22, 12  # of the steps of a fit from nothing, for one round; fewer steps move little
_COARSE = 0.75  # of a round's steps on every second pixel
_AS_GOOD = 1.2  # misfit over that of a fit from nothing, up to which a frame is good enough
_MUCH_WORSE = 1.6  # and from which it is worth a fit from nothing


def round_of(own: Schedule, steps: int, number: int) -> Schedule:
    """The schedule of one round.

    Parameters
    ----------
    own : Schedule
        Of the fit from nothing.
    steps : int
        That it took.
    number : int
        What tells the round from all others of the film: for the order of images.
    """
    count = max(round(_SHARE * steps), min(_LEAST, steps))
    return replace(
        own,
        steps=count,
        budget_s=None,
        evaluate_every=max(count // 4, 1),
        coarse=_COARSE,
        keep_from=_COARSE,
        warm_steps=1,  # all features are taught: none is faded in
        tilted_from=0.0,
        patience=0,
        seed=int(np.random.default_rng((own.seed, number)).integers(2**31)),
    )


def good_enough(missed: float | None, wanted: float | None) -> bool:
    """Whether a frame misses no more of unseen images than a fit from nothing, or nothing tells.

    Parameters
    ----------
    missed, wanted : float or None
        Misfits: what a field misses beyond the noise, as shares of the signal.
    """
    return missed is None or wanted is None or missed <= _AS_GOOD * wanted


def worth_anew(missed: float | None, lately: float | None) -> bool:
    """Whether a frame misses so much more than the last fit from nothing that it may need one too."""
    return missed is not None and lately is not None and missed > _MUCH_WORSE * lately


def is_empty(error: float | None, first: float | None) -> bool:
    """Whether a frame shows nothing of what was filmed before, by its held-out error."""
    return error is not None and first is not None and error > EMPTY > first


def gaps(numbers: Iterable[int]) -> list[int]:
    """Numbers that are missing between others, which usually are as far apart as the closest of them."""
    there = sorted(set(numbers))
    step = min((b - a for a, b in pairwise(there)), default=1)
    return [n for a, b in pairwise(there) for n in range(a + step, b, step)]

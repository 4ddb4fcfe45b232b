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

from fieldrx.fit import Schedule

ROUNDS = 3  # of a frame that goes on from another, before it is fitted from nothing
_SHARE, _LEAST = 0.1, 12  # of the steps of a fit from nothing, for one round; fewer steps move little
_GENTLE = 0.5  # first step size of a round over that of a fit from nothing
_AS_GOOD = 1.03  # held-out error over that of the last fit from nothing, up to which a frame is good enough
_MUCH_WORSE = 1.25  # and from which it is worth a fit from nothing
_EMPTY = 0.95  # error from which an empty sample would do: the images are not of what was filmed before


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
        evaluate_every=max(count // 2, 1),
        learning_rate=_GENTLE * own.learning_rate,
        table_learning_rate=_GENTLE * own.table_learning_rate,
        coarse=0.0,
        warm_steps=1,  # all features are taught: none is faded in
        tilted_from=0.0,
        patience=0,
        seed=int(np.random.default_rng((own.seed, number)).integers(2**31)),
    )


def good_enough(error: float | None, wanted: float | None) -> bool:
    """Whether a frame's held-out error is that of the last fit from nothing, or nothing tells."""
    return error is None or wanted is None or error <= _AS_GOOD * wanted


def worth_anew(error: float | None, wanted: float | None) -> bool:
    """Whether a frame is so much worse that it may need a fit from nothing."""
    return error is not None and wanted is not None and error > _MUCH_WORSE * wanted


def is_empty(error: float | None, wanted: float | None) -> bool:
    """Whether a frame shows nothing of the sample, where the film's other frames do."""
    return error is not None and wanted is not None and error > _EMPTY > wanted


def gaps(numbers: Iterable[int]) -> list[int]:
    """Numbers that are missing between others, which usually are as far apart as the closest of them."""
    there = sorted(set(numbers))
    step = min((b - a for a, b in pairwise(there)), default=1)
    return [n for a, b in pairwise(there) for n in range(a + step, b, step)]

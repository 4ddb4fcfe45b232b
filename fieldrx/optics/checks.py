"""Checks of numbers, and of the contrast that is taken for the index."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldrx.errors import InputError


def check_contrast(contrast: np.ndarray, medium_index: float) -> None:
    """Refuse the refractive index itself where its contrast over the medium is expected.

    Parameters
    ----------
    contrast : array
        A few hundred of its values are looked at.
    medium_index : float
        n0.

    Raises
    ------
    InputError
        If most real parts lie near `medium_index` and far from 0.
    """
    some = contrast[tuple(slice(None, None, -(-n // 12)) for n in contrast.shape)]
    typical = float(np.median(some.real))
    if typical > 0.5 and abs(typical - medium_index) < 0.3 * medium_index:
        raise InputError(
            f"the contrast is {typical:.4g} nearly everywhere; expected n - n0, 0 in the medium: it looks "
            f"like the index n itself: subtract medium_index {medium_index:g}"
        )


def finite_number(value: Any, name: str) -> float:
    """A value as a float.

    Raises
    ------
    InputError
        Which says `name`, if it is no number, or not finite.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # of a whole number of hundreds of digits
        raise InputError(f"{name} is {f'{value!r}'[:80]}; expected a number") from None
    if not np.isfinite(number):
        raise InputError(f"{name} is {number}; expected a finite number")
    return number

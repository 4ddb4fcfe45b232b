"""Checks of numbers, and of the contrast that is taken for the index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

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


def array_of(value: ArrayLike, name: str) -> np.ndarray:
    """A number, a list or an array as an array."""
    try:
        return np.asarray(value)
    except ValueError:  # lists of different lengths
        shapes = [str(part.shape) for part in value if isinstance(part, np.ndarray)]  # type: ignore[union-attr]
        came = f"arrays of shapes {', '.join(dict.fromkeys(shapes))}" if shapes else f"{value!r}"[:60]
        raise InputError(f"{name} is {came}; expected numbers, or lists of equal length") from None


def numbers_of_images(images: ArrayLike, n: int, name: str) -> np.ndarray:
    """Numbers of some of `n` images, int64 of shape (m,).

    Raises
    ------
    InputError
        Which says `name`, if they are no list of whole numbers, or one names no image.
    """
    numbers = array_of(images, name)
    if numbers.size == 0:
        return np.empty(0, np.int64)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise InputError(
            f"{name} has type {numbers.dtype} and shape {numbers.shape}; expected a list of image numbers "
            "such as [3, 17]"
        )
    outside = numbers[(numbers < 0) | (numbers >= n)]
    if outside.size:
        raise InputError(
            f"{name} names image {outside[0]}, but the {n} images are numbered 0 to {n - 1}; correct it"
        )
    return numbers.astype(np.int64)


def distances_of(value: ArrayLike, sources: np.ndarray) -> np.ndarray:
    """Distances of all sources [um], checked; one number stands for all."""
    given = np.array(value, np.float64)
    if given.shape not in ((), (len(sources),)):
        raise InputError(
            f"distances of the sources have shape {given.shape}; expected one number, or one for each of "
            f"the {len(sources)} sources"
        )
    if not (np.isfinite(given).all() and (given != 0).all()):
        raise InputError(
            "distances of the sources must be lengths in um, positive, or negative where light converges"
        )
    steep = np.flatnonzero((sources**2).sum(axis=1) >= 1)
    if steep.size:
        raise InputError(
            f"source {steep[0]} has NA {np.linalg.norm(sources[steep[0]]):.3g}, which no source at a "
            "distance in air has: leave the distance out"
        )
    distances = np.array(np.broadcast_to(given, (len(sources),)))
    distances.setflags(write=False)
    return distances

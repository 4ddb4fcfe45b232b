"""FFTs of our own along rows and columns of waves: what kernels/lines.cuh needs to know of a length.

A spectrum along a line stands in the order in which a forward FFT leaves it, and from which an inverse one
starts: nothing is ever reordered, and what multiplies a spectrum comes in the same order.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

_LINES, _SHARED = 8, 48 * 1024  # most lines of a block, and bytes that it may take without asking
_WARP, _BANKS = 32, 16  # threads of a warp; complex numbers that shared memory hands out at a time


class Line(NamedTuple):
    """Transforms of lines of `points` complex64 numbers, `lines` of them in a block."""

    points: int
    radices: tuple[int, ...]  # of the stages, first to last
    lines: int

    @property
    def pitch(self) -> int:
        """Elements from one line to the next: neighbouring elements of a column lie in different banks."""
        return self.points + (_BANKS // self.lines - self.points) % _BANKS

    def launched(self) -> dict:
        """How `load.launch` launches the kernels, but for their grid."""
        text = ",".join(map(str, self.radices))
        sizes = {"POINTS": self.points, "LINES": self.lines, "PITCH": self.pitch}
        shared = np.dtype(np.complex64).itemsize * self.lines * self.pitch
        return {
            "block": (_WARP * self.lines,),
            "shared_bytes": shared,
            "constants": {"RADICES": text, **sizes},
        }


@lru_cache(maxsize=64)
def line(points: int, most: int = _LINES) -> Line:
    """Transforms of so many points, for blocks of at most so many lines.

    Raises
    ------
    ValueError
        If the points are no product of 2, 3 and 5.
    """
    lines = min(_LINES, 1 << (most - 1).bit_length())
    found = Line(points, radices(points), lines)
    while found.lines > 1 and found.launched()["shared_bytes"] > _SHARED:
        found = found._replace(lines=found.lines // 2)
    return found


def radices(points: int) -> tuple[int, ...]:
    """The stages of a transform; odd ones last, where neighbouring threads are that far apart.

    Raises
    ------
    ValueError
        If the points are no product of 2, 3 and 5, or fewer than two.
    """
    found: list[int] = []
    for radix in (4, 2, 3, 5):
        while points % (prod(found) * radix) == 0:
            found.append(radix)
    if points < 2 or prod(found) != points:
        raise ValueError(f"an FFT of {points} points is not made of factors 2, 3, 5")
    return tuple(found)


def order(points: int) -> np.ndarray:
    """Frequency, in numpy.fft's numbering, that stands at each place of a spectrum.

    Place p_1 n / r_1 + p_2 n / (r_1 r_2) + ... holds frequency p_1 + r_1 p_2 + r_1 r_2 p_3 + ...
    """
    found = np.zeros(1, np.int64)
    for radix in reversed(radices(points)):
        found = (np.arange(radix)[:, None] + radix * found).ravel()
    return found

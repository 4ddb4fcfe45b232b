"""How a frame is cut into tiles, and how what they say is joined: pure functions on a frozen plan.

All tiles are windows of one size, which overlap by twice a halo: the distance from a window's edge up to
which light from outside shines in, or light from inside is lost.  Along each axis the weight of a window
falls from one to zero over the middle half of an overlap while that of its neighbour rises: weights add up
to one, and no window answers for its own edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fieldrx.errors import InputError

NARROWEST = 3  # windows over their overlap: narrower ones spend more on overlaps than on the frame


@dataclass(frozen=True)
class Tile:
    """One window of a frame.

    Parameters
    ----------
    number : int
        In the order of rows.
    row, col : int
        Of windows.
    window : (int, int, int, int)
        Rows y0 to y1 and columns x0 to x1 of the frame's pixels, ends excluded.
    """

    number: int
    row: int
    col: int
    window: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        """For files and messages."""
        return f"tile {self.number}"


@dataclass(frozen=True)
class Tiling:
    """A frame's windows.

    Parameters
    ----------
    shape : (int, int)
        Pixels of the frame, y and x.
    window : (int, int)
        Pixels of every window.
    starts : (tuple of int, tuple of int)
        First pixels of the windows along y and x, growing.
    """

    shape: tuple[int, int]
    window: tuple[int, int]
    starts: tuple[tuple[int, ...], tuple[int, ...]]

    def __len__(self):
        return len(self.starts[0]) * len(self.starts[1])

    def __iter__(self) -> Iterator[Tile]:
        height, width = self.window
        number = 0
        for row, y in enumerate(self.starts[0]):
            for col, x in enumerate(self.starts[1]):
                yield Tile(number, row, col, (y, y + height, x, x + width))
                number += 1

    def weight(self, tile: Tile, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much a tile's answer counts at places of the frame: the product of two weights along the axes.

        Parameters
        ----------
        tile : Tile
        y, x : arrays
            Places, in pixels from the centre of the frame's first one; any shape.

        Returns
        -------
        arrays of the shapes of `y` and of `x`, 0 to 1
        """
        return self._along(0, tile.row, y), self._along(1, tile.col, x)

    def _along(self, axis: int, k: int, places: np.ndarray) -> np.ndarray:
        joints = [self._joint(axis, j) for j in range(len(self.starts[axis]) - 1)]
        weight = np.ones(np.shape(places))
        if k > 0:
            weight = weight * _rise(places, *joints[k - 1])
        if k < len(joints):
            weight = weight - weight * _rise(places, *joints[k])
        return weight

    def _joint(self, axis: int, k: int) -> tuple[float, float]:
        """Where the weight of window k falls: the middle of its overlap with the next, and half its ramp."""
        here, there = self.starts[axis][k], self.starts[axis][k + 1]
        overlap = here + self.window[axis] - there
        return 0.5 * (here + self.window[axis] + there - 1), 0.25 * overlap

    def to_dict(self) -> dict:
        """JSON values, for files."""
        return {
            "shape": list(self.shape),
            "window": list(self.window),
            "starts": [list(starts) for starts in self.starts],
        }

    @classmethod
    def from_dict(cls, values: dict) -> Tiling:
        """From JSON values."""
        shape, window = (tuple(int(n) for n in values[name]) for name in ("shape", "window"))
        y, x = (tuple(int(n) for n in starts) for starts in values["starts"])
        made = cls((shape[0], shape[1]), (window[0], window[1]), (y, x))
        if not all(map(_covers, made.shape, made.window, made.starts)):
            raise InputError(f"windows {values} do not cover their frame")
        return made


def cut(shape: tuple[int, int], window: int, overlap: int) -> Tiling:
    """Cut a frame into windows as large as allowed, evenly spaced.

    Parameters
    ----------
    shape : (int, int)
        Pixels of the frame.
    window : int
        Most pixels along a side of a window.
    overlap : int
        Least pixels that neighbours share.

    Raises
    ------
    InputError
        If windows would be little more than their overlaps.
    """
    if min(window, max(shape)) < max(shape) and window < NARROWEST * overlap:
        raise InputError(
            f"tiles of {window} pixels overlap by {overlap}, as light spreads so far between the slices: "
            f"expected at least {NARROWEST * overlap} pixels (--tiles), or a shorter depth range"
        )
    sizes, starts = [], []
    for length in shape:
        count = 1 if length <= window else -(-(length - overlap) // (window - overlap))
        size = length if count == 1 else -(-(length + (count - 1) * overlap) // count)
        sizes.append(size)
        starts.append(tuple(int(s) for s in np.rint(np.linspace(0, length - size, count))))
    return Tiling((shape[0], shape[1]), (sizes[0], sizes[1]), (starts[0], starts[1]))


def _rise(places: np.ndarray, middle: float, half: float) -> np.ndarray:
    """0 before a ramp, 1 behind it, and a raised cosine on it."""
    share = np.clip((np.asarray(places, np.float64) - middle) / (2 * half) + 0.5, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * share)


def _covers(length: int, width: int, starts: tuple[int, ...]) -> bool:
    """Whether windows leave no gap, and neighbours share pixels."""
    if not starts or starts[0] != 0 or starts[-1] + width != length:
        return False
    return all(0 < b - a < width for a, b in pairwise(starts))

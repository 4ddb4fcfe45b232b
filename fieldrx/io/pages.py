"""Pages of a TIFF as a viewer would show them: turned, not inverted, through their colour table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io.directories import BITS, COLOURS, EXTRA, FORMAT, ORIENTATION, PHOTOMETRIC, Directory

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CFA, _LINEAR = 0, 1, 2, 3, 32803, 34892
_ALPHA = (1, 2)
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
_TURNED = "turned as the orientation tag of the TIFF says, as viewers show it"
_INVERTED = "white is zero in the TIFF: inverted, so that bright is high"
_THROUGH_PALETTE = "the numbers of the TIFF are places in a grey colour table: read through it"


class Shown:
    """What must be done to the pixels of a page, and what that is called.

    Parameters
    ----------
    directory : Directory
    path : Path
    turn : int
        The orientation where the page has no tag of its own.
    imagej : bool
        Whether ImageJ wrote it, whose colour tables are for display alone.

    Raises
    ------
    InputError
        If the tags say that the numbers are no grey values.
    """

    def __init__(self, directory: Directory, path: Path, turn: int = 1, imagej: bool = False):
        self.notes: list[str] = []
        self.turn = directory.number(ORIENTATION, turn)
        if self.turn not in (1, *_TURNS):
            raise InputError(f"{path}: TIFF of orientation {self.turn}; expected 1 to 8: export it again")
        self.notes += [_TURNED] if self.turn > 1 else []
        self.white: int | None = None
        self.table: np.ndarray | None = None
        photometric = directory.number(PHOTOMETRIC, _BLACK_IS_ZERO)
        if photometric == _WHITE_IS_ZERO:
            self.white = self._white(directory, path)
        elif photometric == _PALETTE:
            self.table = self._table(directory, path, imagej)
        elif photometric == _CFA:
            raise InputError(
                f"{path}: the pixels lie under a mosaic of colour filters (Bayer); expected grey images: "
                "extract "
                "one colour, every second row and column, and save that"
            )
        elif photometric not in (_BLACK_IS_ZERO, _RGB, _LINEAR):
            raise InputError(
                f"{path}: colour images (photometric interpretation {photometric}); expected grey ones: "
                "convert them"
            )

    def _white(self, directory: Directory, path: Path) -> int:
        if directory.number(FORMAT, 1) != 1:
            raise InputError(
                f"{path}: white is zero in the TIFF, but its numbers are signed or floating-point, where "
                "that "
                "means nothing; export it with black as zero"
            )
        self.notes.append(_INVERTED)
        return (1 << directory.number(BITS, 1)) - 1

    def _table(self, directory: Directory, path: Path, imagej: bool) -> np.ndarray | None:
        """The grey value of every number, on the scale of the numbers where it has 8 bits."""
        colours = np.array(directory.tags.get(COLOURS, ()), np.uint16)
        if colours.size == 0 or colours.size % 3:
            raise InputError(f"{path}: palette TIFF without a colour table; export it as grey images")
        red, green, blue = colours.reshape(3, -1)
        if not (np.array_equal(red, green) and np.array_equal(red, blue)):
            if imagej:
                self.notes.append("its colour table is ImageJ's for display: the stored numbers are taken")
                return None
            raise InputError(
                f"{path}: the numbers of the TIFF are places in a table of colours; expected grey images: "
                "convert them"
            )
        grey = red
        if not (red % 257).any() or not (red % 256).any():  # both are in use for tables of 8 bits
            grey = (red >> 8).astype(np.uint8)
        elif red.max() < 256:
            grey = red.astype(np.uint8)
        if np.array_equal(grey, np.arange(len(grey))):
            return None
        self.notes.append(_THROUGH_PALETTE)
        return grey

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """A page (y, x) or (y, x, samples) as it is meant."""
        if self.table is not None:
            image = self.table[image]
        elif self.white is not None:
            image = (self.white - image.astype(np.int64)).astype(image.dtype)
        return _TURNS[self.turn](image) if self.turn > 1 else image

    @property
    def swaps(self) -> bool:
        """Whether rows become columns."""
        return self.turn >= 5


class Pages:
    """Images of equal shape, read one by one, as an array that is indexed by slices.

    Parameters
    ----------
    read : sequence of callable or None
        Read an image (y, x) or (y, x, s); None where there is none.
    lead : tuple of int
        Shape of the axes before those of an image; as many as there are in `read`.
    shape : tuple of int
        Of one image.
    dtype : numpy.dtype
    path : Path
    """

    def __init__(
        self,
        read: Sequence[Callable[[], np.ndarray] | None],
        lead: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: np.dtype,
        path: Path,
    ):
        self.read, self.path, self.dtype = read, path, np.dtype(dtype)
        self.numbers = np.arange(len(read)).reshape(lead)
        self.shape = *lead, *shape

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        depth = self.numbers.ndim
        numbers = self.numbers[index[:depth]]
        stack: np.ndarray = np.empty(0)
        for k, number in enumerate(numbers.ravel().tolist()):
            part = self._image(number)[index[depth:]]
            if k == 0:
                stack = np.empty((numbers.size, *part.shape), part.dtype)
            if part.dtype != stack.dtype:
                raise InputError(f"{self.path}: its images differ in type; export them alike")
            stack[k] = part
        return stack.reshape(*numbers.shape, *stack.shape[1:])

    def _image(self, number: int) -> np.ndarray:
        read = self.read[number]
        image = None if read is None else read()
        if image is None or image.shape != self.shape[self.numbers.ndim :]:
            raise InputError(f"{self.path}: image {number} is not like the others; export them alike")
        return image

    def gaps(self, index: tuple[Any, ...], axis: int) -> np.ndarray:
        """Which positions along an axis have no page, where an index needs one."""
        if axis >= self.numbers.ndim:
            return np.zeros(self.shape[axis], bool)
        there = np.array([read is not None for read in self.read]).reshape(self.numbers.shape)
        chosen = there[index[: self.numbers.ndim]]
        return ~chosen.all(axis=tuple(k for k in range(chosen.ndim) if k != axis))


def opaque_value(directory: Directory) -> int | None:
    """The value of an opaque pixel where the last sample is transparency; None where it is not."""
    extra = directory.tags.get(EXTRA, ())
    return (1 << directory.number(BITS, 8)) - 1 if extra and extra[-1] in _ALPHA else None

"""Which images of a file are meant, and the stack that comes of them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fieldrx.errors import InputError


@dataclass(frozen=True)
class Choice:
    """What to read of a source of images.

    Parameters
    ----------
    region : (int, int, int, int), optional
        Rows y0 to y1 and columns x0 to x1 (ends excluded) to keep.
    axes : str or sequence of str, optional
        Names of the stored axes in their order, "TCYX" or ["led", "y", "x"].
    axis : int, str, optional
        What counts the images: an axis by its number or name, or letters of several, the last fastest.
    select : mapping of str to int
        Positions along the other axes, from 0.
    exclude : sequence of int or str
        Images to leave out, by their numbers from 0 or the names of their files.
    alone : bool
        That the file is one of several with an image each, whatever it says of the others.
    frames : bool
        That axes which are chosen along may be absent, as in an image of the background.
    """

    region: Sequence[int] | None = None
    axes: str | Sequence[str] | None = None
    axis: int | str | None = None
    select: Mapping[str, int] = field(default_factory=dict)
    exclude: Sequence[int | str] = ()
    alone: bool = False
    frames: bool = False

    def for_frames(self) -> Choice:
        """The same for background and dark, which may have fewer axes, and are not numbered as images are."""
        return replace(self, exclude=(), frames=True)


@dataclass(frozen=True, eq=False)
class Stack:
    """Images, and what there is to say of them.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
    notes : tuple of str
        What was understood that might surprise.
    kept : int ndarray, shape (n,)
        Number of each image before any was excluded.
    count : int
        Number of images before any was excluded.
    ends : (int, int) or None
        Lengths of the first and the last axis, where only convention says which counts images.
    axes : mapping of str to int
        Lengths of the axes of the file that have names, whatever was chosen along them.
    """

    images: np.ndarray
    notes: tuple[str, ...]
    kept: np.ndarray
    count: int
    ends: tuple[int, int] | None = None
    axes: Mapping[str, int] = field(default_factory=dict)

    @property
    def frame(self) -> tuple[int, int]:
        """Rows and columns of the whole images, of which `images` hold a region."""
        return self.axes["Y"], self.axes["X"]

    def other_axis(self, count: int | None) -> list[str]:
        """What to say where `count` images were expected and the other end of an unnamed array fits."""
        if self.ends is None or count == self.count or count not in self.ends:
            return []
        number, which = (0, "first") if self.ends[0] == count else (-1, "last")
        return [f"the {which} axis has {count}: if it counts the images, set axis = {number} in [images]"]


def kept_images(
    count: int, exclude: Sequence[int | str], names: Sequence[str] | None, where: object
) -> np.ndarray:
    """Numbers of the images that are left, in order.

    Parameters
    ----------
    count : int
    exclude : sequence of int or str
        As of `Choice`.
    names : sequence of str or None
        File of each image, where each has its own.
    where : path-like or str
        Named in errors.

    Raises
    ------
    InputError
        If an image is not there, or none is left.
    """
    out = set()
    for item in exclude:
        out |= {item} if isinstance(item, int) else _called(item, names, where)
    wrong = sorted(k for k in out if not 0 <= k < count)
    if wrong:
        raise InputError(
            f"{where}: exclude names image {wrong[0]}, but the {count} images are numbered 0 to {count - 1}"
        )
    if len(out) == count:
        raise InputError(f"{where}: exclude leaves out all {count} images; leave some to read")
    return np.array([k for k in range(count) if k not in out], int)


def _called(name: str, names: Sequence[str] | None, where: object) -> set[int]:
    """The image whose file is called so."""
    if names is None:
        raise InputError(
            f'{where}: exclude names "{name}", but its images have no files of their own; give their numbers'
        )
    found = numbers_called([name], names)[0]
    if len(found) != 1:
        came = "no file is" if not found else f"{len(found)} files are"
        raise InputError(
            f'{where}: exclude names "{name}", but {came} called so; give its number, or its folder too'
        )
    return set(found)


def numbers_called(wanted: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """Which files are called so, for each of several names with or without their folders.

    Parameters
    ----------
    wanted : sequence of str
    names : sequence of str
        Of the files, with their folders.

    Returns
    -------
    list of list of int
        Numbers among `names`, of every name: one where it is clear.
    """
    whole = ["/" + composed(name) for name in names]
    by_end: dict[str, list[int]] = {}
    for k, name in enumerate(whole):
        by_end.setdefault(name.rpartition("/")[2], []).append(k)
    found = []
    for name in wanted:
        path = "/" + composed(name).removeprefix("./")
        alike = by_end.get(path.rpartition("/")[2], [])
        found.append([k for k in alike if whole[k].endswith(path)] or alike)
    return found


def composed(name: str) -> str:
    """A file's name in the one Unicode form in which names are compared."""
    return unicodedata.normalize("NFC", name).replace(os.sep, "/")

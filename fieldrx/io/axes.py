"""Axes of stored arrays: their names, which of them counts images, and reading what is chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io.checks import check_numbers, check_room, window
from fieldrx.io.choice import Choice, Stack, kept_images
from fieldrx.io.colour import grey_of

_LONG = {
    "TIME": "T", "FRAME": "T", "CHANNEL": "C", "DEPTH": "Z", "SLICE": "Z", "POSITION": "P", "R": "P",
    "ANGLE": "A", "SAMPLE": "S", "SERIES": "SERIES",
}  # fmt: skip
_FEW = 8  # image numbers that an error lists


class Stored(Protocol):
    """An array on disk: what h5py, zarr and numpy offer of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its length along every axis."""

    @property
    def dtype(self) -> Any:
        """Its type."""

    def __getitem__(self, index: Any, /) -> Any: ...


@dataclass
class Source:
    """Images as a file holds them.

    Parameters
    ----------
    data : array-like
        Indexed by slices, and by one list of numbers.
    path : Path
    axes : sequence of str or None
        Their names, where the file tells.
    last : bool
        Whether the last axis of unnamed ones counts images, as in MATLAB.
    notes : list of str
    gaps : callable, optional
        From an index of slices and the number of an axis to which positions along it were never written.
    planes : bool
        Whether samples are stored plane by plane, as some store a stack of images.
    opaque : int or None
        The value of an opaque pixel, where the last sample is its transparency.
    """

    data: Stored
    path: Path
    axes: Sequence[str] | None = None
    last: bool = False
    notes: list[str] = field(default_factory=list)
    gaps: Callable[[tuple[slice, ...], int], np.ndarray] | None = None
    planes: bool = False
    opaque: int | None = None


def axis_names(axes: Iterable[str]) -> list[str]:
    """Names of axes as they are compared: capitals, one letter for the usual ones."""
    return [_LONG.get(str(name).upper(), str(name).upper()) for name in axes]


def take(source: Source, choice: Choice) -> Stack:
    """The chosen images of a source."""
    shape, path = tuple(source.data.shape), source.path
    choice = _as_far_as(source, choice) if choice.frames else choice
    check_numbers(shape, source.data.dtype, path)
    names, ends = _names(source, choice)
    fixed = _selected(names, shape, choice, path)
    counting = _counting(names, shape, fixed, choice, source)
    rows, cols = _window(names, shape, choice, path)
    index: list[Any] = [slice(0, 1)] * len(shape)
    for k, place in fixed.items():
        index[k] = slice(place, place + 1)
    for k in counting:
        index[k] = slice(None)
    samples = names.index("S") if "S" in names and not {names.index("S")} & {*fixed, *counting} else None
    index[names.index("Y")], index[names.index("X")] = rows, cols
    if samples is not None:
        index[samples] = slice(None)
    count = int(np.prod([shape[k] for k in counting], dtype=int))
    kept = kept_images(count, choice.exclude, None, path)
    frame = math.prod(n for k, n in enumerate(shape) if k not in (*fixed, *counting))
    stack = len(kept) * (rows.stop - rows.start) * (cols.stop - cols.start)
    check_room(max(frame, stack), source.data.dtype, path)
    _check_written(source, tuple(index), counting, kept)
    if len(counting) == 1 and len(kept) < count:
        index[counting[0]] = kept.tolist()
    stored = np.asarray(source.data[tuple(index)])
    others = [
        k for k in range(len(shape)) if k not in (*counting, names.index("Y"), names.index("X"), samples)
    ]
    last = [names.index("Y"), names.index("X")] + ([samples] if samples is not None else [])
    turned = stored.transpose(*counting, *others, *last)
    images = turned.reshape(-1, *turned.shape[turned.ndim - len(last) :])
    if len(images) != len(kept):
        images = images[kept]
    notes = list(source.notes)
    if samples is not None:
        images, note = grey_of(images, source.opaque, path)
        notes += note
    if ends is not None and ends[0] == ends[1] > 1:
        notes.append(
            f"{path.name}: axes of shape {shape} have no names; taken as "
            f"{'(y, x, n)' if source.last else '(n, y, x)'}: if the {'first' if source.last else 'last'} "
            f"counts the images, set axis = {0 if source.last else -1} in [images]"
        )
    native = images.dtype.newbyteorder("=")
    named = {name: n for name, n in zip(names, shape, strict=True) if name != "1"}
    return Stack(np.ascontiguousarray(images, native), tuple(notes), kept, count, ends, named)


def _names(source: Source, choice: Choice) -> tuple[list[str], tuple[int, int] | None]:
    """A name for every axis; and the lengths of both ends where nothing but convention gave them."""
    shape, path = tuple(source.data.shape), source.path
    if choice.axes is not None:
        return _given_names(choice.axes, shape, path), None
    if source.axes is not None:
        return axis_names(source.axes), None
    names = ["1"] * len(shape)
    free = _not_single(shape, source.last)
    if len(free) < 2:
        raise InputError(f"{path}: the images have shape {shape}; expected (n_images, y, x) or (y, x)")
    if len(free) > 3:
        raise InputError(
            f"{path}: the images have shape {shape} and their axes no names; expected (n_images, y, x) or "
            '(y, x): name the axes, as axes = "TCYX", and choose with select = { C = 0 }'
        )
    order = ["Y", "X"] if len(free) == 2 else _three(choice.axis, source, free)
    for k, name in zip(free, order, strict=True):
        names[k] = name
    ends = (shape[free[0]], shape[free[-1]]) if len(free) == 3 and choice.axis is None else None
    return names, ends


def _as_far_as(source: Source, choice: Choice) -> Choice:
    """A choice without what a source of frames does not have."""
    shape = source.data.shape
    several = len(_not_single(shape, source.last)) > 2
    axes = choice.axes if choice.axes is not None and len(choice.axes) == len(shape) else None
    known = set(axis_names(axes or source.axes or ()))
    select = {key: place for key, place in choice.select.items() if axis_names([key])[0] in known}
    numbered = isinstance(choice.axis, int) and several
    axis = (
        choice.axis
        if numbered or (isinstance(choice.axis, str) and {*axis_names(choice.axis)} <= known)
        else None
    )
    return replace(choice, axes=axes, axis=axis, select=select)


def _not_single(shape: tuple[int, ...], last: bool) -> list[int]:
    """Axes that matter: more than three less those of length 1, but for the two of an image."""
    everything = list(range(len(shape)))
    long = [k for k in everything if shape[k] > 1]
    if len(shape) <= 3 or len(long) == 3:
        return everything if len(shape) <= 3 else long
    image = everything[:2] if last else everything[-2:]
    return sorted({*image, *long})


def _three(axis: int | str | None, source: Source, free: list[int]) -> list[str]:
    """Names of three axes of which `axis`, or convention, counts images."""
    number = (2 if source.last else 0) if axis is None else axis
    if not isinstance(number, int):
        raise InputError(
            f"{source.path}: axis is {axis!r}, but the axes of shape {tuple(source.data.shape)} have no "
            "names; "
            'give its number, or name them, as axes = "TYX"'
        )
    if len(source.data.shape) > 3 and axis is not None:
        wanted = range(len(source.data.shape))[_checked(number, len(source.data.shape), source.path)]
        if wanted not in free:
            raise InputError(
                f"{source.path}: axis is {axis}, which has the length 1; name the one that counts images"
            )
        number = free.index(wanted)
    order = ["Y", "X"]
    order.insert(range(3)[_checked(number, 3, source.path)], "N")
    return order


def _checked(number: int, count: int, path: Path) -> int:
    if not -count <= number < count:
        raise InputError(f"{path}: axis is {number}; its images have {count} axes, numbered 0 to {count - 1}")
    return number


def _given_names(axes: str | Sequence[str], shape: tuple[int, ...], path: Path) -> list[str]:
    """The names that the user gives, one an axis; axes of length 1 may be left out."""
    given = axis_names(axes)
    long = [k for k, n in enumerate(shape) if n > 1]
    if (
        len(set(given)) < len(given)
        or not {"Y", "X"} <= set(given)
        or len(given) not in (len(shape), len(long))
    ):
        raise InputError(
            f"{path}: axes is {axes!r} for images of shape {shape}; expected {len(shape)} different names, Y "
            "and "
            'X among them, as "TCYX"'
        )
    if len(given) == len(shape):
        return given
    names = ["1"] * len(shape)
    for k, name in zip(long, given, strict=True):
        names[k] = name
    return names


def _told(names: list[str], shape: tuple[int, ...]) -> str:
    """Axes in words: T (9), C (2), Y (40), X (48)."""
    return ", ".join(f"{name} ({n})" for name, n in zip(names, shape, strict=True) if name != "1")


def _selected(names: list[str], shape: tuple[int, ...], choice: Choice, path: Path) -> dict[int, int]:
    """The position along each axis that `select` fixes, by the number of the axis."""
    fixed = {}
    for key, place in choice.select.items():
        name = axis_names([key])[0]
        if name not in names or name in ("Y", "X"):
            raise InputError(f"{path}: select names the axis {key}; its images have {_told(names, shape)}")
        k = names.index(name)
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < shape[k]:
            raise InputError(
                f"{path}: select has {key} = {place!r}; expected a whole number from 0 to {shape[k] - 1}"
            )
        fixed[k] = place
    return fixed


def _counting(
    names: list[str], shape: tuple[int, ...], fixed: dict[int, int], choice: Choice, source: Source
) -> list[int]:
    """The axes that count images, outermost first."""
    free = [k for k, n in enumerate(shape) if names[k] not in ("Y", "X") and k not in fixed and n > 1]
    if choice.axis is not None and names.count("N") == 0:
        chosen = _chosen(choice.axis, names, shape, source.path)
    elif names.count("N"):
        chosen = [names.index("N")]
    else:
        chosen = [k for k in free if names[k] != "S"]
        if not chosen and free and source.planes and not _equal_planes(source, free[0]):
            source.notes.append(
                f"stored as {shape[free[0]]} colour planes of one picture: taken as {shape[free[0]]} images; "
                "if it is one in colour, choose a plane with select = { S = 0 }"
            )
            chosen = free
    left = [k for k in free if k not in chosen and names[k] != "S"]
    if left or (len(chosen) > 1 and choice.axis is None):
        several = [k for k in free if names[k] != "S"]
        letters = "".join(names[k] if len(names[k]) == 1 else f"({names[k]})" for k in several)
        fix = ", ".join(f"{names[k]} = 0" for k in several[1:])
        raise InputError(
            f"{source.path}: the images have shape {shape} along {_told(names, shape)}; expected (n_images, "
            "y, x): "
            f'choose with select = {{ {fix} }}, or count through all with axis = "{letters}" in [images]'
        )
    return chosen


def _chosen(axis: int | str, names: list[str], shape: tuple[int, ...], path: Path) -> list[int]:
    """The axes that `axis` names; a number counts those of the stored array."""
    if isinstance(axis, int):
        chosen = [range(len(names))[_checked(axis, len(names), path)]]
    else:
        wanted = axis_names([axis])
        wanted = wanted if wanted[0] in names else axis_names(axis)
        if not set(wanted) <= set(names) or len(set(wanted)) < len(wanted):
            raise InputError(f"{path}: axis is {axis!r}; its images have {_told(names, shape)}")
        chosen = [names.index(name) for name in wanted]
    if {names[k] for k in chosen} & {"Y", "X"}:
        raise InputError(
            f"{path}: axis is {axis!r}, but Y and X lie in the image; its images have {_told(names, shape)}: "
            "name "
            "the axes in their order with axes"
        )
    return chosen


def _equal_planes(source: Source, k: int) -> bool:
    index: list[Any] = [slice(None)] * len(source.data.shape)
    planes = np.moveaxis(np.asarray(source.data[tuple(index)]), k, 0)
    return bool((planes == planes[:1]).all())


def _window(names: list[str], shape: tuple[int, ...], choice: Choice, path: Path) -> tuple[slice, slice]:
    size = shape[names.index("Y")], shape[names.index("X")]
    return window(size, choice.region, path)


def _check_written(source: Source, index: tuple[slice, ...], counting: list[int], kept: np.ndarray) -> None:
    """Refuse images that the writer never came to."""
    if source.gaps is None:
        return
    if len(counting) != 1:
        if source.gaps(index, 0).any():
            raise InputError(f"{source.path}: parts of its images were never written; write it again")
        return
    gaps = np.flatnonzero(source.gaps(index, counting[0]))
    gone = [int(k) for k in gaps if k in set(kept.tolist())]
    if gone:
        few = ", ".join(map(str, gone[:_FEW])) + (" ..." if len(gone) > _FEW else "")
        raise InputError(
            f"{source.path}: {len(gone)} of {len(kept)} images were never written, or not wholly (first: "
            "image "
            f"{gone[0]}): its writing stopped early; leave them out with exclude = [{few}], or write it again"
        )

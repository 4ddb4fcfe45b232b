"""Datasets of HDF5 files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.axes import Source, take
from fieldrx.io.choice import Choice, Stack
from fieldrx.io.files import check_file
from fieldrx.io.matlab_hdf5 import cells, is_matlab, is_struct
from fieldrx.io.whole import check_filters, check_sources, from_its_folder, unwritten

if TYPE_CHECKING:
    import h5py

_MANY = 40  # names that an error lists


@contextmanager
def open_hdf5(path: str | os.PathLike) -> Iterator[h5py.File]:
    """An open HDF5 file; what is wrong with it, or missing to read it, is one `InputError`."""
    path = check_file(path, "an HDF5 file")
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading HDF5 needs h5py; pip install fieldrx[io]") from None
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise _trouble(path, one_line(error)) from None


def _trouble(path: Path, text: str) -> InputError:
    """What went wrong in an HDF5 file, in one line with the remedy."""
    if "unable to lock" in text:
        return InputError(
            f"{path}: another program holds the HDF5 file open for writing ({text}); close it there"
        )
    if "truncated" in text:
        return InputError(f"{path}: HDF5 file cut short, so damaged ({text}); copy or export it again")
    return InputError(f"{path}: not an HDF5 file, or damaged ({text}); copy or export it again")


def load_hdf5(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the datasets and attributes at the root of an HDF5 file; a dataset wins over an attribute.

    Raises
    ------
    InputError
        If the file is missing or damaged, or h5py is not installed.
    """
    with open_hdf5(path) as file:
        arrays = {name: _plain(value) for name, value in file.attrs.items()}
        arrays |= {name: _plain(item[()]) for name, item in file.items() if hasattr(item, "dtype")}
    return arrays


def _plain(value: Any) -> np.ndarray:
    """HDF5 text comes as bytes or objects; NumPy text is what the rest of fieldrx knows."""
    array = np.asarray(value)
    if array.dtype.kind in "SO":
        decoded = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
        return np.array(decoded, dtype=np.str_).reshape(array.shape)
    return array


def dataset(file: h5py.File, name: str | None, path: Path) -> h5py.Dataset:
    """The dataset called `name`, or an error that lists what there is."""
    item = _item(file, name, path)
    if not hasattr(item, "dtype"):
        raise InputError(f"{path}: {item.name} is a group, not a dataset; it holds {', '.join(item)}")
    return item


def list_hdf5(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the datasets of a file, MATLAB's by MATLAB's order of axes.

    Raises
    ------
    InputError
        If the file is missing or damaged, or h5py is not installed.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, item: Any) -> None:
        if hasattr(item, "dtype") and item.shape is not None and not name.startswith("#"):
            shapes[name] = item.shape[::-1] if is_matlab(item.file, path, item) else item.shape

    with open_hdf5(path) as file:
        file.visititems(note)
    return shapes


def read_hdf5(path: Path, name: str | None, choice: Choice) -> Stack:
    """The chosen images of a dataset, or of a group of images; MATLAB's by MATLAB's order of axes."""
    with open_hdf5(path) as file:
        item = _item(file, name, path)
        matlab = is_matlab(file, path, item)
        several = _several(item, path)
        if several is None or len(several) == 1:
            notes = [] if several else _brothers(item)
            return take(_source(several[0] if several else item, path, matlab, notes), choice)
        stacks = [take(_source(one, path, matlab, []), Choice(choice.region)) for one in several]
    notes = list(dict.fromkeys(note for stack in stacks for note in stack.notes))
    shapes = sorted({s.images.shape for s in stacks})
    if len(shapes) > 1 or shapes[0][0] != 1:
        raise InputError(
            f"{path}: {name} holds images of several shapes {shapes}; expected one image each, alike"
        )
    joined = np.concatenate([s.images for s in stacks])
    whole = take(Source(joined, path, ("N", "Y", "X"), notes=notes), Choice(exclude=choice.exclude))
    return replace(whole, axes={**whole.axes, **stacks[0].axes})


def _item(file: h5py.File, name: str | None, path: Path) -> Any:
    """The dataset or group called `name`, links followed, or an error that lists what there is."""
    wanted = (name or "").strip("/")
    item: Any = _led_to(file, wanted) if wanted else None
    if hasattr(item, "dtype") and item.shape is None:
        raise InputError(f"{path}: {wanted} is a dataset without any values; write it again")
    if item is not None:
        return item
    if wanted and (link := _lost_link(file, wanted)) is not None:
        away = getattr(link, "filename", "")
        raise InputError(
            f"{path}: {wanted} is a link to {f'{away}:' if away else ''}{link.path}, which is not there; "
            "copy "
            f"{'that file beside it' if away else 'the file again, whole'}"
        )
    found: list[str] = []
    file.visititems_links(lambda key, _: found.append(key) if hasattr(_led_to(file, key), "dtype") else None)
    shown = [n for n in found if not n.startswith("#")]
    came = f'has no dataset "{wanted}"' if wanted else "needs the name of a dataset"
    names = ", ".join(shown[:_MANY]) + (" ..." if len(shown) > _MANY else "") or "(none)"
    raise InputError(f"{path} {came}; expected {Path(path).name}:/NAME with NAME one of: {names}")


def _led_to(group: Any, key: str) -> Any:
    """What a name stands for; None where it is no name, or a link that leads nowhere."""
    try:
        return group[key]
    except (KeyError, RuntimeError, OSError):  # a link to nothing, to itself, into a file that is not there
        return None


def _lost_link(file: h5py.File, wanted: str) -> Any:
    """The link of a name that leads nowhere."""
    group, _, last = wanted.rpartition("/")
    holder = _led_to(file, group) if group else file
    link = holder.get(last, getlink=True) if hasattr(holder, "keys") and last in list(holder) else None
    return link if hasattr(link, "path") else None


def _several(item: Any, path: Path) -> list[Any] | None:
    """Images with a dataset each: the members of a group in the order of their numbers, or cells."""
    if hasattr(item, "dtype"):
        return cells(item, path)
    inside = sorted(item)
    if not inside:
        raise InputError(f"{path}: {item.name} is a group that holds nothing; write it again")
    numbers = {key: "".join(c for c in key if c.isdigit()) for key in inside}
    stems = {"".join(c for c in key if not c.isdigit()) for key in inside}
    alike = len(stems) == 1 and all(numbers.values()) and len(set(map(int, numbers.values()))) == len(inside)
    if is_struct(item) or not alike or not all(hasattr(_led_to(item, key), "dtype") for key in inside):
        raise InputError(
            f"{path}: {item.name} is a group, not a dataset; it holds {', '.join(inside[:_MANY])}: expected "
            f"{path.name}:{item.name.rstrip('/')}/NAME"
        )
    return [item[key] for key in sorted(inside, key=lambda key: int(numbers[key]))]


def _brothers(item: Any) -> list[str]:
    """A note on an image beside others of its kind, as 0 of 0, 1, 2: they may be one stack."""
    group, _, name = item.name.rpartition("/")
    if not (name.isdigit() and group and item.ndim == 2):
        return []
    others = [_led_to(item.parent, key) for key in item.parent if key.isdigit()]
    alike = [other for other in others if getattr(other, "shape", 0) == item.shape]
    if len(alike) < 2:
        return []
    return [f"{item.name} is one of {len(alike)} numbered images: {group} names them all"]


def _source(item: Any, path: Path, matlab: bool, notes: list[str]) -> Source:
    """A dataset as images with axes, what makes it unreadable refused."""
    check_filters(item, path)
    check_sources(item, path)
    item = from_its_folder(item, path)
    labels = [d.label for d in item.dims]
    named = all(labels) and {"y", "x"} <= {label.lower() for label in labels}
    gaps = unwritten(item)
    if not matlab:
        return Source(item, path, labels if named else None, notes=notes, gaps=gaps)

    def reversed_gaps(index, axis):
        return gaps(index[::-1], item.ndim - 1 - axis)

    return Source(_Reversed(item), path, last=True, notes=notes, gaps=reversed_gaps)


class _Reversed:
    """A dataset with MATLAB's order of axes: (y, x, n) is stored as (n, x, y)."""

    def __init__(self, data: Any):
        self.data, self.dtype, self.shape = data, data.dtype, tuple(data.shape[::-1])

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        return self.data[index[::-1]].T

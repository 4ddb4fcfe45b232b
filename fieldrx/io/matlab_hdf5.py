"""MATLAB's marks in HDF5 files, as of its version 7.3: whose arrays they are, structs and cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fieldrx.errors import InputError

_HEAD = b"MATLAB 7.3"
_CLASS = "MATLAB_class"


def is_matlab(file: Any, path: Path, item: Any) -> bool:
    """Whether MATLAB wrote an item, so that its axes are reversed: by its marks, not the ending."""
    with open(path, "rb") as raw:
        if raw.read(len(_HEAD)) == _HEAD:
            return True
    return _CLASS in item.attrs or any(_CLASS in v.attrs for v in _members(item))


def _members(item: Any) -> list[Any]:
    return [] if hasattr(item, "dtype") else list(item.values())


def is_struct(item: Any) -> bool:
    """Whether a group is a struct of MATLAB, whose fields are no stack."""
    return _class_of(item) == "struct"


def _class_of(item: Any) -> str:
    value = item.attrs.get(_CLASS, b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def cells(item: Any, path: Path) -> list[Any] | None:
    """The arrays of a cell, or of a field of several structs, in MATLAB's order; None of a plain array."""
    import h5py

    if item.attrs.get("MATLAB_empty"):
        raise InputError(f"{path}: {item.name} is empty; save it again")
    if h5py.check_ref_dtype(item.dtype) is None:
        return None
    found = [item.file[reference] for reference in item[()].ravel() if reference]
    if not found or not all(
        hasattr(one, "dtype") and h5py.check_ref_dtype(one.dtype) is None for one in found
    ):
        raise InputError(f"{path}: {item.name} holds no images; expected a cell with one image each")
    return found

"""Single numbers and small arrays in files of arrays: .mat, .h5, .npz and .npy."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io import kinds
from fieldrx.io.hdf5 import dataset, list_hdf5, open_hdf5
from fieldrx.io.matlab import list_matlab, matlab_variable
from fieldrx.io.matlab_hdf5 import is_matlab
from fieldrx.io.npy import open_npy
from fieldrx.io.npz import load_npz

_VARIABLE = re.compile(r"(?P<file>.+\.(?:h5|hdf5|mat|npz|npy))(?::/?(?P<name>.*))?", re.IGNORECASE)


def is_variable(source: str) -> bool:
    """Whether a text names a file of arrays, perhaps with what is in it."""
    return _VARIABLE.fullmatch(source) is not None


def read_variable(source: str, folder: str | os.PathLike) -> np.ndarray:
    """An array of real numbers, with its axes as NumPy or MATLAB show them.

    Parameters
    ----------
    source : str
        ``file.mat:/NAME``, also of .h5 (a dataset or an attribute) and .npz, or ``file.npy``.
    folder : path-like
        Where relative names start.

    Raises
    ------
    InputError
        If the file is missing or damaged, has no such variable, or that is no array of real numbers.
    """
    match = _VARIABLE.fullmatch(source)
    if match is None:
        raise InputError(f"{source} names no variable; expected FILE:/NAME of a .mat, .h5 or .npz, or a .npy")
    path, name = Path(folder, match["file"]), match["name"] or ""
    read = {kinds.MATLAB: matlab_variable, kinds.NPZ: _of_npz, kinds.NPY: _of_npy}.get(
        kinds.kind_of(path), _of_hdf5
    )
    values = read(path, name)
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name or 'the array'} has type {values.dtype}; expected real numbers")
    return values


def list_variables(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays in a file, as `read_variable` names and turns them.

    Parameters
    ----------
    path : Path
        A .mat or .h5; fields of structs and members of groups are named STRUCT/FIELD.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    return (list_matlab if kinds.kind_of(path) == kinds.MATLAB else list_hdf5)(path)


def _of_hdf5(path: Path, name: str) -> np.ndarray:
    group, _, attribute = name.rpartition("/")
    with open_hdf5(path) as file:
        holder = file.get(group or "/")
        if holder is not None and name not in file and attribute in holder.attrs:
            return np.asarray(holder.attrs[attribute])
        item = dataset(file, name, path)
        values = np.asarray(item[()])
        return values.T if is_matlab(file, path, item) else values  # which MATLAB stores reversed


def _of_npz(path: Path, name: str) -> np.ndarray:
    return _known(load_npz(path, "file of arrays"), name, path)


def _of_npy(path: Path, _: str) -> np.ndarray:
    return open_npy(path)


def _known(arrays: dict, name: str, path: Path) -> np.ndarray:
    if name not in arrays:
        came = f'has no variable "{name}"' if name else f"needs the name of a variable, {path.name}:/NAME"
        raise InputError(f"{path} {came}; it holds {', '.join(arrays) or 'nothing'}")
    return arrays[name]

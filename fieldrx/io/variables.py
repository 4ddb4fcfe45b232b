"""Single numbers and small arrays in files of arrays: .mat, .h5, .npz and .npy."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.files import check_file
from fieldrx.io.hdf5 import dataset, open_hdf5
from fieldrx.io.npz import load_npz

_VARIABLE = re.compile(r"(?P<file>.+\.(?:h5|hdf5|mat|npz|npy))(?::/?(?P<name>.*))?", re.IGNORECASE)
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADS = slice(0, 8), slice(512, 520)  # where it may stand: MATLAB writes 512 bytes of its own before


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
    read = {".mat": _of_matlab, ".npz": _of_npz, ".npy": _of_npy}.get(path.suffix.lower(), _of_hdf5)
    values = read(path, name)
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: {name or 'the array'} has type {values.dtype}; expected real numbers")
    return values


def _of_hdf5(path: Path, name: str) -> np.ndarray:
    group, _, attribute = name.rpartition("/")
    with open_hdf5(path) as file:
        holder = file.get(group or "/")
        if holder is not None and name not in file and attribute in holder.attrs:
            return np.asarray(holder.attrs[attribute])
        return np.asarray(dataset(file, name, path)[()])


def _of_npz(path: Path, name: str) -> np.ndarray:
    return _known(load_npz(path, "file of arrays"), name, path)


def _of_npy(path: Path, _: str) -> np.ndarray:
    path = check_file(path, "a NumPy array (.npy)")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: not a readable .npy file ({one_line(error)}); write it again") from None


def _of_matlab(path: Path, name: str) -> np.ndarray:
    import scipy.io  # here: other files need not wait for it

    path = check_file(path, "a MATLAB file")
    with open(path, "rb") as file:
        head = file.read(520)
    if _HDF5 in [head[part] for part in _HEADS]:
        return _of_hdf5(path, name).T  # which holds MATLAB's axes reversed
    name, *fields = name.split("/")
    try:
        arrays = scipy.io.loadmat(path, variable_names=[name])
        if name not in arrays:
            arrays = dict.fromkeys(v[0] for v in scipy.io.whosmat(path))
    except Exception as error:  # a damaged file can make a parser raise anything
        raise InputError(
            f"{path}: cannot be read as MATLAB file ({one_line(error)}); save it again"
        ) from None
    value = np.asarray(_known(arrays, name, path))
    for field in fields:  # of a struct, which is an array of one record
        record = value.item() if value.dtype.names and value.size == 1 else ()
        value = np.asarray(_known(dict(zip(value.dtype.names or (), record, strict=False)), field, path))
    return value


def _known(arrays: dict, name: str, path: Path) -> np.ndarray:
    if name not in arrays:
        came = f'has no variable "{name}"' if name else f"needs the name of a variable, {path.name}:/NAME"
        raise InputError(f"{path} {came}; it holds {', '.join(arrays) or 'nothing'}")
    return arrays[name]

"""Datasets of HDF5 files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.checks import check_stack, window
from fieldrx.io.files import check_file

if TYPE_CHECKING:
    import h5py


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
        raise InputError(
            f"{path}: not an HDF5 file, or damaged ({one_line(error)}); copy or export it again"
        ) from None


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


def dataset(file: h5py.File, name: str | None, path: str | os.PathLike) -> h5py.Dataset:
    """The dataset called `name`, or an error that lists what there is."""
    found = []
    file.visititems(lambda key, item: found.append(key) if hasattr(item, "dtype") else None)
    wanted = (name or "").strip("/")
    if wanted not in found:
        came = f'has no dataset "{wanted}"' if wanted else "needs the name of a dataset"
        names = ", ".join(n for n in found if not n.startswith("#")) or "(none)"
        raise InputError(f"{path} {came}; expected {Path(path).name}:/NAME with NAME one of: {names}")
    return file[wanted]


def read_hdf5(path: Path, name: str | None, region: Sequence[int] | None) -> np.ndarray:
    """Images (n, y, x) of a dataset, cut to a region."""
    with open_hdf5(path) as file:
        data = dataset(file, name, path)
        check_stack(data.shape, data.dtype, path)
        rows, cols = window(data.shape[-2:], region, path)
        images = data[..., rows, cols]
    return images if images.ndim == 3 else images[None]

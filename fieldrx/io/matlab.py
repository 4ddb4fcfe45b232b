"""Arrays of MATLAB files, of version 5 and of 7.3, which is HDF5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.checks import check_stack, crop, window
from fieldrx.io.files import check_file
from fieldrx.io.hdf5 import dataset, open_hdf5

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read_matlab(path: Path, name: str | None, region: Sequence[int] | None) -> np.ndarray:
    """MATLAB images (y, x, n) as (n, y, x)."""
    import scipy.io  # here: other files need not wait for it

    path = check_file(path, "a MATLAB file")
    with open(path, "rb") as file:
        head = file.read(520)
    if _HDF5_MAGIC in (head[:8], head[512:]):
        return _read_v73(path, name, region)
    wanted = (name or "").strip("/")
    try:
        found = [v[0] for v in scipy.io.whosmat(path)]
        array = scipy.io.loadmat(path, variable_names=[wanted])[wanted] if wanted in found else None
    except Exception as error:  # a damaged file can make a parser raise anything
        raise InputError(
            f"{path}: cannot be read as MATLAB file ({one_line(error)}); save it again"
        ) from None
    if array is None:
        raise InputError(
            f'{path} has no variable "{wanted}"; expected {path.name}:/NAME with NAME one of: '
            f"{', '.join(found) or '(none)'}"
        )
    if not isinstance(array, np.ndarray):
        raise InputError(f'{path}: "{wanted}" is a {type(array).__name__}; save it as a full array')
    return crop(np.moveaxis(array, -1, 0) if array.ndim == 3 else array, region, path)


def _read_v73(path: Path, name: str | None, region: Sequence[int] | None) -> np.ndarray:
    """HDF5 holds MATLAB's axes reversed: (y, x, n) is stored as (n, x, y)."""
    with open_hdf5(path) as file:
        data = dataset(file, name, path)
        check_stack(data.shape, data.dtype, path)
        rows, cols = window(data.shape[:-3:-1], region, path)
        images = np.ascontiguousarray(data[..., cols, rows].swapaxes(-1, -2))
    return images if images.ndim == 3 else images[None]

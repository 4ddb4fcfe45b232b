"""What every reader of images asks of them, and the part of them that is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError
from fieldrx.resources import memory_limit

_COMPLEX = ({"real", "imag"}, {"r", "i"})  # how HDF5 files name the parts of a number


def window(
    image_shape: Sequence[int], region: Sequence[int] | None, path: str | os.PathLike
) -> tuple[slice, slice]:
    """Row and column slices of a region, checked against the image."""
    ny, nx = image_shape
    if region is None:
        return slice(0, ny), slice(0, nx)
    y0, y1, x0, x1 = region
    if not (0 <= y0 < y1 <= ny and 0 <= x0 < x1 <= nx):
        raise InputError(
            f"{path}: region [y0, y1, x0, x1] = {[y0, y1, x0, x1]} is empty or leaves the images of "
            f"{ny} x {nx} pixels (y x x); expected 0 <= y0 < y1 <= {ny} and 0 <= x0 < x1 <= {nx}"
        )
    return slice(y0, y1), slice(x0, x1)


def check_numbers(shape: Sequence[int], dtype: np.dtype, path: str | os.PathLike) -> None:
    """Refuse what holds no real numbers, or none at all."""
    if dtype.kind == "c" or (dtype.names and {n.lower() for n in dtype.names} in _COMPLEX):
        raise InputError(f"{path}: the images are complex; expected intensities: store abs(field)**2")
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: the images have type {dtype}; expected integers or floating-point numbers")
    if 0 in shape:
        raise InputError(f"{path}: the images have shape {tuple(shape)}: no pixels; write the file again")


def check_room(count: int, dtype: Any, path: Path) -> None:
    """Refuse numbers that the memory cannot hold, whatever a file claims.

    Parameters
    ----------
    count : int
        Of numbers.
    dtype
    path : Path
        For the error.

    Raises
    ------
    InputError
    """
    size, (have, limit) = count * np.dtype(dtype).itemsize, memory_limit()
    if have is not None and size > have:
        raise InputError(
            f"{path}: its images take {size / 2**30:.3g} GiB, {limit} {have / 2**30:.1f}: choose some with "
            "select or exclude, or a region; if they should be small, the file is damaged"
        )

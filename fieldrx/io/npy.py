"""Stacks of images in .npy files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError  # what NumPy lets through of a damaged header

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.checks import crop
from fieldrx.io.files import check_file


def read_npy(path: Path, region: Sequence[int] | None) -> np.ndarray:
    """Images (n, y, x) of a .npy file, cut to a region."""
    path = check_file(path, "a NumPy array (.npy)")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, TokenError) as error:
        raise InputError(f"{path}: not a readable .npy file ({one_line(error)}); write it again") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path}: is a .npz archive under another name; rename it or use numpy.save")
    return np.array(crop(array, region, path))

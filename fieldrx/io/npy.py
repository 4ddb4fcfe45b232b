"""Stacks of images in .npy files and in archives of them, .npz."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError  # what NumPy lets through of a damaged header

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.axes import Source, take
from fieldrx.io.choice import Choice, Stack
from fieldrx.io.files import check_file
from fieldrx.io.npz import load_array, open_npz


def read_npy(path: Path, choice: Choice) -> Stack:
    """The chosen images of a .npy file."""
    return take(Source(open_npy(path), path), choice)


def open_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, read where it is indexed.

    Raises
    ------
    InputError
        If the file is missing or damaged, or an archive under another name.
    """
    path = check_file(path, "a NumPy array (.npy)")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, TokenError) as error:
        raise InputError(f"{path}: not a readable .npy file ({one_line(error)}); write it again") from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path}: is a .npz archive under another name; rename it or use numpy.save")
    return array


def read_npz(path: Path, name: str | None, choice: Choice) -> Stack:
    """The chosen images of one array of a .npz archive: the one of that name, or the only one."""
    with open_npz(path, "archive of NumPy arrays") as archive:
        names = list(archive.files)
        wanted = (name or "").strip("/") or (names[0] if len(names) == 1 else "")
        if wanted not in names:
            came = f'has no array "{wanted}"' if wanted else "needs the name of an array"
            raise InputError(
                f"{path} {came}; expected {path.name}:/NAME with NAME one of: {', '.join(names) or '(none)'}"
            )
        array = load_array(archive, wanted, path)
    return take(Source(array, path), choice)

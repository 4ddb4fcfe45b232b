"""Archives of NumPy arrays, never pickled."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError  # what NumPy lets through of a damaged header
from typing import Any

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic
from numpy.typing import ArrayLike

from fieldrx.errors import InputError, one_line
from fieldrx.io.files import atomic_path, check_file
from fieldrx.resources import memory_limit


def save_npz(path: str | os.PathLike, *, compressed: bool = False, **arrays: ArrayLike) -> None:
    """Write arrays to one .npz, atomically and never pickled.

    Parameters
    ----------
    path : path-like
        Taken as it is: no ending is added.
    compressed : bool
        Deflate the arrays: smaller and slower.
    **arrays : array_like
        Numbers or text; objects are refused.
    """
    plain: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    for name, value in plain.items():
        if value.dtype.hasobject:
            raise TypeError(f"{name} holds Python objects; only numbers and text are stored")
    write = np.savez_compressed if compressed else np.savez
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        write(file, **plain)


def check_npz(path: str | os.PathLike, what: str) -> None:
    """Refuse a name without the ending .npz for what is saved so, "a field" for instance.

    Raises
    ------
    InputError
    """
    if Path(path).suffix.lower() != ".npz":
        raise InputError(f"{path}: {what} is saved as .npz; choose a name with that ending")


def load_npz(path: str | os.PathLike, what: str, required: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read all arrays of one .npz, never unpickling.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should hold, for errors: "acquisition", "volume", "field".
    required : sequence of str
        Names that must be there.

    Raises
    ------
    InputError
        If the file is missing, not a .npz, truncated, holds Python objects, or lacks a name.
    """
    with open_npz(path, f"fieldrx {what}") as archive:
        arrays = {name: load_array(archive, name, path) for name in archive.files}
    check_keys(arrays, required, path, what)
    return arrays


def load_format(path: str | os.PathLike) -> str:
    """What a file of results says that it is, its ``format``; other arrays are not read.

    Raises
    ------
    InputError
        As of :func:`load_npz`.
    """
    with open_npz(path, "fieldrx result") as archive:
        arrays = {name: load_array(archive, name, path) for name in archive.files if name == "format"}
        check_keys(arrays or dict.fromkeys(archive.files), ("format",), path, "result")
    return str(arrays["format"])


@contextmanager
def open_npz(path: str | os.PathLike, what: str) -> Iterator[Any]:
    """An open archive; what is wrong with it is one `InputError`."""
    path = check_file(path, f"a {what} (.npz)")
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path}: not a .npz archive, or cut short; expected a {what}: write or copy it again"
        )
    # opened here, because numpy leaves the file open when the archive's directory is damaged
    with _broken_archive(path, what), open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        yield archive


def check_keys(
    arrays: Mapping[str, Any], required: Sequence[str], path: str | os.PathLike, what: str
) -> None:
    """Raise an `InputError` naming what is missing and what is there."""
    for name in required:
        if name not in arrays:
            present = ", ".join(sorted(arrays)) or "nothing"
            raise InputError(f'{path}: lacks "{name}", which a fieldrx {what} needs; it holds {present}')


@contextmanager
def _broken_archive(path, what):
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged archive ({one_line(error)}); write or copy it again") from None


def _check_declared(archive: Any, name: str, path: str | os.PathLike) -> None:
    """Refuse an array that would be larger than what is stored of it, or than the memory."""
    if f"{name}.npy" not in archive.zip.namelist():
        return  # no array: refused when it is read
    stored = archive.zip.getinfo(f"{name}.npy").file_size
    with archive.zip.open(f"{name}.npy") as member:
        header = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}.get(read_magic(member))
        if header is None:
            return
        shape, _, dtype = header(member)
        stored -= member.tell()
    size, (have, limit) = dtype.itemsize * math.prod(shape), memory_limit()
    if size > stored and not dtype.hasobject:
        raise ValueError(f'"{name}" is cut short')
    if have is not None and stored > have:
        raise InputError(f'{path}: "{name}" takes {stored / 2**30:.3g} GiB; {limit} {have / 2**30:.1f}')


def load_array(archive: Any, name: str, path: str | os.PathLike) -> np.ndarray:
    """One array of an open archive, never unpickled."""
    try:
        _check_declared(archive, name, path)
        value = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise InputError(
            f'{path}: "{name}" is an array of Python objects, which fieldrx never unpickles; '
            "save it as a plain array of numbers or text"
        ) from None
    if not isinstance(value, np.ndarray):
        raise InputError(f'{path}: "{name}" is not a NumPy array; write the file with numpy.savez')
    return value

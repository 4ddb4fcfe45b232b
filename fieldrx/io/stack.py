"""A stack of images, whatever file or files hold it.

==========================  ====================================================================
images, as `read_images`    what is read
==========================  ====================================================================
``stack.tif``               every page of a TIFF, also ImageJ and OME stacks
``img_y{row}_x{col}.tif``   one TIFF per image, ordered by row, then column
``["a.tif", "b.tif"]``      one TIFF per image, in this order
``stack.npy``               a NumPy array (n, y, x)
``data.h5:/images``         a dataset (n, y, x): the FIRST axis counts images
``data.mat:/I_Raw``         a MATLAB array (y, x, n), v5 or v7.3: the LAST axis counts images
==========================  ====================================================================

An array of two axes is one image (y, x).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, NoSuchFile
from fieldrx.io.hdf5 import read_hdf5
from fieldrx.io.matlab import read_matlab
from fieldrx.io.npy import read_npy
from fieldrx.io.tiff import read_tiff

_INSIDE = re.compile(r"(?P<file>.+\.(?:h5|hdf5|mat))(?::(?P<name>.*))?", re.IGNORECASE)


def read_images(
    source: str | os.PathLike | Sequence[str],
    folder: str | os.PathLike = ".",
    region: Sequence[int] | None = None,
) -> np.ndarray:
    """Read a stack of images as it is stored; the table above says what `source` may be.

    Parameters
    ----------
    source : str or sequence of str
        File, file pattern, "file:dataset" or list of files.
    folder : path-like
        Where relative names start.
    region : (int, int, int, int), optional
        Rows y0 to y1 and columns x0 to x1 (ends excluded) to keep; only these are held in memory.

    Returns
    -------
    ndarray, shape (n, y, x)
        In the stored integer or floating-point type.

    Raises
    ------
    InputError
        If a file is missing or damaged, shapes differ, the images are complex or in colour, or the
        region leaves them.
    """
    if not isinstance(source, (str, os.PathLike)) or "{" in str(source):
        paths, _ = list_images(source, folder)
        return _read_singles(paths, region)
    path, name = _split_source(source, folder)
    if set("*?") & set(path.name) and not path.exists():
        raise NoSuchFile(
            f"{path}: no such file, and * and ? are no wildcards here; write "
            'files = "img_y{row}_x{col}.tif" with {row} and {col} for numbers, or a list of names'
        )
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return read_npy(path, region)
    if suffix == ".mat":
        return read_matlab(path, name, region)
    if suffix in (".h5", ".hdf5"):
        return read_hdf5(path, name, region)
    return read_tiff(path, region)


def list_images(
    source: str | os.PathLike | Sequence[str], folder: str | os.PathLike = "."
) -> tuple[list[Path], np.ndarray | None]:
    """The files of a pattern or list, one per image, and the LED that each name tells.

    Parameters
    ----------
    source : str or sequence of str
        A pattern whose file name holds {row} and {col} (whole numbers), or a list of files.
    folder : path-like
        Where relative names start.

    Returns
    -------
    paths : list of pathlib.Path
        A pattern's are ordered by row, then column.
    leds : int ndarray of shape (n, 2) as (row, col), or None for a list
    """
    if not isinstance(source, (str, os.PathLike)):
        if len(source) == 0 or not all(isinstance(s, (str, os.PathLike)) for s in source):
            raise InputError(f"files is {list(source)!r}; expected at least one file name, all of them text")
        return [Path(folder, s) for s in source], None
    return list_pattern(source, folder)


def list_pattern(source: str | os.PathLike, folder: str | os.PathLike) -> tuple[list[Path], np.ndarray]:
    """The files of a pattern alone, as of :func:`list_images`."""
    pattern = Path(folder, source)
    regex = _pattern_regex(pattern)
    if not pattern.parent.is_dir():
        raise NoSuchFile(f"{pattern}: the folder {pattern.parent} does not exist; check the pattern")
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(pattern.parent.iterdir()):
        match = regex.fullmatch(path.name)
        if match:
            led = int(match["row"]), int(match["col"])
            if led in found:
                raise InputError(
                    f"{pattern}: {found[led].name} and {path.name} both show LED {led}; keep one of them"
                )
            found[led] = path
    if not found:
        raise NoSuchFile(
            f"{pattern}: no file matches; expected names such as "
            f"{pattern.name.replace('{row}', '12').replace('{col}', '7')}, check the pattern and the folder"
        )
    leds = sorted(found)
    return [found[led] for led in leds], np.array(leds)


def _pattern_regex(pattern: Path) -> re.Pattern:
    names = re.findall(r"{(.*?)}", str(pattern))
    if sorted(names) != ["col", "row"] or re.findall(r"{(.*?)}", pattern.name) != names:
        raise InputError(f"{pattern}: a pattern holds {{row}} and {{col}} once each, in the file's name")
    escaped = re.escape(pattern.name)
    for name in names:
        escaped = escaped.replace(re.escape(f"{{{name}}}"), rf"(?P<{name}>-?\d+)")
    return re.compile(escaped)


def _split_source(source: str | os.PathLike, folder: str | os.PathLike) -> tuple[Path, str | None]:
    match = _INSIDE.fullmatch(str(source))
    if match is None:
        return Path(folder, source), None
    return Path(folder, match["file"]), match["name"]


def _read_singles(paths: list[Path], region: Sequence[int] | None) -> np.ndarray:
    """One image per file, all of one shape and type."""
    stack: np.ndarray = np.empty(0)
    for k, path in enumerate(paths):
        image = read_npy(path, region) if path.suffix.lower() == ".npy" else read_tiff(path, region)
        if len(image) != 1:
            raise InputError(
                f"{path}: holds {len(image)} images; expected one image in each of several files"
            )
        if k == 0:
            stack = np.empty((len(paths), *image.shape[1:]), image.dtype)
        if image.shape[1:] != stack.shape[1:] or image.dtype != stack.dtype:
            raise InputError(
                f"{path}: image of {image.shape[1]} x {image.shape[2]} pixels and type {image.dtype}, but "
                f"{paths[0].name} has {stack.shape[1]} x {stack.shape[2]} and {stack.dtype}; "
                "leave out what is not part of the stack"
            )
        stack[k] = image[0]
    return stack

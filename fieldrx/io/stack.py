"""A stack of images, whatever file or files hold it.

============================  ====================================================================
images, as ``read_images``    what is read
============================  ====================================================================
``stack.tif``                 every page of a TIFF, also ImageJ, OME and Micro-Manager stacks
``img_y{row}_x{col}.tif``     one file per image, ordered by row, then column
``img_{n}.png``               one file per image, ordered by number
``["a.tif", "b/c.tif"]``      one file per image, in this order
``image.png``                 one grey image
``stack.npy``                 a NumPy array (n, y, x)
``stacks.npz:/images``        the same in an archive; the name may be left out where it holds one
``data.h5:/images``           a dataset (n, y, x), or a group with an image in each dataset
``data.mat:/struct/I_Raw``    a MATLAB array (y, x, n), v5 or v7.3, a field, or a cell of images
``data.zarr:/0``              a Zarr array; of OME-Zarr the finest level, without a name
============================  ====================================================================

Numbers mean what the file says: TIFF is turned, inverted or read through a grey table as its tags tell, and
what is in colour is refused.  A file is known by its content, not by its ending.

An array of two axes is one image (y, x).  Of three without names the first counts the images, MATLAB's last;
``axis`` says where it is another.  Where the file names more (T, C, Z, positions P, angles A, samples S),
``select`` chooses along the others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, NoSuchFile
from fieldrx.io import kinds
from fieldrx.io.choice import Choice, Stack, kept_images
from fieldrx.io.files import check_file
from fieldrx.io.hdf5 import read_hdf5
from fieldrx.io.matlab import read_matlab
from fieldrx.io.names import is_pattern, list_images, missing_numbers, split_source
from fieldrx.io.npy import read_npy, read_npz
from fieldrx.io.png import read_png
from fieldrx.io.tiff import read_tiff
from fieldrx.io.zarr import read_zarr

_WHOLE: dict[str, Callable[[Path, Choice], Stack]] = {
    kinds.TIFF: read_tiff, kinds.PNG: read_png, kinds.NPY: read_npy,
}  # fmt: skip
_NAMED: dict[str, Callable[[Path, str | None, Choice], Stack]] = {
    kinds.HDF5: read_hdf5, kinds.MATLAB: read_matlab, kinds.NPZ: read_npz, kinds.ZARR: read_zarr,
}  # fmt: skip


def read_images(
    source: str | os.PathLike | Sequence[str],
    folder: str | os.PathLike = ".",
    region: Sequence[int] | None = None,
    *,
    axes: str | Sequence[str] | None = None,
    axis: int | str | None = None,
    select: Mapping[str, int] | None = None,
    exclude: Sequence[int | str] = (),
) -> np.ndarray:
    """Read a stack of images as it is meant; the table above says what `source` may be.

    Parameters
    ----------
    source : str or sequence of str
        File, file pattern, "file:dataset" or list of files.
    folder : path-like
        Where relative names start.
    region : (int, int, int, int), optional
        Rows y0 to y1 and columns x0 to x1 (ends excluded) to keep; only these are held in memory.
    axes, axis, select, exclude : optional
        As of `fieldrx.io.choice.Choice`.

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
    return read_stack(source, folder, Choice(region, axes, axis, select or {}, exclude)).images


def read_stack(
    source: str | os.PathLike | Sequence[str],
    folder: str | os.PathLike = ".",
    choice: Choice | None = None,
) -> Stack:
    """Read a stack of images as :func:`read_images` does, with notes on what was understood.

    Parameters
    ----------
    source, folder
        As of :func:`read_images`.
    choice : Choice, optional

    Raises
    ------
    InputError
        As of :func:`read_images`.
    """
    choice = choice or Choice()
    if is_pattern(source) or not isinstance(source, (str, os.PathLike)):
        paths, _ = list_images(source, folder)
        notes = missing_numbers(source, paths) if isinstance(source, (str, os.PathLike)) else []
        return _read_singles(paths, choice, notes)
    path, name = split_source(source, folder)
    if set("*?%") & set(path.name) and not path.exists():
        raise NoSuchFile(
            f"{path}: no such file, and *, ? and % are no wildcards here; write files = "
            '"img_y{row}_x{col}.tif" or "img_{n}.tif" with {row}, {col} and {n} for numbers, or a list of '
            "names"
        )
    return _read_one(path, name, choice)


def _read_one(path: Path, name: str | None, choice: Choice) -> Stack:
    """The images of one file."""
    kind = kinds.kind_of(path)
    if kind != kinds.ZARR or not path.is_dir():
        check_file(path, f"{'an' if kind in (kinds.HDF5, kinds.NPY, kinds.NPZ) else 'a'} {kind} file")
    if kind in _NAMED:
        return _NAMED[kind](path, name, choice)
    if name is not None:
        raise InputError(
            f"{path}: is a {kind} file, which holds no names; expected the file alone, without :{name}"
        )
    return _WHOLE[kind](path, choice)


def _read_singles(paths: list[Path], choice: Choice, notes: list[str]) -> Stack:
    """One image per file, all of one shape and type."""
    kept = kept_images(len(paths), choice.exclude, [p.as_posix() for p in paths], "files")
    stack: np.ndarray = np.empty(0)
    remarks: Counter[str] = Counter()
    alone = replace(choice, exclude=(), alone=True)
    axes: Mapping[str, int] = {}
    for k, number in enumerate(kept):
        path = paths[number]
        one = _read_one(*split_source(path, "."), alone)
        image = one.images
        remarks.update(one.notes)
        if len(image) != 1:
            raise InputError(
                f"{path}: holds {len(image)} images; expected one image in each of several files"
            )
        if k == 0:
            stack, axes = np.empty((len(kept), *image.shape[1:]), image.dtype), one.axes
        if image.shape[1:] != stack.shape[1:] or image.dtype != stack.dtype:
            raise InputError(
                f"{path}: image of {image.shape[1]} x {image.shape[2]} pixels and type {image.dtype}, but "
                f"{paths[kept[0]].name} has {stack.shape[1]} x {stack.shape[2]} and {stack.dtype}; "
                "leave out what is not part of the stack, with exclude for instance"
            )
        stack[k] = image[0]
    notes += [f"{note} ({n} of {len(kept)} files)" if n < len(kept) else note for note, n in remarks.items()]
    return Stack(stack, tuple(notes), kept, len(paths), axes=axes)

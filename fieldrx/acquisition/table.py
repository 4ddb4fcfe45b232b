"""Directions of the light in a csv file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, in_file, nearest
from fieldrx.io import numbers_called
from fieldrx.io.table import Table, read_table_text
from fieldrx.optics import Illumination

CALIBRATED = "table_na_y"  # a column of tables that were made from others by `fieldrx calibrate`


def read_table(
    path: str | os.PathLike,
    n_images: int | None = None,
    files: Sequence[str] | None = None,
    kept: np.ndarray | None = None,
) -> Illumination:
    """Read the directions of all sources from a csv file.

    The first line names the columns: ``image`` or ``page`` (numbers from 0) or ``file`` (the name of
    the image's file), ``na_y``, ``na_x`` and, optionally, ``weight``; other columns are ignored.  How cells
    may be separated and numbers written is said in `fieldrx.io.table`.  Several rows for one image are
    sources that shine together; rows of equal direction share one source.

    Parameters
    ----------
    path : path-like
    n_images : int, optional
        How many images there are; by default as many as the table names.
    files : sequence of str, optional
        File names of the images in their order, for the column ``file``.
    kept : int ndarray, optional
        Numbers of the images whose illumination is returned, and which must have a row; by default all.

    Raises
    ------
    InputError
        If a column is missing, a cell is not a finite number, an image has no row, or the table can be
        understood in two ways.
    """
    table = read_table_text(path, "a csv table of the illumination")
    which = [c for c in ("image", "page", "file") if c in table.names]
    absent = [c for c in ("na_y", "na_x") if c not in table.names]
    if len(table.rows) == 0:
        raise InputError(f"{path}: expected a line of column names and one row per image; it has no rows")
    if not which or absent:
        lacks = absent[0] if absent else "image"
        raise InputError(
            f"{path}: lacks the column {lacks}; expected image (or page, or file), na_y, na_x and perhaps "
            f"weight, separated by commas; it has {', '.join(table.names)}"
        )
    images = _images_of(table, which, n_images, files)
    sources: dict[tuple[float, float], int] = {}
    directions = zip(*(table.numbers(name).tolist() for name in ("na_y", "na_x")), strict=True)
    columns = np.array([sources.setdefault(direction, len(sources)) for direction in directions])
    weighted = "weight" in table.names
    if not weighted:
        _check_one_run(table, images)
    weights = table.numbers("weight") if weighted else np.ones(len(images))
    return _from_entries((images, columns, weights), list(sources), n_images, Path(path), kept)


def _images_of(
    table: Table, which: Sequence[str], n_images: int | None, files: Sequence[str] | None
) -> np.ndarray:
    """Number of the image of every row; columns that say it twice must agree."""
    told = [name for name in which if name != "file"]
    numbers = {name: _image_numbers(table, name, n_images) for name in told}
    if "file" in which and (files is not None or not told):
        if files is None and n_images is not None:
            raise InputError(
                f"{table.path}: column file needs [images] files as a pattern or list; use column image"
            )
        numbers["file"] = _file_numbers(table, files)
    (first, images), *others = numbers.items()
    for name, other in others:
        if (differ := np.flatnonzero(other != images)).size:
            row = int(differ[0])
            raise InputError(
                f"{table.where(row)}: columns {first} and {name} name different images "
                f"({table.texts(first)[row]} and {table.texts(name)[row]}); keep the one that numbers the "
                "images"
            )
    return images


def _image_numbers(table: Table, column: str, n_images: int | None) -> np.ndarray:
    numbers = table.numbers(column)
    limit = np.inf if n_images is None else n_images
    wrong = np.flatnonzero((numbers != np.rint(numbers)) | (numbers < 0) | (numbers >= limit))
    if wrong.size:
        last = "" if n_images is None else f" to {n_images - 1}, as there are {n_images} images"
        shifted = numbers.min() == 1 and numbers.max() == n_images
        row = int(wrong[0])
        raise InputError(
            f"{table.where(row)}, column {column}: {table.texts(column)[row]} is no image; images "
            f"are numbered from 0{last}" + ("; these count from 1: take 1 off all" if shifted else "")
        )
    return numbers.astype(int)


def _file_numbers(table: Table, files: Sequence[str] | None) -> np.ndarray:
    cells = list(table.texts("file"))
    names = list(dict.fromkeys(cells)) if files is None else list(files)
    found = numbers_called(cells, names)
    for row, (name, numbers) in enumerate(zip(cells, found, strict=True)):
        if not numbers:
            known = [Path(other).name for other in names]
            raise InputError(
                f"{table.where(row)}, column file: no image is called {name}{nearest(Path(name).name, known)}"
            )
        if len(numbers) > 1:
            raise InputError(
                f"{table.where(row)}, column file: {len(numbers)} images are called {name}; name the folder "
                "too"
            )
    return np.array([numbers[0] for numbers in found])


def _check_one_run(table: Table, images: np.ndarray) -> None:
    """Refuse an image that returns after others, as the rows of two runs one after the other make it."""
    begun = np.append(True, images[1:] != images[:-1])
    seen: set[int] = set()
    for row in np.flatnonzero(begun):
        if images[row] in seen:
            raise InputError(
                f"{table.where(int(row))}: names an image a second time, after others, as two runs one after "
                "the other do; keep one of them, or, where several sources light an image together, add a "
                "column weight"
            )
        seen.add(int(images[row]))


def _from_entries(
    entries: tuple[np.ndarray, np.ndarray, np.ndarray],
    sources: list[tuple[float, float]],
    n_images: int | None,
    path: Path,
    kept: np.ndarray | None,
) -> Illumination:
    """Illumination of images, sources and weights, one of each a row; the directions are `sources`."""
    images, columns, weights = entries
    n = int(images.max()) + 1 if n_images is None else n_images
    kept = np.arange(n) if kept is None else kept
    missing = np.setdiff1d(kept, images)
    if missing.size:
        raise InputError(
            f"{path}: has no row for {missing.size} of {n} images (first: image {missing[0]}); give every "
            "image at least one row, numbered from 0"
        )
    pattern = np.zeros((n, len(sources)))
    np.add.at(pattern, (images, columns), weights)
    with in_file(path):
        return Illumination(sources, pattern[kept])

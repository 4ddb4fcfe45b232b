"""Directions of the light in a csv file."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.errors import InputError, in_file, nearest, one_line
from fieldrx.io import check_file
from fieldrx.optics import Illumination


def read_table(
    path: str | os.PathLike, n_images: int | None = None, files: Sequence[str] | None = None
) -> Illumination:
    """Read the directions of all sources from a csv file.

    The first line names the columns: ``image`` or ``page`` (numbers from 0) or ``file`` (the name of
    the image's file), ``na_y``, ``na_x`` and, optionally, ``weight``; other columns are ignored, as are
    empty lines and lines that begin with #.  Several rows for one image are sources that shine
    together; rows of equal direction share one source.

    Parameters
    ----------
    path : path-like
    n_images : int, optional
        How many images there are; by default as many as the table names.
    files : sequence of str, optional
        File names of the images in their order, for the column ``file``.

    Raises
    ------
    InputError
        If a column is missing, a cell is not a finite number, or an image has no row.
    """
    path = check_file(path, "a csv table of the illumination")
    rows = _csv_rows(path)
    columns = list(rows[0][1])
    which = next((c for c in ("image", "page", "file") if c in columns), None)
    absent = [c for c in ("na_y", "na_x") if c not in columns]
    if which is None or absent:
        lacks = absent[0] if absent else "image"
        raise InputError(
            f"{path}: lacks the column {lacks}; expected image (or page, or file), na_y, na_x and perhaps "
            f"weight, separated by commas; it has {', '.join(columns)}"
        )
    if which == "file" and files is None:
        if n_images is not None:
            raise InputError(
                f"{path}: column file needs [images] files as a pattern or list; use column image"
            )
        files = list(dict.fromkeys(row["file"] for _, row in rows))
    sources: dict[tuple[float, float], int] = {}
    entries = []
    for where, row in rows:
        if which == "file":
            image = _file_number(row["file"], files or (), path, where)
        else:
            image = _image_number(row, which, n_images, path, where)
        direction = _cell(row, "na_y", path, where), _cell(row, "na_x", path, where)
        weight = _cell(row, "weight", path, where) if "weight" in row else 1.0
        entries.append((image, sources.setdefault(direction, len(sources)), weight))
    return _from_entries(entries, list(sources), n_images, path)


def _csv_rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    """Rows as dictionaries, each with the words for where it stands."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({one_line(error)}); save it as csv in UTF-8") from None
    kept = [(k, line) for k, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#"]
    if len(kept) < 2:
        raise InputError(f"{path}: expected a line of column names and one row per image; it has no rows")
    cells = [[cell.strip() for cell in row] for row in csv.reader(line for _, line in kept)]
    rows = []
    for row, ((line, _), values) in enumerate(zip(kept[1:], cells[1:], strict=True), 1):
        where = f"row {row} (line {line})"
        if len(values) != len(cells[0]):
            raise InputError(
                f"{path}, {where}: has {len(values)} cells for {len(cells[0])} columns; complete the row"
            )
        rows.append((where, dict(zip(cells[0], values, strict=True))))
    return rows


def _cell(row: dict[str, str], column: str, path: Path, where: str) -> float:
    try:
        number = float(row[column])
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InputError(
            f'{path}, {where}, column {column}: "{row[column]}" is not a finite number; correct it'
        )
    return number


def _image_number(row: dict[str, str], column: str, n_images: int | None, path: Path, where: str) -> int:
    number = _cell(row, column, path, where)
    if number != int(number) or number < 0 or (n_images is not None and number >= n_images):
        last = "" if n_images is None else f" to {n_images - 1}, as there are {n_images} images"
        raise InputError(
            f"{path}, {where}, column {column}: {row[column]} is no image; images are numbered from 0{last}"
        )
    return int(number)


def _file_number(name: str, files: Sequence[str], path: Path, where: str) -> int:
    names = list(files)
    if Path(name).name not in names:
        raise InputError(f"{path}, {where}, column file: no image is called {name}{nearest(name, names)}")
    return names.index(Path(name).name)


def _from_entries(
    entries: list[tuple[int, int, float]],
    sources: list[tuple[float, float]],
    n_images: int | None,
    path: Path,
) -> Illumination:
    """Illumination of (image, source, weight) entries; the directions are `sources`."""
    images, columns, weights = (np.array(v) for v in zip(*entries, strict=True))
    n = int(images.max()) + 1 if n_images is None else n_images
    missing = np.setdiff1d(np.arange(n), images)
    if missing.size:
        raise InputError(
            f"{path}: has no row for {missing.size} of {n} images (first: image {missing[0]}); give every "
            "image at least one row, numbered from 0"
        )
    pattern = np.zeros((n, len(sources)))
    np.add.at(pattern, (images, columns), weights)
    with in_file(path):
        return Illumination(sources, pattern)

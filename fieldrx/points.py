"""Tables of points, and of what a field holds there, as csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from os import PathLike
from typing import TextIO

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io import check_file

COLUMNS = ("z_um", "y_um", "x_um")


def read_points(path: str | PathLike) -> np.ndarray:
    """Read a table whose first line names at least z_um, y_um and x_um.

    Parameters
    ----------
    path : path-like
        Of a csv file, in UTF-8.

    Returns
    -------
    float64 array, shape (n, 3)
        As (z, y, x) [um].

    Raises
    ------
    InputError
        If the file is missing or no csv table, lacks a column, or a coordinate is no finite number.
    """
    check_file(path, "table of points")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            points = list(_rows(csv.DictReader(file), path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no csv table: {error}") from None
    zyx = np.array(points, float).reshape(-1, 3)
    if not np.isfinite(zyx).all():
        bad = int(np.flatnonzero(~np.isfinite(zyx).all(axis=1))[0])
        raise InputError(f"{path}, point {bad}: coordinates must be finite numbers in um")
    return zyx


def _rows(reader, path):
    """The three coordinates of every row."""
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise InputError(
            f"{path} has columns {reader.fieldnames}; expected {','.join(COLUMNS)} in its first line"
        )
    for row in reader:
        try:
            yield [float(row[name]) for name in COLUMNS]
        except (TypeError, ValueError):
            raise InputError(
                f"{path}, line {reader.line_num}: expected three numbers, got {list(row.values())}"
            ) from None


def write_points(file: TextIO, zyx: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table of points with complex values, as name_real and name_imag.

    Parameters
    ----------
    file : text file
        Open for writing.
    zyx : array, shape (n, 3)
        As (z, y, x) [um].
    columns : dict of complex arrays, shape (n,)
        By their names.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"{name}_{part}" for name in columns for part in ("real", "imag"))])
    for place, *values in zip(zyx.tolist(), *columns.values(), strict=True):
        numbers = [f"{part:.9f}" for value in values for part in (value.real, value.imag)]
        writer.writerow([*map(repr, place), *numbers])

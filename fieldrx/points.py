"""Tables of points, and of what a field holds there, as csv."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from os import PathLike
from typing import TextIO

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io.table import read_table_text

COLUMNS = ("z_um", "y_um", "x_um")
TIMES = {"s": "t_s", "frame": "frame"}  # column of a film's times, by their unit


def read_points(path: str | PathLike) -> np.ndarray:
    """Read a table whose first line names at least z_um, y_um and x_um.

    Parameters
    ----------
    path : path-like
        Of a table as `fieldrx.io.table` reads it.

    Returns
    -------
    float64 array, shape (n, 3)
        As (z, y, x) [um].

    Raises
    ------
    InputError
        If the file is missing or no table, lacks a column, or a coordinate is no finite number.
    """
    table = read_table_text(path, "table of points")
    if not set(COLUMNS) <= set(table.names):
        raise InputError(f"{path} has columns {table.names}; expected {','.join(COLUMNS)} in its first line")
    return np.stack([table.numbers(name) for name in COLUMNS], axis=1)


def read_times(path: str | PathLike, unit: str) -> np.ndarray | None:
    """Times of the points of a table, float64 of shape (n,); None where it has none.

    Parameters
    ----------
    path : path-like
    unit : str
        Of the film: "s" for the column t_s, "frame" for the column frame.

    Raises
    ------
    InputError
        As of :func:`read_points`, or if the table has times of the other kind.
    """
    table = read_table_text(path, "table of points")
    known = set(TIMES.values()) & set(table.names)
    if known - {TIMES[unit]}:
        raise InputError(f"{path} has the column {min(known)}; the film's times are in {TIMES[unit]}")
    return table.numbers(TIMES[unit]) if known else None


def write_points(
    file: TextIO,
    zyx: np.ndarray,
    columns: Mapping[str, np.ndarray],
    times: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a table of points with complex values, as name_real and name_imag.

    Parameters
    ----------
    file : text file
        Open for writing.
    zyx : array, shape (n, 3)
        As (z, y, x) [um].
    columns : dict of complex arrays, shape (n,)
        By their names.
    times : dict of an array, shape (n,), optional
        By the name of their column.
    """
    first = times or {}
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*first, *COLUMNS, *(f"{name}_{part}" for name in columns for part in ("real", "imag"))])
    places = np.column_stack([*first.values(), zyx])
    for place, *values in zip(places.tolist(), *columns.values(), strict=True):
        numbers = [f"{part:.9f}" for value in values for part in (value.real, value.imag)]
        writer.writerow([*map(repr, place), *numbers])

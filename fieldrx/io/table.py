"""Tables of numbers as text, as people and their programs write them.

The first line names the columns; so may a line that begins with #, as numpy.savetxt writes it, when
numbers follow at once.  Empty lines and other lines that begin with # are ignored.  Cells are separated by
tabs, semicolons, commas or blanks, whichever is first in this list and stands in the first two lines.
Numbers may have decimal commas, if none in their column has a point; cells may be quoted, with line breaks
inside.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io.text import read_text

_SEPARATORS = ("\t", ";", ",")
_UNSEEN = str.maketrans("\u2212", "-", "\ufeff\u200b")  # typographic minus; marks of no width


@dataclass(frozen=True)
class Table:
    """Cells of a table, by the names of its columns.

    Parameters
    ----------
    path : path-like
    names : list of str
        Of the columns, in small letters.
    rows : list of list of str
        One cell per column.
    lines : list of int
        Where each row begins in the file, from 1.
    """

    path: str | os.PathLike
    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def where(self, row: int) -> str:
        """Words for the place of a row."""
        return f"{self.path}, row {row + 1} (line {self.lines[row]})"

    def texts(self, name: str) -> list[str]:
        """The cells of a column.

        Raises
        ------
        InputError
            If two columns have that name.
        """
        if self.names.count(name) > 1:
            raise InputError(
                f"{self.path}: has two columns {name}; rename or delete the one that is not meant"
            )
        column = self.names.index(name)
        return [row[column] for row in self.rows]

    def numbers(self, name: str) -> np.ndarray:
        """The cells of a column as finite numbers, float64 of shape (rows,).

        Raises
        ------
        InputError
            If a cell is no finite number, decimal commas and points are mixed, or two columns have that name.
        """
        cells = self.texts(name)
        comma = next((k for k, cell in enumerate(cells) if "," in cell), None)
        if comma is not None and any("." in cell for cell in cells):
            raise InputError(
                f'{self.where(comma)}, column {name}: "{cells[comma]}" has a comma where others have a '
                "point; write all numbers of a column alike"
            )
        values = np.array([_number(cell) for cell in cells], np.float64)
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f'{self.where(bad)}, column {name}: "{cells[bad]}" is not a finite number; correct it'
            )
        return values


def read_table_text(path: str | os.PathLike, what: str) -> Table:
    """Read a table.

    Parameters
    ----------
    path : path-like
    what : str
        What it should be, for errors: "a csv table of the illumination".

    Raises
    ------
    InputError
        If the file is missing, no text, has no line of names, or a row has too few or too many cells.
    """
    text = read_text(path, what, "csv").translate(_UNSEEN)
    header, separator = _header(text)
    records = list(_records(text, header, separator, path))
    names = [name.lower() for name in records[0][1]] if records else []
    rows: list[list[str]] = []
    lines: list[int] = []
    for line, cells in records[1:]:
        if [cell.lower() for cell in cells] == names:
            raise InputError(
                f"{path}, line {line}: names the columns again, as two tables one after the other do; keep "
                "one of them"
            )
        while len(cells) > len(names) and not cells[-1]:
            cells = cells[:-1]
        if not any(cells):
            continue
        if len(cells) != len(names):
            raise InputError(
                f"{path}, row {len(rows) + 1} (line {line}): has {len(cells)} cells for {len(names)} "
                "columns; complete the row"
            )
        rows.append(cells)
        lines.append(line)
    return Table(path, names, rows, lines)


def _header(text: str) -> tuple[int, str | None]:
    """Number of the line of names, from 1, and what separates cells; None for blanks."""
    numbered = [(k, line) for k, line in enumerate(text.split("\n"), 1) if line.strip("# \t\f")]
    if numbered and numbered[0][1].lower().strip('"').startswith("sep="):
        del numbered[0]  # a word of Excel's to itself
    plain = [(k, line) for k, line in numbered if not line.startswith("#")]
    if not plain:
        return 0, None
    separator = next((s for s in _SEPARATORS if all(s in line for _, line in plain[:2])), None)
    number, first = plain[0]
    comments = [k for k, _ in numbered if k < number]
    numeric = all(np.isfinite(_number(cell)) for cell in first.strip(";, \t").split(separator))
    return (comments[-1] if numeric and comments else number), separator


def _records(
    text: str, header: int, separator: str | None, path: str | os.PathLike
) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) from the line of names on, quoted line breaks kept together."""
    begun, inside = 0, False

    def feed() -> Iterator[str]:
        nonlocal begun, inside
        for number, line in enumerate(text.split("\n"), 1):
            if number == header:
                line = line.lstrip("# \t") if line.startswith("#") else line
                line = line.replace(",", " ") if separator is None else line
            elif not inside and (number < header or line.startswith("#") or not line.strip()):
                continue
            begun, inside = begun if inside else number, True
            yield " ".join(line.split()) if separator is None else line + "\n"

    reader = csv.reader(feed(), delimiter=separator or " ", skipinitialspace=True, strict=True)
    while True:
        inside = False
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, line {begun}: a quoted cell that begins here is not closed, or goes on behind its "
                f'quote ({error}); close it, and write "" for a quote inside'
            ) from None
        yield begun, [cell.strip() for cell in cells]


def _number(cell: str) -> float:
    """A cell as a number; nan for what is none."""
    try:
        return np.nan if "_" in cell else float(cell.replace(",", "."))
    except ValueError:
        return np.nan

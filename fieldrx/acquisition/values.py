"""Values of a table of acquisition.toml: lengths in other units, and numbers that stand in a data file."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError, in_file
from fieldrx.io.variables import is_variable, read_variable
from fieldrx.optics.units import KEY_UNITS, MICROMETRES

_POINTER = re.compile(r"(?P<source>[^*]+?)(?:\s*\*\s*(?P<factor>[-+0-9.eE]+))?\s*")


def plain(table: dict[str, Any], known: Mapping[str, Sequence[str]], name: str, path: Path) -> dict[str, Any]:
    """A table with its numbers in place and its lengths in micrometres.

    A number may be text ``FILE:/NAME`` or ``FILE:/NAME * FACTOR``; a key that ends in _um may end in _nm,
    _mm, _cm or _m.

    Parameters
    ----------
    table : dict
    known : dict
        Kinds of value of every key.
    name : str
        Of the table, for errors.
    path : Path
        Of the file; names in it are relative to its folder.

    Raises
    ------
    InputError
        If a length is given twice, or a file does not hold what it should.
    """
    values = dict(table)
    with in_file(path):
        for key, value in table.items():
            kinds = known.get(plain_name(key, known), ("text",))
            if isinstance(value, str) and not {"text", "true or false"} & set(kinds):
                values[key] = _pointed(value, f"[{name}] {key}", path.parent)
        return in_micrometres(values, known)


def in_micrometres(table: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """A table whose lengths are in micrometres and say so in their names.

    Parameters
    ----------
    table : dict
        Of numbers, lists and arrays by name; all else stays as it is.
    known : collection of str
        Names, of which those in _um may stand there in another unit.

    Raises
    ------
    InputError
        If a length is given twice.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        goal = plain_name(key, known)
        if goal in values or (goal != key and goal in table):
            raise InputError(f"{goal.removesuffix('_um')} is given twice; keep one of them")
        values[goal] = value if goal == key else _times(value, MICROMETRES[key.rpartition("_")[2]])
    return values


def plain_name(key: str, known: Collection[str]) -> str:
    """The name in _um of a length in another unit; other names as they are.

    Parameters
    ----------
    key : str
    known : collection of str
        Names as the table has them.
    """
    base, _, unit = key.rpartition("_")
    return f"{base}_um" if unit in KEY_UNITS and f"{base}_um" in known and key not in known else key


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, list):
        return [_times(v, factor) for v in value]
    if isinstance(value, (bool, str)) or (isinstance(value, np.ndarray) and value.dtype.kind not in "iuf"):
        return value  # which the check of types refuses
    return value * factor if factor > 1 else value / round(1 / factor)  # 515 nm are 0.515 um to the last bit


def is_pointer(text: str) -> bool:
    """Whether a text says where a number stands: FILE:/NAME or FILE:/NAME * FACTOR."""
    match = _POINTER.fullmatch(text)
    return match is not None and is_variable(match["source"])


def _pointed(text: str, name: str, folder: Path) -> float | list:
    """The number, or list, that stands where a text points to."""
    match = _POINTER.fullmatch(text)
    if match is None or not is_pointer(text):
        raise InputError(
            f"{name} is {text!r}; expected a number (the unit stands in the key: wavelength_nm = 515), or "
            '"FILE:/NAME * FACTOR"'
        )
    try:
        factor = float(match["factor"] or 1)
    except ValueError:
        raise InputError(f"{name} is {text!r}; expected a number behind the *") from None
    values = read_variable(match["source"], folder).astype(float) * factor
    return values.item() if values.size == 1 else values.squeeze().tolist()

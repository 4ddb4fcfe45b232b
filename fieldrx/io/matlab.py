"""Arrays of MATLAB files of version 5; those of 7.3 are HDF5."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError, nearest, one_line
from fieldrx.io.axes import Source, take
from fieldrx.io.choice import Choice, Stack
from fieldrx.io.files import check_file


def read_matlab(path: Path, name: str | None, choice: Choice) -> Stack:
    """The chosen images of a variable, a field of a struct or a cell: MATLAB's (y, x, n) as (n, y, x)."""
    array, last = matlab_variable(path, name or ""), True
    if array.dtype.kind == "O" and array.size == 1:
        array = np.asarray(array.reshape(-1)[0])
    if array.dtype.kind == "O":
        array, last = _stacked(array, name, path), False
    return take(Source(array, path, last=last), choice)


def matlab_variable(path: Path, name: str) -> np.ndarray:
    """An array of a file of version 5, or a field of a struct, STRUCT/FIELD.

    Raises
    ------
    InputError
        If the file is damaged, or has no such array.
    """
    import scipy.io  # here: other files need not wait for it

    path = check_file(path, "a MATLAB file")
    wanted, *fields = name.strip("/").split("/")
    try:
        found = [v[0] for v in scipy.io.whosmat(path)]
        array = _load(path, [wanted])[wanted] if wanted in found else None
    except Exception as error:  # a damaged file can make a parser raise anything
        raise _unreadable(path, error) from None
    if array is None:
        came = f'has no variable "{wanted}"' if wanted else "needs the name of a variable"
        raise InputError(
            f"{path} {came}; expected {path.name}:/NAME with NAME one of: "
            f"{', '.join(found) or '(none)'}{nearest(wanted, found)}"
        )
    for field in fields:
        array = _field(array, field, wanted, path)
    if not isinstance(array, np.ndarray):
        raise InputError(f'{path}: "{name}" is a {type(array).__name__}; save it as a full array')
    if array.dtype.names:
        raise InputError(
            f'{path}: "{name}" is a struct; expected {path.name}:/{wanted}/FIELD with FIELD one of: '
            f"{', '.join(array.dtype.names)}"
        )
    return array


def _field(array: Any, field: str, wanted: str, path: Path) -> Any:
    """A field of a struct; of an array of structs one cell each."""
    names = array.dtype.names if isinstance(array, np.ndarray) else None
    if not names or field not in names:
        raise InputError(
            f'{path}: {wanted} has no field "{field}"; it has '
            f"{', '.join(names or ('none',))}{nearest(field, names or ())}"
        )
    values = array[field]
    return values.reshape(-1)[0] if values.size == 1 else values


def _stacked(values: np.ndarray, name: str | None, path: Path) -> np.ndarray:
    """The images (n, y, x) of a cell, one each, in MATLAB's order."""
    images = [np.asarray(v) for v in values.ravel(order="F")]
    shapes = sorted({v.shape for v in images})
    if len(shapes) != 1 or len(shapes[0]) != 2 or len({v.dtype for v in images}) > 1:
        raise InputError(
            f'{path}: the cell "{name}" holds arrays of shapes {", ".join(map(str, shapes[:4]))}; expected '
            "one image "
            "(y, x) each, all alike"
        )
    return np.stack(images)


def list_matlab(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the arrays of a file of version 5, and of the fields of its structs.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    import scipy.io

    path = check_file(path, "a MATLAB file")
    try:
        found = scipy.io.whosmat(path)
        structs = [name for name, _, kind in found if kind == "struct"]
        values = _load(path, structs) if structs else {}
    except Exception as error:  # as above
        raise _unreadable(path, error) from None
    shapes = {name: tuple(shape) for name, shape, _ in found if name not in structs}
    for name in structs:
        shapes |= _inside(name, values[name])
    return shapes


def _load(path: Path, names: list[str]) -> dict[str, Any]:
    """Variables of a file, without SciPy's words on the kind of sparse ones, which are refused anyway."""
    import scipy.io

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*spmatrix")
        return scipy.io.loadmat(path, variable_names=names)


def _inside(name: str, array: np.ndarray) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the fields of a struct; of an array alone its own."""
    if array.dtype.names is None:
        return {name: array.shape}
    shapes: dict[str, tuple[int, ...]] = {}
    for field in array.dtype.names if array.size == 1 else ():
        shapes |= _inside(f"{name}/{field}", np.asarray(array[field].reshape(-1)[0]))
    return shapes


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read as MATLAB file ({one_line(error)}); save it again")

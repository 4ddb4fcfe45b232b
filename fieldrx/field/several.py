"""Files that hold several fields: ensembles, mosaics, films."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from fieldrx.errors import InputError
from fieldrx.field.neural_field import NeuralField
from fieldrx.io import check_keys, check_npz, load_npz, save_npz


def save_fields(
    path: str | os.PathLike, kind: tuple[str, int], head: str, fields: Sequence[NeuralField],
    **besides: np.ndarray,
) -> None:  # fmt: skip
    """Write fields to one file; an interruption leaves the old one.

    Parameters
    ----------
    path : path-like
    kind : (str, int)
        Format and version of the file.
    head : str
        Of names: what the file of field k calls NAME is called HEAD_k_NAME.
    fields : sequence of NeuralField
    **besides : arrays
        What else is in the file.
    """
    check_npz(path, f"a {kind[0]}")
    arrays = {"format": np.array(kind[0]), "version": np.array(kind[1]), **besides}
    for k, one in enumerate(fields):
        arrays |= {f"{head}_{k}_{name}": value for name, value in one.to_arrays().items()}
    save_npz(path, compressed=any(one.coded for one in fields), **arrays)


def load_several(
    path: str | os.PathLike, kind: tuple[str, int], words: str, required: Sequence[str]
) -> dict[str, np.ndarray]:
    """The arrays of such a file.

    Parameters
    ----------
    path : path-like
    kind : (str, int)
        Format and version that it must have.
    words : str
        What the file is, for errors: "an ensemble file".
    required : sequence of str
        Names that must be there.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another format or version, or lacks a name.
    """
    what = kind[0].removeprefix("fieldrx-")
    arrays = load_npz(path, what, ("format", "version"))
    if str(arrays["format"]) != kind[0]:
        raise InputError(f'{path} has format "{arrays["format"]}"; expected "{kind[0]}"')
    if arrays["version"].shape != () or arrays["version"].item() != kind[1]:
        raise InputError(
            f"{path} is {words} of version {arrays['version']}; this fieldrx reads version {kind[1]}"
        )
    check_keys(arrays, required, path, what)
    return arrays


def numbered(arrays: Mapping[str, np.ndarray], head: str) -> dict[int, dict[str, np.ndarray]]:
    """The arrays of every field by its number, under the names of its own file.

    Parameters
    ----------
    arrays : mapping
        As of `load_several`.
    head : str
        As of `save_fields`.
    """
    own: dict[int, dict[str, np.ndarray]] = {}
    for key, value in arrays.items():
        first, _, rest = key.partition("_")
        number, _, name = rest.partition("_")
        if first == head and number.isdecimal():
            own.setdefault(int(number), {})[name] = value
    return own

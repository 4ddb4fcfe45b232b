"""Launches with one thread an element."""

from __future__ import annotations

import numpy as np

from fieldrx.backends.cuda.load import launch

_BLOCK = 128


def pointwise(
    source: str, kernel: str, elements: int, planes: int, *arguments, constants: dict | None = None
) -> None:
    """Queue a kernel with a thread for each of `elements`, `planes` times over.

    Parameters
    ----------
    source, kernel : str
        "born.cu", "born_forward".
    elements, planes : int
        The grid is (elements over the block's size, planes).
    *arguments
        Device arrays and NumPy scalars.
    constants : dict, optional
        As of `load.launch`.
    """
    grid = -(-elements // _BLOCK), planes
    launch(source, kernel, grid, (_BLOCK,), arguments, constants=constants)


def precision(array: np.ndarray) -> dict:
    """Constants of a source that is compiled for either precision, by the type of a complex array."""
    return {"REAL": "double" if array.dtype == np.complex128 else "float"}

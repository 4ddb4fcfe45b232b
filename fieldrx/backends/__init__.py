"""Operators on arrays; only this package knows how they are computed."""

from __future__ import annotations

from importlib.util import find_spec

import numba


def n_threads() -> int:
    """Threads that kernels and FFTs may use; NUMBA_NUM_THREADS sets them."""
    return numba.get_num_threads()


def cuda_unavailable() -> str:
    """Why no GPU can be used, in a few words."""
    if find_spec("cupy") is None:
        return "CuPy is not installed (pip install fieldrx[cuda12] or fieldrx[cuda13])"
    import cupy

    if not cupy.cuda.is_available():  # importable without a driver; asking for a device would raise
        return "CuPy finds no GPU or driver"
    return "this version computes on the CPU only"

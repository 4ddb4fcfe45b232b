"""Fourier interpolation on the device: the twin of :mod:`fieldrx.backends.cpu.interpolation`."""

from __future__ import annotations

import cupy
import numpy as np

from fieldrx.backends.cuda.pointwise import pointwise


def resample(
    spectrum: np.ndarray, shape: tuple[int, int], turns: tuple[float, float], scale: float
) -> np.ndarray:
    """Frequencies moved to another grid; see `fieldrx.backends.operators.Operators.resample`."""
    spectrum = cupy.ascontiguousarray(spectrum, np.complex64)
    out = cupy.empty((len(spectrum), *shape), np.complex64)
    sizes = map(np.int32, (*spectrum.shape[1:], *shape))
    numbers = np.float64(turns[0]), np.float64(turns[1]), np.float32(scale)
    pointwise(
        "interpolation.cu", "resample", shape[0] * shape[1], len(spectrum), spectrum, *sizes, *numbers, out
    )
    return out

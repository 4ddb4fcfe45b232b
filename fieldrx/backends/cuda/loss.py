"""What a fit compares, on the device: the twin of :mod:`fieldrx.backends.cpu.loss`."""

from __future__ import annotations

from collections.abc import Sequence

import cupy
import numpy as np

from fieldrx.backends.cuda.load import device_limits, launch
from fieldrx.backends.cuda.pointwise import pointwise

_BLOCK, _BLOCKS = 256, 4  # threads of a block, and blocks for every multiprocessor


def squared_error(
    predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """A sum of squares and its gradient; see `fieldrx.backends.operators.Operators.squared_error`.

    The sum stays on the device, as an array of no dimension.
    """
    predicted, measured = (cupy.ascontiguousarray(a, np.float32) for a in (predicted, measured))
    value, gradient = cupy.zeros((), np.float64), cupy.empty_like(predicted)
    blocks = min(-(-predicted.size // _BLOCK), _BLOCKS * device_limits()[0])
    arguments = (
        predicted,
        measured,
        cupy.ascontiguousarray(valid),
        np.int32(predicted.size),
        np.float64(scale),
    )
    launch("loss.cu", "squared_error", (blocks,), (_BLOCK,), (*arguments, gradient, value))
    return value, gradient


def measured(
    images: np.ndarray, mask: np.ndarray | None, numbers: np.ndarray | Sequence[int], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Some images less a level; see `fieldrx.backends.operators.Operators.measured`."""
    images = cupy.ascontiguousarray(images, np.float32)
    rows = cupy.asarray(np.asarray(numbers, np.int32))
    values = cupy.empty((len(rows), *images.shape[1:]), np.float32)
    valid = cupy.empty(values.shape, bool)
    mask = (valid, np.int32(0)) if mask is None else (cupy.ascontiguousarray(mask), np.int32(1))
    pixels = images[0].size
    arguments = images, *mask, rows, np.int32(pixels), np.float32(level), values, valid
    pointwise("loss.cu", "measured", pixels, len(rows), *arguments)
    return values, valid

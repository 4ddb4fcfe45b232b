"""What a fit compares, on the device: the twin of :mod:`fieldrx.backends.cpu.loss`."""

from __future__ import annotations

import cupy
import numpy as np

from fieldrx.backends.cuda.load import device_limits, launch

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

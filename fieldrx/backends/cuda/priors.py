"""Total variation and non-negativity of a volume, one launch each.

Values stay on the device, as arrays of no dimension: a step need not wait for them.
"""

from __future__ import annotations

import cupy
import numpy as np

from fieldrx.backends.cuda.load import device_limits, launch

_THREADS = 256


def total_variation(
    u: np.ndarray, weights_zyx: tuple[float, float, float], eps: float, scale: float, grad: np.ndarray
) -> np.ndarray:
    """Total variation; see `fieldrx.backends.operators.Operators.total_variation`."""
    scalars = [*map(np.int32, u.shape), *map(np.float32, (*weights_zyx, eps, scale))]
    return _summed("total_variation", u, scalars, grad)


def negativity(u: np.ndarray, scale: float, grad: np.ndarray) -> np.ndarray:
    """Squares of negative values; see `fieldrx.backends.operators.Operators.negativity`."""
    return _summed("negativity", u, [np.int32(u.size), np.float32(scale)], grad)


def _summed(kernel, u, scalars, grad):
    u, value = cupy.ascontiguousarray(u), cupy.zeros((), np.float64)
    blocks = min(-(-u.size // _THREADS), 8 * device_limits().multiprocessors)
    launch("priors.cu", kernel, (blocks,), (_THREADS,), (u, *scalars, grad, value))
    return value

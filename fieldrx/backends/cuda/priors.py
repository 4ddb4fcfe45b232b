"""What is known of a volume, one launch.

The value stays on the device, as an array of no dimension: a step need not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cupy
import numpy as np

from fieldrx.backends.cuda.load import device_limits, launch

_THREADS = 256


def regularise(
    u: np.ndarray,
    weights_zyx: Sequence[float] | np.ndarray,
    eps: float,
    tv: float,
    negative: float,
    positive: float,
    grad: np.ndarray,
    value: np.ndarray | None = None,
) -> np.ndarray:
    """Smoothness and sign; see `fieldrx.backends.operators.Operators.regularise`."""
    u, value = cupy.ascontiguousarray(u), cupy.zeros((), np.float64) if value is None else value
    scalars = [*map(np.int32, u.shape), *map(np.float32, (*weights_zyx, eps, tv, negative, positive))]
    blocks = min(-(-u.size // _THREADS), 8 * device_limits().multiprocessors)
    launch("priors.cu", "regularise", (blocks,), (_THREADS,), (u, *scalars, grad, value))
    return value

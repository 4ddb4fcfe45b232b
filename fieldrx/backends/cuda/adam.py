"""Adam, one launch."""

from __future__ import annotations

import math

import numpy as np

from fieldrx.backends.cuda.load import launch

_THREADS = 256


def adam_step(
    params: np.ndarray,
    grad: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
) -> None:
    """One step of Adam, in place; see `fieldrx.backends.operators.Operators.adam_step`."""
    if params.size == 0:
        return
    rate, scale = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
    scalars = (np.float32(x) for x in (rate, beta1, beta2, scale, eps))
    grid = (-(-params.size // _THREADS),)
    launch("adam.cu", "adam_step", grid, (_THREADS,), (params, grad, m, v, np.int32(params.size), *scalars))

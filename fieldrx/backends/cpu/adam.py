"""Adam, one pass over the parameters."""

from __future__ import annotations

import math

import numpy as np

from fieldrx.backends.compiler import CACHED, njit, prange, threaded_njit

_CHUNK = 4096


@njit(cache=CACHED, nogil=True, fastmath={"contract"}, error_model="numpy")
def _update(params, grad, m, v, rate, beta1, beta2, scale, eps):
    for i in range(params.size):
        m[i] = beta1 * m[i] + (np.float32(1) - beta1) * grad[i]
        v[i] = beta2 * v[i] + (np.float32(1) - beta2) * grad[i] * grad[i]
        params[i] -= rate * m[i] / (np.sqrt(v[i]) * scale + eps)


@threaded_njit(cache=CACHED, nogil=True)
def _update_all(params, grad, m, v, rate, beta1, beta2, scale, eps):
    size = params.size
    for chunk in prange(-(-size // _CHUNK)):
        s = slice(chunk * _CHUNK, min(size, (chunk + 1) * _CHUNK))
        _update(params[s], grad[s], m[s], v[s], rate, beta1, beta2, scale, eps)


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
    rate = np.float32(lr / (1 - beta1**step))
    scale = np.float32(1 / math.sqrt(1 - beta2**step))
    _update_all(params, grad, m, v, rate, np.float32(beta1), np.float32(beta2), scale, np.float32(eps))

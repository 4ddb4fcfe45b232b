"""Adam, one pass over the parameters."""

import math

import numpy as np
from numba import njit, prange

from fieldrx.backends.cpu.cache import CACHED

_CHUNK = 4096


@njit(cache=CACHED, nogil=True, fastmath={"contract"}, error_model="numpy")
def _update(params, grad, m, v, rate, beta1, beta2, scale, eps):
    for i in range(params.size):
        m[i] = beta1 * m[i] + (np.float32(1) - beta1) * grad[i]
        v[i] = beta2 * v[i] + (np.float32(1) - beta2) * grad[i] * grad[i]
        params[i] -= rate * m[i] / (np.sqrt(v[i]) * scale + eps)


@njit(cache=CACHED, nogil=True, parallel=True)
def _update_all(params, grad, m, v, rate, beta1, beta2, scale, eps):
    size = params.size
    for chunk in prange(-(-size // _CHUNK)):
        s = slice(chunk * _CHUNK, min(size, (chunk + 1) * _CHUNK))
        _update(params[s], grad[s], m[s], v[s], rate, beta1, beta2, scale, eps)


def adam_step(params, grad, m, v, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """One step of Adam (Kingma & Ba, ICLR 2015), in place; give slices for several rates.

    m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,
    params -= lr m' / (sqrt(v') + eps),  m' = m / (1 - beta1^step),  v' = v / (1 - beta2^step).

    Parameters
    ----------
    params, m, v : (n,) float32, contiguous
        Parameters and running moments, overwritten; the moments start at zero.
    grad : (n,) float32, contiguous
    step : int
        1 for the first step.
    """
    rate = np.float32(lr / (1 - beta1**step))
    scale = np.float32(1 / math.sqrt(1 - beta2**step))
    _update_all(params, grad, m, v, rate, np.float32(beta1), np.float32(beta2), scale, np.float32(eps))

"""What is known of a volume: its total variation and its sign, each value and gradient in one pass.

Every slice's share of the value is summed on its own and the shares are added in order, so results do
not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.backends.compiler import CACHED, njit, prange, threaded_njit

_JIT = {"nogil": True, "error_model": "numpy", "cache": CACHED}


@njit(fastmath={"contract", "reassoc"}, **_JIT)
def _row(here, next_y, next_z, wz, wy, wx, eps2, inverse, total):
    """1 / |grad| along one row; adds the row's |grad| to total[0]."""
    n = here.size
    value = 0.0
    for k in range(n):
        dx = wx * (here[k + 1] - here[k]) if k + 1 < n else np.float32(0)
        dy = wy * (next_y[k] - here[k])
        dz = wz * (next_z[k] - here[k])
        length = np.sqrt(dx * dx + dy * dy + dz * dz + eps2)
        inverse[k] = np.float32(1) / length
        value += length
    total[0] += value


@njit(**_JIT)
def _inverse_lengths(u, z, wz, wy, wx, eps2, inverse):
    """1 / |grad| of slice z (differences beyond the last voxel are 0); returns the sum of |grad|."""
    nz, ny, _ = u.shape
    total = np.zeros(1)
    for y in range(ny):
        _row(u[z, y], u[z, min(y + 1, ny - 1)], u[min(z + 1, nz - 1), y],
             wz, wy, wx, eps2, inverse[y], total)  # fmt: skip
    return total[0]


@threaded_njit(**_JIT)
def _total_variation(u, wz, wy, wx, eps, scale, grad, values):
    nz, ny, nx = u.shape
    zero = np.float32(0)
    for z in prange(nz):
        here, below = np.empty((ny, nx), np.float32), np.zeros((ny, nx), np.float32)
        values[z] = _inverse_lengths(u, z, wz, wy, wx, eps * eps, here) - ny * nx * eps
        if z > 0:
            _inverse_lengths(u, z - 1, wz, wy, wx, eps * eps, below)
        for y in range(ny):
            for x in range(nx):
                v = u[z, y, x]
                g = zero
                if x + 1 < nx:
                    g -= wx * wx * (u[z, y, x + 1] - v) * here[y, x]
                if y + 1 < ny:
                    g -= wy * wy * (u[z, y + 1, x] - v) * here[y, x]
                if z + 1 < nz:
                    g -= wz * wz * (u[z + 1, y, x] - v) * here[y, x]
                if x > 0:
                    g += wx * wx * (v - u[z, y, x - 1]) * here[y, x - 1]
                if y > 0:
                    g += wy * wy * (v - u[z, y - 1, x]) * here[y - 1, x]
                if z > 0:
                    g += wz * wz * (v - u[z - 1, y, x]) * below[y, x]
                grad[z, y, x] += scale * g


@threaded_njit(**_JIT)
def _one_sided(u, sign, scale, grad, values):
    """Squares of what lies on the wrong side of 0: below it for sign 1, above it for -1."""
    nz, ny, nx = u.shape
    for z in prange(nz):
        total = 0.0
        for y in range(ny):
            for x in range(nx):
                v = sign * min(sign * u[z, y, x], np.float32(0))
                total += v * v
                grad[z, y, x] += scale * 2 * v
        values[z] = total


def regularise(
    u: np.ndarray,
    weights_zyx: Sequence[float] | np.ndarray,
    eps: float,
    tv: float,
    negative: float,
    positive: float,
    grad: np.ndarray,
    value: float | None = None,
) -> float:
    """Smoothness and sign; see `fieldrx.backends.operators.Operators.regularise`."""
    values, total = np.empty(len(u)), value or 0.0
    if tv:
        weights = [np.float32(w) for w in weights_zyx]
        _total_variation(u, *weights, np.float32(eps), np.float32(tv), grad, values)
        total += tv * float(values.sum())
    for sign, scale in ((1, negative), (-1, positive)):
        if scale:
            _one_sided(u, np.float32(sign), np.float32(scale), grad, values)
            total += scale * float(values.sum())
    return total

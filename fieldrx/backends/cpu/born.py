"""First-Born accumulate and adjoint: a recurrence over z, never a stored transfer function.

Both operators apply, for source s and slice z, the factor

    A(nu, z) = i / (2 kz(nu + nu_s)) P(nu + nu_s) exp(-i [kz(nu + nu_s) - kz(nu_s)] z)

(see :mod:`fieldrx.models.born`).  For one frequency the exponential turns by a constant angle
per slice, so it is computed once every ``_RESTART`` slices and multiplied up in between, which keeps
the rounding of single precision at a few ulp for any number of slices.

Frequencies are in numpy.fft order.  Threads own rows of frequencies, so sums have a fixed order and
the result does not depend on the number of threads.  The work array's precision is that of the input
(complex64 or complex128); angles are always computed in double precision.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends.compiler import CACHED, njit, prange, threaded_njit
from fieldrx.backends.cpu.encodings import sincos_turns

_RESTART = 16
_JIT = {"nogil": True, "error_model": "numpy", "cache": CACHED}


@njit(**_JIT)
def _support(nu_y, nu_x, source, cutoff, first, last):
    """Indices [lo, hi) of nu_x[first:last] (ascending) with |nu + nu_s| <= cutoff."""
    rest = cutoff * cutoff - (nu_y + source[0]) ** 2
    lo = first
    while lo < last and (rest < 0.0 or (nu_x[lo] + source[1]) ** 2 > rest):
        lo += 1
    hi = lo
    while hi < last and (nu_x[hi] + source[1]) ** 2 <= rest:
        hi += 1
    return lo, hi


# The loops below run over whole views from 0: with bounds as arguments Numba must allow for negative
# indices, and LLVM does not vectorise them.


@njit(**_JIT)
def _axial(nu_y, nu_x, source, ball, rate, obliquity):
    """Turns per um of the exponential, and 1 / (2 kz)."""
    source2 = source[0] ** 2 + source[1] ** 2
    f_s = np.sqrt(ball * ball - source2)
    for k in range(nu_x.size):
        nu2 = (nu_y + source[0]) ** 2 + (nu_x[k] + source[1]) ** 2
        f = np.sqrt(max(ball * ball - nu2, 1e-12 * ball * ball))
        rate[k] = -(nu2 - source2) / (f + f_s)  # f - f_s without cancellation
        obliquity[k] = 1.0 / (4.0 * np.pi * f)


@njit(**_JIT)
def _angles_double(rate, z, re, im):
    for k in range(rate.size):
        turns = rate[k] * z
        angle = -2.0 * np.pi * (turns - np.floor(turns))
        re[k] = np.cos(angle)
        im[k] = np.sin(angle)


@njit(fastmath={"contract"}, **_JIT)
def _angles_single(rate, z, re, im):
    for k in range(rate.size):
        sine, cosine = sincos_turns(rate[k] * z)
        re[k] = cosine
        im[k] = -sine


@njit(**_JIT)
def _angles(rate, z, re, im):
    """exp(-2 pi i rate z), in the precision of the result."""
    if re.itemsize == 4:
        _angles_single(rate, z, re, im)
    else:
        _angles_double(rate, z, re, im)


@njit(fastmath={"contract"}, **_JIT)
def _gather(re, im, step_re, step_im, v_re, v_im, sum_re, sum_im):
    """sum += phase * v; phase *= step."""
    for k in range(re.size):
        a, b = re[k], im[k]
        sum_re[k] += a * v_re[k] - b * v_im[k]
        sum_im[k] += a * v_im[k] + b * v_re[k]
        re[k] = a * step_re[k] - b * step_im[k]
        im[k] = a * step_im[k] + b * step_re[k]


@njit(fastmath={"contract"}, **_JIT)
def _spread(re, im, step_re, step_im, r_re, r_im, g_re, g_im):
    """g += conj(phase) * r; phase *= step."""
    for k in range(re.size):
        a, b = re[k], im[k]
        g_re[k] += a * r_re[k] + b * r_im[k]
        g_im[k] += a * r_im[k] - b * r_re[k]
        re[k] = a * step_re[k] - b * step_im[k]
        im[k] = a * step_im[k] + b * step_re[k]


@threaded_njit(**_JIT)
def born_forward(
    spectrum: np.ndarray,
    nu_y: np.ndarray,
    nu_x: np.ndarray,
    sources: np.ndarray,
    starts: np.ndarray,
    index: np.ndarray,
    weight: np.ndarray,
    ball: float,
    cutoff: float,
    z_first: float,
    dz: float,
    out: np.ndarray,
) -> None:
    """Scattered field of every image; see `fieldrx.backends.operators.Operators.born_forward`."""
    nz, ny, nx = spectrum.shape
    real = out.real.dtype
    middle = (nx + 1) // 2
    for y in prange(ny):
        v_re, v_im = spectrum[:, y].real.copy(), spectrum[:, y].imag.copy()
        phase = np.empty((4, nx), real)
        re, im, step_re, step_im = phase[0], phase[1], phase[2], phase[3]
        rate, obliquity, total = np.empty(nx), np.empty(nx), np.empty((2, nx), real)
        for m in range(out.shape[0]):
            out[m, y] = 0
            for e in range(starts[m], starts[m + 1]):
                s = sources[index[e]]
                for half in range(2):
                    first, last = (0, middle) if half == 0 else (middle, nx)
                    lo, hi = _support(nu_y[y], nu_x, s, cutoff, first, last)
                    if lo == hi:
                        continue
                    n = hi - lo
                    _axial(nu_y[y], nu_x[lo:hi], s, ball, rate[:n], obliquity[:n])
                    _angles(rate[:n], dz, step_re[:n], step_im[:n])
                    total[:, :n] = 0
                    for z in range(nz):
                        if z % _RESTART == 0:
                            _angles(rate[:n], z_first + z * dz, re[:n], im[:n])
                        _gather(
                            re[:n],
                            im[:n],
                            step_re[:n],
                            step_im[:n],
                            v_re[z, lo:hi],
                            v_im[z, lo:hi],
                            total[0, :n],
                            total[1, :n],
                        )
                    for k in range(n):
                        scale = weight[e] * obliquity[k]
                        out[m, y, lo + k] += complex(-scale * total[1, k], scale * total[0, k])


@threaded_njit(**_JIT)
def born_adjoint(
    residual: np.ndarray,
    nu_y: np.ndarray,
    nu_x: np.ndarray,
    sources: np.ndarray,
    starts: np.ndarray,
    index: np.ndarray,
    weight: np.ndarray,
    ball: float,
    cutoff: float,
    z_first: float,
    dz: float,
    out: np.ndarray,
) -> None:
    """Adjoint of :func:`born_forward`; see `fieldrx.backends.operators.Operators.born_adjoint`."""
    nz, ny, nx = out.shape
    real = out.real.dtype
    middle = (nx + 1) // 2
    for y in prange(ny):
        g = np.zeros((nz, 2, nx), real)
        phase = np.empty((4, nx), real)
        re, im, step_re, step_im = phase[0], phase[1], phase[2], phase[3]
        rate, obliquity, r = np.empty(nx), np.empty(nx), np.empty((2, nx), real)
        for m in range(residual.shape[0]):
            for e in range(starts[m], starts[m + 1]):
                s = sources[index[e]]
                for half in range(2):
                    first, last = (0, middle) if half == 0 else (middle, nx)
                    lo, hi = _support(nu_y[y], nu_x, s, cutoff, first, last)
                    if lo == hi:
                        continue
                    n = hi - lo
                    _axial(nu_y[y], nu_x[lo:hi], s, ball, rate[:n], obliquity[:n])
                    _angles(rate[:n], dz, step_re[:n], step_im[:n])
                    for k in range(n):  # conj(i scale) r = -i scale r
                        scale = weight[e] * obliquity[k]
                        r[0, k] = scale * residual[m, y, lo + k].imag
                        r[1, k] = -scale * residual[m, y, lo + k].real
                    for z in range(nz):
                        if z % _RESTART == 0:
                            _angles(rate[:n], z_first + z * dz, re[:n], im[:n])
                        _spread(
                            re[:n],
                            im[:n],
                            step_re[:n],
                            step_im[:n],
                            r[0, :n],
                            r[1, :n],
                            g[z, 0, lo:hi],
                            g[z, 1, lo:hi],
                        )
        for z in range(nz):
            for k in range(nx):
                out[z, y, k] = complex(g[z, 0, k], g[z, 1, k])

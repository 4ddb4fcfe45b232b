"""FFTs of all lanes at once: radix 2, 3, 4 and 5, without reordering.

Forward is decimation in frequency: natural order in, digit-reversed order out.  Inverse is decimation in
time: digit-reversed in, natural out.  Neither normalises.  Whatever multiplies a spectrum is stored
digit-reversed too (`Plan.order`), so nothing is ever reordered.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit

from fieldrx.backends.cpu.lanes import butterfly

JIT = {"cache": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True, eq=False)
class Plan:
    """Stages of an FFT of `n` points.

    Parameters
    ----------
    n : int
    radices : int64 array
        Of the stages, first to last.
    starts : int64 array
        Where the twiddle factors of every stage begin.
    twiddles : float32 array
        exp(-2 pi i j p / m) of the stages but the last, pairs (re, im), p fastest.
    order : int64 array
        Frequency (index in numpy.fft order) that stands at each place of the output.
    """

    n: int
    radices: np.ndarray
    starts: np.ndarray
    twiddles: np.ndarray
    order: np.ndarray


@lru_cache(maxsize=32)
def plan(n: int) -> Plan:
    """The plan for `n` points, a product of 2, 3, 4 and 5.

    Raises
    ------
    ValueError
        If n has another factor.
    """
    radices, rest = [], n
    for radix in (5, 3, 4, 2):
        while rest % radix == 0 and rest > 1:
            radices.append(radix)
            rest //= radix
    if rest > 1 or n < 2:
        raise ValueError(f"an FFT of {n} points is not made of factors 2, 3, 5")
    if 2 in radices:  # a small stage first: the last one needs no factors and should be large
        radices.remove(2)
        radices.insert(0, 2)
    twiddles, starts, m = [], [], n
    for radix in radices:
        angle = np.outer(np.arange(m // radix), np.arange(1, radix)) / m
        starts.append(sum(t.size for t in twiddles))
        twiddles.append(np.exp(-2j * np.pi * angle).astype(np.complex64).view(np.float32).ravel())
        m //= radix
    return Plan(n, np.array(radices), np.array(starts), np.concatenate(twiddles), _order(radices))


def _order(radices):
    """Place p_1 n / r_1 + p_2 n / (r_1 r_2) + ... holds frequency p_1 + r_1 p_2 + r_1 r_2 p_3 + ..."""
    order = np.zeros(1, np.int64)
    for radix in reversed(radices):
        order = (np.arange(radix)[:, None] + radix * order).ravel()
    return order


@njit(**JIT)
def _split(lanes, radix, legs, src, so, ss, dst, do, ds, w, wo):
    """One block of a forward stage with factors: `legs` butterflies."""
    if radix == 4:
        for j in range(legs):
            butterfly(lanes, 4, 0, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 6 * j)
    elif radix == 5:
        for j in range(legs):
            butterfly(lanes, 5, 0, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 8 * j)
    elif radix == 3:
        for j in range(legs):
            butterfly(lanes, 3, 0, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 4 * j)
    else:
        for j in range(legs):
            butterfly(lanes, 2, 0, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 2 * j)


@njit(**JIT)
def _merge(lanes, radix, legs, src, so, ss, dst, do, ds, w, wo):
    """One block of an inverse stage with factors."""
    if radix == 4:
        for j in range(legs):
            butterfly(lanes, 4, 1, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 6 * j)
    elif radix == 5:
        for j in range(legs):
            butterfly(lanes, 5, 1, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 8 * j)
    elif radix == 3:
        for j in range(legs):
            butterfly(lanes, 3, 1, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 4 * j)
    else:
        for j in range(legs):
            butterfly(lanes, 2, 1, 1, src, so + j * ss, legs * ss, dst, do + j * ds, legs * ds, w, wo + 2 * j)


@njit(**JIT)
def _last(lanes, radix, n, src, so, ss, dst, do, w):
    """The forward stage without factors: neighbours in src become neighbours in dst."""
    e = 2 * len(lanes)
    if radix == 4:
        for j in range(0, n, 4):
            butterfly(lanes, 4, 0, 0, src, so + j * ss, ss, dst, do + j * e, e, w, 0)
    elif radix == 5:
        for j in range(0, n, 5):
            butterfly(lanes, 5, 0, 0, src, so + j * ss, ss, dst, do + j * e, e, w, 0)
    elif radix == 3:
        for j in range(0, n, 3):
            butterfly(lanes, 3, 0, 0, src, so + j * ss, ss, dst, do + j * e, e, w, 0)
    else:
        for j in range(0, n, 2):
            butterfly(lanes, 2, 0, 0, src, so + j * ss, ss, dst, do + j * e, e, w, 0)


@njit(**JIT)
def _first(lanes, radix, n, src, so, dst, do, ds, w):
    """The inverse stage without factors."""
    e = 2 * len(lanes)
    if radix == 4:
        for j in range(0, n, 4):
            butterfly(lanes, 4, 1, 0, src, so + j * e, e, dst, do + j * ds, ds, w, 0)
    elif radix == 5:
        for j in range(0, n, 5):
            butterfly(lanes, 5, 1, 0, src, so + j * e, e, dst, do + j * ds, ds, w, 0)
    elif radix == 3:
        for j in range(0, n, 3):
            butterfly(lanes, 3, 1, 0, src, so + j * e, e, dst, do + j * ds, ds, w, 0)
    else:
        for j in range(0, n, 2):
            butterfly(lanes, 2, 1, 0, src, so + j * e, e, dst, do + j * ds, ds, w, 0)


@njit(**JIT)
def forward(lanes, radices, starts, w, n, src, so, ss, buffer, dst, do):
    """From elements `ss` apart in src to neighbours in dst, digit-reversed; buffer may be dst."""
    e = 2 * len(lanes)
    stages = radices.size
    if stages == 1:
        _last(lanes, radices[0], n, src, so, ss, dst, do, w)
        return
    legs = n // radices[0]
    _split(lanes, radices[0], legs, src, so, ss, buffer, 0, e, w, starts[0])
    for s in range(1, stages - 1):
        m, legs = legs, legs // radices[s]
        for block in range(0, n, m):
            _split(lanes, radices[s], legs, buffer, block * e, e, buffer, block * e, e, w, starts[s])
    _last(lanes, radices[stages - 1], n, buffer, 0, e, dst, do, w)


@njit(**JIT)
def inverse(lanes, radices, starts, w, n, src, so, buffer, dst, do, ds):
    """From neighbours in src, digit-reversed, to elements `ds` apart in dst; buffer may be src from 0."""
    e = 2 * len(lanes)
    stages = radices.size
    if stages == 1:
        _first(lanes, radices[0], n, src, so, dst, do, ds, w)
        return
    _first(lanes, radices[stages - 1], n, src, so, buffer, 0, e, w)
    m = radices[stages - 1]
    for s in range(stages - 2, 0, -1):
        legs, m = m, m * radices[s]
        for block in range(0, n, m):
            _merge(lanes, radices[s], legs, buffer, block * e, e, buffer, block * e, e, w, starts[s])
    _merge(lanes, radices[0], m, buffer, 0, e, dst, do, ds, w, starts[0])

"""FFTs of all 16 lanes at once: radix 2, 3, 4 and 5, without reordering.

Forward is decimation in frequency: natural order in, digit-reversed order out.  Inverse is decimation in
time: digit-reversed in, natural out.  Neither normalises.  Whatever multiplies a spectrum is stored
digit-reversed too (`Plan.order`), so nothing is ever reordered.  A line of n elements is transformed in
place.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fieldrx.backends.compiler import CACHED, njit
from fieldrx.backends.cpu.lanes import ELEMENT, butterfly

JIT = {"cache": CACHED, "nogil": True, "error_model": "numpy"}


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
def _split(radix, legs, line, at, w, wo):
    """One block of a forward stage: `legs` butterflies."""
    e = ELEMENT
    if radix == 4:
        for j in range(legs):
            butterfly(4, 0, 1, line, at + j * e, legs * e, w, wo + 6 * j)
    elif radix == 5:
        for j in range(legs):
            butterfly(5, 0, 1, line, at + j * e, legs * e, w, wo + 8 * j)
    elif radix == 3:
        for j in range(legs):
            butterfly(3, 0, 1, line, at + j * e, legs * e, w, wo + 4 * j)
    else:
        for j in range(legs):
            butterfly(2, 0, 1, line, at + j * e, legs * e, w, wo + 2 * j)


@njit(**JIT)
def _merge(radix, legs, line, at, w, wo):
    """One block of an inverse stage."""
    e = ELEMENT
    if radix == 4:
        for j in range(legs):
            butterfly(4, 1, 1, line, at + j * e, legs * e, w, wo + 6 * j)
    elif radix == 5:
        for j in range(legs):
            butterfly(5, 1, 1, line, at + j * e, legs * e, w, wo + 8 * j)
    elif radix == 3:
        for j in range(legs):
            butterfly(3, 1, 1, line, at + j * e, legs * e, w, wo + 4 * j)
    else:
        for j in range(legs):
            butterfly(2, 1, 1, line, at + j * e, legs * e, w, wo + 2 * j)


@njit(**JIT)
def _neighbours(radix, inverse, n, line, at, w):
    """The stage without factors, on neighbours: the last of a forward transform, the first of an inverse."""
    e = ELEMENT
    if radix == 4 and inverse:
        for j in range(0, n, 4):
            butterfly(4, 1, 0, line, at + j * e, e, w, 0)
    elif radix == 4:
        for j in range(0, n, 4):
            butterfly(4, 0, 0, line, at + j * e, e, w, 0)
    elif radix == 5 and inverse:
        for j in range(0, n, 5):
            butterfly(5, 1, 0, line, at + j * e, e, w, 0)
    elif radix == 5:
        for j in range(0, n, 5):
            butterfly(5, 0, 0, line, at + j * e, e, w, 0)
    elif radix == 3 and inverse:
        for j in range(0, n, 3):
            butterfly(3, 1, 0, line, at + j * e, e, w, 0)
    elif radix == 3:
        for j in range(0, n, 3):
            butterfly(3, 0, 0, line, at + j * e, e, w, 0)
    else:  # of two numbers, both directions are the same
        for j in range(0, n, 2):
            butterfly(2, 0, 0, line, at + j * e, e, w, 0)


@njit(**JIT)
def forward(radices, starts, w, n, line, at):
    """FFT of the n elements of `line` from `at` on; natural order in, digit-reversed out."""
    legs, stages = n, radices.size
    for s in range(stages - 1):
        m, legs = legs, legs // radices[s]
        for block in range(0, n, m):
            _split(radices[s], legs, line, at + block * ELEMENT, w, starts[s])
    _neighbours(radices[stages - 1], False, n, line, at, w)


@njit(**JIT)
def inverse(radices, starts, w, n, line, at):
    """Inverse FFT, not normalised, of the same; digit-reversed in, natural out."""
    stages = radices.size
    _neighbours(radices[stages - 1], True, n, line, at, w)
    m = radices[stages - 1]
    for s in range(stages - 2, -1, -1):
        legs, m = m, m * radices[s]
        for block in range(0, n, m):
            _merge(radices[s], legs, line, at + block * ELEMENT, w, starts[s])

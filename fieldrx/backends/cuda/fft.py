"""Batched cuFFT of waves, with plans that are reused."""

from __future__ import annotations

from functools import lru_cache

import cupy
import numpy as np
from cupyx.scipy import fft as library

_FORWARD, _INVERSE = -1, 1  # cuFFT's CUFFT_FORWARD and CUFFT_INVERSE

__all__ = ["Plan", "library", "plan"]


class Plan:
    """Transforms over the last two axes of complex64 arrays of one shape; none of them normalises."""

    def __init__(self, shape: tuple[int, int, int]):
        self._plan = library.get_fft_plan(cupy.empty(shape, np.complex64), axes=(1, 2), value_type="C2C")

    def forward(self, a: cupy.ndarray, out: cupy.ndarray) -> None:
        """Transform `a` into `out`, which may be `a`."""
        self._plan.fft(a, out, _FORWARD)

    def inverse(self, a: cupy.ndarray, out: cupy.ndarray) -> None:
        """Transform `a` into `out`, which may be `a`, without the factor 1 / n."""
        self._plan.fft(a, out, _INVERSE)


def plan(shape: tuple[int, int, int]) -> Plan:
    """The plan for waves of a shape (n, ny, nx), made once per device; for one stream at a time."""
    return _plan(tuple(shape), cupy.cuda.Device().id)


@lru_cache(maxsize=8)  # a plan holds the memory that cuFFT works in
def _plan(shape, device):
    return Plan(shape)

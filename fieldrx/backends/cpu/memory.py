"""Buffers laid out for the caches and the vector unit."""

from __future__ import annotations

import numpy as np

LINE = 16  # float32 in a cache line, and in a vector


def round_up(count: int, step: int) -> int:
    """The smallest multiple of `step` that is at least `count`."""
    return -(-count // step) * step


def pitch_of(count: int) -> int:
    """Row pitch for `count` float32: an odd number of cache lines.

    A power of two would put the same column of all rows into a few sets of the cache.
    """
    lines = round_up(max(count, 1), LINE) // LINE
    return LINE * (lines + 1 - lines % 2)


def aligned_zeros(*shape: int) -> np.ndarray:
    """float32 zeros that start at a cache line; a crossing load costs two."""
    size = int(np.prod(shape))
    buffer = np.zeros(size + LINE, np.float32)
    start = -(buffer.ctypes.data // 4) % LINE
    return buffer[start : start + size].reshape(shape)

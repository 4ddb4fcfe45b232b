"""The host itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldrx import resources
from fieldrx.backends import n_threads


def asarray(array: Any) -> np.ndarray:
    """An array on the host."""
    return np.asarray(array)


def memory_limit() -> tuple[int | None, str]:
    """What this process may use; see `fieldrx.backends.operators.Operators.memory_limit`."""
    return resources.memory_limit()


def device_name() -> str:
    """How many threads compute: "2 threads"."""
    return f"{n_threads()} threads"

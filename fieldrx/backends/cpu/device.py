"""The host itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldrx.backends import n_threads


def asarray(array: Any) -> np.ndarray:
    """An array on the host."""
    return np.asarray(array)


def device_name() -> str:
    """How many threads compute: "2 threads"."""
    return f"{n_threads()} threads"

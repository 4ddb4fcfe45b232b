"""The host itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldrx import resources
from fieldrx.backends.compiler import THREADS_LIMITED_BY, n_threads


def asarray(array: Any) -> np.ndarray:
    """An array on the host."""
    return np.asarray(array)


def memory_limit() -> tuple[int | None, str]:
    """What this process may use; see `fieldrx.backends.operators.Operators.memory_limit`."""
    return resources.memory_limit()


def device_name() -> str:
    """How many threads compute, and why no more where that is limited: "2 threads (SLURM_CPUS_PER_TASK)"."""
    count = n_threads()
    limited = f" ({THREADS_LIMITED_BY})" if THREADS_LIMITED_BY else ""
    return f"{count} thread{'' if count == 1 else 's'}{limited}"

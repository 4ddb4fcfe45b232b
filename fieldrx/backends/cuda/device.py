"""The device itself."""

from __future__ import annotations

from typing import Any

import cupy


def asarray(array: Any) -> cupy.ndarray:
    """An array on the device, copied there if it lives on the host."""
    return cupy.asarray(array)


def memory_limit() -> tuple[float, str]:
    """What is free on the GPU; see `fieldrx.backends.operators.Operators.memory_limit`."""
    kept = cupy.get_default_memory_pool().free_bytes()  # what CuPy has freed, and keeps for itself
    return float(cupy.cuda.runtime.memGetInfo()[0] + kept), "this GPU has free"


def device_name() -> str:
    """The GPU in words: "NVIDIA H100 80GB HBM3, 79 GiB"."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"

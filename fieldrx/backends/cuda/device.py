"""The device itself."""

from __future__ import annotations

from typing import Any

import cupy

from fieldrx.backends.cuda.passage import device_memory


def asarray(array: Any) -> cupy.ndarray:
    """An array on the device, copied there if it lives on the host."""
    return cupy.asarray(array)


def memory_limit() -> tuple[float, str]:
    """What is free on the GPU; see `fieldrx.backends.operators.Operators.memory_limit`."""
    free, for_passages = device_memory()  # which recorded marches take, beside what a job says that it needs
    return float(free - for_passages), "this GPU has free"


def device_name() -> str:
    """The GPU in words: "NVIDIA H100 80GB HBM3, 79 GiB"."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"

"""The device itself."""

from __future__ import annotations

from typing import Any

import cupy


def asarray(array: Any) -> cupy.ndarray:
    """An array on the device, copied there if it lives on the host."""
    return cupy.asarray(array)


def device_name() -> str:
    """The GPU in words: "NVIDIA H100 80GB HBM3, 79 GiB"."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"

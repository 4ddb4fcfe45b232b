"""Small host arrays on their way to the device: however many there are, one copy."""

from __future__ import annotations

from collections.abc import Sequence

import cupy
import numpy as np

from fieldrx.backends.cuda.load import on_each_device

_ALIGNED = 16  # bytes: of the widest number


def packed(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The bytes of some host arrays in a row, each from a multiple of 16 on."""
    starts, size = _places(arrays)
    out = np.zeros(size, np.uint8)
    for start, array in zip(starts, arrays, strict=True):
        out[start : start + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
    return out


def unpacked(device_bytes: cupy.ndarray, arrays: Sequence[np.ndarray]) -> list[cupy.ndarray]:
    """Where arrays of such types and shapes lie in bytes that were packed: views."""
    return [
        device_bytes[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        for start, array in zip(_places(arrays)[0], arrays, strict=True)
    ]


def _places(arrays):
    """Where every array begins, and the bytes of all."""
    starts, size = [], 0
    for array in arrays:
        starts.append(size)
        size += -(-array.nbytes // _ALIGNED) * _ALIGNED
    return starts, size


def overwrite(array: cupy.ndarray, host: np.ndarray) -> None:
    """Copy a host array of the same type and shape over an array that stays where it is."""
    array.set(host, cupy.cuda.get_current_stream())  # without a stream some versions wait for the device


def uploaded(*arrays: np.ndarray) -> list[cupy.ndarray]:
    """Host arrays on the device."""
    return unpacked(cupy.asarray(packed(arrays)), arrays)


def held(*arrays: np.ndarray) -> list[cupy.ndarray]:
    """The same, which stay there: asked for once more they are not copied again.

    They are not to be written to.
    """
    return _held(*((array.tobytes(), array.dtype.str, array.shape) for array in arrays))


@on_each_device(maxsize=64)
def _held(*told):
    return uploaded(*(np.frombuffer(data, kind).reshape(shape) for data, kind, shape in told))

"""Passes over a volume on the device, one launch each: the twins of :mod:`fieldrx.backends.cpu.volume`."""

from __future__ import annotations

import cupy
import numpy as np

from fieldrx.backends.cuda.pointwise import pointwise, precision
from fieldrx.backends.cuda.upload import held


def to_contrast(outputs: np.ndarray, scale: float) -> np.ndarray:
    """Outputs as a contrast; see `fieldrx.backends.operators.Operators.to_contrast`."""
    outputs = cupy.ascontiguousarray(outputs, np.float32)
    contrast = cupy.empty(outputs.shape[1:], np.complex64)
    numbers = np.int32(contrast.size), np.int32(len(outputs)), np.float32(scale)
    if contrast.size:
        pointwise("volume.cu", "to_contrast", contrast.size, 1, outputs, *numbers, contrast)
    return contrast


def to_outputs(gradient: np.ndarray, n_outputs: int, scale: float) -> np.ndarray:
    """Adjoint of :func:`to_contrast`; see `fieldrx.backends.operators.Operators.to_outputs`."""
    gradient = cupy.ascontiguousarray(gradient, np.complex64)
    outputs = cupy.empty((n_outputs, *gradient.shape), np.float32)
    numbers = np.int32(gradient.size), np.int32(n_outputs), np.float32(scale)
    if gradient.size:
        pointwise("volume.cu", "to_outputs", gradient.size, 1, gradient, *numbers, outputs)
    return outputs


def potential(contrast: np.ndarray, n0: float, factors: np.ndarray) -> np.ndarray:
    """Slices of a potential; see `fieldrx.backends.operators.Operators.potential`."""
    return _of_slices("potential", [contrast], n0, factors)


def potential_vjp(contrast: np.ndarray, d_slices: np.ndarray, n0: float, factors: np.ndarray) -> np.ndarray:
    """The way back of :func:`potential`; see `fieldrx.backends.operators.Operators.potential_vjp`."""
    return _of_slices("potential_back", [contrast, d_slices], n0, factors)


def _of_slices(kernel, volumes, n0, factors):
    """Launch a kernel that takes volumes of the first one's type, and gives one."""
    dtype = volumes[0].dtype
    volumes = [cupy.ascontiguousarray(volume, dtype) for volume in volumes]
    out, real = cupy.empty(volumes[0].shape, dtype), np.dtype(dtype.char.lower())
    plane = out[0].size
    numbers = *held(factors.astype(real)), np.int32(plane), real.type(n0)
    pointwise("volume.cu", kernel, plane, len(out), *volumes, *numbers, out, constants=precision(out))
    return out

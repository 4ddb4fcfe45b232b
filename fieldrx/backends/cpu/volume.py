"""Passes over a volume with NumPy, in place where possible: large arrays cost more to get than to fill."""

from __future__ import annotations

import numpy as np


def to_contrast(outputs: np.ndarray, scale: float) -> np.ndarray:
    """Outputs as a contrast; see `fieldrx.backends.operators.Operators.to_contrast`."""
    contrast = np.zeros(outputs.shape[1:], np.complex64)
    contrast.real = scale * outputs[0]
    if len(outputs) > 1:
        contrast.imag = scale * outputs[1]
    return contrast


def to_outputs(gradient: np.ndarray, n_outputs: int, scale: float) -> np.ndarray:
    """Adjoint of :func:`to_contrast`; see `fieldrx.backends.operators.Operators.to_outputs`."""
    return np.stack([gradient.real, gradient.imag][:n_outputs]) * np.float32(scale)


def potential(contrast: np.ndarray, n0: float, factors: np.ndarray) -> np.ndarray:
    """Slices of a potential; see `fieldrx.backends.operators.Operators.potential`."""
    real = contrast.real.dtype
    slices = real.type(2 * n0) + contrast
    slices *= contrast
    slices *= factors.astype(real)[:, None, None]
    return slices


def potential_vjp(contrast: np.ndarray, d_slices: np.ndarray, n0: float, factors: np.ndarray) -> np.ndarray:
    """The way back of :func:`potential`; see `fieldrx.backends.operators.Operators.potential_vjp`."""
    real = contrast.real.dtype
    slope = real.type(n0) + contrast
    np.conjugate(slope, out=slope)
    slope *= d_slices
    slope *= 2 * factors.astype(real)[:, None, None]
    return slope

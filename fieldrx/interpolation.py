"""Fourier interpolation in the lateral plane, and its adjoint.

A field sampled on every `stride`-th pixel, at points shifted by parts of that distance, determines a
periodic function without frequencies beyond the samples' Nyquist; ``upsample`` evaluates it at every pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.backends import of
from fieldrx.backends.fft import fft2, ifft2


def upsample(contrast: np.ndarray, stride: int, shift: Sequence[float] | np.ndarray) -> np.ndarray:
    """Fourier interpolation from every `stride`-th pixel, shifted, to all pixels of a grid.

    Parameters
    ----------
    contrast : complex, shape (nz, ny, nx)
        At the pixels ``stride * (k + shift)``.
    stride : int
    shift : (float, float)
        Parts of the distance of samples, along y and x.

    Returns
    -------
    complex, shape (nz, stride * ny, stride * nx)
        `contrast` itself where nothing is to be done.
    """
    if stride == 1 and not np.any(shift):
        return contrast
    ny, nx = contrast.shape[1:]
    turns = -shift[0] / ny, -shift[1] / nx
    shape = stride * ny, stride * nx
    spectrum = of(contrast).resample(fft2(contrast), shape, turns, 1 / (ny * nx))
    return ifft2(spectrum, norm="forward", overwrite=True)


def upsample_adjoint(gradient: np.ndarray, stride: int, shift: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjoint of :func:`upsample`, from (nz, stride * ny, stride * nx) to (nz, ny, nx)."""
    if stride == 1 and not np.any(shift):
        return gradient
    ny, nx = (n // stride for n in gradient.shape[1:])
    turns = shift[0] / ny, shift[1] / nx
    spectrum = of(gradient).resample(fft2(gradient), (ny, nx), turns, 1 / (ny * nx))
    return ifft2(spectrum, norm="forward", overwrite=True)

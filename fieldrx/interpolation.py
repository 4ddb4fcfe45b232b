"""Fourier interpolation in the lateral plane, and its adjoint.

A field sampled on every `stride`-th pixel, at points shifted by parts of that distance, determines a
periodic function without frequencies beyond the samples' Nyquist; ``refine`` evaluates it at every pixel.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends import of
from fieldrx.backends.fft import fft2, ifft2


def refine(contrast, stride, shift):
    """Fourier interpolation from every `stride`-th pixel, shifted, to all pixels of the model's grid."""
    if stride == 1 and not np.any(shift):
        return contrast
    ny, nx = contrast.shape[1:]
    turns = -shift[0] / ny, -shift[1] / nx
    shape = stride * ny, stride * nx
    spectrum = of(contrast).resample(fft2(contrast), shape, turns, 1 / (ny * nx))
    return ifft2(spectrum, norm="forward", overwrite=True)


def coarsen(gradient, stride, shift):
    """Adjoint of :func:`refine`."""
    if stride == 1 and not np.any(shift):
        return gradient
    ny, nx = (n // stride for n in gradient.shape[1:])
    turns = shift[0] / ny, shift[1] / nx
    spectrum = of(gradient).resample(fft2(gradient), (ny, nx), turns, 1 / (ny * nx))
    return ifft2(spectrum, norm="forward", overwrite=True)

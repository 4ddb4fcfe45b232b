"""Fourier interpolation in the lateral plane, and its adjoint.

A field sampled on every `stride`-th pixel, at points shifted by parts of that distance, determines a
periodic function without frequencies beyond the samples' Nyquist; ``refine`` evaluates it at every pixel.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from fieldrx.backends import n_threads


def refine(contrast, stride, shift):
    """Fourier interpolation from every `stride`-th pixel, shifted, to all pixels of the model's grid."""
    if stride == 1 and not np.any(shift):
        return contrast
    nz, ny, nx = contrast.shape
    spectrum = scipy.fft.fft2(contrast, workers=n_threads())
    padded = np.zeros((nz, stride * ny, stride * nx), spectrum.dtype)
    for y, x, ramp in _quadrants(ny, nx, shift):
        padded[:, y, x] = spectrum[:, y, x] * ramp
    padded *= stride * stride
    return scipy.fft.ifft2(padded, workers=n_threads(), overwrite_x=True)


def coarsen(gradient, stride, shift):
    """Adjoint of :func:`refine`."""
    if stride == 1 and not np.any(shift):
        return gradient
    nz, ny, nx = gradient.shape[0], gradient.shape[1] // stride, gradient.shape[2] // stride
    spectrum = scipy.fft.fft2(gradient, workers=n_threads())
    cropped = np.zeros((nz, ny, nx), spectrum.dtype)
    for y, x, ramp in _quadrants(ny, nx, shift):
        cropped[:, y, x] = spectrum[:, y, x] * ramp.conj()
    return scipy.fft.ifft2(cropped, workers=n_threads(), overwrite_x=True)


def _quadrants(ny, nx, shift):
    """Corners of an FFT below the Nyquist frequency, with phases that take back a shift (in samples)."""
    phases = []
    for n, s in ((ny, shift[0]), (nx, shift[1])):
        phases.append(np.exp(-2j * np.pi * np.fft.fftfreq(n) * s).astype(np.complex64))
    y, x = (ny - 1) // 2, (nx - 1) // 2
    for a in (slice(0, y + 1), slice(-y, None)):
        for b in (slice(0, x + 1), slice(-x, None)):
            yield a, b, phases[0][a, None] * phases[1][None, b]

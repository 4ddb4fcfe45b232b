"""FFTs of NumPy or CuPy arrays, on whatever device they live, and the window before them."""

from __future__ import annotations

import numpy as np
import scipy.fft

from fieldrx.backends import is_on_device, n_threads


def fft(a: np.ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> np.ndarray:
    """Along one axis; n, axis and norm as of :func:`scipy.fft.fft`."""
    return _library(a).fft(a, n, axis, norm, **_options(a))


def ifft(a: np.ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> np.ndarray:
    """Inverse of :func:`fft`; `a` may be overwritten."""
    return _library(a).ifft(a, n, axis, norm, overwrite_x=True, **_options(a))


def fft2(a: np.ndarray, overwrite: bool = False) -> np.ndarray:
    """Over the last two axes."""
    return _library(a).fft2(a, overwrite_x=overwrite, **_options(a))


def ifft2(a: np.ndarray, norm: str | None = None, overwrite: bool = False) -> np.ndarray:
    """Inverse of :func:`fft2`."""
    return _library(a).ifft2(a, norm=norm, overwrite_x=overwrite, **_options(a))


def rfft2(a: np.ndarray) -> np.ndarray:
    """Of real arrays over the last two axes."""
    return _library(a).rfft2(a, **_options(a))


def irfft2(a: np.ndarray, s: tuple[int, int]) -> np.ndarray:
    """Inverse of :func:`rfft2`, of shape `s`; `a` may be overwritten."""
    return _library(a).irfft2(a, s=s, overwrite_x=True, **_options(a))


def hann(n: int) -> np.ndarray:
    """Hann window of n samples, all of them positive: its zeros lie one sample outside."""
    return np.hanning(n + 2)[1:-1]


def taper(shape: tuple[int, ...]) -> np.ndarray:
    """The product of a Hann window along every axis, float64 array of `shape`."""
    window = np.ones(())
    for n in shape:
        window = window[..., None] * hann(n)
    return window


def _library(a):
    if is_on_device(a):
        from fieldrx.backends.cuda.fft import library

        return library
    return scipy.fft


def _options(a):
    return {} if is_on_device(a) else {"workers": n_threads()}

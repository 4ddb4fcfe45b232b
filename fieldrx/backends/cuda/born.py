"""First-Born accumulate and adjoint on the device: the twins of :mod:`fieldrx.backends.cpu.born`."""

from __future__ import annotations

import cupy
import numpy as np

from fieldrx.backends.cuda.pointwise import pointwise, precision
from fieldrx.backends.cuda.upload import held

_IMAGES, _SLICES = 8, 16  # that a thread holds: IMAGES and RESTART of kernels/born.cu


def born_forward(
    spectrum: np.ndarray,
    nu_y: np.ndarray,
    nu_x: np.ndarray,
    sources: np.ndarray,
    starts: np.ndarray,
    index: np.ndarray,
    weight: np.ndarray,
    ball: float,
    cutoff: float,
    z_first: float,
    dz: float,
    out: np.ndarray,
) -> None:
    """Scattered field of every image; see `fieldrx.backends.operators.Operators.born_forward`.

    What is small is copied to the device, arrays of the host, and stays there for the way back.
    """
    frequencies, pairs = _small(nu_y, nu_x, sources, starts, index, weight)
    spectrum = cupy.ascontiguousarray(spectrum)  # an FFT keeps the order of what it transforms
    pointwise(
        *("born.cu", "born_forward", out[0].size, -(-len(out) // _IMAGES)),
        *(spectrum, *frequencies, *held(np.asarray(starts, np.int32)), pairs),
        *map(np.float64, (ball, cutoff, z_first, dz)),
        *map(np.int32, (*spectrum.shape, len(out))),
        out,
        constants=precision(spectrum),
    )


def born_adjoint(
    residual: np.ndarray,
    nu_y: np.ndarray,
    nu_x: np.ndarray,
    sources: np.ndarray,
    starts: np.ndarray,
    index: np.ndarray,
    weight: np.ndarray,
    ball: float,
    cutoff: float,
    z_first: float,
    dz: float,
    out: np.ndarray,
) -> None:
    """Adjoint of :func:`born_forward`; see `fieldrx.backends.operators.Operators.born_adjoint`."""
    frequencies, pairs = _small(nu_y, nu_x, sources, starts, index, weight)
    residual = cupy.ascontiguousarray(residual)
    pointwise(
        *("born.cu", "born_adjoint", out[0].size, -(-len(out) // _SLICES)),
        *(residual, *frequencies, pairs, np.int32(len(index))),
        *map(np.float64, (ball, cutoff, z_first, dz)),
        *map(np.int32, out.shape),
        out,
        constants=precision(out),
    )


def _small(nu_y, nu_x, sources, starts, index, weight):
    """Frequencies, and (nu_s along y and x, weight, image) of every pair of an image and a source."""
    images = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    pairs = np.column_stack([sources[index], weight, images])
    *frequencies, pairs = held(np.asarray(nu_y), np.asarray(nu_x), pairs.astype(np.float64))
    return frequencies, pairs

"""The one thin slice that explains images best, in closed form: a first look at a sample.

At every lateral frequency the images' spectra b of log I depend linearly on the slice's spectra of index and
absorption x, b = H x (`fieldrx.models.Rytov`), and x = (H^H H + ridge)^-1 H^H b.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.fft

from fieldrx.acquisition import Acquisition
from fieldrx.models import Rytov
from fieldrx.optics import Grid
from fieldrx.tikhonov import extend, passband, transfer_matrix

_MARGIN = 4  # resolutions around the images: what blurs over four depths of field
_BLOCK = 4096  # frequencies at once


class Block(NamedTuple):
    """The systems of some frequencies."""

    rows: np.ndarray
    columns: np.ndarray
    gram: np.ndarray  # H^H H, shape (n, 2, 2)
    right: np.ndarray  # H^H b, shape (n, 2, 1)
    strongest: float  # largest trace of H^H H
    mean: float  # squared norm of a row of H, over all rows


def thin_slice(
    acquisition: Acquisition,
    height_um: float,
    images: np.ndarray,
    ridge: Callable[[Block, list[Block]], float],
) -> np.ndarray:
    """The refractive index of one thin slice by regularised least squares.

    Parameters
    ----------
    acquisition : Acquisition
    height_um : float
        Of the slice.
    images : int array, shape (n,)
        Those that may be looked at.
    ridge : callable
        The ridge of a block of frequencies, from it and from all blocks.

    Returns
    -------
    float32 array, shape ``acquisition.image_shape``
        Contrast of a slice of 1 um.
    """
    scope, shape = acquisition.microscope, acquisition.stack.shape[1:]
    lateral = Grid.for_images(
        shape, scope, (0.0, 1.0, 1.0), _MARGIN * scope.wavelength_um / scope.objective_na
    )
    grid = Grid((1, *lateral.shape[1:]), lateral.spacing_um, (height_um, *lateral.origin_um[1:]))
    model = Rytov(grid, scope, acquisition.illumination, shape)
    spectrum = scipy.fft.rfft2(extend(_signal(acquisition, model, images), model.pixels))
    blocks = list(_blocks(model, spectrum, images))
    index = np.zeros(spectrum.shape[1:], np.complex64)
    for block in blocks:
        gram = block.gram + np.float32(ridge(block, blocks)) * np.eye(2, dtype=np.float32)
        index[block.rows, block.columns] = np.linalg.solve(gram, block.right)[:, 0, 0]
    return scipy.fft.irfft2(index, s=grid.shape[1:])[model.window]


def _signal(acquisition, model, images):
    """Measured signal, 0 where it is masked or undefined."""
    signal = model.signal(acquisition.images[images])
    valid = np.isfinite(signal)
    if acquisition.mask is not None:
        valid &= acquisition.mask[images]
    return np.where(valid, signal, np.float32(0))


def _blocks(model, spectrum, images):
    rows, columns = passband(model, images)
    for first in range(0, len(rows), _BLOCK):
        r, c = rows[first : first + _BLOCK], columns[first : first + _BLOCK]
        h = transfer_matrix(model, r, c, images)
        adjoint = h.conj().swapaxes(1, 2)
        gram = adjoint @ h
        strongest = float(np.trace(gram, axis1=1, axis2=2).real.max())
        mean = (np.abs(h) ** 2).sum(axis=2).mean()
        yield Block(r, c, gram, adjoint @ spectrum[:, r, c].T[..., None], strongest, mean)

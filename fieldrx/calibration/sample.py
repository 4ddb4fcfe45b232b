"""Where the sample lies along z, and whether it is denser than its medium: what settles the light's sign.

All directions with the other sign explain the images as well: to first order a transparent sample of
contrast delta(z) then becomes one of -delta(-z).  So the sign is settled by whoever knows on which side of
the focus the sample lies, or that it is denser (or less dense) than its medium.

Both come from thin samples: at every height z, the closed-form inversion of the images for one slice
explains some share of them.  The best height is that of the sample; the skewness of the index there, positive
for dense things in a medium, tells its sign.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from fieldrx.models import Rytov
from fieldrx.optics import Grid
from fieldrx.tikhonov import extend, supported

_IMAGES, _FREQUENCIES = 32, 3000
_DEPTHS = 12  # depths of field on either side of focus that are looked at
_PER_DEPTH = 4  # heights per depth of field
_RIDGE = 0.1  # over the mean squared row norm
_TILES = 4  # per axis, for the error of the skewness


@dataclass(frozen=True)
class Sample:
    """What a thin sample at each height explains.

    Parameters
    ----------
    heights_um : array, shape (m,)
    explained : array, shape (m,)
        Share of the images' squared signal.
    height_um : float
        The best height.
    extent_um : (float, float)
        Where at least half of the best share is explained.
    skewness, error : float
        Of the index at the best height, and its standard error over parts of the image.
    """

    heights_um: np.ndarray
    explained: np.ndarray
    height_um: float
    extent_um: tuple[float, float]
    skewness: float
    error: float


def find_sample(images, illumination, microscope, mask=None) -> Sample:
    """Find the height of the sample and the sign of its contrast.

    Parameters
    ----------
    images : float array, shape (n, ny, nx)
        Normalised intensities.
    illumination : Illumination
        Of these images.
    microscope : Microscope
    mask : bool array, shape (n, ny, nx), optional
    """
    chosen = np.arange(len(images))[:: -(-len(images) // _IMAGES)]
    depth_of_field = microscope.medium_index * microscope.wavelength_um / microscope.objective_na**2
    count = 2 * _DEPTHS * _PER_DEPTH + 1
    z = np.linspace(-_DEPTHS, _DEPTHS, count) * depth_of_field
    margin = 4 * depth_of_field * microscope.objective_na / microscope.medium_index
    model = _model(images.shape[1:], illumination, microscope, z, margin)
    signal = model.signal(images[chosen])
    valid = np.isfinite(signal) if mask is None else np.isfinite(signal) & mask[chosen]
    spectrum = scipy.fft.rfft2(extend(np.where(valid, signal, np.float32(0)), model))
    rows, columns = supported(model, chosen)
    pick = np.random.default_rng(0).permutation(len(rows))[:_FREQUENCIES]
    nu_y, nu_x = model.grid.frequencies()
    index, absorption = model.transfer(nu_y[rows[pick]], nu_x[columns[pick]], chosen)
    data = spectrum[:, rows[pick], columns[pick]].T[..., None]
    explained = np.array([_explained(index[..., [k]], absorption[..., [k]], data) for k in range(count)])
    best = int(np.argmax(explained))
    wide = z[explained >= 0.5 * explained[best]]
    skewness, error = _skewness(images.shape[1:], illumination, microscope, z[best], margin, spectrum, chosen)
    return Sample(z, explained, float(z[best]), (float(wide[0]), float(wide[-1])), skewness, error)


def _model(shape, illumination, microscope, z, margin):
    dz = z[1] - z[0] if len(z) > 1 else 1.0
    lateral = Grid.for_images(shape, microscope, (0.0, dz, dz), margin)
    grid = Grid((len(z), *lateral.shape[1:]), (dz, *lateral.spacing_um[1:]), (z[0], *lateral.origin_um[1:]))
    return Rytov(grid, microscope, illumination, shape)


def _solve(index, absorption, data):
    """Minimiser of |h x - b|^2 + ridge |x|^2 at each frequency, shape (n, 2, 1), and the fitted data."""
    h = np.concatenate([index, absorption], axis=2)
    adjoint = h.conj().swapaxes(1, 2)
    gram = adjoint @ h
    ridge = np.float32(_RIDGE * (np.abs(h) ** 2).sum(axis=2).mean())
    x = np.linalg.solve(gram + ridge * np.eye(2, dtype=np.float32), adjoint @ data)
    return x, h @ x


def _explained(index, absorption, data):
    _, fitted = _solve(index, absorption, data)
    return float(1 - (np.abs(data - fitted) ** 2).sum() / max((np.abs(data) ** 2).sum(), 1e-30))


def _skewness(shape, illumination, microscope, height, margin, spectrum, chosen):
    model = _model(shape, illumination, microscope, np.array([height]), margin)
    rows, columns = supported(model, chosen)
    nu_y, nu_x = model.grid.frequencies()
    index = np.zeros(spectrum.shape[1:], np.complex64)
    for first in range(0, len(rows), 4096):
        r, c = rows[first : first + 4096], columns[first : first + 4096]
        parts = model.transfer(nu_y[r], nu_x[c], chosen)
        index[r, c] = _solve(*parts, spectrum[:, r, c].T[..., None])[0][:, 0, 0]
    plane = scipy.fft.irfft2(index, s=model.grid.shape[1:])[model.window]
    plane = plane - np.median(plane)
    scale = max(float((plane**2).mean()) ** 1.5, 1e-30)
    tiles = [t for row in np.array_split(plane**3, _TILES) for t in np.array_split(row, _TILES, axis=1)]
    means = np.array([t.mean() for t in tiles]) / scale
    return float(means.mean()), float(means.std(ddof=1) / np.sqrt(len(means)))

"""Which spatial frequencies of a sample the images can tell anything about.

To first order an image's spectrum at the lateral frequency nu holds the sample's spectrum on one curved cap
(an Ewald sphere's) at the axial frequency f(nu + nu_s) - f(nu_s), f = kz / 2 pi, and on its mirror image.  All
caps of all sources fill a part of frequency space: about a doughnut, with nothing along its axis, where
frequencies are lateral zero or nearly so (the missing cone), and nothing beyond |nu| = (NA + NA_source) /
lambda.  Slowly varying layers perpendicular to the axis, and all details finer than that, leave no trace.

The power of the transfer, sum over images of |H(nu, nu_z)|^2 with H the transform along z (under a Hann
window, as caps are sharp and slices few) of the linear model's transfer function of the index
(`Born.transfer`), says how strong the trace is; a frequency counts as supported where it reaches a share of the
strongest.  Multiple scattering moves light between frequencies and blurs this border; it does not fill
the cone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from fieldrx.backends import n_threads
from fieldrx.models.born import Born
from fieldrx.optics import Grid

SHARE = 0.05  # of the strongest power
_BLOCK = 256  # frequencies at once


@dataclass(frozen=True, eq=False)
class Band:
    """Frequencies that the images support, on the discrete Fourier transform of a volume.

    Parameters
    ----------
    grid : Grid
        Of the volume.
    power : float32 array, shape ``grid.shape``
        Transfer power over its maximum, in the order of ``numpy.fft``.
    share : float
        Power from which a frequency counts as supported.
    """

    grid: Grid
    power: np.ndarray
    share: float = SHARE

    @property
    def supported(self) -> np.ndarray:
        """Whether a frequency is supported, bool of shape ``grid.shape``."""
        return self.power >= self.share

    def inside(self, contrast) -> np.ndarray:
        """The part of a volume (..., nz, ny, nx) whose frequencies are supported."""
        spectrum = scipy.fft.fftn(contrast, axes=(-3, -2, -1), workers=n_threads())
        spectrum *= self.supported
        out = scipy.fft.ifftn(spectrum, axes=(-3, -2, -1), workers=n_threads(), overwrite_x=True)
        return out if np.iscomplexobj(contrast) else out.real

    def share_outside(self, contrast) -> float:
        """Share of a volume's squared norm that lies at unsupported frequencies."""
        spectrum = np.abs(scipy.fft.fftn(contrast, workers=n_threads())) ** 2
        total = float(spectrum.sum(dtype=np.float64))
        return float(spectrum[~self.supported].sum(dtype=np.float64)) / total if total else 0.0


def supported_band(grid: Grid, microscope, illumination, images=None, share=SHARE) -> Band:
    """The band that the images of an illumination support.

    Parameters
    ----------
    grid : Grid
        Of the volume whose frequencies are asked; slices no further apart than the axial resolution.
    microscope : Microscope
    illumination : Illumination
    images : array of int, optional
        Rows of the illumination's pattern; all when not given.
    share : float
        Transfer power over the strongest from which a frequency counts.

    Returns
    -------
    Band
    """
    # the origin does not matter to the power; the linear model wants its images within the grid
    nz, ny, nx = grid.shape
    centred = Grid(grid.shape, grid.spacing_um, (-0.5 * (nz - 1) * grid.spacing_um[0], 0.0, 0.0))
    model = Born(centred, microscope, illumination)
    window = np.hanning(nz + 2)[1:-1].astype(np.float32)
    nu_y, nu_x = grid.frequencies()
    steepest = np.linalg.norm(illumination.sources_na[illumination.bright(microscope)], axis=1).max()
    reach = microscope.cutoff + steepest / microscope.wavelength_um
    # a real volume: half of the lateral frequencies tell the others
    y, x = np.nonzero(nu_y[:, None] ** 2 + nu_x[None, : nx // 2 + 1] ** 2 <= reach**2)
    power = np.zeros((ny, nx, nz), np.float32)
    for first in range(0, len(y), _BLOCK):
        r, c = y[first : first + _BLOCK], x[first : first + _BLOCK]
        transfer, _ = model.transfer(nu_y[r], nu_x[c], images)
        # sum_z H(z) V(z) = sum_k ifft(H)_k V_k, with V_k the volume's spectrum
        along = scipy.fft.ifft(transfer * window, axis=2, workers=n_threads())
        power[r, c] = (np.abs(along) ** 2).sum(axis=1)
        power[-r % ny, -c % nx] = power[r, c][:, -np.arange(nz) % nz]
    power = np.moveaxis(power, 2, 0)
    return Band(grid, power / power.max(), share)

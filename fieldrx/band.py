"""Which spatial frequencies of a sample the images can tell anything about.

To first order an image's spectrum at the lateral frequency nu holds the sample's spectrum on one curved cap
(an Ewald sphere's) at the axial frequency f(nu + nu_s) - f(nu_s), f = kz / 2 pi, and on its mirror image.  All
caps of all sources fill a part of frequency space: about a doughnut, with nothing along its axis, where
frequencies are lateral zero or nearly so (the missing cone), and nothing beyond |nu| = (NA + NA_source) /
lambda.  Slowly varying layers perpendicular to the axis, and all details finer than that, leave no trace.

The power of the transfer, sum over images of |H(nu, nu_z)|^2 with H the transform along z of the
linear model's transfer function of the index (`Born.transfer`), says how strong the trace is; a frequency
counts as supported where it reaches a share of the strongest.  Multiple scattering moves light between
frequencies and blurs this border; it does not fill the cone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from fieldrx.backends import n_threads
from fieldrx.models.born import Born
from fieldrx.optics import Grid

SHARE = 0.01  # of the strongest power; a tenth of its amplitude
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
    # the origin does not matter to the power, and the linear model wants images within its grid
    centred = Grid(grid.shape, grid.spacing_um, (-0.5 * (grid.shape[0] - 1) * grid.spacing_um[0], 0.0, 0.0))
    model = Born(centred, microscope, illumination)
    nu_y, nu_x = grid.frequencies()
    nz, ny, nx = grid.shape
    power = np.zeros((ny * nx, nz), np.float32)
    reach = microscope.cutoff + np.linalg.norm(model.illumination.sources_na, axis=1).max() / microscope.wavelength_um
    y, x = np.nonzero(nu_y[:, None] ** 2 + nu_x[None] ** 2 <= reach**2)
    for first in range(0, len(y), _BLOCK):
        r, c = y[first : first + _BLOCK], x[first : first + _BLOCK]
        transfer, _ = model.transfer(nu_y[r], nu_x[c], images)
        # the images see sum_z H(z) V(z): its transform conj'd is the weight of exp(2 pi i nu_z z)
        along = scipy.fft.ifft(transfer, axis=2, workers=n_threads())
        power[r * nx + c] = (np.abs(along) ** 2).sum(axis=1)
    power = np.moveaxis(power.reshape(ny, nx, nz), 2, 0)
    return Band(grid, power / power.max(), share)

"""Which spatial frequencies of a sample the images can tell anything about.

To first order an image's spectrum at the lateral frequency nu holds the sample's spectrum on one curved cap
(an Ewald sphere's) at the axial frequency f(nu + nu_s) - f(nu_s), f = kz / 2 pi, and on its mirror image.
All caps of all sources fill a part of frequency space: about a doughnut, with nothing along its axis, where
frequencies are lateral zero or nearly so (the missing cone), and nothing beyond |nu| = (NA + NA_source) /
lambda.  Slowly varying layers perpendicular to the axis, and all details finer than that, leave no trace.

The power of the transfer, sum over images of |H|^2 with H all caps of an image that pass within a cell
of the discrete Fourier transform, says how strong the trace is: a cap counts with 1 - d in a cell whose
centre it misses along z by d of the cell's height, the reciprocal of the depth range.  For the index the two
caps of a source have opposite signs, so where they share a cell, near zero frequency, they cancel.  A cell
counts as supported where its power reaches a share of the strongest.  A dark-field image, lit from outside
the pupil, counts like others: its amplitude moves with the part of a change in phase with the scattered
wave, as that of a bright image moves with the part in phase with the unscattered one.  Multiple scattering
moves light between frequencies and blurs this border; it does not fill the cone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from fieldrx.backends import n_threads
from fieldrx.brief import brief
from fieldrx.optics import Grid, Illumination, Microscope

SHARE = 0.05  # of the strongest power


@brief
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
    strongest : float
        The maximum: squared change of the images' spectra, summed over the images, over that of the
        index's, both as discrete Fourier transforms with one and the same lateral grid.
    """

    grid: Grid
    power: np.ndarray
    share: float = SHARE
    strongest: float = 1.0

    @property
    def supported(self) -> np.ndarray:
        """Whether a frequency is supported, bool of shape ``grid.shape``."""
        return self.power >= self.share

    def inside(self, contrast: np.ndarray) -> np.ndarray:
        """The part of a volume (..., nz, ny, nx) whose frequencies are supported."""
        spectrum = scipy.fft.fftn(contrast, axes=(-3, -2, -1), workers=n_threads())
        spectrum *= self.supported
        out = scipy.fft.ifftn(spectrum, axes=(-3, -2, -1), workers=n_threads(), overwrite_x=True)
        return out if np.iscomplexobj(contrast) else out.real

    def hidden(self, spectral_density: Callable[[np.ndarray], np.ndarray]) -> float:
        """Standard deviation of a volume that noise could hide inside the band.

        A frequency of the volume is known to the noise of the images there over the transfer's power, as of a
        least-squares estimate (the bound of Cramer and Rao, cells taken as independent).

        Parameters
        ----------
        spectral_density : callable
            Maps lateral frequency [cycles/um] to the variance of an image's pixel that noise of this
            frequency would make if it were white.
        """
        nz, ny, nx = self.grid.shape
        nu_y, nu_x = self.grid.frequencies()
        noise = spectral_density(np.hypot(nu_y[:, None], nu_x[None]))
        inverse = np.divide(1.0, self.power, out=np.zeros(self.power.shape), where=self.supported)
        return float(np.sqrt((noise * inverse).sum() / self.strongest / (ny * nx)) / nz)


def supported_band(
    grid: Grid,
    microscope: Microscope,
    illumination: Illumination,
    images: np.ndarray | None = None,
    share: float = SHARE,
) -> Band:
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
    nz, ny, nx = grid.shape
    nu_y, nu_x = grid.frequencies()
    nu_y, nu_x = np.broadcast_arrays(nu_y[:, None], nu_x[None])
    weights = illumination.weights(microscope, images)
    dark = illumination.dark(microscope) if images is None else illumination.dark(microscope)[images]
    weights = weights * (illumination.bright(microscope) | dark[:, None])
    power = np.zeros((nz, ny * nx), np.float32)
    for row in weights:
        lit = np.flatnonzero(row)
        transfer = np.zeros((nz, ny * nx), np.float32)
        for source, weight in zip(
            illumination.sources_na[lit] / microscope.wavelength_um, row[lit], strict=True
        ):
            for sign in (1, -1):
                place, height, strength = _cap(nu_y, nu_x, source, sign, microscope)
                cell = height * nz * grid.spacing_um[0]
                low = np.floor(cell).astype(int)
                for node, part in ((low, low + 1 - cell), (low + 1, cell - low)):
                    transfer[node % nz, place] += (weight * strength * part).astype(np.float32)
        power += transfer**2
    power = power.reshape(grid.shape)
    # a cap's amplitude is k0^2 n0 dz / (2 pi f) per unit contrast, see `fieldrx.models.born`
    amplitude = microscope.medium_index * microscope.wavenumber**2 * grid.spacing_um[0] / (2 * np.pi)
    strongest = float(power.max())
    return Band(grid, power / strongest, share, strongest * amplitude**2)


def _cap(nu_y, nu_x, source, sign, microscope):
    """A source's cap (sign 1) or its mirror image (-1): lateral places, axial frequency, weight."""
    nu2 = (sign * nu_y + source[0]) ** 2 + (sign * nu_x + source[1]) ** 2
    place = np.flatnonzero(nu2.ravel() <= microscope.cutoff**2)
    f = microscope.axial_frequency(nu2.ravel()[place])
    return place, sign * (f - microscope.axial_frequency(source @ source)), sign / f

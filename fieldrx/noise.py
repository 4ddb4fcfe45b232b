"""The noise floor of images, measured where the optics can send no light.

Two waves that passed a pupil of cutoff NA / lambda interfere at frequencies up to 2 NA / lambda, never
beyond.  What an image holds beyond is noise, and as the noise of a camera's pixels is white, its power there
is its power everywhere: sigma^2 = mean |F[w I]|^2 / sum w^2 over those frequencies, w a Hann window that
keeps the image's own border out of them.  Noise that repeats from image to image, or that the optics filtered
(speckle, stray light), does not show there: the floor is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from fieldrx.backends.fft import taper
from fieldrx.brief import brief

if TYPE_CHECKING:
    from fieldrx.acquisition import Acquisition

_MEASURED, _BOUND = "beyond the band", "differences of pixels"  # methods
_ROOM = 1.05  # of the band's edge, for what a window smears over it
_FEWEST = 64  # frequencies needed for an estimate
_FILLING = 30  # rounds
_ENOUGH = 0.25  # share of valid pixels below which an image is not looked at


@brief
@dataclass(frozen=True)
class NoiseFloor:
    """Noise of normalised images.

    Parameters
    ----------
    sigma : float
        Standard deviation of a pixel's noise, over all images, in units of the empty field.
    per_image : float array, shape (n,)
        The same of each image; nan where too few pixels are valid.
    share : float
        Norm of the noise over norm of I - 1: the relative error below which no prediction can come.
    method : str
        "beyond the band" or "differences of pixels", an upper bound, where pixels are so large that the band
        fills the whole spectrum.
    """

    sigma: float
    per_image: np.ndarray
    share: float
    method: str

    @property
    def measured(self) -> bool:
        """Whether this is the noise itself, and not a bound from above that holds structure as well."""
        return self.method == _MEASURED


def noise_floor(acquisition: Acquisition, images: np.ndarray | None = None) -> NoiseFloor:
    """Noise of some images of an acquisition.

    Parameters
    ----------
    acquisition : Acquisition
    images : array of int, optional
        All usable ones when not given.

    Returns
    -------
    NoiseFloor
        With nan where no image has pixels enough.
    """
    images = np.flatnonzero(acquisition.usable) if images is None else np.asarray(images)
    beyond = _beyond(acquisition.image_shape, acquisition.microscope)
    variance, signal, weight = np.full(len(images), np.nan), np.zeros(len(images)), np.zeros(len(images))
    for k, number in enumerate(images):
        image = acquisition.stack[number].astype(np.float64) - 1
        valid = None if acquisition.mask is None else acquisition.mask[number]
        share = 1.0 if valid is None else float(valid.mean())
        if share < _ENOUGH:
            continue
        filled = image if valid is None or valid.all() else _filled(image, valid, beyond)
        # filled pixels hold no noise
        variance[k] = (_outside(filled, beyond) if beyond is not None else _differences(filled)) / share
        weight[k] = share * image.size
        signal[k] = float((image**2).sum() if valid is None else (image**2).sum(where=valid))
    power = float(np.nansum(variance * weight))
    method = _BOUND if beyond is None else _MEASURED
    sigma, share = (np.sqrt(power / total) if total > 0 else np.nan for total in (weight.sum(), signal.sum()))
    return NoiseFloor(float(sigma), np.sqrt(variance), float(share), method)


def _beyond(shape, microscope):
    """Frequencies beyond the band of an intensity image; None where there are too few."""
    nu_y, nu_x = (np.fft.fftfreq(n, microscope.pixel_size_um) for n in shape)
    nu2 = nu_y[:, None] ** 2 + nu_x[None] ** 2
    beyond = nu2 > (_ROOM * 2 * microscope.cutoff) ** 2
    # what the pixels alias folds back from beyond their Nyquist frequency into the band's mirror image
    nyquist = 0.5 / microscope.pixel_size_um
    for axis in (nu_y[:, None], nu_x[None]):
        folded = 2 * nyquist - np.abs(axis)
        other = nu2 - axis**2
        beyond &= folded**2 + other > (_ROOM * 2 * microscope.cutoff) ** 2
    return beyond if np.count_nonzero(beyond) >= _FEWEST else None


def _outside(image, beyond):
    window = taper(image.shape)
    spectrum = scipy.fft.fft2((image - image.mean()) * window)
    return float((np.abs(spectrum[beyond]) ** 2).mean() / (window**2).sum())


def _differences(image):
    """Variance from mixed second differences, robustly; structure of the sample adds to it.

    The difference [1 -2 1] along both axes takes white noise of variance v to 36 v (J. Immerkaer, Computer
    Vision and Image Understanding 64, 300 (1996)); the median absolute value is 0.6745 standard deviations.
    """
    second = np.diff(np.diff(image, 2, axis=0), 2, axis=1)
    return float((np.median(np.abs(second)) / 0.6745) ** 2 / 36)


def _filled(image, valid, beyond):
    """Invalid pixels replaced by means of those around, then by what the band makes of the valid ones.

    The second is the iteration of Papoulis and Gerchberg (IEEE Trans. Circuits Syst. 22, 735 (1975)).
    """
    total, weight = gaussian_filter(image * valid, 2.0), gaussian_filter(valid.astype(float), 2.0)
    filled = np.where(valid, image, total / np.maximum(weight, 1e-3))
    for _ in range(_FILLING if beyond is not None else 0):
        spectrum = scipy.fft.fft2(filled)
        spectrum[beyond] = 0
        filled = np.where(valid, image, scipy.fft.ifft2(spectrum).real)
    return filled

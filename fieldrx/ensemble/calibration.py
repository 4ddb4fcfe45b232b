"""What makes the bars right for images that no member has seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erf

from fieldrx.acquisition import Acquisition
from fieldrx.backends.fft import taper
from fieldrx.band import Band
from fieldrx.ensemble.data import Ensemble
from fieldrx.ensemble.images import FitImages
from fieldrx.noise import noise_floor
from fieldrx.provenance import Provenance

_RINGS = 0.1  # width of the rings over which a residual's spectrum is averaged [cycles/um], at least
_COVERED = 0.954  # share of a normal distribution within two standard deviations
_MOST = 1e3  # times the spread of the members that bars may be
_LEVELS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)  # half widths of bars that are reported, in standard deviations


def calibrate(
    ensemble: Ensemble,
    settings: Provenance,
    acquisition: Acquisition,
    images: np.ndarray,
    device: str = "auto",
) -> tuple[float, float, dict]:
    """What makes the bars right for images that no member has seen; see `fieldrx.ensemble`.

    Parameters
    ----------
    ensemble : Ensemble
        Its own factor is not used.
    settings : Provenance
        Of the fit.  Every member predicts with the optics of its own, where it refined them.
    acquisition : Acquisition
    images : array of int
    device : str
        "cpu", "cuda" or "auto".

    Returns
    -------
    factor, hidden : float
    calibration : dict
        ``images``, ``sigma``, ``nrmse_holdout`` of the mean; ``levels``: shares of a normal
        distribution within bars of several widths, and what was found with and without the factor,
        ``covered`` and ``covered_raw``; ``notes``: what is wrong with the bars, mostly nothing.
    """
    made = FitImages(settings, acquisition, device)
    others = np.setdiff1d(np.flatnonzero(acquisition.usable), images)
    return calibrate_within(ensemble, made, made.band(others), images)


def calibrate_within(
    ensemble: Ensemble, made: FitImages, band: Band, images: np.ndarray
) -> tuple[float, float, dict]:
    """The same where the fit's images, and the band of those that it saw, are at hand already.

    Parameters
    ----------
    ensemble, images
        As of `calibrate`, which see for what is returned.
    made : FitImages
    band : Band
    """
    acquisition = made.acquisition
    predicted = [made.unseen(member, images) for member in ensemble.members]
    pairs = made.measured.beside(np.mean(predicted, axis=0), images)
    spread = pairs.of_valid(np.std(predicted, axis=0, ddof=1))
    residual = np.abs(pairs.of_valid(pairs.residual))
    hidden = band.hidden(_density(pairs.residual, acquisition.microscope.pixel_size_um))
    noise = noise_floor(acquisition, images)
    # a bound from above would hide errors of the field; nan where too few pixels are valid
    sigma = noise.sigma if noise.measured and noise.sigma > 0 else 0.0

    def covered(factor, width=2.0):
        return float(np.mean(residual <= width * np.sqrt(sigma**2 + (factor * spread) ** 2)))

    factor = smallest_factor(covered)
    return (
        factor,
        hidden,
        {
            "images": np.asarray(images).tolist(),
            "sigma": sigma,
            "nrmse_holdout": pairs.sums.nrmse,
            "levels": [float(erf(width / np.sqrt(2))) for width in _LEVELS],
            "covered": [covered(factor, width) for width in _LEVELS],
            "covered_raw": [covered(1.0, width) for width in _LEVELS],
            "notes": _notes(covered(_MOST)),
        },
    )


def _notes(covered):
    """What is wrong with bars of which the widest cover such a share."""
    if covered >= _COVERED:
        return []
    return [
        f"the members agree too closely for error bars: {_MOST:g} times their spread covers the residual "
        f"at {covered:.0%} of the unseen pixels, not {_COVERED:.0%}; use more --steps"
    ]


def _density(residual, pixel_um):
    """Spectral density of residuals (n, y, x), averaged over rings: a function of lateral frequency."""
    ny, nx = residual.shape[1:]
    window = taper((ny, nx))
    power = (np.abs(np.fft.fft2(residual * window)) ** 2).mean(axis=0) / (window**2).sum()
    nu = np.hypot(np.fft.fftfreq(ny, pixel_um)[:, None], np.fft.fftfreq(nx, pixel_um)[None])
    width = max(_RINGS, 2 / (min(ny, nx) * pixel_um))
    ring = (nu / width).astype(int).ravel()
    count = np.bincount(ring)
    mean = np.bincount(ring, power.ravel()) / np.maximum(count, 1)
    place = width * (np.arange(len(count)) + 0.5)
    return lambda wanted: np.interp(wanted, place[count > 0], mean[count > 0])


def smallest_factor(covered: Callable[[float], float]) -> float:
    """The smallest factor of the spread with which two standard deviations cover as much as they promise.

    Parameters
    ----------
    covered : callable
        The share that is covered, which grows with the factor.

    Returns
    -------
    float
        To 0.1 %, 1 or more; 1000 where that is not enough.
    """
    low, high = 1.0, _MOST
    if covered(low) >= _COVERED:
        return low
    while high / low > 1.001:
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if covered(middle) >= _COVERED else (middle, high)
    return high

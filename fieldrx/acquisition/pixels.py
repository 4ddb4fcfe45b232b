"""Pixels that tell nothing of the sample: those that the camera spoilt, and those that were never filled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import (
    convolve,
    label,
    maximum_filter,
    median,
    median_filter,
    minimum_filter,
    uniform_filter,
)
from scipy.special import j1

from fieldrx.optics import Illumination, Microscope

_BLOCK = 9  # zeros that hang together, from which no light can have made them
_RIM = 0.1  # of the typical light, below which the pixels around zeros show a shadow that fades to zero
_COUNTS = 5.0  # typical counts below which zeros come by chance
_LOOKED_AT = 12  # images; a bad pixel shows in all of them
_FEWEST_ODD, _FEWEST_STUCK = 4, 8  # images
_BEYOND = 8.0  # standard deviations of what optics and noise explain
_LEAST = 0.1  # of the empty field; gains of good pixels differ by less
_AGREE = 0.9  # share of images that show half of that at least, with the same sign
_TELLS = 0.5  # share of a pixel's variance that its neighbours leave open, from which they tell too little
_NOISE = 1e-2  # share of the variance, so that the prediction does not amplify noise
_VARIES = 3.0  # counts, standard deviation over images of a living pixel beside one that never changes
_ROUNDS = 4  # in which bad pixels side by side are found, one after the other
_NAMED = 5  # pixels that a note lists
_RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)


def zero_blocks(images: np.ndarray, valid: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Where lit images hold exact zeros that hang together: borders of a registration, values never written.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
        As they were stored.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    lit : ndarray of bool, shape (n,)
        Images whose light passes the pupil: in dark field zeros are a value like any other.

    Returns
    -------
    ndarray of bool, shape (n, y, x)
    """
    found = np.zeros(images.shape, bool)
    for k in np.flatnonzero(lit):
        zero = (images[k] == 0) & valid[k]
        light = images[k][valid[k] & ~zero]
        if not zero.any() or (
            light.size and np.median(light) < (_COUNTS if images.dtype.kind in "iu" else 0)
        ):
            continue
        parts, _ = label(zero)
        large = np.flatnonzero(np.bincount(parts.ravel()) >= _BLOCK)
        large = large[large > 0]
        rim = np.where(valid[k] & ~zero, maximum_filter(parts, 3), 0)
        beside = median(images[k], rim, large) if large.size else large
        fades = np.isin(large, rim) & (beside <= _RIM * np.median(light if light.size else [0]))
        found[k] = np.isin(parts, large[~fades])
    return found


def odd_pixels(
    raw: np.ndarray,
    images: np.ndarray,
    valid: np.ndarray,
    microscope: Microscope,
    illumination: Illumination,
) -> tuple[np.ndarray, str]:
    """Single pixels that are hot, dead or stuck in all images.

    A pixel's neighbours predict it as far as the optics' band allows, which ends at (NA + NA of the light) /
    lambda: linearly, from the 24 pixels around it, for detail that fills the band evenly, the sharpest that
    there can be.  Odd is a pixel
    that misses the prediction far beyond the error of such detail and of noise, with the same sign in
    nearly all images, while the light turns.  So is one whose stored value never changes beside others that
    do.

    Parameters
    ----------
    raw, images : ndarray, shape (n, y, x)
        As stored, and over the background.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    microscope : Microscope
    illumination : Illumination

    Returns
    -------
    odd : ndarray of bool, shape (y, x)
    note : str
        What was found; empty when nothing was.
    """
    some = np.flatnonzero(valid.any(axis=(1, 2)))
    some = some[np.unique(np.linspace(0, len(some) - 1, _LOOKED_AT).astype(int))] if some.size else some
    steepest = float(
        np.minimum(np.linalg.norm(illumination.sources_na, axis=1), microscope.objective_na).max()
    )
    band = (microscope.objective_na + steepest) / microscope.wavelength_um * microscope.pixel_size_um
    off = _off(images[some], valid[some], band)
    stuck = _stuck(raw, valid, some)
    odd = (off != 0) | stuck
    if not odd.any():
        return odd, ""
    kinds = [(off > 0, "hot"), (off < 0, "dead"), (stuck & (off == 0), "stuck")]
    counted = " and ".join(f"{int(which.sum())} {name}" for which, name in kinds if which.any())
    places = [f"({y}, {x})" for y, x in np.argwhere(odd)[:_NAMED]]
    more = ", ..." if odd.sum() > _NAMED else ""
    return odd, (
        f"{counted} pixels of the camera masked in all images, at (y, x) = {', '.join(places)}{more}: alike "
        "in nearly every image, and sharper than the optics can make"
    )


def _off(images: np.ndarray, valid: np.ndarray, band: float) -> np.ndarray:
    """By how much hot (positive) and dead pixels miss their prediction, 0 elsewhere, shape (y, x)."""
    off = np.zeros(images.shape[1:])
    weights, open_share = _prediction(band)
    if len(images) < _FEWEST_ODD or min(off.shape) < 5 or open_share > _TELLS:
        return off
    for _ in range(_ROUNDS):  # the worst of neighbours first
        found = _missed(images, valid, weights, open_share)
        if not found.any():
            break
        off += found
        images = images.copy()
        for y, x in np.argwhere(found):
            part = slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2)
            images[:, y, x] = np.median(images[:, *part][:, off[part] == 0], axis=1)
    return off


def _missed(images: np.ndarray, valid: np.ndarray, weights: np.ndarray, open_share: float) -> np.ndarray:
    """The same for pixels that are worse than all others within two pixels."""
    shape = images.shape[1:]
    total, variance, positive, negative, seen = (np.zeros(shape) for _ in range(5))
    unsure = np.full(shape, _TELLS)  # at the border those of the other side stand in
    unsure[2:-2, 2:-2] = open_share
    for image, ok in zip(images.astype(np.float64) - 1, valid, strict=True):
        whole = minimum_filter(ok, 5)
        miss = (image - convolve(image, weights, mode="wrap")) * whole
        # mean and mean square of the 24 around
        mean, square = ((25 * uniform_filter(image**p, 5, mode="wrap") - image**p) / 24 for p in (1, 2))
        noise = 1.4826 * np.median(np.abs(miss[whole])) if whole.any() else 0.0
        total += miss
        variance += (len(images) * unsure * np.maximum(square - mean**2, 0) + noise**2) * whole
        positive += miss > 0.5 * _LEAST
        negative += miss < -0.5 * _LEAST
        seen += whole
    agree = np.maximum(positive, negative) >= _AGREE * seen
    mean = total / np.maximum(seen, 1)
    odd = (np.abs(total) > _BEYOND * np.sqrt(variance)) & (np.abs(mean) > _LEAST) & agree
    typical = images.mean(axis=0)
    beside = typical - median_filter(typical, footprint=_RING)  # or it is good, and those beside it are not
    odd &= (seen >= 0.5 * len(images)) & (beside * np.sign(mean) > 0.5 * np.abs(mean))
    odd &= np.abs(mean) == maximum_filter(np.abs(mean) * odd, 5)
    return np.where(odd, mean, 0.0)


def _prediction(band: float) -> tuple[np.ndarray, float]:
    """Weights (5, 5) of the pixels around one, of sum 1, and the share of its variance that they leave open.

    For light of even power up to `band` [cycles/pixel] pixels at distance r are correlated by
    2 J1(t) / t, t = 2 pi band r.
    """
    places = np.argwhere(np.ones((5, 5))) - 2.0
    others = np.delete(np.arange(25), 12)
    t = 2 * np.pi * band * np.linalg.norm(places[:, None] - places[None], axis=-1)
    alike = np.where(t > 0, 2 * j1(t) / np.maximum(t, 1e-9), 1.0) + _NOISE * np.eye(25)
    bordered = np.ones((25, 25))  # a row and column of ones: where all pixels are alike, so is the prediction
    bordered[:24, :24] = alike[np.ix_(others, others)]
    bordered[24, 24] = 0
    weights = np.zeros(25)
    weights[others] = np.linalg.solve(bordered, np.append(alike[others, 12], 1.0))[:24]
    error = alike[12, 12] - 2 * weights @ alike[:, 12] + weights @ alike @ weights
    return weights.reshape(5, 5), float(error)


def _stuck(raw: np.ndarray, valid: np.ndarray, some: Sequence[int] | np.ndarray) -> np.ndarray:
    """Pixels whose stored counts never change, between pixels that do, shape (y, x)."""
    shape = raw.shape[1:]
    if len(some) < _FEWEST_STUCK or raw.dtype.kind not in "iu":
        return np.zeros(shape, bool)
    looked = raw[some].astype(np.float64)
    varies = looked.std(axis=0)
    beside = minimum_filter(varies, footprint=_RING)
    return (varies == 0) & (beside > _VARIES) & valid[some].all(axis=0)

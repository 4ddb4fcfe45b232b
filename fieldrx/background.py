"""From camera counts to normalised intensities: 1 where there is no sample.

    normalised = (image - dark) / (background - dark)

``background`` may be given or estimated:

=====================  =====================================================================
background             meaning
=====================  =====================================================================
number, (n,)           counts of the empty field, one for all images or one per image
(y, x), (n, y, x)      an image of the empty field, one for all images or one per image
"mean"                 the mean of each image's valid pixels
"smooth"               a robust surface of second order per image, ``smooth_background``
"median"               the stack's median at every pixel, times each image's level: what stays where it
                       is while the light turns.  A sample in focus stays, too: use it where
                       the sample is out of focus or sparse
None                   "smooth", except for floating-point images that are normalised already:
                       every image's median lies within 10 % of 1
=====================  =====================================================================

Two corrections may follow: ``fixed_pattern`` divides by the median of the normalised stack at every pixel
(dust on the camera, with the same caution), ``gain`` divides every image by its robust level (a lamp that
flickers under a given background).

Pixels that are saturated, missing or not finite take no part in any estimate; they are masked and
set to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError, NothingValid

ESTIMATES = ("smooth", "mean", "median")
_SAMPLES = 64  # pixels per axis that an estimate looks at: six coefficients need no more
_TUKEY = 4.685  # in standard deviations; the usual constant, 95 % efficient for Gaussian noise
_HUBER = 1.345
_PLATEAU_PIXELS = 64
_PLATEAU_RATIO = 10
_FEW_COUNTS = 16
_FEW_DEAD = 0.05  # share of an image's pixels that may lack a background
_LEAST = 0.1  # of its median, what a surface of the light does not fall below
_FEWEST = 36  # valid pixels among the samples; masks may fall together with them


def normalise(
    images: np.ndarray,
    background: ArrayLike | str | None = None,
    dark: ArrayLike = 0.0,
    saturation: float | None = None,
    missing: float | None = None,
    mask: np.ndarray | None = None,
    fixed_pattern: bool = False,
    gain: bool = False,
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Normalise a stack and mask its bad pixels.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
        Any real type; not changed.
    background : optional
        See the table above [the images' unit].
    dark : number or ndarray, shape (n,), (y, x) or (n, y, x)
        What the camera shows without light; taken off the images and off a given background.
    saturation : number, optional
        Pixels at or above it are masked; `saturation_level` when not given.
    missing : number, optional
        Pixels of exactly this value are masked.
    mask : ndarray of bool, shape (n, y, x), optional
        Pixels known to be valid; an image without any is left out of everything.
    fixed_pattern, gain : bool
        Corrections that follow, see above.

    Returns
    -------
    normalised : float32 ndarray, shape (n, y, x)
    mask : ndarray of bool, shape (n, y, x), or None when every pixel is valid
    notes : list of str
        What was estimated, and how much was masked.

    Raises
    ------
    InputError
        If shapes disagree, a background is not positive, or no pixel of an image is any good.
    """
    images = np.asarray(images)
    level = saturation_level(images) if saturation is None else float(saturation)
    given = _given(background)
    dark = as_frames(dark, "dark", images.shape)
    known = np.ones(images.shape, bool) if mask is None else np.asarray(mask, bool)
    some = np.flatnonzero(known.any(axis=(1, 2)))  # an image that is masked as a whole takes no part
    if not some.size:
        raise NothingValid(
            "mask leaves no valid pixel in any image; expected true (or 1) where a pixel is valid"
        )
    valid = valid_pixels(images, level, missing, known)
    out = np.ones(images.shape, np.float32)
    for k in some:
        with np.errstate(over="ignore", invalid="ignore"):  # unsigned counts would wrap round below zero
            np.subtract(images[k], dark[k].astype(np.float64), out=out[k], casting="unsafe")
        valid[k] &= np.isfinite(out[k])
        if not valid[k].any():
            raise NothingValid(
                f"image {k} has no valid pixel: all are saturated (at or above {level:g}), missing or not "
                "finite; leave it out, or set saturation"
            )
    estimate: Callable | None = None
    if estimated(images, background, valid):
        estimate = median_background(out, valid) if given == "median" else _WAYS[given or "smooth"]
    else:
        empty = as_frames(1.0 if given is None else given, "background", images.shape)
    dead = 0
    for k in some:
        field = empty[k] - dark[k].astype(np.float64) if estimate is None else estimate(out[k], valid[k])
        dead += _without_light(field, valid[k], int(k), estimate is not None)
        with np.errstate(all="ignore"):
            out[k] /= field
        out[k][~valid[k]] = 1.0
    for k in some if gain else ():
        out[k][valid[k]] /= robust_level(out[k], valid[k])
    if fixed_pattern:
        out /= _pattern(out, valid)
        out[~valid] = 1.0
    bad = int(np.count_nonzero(known) - np.count_nonzero(valid)) - dead
    notes = ["fixed pattern of the stack divided out"] if fixed_pattern else []
    notes += ["gain of every image estimated"] if gain else []
    notes += _notes(estimate, bad, bad / valid.size, level)
    notes += [f"{dead} pixels masked where the background is zero, negative or not finite"] if dead else []
    return out, (None if valid.all() else valid), notes


def valid_pixels(
    images: np.ndarray, saturation: float, missing: float | None = None, mask: np.ndarray | None = None
) -> np.ndarray:
    """Where a stack is below saturation, not missing and finite, and `mask` allows it.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
    saturation : number
        As of `saturation_level`.
    missing, mask : optional
        As of :func:`normalise`.

    Returns
    -------
    ndarray of bool, shape (n, y, x)
    """
    valid = np.ones(images.shape, bool) if mask is None else np.array(mask, bool)
    for raw, ok in zip(images, valid, strict=True):
        ok &= (raw < saturation) & np.isfinite(raw)
        if missing is not None:
            ok &= raw != missing
    return valid


def estimated(images: np.ndarray, background: ArrayLike | str | None, valid: np.ndarray) -> bool:
    """Whether `normalise` estimates the background, which takes the level out of every image.

    Parameters
    ----------
    images, background
        As of :func:`normalise`.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    """
    if background is not None:
        return isinstance(background, str)
    return images.dtype.kind != "f" or not _normalised_already(images, valid)


def _given(background):
    """The background as it was given, if it is no unknown word."""
    if isinstance(background, str) and background not in ESTIMATES:
        raise InputError(
            f'background is "{background}"; expected "smooth", "mean", "median", numbers or an image'
        )
    return background


def _sample(image: np.ndarray) -> tuple[slice, ...]:
    """Every so many pixels, at most `_SAMPLES` or so along each axis."""
    return tuple(slice(None, None, -(-n // _SAMPLES)) for n in image.shape[-2:])


def typical_level(image: np.ndarray, valid: np.ndarray) -> float:
    """Median of an image (y, x), from every few of its finite, valid pixels; 0 when there is none."""
    use = np.isfinite(image) & valid
    part = _sample(image)
    if np.count_nonzero(use[part]) < _FEWEST:
        part = (slice(None), slice(None))
    values = image[part][use[part]]
    return float(np.median(values)) if values.size else 0.0


def _normalised_already(images: np.ndarray, valid: np.ndarray) -> bool:
    pairs = zip(images, valid, strict=True)
    return all(abs(typical_level(image, ok) - 1) < 0.1 for image, ok in pairs if ok.any())


def as_frames(value: ArrayLike, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers or images as a view of shape (n, y, x), or an error that says their `name`."""
    value = np.asarray(value)
    if value.dtype.kind not in "iuf":
        raise InputError(f"{name} has type {value.dtype}; expected real numbers")
    n, ny, nx = shape
    if value.ndim == 1 and len(value) == n:
        value = value[:, None, None]
    if (
        value.ndim != 1
        and value.shape[-2:] in ((), (1, 1), (ny, nx))
        and value.shape[:-2] in ((), (1,), (n,))
    ):
        return np.broadcast_to(value, shape)
    raise InputError(
        f"{name} has shape {value.shape} for images of shape {shape}; expected a number, ({n},), "
        f"({ny}, {nx}) or {shape}: it is cut to the region together with the images"
    )


def _without_light(field: np.ndarray, valid: np.ndarray, k: int, estimated: bool) -> int:
    """Take the pixels without background out of the valid ones; how many, or an error where they are many."""
    bad = valid & ~((field > 0) & np.isfinite(field))
    count = int(np.count_nonzero(bad))
    if count <= _FEW_DEAD * np.count_nonzero(valid):
        valid &= ~bad
        return count
    if estimated:
        raise InputError(
            f"the background of image {k} cannot be estimated: its surface is not positive in {count} "
            "pixels; "
            'give an empty-field image as background, or "mean", or leave the image out if it is dark field'
        )
    raise InputError(
        f"background of image {k} is zero, negative or not finite in {count} pixels (after dark); expected "
        "positive counts of the empty field: mark dead pixels with missing, or check dark"
    )


def _notes(estimate: Callable | None, bad: int, share: float, level: float) -> list[str]:
    notes = []
    if estimate is smooth_background:
        notes.append("background estimated from the images (robust surface of second order)")
    elif estimate is mean_background:
        notes.append("background estimated from the images (mean)")
    elif estimate is not None:
        notes.append("background estimated from the images (median of the stack)")
    if bad:
        saturated = f"saturated (at or above {level:g}), " if np.isfinite(level) else ""
        notes.append(f"{bad} pixels ({share:.2%}) masked: {saturated}missing or not finite")
    return notes


def mean_background(image: np.ndarray, valid: np.ndarray | None = None) -> np.float64:
    """Mean of the valid pixels of one image (y, x)."""
    return np.mean(image, dtype=np.float64, where=True if valid is None else valid)


def smooth_background(image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Estimate the empty field of one image, ignoring the sample.

    A surface ``c0 + c1 y + c2 x + c3 y^2 + c4 x y + c5 x^2`` is fitted by iteratively reweighted
    least squares: Huber's weights first, which converge from anywhere, then Tukey's, which give the
    sample no weight at all.  The scale of the residuals is 1.4826 times their median absolute value.
    A surface that follows a dense sample below a tenth of its median is replaced by a plane, or a level.

    Parameters
    ----------
    image : ndarray, shape (y, x)
    valid : ndarray of bool, shape (y, x), optional
        Pixels to look at.

    Returns
    -------
    float32 ndarray, shape (y, x)
        In the unit of the image.
    """
    image = np.asarray(image)
    y, x = (np.linspace(-1.0, 1.0, n) for n in image.shape)
    rows, cols = _sample(image)
    looked_at = np.ones(image.shape, bool) if valid is None else np.asarray(valid, bool)
    use = looked_at[rows, cols]
    if np.count_nonzero(use) < _FEWEST:  # six points a coefficient
        rows = cols = slice(None)
        use = looked_at
    values = image[rows, cols][use].astype(np.float64)
    yy, xx = (a[use] for a in np.meshgrid(y[rows], x[cols], indexing="ij"))
    basis = np.stack([np.ones_like(yy), yy, xx, yy**2, yy * xx, xx**2], axis=1)
    y = y[:, None]
    for terms in (6, 3, 1):  # second order, a plane, a level
        c = np.zeros(6)
        c[:terms] = _robust_fit(basis[:, :terms], values)
        surface = c[0] + y * (c[1] + c[3] * y) + x * (c[2] + c[5] * x) + c[4] * y * x
        seen = surface[looked_at]
        if seen.size == 0 or seen.min() >= _LEAST * np.median(seen):
            break
    return surface.astype(np.float32)


_WAYS = {"smooth": smooth_background, "mean": mean_background}


def median_background(
    images: np.ndarray, valid: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """What all images of a stack share, as a function that scales it to one of them.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
        Less dark.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at; images without any take no part.

    Returns
    -------
    callable
        Takes an image (y, x) and its valid pixels, returns its background.
    """
    some = np.flatnonzero(valid.any(axis=(1, 2)))
    scaled = np.empty((len(some), *images.shape[1:]), np.float32)
    for k, out in zip(some, scaled, strict=True):
        out[...] = images[k] / (typical_level(images[k], valid[k]) or 1.0)
    shared = _pattern(scaled, valid[some])
    shared[shared <= 0] = np.nan  # no light ever came here: `normalise` says so

    def estimate(image, valid=None):
        with np.errstate(all="ignore"):
            return shared * robust_level(image / shared, valid)

    return estimate


def _pattern(stack: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Median over the images at every pixel, of its valid values; 1 where there is none."""
    out = np.ones(stack.shape[1:], np.float32)
    for row in range(stack.shape[1]):
        some = valid[:, row].any(axis=0)
        values = np.where(valid[:, row], stack[:, row], np.nan)[:, some]
        out[row, some] = np.nanmedian(values, axis=0)
    return out


def robust_level(image: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Robust mean of the valid pixels of one image (y, x), which ignores the sample."""
    values = image[np.isfinite(image) if valid is None else valid & np.isfinite(image)]
    return float(_robust_fit(np.ones((values.size, 1)), values.astype(np.float64))[0])


def _robust_fit(basis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Coefficients of the reweighted least-squares fit."""
    coefficients = np.zeros(basis.shape[1])
    coefficients[0] = np.median(values)
    for weigh in [_huber_weights] * 10 + [_tukey_weights] * 20:
        residual = values - basis @ coefficients
        scale = 1.4826 * np.median(np.abs(residual))
        weighted = basis.T * weigh(residual / max(scale, 1e-9 * np.abs(values).max(), 1e-30))
        # least squares even of the 6 x 6 normal equations: a narrow image has fewer directions than that
        coefficients += np.linalg.lstsq(weighted @ basis, weighted @ residual, rcond=1e-10)[0]
    return coefficients


def _huber_weights(t: np.ndarray) -> np.ndarray:
    return 1 / np.maximum(np.abs(t) / _HUBER, 1.0)


def _tukey_weights(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - (t / _TUKEY) ** 2, 0.0) ** 2


def saturation_level(images: np.ndarray) -> float:
    """The value from which pixels count as saturated; infinity when none do.

    An integer type saturates at its own maximum.  A camera of fewer bits (12 bits stored in 16, or
    counts in a floating-point file) shows as a plateau: the data's maximum is a whole number that
    occurs far more often than any of the 16 values below it.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
    """
    limit = float(np.iinfo(images.dtype).max) if images.dtype.kind in "iu" else np.inf
    tops = [image.max(where=np.isfinite(image), initial=0) for image in images]
    top = max(tops, default=0)
    if not _FEW_COUNTS <= top < limit or top != np.rint(top):
        return limit
    counts = [int(np.count_nonzero(image == top)) for image in images]
    count = sum(counts)
    if count < _PLATEAU_PIXELS or max(counts) > images[0].size / 2:  # a flat image is no plateau
        return limit
    step = max(1, int(np.sqrt(images.size / 1e6)))
    values, times = np.unique(images[:, ::step, ::step], return_counts=True)
    below = times[values < top][-16:]
    plateau = below.size and count >= _PLATEAU_RATIO * below.max() * step**2
    return float(top) if plateau else limit

"""From the counts of a camera to intensities: what is masked, divided by and said, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.acquisition import sense
from fieldrx.acquisition.dark_field import DarkField
from fieldrx.acquisition.dim import dim_parts
from fieldrx.acquisition.pixels import odd_pixels, zero_blocks
from fieldrx.background import as_frames, estimated, normalise, saturation_level, valid_pixels
from fieldrx.errors import InputError
from fieldrx.optics import Illumination, Microscope
from fieldrx.optics.checks import array_of

_ALIKE = 0.1  # of their brightness, by which frames of one lamp may differ
_WHOLE = 0.95  # share of zeros from which an image was never written


@dataclass(frozen=True)
class Intensities:
    """Images over their background, and how they came to be so.

    Parameters
    ----------
    images : float32 ndarray, shape (n, y, x)
    mask : ndarray of bool, shape (n, y, x), or None
    notes : tuple of str
    way : str
        How they were normalised, in words.
    levelled : bool
        Whether every image was divided by its own level.
    """

    images: np.ndarray
    mask: np.ndarray | None
    notes: tuple[str, ...]
    way: str
    levelled: bool


def intensities(
    raw: np.ndarray,
    illumination: Illumination,
    microscope: Microscope,
    mask: np.ndarray | None = None,
    **options: Any,
) -> Intensities:
    """Normalise images, mask what tells nothing of the sample, and check the rest for sense.

    Parameters
    ----------
    raw : ndarray, shape (n, y, x)
        Of any real type; not changed.
    illumination : Illumination
    microscope : Microscope
    mask : ndarray of bool, shape (n, y, x), optional
        Pixels known to be valid.
    **options
        As of `fieldrx.background.normalise`, and ``exposure``, relative, one number per image: what a
        background of all images is multiplied by.

    Raises
    ------
    InputError
        As of `fieldrx.background.normalise`, or if the images or their background cannot be what they are
        taken for.
    """
    averages = [_averaged(options, name, raw.shape) for name in ("background", "dark")]
    background, missing = options.get("background"), options.get("missing")
    level = options.pop("saturation", None)
    level = saturation_level(raw) if level is None else float(level)
    dark = as_frames(options.get("dark", 0.0), "dark", raw.shape)
    lit = ~illumination.dark(microscope)
    exposure = _exposures(options.pop("exposure", None), background, len(raw))
    known = np.ones(raw.shape, bool) if mask is None else mask.copy()
    valid = valid_pixels(raw, level, missing, known)
    spoilt = sense.saturated_background(background)
    notes = [*filter(None, averages), *sense.overexposed(valid, known)]
    notes += sense.directions(illumination, microscope, raw.shape)
    never = zero_blocks(raw, valid, lit) if missing != 0 else np.zeros(raw.shape, bool)
    notes += _of_zeros(never)
    dim, words = dim_parts(raw, valid & ~never, illumination, microscope)
    known &= ~(never | dim)
    if spoilt is not None:
        known &= ~as_frames(spoilt.astype(np.uint8), "background", raw.shape).astype(bool)
        words.append(f"{spoilt.sum()} pixels where the background is saturated are masked")
    told = estimated(raw, background, valid & known & lit[:, None, None])
    if told:
        sense.check_intensities(raw, dark, valid & known, lit)
    elif background is None:
        options["background"] = 1.0
    scattered = DarkField(raw, dark, valid & known, ~lit, illumination, exposure)
    bright = known & lit[:, None, None]
    unlit = sense.unlit(raw, dark, scattered.valid & told, illumination, microscope, exposure)
    bright[unlit] = False  # no surface can be laid through an image without light
    if bright.any() or not len(scattered.images):
        images, mask, remarks = normalise(raw, saturation=level, mask=bright, **options)
        valid = bright if mask is None else mask
        if not told:
            images[valid] /= np.broadcast_to(exposure[:, None, None], raw.shape)[valid]
    else:
        images, valid, remarks = np.ones(raw.shape, np.float32), bright, []
    words += scattered.normalise(options.get("background"), told, images)
    valid |= scattered.valid & ~lit[:, None, None]
    if not told:  # a given background has its own say first
        sense.check_intensities(raw, dark, valid, lit)
    odd, found = odd_pixels(raw, images, valid, microscope, illumination)
    if odd.any():
        valid[:, odd] = False
        images[:, odd] = 1
    valid[unlit] = scattered.valid[unlit]  # as much as their levels are told by
    levels = sense.Levels(raw, dark, images, valid, illumination, microscope, exposure)
    unlit = levels.without_light(background, told)
    valid[unlit] = False
    images[unlit] = 1
    notes += [*words, *sense.scaled(raw, valid, options.get("background")), *levels.notes(background, told)]
    notes += sense.below_zero(images, valid, lit)
    notes += [*sense.repeated(raw, valid, illumination.pattern), *remarks, *[found] * bool(found)]
    levelled, way = told or bool(options.get("gain")), sense.way(raw, background, told)
    return Intensities(images, None if valid.all() else valid, tuple(notes), way, levelled)


def _exposures(exposure: ArrayLike | None, background: ArrayLike | str | None, n: int) -> np.ndarray:
    """Relative exposure of every image, shape (n,)."""
    if exposure is None:
        return np.ones(n)
    given = array_of(exposure, "exposure")
    if given.dtype.kind not in "iuf" or given.shape not in ((), (1,), (n,)):
        raise InputError(f"exposure is {exposure!r:.60}; expected one positive number for each of {n} images")
    if not (np.isfinite(given) & (given > 0)).all():
        raise InputError(f"exposure holds {float(given.min()):g}; expected positive numbers")
    own = np.asarray(0.0 if background is None else background)
    if own.ndim in (1, 3) and len(own) == n > 1:
        raise InputError(
            "background has one value or frame for each image, which tells its exposure: leave out exposure"
        )
    return np.broadcast_to(given.astype(float), n)


def _averaged(options: dict[str, Any], name: str, shape: tuple[int, ...]) -> str:
    """Put the mean in the place of frames that cannot be meant one per image; what to say of it."""
    frames = np.asarray(options.get(name))
    if frames.ndim != 3 or len(frames) in (1, shape[0]) or frames.shape[1:] != shape[1:]:
        return ""
    levels = np.median(frames, axis=(1, 2)).astype(float)
    if name == "background" and np.ptp(levels) > _ALIKE * np.median(levels):
        raise InputError(
            f"background has {len(frames)} frames for {shape[0]} images, between {levels.min():g} and "
            f"{levels.max():g} counts; give one frame per image, or frames of one lamp, which are averaged"
        )
    options[name] = frames.mean(axis=0)
    return f"the mean of {len(frames)} frames is taken as {name}"


def _of_zeros(never: np.ndarray) -> list[str]:
    """What to say of pixels that were never written."""
    share = never.mean(axis=(1, 2))
    whole, part = np.flatnonzero(share > _WHOLE), np.flatnonzero((share > 0) & (share <= _WHOLE))
    notes = []
    if whole.size:
        notes.append(
            f"{sense.numbered(whole)} holds zeros alone, as where a file is missing or no lamp shone: masked"
        )
    if part.size:
        notes.append(
            f"blocks of exact zeros in {sense.numbered(part)} ({share[part].max():.1%} of the pixels at "
            "most) are masked: borders of a registration, or values never written"
        )
    return notes

"""From the counts of a camera to intensities: what is masked, divided by and said, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fieldrx.acquisition import sense
from fieldrx.acquisition.dim import dim_outside, dim_parts
from fieldrx.acquisition.pixels import odd_pixels, zero_blocks
from fieldrx.background import as_frames, estimated, normalise, saturation_level, valid_pixels
from fieldrx.optics import Illumination, Microscope

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
        As of `fieldrx.background.normalise`.

    Raises
    ------
    InputError
        As of `fieldrx.background.normalise`, or if the images or their background cannot be what they are
        taken for.
    """
    background, missing = options.get("background"), options.get("missing")
    level = options.pop("saturation", None)
    level = saturation_level(raw) if level is None else float(level)
    dark = as_frames(options.get("dark", 0.0), "dark", raw.shape)
    lit = illumination.pattern[:, illumination.bright(microscope)].any(axis=1)
    known = np.ones(raw.shape, bool) if mask is None else mask.copy()
    valid = valid_pixels(raw, level, missing, known)
    sense.check_background(background)
    notes = sense.overexposed(valid, known)
    never = zero_blocks(raw, valid, lit) if missing != 0 else np.zeros(raw.shape, bool)
    notes += _of_zeros(never)
    dim, words = dim_parts(raw, valid & ~never, illumination, microscope)
    known &= ~(never | dim)
    told = estimated(raw, background, valid & known & lit[:, None, None])
    if told:
        outside, more = dim_outside(raw, valid & known, illumination, microscope)
        known[outside] = False
        words += more
    elif background is None:
        options["background"] = 1.0
    if told:  # a given background has its own say first
        sense.check_intensities(raw, dark, valid & known, lit)
    images, mask, remarks = normalise(raw, saturation=level, mask=known, **options)
    valid = np.ones(raw.shape, bool) if mask is None else mask
    if not told:
        sense.check_intensities(raw, dark, valid, lit)
    odd, found = odd_pixels(raw, images, valid, microscope, illumination)
    if odd.any():
        valid[:, odd] = False
        images[:, odd] = 1
    levels = sense.Levels(raw, dark, images, valid, illumination, microscope)
    notes += [*words, *sense.scaled(raw, valid, told), *levels.notes(background, told)]
    notes += [*sense.repeated(raw, valid), *remarks, *[found] * bool(found)]
    way = sense.way(raw, background, told)
    levelled = told or bool(options.get("gain"))
    return Intensities(images, None if valid.all() else valid, tuple(notes), way, levelled)


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
            "most) are "
            "masked: borders of a registration, or values never written"
        )
    return notes

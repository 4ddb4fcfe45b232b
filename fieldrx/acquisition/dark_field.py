"""Images lit from outside the pupil alone: scattered light, over the bright-field level of the same lamp.

An empty field is dark in them, so they tell no background of their own.  A given background, a number or an
image of the empty field under a lamp inside the pupil, serves as it is, times the image's exposure.  Where
the images tell the background, or every image came with its own empty field, the level is that of the
bright-field images: their median over exposure and weight of the lamps.

A lamp that did not shine leaves the noise of the camera alone, where the light of the lamps beside it,
however faint, makes neighbouring pixels alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.acquisition.dim import DIM
from fieldrx.acquisition.sense import numbered, one_per_image
from fieldrx.background import as_frames, typical_level
from fieldrx.errors import InputError
from fieldrx.optics import Illumination

_NEAREST = 3  # images in dark field beside one, that must be lit for it to be missed
_NOISE = 3.0  # likeness of neighbouring pixels, in standard errors, below which an image is noise alone,
_LIGHT = 30.0  # and above which it surely holds light


class DarkField:
    """Normalises the dark-field images of a stack.

    Parameters
    ----------
    raw : ndarray, shape (n, y, x)
        As stored.
    offset : ndarray, shape (n, y, x)
        The camera without light.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    dark : ndarray of bool, shape (n,)
        Which images are lit from outside the pupil alone.
    illumination : Illumination
    exposure : ndarray, shape (n,)
        Relative exposures of the images.
    """

    def __init__(
        self,
        raw: np.ndarray,
        offset: np.ndarray,
        valid: np.ndarray,
        dark: np.ndarray,
        illumination: Illumination,
        exposure: np.ndarray,
    ):
        self.raw, self.offset, self.valid, self.exposure = raw, offset, valid, exposure
        lamps = illumination.pattern.sum(axis=1)
        self.weight = exposure * lamps  # of all lamps of an image together
        self.towards = illumination.pattern @ illumination.sources_na / lamps[:, None]
        seen = valid.any(axis=(1, 2))
        self.images, self.lit = np.flatnonzero(dark & seen), np.flatnonzero(~dark & seen)

    def normalise(self, background: ArrayLike | str | None, is_estimated: bool, out: np.ndarray) -> list[str]:
        """Write the images over their level, and say where that came from; pixels without one are masked.

        Parameters
        ----------
        background
            As it was given.
        is_estimated : bool
            Whether the images tell it.
        out : ndarray, shape (n, y, x)
            Changed in the places of the dark-field images.
        """
        if not len(self.images):
            return []
        notes = []
        if is_estimated or self._is_dark_as_well(background):
            level = self._bright_level(background, is_estimated)
            field: Any = [level * self.weight[k] for k in self.images]
            notes = [
                f"{len(self.images)} dark-field images are taken over the level of the bright-field ones, "
                f"{level:.4g} at exposure 1, as nothing says how bright their lamps are; give a background "
                "of one number to say it"
            ]
        else:
            empty = as_frames(1.0 if background is None else background, "background", self.raw.shape)
            field = [self._light(empty, k) * self.exposure[k] for k in self.images]
        for k, level in zip(self.images, field, strict=True):
            lit = np.broadcast_to(level, self.raw.shape[1:]) > 0
            self.valid[k] &= lit
            out[k] = np.where(self.valid[k], self._light(self.raw, k) / np.where(lit, level, 1), 1)
        return notes + self._mask_unlit(out)

    def _mask_unlit(self, out):
        """Mask images of noise alone whose neighbours in direction hold light, and say which."""
        if len(self.images) <= _NEAREST:
            return []
        likeness = np.array([_likeness(self._light(self.raw, k), self.valid[k]) for k in self.images])
        apart = np.linalg.norm(self.towards[self.images, None] - self.towards[self.images], axis=2)
        beside = likeness[np.argsort(apart, axis=1, kind="stable")[:, 1 : _NEAREST + 1]].min(axis=1)
        unlit = self.images[(likeness < _NOISE) & (beside > _LIGHT)]
        self.valid[unlit], out[unlit] = False, 1
        if not unlit.size:
            return []
        return [
            f"dark-field {numbered(unlit)}: noise alone, where the lamps beside gave light; not lit: masked"
        ]

    def _light(self, frames, k):
        """Frame k without the camera's offset."""
        return frames[k] - self.offset[k].astype(float)

    def _is_dark_as_well(self, background):
        """Whether every image came with an empty field of its own, dark where the image is dark field."""
        if not one_per_image(background, len(self.raw)):
            return False
        given = np.asarray(background)
        if not len(self.lit):
            return given.ndim == 3
        bright, dark = (np.median([np.median(given[k]) for k in some]) for some in (self.lit, self.images))
        return bool(dark < DIM * bright)

    def _bright_level(self, background, is_estimated):
        """Typical brightness of bright-field images, or of their backgrounds, at exposure and weight 1."""
        if not len(self.lit):
            raise InputError(
                "every image is lit only from outside the pupil (dark field), where nothing tells how bright "
                "the lamps are: give a background of one number, their level in bright field"
            )
        source = self.raw if is_estimated else as_frames(np.asarray(background), "background", self.raw.shape)
        levels = [typical_level(self._light(source, k), self.valid[k]) for k in self.lit]
        level = float(np.median(np.array(levels) / self.weight[self.lit]))
        if not level > 0:
            raise InputError(
                f"the bright-field images are typically {level:.3g}, after dark: nothing tells the level of "
                "the dark-field ones; give a background of one number"
            )
        return level


def _likeness(image, valid):
    """Correlation of neighbouring pixels over its standard error in white noise; bright outliers are cut."""
    if not valid.any():
        return 0.0
    level = np.median(image[valid])
    spread = np.median(np.abs(image[valid] - level)) or np.std(image[valid])  # few photons: most are alike
    if spread == 0:
        return 0.0
    v = np.clip((image - level) / (6 * spread), -1, 1)
    v = np.where(valid, v - v[valid].mean(), 0)
    pairs = [(v[1:], v[:-1], valid[1:] & valid[:-1]), (v[:, 1:], v[:, :-1], valid[:, 1:] & valid[:, :-1])]
    power = np.sum(v**2) / np.count_nonzero(valid)
    return max(float(np.sum(a * b) / power) / np.sqrt(np.count_nonzero(both) + 1) for a, b, both in pairs)

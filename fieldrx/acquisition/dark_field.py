"""Images lit from outside the pupil alone: scattered light, over the bright-field level of the same lamp.

An empty field is dark in them, so they tell no background of their own.  A given background, a number or an
image of the empty field under a lamp inside the pupil, serves as it is, times the image's exposure.  Where
the images tell the background, or every image came with its own empty field, the level is that of the
bright-field images: their median over exposure and weight of the lamps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.acquisition.dim import DIM
from fieldrx.background import as_frames, typical_level
from fieldrx.errors import InputError


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
    weight : ndarray, shape (n,)
        Of all lamps of an image together, times its exposure.
    """

    def __init__(
        self, raw: np.ndarray, offset: np.ndarray, valid: np.ndarray, dark: np.ndarray, weight: np.ndarray
    ):
        self.raw, self.offset, self.valid, self.weight = raw, offset, valid, weight
        seen = valid.any(axis=(1, 2))
        self.images, self.lit = np.flatnonzero(dark & seen), np.flatnonzero(~dark & seen)

    def normalise(
        self, background: ArrayLike | str | None, is_estimated: bool, exposure: np.ndarray, out: np.ndarray
    ) -> list[str]:
        """Write the images over their level, and say where that came from; pixels without one are masked.

        Parameters
        ----------
        background
            As it was given.
        is_estimated : bool
            Whether the images tell it.
        exposure : ndarray, shape (n,)
        out : ndarray, shape (n, y, x)
            Changed in the places of the dark-field images.
        """
        if not len(self.images):
            return []
        notes = []
        if is_estimated or self._own(background):
            level = self._bright_level(background, is_estimated)
            field: Any = [level * self.weight[k] for k in self.images]
            notes = [
                f"{len(self.images)} dark-field images are taken over the level of the bright-field ones, "
                f"{level:.4g} at exposure 1, as nothing says how bright their lamps are; give a background "
                "of one number to say it"
            ]
        else:
            empty = as_frames(1.0 if background is None else background, "background", self.raw.shape)
            field = [self._light(empty, k) * exposure[k] for k in self.images]
        for k, level in zip(self.images, field, strict=True):
            lit = np.broadcast_to(level, self.raw.shape[1:]) > 0
            self.valid[k] &= lit
            out[k] = np.where(self.valid[k], self._light(self.raw, k) / np.where(lit, level, 1), 1)
        return notes

    def _light(self, frames, k):
        """Frame k without the camera's offset."""
        return frames[k] - self.offset[k].astype(float)

    def _own(self, background):
        """Whether every image came with an empty field of its own, dark where the image is dark field."""
        given = np.asarray(0.0 if background is None else background)
        if given.dtype.kind not in "iuf" or given.ndim not in (1, 3) or len(given) != len(self.raw):
            return False
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

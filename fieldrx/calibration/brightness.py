"""Brightness of the images beside each other: lamps that flicker, images that are odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.background import robust_level

_LEVEL_PIXELS = 256  # per axis, that the brightness of an image is measured on
_FLICKER = 0.02  # scatter of the intensities from which images are levelled
_ODD = 0.1, 4.0  # distance of a brightness from the others' worth a word: relative, and in robust deviations


def intensities(acquisition: Acquisition) -> tuple[np.ndarray | None, bool, list[str]]:
    """Relative brightness of the images, or None; whether to level them; and what to say."""
    if acquisition.levelled:
        said = "intensities of the images are already taken out: the background divided each by its own level"
        return None, False, [said]
    level = np.full(acquisition.n_images, np.nan)
    step = -(-max(acquisition.stack.shape[1:]) // _LEVEL_PIXELS)
    for k in np.flatnonzero(acquisition.usable):
        valid = None if acquisition.mask is None else acquisition.mask[k]
        coarse = step if valid is None or valid[::step, ::step].any() else 1
        part = (slice(None, None, coarse),) * 2
        level[k] = robust_level(acquisition.stack[k][part], None if valid is None else valid[part])
    some = np.setdiff1d(np.flatnonzero(acquisition.usable), acquisition.holdout)
    level /= np.median(level[some])
    off = np.abs(level[some] - 1)
    scatter = 1.4826 * float(np.median(off))
    levels = scatter > _FLICKER
    notes = [
        f"intensities of the images scatter by {scatter:.1%}"
        + (": every image is divided by its own (gain = true)" if levels else "")
    ]
    odd = off > max(_ODD[0], _ODD[1] * scatter)
    if odd.any():
        told = ", ".join(f"{k} ({level[k]:.2f} of the median)" for k in some[odd])
        notes.append(f"images whose brightness is far from the others': {told}")
    return level, levels, notes


def level_each(acquisition: Acquisition) -> Acquisition:
    """The images divided by their own level, as `gain` of the background does."""
    images = acquisition.stack.copy()
    for k in np.flatnonzero(acquisition.usable):
        valid = np.ones(images[k].shape, bool) if acquisition.mask is None else acquisition.mask[k]
        images[k][valid] /= robust_level(images[k], valid)
    return replace(acquisition, images=images, levelled=True)

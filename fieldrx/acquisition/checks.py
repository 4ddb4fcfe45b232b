"""Whether arrays are images, masks and held-out numbers of an acquisition."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError
from fieldrx.optics.checks import array_of, numbers_of_images

_FAR = 5.0  # typical intensity, or one over it, from which images are not over their background


def as_stack(images: ArrayLike, n: int) -> np.ndarray:
    """Images as (n, y, x), or an error that says what came."""
    images = array_of(images, "images")
    if images.ndim == 2 and n == 1:
        images = images[None]
    if images.dtype.kind not in "iuf":
        hint = ": store the intensities abs(field)**2" if images.dtype.kind == "c" else ""
        raise InputError(
            f"images have type {images.dtype}; expected integers or floating-point numbers{hint}"
        )
    if images.ndim != 3 or 0 in images.shape:
        raise InputError(f"images have shape {images.shape}; expected (n_images, y, x) with n_images = {n}")
    if len(images) != n:
        turn = "; the last axis fits: np.moveaxis(images, -1, 0)" if images.shape[-1] == n else ""
        raise InputError(
            f"the illumination describes {n} images, but images has shape {images.shape}, {len(images)} "
            f"images: give one row of the illumination per image{turn}"
        )
    return images


def check_level(images: np.ndarray, mask: np.ndarray | None, lit: np.ndarray) -> None:
    """Refuse counts of a camera, and signals around 0, where intensities over the background are expected."""
    step = tuple(-(-n // 64) for n in images.shape[1:])  # few pixels tell
    few = (slice(None), *(slice(None, None, k) for k in step))
    valid = np.isfinite(images[few]) if mask is None else mask[few] & np.isfinite(images[few])
    some = np.flatnonzero(lit & valid.any(axis=(1, 2)))  # dark field is dark without a sample
    levels = np.array([np.median(images[few][k][valid[k]]) for k in some])
    far = (levels > _FAR) | (levels < 1 / _FAR)
    if images.dtype.kind in "iu" or far.sum() > 0.5 * len(levels):
        typical = f"a typical pixel of {np.median(levels):.4g}" if len(levels) else "no valid pixel"
        raise InputError(
            f"images of type {images.dtype} have {typical}; expected intensities over the background, 1 "
            "without a sample: Acquisition.from_raw normalises counts"
        )


def check_mask(mask: ArrayLike | None, images: np.ndarray | None) -> np.ndarray | None:
    """A mask of the images' shape; None where every pixel is valid."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if images is None or mask.shape != images.shape:
        shape = None if images is None else images.shape
        raise InputError(f"mask has shape {mask.shape} for images of shape {shape}; expected the same shape")
    if mask.dtype.kind not in "biu":
        raise InputError(f"mask has type {mask.dtype}; expected true (or 1) where a pixel is valid")
    mask = mask.astype(bool, copy=False)
    return None if mask.all() else mask


def hidden(images: ArrayLike | None) -> np.ndarray | None:
    """Which pixels a masked array, or a list of them, hides, of its shape; None for any others."""
    each = images if isinstance(images, (list, tuple)) else [images]
    if not any(isinstance(image, np.ma.MaskedArray) for image in each):
        return None
    return np.ma.getmaskarray(np.ma.array(images))


def mask_of(images: ArrayLike | None, stack: np.ndarray | None, mask: ArrayLike | None) -> np.ndarray | None:
    """The mask of a stack: valid by `mask`, and not hidden in the images that it was made from."""
    known, hides = check_mask(mask, stack), hidden(images)
    if stack is None or hides is None:
        return known
    return check_mask(~hides.reshape(stack.shape) & (True if known is None else known), stack)


def without_junk(images: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The images with 1 where they are masked, so that spectra see nothing there; a copy if any change."""
    if mask is None:
        return images
    junk = ~mask & (images != 1)
    return np.where(junk, np.float32(1), images) if junk.any() else images


def check_holdout(holdout: ArrayLike, n: int) -> np.ndarray:
    """Numbers of held-out images, sorted, each once."""
    holdout = numbers_of_images(holdout, n, "holdout")
    if holdout.size == 0:
        return holdout
    holdout = np.unique(holdout)
    if len(holdout) == n:
        raise InputError(f"holdout names all {n} images; leave some to reconstruct from")
    return holdout

"""Where the unscattered light missed the pupil although the table says otherwise.

LEDs at the pupil's edge fall outside it when the board sits slightly off; and in a wide frame, whose
directions change across the field, inside on one side and outside on the other.  What is left is scattered
light
alone.  Asked only of images of one source each, where brightness can be compared, and against images that
are bright by the table.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation, median_filter

from fieldrx.background import typical_level
from fieldrx.optics import Illumination, Microscope

DIM = 0.35  # share of the median brightness below which an image at the pupil's edge is dark field
_NEAR_EDGE = 0.8  # share of the objective's aperture that counts as near the edge
_FEWEST, _MANY = 4, 16  # images
_BLOCKS, _PIXELS = 24, 16  # blocks along the shorter side of a frame, pixels along a block's side at least
_BRIGHT = 90  # percentile of blocks that is the brightness of an image's bright part
_PART = 0.02  # share of the blocks from which a dark part counts
_TOGETHER = 0.6  # share of them that lies where light that leaves the pupil would leave it first


def dim_parts(
    images: np.ndarray, valid: np.ndarray, illumination: Illumination, microscope: Microscope
) -> tuple[np.ndarray, list[str]]:
    """Pixels of images near the pupil's edge that are dark field, and what to say of them.

    An image of which most is dark is dark as a whole.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
        As stored.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    illumination : Illumination
    microscope : Microscope

    Returns
    -------
    dark : ndarray of bool, shape (n, y, x)
    notes : list of str
    """
    dark = np.zeros(images.shape, bool)
    pattern, na = illumination.pattern, np.linalg.norm(illumination.sources_na, axis=1)
    lit = ~illumination.dark(microscope)
    some = np.flatnonzero(lit & valid.any(axis=(1, 2)))
    if len(some) < _FEWEST or (np.count_nonzero(pattern[some], axis=1) != 1).any():
        return dark, []
    level = _levels(images, valid, illumination, some)
    near_edge = na[pattern[some].argmax(axis=1)] > _NEAR_EDGE * microscope.objective_na
    dim = near_edge & (level < DIM * np.median(level))
    dark[some[dim]] = True
    partly, inner = [], some[~near_edge][:_MANY]
    edge = some[near_edge & ~dim]
    # what is dark under all light is the sample's, or the optics'
    ask = len(edge) > 0 and len(inner) >= _FEWEST
    usual = np.median([_blocks(images[k], valid[k]) for k in inner], axis=0) if ask else 1.0
    for k in edge:
        blocks = median_filter(_blocks(images[k], valid[k]) / usual, 3)
        part = blocks < DIM * np.percentile(blocks, _BRIGHT)
        towards = illumination.sources_na[pattern[k].argmax()]
        if part.mean() > _PART and _on_one_side(part, towards) > _TOGETHER:
            dark[k] = _pixels(binary_dilation(part, np.ones((3, 3))), images.shape[1:])
            partly.append(int(k))
    return dark, _notes(some[dim].tolist(), partly, dark)


def _on_one_side(part: np.ndarray, towards: np.ndarray) -> float:
    """Share of a dark part that lies at one end of the frame along the light, as no shadow in it does."""
    rank = np.argsort((np.argwhere(np.ones(part.shape)) @ towards), kind="stable")
    sorted_part, count = part.ravel()[rank], np.count_nonzero(part)
    return max(sorted_part[:count].mean(), sorted_part[-count:].mean())


def _levels(
    images: np.ndarray, valid: np.ndarray, illumination: Illumination, some: np.ndarray
) -> np.ndarray:
    """Typical brightness of some images over the weight of their sources."""
    level = [typical_level(images[k], valid[k]) for k in some]
    return np.array(level) / illumination.pattern[some].sum(axis=1)


def _side(shape: tuple[int, ...]) -> int:
    return max(_PIXELS, min(shape) // _BLOCKS)


def _blocks(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Medians of square blocks over that of the image; 1 for blocks without a valid pixel."""
    side, (ny, nx) = _side(image.shape), image.shape
    whole = typical_level(image, valid) or 1.0
    cut = [(slice(y, y + side), slice(x, x + side)) for y in range(0, ny, side) for x in range(0, nx, side)]
    levels = [np.median(image[c][valid[c]]) / whole if valid[c].any() else 1.0 for c in cut]
    return np.maximum(levels, 1e-6).reshape(-(-ny // side), -(-nx // side))


def _pixels(blocks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Blocks as pixels (y, x)."""
    side = _side(shape)
    return blocks.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


def _notes(dim: list[int], partly: list[int], dark: np.ndarray) -> list[str]:
    why = "lit from near the pupil's edge, so the unscattered light missed the pupil"
    notes = []
    if dim:
        notes.append(
            f"images {', '.join(map(str, dim))} are masked: below {DIM:.0%} of the others' brightness and "
            f"{why} (dark field)"
        )
    if partly:
        shares = ", ".join(f"{k} ({dark[k].mean():.0%})" for k in partly)
        notes.append(
            f"parts of images {shares} are masked: below {DIM:.0%} of their bright part and {why} there "
            "(dark field)"
        )
    return notes

"""Where the objects are: regions of one contrast above the medium's, parted where they touch.

Objects are found at a share of the field's typical largest contrast, low enough that weaker neighbours are
found too.  What hangs together is parted at necks: the distance from the surface has a maximum in every part,
and where the neck between two maxima is clearly narrower than both, each becomes an object of its own.  A
voxel goes to the ball around such a maximum that it lies deepest in: the power diagram of the balls
(Aurenhammer, SIAM J. Comput. 16, 78 (1987)), whose borders run through the circles in which balls meet.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

FOUND = 0.3  # of the typical largest contrast, above which something is an object
_NECK = 0.75  # of the smaller part's inner radius, below which a neck parts two objects
_DEPTHS = 24  # at which necks are looked for


def typical_contrast(contrast: np.ndarray) -> float:
    """The typical largest contrast: the 95th percentile of what lies above a tenth of the largest."""
    top = max(float(np.quantile(contrast, 0.9995)), 1e-12)
    above = contrast[contrast > 0.1 * top]
    return float(np.quantile(above, 0.95)) if above.size else top


def segment(contrast: np.ndarray, spacing_um: float, level: float, smallest_um3: float = 0.0) -> np.ndarray:
    """Labels of objects.

    Parameters
    ----------
    contrast : float array, shape (z, y, x)
        Positive inside objects.
    spacing_um : float
        Of its voxels, along all axes [um].
    level : float
        Contrast above which a voxel belongs to an object.
    smallest_um3 : float
        Volume below which something is no object [um^3].

    Returns
    -------
    int32 array, shape (z, y, x)
        0 in the medium; 1, 2, ... in objects, the largest first.
    """
    mask = ndimage.binary_fill_holes(contrast > level)
    joined, _ = ndimage.label(mask)
    labels, count = np.zeros(mask.shape, np.int32), 0
    for number, box in enumerate(ndimage.find_objects(joined), 1):
        here = joined[box] == number
        if np.count_nonzero(here) * spacing_um**3 < smallest_um3:
            continue
        parts = _parted(here, smallest_um3 / spacing_um**3)
        labels[box][here] = parts[here] + count
        count += int(parts.max())
    return _largest_first(labels)


def _parted(mask, smallest):
    """Labels 1, 2, ... of the parts of one region of hanging-together voxels."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    seeds = _seeds(depth)
    if seeds.max() < 2:
        return mask.astype(np.int32)
    parts = np.zeros(mask.shape, np.int32)
    places = np.argwhere(mask)
    middles = np.array(ndimage.center_of_mass(seeds > 0, seeds, range(1, seeds.max() + 1)))
    radii = ndimage.maximum(depth, seeds, range(1, seeds.max() + 1))
    power = [((places - m) ** 2).sum(axis=1) - r**2 for m, r in zip(middles, radii, strict=True)]
    parts[mask] = np.argmin(power, axis=0) + 1
    sizes = np.bincount(parts[mask], minlength=parts.max() + 1)
    return parts if sizes[1:].min() >= smallest else mask.astype(np.int32)


def _seeds(depth):
    """Labels of the innermost parts of objects that only necks join, from the distance to the surface."""
    seeds, waiting = np.zeros(depth.shape, np.int32), [depth > 0]
    while waiting:
        region = waiting.pop()
        deepest = depth[region].max()
        for low in np.linspace(0, _NECK, _DEPTHS)[1:] * deepest:
            parts, count = ndimage.label(region & (depth > low))
            inner = ndimage.maximum(depth, parts, range(1, count + 1)) if count > 1 else ()
            apart = [k for k, radius in enumerate(inner, 1) if low <= _NECK * radius]
            if len(apart) > 1:
                waiting += [parts == k for k in apart]
                break
        else:
            seeds[region & (depth >= 0.999 * deepest)] = seeds.max() + 1
    return seeds


def _largest_first(labels):
    """The same labels in the order of their objects' sizes."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")
    rank = np.zeros(len(sizes), np.int32)
    rank[order[: np.count_nonzero(sizes)]] = np.arange(1, np.count_nonzero(sizes) + 1)
    return rank[labels]

"""A quantity on a fine grid that lines of sight cross: what pictures and films of views are made from.

A view asks for values at every point of every line of sight, and a film asks forty-eight times.  The network
answers some million points a second, and most of these points lie far closer together than anything it can
tell apart.  So a picture asks it once, on voxels half as large as those of the fit (or as the picture's
pixels, where these are larger), and interpolates linearly in between.  Arrays and TIFF files, which are data
and no pictures, go on asking the network at every point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.backends.compiler import CACHED, njit, prange, threaded_njit
from fieldrx.render.quantities import Quantity

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable
    from fieldrx.render.lattice import Lattice

_FINER = 2.0  # voxels of the fit over those of a brick, along every axis
MOST = 1 << 27  # voxels of a brick, 0.5 GiB
_LAYERS = 32
_JIT = {"cache": CACHED, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
BISECTIONS = 8  # of the step in which a line of sight meets the surface


@dataclass(frozen=True, eq=False)
class Brick:
    """Values in a region, interpolated between the voxels.

    Attributes
    ----------
    values : float32 array, shape (z, y, x)
        First and last voxels lie on the region's faces.
    origin_um, spacing_um : arrays, shape (3,)
    medium : float
        The value outside the region.
    """

    values: np.ndarray
    origin_um: np.ndarray
    spacing_um: np.ndarray
    medium: float

    def steps(self, pixel_um: float) -> tuple[float, float, float]:
        """Distances of samples [um] for pictures: along the lines of sight that of the voxels suffices."""
        return max(float(self.spacing_um.min()), pixel_um), pixel_um, pixel_um

    def at(self, points: np.ndarray) -> np.ndarray:
        """Values at points (n, 3) of (z, y, x) [um], float32 of shape (n,)."""
        places = (np.asarray(points, float) - self.origin_um) / self.spacing_um
        return _at(self.values, places, np.float32(self.medium))

    def project(self, lattice: Lattice, rows: slice, projection: str) -> np.ndarray:
        """A projection ("max", "mean" or "path") of some rows of a lattice of lines of sight."""
        largest, total, count = _march(self.values, *self._lines(lattice, rows))
        if projection == "max":
            return np.where(count > 0, largest, self.medium)
        if projection == "path":
            return total * lattice.spacing_um[0]
        return np.where(count > 0, total / np.maximum(count, 1), self.medium)

    def first_hit(self, lattice: Lattice, rows: slice, level: float) -> np.ndarray:
        """Distance from the first sample [um] where lines of sight first exceed a level; nan for never."""
        hit = _hit(self.values, *self._lines(lattice, rows), level, self.medium, BISECTIONS)
        return hit * lattice.spacing_um[0]

    def _lines(self, lattice, rows):
        """First place of the first line of the rows, steps into, down and right (voxels), their counts."""
        steps = np.array(lattice.directions) * np.array(lattice.spacing_um)[:, None] / self.spacing_um
        first = (np.array(lattice.origin_um) - self.origin_um) / self.spacing_um + rows.start * steps[1]
        return first, steps, (lattice.shape[0], rows.stop - rows.start, lattice.shape[2])


def brick_of(
    field: Renderable, quantity: Quantity, region: np.ndarray, pixel_um: float, finer: float = _FINER
) -> Brick | None:
    """The brick for a picture of a region.

    Parameters
    ----------
    field : NeuralField
    quantity : Quantity
        Of which the real part is shown.
    region : array, shape (3, 2)
    pixel_um : float
        Of the picture; no voxel is smaller.
    finer : float
        Voxels of the fit over those of the brick, at most.

    Returns
    -------
    Brick or None
        None where it would be larger than ``MOST``: the network has to be asked directly.
    """
    length = np.ptp(region, axis=1)
    step = np.maximum(np.asarray(field.spacing_um) / finer, pixel_um)
    shape = np.maximum(np.ceil(length / step - 1e-6), 0) + 1
    if np.prod(shape) > MOST:
        return None
    axes = [np.linspace(lo, hi, int(n)) for (lo, hi), n in zip(region, shape, strict=True)]
    values = np.empty([len(a) for a in axes], np.float32)
    for first in range(0, len(axes[0]), _LAYERS):
        part = slice(first, first + _LAYERS)
        values[part] = quantity.of(field.on_axes(axes[0][part], *axes[1:])).real
    spacing = np.where(shape > 1, length / np.maximum(shape - 1, 1), step)
    medium = float(quantity.of(np.zeros((), np.complex64)).real)
    return Brick(values, np.asarray(region, float)[:, 0], spacing, medium)


@njit(inline="always")
def _between(values, z, y, x):
    """Linear interpolation at a place in voxels, which lies within the array."""
    nz, ny, nx = values.shape
    i, j, k = int(z), int(y), int(x)
    u, v, w = np.float32(z - i), np.float32(y - j), np.float32(x - k)
    # unsigned numbers, so that no index is looked at twice for being negative
    a, b, c = np.uint64(i), np.uint64(j), np.uint64(k)
    d, e, f = np.uint64(min(i + 1, nz - 1)), np.uint64(min(j + 1, ny - 1)), np.uint64(min(k + 1, nx - 1))
    first, second = values[a, b, c], values[a, e, c]
    first += w * (values[a, b, f] - first)
    second += w * (values[a, e, f] - second)
    near = first + v * (second - first)
    first, second = values[d, b, c], values[d, e, c]
    first += w * (values[d, b, f] - first)
    second += w * (values[d, e, f] - second)
    far = first + v * (second - first)
    return near + u * (far - near)


@njit(inline="always")
def _within(shape, start, step, count):
    """First and last sample of a line that lies in the array; faces count, which rounding may miss."""
    low, high = 0, count - 1
    for axis in range(3):
        a, d, last = start[axis], step[axis], shape[axis] - 1
        if abs(d) < 1e-12:
            if a < -1e-6 or a > last + 1e-6:
                return 0, -1
            continue
        first, final = (-1e-6 - a) / d, (last + 1e-6 - a) / d
        if d < 0:
            first, final = final, first
        if final < low or first > high:
            return 0, -1
        low, high = max(low, int(np.ceil(first))), min(high, int(np.floor(final)))
    return low, high


@njit(inline="always")
def _place(start, step, i, shape, axis):
    """A coordinate of a sample, moved onto the face that rounding missed."""
    return min(max(start[axis] + i * step[axis], 0.0), shape[axis] - 1.0)


@threaded_njit(**_JIT)
def _march(values, first, steps, counts):
    """Largest value, sum of values and number of samples of every line of sight."""
    n, rows, columns = counts
    shape, into = values.shape, steps[0]
    largest = np.empty((rows, columns), np.float32)
    total, number = np.empty((rows, columns)), np.empty((rows, columns), np.int64)
    for j in prange(rows):
        start = np.empty(3)
        for k in range(columns):
            for axis in range(3):
                start[axis] = first[axis] + j * steps[1, axis] + k * steps[2, axis]
            low, high = _within(shape, start, into, n)
            top, added = np.float32(-np.inf), 0.0
            for i in range(low, high + 1):
                z, y = _place(start, into, i, shape, 0), _place(start, into, i, shape, 1)
                value = _between(values, z, y, _place(start, into, i, shape, 2))
                top, added = max(top, value), added + value
            largest[j, k], total[j, k], number[j, k] = top, added, max(high - low + 1, 0)
    return largest, total, number


@threaded_njit(**_JIT)
def _hit(values, first, steps, counts, level, medium, bisections):
    """Steps from the first sample at which every line of sight first exceeds a level; nan where never."""
    n, rows, columns = counts
    shape, into = values.shape, steps[0]
    hit = np.full((rows, columns), np.nan)
    for j in prange(rows):
        start = np.empty(3)
        for k in range(columns):
            for axis in range(3):
                start[axis] = first[axis] + j * steps[1, axis] + k * steps[2, axis]
            low, high = _within(shape, start, into, n)
            for i in range(low, high + 1):
                z, y = _place(start, into, i, shape, 0), _place(start, into, i, shape, 1)
                if _between(values, z, y, _place(start, into, i, shape, 2)) > level:
                    above, below = float(i), i - 1.0
                    for _ in range(bisections):
                        middle = 0.5 * (above + below)
                        z, y = start[0] + middle * into[0], start[1] + middle * into[1]
                        x = start[2] + middle * into[2]
                        if _value(values, z, y, x, medium) > level:
                            above = middle
                        else:
                            below = middle
                    hit[j, k] = above
                    break
    return hit


@njit(inline="always")
def _value(values, z, y, x, medium):
    """The value at any place in voxels."""
    nz, ny, nx = values.shape
    if min(z, y, x) < -1e-6 or z > nz - 1 + 1e-6 or y > ny - 1 + 1e-6 or x > nx - 1 + 1e-6:
        return np.float32(medium)
    z, y, x = min(max(z, 0.0), nz - 1.0), min(max(y, 0.0), ny - 1.0), min(max(x, 0.0), nx - 1.0)
    return _between(values, z, y, x)


@threaded_njit(**_JIT)
def _at(values, places, medium):
    out = np.empty(len(places), np.float32)
    for k in prange(len(places)):
        out[k] = _value(values, places[k, 0], places[k, 1], places[k, 2], medium)
    return out

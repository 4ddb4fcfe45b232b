"""Where to sample: regular lattices of points in space, straight or turned, and rotations.

The third index of a lattice runs to the right of a picture, the second one downwards, and the first one into
it, away from the viewer.  Unturned, these are x, y and z, the direction of the light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.brief import brief
from fieldrx.errors import InputError

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable

AXES = {"z": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "x": (0.0, 0.0, 1.0)}
_STRAIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_SLACK = 1e-9  # of a region's length, for points on its faces that rounding moved
_MOST = 2**31  # samples along one direction


@brief
@dataclass(frozen=True)
class Lattice:
    """Points ``origin + i spacing[0] directions[0] + j spacing[1] directions[1] + k ...``.

    Parameters
    ----------
    shape : (int, int, int)
    spacing_um : (float, float, float)
    origin_um : (float, float, float)
        Point (0, 0, 0) as (z, y, x) [um].
    directions : three unit vectors (z, y, x)
        At right angles to each other.
    """

    shape: tuple[int, int, int]
    spacing_um: tuple[float, float, float]
    origin_um: tuple[float, float, float]
    directions: tuple = _STRAIGHT

    def __post_init__(self):
        shape, spacing = (np.asarray(v, float) for v in (self.shape, self.spacing_um))
        origin, directions = (np.asarray(v, float) for v in (self.origin_um, self.directions))
        if not (shape.shape == spacing.shape == origin.shape == (3,)) or directions.shape != (3, 3):
            raise InputError(
                "a lattice needs three numbers each for shape, spacing and origin, and three directions"
            )
        if not (np.isfinite(spacing).all() and spacing.min() > 0):
            raise InputError(f"spacing {spacing.tolist()} um must be positive")
        if not (shape.min() >= 1 and shape.max() < _MOST):
            raise InputError(
                f"spacing {spacing.tolist()} um gives {' x '.join(f'{n:.4g}' for n in shape)} samples: "
                "use a larger spacing or a smaller region"
            )
        if not (np.isfinite(origin).all() and np.allclose(directions @ directions.T, np.eye(3), atol=1e-6)):
            raise InputError("a lattice needs a finite origin and perpendicular directions of length 1")
        object.__setattr__(self, "shape", tuple(shape.astype(int).tolist()))
        object.__setattr__(self, "spacing_um", tuple(spacing.tolist()))
        object.__setattr__(self, "origin_um", tuple(origin.tolist()))
        object.__setattr__(self, "directions", tuple(map(tuple, directions.tolist())))

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def straight(self) -> bool:
        """Whether its indices run along z, y and x."""
        return self.directions == _STRAIGHT

    def steps(self, block: Sequence[slice]) -> list[np.ndarray]:
        """Offsets along the three directions of a block, given as three slices [um]."""
        return [d * np.arange(n)[s] for d, n, s in zip(self.spacing_um, self.shape, block, strict=True)]

    def points(self, block: Sequence[slice] = (slice(None),) * 3) -> np.ndarray:
        """Points of a block, given as three slices, as (..., 3) of (z, y, x) [um]."""
        a, b, c = self.steps(block)
        into, down, right = np.array(self.directions)
        lines = a[:, None, None, None] * into + b[:, None, None] * down
        return np.asarray(self.origin_um) + (lines + c[:, None] * right)

    def permutation(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Which of z, y and x each index runs along, and with which sign; None on a slanted lattice."""
        directions = np.array(self.directions)
        if (np.count_nonzero(directions, axis=1) != 1).any():
            return None
        along = np.abs(directions).argmax(axis=1)
        return along, directions[range(3), along]


def rotation(axis: str | Sequence[float], degrees: float) -> np.ndarray:
    """The matrix that turns (z, y, x) vectors about an axis, by the right-hand rule in (x, y, z).

    Whole quarter turns about z, y or x are exact, so that a full turn is none.

    Parameters
    ----------
    axis : str or (float, float, float)
        "z", "y", "x", or a vector (z, y, x) of any length.
    degrees : float

    Returns
    -------
    array, shape (3, 3)

    Raises
    ------
    InputError
        If the axis is unknown or has no length, or the angle is not finite.
    """
    vector = np.asarray(AXES.get(axis, np.nan) if isinstance(axis, str) else axis, float)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"there is no axis {axis!r}; expected z, y, x or three numbers, not all 0")
    if not np.isfinite(degrees):
        raise InputError(f"the angle is {degrees}; expected a finite number of degrees")
    x, y, z = vector[::-1] / np.linalg.norm(vector)
    quarters, rest = divmod(float(degrees), 90)
    sine, cosine = np.sin(np.deg2rad(rest)), np.cos(np.deg2rad(rest))
    sine, cosine = [(sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine)][int(quarters) % 4]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    unit = np.array([x, y, z])
    matrix = cosine * np.eye(3) + sine * cross + (1 - cosine) * np.outer(unit, unit)
    return matrix[::-1, ::-1] + 0.0  # no minus zeros


def turned(turns: Iterable[tuple[str | Sequence[float], float]]) -> np.ndarray:
    """The matrix of several rotations (axis, degrees), one after the other."""
    matrix = np.eye(3)
    for axis, degrees in turns:
        matrix = rotation(axis, degrees) @ matrix
    return matrix


def inside(region: ArrayLike, bounds_um: np.ndarray) -> np.ndarray:
    """A region as an array (3, 2), checked to lie in the domain of a field.

    Raises
    ------
    InputError
        If it is not three ranges, runs backwards or reaches outside.
    """
    try:
        region = np.asarray(region, float)
    except (TypeError, ValueError):
        region = np.empty(0)
    if region.shape != (3, 2) or not np.isfinite(region).all() or not (region[:, 0] <= region[:, 1]).all():
        raise InputError(
            f"region {region.tolist()} is not three ranges first <= last, along z, y and x in um"
        )
    low, high = np.asarray(bounds_um).T
    slack = _SLACK * (high - low)
    if (region[:, 0] < low - slack).any() or (region[:, 1] > high + slack).any():
        domain = ",".join(f"{a:.6g}:{b:.6g}" for a, b in bounds_um)
        raise InputError(f"region {region.tolist()} reaches outside the field's domain {domain} um")
    return np.clip(region, low[:, None], high[:, None])


def region_of(field: Renderable, region: ArrayLike | None = None) -> np.ndarray:
    """What the images show, or a `region` in the domain of the field, as an array (3, 2) [um]."""
    return np.asarray(field.region_um, float) if region is None else inside(region, field.bounds_um)


def volume_lattice(
    field: Renderable,
    spacing: ArrayLike | None = None,
    shape: Sequence[int] | None = None,
    region: ArrayLike | None = None,
) -> Lattice:
    """The lattice of ``NeuralField.volume``, whose parameters these are; the region must be in the domain."""
    grid = field.grid(spacing, shape, None if region is None else region_of(field, region))
    return Lattice(grid.shape, grid.spacing_um, grid.origin_um)


def plane_lattice(
    field: Renderable,
    through: Sequence[float] | np.ndarray | None = None,
    down: str | Sequence[float] = "y",
    right: str | Sequence[float] = "x",
    spacing: ArrayLike | None = None,
    region: ArrayLike | None = None,
) -> Lattice:
    """A plane through the region, at any slant, cut to the rectangle around what it shares with it.

    Parameters
    ----------
    field : NeuralField
    through : (float, float, float), optional
        A point (z, y, x) of the plane, and of its lattice [um]; the centre of the region when not given.
    down, right : str or (float, float, float)
        Directions of its columns and rows: "z", "y", "x" or vectors (z, y, x) of any length; `right` is
        made perpendicular to `down`.
    spacing : float or (float, float), optional
        Pixel size, or one along `down` and one along `right` [um]; the finest of the fit when not given.
    region : array, shape (3, 2), optional
        As of ``NeuralField.volume``.

    Returns
    -------
    Lattice
        With one layer.

    Raises
    ------
    InputError
        If the directions are parallel, a spacing is not positive, or the plane misses the region.
    """
    region = region_of(field, region)
    through = np.asarray(region.mean(axis=1) if through is None else through, float)
    if through.shape != (3,) or not np.isfinite(through).all():
        raise InputError(f"the plane's point {through.tolist()} is not three numbers z, y, x in um")
    below, beside = _unit(_direction(down)), _direction(right)
    rest = beside - (beside @ below) * below
    if np.linalg.norm(rest) < 1e-6 * np.linalg.norm(beside):
        raise InputError("the two directions of the plane are parallel; give two that span it")
    beside = _unit(rest)
    into = np.cross(beside[::-1], below[::-1])[::-1]  # right-handed in (x, y, z): z for x and y
    step = np.broadcast_to(_spacing(min(field.spacing_um) if spacing is None else spacing, (1, 2)), 2)
    corners = _cut(region, through, into)
    if not len(corners):
        raise InputError(f"the plane through {through.tolist()} um misses the region {region.tolist()} um")
    firsts, lasts = [], []
    for direction, distance in zip((below, beside), step, strict=True):
        places = (corners - through) @ direction / distance
        firsts.append(np.ceil(places.min() - 1e-6))
        lasts.append(np.floor(places.max() + 1e-6))
    first, last = np.array(firsts), np.maximum(lasts, firsts)
    origin = through + first[0] * step[0] * below + first[1] * step[1] * beside
    shape = (1, *(last - first + 1))
    return Lattice(shape, (min(step), *step), tuple(origin), (tuple(into), tuple(below), tuple(beside)))


def view_lattice(
    region: np.ndarray,
    matrix: np.ndarray,
    spacing: ArrayLike,
    size_um: Sequence[float] | None = None,
) -> Lattice:
    """The box that holds a turned region, around its centre, with sides along the lines of sight.

    Parameters
    ----------
    region : array, shape (3, 2)
    matrix : array, shape (3, 3)
        Turns the sample in front of the viewer, who looks along +z.
    spacing : float or (float, float, float)
        Along the lines of sight, down and right [um].
    size_um : (float, float), optional
        Height and width of the picture [um]; as large as the region needs when not given.
    """
    matrix = np.asarray(matrix, float)
    turns = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    if not turns or np.linalg.det(matrix) < 0:
        raise InputError("the rotation is not a matrix (3, 3) that turns; see fieldrx.render.rotation")
    step = np.broadcast_to(_spacing(spacing, (1, 3)), 3)
    length = np.abs(matrix) @ np.ptp(region, axis=1)
    if size_um is not None:
        length[1:] = _spacing(size_um, (2,), "the size of the picture")
    count = np.floor(length / step * (1 + 1e-9) + 1e-6) + 1
    start = -0.5 * length  # of the first sample from the centre: at angle 0 the region's first voxel
    origin = region.mean(axis=1) + start @ matrix
    if np.array_equal(matrix, np.eye(3)) and size_um is None:
        origin = region[:, 0]
    return Lattice(tuple(count), tuple(step), tuple(origin), tuple(map(tuple, matrix)))


def _direction(value):
    vector = np.asarray(AXES.get(value, np.nan) if isinstance(value, str) else value, float)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not vector.any():
        raise InputError(f"there is no direction {value!r}; expected z, y, x or three numbers, not all 0")
    return vector


def _unit(vector):
    return vector / np.linalg.norm(vector)


def _spacing(value, sizes, name="spacing"):
    numbers = np.asarray(value, float).ravel()
    if numbers.size not in sizes or not np.isfinite(numbers).all() or not numbers.min() > 0:
        count = " or ".join(map(str, sizes))
        raise InputError(f"{name} {numbers.tolist()} um must be positive, {count} number(s)")
    return numbers


def _cut(region, point, normal):
    """Corners of the polygon that a plane cuts out of a box, (n, 3)."""
    corners = np.array(list(product(*region)))
    height = (corners - point) @ normal
    found = [corners[np.abs(height) <= _SLACK * max(np.ptp(region, axis=1).max(), 1e-30)]]
    for a, b in product(range(8), repeat=2):
        if bin(a ^ b).count("1") == 1 and height[a] < 0 < height[b]:
            share = height[a] / (height[a] - height[b])
            found.append((corners[a] + share * (corners[b] - corners[a]))[None])
    return np.concatenate(found)

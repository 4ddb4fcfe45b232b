"""The sample seen from any side: projections along the line of sight, and shaded surfaces.

The viewer looks along +z, the direction of the light, with x to the right and y downwards; a rotation turns
the sample in front of the viewer, about the centre of the region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.brief import brief
from fieldrx.errors import InputError, nearest
from fieldrx.progress import Progress
from fieldrx.render.brick import BISECTIONS, Brick, brick_of
from fieldrx.render.lattice import Lattice, region_of, view_lattice
from fieldrx.render.quantities import Quantity, make_quantity
from fieldrx.render.sampling import contrast_on, within_region

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable

PROJECTIONS = ("max", "mean", "path", "surface")
_WORDS = {"max": "largest", "mean": "mean"}
_BLOCK = 1 << 18  # points sampled at once
_PIXELS = 1 << 15  # pixels of a tile of the picture
_LIGHT = np.array([-0.80, -0.42, -0.42])  # towards the lamp, behind the viewer's left shoulder (z, y, x)
_AMBIENT, _GLOSS = 0.22, 0.25


@brief
@dataclass(frozen=True, eq=False)
class View:
    """A picture in numbers.

    Attributes
    ----------
    values : float32 array, shape (y, x)
        nan where nothing is to be seen.
    spacing_um : (float, float)
        Pixel size, down and right.
    label, unit : str
    medium : float
        The value where there is no sample.
    shade : float32 array, shape (y, x), or None
        Of a surface: brightness from 0 to 1 under a lamp.
    """

    values: np.ndarray
    spacing_um: tuple[float, float]
    label: str
    unit: str
    medium: float
    shade: np.ndarray | None = None


def view(
    field: Renderable,
    rotation: np.ndarray | None = None,
    projection: str = "max",
    quantity: str | Quantity | None = None,
    spacing: ArrayLike | None = None,
    region: ArrayLike | None = None,
    size_um: Sequence[float] | None = None,
    level: float | None = None,
    callback: Callable | None = None,
    brick: Brick | None = None,
) -> View:
    """The turned sample, projected along the line of sight.

    ===========  ==============================================================================
    projection   value of a pixel
    ===========  ==============================================================================
    ``max``      the largest value on the line of sight
    ``mean``     the mean over the part of the line that crosses the region
    ``path``     the integral along the line: of the contrast, the optical path difference in um
    ``surface``  depth, from the viewer, of the first point where the quantity exceeds `level`
    ===========  ==============================================================================

    Outside the region there is medium.

    Parameters
    ----------
    field : NeuralField
    rotation : array, shape (3, 3), optional
        Turns (z, y, x) vectors, see ``fieldrx.render.rotation``; unturned when not given.
    projection : str
    quantity : str or Quantity, optional
        One of ``fieldrx.render.quantities``, of which the real part is shown; the contrast for
        ``path``, otherwise n.
    spacing : float or (float, float, float), optional
        Along the line of sight, down and right [um]; the finest of the fit when not given.
    region : array, shape (3, 2), optional
        As of ``NeuralField.volume``.
    size_um : (float, float), optional
        Height and width of the picture [um], around the centre; what the region needs when not given.
    level : float, optional
        Of the surface; between sample and medium (`surface_level`) when not given.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.
    brick : Brick, optional
        The quantity in the region, as of ``fieldrx.render.brick.brick_of``: lines of sight are
        interpolated in it.  Otherwise the network is asked at every point.

    Returns
    -------
    View

    Raises
    ------
    InputError
        If an argument does not make sense, or the quantity has no integral.
    """
    if projection not in PROJECTIONS:
        raise InputError(
            f'there is no projection "{projection}"; expected one of {", ".join(PROJECTIONS)}'
            + nearest(projection, PROJECTIONS)
        )
    quantity = quantity_of(field, quantity, projection)
    if projection == "path" and quantity.integral_unit is None:
        raise InputError(
            f"{quantity.name} has no integral along a path, as the medium would fill it; choose contrast, "
            "absorption, phase or dry-mass"
        )
    region = region_of(field, region)
    matrix = np.eye(3) if rotation is None else np.asarray(rotation, float)
    lattice = view_lattice(region, matrix, min(field.spacing_um) if spacing is None else spacing, size_um)
    scene = _Scene(field, quantity, lattice, region, brick)
    if projection == "surface":
        level = surface_level(field, quantity, region) if level is None else float(level)
        if not level > scene.medium:
            raise InputError(f"the surface's level {level:g} is not above the medium's {scene.medium:g}")
        return _surface(scene, matrix, level, callback)
    values = np.empty(lattice.shape[1:], np.float32)
    for rows in _rows(lattice):
        values[rows] = _project(scene, rows, projection)
        if callback:
            callback(_progress(rows, lattice))
    if projection == "path":
        label, unit = quantity.integral_label or "", quantity.integral_unit or ""
    else:
        label, unit = f"{_WORDS[projection]} {quantity.label}", quantity.unit
    return View(values, lattice.spacing_um[1:], label, unit, scene.medium)


def quick_view(
    field: Renderable,
    rotation: np.ndarray | None = None,
    projection: str = "max",
    quantity: str | Quantity | None = None,
    spacing: ArrayLike | None = None,
    region: ArrayLike | None = None,
    **others: Any,
) -> View:
    """A view for a picture: as of :func:`view`, but the network is asked on a grid, once.

    A picture so large that its grid would not fit is asked of the network point by point.

    Parameters
    ----------
    field, rotation, projection, quantity, region, **others
        As of :func:`view`.
    spacing : float or sequence of float, optional
        Pixel size [um], the smallest of several; the finest of the fit when not given.
    """
    quantity = quantity_of(field, quantity, projection)
    pixel = min(field.spacing_um) if spacing is None else float(np.min(spacing))
    brick = brick_of(field, quantity, region_of(field, region), pixel)
    steps = pixel if brick is None else brick.steps(pixel)
    return view(field, rotation, projection, quantity, steps, region, brick=brick, **others)


def surface_level(
    field: Renderable, quantity: str | Quantity = "n", region: ArrayLike | None = None
) -> float:
    """A level between sample and medium: Otsu's threshold of the values in the region.

    It splits them into two classes with the largest variance between the classes' means (Otsu, IEEE Trans.
    Syst. Man Cybern. 9, 62, 1979).
    """
    if not isinstance(quantity, Quantity):
        quantity = make_quantity(quantity, field)
    axes = [np.linspace(lo, hi, 64) for lo, hi in region_of(field, region)]
    values = quantity.of(field.on_axes(*axes)).real.ravel()
    count, edges = np.histogram(values, 256)
    middle = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(count)
    total, moment = below[-1], np.cumsum(count * middle)
    weight = below * (total - below)
    between = (moment[-1] * below - total * moment) ** 2 / np.maximum(weight, 1)
    return float(edges[1:][between.argmax()])


def quantity_of(field: Renderable, quantity: str | Quantity | None, projection: str) -> Quantity:
    """The quantity of a view, by default the contrast for a path and n otherwise."""
    if isinstance(quantity, Quantity):
        return quantity
    return make_quantity(quantity or ("contrast" if projection == "path" else "n"), field)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is looked at, and the lines of sight."""

    field: Renderable
    quantity: Quantity
    lattice: Lattice
    region: np.ndarray
    brick: Brick | None = None

    @property
    def medium(self) -> float:
        """Value of the quantity outside the region."""
        return float(self.quantity.of(np.zeros((), np.complex64)).real)

    def values(self, block: Sequence[slice]) -> tuple[np.ndarray, np.ndarray]:
        """Values of a block, and which of its points lie in the region."""
        inside = within_region(self.lattice.points(block), self.region)
        region = None if inside.all() else self.region
        return self.quantity.of(contrast_on(self.field, self.lattice, block, region)).real, inside

    def at(self, points: np.ndarray) -> np.ndarray:
        """Values at any points (n, 3)."""
        if self.brick is not None:
            return self.brick.at(points)
        inside = within_region(points, self.region)
        contrast = np.zeros(len(points), np.complex64)
        contrast[inside] = self.field.contrast(np.clip(points[inside], *self.region.T))
        return self.quantity.of(contrast).real


def _rows(lattice):
    """Slices of rows of the picture, about ``_PIXELS`` each."""
    _, ny, nx = lattice.shape
    step = max(1, _PIXELS // nx)
    return [slice(first, min(first + step, ny)) for first in range(0, ny, step)]


def _layers(lattice, rows):
    """Blocks of the lines of sight of some rows, from the viewer on, about ``_BLOCK`` points each."""
    nz, _, nx = lattice.shape
    step = max(1, _BLOCK // ((rows.stop - rows.start) * nx))
    return [(slice(first, min(first + step, nz)), rows, slice(0, nx)) for first in range(0, nz, step)]


def _project(scene, rows, projection):
    shape = rows.stop - rows.start, scene.lattice.shape[2]
    if scene.brick is not None:
        return scene.brick.project(scene.lattice, rows, projection)
    if projection == "max":
        largest = np.full(shape, -np.inf, np.float32)
        for block in _layers(scene.lattice, rows):
            values, inside = scene.values(block)
            largest = np.maximum(largest, np.where(inside, values, -np.inf).max(axis=0))
        return np.where(np.isfinite(largest), largest, scene.medium)
    total, count = np.zeros(shape), np.zeros(shape, int)
    for block in _layers(scene.lattice, rows):
        values, inside = scene.values(block)
        total += np.where(inside, values, 0).sum(axis=0, dtype=float)
        count += inside.sum(axis=0)
    if projection == "path":
        return total * scene.lattice.spacing_um[0]
    return np.where(count > 0, total / np.maximum(count, 1), scene.medium)


def _progress(rows, lattice):
    """News when a picture is done to the last of some rows."""
    return Progress("rendering", rows.stop * lattice.shape[0] * lattice.shape[2], lattice.size)


def _surface(scene, matrix, level, callback):
    """Depth where every line of sight first exceeds the level, and how bright it is there."""
    lattice = scene.lattice
    depth = np.full(lattice.shape[1:], np.nan, np.float32)
    shade = np.zeros(lattice.shape[1:], np.float32)
    for rows in _rows(lattice):
        pixels = lattice.points((slice(0, 1), rows, slice(None)))[0].reshape(-1, 3)
        if scene.brick is not None:
            hit = scene.brick.first_hit(lattice, rows, level).ravel()
        else:
            hit = _first_hit(scene, pixels, level)
        found = np.isfinite(hit)
        places = pixels[found] + hit[found, None] * matrix[0]
        brightness = np.zeros(len(pixels), np.float32)
        brightness[found] = _brightness(scene, places, matrix)
        depth[rows], shade[rows] = (v.reshape(-1, lattice.shape[2]) for v in (hit, brightness))
        if callback:
            callback(_progress(rows, lattice))
    if np.isnan(depth).all():
        raise InputError(f"nothing in the region exceeds the surface's level {level:g}; choose a lower one")
    return View(depth, lattice.spacing_um[1:], "depth from the viewer", "um", np.nan, shade)


def _first_hit(scene, pixels, level):
    """Distance from the first sample at which lines of sight first exceed the level; nan where never."""
    lattice, into = scene.lattice, np.array(scene.lattice.directions[0])
    n, step = lattice.shape[0], lattice.spacing_um[0]
    hit = np.full(len(pixels), np.nan)
    open_lines = np.arange(len(pixels))
    chunk, first = 1, 0
    while first < n and len(open_lines):
        chunk = min(max(1, _BLOCK // len(open_lines)), n - first)
        distance = step * (first + np.arange(chunk))
        points = pixels[open_lines, None] + distance[:, None] * into
        above = scene.at(points.reshape(-1, 3)).reshape(-1, chunk) > level
        met = above.any(axis=1)
        hit[open_lines[met]] = distance[above[met].argmax(axis=1)]
        open_lines, first = open_lines[~met], first + chunk
    found = np.flatnonzero(np.isfinite(hit))
    high, low = hit[found], hit[found] - step
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        above = scene.at(pixels[found] + middle[:, None] * into) > level
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    hit[found] = high
    return hit


def _brightness(scene, places, matrix):
    """Light of a lamp beside the viewer, and a little gloss; the normal is the slope of the quantity."""
    reach = 1.5 * max(min(scene.lattice.spacing_um), min(scene.field.spacing_um))  # what the fit resolves
    slope = np.stack(
        [scene.at(places + reach * axis) - scene.at(places - reach * axis) for axis in matrix], axis=1
    )
    outwards = -slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-30)
    lamp = _LIGHT / np.linalg.norm(_LIGHT)
    between = lamp + (-1.0, 0.0, 0.0)
    between /= np.linalg.norm(between)
    matt = np.clip(outwards @ lamp, 0, 1)
    gloss = np.clip(outwards @ between, 0, 1) ** 30
    return np.clip(_AMBIENT + (1 - _AMBIENT) * matt + _GLOSS * gloss, 0, 1)

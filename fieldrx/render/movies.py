"""Films of a field: it spins, it is swept through, or one flies into it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.ensemble import Ensemble
from fieldrx.errors import InputError, nearest
from fieldrx.export import write_gif, write_mp4
from fieldrx.progress import telling
from fieldrx.render.brick import Brick, brick_of
from fieldrx.render.ensembles import as_field
from fieldrx.render.lattice import Lattice, region_of, rotation
from fieldrx.render.pictures import Scale, framed, palette, picture_step, scale_of, shown
from fieldrx.render.quantities import Quantity, make_quantity
from fieldrx.render.views import View, quantity_of, surface_level, view

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable

MOVIES = ("spin", "zoom", "sweep")
ENDINGS = (".gif", ".mp4")
_PIXELS = 720  # longest side of a frame
_ZOOM = 6  # how much finer the last pixel of a flight is than the first
_SWEPT, _FLOWN = 3.0, 8.0  # points that pictures are interpolated between, over the voxels of the fit


def render_movie(
    field: Renderable | Ensemble,
    path: str | os.PathLike,
    kind: str = "spin",
    *,
    frames: int = 48,
    fps: float = 12.0,
    spacing: ArrayLike | None = None,
    region: ArrayLike | None = None,
    quantity: str | Quantity | None = None,
    projection: str = "max",
    rotation_axis: str | Sequence[float] = "y",
    through: Sequence[float] | None = None,
    level: float | None = None,
    limits: Sequence[float] | None = None,
    callback: Callable | None = None,
) -> Path:
    """Write a film, .gif or .mp4.

    =========  ==============================================================================
    kind       what happens
    =========  ==============================================================================
    ``spin``   the sample turns once about an axis, seen as a projection or a surface
    ``sweep``  the xy-plane travels along z through the region
    ``zoom``   the view closes in on a point of the xy-plane, evaluated anew at every step
    =========  ==============================================================================

    Parameters
    ----------
    field : NeuralField or Ensemble
    path : path-like
    kind : str
    frames : int
    fps : float
        Frames per second.
    spacing : float, optional
        Pixel size [um], of a flight at its start; by default 720 pixels along the longest side.
    region : array, shape (3, 2), optional
        As of ``NeuralField.volume``.
    quantity : str or Quantity, optional
        As of ``view``; n for planes.
    projection, level
        Of ``spin``, as of ``view``.
    rotation_axis : str or (float, float, float)
        Of ``spin``, as of ``rotation``.
    through : (float, float, float), optional
        Where ``zoom`` leads; the centre of the region when not given.
    limits : (float, float), optional
        Ends of the scale.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If an argument does not make sense, or the package that writes mp4 is missing.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f'{path}: cannot write a film as "{ending or "no ending"}"; expected .gif or .mp4')
    if kind not in MOVIES:
        raise InputError(
            f'there is no film "{kind}"; expected one of {", ".join(MOVIES)}{nearest(kind, MOVIES)}'
        )
    if not (isinstance(frames, (int, np.integer)) and frames >= 2):
        raise InputError(f"a film has at least 2 frames; got {frames}")
    if not 0.1 <= fps <= 100:
        raise InputError(f"fps is {fps:g}; expected 0.1 to 100 frames per second")
    source, quantity = as_field(field, quantity)
    region = region_of(source, region)
    if kind == "spin":
        shaded = projection == "surface"
        turns = [rotation(rotation_axis, 360 * k / frames) for k in range(frames)]
        pictures = _spin(source, turns, spacing, region, quantity, projection, level, limits)
    else:
        shaded = False
        if not isinstance(quantity, Quantity):
            quantity = make_quantity(quantity or "n", source)
        step = picture_step(np.ptp(region[1:], axis=1), spacing, _PIXELS)
        if kind == "sweep":
            pictures = _sweep(_Planes(source, region, quantity, _SWEPT, step), frames, step, limits)
        else:
            planes = _Planes(source, region, quantity, _FLOWN, step / _ZOOM)
            pictures = _zoom(planes, frames, step, through, limits)
    pictures = telling(pictures, "frames", frames, callback)
    if ending == ".gif":
        write_gif(path, pictures, palette(shaded), fps)
    else:
        write_mp4(path, pictures, fps)
    return path


def picture_of(view_: View, scale: Scale) -> np.ndarray:
    """A view with its scale; a surface under the lamp where there is one, a little darker far away."""
    if view_.shade is None:
        return framed(shown(view_.values, scale), view_.spacing_um[0], scale)
    depth = view_.values
    far = (depth - np.nanmin(depth)) / max(np.nanmax(depth) - np.nanmin(depth), 1e-9)
    lit = np.where(np.isnan(depth), np.nan, view_.shade * (1 - 0.3 * far))
    return framed(shown(lit, Scale(0, 1, shaded=True)), view_.spacing_um[0], Scale(0, 1, shaded=True))


def _spin(field, turns, spacing, region, quantity, projection, level, limits):
    """Pictures of a full turn, all of the size that the widest of them needs."""
    sizes = np.array([np.abs(turn)[1:] @ np.ptp(region, axis=1) for turn in turns]).max(axis=0)
    step = picture_step(sizes, spacing, _PIXELS)
    quantity = quantity_of(field, quantity, projection)
    brick = brick_of(field, quantity, region, step)
    options = {
        "projection": projection,
        "quantity": quantity,
        "region": region,
        "size_um": sizes,
        "brick": brick,
    }

    def seen(turn, pixel, **more):
        return view(field, turn, spacing=pixel if brick is None else brick.steps(pixel), **options, **more)

    if projection == "surface":
        if level is None:
            level = surface_level(field, quantity, region)
        scale = Scale(0, 1, shaded=True)
    else:
        # some quick looks tell the range of all frames
        quick = [seen(turn, 4 * step) for turn in turns[:: max(len(turns) // 6, 1)]]
        values = np.concatenate([look.values.ravel() for look in quick])
        scale = scale_of(values, quick[0].medium, quick[0].label, quick[0].unit, limits)
    for turn in turns:
        yield picture_of(seen(turn, step, level=level), scale)


@dataclass(frozen=True, eq=False)
class _Planes:
    """Planes of constant z in a region, interpolated between points closer than the field can change."""

    field: Renderable
    region: np.ndarray
    quantity: Quantity
    finer: float  # voxels of the fit over the distance of these points
    pixel: float  # of the finest picture [um]

    def at(self, z: float) -> Brick | None:
        """The plane at a height: one layer of points, or None where they would be too many."""
        region = np.stack([(z, z), *self.region[1:]])
        return brick_of(self.field, self.quantity, region, self.pixel, self.finer)

    def values(self, z: float, y: np.ndarray, x: np.ndarray, plane: Brick | None = None) -> np.ndarray:
        if plane is None:
            return self.quantity.of(self.field.on_axes(np.array([z]), y, x)[0]).real
        step = y[1] - y[0] if len(y) > 1 else 1.0
        lattice = Lattice((1, len(y), len(x)), (1.0, step, step), (z, y[0], x[0]))
        return plane.project(lattice, slice(0, len(y)), "max")

    def scale(self, heights: np.ndarray, limits: Sequence[float] | None) -> Scale:
        """The scale of the plane with the highest values among some heights."""
        y, x = (np.linspace(lo, hi, 160) for lo, hi in self.region[1:])
        medium = float(self.quantity.of(np.zeros((), np.complex64)).real)
        names = self.quantity.label, self.quantity.unit
        scales = [scale_of(self.values(z, y, x), medium, *names, limits) for z in heights]
        return max(scales, key=lambda scale: scale.high)

    def picture(
        self, z: float, y: np.ndarray, x: np.ndarray, step: float, scale: Scale, plane: Brick | None
    ) -> np.ndarray:
        return framed(shown(self.values(z, y, x, plane), scale), step, scale)


def _sweep(planes, frames, step, limits):
    """Pictures from the first plane to the last."""
    (first, last), *across = planes.region
    y, x = (np.arange(lo, hi + 1e-9 * (hi - lo), step) for lo, hi in across)
    scale = planes.scale(np.linspace(first, last, 24), limits)
    for z in np.linspace(first, last, frames):
        yield planes.picture(z, y, x, step, scale, planes.at(z))


def _zoom(planes, frames, step, through, limits):
    """Pictures on the way to a point, the pixel shrinking by the same factor every time."""
    region = planes.region
    target = np.asarray(region.mean(axis=1) if through is None else through, float)
    if target.shape != (3,) or not ((target >= region[:, 0]) & (target <= region[:, 1])).all():
        raise InputError(
            f"the flight's goal {target.tolist()} is no point z, y, x in the region {region.tolist()} um"
        )
    count = np.floor(np.ptp(region[1:], axis=1) / step + 1e-6) + 1
    middle = region[1:].mean(axis=1)
    scale, plane = planes.scale(target[:1], limits), planes.at(target[0])
    way = np.maximum(np.abs(target[1:] - middle), 1e-9)
    haste = min(2.0, (0.5 * np.ptp(region[1:], axis=1) / way).min())
    for share in np.linspace(0, 1, frames):
        pixel = step * _ZOOM**-share
        # towards the goal as fast as the shrinking picture allows without leaving the region, twice at most
        centre = target[1:] + (middle - target[1:]) * max(0.0, 1 - haste * (1 - pixel / step))
        y, x = (c + pixel * (np.arange(n) - 0.5 * (n - 1)) for c, n in zip(centre, count, strict=True))
        yield planes.picture(target[0], y, x, pixel, scale, plane)

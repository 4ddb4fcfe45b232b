"""Films over time as files: arrays with an axis of time, and moving pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError
from fieldrx.export import Times, write_gif, write_mp4, write_ome_zarr, write_tiff
from fieldrx.progress import telling
from fieldrx.render import movies
from fieldrx.render.ensembles import Renderable, as_field
from fieldrx.render.files import ending_of, pyramid
from fieldrx.render.lattice import Lattice, plane_lattice, region_of, volume_lattice
from fieldrx.render.pictures import (
    Scale,
    framed,
    joined,
    palette,
    picture_step,
    scale_of,
    shown,
    three_planes,
    write,
)
from fieldrx.render.quantities import Quantity, make_quantity
from fieldrx.render.sampling import Samples, sample
from fieldrx.render.views import View, quick_view, surface_level
from fieldrx.timelapse import Film

ARRAYS = (".ome.zarr", ".ome.tif", ".ome.tiff", ".tif", ".tiff")
_LOOKS = 6  # times, at most, that tell the range of the colours
_HEAD, _TALL = 14, 12  # pixels above a picture for the time, and height of its words


def render_over_time(
    film: Film,
    path: str | os.PathLike,
    *,
    frames: int | None = None,
    fps: float = 12.0,
    limits: Sequence[float] | None = None,
    callback: Callable | None = None,
    **what: object,
) -> Path:
    """Write all times of a film as one file, by its ending.

    ===============  =========================================================================
    ending           contents
    ===============  =========================================================================
    .ome.zarr        OME-NGFF 0.4 with an axis of time; a pyramid, each level evaluated
    .ome.tif, .tif   float32 stack with an axis of time, for Fiji and napari
    .gif, .mp4       what a .png shows of one field, over time
    ===============  =========================================================================

    Parameters
    ----------
    film : Film
    path : path-like
    frames : int, optional
        Evenly spaced times instead of those of the film.
    fps : float
        Of moving pictures, per second.
    limits : (float, float), optional
        Ends of the colour scale.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.
    **what
        ``spacing``, ``shape``, ``region``, ``quantity``, ``plane``, ``rotation``, ``projection`` and
        ``level``, as of ``fieldrx.render.render``.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the ending has no time, or arguments do not fit together.
    """
    path, asked = Path(path), _Asked(**what)  # type: ignore[arg-type]  # a wrong name is a TypeError
    ending = ending_of(path)
    if ending not in (*ARRAYS, *movies.ENDINGS):
        raise InputError(
            f"{path}: {ending} holds no time: choose a time of the film, {film.span} (--time), or one of "
            + ", ".join((*ARRAYS, *movies.ENDINGS))
        )
    times = film.times if frames is None else tuple(np.linspace(film.times[0], film.times[-1], frames))
    if ending in ARRAYS:
        if asked.flat or limits is not None:
            raise InputError(f"{path}: views and colours belong to a picture: choose .gif or .mp4, or --time")
        _write_arrays(film, path, times, asked, callback)
        return path
    if len(times) < 2:
        raise InputError(f"{path}: moving pictures need two times, the film has one; choose .png and --time")
    if not 0.1 <= fps <= 100:
        raise InputError(f"fps is {fps:g}; expected 0.1 to 100 frames per second")
    pictures = telling(_pictures(film, times, asked, limits), "frames", len(times), callback)
    if ending == ".gif":
        write_gif(path, pictures, palette(asked.projection == "surface"), fps)
    else:
        write_mp4(path, pictures, fps)
    return path


@dataclass
class _Asked:
    """What is to be shown of every field, as of ``fieldrx.render.render``."""

    spacing: ArrayLike | None = None
    shape: Sequence[int] | None = None
    region: ArrayLike | None = None
    quantity: str | Quantity | None = None
    plane: tuple | None = None
    rotation: np.ndarray | None = None
    projection: str | None = None
    level: float | None = None

    @property
    def flat(self) -> bool:
        """Whether it is a view."""
        return self.rotation is not None or self.projection is not None

    def lattice(self, field: Renderable) -> Lattice:
        """Where arrays lie."""
        if self.plane is None:
            return volume_lattice(field, self.spacing, self.shape, self.region)
        through, down, right = self.plane
        return plane_lattice(field, through, down or "y", right or "x", self.spacing, self.region)

    def quantity_of(self, field: Renderable) -> Quantity:
        """What is shown of a field, by default n."""
        name = as_field(field, self.quantity)[1]
        return name if isinstance(name, Quantity) else make_quantity(name or "n", field)


def _write_arrays(film, path, times, asked, callback):
    """Every time on the lattice of the first."""
    first = film.at(times[0])
    lattice = asked.lattice(first)
    lattices = [lattice, *(pyramid(lattice) if ending_of(path) == ".ome.zarr" else [])]
    total, done, levels = len(times) * sum(one.size for one in lattices), 0, list[list[Samples]]()
    for time in times:
        field = film.at(time)
        quantity = asked.quantity_of(field)
        levels.append([])
        for one in lattices:
            levels[-1].append(sample(field, one, quantity).watched(callback, done, total))
            done += one.size
    known = Times(tuple(map(float, times)), film.unit == "s")
    if ending_of(path) == ".ome.zarr":
        write_ome_zarr(path, *levels, times=known)
    else:
        write_tiff(path, *(one[0] for one in levels), times=known)


@dataclass
class _Seen:
    """What is to be coloured of one field."""

    panels: list[np.ndarray]
    step: float
    medium: float
    quantity: Quantity
    view: View | None = None

    def picture(self, scale: Scale, words: str) -> np.ndarray:
        """Them in colours, with the time above."""
        if self.view is not None:
            canvas = movies.picture_of(self.view, scale)
        else:
            panels = [shown(panel, scale) for panel in self.panels]
            canvas = framed(joined(panels) if len(panels) > 1 else panels[0], self.step, scale)
        canvas = np.pad(canvas, ((_HEAD, 0), (0, 0), (0, 0)), constant_values=255)
        write(canvas, words, _HEAD // 3, canvas.shape[1] // 2, _TALL, anchor=0.5)
        return canvas


def _pictures(
    film: Film, times: Sequence[float], asked: _Asked, limits: Sequence[float] | None
) -> Iterator[np.ndarray]:
    """Pictures of all times in one scale."""
    if asked.shape is not None:
        raise InputError("a picture has a spacing, no shape")
    if asked.projection == "surface" and asked.level is None:
        first = film.at(times[0])  # one level for all
        asked.level = surface_level(first, asked.quantity_of(first), region_of(first, asked.region))
    looks = [_seen(film.at(time), asked) for time in times[:: max(len(times) // _LOOKS, 1)]]
    values = np.concatenate([panel.ravel() for look in looks for panel in look.panels])
    label, unit = (looks[0].view or looks[0].quantity).label, (looks[0].view or looks[0].quantity).unit
    scale = scale_of(values, looks[0].medium, label, unit, limits)
    for time in times:
        yield _seen(film.at(time), asked).picture(scale, film.said(float(f"{time:.6g}")))


def _seen(field: Renderable, asked: _Asked) -> _Seen:
    quantity = asked.quantity_of(field)
    medium = float(quantity.of(np.zeros((), np.complex64)).real)
    step = picture_step(np.ptp(region_of(field, asked.region), axis=1), asked.spacing)
    if asked.flat:
        wanted = asked.quantity if asked.projection == "path" else quantity
        seen = quick_view(
            field, asked.rotation, asked.projection or "max", wanted, step, asked.region, level=asked.level
        )
        return _Seen([seen.values], seen.spacing_um[0], seen.medium, quantity, seen)
    if asked.plane is None:
        panels, step = three_planes(field, asked.region, asked.spacing, quantity)
        return _Seen(panels, step, medium, quantity)
    through, down, right = asked.plane
    lattice = plane_lattice(field, through, down or "y", right or "x", step, asked.region)
    values = sample(field, lattice, quantity).read((slice(None),) * 3)
    return _Seen([values.real[0]], lattice.spacing_um[1], medium, quantity)

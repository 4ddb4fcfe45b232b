"""Whole files from a field: what is asked for, in the format that the ending names."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.ensemble import Ensemble
from fieldrx.errors import InputError
from fieldrx.export import write_npy, write_ome_zarr, write_tiff, write_volume_npz, write_vti
from fieldrx.io import write_png
from fieldrx.render import movies
from fieldrx.render.ensembles import Renderable, as_field
from fieldrx.render.lattice import Lattice, plane_lattice, region_of, volume_lattice
from fieldrx.render.movies import picture_of, render_movie
from fieldrx.render.pictures import framed, orthogonal_planes, picture_step, scale_of, shown
from fieldrx.render.quantities import Quantity, make_quantity
from fieldrx.render.sampling import Samples, sample
from fieldrx.render.views import quick_view, view

ENDINGS = (
    ".npy", ".npz", ".tif", ".tiff", ".ome.tif", ".ome.tiff", ".ome.zarr", ".vti", ".png", ".gif", ".mp4"
)  # fmt: skip
_COARSEST = 128  # samples along every axis of the last level of a pyramid


def render(
    field: Renderable | Ensemble, path: str | os.PathLike, spacing: ArrayLike | None = None,
    shape: Sequence[int] | None = None, region: ArrayLike | None = None, *,
    quantity: str | Quantity | None = None, plane: tuple | None = None, rotation: np.ndarray | None = None,
    projection: str | None = None, level: float | None = None, limits: Sequence[float] | None = None,
    callback: Callable | None = None, **movie: Any,
) -> Path:  # fmt: skip
    """Write a field as a file, by its ending; nothing is computed before it is written, block by block.

    ===========  ============================================================================
    ending       contents
    ===========  ============================================================================
    .npy         NumPy array (z, y, x): complex64 for n, contrast and permittivity
    .npz         volume: contrast, spacing_um, origin_um, medium_index (what ``simulate`` reads)
    .tif         float32 stack with its scale for Fiji; two channels if the sample absorbs
    .ome.tif     the same with physical sizes, places and names as OME-XML
    .ome.zarr    OME-NGFF 0.4: a pyramid, each level evaluated from the field
    .vti         ParaView
    .png         picture with scale bar and colour bar; of a volume, its three central planes
    .gif, .mp4   film, see ``render_movie``
    ===========  ============================================================================

    A volume is written unless `plane`, or `rotation` or `projection`, ask for something flat.

    Parameters
    ----------
    field : NeuralField, Ensemble, Mosaic or Moment
        Of an ensemble the mean, or with the quantity "std" the standard deviation of the index.
    path : path-like
    spacing, shape, region
        As of ``NeuralField.volume``, but the region must lie in the field's domain.
    quantity : str or Quantity, optional
        See ``fieldrx.render.quantities``; n when not given, for .npz always the contrast (or "std").
    plane : (through, down, right), optional
        As of ``plane_lattice``; each may be None.
    rotation, projection, level
        As of ``view``.
    limits : (float, float), optional
        Ends of the colour scale.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.
    **movie
        Keywords of ``render_movie``: ``kind``, ``frames``, ``fps``, ``rotation_axis``, ``through``.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the ending is unknown, the region leaves the domain, or arguments do not fit together.
    OSError
        If the disk is full.  No file stays under the name.
    """
    path = Path(path)
    ending = ending_of(path)
    source, quantity = as_field(field, quantity)
    if ending in movies.ENDINGS:
        if plane is not None or rotation is not None or shape is not None:
            raise InputError(f"{path}: a film takes no plane, turn or shape; see render_movie")
        return render_movie(
            source, path, spacing=spacing, region=region, quantity=quantity, projection=projection or "max",
            level=level, limits=limits, callback=callback, **movie,
        )  # fmt: skip
    flat = rotation is not None or projection is not None
    if movie:
        raise InputError(f"{path}: {', '.join(movie)} belong to a film, .gif or .mp4")
    _check_together(path, quantity, plane, flat, level)
    if ending == ".png":
        spacing = picture_step(np.ptp(region_of(source, region), axis=1), spacing)
    if ending == ".png" and plane is None and not flat:
        write_png(path, orthogonal_planes(source, region, spacing, quantity or "n", limits))
        return path
    if flat and ending == ".png":
        seen = quick_view(
            source, rotation, projection or "max", quantity, spacing, region, level=level, callback=callback
        )
        write_png(path, picture_of(seen, scale_of(seen.values, seen.medium, seen.label, seen.unit, limits)))
        return path
    if flat:
        seen = view(
            source, rotation, projection or "max", quantity, spacing, region, level=level, callback=callback
        )
        write(path, _flat_samples(seen))
        return path
    default = "contrast" if ending == ".npz" else "n"
    if not isinstance(quantity, Quantity):
        quantity = make_quantity(quantity or default, source)
    if plane is not None:
        if shape is not None:
            raise InputError("a plane has a spacing, no shape")
        lattice = plane_lattice(source, *_plane(plane), _two(spacing), region)
    else:
        lattice = volume_lattice(source, spacing, shape, region)
    samples = sample(source, lattice, quantity)
    if ending == ".png":
        samples = samples.watched(callback)
        values = np.concatenate([samples.parts(part)[0][0] for _, part in samples.bands()])
        medium = float(quantity.of(np.zeros((), np.complex64)).real)
        scale = scale_of(values, medium, samples.label, samples.unit, limits)
        write_png(path, framed(shown(values, scale), lattice.spacing_um[1], scale))
        return path
    coarser = []
    if ending == ".ome.zarr":
        coarser = [sample(source, c, quantity) for c in pyramid(lattice)]
    write(path, samples, coarser, medium_index=source.medium_index, callback=callback)
    return path


def _check_together(path, quantity, plane, flat, level):
    """Refuse what does not fit together in a file that is no film."""
    if plane is not None and flat:
        raise InputError("give a plane or a view (a turn, a projection), not both")
    if not flat and level is not None:
        raise InputError("a level belongs to the projection surface")
    name = quantity.name if isinstance(quantity, Quantity) else quantity
    if ending_of(path) == ".npz" and (flat or name not in (None, "contrast", "std")):
        raise InputError(f"{path}: a volume .npz holds the contrast of a box; use .npy or .tif")


def write(
    path: str | os.PathLike,
    samples: Samples,
    coarser: Sequence[Samples] = (),
    medium_index: float = 1.0,
    callback: Callable | None = None,
) -> Path:
    """Write samples on any lattice, by the ending of the file.

    Parameters
    ----------
    path : path-like
        As of ``render``, but no picture or film.
    samples : Samples
    coarser : sequence of Samples
        Further levels of an .ome.zarr.
    medium_index : float
        For a volume .npz.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.
    """
    path = Path(path)
    ending = ending_of(path)
    total = samples.lattice.size + sum(level.lattice.size for level in coarser)
    done, levels = 0, []
    for level in (samples, *coarser):
        levels.append(level.watched(callback, done, total))
        done += level.lattice.size
    _check_space(path, samples)
    if ending == ".npy":
        write_npy(path, levels[0])
    elif ending == ".npz":
        write_volume_npz(path, levels[0], medium_index)
    elif ending == ".vti":
        write_vti(path, levels[0])
    elif ending == ".ome.zarr":
        write_ome_zarr(path, levels)
    elif ending in (".tif", ".tiff", ".ome.tif", ".ome.tiff"):
        write_tiff(path, levels[0])
    else:
        raise InputError(f"{path}: {ending} is a picture; write samples as an array")
    return path


def pyramid(lattice: Lattice) -> list[Lattice]:
    """Coarser lattices on the same first point; axes much coarser than the others wait for these."""
    levels = []
    while max(lattice.shape) > _COARSEST:
        spacing = np.array(lattice.spacing_um)
        halved = spacing < 2 * spacing[np.array(lattice.shape) > _COARSEST].min()
        factor = np.where(halved, 2, 1)
        lattice = Lattice(
            tuple(-(-n // f) for n, f in zip(lattice.shape, factor.tolist(), strict=True)),
            tuple(spacing * factor),
            lattice.origin_um,
        )
        levels.append(lattice)
    return levels


def ending_of(path: str | os.PathLike) -> str:
    """The ending, one of ``ENDINGS``.

    Raises
    ------
    InputError
        If it is none of them.
    """
    suffixes = [s.lower() for s in Path(path).suffixes]
    for ending in ("".join(suffixes[-2:]), suffixes[-1] if suffixes else ""):
        if ending in ENDINGS:
            return ending
    raise InputError(
        f'{path}: cannot write "{suffixes[-1] if suffixes else "no ending"}"; expected one of '
        + ", ".join(ENDINGS)
    )


def _plane(plane: tuple) -> tuple[Any, Any, Any]:
    through, down, right = plane
    return through, down if down is not None else "y", right if right is not None else "x"


def _two(spacing):
    """A volume's spacing as that of a plane: one number, two, or the last two of three."""
    return spacing if spacing is None or np.size(spacing) < 3 else tuple(spacing)[-2:]


def _flat_samples(seen):
    """A view as samples of one layer."""
    spacing = (min(seen.spacing_um), *seen.spacing_um)
    return Samples.of_array(seen.values[None], spacing, label=seen.label, unit=seen.unit)


def _check_space(path, samples):
    """Raise before hours of work where the disk has not the room for the result."""
    folder = Path(os.path.realpath(path)).parent
    if folder.is_dir() and samples.nbytes > shutil.disk_usage(folder).free:
        need, have = samples.nbytes / 1e9, shutil.disk_usage(folder).free / 1e9
        raise OSError(
            errno.ENOSPC, f"the disk has {have:.3g} GB left and this needs {need:.3g} GB", str(path)
        )

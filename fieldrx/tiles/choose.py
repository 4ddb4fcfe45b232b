"""Whether a frame is fitted tile by tile, and into which tiles it is cut."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, hypot, prod

import numpy as np

from fieldrx.acquisition import Acquisition, Windowed
from fieldrx.backends.operators import Operators
from fieldrx.errors import InputError, NothingValid
from fieldrx.field.choices import default_encoding
from fieldrx.fit.memory import fit_needs, memory_of_rank
from fieldrx.models import grid_for, grid_spacing
from fieldrx.optics import Grid, lateral_band, slice_positions
from fieldrx.resources import total
from fieldrx.tiles.plan import NARROWEST, Tile, Tiling, cut

SIDE = 320  # voxels along a side of a tile, where nothing asks for fewer
_WHOLE = 1.5  # sides of a tile, up to which a frame is no larger than one
_CROWDED = 8.0  # nodes of a field's finest level over the entries of its table, from which detail is lost
_BLUR = 0.5  # of half the shortest period, by which changing directions may move what is out of focus
_ROOM = 0.8  # of the free memory, that a fit may take


def choose_tiles(
    frame: Windowed, depth: Sequence[float], backend: Operators, tiles: int | str = "auto"
) -> tuple[Tiling | None, str]:
    """The tiles of a frame, or None where one field will do, and why.

    A frame is cut where one fit exceeds the memory, where the hash table of one field would be crowded, or
    where directions, which one fit takes as constant, change too much across it.

    Parameters
    ----------
    frame : Windowed
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    backend : Operators
        That will compute.
    tiles : int or str
        "auto"; "off" for one field whatever the frame; or the most pixels along a tile's side.

    Returns
    -------
    Tiling or None
    str
        A sentence, of what is worth saying; else "".

    Raises
    ------
    InputError
        If the tiles asked for are smaller than what light spreads over.
    """
    if tiles == "off" or (tiles == "auto" and not is_large(frame)):
        return None, ""
    scope = frame.optics.microscope
    overlap = 2 * ceil(Grid.margin_um(scope, depth) / scope.pixel_size_um)
    if isinstance(tiles, int):
        tiling = cut(frame.shape, tiles, overlap)
        return (None, "") if len(tiling) == 1 else (tiling, _words(tiling, overlap, "as asked"))
    if tiles != "auto":
        raise InputError(f'tiles is "{tiles}"; expected "auto", "off" or a number of pixels')
    why = _why(frame, depth, backend)
    if not why:
        return None, ""
    side, least = default_side(frame), NARROWEST * overlap
    while side > least and not _fits(frame, side, depth, backend):
        side = int(0.8 * side)
    tiling = cut(frame.shape, max(side, least), overlap)
    return (None, "") if len(tiling) == 1 else (tiling, _words(tiling, overlap, why))


def is_large(frame: Windowed) -> bool:
    """Whether a frame may need tiles at all."""
    return max(frame.shape) > _WHOLE * default_side(frame)


def default_side(frame: Windowed) -> int:
    """Pixels along the side of a tile of `SIDE` voxels."""
    scope = frame.optics.microscope
    spacing = grid_spacing(scope, frame.optics.illumination, dark_field=True)
    return max(int(SIDE * spacing / scope.pixel_size_um), 1)


def _words(tiling, overlap, why):
    rows, cols = (len(starts) for starts in tiling.starts)
    height, width = tiling.window
    return (
        f"{rows} x {cols} tiles of {height} x {width} pixels, {why}; neighbours share {overlap} pixels or "
        "more, as far as light spreads between the slices (--tiles for others)"
    )


def _why(frame, depth, backend):
    """Why one field will not do, in words; "" if it will."""
    if room := _room(frame, frame.shape, depth, backend):
        return f"as one field would need {room / 2**30:.1f} GiB of memory"
    if turning := _turns(frame, frame.shape, depth):
        return f"as directions change by {turning:.2g} in NA from the centre of the frame to its corners"
    grid, optics = _grid(frame, frame.shape, depth), frame.optics
    encoding = default_encoding(grid, optics.microscope, optics.illumination, dark_field=True)
    if prod(encoding.resolutions[-1]) > _CROWDED * max(encoding.nodes_per_level):
        return "as one field has too few parameters for all of its detail"
    return ""


def _fits(frame, side, depth, backend):
    """Whether one fit will do for so many pixels a side."""
    return not (_turns(frame, (side, side), depth) or _room(frame, (side, side), depth, backend))


def _grid(frame, shape, depth):
    """The largest grid of the models'."""
    scope = frame.optics.microscope
    spacing = grid_spacing(scope, frame.optics.illumination, dark_field=True)
    return grid_for("born", shape, scope, depth, spacing)


def _room(frame, shape, depth, backend):
    """Bytes that one fit would need, where there are too few; else 0."""
    need = total(fit_needs(_grid(frame, shape, depth).shape, frame.optics.n_images))
    have, _ = memory_of_rank(backend)
    return need if have is not None and need > _ROOM * have else 0


def _turns(frame, shape, depth):
    """How much directions change from the centre to a corner, where that is too much; else 0.

    At a height z light of changed direction is off by ``z * change / n0`` (small angles).
    """
    scope, light = frame.optics.microscope, frame.optics.illumination
    turning = light.turning_na(0.5 * hypot(*shape) * scope.pixel_size_um)
    moved = np.abs(slice_positions(depth)).max() * turning / scope.medium_index
    return turning if moved > _BLUR * 0.5 / lateral_band(scope, light, True) else 0


def busiest(frame: Windowed, side: int | None = None, overlap: int = 0) -> Acquisition:
    """The window whose images vary most, from which what is "auto" is settled for all.

    Parameters
    ----------
    frame : Windowed
    side : int, optional
        Most pixels along a side; those of a default tile when not given.
    overlap : int
        Pixels that neighbouring windows share.

    Raises
    ------
    InputError
        If no window has an image that can be used.
    """
    best, most = None, -1.0
    for tile in cut(frame.shape, side or default_side(frame), overlap):
        seen = usable_window(frame, tile)
        if seen is None:
            continue
        valid = np.broadcast_to(True, seen.stack.shape) if seen.mask is None else seen.mask
        varies = float(np.mean([seen.stack[k][valid[k]].std() for k in np.flatnonzero(seen.usable)]))
        if varies > most:
            best, most = seen, varies
    if best is None:
        raise InputError("no part of the frame has an image that can be used: all are masked, or dark field")
    return best


def usable_window(frame: Windowed, tile: Tile) -> Acquisition | None:
    """The images of a tile; None where none of them can be used.

    Parameters
    ----------
    frame : Windowed
    tile : Tile
    """
    try:
        seen = frame.window(tile.window)
    except NothingValid:
        return None
    return seen if seen.usable.any() else None

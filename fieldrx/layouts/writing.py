"""A draft on disk, and the picture beside it: images, and the directions of their light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.acquisition.images import files_of
from fieldrx.errors import InputError
from fieldrx.io import atomic_path, write_png
from fieldrx.io.files import same_file
from fieldrx.layouts.draft import Draft
from fieldrx.render.directions import LEFT, TOP, dot, empty_plane, framed_plane, pen
from fieldrx.render.pictures import grey_copy, write

_SIDE, _TILE, _GAP = 480, 230, 10  # pixels of the pupil plane, of an image, around it
_FOOT = 76  # below the plane
_ROWS, _COLUMNS = 2, 3
_BRIGHT, _DARK = (25, 80, 190), (213, 94, 0)


def usual_target(paths: Sequence[Path]) -> Path:
    """The acquisition.toml beside images: in their folder, or in that of the first file."""
    first = paths[0]
    home = first if first.is_dir() and first.suffix.lower() != ".zarr" else first.parent
    return home / "acquisition.toml"


def check_targets(path: Path, draft: Draft, overwrite: bool) -> None:
    """Refuse to replace a file that is there, or one of the images.

    Parameters
    ----------
    path : Path
        Of the acquisition.toml; its picture has the same name.
    draft : Draft
    overwrite : bool
        Whether the user wants files replaced that are there.

    Raises
    ------
    InputError
    """
    if path.suffix.lower() != ".toml":
        raise InputError(f"{path}: an acquisition is written as .toml; choose a name with that ending")
    needed = files_of(draft.content(), path.parent)
    for target in (path, path.with_suffix(".png")):
        if any(same_file(target, file) for file in needed):
            raise InputError(f"{target} is one of the images or their table; choose another name with -o")
        if target.exists() and not overwrite:
            raise InputError(f"{target} is there already; add --overwrite, or choose another name with -o")


def write_draft(draft: Draft, path: Path) -> None:
    """Write a draft as acquisition.toml."""
    with atomic_path(path) as temporary:
        temporary.write_text(draft.text(), encoding="utf-8")


def write_picture(acquisition: Acquisition, path: Path) -> None:
    """Write the picture of an acquisition: its directions, and images from the first to the last.

    Parameters
    ----------
    acquisition : Acquisition
    path : Path
        A .png.
    """
    light, scope = acquisition.illumination, acquisition.microscope
    reach = 1.08 * max(scope.objective_na, float(np.abs(light.sources_na).max()))
    axis = np.linspace(-reach, reach, _SIDE)
    plane, bright = empty_plane(axis, scope.objective_na), light.bright(scope)
    for na, inside in zip(light.sources_na, bright, strict=True):
        dot(plane, axis, na, 3 * pen(axis), _BRIGHT if inside else _DARK)
    canvas = framed_plane(plane, reach, "Directions of the light", _FOOT, 40 + _COLUMNS * (_TILE + _GAP))
    below = f"circle: aperture, na {scope.objective_na:g}, blue: bright field ({int(bright.sum())})"
    below += "" if bright.all() else f", orange: dark field ({int((~bright).sum())})"
    write(canvas, below, TOP + _SIDE + 50, LEFT, 11)
    _draw_images(canvas, acquisition)
    write_png(path, canvas)


def _draw_images(canvas: np.ndarray, acquisition: Acquisition) -> None:
    """Images with their numbers on the right, each between its own darkest and brightest parts."""
    usable = np.flatnonzero(acquisition.usable)
    usable = usable if usable.size else np.arange(acquisition.n_images)
    shown = usable[np.unique(np.linspace(0, len(usable) - 1, _ROWS * _COLUMNS).astype(int))]
    for place, number in enumerate(shown.tolist()):
        row, column = divmod(place, _COLUMNS)
        top, left = TOP + row * (_TILE + 24), LEFT + _SIDE + 30 + column * (_TILE + _GAP)
        grey = grey_copy(acquisition.stack[number], _TILE)
        canvas[top : top + grey.shape[0], left : left + grey.shape[1]] = grey[..., None]
        write(canvas, f"image {number}", top - 20, left, 11)

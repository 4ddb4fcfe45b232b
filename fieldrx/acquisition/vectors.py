"""Directions of the light in arrays of a data file, whatever their unit and axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition.schema import need
from fieldrx.errors import InputError, in_file, nearest
from fieldrx.io.variables import read_variable
from fieldrx.optics import Illumination, Microscope
from fieldrx.optics.units import MICROMETRES

_AXES = {"y": 0, "x": 1}
_LENGTHS = ("um", "mm", "m")


def read_vectors(table: dict[str, Any], n: int | None, microscope: Microscope, path: Path) -> Illumination:
    """One direction per image, from one array (n, 2) or two arrays (n,).

    Parameters
    ----------
    table : dict
        [illumination]: table, axes, unit and distance_um, see `fieldrx.acquisition.schema`.
    n : int, optional
        Number of images, when known.
    microscope : Microscope
    path : Path
        Of the acquisition.toml; names are relative to its folder.

    Raises
    ------
    InputError
        If there are not two numbers per image, or their axes or unit are unknown.
    """
    pairs = _pairs(table["table"], n, path)
    axes = need(table, "axes", "illumination")
    names = [str(name).lstrip("-") for name in axes]
    if sorted(names) != ["x", "y"]:
        raise InputError(
            f'[illumination] axes is {axes!r}; expected what the two numbers of a direction run along, "y" '
            'or "-y" '
            'and "x" or "-x", such as ["x", "-y"]'
        )
    yx = np.empty(pairs.shape)
    for name, values in zip(axes, pairs.T, strict=True):
        yx[:, _AXES[name.lstrip("-")]] = -values if name.startswith("-") else values
    return Illumination(_as_na(yx, table, microscope), distance_um=table.get("distance_um"))


def _pairs(source: str | list, n: int | None, path: Path) -> np.ndarray:
    """Two numbers per image, float64 of shape (n, 2)."""
    sources = [source] if isinstance(source, str) else source
    with in_file(path):
        arrays = [read_variable(str(s), path.parent).astype(np.float64).squeeze() for s in sources]
    shapes = " and ".join(str(a.shape) for a in arrays)
    if len(arrays) == 2 and arrays[0].shape == arrays[1].shape and arrays[0].ndim < 2:
        pairs = np.stack([np.atleast_1d(a) for a in arrays], axis=1)
    elif len(arrays) == 1 and arrays[0].shape in ((n or len(np.atleast_1d(arrays[0])), 2), (2,)):
        pairs = arrays[0].reshape(-1, 2)
    elif len(arrays) == 1 and arrays[0].ndim == 2 and len(arrays[0]) == 2:
        pairs = arrays[0].T
    else:
        pairs = np.empty((0, 2))
    if not len(pairs) or (n is not None and len(pairs) != n):
        raise InputError(
            f"[illumination] table holds directions of shape {shapes}; expected ({n or 'n_images'}, 2), or a "
            "list of two variables with one number per image each"
        )
    return pairs


def _as_na(yx: np.ndarray, table: dict[str, Any], microscope: Microscope) -> np.ndarray:
    """Directions (n, 2) in a unit as NA."""
    unit = table.get("unit", "na")
    if unit in _LENGTHS:  # of LEDs on a flat board
        across = yx * MICROMETRES[unit]
        distance = need(table, "distance_um", "illumination")
        if not distance > 0:
            raise InputError(
                f"[illumination] distance_um is {distance}; places of LEDs need a positive length in um"
            )
        return across / np.hypot(np.linalg.norm(across, axis=1), distance)[:, None]
    if unit == "degree":
        across = np.tan(np.deg2rad(yx))
        return across / np.hypot(np.linalg.norm(across, axis=1), 1)[:, None]
    factors = {
        "na": 1.0,
        "1/um": microscope.wavelength_um,
        "rad/um": microscope.wavelength_um / (2 * np.pi),
    }
    if unit not in factors:
        known = (*factors, "degree", *_LENGTHS)
        raise InputError(
            f"[illumination] unit is {unit!r}; expected {', '.join(known)}{nearest(unit, known)}"
        )
    return yx * factors[unit]

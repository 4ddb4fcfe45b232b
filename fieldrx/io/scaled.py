"""Arrays (z, y, x) with the scale that their files tell.

==============================  ==========================================================================
file                            scale and place
==============================  ==========================================================================
``.npy``                        none
``.tif``, ``.tiff``             ImageJ's (its unit a length) or OME's: spacing; of OME also positions
``.ome.zarr``, ``.zarr``        OME-NGFF: spacing and translation of the finest level
==============================  ==========================================================================

Beside z, y and x there may be axes of length 1, and two channels of which the second is the imaginary part:
files that fieldrx writes name it so.
"""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError, one_line
from fieldrx.io.files import check_file
from fieldrx.io.npy import open_npy
from fieldrx.io.spacing import SpacingUm, imagej_spacing, ome_elements, ome_length, zarr_transform
from fieldrx.io.tiff import open_tiff
from fieldrx.optics.units import length_um
from fieldrx.resources import memory_limit

_IMAGINARY = ("absorption", "imaginary")  # how the second channel's name begins
_TIFF, _ZARR = (".tif", ".tiff"), ".zarr"
ENDINGS = (".npy", *_TIFF, _ZARR)


@dataclass(frozen=True, eq=False)
class Scaled:
    """An array and where it lies.

    Parameters
    ----------
    values : (z, y, x) ndarray, real or complex
    spacing_um : three of float or None
        Along z, y and x; None where the file does not tell.
    origin_um : (float, float, float), optional
        Of the first voxel's centre.
    """

    values: np.ndarray
    spacing_um: tuple[float | None, float | None, float | None] = (None, None, None)
    origin_um: tuple[float, float, float] | None = None


def read_scaled(path: str | os.PathLike) -> Scaled:
    """Read the array of a file and its scale; the table above says which files.

    Raises
    ------
    InputError
        If the file is missing, damaged or too large, its ending unknown, an axis has no meaning here, or a
        package is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == _ZARR:
        return _zarr(path)
    if suffix in _TIFF:
        return _tiff(check_file(path, "a TIFF file"))
    if suffix == ".npy":
        return Scaled(_zyx(_npy(path), None, (), path))
    raise InputError(f"{path}: expected a volume that ends in .npz, {', '.join(ENDINGS)}")


def _check_size(shape: Sequence[int], itemsize: int, path: Path) -> None:
    size, (have, limit) = itemsize * math.prod(shape), memory_limit()
    if have is not None and 4 * size > have:
        raise InputError(
            f"{path}: {' x '.join(map(str, shape))} voxels of {size / 2**30:.3g} GiB are too many for the "
            f"memory ({limit} {have / 2**30:.1f} GiB); export a part, or coarser voxels"
        )


def _npy(path: Path) -> np.ndarray:
    array = open_npy(path)
    _check_size(array.shape, array.itemsize, path)
    return np.array(array)


def _zyx(array: np.ndarray, axes: Sequence[str] | None, channels: Sequence[str], path: Path) -> np.ndarray:
    """The array as (z, y, x): other axes of length 1 taken out, a second channel made imaginary."""
    names = list(axes) if axes is not None else ["z", "y", "x"][-array.ndim :] if array.ndim < 4 else []
    if len(names) != array.ndim or not {"y", "x"} <= set(names):
        raise InputError(f"{path}: an array of shape {array.shape}; expected three axes z, y, x")
    if array.dtype.kind not in "fc":
        raise InputError(
            f"{path}: holds {array.dtype} numbers, whose meaning is not known; expected an index or its "
            "contrast as floating-point numbers: convert it"
        )
    for name in [n for n in names if n not in "czyx"]:
        array = _single(array, names, name, path)
    if "z" not in names:
        array, names = array[None], ["z", *names]
    if "c" in names and array.shape[names.index("c")] == 2 and array.dtype.kind == "f":
        if len(channels) != 2 or not channels[1].lower().startswith(_IMAGINARY):
            raise InputError(
                f"{path}: two channels, {', '.join(channels) or 'without names'}; expected one, or a second "
                'that is called "absorption": export the index alone'
            )
        first, second = np.moveaxis(array, names.index("c"), 0)
        names.remove("c")
        array = first + 1j * second
    elif "c" in names:
        array = _single(array, names, "c", path)
    return np.ascontiguousarray(array.transpose([names.index(n) for n in "zyx"]))


def _single(array, names, name, path):
    """Without an axis, which has length 1."""
    at = names.index(name)
    if array.shape[at] != 1:
        raise InputError(
            f"{path}: {array.shape[at]} values along axis {name.upper()}; expected one volume z, y, x"
        )
    names.pop(at)
    return array.take(0, at)


# --- TIFF ----------------------------------------------------------------------------------------


def _tiff(path: Path) -> Scaled:
    with open_tiff(path) as tif:
        series = tif.series
        if len(series) != 1:
            raise InputError(f"{path}: holds {len(series)} series; expected one volume: export it alone")
        pages = [page for page in series[0].pages if page is not None]
        ends = [a + n for p in pages for a, n in zip(p.dataoffsets, p.databytecounts, strict=True)]
        if max(ends, default=0) > path.stat().st_size or len(pages) != len(series[0].pages):
            raise InputError(f"{path}: the file ends before its images do; copy or export it again")
        _check_size(series[0].shape, np.dtype(series[0].dtype).itemsize, path)
        axes = series[0].axes.lower()
        axes = "".join("z" if a in "iq" and "z" not in axes else a for a in axes)  # pages without a name
        ome, spacing, origin = tif.ome_metadata, imagej_spacing(tif), None
        channels = [str(label) for label in (tif.imagej_metadata or {}).get("Labels", ())][:2]
        values = series[0].asarray()
    if ome:
        spacing, origin, channels = _ome(ome, path)
    return Scaled(_zyx(values, list(axes), channels, path), spacing, origin)


def _ome(xml: str, path: Path) -> tuple[SpacingUm, tuple[float, float, float] | None, list[str]]:
    """Spacing, position of the first plane, and names of channels in OME-XML."""
    try:
        parts = ome_elements(xml)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its OME-XML is damaged ({one_line(error)}); export it again") from None
    pixels = parts.get("Pixels", [{}])[0]
    z, y, x = (ome_length(pixels, f"PhysicalSize{axis}") for axis in "ZYX")
    plane = next((p for p in parts.get("Plane", ()) if p.get("TheZ", "0") == "0"), {})
    a, b, c = (ome_length(plane, f"Position{axis}") for axis in "ZYX")
    origin = None if a is None or b is None or c is None else (a, b, c)
    return (z, y, x), origin, [channel.get("Name", "") for channel in parts.get("Channel", ())]


# --- OME-Zarr ------------------------------------------------------------------------------------


def _zarr(path: Path) -> Scaled:
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected an OME-Zarr")
    try:
        import zarr
    except ImportError:
        raise InputError(f"{path}: reading OME-Zarr needs zarr; pip install fieldrx[io]") from None
    try:
        group = zarr.open_group(path, mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        told = attributes.get("ome", attributes)
        scale = told["multiscales"][0]
        array: Any = group[scale["datasets"][0]["path"]]
        names = [
            axis["name"].lower() if isinstance(axis, dict) else str(axis).lower() for axis in scale["axes"]
        ]
        shape = tuple(array.shape)
        steps, shift = zarr_transform(scale)
        channels = [str(c.get("label", "")) for c in told.get("omero", {}).get("channels", ())]
        if len(names) != len(shape):
            raise ValueError(f"{len(names)} axes for an array of shape {shape}")
        _check_size(shape, np.dtype(array.dtype).itemsize, path)
        values = np.asarray(array[...])
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged folder can make a parser raise anything
        raise InputError(f"{path}: cannot be read as OME-Zarr ({one_line(error)}); export it again") from None
    values = _zyx(values, list(names), channels, path)
    axes = zip(names, scale["axes"], strict=True)
    known = {name: axis.get("unit") if isinstance(axis, dict) else None for name, axis in axes}
    z, y, x = (length_um(steps[names.index(n)], known[n]) if n in names else None for n in "zyx")
    a, b, c = (length_um(shift[names.index(n)], known[n]) if n in names else 0.0 for n in "zyx")
    return Scaled(values, (z, y, x), None if a is None or b is None or c is None else (a, b, c))

"""What a TIFF says of the optics that made it, and of time: OME, ImageJ and Micro-Manager."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from fieldrx.errors import InputError, one_line
from fieldrx.io.files import check_file
from fieldrx.io.spacing import imagej_spacing, ome_elements, ome_length, zarr_transform

_SECONDS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "min": 60.0, "h": 3600.0}
_ZARR_SECONDS = {"millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0}
_INTERVAL = "interval_s"


def read_metadata(path: Path) -> dict[str, tuple[float, str]]:
    """Optics that a TIFF names, each with the program whose words they are.

    Parameters
    ----------
    path : Path
        A file of another kind says nothing.

    Returns
    -------
    dict
        Of (value, "OME"), (value, "ImageJ") or (value, "Micro-Manager") under the names wavelength_um,
        objective_na and pixel_size_um; without what the file does not say, or says as 0.

    Raises
    ------
    InputError
        If the file is missing, or its description is damaged.
    """
    told = _told(path)
    return {name: told[name] for name in told if name != _INTERVAL}


def read_interval(path: Path) -> tuple[float, str] | None:
    """Time from one frame to the next [s] that a TIFF or an OME-Zarr names, with whose words they are.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        As of :func:`read_metadata`.
    """
    return _of_ome_zarr(path) if path.is_dir() else _told(path).get(_INTERVAL)


def _told(path: Path) -> dict[str, tuple[float, str]]:
    """Everything that a TIFF says."""
    if path.suffix.lower() not in (".tif", ".tiff", ".btf", ".ome"):
        return {}
    path = check_file(path, "a TIFF file")
    try:
        with tifffile.TiffFile(path) as tif:
            told = [  # a later program's word counts more than an earlier one's
                ("ImageJ", _of_imagej(tif)),
                ("Micro-Manager", _of_micromanager(tif)),
                ("OME", _of_ome(tif.ome_metadata)),
            ]
    except Exception as error:  # a damaged file can make a parser raise anything
        raise InputError(
            f"{path}: its metadata cannot be read ({one_line(error)}); copy or export it again"
        ) from None
    found: dict[str, tuple[float, str]] = {}
    for program, values in told:
        found |= {k: (v, program) for k, v in values.items() if np.isfinite(v) and v > 0}
    return found


def _of_imagej(tif: tifffile.TiffFile) -> dict[str, float]:
    """Pixels of a calibrated ImageJ image, whose resolution counts them per unit, and time of a frame."""
    told = tif.imagej_metadata or {}
    values = _interval(told.get("finterval"), told.get("tunit"))
    pixel = imagej_spacing(tif)[2]
    return values if pixel is None else values | {"pixel_size_um": pixel}


def _of_micromanager(tif: tifffile.TiffFile) -> dict[str, float]:
    """Pixels as Micro-Manager's configuration has them, of the first image or of the summary."""
    page = tif.pages.first.tags.get("MicroManagerMetadata")
    summary = (tif.micromanager_metadata or {}).get("Summary", {}) if tif.is_micromanager else {}
    names = (("PixelSizeUm", "PixelSize_um"), ("NumericalAperture", "ObjectiveNA"))
    told: Mapping[str, Any] = {**summary, **(page.value if page is not None and page.value else {})}
    values = {}
    for goal, keys in zip(("pixel_size_um", "objective_na"), names, strict=True):
        if (number := _number(next((told[k] for k in keys if k in told), None))) is not None:
            values[goal] = number
    return values | _interval(summary.get("Interval_ms"), "ms")


def _of_ome(text: str | None) -> dict[str, float]:
    """Pixels, wavelength, objective and time of a frame of the first image of OME-XML."""
    if not text:
        return {}
    elements = ome_elements(text)
    pixels, channel, objective = (elements.get(k, [{}])[0] for k in ("Pixels", "Channel", "Objective"))
    values = {"pixel_size_um": ome_length(pixels, "PhysicalSizeX")}
    values["wavelength_um"] = ome_length(channel, "EmissionWavelength", "nm")
    if values["wavelength_um"] is None:
        values["wavelength_um"] = ome_length(channel, "ExcitationWavelength", "nm")
    values["objective_na"] = _number(objective.get("LensNA"))
    known = {k: v for k, v in values.items() if v is not None}
    return known | _interval(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit"))


def _of_ome_zarr(path: Path) -> tuple[float, str] | None:
    """The scale of the axis of time of an OME-Zarr, version 2 or 3 of Zarr; None where it has no unit."""
    file = next((path / name for name in (".zattrs", "zarr.json") if (path / name).is_file()), None)
    try:
        told = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
        told = told.get("attributes", told)
        scales = told.get("ome", told).get("multiscales", ())
        if not scales:
            return None
        steps, _ = zarr_transform(scales[0])
        for axis, step in zip(scales[0]["axes"], steps.tolist(), strict=True):
            if axis.get("type") == "time" and axis.get("unit") in _ZARR_SECONDS:
                return step * _ZARR_SECONDS[axis["unit"]], "OME-Zarr"
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: its metadata cannot be read ({one_line(error)}); export it again"
        ) from None
    return None


def _interval(value: Any, unit: Any) -> dict[str, float]:
    """A time of a frame [s], in a unit that is seconds where none is said; nothing for none."""
    time, factor = _number(value), _SECONDS.get(str(unit or "s").strip().lower())
    return {} if time is None or factor is None else {_INTERVAL: time * factor}


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None  # a word where a number should be says nothing

"""Acquisitions in one archive: .npz, or .h5 with datasets or attributes at the root.

==============================  ====================================================================
key                             meaning
==============================  ====================================================================
images                          (n, y, x), any real type
illumination_na                 (n, 2) as (na_y, na_x), one source per image; or the next two
sources_na, pattern             (s, 2) and (n, s): weights of the sources in each image
distance_um                     optional: number or (s,), of the sources along the axis: directions then
                                change across the frame, from those at its centre
led_size_um, bandwidth_um       optional: numbers, of all lamps
within_um                       optional: number, distance from focus up to which sources stand for a
                                condenser
wavelength_um, objective_na,    numbers
medium_index, pixel_size_um      (lengths also as _nm, _mm, _cm, _m)
pixel_fill                      optional: number from 0, the default, to 1
background                      optional: number, (n,), (y, x) or (n, y, x)
dark, saturation, missing       optional, as above
exposure                        optional: number or (n,)
mask                            optional: (n, y, x), true where a pixel is valid
checksum                        optional: number that tells these images from others
levelled                        optional: true where each image was divided by its own level before
way                             optional: how the images were normalised before, in words
holdout                         optional: numbers of images
name, notes                     optional: text
==============================  ====================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition.data import Acquisition
from fieldrx.acquisition.schema import FILL, LAMPS, SCALARS
from fieldrx.acquisition.values import in_micrometres
from fieldrx.errors import InputError, in_file
from fieldrx.io import check_keys
from fieldrx.optics import Illumination, Microscope


def from_arrays(arrays: dict[str, np.ndarray], path: Path, optional: bool) -> Acquisition:
    """The acquisition that arrays hold; without images, if these are optional, its optics alone."""
    with in_file(path):
        arrays = in_micrometres(arrays, (*SCALARS, *LAMPS, "within_um"))
    check_keys(arrays, SCALARS, path, "acquisition")
    if not optional:
        check_keys(arrays, ("images",), path, "acquisition")
    with in_file(path):
        told = (name for name in (*SCALARS, FILL) if name in arrays)
        microscope = Microscope(**{name: _number(arrays, name) for name in told})
        images = arrays.get("images")
        n = len(images) if images is not None and images.ndim == 3 else None
        illumination = _illumination_of(arrays, n)
        notes = [str(note) for note in np.atleast_1d(arrays.get("notes", []))]
        common: dict[str, Any] = {
            "holdout": arrays.get("holdout", ()),
            "name": str(arrays.get("name", path.stem)),
            "notes": notes,
        }
        if images is None:
            return Acquisition(None, illumination, microscope, **common)
        return Acquisition.from_raw(
            images,
            illumination,
            microscope,
            background=arrays.get("background"),
            saturation=_scalar(arrays, "saturation"),
            dark=arrays.get("dark", 0.0),
            missing=_scalar(arrays, "missing"),
            mask=arrays.get("mask"),
            exposure=arrays.get("exposure"),
            checksum=_checksum(arrays),
            levelled=bool(_scalar(arrays, "levelled")),
            way=str(arrays["way"]) if "way" in arrays else None,
            **common,
        )


def _checksum(arrays: dict[str, np.ndarray]) -> int | None:
    value = arrays.get("checksum")
    if value is None:
        return None
    if value.size != 1 or value.dtype.kind not in "iu":
        raise InputError(f"checksum has shape {value.shape} and type {value.dtype}; expected a whole number")
    return int(value.item())


def _scalar(arrays: dict[str, np.ndarray], name: str) -> float | None:
    return _number(arrays, name) if name in arrays else None


def _number(arrays: dict[str, np.ndarray], name: str) -> float:
    value = arrays[name]
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise InputError(f"{name} has shape {value.shape} and type {value.dtype}; expected one number")
    return float(value.reshape(()))


def _illumination_of(arrays: dict[str, np.ndarray], n: int | None) -> Illumination:
    """Illumination of a .npz: one direction per image, or sources with a pattern."""
    names = [name for name in ("illumination_na", "sources_na") if name in arrays]
    if len(names) != 1 or ("pattern" in arrays and names != ["sources_na"]):
        present = ", ".join(k for k in ("illumination_na", "sources_na", "pattern") if k in arrays) or "none"
        raise InputError(
            "expected either illumination_na (n_images, 2), or sources_na (n_sources, 2) with pattern "
            f"(n_images, n_sources); it holds {present} of them"
        )
    directions, pattern = arrays[names[0]], arrays.get("pattern")
    for name, value in ((names[0], directions), ("pattern", pattern)):
        if value is not None and value.dtype.kind not in "iuf":
            raise InputError(f"{name} has type {value.dtype}; expected real numbers")
    rows = directions if pattern is None else pattern
    if n is not None and rows.ndim == 2 and len(rows) != n:
        name = names[0] if pattern is None else "pattern"
        raise InputError(
            f"{name} has {len(rows)} rows for {n} images; give one row per image"
            + (", or sources_na and pattern for several sources in one image" if pattern is None else "")
        )
    lamps = {name: _number(arrays, name) for name in LAMPS if name in arrays}
    within = _scalar(arrays, "within_um")
    light = Illumination(directions, pattern, arrays.get("distance_um"), within_um=within)
    return light.with_lamps(**lamps) if lamps else light

"""TIFF with its scale: ImageJ stacks, and OME-TIFF for what is larger or needs more words."""

from __future__ import annotations

import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from fieldrx.export.arrays import fill
from fieldrx.io import atomic_path

if TYPE_CHECKING:
    from fieldrx.export.times import Times
    from fieldrx.render.sampling import Samples

IMAGEJ_LIMIT = 2**32 - 2**25  # bytes; beyond it ImageJ's own layout has no room for offsets


def write_tiff(path: str | os.PathLike, *samples: Samples, times: Times | None = None) -> None:
    """Write samples as float32 TIFF that Fiji and napari open with its scale in um.

    A name that ends in .ome.tif gives OME-TIFF, as does an array too large for ImageJ's layout (4 GiB), in
    the BigTIFF form where it needs 64-bit offsets; any other name an ImageJ stack.  Complex samples have
    two channels.

    Parameters
    ----------
    path : path-like
    *samples : Samples
        ImageJ keeps its spacing; OME-TIFF also its origin, unless it is turned, and the channels' names.
        Several, on one lattice, are those of growing times.
    times : Times, optional
        Of several.
    """
    first, count = samples[0], (len(samples),) if times else ()
    nz, ny, nx = first.shape
    shape = nz, len(first.channels), ny, nx
    spacing = first.lattice.spacing_um
    large = first.nbytes * len(samples) > IMAGEJ_LIMIT
    if str(path).lower().endswith((".ome.tif", ".ome.tiff")) or large:
        layout: dict[str, Any] = {"ome": True, "metadata": _ome(first, times)}
    else:
        metadata = {"spacing": spacing[0], "unit": "um", "Labels": _labels(first) * len(samples)}
        if times and times.step_s is not None:
            metadata["finterval"] = times.step_s
        layout = {"imagej": True, "metadata": {"axes": "TZCYX" if times else "ZCYX", **metadata}}
    with atomic_path(path) as temporary:
        offset, _ = tifffile.imwrite(  # type: ignore[misc]  # a pair, as `returnoffset` asks for it
            temporary, shape=(*count, *shape), dtype=np.float32, byteorder="<", photometric="minisblack",
            resolution=(1 / spacing[2], 1 / spacing[1]), resolutionunit="NONE", returnoffset=True, **layout,
        )  # fmt: skip
        with open(temporary, "rb+") as file:
            for number, one in enumerate(samples):
                start = offset + 4 * number * math.prod(shape)
                fill(file, one, partial(_place, start, shape))


def _place(start, shape, channel, z, y):
    """Where a row begins."""
    _, channels, ny, nx = shape
    return start + 4 * nx * (y + ny * (channel + channels * z))


def _labels(samples):
    """One name per slice, as ImageJ shows it above the picture."""
    nz, z = samples.shape[0], samples.lattice
    names = samples.channels
    if not z.straight or nz == 1:
        return list(names) * nz
    places = z.origin_um[0] + z.spacing_um[0] * np.arange(nz)
    return [f"{name}, z = {place:.6g} um" for place in places for name in names]


def _ome(samples: Samples, times: Times | None) -> dict:
    """What tifffile turns into OME-XML."""
    lattice, channels = samples.lattice, len(samples.channels)
    metadata: dict[str, Any] = {
        "axes": "TZCYX" if times else "ZCYX",
        "Name": samples.label,
        "Channel": {"Name": list(samples.channels)},
    }
    if samples.described:
        metadata["Description"] = samples.described
    for name, size in zip("ZYX", lattice.spacing_um, strict=True):
        metadata |= {f"PhysicalSize{name}": size, f"PhysicalSize{name}Unit": "µm"}
    planes, count = samples.shape[0] * channels, len(times.values) if times else 1
    metadata["Plane"] = {}
    if times and times.seconds:
        metadata["Plane"] |= {"DeltaT": np.repeat(times.values, planes).tolist()}
        metadata["Plane"] |= {"DeltaTUnit": ["s"] * (planes * count)}
    if times and times.step_s is not None:
        metadata |= {"TimeIncrement": times.step_s, "TimeIncrementUnit": "s"}
    if lattice.straight:
        z = lattice.origin_um[0] + lattice.spacing_um[0] * np.arange(samples.shape[0])
        _, y, x = lattice.origin_um
        positions: dict[str, Any] = {"Z": np.repeat(z, channels), "Y": y, "X": x}
        for name, values in positions.items():
            metadata["Plane"][f"Position{name}"] = np.broadcast_to(values, planes).tolist() * count
            metadata["Plane"][f"Position{name}Unit"] = ["µm"] * (planes * count)
    return {name: value for name, value in metadata.items() if value != {}}

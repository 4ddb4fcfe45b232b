"""What a measurement leaves: a table, and labels for napari."""

from __future__ import annotations

import csv
import os

import numpy as np
import tifffile

from fieldrx.io import atomic_path
from fieldrx.measure.objects import NAMES, Measurement


def write_table(path: str | os.PathLike, measured: Measurement) -> None:
    """Write a .csv, a row an object: its label, its numbers, their standard deviations if known, its note.

    Parameters
    ----------
    path : path-like
    measured : Measurement
    """
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        ends = ("",) if measured.std is None else ("", "_std")
        writer.writerow(["label", *(name + end for name in NAMES for end in ends), "note"])
        for k, (values, note) in enumerate(zip(measured.values, measured.notes, strict=True)):
            std = None if measured.std is None else measured.std[k]
            both = values if std is None else np.stack([values, std], axis=1).ravel()
            writer.writerow([k + 1, *(f"{v:.9g}" for v in both), note])


def write_labels(path: str | os.PathLike, measured: Measurement) -> None:
    """Write the labels as an OME-TIFF with scale and place, which napari opens as a layer of labels.

    Parameters
    ----------
    path : path-like
    measured : Measurement
    """
    labels = measured.labels.astype(np.uint32)  # small integers napari takes for an image
    metadata: dict = {"axes": "ZYX", "Name": "labels"}
    for name, size in zip("ZYX", measured.grid.spacing_um, strict=True):
        metadata |= {f"PhysicalSize{name}": size, f"PhysicalSize{name}Unit": "µm"}
    z, (_, y, x) = measured.grid.axis(0), measured.grid.origin_um
    places = {"Z": z, "Y": np.full(len(z), y), "X": np.full(len(z), x)}
    metadata["Plane"] = {f"Position{name}": [float(v) for v in at] for name, at in places.items()}
    metadata["Plane"] |= {f"Position{name}Unit": ["µm"] * len(z) for name in "ZYX"}
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, labels, ome=True, metadata=metadata, photometric="minisblack", compression="zlib"
        )

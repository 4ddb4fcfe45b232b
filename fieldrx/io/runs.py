"""What writers of TIFF say beyond its tags: how many images there should be, what numbers mean."""

from __future__ import annotations

import math
import os
import re
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from fieldrx.errors import InputError
from fieldrx.io.choice import composed

_DENSITY = re.compile(r"\bo\.?d\b|density", re.IGNORECASE)
_INDEX = 54773648  # marks the index of images in the head of a file of Micro-Manager
_STRAIGHT_LINE = 0  # ImageJ's number for value = c0 + c1 n
_MANAGER = {"C": ("Channels", 0), "Z": ("Slices", 1), "T": ("Frames", 2), "P": ("Positions", 3)}


def check_promised(tif: tifffile.TiffFile, found: int, path: Path) -> None:
    """Refuse a file whose own description counts more images than it holds.

    Parameters
    ----------
    tif : tifffile.TiffFile
    found : int
        Number of images in it.
    path : Path
    """
    promised = 0
    if tif.is_imagej:
        promised = int((tif.imagej_metadata or {}).get("images", 1))
    elif tif.is_shaped and len(tif.series) == 1:
        shape = (tif.shaped_metadata or ({},))[0].get("shape", ())
        page = tif.pages.first
        promised = math.prod(shape) // math.prod(page.shape) if shape else 0
    if promised > found:
        raise InputError(
            f"{path}: TIFF cut short: it speaks of {promised} images and holds {found}: its writing or "
            "copying "
            "stopped early; copy or export it again"
        )


def ome_set(text: str, path: Path, pages: int) -> list[str]:
    """Why only a file's own pages are read, if so; a set of files of which some are not there is refused.

    Parameters
    ----------
    text : str
        OME-XML.
    path : Path
        The file that holds it.
    pages : int
        How many images it holds.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: its OME description is damaged ({error}); export it again") from None
    for element in root.iter():
        if element.tag.endswith("}BinaryOnly"):
            whole = element.attrib.get("MetadataFile", "another file")
            return [f"one file of a set that {whole} describes: only its own images are read"]
    parts = [e for e in root.iter() if e.tag.endswith("}UUID") and e.attrib.get("FileName")]
    files = {e.attrib["FileName"] for e in parts}
    own = {e.attrib["FileName"] for e in parts if e.text == root.attrib.get("UUID")}
    own |= {name for name in files if composed(name).lower() == composed(path.name).lower()}
    missing = sorted(name for name in files - own if not os.path.exists(path.parent / name))
    if missing and len(files) == 1 and _sizes(root) == pages:
        return [f"its OME description calls it {missing[0]}: taken as renamed, and its pages in their order"]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} of the {len(files | own)} files of this OME set are not there (first: "
            f"{missing[0]}): copy them beside it under their own names, or list the files that there are"
        )
    return []


def _sizes(root: ElementTree.Element) -> int:
    """Number of images that all Pixels elements count."""
    pixels = [e.attrib for e in root.iter() if e.tag.endswith("}Pixels")]
    return sum(math.prod(int(a.get(f"Size{c}", 1)) for c in "ZCT") for a in pixels)


def manager_notes(tif: tifffile.TiffFile, shape: dict[str, int]) -> list[str]:
    """What a run of Micro-Manager planned and did not write.

    Parameters
    ----------
    tif : tifffile.TiffFile
    shape : dict
        How many were found along C, Z, T and P.
    """
    about: dict[str, Any] = tif.micromanager_metadata or {}
    summary, index = about.get("Summary", {}), np.asarray(about.get("IndexMap", np.empty((0, 5))))
    notes = []
    for axis, (word, column) in _MANAGER.items():
        planned, found = int(summary.get(word, 1) or 1), shape.get(axis, 1)
        if planned <= found:
            continue
        if axis == "P":
            places = ", ".join(str(p) for p in np.unique(index[:, column]))
            notes.append(
                f"Micro-Manager's run had {planned} positions; read is position {places}, in this file"
            )
        else:
            notes.append(
                f"Micro-Manager planned {planned} {word.lower()}, {found} were written: the run stopped early"
            )
    return notes


def check_manager(path: Path, kind: str) -> None:
    """Refuse a file in which Micro-Manager's index of images is there and could not be followed.

    Parameters
    ----------
    path : Path
    kind : str
        Of the series that was found.
    """
    with open(path, "rb") as file:
        head = file.read(16).ljust(16, b"\0")
    magic, place = struct.unpack(("<" if head[:2] == b"II" else ">") + "8x2I", head)
    if magic == _INDEX and place and kind != "mmstack":
        raise InputError(
            f"{path}: Micro-Manager's index of its images cannot be followed: the file is damaged, or of a "
            "version "
            "that is not known; copy or export it again"
        )


class Calibration:
    """ImageJ's calibration of the numbers, where it is a straight line of intensities.

    Parameters
    ----------
    tif : tifffile.TiffFile
    """

    def __init__(self, tif: tifffile.TiffFile):
        about: dict[str, Any] = (tif.imagej_metadata or {}) if tif.is_imagej else {}
        self.notes: list[str] = []
        self.line: tuple[float, float] | None = None
        if "cf" not in about:
            return
        unit = str(about.get("vunit", ""))
        line = float(about.get("c0", 0)), float(about.get("c1", 1))
        if about["cf"] != _STRAIGHT_LINE or _DENSITY.search(unit):
            self.notes.append(
                f"ImageJ's calibration{f' to {unit}' if unit else ''} is left aside: the stored numbers are "
                "taken as "
                "intensities"
            )
        elif line != (0.0, 1.0):
            self.line = line
            self.notes.append(
                f"ImageJ's calibration applied: {line[0]:g} + {line[1]:g} times the stored number"
            )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """An image in calibrated numbers; whole ones stay whole."""
        if self.line is None:
            return image
        start, slope = self.line
        if image.dtype == np.uint16 and slope == 1 and start == -32768:
            return (image.astype(np.int32) - 32768).astype(np.int16)
        return (start + slope * image.astype(np.float64)).astype(np.float32)

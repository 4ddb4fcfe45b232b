"""Spacing of voxels, and where they lie, as ImageJ, OME-XML and OME-Zarr write it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile

from fieldrx.optics.units import length_um

SpacingUm = tuple[float | None, float | None, float | None]


def imagej_spacing(tif: tifffile.TiffFile) -> SpacingUm:
    """Along z, y and x [um] of a TIFF; None where its unit is no length, or nothing is told.

    Parameters
    ----------
    tif : TiffFile
        Its resolution counts pixels per unit.
    """
    told = tif.imagej_metadata or {}
    unit, lateral = told.get("unit"), []
    for axis in "YX":
        pixels, units = tif.pages.first.tags.valueof(f"{axis}Resolution") or (0, 0)
        length = length_um(units, unit)
        lateral.append(length / pixels if length is not None and pixels else None)
    return length_um(told.get("spacing"), unit), lateral[0], lateral[1]


def ome_elements(text: str) -> dict[str, list[Mapping[str, str]]]:
    """Attributes of all elements of OME-XML in their order, by the element's name.

    Parameters
    ----------
    text : str

    Raises
    ------
    xml.etree.ElementTree.ParseError
        If it is damaged.
    """
    found: dict[str, list[Mapping[str, str]]] = {}
    for element in ElementTree.fromstring(text).iter():
        found.setdefault(element.tag.rpartition("}")[2], []).append(element.attrib)
    return found


def ome_length(attributes: Mapping[str, str], name: str, unit: str = "µm") -> float | None:
    """A length [um] of an element of OME-XML; None for none.

    Parameters
    ----------
    attributes : dict
        Of the element.
    name : str
        Of the length.
    unit : str
        The usual one, which OME leaves out.
    """
    return length_um(attributes.get(name), attributes.get(f"{name}Unit", unit))


def zarr_transform(multiscale: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """One step along each axis of the finest level of an OME-Zarr, and where its first voxel lies.

    Parameters
    ----------
    multiscale : dict
        As OME-NGFF has it: transformations of the level come before those of all levels.

    Raises
    ------
    KeyError, TypeError or ValueError
        If it is damaged.
    """
    n = len(multiscale["axes"])
    steps, place = np.ones(n), np.zeros(n)
    for level in (multiscale["datasets"][0], multiscale):
        for transform in level.get("coordinateTransformations", ()):
            if transform["type"] == "scale":
                told = np.broadcast_to(np.asarray(transform["scale"], float), n)
                steps, place = steps * told, place * told
            elif transform["type"] == "translation":
                place = place + np.asarray(transform["translation"], float)
    return steps, place

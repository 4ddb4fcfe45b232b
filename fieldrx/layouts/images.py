"""Layouts of image files: one per LED with numbers in their names, or stacks with metadata."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldrx.acquisition.table import CALIBRATED
from fieldrx.errors import InputError
from fieldrx.io import list_pattern
from fieldrx.io.metadata import read_metadata
from fieldrx.layouts.draft import Draft, Key, asked
from fieldrx.layouts.listing import Listing

_IMAGES = (".tif", ".tiff", ".btf", ".png")
_COLUMN = re.compile(r"(x|c|col|column|h)[ _=-]*$", re.IGNORECASE)  # before the number of a column
_FOLLOWS = re.compile(r"_\d+(\.ome\.tiff?)$", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)")
_OPTICS = ("wavelength_um", "objective_na", "pixel_size_um")


@dataclass(frozen=True)
class Numbered:
    """Files whose names differ in one or two numbers.

    Parameters
    ----------
    pattern : Path
        With {n}, or {row} and {col}, in its name.
    names : tuple of str
        ("n",) or ("row", "col").
    example : Path
        One of the files.
    """

    pattern: Path
    names: tuple[str, ...]
    example: Path


def numbered_images(listing: Listing) -> Numbered | None:
    """The largest set of image files whose names differ in one or two numbers; None without any."""
    groups: dict[tuple, list[tuple[Path, list[str]]]] = defaultdict(list)
    for path in _leading(listing):
        if not set("{}") & set(path.name):
            parts = _NUMBER.split(path.name)
            groups[(path.parent, *parts[::2])].append((path, parts[1::2]))
    if not groups:
        return None
    files = max(groups.values(), key=len)
    vary = [k for k, values in enumerate(zip(*(n for _, n in files), strict=True)) if len(set(values)) > 1]
    if not 1 <= len(vary) <= 2:
        return None
    example = files[0][0]
    parts = _NUMBER.split(example.name)
    names = ["n"] if len(vary) == 1 else ["row", "col"]
    if len(vary) == 2 and _COLUMN.search(parts[2 * vary[0]]) and not _COLUMN.search(parts[2 * vary[1]]):
        names.reverse()
    for k, name in zip(vary, names, strict=True):
        parts[2 * k + 1] = f"{{{name}}}"
    return Numbered(example.parent / "".join(parts), tuple(sorted(names, reverse=True)), example)


def led_images(listing: Listing) -> Draft | None:
    """A folder of images whose names tell the LED, by row and column or by its number."""
    found = numbered_images(listing)
    if found is None:
        return None
    files = Key("images", "files", listing.name(found.pattern), "one LED each")
    return Draft(
        f"images with LED numbers ({found.pattern.name})",
        (*_optics(found.example), files, *(_table(listing) or _board(found))),
    )


def image_stack(listing: Listing) -> Draft | None:
    """One TIFF of all images, or a set of Micro-Manager's of which the first names the others."""
    stacks = _leading(listing)
    if not stacks:
        return None
    if len(stacks) > 1:
        names = ", ".join(path.name for path in stacks[:8])
        raise InputError(
            f"{listing.where} holds {len(stacks)} images or stacks ({names}) without numbers that tell them "
            "apart; give the file of one stack, or number images of one LED each, as led_01.tif, led_02.tif"
        )
    light = _table(listing) or [Key("illumination", "kind", "table", ""), *asked("illumination", "table")]
    files = Key("images", "files", listing.name(stacks[0]), "")
    return Draft(
        f"stack of images ({stacks[0].name}){_alike(listing, stacks[0])}",
        (*_optics(stacks[0]), files, *light),
    )


def _alike(listing: Listing, stack: Path) -> str:
    """A hint, where one file of several images of one LED each may have been taken for a stack of all."""
    names = {path.name for path in listing.beside if path.parent == stack.parent} - {stack.name}
    count = sum(_NUMBER.split(name)[::2] == _NUMBER.split(stack.name)[::2] for name in names)
    if not count:
        return ""
    return f"; {count} files beside it differ in numbers alone: where each is one image, give their folder"


def _leading(listing: Listing) -> list[Path]:
    """Image files without those that continue another, as NAME_1.ome.tif does NAME.ome.tif."""
    images = [path for path in listing.files if path.suffix.lower() in _IMAGES]
    firsts = {path: path.with_name(_FOLLOWS.sub(r"\1", path.name)) for path in images}
    return [path for path, first in firsts.items() if first == path or first not in images]


def _optics(path: Path) -> list[Key]:
    """What the metadata of an image say, and what they leave open."""
    told = read_metadata(path)
    keys = []
    for name in _OPTICS:
        if name in told:
            value, program = told[name]
            source = f"from the {program} metadata of {path.name}"
            keys.append(Key("microscope", name, float(f"{value:.9g}"), source))
        else:
            keys += asked("microscope", name)
    return keys + asked("microscope", "medium_index")


def _table(listing: Listing) -> list[Key]:
    """A csv of directions among the files beside the images."""
    heads = {path: _head(path) for path in listing.beside if path.suffix.lower() == ".csv"}
    found = [path for path, head in heads.items() if b"na_y" in head and b"na_x" in head]
    if not found:
        return []
    found = [path for path in found if CALIBRATED.encode() not in heads[path]] or found  # what was calibrated
    names = " or ".join(listing.name(path) for path in found)
    return [
        Key("illumination", "kind", "table", ""),
        Key("illumination", "table", names if len(found) == 1 else None, f"{names}, beside the images"),
        Key("illumination", "directions", "travel", 'or "led-position": calibrate and run check it'),
    ]


def _head(path: Path) -> bytes:
    """The first rows of a table in small letters."""
    with open(path, "rb") as file:
        return file.read(4096).replace(b"\0", b"").lower()  # UTF-16 as well


def _board(found: Numbered) -> list[Key]:
    """A board of LEDs, as far as the names tell of it."""
    keys = [Key("illumination", "kind", "led-grid", ""), *asked("illumination", "pitch_um", "distance_um")]
    if len(found.names) == 1:
        return [*keys, *asked("illumination", "centre", "shape")]
    leds = np.asarray(list_pattern(found.pattern, "")[1])
    middle = ((leds.min(axis=0) + leds.max(axis=0)) / 2).tolist()
    return [
        *keys,
        Key("illumination", "centre", middle, "the middle of the LEDs that are there; check it"),
        Key("illumination", "directions", "led-position", 'places, seen along the axis; or "travel"'),
    ]

"""The illumination that an acquisition.toml describes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition.schema import ILLUMINATION, POSITION, TEXT, TRAVEL, check_table, need, whole_numbers
from fieldrx.acquisition.table import read_table
from fieldrx.errors import InputError, NoSuchFile, in_file, nearest
from fieldrx.io import list_images, list_pattern
from fieldrx.optics import Illumination


def illumination_of(
    table: dict[str, Any], images_table: dict[str, Any], images: np.ndarray | None, path: Path
) -> Illumination:
    """The illumination of every image; `images` is None for optics alone."""
    light = _light_as_given(table, images_table, images, path)
    if table.get("directions", TRAVEL) == TRAVEL:
        return light
    return replace(light, sources_na=0.0 - light.sources_na)


def assumed_directions(table: dict[str, Any]) -> list[str]:
    """What to say of an LED board that does not tell which way its light goes: many think of places."""
    if table["kind"] == "table" or "directions" in table:
        return []
    return [
        f"[illumination] does not say what its {table['kind']} means: taken as directions of travel of the "
        f'light; if it says where the LEDs stand, set directions = "{POSITION}", else "{TRAVEL}"'
    ]


def _light_as_given(
    table: dict[str, Any], images_table: dict[str, Any], images: np.ndarray | None, path: Path
) -> Illumination:
    """The illumination with the signs of the file."""
    n = None if images is None else len(images)
    with in_file(path):
        kind = need(table, "kind", "illumination")
        if not isinstance(kind, str) or kind not in ILLUMINATION:
            raise InputError(
                f"[illumination] kind is {kind!r}; expected one of {', '.join(ILLUMINATION)}"
                + nearest(kind, ILLUMINATION)
            )
        known = {"kind": (TEXT,), "directions": (TEXT,), **ILLUMINATION[kind]}
        check_table(table, known, "illumination", path)
        if (directions := table.get("directions", TRAVEL)) not in (TRAVEL, POSITION):
            raise InputError(
                f'[illumination] directions is {directions!r}; expected "{TRAVEL}" (the numbers say where '
                f'the light travels to) or "{POSITION}" (where the LED stands)'
            )
        if kind == "led-ring":
            return _ring_of(table, n)
        files = images_table.get("files")
        if kind == "led-grid":
            return _grid_of(table, n, files, path.parent)
        source = need(table, "table", "illumination")
    return read_table(path.parent / source, n, _file_names(files, path.parent))


def _file_names(files: str | list[str] | None, folder: Path) -> list[str] | None:
    """Names of the files of one image each; None for a stack or when they are not there."""
    if files is None or (isinstance(files, str) and "{" not in files):
        return None
    try:
        return [p.name for p in list_images(files, folder)[0]]
    except NoSuchFile:
        return None


def _ring_of(table: dict[str, Any], n: int | None) -> Illumination:
    count, na = need(table, "count", "illumination"), need(table, "na", "illumination")
    if not isinstance(count, int):
        raise InputError(f"[illumination] count is {count!r}; expected a whole number")
    if n is not None and count != n:
        raise InputError(f"[illumination] count is {count} for {n} images; a ring has one LED per image")
    return Illumination.led_ring(count, na, table.get("start_deg", 0.0), table.get("clockwise", True))


def _grid_of(table: dict[str, Any], n: int | None, files: Any, folder: Path) -> Illumination:
    pitch, distance = need(table, "pitch_um", "illumination"), need(table, "distance_um", "illumination")
    for name, value in (("pitch_um", pitch), ("distance_um", distance)):
        if not value > 0:
            raise InputError(f"[illumination] {name} is {value}; expected a positive length in um")
    centre = _numbers_in(need(table, "centre", "illumination"), "centre", (2,))
    leds = _leds_of(table, files, folder)
    if n is not None and len(leds) != n:
        raise InputError(f"[illumination] names {len(leds)} LEDs for {n} images; name one LED per image")
    return Illumination.led_grid(leds, pitch, distance, centre, table.get("axes", ["row", "col"]))


def _leds_of(table: dict[str, Any], files: Any, folder: Path) -> np.ndarray:
    """Row and column of the LED of each image, shape (n, 2)."""
    pattern = isinstance(files, str) and "{" in files
    ways = [key for key in ("leds", "shape") if key in table] + (["the pattern of files"] if pattern else [])
    if len(ways) != 1:
        raise InputError(
            f"[illumination] says which LED lit each image by {' and '.join(ways) or 'nothing'}; expected "
            "one of leds = [[row, col], ...], shape = [rows, cols], or {row} and {col} in [images] files"
        )
    if "leds" in table:
        return _numbers_in(table["leds"], "leds", (len(table["leds"]), 2))
    if "shape" in table:
        rows, cols = whole_numbers(table["shape"], "shape", 2)
        if min(rows, cols) < 1:
            raise InputError(f"[illumination] shape is {[rows, cols]}; expected two positive whole numbers")
        return np.argwhere(np.ones((rows, cols), bool))
    return list_pattern(files, folder)[1]


def _numbers_in(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A list of TOML as numbers of one shape."""
    try:
        array = np.array(value)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf" or array.shape != shape or array.size == 0:
        came = f"{value!r:.60}"
        raise InputError(f"[illumination] {name} is {came}; expected numbers of shape {shape} as (row, col)")
    return array.astype(float)

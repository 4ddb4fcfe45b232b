"""The illumination that an acquisition.toml describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition.schema import (
    EVERY_LIGHT,
    ILLUMINATION,
    LAMPS,
    POSITION,
    TRAVEL,
    check_table,
    need,
    whole_numbers,
)
from fieldrx.acquisition.table import read_table
from fieldrx.acquisition.vectors import read_vectors
from fieldrx.errors import InputError, NoSuchFile, in_file, nearest
from fieldrx.io import Stack, is_pattern, list_images, list_pattern
from fieldrx.io.variables import is_variable
from fieldrx.optics import Illumination, Microscope
from fieldrx.optics.condenser import WHOLE


def illumination_of(
    table: dict[str, Any],
    images_table: dict[str, Any],
    stack: Stack | None,
    microscope: Microscope,
    path: Path,
) -> Illumination:
    """The illumination of every image that is kept; `stack` is None for optics alone."""
    with in_file(path):
        table = checked_light(table, path)
    light = _light_as_given(table, images_table, stack, microscope, path)
    if stack is not None and light.n_images > len(stack.kept):
        light = light.select(stack.kept)
    if table.get("directions", TRAVEL) != TRAVEL:
        light = replace(light, sources_na=0.0 - light.sources_na)
    if lamps := {name: table[name] for name in LAMPS if name in table}:
        with in_file(path):
            light = light.with_lamps(**lamps)
    region = images_table.get("region")
    return light if stack is None or region is None else light.at(place_of(region, stack.frame, microscope))


def place_of(window: Sequence[int], frame: tuple[int, int], microscope: Microscope) -> tuple[float, float]:
    """The centre of a window (y0, y1, x0, x1) of a frame, from the centre of the frame (y, x) [um]."""
    y0, y1, x0, x1 = window
    pixel = microscope.pixel_size_um
    return 0.5 * (y0 + y1 - frame[0]) * pixel, 0.5 * (x0 + x1 - frame[1]) * pixel


def assumed_directions(table: dict[str, Any]) -> list[str]:
    """What to say of numbers that do not tell which way the light goes: many think of places of LEDs."""
    named = table["kind"] == "table" and "axes" not in table  # columns of a csv table say it with their names
    whole = table["kind"] == "disc" and all(part == WHOLE for part in _parts_of(table, 1))  # same both ways
    if named or whole or "directions" in table:
        return []
    return [
        f"[illumination] does not say what its {table['kind']} means: taken as directions of travel of the "
        f'light; if it says where the LEDs stand, set directions = "{POSITION}", else "{TRAVEL}"'
    ]


def checked_light(table: dict[str, Any], path: Path) -> dict[str, Any]:
    """The table with lengths in um and numbers in place, its kind and directions known."""
    kind = need(table, "kind", "illumination")
    if not isinstance(kind, str) or kind not in ILLUMINATION:
        raise InputError(
            f"[illumination] kind is {kind!r}; expected one of {', '.join(ILLUMINATION)}"
            + nearest(kind, ILLUMINATION)
        )
    table = check_table(table, {**EVERY_LIGHT, **ILLUMINATION[kind]}, "illumination", path)
    if (directions := table.get("directions", TRAVEL)) not in (TRAVEL, POSITION):
        raise InputError(
            f'[illumination] directions is {directions!r}; expected "{TRAVEL}" (the numbers say where '
            f'the light travels to) or "{POSITION}" (where the LED stands)'
        )
    return table


def _light_as_given(
    table: dict[str, Any],
    images_table: dict[str, Any],
    stack: Stack | None,
    microscope: Microscope,
    path: Path,
) -> Illumination:
    """The illumination of points with the signs of the file; of a table, of the images that are kept."""
    n, kind = None if stack is None else stack.count, table["kind"]
    with in_file(path):
        if kind == "led-ring":
            return _ring_of(table, n)
        if kind == "disc":
            return _disc_of(table, n, microscope)
        files = images_table.get("files")
        if kind == "led-grid":
            return _grid_of(table, n, files, path.parent)
        source = need(table, "table", "illumination")
        if isinstance(source, list) or is_variable(source):
            return read_vectors(table, n, microscope, path)
        if extra := [key for key in ("axes", "unit") if key in table]:
            raise InputError(
                f"[illumination] {extra[0]} belongs to arrays such as data.mat:/na; the columns of {source} "
                "are na_y and na_x: leave it out"
            )
    light = read_table(
        path.parent / source, n, _file_names(files, path.parent), None if stack is None else stack.kept
    )
    with in_file(path):
        return light if "distance_um" not in table else replace(light, distance_um=table["distance_um"])


def _file_names(files: str | list[str] | None, folder: Path) -> list[str] | None:
    """Files of one image each, with their folders; None for a stack or when they are not there."""
    if files is None or (isinstance(files, str) and not is_pattern(files)):
        return None
    try:
        return [p.as_posix() for p in list_images(files, folder)[0]]
    except NoSuchFile:
        return None


def _ring_of(table: dict[str, Any], n: int | None) -> Illumination:
    count, na = need(table, "count", "illumination"), need(table, "na", "illumination")
    if not isinstance(count, int):
        raise InputError(f"[illumination] count is {count!r}; expected a whole number")
    if n is not None and count != n:
        raise InputError(f"[illumination] count is {count} for {n} images; a ring has one LED per image")
    return Illumination.led_ring(count, na, table.get("start_deg", 0.0), table.get("clockwise", True))


def _parts_of(table: dict[str, Any], n: int) -> list:
    """What shines of a condenser in every image, of which a text names one for all."""
    parts = table.get("parts", WHOLE)
    return [parts] * n if isinstance(parts, str) else parts


def _disc_of(table: dict[str, Any], n: int | None, microscope: Microscope) -> Illumination:
    na, depth = need(table, "na", "illumination"), need(table, "depth_um", "illumination")
    parts = _parts_of(table, n or 1)
    if n is not None and len(parts) != n:
        raise InputError(f"[illumination] parts names {len(parts)} for {n} images; name one for each image")
    return Illumination.disc(microscope, na, depth, table.get("inner_na", 0.0), parts)


def _grid_of(table: dict[str, Any], n: int | None, files: Any, folder: Path) -> Illumination:
    pitch, distance = need(table, "pitch_um", "illumination"), need(table, "distance_um", "illumination")
    for name, value in (("pitch_um", pitch), ("distance_um", distance)):
        if not value > 0:
            raise InputError(f"[illumination] {name} is {value}; expected a positive length in um")
    centre = _numbers_in(need(table, "centre", "illumination"), "centre", (2,))
    leds = _leds_of(table, n, files, folder)
    if n is not None and len(leds) != n:
        raise InputError(f"[illumination] names {len(leds)} LEDs for {n} images; name one LED per image")
    place = {"rotation_deg": table.get("rotation_deg", 0.0)}
    for name in ("tilt_deg", "offset_um"):
        place[name] = _numbers_in(table.get(name, [0, 0]), name, (2,), "(y, x)")
    return Illumination.led_grid(leds, pitch, distance, centre, table.get("axes", ["row", "col"]), **place)


def _leds_of(table: dict[str, Any], n: int | None, files: Any, folder: Path) -> np.ndarray:
    """Row and column of the LED of each image, shape (n, 2)."""
    pattern = isinstance(files, str) and "{row}" in files
    ways: list[str] = [key for key in ("leds", "shape", "spiral") if key in table]
    ways += ["the pattern of files"] if pattern else []
    if len(ways) != 1:
        raise InputError(
            f"[illumination] says which LED lit each image by {' and '.join(ways) or 'nothing'}; expected "
            "one of leds = [[row, col], ...], shape = [rows, cols], spiral = [first step, second step], or "
            "{row} and {col} in [images] files"
        )
    if "leds" in table:
        return _numbers_in(table["leds"], "leds", (len(table["leds"]), 2))
    if "shape" in table:
        rows, cols = whole_numbers(table["shape"], "shape", 2)
        if min(rows, cols) < 1:
            raise InputError(f"[illumination] shape is {[rows, cols]}; expected two positive whole numbers")
        return np.argwhere(np.ones((rows, cols), bool))
    if "spiral" in table:
        count = need(table, "count", "illumination") if n is None else n
        return _spiral(table["spiral"], *whole_numbers([count], "count", 1))
    return np.asarray(list_pattern(files, folder)[1])


def _spiral(steps: list, count: int) -> np.ndarray:
    """LEDs of a square spiral outwards from (0, 0): one step, one across, two back, two back, three, ..."""
    ways = {"row": (1, 0), "-row": (-1, 0), "col": (0, 1), "-col": (0, -1)}
    if len(steps) != 2 or not set(steps) <= set(ways) or len({s.lstrip("-") for s in steps}) != 2:
        raise InputError(
            f'[illumination] spiral is {steps!r}; expected the first two steps, one of "row", "-row" and '
            'one of "col", "-col"'
        )
    first, second = (np.array(ways[step]) for step in steps)
    moves = []
    for k in range(2 * int(np.ceil(np.sqrt(count)))):  # legs of 1, 1, 2, 2, 3, 3, ... steps
        leg = (first, second)[k % 2] * (-1) ** (k // 2)
        moves += [leg] * (k // 2 + 1)
    return np.cumsum([np.zeros(2, int), *moves], axis=0)[:count]


def _numbers_in(value: Any, name: str, shape: tuple[int, ...], axes: str = "(row, col)") -> np.ndarray:
    """A list of TOML as numbers of one shape."""
    try:
        array = np.array(value)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf" or array.shape != shape or array.size == 0:
        came = f"{value!r:.60}"
        raise InputError(f"[illumination] {name} is {came}; expected numbers of shape {shape} as {axes}")
    return array.astype(float)

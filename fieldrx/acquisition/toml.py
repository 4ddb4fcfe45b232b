"""acquisition.toml: read into an acquisition, and written."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldrx.acquisition.data import Acquisition
from fieldrx.acquisition.images import choice_of, frames_of, holdout_of, part_of, stack_of
from fieldrx.acquisition.light import assumed_directions, illumination_of, place_of
from fieldrx.acquisition.schema import (
    FILL,
    IMAGES,
    MICROSCOPE,
    SCALARS,
    TOP,
    check_names,
    check_table,
    check_type,
    need,
)
from fieldrx.errors import InputError, NoSuchFile, in_file, nearest, one_line
from fieldrx.io import Stack, check_keys, is_pattern, list_images
from fieldrx.io.checks import window
from fieldrx.io.metadata import read_metadata
from fieldrx.io.text import read_text
from fieldrx.optics import Illumination, Microscope

_CONTRADICTS = 0.02  # by which two numbers for one thing may differ
_LARGEST = 1e300
_SLIPS = {  # what people write, and what TOML wants
    "[\u2018\u2019\u201c\u201d\u201e]": 'write straight quotes, "',
    r'"[^"]*\\': "write / in paths, or put them in single quotes",
    r"=\s*[-+]?\d+,\d": "write a decimal point",
    r"=\s*[-+]?\.\d": "write 0 before the decimal point",
}


def read_content(content: dict, path: Path, wanted: str, region: Sequence[int] | None = None) -> Acquisition:
    """The acquisition that the content of an acquisition.toml tells of, at one time.

    Parameters
    ----------
    content : dict
        As of `parse_toml`.
    path : Path
        Of the file.
    wanted : str
        As `images` of `fieldrx.read_acquisition`.
    region : (int, int, int, int), optional
        A window (y0, y1, x0, x1) of what the file says, in pixels.
    """
    optics, table, stack = _optics_of(content, path, wanted, region)
    return optics if stack is None else _with_images(optics, table, stack, path)


def read_optics(content: dict, path: Path) -> tuple[Acquisition, tuple[int, int]]:
    """What an acquisition.toml says but for its images, of which one pixel is read, and their size (y, x).

    Parameters
    ----------
    content : dict
        As of `parse_toml`.
    path : Path
        Of the file.
    """
    optics, _, stack = _optics_of(content, path, "required", (0, 1, 0, 1))
    assert stack is not None  # they are required
    with in_file(path):
        rows, cols = window(stack.frame, content["images"].get("region"), path)
    y, x = place_of((rows.start, rows.stop, cols.start, cols.stop), stack.frame, optics.microscope)
    whole = replace(optics, illumination=optics.illumination.at((y, x)), notes=(*optics.notes, *stack.notes))
    return whole, (rows.stop - rows.start, cols.stop - cols.start)


def _optics_of(
    content: dict, path: Path, wanted: str, region: Sequence[int] | None
) -> tuple[Acquisition, dict[str, Any], Stack | None]:
    """The optics of a file, what it says of its images, and these as they are stored, if they are there."""
    required = wanted == "required"
    check_keys(content, ("microscope", "illumination", *["images"] * required), path, "acquisition")
    scope = check_table(content["microscope"], MICROSCOPE, "microscope", path)
    table = check_table(content.get("images", {}), IMAGES, "images", path)
    if required and "files" not in table:
        raise InputError(f'{path}: [images] lacks "files"; name the image file, such as files = "stack.tif"')
    with in_file(path):
        check_names(table)
        table |= {} if region is None else {"region": part_of(table, region)}
        choice = choice_of(table)
    stack = None if wanted == "unread" else stack_of(table, path.parent, choice, wanted == "optional")
    told = _metadata(table, path.parent)
    with in_file(path):
        microscope = _microscope_of({**_lacking(scope, told), **scope})
    illumination = _illumination(content["illumination"], table, stack, microscope, path)
    with in_file(path):
        holdout = holdout_of(table, stack)
    common = {
        "holdout": holdout,
        "name": content.get("name") or _name_of(path),
        "notes": [content["notes"]] if content.get("notes") else [],
    }
    common["notes"] += assumed_directions(content["illumination"])
    common["notes"] += _of_metadata(scope, told, microscope)
    with in_file(path):
        return Acquisition(None, illumination, microscope, **common), table, stack


def _with_images(optics: Acquisition, table: dict[str, Any], stack: Stack, path: Path) -> Acquisition:
    """An acquisition of stored images, normalised as [images] says."""
    with in_file(path):
        background, remarks = frames_of(table, "background", path.parent, stack)
        dark, more = frames_of(table, "dark", path.parent, stack, 0.0)
        exposure = frames_of(table, "exposure", path.parent, stack)[0]
        return Acquisition.from_raw(
            stack.images,
            optics.illumination,
            optics.microscope,
            background=background,
            saturation=table.get("saturation"),
            dark=dark,
            missing=table.get("missing"),
            exposure=exposure,
            fixed_pattern=table.get("fixed_pattern", False),
            gain=table.get("gain", False),
            holdout=optics.holdout,
            name=optics.name,
            notes=(*optics.notes, *stack.notes, *remarks, *more),
        )


def parse_toml(path: str | os.PathLike) -> dict:
    """The content of a file, its tables and top keys checked."""
    text = read_text(path, "an acquisition (.toml)", "TOML")
    try:
        content = tomllib.loads(text)
    except ValueError as error:  # of TOML, or of a whole number of thousands of digits
        raise InputError(f"{path}: not valid TOML: {one_line(error)}; {_remedy(text, error)}") from None
    except RecursionError:
        raise InputError(f"{path}: too many lists or tables within each other; flatten them") from None
    _check_whole_numbers(content, "", path)
    known = {**TOP, "microscope": (), "images": (), "illumination": ()}
    for name, value in content.items():
        if name not in known:
            raise InputError(
                f'{path}: unknown {"table" if isinstance(value, dict) else "key"} "{name}"; expected '
                f"[microscope], [images] and [illumination]{nearest(name, known)}"
            )
        if name in TOP:
            check_type(value, TOP[name], name, path)
        elif not isinstance(value, dict):
            raise InputError(f"{path}: {name} is {value!r}; expected a table [{name}]")
    return content


def _check_whole_numbers(value: Any, name: str, path: str | os.PathLike) -> None:
    """Refuse those that are larger than any float, wherever they stand."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(f"{path}: {name} has {len(str(abs(value)))} digits; expected a number of a few")
    if isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else ((name, part) for part in value):
            _check_whole_numbers(part, key, path)


def _remedy(text: str, error: ValueError) -> str:
    """What to do about the line that TOML stumbles over."""
    place = re.search(r"at line (\d+)", str(error))
    line = text.split("\n")[int(place[1]) - 1] if place else ""
    return next((words for pattern, words in _SLIPS.items() if re.search(pattern, line)), "correct that line")


def _metadata(table: dict[str, Any], folder: Path) -> dict[str, tuple[float, str]]:
    """What the first image file says of the optics; nothing where it is not there."""
    files = table.get("files", [])
    try:
        single = isinstance(files, str) and not is_pattern(files)
        paths = list_images([files] if single else files, folder)[0] if files else []
        return read_metadata(paths[0]) if paths else {}
    except NoSuchFile:
        return {}  # which the reader of images says, where they are needed


def _lacking(scope: dict[str, Any], told: dict[str, tuple[float, str]]) -> dict[str, float]:
    """What metadata say and [microscope] does not."""
    has = {*scope, *(["pixel_size_um"] if {"camera_pixel_um", "magnification"} & set(scope) else [])}
    return {name: value for name, (value, _) in told.items() if name not in has}


def _of_metadata(
    scope: dict[str, Any], told: dict[str, tuple[float, str]], microscope: Microscope
) -> list[str]:
    """Notes about what was taken from metadata, and about what contradicts them."""
    notes, lacking = [], _lacking(scope, told)
    for name, (value, program) in told.items():
        used = microscope.to_dict()[name]
        if name in lacking:
            notes.append(f"{name} {value:.6g} is taken from the {program} metadata of the images")
        elif abs(value / used - 1) > _CONTRADICTS:
            notes.append(
                f"{name} is {used:.6g} here and {value:.6g} in the {program} metadata of the images: the "
                "first is used"
            )
    return notes


def check_magnification(table: dict[str, Any]) -> None:
    """Refuse a magnification in [microscope] that is not positive."""
    if not table.get("magnification", 1) > 0:
        raise InputError(
            f"[microscope] magnification is {table['magnification']}; expected a positive number"
        )


def _microscope_of(table: dict[str, Any]) -> Microscope:
    values = {k: need(table, k, "microscope") for k in SCALARS[:3]}
    values |= {FILL: table[FILL]} if FILL in table else {}
    camera = [k for k in ("camera_pixel_um", "magnification") if k in table]
    if "pixel_size_um" in table:
        if camera:
            raise InputError(
                f"[microscope] has both pixel_size_um and {camera[0]}; keep pixel_size_um, or "
                "camera_pixel_um and magnification"
            )
        return Microscope(pixel_size_um=table["pixel_size_um"], **values)
    if len(camera) < 2:
        raise InputError(
            '[microscope] lacks "pixel_size_um", or both "camera_pixel_um" and "magnification"; '
            f"present: {', '.join(table)}"
        )
    check_magnification(table)
    return Microscope(pixel_size_um=table["camera_pixel_um"] / table["magnification"], **values)


def _illumination(
    table: dict[str, Any], images: dict[str, Any], stack: Stack | None, microscope: Microscope, path: Path
) -> Illumination:
    """The illumination of the images; where it is of another number, what they say of themselves is told."""
    try:
        return illumination_of(table, images, stack, microscope, path)
    except InputError as error:
        described = None if stack is None else _described(table, images, microscope, path)
        if stack is None or described in (None, stack.count):
            raise
        about = "; ".join([*stack.notes, *stack.other_axis(described)])
        raise InputError(f"{error} (of the images: {about})" if about else str(error)) from None


def _described(
    table: dict[str, Any], images: dict[str, Any], microscope: Microscope, path: Path
) -> int | None:
    """How many images an illumination describes by itself; None where it does not say."""
    try:
        return illumination_of(table, images, None, microscope, path).n_images
    except InputError:
        return None  # it has other faults, which the error at hand tells


def _name_of(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "acquisition" else path.stem


def toml_text(content: dict[str, Any]) -> str:
    """A dictionary as TOML: values first, then one table per dictionary, one level deep.

    Parameters
    ----------
    content : dict
        Of text, numbers, booleans, lists of these, and dictionaries of all that.
    """
    lines = [toml_line(k, v) for k, v in content.items() if not isinstance(v, dict)]
    for name, table in content.items():
        if isinstance(table, dict):
            lines += ["", f"[{_key(name)}]", *(toml_line(k, v) for k, v in table.items())]
    return "\n".join(lines) + "\n"


def toml_line(key: str, value: Any) -> str:
    """One key and its value, which may be a dictionary, as TOML."""
    return f"{_key(key)} = {_value(value)}"


def _key(name):
    return name if name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name) else _text(name)


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items())} }}"
    if isinstance(value, (int, float)):
        return repr(value)  # inf and nan are spelled alike
    raise TypeError(f"a {type(value).__name__} has no place in TOML")


def _text(text):
    """A basic string: quotes, backslashes and control characters escaped."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    escaped = (short.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text)
    return f'"{"".join(escaped)}"'

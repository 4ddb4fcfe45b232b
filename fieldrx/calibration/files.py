"""Calibrated acquisitions on disk, and the picture that shows what moved."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import numpy as np

from fieldrx.background import ESTIMATES
from fieldrx.errors import InputError
from fieldrx.io import atomic_path, list_images, write_png

_SIDE = 720  # pixels of the picture


def write_calibrated(path, source, calibration) -> list[Path]:
    """Write the acquisition with its corrected directions, and a picture of them.

    A .toml goes with a table beside it, names the images of `source`, which must be a .toml file, and keeps
    its settings; an .npz holds the images too, whatever `source` was.

    Parameters
    ----------
    path : path-like
        .toml or .npz
    source : path-like
        The acquisition that was calibrated.
    calibration : Calibration

    Returns
    -------
    list of Path
        What was written: the acquisition, its table if there is one, the picture.

    Raises
    ------
    InputError
        As of `check_target`.
    """
    path, source = Path(path), Path(source)
    check_target(path, source)
    written = _written(path)
    if path.suffix.lower() == ".npz":
        calibration.acquisition.save(path)
        write_png(written[-1], picture(calibration))
        return written
    content, table = _content(source), written[1]
    content["images"] = _moved_paths(content["images"], source.parent, path.parent)
    if calibration.levels:
        content["images"]["gain"] = True
    content["illumination"] = {"kind": "table", "table": table.name, "directions": "travel"}
    content["notes"] = "; ".join(filter(None, [content.get("notes", ""), *calibration.notes]))
    with atomic_path(table) as temporary:
        temporary.write_text(_table_text(calibration), encoding="utf-8")
    with atomic_path(path) as temporary:
        temporary.write_text(toml_text(content), encoding="utf-8")
    write_png(written[-1], picture(calibration))
    return written


def check_target(path, source) -> None:
    """Refuse a name for a calibrated acquisition that `write_calibrated` cannot or must not write.

    Raises
    ------
    InputError
        If `path` is no .npz, nor a .toml of an acquisition that is a .toml file too, or if what goes with it
        would replace the source or a file that the source names.
    """
    path, source = Path(path), Path(source)
    endings = path.suffix.lower(), source.suffix.lower()
    if endings[0] not in (".toml", ".npz"):
        raise InputError(f"{path}: a calibrated acquisition is written as .toml or .npz; choose such a name")
    if endings[0] == ".toml" and endings[1] != ".toml":
        raise InputError(
            f"{path}: {source} holds its images itself; write the calibrated acquisition as .npz"
        )
    needed = [source, *(_named(_content(source), source.parent) if endings[1] == ".toml" else [])]
    for target in _written(path):
        if any(_same(target, file) for file in needed):
            raise InputError(
                f"{path}: {target} would be written, but {source} is made from that file; choose another name"
            )


def _written(path):
    """All files that go with a calibrated acquisition: itself, its table if there is one, the picture."""
    endings = (".csv", ".png") if path.suffix.lower() == ".toml" else (".png",)
    return [path, *(path.with_suffix(ending) for ending in endings)]


def _content(source):
    with open(source, "rb") as file:
        return tomllib.load(file)


def _named(content, folder):
    """Files that an acquisition.toml names."""
    images = content["images"]
    files = [images[k] for k in ("background", "dark") if isinstance(images.get(k), str)]
    files += [content["illumination"][k] for k in ("table",) if k in content["illumination"]]
    several = isinstance(images["files"], list) or "{" in images["files"]
    files += [] if several else [images["files"]]
    single = list_images(images["files"], folder)[0] if several else []
    return [*single, *(folder / name.partition(":/")[0] for name in files)]


def _same(a, b):
    """Whether two names mean one file, links and the case of letters included."""
    return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()


def toml_text(content) -> str:
    """A dictionary as TOML: values first, then one table per dictionary, one level deep.

    Parameters
    ----------
    content : dict
        Of text, numbers, booleans, lists of these, and dictionaries of all that.
    """
    lines = [f"{_key(k)} = {_value(v)}" for k, v in content.items() if not isinstance(v, dict)]
    for name, table in content.items():
        if isinstance(table, dict):
            lines += ["", f"[{_key(name)}]", *(f"{_key(k)} = {_value(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def _key(name):
    return name if name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name) else _text(name)


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (int, float)):
        return repr(value)  # inf and nan are spelled alike
    raise TypeError(f"a {type(value).__name__} has no place in TOML")


def _text(text):
    """A basic string: quotes, backslashes and control characters escaped."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    escaped = (short.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else c) for c in text)
    return f'"{"".join(escaped)}"'


def _moved_paths(images, old, new):
    """The [images] table with file names relative to another folder."""

    def moved(name):
        head, colon, inner = name.partition(":/")
        if os.path.isabs(head):
            return name
        return os.path.relpath(old / head, new).replace(os.sep, "/") + colon + inner

    images = dict(images)
    for key in ("files", "background", "dark"):
        value = images.get(key)
        if isinstance(value, str) and not (key == "background" and value in ESTIMATES):
            images[key] = moved(value)
        elif isinstance(value, list) and key == "files":
            images[key] = [moved(v) for v in value]
    return images


def _table_text(calibration):
    """The table: one row per source of an image; what the reader does not need stands behind."""
    light, intensities = calibration.acquisition.illumination, calibration.intensities
    lines = ["image,na_y,na_x,weight,table_na_y,table_na_x,measured_na_y,measured_na_x,outlier"]
    lines[0] += "" if intensities is None else ",intensity"
    for image, row in enumerate(light.pattern):
        measured, outlier = calibration.measured_na[image], int(image in calibration.outliers)
        last = "" if intensities is None else f",{intensities[image]:.5f}"
        for s in np.flatnonzero(row):
            found, nominal = calibration.found_na[s], calibration.nominal_na[s]
            numbers = [
                *(f"{v:.7f}" for v in found),
                f"{row[s]:.9g}",
                *(f"{v:.7f}" for v in (*nominal, *measured)),
            ]
            lines.append(f"{image},{','.join(numbers)},{outlier}{last}")
    return "\n".join(lines) + "\n"


def picture(calibration) -> np.ndarray:
    """The pupil plane: directions of the table (grey rings) and those found (blue; red for outliers).

    The circle is the objective's aperture; y runs downwards, as on a displayed image.

    Returns
    -------
    uint8 array, shape (720, 720, 3)
    """
    aperture = calibration.acquisition.microscope.objective_na
    found, nominal = calibration.found_na, calibration.nominal_na
    reach = 1.08 * max(aperture, np.abs(found).max(), np.abs(nominal).max())
    axis = np.linspace(-reach, reach, _SIDE)
    y, x = axis[:, None], axis[None, :]
    canvas = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
    width = 1.2 * (axis[1] - axis[0])
    canvas[np.abs(np.hypot(y, x) - aperture) < width] = (60, 60, 60)
    strange = np.zeros(len(found), bool)
    if len(calibration.outliers):
        strange = calibration.acquisition.illumination.pattern[calibration.outliers].any(axis=0)
    for a, b in zip(nominal, found, strict=True):
        for share in np.linspace(0, 1, 60):
            _dot(canvas, axis, a + share * (b - a), width, (190, 190, 190))
    for a in nominal:
        ring = np.abs(np.hypot(y - a[0], x - a[1]) - 4.5 * width) < 0.8 * width
        canvas[ring] = (150, 150, 150)
    for b, odd in zip(found, strange, strict=True):
        _dot(canvas, axis, b, 3.2 * width, (200, 40, 30) if odd else (25, 80, 190))
    return canvas


def _dot(canvas, axis, place, radius, colour):
    rows, columns = (np.flatnonzero(np.abs(axis - p) <= radius) for p in place)
    inside = np.hypot(axis[rows, None] - place[0], axis[columns] - place[1]) <= radius
    canvas[np.ix_(rows, columns)] = np.where(inside[..., None], colour, canvas[np.ix_(rows, columns)])

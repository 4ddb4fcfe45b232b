"""Calibrated acquisitions on disk, and the picture that shows what moved."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.acquisition.frames import still_content
from fieldrx.acquisition.images import files_of, numbers_of
from fieldrx.acquisition.schema import with_files
from fieldrx.acquisition.table import CALIBRATED
from fieldrx.acquisition.toml import parse_toml, toml_text
from fieldrx.errors import InputError
from fieldrx.io import atomic_path, write_png
from fieldrx.io.files import same_file
from fieldrx.render.directions import LEFT, TOP, dot, empty_plane, framed_plane, pen, ring
from fieldrx.render.lettering import drawable
from fieldrx.render.pictures import write

if TYPE_CHECKING:
    from fieldrx.calibration.calibrate import Calibration

_SIDE = 720  # pixels of the pupil plane
_FOOT, _RIGHT = 140, 30  # pixels below it and on its right
_FOUND, _ODD, _MOVED = (25, 80, 190), (200, 40, 30), (190, 190, 190)


def write_calibrated(
    path: str | os.PathLike, source: str | os.PathLike, calibration: Calibration
) -> list[Path]:
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
    content, table = parse_toml(source), written[1]
    kept = numbers_of(still_content(source)["images"], source.parent, calibration.acquisition.n_images)
    content["images"] = with_files(content["images"], _elsewhere(source.parent, path.parent))
    if any(isinstance(value, str) for value in content["microscope"].values()):  # names of files elsewhere
        content["microscope"] = calibration.acquisition.microscope.to_dict()
    if calibration.levels:
        content["images"]["gain"] = True
    content["illumination"] = {"kind": "table", "table": table.name, "directions": "travel"}
    if (distance := _of_whole_frame(calibration).distance_um) is not None:
        content["illumination"]["distance_um"] = float(distance[0])
    content["illumination"] |= _of_whole_frame(calibration).lamp_lengths()
    content["notes"] = "; ".join(filter(None, [content.get("notes", ""), *calibration.notes]))
    with atomic_path(table) as temporary:
        temporary.write_text(_table_text(calibration, kept), encoding="utf-8")
    with atomic_path(path) as temporary:
        temporary.write_text(toml_text(content), encoding="utf-8")
    write_png(written[-1], picture(calibration))
    return written


def check_target(path: str | os.PathLike, source: str | os.PathLike) -> None:
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
    needed = _needed(source)
    for target in _written(path):
        if any(same_file(target, file) for file in needed):
            raise InputError(
                f"{path}: {target} would be written, but {source} is made from that file; choose another name"
            )


def _written(path):
    """All files that go with a calibrated acquisition: itself, its table if there is one, the picture."""
    endings = (".csv", ".png") if path.suffix.lower() == ".toml" else (".png",)
    return [path, *(path.with_suffix(ending) for ending in endings)]


def _needed(source):
    """The source, and the files that it names."""
    if source.suffix.lower() != ".toml":
        return [source]
    return [source, *files_of(still_content(source), source.parent)]


def _elsewhere(old, new):
    """The change of a file's name, from relative to one folder to relative to another."""

    def moved(name):
        head, colon, inner = name.partition(":/")
        if os.path.isabs(head):
            return name
        return os.path.relpath(old / head, new).replace(os.sep, "/") + colon + inner

    return moved


def _of_whole_frame(calibration):
    """The light as a table tells it: at the centre of the whole frame, its sources equally far."""
    light = calibration.acquisition.illumination
    if light.distance_um is not None:
        light = replace(light, distance_um=np.median(light.distance_um))
    return light.at((0.0, 0.0))


def _table_text(calibration, kept):
    """The table: a row per source of an image, by its number; what the reader does not need stands behind."""
    light, intensities = _of_whole_frame(calibration), calibration.intensities
    lines = [f"image,na_y,na_x,weight,{CALIBRATED},table_na_x,measured_na_y,measured_na_x,outlier"]
    lines[0] += "" if intensities is None else ",intensity"
    for image, row in enumerate(light.pattern):
        measured, outlier = calibration.measured_na[image], int(image in calibration.outliers)
        number, last = kept[image], "" if intensities is None else f",{intensities[image]:.5f}"
        for s in np.flatnonzero(row):
            found, nominal = light.sources_na[s], calibration.nominal_na[s]
            numbers = [
                *(f"{v:.7f}" for v in found),
                f"{row[s]:.9g}",
                *(f"{v:.7f}" for v in (*nominal, *measured)),
            ]
            lines.append(f"{number},{','.join(numbers)},{outlier}{last}")
    return "\n".join(lines) + "\n"


def picture(calibration: Calibration) -> np.ndarray:
    """The pupil plane: directions of the table (grey rings) and those found (blue; red for outliers).

    The circle is the objective's aperture; axes are in NA, and y runs downwards, as on a displayed image.  A
    legend says all this.

    Returns
    -------
    uint8 array, shape (916, 820, 3)
    """
    aperture = calibration.acquisition.microscope.objective_na
    found, nominal = calibration.found_na, calibration.nominal_na
    reach = 1.08 * max(aperture, np.abs(found).max(), np.abs(nominal).max())
    axis = np.linspace(-reach, reach, _SIDE)
    plane = _pupil_plane(axis, aperture, found, nominal, _accused(calibration))
    name = calibration.acquisition.name
    title = f"Directions of the light{f': {_drawable(name)}' if name else ''}"
    canvas = framed_plane(plane, reach, title, _FOOT, _RIGHT)
    _legend(canvas, calibration)
    return canvas


def _accused(calibration):
    """Which sources belong to outliers, bool of shape (n_sources,)."""
    strange = np.zeros(len(calibration.found_na), bool)
    if len(calibration.outliers):
        strange = calibration.acquisition.illumination.pattern[calibration.outliers].any(axis=0)
    return strange


def _pupil_plane(axis, aperture, found, nominal, strange):
    """The directions within a square, whose pixels lie at `axis` along y and x."""
    canvas, width = empty_plane(axis, aperture), pen(axis)
    for a, b in zip(nominal, found, strict=True):
        for share in np.linspace(0, 1, 60):
            dot(canvas, axis, a + share * (b - a), width, _MOVED)
    for a in nominal:
        ring(canvas, axis, a, width)
    for b, odd in zip(found, strange, strict=True):
        dot(canvas, axis, b, 3.2 * width, _ODD if odd else _FOUND)
    return canvas


def _legend(canvas, calibration):
    """What the marks mean, with a sample of each, below the plane."""
    aperture = calibration.acquisition.microscope.objective_na
    outliers = len(calibration.outliers)
    turned = f"directions times {calibration.board.scale:.3f}, turned {calibration.board.rotation_deg:+.1f}°"
    words = [
        ("table", f"as the table says ({len(calibration.nominal_na)})", 0, 0),
        ("found", "found", 0, 290),
        ("circle", f"aperture of the objective, na {aperture:g}", 1, 0),
        ("moved", f"moved by calibration: {turned}", 2, 0),
    ]
    if outliers:
        words.append(("odd", f"contradicts the board ({outliers})", 0, 400))
    for mark, text, row, column in words:
        top, left = TOP + _SIDE + 54 + 24 * row, LEFT + column
        patch = canvas[top : top + 20, left : left + 20]
        axis = np.arange(20.0) - 9.5
        if mark == "table":
            ring(patch, axis, (0.0, 0.0), 1.2)
        elif mark in ("moved", "circle"):
            patch[9:12] = _MOVED if mark == "moved" else 60
        else:
            dot(patch, axis, (0.0, 0.0), 4.5, _FOUND if mark == "found" else _ODD)
        write(canvas, text, top, left + 28, 11)


def _drawable(text):
    """The letters of a text that can be drawn."""
    return "".join(c for c in text[:40] if c == " " or drawable(c))

"""What an acquisition.toml may say, once for reading and for writing.

TOML, beside the images; every file name is relative to the TOML file.  Unknown keys are errors.  A key that
ends in _um may end in _nm, _mm, _cm or _m instead.  A number may stand in a data file: "data.mat:/wlength *
1e6" is the variable wlength, times a factor or as it is; also of .h5, .npz and .npy.

=================  ====================  ==========================================================
table              key                   meaning
=================  ====================  ==========================================================
(top)              name, notes           text, both optional; the name is else taken from the file
[microscope]       wavelength_um         vacuum wavelength [um]
\\                  objective_na          numerical aperture of the objective
\\                  medium_index          refractive index of the medium
\\                  pixel_size_um         pixel in the sample [um]; or the next two
\\                  camera_pixel_um       pixel of the camera [um], together with
\\                  magnification         from sample to camera
\\                  pixel_fill            side of a pixel's sensitive part over the pixel's, 0 to 1: models
\\                                        take the mean of the light over it; by default 0, a point
[images]           files                 what `fieldrx.io.read_images` reads
\\                  time                  the axis that counts the frames of a film, by its name: "T".  Or
\\                                        names in ``files`` (and ``background``, ``dark``) hold {t} for the
\\                                        number of the frame: "t{t}.tif", "t{t}/img_{n}.tif".  Every
\\                                        frame is then an acquisition of its own, to which all else
\\                                        here applies; what makes no film takes the first
\\                  interval_s            time from one frame number to the next [s], where the file (OME,
\\                                        ImageJ, Micro-Manager, OME-Zarr) does not tell
\\                  axes                  names of the stored axes in their order, where the file does not
\\                                        tell: "TCYX", or ["led", "y", "x"]
\\                  axis                  what counts the images: an axis by its number from 0 (-1 is the
\\                                        last) or its name; several letters are counted through, the
\\                                        last fastest: "ZC"
\\                  select                { C = 0, T = 3 }: places along the other axes, from 0; series = 1
\\                                        chooses among several stacks in a TIFF
\\                  exclude               images to leave out, by number from 0, or by the name of their
\\                                        file; all other numbers and tables count as if they were there
\\                  region                [y0, y1, x0, x1] in pixels, ends excluded; the images, and
\\                                        a background or dark image, are cut to it when they are
\\                                        read: nothing outside is used, and y = x = 0 is the first
\\                                        pixel of the region.  Where the board's distance is known,
\\                                        directions are those at its centre
\\                  holdout               numbers of images kept for evaluation, from 0
\\                  background            number, one number per image, "smooth", "mean", "median", or
\\                                        an image file as in ``files``: see `fieldrx.background`
\\                  fixed_pattern, gain   true to divide out dust that stays put, and to level lamps that
\\                                        flicker: see `fieldrx.background`; by default false
\\                  exposure              number per image, relative: time times the lamp's brightness.  A
\\                                        background of all images is multiplied by it, and dark-field
\\                                        images are taken over the bright-field level at theirs
\\                  dark                  number or image file: the camera without light.  More frames
\\                                        than one, of it or of the background, are averaged where
\\                                        they are not as many as the images
\\                  saturation            counts from which a pixel is saturated
\\                  missing               the value that marks a missing pixel
[illumination]     kind                  "table", "led-grid", "led-ring" or "disc"
\\                  directions            "travel", the default: the numbers say where the light travels to;
\\                                        "led-position": they say where the LED stands, seen along the
\\                                        optical axis, so that its light travels towards (-y, -x).  The
\\                                        wrong one turns a dense sample into a hole
\\                  led_size_um           diameter of every LED [um], where the board's distance is known:
\\                                        models sum over points of it; by default a point
\\                  bandwidth_um          full width of the spectrum at half its maximum [um]: models sum
\\                                        over wavelengths; by default one
kind "table"       table                 csv file, see `read_table`; or a variable such as
\\                                        "data.mat:/na" of shape (n, 2), also of .h5, .npz and .npy, or a
\\                                        list of two of shape (n,)
\\                  distance_um           from the board to the sample [um]: then directions, which hold
\\                                        for the centre of the whole frame, change across it
\\                  axes                  of a variable: what the two numbers run along: "y" or "-y" and
\\                                        "x" or "-x", such as ["x", "-y"]
\\                  unit                  of a variable: "na", the default; "degree": angles to the optical
\\                                        axis, seen from the side; "1/um", "rad/um": wave vectors
\\                                        across; "um", "mm", "m": places of LEDs on a flat board, which
\\                                        needs its distance
kind "led-grid"    pitch_um              distance of neighbouring LEDs [um]
\\                  distance_um           from the board to the sample [um]
\\                  centre                [row, col] on the optical axis, may be fractions
\\                  axes                  what runs along the image's y and x: two of "row", "-row",
\\                                        "col", "-col"; by default ["row", "col"]
\\                  leds                  [[row, col], ...] of each image; or
\\                  shape                 [rows, cols]: all LEDs, row by row, from (0, 0); or
\\                  spiral                the first two steps of a square spiral outwards from LED (0, 0),
\\                                        such as ["col", "row"]: 1 col, 1 row, 2 back, 2 back, 3 ...; or
\\                                        neither, when ``files`` is a pattern of {row} and {col}
\\                  count                 of LEDs of a spiral, where there are no images
\\                  offset_um             [y, x] by which the board is shifted [um]; by default none
\\                  rotation_deg          of the board, from +x towards +y; by default 0
\\                  tilt_deg              [y, x] by which the side of growing y, x is farther; by default none
kind "led-ring"    count                 number of LEDs and of images
\\                  na                    numerical aperture of the ring
\\                  start_deg             angle of the first LED, from +x towards +y; by default 0
\\                  clockwise             as seen on a displayed image; by default true
kind "disc"        na                    numerical aperture of a condenser, as it is set
\\                  inner_na              of its hole, where it is annular; by default 0
\\                  depth_um              how far the sample reaches from the plane in focus [um]: as many
\\                                        sources stand for the condenser as that depth needs
\\                  parts                 what shines in each image: "whole"; or the half whose light travels
\\                                        "right", "down", "left" or "up"; or an angle, from +x towards
\\                                        +y.  A list, or one text for all images; by default "whole"
=================  ====================  ==========================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fieldrx.acquisition.values import plain
from fieldrx.background import ESTIMATES
from fieldrx.errors import InputError, in_file, nearest
from fieldrx.optics.units import check_lengths

SCALARS, FILL = ("wavelength_um", "objective_na", "medium_index", "pixel_size_um"), "pixel_fill"
_NUMBER, TEXT, _LIST, _TABLE = "a number", "text", "a list", "a table such as { C = 0 }"

TOP = {"name": (TEXT,), "notes": (TEXT,)}
MICROSCOPE = dict.fromkeys((*SCALARS, "camera_pixel_um", "magnification", FILL), (_NUMBER,))
IMAGES = {
    "files": (TEXT, _LIST),
    "time": (TEXT,),
    "interval_s": (_NUMBER,),
    "axes": (TEXT, _LIST),
    "axis": (_NUMBER, TEXT),
    "select": (_TABLE,),
    "exclude": (_LIST,),
    "region": (_LIST,),
    "holdout": (_LIST,),
    "background": (_NUMBER, TEXT, _LIST),
    "exposure": (_NUMBER, _LIST),
    "dark": (_NUMBER, TEXT, _LIST),
    "saturation": (_NUMBER,),
    "missing": (_NUMBER,),
    "fixed_pattern": ("true or false",),
    "gain": ("true or false",),
}
EVERY_LIGHT: dict[str, Sequence[str]] = {
    "kind": (TEXT,),
    "directions": (TEXT,),
    "led_size_um": (_NUMBER,),
    "bandwidth_um": (_NUMBER,),
}
LAMPS = ("led_size_um", "bandwidth_um")
ILLUMINATION: dict[str, dict[str, Sequence[str]]] = {
    "table": {"table": (TEXT, _LIST), "axes": (_LIST,), "unit": (TEXT,), "distance_um": (_NUMBER,)},
    "led-grid": {
        "pitch_um": (_NUMBER,),
        "distance_um": (_NUMBER,),
        "centre": (_LIST,),
        "axes": (_LIST,),
        "leds": (_LIST,),
        "shape": (_LIST,),
        "spiral": (_LIST,),
        "count": (_NUMBER,),
        "rotation_deg": (_NUMBER,),
        "tilt_deg": (_LIST,),
        "offset_um": (_LIST,),
    },
    "led-ring": {
        "count": (_NUMBER,),
        "na": (_NUMBER,),
        "start_deg": (_NUMBER,),
        "clockwise": ("true or false",),
    },
    "disc": {"na": (_NUMBER,), "inner_na": (_NUMBER,), "depth_um": (_NUMBER,), "parts": (TEXT, _LIST)},
}
TRAVEL, POSITION = "travel", "led-position"
FILE_KEYS = ("files", "background", "dark")  # of [images], that may name files


def check_table(
    table: dict[str, Any], known: Mapping[str, Sequence[str]], name: str, path: str | os.PathLike
) -> dict:
    """The table with lengths in um and numbers in place, as of `values.plain`; unknown keys, wrong types and
    lengths of other units are refused."""
    table = plain(table, known, name, Path(path))
    for key, value in table.items():
        if key not in known:
            raise InputError(
                f'{path}: unknown key "{key}" in [{name}]; known are {", ".join(known)}{nearest(key, known)}'
            )
        check_type(value, known[key], f"[{name}] {key}", path)
    with in_file(path):
        check_lengths(table)
    return table


def check_type(value: Any, kinds: Sequence[str], name: str, path: str | os.PathLike) -> None:
    """Refuse a value of none of some kinds."""
    python = {_NUMBER: (int, float), TEXT: (str,), _LIST: (list,), _TABLE: (dict,), "true or false": (bool,)}
    right = any(isinstance(value, python[kind]) for kind in kinds)
    if not right or (isinstance(value, bool) and _NUMBER in kinds):
        raise InputError(f"{path}: {name} is {value!r}; expected {' or '.join(kinds)}")


def need(table: dict[str, Any], key: str, name: str) -> Any:
    """The value of a key that must be there."""
    if key not in table:
        raise InputError(f'[{name}] lacks "{key}"; present: {", ".join(table) or "nothing"}')
    return table[key]


def named_files(content: dict) -> Iterator[str]:
    """Every file that a file's content names, as it stands there: patterns and datasets included."""
    images = content.get("images", {})
    for key in FILE_KEYS:
        yield from names_in(key, images.get(key))
    yield from names_in("table", content.get("illumination", {}).get("table"))


def with_files(images: dict, change: Callable) -> dict:
    """The [images] table with every file name changed.

    Parameters
    ----------
    images : dict
    change : callable
        From a name to a name.
    """
    changed = dict(images)
    for key in FILE_KEYS:
        value = images.get(key)
        if list(names_in(key, value)):
            changed[key] = [change(name) for name in value] if isinstance(value, list) else change(value)
    return changed


def check_names(images: dict) -> None:
    """Refuse file names in [images] with characters that nobody means.

    Raises
    ------
    InputError
        If a name holds a control character, as a backslash in double quotes makes it.
    """
    for key in FILE_KEYS:
        for name in names_in(key, images.get(key)):
            if any(ord(c) < 32 for c in name):
                raise InputError(
                    f"[images] {key} names {name!r}: in double quotes a backslash begins a special "
                    "character; write / in paths, or put them in single quotes"
                )


def names_in(key: str, value: Any) -> Iterator[str]:
    """File names among a value: a background may also be numbers, or a word for an estimate."""
    if isinstance(value, list):
        yield from (name for name in value if isinstance(name, str))
    elif isinstance(value, str) and not (key == "background" and value in ESTIMATES):
        yield value


def whole_numbers(value: list, name: str, count: int) -> list[int]:
    """A list of so many whole numbers."""
    if len(value) != count or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise InputError(f"{name} is {value!r}; expected {count} whole numbers")
    return value

"""Layouts of intensity diffraction tomography.

High-Throughput-IDT (Ling et al., Biomed. Opt. Express 9, 2130, 2018): a TIFF per LED, img_y{row}_x{col}.tif.
Annular IDT (Li et al., Adv. Photonics 1, 066004, 2019): ``I_Raw`` (y, x, n) beside ``Sorted_Pos`` (2, n),
places on the unit circle.  DeCAF (Liu et al., Nat. Mach. Intell. 4, 781, 2022): the images of either with the
transfer functions that it trains on, which leave no directions in the file.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.io.text import read_text
from fieldrx.io.variables import read_variable
from fieldrx.layouts.draft import Draft, Key, asked, told
from fieldrx.layouts.images import numbered_images
from fieldrx.layouts.listing import Listing
from fieldrx.optics import Illumination

# Of High-Throughput-IDT, whose LEDs count from 1.
_BOARD: dict[str, Any] = {"pitch_mm": 4, "distance_mm": 79, "centre": [17, 17]}
_ALGAE = {
    "wavelength_um": 0.63,
    "objective_na": 0.25,
    "camera_pixel_um": 6.5,
    "magnification": 10.07,
    "medium_index": 1.33,
}
_ANNULAR = {"wavelength_um": 0.515, "objective_na": 0.65, "camera_pixel_um": 6.5, "magnification": 40}
_DIATOMS = 1.45  # index around them
_TRAVEL = "their convention; calibrate and run check the sign"
_BALANCED = 0.5  # below which images, typically, are I / I0 - 1
_TASKS = {"I": ("Hreal", "Himag"), "I_Raw": ("PTF_4D", "ATF_4D"), "dat": ("Hreal_py", "Himag_py")}  # of DeCAF


def high_throughput_idt(listing: Listing) -> Draft | None:
    """The public algae: a folder LED_algae_data, or one with IDT_example.m in it or beside it."""
    found = numbered_images(listing)
    if found is None or found.names != ("row", "col"):
        return None
    home = found.example.resolve().parent
    script = any((folder / "IDT_example.m").is_file() for folder in (home, home.parent))
    if not (script or home.name.lower().startswith("led_alg")):
        return None
    return Draft(
        f"High-Throughput-IDT ({home.name})",
        (
            *told("microscope", "as in IDT_example.m", **_ALGAE),
            Key("images", "files", listing.name(found.pattern), "one LED each"),
            *_algae_board(),
        ),
    )


def _algae_board() -> list[Key]:
    return [
        *told("illumination", "as in IDT_example.m", kind="led-grid", **_BOARD),
        Key("illumination", "axes", ["row", "-col"], "its sin_thetav and sin_thetah"),
        Key("illumination", "directions", "travel", _TRAVEL),
    ]


def annular_idt(listing: Listing) -> Draft | None:
    """`I_Raw` with the places of the LEDs, `Sorted_Pos`, in the same file or in Sorted_Pos.mat beside it."""
    path = listing.holding("I_Raw")
    if path is None:
        return None
    images, count = _images(listing, path, "I_Raw")
    keys = (*_annular_optics(path), *images, *_annular_light(listing, path, count))
    return Draft(f"annular IDT ({path.name})", keys)


def decaf(listing: Listing) -> Draft | None:
    """Images with the transfer functions of DeCAF's tasks idt, aidt or midt."""
    for variable, others in _TASKS.items():
        path = listing.holding(variable, *others)
        if path is None:
            continue
        images, count = _images(listing, path, variable)
        if variable == "I":
            optics = told("microscope", "of the algae, as in IDT_example.m", **_ALGAE)
            light = _algae_leds(count)
        elif variable == "I_Raw":
            optics, light = _annular_optics(path), _annular_light(listing, path, count)
        else:  # several LEDs in an image, which the file does not name
            optics = _annular_optics(path)
            light = told("illumination", "with a column weight", kind="table")
            light += asked("illumination", "table")
        return _of_flags(path, Draft(f"DeCAF ({path.name})", (*optics, *images, *light)))
    return None


def _of_flags(path: Path, draft: Draft) -> Draft:
    """The draft with the index that pred_config.txt gives, beside the file or one folder above."""
    for folder in (path.parent, path.resolve().parent.parent):
        if (config := folder / "pred_config.txt").is_file():
            text = read_text(config, "flags of DeCAF", "text")
            if index := re.search(r"^--n0=([\d.]+)\s*$", text, re.MULTILINE):
                return draft.having("microscope", "medium_index", float(index[1]), "--n0 in pred_config.txt")
    return draft


def _algae_leds(count: int) -> list[Key]:
    """The bright-field LEDs of the algae's board in MATLAB's order, where they are as many as the images."""
    centre, distance = _BOARD["centre"], 1e3 * _BOARD["distance_mm"]
    leds = [[row, col] for col in range(1, 33) for row in range(1, 33)]
    light = Illumination.led_grid(np.array(leds), 1e3 * _BOARD["pitch_mm"], distance, centre)
    inside = np.linalg.norm(light.sources_na, axis=1) < _ALGAE["objective_na"]
    bright = [led for led, ok in zip(leds, inside, strict=True) if ok]
    if len(bright) != count:
        return [*_algae_board(), *asked("illumination", "shape")]
    return [
        *_algae_board(),
        Key("illumination", "leds", bright, "bright field, in the order of IDT_example.m"),
    ]


def _annular_optics(path: Path) -> list[Key]:
    index = _DIATOMS if "diatom" in path.name.lower() else _ALGAE["medium_index"]
    return [
        *told("microscope", "as in Main_AI_IDT_*.m", **_ANNULAR),
        Key("microscope", "medium_index", index, f"1.33 of cells, {_DIATOMS} of diatoms: by the file's name"),
    ]


def _annular_light(listing: Listing, path: Path, count: int) -> list[Key]:
    """Directions from Sorted_Pos; without it, a ring whose first LED is not known."""
    own = "Sorted_Pos" in listing.shapes[path]
    places = path if own else listing.neighbour("Sorted_Pos.mat")
    na = _ANNULAR["objective_na"]
    if places is None:
        return [
            *told("illumination", "on the rim of the pupil; no Sorted_Pos", kind="led-ring", na=na),
            Key("illumination", "count", count, "as many as images"),
            *asked("illumination", "start_deg"),
        ]
    source = listing.name(places, "Sorted_Pos")
    far = round(1e3 * math.sqrt(1 - na**2) / na, 3)
    rim = [
        Key("illumination", "distance_um", far, f"puts the ring on the rim of the pupil, NA {na}"),
        Key("illumination", "directions", "travel", _TRAVEL),
    ]
    xy = read_variable(f"{places}:/Sorted_Pos", "")
    if xy.shape == (2, 3 * count):
        leds = xy[::-1, ::3].T.tolist()
        return [
            Key("illumination", "kind", "led-grid", "a ring of radius 1 mm, or any other"),
            Key("illumination", "leds", leds, f"every third of {source}, as in Step0_IDT_Init.m"),
            *told("illumination", "of the unit circle", pitch_mm=1, centre=[0, 0]),
            Key("illumination", "axes", ["-row", "col"], "as in Step2_IDT_Poss.m"),
            *rim,
        ]
    return [
        Key("illumination", "kind", "table", "a ring of radius 1 mm, or any other"),
        Key("illumination", "table", source, "on the unit circle"),
        Key("illumination", "unit", "mm", "of the unit circle"),
        Key("illumination", "axes", ["x", "-y"], "as in Step2_IDT_Poss.m"),
        *rim,
    ]


def _images(listing: Listing, path: Path, variable: str) -> tuple[list[Key], int]:
    """Keys of the images, and how many there are; those of I / I0 - 1 are read as such."""
    stack = listing.corner(path, variable)
    keys = [Key("images", "files", listing.name(path, variable), "(y, x, n) of MATLAB")]
    if abs(np.median(stack.images)) < _BALANCED:
        keys += told("images", "the images are I / I0 - 1", dark=-1, background=0)
    return keys, stack.count

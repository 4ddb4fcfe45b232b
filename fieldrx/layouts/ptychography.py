"""Layouts of Fourier ptychography, one file each.

An FFT of the image under light that travels towards k shows the sample's spectrum around -k.  So where the
authors' program takes the part of the spectrum at minus their numbers, these are directions of travel, and
where it takes the part at plus, places of LEDs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fieldrx.layouts.draft import Draft, Key, asked, told
from fieldrx.layouts.listing import Listing

_LAMPS = {"r": 0.632, "g": 0.5126, "b": 0.471}  # of FPM-INR, by the last letter of the file's name [um]
_THIN = "not in the file; their thin samples count as in air"
_CHECK = "calibrate and run check the sign"
_GLASS_MM, _GLASS_INDEX, _AIR_MM, _PITCH_MM = 1.0, 1.52, 90.88, 4.0  # of the UConn sets


def fpm_inr(listing: Listing) -> Draft | None:
    """FPM-INR (Zhou et al., Optica 10, 1679, 2023), and APIC's files of the same names."""
    path = listing.holding("I_low", "na_calib", "mag", "dpix_c", "na_cal")
    if path is None:
        return None
    lamp = _LAMPS.get(path.stem.rpartition("_")[2])
    colour = [Key("microscope", "wavelength_um", lamp, "by the last letter of the name, as in FPM_INR.py")]
    return Draft(
        f"FPM-INR ({path.name})",
        (
            *(colour if lamp else asked("microscope", "wavelength_um")),
            Key("microscope", "objective_na", listing.name(path, "na_cal"), "calibrated"),
            Key("microscope", "camera_pixel_um", listing.name(path, "dpix_c"), ""),
            Key("microscope", "magnification", listing.name(path, "mag"), ""),
            Key("microscope", "medium_index", 1.0, _THIN),
            Key("images", "files", listing.name(path, "I_low"), "(y, x, n) of MATLAB"),
            Key("illumination", "kind", "table", ""),
            Key("illumination", "table", listing.name(path, "na_calib"), "calibrated"),
            Key("illumination", "axes", ["x", "y"], "NAx and NAy in FPM_INR.py"),
            Key("illumination", "directions", "travel", f"it takes spectra at -na_calib; {_CHECK}"),
        ),
    )


def ptylab(listing: Listing) -> Draft | None:
    """PtyLab's HDF5 (Loetgering et al., Opt. Express 31, 13763, 2023), of Fourier ptychography: metres."""
    path = listing.holding("ptychogram", "encoder", "wavelength", "zled", "dxd", "magnification")
    if path is None:
        return None
    shapes = listing.shapes[path]
    aperture = [Key("microscope", "objective_na", listing.name(path, "NA"), "")]
    turned = "orientation" in shapes and listing.number(path, "orientation") != 0
    note = "images as stored: PtyLab turns them by the file's orientation" if turned else ""
    return Draft(
        f"PtyLab ({path.name})",
        (
            Key("microscope", "wavelength_m", listing.name(path, "wavelength"), ""),
            *(aperture if "NA" in shapes else asked("microscope", "objective_na")),
            Key("microscope", "camera_pixel_m", listing.name(path, "dxd"), ""),
            Key("microscope", "magnification", listing.name(path, "magnification"), ""),
            Key("microscope", "medium_index", 1.0, _THIN),
            Key("images", "files", listing.name(path, "ptychogram"), note),
            Key("illumination", "kind", "table", ""),
            Key("illumination", "table", listing.name(path, "encoder"), "places on the board"),
            Key("illumination", "unit", "m", ""),
            Key("illumination", "distance_m", listing.name(path, "zled"), ""),
            Key("illumination", "axes", ["y", "x"], "rows, then columns, as PtyLab has them"),
            Key("illumination", "directions", "travel", f"it takes spectra at -encoder; {_CHECK}"),
        ),
    )


def uconn(listing: Listing) -> Draft | None:
    """Sets of SmartImagingLabUConn/Fourier-Ptychography: a board lit along a spiral, through a slide."""
    path = listing.holding("imlow_HDR", "wlength", "theta", "xint", "yint")
    if path is None:
        return None
    y, x = (listing.number(path, name) for name in ("yint", "xint"))
    level = float(f"{np.median(listing.corner(path, 'imlow_HDR').images[0]):.4g}")
    given = "as in data_description.txt"
    return Draft(
        f"UConn Fourier ptychography ({path.name})",
        (
            Key("microscope", "wavelength_m", listing.name(path, "wlength"), ""),
            *told("microscope", given, objective_na=0.1, pixel_size_um=1.845),
            Key("microscope", "medium_index", 1.0, _THIN),
            Key("images", "files", listing.name(path, "imlow_HDR"), _defocus(listing, path)),
            Key("images", "background", level, "typical of the first image; dark field is on the same scale"),
            *told("illumination", given, kind="led-grid", pitch_mm=_PITCH_MM),
            Key(
                "illumination",
                "distance_mm",
                round(_AIR_MM + _GLASS_MM / _GLASS_INDEX, 3),
                f"{_AIR_MM} mm of air, and a slide that counts as {_GLASS_MM:g} / {_GLASS_INDEX} mm",
            ),
            Key("illumination", "spiral", ["col", "row"], "as in LED_location.m"),
            Key(
                "illumination", "centre", [0.0 - round(v / _PITCH_MM, 6) for v in (y, x)],
                f"first LED at xint = {x:.4g} mm, yint = {y:.4g} mm",
            ),
            Key("illumination", "rotation_deg", listing.name(path, "theta"), ""),
            Key("illumination", "directions", "led-position", f"as in k_vector.m; {_CHECK}"),
        ),
    )  # fmt: skip


def _defocus(listing: Listing, path: Path) -> str:
    if "z" not in listing.shapes[path]:
        return "(y, x, n) of MATLAB"
    return f"(y, x, n) of MATLAB; the file says {1e6 * listing.number(path, 'z'):.3g} um out of focus"


def waller(listing: Listing) -> Draft | None:
    """Files of Waller-Lab/Angle_SelfCalibration and its kin: `data` with a `metadata` struct."""
    optics = [f"metadata/{name}" for name in ("objective/na", "objective/mag", "camera/pixel_size_um")]
    path = listing.holding("data", *optics, "metadata/illumination/wavelength_um")
    if path is None:
        return None
    shapes = listing.shapes[path]
    factors = [name for name in ("objective/mag", "objective/system_mag") if f"metadata/{name}" in shapes]
    magnification = 1.0
    for name in factors:
        magnification *= listing.number(path, f"metadata/{name}")
    product = f"{' * '.join(factors)} in metadata"
    lists = [f"metadata/source_list/{name}" for name in ("na_calib", "na_init", "na_design")]
    tables = [Key("illumination", "table", listing.name(path, name), "") for name in lists if name in shapes]
    return Draft(
        f"Waller lab ({path.name})",
        (
            Key("microscope", "wavelength_um", listing.name(path, "metadata/illumination/wavelength_um"), ""),
            Key("microscope", "objective_na", listing.name(path, "metadata/objective/na"), ""),
            Key("microscope", "camera_pixel_um", listing.name(path, "metadata/camera/pixel_size_um"), ""),
            Key("microscope", "magnification", magnification, product),
            Key("microscope", "medium_index", 1.0, _THIN),
            Key("images", "files", listing.name(path, "data"), "(y, x, n) of MATLAB"),
            Key("illumination", "kind", "table", ""),
            *(tables[:1] or asked("illumination", "table")),
            Key("illumination", "axes", ["x", "y"], "x in column 1, y in column 2, as in selfCal_main.m"),
            Key("illumination", "directions", "led-position", f"fpmFunc.m takes spectra at +na; {_CHECK}"),
        ),
    )

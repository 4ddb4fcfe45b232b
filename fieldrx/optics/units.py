"""Lengths in micrometres: what units are called, and the lengths that optics have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fieldrx.errors import InputError

MICROMETRES = {
    "pm": 1e-6, "picometer": 1e-6, "å": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3, "um": 1.0,
    "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "mm": 1e3,
    "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "meter": 1e6,
}  # in one unit, as programs call it  # fmt: skip
KEY_UNITS = ("nm", "mm", "cm", "m")  # in which a key of a table may end in place of um

# Lengths that optics have, and those that most have [um]
_POSSIBLE = {
    "wavelength_um": (0.05, 30),
    "pixel_size_um": (0.002, 500),
    "camera_pixel_um": (0.3, 500),
    "pitch_um": (20, 2e5),
    "distance_um": (200, 1e7),
    "led_size_um": (1, 1e5),
    "bandwidth_um": (1e-6, 0.5),
    "spacing_um": (1e-4, 1e5),
    "dz_um": (1e-4, 1e5),
}
_USUAL = {
    "wavelength_um": (0.15, 3),
    "pixel_size_um": (0.01, 20),
    "camera_pixel_um": (0.8, 50),
    "pitch_um": (500, 5e4),
    "distance_um": (2e3, 1e6),
    "led_size_um": (50, 2e4),
    "bandwidth_um": (1e-4, 0.2),
    "spacing_um": (0.05, 50),
    "dz_um": (0.05, 50),
}
_OF_ARRAYS = ("spacing_um", "dz_um")  # lengths of which no file tells the unit


def length_um(value: Any, unit: Any) -> float | None:
    """A length that a file tells [um]; None where it tells none, or in a unit that is no length.

    Parameters
    ----------
    value : float or str
        Words where a number should be tell nothing.
    unit : str
        As ImageJ, OME and OME-Zarr write it, in large or small letters.
    """
    try:
        length = float(value) * MICROMETRES.get(str(unit).strip().lower(), math.nan)
    except (TypeError, ValueError):
        return None
    return length if math.isfinite(length) else None


def check_lengths(table: Mapping[str, Any]) -> None:
    """Refuse lengths that no optics has, and name the unit in which they would make sense.

    Parameters
    ----------
    table : dict
        Lengths [um] by their names; others are not looked at.

    Raises
    ------
    InputError
        For the first that is out of bounds.
    """
    for name, (low, high) in _POSSIBLE.items():
        value = table.get(name, low)
        if low <= value <= high or not 0 < value < math.inf:
            continue
        usual = [
            f"{value:g} {unit} would be {value * MICROMETRES[unit]:.4g} um"
            + ("" if name in _OF_ARRAYS else f" ({name[:-2]}{unit} in a .toml)")
            for unit in KEY_UNITS
            if _USUAL[name][0] <= value * MICROMETRES[unit] <= _USUAL[name][1]
        ]
        raise InputError(
            f"{name} is {value:g}; optics have {low:g} to {high:g} um: "
            f"{usual[0] if usual else 'check its unit'}"
        )

"""What can be shown of a field: quantities that follow from the contrast n - n0, point by point.

================  =====================================  ==============  =========================
name              value                                  unit            integral along a line
================  =====================================  ==============  =========================
``n``             n0 + delta, complex                    1
``contrast``      delta = n - n0, complex                1               optical path difference, um
``absorption``    Im delta                               1               um
``permittivity``  n^2, complex                           1
``phase``         2 pi / lambda Re delta                 rad/um          rad
``dry-mass``      Re delta / alpha                       pg/um^3 = g/ml  pg/um^2
================  =====================================  ==============  =========================

Ensembles have one more, ``std``, the standard deviation of n (`fieldrx.render.ensembles`).

A dry mass density is the mass of what is not water: dissolved matter raises the index above that of water in
proportion to its concentration (Barer, Nature 169, 366, 1952).  The refractive increment alpha of proteins is
0.190 ml/g on average (Zhao, Brown, Schuck, Biophys. J. 100, 2309, 2011), and 0.18 is also in use for whole
cells.  The medium counts as water: in another one the density is the excess over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.errors import InputError, nearest

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable

QUANTITIES = ("n", "contrast", "absorption", "permittivity", "phase", "dry-mass")
REFRACTIVE_INCREMENT = 0.19  # of proteins [ml/g = um^3/pg]


@dataclass(frozen=True)
class Quantity:
    """A function of the contrast, with the words for it.

    Attributes
    ----------
    name : str
    label, unit : str
        For pictures and files; the unit is empty for plain numbers.
    channels : tuple of str
        Names of the real and the imaginary part, or of the one value.
    of : callable
        Complex contrast (...) to complex64 or float32 values (...).
    integral_label, integral_unit : str or None
        Of the integral along a line; None where the medium itself would fill it.
    """

    name: str
    label: str
    unit: str
    channels: tuple[str, ...]
    of: Callable
    integral_label: str | None = None
    integral_unit: str | None = None

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        return np.dtype(np.float32 if len(self.channels) == 1 else np.complex64)


def make_quantity(
    name: str, field: Renderable, wavelength_um: float | None = None, increment: float = REFRACTIVE_INCREMENT
) -> Quantity:
    """The quantity called `name` of a field.

    Parameters
    ----------
    name : str
        One of ``QUANTITIES``, see above.
    field : NeuralField
    wavelength_um : float, optional
        For ``phase``: vacuum wavelength [um]; that of the fit when not given.
    increment : float
        For ``dry-mass``: refractive increment [ml/g].

    Returns
    -------
    Quantity

    Raises
    ------
    InputError
        If there is no such quantity, or its number is unknown or not positive.
    """
    n0 = np.float32(field.medium_index)
    if name == "n":
        parts = ("refractive index", "absorption index")
        return Quantity(name, "refractive index", "", parts, lambda d: (d + n0).astype(np.complex64))
    if name == "contrast":
        parts = ("index contrast", "absorption index")
        return Quantity(
            name,
            "index contrast",
            "",
            parts,
            lambda d: d.astype(np.complex64),
            "optical path difference",
            "um",
        )
    if name == "absorption":
        label = "absorption index"
        return Quantity(
            name, label, "", (label,), lambda d: d.imag.astype(np.float32), "absorption path", "um"
        )
    if name == "permittivity":
        parts = ("relative permittivity", "imaginary permittivity")
        return Quantity(name, parts[0], "", parts, lambda d: np.square(d + n0).astype(np.complex64))
    if name == "phase":
        k0 = 2 * np.pi / _wavelength(field, wavelength_um)
        label = "phase per length"
        return Quantity(
            name, label, "rad/um", (label,), lambda d: (k0 * d.real).astype(np.float32), "phase", "rad"
        )
    if name == "dry-mass":
        if not (np.isfinite(increment) and increment > 0):
            raise InputError(f"the refractive increment is {increment}; expected a positive number in ml/g")
        label = "dry mass density"
        return Quantity(
            name, label, "pg/um³", (label,), lambda d: (d.real / increment).astype(np.float32),
            "dry mass per area", "pg/um²",
        )  # fmt: skip
    raise InputError(
        f'there is no quantity "{name}"; expected one of {", ".join(QUANTITIES)}{nearest(name, QUANTITIES)}'
    )


def _wavelength(field, wavelength_um):
    known = (field.provenance.microscope or {}).get("wavelength_um")
    wavelength = known if wavelength_um is None else wavelength_um
    if wavelength is None:
        raise InputError("the field does not say at which wavelength it was measured; give one in um")
    if not (np.isfinite(wavelength) and wavelength > 0):
        raise InputError(f"the wavelength is {wavelength}; expected a positive number in um")
    return wavelength

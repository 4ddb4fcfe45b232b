"""What the objective and the camera fix once for all images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np

from fieldrx.errors import InputError
from fieldrx.optics.checks import finite_number
from fieldrx.optics.units import check_lengths

_LEAST = 1e-9  # of any length or index; the most is its inverse
_EDGE = 1e-6  # relative slack, so that a source given as exactly the objective's NA counts as inside


@dataclass(frozen=True)
class Microscope:
    """What the objective and the camera fix once for all images.

    Parameters
    ----------
    wavelength_um : float
        Vacuum wavelength [um].
    objective_na : float
        Numerical aperture of the objective; at most ``medium_index``.
    medium_index : float
        Refractive index n0 of the medium around the sample.
    pixel_size_um : float
        Size of a camera pixel in the sample [um] (camera pixel over magnification).
    pixel_fill : float
        Side of a pixel's sensitive part over the pixel's: models take the mean of the intensity over it.
        With 0 they take the intensity at the pixel's centre.

    Raises
    ------
    InputError
        If a value is not positive and finite, a length is one that no optics has, as of another unit, the
        aperture exceeds the medium's index, or the fill is not between 0 and 1.
    """

    wavelength_um: float
    objective_na: float
    medium_index: float
    pixel_size_um: float
    pixel_fill: float = 0.0

    def __post_init__(self):
        for name in ("wavelength_um", "objective_na", "medium_index", "pixel_size_um", "pixel_fill"):
            object.__setattr__(self, name, self.check(name, getattr(self, name)))
        self.check_aperture(self.objective_na, self.medium_index)

    @staticmethod
    def check(name: str, value: float) -> float:
        """One of the numbers, if a microscope may have it, whatever the others are.

        Parameters
        ----------
        name : str
            Of a parameter.
        value : float

        Raises
        ------
        InputError
        """
        value = finite_number(value, name)
        if name == "pixel_fill":
            if not 0 <= value <= 1:
                raise InputError(
                    f"pixel_fill is {value:g}; expected 0 (a pixel is a point) to 1 (all of it sees light)"
                )
            return value
        if not value > 0:
            raise InputError(f"{name} is {value:g}; expected a positive number")
        if not _LEAST < value < 1 / _LEAST:
            raise InputError(f"{name} is {value:g}, which no microscope has: check its unit, um")
        check_lengths({name: value})
        return value

    @staticmethod
    def check_aperture(objective_na: float, medium_index: float) -> None:
        """Refuse an aperture that no medium of that index lets through.

        Parameters
        ----------
        objective_na, medium_index : float
            As of the class.

        Raises
        ------
        InputError
        """
        if objective_na > medium_index:
            raise InputError(
                f"objective_na {objective_na:g} exceeds medium_index {medium_index:g}; "
                "no such light leaves the medium: check both values"
            )

    @property
    def wavenumber(self) -> float:
        """Vacuum wavenumber k0 = 2 pi / lambda [rad/um]."""
        return 2 * np.pi / self.wavelength_um

    @property
    def cutoff(self) -> float:
        """Radius of the pupil NA / lambda [cycles/um], with slack for sources exactly at its edge."""
        return self.objective_na / self.wavelength_um * (1 + _EDGE)

    @overload
    def axial_frequency(self, nu_squared: float) -> float: ...
    @overload
    def axial_frequency(self, nu_squared: np.ndarray) -> np.ndarray: ...
    def axial_frequency(self, nu_squared: np.ndarray | float) -> np.ndarray | float:
        """``kz / 2 pi = sqrt((n0 / lambda)^2 - |nu|^2)`` [cycles/um]; a tiny number for evanescent waves."""
        ball = (self.medium_index / self.wavelength_um) ** 2
        return np.sqrt(np.maximum(ball - nu_squared, 1e-12 * ball))

    def to_dict(self) -> dict:
        """Plain numbers under the names of the acquisition file; of pixels that are points no fill."""
        fill = {"pixel_fill": self.pixel_fill} if self.pixel_fill else {}
        return {
            "wavelength_um": self.wavelength_um,
            "objective_na": self.objective_na,
            "medium_index": self.medium_index,
            "pixel_size_um": self.pixel_size_um,
            **fill,
        }

"""An ensemble of fields: its statistics and its file."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.backends import module_of, to_host
from fieldrx.errors import InputError, one_line
from fieldrx.field import NeuralField
from fieldrx.field.neural_field import field_from_arrays
from fieldrx.field.several import load_several, numbered, save_fields
from fieldrx.volume import Volume

FORMAT, VERSION = "fieldrx-ensemble", 1


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fields that the same images allow: their mean and its calibrated standard deviation.

    Parameters
    ----------
    members : sequence of NeuralField
        Two or more, of one domain and medium.
    factor : float
        What their spread is multiplied by; see the module.
    hidden : float
        Standard deviation that is added in squares, of index and of absorption.
    provenance : dict
        JSON values: how the ensemble came to be.
    calibration : dict
        JSON values: what the factor was estimated from.
    relative : float
        Standard deviation that is added in squares, as a share of the mean contrast.

    Raises
    ------
    InputError
        If there are fewer than two members, or they do not belong together.
    """

    members: tuple[NeuralField, ...]
    factor: float = 1.0
    hidden: float = 0.0
    provenance: dict = field(default_factory=dict)
    calibration: dict = field(default_factory=dict)
    relative: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "members", tuple(self.members))
        if len(self.members) < 2:
            raise InputError(f"{len(self.members)} members tell no spread; expected 2 or more")
        first = self.members[0]
        for other in self.members[1:]:
            if other.medium_index != first.medium_index or not np.allclose(other.bounds_um, first.bounds_um):
                raise InputError("the members of an ensemble must share their domain and medium")
        known = np.array([self.factor, self.hidden, self.relative])
        if not (np.isfinite(known).all() and self.factor > 0 and known.min() >= 0):
            raise InputError(f"factor, hidden and relative {known.tolist()} must be finite, not negative")

    def __repr__(self):
        return f"Ensemble({len(self.members)} times {self.members[0]!r}, spread times {self.factor:.3g})"

    def __call__(self, points: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Mean refractive index and its standard deviation at any points.

        Parameters
        ----------
        points : array, shape (..., 3)
            (z, y, x) [um].

        Returns
        -------
        mean, std : complex128 arrays, shape (...)
            The real part of `std` belongs to the index, the imaginary part to the absorption.  It speaks of
            what lies inside the band that the images support.  Device arrays in, device arrays out.
        """
        mean, std = self._statistics(lambda member: member.contrast(points))
        return self.medium_index + mean, std

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean contrast and its standard deviation on the grid of three axes, complex64 of their shape.

        Parameters
        ----------
        z, y, x : float arrays, shapes (nz,), (ny,) and (nx,)
            Voxel centres [um]; the device that holds ``z`` computes, and holds the result.
        """
        mean, std = self._statistics(lambda member: member.on_axes(z, y, x))
        return mean.astype(np.complex64), std.astype(np.complex64)

    def volume(
        self,
        spacing: float | tuple[float, float, float] | None = None,
        shape: tuple[int, int, int] | None = None,
        region: np.ndarray | None = None,
    ) -> tuple[Volume, Volume]:
        """Mean contrast and its standard deviation on a grid.

        Parameters
        ----------
        spacing, shape, region
            As of :meth:`fieldrx.NeuralField.volume`.
        """
        grid = self.members[0].grid(spacing, shape, region)
        place = grid.spacing_um, grid.origin_um, self.medium_index
        mean, std = self.on_axes(*grid.axes)
        return Volume(mean, *place), Volume(std, *place)

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.members[0].medium_index

    def to(self, device: str) -> Ensemble:
        """The same ensemble on another device: "cpu", "cuda" or "auto"."""
        return replace(self, members=tuple(member.to(device) for member in self.members))

    def belongs_to(self, field: NeuralField) -> bool:
        """Whether the ensemble was made from this very field, as its provenance and domain tell."""
        first = self.members[0]
        return (
            self.provenance.get("field") == identity(field)
            and first.medium_index == field.medium_index
            and np.allclose(first.bounds_um, field.bounds_um)
        )

    def save(self, path: str | os.PathLike) -> None:
        """Write the ensemble file; an interruption leaves the old one."""
        save_fields(
            path,
            (FORMAT, VERSION),
            "member",
            self.members,
            factor=np.array(self.factor),
            hidden=np.array(self.hidden),
            relative=np.array(self.relative),
            provenance=np.array(json.dumps(self.provenance)),
            calibration=np.array(json.dumps(self.calibration)),
        )

    def _statistics(self, values_of):
        """Mean and standard deviation of what the members say, one member at a time (Welford, 1962)."""
        mean: Any = 0.0
        squares: Any = 0.0  # arrays from the first member on, on its device
        for count, member in enumerate(self.members, 1):
            value = values_of(member)
            value = module_of(value).asarray(value, np.complex128)
            change = value - mean
            mean = mean + change / count
            rest = value - mean
            squares = squares + (change.real * rest.real + 1j * change.imag * rest.imag)
        return mean, self.scaled(squares / (len(self.members) - 1), mean)

    def scaled(self, variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Standard deviation from the variance and the mean of the members' contrast.

        Both are of the index, their imaginary parts, where they are complex, of the absorption.

        Parameters
        ----------
        variance, mean : arrays of one shape, real or complex
        """

        def total(variance, mean):
            return np.sqrt(self.factor**2 * variance + self.hidden**2 + (self.relative * mean) ** 2)

        real = total(variance.real, mean.real)
        return real + 1j * total(variance.imag, mean.imag) if np.iscomplexobj(variance) else real


def identity(field: NeuralField) -> dict:
    """What tells a field from others, JSON-ready; compressed, it is still the same."""
    known = {name: getattr(field.provenance, name) for name in ("name", "acquisition", "model", "depth")}
    made_from = field.provenance.origin.get("compressed", {}).get("params")
    return known | {"params": made_from or zlib.crc32(to_host(field.params).tobytes())}


def load_ensemble(path: str | os.PathLike) -> Ensemble:
    """Read an ensemble file.

    Raises
    ------
    InputError
        If the file is missing, damaged, no ensemble, or of another version.
    """
    needed = ("factor", "hidden", "provenance", "calibration", "member_0_format")
    arrays = load_several(path, (FORMAT, VERSION), "an ensemble file", needed)
    own = numbered(arrays, "member")
    there = takewhile(lambda k: "format" in own.get(k, {}), range(len(own)))
    members = [field_from_arrays(own[k], path) for k in there]
    try:
        provenance, calibration = (json.loads(str(arrays[name])) for name in ("provenance", "calibration"))
        factor, hidden = (float(arrays[name]) for name in ("factor", "hidden"))
        relative = float(arrays.get("relative", 0.0))  # not in version 0.1
        return Ensemble(tuple(members), factor, hidden, provenance, calibration, relative)
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is damaged: {one_line(error)}; make it again") from None

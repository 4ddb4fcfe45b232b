"""Ensembles where a field is expected: their mean, or their standard deviation, as something to render."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.ensemble import Ensemble
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.field.sampled import Sampled
from fieldrx.render.quantities import Quantity
from fieldrx.tiles.mosaic import Mosaic
from fieldrx.timelapse import Film, Moment

STD = Quantity(
    "std", "standard deviation of the index", "", ("standard deviation",), lambda d: d.real.astype(np.float32)
)


@dataclass(frozen=True, eq=False)
class Statistic(Sampled):
    """What rendering asks of a field, answered by an ensemble.

    Parameters
    ----------
    ensemble : Ensemble
    which : int
        0 for the mean of the contrast, 1 for its standard deviation (of the absorption: imaginary).
    """

    ensemble: Ensemble
    which: int = 0

    def contrast(self, points: ArrayLike) -> np.ndarray:
        """At points (..., 3) of (z, y, x) [um], complex128."""
        mean, std = self.ensemble(points)
        return std if self.which else mean - self.ensemble.medium_index

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """On the grid of three axes [um], complex64."""
        return self.ensemble.on_axes(z, y, x)[self.which]

    def __getattr__(self, name):
        if name in ("medium_index", "region_um", "bounds_um", "spacing_um", "network", "provenance"):
            return getattr(self.ensemble.members[0], name)
        raise AttributeError(name)


Renderable = NeuralField | Mosaic | Moment | Statistic


def as_field(
    field: Renderable | Ensemble | Film, quantity: str | Quantity | None = None
) -> tuple[Renderable, str | Quantity | None]:
    """What to render for a field or an ensemble, and the quantity of it.

    Raises
    ------
    InputError
        If the standard deviation of a single field is asked for, or one field of a film.
    """
    if isinstance(field, Film):
        raise InputError(
            f"a film of {len(field.fields)} times is no single field: choose a time, {field.span}"
        )
    name = quantity.name if isinstance(quantity, Quantity) else quantity
    if isinstance(field, Ensemble):
        return Statistic(field, int(name == STD.name)), STD if name == STD.name else quantity
    if name == STD.name and not isinstance(field, Statistic):
        raise InputError("a single field has no standard deviation: give an ensemble (fieldrx ensemble)")
    return field, quantity

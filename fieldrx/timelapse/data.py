"""A film: fields of one sample at growing times, and what it is between them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.acquisition.frames import FRAMES, SECONDS
from fieldrx.backends import module_of
from fieldrx.errors import InputError, one_line
from fieldrx.field import Network, NeuralField
from fieldrx.field.neural_field import field_from_arrays
from fieldrx.field.sampled import Sampled
from fieldrx.field.several import load_several, numbered, save_fields
from fieldrx.provenance import Provenance

FORMAT, VERSION = "fieldrx-film", 1
_SLACK = 1e-9  # of the film's length, by which a time may miss a frame


@dataclass(frozen=True, eq=False)
class Film:
    """A refractive index over time: n(t, z, y, x).

    Parameters
    ----------
    fields : sequence of NeuralField
        One or more, of one domain and medium.
    times : sequence of float
        Of the fields, growing.
    unit : str
        Of the times: "s", or "frame" where nobody says how far apart frames are.
    provenance : dict
        JSON values: how the film came to be; ``skipped`` tells of frames that are not in it.

    Raises
    ------
    InputError
        If there is no field, times do not grow, or the fields do not belong together.
    """

    fields: tuple[NeuralField, ...]
    times: tuple[float, ...]
    unit: str = FRAMES
    provenance: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "times", tuple(float(t) for t in self.times))
        if not self.fields or len(self.times) != len(self.fields):
            raise InputError(
                f"{len(self.fields)} fields at {len(self.times)} times; expected one or more pairs"
            )
        if not (np.isfinite(self.times).all() and (np.diff(self.times) > 0).all()):
            raise InputError(f"the times {list(self.times)} of a film must grow")
        if self.unit not in (SECONDS, FRAMES):
            raise InputError(f'times are in "{self.unit}"; expected "{SECONDS}" or "{FRAMES}"')
        first = self.fields[0]
        for other in self.fields[1:]:
            if other.medium_index != first.medium_index or not np.allclose(other.bounds_um, first.bounds_um):
                raise InputError("the fields of a film must share their domain and medium")

    def __repr__(self):
        return f"Film({len(self.fields)} times, {self.span}, of {self.fields[0]!r})"

    def __call__(self, points: ArrayLike, times: ArrayLike) -> np.ndarray:
        """Complex refractive index at any points and times.

        Parameters
        ----------
        points : array, shape (..., 3)
            (z, y, x) [um].
        times : float or array, shape (...)
            In the film's ``unit``.

        Returns
        -------
        complex128 array, shape (...)
        """
        places = np.asarray(points, np.float64)
        when = np.broadcast_to(np.asarray(times, np.float64), places.shape[:-1])
        out = np.empty(when.shape, np.complex128)
        for one in np.unique(when):
            chosen = when == one
            out[chosen] = self.at(float(one))(places[chosen])
        return out

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.fields[0].medium_index

    @property
    def span(self) -> str:
        """First and last time, in words."""
        first, last = self.times[0], self.times[-1]
        if first == last:
            return self.said(first)
        return f"{first:g} to {last:g} s" if self.unit == SECONDS else f"frames {first:g} to {last:g}"

    def said(self, time: float) -> str:
        """A time in words."""
        return f"t = {time:g} s" if self.unit == SECONDS else f"frame {time:g}"

    def at(self, time: float) -> NeuralField | Moment:
        """What answers as a field at any time of the film.

        Parameters
        ----------
        time : float
            In the film's ``unit``.

        Returns
        -------
        NeuralField or Moment
            The field of a frame, or between two of them both, the contrast weighted by how near they are.

        Raises
        ------
        InputError
            If the film is not that long.
        """
        times = np.array(self.times)
        slack = _SLACK * max(float(np.ptp(times)), abs(times[-1]))
        if not times[0] - slack <= time <= times[-1] + slack:
            raise InputError(f"{self.said(time)} lies outside the film, {self.span}")
        nearest = int(np.abs(times - time).argmin())
        if abs(times[nearest] - time) <= slack:
            return self.fields[nearest]
        after = int(np.searchsorted(times, time))
        share = (time - times[after - 1]) / (times[after] - times[after - 1])
        return Moment(self.fields[after - 1], self.fields[after], float(share))

    def to(self, device: str) -> Film:
        """The same film on another device: "cpu", "cuda" or "auto"."""
        return replace(self, fields=tuple(one.to(device) for one in self.fields))

    def save(self, path: str | os.PathLike) -> None:
        """Write the film's file; an interruption leaves the old one."""
        save_fields(
            path,
            (FORMAT, VERSION),
            "frame",
            self.fields,
            times=np.array(self.times),
            unit=np.array(self.unit),
            provenance=np.array(json.dumps(self.provenance)),
        )


@dataclass(frozen=True, eq=False)
class Moment(Sampled):
    """What a film is between two frames, as something that answers as a field.

    Parameters
    ----------
    before, after : NeuralField
    share : float
        Of the time between them that is over.
    """

    before: NeuralField
    after: NeuralField
    share: float

    def contrast(self, points: ArrayLike) -> np.ndarray:
        """Complex index contrast n - n0 at points (..., 3) [um], complex128."""
        return self._mixed(self.before.contrast(points), self.after.contrast(points))

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Index contrast on the grid of three axes [um], complex64."""
        mixed = self._mixed(self.before.on_axes(z, y, x), self.after.on_axes(z, y, x))
        return module_of(mixed).asarray(mixed, np.complex64)

    @property
    def provenance(self) -> Provenance:
        """Of the frame before."""
        return self.before.provenance

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.before.medium_index

    @property
    def region_um(self) -> np.ndarray:
        """First and last voxel centre of what the images show, shape (3, 2) [um]."""
        return self.before.region_um

    @property
    def bounds_um(self) -> np.ndarray:
        """The domain, shape (3, 2) [um]."""
        return self.before.bounds_um

    @property
    def spacing_um(self) -> tuple[float, float, float]:
        """Voxel spacing (dz, dy, dx) of the fits [um]."""
        return self.before.spacing_um

    @property
    def network(self) -> Network:
        """That of the frame before."""
        return self.before.network

    def _mixed(self, one, other):
        return (1 - self.share) * one + self.share * other


def load_film(path: str | os.PathLike) -> Film:
    """Read a film's file.

    Raises
    ------
    InputError
        If the file is missing, damaged, no film, or of another version.
    """
    needed = ("times", "unit", "provenance", "frame_0_format")
    arrays = load_several(path, (FORMAT, VERSION), "a film's file", needed)
    own = numbered(arrays, "frame")
    fields = [field_from_arrays(own[k], path) for k in range(len(own)) if k in own]
    try:
        times = tuple(np.asarray(arrays["times"], float).ravel().tolist())
        return Film(tuple(fields), times, str(arrays["unit"]), json.loads(str(arrays["provenance"])))
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is damaged: {one_line(error)}; make it again") from None

"""Fields of the tiles of one frame, which answer together as one field, and their file.

A mosaic file is one .npz without pickles: format "fieldrx-mosaic", version 1, ``tiling`` and ``provenance``
as JSON text, ``pixel_size_um``, and ``tile_K_NAME`` for everything that the file of tile K's field holds.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.backends import is_on_device, module_of, to_host
from fieldrx.errors import InputError, one_line
from fieldrx.field import Network, NeuralField
from fieldrx.field.neural_field import field_from_arrays
from fieldrx.field.sampled import Sampled
from fieldrx.field.several import load_several, numbered, save_fields
from fieldrx.provenance import Provenance
from fieldrx.tiles.plan import Tile, Tiling

FORMAT, VERSION = "fieldrx-mosaic", 1


@dataclass(frozen=True, eq=False)
class Mosaic(Sampled):
    """One refractive index of a whole frame, from a field for each of its tiles.

    Parameters
    ----------
    fields : sequence of NeuralField
        One a tile, in the order of rows, each with the coordinates of its own images.
    tiling : Tiling
    pixel_size_um : float
        Of the images.
    provenance : Provenance
        Of the whole.

    Raises
    ------
    InputError
        If there is not one field a tile, or they differ in medium or depth.
    """

    fields: tuple[NeuralField, ...]
    tiling: Tiling
    pixel_size_um: float
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self):
        object.__setattr__(self, "fields", tuple(self.fields))
        if len(self.fields) != len(self.tiling):
            raise InputError(f"{len(self.fields)} fields for {len(self.tiling)} tiles; expected one each")
        first = self.fields[0]
        for other in self.fields[1:]:
            if other.medium_index != first.medium_index or not np.allclose(
                other.region_um[0], first.region_um[0]
            ):
                raise InputError("the fields of a mosaic must share their medium and depth")

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.fields[0].medium_index

    @property
    def spacing_um(self) -> tuple[float, float, float]:
        """Voxel spacing (dz, dy, dx) of the fits [um]."""
        return self.fields[0].spacing_um

    @property
    def region_um(self) -> np.ndarray:
        """First and last voxel centre of what the frame shows, shape (3, 2) [um]."""
        frame = [(0.0, (n - 1) * self.pixel_size_um) for n in self.tiling.shape]
        return np.array([self.fields[0].region_um[0], *frame])

    @property
    def bounds_um(self) -> np.ndarray:
        """The domain, shape (3, 2) [um]; outside it the contrast is 0."""
        all_bounds = np.array([f.bounds_um + self._offset(t) for f, t in self])
        return np.stack([all_bounds[:, :, 0].min(axis=0), all_bounds[:, :, 1].max(axis=0)], axis=1)

    @property
    def network(self) -> Network:
        """That of a tile's field; all have as many outputs."""
        return self.fields[0].network

    def __iter__(self):
        return iter(zip(self.fields, self.tiling, strict=True))

    def __repr__(self):
        rows, cols = (len(starts) for starts in self.tiling.starts)
        return f"Mosaic({rows} x {cols} tiles of {self.fields[0]!r})"

    def _offset(self, tile: Tile) -> np.ndarray:
        """Of a tile's coordinates in those of the frame, shape (3, 1) [um]."""
        y, _, x, _ = tile.window
        return self.pixel_size_um * np.array([[0.0], [y], [x]])

    def contrast(self, points: ArrayLike) -> np.ndarray:
        """Complex index contrast n - n0 at any points (..., 3) [um]; 0 outside the domain.

        Device arrays in, device arrays out.
        """
        places = to_host(points).astype(np.float64)
        if places.ndim == 0 or places.shape[-1] != 3:
            raise InputError(f"points have shape {places.shape}; expected (..., 3) as (z, y, x) in um")
        out = np.zeros(places.shape[:-1], np.complex128)
        for one, tile in self:
            wy, wx = self.tiling.weight(tile, *(places[..., k] / self.pixel_size_um for k in (1, 2)))
            weight = wy * wx
            here = weight > 0
            if here.any():
                found = one.contrast(places[here] - self._offset(tile)[:, 0])
                out[here] += weight[here] * found
        return module_of(points).asarray(out)

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Index contrast on the grid of three axes [um], complex64 of shape (len(z), len(y), len(x)).

        On the device that holds ``z``.
        """
        xp, like = module_of(z), z
        z, y, x = (np.atleast_1d(np.asarray(to_host(axis), np.float64)) for axis in (z, y, x))
        out = xp.zeros((len(z), len(y), len(x)), np.complex64)
        for one, tile in self:
            wy, wx = self.tiling.weight(tile, y / self.pixel_size_um, x / self.pixel_size_um)
            rows, cols = np.flatnonzero(wy), np.flatnonzero(wx)
            if not rows.size or not cols.size:
                continue
            _, dy, dx = self._offset(tile)[:, 0]
            axes = (a if not is_on_device(like) else xp.asarray(a) for a in (z, y[rows] - dy, x[cols] - dx))
            weight = xp.asarray((wy[rows, None] * wx[cols]).astype(np.float32))
            at = tuple(xp.asarray(k) for k in np.ix_(np.arange(len(z)), rows, cols))
            out[at] += weight * one.on_axes(*axes)
        return out

    def window(self, tile: Tile) -> Window:
        """The mosaic as a tile's images see it."""
        return Window(self, self.fields[tile.number], self._offset(tile))

    def to(self, device: str) -> Mosaic:
        """The same mosaic on another device: "cpu", "cuda" or "auto"."""
        return replace(self, fields=tuple(one.to(device) for one in self.fields))

    def save(self, path: str | os.PathLike) -> None:
        """Write the mosaic file; an interruption leaves the old one."""
        save_fields(
            path,
            (FORMAT, VERSION),
            "tile",
            self.fields,
            tiling=np.array(json.dumps(self.tiling.to_dict())),
            pixel_size_um=np.array(self.pixel_size_um),
            provenance=np.array(self.provenance.to_json()),
        )


@dataclass(frozen=True, eq=False)
class Window(Sampled):
    """A mosaic in the coordinates of one of its tiles, to be compared with that tile's images.

    Parameters
    ----------
    mosaic : Mosaic
    own : NeuralField
        Of the tile: what it records of its fit holds.
    offset_um : array, shape (3, 1)
        Of the tile's coordinates in those of the frame [um].
    """

    mosaic: Mosaic
    own: NeuralField
    offset_um: np.ndarray

    def contrast(self, points: ArrayLike) -> np.ndarray:
        """As of the mosaic."""
        return self.mosaic.contrast(points + module_of(points).asarray(self.offset_um[:, 0]))

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """As of the mosaic."""
        return self.mosaic.on_axes(z, y + self.offset_um[1, 0], x + self.offset_um[2, 0])

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.mosaic.medium_index

    @property
    def spacing_um(self) -> tuple[float, float, float]:
        """Of the tile's fit."""
        return self.own.spacing_um

    @property
    def region_um(self) -> np.ndarray:
        """What the tile's images show."""
        return self.own.region_um

    @property
    def provenance(self) -> Provenance:
        """Of the tile's fit."""
        return self.own.provenance


def load_mosaic(path: str | os.PathLike) -> Mosaic:
    """Read a mosaic file.

    Raises
    ------
    InputError
        If the file is missing, damaged, no mosaic, or of another version.
    """
    needed = ("tiling", "pixel_size_um", "provenance", "tile_0_format")
    arrays = load_several(path, (FORMAT, VERSION), "a mosaic file", needed)
    try:
        tiling = Tiling.from_dict(json.loads(str(arrays["tiling"])))
        pixel = float(arrays["pixel_size_um"])
        provenance = Provenance.from_json(str(arrays["provenance"]))
    except (ValueError, TypeError, KeyError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is damaged: {one_line(error)}; make it again") from None
    own = numbered(arrays, "tile")
    if sorted(own) != list(range(len(tiling))):
        raise InputError(f"{path} is damaged: it holds {len(own)} of {len(tiling)} tiles; make it again")
    return Mosaic(tuple(field_from_arrays(own[k], path) for k in sorted(own)), tiling, pixel, provenance)

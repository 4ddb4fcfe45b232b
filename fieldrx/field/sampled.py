"""What answers for the refractive index at any point, and can therefore be sampled on any grid."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError
from fieldrx.optics import Grid
from fieldrx.provenance import Provenance
from fieldrx.resources import physical_memory
from fieldrx.volume import Volume

_MOST = 1 << 31  # voxels along one axis


class Sampled(ABC):
    """A contrast of the refractive index at any point, with the region and the spacing that it is seen at."""

    if TYPE_CHECKING:  # numbers, or computed

        @property
        def medium_index(self) -> float:
            """n0."""

        @property
        def region_um(self) -> np.ndarray:
            """First and last voxel centre of what the images show, shape (3, 2) [um]."""

        @property
        def spacing_um(self) -> tuple[float, float, float]:
            """Of the fit's voxels, (dz, dy, dx) [um]."""

        @property
        def provenance(self) -> Provenance:
            """How it came to be."""

    @abstractmethod
    def contrast(self, points: ArrayLike) -> np.ndarray:
        """Complex index contrast n - n0 at any points (..., 3) [um]; 0 outside the domain."""

    @abstractmethod
    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Index contrast on the grid of three axes, complex64 of shape (nz, ny, nx).

        Parameters
        ----------
        z, y, x : float arrays, shapes (nz,), (ny,) and (nx,)
            Voxel centres [um].
        """

    def __call__(self, points: ArrayLike) -> np.ndarray:
        """Complex refractive index at any points.

        Parameters
        ----------
        points : array, shape (..., 3)
            (z, y, x) [um].

        Returns
        -------
        complex128 array, shape (...)
        """
        return self.medium_index + self.contrast(points)

    def volume(
        self,
        spacing: ArrayLike | None = None,
        shape: Sequence[int] | None = None,
        region: ArrayLike | None = None,
    ) -> Volume:
        """Sample the field on a regular grid.

        Parameters
        ----------
        spacing : float or (float, float, float), optional
            Distance of voxel centres (dz, dy, dx) [um]; that of the fit when not given.
        shape : (int, int, int), optional
            Number of voxels instead of a spacing; both ends of the region are voxel centres, along an axis of
            one voxel its middle is.
        region : array, shape (3, 2), optional
            First and last voxel centre along z, y and x [um]; what the images show when not given.

        Returns
        -------
        Volume

        Raises
        ------
        InputError
            If both spacing and shape are given, the grid is empty, or the memory too small for it.
        """
        grid = self.grid(spacing, shape, region)
        if 2 * np.prod(grid.shape, dtype=float) * np.dtype(np.complex64).itemsize > (
            physical_memory() or np.inf
        ):
            raise InputError(
                f"spacing {list(grid.spacing_um)} um gives {' x '.join(map(str, grid.shape))} voxels, more "
                "than the memory of this machine or job: use a larger spacing or a smaller region, or "
                "write it to a file, fieldrx.render.render"
            )
        return Volume(self.on_axes(*grid.axes), grid.spacing_um, grid.origin_um, self.medium_index)

    def grid(
        self,
        spacing: ArrayLike | None = None,
        shape: Sequence[int] | None = None,
        region: ArrayLike | None = None,
    ) -> Grid:
        """The grid that :meth:`volume` samples.

        Parameters
        ----------
        spacing, shape, region
            As of :meth:`volume`.

        Raises
        ------
        InputError
            If both spacing and shape are given, or the grid is empty.
        """
        if spacing is not None and shape is not None:
            raise InputError("give a spacing or a shape, not both")
        region = _numbers(self.region_um if region is None else region, (6,), "three ranges first <= last")
        first, length = region[::2], region[1::2] - region[::2]
        if not (np.isfinite(length).all() and length.min() >= 0):
            raise InputError(f"region {region.tolist()} is not three ranges first <= last, in um")
        if shape is not None:
            count = _numbers(shape, (3,), "three positive numbers (nz, ny, nx)").astype(int)
            if count.min() < 1:
                raise InputError(f"shape {count.tolist()} is not three positive numbers (nz, ny, nx)")
            step = length / np.maximum(count - 1, 1)
            first = np.where(count > 1, first, first + 0.5 * length)  # one sample lies in the middle
            return Grid(tuple(count), tuple(np.where(step > 0, step, 1.0)), tuple(first))
        step = np.broadcast_to(
            _numbers(self.spacing_um if spacing is None else spacing, (1, 3), "one or three numbers in um"), 3
        )
        if not (np.isfinite(step).all() and step.min() > 0):
            raise InputError(f"spacing {step.tolist()} um must be positive")
        count = np.floor(length / step * (1 + 1e-9) + 1e-6) + 1
        if count.max() >= _MOST:
            raise InputError(
                f"spacing {step.tolist()} um gives {' x '.join(f'{n:.4g}' for n in count)} voxels: use a "
                "larger spacing or a smaller region"
            )
        return Grid(tuple(count.astype(int)), tuple(step), tuple(first))


def _numbers(value: ArrayLike, sizes: tuple[int, ...], expected: str) -> np.ndarray:
    """A flat float array of one of the sizes."""
    try:
        array = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size not in sizes:
        raise InputError(f"{str(value).splitlines()[0]} is not {expected}, along z, y and x")
    return array

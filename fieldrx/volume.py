"""A refractive index contrast on a regular grid, and its file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.brief import times
from fieldrx.errors import InputError, in_file
from fieldrx.io import load_npz, save_npz
from fieldrx.optics import Grid, check_contrast


@dataclass(frozen=True, eq=False)
class Volume:
    """Index contrast on a regular grid; outside it the contrast is 0.

    Parameters
    ----------
    contrast : ndarray, shape (z, y, x)
        n - n0, real or complex; half precision and integers become float32.
    spacing_um : float or (float, float, float)
        Distance of neighbouring voxels (dz, dy, dx) [um]; one number for all three.
    origin_um : (float, float, float)
        Centre of voxel (0, 0, 0) as (z, y, x) in the frame of the images [um].
    medium_index : float
        n0.

    Raises
    ------
    InputError
        If a shape is wrong, a value is not finite or not positive where it must be, or the contrast looks
        like the index itself.
    """

    contrast: np.ndarray
    spacing_um: tuple[float, float, float]
    origin_um: tuple[float, float, float]
    medium_index: float

    if TYPE_CHECKING:  # what is given is made into numbers of these types

        def __init__(
            self,
            contrast: ArrayLike,
            spacing_um: ArrayLike,
            origin_um: ArrayLike,
            medium_index: ArrayLike,
        ): ...

    def __post_init__(self):
        contrast = np.asarray(self.contrast)
        if contrast.dtype.kind not in "iufc" or contrast.ndim != 3 or contrast.size == 0:
            raise InputError(
                f"contrast has shape {contrast.shape} and type {contrast.dtype}; expected numbers (z, y, x)"
            )
        if contrast.dtype.kind in "iu" or contrast.dtype.itemsize < 4:
            contrast = contrast.astype(np.float32)
        bad = contrast.size - np.count_nonzero(np.isfinite(contrast))
        if bad:
            raise InputError(f"contrast holds {bad} values that are not finite; set them to 0 (medium)")
        spacing = _three_numbers(self.spacing_um, "spacing_um")
        index = float(_numbers(self.medium_index, "medium_index", (1,))[0])
        if not min(spacing) > 0 or not index > 0:
            raise InputError(f"spacing_um {spacing} and medium_index {index:g} must be positive")
        check_contrast(contrast, index)
        object.__setattr__(self, "contrast", contrast)
        object.__setattr__(self, "spacing_um", spacing)
        object.__setattr__(self, "origin_um", _three_numbers(self.origin_um, "origin_um", alone=False))
        object.__setattr__(self, "medium_index", index)

    def __repr__(self):
        spacing, origin = (", ".join(f"{v:.4g}" for v in vs) for vs in (self.spacing_um, self.origin_um))
        return (
            f"Volume({self.contrast.dtype} contrast of {times(self.contrast.shape)} voxels (z, y, x), "
            f"{spacing} um apart, the first at {origin} um; medium {self.medium_index:g})"
        )

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid(self.contrast.shape, self.spacing_um, self.origin_um)

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Linearly interpolated contrast on the grid of three axes [um]; falls to 0 outside the volume.

        Returns
        -------
        ndarray, shape (len(z), len(y), len(x))
        """
        out = self.contrast
        for axis, wanted in enumerate((z, y, x)):
            place = (np.atleast_1d(wanted) - self.origin_um[axis]) / self.spacing_um[axis]
            low = np.floor(place).astype(int)
            shape = [-1 if k == axis else 1 for k in range(3)]
            parts = []
            for node, weight in ((low, 1 - (place - low)), (low + 1, place - low)):
                inside = (node >= 0) & (node < out.shape[axis])
                weight = (weight * inside).astype(np.float32).reshape(shape)
                parts.append(weight * out.take(node.clip(0, out.shape[axis] - 1), axis))
            out = parts[0] + parts[1]
        return out


def _numbers(value: Any, name: str, sizes: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.size not in sizes or not np.isfinite(array).all():
        raise InputError(
            f"{name} is {array.tolist()!r}; expected {' or '.join(map(str, sizes))} finite number(s)"
        )
    return array.astype(float).ravel()


def _three_numbers(value: Any, name: str, alone: bool = True) -> tuple[float, float, float]:
    numbers = _numbers(value, name, (1, 3) if alone else (3,))
    z, y, x = (float(v) for v in np.broadcast_to(numbers, 3))
    return z, y, x


def read_volume(path: str | os.PathLike) -> Volume:
    """Read a volume .npz: contrast, spacing_um, origin_um, medium_index.

    Raises
    ------
    InputError
        If the file is missing or damaged, lacks a key, or a value is wrong.
    """
    arrays = load_npz(path, "volume", ("contrast", "spacing_um", "origin_um", "medium_index"))
    with in_file(path):
        return Volume(
            arrays["contrast"], arrays["spacing_um"], arrays["origin_um"], arrays["medium_index"]
        )  # fmt: skip


def write_volume(path: str | os.PathLike, volume: Volume, *, compressed: bool = False) -> None:
    """Write a volume .npz atomically, the contrast in its own precision."""
    save_npz(
        path, compressed=compressed, contrast=volume.contrast, spacing_um=np.array(volume.spacing_um),
        origin_um=np.array(volume.origin_um), medium_index=volume.medium_index,
    )  # fmt: skip

"""A refractive index contrast on a regular grid, and its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.brief import times
from fieldrx.errors import InputError, in_file
from fieldrx.io import check_npz, load_npz, save_npz
from fieldrx.io.scaled import read_scaled
from fieldrx.optics import Grid, check_contrast
from fieldrx.optics.checks import array_of
from fieldrx.optics.units import check_lengths

_LARGEST = 0.5  # contrast; an index is larger


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
        If a shape is wrong, a value is not finite or not positive where it must be, the spacing is one of
        another unit, or the contrast looks like the index itself.
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
        contrast = array_of(self.contrast, "contrast")
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
        check_lengths({"spacing_um": min(spacing)})
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
        """Linearly interpolated contrast on the grid of three axes; falls to 0 outside the volume.

        Parameters
        ----------
        z, y, x : float arrays, shapes (nz,), (ny,) and (nx,)
            Voxel centres [um].

        Returns
        -------
        ndarray, shape (nz, ny, nx)
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


def read_volume(
    path: str | os.PathLike,
    spacing_um: ArrayLike | None = None,
    origin_um: ArrayLike | None = None,
    medium_index: float | None = None,
) -> Volume:
    """Read a volume, as ``fieldrx.volume.open_volume`` does, whose notes are left out.

    Parameters
    ----------
    path : path-like
    spacing_um, origin_um : array_like, optional
    medium_index : float, optional

    Raises
    ------
    InputError
    """
    return open_volume(path, spacing_um, origin_um, medium_index)[0]


def open_volume(
    path: str | os.PathLike,
    spacing_um: ArrayLike | None = None,
    origin_um: ArrayLike | None = None,
    medium_index: float | None = None,
) -> tuple[Volume, list[str]]:
    """Read a volume, and what was assumed of it.

    Parameters
    ----------
    path : path-like
        A .npz with contrast, spacing_um, origin_um, medium_index; or what `fieldrx.io.scaled` reads, the
        index or its contrast: .tif, .npy, .ome.zarr.
    spacing_um : float or (float, float, float), optional
        Instead of what the file says, or where it says nothing.
    origin_um : (float, float, float), optional
        Likewise; (0, 0, 0) where nobody says.
    medium_index : float, optional
        Of files that do not tell; needed for those.

    Returns
    -------
    volume : Volume
    notes : list of str

    Raises
    ------
    InputError
        If the file is missing or damaged, lacks a key or its spacing, or a value is wrong.
    """
    if Path(path).suffix.lower() == ".npz":
        arrays = load_npz(path, "volume", ("contrast", "spacing_um", "origin_um", "medium_index"))
        spacing = arrays["spacing_um"] if spacing_um is None else spacing_um
        origin = arrays["origin_um"] if origin_um is None else origin_um
        with in_file(path):
            return Volume(arrays["contrast"], spacing, origin, arrays["medium_index"]), []
    read = read_scaled(path)
    missing = [name for name, step in zip("zyx", read.spacing_um, strict=True) if step is None]
    if spacing_um is None and missing:
        raise InputError(
            f"{path}: does not say how far its voxels are apart along {', '.join(missing)}: give the spacing "
            "in um, --spacing DZ,DY,DX"
        )
    if medium_index is None:
        raise InputError(f"{path}: does not say the index of the medium: give medium_index")
    contrast, notes = _contrast(read.values, medium_index, path)
    if origin_um is None and read.origin_um is None:
        notes.append(f"{path} does not say where it lies: its first voxel is put at z = y = x = 0 (--origin)")
    with in_file(path):
        return Volume(
            contrast,
            np.array(read.spacing_um, float) if spacing_um is None else spacing_um,
            (read.origin_um or (0.0, 0.0, 0.0)) if origin_um is None else origin_um,
            medium_index,
        ), notes


def _contrast(
    values: np.ndarray, medium_index: float, path: str | os.PathLike
) -> tuple[np.ndarray, list[str]]:
    """Index contrast of an array that holds it, or the index."""
    real = values.real
    low, high, typical = float(real.min()), float(real.max()), float(np.median(real))
    if max(-low, high) <= _LARGEST or not np.isfinite(low + high):
        return values, []
    if low > _LARGEST and abs(typical - medium_index) < 0.3 * medium_index:
        told = f"{path} holds the index itself, {low:.4g} ... {high:.4g}"
        return values - values.dtype.type(medium_index), [
            f"{told}: the medium's {medium_index:g} is subtracted"
        ]
    raise InputError(
        f"{path}: holds values from {low:.4g} to {high:.4g}; expected an index near the medium's "
        f"{medium_index:g} everywhere, or a contrast, 0 in the medium: convert it"
    )


def write_volume(path: str | os.PathLike, volume: Volume, *, compressed: bool = False) -> None:
    """Write a volume .npz atomically, the contrast in its own precision.

    Parameters
    ----------
    path : path-like
    volume : Volume
    compressed : bool
        Smaller and slower.

    Raises
    ------
    InputError
        If the name has another ending, or the file cannot be written.
    """
    check_npz(path, "a volume")
    save_npz(
        path, compressed=compressed, contrast=volume.contrast, spacing_um=np.array(volume.spacing_um),
        origin_um=np.array(volume.origin_um), medium_index=volume.medium_index,
    )  # fmt: skip

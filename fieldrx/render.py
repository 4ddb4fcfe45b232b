"""Pictures and volumes of a field, computed straight from the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io import atomic_path, write_png, write_tiff, write_volume

ENDINGS = (".npy", ".npz", ".png", ".tif", ".tiff")
_PNG_PIXELS = 480  # longest side of a panel
_GAP = 6  # pixels between panels
# Colours of the scale, dark to bright, evenly spaced; lightness rises all the way, so it prints in grey.
_COLOURS = np.array(
    [(6, 6, 18), (32, 22, 78), (70, 28, 116), (122, 40, 122), (178, 56, 106), (224, 88, 76),
     (248, 140, 56), (252, 198, 92), (252, 252, 206)]
)  # fmt: skip


def render(field, path, spacing=None, shape=None, region=None) -> Path:
    """Write a field as a file, by its ending.

    ======  =================================================================================
    ending  contents
    ======  =================================================================================
    .npy    refractive index, complex64 (z, y, x)
    .npz    volume: contrast, spacing_um, origin_um, medium_index (what ``simulate`` reads)
    .tif    refractive index, float32 stack with its scale; two channels (Re, Im) if it absorbs
    .png    the three central planes of the index contrast
    ======  =================================================================================

    Parameters
    ----------
    field : NeuralField
    path : path-like
    spacing, shape, region
        As of ``NeuralField.volume``.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the ending is unknown or the grid is empty.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(
            f'{path}: cannot write "{ending or "no ending"}"; expected one of {", ".join(ENDINGS)}'
        )
    if ending == ".png":
        write_png(path, orthogonal_planes(field, region, spacing))
        return path
    volume = field.volume(spacing, shape, region)
    if ending == ".npz":
        write_volume(path, volume)
        return path
    index = volume.contrast + np.complex64(volume.medium_index)
    if ending == ".npy":
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, index, allow_pickle=False)
    else:
        write_tiff(
            path, index if field.network.n_outputs > 1 else index.real, volume.spacing_um, volume.origin_um
        )
    return path


def orthogonal_planes(field, region=None, spacing=None) -> np.ndarray:
    """The index contrast on the central xy plane, with xz below it and zy to its right.

    Parameters
    ----------
    field : NeuralField
    region : array, shape (3, 2), optional
        As of ``NeuralField.volume``.
    spacing : float or (float, float, float), optional
        Pixel size [um], the smallest of several; by default 480 pixels along the longest side.

    Returns
    -------
    uint8 array, shape (y, x, 3)
        Black is 0 contrast or less, white the 99.9th percentile of the planes; one pixel is as many um
        along z as across.
    """
    region = np.asarray(field.region_um if region is None else region, float)
    if region.shape != (3, 2) or not (region[:, 1] >= region[:, 0]).all():
        raise InputError(
            f"region {region.tolist()} is not three ranges first <= last, along z, y and x in um"
        )
    step = max(np.ptp(region, axis=1).max(), 1e-9) / _PNG_PIXELS if spacing is None else np.min(spacing)
    if not step > 0:
        raise InputError(f"spacing {spacing} um must be positive")
    z, y, x = (np.linspace(lo, hi, max(round((hi - lo) / step), 1)) for lo, hi in region)
    centre = [[value] for value in region.mean(axis=1)]
    xy = field.on_axes(centre[0], y, x).real[0]
    xz = field.on_axes(z, centre[1], x).real[:, 0]
    zy = field.on_axes(z, y, centre[2]).real[:, :, 0].T
    top = max(float(np.quantile(np.concatenate([p.ravel() for p in (xy, xz, zy)]), 0.999)), 1e-12)
    canvas = np.full((len(y) + _GAP + len(z), len(x) + _GAP + len(z), 3), 255, np.uint8)
    canvas[: len(y), : len(x)] = colour(xy / top)
    canvas[len(y) + _GAP :, : len(x)] = colour(xz / top)
    canvas[: len(y), len(x) + _GAP :] = colour(zy / top)
    return canvas


def colour(values) -> np.ndarray:
    """Values 0 ... 1 (clipped) to red, green, blue: uint8, shape (..., 3)."""
    place = np.clip(values, 0, 1) * (len(_COLOURS) - 1)
    return np.stack(
        [np.interp(place, np.arange(len(_COLOURS)), _COLOURS[:, k]) for k in range(3)], axis=-1
    ).astype(np.uint8)

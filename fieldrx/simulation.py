"""Images of a known volume: phantoms, resampling, noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get, to_host
from fieldrx.errors import InputError, expect
from fieldrx.models import exact_model, predict
from fieldrx.optics import Grid, Microscope, condenser_notes
from fieldrx.optics.grid import pixels_of
from fieldrx.volume import Volume

_NOTHING = 1e-6  # of a voxel


def simulate(
    volume: Volume,
    optics: Acquisition,
    model: str = "born",
    image_shape: tuple[int, int] | None = None,
    photons: float | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Acquisition:
    """Normalised images of a volume, taken with the optics of an acquisition.

    Parameters
    ----------
    volume : Volume
        Outside it the contrast is 0.
    optics : Acquisition
        Its images may be absent when ``image_shape`` is given.
    model : str
        Image formation, a name in ``fieldrx.models.MODELS``.
    image_shape : (int, int), optional
        Pixels (ny, nx); those of the acquisition's images when not given.
    photons : float, optional
        Mean count of photons per pixel of the empty field: adds Poisson noise.
    seed : int
        Of the noise.
    device : str
        "cpu", "cuda" or "auto".

    Returns
    -------
    Acquisition

    Raises
    ------
    InputError
        If the medium differs, no image shape is known, or no image can be predicted.
    """
    advice = "Volume(contrast, spacing_um, origin_um, medium_index) or field.volume() makes one"
    expect(volume, Volume, "volume", advice)
    expect(optics, Acquisition, "optics", "Acquisition(None, illumination, microscope) holds optics alone")
    scope = optics.microscope
    if abs(volume.medium_index - scope.medium_index) > 1e-6:
        raise InputError(
            f"the volume lies in a medium of index {volume.medium_index:g}, the acquisition's is "
            f"{scope.medium_index:g}: make them agree"
        )
    shape = optics.image_shape if image_shape is None else pixels_of(image_shape)
    if shape is None:
        raise InputError(
            "the acquisition has no images: say how large they shall be, image_shape=(ny, nx), "
            "--image-shape NY NX"
        )
    if photons is not None and not 0 < photons <= 1e15:
        raise InputError(f"photons is {photons:g}; expected a positive number up to 1e15")
    forward = exact_model(model, scope, optics.illumination, shape, _depth(volume))
    contrast = get(device).asarray(on_grid(volume, forward.grid))
    parts = predict(forward, contrast, np.arange(optics.n_images))
    images = np.concatenate([to_host(part) for _, part in parts])
    if photons is not None:
        counts = np.random.default_rng(seed).poisson(photons * np.maximum(images, 0))
        images = (counts / photons).astype(np.float32)
    notes = tuple(condenser_notes(optics.illumination, float(np.abs(volume.grid.axis(0)).max())))
    return Acquisition(
        images, optics.illumination, scope, holdout=optics.holdout, name=optics.name, notes=notes
    )


def on_image_grid(
    volume: Volume, image_shape: tuple[int, int], microscope: Microscope
) -> tuple[np.ndarray, Grid]:
    """A volume on the grid of the camera's pixels; see :func:`on_grid`.

    Returns
    -------
    complex64 array, shape ``grid.shape``
    Grid
        Its slices are the volume's.
    """
    grid = Grid.for_images(image_shape, microscope, _depth(volume))
    return on_grid(volume, grid), grid


def on_grid(volume: Volume, grid: Grid) -> np.ndarray:
    """A volume on another grid, with all the detail that both can hold.

    Voxels are samples of what has no frequencies beyond their own: sums of sinc functions (Whittaker,
    Shannon), as wide as the wider of both voxels, so that detail too fine for the grid is left out, not
    folded.

    Parameters
    ----------
    volume : Volume
        Outside it the contrast is 0; a single slice is a sheet.
    grid : Grid

    Returns
    -------
    complex64 array, shape ``grid.shape``
    """
    if volume.grid.shape[0] == 1:  # on the nearest slice
        slices = np.zeros((grid.shape[0], 1), np.float32)
        slices[np.abs(grid.axis(0) - volume.grid.origin_um[0]).argmin()] = 1
    else:
        slices = _sinc_weights(grid, volume.grid, 0)
    rows, columns = (_sinc_weights(grid, volume.grid, k) for k in (1, 2))
    out = np.zeros((grid.shape[0], len(rows), len(columns)), np.complex64)
    for weights, plane in zip(slices.T, np.asarray(volume.contrast, np.complex64), strict=True):
        across = rows @ plane @ columns.T
        for k in np.flatnonzero(np.abs(weights) > _NOTHING):
            out[k] += weights[k] * across
    return out


def _depth(volume):
    """Its slices as a depth range, which needs two ends."""
    z, dz = volume.grid.axis(0), volume.spacing_um[0]
    return z[0], z[-1] if len(z) > 1 else z[0] + dz, dz


def _sinc_weights(grid, voxels, axis):
    """Weights (points of the grid, voxels) along an axis."""
    spacing = voxels.spacing_um[axis]
    width = max(grid.spacing_um[axis], spacing)
    away = grid.axis(axis)[:, None] - voxels.axis(axis)
    return (spacing / width * np.sinc(away / width)).astype(np.float32)


def cell_phantom(
    spacing_um: float = 0.2,
    diameter_um: float = 11.0,
    medium_index: float = 1.335,
    peak_contrast: float = 0.02,
    seed: int = 0,
) -> Volume:
    """An invented cell: cytoplasm, nucleus with nucleoli, vesicles, and a weakly absorbing granule.

    Parameters
    ----------
    spacing_um : float
        Voxel size [um].
    diameter_um : float
        Across the cell [um]; the volume is 1.25 times as wide.
    medium_index : float
    peak_contrast : float
        Roughly the largest index contrast.
    seed : int
        Of the places of vesicles and nucleoli.

    Returns
    -------
    Volume
        Centred on the origin.
    """
    rng = np.random.default_rng(seed)
    n = int(np.ceil(1.25 * diameter_um / spacing_um)) | 1
    axis = (np.arange(n) - n // 2) * spacing_um
    radius = diameter_um / 2
    contrast = np.zeros((n, n, n), np.float32)
    absorption = np.zeros_like(contrast)

    def fill(target, centre, radii, value):
        z, y, x = ((axis - c) / r for c, r in zip(centre, radii, strict=True))
        inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= 1
        target[inside] = value

    fill(contrast, (0, 0, 0), (0.8 * radius, radius, 0.92 * radius), 0.45 * peak_contrast)
    nucleus = np.array([0.06, -0.18, 0.12]) * radius
    fill(contrast, nucleus, (0.42 * radius, 0.5 * radius, 0.55 * radius), 0.65 * peak_contrast)
    for _ in range(3):
        fill(
            contrast,
            nucleus + rng.uniform(-0.22, 0.22, 3) * radius,
            rng.uniform(0.09, 0.14, 3) * radius,
            peak_contrast,
        )
    for _ in range(14):
        direction = rng.standard_normal(3)
        place = direction / np.linalg.norm(direction) * radius * rng.uniform(0.62, 0.8) * (0.75, 1, 0.9)
        fill(
            contrast,
            place,
            np.full(3, rng.uniform(0.05, 0.09) * radius),
            rng.uniform(0.8, 1.1) * peak_contrast,
        )
    fill(
        absorption,
        (0.1 * radius, 0.55 * radius, -0.4 * radius),
        np.full(3, 0.12 * radius),
        0.3 * peak_contrast,
    )
    blur = 0.12 / spacing_um
    total = gaussian_filter(contrast, blur) + 1j * gaussian_filter(absorption, blur)
    return Volume(total.astype(np.complex64), spacing_um, (axis[0],) * 3, medium_index)

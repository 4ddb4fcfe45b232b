"""Example acquisitions, simulated from samples that are known: a cell, a bead, a target in dark field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.errors import InputError, nearest
from fieldrx.optics import Illumination, Microscope
from fieldrx.simulation import cell_phantom, simulate
from fieldrx.volume import Volume

LICENCE = "CC0 1.0: simulated, free for every use"

_CELL_SCOPE = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=1.335, pixel_size_um=0.16)
_CELL_PIXELS, _CELL_RINGS = 112, ((8, 0.4), (24, 0.79))
_PEAK = 0.03  # of the index contrast: about 2 rad, far beyond single scattering
_PHOTONS = 20000

BEAD_RADIUS_UM, BEAD_CONTRAST = 2.0, 0.03
_BEAD_PIXELS, _BEAD_RINGS = 48, ((8, 0.4), (16, 0.79))

_DARK_SCOPE = Microscope(wavelength_um=0.532, objective_na=0.25, medium_index=1.335, pixel_size_um=0.5)
_DARK_PIXELS, _DARK_RINGS, _DARK_PHOTONS = 44, ((6, 0.12), (12, 0.32), (16, 0.47)), 200000
_BAR_CONTRAST, _BAR_THICKNESS_UM = 0.03, 1.0
BARS_UM = ((-5.2, 1.5), (1.5, 0.9), (6.2, 0.65))  # place of a group's middle along x, width of bars and gaps


@dataclass(frozen=True)
class Sample:
    """An example: what it is, how it is made and fitted.

    Parameters
    ----------
    what : str
        In a few words.
    make : callable
        Gives the acquisition and the truth.
    depth : (float, float, float)
        Of the fit [um].
    steps : int
        Of the fit.
    """

    what: str
    make: Callable[[], tuple[Acquisition, Volume]]
    depth: tuple[float, float, float]
    steps: int


def demo_acquisition() -> tuple[Acquisition, Volume]:
    """An invented cell and its images: one LED on the axis, 8 at NA 0.4, 24 at NA 0.79.

    The cell scatters light more than once.  Its images come from voxels a fifth of the reconstruction's
    slices and finer than its pixels, and from the split-step non-paraxial model, with photon noise, while
    beam propagation reconstructs it: nothing is inverted with what made it.

    Returns
    -------
    Acquisition, Volume
    """
    cell = cell_phantom(spacing_um=0.1, peak_contrast=_PEAK)
    return _images("demo", cell, _CELL_SCOPE, _CELL_RINGS, _CELL_PIXELS, _PHOTONS)


def bead_acquisition() -> tuple[Acquisition, Volume]:
    """A bead of radius 2 um and index 1.365 in water, through the optics of the cell and with 25 LEDs.

    Returns
    -------
    Acquisition, Volume
    """
    axis = np.arange(-28, 29) * 0.08
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    contrast = BEAD_CONTRAST * np.clip((BEAD_RADIUS_UM - r) / 0.08 + 0.5, 0, 1)
    bead = Volume(contrast.astype(np.complex64), 0.08, (axis[0],) * 3, _CELL_SCOPE.medium_index)
    return _images("bead", bead, _CELL_SCOPE, _BEAD_RINGS, _BEAD_PIXELS, _PHOTONS)


def dark_field_acquisition() -> tuple[Acquisition, Volume]:
    """Groups of three bars under an objective of NA 0.25, lit from within it and from outside, to NA 0.47.

    Bars and gaps of the finest group are 0.65 um wide, 0.77 cycles a micrometre: beyond (NA + NA of the
    light) / lambda = 0.70 of the bright field, and within the 1.35 of the dark one.

    Returns
    -------
    Acquisition, Volume
    """
    spacing = (0.25, 0.1, 0.1)
    z = spacing[0] * np.arange(-4, 5)
    y = x = 0.1 * np.arange(-95, 96)
    sheet = np.clip((0.5 * _BAR_THICKNESS_UM - np.abs(z)) / spacing[0] + 0.5, 0, 1)
    bars = np.zeros((len(y), len(x)))
    for place, width in BARS_UM:
        along = np.clip((2.5 * width - np.abs(y)) / 0.1 + 0.5, 0, 1)
        across = sum(
            np.clip((0.5 * width - np.abs(x - place - 2 * k * width)) / 0.1 + 0.5, 0, 1) for k in (-1, 0, 1)
        )
        bars += along[:, None] * across
    contrast = (_BAR_CONTRAST * sheet[:, None, None] * bars).astype(np.complex64)
    target = Volume(contrast, spacing, (z[0], y[0], x[0]), _DARK_SCOPE.medium_index)
    return _images("dark-field", target, _DARK_SCOPE, _DARK_RINGS, _DARK_PIXELS, _DARK_PHOTONS)


def _images(name, volume, scope, rings, pixels, photons):
    """Images of a volume in their middle, lit along the axis and by rings; every sixth one held out."""
    places = [Illumination.led_ring(n, na, start_deg=7).sources_na for n, na in rings]
    light = Illumination(np.concatenate([[[0.0, 0.0]], *places]))
    centre = 0.5 * (pixels - 1) * scope.pixel_size_um
    z, y, x = volume.origin_um
    placed = Volume(volume.contrast, volume.spacing_um, (z, y + centre, x + centre), volume.medium_index)
    optics = Acquisition(None, light, scope, holdout=np.arange(3, light.n_images, 6), name=name)
    return simulate(placed, optics, "ssnp", (pixels, pixels), photons=photons), placed


SAMPLES = {
    "cell": Sample("an invented cell, 33 images at NA 0.8", demo_acquisition, (-7.0, 7.0, 0.5), 160),
    "bead": Sample("a bead of known index, 25 images at NA 0.8", bead_acquisition, (-4.0, 4.0, 0.4), 160),
    "dark-field": Sample(
        "bars finer than the objective parts, 7 bright and 28 dark images at NA 0.25",
        dark_field_acquisition,
        (-1.0, 1.0, 0.5),
        200,
    ),
}


def sample_called(name: str) -> Sample:
    """The example of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in SAMPLES:
        known = f"{', '.join(SAMPLES)}{nearest(name, SAMPLES)}"
        raise InputError(f'no example is called "{name}"; there are {known}')
    return SAMPLES[name]

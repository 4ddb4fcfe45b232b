"""The models by name, and the grid that each wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fieldrx.errors import InputError
from fieldrx.models.base import ForwardModel, check_geometry
from fieldrx.models.born import Born
from fieldrx.models.bpm import BeamPropagation
from fieldrx.models.lamps import with_lamps
from fieldrx.models.mlb import MultiLayerBorn
from fieldrx.models.rytov import Rytov
from fieldrx.models.ssnp import SSNP
from fieldrx.optics import Grid, Illumination, Microscope, lateral_band
from fieldrx.provenance import Provenance
from fieldrx.resources import Need, check_needs, memory_limit

_WORTH = 2.0  # width in pixels from which wider voxels are taken: with less, fits converge more slowly
_LINEAR_WIDTH = 130  # of a linear model's grid for simulations, over wavelength / NA
_FINE, _THIN = 0.25, 0.5  # widest voxels and thickest slices of the others, over the wavelength in the medium
_VOXEL_BYTES = 24  # of a simulated volume, and what is made of it

MODELS = {m.name: m for m in (Born, Rytov, BeamPropagation, SSNP, MultiLayerBorn)}


def model_class(name: str) -> type[ForwardModel]:
    """The class of the model called `name`.

    Raises
    ------
    InputError
        If no model has that name.
    """
    if name not in MODELS:
        raise InputError(f'there is no model "{name}"; expected one of {", ".join(MODELS)}')
    return MODELS[name]


def make_model(
    name: str,
    grid: Grid,
    microscope: Microscope,
    illumination: Illumination,
    image_shape: tuple[int, int] | None = None,
    **optics: Any,
) -> ForwardModel:
    """The model called ``name``; other parameters as of :class:`Born` (``optics``: pupil, defocus_um, gain).

    Where the illumination says what its lamps are, it is a sum over their points and wavelengths; the classes
    themselves take them for points of one wavelength.

    Raises
    ------
    InputError
        If no model has that name, or no few points and wavelengths stand for the lamps.
    """
    kind = model_class(name)
    image_shape = check_geometry(grid, microscope, illumination, image_shape, optics.get("pupil"))
    if illumination.lamps is not None:
        return with_lamps(kind, grid, microscope, illumination, image_shape, **optics)
    return kind(grid, microscope, illumination, image_shape, **optics)


def grid_for(
    name: str,
    image_shape: tuple[int, int],
    microscope: Microscope,
    depth: Sequence[float],
    spacing_um: float | None = None,
) -> Grid:
    """The grid on which images are modelled; parameters as of :meth:`Grid.for_images`.

    The waves of multi-slice models return to the camera on a padded grid of their own, so they get half the
    margin, for the light that enters from outside the images.
    """
    margin = None if model_class(name).linear else 0.5 * Grid.margin_um(microscope, depth)
    return Grid.for_images(image_shape, microscope, depth, margin, spacing_um)


def exact_model(
    name: str,
    microscope: Microscope,
    illumination: Illumination,
    image_shape: tuple[int, int],
    depth: Sequence[float],
) -> ForwardModel:
    """The model called `name` on a grid that spares nothing, for simulations.

    A linear model has voxels as narrow as what it transfers, and frequencies so close that its sharp aperture
    draws no rings.  The others have a soft aperture, and voxels and slices as fine as the light on its way.
    What is left of the error is measured by scripts/study_simulation.py.

    Parameters
    ----------
    name, microscope, illumination, image_shape
        As of :func:`make_model`.
    depth : (float, float, float)
        As of :meth:`Grid.for_images`; slices too thick for the model are split.

    Raises
    ------
    InputError
        If its grid does not fit into the memory.
    """
    cutoff, wave = microscope.cutoff, microscope.wavelength_um / microscope.medium_index
    margin, options = Grid.margin_um(microscope, depth), {}
    if model_class(name).linear:
        spacing = 0.5 / lateral_band(microscope, illumination)
        width = min(image_shape) * microscope.pixel_size_um
        margin = max(margin, 0.5 * (_LINEAR_WIDTH / cutoff - width))
    else:
        spacing, options = _FINE * wave, {"edge": "soft"}
        depth = _thin_slices(depth, _THIN * wave)
    spacing = min(spacing, microscope.pixel_size_um)
    grid = Grid.for_images(image_shape, microscope, depth, margin, spacing)
    volume = Need("the volume", peak=_VOXEL_BYTES * np.prod(grid.shape, dtype=float))
    check_needs(
        f"a grid of {' x '.join(map(str, grid.shape))} voxels, for a volume from {depth[0]:.4g} to "
        f"{depth[1]:.4g} um, would",
        [model_class(name).step_need(grid.shape, 1, 1), volume],
        *memory_limit(),
        advice="bring the volume nearer to the plane in focus at 0 um (its origin), or use fewer pixels",
    )
    return make_model(name, grid, microscope, illumination, image_shape, **options)


def _thin_slices(depth: Sequence[float], most_um: float) -> tuple[float, float, float]:
    """A depth range whose slices are no thicker than that, with room for what two of its slices stand for."""
    z0, z1, dz = depth
    parts = int(np.ceil(dz / most_um - 1e-6))
    return (z0 - dz, z1 + dz, dz / parts) if parts > 1 else (z0, z1, dz)


def spacing_of(provenance: Provenance) -> float | None:
    """Lateral distance of voxels in a fit [um], from its provenance; None where that says nothing."""
    return provenance.grid["spacing_um"][1] if provenance.grid else None


def grid_spacing(microscope: Microscope, illumination: Illumination, dark_field: bool = False) -> float:
    """Lateral distance of voxels for a fit where none is asked for [um].

    Half the shortest period that the objective and the light's tilts together carry,
    lambda / 2 (NA + NA_light), where that is two pixels or more; else the pixels, which tell no finer
    detail.  Dark field does: it is the light of finer detail that enters the pupil at all.

    Parameters
    ----------
    microscope : Microscope
    illumination : Illumination
    dark_field : bool
        Whether the model uses images lit from outside the pupil alone.
    """
    half_period = 0.5 / lateral_band(microscope, illumination, dark_field)
    if dark_field and illumination.dark(microscope).any():
        return min(half_period, microscope.pixel_size_um)
    return half_period if half_period >= _WORTH * microscope.pixel_size_um else microscope.pixel_size_um


def is_multislice(name: str) -> bool:
    """Whether the model called `name` lets light scatter more than once."""
    return not model_class(name).linear

"""The models by name, and the grid that each wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fieldrx.errors import InputError
from fieldrx.models.base import ForwardModel
from fieldrx.models.born import Born
from fieldrx.models.bpm import BeamPropagation
from fieldrx.models.mlb import MultiLayerBorn
from fieldrx.models.rytov import Rytov
from fieldrx.models.ssnp import SSNP
from fieldrx.optics import Grid, Illumination, Microscope

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
    """The model called `name`; other parameters as of :class:`Born` (`optics`: pupil, defocus_um, gain).

    Raises
    ------
    InputError
        If no model has that name.
    """
    return model_class(name)(grid, microscope, illumination, image_shape, **optics)


def grid_for(name: str, image_shape: tuple[int, int], microscope: Microscope, depth: Sequence[float]) -> Grid:
    """The grid on which a fit models images; parameters as of :meth:`Grid.for_images`.

    The waves of multi-slice models return to the camera on a padded grid of their own, so they get half the
    margin, for the light that enters from outside the images.
    """
    margin = None if model_class(name).linear else 0.5 * Grid.margin_um(microscope, depth)
    return Grid.for_images(image_shape, microscope, depth, margin)


def is_multislice(name: str) -> bool:
    """Whether the model called `name` lets light scatter more than once."""
    return not model_class(name).linear

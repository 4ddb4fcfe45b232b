"""Image formation: from a refractive index contrast to intensity images, and back."""

from fieldrx.errors import InputError
from fieldrx.models.base import ForwardModel, Gradients, predict
from fieldrx.models.born import Born, Rytov
from fieldrx.models.bpm import BeamPropagation
from fieldrx.models.mlb import MultiLayerBorn
from fieldrx.models.multislice import MultiSlice
from fieldrx.models.ssnp import SSNP
from fieldrx.optics import Grid, Microscope

MODELS = {m.name: m for m in (Born, Rytov, BeamPropagation, SSNP, MultiLayerBorn)}

__all__ = [
    "MODELS",
    "SSNP",
    "BeamPropagation",
    "Born",
    "ForwardModel",
    "Gradients",
    "MultiLayerBorn",
    "Rytov",
    "grid_for",
    "is_multislice",
    "make_model",
    "predict",
]


def make_model(name, grid, microscope, illumination, image_shape=None, **optics) -> ForwardModel:
    """The model called `name`; other parameters as of :class:`Born` (`optics`: pupil, defocus_um, gain).

    Raises
    ------
    InputError
        If no model has that name.
    """
    return _kind(name)(grid, microscope, illumination, image_shape, **optics)


def grid_for(name: str, image_shape, microscope: Microscope, depth) -> Grid:
    """The grid on which a fit models images; parameters as of :meth:`Grid.for_images`.

    The waves of multi-slice models return to the camera on a padded grid of their own, so they get half the
    margin, for the light that enters from outside the images.
    """
    margin = 0.5 * Grid.margin_um(microscope, depth) if is_multislice(name) else None
    return Grid.for_images(image_shape, microscope, depth, margin)


def is_multislice(name: str) -> bool:
    """Whether the model called `name` lets light scatter more than once."""
    return issubclass(_kind(name), MultiSlice)


def _kind(name):
    if name not in MODELS:
        raise InputError(f'there is no model "{name}"; expected one of {", ".join(MODELS)}')
    return MODELS[name]

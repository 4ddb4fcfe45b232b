"""Image formation: from a refractive index contrast to intensity images, and back."""

from fieldrx.errors import InputError
from fieldrx.models.base import ForwardModel, predict
from fieldrx.models.born import Born, Rytov
from fieldrx.models.bpm import BeamPropagation
from fieldrx.models.mlb import MultiLayerBorn
from fieldrx.models.multislice import Gradients, MultiSlice
from fieldrx.models.ssnp import SSNP

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
    "is_multislice",
    "make_model",
    "predict",
]


def make_model(name, grid, microscope, illumination, image_shape=None) -> ForwardModel:
    """The model called `name`; other parameters as of :class:`Born`.

    Raises
    ------
    InputError
        If no model has that name.
    """
    return _kind(name)(grid, microscope, illumination, image_shape)


def is_multislice(name: str) -> bool:
    """Whether the model called `name` lets light scatter more than once."""
    return issubclass(_kind(name), MultiSlice)


def _kind(name):
    if name not in MODELS:
        raise InputError(f'there is no model "{name}"; expected one of {", ".join(MODELS)}')
    return MODELS[name]

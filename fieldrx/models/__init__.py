"""Image formation: from a refractive index contrast to intensity images, and back."""

from fieldrx.models.base import ForwardModel, Gradients, predict
from fieldrx.models.born import Born
from fieldrx.models.bpm import BeamPropagation
from fieldrx.models.corrections import Optics
from fieldrx.models.mlb import MultiLayerBorn
from fieldrx.models.multislice import MultiSlice
from fieldrx.models.registry import (
    MODELS,
    exact_model,
    grid_for,
    grid_spacing,
    is_multislice,
    make_model,
    model_class,
    spacing_of,
)
from fieldrx.models.rytov import Rytov
from fieldrx.models.ssnp import SSNP

__all__ = [
    "MODELS",
    "SSNP",
    "BeamPropagation",
    "Born",
    "ForwardModel",
    "Gradients",
    "MultiLayerBorn",
    "MultiSlice",
    "Optics",
    "Rytov",
    "exact_model",
    "grid_for",
    "grid_spacing",
    "is_multislice",
    "make_model",
    "model_class",
    "predict",
    "spacing_of",
]

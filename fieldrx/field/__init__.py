"""The neural field: encodings, network, evaluation and file format."""

from fieldrx.field.encodings import Fourier, Hash, Identity, PlaneWaves, Positional, Radial
from fieldrx.field.network import Network
from fieldrx.field.neural_field import NeuralField, load_field

__all__ = [
    "Fourier",
    "Hash",
    "Identity",
    "Network",
    "NeuralField",
    "PlaneWaves",
    "Positional",
    "Radial",
    "load_field",
]

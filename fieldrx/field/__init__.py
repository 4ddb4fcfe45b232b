"""The neural field: encodings, network, evaluation and file format."""

from fieldrx.field.encodings import Fourier, Hash, Identity, Positional, Radial
from fieldrx.field.network import Network
from fieldrx.field.neural_field import NeuralField, load_field

__all__ = ["Fourier", "Hash", "Identity", "Network", "NeuralField", "Positional", "Radial", "load_field"]

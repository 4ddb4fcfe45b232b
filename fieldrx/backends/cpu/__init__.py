"""Operators on CPU arrays, compiled by Numba."""

from fieldrx.backends.cpu.adam import adam_step
from fieldrx.backends.cpu.born import born_adjoint, born_forward
from fieldrx.backends.cpu.field import (
    encode,
    field_backward,
    field_forward,
    grid_backward,
    grid_forward,
)
from fieldrx.backends.cpu.multislice import Bpm, Mlb, Ssnp
from fieldrx.backends.cpu.priors import negativity, total_variation

__all__ = [
    "Bpm",
    "Mlb",
    "Ssnp",
    "adam_step",
    "born_adjoint",
    "born_forward",
    "encode",
    "field_backward",
    "field_forward",
    "grid_backward",
    "grid_forward",
    "negativity",
    "total_variation",
]

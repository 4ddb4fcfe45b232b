"""Operators on CPU arrays, compiled by Numba; `fieldrx.backends.operators` declares them."""

from fieldrx.backends.cpu.adam import adam_step
from fieldrx.backends.cpu.born import born_adjoint, born_forward
from fieldrx.backends.cpu.device import asarray, device_name, memory_limit
from fieldrx.backends.cpu.field import (
    choose_precision,
    encode,
    field_backward,
    field_forward,
    grid_backward,
    grid_forward,
)
from fieldrx.backends.cpu.interpolation import resample
from fieldrx.backends.cpu.loss import measured, squared_error
from fieldrx.backends.cpu.multislice import Bpm, Mlb, Ssnp
from fieldrx.backends.cpu.priors import regularise
from fieldrx.backends.cpu.volume import potential, potential_vjp, to_contrast, to_outputs
from fieldrx.backends.plain import Refocus

__all__ = [
    "Bpm",
    "Mlb",
    "Refocus",
    "Ssnp",
    "adam_step",
    "asarray",
    "born_adjoint",
    "born_forward",
    "choose_precision",
    "device_name",
    "encode",
    "field_backward",
    "field_forward",
    "grid_backward",
    "grid_forward",
    "measured",
    "memory_limit",
    "potential",
    "potential_vjp",
    "regularise",
    "resample",
    "squared_error",
    "to_contrast",
    "to_outputs",
]

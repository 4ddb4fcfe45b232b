"""Continuous 3D refractive index from plain intensity images."""

from fieldrx._version import __version__
from fieldrx.acquisition import Acquisition, read_acquisition
from fieldrx.calibration import calibrate
from fieldrx.ensemble import Ensemble, load_ensemble, make_ensemble
from fieldrx.errors import InputError
from fieldrx.evaluation import evaluate
from fieldrx.field import NeuralField, load_field
from fieldrx.fit import Fit, Schedule, reconstruct
from fieldrx.io import Volume, read_volume, write_volume
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.priors import Priors
from fieldrx.simulation import cell_phantom, simulate
from fieldrx.viewer import write_viewer

__all__ = [
    "Acquisition",
    "Ensemble",
    "Fit",
    "Grid",
    "Illumination",
    "InputError",
    "Microscope",
    "NeuralField",
    "Priors",
    "Schedule",
    "Volume",
    "__version__",
    "calibrate",
    "cell_phantom",
    "evaluate",
    "load_ensemble",
    "load_field",
    "make_ensemble",
    "read_acquisition",
    "read_volume",
    "reconstruct",
    "simulate",
    "write_viewer",
    "write_volume",
]

"""Continuous 3D refractive index from plain intensity images.

Names are imported when they are first used, so that neither ``import fieldrx`` nor a command waits for what
it does not need, the compiler of the kernels above all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from fieldrx._version import __version__

if TYPE_CHECKING:  # for editors, which do not run `__getattr__`
    from fieldrx.acquisition import Acquisition, read_acquisition
    from fieldrx.calibration.calibrate import calibrate
    from fieldrx.compression import compress
    from fieldrx.ensemble import Ensemble, load_ensemble, make_ensemble
    from fieldrx.errors import InputError
    from fieldrx.evaluation import evaluate
    from fieldrx.field import NeuralField, load_field
    from fieldrx.fit import Fit, Schedule
    from fieldrx.measure.objects import measure
    from fieldrx.optics import Grid, Illumination, Microscope
    from fieldrx.priors import Priors
    from fieldrx.reconstruction import reconstruct
    from fieldrx.simulation import cell_phantom, simulate
    from fieldrx.timelapse import Film, load_film, make_film
    from fieldrx.viewer import write_viewer
    from fieldrx.volume import Volume, read_volume, write_volume

_HOMES = {
    "Acquisition": "acquisition",
    "Ensemble": "ensemble",
    "Film": "timelapse",
    "Fit": "fit",
    "Grid": "optics",
    "Illumination": "optics",
    "InputError": "errors",
    "Microscope": "optics",
    "NeuralField": "field",
    "Priors": "priors",
    "Schedule": "fit",
    "Volume": "volume",
    "calibrate": "calibration",
    "cell_phantom": "simulation",
    "compress": "compression",
    "evaluate": "evaluation",
    "load_ensemble": "ensemble",
    "load_field": "field",
    "load_film": "timelapse",
    "make_ensemble": "ensemble",
    "make_film": "timelapse",
    "measure": "measure",
    "read_acquisition": "acquisition",
    "read_volume": "volume",
    "reconstruct": "reconstruction",
    "simulate": "simulation",
    "write_viewer": "viewer",
    "write_volume": "volume",
}

__all__ = [
    "Acquisition",
    "Ensemble",
    "Film",
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
    "compress",
    "evaluate",
    "load_ensemble",
    "load_field",
    "load_film",
    "make_ensemble",
    "make_film",
    "measure",
    "read_acquisition",
    "read_volume",
    "reconstruct",
    "simulate",
    "write_viewer",
    "write_volume",
]


def __getattr__(name):
    if name in _HOMES:
        value = import_module(f"fieldrx.{_HOMES[name]}")
        if _HOMES[name] != name:  # else the room answers for its function, whatever is imported first
            value = getattr(value, name)
    elif name.startswith("_"):
        raise AttributeError(f"module 'fieldrx' has no attribute {name!r}")
    else:
        value = _room(name)
    globals()[name] = value  # found at once the next time
    return value


def _room(name):
    """The module ``fieldrx.name``."""
    try:
        return import_module(f"fieldrx.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"fieldrx.{name}":
            raise  # the module is there, what it needs is not
        raise AttributeError(f"module 'fieldrx' has no attribute {name!r}") from None


def __dir__():
    return sorted({*globals(), *__all__})

"""Operators on GPU arrays: the same names, arguments and shapes as `fieldrx.backends.cpu`.

Importing this package needs neither CuPy nor a driver; using an operator without them raises
`fieldrx.errors.InputError`, which says what is missing.
"""

from importlib import import_module

from fieldrx.backends.cuda.load import require_device

_MODULE_OF = {
    "Bpm": "multislice",
    "Mlb": "multislice",
    "Refocus": "refocus",
    "Ssnp": "multislice",
    "adam_step": "adam",
    "asarray": "device",
    "born_adjoint": "born",
    "born_forward": "born",
    "choose_precision": "field",
    "device_name": "device",
    "encode": "field",
    "field_backward": "field",
    "field_forward": "field",
    "grid_backward": "field",
    "grid_forward": "field",
    "measured": "loss",
    "memory_limit": "device",
    "potential": "volume",
    "potential_vjp": "volume",
    "regularise": "priors",
    "resample": "interpolation",
    "squared_error": "loss",
    "to_contrast": "volume",
    "to_outputs": "volume",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_device()
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)

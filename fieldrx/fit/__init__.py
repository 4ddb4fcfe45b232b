"""Fitting a neural field to images.

`options` and `problem` say what is asked; `course` which images and points a step uses, `slices` which slices
light crosses; `sampling` evaluates the field there, `objective` compares with the measured images, `descent`
changes the weights and undoes steps that lead astray, `correct` changes the optics, `watch` looks at held-out
images; `together` is what several ranks agree on.  All that changes is in `state`, which a checkpoint holds;
`start` makes the first, and `run` goes from there to the field, which `result` makes.  `parts` keeps fits
that belong to longer work.
"""

from fieldrx.fit.memory import check_room, fit_needs
from fieldrx.fit.options import Options, Schedule, settings
from fieldrx.fit.parts import Parts
from fieldrx.fit.problem import settle_model, split_images
from fieldrx.fit.run import Fit
from fieldrx.fit.state import checkpoint_arguments
from fieldrx.progress import Progress

__all__ = [
    "Fit",
    "Options",
    "Parts",
    "Progress",
    "Schedule",
    "check_room",
    "checkpoint_arguments",
    "fit_needs",
    "settings",
    "settle_model",
    "split_images",
]


def __getattr__(name):
    if name != "reconstruct":  # was here in version 0.1
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fieldrx.reconstruction import reconstruct

    return reconstruct

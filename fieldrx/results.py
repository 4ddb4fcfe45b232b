"""What a file of results holds: a field, an ensemble of fields, or a film of them."""

from __future__ import annotations

import os

from fieldrx.ensemble import Ensemble, load_ensemble
from fieldrx.ensemble.data import FORMAT as ENSEMBLE
from fieldrx.field import NeuralField, load_field
from fieldrx.io import load_format
from fieldrx.timelapse import FORMAT as FILM
from fieldrx.timelapse import Film, load_film

Result = NeuralField | Ensemble | Film
_READERS = {ENSEMBLE: load_ensemble, FILM: load_film}  # whatever else is a field, or refused as none


def load_result(path: str | os.PathLike) -> Result:
    """Read whatever `fieldrx` saved that answers as a field does.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds none of these.
    """
    return _READERS.get(load_format(path), load_field)(path)

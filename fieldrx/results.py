"""What a file of results holds: a field, or an ensemble of fields."""

from __future__ import annotations

import os

from fieldrx.ensemble import Ensemble, load_ensemble
from fieldrx.ensemble.data import FORMAT as ENSEMBLE
from fieldrx.field import NeuralField, load_field
from fieldrx.io import load_format

Result = NeuralField | Ensemble
_READERS = {ENSEMBLE: load_ensemble}  # whatever else is a field, or refused as none


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

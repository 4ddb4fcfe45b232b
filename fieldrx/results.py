"""What a file of results holds: a field, an ensemble, a mosaic or a film of fields."""

from __future__ import annotations

import os
from collections.abc import Callable

from fieldrx.ensemble import Ensemble, load_ensemble
from fieldrx.ensemble.data import FORMAT as ENSEMBLE
from fieldrx.errors import InputError
from fieldrx.field import NeuralField, load_field
from fieldrx.io import load_format
from fieldrx.tiles.mosaic import FORMAT as MOSAIC
from fieldrx.tiles.mosaic import Mosaic, load_mosaic
from fieldrx.timelapse import FORMAT as FILM
from fieldrx.timelapse import Film, Moment, load_film

Result = NeuralField | Ensemble | Mosaic | Film
Still = NeuralField | Ensemble | Mosaic | Moment  # at one time
_READERS: dict[str, Callable[[str | os.PathLike], Result]] = {
    ENSEMBLE: load_ensemble,
    MOSAIC: load_mosaic,
    FILM: load_film,
}  # whatever else is a field, or refused as none


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


def at_time(result: Result, time: float | None) -> Still:
    """A result at one time.

    Parameters
    ----------
    result : NeuralField, Ensemble, Mosaic or Film
    time : float or None
        Of a film, in its unit.

    Raises
    ------
    InputError
        If a film is given no time, or anything else one, or the film is not that long.
    """
    if not isinstance(result, Film):
        if time is not None:
            raise InputError("only a film has a time: leave out --time")
        return result
    if time is None:
        raise InputError(f"a film of {len(result.fields)} times: choose one, {result.span}")
    return result.at(time)

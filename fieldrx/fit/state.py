"""All that changes during a fit, and the checkpoints that hold it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from fieldrx.backends import to_host
from fieldrx.backends.operators import Operators
from fieldrx.errors import InputError, one_line
from fieldrx.io import load_npz, save_npz
from fieldrx.resources import Need

FORMAT, VERSION = "fieldrx-checkpoint", 1
HISTORY = ("loss", "prior", "error", "holdout", "seconds")
# Entries that are JSON text, and what they must say.
_WORDS: dict[str, Any] = {
    "arguments": dict,
    "origin": dict,
    "notes": list,
    "closed_form_error": (float, int, type(None)),
}
# Entries that older checkpoints, which name no format, may lack.
_SINCE_0_1 = ("setbacks", "judged_from", "pool_size", "aligned", "edge_judged", "soft_edge", "thin")


def weights_need(n_params: int) -> Need:
    """Memory of weights, of their averages and gradient, of the best and of those to go back to."""
    return Need("the field's weights", held=32.0 * n_params)


@dataclass
class State:
    """All that changes during a fit.

    Parameters
    ----------
    params, m, v : array, shape (n_params,), float32
        Weights, and Adam's averages of their gradient and of its square.
    best_params : array
        Of the field with the lowest held-out error so far.
    output_scale : float
        Contrast of a network's output of 1.
    best_error, best_score : float
        Held-out error of that field, and what chose it: the error but for brightnesses, where these are
        refined.
    best_step : int
    good_params, good_m, good_v, good_step
        Where a fit that goes astray goes back to.
    optics, best_optics : array
        Refined optics in a row, of `fieldrx.refinement.Optics.to_vector`, and those of the best field.
    corrections : int
        Of the optics so far.
    aligned : array
        Of the board, see `fieldrx.alignment.Alignment.move`.
    edge_judged, soft_edge : int
        Whether it was asked which edge the aperture has, and whether it is soft.
    thin : int
        Looks in a row that spoke for the grid's own slices, until light crosses these: see
        `fieldrx.fit.slices`.
    rate_scale : float
        Of the step size, halved by every set-back.
    setbacks : int
        Also part of the random numbers of the order of images.
    judged_from : int
        Step from which errors are compared.
    pool_size : int
        Images that the last step could draw from.
    step : int
    seconds : float
    history : dict of list
        Values of every step by the names of `HISTORY`.
    """

    params: np.ndarray
    m: np.ndarray
    v: np.ndarray
    best_params: np.ndarray
    output_scale: float
    best_error: float = np.inf
    best_score: float = np.inf
    best_step: int = 0
    good_params: np.ndarray | None = None
    good_m: np.ndarray | None = None
    good_v: np.ndarray | None = None
    good_step: int = 0
    optics: np.ndarray = field(default_factory=lambda: np.zeros(0))
    best_optics: np.ndarray = field(default_factory=lambda: np.zeros(0))
    corrections: int = 0
    aligned: np.ndarray = field(default_factory=lambda: np.zeros(0))
    edge_judged: int = 0
    soft_edge: int = 0
    thin: int = 0
    rate_scale: float = 1.0
    setbacks: int = 0
    judged_from: int = 0
    pool_size: int = 0
    step: int = 0
    seconds: float = 0.0
    history: dict = field(default_factory=lambda: {name: [] for name in HISTORY})

    def keep(self) -> None:
        """Remember the present weights as those to go back to."""
        self.good_params, self.good_m, self.good_v = (a.copy() for a in (self.params, self.m, self.v))
        self.good_step = self.step

    def go_back(self) -> None:
        """Take the weights that were kept."""
        for name in ("params", "m", "v"):
            getattr(self, name)[:] = getattr(self, f"good_{name}")


def save_checkpoint(path: str | os.PathLike, state: State, told: dict) -> None:
    """Write a state, and JSON values that belong to it, without ever leaving half a file."""
    arrays: dict[str, Any] = {
        name: to_host(value) for name, value in vars(state).items() if name != "history"
    }
    history: dict[str, Any] = {
        f"history_{name}": np.array(v, np.float64) for name, v in state.history.items()
    }
    words: dict[str, Any] = {name: np.array(json.dumps(value)) for name, value in told.items()}
    save_npz(path, format=np.array(FORMAT), version=np.array(VERSION), **words, **arrays, **history)


def load_checkpoint(path: str | os.PathLike, arguments: dict, backend: Operators) -> tuple[State, dict]:
    """Read a state and the JSON values beside it.

    Parameters
    ----------
    path : path-like
    arguments : dict
        Of the fit that wants to go on, as of `fieldrx.fit.problem.Problem.arguments`.
    backend : module
        Whose arrays the state shall hold.

    Raises
    ------
    InputError
        If the file is no checkpoint, of another version, or of a fit with other arguments.
    """
    names = [f.name for f in fields(State) if f.name not in ("history", *_SINCE_0_1)]
    told = ["arguments", "origin", "notes"]
    arrays = load_npz(path, "checkpoint", [*told, *(f"history_{n}" for n in HISTORY if n != "error"), *names])
    _check_version(arrays, path)
    names += [name for name in _SINCE_0_1 if name in arrays]
    told += ["closed_form_error"] if "closed_form_error" in arrays else []
    words = {name: _words(arrays, name, path) for name in told}
    _check_arguments(words["arguments"], arguments, path)
    values: dict[str, Any] = {
        name: backend.asarray(arrays[name]) if arrays[name].ndim else arrays[name].item() for name in names
    }
    history = {name: list(arrays.get(f"history_{name}", ())) for name in HISTORY}
    if len(history["error"]) < len(history["loss"]):  # of version 0.1 of the package
        history["error"] = list(np.sqrt(history["loss"]))
    return State(**values, history=history), words


def _words(arrays, name, path):
    """What one entry, JSON text, says."""
    try:
        words = json.loads(str(arrays[name]))
    except ValueError as error:
        raise InputError(
            f'{path} is damaged: its "{name}" is no JSON ({one_line(error)}); start anew without --resume'
        ) from None
    if not isinstance(words, _WORDS[name]):
        raise InputError(
            f'{path} is damaged: its "{name}" is a {type(words).__name__}; start anew without --resume'
        )
    return words


def _check_version(arrays, path):
    """Those of version 0.1 of the package name neither format nor version."""
    version = arrays.get("version", np.array(VERSION))
    if version.shape != () or version.item() != VERSION:
        raise InputError(
            f"{path} is a checkpoint of version {str(version)[:40]}; this fieldrx reads version {VERSION}: "
            "start anew without --resume"
        )


def _check_arguments(theirs, arguments, path):
    theirs, mine = {"background": False} | theirs, json.loads(json.dumps(arguments))
    other = [name for name in mine if mine[name] != theirs.get(name)]
    if other:
        words = " and ".join(_named(name, theirs, mine) for name in other)
        raise InputError(
            f"{path} belongs to a fit with other {words}: resume with the same arguments, or start anew "
            "without --resume"
        )


def _named(name, theirs, mine):
    """An argument that differs, and which of its own parts do where it has some."""
    if not all(isinstance(value.get(name), dict) for value in (theirs, mine)):
        return name
    one, other = theirs[name], mine[name]
    return f"{name} ({', '.join(part for part in other if one.get(part) != other[part])})"


def checkpoint_arguments(path: str | os.PathLike) -> dict:
    """What the fit of a checkpoint was asked to do; as in a field's provenance.

    Raises
    ------
    InputError
        If the file is no checkpoint.
    """
    return _words(load_npz(path, "checkpoint", ["arguments"]), "arguments", path)

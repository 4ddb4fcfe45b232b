"""How a field came to be: what was asked, where, with what, and how the fit ended.

Kept in a field's file as JSON text: the names below, the entries of ``origin`` beside them, and ``version``.
Files of version 0.1 of the package have no ``version`` and fewer names; what they do not say is unknown here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

import numpy as np

from fieldrx.errors import InputError

VERSION = 1


@dataclass(frozen=True, eq=False)
class Provenance(Mapping):
    """How a field came to be; JSON values, also by their names, as of a dict.

    Everything may be unknown, None: a field need not have been fitted.

    Parameters
    ----------
    fieldrx, numpy : str
        Versions.
    device : str
        Where the fit ran.
    name : str
        Of the acquisition.
    microscope, grid : dict
        Of the fit, as their ``to_dict`` tells.
    acquisition : dict
        Its fingerprint, ``Acquisition.fingerprint``.
    model : str
    depth : list
        First and last slice and their distance [um].
    encoding, network, priors, loss, schedule : dict
    holdout : list of int
        Images that the fit did not see.
    refine : list of str
        Kinds of optics that the fit corrected.
    background : bool
        Whether it fitted backgrounds with the sample.
    optics_start : dict
        Optics that the fit began with, where they are not the acquisition's.
    precision : str
        Of the networks.
    steps_done, best_step : int
    seconds : float
    nrmse_holdout, nrmse_closed_form : float
        Errors of unseen images as shares of their signal.
    interrupted : bool
        Whether it was stopped.
    diverged : str
        Where and how it went astray, if it did.
    notes : list of str
    optics : dict
        Optics as the fit found them.
    origin : dict
        Everything else: how arguments were chosen, what the fit is part of.
    """

    fieldrx: str | None = None
    numpy: str | None = None
    device: str | None = None
    name: str | None = None
    microscope: dict | None = None
    grid: dict | None = None
    acquisition: dict | None = None
    model: str | None = None
    depth: list | None = None
    encoding: dict | None = None
    network: dict | None = None
    priors: dict | None = None
    loss: dict | None = None
    schedule: dict | None = None
    holdout: list | None = None
    refine: list | None = None
    background: bool | None = None
    optics_start: dict | None = None
    precision: str | None = None
    steps_done: int | None = None
    best_step: int | None = None
    seconds: float | int | None = None
    nrmse_holdout: float | int | None = None
    nrmse_closed_form: float | int | None = None
    interrupted: bool | None = None
    diverged: str | None = None
    notes: list | None = None
    optics: dict | None = None
    origin: dict = field(default_factory=dict)

    def __post_init__(self):
        for one in fields(self):
            value = getattr(self, one.name)
            if not isinstance(value, _KINDS[one.name]):
                raise InputError(f"provenance says {one.name} = {value!r}; expected {one.type}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """From names and JSON values; names that are not those of the class go to ``origin``.

        Raises
        ------
        InputError
            If `values` is no mapping, or a value is of another kind.
        """
        if isinstance(values, cls):
            return values
        if not isinstance(values, Mapping):
            raise InputError(f"provenance is a {type(values).__name__}; expected a dict")
        known = {name: value for name, value in values.items() if name in _NAMES}
        return cls(**known, origin={name: value for name, value in values.items() if name not in _NAMES})

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """From a file's text; errors as of `from_dict`, and of a later version."""
        values = json.loads(text)
        version = values.pop("version", VERSION) if isinstance(values, dict) else VERSION
        if version != VERSION:
            raise InputError(f"provenance of version {version}; this fieldrx reads version {VERSION}")
        return cls.from_dict(values)

    def to_json(self) -> str:
        """The text that a file keeps."""
        return json.dumps({"version": VERSION} | self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Names and JSON values: those that are known, of a fit also those that it left at None."""
        own = {name: getattr(self, name) for name in _NAMES}
        told = {name: v for name, v in own.items() if v is not None or (self.fitted and name != "optics")}
        return told | self.origin

    @property
    def fitted(self) -> bool:
        """Whether the field is known to come from a fit."""
        return self.schedule is not None

    @property
    def held(self) -> np.ndarray:
        """Numbers of the images that the fit did not see, int array."""
        return np.asarray(self.holdout or (), int)

    def need(self, name: str) -> Any:
        """The value of a name that cannot be done without.

        Raises
        ------
        InputError
            If it is unknown.
        """
        value = getattr(self, name)
        if value is None:
            raise InputError(f"the provenance does not say {name}: this takes a field that comes from a fit")
        return value

    def __getitem__(self, name: str) -> Any:
        return self.to_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())


_KINDS = get_type_hints(Provenance)
_NAMES = tuple(one.name for one in fields(Provenance) if one.name != "origin")

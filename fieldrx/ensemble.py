"""How uncertain a field is: an ensemble of fields that the same images would also allow.

Every member goes on from the field with a restarted, large step size, on a part of the training images and in
another order: it wanders off along all that the images leave open and settles again (restarts that make
an ensemble cheap: Huang et al., ICLR 2017; here on subsets of the data).  Where members differ, the
images do not decide.

Their spread s has the right shape more than the right size, since all members share the field's past, its
priors and its model of light.  The size comes from images that neither the field nor a member has seen: their
residual r against the mean's prediction has the variance sigma^2 + factor^2 s_I^2, with sigma the noise floor
and s_I the spread of the members' predictions.  No truth is needed.  What no image shows, frequencies outside
the supported band (`fieldrx.band`), no residual can test: there the spread shows what the priors leave open
and is no error bar.

An ensemble file is one .npz without pickles: ``format`` ("fieldrx-ensemble"), ``version``, ``factor``,
``calibration`` and ``provenance`` (JSON text), and every member's arrays (`fieldrx.field.neural_field`) behind a
prefix ``member_K_``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import numpy as np

from fieldrx._version import __version__
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.field.neural_field import field_from_arrays
from fieldrx.fit import Fit, Schedule
from fieldrx.io import Volume, check_keys, load_npz, one_line, save_npz
from fieldrx.models import grid_for, make_model, predict
from fieldrx.noise import noise_floor
from fieldrx.priors import Priors

FORMAT, VERSION = "fieldrx-ensemble", 1
MEMBERS, STEPS, OMIT = 6, 24, 0.25
_COVERED = 0.954  # share of a normal distribution within two standard deviations
_RESTART = {"coarse": 0.7, "warm_steps": 1, "tilted_from": 0.0, "patience": 0}
_RESTART_RATE = 0.5  # of the fit's first step size


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Fields that the same images allow: their mean and its calibrated standard deviation.

    Parameters
    ----------
    members : sequence of NeuralField
        Two or more, of one domain and medium.
    factor : float
        What their spread is multiplied by; see the module.
    provenance : dict
        JSON values: how the ensemble came to be.
    calibration : dict
        JSON values: what the factor was estimated from.

    Raises
    ------
    InputError
        If there are fewer than two members, or they do not belong together.
    """

    members: tuple[NeuralField, ...]
    factor: float = 1.0
    provenance: dict = field(default_factory=dict)
    calibration: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "members", tuple(self.members))
        if len(self.members) < 2:
            raise InputError(f"{len(self.members)} members tell no spread; expected 2 or more")
        first = self.members[0]
        for other in self.members[1:]:
            if other.medium_index != first.medium_index or not np.allclose(other.bounds_um, first.bounds_um):
                raise InputError("the members of an ensemble must share their domain and medium")
        if not (np.isfinite(self.factor) and self.factor > 0):
            raise InputError(f"factor is {self.factor}; expected a positive number")

    def __call__(self, points):
        """Mean refractive index and its standard deviation at any points.

        Parameters
        ----------
        points : array, shape (..., 3)
            (z, y, x) [um].

        Returns
        -------
        mean, std : complex128 arrays, shape (...)
            The real part of `std` belongs to the index, the imaginary part to the absorption.  It speaks of
            what lies inside the band that the images support.
        """
        mean, std = self._statistics(lambda member: member.contrast(points))
        return self.medium_index + mean, std

    def on_axes(self, z, y, x):
        """Mean contrast and its standard deviation on the grid of three axes [um], complex64."""
        mean, std = self._statistics(lambda member: member.on_axes(z, y, x))
        return mean.astype(np.complex64), std.astype(np.complex64)

    def volume(self, spacing=None, shape=None, region=None) -> tuple[Volume, Volume]:
        """Mean contrast and its standard deviation on a regular grid; parameters of ``NeuralField.volume``."""
        grid = self.members[0].grid(spacing, shape, region)
        place = grid.spacing_um, grid.origin_um, self.medium_index
        mean, std = self.on_axes(*grid.axes)
        return Volume(mean, *place), Volume(std, *place)

    @property
    def medium_index(self) -> float:
        """n0."""
        return self.members[0].medium_index

    def save(self, path) -> None:
        """Write the ensemble file; an interruption leaves the old one."""
        arrays = {
            "format": np.array(FORMAT),
            "version": np.array(VERSION),
            "factor": np.array(self.factor),
            "provenance": np.array(json.dumps(self.provenance)),
            "calibration": np.array(json.dumps(self.calibration)),
        }
        for k, member in enumerate(self.members):
            arrays |= {f"member_{k}_{name}": value for name, value in member.to_arrays().items()}
        save_npz(path, **arrays)

    def _statistics(self, values_of):
        """Mean and standard deviation of what the members say, one member at a time (Welford, 1962)."""
        mean, squares = 0.0, 0.0
        for count, member in enumerate(self.members, 1):
            value = np.asarray(values_of(member), np.complex128)
            change = value - mean
            mean = mean + change / count
            rest = value - mean
            squares = squares + (change.real * rest.real + 1j * change.imag * rest.imag)
        variance = squares / (len(self.members) - 1)
        return mean, self.factor * (np.sqrt(variance.real) + 1j * np.sqrt(variance.imag))


def load_ensemble(path) -> Ensemble:
    """Read an ensemble file.

    Raises
    ------
    InputError
        If the file is missing, damaged, no ensemble, or of another version.
    """
    arrays = load_npz(path, "ensemble", ("format", "version"))
    if str(arrays["format"]) != FORMAT:
        raise InputError(f'{path} has format "{arrays["format"]}"; expected "{FORMAT}"')
    if arrays["version"].shape != () or arrays["version"].item() != VERSION:
        raise InputError(
            f"{path} is an ensemble file of version {arrays['version']}; this fieldrx reads version {VERSION}"
        )
    check_keys(arrays, ("factor", "provenance", "calibration", "member_0_format"), path, "ensemble")
    members = []
    while f"member_{len(members)}_format" in arrays:
        prefix = f"member_{len(members)}_"
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        members.append(field_from_arrays(own, path))
    try:
        texts = (json.loads(str(arrays[name])) for name in ("provenance", "calibration"))
        return Ensemble(members, float(arrays["factor"]), *texts)
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is damaged: {one_line(error)}; make it again") from None

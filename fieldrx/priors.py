"""What is known of a sample beyond its images: regularisers with their gradients.

Values are means over voxels of the contrast in units of the field's output scale, so that a weight
means much the same for any sample and grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fieldrx.backends import module_of, of
from fieldrx.errors import InputError, check_numbers
from fieldrx.parallel import Slab

_EDGE = 0.02  # differences below this share of the output scale are smoothed, above it kept as edges
_SIGN = 30.0  # weight of a sign that is known; 1 left a third of a bead's contrast below zero


def priors_of_sign(sign: int) -> dict:
    """Arguments of `Priors` for a sample denser than its medium (+1) or less dense (-1)."""
    return (
        {"nonnegative": _SIGN, "nonpositive": 0.0} if sign > 0 else {"nonnegative": 0.0, "nonpositive": _SIGN}
    )


@dataclass(frozen=True)
class Priors:
    """Weights of the regularisers, each relative to the data term (squared relative error).

    Parameters
    ----------
    tv : float
        Total variation of the index contrast: prefers smooth regions with sharp borders.
    tv_absorption : float
        The same of the absorption.
    nonnegative : float
        Squared negative part of the index contrast (a sample denser than its medium).
    nonnegative_absorption : float
        Squared negative part of the absorption (no sample amplifies light).
    nonpositive : float
        Squared positive part of the index contrast (a sample less dense than its medium).
    """

    tv: float = 0.6
    tv_absorption: float = 0.6
    nonnegative: float = 1.0
    nonnegative_absorption: float = 1.0
    nonpositive: float = 0.0

    def __post_init__(self):
        check_numbers(self)
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"prior weight {name} is {value}; expected a number >= 0")

    def value_and_gradient(
        self,
        outputs: np.ndarray,
        spacing_um: tuple[float, float, float],
        unit_um: float,
        slab: Slab | None = None,
        grad: np.ndarray | None = None,
    ) -> tuple[Any, np.ndarray]:
        """Value of all regularisers and gradient with respect to the field's outputs.

        Parameters
        ----------
        outputs : float32 array, shape (1 or 2, nz, ny, nx)
            Index contrast and, where the field has it, absorption, over the output scale.
        spacing_um : (float, float, float)
            Voxel spacing.
        unit_um : float
            Length over which differences are taken, so that the value does not depend on the spacing.
        slab : Slab, optional
            Where the outputs are those of a slab's wide planes: value and gradient are the part of its own
            planes.
        grad : float32 array of the shape of the own planes' outputs, optional
            What the gradient is added to, in place; zeros when not given.

        Returns
        -------
        float, float32 array of the shape of the own planes' outputs
        """
        slab = slab or Slab.of(outputs.shape[1], 0, 1)
        direct = grad is not None and slab.own == slab.wide
        total: Any = grad if direct else module_of(outputs).zeros_like(outputs)
        weights = unit_um / np.asarray(spacing_um)
        voxels = slab.planes * outputs.shape[2] * outputs.shape[3]
        kinds = (
            (self.tv, self.nonnegative, self.nonpositive),
            (self.tv_absorption, self.nonnegative_absorption, 0.0),
        )
        value: Any = None
        for u, g, kind in zip(outputs, total, kinds, strict=False):
            if any(kind) and len(u):
                penalty = partial(_penalty, weights, [weight / voxels for weight in kind])
                value = penalty(u, g, value)
                if slab.own != slab.wide:
                    value = value - _others(u, penalty, slab.inner)
        value = 0.0 if value is None else value
        if grad is None:
            return value, total[:, slab.inner]
        if not direct:
            grad += total[:, slab.inner]
        return value, grad


def _penalty(weights_zyx, factors, u, grad, value=None):
    """Value of one output's regularisers, added to a value; their gradient is added to `grad`."""
    tv, negative, positive = factors
    return of(u).regularise(u, weights_zyx, _EDGE, tv, negative, positive, grad, value)


def _others(u, penalty, own):
    """What planes beside a slab's own add to a penalty, every part of which looks at the next plane alone."""

    def part(planes):
        return penalty(planes, module_of(u).zeros_like(planes))

    value = 0.0
    if own.start > 0:
        value += part(u[:2]) - part(u[1:2])
    if own.stop < len(u):
        value += part(u[-1:])
    return value

"""The field on the model's grid, at any of its strides and shifts, and the way back to its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.backends import module_of
from fieldrx.backends.operators import Operators
from fieldrx.field.outputs import normalised, to_contrast
from fieldrx.fit.problem import Problem
from fieldrx.interpolation import upsample


class Sampling:
    """Evaluates one field's encoding and network for given weights.

    Parameters
    ----------
    problem : Problem
    backend : module
        That computes.
    """

    def __init__(self, problem: Problem, backend: Operators):
        self.encoding, self.network, self.grid = problem.encoding, problem.network, problem.grid
        self.backend, self.precision = backend, problem.precision

    def axes(self, stride: int = 1, shift: Sequence[float] | np.ndarray = (0.0, 0.0)) -> list[np.ndarray]:
        """Normalised coordinates of every `stride`-th voxel, shifted by parts of that distance (y, x)."""
        z, y, x = self.grid.axes
        dy, dx = (stride * d * s for d, s in zip(self.grid.spacing_um[1:], shift, strict=True))
        return normalised((z, y[::stride] + dy, x[::stride] + dx), self.grid.bounds_um)

    def spacing_um(self, stride: int) -> tuple[float, float, float]:
        """Distances of neighbouring points."""
        dz, dy, dx = self.grid.spacing_um
        return dz, stride * dy, stride * dx

    def contrast(
        self,
        params: np.ndarray,
        scale: float,
        stride: int = 1,
        gain: np.ndarray | None = None,
        shift: Sequence[float] | np.ndarray = (0.0, 0.0),
    ) -> tuple:
        """The network's outputs at shifted points, and the contrast they make on the model's grid."""
        outputs = self.outputs(params, self.axes(stride, shift), gain)
        return outputs, upsample(to_contrast(outputs, scale), stride, shift)

    def outputs(
        self, params: np.ndarray, axes: Sequence[np.ndarray], gain: np.ndarray | None = None
    ) -> np.ndarray:
        """The network's outputs on the grid of three axes."""
        z, y, x = axes
        field = self.encoding, self.network, params
        return self.backend.grid_forward(*field, z, y, x, gain, precision=self.precision)

    def gradient(
        self,
        params: np.ndarray,
        axes: Sequence[np.ndarray],
        d_outputs: np.ndarray,
        gain: np.ndarray | None = None,
    ) -> np.ndarray:
        """Gradient of all parameters from that of the outputs."""
        z, y, x = axes
        field = self.encoding, self.network, params
        return self.backend.grid_backward(*field, z, y, x, d_outputs, gain, precision=self.precision)

    def to_outputs(self, gradient: np.ndarray, scale: float) -> np.ndarray:
        """Gradient of the outputs from that of the contrast, times a number."""
        parts = [gradient.real, gradient.imag][: self.network.n_outputs]
        return module_of(gradient).stack(parts) * np.float32(scale)

    def fold(self, params: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
        """A copy of the parameters whose network does without the gain."""
        params = params.copy()
        if gain is not None:
            gain = self.backend.asarray(gain)
            named = self.network.unpack(params[self.encoding.n_params :])
            for layer in (0, *self.network.skips):
                named[f"weight_{layer}"][-len(gain) :] *= gain[:, None]
        return params

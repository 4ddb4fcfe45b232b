"""The field on the model's grid, at any of its strides and shifts, and the way back to its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.backends import module_of
from fieldrx.backends.operators import Operators
from fieldrx.field.outputs import normalised, to_contrast
from fieldrx.fit.problem import Problem
from fieldrx.interpolation import upsample
from fieldrx.optics import Grid
from fieldrx.parallel import Communicator, Slab


class Sampling:
    """Evaluates one field's encoding and network for given weights.

    Ranks that share planes evaluate those of their slab, and those beside it, which its priors look at.

    Parameters
    ----------
    problem : Problem
    backend : module
        That computes.
    ranks, sharing : Communicator
        Ranks that have the same weights, and those that share the planes of the grid.
    grid : Grid, optional
        Where it is evaluated; the problem's when not given.
    """

    def __init__(
        self,
        problem: Problem,
        backend: Operators,
        ranks: Communicator,
        sharing: Communicator,
        grid: Grid | None = None,
    ):
        self.encoding, self.network, self.grid = problem.encoding, problem.network, grid or problem.grid
        self.bounds_um = problem.grid.bounds_um
        self.backend, self.precision = backend, problem.precision
        self.ranks, self.sharing = ranks, sharing
        self.slab = Slab.of(self.grid.shape[0], sharing.rank, sharing.size)

    def axes(
        self, stride: int = 1, shift: Sequence[float] | np.ndarray = (0.0, 0.0), lift_um: float = 0.0
    ) -> list[np.ndarray]:
        """Normalised coordinates of every `stride`-th voxel, shifted by parts of that distance (y, x), and
        along z by so many um."""
        z, y, x = self.grid.axes
        dy, dx = (stride * d * s for d, s in zip(self.grid.spacing_um[1:], shift, strict=True))
        return normalised((z + lift_um, y[::stride] + dy, x[::stride] + dx), self.bounds_um)

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
        lift_um: float = 0.0,
    ) -> tuple:
        """The network's outputs at shifted points of the slab's wide planes, and the contrast that those of
        all slabs make on the model's grid."""
        outputs = self.outputs(params, self.axes(stride, shift, lift_um), self.slab.wide, gain)
        own = upsample(to_contrast(outputs[:, self.slab.inner], scale), stride, shift)
        return outputs, self.sharing.join(own, self.grid.shape[0])

    def outputs(
        self,
        params: np.ndarray,
        axes: Sequence[np.ndarray],
        planes: slice,
        gain: np.ndarray | None = None,
    ) -> np.ndarray:
        """The network's outputs on some planes of the grid of three axes."""
        z, y, x = axes
        if planes.start == planes.stop:
            return module_of(params).zeros((self.network.n_outputs, 0, len(y), len(x)), np.float32)
        field = self.encoding, self.network, params
        return self.backend.grid_forward(*field, z[planes], y, x, gain, precision=self.precision)

    def gradient(
        self,
        params: np.ndarray,
        axes: Sequence[np.ndarray],
        d_outputs: np.ndarray,
        gain: np.ndarray | None = None,
    ) -> np.ndarray:
        """Gradient of all parameters from that of the outputs on the slab's own planes."""
        z, y, x = axes
        z = z[self.slab.own]
        if not len(z):
            return module_of(params).zeros(params.size, np.float32)
        field = self.encoding, self.network, params
        return self.backend.grid_backward(*field, z, y, x, d_outputs, gain, precision=self.precision)

    def to_outputs(self, gradient: np.ndarray, scale: float) -> np.ndarray:
        """Gradient of the outputs from that of the contrast, times a number."""
        return self.backend.to_outputs(gradient, self.network.n_outputs, scale)

    def fold(self, params: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
        """A copy of the parameters whose network does without the gain."""
        params = params.copy()
        if gain is not None:
            gain = self.backend.asarray(gain)
            named = self.network.unpack(params[self.encoding.n_params :])
            for layer in (0, *self.network.skips):
                named[f"weight_{layer}"][-len(gain) :] *= gain[:, None]
        return params

"""Aligning the board of lamps while a field is fitted: ``--refine board``.

The discs in the spectra of images (`fieldrx.calibration`) tell directions to a part of a frequency step, and
for one cell in a small image a step is wide.  The images tell far more to whom knows the sample, and the
field that is being fitted is a sample that becomes better.  Few numbers are asked for, since a field that is
not finished has adapted to wrong directions and would hold any one of them fast: where the board is and how
it is turned and scaled, theta, as of `fieldrx.board.moved`.  At every second step they take a
damped Gauss-Newton step with the images of that step,

    (A + D) step = J^T r / v - D theta,      D = diag(1 / width^2),

r = measured - predicted, J = d I / d theta by differences, A an average of J^T J / v over recent steps, all
scaled to the whole set.  `width` says how far a table is expected to be wrong; v is the mean square of r,
raised by `_STRUCTURE` as what a field does not explain yet is not white noise.  Differences need a pupil with
a soft edge: light on a hard one jumps.  The edge counts, since it alone tells a common shift of all
directions from a sheared sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fieldrx.backends import module_of, to_host
from fieldrx.board import Board, moved
from fieldrx.models import ForwardModel, Optics, model_class
from fieldrx.parallel import Communicator, share_of
from fieldrx.refinement import Refinement

FIRST, LAST, EVERY = 0.25, 0.75, 2  # shares of the fit between which, and at every how many steps, it moves
_WIDTH = np.array([0.02, 0.02, 0.005, 0.005])  # rotation, scale, shift y, x
_STRUCTURE = 30.0
_STEP = 1e-3  # of differences
_SHARE = 0.5  # of a Gauss-Newton step that is taken,
_MOST = np.array([0.004, 0.004, 0.002, 0.002])  # and the farthest in one go
_MEMORY = 0.8  # of A, for that of the steps before


class Alignment:
    """Moves of the board in one fit.

    Parameters
    ----------
    refinement : Refinement
        Makes models of the fit, and knows its acquisition and images.
    ranks : Communicator
        That share the images of a step.
    """

    def __init__(self, refinement: Refinement, ranks: Communicator):
        self.refinement, self.ranks = refinement, ranks
        self.options = {} if model_class(refinement.name).linear else {"edge": "soft"}

    def due(self, step: int, share: float) -> bool:
        """Whether the board moves at this step of the fit, after a share of it."""
        return FIRST <= share < LAST and step % EVERY == 0

    def move(
        self,
        optics: Optics,
        state: np.ndarray,
        contrast: np.ndarray,
        batch: np.ndarray,
        make: Callable[..., ForwardModel] | None = None,
    ) -> tuple[Optics, np.ndarray]:
        """Move the board once.

        Parameters
        ----------
        optics : Optics
        state : array
            theta and A in a row; empty before the first move.
        contrast : complex array, shape ``grid.shape``
        batch : array of int
            Images to learn from.
        make : callable, optional
            Gives the model on the contrast's grid for some optics; the refinement's when not given.

        Returns
        -------
        Optics
        array
            The state.
        """
        n = len(_WIDTH)
        theta, kept = (np.zeros(n), None) if not len(state) else (state[:n], state[n:].reshape(n, n))
        normal, right = self._normal_equations(optics, contrast, batch, make or self.refinement.model)
        kept = normal if kept is None else _MEMORY * kept + (1 - _MEMORY) * normal
        stiff = np.diag(1 / _WIDTH**2)
        step = np.linalg.solve(kept + stiff, right - stiff @ theta)
        step = np.clip(_SHARE * step, -_MOST, _MOST)
        optics = self.refinement.keep_inside(self._moved(optics, step))
        return optics, np.concatenate([theta + step, kept.ravel()])

    def _moved(self, optics, step):
        return replace(optics, sources_na=moved(Board.turned(), step).directions(optics.sources_na))

    def _normal_equations(self, optics, contrast, batch, make):
        """J^T J / v and J^T r / v of the whole set, by the images of a batch, which the ranks share."""
        own = batch[share_of(len(batch), self.ranks.rank, self.ranks.size)]
        n = len(_WIDTH)
        sums = self._products(optics, contrast, own, make) if len(own) else np.zeros(n * (n + 1) + 2)
        *products, squared, n_valid = self.ranks.sum(sums)
        products = np.reshape(products, (n, n + 1))
        scale = len(self.refinement.train) / len(batch)
        scale /= _STRUCTURE * max(squared / max(n_valid, 1), 1e-30)
        return scale * products[:, :-1] / _STEP**2, scale * products[:, -1] / _STEP

    def _products(self, optics, contrast, images, make):
        """Products of differences with each other and with the residual, its square, and how many pixels
        count, of some images, in a row."""

        def seen(optics):
            return make(optics, **self.options).forward(contrast, images)

        predicted = seen(optics)
        xp, pairs = module_of(predicted), self.refinement.measured.beside(predicted, images)
        rest = pairs.residual.ravel()
        columns = xp.stack([
            pairs.masked(seen(self._moved(optics, step)) - predicted).ravel()
            for step in _STEP * np.eye(len(_WIDTH))
        ])  # fmt: skip
        products = to_host(columns @ xp.stack([*columns, rest]).T).astype(float)
        return np.array([*products.ravel(), float(xp.vdot(rest, rest)), pairs.n_valid])

    @staticmethod
    def words(state: np.ndarray) -> str:
        """What was moved, in words."""
        turn, scale, *shift = state[: len(_WIDTH)]
        return (
            f"board aligned with the field: turned by {np.rad2deg(turn):+.2f} degrees, directions scaled by "
            f"{1 + scale:.4f}, shifted by ({shift[0]:+.4f}, {shift[1]:+.4f}) in NA (y, x)"
        )

"""Coarse to fine in the physics: early steps of a multi-slice model cross fewer, thicker slices.

Slices are thin where a model wants them thin (ssnp: half a wavelength), not because optics tell so fine along
the light.  While a field is coarse, light may cross slices as thick as half the shortest axial period of the
optics, by the split step (bpm), which such slices suit; steps cost as much less as there are fewer slices.

How long that serves is asked of images that the fit never sees.  A field that begins to learn what thick
slices get wrong predicts them worse by the grid's own slices than by thick ones: then the steps go on with
the grid's own, and after `Schedule.thick` of the fit in any case.
"""

from __future__ import annotations

import numpy as np

from fieldrx.fit.problem import Problem
from fieldrx.fit.sampling import Sampling
from fieldrx.fit.state import State
from fieldrx.optics import Grid, Resolution

MODEL = "bpm"  # of light in thick slices
_STRAYED = 1.05  # error of unseen images by the grid's own slices over that by thick ones: these mislead
_THIN = 2  # looks in a row that say so
_THICKEST = 1.15  # over the half period that the optics tell along the light
_WORTH = 0.6  # share of the slices, above which fewer are not worth it


def thick_grid(problem: Problem) -> Grid | None:
    """The grid of a fit with thicker slices; None where they would hardly be fewer.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Grid or None
        Of the same extent.
    """
    grid, acq = problem.grid, problem.acquisition
    if not problem.multislice or problem.schedule.thick == 0:
        return None
    resolution = Resolution.of(acq.microscope, acq.illumination.select(problem.train), dark_field=True)
    depth = grid.shape[0] * grid.spacing_um[0]
    count = int(np.ceil(depth / (_THICKEST * resolution.axial_um)))
    if count > _WORTH * grid.shape[0]:
        return None
    dz = depth / count
    first = grid.bounds_um[0, 0] + 0.5 * dz
    return Grid((count, *grid.shape[1:]), (dz, *grid.spacing_um[1:]), (first, *grid.origin_um[1:]))


class Slices:
    """Which slices light crosses, step by step.

    Parameters
    ----------
    problem : Problem
    own : Sampling
        Of the field on the grid.
    thick : Sampling, optional
        Of it on `thick_grid`, if there is one.
    """

    def __init__(self, problem: Problem, own: Sampling, thick: Sampling | None):
        self.problem, self.own, self.thick = problem, own, thick

    def at(self, state: State, share: float) -> tuple[Sampling, float]:
        """Where a step at a share of the fit evaluates the field, and how far above that [um]."""
        if self.thick is None or state.thin >= _THIN:
            return self.own, 0.0
        if share >= self.problem.schedule.thick:
            self.skip(state)
            return self.own, 0.0
        return self.thick, self._lift(self.thick.grid, state.step)

    @staticmethod
    def skip(state: State) -> None:
        """Cross the grid's own slices from the present step on, with whose errors none before compare."""
        state.thin, state.judged_from = _THIN, state.step

    def judge(self, state: State, by_own: float, by_thick: float) -> None:
        """Note a look at unseen images: their error by the grid's own slices, and by thick ones.

        Once these have strayed the errors of steps are compared with none before.
        """
        state.thin = state.thin + 1 if by_own > _STRAYED * by_thick else 0
        if state.thin >= _THIN:
            state.judged_from = state.step + 1

    def _lift(self, thick, step):
        """Every step sees the field at another height within its slices, so that they stand for all of it."""
        room = thick.spacing_um[0] - self.problem.grid.spacing_um[0]
        return float(np.random.default_rng((self.problem.schedule.seed, step, 1)).uniform(-0.5, 0.5) * room)

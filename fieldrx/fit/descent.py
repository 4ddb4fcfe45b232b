"""One step downhill, and the guard that undoes a step which led astray.

Multi-slice models are not linear: a step whose images come out worse than those of an empty sample and than
the steps before, or not finite, is undone: back to the last good field, with half the step size and the
images in another order.  Every step is judged by its own images, over their own signal, and only against
steps that drew from the same pool: images of steep light are harder, and when they join the error rises
though nothing diverges.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends.operators import Operators
from fieldrx.fit.objective import Objective
from fieldrx.fit.problem import Problem
from fieldrx.fit.state import State

_ASTRAY = 2.0  # squared error of a step's images over their own signal, beyond which it may be undone
_RISEN = 3.0  # and times the median of the steps before, of the same pool of images
_LOST = 25.0  # beyond which it is undone whatever came before
_JUDGED = 10  # steps looked back on
_FAINT = 0.1  # of the mean signal's power, that an image counts with that shows next to nothing
_SETTLE = 3  # steps after a change of pool, or a set-back, that are not judged
_SETBACKS = 4  # undone steps after which a fit gives up


class Astray(FloatingPointError):
    """A step that must be undone."""


class Descent:
    """Adam (Kingma & Ba, 2015), with a rate of its own for the encoding's table.

    Parameters
    ----------
    problem : Problem
    backend : module
        That computes.
    """

    def __init__(self, problem: Problem, backend: Operators):
        self.schedule, self.backend = problem.schedule, backend
        table = slice(0, problem.encoding.n_params), self.schedule.table_learning_rate
        self.parts = table, (slice(problem.encoding.n_params, None), self.schedule.learning_rate)

    def update(self, state: State, gradient: np.ndarray, rate: float, count: int) -> None:
        """Change the weights, in place.

        Parameters
        ----------
        state : State
        gradient : array, shape (n_params,)
        rate : float
            Step size over the schedule's first one.
        count : int
            Updates so far, this one included.
        """
        for part, first in self.parts:
            if state.params[part].size:
                self.backend.adam_step(
                    state.params[part],
                    gradient[part],
                    state.m[part],
                    state.v[part],
                    count,
                    rate * first,
                    beta2=self.schedule.beta2,
                    eps=1e-15,
                )


def note_pool(state: State, size: int) -> None:
    """Steps that draw from another pool of images are not compared with those before."""
    if size != state.pool_size:
        state.pool_size, state.judged_from = size, state.step


def check(state: State, data: float, batch: np.ndarray, objective: Objective) -> float:
    """Relative error of a step's images, over their own signal.

    Raises
    ------
    Astray
        Where it is not finite, or worse than an empty sample's and than those of the steps before.
    """
    if not np.isfinite(data):
        raise Astray(f"step {state.step}: the data term is {data}")
    norm, count = objective.norm, len(objective.train)
    own = np.maximum(objective.empty[batch], _FAINT * norm / count).sum()
    squared = data * norm * len(batch) / (count * own)
    recent = np.square(state.history["error"][state.judged_from :][-_JUDGED:])
    before = np.median(recent) if len(recent) >= _SETTLE else np.inf
    if squared > _LOST or squared > max(_ASTRAY, _RISEN * before):
        came = f", from {np.sqrt(before):.3g}" if np.isfinite(before) else ""
        raise Astray(f"step {state.step}: the error of its images rose to {np.sqrt(squared):.3g}{came}")
    return float(np.sqrt(squared))


def set_back(state: State) -> bool:
    """Return to the last good field with half the step size; false if that was done too often."""
    state.rate_scale *= 0.5
    if state.rate_scale < 0.5**_SETBACKS:
        return False
    state.go_back()
    state.setbacks, state.judged_from = state.setbacks + 1, state.step
    return True

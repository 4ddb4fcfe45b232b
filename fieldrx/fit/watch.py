"""Held-out images: what they say of the present field, which field is the best, when a fit has settled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fieldrx.fit.correct import Correction
from fieldrx.fit.objective import Objective
from fieldrx.fit.problem import Problem
from fieldrx.fit.state import State
from fieldrx.metrics import ErrorSums, error_sums
from fieldrx.models import ForwardModel


class Watch:
    """Looks at images that a fit never sees.

    Parameters
    ----------
    problem : Problem
    objective : Objective
        Knows the images.
    correction : Correction
        Knows the optics.
    """

    def __init__(self, problem: Problem, objective: Objective, correction: Correction):
        self.held, self.schedule = problem.held, problem.schedule
        self.bright, self.dark = problem.bright(self.held), problem.held[problem.dark[problem.held]]
        self.objective, self.correction = objective, correction

    def look(
        self, state: State, contrast: np.ndarray, folded: Callable[[], np.ndarray]
    ) -> tuple[float, float]:
        """Held-out error and score of the present field, as of `errors`; keeps the field if it is the best so
        far, or nothing is held out.

        Parameters
        ----------
        state : State
        contrast : array
            Of the present field, on the model's grid.
        folded : callable
            Gives its parameters.
        """
        error, score = self.errors(self.correction.model, contrast)
        early = self.schedule.share(state.step, state.seconds) < self.schedule.keep_from
        if not (early or score >= state.best_score):
            state.best_error, state.best_score = (error, score) if len(self.held) else (np.inf, np.inf)
            state.best_step, state.best_params = state.step, folded()
            state.best_optics = state.optics
        return error, score

    def settled(self, state: State) -> bool:
        """Whether the held-out error has stopped falling."""
        schedule = self.schedule
        if schedule.budget_s is not None or not schedule.patience or not len(self.held):
            return False
        since = max(state.best_step, schedule.coarse * schedule.steps)
        return state.step - since > schedule.patience * schedule.evaluate_every

    def errors(self, model: ForwardModel, contrast: np.ndarray) -> tuple[float, float]:
        """The error of held-out images in bright field, and the score that chooses; nan without any.

        Every rank looks at its share.  With dark field among the images the score is the root mean square of
        two errors, that and the amplitudes' in dark field: of both an empty sample's is 1.
        """
        if not len(self.held):
            return np.nan, np.nan
        error, scores = np.nan, []
        if len(self.bright):
            pairs = self._pairs(model, contrast, self.bright)
            error = self._whole(pairs, self.bright)
            refined = self.correction.refinement is not None
            scores.append(self._whole(self.correction.judged(pairs), self.bright) if refined else error)
        if len(self.dark):
            scores.append(self._whole(self._pairs(model, contrast, self.dark), self.dark, amplitudes=True))
        score = scores[0] if len(scores) == 1 else float(np.sqrt(np.mean(np.square(scores))))
        return self.objective.ranks.agree((error, score))

    def _pairs(self, model, contrast, images):
        """This rank's share of some images, beside those predicted; None where it has none."""
        own = self.objective.own(images)
        return self.objective.pairs.compare(model, contrast, own) if len(own) else None

    def _whole(self, pairs, images, amplitudes=False):
        """Relative error of all images, by the sums of all ranks."""
        sums = np.zeros((3, len(images)))
        if pairs is not None:
            own = error_sums(pairs.predicted, pairs.measured, pairs.valid, amplitudes)
            part = own.among(np.flatnonzero(np.isin(images, self.objective.own(images))), len(images))
            sums[:] = part.residual, part.signal, part.pixels
        return ErrorSums(*self.objective.ranks.sum(sums)).nrmse

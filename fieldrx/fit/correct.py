"""The optics of a fit: as they were given, or corrected while it goes on."""

from __future__ import annotations

import numpy as np

from fieldrx.alignment import Alignment
from fieldrx.backends import to_host
from fieldrx.comparison import ImagePairs
from fieldrx.fit.problem import Problem
from fieldrx.fit.state import State
from fieldrx.models import Optics, make_model
from fieldrx.parallel import Communicator
from fieldrx.refinement import Refinement


class Correction:
    """Makes the model of light, and changes its optics at the present field.

    Parameters
    ----------
    problem : Problem
    ranks : Communicator
        That shall have the same optics.
    """

    def __init__(self, problem: Problem, ranks: Communicator):
        self.problem, self.ranks = problem, ranks
        self.refinement: Refinement | None = None
        self.alignment: Alignment | None = None
        if problem.kinds or problem.optics:
            self.refinement = Refinement(
                problem.kinds, problem.acquisition, problem.model, problem.grid,
                problem.bright(problem.train), problem.bright(problem.held), problem.optics,
                problem.background,
            )  # fmt: skip
        if self.refinement and "board" in problem.kinds:
            self.alignment = Alignment(self.refinement, ranks)
        self.model = (
            self.refinement.model(self.refinement.start)
            if self.refinement
            else make_model(problem.model, *problem.geometry)
        )

    @property
    def corrects_closed_form(self) -> bool:
        """Whether a closed form can tell something of the optics: it tells nothing of directions."""
        corrected = self.refinement and set(self.refinement.kinds) - {"illumination"}
        return bool(corrected and not self.problem.multislice)

    def begin(self, state: State) -> None:
        """The optics of a fit before its first step."""
        if self.refinement:
            state.optics = state.best_optics = self.refinement.start.to_vector()

    def optics(self, vector: np.ndarray | None) -> Optics:
        """Optics of a state, refined or as they were."""
        if self.refinement is None or vector is None:
            return Optics.of(self.problem.acquisition.illumination)
        return self.refinement.start.with_vector(to_host(vector))

    def use(self, state: State) -> None:
        """Let the model have the optics of a state."""
        if self.refinement:
            self.model = self.refinement.model(self.optics(state.optics))

    def refine(self, state: State, contrast: np.ndarray, closed_form: bool = False) -> str:
        """Correct the optics at the present field (or the closed form), on the host, and say what changed."""
        if self.refinement is None:
            raise ValueError("the optics of this fit stay as they were given")
        optics, words = self.refinement.improve(self.optics(state.optics), to_host(contrast), closed_form)
        state.corrections += 1
        state.optics, words = self.ranks.agree((optics.to_vector(), words))
        self.use(state)
        return f"step {state.step}: {words}"

    def align(self, state: State, contrast: np.ndarray, batch: np.ndarray) -> None:
        """Move the board by the images of a step."""
        if self.alignment is None:
            raise ValueError("the board of this fit stays where it is")
        batch = self.problem.bright(batch)
        if not len(batch):
            return
        optics = self.optics(state.optics)
        optics, aligned = self.alignment.move(optics, to_host(state.aligned), contrast, batch)
        state.optics, state.aligned = self.ranks.agree((optics.to_vector(), aligned))
        self.use(state)

    def judged(self, pairs: ImagePairs | None) -> ImagePairs | None:
        """Images by whose error the best field is chosen: as they are, but for brightnesses where these are
        refined."""
        if pairs is None or self.refinement is None:
            return pairs
        return self.refinement.judged(pairs)

    def words(self, state: State) -> list[str]:
        """What there is to say at the end."""
        if self.alignment is None or not len(state.aligned):
            return []
        return [self.alignment.words(to_host(state.aligned))]

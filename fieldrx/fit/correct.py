"""The optics of a fit: as they were given, or corrected while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.alignment import Alignment
from fieldrx.backends import to_host
from fieldrx.comparison import ImagePairs
from fieldrx.fit.problem import Problem
from fieldrx.fit.slices import MODEL, thick_grid
from fieldrx.fit.state import State
from fieldrx.models import ForwardModel, Optics, make_model
from fieldrx.parallel import Communicator
from fieldrx.refinement import Refinement

SOFT = 0.25  # of the difference that a soft edge makes, that unseen images must show
_LEAST = 1e-4  # of the power that a fit misses, below which the difference of edges tells nothing


def share_explained(pairs: ImagePairs, other: np.ndarray) -> float:
    """How much of the difference to another prediction stands in what a first one misses.

    The best multiple of ``other - predicted`` in ``measured - predicted``, each less its mean in every image:
    0 where the first prediction is right, 1 where the other is.  Of images that were fitted it is nearer to
    0, since a field adapts to the optics that it is fitted with.

    Parameters
    ----------
    pairs : ImagePairs
        The first prediction beside the measured images.
    other : array, shape (m, y, x)

    Returns
    -------
    float
        nan where the two predictions hardly differ.
    """
    valid = None if pairs.valid is None else to_host(pairs.valid)
    first = to_host(pairs.predicted).astype(np.float64)
    change, missed = to_host(other) - first, to_host(pairs.measured) - first
    for image in (change, missed):
        where = True if valid is None else valid
        image -= image.mean(axis=(1, 2), where=where, keepdims=True)
        image *= 1.0 if valid is None else valid
    if not (change**2).sum() > _LEAST * (missed**2).sum():
        return float("nan")
    return float((change * missed).sum() / (change**2).sum())


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
        self.edge = "hard" if problem.optics is None else problem.optics.edge
        self.thick_grid = thick_grid(problem)
        self._take(self.refinement.start if self.refinement else self.optics(None))

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
            return replace(Optics.of(self.problem.acquisition.illumination), edge=self.edge)
        return replace(self.refinement.start.with_vector(to_host(vector)), edge=self.edge)

    def use(self, state: State) -> None:
        """Let the model have the optics of a state."""
        edge = "soft" if state.soft_edge else self.edge
        if self.refinement or edge != self.edge:
            self.edge = edge
            self._take(self.optics(state.optics))

    def _take(self, optics):
        """Have the models made with some optics, each when it is asked for."""
        self._optics, self._models = optics, {}

    @property
    def model(self) -> ForwardModel:
        """The model of light on the grid."""
        return self.of(thick=False)

    def of(self, thick: bool) -> ForwardModel:
        """The model of light in thick slices, or on the grid."""
        if thick not in self._models:
            self._models[thick] = (self._made_thick if thick else self._made)(self._optics)
        return self._models[thick]

    def _made_thick(self, optics, **options):
        """The model of light in thick slices."""
        _, *place = self.problem.geometry
        return optics.model(MODEL, self.thick_grid, *place, **options)

    def _made(self, optics):
        """The model with some optics, of which the edge alone counts where nothing is refined."""
        if self.refinement:
            return self.refinement.model(optics)
        soft: dict[str, Any] = {"edge": "soft"} if optics.edge == "soft" and self.problem.multislice else {}
        return make_model(self.problem.model, *self.problem.geometry, **soft)

    def judge_edge(
        self, state: State, contrast: np.ndarray, compare: Callable[..., ImagePairs], ranks: Communicator
    ) -> str:
        """Take a soft edge of the aperture, if images that the fit never saw speak for one.

        Parameters
        ----------
        state : State
        contrast : array
            Of the present field, on the model's grid.
        compare : callable
            As of `fieldrx.comparison.MeasuredImages.compare`.
        ranks : Communicator
            Of the fit; the first one decides.

        Returns
        -------
        str
            What changed, in words; empty if nothing did.
        """
        state.edge_judged = 1
        images = self.problem.bright(self.problem.held)
        soft = self._made(replace(self.optics(state.optics), edge="soft"))
        hard, other = (compare(model, contrast, images) for model in (self.model, soft))
        share = ranks.agree(share_explained(hard, other.predicted))
        if not share > SOFT:
            return ""
        state.soft_edge, state.best_score = 1, np.inf  # best is what the new model holds for it
        self.use(state)
        return (
            f"step {state.step}: the aperture has a soft edge, between the frequencies of the grid: unseen "
            f"images show {share:.0%} of what that changes"
        )

    def refine(self, state: State, contrast: np.ndarray, closed_form: bool = False) -> str:
        """Correct the optics at the present field (or the closed form), on the host, and say what changed."""
        if self.refinement is None:
            raise ValueError("the optics of this fit stay as they were given")
        optics, words = self.refinement.improve(self.optics(state.optics), to_host(contrast), closed_form)
        state.corrections += 1
        state.optics, words = self.ranks.agree((optics.to_vector(), words))
        self.use(state)
        return f"step {state.step}: {words}"

    def align(self, state: State, contrast: np.ndarray, batch: np.ndarray, thick: bool = False) -> None:
        """Move the board by the images of a step, and its contrast on the grid or in thick slices."""
        if self.alignment is None:
            raise ValueError("the board of this fit stays where it is")
        batch = self.problem.bright(batch)
        if not len(batch):
            return
        optics = self.optics(state.optics)
        make = self._made_thick if thick else None
        optics, aligned = self.alignment.move(optics, to_host(state.aligned), contrast, batch, make)
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

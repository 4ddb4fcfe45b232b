"""One reconstruction under way: its steps, its checkpoints, and the field that comes out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.fit import course, start
from fieldrx.fit.correct import Correction
from fieldrx.fit.descent import Astray, Descent, check, note_pool, set_back
from fieldrx.fit.objective import Objective
from fieldrx.fit.options import Options
from fieldrx.fit.parts import Parts
from fieldrx.fit.problem import pose
from fieldrx.fit.result import field_of
from fieldrx.fit.sampling import Sampling
from fieldrx.fit.slices import Slices
from fieldrx.fit.state import State, load_checkpoint, save_checkpoint
from fieldrx.fit.together import agree_problem, agree_weights, planes_shared_by, sharing_notes
from fieldrx.fit.watch import Watch
from fieldrx.interpolation import upsample_adjoint
from fieldrx.models import Born, ForwardModel, Optics, make_model
from fieldrx.parallel import by_first, world
from fieldrx.progress import Progress, StopOnSignal

_SAVE_EVERY_S = 60.0
_EDGE_FROM = 0.4  # share of a fit from which the edge of the aperture is asked for
_BEFORE = 3  # corrections of the optics before the first step, at the closed form


class Fit:
    """One reconstruction under way.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float) or "auto"
        Slice centres z0, z1 and their distance dz [um]; "auto" finds the sample by refocusing.
    model : str
        "born", "rytov", "bpm", "ssnp", "mlb", or "auto" for what a first estimate says.
    origin : dict, optional
        JSON values that join the field's provenance.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.
    device : str
        "cpu", "cuda", or "auto" for the GPU where there is one.
    **options
        What else may be asked, by the names of `fieldrx.fit.Options`: ``encoding``, ``network``, ``preset``,
        ``priors``, ``schedule``, ``holdout``, ``absorption``, ``refine``, ``background``, ``optics``,
        ``loss``, ``grid_um``, ``precision``.

    Raises
    ------
    InputError
        If the acquisition or an argument does not make sense, or the fit exceeds the memory.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        depth: Sequence[float] | str,
        model: str = "auto",
        *,
        origin: dict[str, Any] | None = None,
        callback: Callable | None = None,
        device: str = "auto",
        **options: Any,
    ):
        self.backend, self.callback, self.ranks = get(device), callback or (lambda progress: None), world()
        posed = pose(acquisition, depth, model, Options.named(options), self.backend)
        self.problem = problem = agree_problem(posed, self.ranks)
        self.acquisition, self.grid = problem.acquisition, problem.grid
        self.train, self.held, self.loss = problem.train, problem.held, problem.loss
        self.encoding, self.network = problem.encoding, problem.network
        self.priors, self.schedule = problem.priors, problem.schedule
        self.arguments, self.notes, self.origin = problem.arguments(), list(problem.notes), dict(origin or {})
        if problem.choices:
            self.origin["automatic"] = [*problem.choices, *self.origin.get("automatic", ())]
        sharing = planes_shared_by(self.ranks, self.backend)
        self.notes += sharing_notes(problem, self.ranks, sharing)
        self.noted: frozenset[str] = frozenset()  # of these, what an interrupted fit had noted before
        self.correction = Correction(problem, self.ranks)
        self.linear = self._single_scattering()
        self.objective = Objective(problem, self.backend, self.model, self.ranks, sharing)
        place = problem, self.backend, self.ranks, sharing
        self.sampling, thick = Sampling(*place), self.correction.thick_grid
        self.slices = Slices(problem, self.sampling, Sampling(*place, thick) if thick else None)
        self.descent = Descent(problem, self.backend)
        self.watch = Watch(problem, self.objective, self.correction)
        self.state: State = None  # type: ignore[assignment]  # until the fit is started or resumed
        self.diverged: str | None = None
        self.closed_form_error: float | None = None
        self._stop, self._stopped = StopOnSignal(), False

    @property
    def model(self) -> ForwardModel:
        """The model of light, with the optics at the present step."""
        return self.correction.model

    @property
    def optics(self) -> Optics:
        """The optics at the present step, refined or as they were."""
        return self.correction.optics(None if self.state is None else self.state.optics)

    # ---- the run -------------------------------------------------------------------------------

    def run(
        self,
        checkpoint: str | os.PathLike | None = None,
        resume: bool = False,
        initial: NeuralField | None = None,
    ) -> NeuralField:
        """Fit to the end and return the best field.

        Parameters
        ----------
        checkpoint : path, optional
            Where the state is saved now and then, and at the end; remove it once the field is saved.
        resume : bool
            Continue from ``checkpoint``; the result is that of an uninterrupted fit.
        initial : NeuralField, optional
            As of :meth:`start`.

        Returns
        -------
        NeuralField
            The one with the lowest held-out error, or the last one when nothing is held out.  After
            Ctrl-C, or another signal of `fieldrx.progress.StopOnSignal`, the best so far, with
            ``provenance.interrupted`` true.  After a divergence the best so far, with
            ``provenance.diverged`` saying where.

        Raises
        ------
        KeyboardInterrupt
            If the fit was stopped before its first step.
        """
        begun = time.perf_counter()
        with StopOnSignal() as stop:
            self._stop = stop
            if resume:
                self.resume(checkpoint)
            else:
                self.start(initial)
            self._iterate(checkpoint, begun)
            interrupted = self._asked()  # also since the last step
        return self.field(interrupted)

    def finish(self, initial: NeuralField | None = None, parts: Parts | None = None) -> NeuralField:
        """Fit to the end, as a part of other work that stops with it.

        Parameters
        ----------
        initial : NeuralField, optional
            As of :meth:`start`.
        parts : Parts, optional
            Where it is kept: work that is done again finds it there, as far as it went.

        Raises
        ------
        KeyboardInterrupt
            If the fit was stopped, even after its first step.
        """
        checkpoint = None if parts is None else parts.checkpoint(self.arguments, initial)
        field = self.run(checkpoint, checkpoint is not None and by_first(checkpoint.exists), initial)
        if field.provenance.interrupted:
            raise KeyboardInterrupt
        return field

    def start(self, initial: NeuralField | None = None) -> None:
        """Initial weights: those of a field, or random ones, taught the closed form if the schedule says so.

        Parameters
        ----------
        initial : NeuralField, optional
            Of the same encoding and network, on the grid of this fit.
        """
        if initial is not None:
            self.state = start.state_of(initial, self.problem, self.backend)
            self.slices.skip(self.state)
            agree_weights(self.state, self.ranks)
            self.correction.begin(self.state)
            self.state.keep()
            return
        begun = time.perf_counter()
        target = start.closed_form(self.linear, self.objective, self.problem.multislice, self._tell)
        self.state = start.random_state(self.problem, self.backend, target, self.model.window)
        agree_weights(self.state, self.ranks)
        self.correction.begin(self.state)
        self.closed_form_error = start.closed_form_error(
            target, self.linear, self.objective, self.problem.bright(self.held)
        )
        if self.correction.corrects_closed_form:
            target = self._correct_closed_form(target)
        start.teach(self.state, target, self.problem, self.sampling, self.descent, self._tell)
        agree_weights(self.state, self.ranks)
        self.state.best_params = self.state.params.copy()
        self.state.keep()
        self.state.seconds = self.ranks.agree(time.perf_counter() - begun)

    def step(self) -> bool:
        """One whole step: weights, optics, guard, history, and what the callback is told.

        Returns
        -------
        bool
            False if the fit has diverged: ``diverged`` says where.
        """
        state, schedule, begun = self.state, self.schedule, time.perf_counter()
        try:
            data, prior = self._advance()
        except Astray as why:
            if not set_back(state):
                self.diverged = str(why)
                return False
            self.notes.append(f"{why}; went back to step {state.good_step}, with half the step size")
            return True
        if state.step % schedule.evaluate_every == 0:
            agree_weights(state, self.ranks)
            state.keep()
        state.seconds = self.ranks.agree(state.seconds + time.perf_counter() - begun)
        for name, value in (("loss", data), ("prior", prior), ("seconds", state.seconds)):
            state.history[name].append(value)
        budget = schedule.budget_s
        done, total = (state.step, schedule.steps) if budget is None else (state.seconds, budget)
        self.callback(Progress("fit", done, total, state.history["error"][-1], state.best_error, self.field))
        return True

    def save(self, path: str | os.PathLike) -> None:
        """Write a checkpoint, which any number of ranks can resume; the first one does."""
        if self.ranks.rank:
            return
        told = {"arguments": self.arguments, "origin": self.origin, "notes": self.notes}
        save_checkpoint(path, self.state, told | {"closed_form_error": self.closed_form_error})

    def resume(self, path: str | os.PathLike | None) -> None:
        """Take the state of a checkpoint.

        Raises
        ------
        InputError
            If it is no checkpoint of such a fit.
        """
        if path is None:
            raise InputError("resume needs the checkpoint of the interrupted fit")
        self.state, told = by_first(lambda: load_checkpoint(path, self.arguments, self.backend))
        self.notes[:], self.origin = told["notes"], told["origin"]
        self.noted = frozenset(self.notes)
        self.closed_form_error = told.get("closed_form_error", self.closed_form_error)
        self.correction.use(self.state)

    def field(self, interrupted: bool = False) -> NeuralField:
        """The best field so far."""
        return field_of(self, interrupted)

    # ---- parts of it ---------------------------------------------------------------------------

    def _single_scattering(self) -> Born:
        """The model where it is none of multiple scattering, else Rytov's: what is `Born`, or inherits it."""
        own = not self.problem.multislice
        model = self.model if own else make_model("rytov", *self.problem.geometry)
        return model  # type: ignore[return-value]

    def _iterate(self, checkpoint, saved):
        """Step until the fit is over, and save it now and then, the first time so long after it was begun."""
        state = self.state
        if self._asked() and state.step == 0:
            raise KeyboardInterrupt
        while not self._asked() and not self._over() and not self.watch.settled(state):
            if not self.step():
                return
            if checkpoint and time.perf_counter() - saved > _SAVE_EVERY_S:
                self.save(checkpoint)
                saved = time.perf_counter()
        if not self._stopped:
            self.notes += [words for words in self._last_words() if words not in self.notes]
        if checkpoint:
            self.save(checkpoint)
        if not self._stopped or not len(self.held):
            self._look(self.sampling.contrast(state.params, state.output_scale)[1], None)

    def _last_words(self):
        """Notes on how a fit has ended that nobody stopped."""
        state, words = self.state, self.correction.words(self.state)
        if self._over():
            return words
        return [
            f"stopped at step {state.step}: the held-out error has not fallen since step "
            f"{state.best_step}; --patience 0 goes on",
            *words,
        ]

    def _over(self):
        return self.schedule.share(self.state.step, self.state.seconds) >= 1

    def _advance(self):
        """Change the weights once: the data term and the prior.  Raises `Astray` where that was wrong."""
        state, schedule = self.state, self.schedule
        share = schedule.share(state.step, state.seconds)
        stride, gain = course.coarseness(self.problem, share)
        self._refine(share, stride, gain)
        sampling, lift_um = self.slices.at(state, share)
        shift = course.shift(schedule.seed, state.step)
        outputs, contrast = sampling.contrast(state.params, state.output_scale, stride, gain, shift, lift_um)
        batch = course.batch(self.problem, state.step, share, state.setbacks)
        thick = sampling is self.slices.thick
        data, pullback = self.objective.of_batch(self.correction.of(thick), contrast, batch)
        alignment = self.correction.alignment
        if alignment and alignment.due(state.step, share):
            self.correction.align(state, contrast, batch, thick)
        holdout = np.nan
        note_pool(state, len(course.pool(self.problem, share)))
        if state.step % schedule.evaluate_every == 0:
            check(state, float(data), batch, self.objective)
            holdout = self._judge(contrast, (stride, gain, shift), share, thick)
        d_outputs = sampling.to_outputs(upsample_adjoint(pullback(), stride, shift), state.output_scale)
        del pullback, contrast
        unit = min(self.grid.spacing_um[0], self.acquisition.microscope.pixel_size_um)
        spacing = sampling.spacing_um(stride)
        prior = 0.0
        if sampling.sharing.size > 1 or self.ranks.rank == 0:  # of what all ranks have whole, one adds it
            prior = self.priors.value_and_gradient(outputs, spacing, unit, sampling.slab, d_outputs)[0]
        own = sampling.gradient(state.params, sampling.axes(stride, shift, lift_um), d_outputs, gain)
        gradient = self.ranks.sum(own)
        self.descent.update(
            state, gradient, schedule.rate(state.step, share) * state.rate_scale, state.step + 1
        )
        data, prior = float(data), float(self.ranks.sum(prior))  # until here nobody waits for the device
        error = check(state, data, batch, self.objective)  # a set-back also undoes the update
        state.history["error"].append(error)
        state.history["holdout"].append(holdout)
        state.step += 1
        return data, prior

    def _refine(self, share, stride, gain):
        """Correct the optics at the present field: now and then."""
        state, refinement = self.state, self.correction.refinement
        if refinement and refinement.due(share, state.corrections):
            contrast = self.sampling.contrast(state.params, state.output_scale, stride, gain)[1]
            self.notes.append(self.correction.refine(state, contrast))

    def _correct_closed_form(self, target):
        """The closed form with optics that were corrected at it."""
        state = self.state
        for _ in range(_BEFORE):
            self.notes.append(self.correction.refine(state, target, closed_form=True))
            self.linear = self._single_scattering()
            target = start.closed_form(self.linear, self.objective, self.problem.multislice, self._tell)
        state.corrections, state.best_optics = 0, state.optics
        return target

    def _judge(self, contrast, points, share, thick):
        """Look at held-out images, by the grid's own slices, and whether `thick` ones still serve."""
        state, own = self.state, contrast
        if thick:
            own = self.sampling.contrast(state.params, state.output_scale, *points)[1]
        holdout, score = self._look(own, points[1])
        if thick:
            self.slices.judge(state, score, self.watch.errors(self.correction.of(thick), contrast)[1])
        self._judge_edge(own, share)
        return holdout

    def _look(self, contrast, gain):
        return self.watch.look(self.state, contrast, lambda: self.sampling.fold(self.state.params, gain))

    def _judge_edge(self, contrast, share):
        """Ask once which edge the aperture has, when the field shows enough of the sample."""
        problem, state = self.problem, self.state
        if state.edge_judged or share < _EDGE_FROM or not problem.multislice or problem.optics is not None:
            return
        if not len(problem.bright(self.held)) or self.schedule.coarse >= 1:
            return  # short fits that are coarse to the end are compared with each other, under one edge
        if words := self.correction.judge_edge(state, contrast, self.objective.pairs.compare, self.ranks):
            self.notes.append(words)

    def _tell(self, progress):
        self.callback(progress)
        if self._asked():
            raise KeyboardInterrupt

    def _asked(self):
        """Whether a stop was asked for on any rank, which all learn here."""
        self._stopped = self.ranks.any(self._stop.due())
        return self._stopped

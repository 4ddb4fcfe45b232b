"""Making a film: the first frame from nothing, every other from the one before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldrx._version import __version__
from fieldrx.acquisition import Acquisition, Frames, FramesGiven, film_of
from fieldrx.backends import describe_device
from fieldrx.ensemble.fits import precision_of, refit
from fieldrx.ensemble.twin import misfit
from fieldrx.errors import InputError
from fieldrx.evaluation import same_images
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, Schedule, checkpoint_arguments
from fieldrx.models import Optics
from fieldrx.progress import Progress, StopOnSignal
from fieldrx.reconstruction import prepare
from fieldrx.timelapse import plan
from fieldrx.timelapse.arriving import Arriving
from fieldrx.timelapse.data import Film
from fieldrx.timelapse.kept import Kept

_NOT_ASKED = ("callback", "device")  # options that change no result, or only its last digits


def make_film(
    frames: Frames | Sequence[Acquisition] | str | os.PathLike,
    depth: Sequence[float] | str,
    model: str = "auto",
    *,
    path: str | os.PathLike | None = None,
    resume: bool = False,
    follow_s: float | None = None,
    say: Callable[[str], object] | None = None,
    **options: Any,
) -> Film:
    """Fit a film to the frames of a sample, each going on from the one before.

    Parameters
    ----------
    frames : path-like, Frames or sequence of Acquisition
        An acquisition.toml that has time, or acquisitions; of one number and size of images, and one light.
    depth, model
        As of :func:`fieldrx.reconstruct`: settled by the first frame.
    path : path-like, optional
        Where the film is saved; frames that are done are kept beside it until all are.
    resume : bool
        Go on with the frames that are there; the film that is at ``path`` counts.
    follow_s : float, optional
        Wait for further frames so long after the last one [s].
    say : callable, optional
        Told, line by line, what is worth knowing.
    **options
        As of :func:`fieldrx.reconstruct` and :class:`fieldrx.Fit`, for the first frame.

    Returns
    -------
    Film
        Its ``provenance`` tells what each frame cost and how well it predicts unseen images, and which
        frames were left out.  After Ctrl-C (or SIGTERM) within a frame it ends with the one before, and
        ``provenance["interrupted"]`` is true.

    Raises
    ------
    InputError
        If no frame can be read, or an argument does not make sense.
    KeyboardInterrupt
        If it was stopped before the first frame was done.
    """
    source = _source(frames)
    asked = {"depth": depth, "model": model} | options
    asked = {name: repr(value) for name, value in asked.items() if name not in _NOT_ASKED}
    kept = Kept(None if path is None else Path(path), asked, resume)
    making = _Making(source, kept, say or (lambda text: None), asked)
    return making.run(follow_s, {"depth": depth, "model": model, **options})


def _source(frames: Frames | Sequence[Acquisition] | str | os.PathLike) -> Frames:
    if isinstance(frames, Frames):
        return frames
    if not isinstance(frames, (str, os.PathLike)):
        return FramesGiven(frames)
    found = film_of(frames)
    if found is None:
        raise InputError(f"{frames} has no time: see [images] time of acquisition.toml")
    return found


class _Making:
    """One film under way."""

    def __init__(self, frames: Frames, kept: Kept, say: Callable[[str], object], asked: dict[str, str]):
        self.frames, self.kept, self.say, self.asked = frames, kept, say, asked
        self.fields: dict[int, NeuralField] = {}
        self.shape: tuple[int, ...] = ()  # of the images of the first frame
        self.skipped: dict[int, InputError] = {}
        self.stop = StopOnSignal()
        self.cut_short = self.anew = False  # whether a frame was; and whether what was kept no longer serves
        self.wanted: float | None = None  # least that a fit from nothing missed beyond the noise
        self.lately: float | None = None  # that of the last one

    def run(self, follow_s: float | None, options: dict[str, Any]) -> Film:
        """Fit frame after frame, and save the film where it has a path."""
        with StopOnSignal() as self.stop:
            arriving = Arriving(self.frames, follow_s, lambda: self.stop.asked, self.skip)
            arriving.idle = self.save_some
            for number, acquisition in arriving:
                field = self.done_before(number, acquisition) or self.fit(number, acquisition, options)
                if self.cut_short:
                    break
                if field is not None:
                    self.shape = self.shape or acquisition.stack.shape
                    self.fields[number] = field
                    self.kept.put(number, field)
            self.cut_short |= self.stop.asked and not arriving.waiting
        if not self.fields:
            if self.stop.asked or self.cut_short:
                raise KeyboardInterrupt
            nothing = InputError("there is no frame to make a film of: check the names of its files")
            raise next(iter(self.skipped.values()), nothing)
        for number in plan.gaps([*self.fields, *self.skipped]):
            self.skip(number, InputError("it is missing"))
        film = self.save()
        if not self.cut_short:
            self.kept.remove()
        return film

    def save_some(self) -> None:
        """Save the film while it waits for further frames."""
        if self.fields:
            self.save()

    def save(self) -> Film:
        """The film so far, in its file where it has one."""
        film = self.film()
        if self.kept.path is not None:
            film.save(self.kept.path)
        return film

    def film(self) -> Film:
        """The film so far."""
        numbers = sorted(self.fields)
        told = {
            "fieldrx": __version__,
            "asked": self.asked,
            "frames": [self.fields[number].provenance.origin["frame"] for number in numbers],
            "skipped": [{"number": n, "why": str(error)} for n, error in sorted(self.skipped.items())],
            "interrupted": self.cut_short,
        }
        times = tuple(self.frames.time(number) for number in numbers)
        return Film(tuple(self.fields[number] for number in numbers), times, self.frames.unit, told)

    def skip(self, number: int, error: InputError) -> None:
        """Leave a frame out, and say why."""
        self.skipped[number] = error
        self.say(f"note: frame {number} is left out: {error}")

    # ---- one frame -----------------------------------------------------------------------------

    def done_before(self, number: int, acquisition: Acquisition) -> NeuralField | None:
        """The field of a frame that was kept, if it is of these images and all before it were kept too."""
        field = None if self.anew else self.kept.get(number)
        if field is not None and same_images(field, acquisition):
            self.learn(field)
            return field
        self.anew |= field is not None
        return None

    def learn(self, field: NeuralField) -> None:
        """Note how well a frame can be predicted, where it was fitted from nothing."""
        told = field.provenance.origin["frame"]
        if told["from"] is None and told["misfit"] is not None:
            self.wanted = min(told["misfit"], self.wanted or told["misfit"])
            self.lately = told["misfit"]

    def fit(self, number: int, acquisition: Acquisition, options: dict[str, Any]) -> NeuralField | None:
        """The field of a frame; None where it is left out, or was cut short."""
        begun, rounds, before = time.perf_counter(), 0, max(self.fields, default=None)
        try:
            if before is None:
                field = self.first(acquisition, options)
            else:
                field, rounds = self.next(number, acquisition, options)
        except InputError as error:
            if before is None:
                raise
            self.skip(number, error)
            return None
        except KeyboardInterrupt:
            if before is None:
                raise
            self.cut_short = True
        if self.cut_short:
            return None
        told = {
            "number": number,
            "time": self.frames.time(number),
            "from": before if rounds else None,
            "rounds": rounds,
            "seconds": round(time.perf_counter() - begun, 2),
            "nrmse_holdout": _error(field),
            "misfit": _missed(field, acquisition),
        }
        made = _with_origin(field, {"frame": told})
        self.learn(made)
        self.say(f"frame {number}: {_words(told)}")
        return made

    def first(self, acquisition: Acquisition, options: dict[str, Any]) -> NeuralField:
        """The first frame, from nothing."""
        checkpoint = self.kept.checkpoint
        goes_on = checkpoint is not None and checkpoint.is_file()
        earlier = checkpoint_arguments(checkpoint) if checkpoint is not None and goes_on else None
        fit = prepare(acquisition, earlier=earlier, **options)
        self.say(f"device: {describe_device(fit.backend)}")
        for note in (*acquisition.notes, *fit.origin.get("automatic", ()), *fit.notes):
            self.say(f"note: {note}")
        field = fit.run(checkpoint, goes_on)
        self.cut_short = bool(field.provenance.interrupted)
        return field

    def next(self, number: int, acquisition: Acquisition, options: dict[str, Any]) -> tuple[NeuralField, int]:
        """A frame from the one before, in rounds; from nothing where these do not serve.  And the rounds."""
        field, part, rounds = next(reversed(self.fields.values())), self.alike(acquisition), 0
        missed = None
        while rounds < plan.ROUNDS and not (rounds and plan.good_enough(missed, self.wanted)):
            rounds += 1
            schedule = plan.round_of(*self.settled, plan.ROUNDS * number + rounds)
            field = self.refit(part, schedule, options, f"frame {number}, round {rounds}").run(initial=field)
            self.cut_short = bool(field.provenance.interrupted)
            if self.cut_short:
                return field, rounds
            missed = _missed(field, part)
        if plan.worth_anew(missed, self.lately):
            own, steps = self.settled
            fit = self.refit(part, replace(own, steps=steps, budget_s=None), options, f"frame {number}, anew")
            anew = fit.run()
            self.cut_short = bool(anew.provenance.interrupted)
            if plan.good_enough(_missed(anew, part), missed):
                field, rounds = anew, 0
        if plan.is_empty(_error(field), _error(self.beginning)):
            raise InputError(
                f"its held-out error is {_error(field):.2f}, as an empty sample's: its images are spoilt, or "
                "of something else"
            )
        return field, rounds

    def refit(self, part: Acquisition, schedule: Schedule, options: dict[str, Any], stage: str) -> Fit:
        """A fit of a frame with the settings of the first."""
        parent, device = self.beginning, options.get("device", "auto")
        found = parent.provenance.optics
        return refit(
            parent, part, {}, schedule, holdout=0, optics=None if found is None else Optics.from_dict(found),
            device=device, precision=precision_of(parent, device), callback=_staged(options, stage),
        )  # fmt: skip

    @property
    def beginning(self) -> NeuralField:
        """The field that settled everything, of the first frame."""
        return next(iter(self.fields.values()))

    @property
    def settled(self) -> tuple[Schedule, int]:
        """The first frame's schedule, and the steps of a fit from nothing."""
        settings = self.beginning.provenance
        own = Schedule(**settings.need("schedule"))
        return own, own.steps if own.budget_s is None else settings.need("steps_done")

    def alike(self, acquisition: Acquisition) -> Acquisition:
        """A frame with the held-out images of the first.

        Raises
        ------
        InputError
            If it is of other optics, or of another number or size of images.
        """
        settings, told = self.beginning.provenance, acquisition.fingerprint()
        known = settings.acquisition or {}
        if known.get("optics") != told["optics"]:
            raise InputError(
                "its light is not that of the first frame: their number of images must agree, too"
            )
        if acquisition.stack.shape != self.shape:
            raise InputError(f"its images have the shape {acquisition.stack.shape}, the first's {self.shape}")
        return replace(acquisition, holdout=settings.held, normalised=True)


def _error(field: NeuralField) -> float | None:
    return field.provenance.nrmse_holdout


def _missed(field: NeuralField, acquisition: Acquisition) -> float | None:
    """What a field misses of unseen images beyond their noise; None without such images."""
    return None if _error(field) is None else misfit(field, acquisition, field.provenance.held)


def _staged(options: dict[str, Any], stage: str) -> Callable[[Progress], object] | None:
    """The callback of the options, told of a fit under another name."""
    callback = options.get("callback")
    return callback and (lambda progress: callback(replace(progress, stage=stage)))


def _with_origin(field: NeuralField, told: dict[str, Any]) -> NeuralField:
    """The field with more in its provenance."""
    provenance = field.provenance
    return replace(field, provenance=replace(provenance, origin={**provenance.origin, **told}))


def _words(told: dict[str, Any]) -> str:
    """What a frame cost, and how well it came out."""
    how = "from nothing" if told["from"] is None else f"from frame {told['from']}, {told['rounds']} rounds"
    error = told["nrmse_holdout"]
    return f"{told['seconds']:.1f} s, {how}" + ("" if error is None else f", held-out error {error:.4f}")

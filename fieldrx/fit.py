"""Fitting a neural field to images: objective, schedule, optimiser, checkpoints, history.

The fit minimises, over the weights of the field,

    |I_predicted - I_measured|^2 / |I_measured - 1|^2  +  priors

(for Rytov with log I in both norms; other losses are in `fieldrx.losses`), over the valid pixels of the
training images.  One step evaluates the field on the model's grid, predicts a batch of images, and takes
the gradient back through the model and the network to the weights, where Adam uses it (Kingma & Ba, 2015).

Coarse to fine: for a first share of the steps the field is evaluated on every second pixel, a quarter of
the cost; Fourier interpolation brings it to the model's grid.  Every step shifts the points at which the
field is evaluated by a random part of a pixel, and Fourier interpolation shifts the result back, so that
the images teach the field everywhere and not at the pixels' centres alone: zooming in shows no lattice.

Multi-slice models are not linear, and a fit may run astray: it starts from the closed form of the linear
model and, at first, from the images of the least tilted light, whose phase wraps least; and a step whose
images come out worse than those of an empty sample and than the steps before, or not finite, is undone:
back to the last good field, with half the step size and the images in another order.  Every step is judged by
its own images, over their own signal, and only against steps that drew from the same pool: images of steep
light are harder, and when they join the error rises though nothing diverges.

Where the background was estimated from the images, what is left of it is found together with the sample: see
`fieldrx.shading`.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from fieldrx._version import __version__
from fieldrx.alignment import Alignment
from fieldrx.automatic import choose_model
from fieldrx.backends import describe_device, get, module_of, to_host
from fieldrx.errors import InputError
from fieldrx.field import Network, NeuralField
from fieldrx.field.choices import default_encoding, encoding_note, make_preset
from fieldrx.field.neural_field import normalised, to_contrast
from fieldrx.interpolation import coarsen, refine
from fieldrx.io import load_npz, save_npz
from fieldrx.losses import SquaredError, make_loss
from fieldrx.metrics import image_errors
from fieldrx.models import Born, Rytov, grid_for, is_multislice, make_model, predict
from fieldrx.priors import Priors
from fieldrx.refinement import Optics, Refinement, parse_refine
from fieldrx.refocus import find_depth
from fieldrx.resources import check_memory
from fieldrx.shading import flattened, smooth_factor, smooth_term
from fieldrx.tikhonov import tikhonov

_HISTORY = ("loss", "prior", "error", "holdout", "seconds")
_ASTRAY = 2.0  # squared error of a step's images over their own signal, beyond which it may be undone
_RISEN = 3.0  # and times the median of the steps before, of the same pool of images
_LOST = 25.0  # beyond which it is undone whatever came before
_JUDGED = 10  # steps looked back on
_FAINT = 0.1  # of the mean signal's power, that an image counts with that shows next to nothing
_SETTLE = 3  # steps after a change of pool, or a set-back, that are not judged
_SETBACKS = 4  # undone steps after which a fit gives up
# Entries of a state that older checkpoints lack.
_SINCE_0_1 = ("setbacks", "judged_from", "pool_size", "aligned")
_SAVE_EVERY_S = 60.0
_BEFORE = 3  # corrections of the optics before the first step, at the closed form


# Multi-slice models: the closed form of a linear one misleads them, so they start from nothing, low
# frequencies first, in bolder steps of few images, most of them on every second pixel.
_MULTISLICE_SCHEDULE = {
    "batch": 8,
    "learning_rate": 1e-2,
    "table_learning_rate": 1e-1,
    "beta2": 0.97,
    "coarse": 0.8,
    "warm_steps": 0,
}
_MULTISLICE_PRIORS = {"tv": 3.0, "tv_absorption": 3.0}
_HEADROOM = 8.0  # of the output scale over the closed form's contrast, which for such samples is far too weak


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to fit; see `for_model` for defaults of multi-slice models.

    Parameters
    ----------
    steps : int
        Steps of the optimiser after the warm start.
    budget_s : float, optional
        Seconds for the whole fit, instead of `steps`.  How many steps that makes depends on the machine,
        so two such fits differ.
    batch : int
        Images per step; 0 for all.  Batches walk through a shuffled order, every image once a round.
    learning_rate, table_learning_rate : float
        Adam's first step size for the network and for a hash table; a cosine lowers both to 2 %.
    beta2 : float
        Adam's memory of squared gradients: long for steady gradients, short where they shrink by orders.
    coarse : float
        Share of the steps on every second pixel.
    warm_steps : int
        Steps that teach the field the closed-form solution before the images; 0 starts from nothing.
    tilted_from : float
        Share of the fit up to which a multi-slice model sees only the half of the images whose light is
        tilted least.
    evaluate_every : int
        Steps between two looks at the held-out images.
    patience : int
        Looks without improvement after which a fit past its coarse steps stops; 0, or a budget, never stops.
    seed : int
        Of initial weights, held-out choice and image order.
    """

    steps: int = 220
    budget_s: float | None = None
    batch: int = 16
    learning_rate: float = 5e-3
    table_learning_rate: float = 2e-2
    beta2: float = 0.999
    coarse: float = 0.35
    warm_steps: int = 60
    tilted_from: float = 0.15
    evaluate_every: int = 10
    patience: int = 8
    seed: int = 0

    @classmethod
    def for_model(cls, model: str, **changes) -> Schedule:
        """The schedule that suits a model, but for `changes`."""
        return cls(**((_MULTISLICE_SCHEDULE if is_multislice(model) else {}) | changes))

    def __post_init__(self):
        for name in ("steps", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("batch", "warm_steps", "patience", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 or more")
        for name in ("learning_rate", "table_learning_rate"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InputError(f"{name} is {getattr(self, name)}; expected a positive number")
        if not 0 < self.beta2 < 1:
            raise InputError(f"beta2 is {self.beta2}; expected a number between 0 and 1")
        for name in ("coarse", "tilted_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")
        if self.budget_s is not None and not self.budget_s > 0:
            raise InputError(f"budget is {self.budget_s} s; expected a positive time")

    def share(self, step: int, seconds: float) -> float:
        """Share of the fit that is over after so many steps and seconds."""
        return step / self.steps if self.budget_s is None else seconds / self.budget_s

    def rate(self, step: int, share: float) -> float:
        """Step size over the first one: a short rise, then a cosine down to 2 %."""
        return min(1.0, (step + 1) / 10) * (0.51 + 0.49 * np.cos(np.pi * min(share, 1.0)))


@dataclass(frozen=True)
class Progress:
    """What a callback is told after every piece of work."""

    stage: str  # "closed form", "warm start" or "fit"
    done: float
    total: float
    error: float = float("nan")  # relative error of the step's images (of the contrast: warm start)
    holdout: float = float("nan")  # lowest relative error of the held-out images so far


@dataclass
class _State:
    """All that changes during a fit; what a checkpoint holds."""

    params: np.ndarray
    m: np.ndarray
    v: np.ndarray
    best_params: np.ndarray
    output_scale: float
    best_error: float = np.inf
    best_score: float = np.inf  # what chooses: the error but for brightnesses, where these are refined
    best_step: int = 0
    good_params: np.ndarray | None = None  # where a fit that goes astray goes back to
    good_m: np.ndarray | None = None
    good_v: np.ndarray | None = None
    good_step: int = 0
    optics: np.ndarray = field(default_factory=lambda: np.zeros(0))  # refined, and those of the best field
    best_optics: np.ndarray = field(default_factory=lambda: np.zeros(0))
    corrections: int = 0
    aligned: np.ndarray = field(default_factory=lambda: np.zeros(0))  # of the board, see `Alignment.move`
    rate_scale: float = 1.0
    setbacks: int = 0  # also part of the random numbers of the order of images
    judged_from: int = 0  # step from which errors are compared
    pool_size: int = 0  # images that the last step could draw from
    step: int = 0
    seconds: float = 0.0
    history: dict = field(default_factory=lambda: {name: [] for name in _HISTORY})


class Fit:
    """One reconstruction under way.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float) or "auto"
        Slice centres z0, z1 and their distance dz [um]; "auto" finds the sample by refocusing.
    model : str
        "born", "rytov", "bpm", "ssnp", "mlb", or "auto" for what a first estimate says.
    encoding, network : optional
        Of `fieldrx.field`; chosen for the grid and the optics when not given.
    preset : str, optional
        "decaf" (10 x 208, skip at 5) or "decaf-small" (6 x 208, skip at 3) instead.
    priors : Priors or dict, optional
    schedule : Schedule or dict, optional
        A dict holds what differs from the model's defaults.
    holdout : float, optional
        Share of the images to hold out when the acquisition does not name its own; default 0.1.
    absorption : bool
        Whether the field has an imaginary part.
    refine : str or sequence of str, optional
        What of the optics is corrected during the fit: "illumination", "intensity", "defocus", "pupil", see
        `fieldrx.refinement`, and "board", see `fieldrx.alignment`.  "background" among them is
        ``background=True``.
    background : bool, optional
        Whether a smooth factor of every image is found together with the sample, see `fieldrx.shading`.  By
        default where the background was estimated from the images, or their levels were.
    optics : Optics, optional
        Directions, gains, defocus and aberrations to start from, when known better than the acquisition's.
    loss : str
        "squared", or "huber" or "poisson" with numbers of their own: see `fieldrx.losses.make_loss`.
    origin : dict, optional
        JSON values that join the field's provenance.
    callback : callable, optional
        Called with a `Progress` after every piece of work.
    device : str
        "cpu", "cuda", or "auto" for the GPU where there is one.
    precision : str, optional
        Of the network's matrix products on a GPU: "half" or "float32".  Chosen when not given: half, but for
        sines.  A CPU computes in float32.
    """

    def __init__(
        self,
        acquisition,
        depth,
        model="auto",
        *,
        encoding=None,
        network=None,
        preset=None,
        priors=None,
        schedule=None,
        holdout=None,
        absorption=True,
        refine=None,
        background=None,
        optics=None,
        loss="squared",
        origin=None,
        callback=None,
        device="auto",
        precision=None,
    ):
        if acquisition.images is None:
            raise InputError("the acquisition has no images to fit: give it images, not optics alone")
        self.acquisition, self.callback = acquisition, callback or (lambda progress: None)
        self.backend = get(device)
        self._images = self.backend.asarray(acquisition.images)
        self._mask = None if acquisition.mask is None else self.backend.asarray(acquisition.mask)
        shape = acquisition.images.shape[1:]
        seed = (schedule or {}).get("seed", 0) if isinstance(schedule or {}, dict) else schedule.seed
        self.train, self.held = split_images(acquisition, holdout, seed)
        self.notes = []
        if isinstance(depth, str):
            if depth != "auto":
                raise InputError(f'depth is "{depth}"; expected (z0, z1, dz) in um, or "auto"')
            found = find_depth(acquisition, self.train)
            depth = found.depth
            self.notes.append(found.note)
        if model == "auto":
            check_room(acquisition, depth)
            model, why = choose_model(acquisition, depth, self.train)
            self.notes.append(f"model {model}: {why}")
        self.grid = grid_for(model, shape, acquisition.microscope, depth)
        self.priors, self.schedule = settings(model, priors, schedule)
        self.loss, told = make_loss(loss, acquisition, self.train)
        self.notes += [told] if told else []
        geometry = self.grid, acquisition.microscope, acquisition.illumination, shape
        seen = acquisition, model, self.grid, self.train, self.held
        kinds = parse_refine(refine) if refine else ()
        self.background = bool(acquisition.levelled if background is None else background)
        self.background |= "background" in kinds
        kinds = tuple(kind for kind in kinds if kind != "background")
        self.refinement = Refinement(kinds, *seen, optics, self.background) if kinds or optics else None
        self.alignment = Alignment(self.refinement) if "board" in kinds else None
        self.model = (
            self.refinement.model(self.refinement.start) if self.refinement else make_model(model, *geometry)
        )
        self.multislice = not isinstance(self.model, Born)
        self.linear = Rytov(*geometry) if self.multislice else self.model
        if preset is not None and (encoding or network):
            raise InputError("give a preset, or an encoding and a network of your own, not both")
        if preset is not None:
            encoding, network = make_preset(preset, absorption)
        self.encoding = encoding or default_encoding(
            self.grid, acquisition.microscope, acquisition.illumination
        )
        self.network = network or Network(
            self.encoding.n_features, width=32, depth=2, n_outputs=2 if absorption else 1
        )
        if encoding is None:
            self.notes.append(encoding_note(self.encoding, self.network, self.grid, *geometry[1:3]))
        if self.network.n_outputs > 2:
            raise InputError(f"the network has {self.network.n_outputs} outputs; expected 1 or 2 (Re, Im)")
        self.precision = self.backend.choose_precision(self.network, precision)
        need = len(acquisition.images), self.encoding.n_params + self.network.n_params
        check_memory(self.grid.shape, *need, multislice=self.multislice)
        self.arguments = {
            "acquisition": acquisition.fingerprint(),
            "model": model,
            "depth": [float(d) for d in depth],
            "encoding": self.encoding.to_dict(),
            "network": self.network.to_dict(),
            "priors": asdict(self.priors),
            "loss": self.loss.to_dict(),
            "schedule": asdict(self.schedule),
            "holdout": self.held.tolist(),
            "refine": list(kinds),
            "background": self.background,
            "optics_start": None if optics is None else optics.to_dict(),
            "precision": self.precision,
        }
        self.origin = origin or {}
        self._empty = self._empty_losses()
        self._norm = float(self._empty[self.train].sum())
        self.state, self._stop, self.diverged = None, _StopOnSignal(), None
        self.closed_form_error = None

    # ---- the run -------------------------------------------------------------------------------

    def run(self, checkpoint=None, resume=False, initial=None) -> NeuralField:
        """Fit to the end and return the best field.

        Parameters
        ----------
        checkpoint : path, optional
            Where the state is saved now and then, and at the end; remove it once the field is saved.
        resume : bool
            Continue from `checkpoint`; the result is that of an uninterrupted fit.
        initial : NeuralField, optional
            As of :meth:`start`.

        Returns
        -------
        NeuralField
            The one with the lowest held-out error, or the last one when nothing is held out.  After
            Ctrl-C (or SIGTERM) the best so far, with ``provenance["interrupted"]`` true.  After a
            divergence the best so far, with ``provenance["diverged"]`` saying where.

        Raises
        ------
        KeyboardInterrupt
            If the fit was stopped before its first step.
        """
        with _StopOnSignal() as stop:
            self._stop = stop
            if resume:
                if checkpoint is None:
                    raise InputError("resume needs the checkpoint of the interrupted fit")
                self.state = self._load(checkpoint)
                self._use_optics()
            else:
                self.start(initial)
            self._iterate(checkpoint)
        return self.field(interrupted=stop.asked)

    def start(self, initial=None) -> None:
        """Initial weights: those of a field, or random ones, taught the closed form if the schedule says so.

        Parameters
        ----------
        initial : NeuralField, optional
            Of the same encoding and network, on the grid of this fit.
        """
        if initial is not None:
            self._start_from(initial)
            return
        rng, begun = np.random.default_rng(self.schedule.seed), time.perf_counter()
        params = np.concatenate([self.encoding.initial_params(rng), self.network.initial_params(rng)])
        params = self.backend.asarray(params.astype(np.float32))
        target = self._closed_form()
        xp = module_of(target)
        scale = float(xp.quantile(xp.abs(target.real[:, *self.model.window]), 0.99)) or 1e-3
        scale *= _HEADROOM if self.multislice else 1
        self.state = state = self._fresh(params, scale)
        self.closed_form_error = self._closed_form_error(target)
        if self.refinement and not self.multislice and set(self.refinement.kinds) - {"illumination"}:
            for _ in range(_BEFORE):
                self._refine(target, closed_form=True)
                self.linear = self.model
                target = self._closed_form()
            state.corrections, state.best_optics = 0, state.optics
        self._teach(state, target)
        state.m[:], state.v[:], state.best_params = 0, 0, state.params.copy()
        state.good_params, state.good_m, state.good_v = state.params.copy(), state.m.copy(), state.v.copy()
        state.seconds = time.perf_counter() - begun

    def _closed_form(self):
        """The Tikhonov inversion of the training images."""
        return tikhonov(
            self.linear,
            self._signal(self.train, self.linear),
            self.train,
            progress=lambda share: self._tell(Progress("closed form", round(100 * share), 100)),
        )[0]

    def _closed_form_error(self, contrast):
        """Held-out error of the closed form, by the linear model that it inverts; None without such images.

        A fit that comes out no better has found nothing.
        """
        if not len(self.held):
            return None
        images = self.backend.asarray(self.held)
        predicted = self.linear.forward(contrast, self.held)
        return float(image_errors(predicted, *self._flattened(predicted, images))[0])

    def _start_from(self, field):
        same = field.encoding == self.encoding and field.network == self.network
        if not same or not np.allclose(field.bounds_um, self.grid.bounds_um):
            raise InputError(
                "the initial field has another encoding, network or domain: fit with its model, depth, "
                "encoding and network"
            )
        self.state = self._fresh(self.backend.asarray(field.params), field.output_scale)
        self.state.good_params, self.state.good_m, self.state.good_v = (
            a.copy() for a in (self.state.params, self.state.m, self.state.v)
        )

    def _fresh(self, params, scale):
        """The state of a fit before its first step."""
        zeros = module_of(params).zeros(params.size, np.float32)
        state = _State(params.copy(), zeros.copy(), zeros.copy(), params.copy(), scale)
        if self.refinement:
            state.optics = state.best_optics = self.refinement.start.to_vector()
        return state

    def step(self) -> tuple[float, float]:
        """One step of the optimiser; returns the data term and the prior."""
        state = self.state
        share = self.schedule.share(state.step, state.seconds)
        stride, gain = self._coarseness(share)
        if self.refinement and self.refinement.due(share, state.corrections):
            self._refine(self._contrast(state.params, stride, gain)[1])
        shift = self._shift(state.step)
        outputs, contrast = self._contrast(state.params, stride, gain, shift)
        batch = self._batch(state.step, share)
        predicted, pullback = self.loss.predict(self.model, contrast, batch)
        data, residual = self._data_term(predicted, batch)
        if self.alignment and self.alignment.due(state.step, share):
            self._align(contrast, batch)
        holdout = np.nan
        self._note_pool(share)
        if state.step % self.schedule.evaluate_every == 0:
            self._check(float(data), batch)
            holdout = self._look(contrast, gain)
        gradient = coarsen(pullback(residual), stride, shift)
        del predicted, pullback, residual, contrast
        d_outputs = self._to_outputs(gradient, state.output_scale)
        dz, dy, dx = self.grid.spacing_um
        prior, d_prior = self.priors.value_and_gradient(
            outputs, (dz, stride * dy, stride * dx), min(self.grid.spacing_um)
        )
        d_outputs += d_prior
        axes = self._axes(stride, shift)
        grad = self._gradient(state.params, axes, d_outputs, gain)
        self._update(state, grad, self.schedule.rate(state.step, share) * state.rate_scale, state.step + 1)
        data, prior = float(data), float(prior)  # until here nobody waits for the device
        error = self._check(data, batch)  # a set-back also undoes the update
        state.history["error"].append(error)
        state.history["holdout"].append(holdout)
        state.step += 1
        return data, prior

    def field(self, interrupted=False) -> NeuralField:
        """The best field so far."""
        state, grid, acq = self.state, self.grid, self.acquisition
        (y, x), axes = self.model.window, grid.axes
        region = [(axes[0][0], axes[0][-1])] + [(a[w][0], a[w][-1]) for a, w in ((axes[1], y), (axes[2], x))]
        provenance = {
            "fieldrx": __version__,
            "numpy": np.__version__,
            "device": describe_device(self.backend),
            "name": acq.name,
            "microscope": acq.microscope.to_dict(),
            "grid": grid.to_dict(),
            **self.arguments,
            **self.origin,
            "steps_done": state.step,
            "best_step": state.best_step,
            "seconds": round(state.seconds, 1),
            "nrmse_holdout": None if not np.isfinite(state.best_error) else state.best_error,
            "nrmse_closed_form": self.closed_form_error,
            "interrupted": interrupted,
            "diverged": self.diverged,
            "notes": self.notes,
        }
        if self.refinement:
            provenance["optics"] = self.refinement.start.with_vector(to_host(state.best_optics)).to_dict()
        history = {name: np.array(values, np.float64) for name, values in state.history.items()}
        return NeuralField(
            self.encoding,
            self.network,
            to_host(state.best_params),
            grid.bounds_um,
            np.array(region),
            grid.spacing_um,
            state.output_scale,
            acq.microscope.medium_index,
            provenance,
            history,
        )

    @property
    def optics(self):
        """The optics at the present step, refined or as they were."""
        if self.refinement is None or self.state is None:
            return Optics.of(self.acquisition.illumination)
        return self.refinement.start.with_vector(to_host(self.state.optics))

    # ---- parts of a step -----------------------------------------------------------------------

    def _iterate(self, checkpoint):
        state, schedule = self.state, self.schedule
        if self._stop.asked and state.step == 0:
            raise KeyboardInterrupt
        saved = time.perf_counter()
        while not self._stop.asked and schedule.share(state.step, state.seconds) < 1 and not self._settled():
            begun = time.perf_counter()
            try:
                data, prior = self.step()
            except FloatingPointError as error:
                if not self._set_back(str(error)):
                    return
                continue
            if state.step % schedule.evaluate_every == 0:
                state.good_params, state.good_m, state.good_v = (
                    a.copy() for a in (state.params, state.m, state.v)
                )
                state.good_step = state.step
            state.seconds += time.perf_counter() - begun
            for name, value in (("loss", data), ("prior", prior), ("seconds", state.seconds)):
                state.history[name].append(value)
            done, total = state.step, schedule.steps
            if schedule.budget_s is not None:
                done, total = state.seconds, schedule.budget_s
            error = state.history["error"][-1]
            self.callback(Progress("fit", done, total, error, state.best_error))
            if checkpoint and time.perf_counter() - saved > _SAVE_EVERY_S:
                self._save(checkpoint)
                saved = time.perf_counter()
        if not self._stop.asked and schedule.share(state.step, state.seconds) < 1:
            self.notes.append(
                f"stopped at step {state.step}: the held-out error has not fallen since step "
                f"{state.best_step}; --patience 0 goes on"
            )
        if self.alignment and not self._stop.asked and len(state.aligned):
            self.notes.append(self.alignment.words(to_host(state.aligned)))
        if checkpoint:
            self._save(checkpoint)
        if not self._stop.asked or not len(self.held):
            self._look(self._contrast(state.params)[1], None)

    def _refine(self, contrast, closed_form=False):
        """Correct the optics at the present field (or the closed form), on the host: now and then."""
        state, refinement = self.state, self.refinement
        optics, words = refinement.improve(self.optics, to_host(contrast), closed_form)
        state.corrections += 1
        self.notes.append(f"step {state.step}: {words}")
        state.optics = optics.to_vector()
        self._use_optics()

    def _align(self, contrast, batch):
        """Move the board by the images of a step."""
        state = self.state
        optics, state.aligned = self.alignment.move(self.optics, to_host(state.aligned), contrast, batch)
        state.optics = optics.to_vector()
        self._use_optics()

    def _use_optics(self):
        if self.refinement:
            self.model = self.refinement.model(self.optics)

    def _set_back(self, why):
        """Return to the last good field with half the step size; false if that was done too often."""
        state = self.state
        state.rate_scale *= 0.5
        if state.rate_scale < 0.5**_SETBACKS:
            self.diverged = why
            return False
        self.notes.append(f"{why}; went back to step {state.good_step}, with half the step size")
        for name in ("params", "m", "v"):
            getattr(state, name)[:] = getattr(state, f"good_{name}")
        state.setbacks, state.judged_from = state.setbacks + 1, state.step
        return True

    def _settled(self):
        """Whether the held-out error has stopped falling."""
        state, schedule = self.state, self.schedule
        if schedule.budget_s is not None or not schedule.patience or not len(self.held):
            return False
        since = max(state.best_step, schedule.coarse * schedule.steps)
        return state.step - since > schedule.patience * schedule.evaluate_every

    def _look(self, contrast, gain):
        """Held-out error of the present field; keeps the field if it is the best, or nothing is held out."""
        state, error, score = self.state, np.nan, np.nan
        if len(self.held):
            error, score = self._held_out_error(contrast)
        if not score >= state.best_score:
            state.best_error, state.best_score = (error, score) if len(self.held) else (np.inf, np.inf)
            state.best_step, state.best_params = state.step, self._fold(state.params, gain)
            state.best_optics = state.optics
        return error

    def _held_out_error(self, contrast):
        xp, held = module_of(contrast), self.backend.asarray(self.held)
        predicted = xp.concatenate([part for _, part in predict(self.model, contrast, self.held)])
        measured, mask = self._flattened(predicted, held)
        error = image_errors(predicted, measured, mask)[0]
        return error, self.refinement.score(predicted, measured, mask) if self.refinement else error

    def _flattened(self, predicted, images):
        """Measured images, less what is left of their background where that is refined, and their mask."""
        measured, mask = self._images[images], None if self._mask is None else self._mask[images]
        return flattened(measured, predicted, mask) if self.background else measured, mask

    def _tell(self, progress):
        self.callback(progress)
        if self._stop.asked:
            raise KeyboardInterrupt

    def _coarseness(self, share):
        """Stride of the field's grid and gain of its features (None: all on) at a share of the fit.

        A warm start has taught all features already: only a fit from nothing fades them in.
        """
        if share >= self.schedule.coarse:
            return 1, None
        if self.schedule.warm_steps:
            return 2, None
        octaves = np.asarray(self.encoding.octave_of_feature(), float)
        open_octaves = 1 + (octaves.max() + 1) * min(1.0, share / (0.7 * self.schedule.coarse))
        return 2, np.clip(open_octaves - octaves, 0, 1).astype(np.float32)

    def _axes(self, stride, shift=(0.0, 0.0)):
        """Normalised coordinates of every `stride`-th voxel, shifted by parts of that distance (y, x)."""
        z, y, x = self.grid.axes
        dy, dx = (stride * d * s for d, s in zip(self.grid.spacing_um[1:], shift, strict=True))
        return normalised((z, y[::stride] + dy, x[::stride] + dx), self.grid.bounds_um)

    def _contrast(self, params, stride=1, gain=None, shift=(0.0, 0.0)):
        """The field's outputs at shifted points, and the contrast they make on the model's grid."""
        axes = self._axes(stride, shift)
        outputs = self._outputs(params, axes, gain)
        return outputs, refine(to_contrast(outputs, self.state.output_scale), stride, shift)

    def _outputs(self, params, axes, gain=None):
        """The network's outputs on the grid of three axes."""
        field = self.encoding, self.network, params
        return self.backend.grid_forward(*field, *axes, gain, precision=self.precision)

    def _gradient(self, params, axes, d_outputs, gain=None):
        """Gradient of all parameters from that of the outputs."""
        field = self.encoding, self.network, params
        return self.backend.grid_backward(*field, *axes, d_outputs, gain, precision=self.precision)

    def _to_outputs(self, gradient, scale):
        """Gradient of the field's outputs from that of the contrast, times a number."""
        parts = [gradient.real, gradient.imag][: self.network.n_outputs]
        return module_of(gradient).stack(parts) * np.float32(scale)

    def _batch(self, step, share):
        """Images of a step: consecutive parts of a shuffled order, shuffled anew every round."""
        pool = self._pool(share)
        size = min(self.schedule.batch or len(pool), len(pool))
        if size == len(pool):
            return pool
        per_round = -(-len(pool) // size)
        again = (self.state.setbacks,) if self.state and self.state.setbacks else ()
        rng = np.random.default_rng((self.schedule.seed, step // per_round, *again))
        order = rng.permutation(pool)
        first = (step % per_round) * size
        return np.sort(order[first : first + size])

    def _pool(self, share):
        """Images to draw from: all for a linear model, else those of the least tilted light first."""
        if not self.multislice or share >= self.schedule.tilted_from:
            return self.train
        illumination = self.acquisition.illumination
        tilt = illumination.pattern @ np.linalg.norm(illumination.sources_na, axis=1)
        tilt = (tilt / illumination.pattern.sum(axis=1))[self.train]
        return self.train[tilt <= np.median(tilt)]

    def _signal(self, images, model):
        """Measured signal of some images as a model sees it, 0 where it is undefined."""
        images = self.backend.asarray(images)
        return self._known(model.signal(self._images[images]), images, 0.0)[0]

    def _measured(self, images):
        """What the loss compares with, and the pixels that count."""
        images = self.backend.asarray(images)
        values = self.loss.measured(self.model, self._images[images])
        return self._known(values, images, self.loss.empty)

    def _known(self, values, images, empty):
        """Values of some images with `empty` where they are masked or undefined, and where they are not."""
        valid = np.isfinite(values)
        if self._mask is not None:
            valid &= self._mask[images]
        return np.where(valid, values, np.float32(empty)), valid

    def _data_term(self, predicted, images):
        """Loss of a batch over that of an empty sample, and its gradient with respect to the prediction."""
        measured, valid = self._measured(images)
        share = len(self.train) / len(images) / self._norm
        if not self.background:
            return self._loss_and_gradient(predicted, measured, valid, share)
        shaded, slope, penalty = self._shaded(predicted, measured, valid)
        value, gradient = self._loss_and_gradient(shaded, measured, valid, share)
        return value + share * penalty, gradient * slope

    def _loss_and_gradient(self, predicted, measured, valid, share):
        if isinstance(self.loss, SquaredError):  # fused on every device
            return self.backend.squared_error(predicted, measured, valid, share)
        value, gradient = self.loss.value_and_gradient(predicted, measured, valid)
        return share * value, gradient * np.float32(share)

    def _shaded(self, predicted, measured, valid):
        """A prediction times the smooth surface that is left of the background, the slope of that, and the
        surface's own penalty.

        The loss compares intensities, or I - 1, or, of Rytov's model, log I.
        """
        if isinstance(self.loss, SquaredError) and isinstance(self.model, Rytov):
            surface, penalty = smooth_term(predicted, measured, valid)
            return predicted + surface, np.float32(1), penalty
        offset = np.float32(1 - self.loss.empty)
        factor, penalty = smooth_factor(predicted + offset, measured + offset, valid)
        penalty = penalty if isinstance(self.loss, SquaredError) else 0.0
        return (predicted + offset) * factor - offset, factor, penalty

    def _note_pool(self, share):
        """Steps that draw from another pool of images are not compared with those before."""
        size = len(self._pool(share))
        if size != self.state.pool_size:
            self.state.pool_size, self.state.judged_from = size, self.state.step

    def _check(self, data, batch):
        """Relative error of a step's images; raises where they are not finite, or worse than an empty
        sample's and than those of the steps before."""
        state = self.state
        if not np.isfinite(data):
            raise FloatingPointError(f"step {state.step}: the data term is {data}")
        own = np.maximum(self._empty[batch], _FAINT * self._norm / len(self.train)).sum()
        squared = data * self._norm * len(batch) / (len(self.train) * own)
        recent = np.square(state.history["error"][state.judged_from :][-_JUDGED:])
        before = np.median(recent) if len(recent) >= _SETTLE else np.inf
        if squared > _LOST or squared > max(_ASTRAY, _RISEN * before):
            came = f", from {np.sqrt(before):.3g}" if np.isfinite(before) else ""
            raise FloatingPointError(
                f"step {state.step}: the error of its images rose to {np.sqrt(squared):.3g}{came}"
            )
        return float(np.sqrt(squared))

    def _update(self, state, grad, rate, count):
        """One step of Adam, with a rate of its own for the encoding's table."""
        n, schedule = self.encoding.n_params, self.schedule
        for part, first in (
            (slice(0, n), schedule.table_learning_rate),
            (slice(n, None), schedule.learning_rate),
        ):
            if state.params[part].size:
                self.backend.adam_step(
                    state.params[part],
                    grad[part],
                    state.m[part],
                    state.v[part],
                    count,
                    rate * first,
                    beta2=schedule.beta2,
                    eps=1e-15,
                )

    def _teach(self, state, target):
        """Fit the field to the closed-form contrast, on every second pixel and with all features."""
        target = target / np.float32(state.output_scale)
        if self.network.n_outputs == 1:
            target.imag = 0
        scale = 2 / max(float(np.vdot(target, target).real), 1e-30)
        begun, allowed = time.perf_counter(), 0.25 * (self.schedule.budget_s or np.inf)
        for k in range(self.schedule.warm_steps):
            if time.perf_counter() - begun > allowed:
                break
            shift = self._shift(k)
            axes = self._axes(2, shift)
            outputs = self._outputs(state.params, axes)
            residual = refine(to_contrast(outputs, 1.0), 2, shift) - target
            squared = np.vdot(residual, residual).real
            d_outputs = self._to_outputs(coarsen(residual, 2, shift), scale)
            grad = self._gradient(state.params, axes, d_outputs)
            rate = min(1.0, (k + 1) / 5, 2 * (self.schedule.warm_steps - k) / self.schedule.warm_steps)
            self._update(state, grad, rate, k + 1)
            error = np.sqrt(0.5 * scale * float(squared))
            self._tell(Progress("warm start", k + 1, self.schedule.warm_steps, error))

    def _shift(self, step):
        """Where the field is evaluated at a step: parts of a (coarse) pixel along y and x."""
        return np.random.default_rng((self.schedule.seed, step)).uniform(-0.5, 0.5, 2)

    def _fold(self, params, gain):
        """Parameters whose network does without the gain."""
        params = params.copy()
        if gain is not None:
            gain = self.backend.asarray(gain)
            named = self.network.unpack(params[self.encoding.n_params :])
            for layer in (0, *self.network.skips):
                named[f"weight_{layer}"][-len(gain) :] *= gain[:, None]
        return params

    # ---- checkpoints -----------------------------------------------------------------------------

    def _save(self, path):
        arrays = {name: to_host(value) for name, value in vars(self.state).items() if name != "history"}
        history = {f"history_{name}": np.array(v, np.float64) for name, v in self.state.history.items()}
        told = {"arguments": self.arguments, "origin": self.origin, "notes": self.notes}
        told |= {"closed_form_error": self.closed_form_error}
        words = {name: np.array(json.dumps(value)) for name, value in told.items()}
        save_npz(path, **words, **arrays, **history)

    def _load(self, path):
        names = [f.name for f in fields(_State) if f.name not in ("history", *_SINCE_0_1)]
        told = ["arguments", "origin", "notes", *(f"history_{n}" for n in _HISTORY if n != "error")]
        arrays = load_npz(path, "checkpoint", [*told, *names])
        names += [name for name in _SINCE_0_1 if name in arrays]
        theirs = {"background": False} | json.loads(str(arrays["arguments"]))
        mine = json.loads(json.dumps(self.arguments))
        other = [name for name in mine if mine[name] != theirs.get(name)]
        if other:
            raise InputError(
                f"{path} belongs to a fit with other {' and '.join(other)}: resume with the same "
                "arguments, or start anew without --resume"
            )
        self.notes[:], self.origin = (json.loads(str(arrays[name])) for name in ("notes", "origin"))
        values = {
            name: self.backend.asarray(arrays[name]) if arrays[name].ndim else arrays[name].item()
            for name in names
        }
        if "closed_form_error" in arrays:
            self.closed_form_error = json.loads(str(arrays["closed_form_error"]))
        history = {name: list(arrays.get(f"history_{name}", ())) for name in _HISTORY}
        if len(history["error"]) < len(history["loss"]):  # of version 0.1
            history["error"] = list(np.sqrt(history["loss"]))
        return _State(**values, history=history)

    def _empty_losses(self):
        """Loss of an empty sample for every training image, 0 for others, shape (n_images,)."""
        losses = np.zeros(self.acquisition.n_images)
        for k in self.train:
            measured, valid = self._measured([k])
            empty = module_of(measured).full_like(measured, self.loss.empty)
            penalty = 0.0
            if self.background:
                empty, _, penalty = self._shaded(empty, measured, valid)
            losses[k] = float(self.loss.value_and_gradient(empty, measured, valid)[0]) + float(penalty)
        if not losses.any():
            raise InputError("the images hold no signal: every valid pixel is exactly 1, the empty field")
        return losses


class _StopOnSignal:
    """Turns Ctrl-C and SIGTERM into a wish to stop, obeyed between two steps; a second one kills."""

    def __init__(self):
        self.asked = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def checkpoint_arguments(path) -> dict:
    """What the fit of a checkpoint was asked to do; as in a field's provenance.

    Raises
    ------
    InputError
        If the file is no checkpoint.
    """
    return json.loads(str(load_npz(path, "checkpoint", ["arguments"])["arguments"]))


def settings(model, priors=None, schedule=None) -> tuple[Priors, Schedule]:
    """Priors and schedule, completed with the model's defaults."""
    if not isinstance(schedule, Schedule):
        schedule = Schedule.for_model(model, **(schedule or {}))
    if not isinstance(priors, Priors):
        priors = Priors(**((_MULTISLICE_PRIORS if is_multislice(model) else {}) | (priors or {})))
    return priors, schedule


def check_room(acquisition, depth) -> None:
    """Refuse a fit that exceeds the memory with any model, before one is chosen.

    Raises
    ------
    InputError
        If the smallest grid and the smallest field need more than there is.
    """
    least = grid_for("ssnp", acquisition.image_shape, acquisition.microscope, depth)
    check_memory(least.shape, acquisition.n_images, 0)


def split_images(acquisition, share=None, seed=0):
    """Numbers of the images to train on and of those to hold out.

    The acquisition's own ``holdout`` wins; otherwise a `share` (default 0.1, at least
    one of three images or more) is drawn with `seed`.
    Images without a valid pixel, or lit only from outside the pupil, are in neither.
    """
    usable = np.flatnonzero(acquisition.usable)
    if len(usable) == 0:
        raise InputError("no image can be used: every one is masked or dark field")
    if len(acquisition.holdout):
        held = np.intersect1d(usable, acquisition.holdout)
    else:
        share = 0.1 if share is None else float(share)
        if not 0 <= share < 1:
            raise InputError(f"holdout is {share:g}; expected a share from 0 to below 1")
        shuffled = np.random.default_rng(seed).permutation(usable)
        count = max(round(share * len(usable)), 1) if share > 0 and len(usable) > 2 else 0
        held = np.sort(shuffled[:count])
    train = np.setdiff1d(usable, held)
    if len(train) == 0:
        raise InputError("all usable images are held out: nothing is left to fit; lower --holdout")
    return train, held

"""Where a fit starts: random weights, taught the closed form of a linear model if the schedule says so."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from fieldrx.backends import module_of
from fieldrx.backends.operators import Operators
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.field.outputs import to_contrast
from fieldrx.fit import course
from fieldrx.fit.descent import Descent
from fieldrx.fit.objective import Objective
from fieldrx.fit.problem import Problem
from fieldrx.fit.sampling import Sampling
from fieldrx.fit.state import State
from fieldrx.interpolation import upsample, upsample_adjoint
from fieldrx.models import Born, ForwardModel
from fieldrx.progress import Progress
from fieldrx.tikhonov import tikhonov

_LEAST = 0.01
_HEADROOM = (
    8.0  # of the output scale over the closed form's contrast, which is far too weak for thick samples
)


def closed_form(model: Born, objective: Objective, multislice: bool, tell: Callable) -> np.ndarray:
    """The Tikhonov inversion of the training images, those in bright field, by a linear model.

    Of light that scatters more than once it explains a part alone, and images that were left out say little
    of how much of it to believe: with a regularisation below `_LEAST` its strength, which is all that such a
    fit takes from it, would be chance.
    """
    images = objective.bright
    return tikhonov(
        model,
        objective.signal(images, model),
        images,
        progress=lambda share: tell(Progress("closed form", round(100 * share), 100)),
        least=_LEAST if multislice else 0.0,
    )[0]


def closed_form_error(
    contrast: np.ndarray, model: ForwardModel, objective: Objective, held: np.ndarray
) -> float | None:
    """Held-out error of the closed form, by the linear model that it inverts; None without such images.

    A fit that comes out no better has found nothing.
    """
    if not len(held):
        return None
    return objective.pairs.beside(model.forward(contrast, held), held).sums.nrmse


def random_state(
    problem: Problem, backend: Operators, target: np.ndarray, window: tuple[slice, slice]
) -> State:
    """The state before the first step: random weights, and an output scale from the closed form."""
    rng = np.random.default_rng(problem.schedule.seed)
    params = np.concatenate([problem.encoding.initial_params(rng), problem.network.initial_params(rng)])
    xp = module_of(target)
    scale = float(xp.quantile(xp.abs(target.real[:, *window]), 0.99)) or 1e-3
    scale *= _HEADROOM if problem.multislice else 1
    return fresh_state(backend.asarray(params.astype(np.float32)), scale)


def state_of(field: NeuralField, problem: Problem, backend: Operators) -> State:
    """The state that goes on from a field.

    Raises
    ------
    InputError
        If the field is not of this fit's encoding, network and domain, or gives no index contrast.
    """
    if field.quantity != "contrast":
        raise InputError(f"the initial field gives {field.quantity}; a fit goes on from index contrast alone")
    same = field.encoding == problem.encoding and field.network == problem.network
    if not same or not np.allclose(field.bounds_um, problem.grid.bounds_um):
        raise InputError(
            "the initial field has another encoding, network or domain: fit with its model, depth, "
            "encoding and network"
        )
    return fresh_state(backend.asarray(field.params), field.output_scale)


def fresh_state(params: np.ndarray, scale: float) -> State:
    """The state of a fit before its first step."""
    zeros = module_of(params).zeros(params.size, np.float32)
    return State(params.copy(), zeros.copy(), zeros.copy(), params.copy(), scale)


def teach(
    state: State, target: np.ndarray, problem: Problem, sampling: Sampling, descent: Descent, tell: Callable
) -> None:
    """Fit the field to the closed-form contrast, on every second pixel and with all features."""
    schedule = problem.schedule
    target = target / np.float32(state.output_scale)
    if problem.network.n_outputs == 1:
        target.imag = 0
    scale = 2 / max(float(np.vdot(target, target).real), 1e-30)
    ranks, sharing, own = sampling.ranks, sampling.sharing, sampling.slab.own
    target = target[own]
    begun, allowed = time.perf_counter(), 0.25 * (schedule.budget_s or np.inf)
    for k in range(schedule.warm_steps):
        if ranks.agree(time.perf_counter() - begun > allowed):
            break
        shift = course.shift(schedule.seed, k)
        axes = sampling.axes(2, shift)
        outputs = sampling.outputs(state.params, axes, own)
        residual = upsample(to_contrast(outputs, 1.0), 2, shift) - target
        squared = sharing.sum(float(np.vdot(residual, residual).real))
        d_outputs = sampling.to_outputs(upsample_adjoint(residual, 2, shift), scale)
        gradient = sharing.sum(sampling.gradient(state.params, axes, d_outputs))
        rate = min(1.0, (k + 1) / 5, 2 * (schedule.warm_steps - k) / schedule.warm_steps)
        descent.update(state, gradient, rate, k + 1)
        error = np.sqrt(0.5 * scale * squared)
        tell(Progress("warm start", k + 1, schedule.warm_steps, error))
    state.m[:], state.v[:] = 0, 0

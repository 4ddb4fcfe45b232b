"""What a fit will take, before anything of it is allocated: memory part by part, and time.

Memory is what the parts of a fit say that they need (`fieldrx.fit.memory`).  Time is measured on this
machine, with the fit's own field, model and images, cut to two small squares: all but a constant grows with
the voxels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import describe_device, get
from fieldrx.backends.operators import Operators
from fieldrx.brief import times
from fieldrx.errors import InputError
from fieldrx.fit import Fit, Options
from fieldrx.fit.memory import check_fit, memory_of_rank
from fieldrx.fit.problem import Problem, understand
from fieldrx.fit.slices import thick_grid
from fieldrx.progress import Progress
from fieldrx.resources import Need, free_memory, total

_VOXELS = 1.5e6  # of the larger of the two grids on which time is measured, roughly
_SIDES = 24, 192  # pixels of its images, at least and at most
_LONG = 6e6  # voxels, from which a measurement is short beside a fit
_PART = 0.5  # of its side: the other one's
# Of a measurement: the first half is coarse, its first half on thick slices where there are such, and before
# every second step is a look.
_STEPS, _WARM = 8, 4
_STAGES = (
    "closed form", "warm start", "steps on thick slices", "coarse steps", "fine steps",
    "looks at held-out images",
)  # fmt: skip
_GIB = 2.0**30


@dataclass(frozen=True)
class Plan:
    """What a fit will take.

    Parameters
    ----------
    problem : Problem
    device : str
        That computes, in words.
    have : float, optional
        Bytes of memory that the fit may take; None where nothing tells.
    limit : str
        What limits them, in words.
    free : float, optional
        Bytes of them that are free now; None where nothing tells.
    seconds : dict
        That stages take; empty where they were not measured.
    unmeasured : str
        Why they were not.
    """

    problem: Problem
    device: str
    have: float | None
    limit: str
    free: float | None
    seconds: dict[str, float]
    unmeasured: str = ""

    @property
    def needs(self) -> list[Need]:
        """Memory of the parts."""
        return self.problem.extent.needs

    @property
    def memory(self) -> str:
        """How much of the memory the fit takes, in words."""
        need = total(self.needs)
        if self.have is None:
            return f"about {_gib(need)}"
        free = "" if self.free is None else f", {_gib(self.free)} are free"
        warning = "" if self.free is None or need <= self.free else ": others must give some back"
        return f"about {_gib(need)}; {self.limit} {_gib(self.have)}{free}{warning}"

    @property
    def time(self) -> str:
        """How long the fit takes, in words."""
        schedule = self.problem.schedule
        if schedule.budget_s is not None:
            return f"{duration(schedule.budget_s)}, as was asked"
        if not self.seconds:
            return f"not measured{self.unmeasured and ': '}{self.unmeasured}"
        parts = ", ".join(f"{name} {duration(s)}" for name, s in self.seconds.items() if s >= 0.5)
        return f"about {duration(sum(self.seconds.values()))}" + (f": {parts}" if parts else "")

    def lines(self) -> list[str]:
        """What is said when a fit begins."""
        most = max(self.needs, key=lambda need: need.held + need.peak)
        told = [f"memory: {self.memory}; most of it for {most.what}"]
        return told + ([f"time: {self.time}"] if self.seconds else [])

    def rows(self) -> list[tuple[str, str]]:
        """Pairs (name, text) that tell all of it."""
        extent = self.problem.extent
        rows = [
            ("device", self.device),
            ("model", f"{extent.model} on {times(extent.shape)} voxels"),
            ("images", f"{extent.n_images} of {times(extent.image_shape)} pixels, {extent.step[0]} a step"),
            ("memory", self.memory),
        ]
        for need in self.needs:
            held = f"{_gib(need.held)} all the time" if need.held else ""
            peak = f"{_gib(need.peak)} in its turn" if need.peak else ""
            rows.append(("", f"{need.what}: {' and '.join(part for part in (held, peak) if part)}"))
        return [*rows, ("time", self.time)]


def plan(
    acquisition: Acquisition,
    depth: Sequence[float] | str,
    model: str = "auto",
    *,
    device: str = "auto",
    measure: bool = True,
    **options: Any,
) -> Plan:
    """What a fit will take; see the module.

    Parameters
    ----------
    acquisition, depth, model, device, **options
        As of `fieldrx.Fit`.
    measure : bool
        Whether time is measured, which takes seconds; not of a fit that has no room.

    Raises
    ------
    InputError
        If an argument does not make sense, or no model is chosen as none has room.
    """
    backend = get(device)
    problem = understand(acquisition, depth, model, Options.named(options), backend)
    return plan_of(problem, backend, measure)


def plan_of(problem: Problem, backend: Operators, measure: bool | None = None) -> Plan:
    """What the fit to a problem will take, on the device that computes it.

    Parameters
    ----------
    problem : Problem
    backend : Operators
    measure : bool, optional
        As of `plan`; where it is not given, time is measured of fits that take long.
    """
    if measure is None:
        measure = float(np.prod(problem.grid.shape)) > _LONG
    have, limit = memory_of_rank(backend)
    fits = have is None or total(problem.extent.needs) <= have
    seconds, why = {}, ""
    if measure and fits and problem.schedule.budget_s is None:
        try:
            seconds = _measured(problem, backend)
        except InputError as error:  # of a square without a sample, or masked
            why = str(error)
    free = free_memory() if backend is get("cpu") else None
    return Plan(problem, describe_device(backend), have, limit, free, seconds, why)


def check_plan(plan: Plan, backend: Operators) -> None:
    """Refuse a fit that has no room, with settings that would have; errors as of `check_fit`."""
    check_fit(plan.problem.extent, backend)


def duration(seconds: float) -> str:
    """A time in words, to two digits."""
    if seconds < 99.5:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def _gib(size):
    return f"{size / 2**20:.0f} MiB" if size < _GIB else f"{size / _GIB:.3g} GiB"


def _measured(problem, backend):
    """Seconds of every stage, from two small squares of the images."""
    height, width = problem.acquisition.image_shape
    side = int(np.clip(np.sqrt(_VOXELS / problem.grid.shape[0]), *_SIDES))
    large = min(side, height, width)
    _times(problem, backend, max(large // 4, 8))  # what is compiled, or loaded, the first time
    small, more = (_times(problem, backend, n) for n in (max(int(_PART * large), 8), large))
    voxels = float(np.prod(problem.grid.shape))
    each = {name: float(_extrapolated(small, more, name, voxels)) for name in _STAGES}
    return {name: seconds * _count(problem, name) for name, seconds in each.items()}


def _extrapolated(small, more, name, voxels):
    """Seconds of a piece of a stage on a grid of so many voxels: a constant, and a share for every voxel."""
    (n, took), (m, longer) = ((one["voxels"], one[name]) for one in (small, more))
    slope = max((longer - took) / (m - n), 0.0) if m > n else 0.0
    return max(longer + slope * (voxels - m), 0.0)


def _count(problem, name):
    """Pieces of a stage in the whole fit."""
    schedule, steps = problem.schedule, problem.schedule.steps
    thick = 0 if thick_grid(problem) is None else round(schedule.thick * steps)
    coarse = max(round(schedule.coarse * steps), thick)
    looks = -(-steps // schedule.evaluate_every)
    counts = 1, schedule.warm_steps, thick, coarse - thick, steps - coarse, looks
    return dict(zip(_STAGES, counts, strict=True))[name]


def _times(problem, backend, side):
    """Voxels of a fit to a square in the middle of the images, and seconds of a piece of every stage."""
    schedule = replace(
        problem.schedule, steps=_STEPS, coarse=0.5, thick=0.25, tilted_from=0.0, evaluate_every=2, patience=0,
        warm_steps=min(problem.schedule.warm_steps, _WARM),
    )  # fmt: skip
    stages: dict[str, list[float]] = {}

    def note(progress: Progress) -> None:
        stages.setdefault(progress.stage, []).append(time.perf_counter())

    device = "cpu" if backend is get("cpu") else "cuda"
    fit = Fit(
        _middle(problem.acquisition, side), problem.depth, problem.model, encoding=problem.encoding,
        network=problem.network, priors=problem.priors, schedule=schedule, loss=problem.loss.to_dict(),
        background=problem.background, grid_um=problem.grid.spacing_um[1], precision=problem.precision,
        device=device, callback=note,
    )  # fmt: skip
    begun = time.perf_counter()
    history = fit.run().history["seconds"]
    if len(history) < _STEPS:
        raise InputError("the fit to the middle of the images diverges")
    step = dict(enumerate(np.diff(history), 1))
    thick, coarse, fine = step[1], step[3], min(step[5], step[7])
    looks = max(step[6] - fine, 0.0)
    closed, warm = stages["closed form"][-1], stages.get("warm start", [])
    each = np.diff([closed, *warm]).min() if warm else 0.0
    found = dict(zip(_STAGES, (closed - begun, each, thick, coarse, fine, looks), strict=True))
    return {"voxels": float(np.prod(fit.grid.shape))} | found


def _middle(acquisition, side):
    """The acquisition of a square in the middle of the images."""
    height, width = acquisition.image_shape
    y, x = ((n - min(side, n)) // 2 for n in (height, width))
    return acquisition.crop((y, min(y + side, height), x, min(x + side, width)))

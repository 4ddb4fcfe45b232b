"""How long and how fast a fit goes, and all else that may be asked of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fieldrx.errors import InputError, check_numbers, nearest
from fieldrx.models import is_multislice
from fieldrx.priors import Priors

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


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to fit; see `for_model` for defaults of multi-slice models.

    Parameters
    ----------
    steps : int
        Steps of the optimiser after the warm start.
    budget_s : float, optional
        Seconds for the whole fit, instead of ``steps``.  How many steps that makes depends on the machine,
        so two such fits differ.
    batch : int
        Images per step; 0 for all.  Batches walk through a shuffled order, every image once a round.
    learning_rate, table_learning_rate : float
        Adam's first step size for the network and for a hash table; a cosine lowers both to 2 %.
    beta2 : float
        Adam's memory of squared gradients: long for steady gradients, short where they shrink by orders.
    coarse : float
        Share of the steps on every second pixel.
    thick : float
        Share of the steps of a multi-slice model in which light may cross fewer and thicker slices, where the
        depth's are thinner than the optics resolve: quicker, and a little less exact; see
        ``fieldrx.fit.slices``.
    warm_steps : int
        Steps that teach the field the closed-form solution before the images; 0 starts from nothing.
    tilted_from : float
        Share of the fit up to which a multi-slice model sees only the half of the images whose light is
        tilted least.
    evaluate_every : int
        Steps between two looks at the held-out images.
    keep_from : float
        Share of the fit before which no field counts as the best: a fit that goes on from a field of other
        images would else end with that, where held-out images are few.
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
    thick: float = 0.0
    warm_steps: int = 60
    tilted_from: float = 0.15
    evaluate_every: int = 10
    keep_from: float = 0.0
    patience: int = 8
    seed: int = 0

    @classmethod
    def for_model(cls, model: str, **changes: Any) -> Schedule:
        """The schedule that suits a model.

        Parameters
        ----------
        model : str
        **changes
            Parameters that are to be others.
        """
        return cls(**((_MULTISLICE_SCHEDULE if is_multislice(model) else {}) | changes))

    def __post_init__(self):
        check_numbers(self)
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
        for name in ("coarse", "thick", "tilted_from", "keep_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")
        if self.budget_s is not None and not self.budget_s > 0:
            raise InputError(f"budget is {self.budget_s} s; expected a positive time")

    def share(self, step: int, seconds: float) -> float:
        """Share of the fit that is over.

        Parameters
        ----------
        step : int
            Steps done.
        seconds : float
            That they took, which count for a budget alone.
        """
        return step / self.steps if self.budget_s is None else seconds / self.budget_s

    def images_per_step(self, count: int) -> int:
        """Of ``count`` images, those that one step looks at."""
        return min(self.batch or count, count)

    def rate(self, step: int, share: float) -> float:
        """Step size over the first one: a short rise, then a cosine down to 2 %.

        Parameters
        ----------
        step : int
        share : float
            Of the fit that is over.
        """
        return min(1.0, (step + 1) / 10) * (0.51 + 0.49 * np.cos(np.pi * min(share, 1.0)))


@dataclass(frozen=True)
class Options:
    """What may be asked of a fit beside images, depth and model.

    Parameters
    ----------
    encoding, network : optional
        Of ``fieldrx.field``; chosen for the grid and the optics when not given.
    preset : str, optional
        "decaf" (10 x 208, skip at 5) or "decaf-small" (6 x 208, skip at 3) instead.
    priors : Priors or dict, optional
        A dict holds what differs from the model's defaults.
    schedule : Schedule or dict, optional
        Likewise.
    holdout : float, optional
        Share of the images to hold out when the acquisition does not name its own; default 0.1.
    absorption : bool
        Whether the field has an imaginary part.
    refine : str or sequence of str, optional
        What of the optics is corrected during the fit: "illumination", "intensity", "defocus", "pupil", see
        ``fieldrx.refinement``, and "board", see ``fieldrx.alignment``.  "background" among them is
        ``background=True``.
    background : bool, optional
        Whether a smooth factor of every image is found together with the sample, see ``fieldrx.shading``.  By
        default where the background was estimated from the images, or their levels were.
    optics : Optics, optional
        Directions, gains, defocus and aberrations to start from, when known better than the acquisition's.
    loss : str
        "squared", or "huber" or "poisson" with numbers of their own: see `fieldrx.losses.make_loss`.  "auto"
        is huber where some images are in dark field, else squared.
    grid_um : float, optional
        Widest lateral distance of voxels [um]; chosen from the optics when not given, see
        `fieldrx.models.grid_spacing`.
    precision : str, optional
        Of the network's matrix products on a GPU: "half" or "float32".  Chosen when not given: half, but for
        sines.  A CPU computes in float32.
    """

    encoding: Any = None
    network: Any = None
    preset: str | None = None
    priors: Any = None
    schedule: Any = None
    holdout: float | None = None
    absorption: bool = True
    refine: Any = None
    background: bool | None = None
    optics: Any = None
    loss: Any = "auto"
    grid_um: float | None = None
    precision: str | None = None

    @classmethod
    def named(cls, values: dict) -> Options:
        """Options by name.

        Raises
        ------
        TypeError
            If there is none of a name.
        """
        for name in values:
            if name in Schedule.__dataclass_fields__:
                raise TypeError(f'"{name}" belongs to the schedule: give schedule={{"{name}": ...}}')
            if name not in cls.__dataclass_fields__:
                raise TypeError(f'a fit has no option "{name}"{nearest(name, cls.__dataclass_fields__)}')
        return cls(**values)

    @property
    def seed(self) -> int:
        """Of the schedule, which need not be complete."""
        given = self.schedule
        return (given if isinstance(given, Schedule) else Schedule(**named(given, Schedule, "schedule"))).seed


def settings(
    model: str,
    priors: Priors | dict[str, Any] | None = None,
    schedule: Schedule | dict[str, Any] | None = None,
) -> tuple[Priors, Schedule]:
    """Priors and schedule, completed with the model's defaults."""
    if not isinstance(schedule, Schedule):
        schedule = Schedule.for_model(model, **named(schedule, Schedule, "schedule"))
    if not isinstance(priors, Priors):
        usual = _MULTISLICE_PRIORS if is_multislice(model) else {}
        priors = Priors(**(usual | named(priors, Priors, "priors")))
    return priors, schedule


def named(values: object, kind: type, what: str) -> dict[str, Any]:
    """What was asked to differ from the defaults of a class, by name; none where nothing was.

    Raises
    ------
    InputError
        If it is no dict, or the class has none of a name.
    """
    names = [one.name for one in fields(kind)]
    if values is None:
        return {}
    if not isinstance(values, dict):
        some = ", ".join(names[:3])
        raise InputError(
            f"{what} is {f'{values!r}'[:60]}; expected a {kind.__name__}, or a dict of {some} ..."
        )
    for name in values:
        if name not in names:
            raise InputError(f'{what} has no "{name}"{nearest(name, names)}')
    return values

"""Times at which several samples of one lattice were taken, as files tell them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_EVEN = 1e-6  # relative difference of steps that count as equal


@dataclass(frozen=True)
class Times:
    """Growing times.

    Parameters
    ----------
    values : tuple of float
    seconds : bool
        Whether they are seconds; else they are numbers of frames.
    """

    values: tuple[float, ...]
    seconds: bool

    @property
    def step(self) -> float | None:
        """From each to the next, where that is the same."""
        steps = np.diff(self.values)
        even = len(steps) and np.allclose(steps, steps[0], rtol=_EVEN, atol=0)
        return float(steps[0]) if even else None

    @property
    def step_s(self) -> float | None:
        """The same in seconds, where they are."""
        return self.step if self.seconds else None

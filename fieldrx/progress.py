"""What long work tells of itself, and how it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fieldrx.field import NeuralField


@dataclass(frozen=True)
class Progress:
    """What a callback is told after every piece of work.

    Parameters
    ----------
    stage : str
        Of a fit: "closed form", "warm start" or "fit".
    done, total : float
        Pieces of work, or seconds of a budget.
    error : float
        Relative error of the step's images (of the contrast: warm start).
    holdout : float
        Lowest relative error of the held-out images so far.
    field : callable, optional
        Of a fit under way: gives its best field so far.
    """

    stage: str
    done: float
    total: float
    error: float = float("nan")
    holdout: float = float("nan")
    field: Callable[[], NeuralField] | None = None


class StopOnSignal:
    """Turns Ctrl-C and SIGTERM into a wish to stop, obeyed between two steps; a second one kills."""

    def __init__(self):
        self.asked = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self.ask)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def ask(self, number: int | None = None, frame: FrameType | None = None) -> None:
        """Ask for a stop, as a signal does.

        Raises
        ------
        KeyboardInterrupt
            If that was asked before.
        """
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

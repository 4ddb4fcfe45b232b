"""What long work tells of itself, and how it is stopped."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from fieldrx.field import NeuralField


T = TypeVar("T")


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


def telling(
    items: Iterable[T], stage: str, total: int, callback: Callable[[Progress], object] | None
) -> Iterator[T]:
    """Items one by one, each of which is told once it has been used.

    Parameters
    ----------
    items : iterable
    stage : str
        What they are called.
    total : int
        How many there are.
    callback : callable, optional
        Called with a `Progress` after every one.
    """
    for number, item in enumerate(items, 1):
        yield item
        if callback:
            callback(Progress(stage, number, total))


# The record that a command keeps for a program that watches it: what names its folder, and its files.
RECORD, RECORD_LINES, RECORD_PICTURE = "FIELDRX_PROGRESS", "progress.jsonl", "planes.png"

# Signals that ask for a stop, as many as the system has; BREAK is that of Windows.
STOPPING = tuple(
    getattr(signal, f"SIG{n}") for n in ("INT", "TERM", "USR1", "BREAK") if hasattr(signal, f"SIG{n}")
)
_ALARM = getattr(signal, "SIGALRM", None)  # at the end of a time limit; without it a thread sends SIGTERM
_SAVING_S, _SAVING = (1.0, 60.0), 0.05  # before a time limit ends: a share of it, at least and at most
_LOOKS = 20  # between which the longest piece of work of late is measured


class StopOnSignal:
    """Turns signals into a wish to stop, obeyed between two steps; Ctrl-C after that kills.

    These are Ctrl-C, SIGTERM, SIGUSR1 and the end of an `interruptible` time.
    """

    def __init__(self):
        self.asked = False
        self._at_once = False
        self._before = {}
        self._looked: float | None = None
        self._took: deque[float] = deque([0.0], maxlen=_LOOKS)

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            timed = _ALARM is not None and signal.getsignal(_ALARM) is _interrupt  # else it is not ours
            for number in (*STOPPING, _ALARM) if timed else STOPPING:
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
            If that was asked before, and is asked now by Ctrl-C: schedulers ask more than once.
        """
        if self.asked and number in (None, signal.SIGINT):
            self._at_once = True
            raise KeyboardInterrupt
        self.asked = True

    def due(self) -> bool:
        """Whether to stop before the next piece of work; to be asked before each.

        It is where that was asked, and where the time that is left is shorter than a piece took of late.

        Raises
        ------
        KeyboardInterrupt
            Again, where the one that `ask` raised was swallowed, as by callbacks of compilers.
        """
        if self._at_once:
            raise KeyboardInterrupt
        now = time.monotonic()
        if self._looked is not None:
            self._took.append(now - self._looked)
        self._looked = now
        left = self.time_left()
        if left is not None and left < max(self._took):
            self.asked = True
        return self.asked

    def time_left(self) -> float | None:
        """Seconds until an `interruptible` time asks for a stop; None without one."""
        if not self._before:  # another thread's
            return None
        if _ALARM is None:
            return (_timers[-1].left() or None) if _timers else None
        left = signal.getitimer(signal.ITIMER_REAL)[0] if _ALARM in self._before else 0.0
        return left or None


class _Timer:
    """Sends this process SIGTERM after some seconds, where the system has no alarm."""

    def __init__(self, seconds: float):
        self._ends = time.monotonic() + seconds
        self._thread = threading.Timer(seconds, _thread.interrupt_main, [signal.SIGTERM])
        self._thread.daemon = True
        self._thread.start()

    def left(self) -> float:
        """Seconds until then."""
        return max(self._ends - time.monotonic(), 0.0)

    def cancel(self) -> None:
        """Take that back."""
        self._thread.cancel()


_timers: list[_Timer] = []  # of `interruptible` times


def _set_limit(seconds: float) -> None:
    if _ALARM is None:
        _timers.append(_Timer(seconds))
    else:
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _end_limit() -> None:
    if _ALARM is None:
        _timers.pop().cancel()
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def interruptible(limit_s: float | None = None) -> Iterator[None]:
    """Let SIGTERM, SIGUSR1 and the end of a time interrupt work as Ctrl-C does.

    Fits mind them by `StopOnSignal`, and save; other work is done anew.

    Parameters
    ----------
    limit_s : float, optional
        Seconds from now, the last of which are left for saving.

    Raises
    ------
    KeyboardInterrupt
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    minded = [number for number in (*STOPPING, _ALARM) if number not in (None, signal.SIGINT)]
    before = {number: signal.signal(number, _interrupt) for number in minded}
    if limit_s is not None:
        saving = min(max(_SAVING * limit_s, _SAVING_S[0]), _SAVING_S[1])
        _set_limit(max(limit_s - saving, 0.5 * limit_s))
    try:
        yield
    finally:
        if limit_s is not None:
            _end_limit()
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number, frame):
    raise KeyboardInterrupt

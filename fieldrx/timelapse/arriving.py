"""Frames in their order, as they are there or as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from fieldrx.acquisition import Acquisition, Frames
from fieldrx.errors import InputError, NoSuchFile

_LOOK_S = 1.0  # from one look for frames to the next
_NAP_S = 0.1  # in which a wish to stop is heard


class Arriving:
    """Frames one after the other; one that cannot be read is skipped, once a later one is there.

    Parameters
    ----------
    frames : Frames
    follow_s : float or None
        How long to wait for a frame after the last one [s]; None not at all.
    stopped : callable
        Whether somebody wants to stop.
    skip : callable
        Is given number and cause of every frame that is skipped.
    """

    def __init__(
        self,
        frames: Frames,
        follow_s: float | None,
        stopped: Callable[[], bool],
        skip: Callable[[int, InputError], None],
    ):
        self.frames, self.follow_s, self.stopped, self.skip = frames, follow_s, stopped, skip
        self.idle: Callable[[], None] = lambda: None  # called once whenever nothing is left to do
        self.waiting = False

    def __iter__(self) -> Iterator[tuple[int, Acquisition]]:
        last, news, mark = -1, time.monotonic(), object()
        while not self.stopped():
            there = [number for number in self._numbers() if number > last]
            patient = self.follow_s is not None and time.monotonic() - news <= self.follow_s
            if not there and not patient:
                return
            newest, seen = len(there) == 1, self.frames.mark(there[0]) if there else mark
            if patient and (not there or (newest and seen != mark)):  # it may still be being written
                news = news if seen == mark else time.monotonic()
                mark = seen
                self._wait()
                continue
            try:
                acquisition = self.frames.read(there[0])
            except InputError as error:
                if patient and newest:
                    self._wait()
                    continue
                self.skip(there[0], error)
            else:
                self.waiting = False
                yield there[0], acquisition
            last, news = there[0], time.monotonic()

    def _numbers(self):
        try:
            return self.frames.numbers()
        except NoSuchFile:
            if self.follow_s is None:
                raise
            return []  # nothing has arrived yet

    def _wait(self):
        if not self.waiting:
            self.idle()
        self.waiting = True
        end = time.monotonic() + _LOOK_S
        while time.monotonic() < end and not self.stopped():
            time.sleep(_NAP_S)

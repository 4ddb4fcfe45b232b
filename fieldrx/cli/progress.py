"""Progress of long work: a bar on a terminal, plain lines otherwise, nothing when quiet, or a record."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fieldrx.cli.record import VARIABLE, Record
from fieldrx.cli.text import echo
from fieldrx.parallel import launched

if TYPE_CHECKING:
    from fieldrx.progress import Progress

_EVERY_S = 5.0  # between plain lines
_READABLE = 1e5  # pieces of work; more are shown as per cent


class Reporter:
    """Shows what it is told of progress.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """

    def __init__(self, quiet: bool):
        self.quiet = quiet
        self._bar: Any = None  # what click.progressbar gives
        self._stage, self._done, self._last = None, 0, 0.0
        self._terminal = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        """Show one piece of news."""
        if self.quiet:
            return
        if progress.total > _READABLE:
            progress = replace(progress, done=round(100 * progress.done / progress.total), total=100)
        if progress.stage != self._stage:
            self._begin(progress)
        text = _errors(progress)
        if self._bar:
            step = min(int(progress.done), self._bar.length) - self._done
            self._done += step
            self._bar.update(step, text)
        elif time.monotonic() - self._last > _EVERY_S or progress.done >= progress.total:
            self._last = time.monotonic()
            line = f"{progress.stage}: {progress.done:.0f}/{progress.total:.0f}  {text}"
            echo(line.rstrip(), err=True)

    def _begin(self, progress):
        """A stage, with a bar of its own."""
        self.close()
        self._stage, self._done = progress.stage, 0
        if self._terminal:
            self._bar = click.progressbar(
                length=math.ceil(progress.total), label=f"{progress.stage:<12}", file=sys.stderr,
                item_show_func=lambda text: text, show_pos=True,
            )  # fmt: skip
            self._bar.__enter__()

    def close(self) -> None:
        """End the bar of a stage."""
        if self._bar:
            self._bar.__exit__(None, None, None)
            self._bar = None


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter | Record]:
    """A reporter whose bar ends with the block; a record where somebody watches (`fieldrx.cli.record`)."""
    watched = None if launched().rank else os.environ.get(VARIABLE)  # of several ranks the first one's work
    reporter = Record(Path(watched)) if watched else Reporter(quiet)
    try:
        yield reporter
    finally:
        reporter.close()


def speaker(quiet: bool) -> Callable[[str], None]:
    """What prints a line beside the results, or does not when quiet."""
    return (lambda text: None) if quiet else (lambda text: echo(text, err=True))


def _errors(progress):
    """Errors of a fit, in words."""
    text = "" if math.isnan(progress.error) else f"error {progress.error:.4f}"
    return text if not math.isfinite(progress.holdout) else f"{text}  held out {progress.holdout:.4f}"

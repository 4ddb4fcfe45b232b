"""Progress for programs that watch a command: lines of JSON in a folder, and a picture of the field so far.

The folder is named by the variable ``FIELDRX_PROGRESS``, so that a command line is the same whether it is
watched or not.  A line of ``progress.jsonl`` says what `fieldrx.progress.Progress` says, beside ``pictures``,
which counts how often ``planes.png``, the central planes of the best field so far, was drawn.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fieldrx.errors import InputError
from fieldrx.progress import RECORD as VARIABLE
from fieldrx.progress import RECORD_LINES as LINES
from fieldrx.progress import RECORD_PICTURE as PICTURE

if TYPE_CHECKING:
    from fieldrx.progress import Progress

_EVERY_S = 0.2  # between lines of one stage
_DRAW_S = 2.0  # between pictures, at least,
_SHARE = 0.02  # which may take this share of the time


class Record:
    """Writes what it is told of progress.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    InputError
        If there is no such folder.
    """

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise InputError(f"{VARIABLE} names {folder}, which is no folder: make it, or unset {VARIABLE}")
        self.folder = folder
        self._stage, self._told = "", -math.inf
        self._pictures, self._draw_at = 0, -math.inf
        self._drawn: tuple[int | None, float | None] = (
            None,
            None,
        )  # step and error of the last picture

    def __call__(self, progress: Progress) -> None:
        """Write a line, and draw the field where it is due."""
        self._draw(progress)
        now = time.monotonic()
        if progress.stage == self._stage and progress.done < progress.total and now < self._told + _EVERY_S:
            return
        from fieldrx.io.plain import json_number

        self._stage, self._told = progress.stage, now
        line = {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total,
            "error": json_number(progress.error),
            "holdout": json_number(progress.holdout),
            "pictures": self._pictures,
        }
        with open(self.folder / LINES, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")

    def close(self) -> None:
        """Nothing is left to end: every line is written when it is told."""

    def _draw(self, progress):
        """A picture of the best field, if that is another one and the last picture is long enough ago."""
        begun = time.monotonic()
        if progress.field is None or begun < self._draw_at:
            return
        from fieldrx.render import render

        field = progress.field()
        best = field.provenance.best_step, field.provenance.nrmse_holdout
        if best != self._drawn:
            render(field, self.folder / PICTURE)
            self._pictures, self._drawn = self._pictures + 1, best
        end = time.monotonic()
        first = self._pictures == 1  # which loads what later ones have
        self._draw_at = end + (_DRAW_S if first else max(_DRAW_S, (end - begun) / _SHARE))

"""Fits that are parts of longer work, kept until all of it is done.

Choices of a run, trials of a weight and members of an ensemble are fits of their own.  Each has a checkpoint,
while it goes and when it has ended, so that work which was stopped, or killed, takes up where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from fieldrx._version import __version__
from fieldrx.backends import to_host
from fieldrx.field import NeuralField
from fieldrx.parallel import by_first

_PREFIX = "part-"


class Parts:
    """A folder of checkpoints, each under a name made of what its fit was asked.

    Parameters
    ----------
    folder : path-like
        Made when the first checkpoint is asked for.
    resume : bool
        Whether those that are there serve; else they are removed.
    """

    def __init__(self, folder: str | os.PathLike, resume: bool = False):
        self.folder = Path(folder)
        if not resume:
            self.clear()  # of several ranks none goes on before the first has done it

    def checkpoint(self, arguments: dict[str, Any], initial: NeuralField | None = None) -> Path:
        """Where a fit with some arguments, and from some field on, has its checkpoint."""
        start = None if initial is None else hashlib.sha256(to_host(initial.params).tobytes()).hexdigest()
        asked = json.dumps([__version__, arguments, start], sort_keys=True)
        self.folder.mkdir(exist_ok=True)
        return self.folder / f"{_PREFIX}{hashlib.sha256(asked.encode()).hexdigest()[:16]}.npz"

    def clear(self) -> None:
        """Remove the checkpoints, and the folder if nothing else is there."""
        by_first(self._clear)

    def _clear(self) -> None:
        for path in self.folder.glob(f"*{_PREFIX}*.npz"):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

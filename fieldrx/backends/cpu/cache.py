"""Where compiled kernels are kept, settled before the first of them is made.

Numba keeps them beside their source or in the user's cache, and refuses to make a kernel whose place it
cannot write: an installation that belongs to root, run by a service without a home.  They then go to a folder
of the user's own among the temporary files; where even that cannot be had, every start compiles anew.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import numba


def _nothing():
    """Asks Numba for a place as a kernel in this folder would."""


def _place():
    """Folder in which Numba keeps the kernels of this package, or None."""
    try:
        return numba.njit(cache=True)(_nothing).stats.cache_path
    except RuntimeError:  # "no locator available"
        return None


def _own_folder():
    """A folder that nobody else can write to, or None: what Numba finds there is executed."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        folder = Path(tempfile.gettempdir(), f"fieldrx-numba-{user}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    shared = os.name == "posix" and (found.st_uid != user or stat.S_IMODE(found.st_mode) & 0o077)
    return None if shared or not stat.S_ISDIR(found.st_mode) else folder


def _settle():
    """The folder of compiled kernels; None where there is none."""
    place = _place()
    if place is None and (folder := _own_folder()) is not None:
        numba.config.CACHE_DIR = str(folder)
        place = _place()
    return place


FOLDER = _settle()
CACHED = FOLDER is not None

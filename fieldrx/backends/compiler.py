"""Numba, imported here and nowhere else: its settings, where compiled kernels are kept, and their threads.

Numba keeps kernels beside their source or in the user's cache, and refuses to make one whose place it cannot
write: an installation that belongs to root, run by a service without a home.  They then go to a folder of the
user's own among the temporary files; where even that cannot be had, every start compiles anew.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import wraps
from pathlib import Path
from typing import Any

from fieldrx.errors import InputError, one_line

try:
    import fcntl
except ImportError:  # not everywhere: there every process compiles for itself
    fcntl = None  # type: ignore[assignment]
from fieldrx.resources import thread_limit


def _check_settings():
    """Refuse settings with which Numba, or kernels that it does not compile, cannot work."""
    settings: dict[str, int | None] = {}
    for name in ("NUMBA_NUM_THREADS", "NUMBA_DISABLE_JIT"):
        try:
            settings[name] = int(os.environ[name])
        except (KeyError, ValueError):  # which Numba passes over
            settings[name] = None
    threads = settings["NUMBA_NUM_THREADS"]
    if threads is not None and threads < 1:
        raise InputError(
            f"NUMBA_NUM_THREADS is {threads}; expected 1 or more threads: set it so, or unset it"
        )
    if settings["NUMBA_DISABLE_JIT"]:
        raise InputError("NUMBA_DISABLE_JIT is set, but kernels run compiled alone: unset it")


def _limit_threads():
    """Keep Numba to what this process may use, and say what limits it.

    Numba reads the variable now and again with every kernel that it compiles, so it has to stay as it is.
    Where somebody has imported Numba before, its threads are settled.
    """
    count, why = thread_limit()
    if "numba" in sys.modules:
        return ""
    if why or "NUMBA_NUM_THREADS" in os.environ:
        os.environ["NUMBA_NUM_THREADS"] = str(count)
    return why


def _let_threads_sleep():
    """Let OpenMP's threads sleep while they wait for each other, unless the user says otherwise.

    By default they spin, which on cores that others use too keeps the very thread from running that they
    wait for: with two fits on two cores, steps took five to ten times as long.  OpenMP reads it when loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


_check_settings()
THREADS_LIMITED_BY = _limit_threads()
_let_threads_sleep()

import numba  # noqa: E402  # after its settings were looked at
from numba import prange  # noqa: E402

__all__ = ["CACHED", "FOLDER", "THREADS_LIMITED_BY", "n_threads", "njit", "numba", "prange", "threaded_njit"]


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
LOCK = ".fieldrx-lock"  # a file in the folder, held by the process that compiles
_compiling, _depth = threading.RLock(), 0


@contextmanager
def _one_process():
    """Let one process at a time compile, or read what another one has compiled meanwhile.

    Ranks, and workers of a batch, need the same kernels at the same time: the first one compiles.
    """
    global _depth
    with ExitStack() as held, _compiling:
        if CACHED and not _depth and fcntl is not None:
            with suppress(OSError):  # a file system without locks, or another user's file: all compile
                file = held.enter_context(open(Path(FOLDER, LOCK), "ab"))
                fcntl.flock(file, fcntl.LOCK_EX)
        _depth += 1
        try:
            yield
        finally:
            _depth -= 1


def njit(**options: Any) -> Callable:
    """Numba's decorator; a kernel is compiled by one process while others that need it wait."""

    def decorate(function):
        kernel = numba.njit(**options)(function)
        compile_it = kernel.compile

        def compile_once(signature):
            with _one_process():
                return compile_it(signature)

        kernel.compile = compile_once
        return kernel

    return decorate


_SAFE_LAYERS = ("omp", "tbb")  # several threads may call kernels at once
_one_at_a_time = threading.Lock()


def threaded_njit(**options: Any) -> Callable:
    """A decorator like `njit` of kernels with threads of their own, to be called from Python alone.

    Numba's layer of threads "workqueue", which it takes where there is neither OpenMP nor TBB, ends the
    process when two threads call such kernels at once: there, they wait for each other.
    """

    def decorate(function):
        kernel = njit(parallel=True, **options)(function)

        @wraps(function)
        def call(*args):
            with nullcontext() if _layer() in _SAFE_LAYERS else _one_at_a_time:
                return kernel(*args)

        return call

    return decorate


def n_threads() -> int:
    """Threads of a kernel that the thread that asks would call.

    Raises
    ------
    InputError
        If the layer of threads that the settings name is not there.
    """
    _layer()
    return numba.get_num_threads()


def _layer():
    """The layer of threads, started if it was not."""
    try:
        return numba.threading_layer()
    except ValueError:  # no kernel has run yet
        return _start_layer()


def _start_layer():
    with _one_at_a_time:
        try:
            numba.np.ufunc.parallel._launch_threads()
        except ValueError as error:
            raise InputError(
                f"NUMBA_THREADING_LAYER is {numba.config.THREADING_LAYER}, which cannot be used "
                f"({one_line(error)[:80]}): unset it"
            ) from None
    return numba.threading_layer()

"""Processes forked from one whose kernels already ran: what cannot work there says so at once.

GNU's OpenMP, which runs Numba's parallel kernels on Linux, ends a forked child in which they start again, and
a pool of processes waits for its dead workers for ever.  FFTs and Numba's other threading layers survive.
"""

from __future__ import annotations

import os
import sys

_WORDS = (
    "this process was forked from one in which kernels had already run, whose threads do not survive a fork: "
    'start processes by multiprocessing.get_context("spawn") or "forkserver", or fork before the first use'
)


class _Here:
    """Of this process."""

    dead = False


def check() -> None:
    """Refuse to compute on the CPU where its kernels would end the process.

    Raises
    ------
    RuntimeError
        In a process forked after its parent had used them.
    """
    if _Here.dead:
        raise RuntimeError(_WORDS)


def _after_fork():
    if not _runs_openmp():
        return
    _Here.dead = True
    cpu = sys.modules.get("fieldrx.backends.cpu")
    for name in getattr(cpu, "__all__", ()):  # who holds the module already does not ask for it again
        setattr(cpu, name, lambda *args, **options: check())


def _runs_openmp():
    """Whether Numba has started GNU's threads, in this process or the one that it was forked from."""
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    pool = sys.modules.get("numba.np.ufunc.omppool")
    if parallel is None or not getattr(parallel, "_is_initialized", False):
        return False
    started = parallel.threading_layer() == "omp"
    return started and getattr(pool, "openmp_vendor", "GNU") == "GNU"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

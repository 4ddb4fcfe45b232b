"""Joining the ranks that were started, and leaving them; the only place that imports mpi4py.

NumPy is not imported here: its libraries look at the number of threads, which is settled first, only once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from glob import glob
from typing import TYPE_CHECKING

from fieldrx.errors import InputError
from fieldrx.parallel.launch import ALONE, launched

if TYPE_CHECKING:
    from fieldrx.parallel.ranks import Ranks

_NAP_S = 0.01
_TOLD_S = 0.3  # that mpiexec gets to pass on what a rank said last
_THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_DEVICES = "CUDA_VISIBLE_DEVICES"


def joined() -> Ranks:
    """The ranks that were started, with the cores and devices of a machine shared out among its own.

    Raises
    ------
    InputError
        If there is no mpi4py, or it belongs to another MPI than the one that started them.
    """
    comm = _world()
    local = comm.Split_type(_mpi().COMM_TYPE_SHARED)
    _share_cores(local)
    _share_devices(local)
    before = sys.excepthook

    def hook(kind, value, trace):
        before(kind, value, trace)
        abort(1)  # a rank of a script of the user's that fails would let the others wait

    sys.excepthook = hook
    from fieldrx.parallel.ranks import Ranks

    return Ranks(comm.Dup(), local)  # on COMM_WORLD itself ranks meet at the end alone, see `all_came`


def all_came(patience_s: float) -> bool:
    """Whether all ranks come here, too, within a time [s].

    Parameters
    ----------
    patience_s : float
    """
    request, until = _mpi().COMM_WORLD.Ibarrier(), time.monotonic() + patience_s
    while not request.Test():
        if time.monotonic() > until:
            return False
        time.sleep(_NAP_S)
    return True


def abort(status: int) -> None:
    """End all ranks at once.

    Parameters
    ----------
    status : int
    """
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(_TOLD_S)
    _mpi().COMM_WORLD.Abort(status)


def _mpi():
    from mpi4py import MPI

    return MPI


def _world():
    there = launched()
    try:
        mpi = _mpi()
    except ImportError as error:
        raise InputError(
            f"{there.size} ranks were started, but mpi4py cannot be imported ({error}): pip install "
            f"fieldrx[mpi], start one rank, or set {ALONE}=1 to let every one work for itself"
        ) from None
    if mpi.COMM_WORLD.size != there.size:
        library = " ".join(mpi.Get_library_version().split("\n")[0].strip("\0").split())
        raise InputError(
            f"{there.size} ranks were started, but the MPI of mpi4py ({library[:60]}) knows of "
            f"{mpi.COMM_WORLD.size}: start them with the mpiexec of that MPI"
        )
    return mpi.COMM_WORLD


def _share_cores(local):
    """Let ranks that may use the same cores use a part of them each; what the user has set stays."""
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not own:
        return
    threads = max(len(own) // local.allgather(own).count(own), 1)
    for name in _THREADS:
        os.environ.setdefault(name, str(threads))


def _share_devices(local):
    """Give every rank one of the GPUs that it sees, in turn among those that see the same."""
    seen = os.environ.get(_DEVICES) or ",".join(str(k) for k in range(len(glob("/dev/nvidia[0-9]*"))))
    place = local.allgather(seen)[: local.rank].count(seen)
    if seen:
        os.environ[_DEVICES] = device_of(seen.split(","), place)


def device_of(devices: Sequence[str], place: int) -> str:
    """The GPU of a rank: one for each while there are any left, then again from the first.

    Parameters
    ----------
    devices : sequence of str
        Those that it sees.
    place : int
        Its number among the ranks that see the same.
    """
    return devices[place % len(devices)]

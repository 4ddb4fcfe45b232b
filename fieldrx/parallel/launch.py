"""What the environment says of the ranks that were started, before MPI itself is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

ALONE = "FIELDRX_ALONE"  # set to 1, every process works for itself however many were started
# Of a process's number and of how many there are: MPICH, Intel MPI and srun --mpi=pmi2; Open MPI; MVAPICH;
# a step of SLURM without any of them, whose job script, a single process, has no SLURM_STEP_NUM_TASKS.
_NAMES = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


@dataclass(frozen=True)
class Launched:
    """This process among those that were started together.

    Parameters
    ----------
    rank : int
    size : int
    """

    rank: int = 0
    size: int = 1


def launched(environment: Mapping[str, str] | None = None) -> Launched:
    """This process among those that were started together, as the launcher's variables tell.

    Parameters
    ----------
    environment : mapping, optional
        That of the process when not given.
    """
    environment = os.environ if environment is None else environment
    if environment.get(ALONE, "0") not in ("", "0"):
        return Launched()
    for names in _NAMES:
        rank, size = (environment.get(name, "") for name in names)
        if rank.isdecimal() and size.isdecimal():
            return Launched(int(rank), int(size))
    return Launched()


@contextmanager
def each_alone() -> Iterator[None]:
    """A block in which this process, and those that it starts, work for themselves, whatever others do."""
    before = os.environ.get(ALONE)
    os.environ[ALONE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ALONE]
        else:
            os.environ[ALONE] = before

"""The communicator of several ranks.

Sums are taken in a fixed order: every rank gets its share of the array from all others, adds them up in the
order of ranks, and the shares are joined.  So all ranks hold the same to the last bit, whatever algorithm MPI
has, and every rank sends and receives twice the array, the least that a sum takes.  Arrays of a device travel
through the host.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fieldrx.backends import of, to_host
from fieldrx.parallel.shares import share_of

_SMALL = 1 << 12  # numbers that are better sent to all than cut
_SPIN_S = 2e-4  # that a rank waits at full speed; then it naps, or sleeps where others may take long
_NAP_S, _SLEEP_S = 1e-4, 1e-2


class Ranks:
    """The ranks of an MPI communicator; see `fieldrx.parallel.communicator.Communicator`.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
    local : mpi4py.MPI.Comm
        Of the ranks on this machine.
    """

    def __init__(self, comm: Any, local: Any):
        self.comm, self.rank, self.size = comm, comm.rank, comm.size
        self.local_rank, self.local_size = local.rank, local.size

    def sum(self, values: Any) -> Any:
        """As of `Communicator`."""
        host = to_host(values)
        if host.ndim == 0:
            return self._small_sum(host.reshape(1))[0]
        flat = np.ascontiguousarray(host).reshape(-1)
        if flat.size <= _SMALL:
            total = self._small_sum(flat)
        else:
            total = self.join(self.planes_sum(flat), flat.size)
        return of(values).asarray(total.reshape(host.shape))

    def planes_sum(self, array: np.ndarray) -> np.ndarray:
        """As of `Communicator`."""
        host = np.ascontiguousarray(to_host(array))
        counts, starts = self._counts(host)
        own = host[share_of(len(host), self.rank, self.size)]
        received = np.empty((self.size, *own.shape), host.dtype)
        every = [own.size] * self.size, [own.size * k for k in range(self.size)]
        self._meet()
        self.comm.Alltoallv([host, (counts, starts)], [received, every])
        return of(array).asarray(_added(received))

    def join(self, planes: np.ndarray, count: int) -> np.ndarray:
        """As of `Communicator`."""
        host = np.ascontiguousarray(to_host(planes))
        whole = np.empty((count, *host.shape[1:]), host.dtype)
        self._meet()
        self.comm.Allgatherv(host, [whole, self._counts(whole)])
        return of(planes).asarray(whole)

    def agree(self, value: Any) -> Any:
        """As of `Communicator`."""
        return self.comm.bcast(value)

    def any(self, wish: bool) -> bool:
        """As of `Communicator`."""
        return bool(self._small_sum(np.array([wish], np.int64))[0])

    def all_of(self, value: Any) -> list:
        """As of `Communicator`."""
        self.barrier()  # items take of unequal length
        return self.comm.allgather(value)

    def barrier(self) -> None:
        """As of `Communicator`."""
        self._meet(_SLEEP_S)

    def _meet(self, nap=_NAP_S):
        """Wait for all ranks: MPI itself would keep the core busy, which another rank may need to come."""
        request, begun = self.comm.Ibarrier(), time.perf_counter()
        while not request.Test():
            if time.perf_counter() - begun > _SPIN_S:
                time.sleep(nap)

    def _small_sum(self, flat):
        """Sum of a few numbers, by sending them to all."""
        received = np.empty((self.size, flat.size), flat.dtype)
        self._meet()
        self.comm.Allgather(flat, received)
        return _added(received)

    def _counts(self, array):
        """Numbers of every rank's share of an array, and where they begin."""
        plane = array[0].size if len(array) else 0
        shares = [share_of(len(array), k, self.size) for k in range(self.size)]
        return [plane * (s.stop - s.start) for s in shares], [plane * s.start for s in shares]


def _added(parts):
    """The sum of arrays, in their order; the first one holds it."""
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total

"""What a communicator offers, the communicator of one, and which one holds here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from fieldrx.parallel.launch import launched

if TYPE_CHECKING:
    import numpy as np


class Communicator(Protocol):
    """Ranks that work together.

    Every method but `barrier` gives all ranks the same to the last bit; all ranks call them in the same
    order.  Arrays may live on a device, and come back where they were.
    """

    @property
    def rank(self) -> int:
        """Which of the ranks this is."""

    @property
    def size(self) -> int:
        """How many there are."""

    @property
    def local_rank(self) -> int:
        """Which of those on this machine this is."""

    @property
    def local_size(self) -> int:
        """How many there are on this machine."""

    def sum(self, values: Any) -> Any:
        """Sum of a number, or of an array, over all ranks, added in the order of ranks."""

    def planes_sum(self, array: np.ndarray) -> np.ndarray:
        """This rank's share of the sum of an array over all ranks, cut along its first axis."""

    def join(self, planes: np.ndarray, count: int) -> np.ndarray:
        """The array of `count` planes of which every rank gives its share, cut along the first axis."""

    def agree(self, value: Any) -> Any:
        """What the first rank says."""

    def any(self, wish: bool) -> bool:
        """Whether any rank wishes so."""

    def all_of(self, value: Any) -> list:
        """What every rank says, in the order of ranks."""

    def barrier(self) -> None:
        """Wait until all ranks have come here, without keeping a core busy."""


@dataclass(frozen=True)
class Alone:
    """The communicator of one, which has nobody to ask: see `Communicator`."""

    rank = local_rank = 0
    size = local_size = 1

    def sum(self, values: Any) -> Any:
        """As of `Communicator`."""
        return values

    def planes_sum(self, array: np.ndarray) -> np.ndarray:
        """As of `Communicator`."""
        return array

    def join(self, planes: np.ndarray, count: int) -> np.ndarray:
        """As of `Communicator`."""
        return planes

    def agree(self, value: Any) -> Any:
        """As of `Communicator`."""
        return value

    def any(self, wish: bool) -> bool:
        """As of `Communicator`."""
        return wish

    def all_of(self, value: Any) -> list:
        """As of `Communicator`."""
        return [value]

    def barrier(self) -> None:
        """As of `Communicator`."""


_here: ContextVar[Communicator | None] = ContextVar("communicator", default=None)


def world() -> Communicator:
    """The communicator that holds here: that of all ranks that were started, or of one.

    Raises
    ------
    InputError
        If several ranks were started, and there is no mpi4py, or it knows nothing of them.
    """
    return _here.get() or _started()


@contextmanager
def using(communicator: Communicator) -> Iterator[None]:
    """Let a communicator hold in a block.

    Parameters
    ----------
    communicator : Communicator
    """
    token = _here.set(communicator)
    try:
        yield
    finally:
        _here.reset(token)


def alone() -> Any:
    """A block in which this rank works for itself, whatever the others do."""
    return using(Alone())


@cache
def _started():
    if launched().size == 1:
        return Alone()
    from fieldrx.parallel import mpi

    return mpi.joined()

"""Which rank does what: pure functions of counts."""

from __future__ import annotations

from dataclasses import dataclass


def share_of(count: int, rank: int, size: int) -> slice:
    """The items of a rank: neighbours, and of `count` as many as of any other rank, or one fewer.

    Parameters
    ----------
    count : int
        Items that there are.
    rank, size : int
        The rank, and how many ranks there are.
    """
    return slice(rank * count // size, (rank + 1) * count // size)


@dataclass(frozen=True)
class Slab:
    """Planes of a volume that one rank works on.

    Parameters
    ----------
    planes : int
        Of the whole volume.
    own : slice
        Its planes; none where there are more ranks than planes.
    wide : slice
        The same with a neighbour on either side, where there is one.
    """

    planes: int
    own: slice
    wide: slice

    @classmethod
    def of(cls, planes: int, rank: int, size: int) -> Slab:
        """That of a rank.

        Parameters
        ----------
        planes : int
        rank, size : int
        """
        own = share_of(planes, rank, size)
        if own.start == own.stop:
            return cls(planes, own, own)
        return cls(planes, own, slice(max(own.start - 1, 0), min(own.stop + 1, planes)))

    @property
    def inner(self) -> slice:
        """The own planes among the wide ones."""
        return slice(self.own.start - self.wide.start, self.own.stop - self.wide.start)

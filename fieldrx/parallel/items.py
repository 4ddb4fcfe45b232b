"""Independent items over ranks: each worked on by one rank alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fieldrx.parallel.communicator import alone, world


def mine(count: int) -> range:
    """The items of this rank, dealt out one by one, so that neighbours go to different ranks.

    Parameters
    ----------
    count : int
        Items that there are.
    """
    ranks = world()
    return range(ranks.rank, count, ranks.size)


def by_first(work: Callable[[], Any]) -> Any:
    """What the first rank makes of something, or the exception that it met, on all ranks.

    Parameters
    ----------
    work : callable
        Of what only one should do, as reading a file that it writes; it asks nobody.
    """
    ranks, made, failed = world(), None, None
    if ranks.rank == 0:
        try:
            made = work()
        except Exception as error:
            if ranks.size == 1:
                raise
            failed = error
    made, failed = ranks.agree((made, failed))
    if failed is not None:
        raise failed
    return made


def over_ranks(work: Callable[[int], Any], count: int) -> list:
    """[work(0), work(1), ...], every item worked on by one rank, and known to all.

    An item sees a communicator of one: it may fit, write files and ask nobody.  All results come at the end;
    where an item fails, or is stopped, its rank does no further ones, the others end theirs, and all ranks
    raise the same.

    Parameters
    ----------
    work : callable
        Called with the number of an item; what it gives travels between ranks, so large results are better
        written to files.
    count : int
        Items that there are.

    Raises
    ------
    Exception
        The one of the first item that failed.
    """
    ranks, done, failed = world(), {}, None
    for k in mine(count):
        try:
            with alone():
                done[k] = work(k)
        except (Exception, KeyboardInterrupt) as error:
            if ranks.size == 1:
                raise
            failed = (k, error)
            break
    gathered = ranks.all_of((done, failed))
    failures = [found for _, found in gathered if found]
    if failures:
        raise min(failures, key=lambda found: found[0])[1]
    whole = {k: value for part, _ in gathered for k, value in part.items()}
    return [whole[k] for k in range(count)]


def items_words(count: int, what: str) -> str:
    """How items are shared out, in words; empty for one rank.

    Parameters
    ----------
    count : int
        Items that there are.
    what : str
        What they are, in the plural.
    """
    size = world().size
    if size == 1:
        return ""
    idle = size - count
    rest = f"; {idle} of the ranks have none" if idle > 0 else ""
    return f"{count} {what} over {size} ranks, each by one rank alone{rest}"

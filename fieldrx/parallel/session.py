"""The end of a command that several ranks ran: together, or with one line and no hang.

A rank that fails cannot know whether the others fail of the same, as they do of a wrong argument, or wait for
it.  It waits for them for a moment: if all come, the first has said why, and all leave with the status; if
not, it says why itself and ends the job.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from fieldrx.parallel.communicator import world
from fieldrx.parallel.launch import launched

_PATIENCE_S, _APART_S = 3.0, 0.2  # that the first rank waits for others, and every further one longer


@contextmanager
def session() -> Iterator[None]:
    """A block that ends on all ranks; does nothing where there is one process."""
    if launched().size == 1:
        yield
        return
    from fieldrx.parallel import mpi

    ranks = world()
    try:
        yield
    except BaseException as error:
        if not mpi.all_came(_PATIENCE_S + _APART_S * min(ranks.rank, 20)):
            _say(error, ranks.rank)
            mpi.abort(_status(error))
        if not isinstance(error, SystemExit) and ranks.rank:
            sys.exit(1)  # the first rank shows what all have met
        raise


def _say(error, rank):
    """Why a rank ends the job; the first one's own words were said when they came."""
    if isinstance(error, SystemExit):
        line = getattr(error, "line", f"left with status {_status(error)}")
        text = "" if rank == 0 and hasattr(error, "line") else f"fieldrx: error: rank {rank}: {line}\n"
    else:
        text = f"{''.join(traceback.format_exception(error))}fieldrx: error: rank {rank}: {error}\n"
    sys.stderr.write(text)
    sys.stderr.flush()


def _status(error):
    """That of a process that ends with an exception."""
    if not isinstance(error, SystemExit):
        return 1
    return error.code if isinstance(error.code, int) else int(error.code is not None)

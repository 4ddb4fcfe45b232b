"""Several processes that work on one job: ranks, started by ``mpiexec`` or ``srun``; alone by default.

All ranks run the same program on the same input.  What they share out is said in few places: independent
items, as the members of an ensemble, by `over_ranks`, each worked on by one rank alone; the images and the
planes of one fit by the communicator of `world`.  In its scope all ranks call the same things in the same
order, what one of them must decide is agreed, and the first one writes and prints.

============== =========================================================================================
`launch`       what the environment says of the ranks that were started
`communicator` what a communicator offers, the communicator of one, and which one holds here
`ranks`        the communicator of several
`mpi`          joining the ranks that were started, and leaving them; the only place that imports mpi4py
`shares`       which rank does what
`items`        independent items over ranks
`session`      the end of a command that several ranks ran: together, or with one line and no hang
============== =========================================================================================

Nothing here imports NumPy or mpi4py before it is needed.
"""

from fieldrx.parallel.communicator import Alone, Communicator, alone, using, world
from fieldrx.parallel.items import by_first, items_words, mine, over_ranks
from fieldrx.parallel.launch import each_alone, launched
from fieldrx.parallel.session import session
from fieldrx.parallel.shares import Slab, share_of

__all__ = [
    "Alone",
    "Communicator",
    "Slab",
    "alone",
    "by_first",
    "each_alone",
    "items_words",
    "launched",
    "mine",
    "over_ranks",
    "session",
    "share_of",
    "using",
    "world",
]

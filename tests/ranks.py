"""Ranks that are threads of one process: what several ranks compute, without MPI."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fieldrx.parallel import share_of, using


class Rank:
    """One of them; answers as `fieldrx.parallel.Communicator` does."""

    def __init__(self, rank, size, shared):
        self.rank = self.local_rank = rank
        self.size = self.local_size = size
        self.meeting, self.table = shared

    def all_of(self, value):
        self.table[self.rank] = copy.deepcopy(value)  # a sender goes on and changes what it sent
        self.meeting.wait()
        found = [copy.deepcopy(v) for v in self.table]
        self.meeting.wait()
        return found

    def sum(self, values):
        first, *others = self.all_of(values)
        for other in others:
            first = first + other
        return first

    def planes_sum(self, array):
        return self.sum(array)[share_of(len(array), self.rank, self.size)]

    def join(self, planes, count):
        whole = np.concatenate(self.all_of(planes))
        assert len(whole) == count
        return whole

    def agree(self, value):
        return self.all_of(value)[0]

    def any(self, wish):
        return any(self.all_of(wish))

    def barrier(self):
        self.meeting.wait()


def on_ranks(size, work):
    """[work() on rank 0, on rank 1, ...], each with a communicator of `size`; raises what one has raised."""
    shared = threading.Barrier(size, timeout=300), [None] * size

    def one(rank):
        try:
            with using(Rank(rank, size, shared)):
                return work()
        except BaseException:
            shared[0].abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(one, rank) for rank in range(size)]
    errors = [f.exception() for f in futures if f.exception()]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [f.result() for f in futures]

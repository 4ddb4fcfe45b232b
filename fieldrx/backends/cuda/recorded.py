"""Launches that repeat, recorded as a CUDA graph: the host then makes one call instead of hundreds.

A graph holds the launches with their pointers and numbers.  What changes from one time to the next must
therefore lie in arrays that stay where they are, and nothing may be allocated, loaded or copied to or from
the host while launches are recorded.  ``FIELDRX_CUDA_GRAPHS=0`` does without: every launch is a call of its
own.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

SWITCH = "FIELDRX_CUDA_GRAPHS"
_failed: list[str] = []  # why CuPy or the driver refused to record, once they did


def graphs_wanted() -> bool:
    """Whether launches shall be recorded: unless the environment says otherwise, or that failed before."""
    return not _failed and os.environ.get(SWITCH, "1") not in ("", "0")


class Recorded:
    """Launches on arrays that stay where they are, queued on the current stream by every call.

    The first time they are queued one by one, which also loads what they need; the second time they are
    recorded, and what the graph gives is held against what they give one by one, bit by bit; from then on the
    graph is launched.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._loaded = False

    def __call__(self, queue: Callable[[], None], result: cupy.ndarray) -> None:
        """Queue the launches that `queue` queues and that fill `result`, the same ones at every call."""
        if self._graph is not None:
            self._graph.launch()
            return
        queue()
        if self._loaded and graphs_wanted():
            self._graph = _graph_of(queue, result)
        self._loaded = True


def _graph_of(queue, result) -> Any:
    """The graph of some launches, which gives the result that they have given; None, said once, where there
    is none."""
    expected = result.copy()
    try:
        stream = cupy.cuda.Stream(non_blocking=True)  # waits for no other, and others not for it
        with stream:
            stream.begin_capture()
            try:
                queue()
            finally:
                graph = stream.end_capture()
        result.fill(0)
        graph.launch()
        if not bool((result.view(np.uint8) == expected.view(np.uint8)).all()):
            raise RuntimeError("it gives other results than the launches in it")
        return graph
    except RuntimeError as error:  # of CuPy, the runtime or the driver
        result[...] = expected
        _failed.append(str(error))
        warnings.warn(
            f"no CUDA graph can be used ({error}): launches are queued one by one, which takes longer",
            RuntimeWarning,
            stacklevel=2,
        )
        return None

"""The passage of light through all slices to the camera, and back, in arrays that stay from step to step.

A march and its way to the camera queue some hundred launches, always the same ones.  Here they are recorded
(`recorded`), so that a step queues one graph on the way out and one on the way back; slices, sources and what
the camera needs to know of them are copied into the arrays before.
"""

from __future__ import annotations

from itertools import count
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import cupy
import numpy as np

from fieldrx.backends.cuda.recorded import Recorded, graphs_wanted
from fieldrx.backends.cuda.upload import overwrite, packed, unpacked

if TYPE_CHECKING:
    from fieldrx.backends.cuda.multislice import _March
    from fieldrx.backends.cuda.refocus import Refocus

_MOST, _SHARE = 1 << 30, 16  # bytes of all passages, and the part of free memory, of which the lesser counts
_passages: WeakKeyDictionary[Refocus, dict[tuple, Passage]] = WeakKeyDictionary()
_clock = count()


def device_memory() -> tuple[int, int]:
    """Bytes that are free on the present device, and how many passages may hold together.

    A larger one is not worth it: where waves are so large, launches are not what takes long.
    """
    pool = cupy.get_default_memory_pool().free_bytes()  # what CuPy has freed, and keeps for itself
    free = cupy.cuda.runtime.memGetInfo()[0] + pool
    return free, min(_MOST, (free + _held()) // _SHARE) if graphs_wanted() else 0


def _held():
    return sum(passage.n_bytes for mine in _passages.values() for passage in mine.values())


def passage_of(
    march: _March, camera: Refocus, sources: list[int], share: np.ndarray, memory: str | None
) -> Passage | None:
    """Where a march finds its arrays and its launches; they stay as long as the camera, while there is room.

    Parameters
    ----------
    march : march of `multislice`
    camera : Refocus
    sources : list of int
        Their numbers, as the camera takes them.
    share : array, shape (n_images, n_sources)
        Of every source in every image.
    memory : str or None
        What is kept for the way back, see `fieldrx.backends.propagation.March`.

    Returns
    -------
    Passage or None
        None where a march shall do with arrays of its own: it has no way back, or is too large, its sides are
        not those of its FFTs, or nothing is to be recorded.
    """
    from fieldrx.backends.cuda.refocus import Refocus  # here: it needs this module first

    if not isinstance(camera, Refocus) or memory is None or march.sides != march.size or not graphs_wanted():
        return None
    camera.numbers(sources)  # which may need a larger table, with which no passage is what it was
    place = cupy.cuda.Device().id, cupy.cuda.get_current_stream().ptr
    key, mine = (*place, *march.key(), memory, share.shape), _passages.setdefault(camera, {})
    if key not in mine:
        n_bytes = march.n_bytes(memory) + camera.n_bytes(march.count, len(share))
        if not _has_room(n_bytes):
            return None
        mine[key] = Passage(march, camera, sources, share, memory, n_bytes)
    return mine[key]


def forget(camera: Refocus) -> None:
    """Let nothing that was recorded with a camera be used again."""
    for passage in _passages.pop(camera, {}).values():
        passage.turn = None


def _has_room(n_bytes):
    """Whether there is room for a passage, for which those that were not used for longest are dropped."""
    most = device_memory()[1] if n_bytes <= _MOST else 0
    there = [(passage.used, key, mine) for mine in _passages.values() for key, passage in mine.items()]
    for _, key, mine in sorted(there, key=itemgetter(0)):
        if n_bytes > most or n_bytes + _held() <= most:
            break
        del mine[key]
    return n_bytes <= most


class Passage:
    """Arrays and launches for marches that differ in their sources and slices alone.

    A march that comes takes the place of the one before it, which can tell by `turn`.  Parameters as of
    :func:`passage_of`, and the bytes that are held.  It holds no reference to the camera, to end with it.
    """

    def __init__(
        self, march: _March, camera: Refocus, sources: list[int], share: np.ndarray, memory: str, n_bytes: int
    ):
        self.n_bytes, self.used = n_bytes, next(_clock)
        self.turn: Any = None
        self._march, n_slices = type(march)(*march.arguments), len(march.gaps) + 1
        of_march, numbers = march.numbers(), _numbers(march.numbers(), camera, sources, share)
        self._bytes = cupy.empty(packed(numbers).size, np.uint8)
        told = unpacked(self._bytes, numbers)
        self._march.take(told[: len(of_march)], cupy.empty((n_slices, *march.size), np.complex64), memory)
        self._march.take_back(cupy.empty(march.shape, np.complex64))
        *self._told, self._share = told[len(of_march) :]
        self._space = camera.space(march.count)
        self._fields = cupy.empty((march.count, *camera.images), np.complex64)
        self._images = cupy.empty((len(share), *camera.images), np.float32)
        self._d_images = cupy.empty_like(self._images)
        self._out, self._back = Recorded(), Recorded()

    def to_images(
        self, march: _March, slices: cupy.ndarray, camera: Refocus, sources: list[int], share: np.ndarray
    ) -> cupy.ndarray:
        """Images of some sources through slices, as of `fieldrx.backends.propagation.March.to_images`."""
        self.turn, self.used = object(), next(_clock)
        self._of = march.numbers(), sources, share
        self._march.slices[...] = cupy.ascontiguousarray(slices, np.complex64)
        self._tell(camera)
        self._out(lambda: self._queue(camera), self._images)
        return self._images.copy()

    def from_images(self, d_images: cupy.ndarray, camera: Refocus) -> cupy.ndarray:
        """Gradient of the slices from that of the last images."""
        if self._version != camera.version:  # transfer functions have moved in the camera's table
            self._tell(camera)
        self._d_images[...] = cupy.ascontiguousarray(d_images, np.float32)
        self._back(lambda: self._queue_back(camera), self._march.gradient)
        return self._march.gradient.copy()

    def _tell(self, camera):
        of_march, sources, share = self._of
        overwrite(self._bytes, packed(_numbers(of_march, camera, sources, share)))
        self._version = camera.version

    def _queue(self, camera):
        self._march.queue()
        camera.queue(self._march.out, self._told, self._space, self._fields)
        self._images.fill(0)
        camera.queue_intensities(self._fields, self._share, self._images)

    def _queue_back(self, camera):
        given = self._d_images, self._share, self._fields, self._told, self._space
        camera.queue_back(*given, self._march.d_wave)
        self._march.queue_back()


def _numbers(of_march, camera, sources, share):
    """All that launches are told of some sources, on the host."""
    return [*of_march, *camera.numbers(sources), np.ascontiguousarray(share, np.float32)]

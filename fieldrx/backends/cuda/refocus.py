"""From waves at the last slice to the camera on the device: the twin of `fieldrx.backends.plain.Refocus`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from math import prod
from typing import NamedTuple

import cupy
import numpy as np

from fieldrx.backends.cuda import fft
from fieldrx.backends.cuda.passage import forget
from fieldrx.backends.cuda.pointwise import pointwise
from fieldrx.backends.cuda.upload import overwrite, uploaded
from fieldrx.backends.propagation import Refocusing

_TABLES, _TABLE_BYTES = 256, 1 << 30  # most transfer functions that stay on the device, and their bytes
_WAVES = 16  # that there must be room for at least: those of one call


class _Transformed(NamedTuple):
    """Waves that are transformed in place, and their plan."""

    array: cupy.ndarray
    plan: fft.Plan

    @classmethod
    def room(cls, shape):
        return cls(cupy.empty(shape, np.complex64), fft.plan(shape))


class Space(NamedTuple):
    """Where waves are transformed: the padded grid and the plane of the images, which may be the same."""

    padded: _Transformed
    plane: _Transformed


class Refocus(Refocusing):
    """Fields and intensities of several waves at once; see `fieldrx.backends.propagation.Refocusing`.

    A source's transfer function is computed on the host when it is first met and then stays on the device, as
    the rectangle of frequencies that the pupil lets through.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        plane: tuple[int, int],
        size: tuple[int, int],
        window: tuple[slice, slice],
        fade: np.ndarray,
        transfer: Callable[[int], tuple],
    ):
        self.shape, self.plane, self.size = tuple(shape), tuple(plane), tuple(size)
        self.transfer, self.per_point = transfer, np.divide(shape, plane)
        steps = [w.step or 1 for w in window]
        self.window = *(w.start for w in window), *steps
        self.images = tuple((w.stop - w.start) // s for w, s in zip(window, steps, strict=True))
        self.fade = cupy.asarray(np.ascontiguousarray(fade, np.float32))
        self.table, self.slots = None, {}
        self._new: dict[int, np.ndarray] = {}  # of these, what the table does not hold yet
        self.version = 0  # of the table: how often a transfer function lost its place

    def fields(self, waves: np.ndarray, sources: list[int]) -> np.ndarray:
        waves = cupy.ascontiguousarray(waves, np.complex64)
        out = cupy.empty((len(waves), *self.images), np.complex64)
        self.queue(waves, uploaded(*self.numbers(sources)), self.space(len(waves)), out)
        return out

    def add_intensities(self, fields: np.ndarray, share: np.ndarray, images: np.ndarray) -> None:
        if images.dtype != np.float32:  # kernels compute in single precision
            single = cupy.zeros(images.shape, np.float32)
            self.add_intensities(fields, share, single)
            images += single
            return
        self.queue_intensities(fields, cupy.asarray(np.ascontiguousarray(share, np.float32)), images)

    def waves_gradient(
        self, d_images: np.ndarray, fields: np.ndarray, share: np.ndarray, sources: list[int]
    ) -> np.ndarray:
        share, *told = uploaded(np.ascontiguousarray(share, np.float32), *self.numbers(sources))
        d_images = cupy.ascontiguousarray(d_images, np.float32)
        out = cupy.empty((len(fields), *self.size), np.complex64)
        self.queue_back(d_images, share, fields, told, self.space(len(fields)), out)
        return out

    # ---- launches, in arrays that are there --------------------------------------------------------

    def n_bytes(self, n: int, n_images: int) -> int:
        """Of :meth:`space`, and of so many fields, images, and their gradient."""
        planes = {self.shape, self.plane}
        return 8 * (n * (sum(map(prod, planes)) + prod(self.images)) + n_images * prod(self.images))

    def space(self, n: int) -> Space:
        """Room for n waves on their way."""
        padded = _Transformed.room((n, *self.shape))
        return Space(padded, padded if self.plane == self.shape else _Transformed.room((n, *self.plane)))

    def queue(self, waves: cupy.ndarray, told: list, space: Space, fields: cupy.ndarray) -> None:
        """Launch the way from waves to `fields`; `told` as of :meth:`numbers`, on the device."""
        place, incident, carrier, there = told
        arguments = waves, self.fade, carrier, *_ints(*self.size, *self.shape)
        self._launch("refocus_in", prod(self.shape), len(waves), *arguments, space.padded.array)
        self._filter(space.padded, place, 1, space.plane)
        arguments = space.plane.array, incident, there, *_ints(*self.plane, *self.window, *self.images)
        self._launch("refocus_out", prod(self.images), len(waves), *arguments, fields)

    def queue_intensities(self, fields: cupy.ndarray, share: cupy.ndarray, images: cupy.ndarray) -> None:
        """Launch :meth:`add_intensities`."""
        sizes = _ints(len(fields), prod(self.images))
        self._launch("add_intensity", prod(self.images), len(images), fields, share, *sizes, images)

    def queue_back(
        self,
        d_images: cupy.ndarray,
        share: cupy.ndarray,
        fields: cupy.ndarray,
        told: list,
        space: Space,
        waves: cupy.ndarray,
    ) -> None:
        """Launch the way from the gradient of images to that of `waves`."""
        place, _, carrier, there = told
        sizes = _ints(len(d_images), len(fields), *self.plane, *self.window, *self.images)
        arrays = d_images, share, fields, there
        self._launch("refocus_back_in", prod(self.plane), len(fields), *arrays, *sizes, space.plane.array)
        self._filter(space.plane, place, -1, space.padded)
        arguments = space.padded.array, self.fade, carrier, *_ints(*self.size, *self.shape)
        self._launch("refocus_back_out", prod(self.size), len(waves), *arguments, waves)

    def _filter(self, spectra, place, sign, out):
        """Transform, apply the transfer functions or their conjugates, and transform back into `out`."""
        spectra.plan.forward(spectra.array, spectra.array)
        (n, *shape), arrays = out.array.shape, (spectra.array, place, self.table)
        numbers = *_ints(*spectra.array.shape[1:], *shape), np.float32(sign), np.float32(1 / prod(self.shape))
        self._launch("refocus_filter", prod(shape), n, *arrays, *numbers, out.array)
        out.plan.inverse(out.array, out.array)

    def _launch(self, kernel, elements, planes, *arguments):
        pointwise("refocus.cu", kernel, elements, planes, *arguments)

    # ---- the table of transfer functions -----------------------------------------------------------

    def numbers(self, sources: list[int]) -> list[np.ndarray]:
        """What the launches are told of some sources, on the host: where the table holds their transfer
        functions, P(nu_s), and their carriers on the grid and on the plane."""
        for s in sources:
            self._slot(s)  # where one needs more room, all lose their place
        rows = [self._slot(s) for s in sources]
        self._write()
        rows = [(*row, row[6] * self.per_point) for row in rows]
        kinds = ((slice(5), np.int32), (5, np.complex64), (6, np.float32), (7, np.float32))
        return [np.array([row[part] for row in rows], kind) for part, kind in kinds]

    def _slot(self, s):
        if s in self.slots:
            self.slots[s] = self.slots.pop(s)  # the last one used
            return self.slots[s]
        rows, columns, table, incident, turns = self.transfer(s)
        order = [np.argsort(_signed(k, n)) for k, n in zip((rows, columns), self.shape, strict=True)]
        if self.table is None or table.size > self.table.shape[1]:
            self._make_room(prod(min(k + 2, n) for k, n in zip(table.shape, self.shape, strict=True)))
        number, room = len(self.slots), self.table.shape[1]
        if number == len(self.table):  # take the place of the one not used for longest
            number, self.version = self.slots.pop(next(iter(self.slots)))[4] // room, self.version + 1
        self._new[number] = table[np.ix_(*order)].ravel()
        first = [_signed(k, n)[o[0]] for k, n, o in zip((rows, columns), self.shape, order, strict=True)]
        self.slots[s] = (*first, *table.shape, number * room, incident, turns)
        return self.slots[s]

    def _write(self):
        """Bring what is new to the table, neighbours in one copy."""
        for _, group in groupby(enumerate(sorted(self._new)), lambda place: place[1] - place[0]):
            numbers = [number for _, number in group]
            rows = np.zeros((len(numbers), self.table.shape[1]), np.complex64)
            for row, number in zip(rows, numbers, strict=True):
                row[: self._new[number].size] = self._new[number]
            overwrite(self.table[numbers[0] : numbers[-1] + 1], rows)
        self._new = {}

    def _make_room(self, size):
        """An empty table for transfer functions of up to `size` numbers."""
        most = min(_TABLES, _TABLE_BYTES // (8 * size))
        self.table, self.slots = cupy.empty((max(most, _WAVES), size), np.complex64), {}
        self._new = {}
        forget(self)  # launches that were recorded hold the table that was


def _ints(*values):
    return [np.int32(v) for v in values]


def _signed(k, n):
    """Signed numbers of entries k of an FFT of n points."""
    return np.where(2 * k < n, k, k - n)

"""From waves at the last slice to the camera on the device: the twin of `fieldrx.backends.plain.Refocus`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import cupy
import numpy as np

from fieldrx.backends.cuda import fft
from fieldrx.backends.cuda.pointwise import pointwise
from fieldrx.backends.propagation import Refocusing

_TABLES, _TABLE_BYTES = 256, 1 << 30  # most transfer functions that stay on the device, and their bytes
_WAVES = 16  # that there must be room for at least: those of one call


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

    def fields(self, waves: np.ndarray, sources: list[int]) -> np.ndarray:
        place, incident, carrier, there = self._filters(sources)
        waves = cupy.ascontiguousarray(waves, np.complex64)
        padded = cupy.empty((len(waves), *self.shape), np.complex64)
        sizes = _ints(*self.size, *self.shape)
        self._launch("refocus_in", prod(self.shape), len(waves), waves, self.fade, carrier, *sizes, padded)
        plane = self._filter(padded, place, 1, self.plane)
        out = cupy.empty((len(waves), *self.images), np.complex64)
        sizes = _ints(*self.plane, *self.window, *self.images)
        self._launch("refocus_out", out[0].size, len(out), plane, incident, there, *sizes, out)
        return out

    def add_intensities(self, fields: np.ndarray, share: np.ndarray, images: np.ndarray) -> None:
        if images.dtype != np.float32:  # kernels compute in single precision
            single = cupy.zeros(images.shape, np.float32)
            self.add_intensities(fields, share, single)
            images += single
            return
        share = cupy.asarray(np.ascontiguousarray(share, np.float32))
        sizes = _ints(len(fields), images[0].size)
        self._launch("add_intensity", images[0].size, len(images), fields, share, *sizes, images)

    def waves_gradient(
        self, d_images: np.ndarray, fields: np.ndarray, share: np.ndarray, sources: list[int]
    ) -> np.ndarray:
        place, _, carrier, there = self._filters(sources)
        share = cupy.asarray(np.ascontiguousarray(share, np.float32))
        d_images = cupy.ascontiguousarray(d_images, np.float32)
        plane = cupy.empty((len(fields), *self.plane), np.complex64)
        sizes = _ints(len(d_images), len(fields), *self.plane, *self.window, *self.images)
        arrays = d_images, share, fields, there
        self._launch("refocus_back_in", prod(self.plane), len(fields), *arrays, *sizes, plane)
        padded = self._filter(plane, place, -1, self.shape)
        out = cupy.empty((len(fields), *self.size), np.complex64)
        sizes = _ints(*self.size, *self.shape)
        self._launch("refocus_back_out", out[0].size, len(out), padded, self.fade, carrier, *sizes, out)
        return out

    def _filter(self, spectra, place, sign, shape):
        """Transform, apply the transfer functions or their conjugates, and transform back to `shape`."""
        plan = fft.plan(spectra.shape)
        plan.forward(spectra, spectra)
        out = spectra if shape == spectra.shape[1:] else cupy.empty((len(spectra), *shape), np.complex64)
        numbers = *_ints(*spectra.shape[1:], *shape), np.float32(sign), np.float32(1 / prod(self.shape))
        self._launch("refocus_filter", prod(shape), len(out), spectra, place, self.table, *numbers, out)
        fft.plan(out.shape).inverse(out, out)
        return out

    def _filters(self, sources):
        """Where the table holds the transfer functions of some sources, P(nu_s), and their carriers on
        the grid and on the plane."""
        for s in sources:
            self._slot(s)  # where one needs more room, all lose their place
        rows = [self._slot(s) for s in sources]
        rows = [(*row, row[6] * self.per_point) for row in rows]
        kinds = ((slice(5), np.int32), (5, np.complex64), (6, np.float32), (7, np.float32))
        return [cupy.asarray(np.array([row[part] for row in rows], kind)) for part, kind in kinds]

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
            number = self.slots.pop(next(iter(self.slots)))[4] // room
        self.table[number, : table.size] = cupy.asarray(
            np.ascontiguousarray(table[np.ix_(*order)], np.complex64).ravel()
        )
        first = [_signed(k, n)[o[0]] for k, n, o in zip((rows, columns), self.shape, order, strict=True)]
        self.slots[s] = (*first, *table.shape, number * room, incident, turns)
        return self.slots[s]

    def _make_room(self, size):
        """An empty table for transfer functions of up to `size` numbers."""
        most = min(_TABLES, _TABLE_BYTES // (8 * size))
        self.table, self.slots = cupy.empty((max(most, _WAVES), size), np.complex64), {}

    def _launch(self, kernel, elements, planes, *arguments):
        pointwise("refocus.cu", kernel, elements, planes, *arguments)


def _ints(*values):
    return [np.int32(v) for v in values]


def _signed(k, n):
    """Signed numbers of entries k of an FFT of n points."""
    return np.where(2 * k < n, k, k - n)

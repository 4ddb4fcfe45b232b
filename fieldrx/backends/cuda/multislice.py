"""Multi-slice propagation on the device: the twins of :mod:`fieldrx.backends.plain` and `cpu.multislice`.

As on the CPU, a kernel along the rows takes waves from spectra along x through a slice and back to spectra,
and one along the columns lets them travel (``kernels/multislice_rows.cu``, ``multislice_columns.cu``): each
reads and writes a wave once, whose FFTs happen in shared memory.  Propagators are computed where they are
used.  The FFTs do not normalise: what marches as a spectrum is divided by the number of points, and kernels
put the factor in.

``memory`` means what it means on the CPU.  Precision is complex64; ``backward`` gives the gradient of the
slices and None.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from copy import copy

import cupy
import numpy as np
from scipy.fft import next_fast_len

from fieldrx.backends.cuda import lines
from fieldrx.backends.cuda.load import launch, on_each_device
from fieldrx.backends.cuda.passage import Passage, passage_of
from fieldrx.backends.cuda.upload import uploaded
from fieldrx.backends.plain import BAND
from fieldrx.backends.propagation import MOST_STORED, March

_ROOMS = 10  # for waves, that a march has beside those that it keeps, at most


class _March(March):
    """Geometry and launches shared by the three.

    `take` and `take_back` make room, `queue` and `queue_back` launch, in arrays that stay where they are; so
    the launches can be recorded, see `passage`.
    """

    passage: Passage | None = None

    def __init__(
        self, nu_y: np.ndarray, nu_x: np.ndarray, sources: np.ndarray, ball: float, gaps: np.ndarray
    ):
        self.arguments = nu_y, nu_x, sources, ball, gaps
        self.gaps, self.ball = [float(gap) for gap in gaps], float(ball)
        self.sources = np.ascontiguousarray(sources, np.float64)
        self.count, self.size = len(sources), (len(nu_y), len(nu_x))
        # products of 2, 3 and 5, as on the CPU
        self.sides = ny, nx = tuple(next_fast_len(n, real=True) for n in self.size)
        self.shape = self.count, ny, nx
        self.along_y, self.along_x = lines.line(ny), lines.line(nx, self.count)
        self.steps = [float(nu[1]) * len(nu) / n for nu, n in zip((nu_y, nu_x), self.sides, strict=True)]
        self.factor = np.float32(1 / (ny * nx))  # the FFTs do not normalise

    def key(self) -> tuple:
        """What launches of a march depend on, but for slices and memory."""
        return type(self), self.size, self.count, self.ball, *self.steps, *self.gaps

    def numbers(self) -> list[np.ndarray]:
        """What the launches are told of the sources: frequencies, and how long a ray is in a slice."""
        path = self.ball / np.sqrt(self.ball**2 - (self.sources**2).sum(axis=1))
        return [self.sources, path.astype(np.float32)]

    def n_bytes(self, memory: str | None) -> int:
        """Of the arrays that `take` and `take_back` take and make, at most."""
        n_slices = len(self.gaps) + 1
        every = self._every(memory, n_slices)
        waves = n_slices if every == 1 else 2 * every
        return 8 * math.prod(self.sides) * (self.count * (waves + _ROOMS) + 2 * n_slices)

    def take(self, numbers: list[cupy.ndarray], slices: cupy.ndarray, memory: str | None) -> None:
        """Take numbers, and slices on the sides of the FFTs, and make room for the way out."""
        sources, self.path = numbers
        self.roots, self.nothing = _roots(self.sides[1]), cupy.empty(1, np.complex64)
        self.geometry = (
            *(sources, *map(_frequencies, self.sides, self.steps)),
            *(np.float64(self.ball), np.float64(BAND * self.ball)),
            *(_roots(self.sides[0]), np.int32(self.sides[1])),
        )
        self.slices, self.n, self.every = slices, len(slices), self._every(memory, len(slices))
        self.kept = self._waves(self.n) if self.every == 1 else [None] * self.n
        self.out = self._room()

    def take_back(self, d_wave: cupy.ndarray) -> None:
        """Take a gradient of the waves, which is overwritten, and make room for the way back."""
        self.d_wave, self.gradient = d_wave, cupy.empty_like(self.slices)

    @abstractmethod
    def queue(self) -> None:
        """Launch the way out, from `slices` to `out`."""

    @abstractmethod
    def queue_back(self) -> None:
        """Launch the way back, from `d_wave` to `gradient`."""

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        slices = slices if self.sides == self.size else self._padded(slices)
        self.take(uploaded(*self.numbers()), cupy.ascontiguousarray(slices, np.complex64), memory)
        self.queue()
        return self._cropped(self.out)

    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, None]:
        back = copy(self)  # with which the arrays of the way back end
        back.take_back(self._copy(d_wave))
        back.queue_back()
        return self._cropped(back.gradient), None

    def to_images(self, slices, memory, camera, sources, share):
        self.passage = passage_of(self, camera, sources, share, memory)
        if self.passage is None:
            return super().to_images(slices, memory, camera, sources, share)
        self.last = slices, memory, camera, sources, share
        images = self.passage.to_images(self, slices, camera, sources, share)
        self.turn = self.passage.turn
        return images

    def from_images(self, d_images):
        if self.passage is not None and self.passage.turn is not self.turn:  # another march went that way
            self.passage = None
            super().to_images(*self.last)
        if self.passage is None:
            return super().from_images(d_images)
        return self.passage.from_images(d_images, self.last[2])

    def _rows(self, name, wave, *arguments, together=False):
        """Launch a kernel with a warp for every row of a wave, or a block for those of all sources."""
        blocks = 1 if together else -(-self.count // self.along_x.lines)
        grid = blocks, self.sides[0]
        launch("multislice_rows.cu", name, grid, arguments=(wave, *arguments), **self.along_x.launched())

    def _columns(self, name, wave, *arguments):
        """Launch a kernel with a warp for every column of a wave."""
        grid = -(-self.sides[1] // self.along_y.lines), self.count
        given = wave, *self.geometry, *arguments
        launch("multislice_columns.cu", name, grid, arguments=given, **self.along_y.launched())

    def _through(self, j):
        """What kernels along rows are told of slice j."""
        return self.roots, np.int32(j), np.int32(self.count), np.int32(self.sides[0])

    def _keep(self, kept):
        """Where a kernel shall keep the wave before a slice, and whether it shall."""
        return (self.nothing, np.int32(0)) if kept is None else (kept, np.int32(1))

    def _scatter(self, j, wave, kept=None):
        """Spectra along x through slice j, in place; the wave before it goes to `kept`."""
        self._rows("scatter_row", wave, self.slices, *self._through(j), *self._keep(kept), wave)

    def _scatter_back(self, j, d_wave, wave, sign, gradient):
        given = wave, self.slices, *self._through(j), np.float32(sign), gradient
        self._rows("scatter_row_back", d_wave, *given, together=True)

    def _transform(self, wave, inverse):
        """FFT along x, in place."""
        roots, _, *sizes = self._through(0)
        self._rows("transform_row", wave, roots, *sizes, np.int32(inverse))

    def _every(self, memory, n_slices):
        """Slices between two kept states: 1 keeps all, 0 none."""
        if not memory:
            return 0
        stored = 8 * n_slices * math.prod(self.shape)
        if memory == "store" or (memory == "auto" and stored <= MOST_STORED):
            return 1
        return math.ceil(math.sqrt(n_slices))

    def _waves(self, n):
        """Room for the waves before n slices."""
        return list(cupy.empty((n, *self.shape), np.complex64))

    def _room(self):
        return cupy.empty(self.shape, np.complex64)

    def _copy(self, d_wave):
        """A gradient that may be overwritten."""
        if self.sides != self.size:
            return self._padded(d_wave)
        return cupy.array(d_wave, np.complex64, order="C")

    def _padded(self, planes):
        """Planes with zeros around them, on the sides of the FFTs."""
        out = cupy.zeros((len(planes), *self.sides), np.complex64)
        out[:, : self.size[0], : self.size[1]] = planes
        return out

    def _cropped(self, planes):
        """Planes without what `_padded` put around them."""
        if self.sides == self.size:
            return planes
        return cupy.ascontiguousarray(planes[:, : self.size[0], : self.size[1]])


class _Checkpointed(_March):
    """A march that keeps its state at every k-th slice, and the waves of one block of k slices.

    Methods of the subclasses work on spectra along x, `work`: `_slice` takes them through a slice, `_travel`
    to the next one; `_state` is what a march can go on from, `_restore` goes there.
    """

    def take(self, numbers, slices, memory):
        super().take(numbers, slices, memory)
        firsts = range(0, self.n, self.every) if self.every > 1 else ()
        self.states = {first: self._room() for first in firsts}

    def take_back(self, d_wave):
        if not self.every:
            raise ValueError("nothing was kept for the way back: march forward with a memory")
        super().take_back(d_wave)
        if self.every > 1:
            self.block, self.again = self._waves(self.every), self._room()

    def queue(self):
        self.work = self.out
        self._start()
        for j, kept in enumerate(self.kept):
            if j in self.states:
                self.states[j][...] = self._state()
            self._slice(j, kept)
            self._travel(j)
        self._finish()

    def queue_back(self):
        self._start_back()
        if self.every == 1:
            for j in range(self.n - 1, -1, -1):
                self._back(j, self.kept[j])
            return
        self.work = self.again
        for first in sorted(self.states, reverse=True):
            last = min(first + self.every, self.n)
            self._restore(self.states[first])
            for j in range(first, last):
                self._slice(j, self.block[j - first])
                if j + 1 < last:
                    self._travel(j)
            for j in range(last - 1, first - 1, -1):
                self._back(j, self.block[j - first])


class Bpm(_Checkpointed):
    """Beam propagation; slices are phases k0 dz delta [rad].

    Before the first slice and after the last waves are no spectra.
    """

    def _start(self):
        self.work.fill(1)

    def _slice(self, j, kept):
        ends = np.int32(j > 0), np.int32(j + 1 < self.n)
        given = ends[0], self.slices, self.path, *self._through(j), *self._keep(kept), self.work, ends[1]
        self._rows("bpm_row", self.work, *given)

    def _travel(self, j):
        if j + 1 < self.n:
            self._columns("bpm_column", self.work, np.float64(self.gaps[j]), self.factor)

    def _finish(self):
        """The last slice leaves no spectrum."""

    def _state(self):
        return self.work

    def _restore(self, state):
        self.work[...] = state

    def _start_back(self):
        """The gradient of the waves is where the way back begins."""

    def _back(self, j, wave):
        ends = np.int32(j + 1 < self.n), np.int32(j > 0)
        given = ends[0], wave, self.slices, self.path, *self._through(j), self.gradient, ends[1]
        self._rows("bpm_row_back", self.d_wave, *given, together=True)
        if j:
            self._columns("bpm_column", self.d_wave, np.float64(-self.gaps[j - 1]), self.factor)


class Mlb(_Checkpointed):
    """Multi-layer Born; slices are dz V / k [rad], with k = 2 pi ball."""

    def take(self, numbers, slices, memory):
        super().take(numbers, slices, memory)
        self.spectrum = self._room()

    def take_back(self, d_wave):
        super().take_back(d_wave)
        self.d_spectrum = self._room()

    def _start(self):
        self.spectrum.fill(0)
        self.spectrum[:, 0, 0] = 1
        self._step(self.work, self.spectrum, 0.0, self.factor, collect=False)

    def _step(self, wave, state, gap, factor, collect=True):
        self._columns("mlb_column", wave, state, np.float64(gap), factor, np.int32(collect))

    def _slice(self, j, kept):
        self._scatter(j, self.work, kept)

    def _travel(self, j):
        self._step(self.work, self.spectrum, self.gaps[j] if j + 1 < self.n else 0.0, self.factor)

    def _finish(self):
        self._transform(self.work, inverse=True)

    def _state(self):
        return self.spectrum

    def _restore(self, state):
        self.spectrum[...] = state
        self._step(self.work, self.spectrum, 0.0, self.factor, collect=False)

    def _start_back(self):
        self.d_spectrum.fill(0)
        self._transform(self.d_wave, inverse=False)
        self._step(self.d_wave, self.d_spectrum, 0.0, -self.factor)

    def _back(self, j, wave):
        self._scatter_back(j, self.d_wave, wave, 1, self.gradient)
        if j:
            self._step(self.d_wave, self.d_spectrum, -self.gaps[j - 1], -self.factor)


class Ssnp(_March):
    """Split-step non-paraxial; slices are dz V / k [rad], with k = 2 pi ball.

    Where not all waves are kept it keeps none: the march runs back from its last state.
    """

    def take(self, numbers, slices, memory):
        super().take(numbers, slices, memory)
        self.u, self.p = self._room(), self._room()
        self.height = np.float64(sum(self.gaps))

    def take_back(self, d_wave):
        super().take_back(d_wave)
        self.d_u, self.d_p = self._room(), self._room()
        if self.every != 1:
            self.again = [self._room() for _ in range(4)]

    def queue(self):
        work = self.out
        self._columns("ssnp_start", work, self.u, self.p)
        for j, kept in enumerate(self.kept):
            self._scatter(j, work, kept)
            if j + 1 < self.n:
                self._step(work, self.u, self.p, self.gaps[j], self.factor)
        self._columns("ssnp_camera", work, self.u, self.p, self.height, self.factor)
        self._transform(work, inverse=True)

    def _step(self, wave, u, p, gap, factor, collect=True):
        self._columns("ssnp_column", wave, u, p, np.float64(gap), factor, np.int32(collect))

    def queue_back(self):
        source, d_u, d_p = self.d_wave, self.d_u, self.d_p
        self._transform(source, inverse=False)
        self._columns("ssnp_camera_back", source, d_u, d_p, self.height, self.factor)
        if self.every != 1:  # the pair after a slice gives the wave before it
            u, p, wave, work = self.again
            u[...], p[...] = self.u, self.p
            self._step(work, u, p, 0.0, self.factor, collect=False)
        for j in range(self.n - 1, -1, -1):
            gap = self.gaps[j - 1] if j else 0.0
            if self.every == 1:
                wave = self.kept[j]
            else:
                self._scatter(j, work, wave)
                self._step(work, u, p, -gap, -self.factor)
            self._scatter_back(j, source, wave, -1, self.gradient)
            if j:
                self._step(source, d_p, d_u, gap, self.factor)


@on_each_device(maxsize=16)
def _roots(points):
    """exp(-2 pi i k / points) for all k."""
    return cupy.asarray(np.exp(-2j * np.pi * np.arange(points) / points).astype(np.complex64))


@on_each_device(maxsize=16)
def _frequencies(points, step):
    """Frequencies that are `step` apart, in the order of a line's spectrum."""
    return cupy.asarray(np.fft.fftfreq(points, 1 / (points * step))[lines.order(points)])

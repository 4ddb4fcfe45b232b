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

import cupy
import numpy as np
from scipy.fft import next_fast_len

from fieldrx.backends.cuda import lines
from fieldrx.backends.cuda.load import launch, on_each_device
from fieldrx.backends.plain import BAND
from fieldrx.backends.propagation import MOST_STORED, March


class _March(March):
    """Geometry and launches shared by the three."""

    def __init__(
        self, nu_y: np.ndarray, nu_x: np.ndarray, sources: np.ndarray, ball: float, gaps: np.ndarray
    ):
        self.gaps = [float(gap) for gap in gaps]
        self.count, self.size = len(sources), (len(nu_y), len(nu_x))
        # products of 2, 3 and 5, as on the CPU
        self.sides = ny, nx = tuple(next_fast_len(n, real=True) for n in self.size)
        self.shape = self.count, ny, nx
        self.along_y, self.along_x = lines.line(ny), lines.line(nx, self.count)
        steps = [float(nu[1]) * len(nu) / n for nu, n in zip((nu_y, nu_x), self.sides, strict=True)]
        sources = np.ascontiguousarray(sources, np.float64)
        self.path = cupy.asarray((ball / np.sqrt(ball**2 - (sources**2).sum(axis=1))).astype(np.float32))
        self.geometry = (
            *(cupy.asarray(sources), *map(_frequencies, self.sides, steps)),
            *(np.float64(ball), np.float64(BAND * ball), _roots(ny), np.int32(nx)),
        )
        self.factor = np.float32(1 / (ny * nx))  # the FFTs do not normalise
        self.nothing = cupy.empty(1, np.complex64)

    def _prepare(self, slices):
        slices = slices if self.sides == self.size else self._padded(slices)
        self.slices, self.n = cupy.ascontiguousarray(slices, np.complex64), len(slices)

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
        return _roots(self.sides[1]), np.int32(j), np.int32(self.count), np.int32(self.sides[0])

    def _scatter(self, j, wave, kept=None):
        """Spectra along x through slice j, in place; the wave before it goes to `kept`."""
        keep = (self.nothing, np.int32(0)) if kept is None else (kept, np.int32(1))
        self._rows("scatter_row", wave, self.slices, *self._through(j), *keep, wave)

    def _scatter_back(self, j, d_wave, wave, sign, gradient):
        given = wave, self.slices, *self._through(j), np.float32(sign), gradient
        self._rows("scatter_row_back", d_wave, *given, together=True)

    def _transform(self, wave, inverse):
        """FFT along x, in place."""
        _, _, *sizes = self._through(0)
        self._rows("transform_row", wave, _roots(self.sides[1]), *sizes, np.int32(inverse))

    def _every(self, memory):
        """Slices between two kept states: 1 keeps all, 0 none."""
        if not memory:
            return 0
        stored = 8 * self.n * math.prod(self.shape)
        if memory == "store" or (memory == "auto" and stored <= MOST_STORED):
            return 1
        return math.ceil(math.sqrt(self.n))

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

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        self._prepare(slices)
        self.every, self.states, self.work = self._every(memory), {}, self._room()
        self.kept = self._waves(self.n) if self.every == 1 else [None] * self.n
        self._start()
        for j, kept in enumerate(self.kept):
            if self.every > 1 and j % self.every == 0:
                self.states[j] = self._state().copy()
            self._slice(j, kept)
            self._travel(j)
        return self._cropped(self._finish())

    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, None]:
        if not self.every:
            raise ValueError("nothing was kept for the way back: march forward with a memory")
        gradient = cupy.empty_like(self.slices)
        self._start_back(self._copy(d_wave))
        if self.every == 1:
            for j in range(self.n - 1, -1, -1):
                self._back(j, self.kept[j], gradient)
            return self._cropped(gradient), None
        block, self.work = self._waves(self.every), self._room()
        for first in sorted(self.states, reverse=True):
            last = min(first + self.every, self.n)
            self._restore(self.states[first])
            for j in range(first, last):
                self._slice(j, block[j - first])
                if j + 1 < last:
                    self._travel(j)
            for j in range(last - 1, first - 1, -1):
                self._back(j, block[j - first], gradient)
        return self._cropped(gradient), None


class Bpm(_Checkpointed):
    """Beam propagation; slices are phases k0 dz delta [rad].

    Before the first slice and after the last waves are no spectra.
    """

    def _start(self):
        self.work.fill(1)

    def _slice(self, j, kept):
        keep = (self.nothing, np.int32(0)) if kept is None else (kept, np.int32(1))
        ends = np.int32(j > 0), np.int32(j + 1 < self.n)
        given = ends[0], self.slices, self.path, *self._through(j), *keep, self.work, ends[1]
        self._rows("bpm_row", self.work, *given)

    def _travel(self, j):
        if j + 1 < self.n:
            self._columns("bpm_column", self.work, np.float64(self.gaps[j]), self.factor)

    def _finish(self):
        return self.work

    def _state(self):
        return self.work

    def _restore(self, state):
        self.work[...] = state

    def _start_back(self, d_wave):
        self.d_wave = d_wave

    def _back(self, j, wave, gradient):
        ends = np.int32(j + 1 < self.n), np.int32(j > 0)
        given = ends[0], wave, self.slices, self.path, *self._through(j), gradient, ends[1]
        self._rows("bpm_row_back", self.d_wave, *given, together=True)
        if j:
            self._columns("bpm_column", self.d_wave, np.float64(-self.gaps[j - 1]), self.factor)


class Mlb(_Checkpointed):
    """Multi-layer Born; slices are dz V / k [rad], with k = 2 pi ball."""

    def _start(self):
        self.spectrum = cupy.zeros(self.shape, np.complex64)
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
        return self.work

    def _state(self):
        return self.spectrum

    def _restore(self, state):
        self.spectrum[...] = state
        self._step(self.work, self.spectrum, 0.0, self.factor, collect=False)

    def _start_back(self, d_wave):
        self.source, self.d_spectrum = d_wave, cupy.zeros(self.shape, np.complex64)
        self._transform(self.source, inverse=False)
        self._step(self.source, self.d_spectrum, 0.0, -self.factor)

    def _back(self, j, wave, gradient):
        self._scatter_back(j, self.source, wave, 1, gradient)
        if j:
            self._step(self.source, self.d_spectrum, -self.gaps[j - 1], -self.factor)


class Ssnp(_March):
    """Split-step non-paraxial; slices are dz V / k [rad], with k = 2 pi ball."""

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        self._prepare(slices)
        work, self.u, self.p = self._room(), self._room(), self._room()
        self.kept = self._waves(self.n) if self._every(memory) == 1 else None
        self._columns("ssnp_start", work, self.u, self.p)
        for j in range(self.n):
            self._scatter(j, work, self.kept[j] if self.kept else None)
            if j + 1 < self.n:
                self._step(work, self.u, self.p, self.gaps[j], self.factor)
        self.height = np.float64(sum(self.gaps))
        self._columns("ssnp_camera", work, self.u, self.p, self.height, self.factor)
        self._transform(work, inverse=True)
        return self._cropped(work)

    def _step(self, wave, u, p, gap, factor, collect=True):
        self._columns("ssnp_column", wave, u, p, np.float64(gap), factor, np.int32(collect))

    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, None]:
        gradient, source = cupy.empty_like(self.slices), self._copy(d_wave)
        d_u, d_p = self._room(), self._room()
        self._transform(source, inverse=False)
        self._columns("ssnp_camera_back", source, d_u, d_p, self.height, self.factor)
        if not self.kept:  # march back: the pair after a slice gives the wave before it
            u, p, wave, work = self.u.copy(), self.p.copy(), self._room(), self._room()
            self._step(work, u, p, 0.0, self.factor, collect=False)
        for j in range(self.n - 1, -1, -1):
            gap = self.gaps[j - 1] if j else 0.0
            if self.kept:
                wave = self.kept[j]
            else:
                self._scatter(j, work, wave)
                self._step(work, u, p, -gap, -self.factor)
            self._scatter_back(j, source, wave, -1, gradient)
            if j:
                self._step(source, d_p, d_u, gap, self.factor)
        return self._cropped(gradient), None


@on_each_device(maxsize=16)
def _roots(points):
    """exp(-2 pi i k / points) for all k."""
    return cupy.asarray(np.exp(-2j * np.pi * np.arange(points) / points).astype(np.complex64))


@on_each_device(maxsize=16)
def _frequencies(points, step):
    """Frequencies that are `step` apart, in the order of a line's spectrum."""
    return cupy.asarray(np.fft.fftfreq(points, 1 / (points * step))[lines.order(points)])

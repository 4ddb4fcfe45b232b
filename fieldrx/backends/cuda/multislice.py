"""Multi-slice propagation on the device: the twins of :mod:`fieldrx.backends.plain` and `cpu.multislice`.

Around batched cuFFT one kernel reads and writes every wave once per slice and direction (see
``kernels/multislice.cu``); propagators are computed where they are used.  The FFTs do not normalise: what
marches as a spectrum is divided by the number of points, and kernels put the factor in.

``memory`` means what it means on the CPU.  Waves that are kept are where cuFFT wrote them.
Precision is complex64; ``backward`` gives the gradient of the slices and None.
"""

from __future__ import annotations

import math

import cupy
import numpy as np
from scipy.fft import next_fast_len

from fieldrx.backends.cuda import fft
from fieldrx.backends.cuda.pointwise import pointwise
from fieldrx.backends.plain import BAND
from fieldrx.backends.propagation import MOST_STORED, March


class _March(March):
    """Geometry and plans shared by the three."""

    def __init__(
        self, nu_y: np.ndarray, nu_x: np.ndarray, sources: np.ndarray, ball: float, gaps: np.ndarray
    ):
        self.gaps = [float(gap) for gap in gaps]
        self.count, self.size = len(sources), (len(nu_y), len(nu_x))
        self.sides = tuple(
            next_fast_len(n, real=True) for n in self.size
        )  # products of 2, 3 and 5, as on the CPU
        self.shape, self.points = (self.count, *self.sides), self.sides[0] * self.sides[1]
        steps = [nu[1] * len(nu) / n for nu, n in zip((nu_y, nu_x), self.sides, strict=True)]
        sources = np.ascontiguousarray(sources, np.float64)
        self.path = cupy.asarray((ball / np.sqrt(ball**2 - (sources**2).sum(axis=1))).astype(np.float32))
        self.geometry = (
            *(cupy.asarray(sources), np.float64(ball), np.float64(BAND * ball)),
            *(*map(np.float64, steps), *map(np.int32, self.sides)),
        )
        self.factor = np.float32(1 / self.points)  # the FFTs do not normalise
        self.plan = fft.plan(self.shape)

    def _prepare(self, slices):
        slices = slices if self.sides == self.size else self._padded(slices)
        self.slices, self.n = cupy.ascontiguousarray(slices, np.complex64), len(slices)

    def _on_waves(self, name, wave, j, *more, path=()):
        """Launch a kernel with a thread for every pixel."""
        sizes = np.int32(j), np.int32(self.count), np.int32(self.points)
        pointwise("multislice.cu", name, self.points, 1, wave, self.slices, *path, *sizes, *more)

    def _on_spectra(self, name, spectra, *more):
        """Launch a kernel with a thread for every frequency and source."""
        pointwise("multislice.cu", name, self.points, self.count, *spectra, *self.geometry, *more)

    def _every(self, memory):
        """Slices between two kept states: 1 keeps all, 0 none."""
        if not memory:
            return 0
        stored = 8 * self.n * self.points * self.count
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

    ``_arrive(here)`` has the wave before a slice put into `here`; ``_leave(j, here, there)`` has slice j act
    on it and, unless it is the last, go on to the next, for BPM into `there`.
    """

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        self._prepare(slices)
        self.every, self.states, self.work = self._every(memory), {}, self._room()
        self.kept = self._waves(self.n) if self.every == 1 else [self.work] * self.n
        self._start(self.kept[0])
        for j, here in enumerate(self.kept):
            if self.every > 1 and j % self.every == 0:
                self.states[j] = self._state(here).copy()
            self._arrive(here)
            self._leave(j, here, self.kept[min(j + 1, self.n - 1)])
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
        block = self._waves(self.every)
        for first in sorted(self.states, reverse=True):
            last = min(first + self.every, self.n)
            self._restore(self.states[first], block[0])
            for j in range(first, last):
                self._arrive(block[j - first])
                if j + 1 < last:
                    self._leave(j, block[j - first], block[j + 1 - first])
            for j in range(last - 1, first - 1, -1):
                self._back(j, block[j - first], gradient)
        return self._cropped(gradient), None


class Bpm(_Checkpointed):
    """Beam propagation; slices are phases k0 dz delta [rad]."""

    def _start(self, here):
        here.fill(1)

    def _arrive(self, here):
        """The state is the wave, and is here already."""

    def _leave(self, j, here, there):
        self._on_waves("bpm_screen", here, j, self.work, path=(self.path,))
        if j + 1 < self.n:
            self._propagate(self.work, self.gaps[j], there)

    def _propagate(self, wave, gap, out):
        self.plan.forward(wave, wave)
        self._on_spectra("propagate", (wave,), np.float64(gap), self.factor)
        self.plan.inverse(wave, out)

    def _finish(self):
        return self.work

    def _state(self, here):
        return here

    def _restore(self, state, here):
        here[...] = state

    def _start_back(self, d_wave):
        self.d_wave = d_wave

    def _back(self, j, here, gradient):
        self._on_waves("bpm_screen_back", here, j, self.d_wave, gradient, path=(self.path,))
        if j:
            self._propagate(self.d_wave, -self.gaps[j - 1], self.d_wave)


class Mlb(_Checkpointed):
    """Multi-layer Born; slices are dz V / k [rad], with k = 2 pi ball."""

    def _start(self, here):
        self.spectrum = cupy.zeros(self.shape, np.complex64)
        self.spectrum[:, 0, 0] = 1

    def _arrive(self, here):
        self.plan.inverse(self.spectrum, here)

    def _leave(self, j, here, there):
        self._on_waves("scatter", here, j, self.work)
        self.plan.forward(self.work, self.work)
        self._step(self.spectrum, self.work, self.gaps[j] if j + 1 < self.n else 0.0, self.factor)

    def _step(self, spectrum, source, gap, factor):
        self._on_spectra("mlb_step", (spectrum, source), np.float64(gap), factor)

    def _finish(self):
        self.plan.inverse(self.spectrum, self.work)
        return self.work

    def _state(self, here):
        return self.spectrum

    def _restore(self, state, here):
        self.spectrum[...] = state

    def _start_back(self, d_wave):
        self.source, self.d_spectrum = d_wave, cupy.zeros(self.shape, np.complex64)
        self.plan.forward(self.source, self.source)
        self._step(self.d_spectrum, self.source, 0.0, -self.factor)

    def _back(self, j, here, gradient):
        self.plan.inverse(self.d_spectrum, self.source)
        self._on_waves("scatter_back", here, j, np.float32(1), self.source, gradient)
        if j:
            self.plan.forward(self.source, self.source)
            self._step(self.d_spectrum, self.source, -self.gaps[j - 1], -self.factor)


class Ssnp(_March):
    """Split-step non-paraxial; slices are dz V / k [rad], with k = 2 pi ball."""

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        self._prepare(slices)
        work, self.u, self.p = self._room(), self._room(), self._room()
        self.kept = self._waves(self.n) if self._every(memory) == 1 else None
        self._on_spectra("ssnp_start", (self.u, self.p))
        for j in range(self.n):
            here = self.kept[j] if self.kept else work
            self.plan.inverse(self.u, here)
            self._scatter(j, here, work)
            self._step(self.u, self.p, work, self.gaps[j] if j + 1 < self.n else 0.0, self.factor)
        self.height = np.float64(sum(self.gaps))
        self._on_spectra("ssnp_camera", (self.u, self.p), self.height, work)
        self.plan.inverse(work, work)
        return self._cropped(work)

    def _scatter(self, j, wave, out):
        self._on_waves("scatter", wave, j, out)
        self.plan.forward(out, out)

    def _step(self, u, p, source, gap, factor):
        self._on_spectra("ssnp_step", (u, p, source), np.float64(gap), factor)

    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, None]:
        gradient, source = cupy.empty_like(self.slices), self._copy(d_wave)
        d_u, d_p = self._room(), self._room()
        self.plan.forward(source, source)
        self._on_spectra("ssnp_camera_back", (source,), self.height, self.factor, d_u, d_p)
        if not self.kept:  # march back: the pair after a slice gives the wave before it
            u, p, here, work = self.u.copy(), self.p.copy(), self._room(), self._room()
        for j in range(self.n - 1, -1, -1):
            gap = self.gaps[j - 1] if j else 0.0
            if self.kept:
                here = self.kept[j]
            else:
                self.plan.inverse(u, here)
                self._scatter(j, here, work)
                self._step(u, p, work, -gap, -self.factor)
            self.plan.inverse(d_p, source)
            self._on_waves("scatter_back", here, j, np.float32(-1), source, gradient)
            if j:
                self.plan.forward(source, source)
                self._step(d_p, d_u, source, gap, self.factor)
        return self._cropped(gradient), None

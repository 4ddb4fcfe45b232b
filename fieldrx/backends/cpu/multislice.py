"""Multi-slice propagation on SIMD lanes: the compiled twins of :mod:`fieldrx.backends.plain`.

``backward`` gives the gradient of the slices and None: directions are left to the plain engine.

Up to 16 sources march together, one in every lane of a vector, or 8 with two points in every vector, where
both sides are even.  ``memory`` says what is kept for the way back: "store" every slice's wave; "recompute"
the waves of every sqrt(nz)-th slice, the others being computed once more (BPM, MLB), or nothing at all where
the march can be run backwards (SSNP); "auto" stores up to 2 GiB.  The derivations stand in `fieldrx.models`.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from fieldrx.backends import n_threads
from fieldrx.backends.cpu import fft, march
from fieldrx.backends.cpu.march import SPACE, SPECTRUM
from fieldrx.backends.cpu.memory import aligned_zeros, round_up
from fieldrx.backends.cpu.simd import LANES
from fieldrx.backends.plain import BAND
from fieldrx.backends.propagation import MOST_STORED, March

WIDTHS = (2, 4, 8, 16)  # lanes for sources; fewer leave room for more points in a vector
_PARTS = 4  # pieces of work for every thread, so that a slow core does not hold up the others


class _March(March):
    """Lanes, plans and buffers shared by the three."""

    def __init__(
        self, nu_y: np.ndarray, nu_x: np.ndarray, sources: np.ndarray, ball: float, gaps: np.ndarray
    ):
        if len(sources) > 16:
            raise ValueError(f"{len(sources)} sources for 16 lanes")
        self.count, self.ball, self.gaps = len(sources), float(ball), np.asarray(gaps, float)
        self.size = len(nu_y), len(nu_x)
        self.shape = tuple(next_fast_len(n, real=True) for n in self.size)  # products of 2, 3 and 5
        width = next(width for width in WIDTHS if self.count <= width)
        self.bundle = LANES // width  # points that share a vector
        self.rows, columns = (round_up(n, self.bundle) for n in self.shape)
        self.lanes = (0.0,) * width
        self.lanes_and_parts = (self.lanes, _PARTS * n_threads())
        self.sources = np.zeros((width, 2))  # idle lanes: straight up, and 0 on the way back
        self.sources[: self.count] = sources
        spacing = [1 / (len(nu) * nu[1]) for nu in (nu_y, nu_x)]
        plans = [fft.plan(n) for n in self.shape]
        self.nu = [np.fft.fftfreq(p.n, d)[p.order] for p, d in zip(plans, spacing, strict=True)]
        self.along_y, self.along_x = ((p.radices, p.starts, p.twiddles) for p in plans)
        self.element, self.points = 2 * width, self.shape[0] * self.shape[1]
        self.bundles = columns // self.bundle
        self.pitch = (columns + 1) * self.element
        self.wave = aligned_zeros(self.rows * self.pitch)
        self.path = np.ones(LANES, np.float32)
        self.f_s = np.sqrt(self.ball**2 - (self.sources**2).sum(axis=1))
        self.factor, self.tables = np.float32(1 / self.points), {}  # the FFTs do not normalise

    # ---- pieces of a march -----------------------------------------------------------------------

    def _prepare(self, slices):
        """The slices as flat float32, padded to the shape of the FFTs and to whole bundles of rows."""
        if (self.rows, self.shape[1]) != self.size:
            padded = np.zeros((len(slices), self.rows, self.shape[1]), np.complex64)
            padded[:, : self.size[0], : self.size[1]] = slices
            slices = padded
        slices = np.ascontiguousarray(slices, np.complex64)
        self.slabs = slices.view(np.float32).reshape(len(slices), -1)

    def _rows(self, j, before=SPECTRUM, after=SPECTRUM, kept=None, slab=None):
        slab = self.slabs[j] if slab is None else slab
        none = np.zeros(1, np.float32)
        march.rows(
            *(*self.lanes_and_parts, *self.along_x, self.wave, self.pitch, before, after),
            *(slab, self.path, self.factor, self.phase),
            *(none if kept is None else kept, kept is not None, none, 0),
        )

    def _rows_back(self, j, kept, gradient, before=SPECTRUM, after=SPECTRUM):
        march.rows(
            *(*self.lanes_and_parts, *self.along_x, self.wave, self.pitch, before, after),
            *(self.slabs[j], self.path, self.factor, self.phase),
            *(kept, False, gradient[j], 1),
        )

    def _table(self, name, gap, fill, numbers, *arguments):
        """A table for a gap, made anew when the gap changes."""
        if self.tables.get(name, (None,))[0] != gap:
            table = np.zeros((self.bundles, self.shape[0], *numbers, LANES), np.float32)
            fill(*self.nu, self.sources, self.ball, BAND * self.ball, *arguments, table)
            self.tables[name] = (gap, table.reshape(-1))
        return self.tables[name][1]

    def _phase_table(self, gap, scale):
        return self._table("phase", gap, march.fill_phase, (2,), gap, scale)

    def _steepness(self):
        return self._table("steepness", 0.0, march.fill_steepness, ())

    def _spectrum(self):
        return aligned_zeros(self.bundles * self.shape[0] * 2 * LANES)

    def _as_elements(self, flat):
        return flat.reshape(self.bundles, self.shape[0], 2, LANES)

    def _kept(self, *slices):
        """Room for the wave before a slice, or before several."""
        return aligned_zeros(*slices, self.rows * self.shape[1] * self.element)

    def _every_lane(self, values):
        """A number for every source, in all its lanes."""
        return np.tile(values, self.bundle)

    def _waves(self, before):
        fields = np.empty((self.count, *self.shape), np.complex64)
        march.rows_out(*self.lanes_and_parts, *self.along_x, self.wave, self.pitch, before, fields)
        return fields[:, : self.size[0], : self.size[1]]

    def _receive(self, d_wave, scale, after):
        fields = np.zeros((self.count, *self.shape), np.complex64)
        fields[:, : self.size[0], : self.size[1]] = d_wave
        march.rows_in(
            *self.lanes_and_parts, *self.along_x, fields, np.float32(scale), self.wave, self.pitch, after
        )

    def _gradient(self):
        return np.zeros_like(self.slabs)

    def _crop(self, gradient):
        full = gradient.view(np.complex64).reshape(-1, self.rows, self.shape[1])
        return full[:, : self.size[0], : self.size[1]]

    def _every(self, memory):
        """Slices between two kept states: 1 stores all."""
        stored = len(self.slabs) * self.points * self.element * 4
        if memory == "store" or (memory == "auto" and stored <= MOST_STORED):
            return 1
        return int(np.ceil(np.sqrt(len(self.slabs))))


class _Checkpointed(_March):
    """A march that keeps its state at every k-th slice, and the waves of one block of k slices."""

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        self._prepare(slices)
        self._start()
        self.every = self._every(memory) if memory else 0
        self.states = {}
        n = len(self.slabs)
        self.kept = self._block() if memory and self.every == 1 else None
        for j in range(n):
            if self.every > 1 and j % self.every == 0:
                self.states[j] = self._state()
            self._advance(j, None if self.kept is None else self.kept[j])
        return self._finish()

    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, None]:
        gradient, n = self._gradient(), len(self.slabs)
        if self.every == 1:
            self._start_back(d_wave)
            for j in range(n - 1, -1, -1):
                self._back(j, self.kept[j], gradient)
            return self._from_inner(self._crop(gradient)), None
        block, back = self._block(), None
        for first in sorted(self.states, reverse=True):
            self._restore(self.states.pop(first))
            last = min(first + self.every, n)
            for j in range(first, last):
                self._advance(j, block[j - first])
            if back is None:
                self._start_back(d_wave)
            else:
                self._restore(back)
            for j in range(last - 1, first - 1, -1):
                self._back(j, block[j - first], gradient)
            back = self._state()
        return self._from_inner(self._crop(gradient)), None

    def _block(self):
        return self._kept(len(self.slabs) if self.every == 1 else self.every)


class Bpm(_Checkpointed):
    """Beam propagation; slices are phases k0 dz delta [rad]."""

    phase = True

    def _start(self):
        self.path = self._every_lane(self.ball / self.f_s).astype(np.float32)
        elements = self.wave.reshape(self.rows, -1, 2, len(self.lanes))
        elements[: self.shape[0], :, 0], elements[: self.shape[0], :, 1] = 1, 0

    def _advance(self, j, kept):
        last = j == len(self.slabs) - 1
        before = SPACE if j == 0 else SPECTRUM
        self._rows(j, before, SPACE if last else SPECTRUM, kept)
        if not last:
            self._propagate(j, False)

    def _propagate(self, j, conjugate):
        table = self._phase_table(self.gaps[j], 1 / self.points)
        march.filter_columns(*self.lanes_and_parts, *self.along_y, self.wave, self.pitch, table, conjugate)

    def _finish(self):
        return self._waves(SPACE)

    def _start_back(self, d_wave):
        self._receive(d_wave, 1, SPACE)

    def _back(self, j, kept, gradient):
        last = j == len(self.slabs) - 1
        self._rows_back(j, kept, gradient, SPACE if last else SPECTRUM, SPECTRUM if j else SPACE)
        if j:
            self._propagate(j - 1, True)

    def _state(self):
        return self.wave.copy()

    def _restore(self, state):
        self.wave[:] = state

    def _from_inner(self, inner):
        return -1j * inner


class Mlb(_Checkpointed):
    """Multi-layer Born; slices are dz V / k [rad], with k = 2 pi ball.

    Spectra are kept divided by r = sqrt(k / kz), which makes the step its own transpose:
    a <- a + r F[(i / 2) Q F^-1[r a]], then a <- H a.
    """

    phase = False

    def _prepare(self, slices):
        super()._prepare(0.5j * slices)

    def _start(self):
        self.root = np.sqrt(self._steepness())
        self.spectrum = self._spectrum()
        width = len(self.lanes)
        self._as_elements(self.spectrum)[0, 0, 0, :width] = 1 / self.root[:width]  # frequency 0 stands first
        self._columns(False, 0, False, False)

    def _columns(self, collect, gap, propagate, conjugate):
        table = self._phase_table(gap, 1.0) if propagate else self.root
        march.sum_columns(
            *(*self.lanes_and_parts, *self.along_y, self.wave, self.pitch, self.spectrum, self.root, table),
            *(conjugate, collect, propagate),
        )

    def _advance(self, j, kept):
        self._rows(j, kept=kept)
        last = j == len(self.slabs) - 1
        self._columns(True, 0 if last else self.gaps[j], not last, False)

    def _finish(self):
        return self._waves(SPECTRUM)

    def _start_back(self, d_wave):
        self._receive(d_wave, 1 / self.points, SPECTRUM)
        march.columns_in(*self.lanes_and_parts, *self.along_y, self.wave, self.pitch, self.spectrum)
        self._as_elements(self.spectrum)[...] *= self.root.reshape(self.bundles, self.shape[0], 1, LANES)
        self._columns(False, 0, False, False)

    def _back(self, j, kept, gradient):
        self._rows_back(j, kept, gradient)
        if j:
            self._columns(True, self.gaps[j - 1], True, True)

    def _state(self):
        return self.spectrum.copy()

    def _restore(self, state):
        self.spectrum[:] = state
        self._columns(False, 0, False, False)

    def _from_inner(self, inner):
        return -0.5j * inner


class Ssnp(_March):
    """Split-step non-paraxial; slices are dz V / k [rad], with k = 2 pi ball."""

    phase = False

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        self._prepare(slices)
        n = len(self.slabs)
        store = bool(memory) and self._every(memory) == 1
        self.kept = self._kept(n) if store else None
        self.u, self.p = self._spectrum(), self._spectrum()
        width = len(self.lanes)
        self._as_elements(self.u)[0, 0, 0, :width] = 1  # frequency 0 stands first
        self._as_elements(self.p)[0, 0, 1, :width] = self.f_s / self.ball
        self._columns(self.u, self.p, False, True)
        for j in range(n):
            self._rows(j, kept=None if self.kept is None else self.kept[j])
            last = j == n - 1
            self._columns(self.u, self.p, True, not last, 0 if last else self.gaps[j])
        turns = self.f_s * self.gaps.sum()
        self.carrier = self._every_lane(np.exp(-2j * np.pi * (turns - np.floor(turns))))
        return self._towards_camera()

    def _columns(self, u, p, collect, emit, gap=None, sign=1):
        tables = (
            self._table("rotation", gap, march.fill_rotation, (3,), gap) if gap else np.zeros(1, np.float32)
        )
        march.pair_columns(
            *(*self.lanes_and_parts, *self.along_y, self.wave, self.pitch, u, p, tables, np.float32(sign)),
            *(collect, emit),
        )

    def _towards_camera(self):
        """F^-1 of carrier (u - i k / kz p) / 2."""
        u, p = self._as_elements(self.u), self._as_elements(self.p)
        steep = self._steepness().reshape(self.bundles, self.shape[0], LANES)
        half = 0.5 * self.carrier.astype(np.complex64)
        real, imaginary = u[:, :, 0] + steep * p[:, :, 1], u[:, :, 1] - steep * p[:, :, 0]
        out = self._spectrum()
        view = self._as_elements(out)
        view[:, :, 0] = half.real * real - half.imag * imaginary
        view[:, :, 1] = half.real * imaginary + half.imag * real
        self._columns(out, out, False, True)
        return self._waves(SPECTRUM)

    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, None]:
        gradient, n = self._gradient(), len(self.slabs)
        d_u, d_p = self._from_camera(d_wave)
        if self.kept is None:
            back = np.empty_like(self.wave)
            kept = self._kept()
        self._columns(d_p, d_u, False, True)
        for j in range(n - 1, -1, -1):
            if self.kept is None:
                self.wave, back = back, self.wave
                self._undo(j, kept)
                self.wave, back = back, self.wave
            self._rows_back(j, kept if self.kept is None else self.kept[j], gradient)
            self._columns(d_p, d_u, True, j > 0, self.gaps[j - 1] if j else None)
        return self._crop(np.negative(gradient, out=gradient)), None

    def _undo(self, j, kept):
        """The wave before slice j from the pair after it; then the pair before it, after slice j - 1."""
        if j == len(self.slabs) - 1:
            self._columns(self.u, self.p, False, True)
        self._rows(j, kept=kept, slab=-self.slabs[j])
        self._columns(self.u, self.p, True, j > 0, self.gaps[j - 1] if j else None, -1)

    def _from_camera(self, d_wave):
        """The pair's gradient: d_u = conj(carrier) F[d] / 2 within the band, d_p = i k / kz d_u."""
        self._receive(d_wave, 1 / self.points, SPECTRUM)
        spectrum = self._spectrum()
        march.columns_in(*self.lanes_and_parts, *self.along_y, self.wave, self.pitch, spectrum)
        d = self._as_elements(spectrum)
        steep = self._steepness().reshape(self.bundles, self.shape[0], LANES)
        half = 0.5 * self.carrier.conj().astype(np.complex64) * (steep > 0)
        d_u, d_p = self._spectrum(), self._spectrum()
        u, p = self._as_elements(d_u), self._as_elements(d_p)
        u[:, :, 0] = half.real * d[:, :, 0] - half.imag * d[:, :, 1]
        u[:, :, 1] = half.real * d[:, :, 1] + half.imag * d[:, :, 0]
        p[:, :, 0], p[:, :, 1] = -steep * u[:, :, 1], steep * u[:, :, 0]
        return d_u, d_p

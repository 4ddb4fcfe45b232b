"""Multi-slice propagation in plain NumPy and scipy.fft (or CuPy), in single or double precision.

The reference that the compiled engine is compared with, its fallback, and the one that also
differentiates with respect to the sources.  The three classes have the same methods: ``forward`` takes
what the slices do to the wave and gives the wave at the last slice; ``backward`` takes the gradient of
that wave and gives those of the slices and of the source directions.

Waves are envelopes: the incident wave exp(2 pi i nu_s . rho + i kz(nu_s) z) is divided out, so an empty
sample leaves 1, whatever the tilt.  The derivations stand in `fieldrx.models.bpm`, `ssnp` and `mlb`.
Spectra carry the inner product sum(conj(a) b) / n, under which the FFT is unitary, so the adjoint of F is
F^-1 and no factors of n appear.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from fieldrx.backends import in_threads, is_on_device, module_of
from fieldrx.backends.fft import fft, ifft
from fieldrx.backends.fft import fft2 as _fft
from fieldrx.backends.fft import ifft2 as _ifft
from fieldrx.backends.propagation import March, Refocusing

# Sine of the steepest waves kept; steeper ones would cross the grid and wrap round.  Light that comes in
# steeper is kept with all waves up to its own angle, a rounding error beyond.
BAND, OWN = 0.95, 1 + 1e-12


class _March(March):
    """Geometry shared by the three: axial frequencies of every source's waves [cycles/um].

    Frequencies `nu_y` and `nu_x` are given on the device of the slices to come.
    """

    def __init__(
        self, nu_y: np.ndarray, nu_x: np.ndarray, sources: np.ndarray, ball: float, gaps: np.ndarray
    ):
        self.xp = module_of(nu_y)
        sources = self.xp.asarray(sources)
        self.sources, self.ball, self.gaps = sources, ball, gaps
        flat = self.xp.zeros((len(sources), len(nu_y), len(nu_x)))
        self.nu = self.xp.stack(
            [nu_y[:, None] + sources[:, 0, None, None] + flat, nu_x + sources[:, 1, None, None] + flat]
        )
        squared = (self.nu**2).sum(axis=0)
        own = (sources**2).sum(axis=1)[:, None, None]
        self.band = squared <= self.xp.maximum((BAND * ball) ** 2, OWN * own)
        self.f = np.sqrt(np.where(self.band, ball**2 - squared, ball**2))
        self.f_s = np.sqrt(ball**2 - own)

    def _direction(self, d_f, d_fs):
        """Gradient of the source frequencies from those of f (per wave) and of f_s; df/dnu = -nu / f."""
        waves = (d_f * self.band / self.f * -self.nu).sum(axis=(2, 3)).T
        return waves + d_fs[:, None] * (-self.sources / self.f_s[:, 0])

    def _phase(self, gap, dtype):
        """exp(2 pi i (f - f_s) gap) within the band."""
        return np.where(self.band, np.exp(2j * np.pi * (self.f - self.f_s) * gap), 0).astype(dtype)

    def _gap_gradient(self, gap, d_spectrum, wave, d_f, d_fs):
        """Add what the phase of a gap, just before `wave`, gives to the gradients of f and f_s."""
        slope = 2 * np.pi * gap / wave[0].size * (np.conj(d_spectrum) * 1j * _fft(wave)).real
        d_f += slope
        d_fs -= slope.sum(axis=(1, 2))


class Bpm(_March):
    """Beam propagation; slices are phases k0 dz delta [rad]."""

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        dtype = np.result_type(slices.dtype, np.complex64)
        real = slices.real.dtype
        self.slices, self.obliquity = slices, (self.ball / self.f_s).astype(real)
        wave = self.xp.ones(self.f.shape, dtype)
        self.before = []
        for j, phase in enumerate(slices):
            if j:
                wave = _ifft(self._phase(self.gaps[j - 1], dtype) * _fft(wave))
            self.before.append(wave)
            wave = wave * np.exp(1j * self.obliquity * phase)
        return wave

    def backward(self, d_wave: np.ndarray, directions: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        d_slices = np.empty_like(self.slices)
        d_f, d_fs = self.xp.zeros(self.f.shape), self.xp.zeros(len(self.sources))
        for j in range(len(self.slices) - 1, -1, -1):
            phase, wave = self.slices[j], self.before[j]
            screen = np.exp(1j * self.obliquity * phase)
            through = -1j * np.conj(screen * wave) * d_wave  # gradient of obliquity * phase
            d_slices[j] = (self.obliquity * through).sum(axis=0)
            if directions:  # obliquity = ball / f_s
                slope = (np.conj(phase) * through).real.sum(axis=(1, 2))
                d_fs -= self.ball / self.f_s[:, 0, 0] ** 2 * slope
            d_wave = np.conj(screen) * d_wave
            if j:
                d_spectrum = _fft(d_wave)
                if directions:
                    self._gap_gradient(self.gaps[j - 1], d_spectrum, wave, d_f, d_fs)
                d_wave = _ifft(np.conj(self._phase(self.gaps[j - 1], d_wave.dtype)) * d_spectrum)
        return d_slices, self._direction(d_f, d_fs) if directions else None


class Mlb(_March):
    """Multi-layer Born; slices are dz V / k [rad], with k = 2 pi ball."""

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        dtype = np.result_type(slices.dtype, np.complex64)
        self.slices = slices
        self.half = np.where(self.band, 0.5j * self.ball / self.f, 0).astype(dtype)
        spectrum = _fft(self.xp.ones(self.f.shape, dtype))
        self.before = []
        for j, potential in enumerate(slices):
            if j:
                spectrum = spectrum * self._phase(self.gaps[j - 1], dtype)
            wave = _ifft(spectrum)
            self.before.append(wave)
            spectrum = spectrum + self.half * _fft(potential * wave)
        return _ifft(spectrum)

    def backward(self, d_wave: np.ndarray, directions: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        d_slices = np.empty_like(self.slices)
        d_f, d_fs = self.xp.zeros(self.f.shape), self.xp.zeros(len(self.sources))
        n = d_wave[0].size
        d_spectrum = _fft(d_wave)
        for j in range(len(self.slices) - 1, -1, -1):
            potential, wave = self.slices[j], self.before[j]
            if directions:  # half = i ball / 2 f
                scattered = -self.half / self.f * _fft(potential * wave)
                d_f += (np.conj(d_spectrum) * scattered).real / n
            d_source = _ifft(np.conj(self.half) * d_spectrum)
            d_slices[j] = (np.conj(wave) * d_source).sum(axis=0)
            d_spectrum = d_spectrum + _fft(np.conj(potential) * d_source)
            if j:
                if directions:
                    self._gap_gradient(self.gaps[j - 1], d_spectrum, wave, d_f, d_fs)
                d_spectrum = d_spectrum * np.conj(self._phase(self.gaps[j - 1], d_wave.dtype))
        return d_slices, self._direction(d_f, d_fs) if directions else None


class Ssnp(_March):
    """Split-step non-paraxial; slices are dz V / k [rad], with k = 2 pi ball.

    The state is the pair of spectra (u, p), p = (du/dz) / k.
    """

    def _rotation(self, gap, real):
        """cos(kz gap), k sin(kz gap) / kz, kz sin(kz gap) / k, within the band."""
        angle = 2 * np.pi * self.f * gap
        cosine, sine = np.cos(angle) * self.band, np.sin(angle) * self.band
        return [a.astype(real) for a in (cosine, sine * self.ball / self.f, sine * self.f / self.ball)]

    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        dtype = np.result_type(slices.dtype, np.complex64)
        real = slices.real.dtype
        self.slices = slices
        u = _fft(self.xp.ones(self.f.shape, dtype))
        p = (1j * self.f_s / self.ball).astype(dtype) * u
        self.before: list[tuple] = []  # at every slice its wave and, but for the last, u and p
        for j, potential in enumerate(slices):
            if j:
                c, s, t = self._rotation(self.gaps[j - 1], real)
                self.before[-1] = (*self.before[-1], u, p)
                u, p = c * u + s * p, c * p - t * u
            wave = _ifft(u)
            self.before.append((wave,))
            p = p - _fft(potential * wave)
        self.last = (u, p)
        self.carrier = np.exp(-2j * np.pi * self.f_s * self.gaps.sum()).astype(dtype)
        self.split = np.where(self.band, -1j * self.ball / self.f, 0).astype(dtype)
        return _ifft(0.5 * self.carrier * (self.band * u + self.split * p))

    def backward(self, d_wave: np.ndarray, directions: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        d_slices = np.empty_like(self.slices)
        real, n = self.slices.real.dtype, d_wave[0].size
        d_f, d_fs = self.xp.zeros(self.f.shape), self.xp.zeros(len(self.sources))
        d_forward = 0.5 * np.conj(self.carrier) * _fft(d_wave)
        d_u, d_p = self.band * d_forward, np.conj(self.split) * d_forward
        if directions:  # split = -i ball / f, carrier = exp(-2 pi i f_s height)
            u, p = self.last
            d_f -= (np.conj(d_forward) * self.split / self.f * p).real / n
            turned = (np.conj(d_forward) * -1j * (self.band * u + self.split * p)).real
            d_fs += 2 * np.pi * self.gaps.sum() * turned.sum(axis=(1, 2)) / n
        for j in range(len(self.slices) - 1, -1, -1):
            potential, wave = self.slices[j], self.before[j][0]
            d_source = _ifft(d_p)
            d_slices[j] = -(np.conj(wave) * d_source).sum(axis=0)
            d_u = d_u - _fft(np.conj(potential) * d_source)
            if j:
                c, s, t = self._rotation(self.gaps[j - 1], real)
                if directions:
                    _, u, p = self.before[j - 1]
                    d_f += self._turn(d_u, d_p, u, p, self.gaps[j - 1], c, s, t) / n
                d_u, d_p = self.band * (c * d_u - t * d_p), self.band * (s * d_u + c * d_p)
        if directions:  # p = i f_s / ball u at the first slice, u = n at frequency 0
            d_fs += (np.conj(d_p[:, 0, 0]) * 1j / self.ball).real
        return d_slices, self._direction(d_f, d_fs) if directions else None

    def _turn(self, d_u, d_p, u, p, gap, c, s, t):
        """Gradient of f from one rotation of (u, p)."""
        rate, f, ball = 2 * np.pi * gap, self.f, self.ball
        d_c = -rate * t * ball / f
        d_s = ball / f * (rate * c - s / ball)
        d_t = (rate * c * f + t * ball / f) / ball
        return (np.conj(d_u) * (d_c * u + d_s * p) + np.conj(d_p) * (d_c * p - d_t * u)).real * self.band


class Refocus(Refocusing):
    """From waves to the camera, one at a time; see `fieldrx.backends.propagation.Refocusing`."""

    def __init__(
        self,
        shape: tuple[int, int],
        plane: tuple[int, int],
        size: tuple[int, int],
        window: tuple[slice, slice],
        fade: np.ndarray,
        transfer: Callable[[int], tuple],
    ):
        self.padded, self.fade, self.transfer = PaddedFourier(shape, plane, size, window), fade, transfer
        self.per_point = np.divide(shape, plane)

    def fields(self, waves: np.ndarray, sources: list[int]) -> np.ndarray:
        filters = [self.transfer(s) for s in sources]
        return _stack(waves, lambda n: self._field(waves[n], *filters[n]))

    def _field(self, wave, rows, columns, table, incident, turns):
        scattered = carry((wave - 1) * self._fade(wave), turns)
        spectrum = self.padded.forward(scattered, rows, columns)
        table = module_of(wave).asarray(table.astype(wave.dtype))
        there = self.padded.inverse(table * spectrum, rows, columns)
        there = carry(there, -turns * self.per_point, self.padded.window)
        return (incident + there).astype(wave.dtype, copy=False)

    def add_intensities(self, fields: np.ndarray, share: np.ndarray, images: np.ndarray) -> None:
        for n, field in enumerate(fields):
            intensity = field.real**2 + field.imag**2
            for m in np.flatnonzero(share[:, n]):
                images[m] += images.dtype.type(share[m, n]) * intensity

    def waves_gradient(
        self, d_images: np.ndarray, fields: np.ndarray, share: np.ndarray, sources: list[int]
    ) -> np.ndarray:
        filters = [self.transfer(s) for s in sources]

        def gradient(n):
            return self._wave_gradient(field_gradient(d_images, fields[n], share[:, n]), *filters[n])

        return _stack(fields, gradient)

    def _wave_gradient(self, d_field, rows, columns, table, _, turns):
        table = module_of(d_field).asarray(table.conj().astype(d_field.dtype))
        d_field = carry(d_field, turns * self.per_point, self.padded.window)
        d_scattered = self.padded.inverse_adjoint(d_field, rows, columns, table)
        return self._fade(d_field) * carry(d_scattered, -turns)

    def _fade(self, wave):
        return module_of(wave).asarray(self.fade.astype(wave.real.dtype))


def _stack(arrays, work):
    """work(n) for every one of some arrays, stacked; on the host in threads."""
    if is_on_device(arrays):
        return module_of(arrays).stack([work(n) for n in range(len(arrays))])
    return np.stack(in_threads(work, len(arrays)))


def field_gradient(d_images: np.ndarray, field: np.ndarray, share: np.ndarray) -> np.ndarray:
    """dE = 2 E sum_m share_m dI_m."""
    lit, real = np.flatnonzero(share), field.real.dtype
    total = sum(real.type(2 * share[m]) * d_images[m] for m in lit)
    return field * total.astype(real, copy=False) if len(lit) else field * real.type(0)


def carry(wave: np.ndarray, turns: np.ndarray, window: tuple[slice, slice] | None = None) -> np.ndarray:
    """`wave` times exp(2 pi i turns . rho), rho in points of the plane in which it lies at `window`."""
    xp = module_of(wave)
    y, x = (
        xp.asarray(np.exp(2j * np.pi * t * k).astype(wave.dtype))
        for t, k in zip(turns, pixel_numbers(wave.shape, window), strict=True)
    )
    return wave * y[:, None] * x


def pixel_numbers(shape: tuple[int, int], window: tuple[slice, slice] | None = None) -> list[np.ndarray]:
    """Numbers in the plane of the rows and columns of an array that lies there at `window`."""
    if window is None:
        return [np.arange(n) for n in shape]
    return [np.arange(w.stop)[w] for w in window]


class PaddedFourier:
    """One padded transform, visited where something is, its inverse within the window, and adjoints.

    The inverse may have another number of points than the transform, of the same frequencies.  Spectra carry
    the plain inner product here, so the adjoint of F is n F^-1.  Parameters as of `Refocus`.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        plane: tuple[int, int],
        size: tuple[int, int],
        window: tuple[slice, slice],
    ):
        self.shape, self.plane, self.size, self.window = tuple(shape), tuple(plane), tuple(size), window

    def forward(self, wave: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Spectrum of a wave at some rows and columns."""
        ny, nx = self.shape
        rows, columns = (module_of(wave).asarray(k) for k in (rows, columns))
        return fft(fft(wave, nx, axis=1)[:, columns], ny, axis=0)[rows]

    def inverse(self, spectrum: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The wave within the window."""
        (ny, nx), (y, x), xp = self.plane, self.window, module_of(spectrum)
        rows, columns = self._there(rows, columns, xp)
        if self.plane != self.shape:
            spectrum = spectrum * spectrum.real.dtype.type(prod(self.plane) / prod(self.shape))
        half = xp.zeros((ny, len(columns)), spectrum.dtype)
        half[rows] = spectrum
        half = ifft(half, axis=0)[y]
        full = xp.zeros((half.shape[0], nx), spectrum.dtype)
        full[:, columns] = half
        return ifft(full, axis=1)[:, x]

    def inverse_adjoint_spectrum(
        self, d_field: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> np.ndarray:
        """Adjoint of :meth:`inverse`."""
        (ny, nx), (y, x), xp = self.plane, self.window, module_of(d_field)
        rows, columns = self._there(rows, columns, xp)
        full = xp.zeros((d_field.shape[0], nx), d_field.dtype)
        full[:, x] = d_field
        full = fft(full, axis=1)[:, columns]
        half = xp.zeros((ny, len(columns)), d_field.dtype)
        half[y] = full
        return fft(half, axis=0)[rows] / prod(self.shape)

    def _there(self, rows, columns, xp):
        """Where frequencies of the transform stand in the inverse."""
        ends = (rows, columns), self.shape, self.plane
        return [xp.asarray(np.where(2 * k < n, k, k - n) % m) for k, n, m in zip(*ends, strict=True)]

    def inverse_adjoint(
        self, d_field: np.ndarray, rows: np.ndarray, columns: np.ndarray, conj_transfer: np.ndarray
    ) -> np.ndarray:
        """Adjoint of a filtered wave within the window: the gradient of the wave."""
        (ny, nx), (n, m), xp = self.shape, self.size, module_of(d_field)
        spectrum = conj_transfer * self.inverse_adjoint_spectrum(d_field, rows, columns)
        rows, columns = xp.asarray(rows), xp.asarray(columns)
        half = xp.zeros((ny, len(columns)), d_field.dtype)
        half[rows] = spectrum
        half = ifft(half, axis=0, norm="forward")[:n]
        full = xp.zeros((n, nx), d_field.dtype)
        full[:, columns] = half
        return ifft(full, axis=1, norm="forward")[:, :m]

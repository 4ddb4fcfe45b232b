"""Multi-slice propagation in plain NumPy and scipy.fft, in single or double precision.

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

import numpy as np
import scipy.fft

from fieldrx.backends import n_threads

BAND = 0.95  # sine of the steepest waves kept; steeper ones would cross the grid and wrap round


def _fft(a):
    return scipy.fft.fft2(a, workers=n_threads())


def _ifft(a):
    return scipy.fft.ifft2(a, workers=n_threads())


class _March:
    """Geometry shared by the three: axial frequencies of every source's waves [cycles/um].

    Parameters
    ----------
    nu_y, nu_x : float64, shapes (ny,), (nx,)
        Frequencies in numpy.fft order [cycles/um].
    sources : float64, shape (n, 2)
        nu_s [cycles/um].
    ball : float
        n0 / lambda [cycles/um].
    gaps : float64, shape (nz - 1,)
        Distances of neighbouring slices [um].
    """

    def __init__(self, nu_y, nu_x, sources, ball, gaps):
        self.sources, self.ball, self.gaps = sources, ball, gaps
        self.nu = np.stack(
            np.broadcast_arrays(
                nu_y[:, None] + sources[:, 0, None, None], nu_x[None, :] + sources[:, 1, None, None]
            )
        )
        squared = (self.nu**2).sum(axis=0)
        self.band = squared <= (BAND * ball) ** 2
        self.f = np.sqrt(np.where(self.band, ball**2 - squared, ball**2))
        self.f_s = np.sqrt(ball**2 - (sources**2).sum(axis=1))[:, None, None]

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

    def forward(self, slices, memory="store"):
        dtype = np.result_type(slices.dtype, np.complex64)
        real = slices.real.dtype
        self.slices, self.obliquity = slices, (self.ball / self.f_s).astype(real)
        wave = np.ones(self.f.shape, dtype)
        self.before = []
        for j, phase in enumerate(slices):
            if j:
                wave = _ifft(self._phase(self.gaps[j - 1], dtype) * _fft(wave))
            self.before.append(wave)
            wave = wave * np.exp(1j * self.obliquity * phase)
        return wave

    def backward(self, d_wave, directions=False):
        d_slices = np.empty_like(self.slices)
        d_f, d_fs = np.zeros(self.f.shape), np.zeros(len(self.sources))
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

    def forward(self, slices, memory="store"):
        dtype = np.result_type(slices.dtype, np.complex64)
        self.slices = slices
        self.half = np.where(self.band, 0.5j * self.ball / self.f, 0).astype(dtype)
        spectrum = _fft(np.ones(self.f.shape, dtype))
        self.before = []
        for j, potential in enumerate(slices):
            if j:
                spectrum = spectrum * self._phase(self.gaps[j - 1], dtype)
            wave = _ifft(spectrum)
            self.before.append(wave)
            spectrum = spectrum + self.half * _fft(potential * wave)
        return _ifft(spectrum)

    def backward(self, d_wave, directions=False):
        d_slices = np.empty_like(self.slices)
        d_f, d_fs = np.zeros(self.f.shape), np.zeros(len(self.sources))
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

    def forward(self, slices, memory="store"):
        dtype = np.result_type(slices.dtype, np.complex64)
        real = slices.real.dtype
        self.slices = slices
        u = _fft(np.ones(self.f.shape, dtype))
        p = (1j * self.f_s / self.ball).astype(dtype) * u
        self.before = []
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

    def backward(self, d_wave, directions=False):
        d_slices = np.empty_like(self.slices)
        real, n = self.slices.real.dtype, d_wave[0].size
        d_f, d_fs = np.zeros(self.f.shape), np.zeros(len(self.sources))
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
                    d_f += self._turn(d_u, d_p, *self.before[j - 1][1:], self.gaps[j - 1], c, s, t) / n
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

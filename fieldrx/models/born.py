"""Weak scattering: the first Born model, linear in the contrast, and its Rytov variant.

To first order the contrast delta makes the scattering potential V = 2 k0^2 n0 delta (the exact
potential k0^2 [(n0 + delta)^2 - n0^2] less its delta^2, which is beyond first order).  A plane wave
from source s meets a slice at height z; behind the pupil and refocused to z = 0 the scattered field,
relative to the unscattered wave, has the spectrum

    B_s(nu) = sum_z dz A(nu, z) V^(nu, z)
    A(nu, z) = i / (2 kz(nu + nu_s)) P(nu + nu_s) exp(-i [kz(nu + nu_s) - kz(nu_s)] z)

and the normalised intensity is I = 1 + sum_s w_s 2 Re b_s, because |1 + b|^2 = 1 + 2 Re b to first
order.  This is the pair of phase and absorption transfer functions of Ling et al., Biomed. Opt.
Express 9, 2130 (2018).  Rytov's form reads the same sum as log I, which holds for thicker, smoother
samples.  Pixels that integrate take the mean of this sum (`fieldrx.optics.pixels`).

The adjoint follows from I - 1 = 2 Re F^-1[w A V^]: dL = <dI, 2 Re(T dV)> = Re <2 T^H dI, dV>, hence
dL/dRe V + i dL/dIm V = 2 T^H dI with T^H = F^-1 conj(A) F.

The optics enter through A alone.  With f = kz / 2 pi, f_s = f(nu_s), B the sum above and B_z the same with V
times z, the derivatives of B are

    d/dnu_s     (nu + nu_s) / f^2 B - 2 pi i [nu_s / f_s - (nu + nu_s) / f] B_z
                    + i grad[phi(nu + nu_s) - phi(nu_s)] B
    d/ddefocus  2 pi i (f - f_s) B
    d/dc_j      i [Z_j(nu + nu_s) - Z_j(nu_s)] B

for P = exp(i phi), phi = sum_j c_j Z_j, with the pupil's edge held still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.backends import module_of, of, to_host
from fieldrx.backends.fft import fft2, ifft2
from fieldrx.brief import brief
from fieldrx.errors import InputError
from fieldrx.models.base import (
    Geometry,
    Gradients,
    as_complex,
    check_geometry,
    check_images,
    gain_of_images,
)
from fieldrx.models.plane import image_window, plane_of
from fieldrx.optics import Grid, Illumination, Microscope, lateral_band
from fieldrx.optics.pixels import pixel_response
from fieldrx.pupil import Pupil, zernike
from fieldrx.resources import Need


@brief
@dataclass
class Sensitivities:
    """Derivatives of one image's linear signal.

    Parameters
    ----------
    linear : float, shape (ny, nx)
        The linear signal itself.
    sources : dict
        By source: its linear signal alone (ny, nx), and the derivative by its direction (2, ny, nx) [1 / NA].
    defocus : float, shape (ny, nx)
        [1 / um]
    pupil : float, shape (n, ny, nx)
        By the Zernike coefficients.
    """

    linear: np.ndarray
    sources: dict
    defocus: np.ndarray
    pupil: np.ndarray


class Born(Geometry):
    """First Born approximation, matrix-free.

    Memory is that of the volume's spectrum plus the images; no transfer function is stored.

    Parameters
    ----------
    grid : Grid
        Voxels of the contrast.  The FFTs run on this grid, so it should reach beyond the images
        (``Grid.for_images``).
    microscope : Microscope
    illumination : Illumination
    image_shape : (int, int), optional
        Pixels of an image; the whole lateral grid when not given.
    pupil : Pupil, optional
        Aberrations; A is multiplied by P(nu + nu_s) / P(nu_s).  None when not given.
    defocus_um : float
        Height of the plane in focus; z is measured from there.
    gain : array_like, shape (n,), optional
        Brightness of every image over its background; 1 when not given.

    Raises
    ------
    InputError
        If the images do not lie on the grid, or, when an image is asked for, it has dark-field sources only.
    """

    name, linear = "born", True

    @staticmethod
    def step_need(shape: tuple[int, int, int], n_images: int, n_waves: int) -> Need:
        """Memory of a step: spectra and images of a batch."""
        return Need("a batch of images", peak=24 * shape[1] * shape[2] * n_images)

    def __init__(
        self,
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int] | None = None,
        *,
        pupil: Pupil | None = None,
        defocus_um: float = 0.0,
        gain: ArrayLike | None = None,
    ):
        self.image_shape = check_geometry(grid, microscope, illumination, image_shape, pupil)
        self.grid, self.microscope, self.illumination = grid, microscope, illumination
        self.window = image_window(grid, self.image_shape, microscope)
        band = 2 * lateral_band(microscope, illumination)
        where = grid, grid.shape[1:], self.image_shape, microscope
        self.plane, self.pixels = plane_of(*where, band), plane_of(*where)
        self.pupil, self.defocus_um = pupil, float(defocus_um)
        if pupil is not None and pupil.array is not None:
            raise InputError("single scattering takes a pupil of Zernike coefficients, not an array")
        self.gain = gain_of_images(gain, illumination)
        self._bright = illumination.bright(microscope)
        self._sources = illumination.sources_na / microscope.wavelength_um
        self._scale = 2 * microscope.medium_index * microscope.wavenumber**2 * grid.spacing_um[0]

    def linear_signal(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """First-order signal ``sum_s w_s 2 Re b_s`` (I - 1 here, log I for Rytov), shape (n, ny, nx)."""
        spectrum = fft2(as_complex(contrast, self.grid, self.microscope.medium_index))
        field = self._scattered(spectrum, self._rows(images))
        del spectrum
        return (2 * self._scale) * self.plane.at_pixels(field)

    def _scattered(self, spectrum: np.ndarray, rows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """Spectra of the scattered fields: one per image, or, weighted alike, the sum over its sources."""
        starts, index, weight = rows
        each = starts if self.pupil is None else np.arange(len(index) + 1)
        xp = module_of(spectrum)
        field = xp.empty((len(each) - 1, *self.grid.shape[1:]), spectrum.dtype)
        of(spectrum).born_forward(spectrum, *self._geometry(), each, index, weight, *self._constants(), field)
        if self.pupil is None:
            return field
        for s, part in zip(index, field, strict=True):
            part *= xp.asarray(self._aberration(s).astype(field.dtype))
        return xp.stack([field[a:b].sum(axis=0) for a, b in pairwise(starts)])

    def _aberration(self, s):
        """P(nu + nu_s) / P(nu_s) of source s on the grid, 1 where the pupil is dark."""
        y, x = (nu + c for nu, c in zip(self.grid.frequencies(), self._sources[s], strict=True))
        place = np.nonzero(y[:, None] ** 2 + x**2 <= self.microscope.cutoff**2)
        out = np.ones(self.grid.shape[1:], np.complex128)
        out[place] = self._relative_pupil(np.stack([y[place[0]], x[place[1]]]), s)
        return out

    def _relative_pupil(self, nu, s):
        radius = self.microscope.objective_na / self.microscope.wavelength_um
        pupil = self.pupil or Pupil()
        return pupil.value(nu / radius) / pupil.value(self._sources[s][:, None] / radius)

    def adjoint(self, signal: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Adjoint of :meth:`linear_signal` for the real inner product, shape ``grid.shape``, complex."""
        self._check_images(signal, images)
        rows = self._rows(images)
        dtype = np.complex128 if signal.dtype == np.float64 else np.complex64
        padded = module_of(signal).zeros((len(rows[0]) - 1, *self.plane.shape), dtype)
        padded[(slice(None), *self.plane.window)] = signal
        padded = self.plane.spectrum(padded, self.grid.shape[1:])
        xp = module_of(padded)
        if self.pupil is not None:
            image = np.repeat(np.arange(len(padded)), np.diff(rows[0]))
            conjugate = (xp.asarray(self._aberration(s).conj().astype(dtype)) for s in rows[1])
            padded = xp.stack([padded[m] * c for m, c in zip(image, conjugate, strict=True)])
            rows = np.arange(len(image) + 1), rows[1], rows[2]
        out = xp.empty(self.grid.shape, dtype)
        of(padded).born_adjoint(padded, *self._geometry(), *rows, *self._constants(), out)
        del padded
        out = ifft2(out, overwrite=True)
        out *= 2 * self._scale
        return out

    def signal(self, intensity: np.ndarray) -> np.ndarray:
        """I - 1, what the model predicts linearly; a fit compares in these terms."""
        return intensity - 1

    def intensity(self, signal: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`signal`."""
        return signal + 1

    def signal_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted signal, and the map from its gradient to that of the contrast."""
        linear = self.linear_signal(contrast, images)
        return self.signal_of_linear(linear, images), lambda d: self.vjp(contrast, d, images)

    def signal_of_linear(self, linear: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """The signal, gains included, of images whose linear signal is given."""
        gain = self._gains(images, linear)
        return gain * linear + (gain - 1)

    def forward(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Predicted intensities, shape (n, ny, nx)."""
        linear = self.linear_signal(contrast, images)
        return self._gains(images, linear) * (1 + linear)

    def vjp(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))``; the same at every contrast."""
        self._check_images(d_intensity, images)
        return self.adjoint(self._gains(images, d_intensity) * d_intensity, images)

    def forward_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        return self.forward(contrast, images), lambda d: self.vjp(contrast, d, images)

    def gradients(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> Gradients:
        """Gradient of ``sum(d_intensity * forward(contrast))`` with respect to all parameters."""
        self._check_images(d_intensity, images)
        images = self.illumination.rows(images)
        n_images, n_sources = self.illumination.pattern.shape
        d_sources, d_pattern = np.zeros((n_sources, 2)), np.zeros((n_images, n_sources))
        d_gain, d_defocus, d_pupil = np.zeros(n_images), 0.0, np.zeros(self._n_zernike)
        d_contrast = self.vjp(contrast, d_intensity, images)
        for k, slopes in enumerate(self.sensitivities(contrast, images)):
            m = images[k]
            d_gain[m] += np.vdot(d_intensity[k], self._per_gain(slopes.linear, m))
            d_linear = d_intensity[k] * self._intensity_slope(slopes.linear, m)
            background = self.illumination.pattern[m] @ self._bright
            for s, (alone, along) in slopes.sources.items():
                d_sources[s] += np.tensordot(along, d_linear, 2)
                d_pattern[m, s] += np.vdot(d_linear, alone - slopes.linear) / background
            d_defocus += float(np.vdot(d_linear, slopes.defocus))
            d_pupil += np.tensordot(slopes.pupil, d_linear, 2)
        return Gradients(d_contrast, d_sources, d_pattern, d_gain, d_defocus, d_pupil)

    def sensitivities(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> Iterator[Sensitivities]:
        """Derivatives of the linear signal of every image, by the optics; yields a ``Sensitivities`` each."""
        contrast = as_complex(contrast, self.grid, self.microscope.medium_index)
        z = (self.grid.axis(0) - self.defocus_um).astype(contrast.real.dtype)[:, None, None]
        spectra = [fft2(c) for c in (contrast, z * contrast)]
        for index, weight in self._each(images):
            shape = self.image_shape
            total = Sensitivities(np.zeros(shape), {}, np.zeros(shape), np.zeros((self._n_zernike, *shape)))
            for s, w in zip(index, weight, strict=True):
                one = np.array([0, 1]), np.array([s]), np.array([1.0])
                field, moment = (self._scattered(v, one)[0] for v in spectra)
                alone, along, defocus, pupil = self._slopes(field, moment, s)
                total.linear[...] += w * alone
                total.defocus[...] += w * defocus
                total.pupil[...] += w * pupil
                total.sources[int(s)] = alone, w * along
            yield total

    def _each(self, images):
        starts, index, weight = self._rows(images)
        return [(index[a:b], weight[a:b]) for a, b in pairwise(starts)]

    def _slopes(self, field, moment, s):
        """Of one source of weight 1: its linear signal and its derivatives; see the module's head."""
        scope, source = self.microscope, self._sources[s]
        y, x = (nu + c for nu, c in zip(self.grid.frequencies(), source, strict=True))
        nu = np.stack(np.broadcast_arrays(y[:, None], x))
        f = scope.axial_frequency((nu**2).sum(axis=0))
        f_s = scope.axial_frequency(source @ source)

        def image(spectrum):
            return (2 * self._scale) * self.plane.at_pixels(spectrum[None])[0]

        phase, terms = np.zeros((2, 1, 1)), []
        if self.pupil is not None:
            radius = scope.objective_na / scope.wavelength_um
            rows, columns = np.nonzero((nu**2).sum(axis=0) <= scope.cutoff**2)
            here, there = nu[:, rows, columns] / radius, source[:, None] / radius
            phase = np.zeros(nu.shape)
            for j, c in enumerate(self.pupil.zernike):
                (value, slope), (value_s, slope_s) = zernike(j, *here), zernike(j, *there)
                mode = np.zeros(f.shape)
                mode[rows, columns] = value - value_s
                terms.append(image(1j * mode * field))
                phase[:, rows, columns] += c * (slope - slope_s) / radius
        along = [
            image((n / f**2 + 1j * p) * field - 2j * np.pi * (c / f_s - n / f) * moment)
            for n, p, c in zip(nu, phase, source, strict=True)
        ]
        defocus = image(2j * np.pi * (f - f_s) * field)
        modes = np.array(terms).reshape(-1, *self.image_shape)
        return image(field), np.array(along) / scope.wavelength_um, defocus, modes

    @property
    def _n_zernike(self):
        return 0 if self.pupil is None else len(self.pupil.zernike)

    def _per_gain(self, linear, m):
        """Derivative of image m by its gain."""
        return 1 + linear

    def _intensity_slope(self, linear, m):
        """Derivative of image m by its linear signal."""
        return self.gain[m]

    def signal_slopes(self, linear: np.ndarray, m: int) -> tuple[Any, np.ndarray]:
        """Derivatives of the signal of image m by its linear signal, and by its gain."""
        return self.gain[m], 1 + linear

    def _gains(self, images, like):
        """Gain of the chosen images, to multiply arrays (n, ny, nx) of the precision of `like`."""
        gain = self.gain if images is None else self.gain[images]
        return module_of(like).asarray(np.asarray(gain, like.dtype))[..., None, None]

    def transfer(
        self, nu_y: np.ndarray, nu_x: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Transfer functions of Re and Im contrast at a list of frequencies.

        Parameters
        ----------
        nu_y, nu_x : array, shape (n,)
            Lateral frequencies [cycles/um].
        images : array of int, optional
            Rows of the illumination's pattern; all when not given.

        Returns
        -------
        (n, n_images, nz), (n, n_images, nz) complex64
            Spectrum of the linear signal per unit spectrum of the index contrast and of absorption:
            ``A(nu) + conj A(-nu)`` and ``i (A(nu) - conj A(-nu))``, times the scale of the potential.
        """
        nu_y, nu_x = (of(nu_y).asarray(nu) for nu in (nu_y, nu_x))
        plus = self._factor(nu_y, nu_x, images)
        minus = self._factor(-nu_y, -nu_x, images).conj()
        return (plus + minus).astype(np.complex64), (1j * (plus - minus)).astype(np.complex64)

    def _factor(self, nu_y, nu_x, images):
        """``scale * sum_s w_s A_s(nu, z)`` at a list of frequencies, shape (n, n_images, nz)."""
        xp, microscope = module_of(nu_y), self.microscope
        z = xp.asarray(self.grid.axis(0) - self.defocus_um)
        weights = self._weights(images)
        out = xp.zeros((len(nu_y), len(weights), len(z)), np.complex64)
        for s in np.flatnonzero(weights.any(axis=0)):
            source = self._sources[s]
            nu2 = (nu_y + source[0]) ** 2 + (nu_x + source[1]) ** 2
            inside = xp.flatnonzero(nu2 <= microscope.cutoff**2)
            f = microscope.axial_frequency(nu2[inside])
            turns = (f - microscope.axial_frequency(source @ source))[:, None] * z
            a = (1j * self._scale / (4 * np.pi * f))[:, None] * np.exp(-2j * np.pi * turns)
            if self.pupil is not None:
                nu = np.stack([to_host(n[inside]) + c for n, c in zip((nu_y, nu_x), source, strict=True)])
                a *= xp.asarray(self._relative_pupil(nu, s))[:, None]
            for m in np.flatnonzero(weights[:, s]):
                out[inside, m] += weights[m, s] * a
        out *= xp.asarray(pixel_response(nu_y, microscope) * pixel_response(nu_x, microscope))[:, None, None]
        return out

    def _check_images(self, d_intensity, images):
        check_images(d_intensity, len(self.illumination.rows(images)), self.image_shape)

    def _weights(self, images):
        self.illumination.refuse_dark(self.microscope, images, self.name)
        return self.illumination.weights(self.microscope, images) * self._bright

    def _rows(self, images: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weights = self._weights(images)
        m, s = np.nonzero(weights)
        starts = np.zeros(len(weights) + 1, np.int64)
        np.cumsum(np.bincount(m, minlength=len(weights)), out=starts[1:])
        return starts, s.astype(np.int64), weights[m, s]

    def _geometry(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return *self.grid.frequencies(), self._sources

    def _constants(self) -> tuple[float, float, float, float]:
        scope = self.microscope
        return (
            scope.medium_index / scope.wavelength_um,
            scope.cutoff,
            self.grid.origin_um[0] - self.defocus_um,
            self.grid.spacing_um[0],
        )

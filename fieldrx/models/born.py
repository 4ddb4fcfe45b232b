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
samples.

The adjoint follows from I - 1 = 2 Re F^-1[w A V^]: dL = <dI, 2 Re(T dV)> = Re <2 T^H dI, dV>, hence
dL/dRe V + i dL/dIm V = 2 T^H dI with T^H = F^-1 conj(A) F.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends import module_of, of
from fieldrx.backends.fft import fft2, ifft2
from fieldrx.models.base import as_complex, image_window
from fieldrx.optics import Grid, Illumination, Microscope

_DARK = 1e-2  # normalised intensity below which a logarithm is noise


class Born:
    """First Born approximation, matrix-free.

    Memory is that of the volume's spectrum plus the images; no transfer function is stored.

    Parameters
    ----------
    grid : Grid
        Voxels of the contrast; laterally the camera's pixels.  The FFTs run on this grid, so it should
        reach beyond the images (``Grid.for_images``).
    microscope : Microscope
    illumination : Illumination
    image_shape : (int, int), optional
        Pixels of an image; the whole lateral grid when not given.

    Raises
    ------
    InputError
        If the images do not lie on the grid, or, when an image is asked for, it has dark-field sources only.
    """

    name = "born"

    def __init__(self, grid: Grid, microscope: Microscope, illumination: Illumination, image_shape=None):
        self.grid, self.microscope, self.illumination = grid, microscope, illumination
        self.image_shape = tuple(image_shape or grid.shape[1:])
        self.window = image_window(grid, self.image_shape)
        self._bright = illumination.bright(microscope)
        self._sources = illumination.sources_na / microscope.wavelength_um
        self._scale = 2 * microscope.medium_index * microscope.wavenumber**2 * grid.spacing_um[0]

    def linear(self, contrast, images=None) -> np.ndarray:
        """First-order signal ``sum_s w_s 2 Re b_s`` (I - 1 here, log I for Rytov), shape (n, ny, nx)."""
        spectrum = fft2(as_complex(contrast, self.grid))
        rows = self._rows(images)
        field = module_of(spectrum).empty((len(rows[0]) - 1, *self.grid.shape[1:]), spectrum.dtype)
        of(spectrum).born_forward(spectrum, *self._geometry(), *rows, *self._constants(), field)
        del spectrum
        field = ifft2(field, overwrite=True)
        return (2 * self._scale) * field.real[(slice(None), *self.window)]

    def adjoint(self, signal, images=None) -> np.ndarray:
        """Adjoint of :meth:`linear` for the real inner product, shape ``grid.shape``, complex."""
        rows = self._rows(images)
        dtype = np.complex128 if signal.dtype == np.float64 else np.complex64
        padded = module_of(signal).zeros((len(rows[0]) - 1, *self.grid.shape[1:]), dtype)
        padded[(slice(None), *self.window)] = signal
        padded = fft2(padded, overwrite=True)
        out = module_of(signal).empty(self.grid.shape, dtype)
        of(signal).born_adjoint(padded, *self._geometry(), *rows, *self._constants(), out)
        del padded
        out = ifft2(out, overwrite=True)
        out *= 2 * self._scale
        return out

    def signal(self, intensity) -> np.ndarray:
        """I - 1, what the model predicts linearly; a fit compares in these terms."""
        return intensity - 1

    def signal_and_pullback(self, contrast, images=None):
        """Predicted signal, and the map from its gradient to that of the contrast."""
        return self.linear(contrast, images), lambda d: self.adjoint(d, images)

    def forward(self, contrast, images=None) -> np.ndarray:
        """Predicted intensities, shape (n, ny, nx)."""
        return 1 + self.linear(contrast, images)

    def vjp(self, contrast, d_intensity, images=None) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))``; the same at every contrast."""
        return self.adjoint(d_intensity, images)

    def forward_and_pullback(self, contrast, images=None):
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        return self.forward(contrast, images), lambda d: self.adjoint(d, images)

    def transfer(self, nu_y, nu_x, images=None) -> tuple[np.ndarray, np.ndarray]:
        """Transfer functions of Re and Im contrast at a list of frequencies.

        Parameters
        ----------
        nu_y, nu_x : array, shape (n,)
            Lateral frequencies [cycles/um].

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
        z = xp.asarray(self.grid.axis(0))
        weights = self._weights(images)
        out = xp.zeros((len(nu_y), len(weights), len(z)), np.complex64)
        for s in np.flatnonzero(weights.any(axis=0)):
            source = self._sources[s]
            nu2 = (nu_y + source[0]) ** 2 + (nu_x + source[1]) ** 2
            inside = xp.flatnonzero(nu2 <= microscope.cutoff**2)
            f = microscope.axial_frequency(nu2[inside])
            turns = (f - microscope.axial_frequency(source @ source))[:, None] * z
            a = (1j * self._scale / (4 * np.pi * f))[:, None] * np.exp(-2j * np.pi * turns)
            for m in np.flatnonzero(weights[:, s]):
                out[inside, m] += weights[m, s] * a
        return out

    def _weights(self, images):
        return self.illumination.weights(self.microscope, images) * self._bright

    def _rows(self, images):
        weights = self._weights(images)
        m, s = np.nonzero(weights)
        starts = np.zeros(len(weights) + 1, np.int64)
        np.cumsum(np.bincount(m, minlength=len(weights)), out=starts[1:])
        return starts, s.astype(np.int64), weights[m, s]

    def _geometry(self):
        return *self.grid.frequencies(), self._sources

    def _constants(self):
        scope = self.microscope
        return (
            scope.medium_index / scope.wavelength_um,
            scope.cutoff,
            self.grid.origin_um[0],
            self.grid.spacing_um[0],
        )


class Rytov(Born):
    """Rytov approximation: the linear operator of :class:`Born` predicts log I.

    With several sources in an image their first-order signals are added before the exponential.
    """

    name = "rytov"

    def signal(self, intensity) -> np.ndarray:
        """log I; nan for pixels too dark to have a meaningful logarithm."""
        return np.log(np.where(intensity > _DARK, intensity, np.nan))

    def forward(self, contrast, images=None) -> np.ndarray:
        """Predicted intensities ``exp(linear)``, shape (n, ny, nx)."""
        return np.exp(self.linear(contrast, images))

    def vjp(self, contrast, d_intensity, images=None) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))``."""
        return self.forward_and_pullback(contrast, images)[1](d_intensity)

    def forward_and_pullback(self, contrast, images=None):
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        intensity = self.forward(contrast, images)
        return intensity, lambda d: self.adjoint(d * intensity, images)

"""How images of the zoo come about: what light does in the sample, and what the camera does to it.

Two models, neither of which a fit would use as it is here: split-step non-paraxial propagation on voxels at
least twice as fine as the pixels, with slices of 0.2 wavelengths in the medium where the aperture is high,
and 0.4 at most, and, for small samples, the scalar Helmholtz equation in full by the convergent
Born series of Osnabrugge, Leedumrongwatthanakul and Vellekoop, J. Comput. Phys. 322, 113 (2016).

Intensities are over those of the empty field of a bright-field source of the same lamp; those of a dark-field
source are near 0.
"""

import numpy as np
from scipy import fft

from fieldrx.models import SSNP
from fieldrx.optics import Grid, Illumination, Microscope

_TOGETHER = 15  # sources of a march, and one on the axis
_LAYER_UM, _LAYER_LOSS = 3.0, 8.0  # absorbing frame of the full-wave box, and nepers lost across two of them


def bin_pixels(images, factor):
    """Means of factor x factor pixels: a camera integrates over each of its pixels."""
    n, ny, nx = images.shape
    return images.reshape(n, ny // factor, factor, nx // factor, factor).mean(axis=(2, 4))


def split_step(contrast, grid: Grid, fine: Microscope, sources_na, shape):
    """Intensities of single sources on the fine pixels, shape (n_sources, *shape).

    The model divides by the background, which a dark-field source lacks: it shines together with one on the
    axis, whose image is then taken off.
    """
    sources_na = np.asarray(sources_na, float)
    out = np.empty((len(sources_na), *shape), np.float32)
    for first in range(0, len(sources_na), _TOGETHER):
        part = sources_na[first : first + _TOGETHER]
        sources = np.concatenate([part, [[0.0, 0.0]]])
        dark = ~Illumination(sources).bright(fine)
        pattern = np.eye(len(sources))
        pattern[dark, -1] = 1.0
        pattern = pattern if dark.any() else pattern[:-1]
        images = SSNP(grid, fine, Illumination(sources, pattern), shape, edge="soft").forward(contrast)
        for k in range(len(part)):
            out[first + k] = images[k] - images[-1] if dark[k] else images[k]
    return np.maximum(out, 0)


# ---------------------------------------------------------------------------------------------
# Full wave


def full_wave(contrast, grid: Grid, fine: Microscope, sources_na, shape):
    """As `split_step`, from the Helmholtz equation.

    Against the exact sphere of tests/physics/sphere.py (radius 1.2 um, contrast 0.03, wavelength 0.515 um in
    1.335, NA 0.8, voxels of 0.075 um) `zoo.py check` finds errors of I - 1 of
    0.5 and 0.8 % with the sphere 2 um off focus (on the axis, at NA 0.6), 3.1 and 1.5 % in focus, where the
    signal on the axis is of second order only.  Split steps: 0.5 and 0.8 %, 3.9 and 1.6 %.
    """
    solver = _BornSeries(contrast, grid, fine)
    return np.stack([np.abs(solver.image(np.array(na), shape)) ** 2 for na in sources_na])


class _BornSeries:
    """psi <- psi - gamma (psi - G [U psi + S]), with U = k^2(r) - k0^2 - i eps, gamma = i U / eps.

    psi is the scattered wave and S = V times the incident one, so that the plane wave itself meets no border;
    G is 1 / (|p|^2 - k0^2 - i eps) in the Fourier domain.  Around the sample light fades in an absorbing
    frame.
    """

    def __init__(self, contrast, grid, fine):
        self.fine = fine
        self.k = fine.wavenumber * fine.medium_index
        box = _occupied(contrast)
        inner = contrast[box].astype(np.complex64)
        self.axes = [a[s] for a, s in zip(grid.axes, box, strict=True)]
        self.spacing = grid.spacing_um
        potential = fine.wavenumber**2 * (2 * fine.medium_index + inner) * inner
        frame = [int(np.ceil(_LAYER_UM / d)) for d in self.spacing]
        shape = [fft.next_fast_len(n + 2 * f) for n, f in zip(inner.shape, frame, strict=True)]
        self.inner = tuple(slice(f, f + n) for f, n in zip(frame, inner.shape, strict=True))
        self.potential = potential
        loss = _frame_loss(shape, self.inner) * (3 * _LAYER_LOSS * self.k / _LAYER_UM)
        total = (1j * loss).astype(np.complex64)
        total[self.inner] += potential
        self.eps = 1.02 * float(np.abs(total).max())
        self.u = total - np.complex64(1j * self.eps)
        p = [2 * np.pi * fft.fftfreq(n, d) for n, d in zip(shape, self.spacing, strict=True)]
        squared = p[0][:, None, None] ** 2 + p[1][:, None] ** 2 + p[2] ** 2
        self.g = (1 / (squared - self.k**2 - 1j * self.eps)).astype(np.complex64)

    def image(self, na, shape):
        """Field on the fine pixels over the incident wave; the scattered part alone in dark field."""
        nu, ball = na / self.fine.wavelength_um, self.fine.medium_index / self.fine.wavelength_um
        turns = [np.sqrt(ball**2 - nu @ nu), *nu]
        waves = [np.exp(2j * np.pi * t * a) for t, a in zip(turns, self.axes, strict=True)]
        incident = waves[0][:, None, None] * waves[1][:, None] * waves[2]
        radiating = self.potential * (incident + self._scattered(incident)[self.inner])
        field = self._to_camera(radiating, shape)
        if nu @ nu <= self.fine.cutoff**2:
            y, x = (np.exp(2j * np.pi * f * d * np.arange(n)) for f, d, n in zip(
                nu, self.spacing[1:], shape, strict=True))  # fmt: skip
            field = field + y[:, None] * x
        return field

    def _scattered(self, incident, tolerance=5e-4, most=400):
        source = np.zeros(self.u.shape, np.complex64)
        source[self.inner] = self.potential * incident
        gamma, psi, first = (1j / self.eps) * self.u, np.zeros_like(source), None
        for _ in range(most):
            step = fft.ifftn(self.g * fft.fftn(self.u * psi + source, workers=2), workers=2)
            step = gamma * (psi - step)
            psi -= step
            size = float(np.linalg.norm(step))
            first = first or size
            if size < tolerance * first:
                return psi
        raise RuntimeError(f"the Born series has not converged after {most} steps")

    def _to_camera(self, radiating, shape):
        """Sum of what every voxel radiates into the pupil, i / (2 kz) exp(-2 pi i nu . rho - i kz z)."""
        sizes = [2 * fft.next_fast_len(n + n // 2) for n in shape]  # so that what leaves the pupil fades
        nu_y, nu_x = (fft.fftfreq(n, d) for n, d in zip(sizes, self.spacing[1:], strict=True))
        cell = (sizes[0] * sizes[1] * self.spacing[1] * self.spacing[2]) ** -0.5
        radius = np.hypot(nu_y[:, None], nu_x)
        pupil = np.clip(0.5 + (self.fine.cutoff - radius) / cell, 0, 1)
        kz = 2 * np.pi * self.fine.axial_frequency(radius**2)
        spectrum = np.zeros(sizes, np.complex128)
        for z, plane in zip(self.axes[0], radiating, strict=True):
            spectrum += fft.fft2(plane, s=sizes, workers=2) * np.exp(-1j * kz * z)
        first = [np.exp(-2j * np.pi * nu * a[0]) for nu, a in zip((nu_y, nu_x), self.axes[1:], strict=True)]
        spectrum *= pupil * 0.5j / kz * self.spacing[0] * first[0][:, None] * first[1]
        return fft.ifft2(spectrum, workers=2)[: shape[0], : shape[1]]


def _occupied(contrast):
    """The smallest box with all contrast."""
    box = []
    for axis in range(3):
        some = np.flatnonzero(contrast.any(axis=tuple(k for k in range(3) if k != axis)))
        box.append(slice(some[0], some[-1] + 1))
    return tuple(box)


def _frame_loss(shape, inner):
    """0 within the box `inner`, rising smoothly to 1 at the far side of the frame."""
    ramps = []
    for n, s in zip(shape, inner, strict=True):
        k = np.arange(n)
        depth = np.maximum(s.start - k, k - s.stop + 1)
        ramps.append((np.clip(depth, 0, None) / max(s.start, n - s.stop)).clip(0, 1) ** 2)
    return np.maximum(np.maximum(ramps[0][:, None, None], ramps[1][:, None]), ramps[2])

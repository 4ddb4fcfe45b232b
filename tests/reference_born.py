"""The first-Born model written plainly in float64, one slice and one source at a time ."""

import numpy as np


def transfer(grid, microscope, source_na, z):
    """A(nu, z) without the scale of the potential, shape (ny, nx)."""
    lam, n0 = microscope.wavelength_um, microscope.medium_index
    nu_y = np.fft.fftfreq(grid.shape[1], grid.spacing_um[1])[:, None] + source_na[0] / lam
    nu_x = np.fft.fftfreq(grid.shape[2], grid.spacing_um[2])[None, :] + source_na[1] / lam
    inside = nu_y**2 + nu_x**2 <= (microscope.objective_na / lam * (1 + 1e-6)) ** 2
    kz = 2 * np.pi * np.sqrt(np.where(inside, (n0 / lam) ** 2 - nu_y**2 - nu_x**2, 1))
    kz_s = 2 * np.pi * np.sqrt((n0 / lam) ** 2 - (np.square(source_na) / lam**2).sum())
    return np.where(inside, 1j / (2 * kz) * np.exp(-1j * (kz - kz_s) * z), 0)


def signal(contrast, grid, microscope, sources_na, weights):
    """I - 1 of one image lit by several sources, on the whole lateral grid."""
    k0 = 2 * np.pi / microscope.wavelength_um
    potential = 2 * k0**2 * microscope.medium_index * contrast
    dz = grid.spacing_um[0]
    total = np.zeros(grid.shape[1:])
    for source, weight in zip(sources_na, weights, strict=True):
        spectrum = sum(
            dz * transfer(grid, microscope, source, z) * np.fft.fft2(v)
            for z, v in zip(grid.axis(0), potential, strict=True)
        )
        total += weight * 2 * np.fft.ifft2(spectrum).real
    return total / np.sum(weights)

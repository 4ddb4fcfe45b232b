"""Exact scattering of a plane wave by a homogeneous sphere (scalar partial waves), imaged through a pupil.

Written from the textbook, sharing no code with fieldrx.  Outside, psi = sum_l (2l+1) i^l [j_l + t_l h_l] P_l;
t_l follows from continuity of psi and dpsi/dr at the surface, and f = 1/(ik) sum_l (2l+1) t_l P_l(cos theta)
multiplies exp(ikr)/r.  Weyl's expansion of the spherical wave gives the spectrum (2 pi i / kz) f.
"""

import numpy as np
from scipy.special import eval_legendre, spherical_jn, spherical_yn


def partial_waves(radius, contrast, n0, wavelength):
    """t_l for l = 0 ... l_max."""
    k, k1 = 2 * np.pi * n0 / wavelength, 2 * np.pi * (n0 + contrast) / wavelength
    x, x1 = k * radius, k1 * radius
    order = np.arange(int(x + 4 * x ** (1 / 3)) + 8)
    j, dj = spherical_jn(order, x), spherical_jn(order, x, derivative=True)
    h = j + 1j * spherical_yn(order, x)
    dh = dj + 1j * spherical_yn(order, x, derivative=True)
    i, di = spherical_jn(order, x1), spherical_jn(order, x1, derivative=True)
    return -(k * dj * i - k1 * j * di) / (k * dh * i - k1 * h * di)


def scattering_amplitude(cosine, radius, contrast, n0, wavelength):
    """f(theta) [um]."""
    k = 2 * np.pi * n0 / wavelength
    t = partial_waves(radius, contrast, n0, wavelength)
    total = sum((2 * n + 1) * t[n] * eval_legendre(n, cosine) for n in range(len(t)))
    return total / (1j * k)


def sphere_field(shape, pixel, centre_zyx, source_na, radius, contrast, n0, wavelength, na, still=False):
    """Field behind the pupil over the unscattered wave, refocused to z = 0, on pixels of size `pixel`.

    The frequencies drawn are those of the FFT around the source's, or, where `still`, those of the FFT.
    """
    middle = (0.0, 0.0) if still else [s / wavelength for s in source_na]
    nu_y = np.fft.fftfreq(shape[0], pixel)[:, None] + middle[0]
    nu_x = np.fft.fftfreq(shape[1], pixel)[None, :] + middle[1]
    ball = n0 / wavelength
    inside = nu_y**2 + nu_x**2 <= (na / wavelength) ** 2
    nu_z = np.sqrt(np.where(inside, ball**2 - nu_y**2 - nu_x**2, 1.0))
    s_y, s_x = source_na[0] / wavelength, source_na[1] / wavelength
    s_z = np.sqrt(ball**2 - s_y**2 - s_x**2)
    cosine = np.clip((nu_y * s_y + nu_x * s_x + nu_z * s_z) / ball**2, -1, 1)
    f = np.zeros(inside.shape, complex)
    f[inside] = scattering_amplitude(cosine[inside], radius, contrast, n0, wavelength)
    z, y, x = centre_zyx
    shift = np.exp(-2j * np.pi * ((nu_z - s_z) * z + (nu_y - s_y) * y + (nu_x - s_x) * x))
    spectrum = np.where(inside, 1j / nu_z * f * shift, 0)  # 2 pi i / kz = i / nu_z
    row, column = np.arange(shape[0])[:, None] * pixel, np.arange(shape[1]) * pixel
    envelope = np.exp(-2j * np.pi * ((s_y - middle[0]) * row + (s_x - middle[1]) * column))
    return 1 + envelope * np.fft.ifft2(spectrum) / pixel**2


def sphere_intensity(*args, **kwargs):
    """Normalised intensity |1 + scattered|^2; arguments as :func:`sphere_field`."""
    return np.abs(sphere_field(*args, **kwargs)) ** 2


def sphere_contrast(axes, centre_zyx, radius, contrast, oversampling=4):
    """Voxels of the sphere on a grid with the given axes, by the share of sub-voxels inside."""
    fine = []
    for axis in axes:
        step = axis[1] - axis[0]
        offsets = (np.arange(oversampling) + 0.5) / oversampling - 0.5
        fine.append((axis[:, None] + offsets * step).ravel())
    z, y, x = (a - c for a, c in zip(fine, centre_zyx, strict=True))
    o = oversampling
    out = np.zeros([len(a) for a in axes])
    for i in range(len(axes[0])):
        r2 = z[i * o : (i + 1) * o, None, None] ** 2 + y[:, None] ** 2 + x**2
        inside = (r2 <= radius**2).mean(axis=0)
        out[i] = inside.reshape(len(axes[1]), o, len(axes[2]), o).mean(axis=(1, 3))
    return contrast * out

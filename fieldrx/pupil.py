"""Pupils with aberrations: Zernike phases, or a complex array."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import factorial

import numpy as np

from fieldrx.brief import brief
from fieldrx.errors import InputError


@brief
@dataclass(frozen=True, eq=False)
class Pupil:
    """Amplitude and phase inside the aperture, over ``rho = nu / (NA / lambda)`` up to 1.

    Parameters
    ----------
    zernike : array_like, shape (n,), optional
        Coefficients of the Zernike polynomials in ANSI / OSA order (0 piston, 1 tilt along y, 2 tilt along x,
        3 oblique astigmatism, 4 defocus, 5 astigmatism, 6 ...), each of unit root mean square over the disc,
        in radians of phase: P = exp(i sum_j c_j Z_j(rho)).
    array : complex array_like, shape (m, m), optional
        Samples on a regular grid over rho_y, rho_x from -1 to 1, both ends included, read with bilinear
        interpolation; instead of ``zernike``.

    Raises
    ------
    InputError
        If both are given, or a value or a shape does not make sense.
    """

    zernike: np.ndarray = field(default_factory=lambda: np.zeros(0))
    array: np.ndarray | None = None

    def __post_init__(self):
        zernike = np.array(self.zernike, np.float64)
        if zernike.ndim != 1 or not np.isfinite(zernike).all():
            raise InputError(f"zernike has shape {zernike.shape}; expected a list of finite coefficients")
        object.__setattr__(self, "zernike", zernike)
        if self.array is None:
            return
        array = np.array(self.array, np.complex128)
        if zernike.size:
            raise InputError("give a pupil's Zernike coefficients or its array, not both")
        if array.ndim != 2 or array.shape[0] != array.shape[1] or len(array) < 2:
            raise InputError(
                f"the pupil's array has shape {array.shape}; expected (m, m) with m of at least 2"
            )
        if not np.isfinite(array).all():
            raise InputError("the pupil's array has values that are not finite")
        object.__setattr__(self, "array", array)

    def value(self, rho: np.ndarray) -> np.ndarray:
        """P at points rho of shape (2, n), as (rho_y, rho_x); complex128, shape (n,)."""
        if self.array is None:
            used = np.flatnonzero(self.zernike)
            phase = sum((self.zernike[j] * zernike(int(j), *rho)[0] for j in used), np.zeros(rho.shape[1]))
            return np.exp(1j * phase)
        places, weights = self._corners(rho)
        return (self.array.ravel()[places] * weights).sum(axis=0)

    def slope(self, rho: np.ndarray) -> np.ndarray:
        """dP/drho_y and dP/drho_x, shape (2, n)."""
        if self.array is None:
            phase = np.zeros((2, rho.shape[1]))
            for j, coefficient in enumerate(self.zernike):
                if coefficient:
                    phase += coefficient * zernike(j, *rho)[1]
            return 1j * phase * self.value(rho)
        (places, _), (wy, wx) = self._corners(rho), self._fractions(rho)[1]
        step = 0.5 * (len(self.array) - 1)
        corner = self.array.ravel()[places]
        along_y = (1 - wx) * (corner[2] - corner[0]) + wx * (corner[3] - corner[1])
        along_x = (1 - wy) * (corner[1] - corner[0]) + wy * (corner[3] - corner[2])
        return step * np.stack([along_y, along_x])

    def vjp(self, rho: np.ndarray, d_value: np.ndarray) -> np.ndarray:
        """Gradient of the coefficients, or d/dRe + i d/dIm of the array, from that of the values."""
        if self.array is None:
            return self._modes(rho) @ (np.conj(d_value) * 1j * self.value(rho)).real
        places, weights = self._corners(rho)
        out = np.zeros(self.array.size, np.complex128)
        np.add.at(out, places, weights * d_value)
        return out.reshape(self.array.shape)

    @property
    def parameters(self) -> np.ndarray:
        """What `vjp` differentiates with respect to."""
        return self.zernike if self.array is None else self.array

    def _modes(self, rho):
        if not self.zernike.size:
            return np.zeros((0, rho.shape[1]))
        return np.stack([zernike(j, *rho)[0] for j in range(len(self.zernike))])

    def _fractions(self, rho):
        at = (np.clip(rho, -1, 1) + 1) * 0.5 * (len(self.parameters) - 1)
        first = np.minimum(at.astype(int), len(self.parameters) - 2)
        return first, at - first

    def _corners(self, rho):
        (y, x), (wy, wx) = self._fractions(rho)
        corner = y * len(self.parameters) + x
        places = corner + np.array([0, 1, len(self.parameters), len(self.parameters) + 1])[:, None]
        return places, np.stack([(1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx])


def zernike(j: int, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zernike polynomial of ANSI / OSA index `j` and its gradient along y and x.

    With j = (n (n + 2) + m) / 2 and unit root mean square over the disc (Thibos et al., J. Refract.
    Surg. 18, S652 (2002)), written as sum_k c_k r^(2 q_k) Re or Im (x + i y)^|m|: no singular point.
    """
    n = int(np.ceil((-3 + np.sqrt(9 + 8 * j)) / 2))
    m = 2 * j - n * (n + 2)
    order, z = abs(m), np.asarray(x) + 1j * np.asarray(y)
    squared = np.abs(z) ** 2
    norm = np.sqrt((n + 1) * (1 if m == 0 else 2))
    radial, d_radial = np.zeros(z.shape), np.zeros(z.shape)  # in powers of r^2
    for k in range((n - order) // 2 + 1):
        q = (n - order) // 2 - k
        c = (-1) ** k * factorial(n - k)
        c /= factorial(k) * factorial((n + order) // 2 - k) * factorial((n - order) // 2 - k)
        radial += c * squared**q
        if q:
            d_radial += c * q * squared ** (q - 1)
    part = np.imag if m < 0 else np.real
    angular = part(z**order)
    d_x, d_y = np.zeros(z.shape), np.zeros(z.shape)
    if order:
        d_x, d_y = part(order * z ** (order - 1)), part(1j * order * z ** (order - 1))
    along_y = 2 * np.imag(z) * d_radial * angular + radial * d_y
    along_x = 2 * np.real(z) * d_radial * angular + radial * d_x
    return norm * radial * angular, norm * np.stack([along_y, along_x])

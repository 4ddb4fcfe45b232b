"""Rytov: the first-order sum of `fieldrx.models.born`, read as log I."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fieldrx.backends import module_of
from fieldrx.models.born import Born

_DARK = 1e-2  # normalised intensity below which a logarithm is noise


class Rytov(Born):
    """Rytov approximation: the linear operator of :class:`Born` predicts log I.

    With several sources in an image their first-order signals are added before the exponential.
    """

    name = "rytov"

    def signal(self, intensity: np.ndarray) -> np.ndarray:
        """log I; nan for pixels too dark to have a meaningful logarithm."""
        return np.log(np.where(intensity > _DARK, intensity, np.nan))

    def intensity(self, signal: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`signal`, between exp(-10) and exp(10)."""
        return np.exp(signal.clip(-10, 10))

    def signal_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted signal, and the map from its gradient to that of the contrast."""
        linear = self.linear_signal(contrast, images)
        return self.signal_of_linear(linear, images), lambda d: self.adjoint(d, images)

    def signal_of_linear(self, linear: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """The signal, gains included, of images whose linear signal is given."""
        return linear + module_of(linear).log(self._gains(images, linear))

    def forward(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Predicted intensities ``gain exp(linear)``, shape (n, ny, nx)."""
        linear = self.linear_signal(contrast, images)
        return self._gains(images, linear) * np.exp(linear)

    def vjp(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))``."""
        return self.forward_and_pullback(contrast, images)[1](d_intensity)

    def forward_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        intensity = self.forward(contrast, images)

        def pullback(d_intensity):
            self._check_images(d_intensity, images)
            return self.adjoint(d_intensity * intensity, images)

        return intensity, pullback

    def _per_gain(self, linear, m):
        return np.exp(linear)

    def _intensity_slope(self, linear, m):
        return self.gain[m] * np.exp(linear)

    def signal_slopes(self, linear: np.ndarray, m: int) -> tuple[Any, np.ndarray]:
        """Derivatives of the signal of image m by its linear signal, and by its gain."""
        return 1.0, np.full(linear.shape, 1 / self.gain[m])

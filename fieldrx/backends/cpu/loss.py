"""What a fit compares: predicted and measured signals."""

from __future__ import annotations

import numpy as np


def squared_error(
    predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray, scale: float
) -> tuple[float, np.ndarray]:
    """A sum of squares and its gradient; see `fieldrx.backends.operators.Operators.squared_error`."""
    residual = np.where(valid, predicted - measured, np.float32(0))
    return scale * float(np.vdot(residual, residual)), residual * np.float32(2 * scale)

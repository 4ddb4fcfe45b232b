"""What a fit compares: predicted and measured signals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def squared_error(
    predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray, scale: float
) -> tuple[float, np.ndarray]:
    """A sum of squares and its gradient; see `fieldrx.backends.operators.Operators.squared_error`."""
    residual = np.where(valid, predicted - measured, np.float32(0))
    return scale * float(np.vdot(residual, residual)), residual * np.float32(2 * scale)


def measured(
    images: np.ndarray, mask: np.ndarray | None, numbers: np.ndarray | Sequence[int], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Some images less a level; see `fieldrx.backends.operators.Operators.measured`."""
    values = images[numbers] - np.float32(level)
    valid = np.isfinite(values)
    if mask is not None:
        valid &= mask[numbers]
    return np.where(valid, values, np.float32(1 - level)), valid

"""From micrometres to the network's coordinates, and from its outputs to index contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.backends import module_of, of

QUANTITIES = ("contrast", "permittivity")  # what outputs are: n - n0, or n^2 - n0^2


def normalised(axes: Sequence[np.ndarray], bounds_um: np.ndarray) -> list[np.ndarray]:
    """Coordinates in um to [-1, 1] over the domain: one float32 array per axis."""
    return [
        (2 * (of(a).asarray(a) - lo) / (hi - lo) - 1).astype(np.float32)
        for a, (lo, hi) in zip(axes, bounds_um, strict=True)
    ]


def to_contrast(outputs: np.ndarray, scale: float) -> np.ndarray:
    """Network outputs (1 or 2, ...) to complex64 contrast (...)."""
    return of(outputs).to_contrast(outputs, scale)


def from_permittivity(contrast: np.ndarray, medium_index: float) -> np.ndarray:
    """Index contrast n - n0 of a contrast of permittivity, n^2 - n0^2, without cancellation."""
    root = module_of(contrast).sqrt(medium_index**2 + contrast)
    return (contrast / (root + medium_index)).astype(contrast.dtype)

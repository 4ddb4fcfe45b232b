"""Fourier interpolation between lateral grids of one extent."""

from __future__ import annotations

import numpy as np


def resample(
    spectrum: np.ndarray, shape: tuple[int, int], turns: tuple[float, float], scale: float
) -> np.ndarray:
    """Frequencies moved to another grid; see `fieldrx.backends.operators.Operators.resample`."""
    out = np.zeros((len(spectrum), *shape), spectrum.dtype)
    ends, phases = [], []
    for n, m, t in zip(spectrum.shape[1:], shape, turns, strict=True):
        most = (min(n, m) - 1) // 2
        ends.append((slice(0, most + 1), slice(-most, None) if most else slice(0, 0)))
        phases.append([np.exp(2j * np.pi * k * t) for k in (np.arange(most + 1), np.arange(-most, 0))])
    phases[0] = [scale * phase for phase in phases[0]]
    for y, along_y in zip(ends[0], phases[0], strict=True):
        for x, along_x in zip(ends[1], phases[1], strict=True):
            ramp = (along_y[:, None] * along_x).astype(spectrum.dtype)
            np.multiply(spectrum[:, y, x], ramp, out=out[:, y, x])
    return out

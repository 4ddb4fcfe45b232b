"""Fourier interpolation between lateral grids of one extent."""

import numpy as np


def resample(spectrum, shape, turns, scale):
    """Move the frequencies that two grids share from one to the other, with a linear phase.

    ``out[z, k] = scale exp(2 pi i (k_y turns_y + k_x turns_x)) spectrum[z, k]`` for integer frequencies k
    below the Nyquist frequency of the coarser grid, 0 for others.

    Parameters
    ----------
    spectrum : complex, shape (nz, ny, nx)
        In the order of numpy.fft.
    shape : (int, int)
        Lateral shape of the result.
    turns : (float, float)
        Along y and x.
    scale : float

    Returns
    -------
    complex, shape (nz, *shape)
    """
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

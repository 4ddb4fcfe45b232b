"""Features of a tile of points, stored (feature, point), for encodings without parameters."""
# Kernels take many arguments, which read best in rows.
# fmt: off

import math

import numpy as np

from fieldrx.backends.compiler import CACHED, njit
from fieldrx.backends.cpu.simd import LANES, transpose_block

GIVEN, WAVES, ENCODED = 0, 1, 2


@njit(cache=CACHED, nogil=True, inline="always")
def sincos_turns(turns):
    """sin(2 pi t) and cos(2 pi t) in float32 for a float64 t, without branches.

    The reduction to |t| <= 1/2 is exact in float64, so the error stays below 4e-7 however large
    the phase.  The polynomials are minimax fits of sin(pi t) and cos(pi t); the angle is then
    doubled, which saves the choice of quadrant.
    """
    t = np.float32(turns - math.floor(turns + 0.5))
    q = t * t
    s = np.float32(0.07722012)
    s = s * q + np.float32(-0.59804517)
    s = s * q + np.float32(2.55003138)
    s = s * q + np.float32(-5.16770688)
    s = (s * q + np.float32(3.14159258)) * t
    c = np.float32(-0.0244207)
    c = c * q + np.float32(0.23495392)
    c = c * q + np.float32(-1.3352161)
    c = c * q + np.float32(4.0587096)
    c = c * q + np.float32(-4.93480216)
    c = c * q + np.float32(1)
    return np.float32(2) * s * c, np.float32(1) - np.float32(2) * s * s


@njit(cache=CACHED, nogil=True, fastmath={"contract"}, error_model="numpy")
def _wave(fz, fy, fx, z, y, x, sines, cosines):
    for i in range(z.size):
        sines[i], cosines[i] = sincos_turns(fz * z[i] + fy * y[i] + fx * x[i])


@njit(cache=CACHED, nogil=True)
def fill_waves(frequencies, sin_feature, cos_feature, zyx, n_points, features, pitch):
    """Write sin, cos(2 pi f.p) of all waves into a tile.

    Parameters
    ----------
    frequencies : (m, 3) float64
    sin_feature, cos_feature : (m,) int64
    zyx : (3, tile) float64
    features : flat float32, feature f of point i at f * pitch + i
    """
    z, y, x = zyx[0, :n_points], zyx[1, :n_points], zyx[2, :n_points]
    for wave in range(frequencies.shape[0]):
        s, c = sin_feature[wave] * pitch, cos_feature[wave] * pitch
        _wave(frequencies[wave, 0], frequencies[wave, 1], frequencies[wave, 2], z, y, x,
              features[s : s + n_points], features[c : c + n_points])


@njit(cache=CACHED, nogil=True)
def fill_given(given, start, count, features, pitch):
    """Copy rows start to start + count of `given`, (n, n_features), into a tile, transposed."""
    n_features = given.shape[1]
    flat = given.reshape(-1)
    whole_features, whole_points = n_features - n_features % LANES, count - count % LANES
    for i in range(0, whole_points, LANES):
        for f in range(0, whole_features, LANES):
            transpose_block(flat, (start + i) * n_features + f, n_features, features, f * pitch + i, pitch)
    for i in range(whole_points):
        for f in range(whole_features, n_features):
            features[f * pitch + i] = given[start + i, f]
    for i in range(whole_points, count):
        for f in range(n_features):
            features[f * pitch + i] = given[start + i, f]

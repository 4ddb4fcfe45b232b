"""What is left of an uneven background, told from the sample by the sample's own prediction.

A background that is estimated from an image takes the sample's slow part with it, and a lamp's unevenness
that the estimate missed looks like a sample.  Once images are predicted, both can be told apart: the measured
image m is the predicted one times a smooth surface,

    I_m  =  b_m I_p,m ,        b_m = 1 + sum_k c_mk P_k(y, x),

with the six products of Legendre polynomials up to second order.  The coefficients are those of least squares
for the prediction at hand, a 6 x 6 system an image.  Eliminated so (variable projection: Golub & Pereyra,
SIAM J. Numer. Anal. 10, 413 (1973)) they add no gradient of their own: where they are optimal, the
gradient of the least squared error is that with b held.

The slow part of an image is also where a sample's own slow part shows, weakly, and that must not be given
away to the surface.  A ridge on the coefficients shares it: on a simulated cell of 1.5 rad (5 x 5 directions,
NA 0.4) index errors were 0.66 and 0.70 (two seeds) without surfaces, 0.72 and 1.11 with free ones, 0.73 and
0.59 with the ridge where the background was known; 0.72 and 0.61, 0.84 and 0.91, and 0.67 for the second,
where it was uneven and estimated.  What this leaves open: a sample whose image is a smooth surface over the
whole frame.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends import module_of, of

_RIDGE = 0.3  # of a coefficient's square, over the power of an empty image; see above


def smooth_factor(
    predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """The smooth surface that takes predicted images closest to the measured ones.

    Parameters
    ----------
    predicted, measured : float arrays, shape (n, y, x)
        Intensities, on one device.
    valid : bool array, shape (n, y, x), optional
        Pixels to look at.

    Returns
    -------
    factor : float32 array, shape (n, y, x)
        b; positive, at least 0.1.
    penalty : float
        The ridge's part of the squared error that b minimises.
    """
    surface, penalty = _surface(predicted, measured - predicted, valid)
    return module_of(surface).maximum(1 + surface, np.float32(0.1)), penalty


def smooth_term(
    predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """The same of log intensities: the smooth surface that is added, log b to first order."""
    return _surface(module_of(predicted).ones_like(predicted), measured - predicted, valid)


def flattened(measured: np.ndarray, predicted: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Measured images (n, y, x) less the unevenness that predicted ones tell; parameters as above."""
    out = measured / smooth_factor(predicted, measured, valid)[0]
    return out if valid is None else module_of(out).where(valid, out, np.float32(1))


def _surface(weight, rest, valid):
    """sum_k c_k P_k with the coefficients that make its product with `weight` closest to `rest`, and the
    ridge's part of what they minimise."""
    xp, n, shape = module_of(weight), len(weight), weight.shape[1:]
    basis = of(weight).asarray(_surfaces(shape))
    if valid is not None:
        weight, rest = weight * valid, rest * valid
    columns = weight.reshape(n, 1, -1) * basis  # (n, 6, pixels)
    ridge = _RIDGE * basis.shape[1]
    gram, right = columns @ columns.swapaxes(1, 2), columns @ rest.reshape(n, -1, 1)
    gram = gram.astype(np.float64) + xp.asarray(ridge * np.eye(len(basis)))
    coefficients = xp.linalg.solve(gram, right.astype(np.float64))[..., 0]
    surface = (coefficients.astype(np.float32) @ basis).reshape(n, *shape)
    return surface, ridge * (coefficients**2).sum()


def _surfaces(shape):
    """The six surfaces at every pixel, each of mean square 1, shape (6, y x)."""
    y, x = (np.linspace(-1, 1, n)[:, None] if n > 1 else np.zeros((1, 1)) for n in shape)
    powers = [[np.ones_like(t), t, 1.5 * t**2 - 0.5] for t in (y, x)]
    orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    surfaces = np.stack([(powers[0][i] * powers[1][j].T).ravel() for i, j in orders])
    size = np.sqrt((surfaces**2).mean(axis=1, keepdims=True))
    return (surfaces / np.maximum(size, 1e-3)).astype(np.float32)

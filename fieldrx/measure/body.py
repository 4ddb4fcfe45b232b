"""One object as a body: its shape as the images, not the prior, tell it.

Of an object the images show what lies inside their band (`fieldrx.band`); what a field holds of it elsewhere,
above all how tall it is, comes from its prior.  So the field's own surface is but a first guess.  A body of
that shape, uniform inside, is grown by e along its normals and stretched by q along the light, and filled
with the one contrast that explains best what the field holds inside the band:

    minimise over e, q and c   | B (delta - c body(e, q)) |^2 / | B delta |^2 .

For a uniform body that determines height, volume and contrast, as its sharp edge is known from the images at
other angles.  Where the valley around the minimum is long, the images do not tell: bodies whose residual is
larger by no more than a tenth count as equally good, and how far any number moves over them is a standard
deviation (linear propagation over the ellipse of the quadratic minimum); half of the way from the field's own
surface to the body is another, since the first guess leaves its mark.

A body's occupancy o falls from 1 to 0 over some voxels around its surface, so that

    volume = sum o h^3 ,      surface = sum |grad o| h^3      (Federer's coarea formula)

know parts of voxels.  The contrast of what is not uniform is that of the images inside the band, and the
body's outside it.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy import ndimage, optimize

from fieldrx.band import Band

TOLERANCE = 0.1  # of the residual, by which bodies may be worse and still count
_WIDTH = 2.0  # of a surface [voxels]
_INSIDE = 0.3  # of the largest distance to the surface, beyond which the contrast is that of the inside
_SMOOTH = 1.0  # of the distance to the surface [voxels]: rough surfaces are too large
_LEAST, _MOST = (-0.5, 0.4), (1.0, 2.0)  # growth, as a share of the radius, and stretch along the light
_STEP = 0.02  # of growth, as a share of the radius, and of stretching, for derivatives


def half_way(contrast: np.ndarray, mask: np.ndarray) -> float:
    """Half of the contrast inside an object, the level of its surface.

    Parameters
    ----------
    contrast : float array, shape (z, y, x)
    mask : bool array, shape (z, y, x)
        Where the object is, roughly.
    """
    depth = ndimage.distance_transform_edt(mask)
    return 0.5 * float(np.median(contrast[depth >= _INSIDE * depth.max()]))


def signed_distance(contrast: np.ndarray, spacing_um: float, level: float) -> np.ndarray:
    """Distance to the surface where a contrast crosses a level, negative inside [um].

    Near the surface to parts of a voxel, from the slope of the contrast there.
    """
    inside = contrast > level
    away = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    distance = away - 0.5 * np.sign(away)
    slope = np.sqrt(sum(g**2 for g in np.gradient(contrast)))
    near = (np.abs(distance) < 1.0) & (slope > 0)
    distance[near] = np.clip((level - contrast[near]) / slope[near], -1.5, 1.5)
    smooth = ndimage.gaussian_filter(distance, _SMOOTH)
    round_ = 0.5 * _SMOOTH**2 * ndimage.laplace(smooth)  # by which smoothing shrinks what is curved
    return (smooth - round_) * spacing_um


def occupancy(distance: np.ndarray, spacing_um: float) -> np.ndarray:
    """Share of every point that lies inside, from the signed distance to the surface [um]."""
    return np.clip(0.5 - distance / (_WIDTH * spacing_um), 0, 1)


def volume_and_surface(inside: np.ndarray, spacing_um: float) -> tuple[float, float]:
    """Volume [um^3] and surface [um^2] of an occupancy."""
    slope = np.sqrt(sum(g**2 for g in np.gradient(inside)))
    return float(inside.sum()) * spacing_um**3, float(slope.sum()) * spacing_um**2


class BodyFit:
    """The fit of a body to an object.

    Parameters
    ----------
    contrast : float array, shape ``band.grid.shape``
        Of one object, 0 around it, positive inside.
    band : Band
        On a grid with one spacing along all axes.
    distance : float array, shape ``band.grid.shape``
        To the surface of the first guess, negative inside [um].
    """

    def __init__(self, contrast: np.ndarray, band: Band, distance: np.ndarray):
        self.band, self.spacing_um = band, band.grid.spacing_um[0]
        self.distance = distance - max(float(distance.min()) + self.spacing_um, 0.0)  # a voxel thick at least
        self.seen = band.inside(contrast)
        nx = contrast.shape[2]
        self._supported = band.supported[..., : nx // 2 + 1]
        twice = np.where(np.arange(nx // 2 + 1) * 2 % nx == 0, 1.0, 2.0)  # rows that stand for two
        self._weight = np.sqrt(np.broadcast_to(twice, self._supported.shape)[self._supported])
        self._spectrum = self._known(contrast)
        self._power = self._product(self._spectrum, self._spectrum)
        first = occupancy(self.distance, self.spacing_um)
        z = np.arange(first.shape[0])
        self._middle = float((first.sum(axis=(1, 2)) * z).sum() / max(first.sum(), 1e-9))
        self.radius_um = float(max(-self.distance.min(), self.spacing_um))

    def occupancy(self, growth: float, stretch: float) -> np.ndarray:
        """The first guess grown along its normals, by a share of its radius, and stretched along z.

        Within the least and most that are sensible.
        """
        growth, stretch = np.clip([growth, stretch], _LEAST, _MOST)
        z = self._middle + (np.arange(self.distance.shape[0]) - self._middle) / stretch
        low = np.clip(np.floor(z).astype(int), 0, len(z) - 2)
        part = np.clip(z - low, 0, 1)[:, None, None]
        distance = (1 - part) * self.distance[low] + part * self.distance[low + 1]
        return occupancy(distance - growth * self.radius_um, self.spacing_um)

    def body(self, growth: float, stretch: float) -> tuple[np.ndarray, np.ndarray]:
        """Occupancy of a body, and the object's contrast: the field's inside the band, the body's outside."""
        inside = self.occupancy(growth, stretch)
        uniform = self._explained(inside)[0] * inside
        return inside, self.seen + uniform - self.band.inside(uniform)

    def residual(self, shape: np.ndarray) -> float:
        """Squared share of what is seen that a body (growth, stretch) leaves unexplained."""
        beyond = shape - np.clip(shape, _LEAST, _MOST)
        return self._explained(self.occupancy(*shape))[1] + float(beyond @ beyond)

    def best(self, start: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
        """Growth and stretch of the body that explains best."""
        first = np.array([start, (start[0] + 0.08, start[1]), (start[0], start[1] - 0.12)])
        options = {"initial_simplex": first, "xatol": 2e-3, "fatol": 1e-6, "maxfev": 80}
        return optimize.minimize(self.residual, start, method="Nelder-Mead", options=options).x

    def freedom(self, best: np.ndarray) -> np.ndarray:
        """Covariance (2, 2) of growth and stretch over the bodies that explain about as well."""
        base, steps = self.residual(best), _STEP * np.eye(2)
        up, down = ([self.residual(best + s * e) for e in steps] for s in (1, -1))
        corner = [self.residual(best + s * steps[0] + t * steps[1]) for s in (1, -1) for t in (1, -1)]
        curve = np.diag([(a + b - 2 * base) / _STEP**2 for a, b in zip(up, down, strict=True)])
        curve[0, 1] = curve[1, 0] = (corner[0] - corner[1] - corner[2] + corner[3]) / (4 * _STEP**2)
        values, vectors = np.linalg.eigh(0.5 * curve)
        allowed = ((1 + TOLERANCE) ** 2 - 1) * base
        return (vectors * (allowed / np.maximum(values, allowed))) @ vectors.T  # to 1 at most

    def _explained(self, inside):
        """Contrast of the body that explains best, and the squared share that it leaves."""
        known = self._known(inside)
        power, common = self._product(known, known), self._product(self._spectrum, known)
        if not power > 0 or common <= 0:
            return 0.0, 1.0
        return common / power, max(1 - common**2 / (power * self._power), 0.0)

    def _known(self, values):
        return scipy.fft.rfftn(values)[self._supported] * self._weight

    def _product(self, a, b):
        return float(np.vdot(a, b).real)

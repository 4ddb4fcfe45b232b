"""Directions of the light from the spectra of the images.

The spectrum of an image lit from nu_s is bright within two discs of the pupil's radius, centred at +nu_s and
-nu_s, and dim outside (Eckert, Phillips, Waller, Applied Optics 57, 5434 (2018)).  All images show one
sample, so one map S(nu) of the log power inside the discs and one map O(nu) of that outside serve them
all, and an image tells directions apart by the log likelihood ratio

    Lambda(nu_s) = sum over nu in either disc of (S - O) (log power - (S + O) / 2) / sigma^2,

with sigma^2 = pi^2 / 6, the variance of the log of an exponentially distributed power (speckle).  O is taken
no further below S than twice the log of 2: the window blurs the discs, whose edge is at half their power.
That edge crosses hundreds of pixels, so the maximum is found much finer than one.  The sign of nu_s does not
show: plus and minus make the same pair of discs.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize

from fieldrx.backends.fft import taper
from fieldrx.board import Board, moved
from fieldrx.optics import Microscope

_VARIANCE = np.pi**2 / 6
_RADIUS_PIXELS = 40  # of the pupil in the binned spectrum
_WINDOW = 2.25  # pixels of a spectrum that a Hann window makes one independent value
_SAME = 2.0  # images' worth of trust in the means over rings, where few images see a frequency
_HALF_POWER = 2 * np.log(2)  # the most that S - O counts
_WORTH = 1.0  # that a step must gain in log likelihood, per squared pixel of its length
_TILT_FROM, _OBLIQUE_FROM = 12, 8  # images that it takes to fit a tilt, an oblique board
# How far boards are expected to be from what their tables say: rotation, scale, shift y, x (free), shear,
# unequal pitch, tilt y, x.
_EXPECTED = np.array([np.inf, np.inf, np.inf, np.inf, 0.005, 0.005, 0.015, 0.015])
_REACH = 2.3  # of the spectra, in radii of the pupil


class Spectra:
    """Log power spectra of images, over the half plane that says all about a real image.

    Parameters
    ----------
    images : float array, shape (n, ny, nx)
        Normalised intensities.
    microscope : Microscope

    Attributes
    ----------
    pixel_na : float
        Pixel of the images' spectra before any binning.
    """

    def __init__(self, images: np.ndarray, microscope: Microscope):
        self.radius = microscope.objective_na
        axes = [
            np.fft.fftshift(np.fft.fftfreq(n, microscope.pixel_size_um)) * microscope.wavelength_um
            for n in images.shape[1:]
        ]
        self.pixel_na = float(max(a[1] - a[0] for a in axes))
        keep, centres, bins = zip(
            *(_binned(a, self.radius, half) for a, half in zip(axes, (0, 1), strict=True)), strict=True
        )
        window = taper(images.shape[1:])
        shape = len(centres[0]), bins[0], len(centres[1]), bins[1]
        self.log_power = np.empty((len(images), shape[0], shape[2]), np.float32)
        for image, out in zip(images, self.log_power, strict=True):
            spectrum = np.fft.fftshift(np.fft.fft2((image - image.mean()) * window))
            power = np.abs(spectrum[np.ix_(*keep)]) ** 2
            log = np.log(np.maximum(power, 1e-12 * power.max() + 1e-300))
            out[...] = (log + np.euler_gamma).reshape(shape).mean(axis=(1, 3))
        self.y, self.x = (a.astype(np.float32) for a in np.meshgrid(*centres, indexing="ij"))
        self.pixel = float(max(c[1] - c[0] for c in centres))  # of the binned spectra
        self.ring = np.hypot(self.y, self.x)
        outside = self.ring > 2.1 * self.radius
        level = self.log_power[:, outside].mean(axis=1) if outside.sum() > 50 else self.log_power.min((1, 2))
        self.log_power -= level[:, None, None]
        np.maximum(self.log_power, -2, out=self.log_power)
        # the lowest frequencies hold the background's unevenness, and the sample's strongest scattering
        self.counts = (
            (self.ring > 4 * self.pixel_na) & ((self.x > 0) | (self.y > 0)) & (self.ring < 2.1 * self.radius)
        )
        self.independent = np.prod(bins) / _WINDOW

    def discs(self, na: np.ndarray, radius: float | None = None, softness: float = 1.0) -> np.ndarray:
        """Share of every pixel within either disc, shape (ny, nx), for one direction (na_y, na_x)."""
        radius = self.radius if radius is None else radius
        width = np.float32(softness * self.pixel)
        outside = np.ones_like(self.y)
        for sign in (1, -1):
            distance = np.hypot(self.y - np.float32(sign * na[0]), self.x - np.float32(sign * na[1]))
            outside = outside * np.clip(0.5 - (radius - distance) / width, 0, 1)
        return 1 - outside

    def blind_evidence(self) -> np.ndarray:
        """Evidence of the images without any knowledge of directions, from the spread over each ring."""
        bright, dim = self._rings(np.quantile, 0.85), self._rings(np.quantile, 0.15)
        return self._evidence(bright, dim)

    def evidence(self, directions: np.ndarray) -> np.ndarray:
        """Terms of Lambda for every image, shape (n, ny, nx), from S and O at about the right directions.

        Parameters
        ----------
        directions : array, shape (n, 2)
        """
        margin = 2 * self.pixel
        inside = np.stack([self.discs(na, self.radius - margin) for na in directions])
        outside = np.stack([1 - self.discs(na, self.radius + margin) for na in directions])
        return self._evidence(self._mean(inside), self._mean(outside))

    def _evidence(self, bright, dim):
        gap = np.where(self.counts, np.clip(bright - dim, 0, _HALF_POWER), 0)
        height = np.clip(self.log_power, bright - gap - 2, bright + 2) - bright + 0.5 * gap
        return (self.independent / _VARIANCE * gap * height).astype(np.float32)

    def _rings(self, statistic, *arguments):
        """A statistic over all images and the pixels of each ring, as an image."""
        number = (self.ring / self.pixel).astype(int)
        values = [
            statistic(self.log_power[:, number == k], *arguments) if (number == k).any() else 0.0
            for k in range(number.max() + 1)
        ]
        return np.array(values, np.float32)[number]

    def _mean(self, weights):
        """Weighted mean over the images, smoothed; the ring's mean where no image has weight."""
        number = (self.ring / self.pixel).astype(int).ravel()
        top, bottom = (weights * self.log_power).sum(axis=0), weights.sum(axis=0)
        ring = np.bincount(number, top.ravel()) / np.maximum(np.bincount(number, bottom.ravel()), 1e-6)
        top, bottom = gaussian_filter(top, 1.5), gaussian_filter(bottom, 1.5)
        return (top + _SAME * ring[number].reshape(top.shape)) / (bottom + _SAME)


class Discs(Protocol):
    """Spectra of whole images, or of their parts, that tell directions."""

    radius: float
    pixel_na: float

    def discs(self, na: np.ndarray, radius: float | None = None, softness: float = 1.0) -> np.ndarray:
        """Share of every pixel within either disc."""
        ...

    def evidence(self, directions: np.ndarray) -> np.ndarray:
        """Terms of Lambda for every image, in the shape of its discs."""
        ...


def likelihood(
    spectra: Discs,
    evidence: np.ndarray,
    directions: np.ndarray,
    softness: float = 1.0,
    radius: float | None = None,
) -> np.ndarray:
    """Lambda of every image at its direction, shape (n,)."""
    return np.array(
        [
            float(np.vdot(spectra.discs(na, radius, softness), e))
            for na, e in zip(directions, evidence, strict=True)
        ]
    )


def coarse_map(spectra: Spectra, evidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lambda of every image on a lattice of directions over half the pupil.

    Returns
    -------
    directions : array, shape (m, 2)
    values : array, shape (n, m)
    """
    step = spectra.radius / 14
    axis = np.arange(-15, 16) * step
    y, x = np.meshgrid(axis, axis[axis > -0.5 * step], indexing="ij")
    inside = (np.hypot(y, x) <= 1.04 * spectra.radius) & ((x > 0) | (y >= 0))
    directions = np.stack([y[inside], x[inside]], axis=1)
    masks = np.stack([spectra.discs(na, softness=2.0).ravel() for na in directions])
    return directions, evidence.reshape(len(evidence), -1) @ masks.T


def refine_each(
    spectra: Discs, evidence: np.ndarray, directions: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """The best direction of every image near a first one, by a pattern search to a twentieth of a pixel.

    Of the two directions that make the same pair of discs it is the one nearer to the first.

    Parameters
    ----------
    spectra : Discs
    evidence : array
        As of `Spectra.evidence`.
    directions : array, shape (n, 2)
    reach : float
        First step of the search (NA).

    Returns
    -------
    directions : array, shape (n, 2)
    likelihood : array, shape (n,)
    """
    best = np.array(directions, float)
    value = likelihood(spectra, evidence, best)
    step = np.full(len(best), float(reach))
    while (active := np.flatnonzero(step > 0.05 * spectra.pixel_na)).size:
        for k in active:
            trials = best[k] + step[k] * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
            found = [float(np.vdot(spectra.discs(na), evidence[k])) for na in trials]
            # where the spectrum says next to nothing the search would walk far for a trifle
            if max(found) > value[k] + _WORTH * (step[k] / spectra.pixel_na) ** 2:
                value[k], best[k] = max(found), trials[int(np.argmax(found))]
            else:
                step[k] *= 0.5
    mirrored = np.linalg.norm(best + directions, axis=1) < np.linalg.norm(best - directions, axis=1)
    best[mirrored] *= -1
    return best, value


def _binned(axis, radius, half):
    """Indices kept along an axis, the centres of bins, and pixels per bin."""
    step = axis[1] - axis[0]
    bins = max(1, int(radius / step / _RADIUS_PIXELS))
    keep = np.flatnonzero((np.abs(axis) < _REACH * radius) & (axis > (-0.5 * step if half else -np.inf)))
    keep = keep[: len(keep) // bins * bins]
    return keep, axis[keep].reshape(-1, bins).mean(axis=1), bins


def fit_board(
    spectra: Discs,
    table_na: np.ndarray,
    evidence: np.ndarray,
    start: Board,
    rounds: int = 3,
    softness: float = 4.0,
) -> tuple[Board, np.ndarray]:
    """The board that makes all images most likely together.

    Parameters
    ----------
    spectra : Discs
    table_na : array, shape (n, 2)
        What the table says of the images.
    evidence : array
        Of a first guess, as of `Spectra.evidence`.
    start : Board
    rounds : int
        How often a board is fitted, each time to the evidence at the one before.
    softness : float
        Width of the discs' edges in the first round, in pixels; one pixel later.

    Returns
    -------
    Board
    evidence : array
        Of the fitted board.
    """
    free = 4 if len(table_na) < _OBLIQUE_FROM else 6 if len(table_na) < _TILT_FROM else 8
    board, total = start, np.zeros(free)
    for k in range(rounds):

        def cost(step, base=board, now=evidence, width=softness if k == 0 else 1.0, so_far=total):
            there = moved(base, 0.01 * step).directions(table_na)
            odd = (so_far + 0.01 * step) / _EXPECTED[:free]
            return 0.5 * odd @ odd - likelihood(spectra, now, there, width).sum()

        options = {"maxiter": 3, "xtol": 0.02, "ftol": 1e-6}
        found = minimize(cost, np.zeros(free), method="Powell", options=options)
        board, total = moved(board, 0.01 * found.x), total + 0.01 * found.x
        evidence = spectra.evidence(board.directions(table_na))
    return board, evidence

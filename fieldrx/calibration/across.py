"""How directions change across the frame, from the spectra of its parts.

With tangents t = na / sqrt(1 - |na|^2) of the directions at the frame's centre, those at a place p are
t + p / d, where d is the distance of the board (`fieldrx.Illumination.at`): in every part of the frame the
board is shifted.  The shifts of all parts, each weighted by how sharply its own spectra tell it, are fitted
by one common shift and p / d; what is left over says how well d is known.

Spectra tell directions relative to the objective's aperture.  In an objective that is not telecentric the
aperture itself moves with the place, which adds to 1 / d and can turn its sign: light then seems to converge,
as d < 0 says.  To first order in the place that is the same, but for a shear of the sample along z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from fieldrx.board import Board, moved
from fieldrx.brief import brief
from fieldrx.calibration.circles import Spectra, likelihood
from fieldrx.optics import Microscope
from fieldrx.optics.illumination import shifted

PARTS = 3  # along each side of the frame
_FINEST = 24  # pixels of a part's spectra in the pupil's radius, below which directions are not looked for
_TOLD = 5.0  # standard errors from which a change counts
_STEP = 0.5  # pixels of a part's spectra, over which its likelihood is curved


class Parts:
    """Spectra of the parts of a frame, every one lit from the directions of its own place.

    Parameters
    ----------
    images : float array, shape (n, ny, nx)
        Normalised intensities of the whole frame.
    microscope : Microscope
    per_um : float
        1 / d: how much tangents of directions change across the frame [1/um].

    Attributes
    ----------
    spectra : list of Spectra
    places_um : array, shape (m, 2)
        Centres (y, x) of the parts, from that of the frame.
    """

    def __init__(self, images: np.ndarray, microscope: Microscope, per_um: float = 0.0):
        sides = [n // PARTS for n in images.shape[1:]]
        corners = [
            [(n - PARTS * side) // 2 + k * side for k in range(PARTS)]
            for n, side in zip(images.shape[1:], sides, strict=True)
        ]
        first = np.stack(np.meshgrid(*corners, indexing="ij"), axis=-1).reshape(-1, 2)
        self.spectra = [
            Spectra(images[:, y : y + sides[0], x : x + sides[1]], microscope) for y, x in first.tolist()
        ]
        middle = 0.5 * (np.array(images.shape[1:]) - sides)
        self.places_um = (first - middle) * microscope.pixel_size_um
        self.per_um = per_um
        self.radius, self.pixel_na = self.spectra[0].radius, self.spectra[0].pixel_na

    def discs(self, na: np.ndarray, radius: float | None = None, softness: float = 1.0) -> np.ndarray:
        """As `Spectra.discs` of every part for the direction `na` at the frame's centre, (m, ny, nx)."""
        there = (shifted(na, self.per_um * place) for place in self.places_um)
        return np.stack([s.discs(a, radius, softness) for s, a in zip(self.spectra, there, strict=True)])

    def evidence(self, directions: np.ndarray) -> np.ndarray:
        """As `Spectra.evidence` of every part, shape (n, m, ny, nx)."""
        there = (shifted(directions, self.per_um * place) for place in self.places_um)
        return np.stack([s.evidence(a) for s, a in zip(self.spectra, there, strict=True)], axis=1)


@brief
@dataclass(frozen=True)
class Turning:
    """How directions change across a frame.

    Parameters
    ----------
    per_um : float
        1 / d of sources at the distance d: change of the directions' tangents over the place [1/um].
    error : float
        Its standard error.
    """

    per_um: float
    error: float

    @property
    def told(self) -> bool:
        """Whether it stands out from noise."""
        return abs(self.per_um) >= _TOLD * self.error

    @property
    def of_a_board(self) -> bool:
        """Whether it stands out, and is such as sources ahead of the sample make."""
        return self.told and self.per_um > 0

    @property
    def distance_um(self) -> float:
        """Distance of the sources [um]; negative where light seems to converge behind the sample."""
        return 1 / self.per_um

    def reversed(self) -> Turning:
        """That of the reversed directions."""
        return Turning(-self.per_um, self.error)


def tells_turning(shape: Sequence[int], microscope: Microscope) -> bool:
    """Whether a frame of so many pixels has parts that are large enough."""
    pixel_na = microscope.wavelength_um / (min(shape) // PARTS * microscope.pixel_size_um)
    return microscope.objective_na >= _FINEST * pixel_na


def find_turning(parts: Parts, table_na: np.ndarray, board: Board) -> Turning:
    """Fit the change of directions across a frame.

    Parameters
    ----------
    parts : Parts
        With ``per_um`` = 0.
    table_na : array, shape (n, 2)
        What the table says of the images.
    board : Board
        That the whole frame shows.
    """
    found = [_shift_of(spectra, table_na, board) for spectra in parts.spectra]
    shifts, weights = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    if not (weights.sum(axis=0) > 0).all():
        return Turning(0.0, np.inf)
    centred = [a - (weights * a).sum(axis=0) / weights.sum(axis=0) for a in (parts.places_um, shifts)]
    places, shifts = centred
    leverage = (weights * places**2).sum()
    if not leverage > 0:
        return Turning(0.0, np.inf)
    per_um = float((weights * places * shifts).sum() / leverage)
    left = (weights * (shifts - per_um * places) ** 2).sum() / (weights.size - 3)
    return Turning(per_um, float(np.sqrt(left / leverage)))


def _shift_of(spectra, table_na, board):
    """By how much the board is shifted in one part (y, x), and the weights of both."""
    start = board.shift
    for _ in range(2):
        evidence = spectra.evidence(board.directions(table_na))

        def cost(shift, base=board, now=evidence):
            there = moved(base, np.array([0.0, 0.0, *(0.01 * np.asarray(shift))])).directions(table_na)
            return -likelihood(spectra, now, there).sum()

        options = {"maxiter": 4, "xtol": 0.02, "ftol": 1e-7}
        best = minimize(cost, np.zeros(2), method="Powell", options=options)
        board = moved(board, np.array([0.0, 0.0, *(0.01 * best.x)]))
    step = 100 * _STEP * spectra.pixel_na
    sharp = [cost(best.x + step * e) + cost(best.x - step * e) - 2 * best.fun for e in np.eye(2)]
    return board.shift - start, np.maximum(sharp, 0.0)

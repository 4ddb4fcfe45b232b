"""Corrections of one fit's optics: when, how far, and whether they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.comparison import ImagePairs, MeasuredImages
from fieldrx.metrics import levelled
from fieldrx.models import ForwardModel
from fieldrx.models.corrections import Optics
from fieldrx.optics import Grid
from fieldrx.refinement.equations import NormalEquations
from fieldrx.refinement.jacobian import Jacobian
from fieldrx.refinement.kinds import ELSEWHERE, ZERNIKE, parse_refine
from fieldrx.refinement.layout import Layout

FIRST, EVERY, LAST = 0.1, 0.1, 0.75  # shares of the fit: first correction, distance, none from here on
_OUTSIDE = 1.0001  # times the aperture, where a source is surely outside
_ROOM = 0.1  # share by which the held-out error may rise, as the field has yet to adapt to a correction


class Refinement:
    """Corrections of one fit's optics.

    Parameters
    ----------
    kinds : str or sequence of str
        Of `KINDS`; those `ELSEWHERE` are not corrected here.
    acquisition : Acquisition
    name : str
        Of the model.
    grid : Grid
    train, held : arrays of int
        Images to learn from, and those held out.
    start : Optics, optional
        Where to start from; those of the acquisition when not given.
    background : bool
        Whether a smooth factor of every image is open, see `fieldrx.shading`; it holds the brightness too.
    """

    def __init__(
        self,
        kinds: str | Sequence[str],
        acquisition: Acquisition,
        name: str,
        grid: Grid,
        train: np.ndarray,
        held: np.ndarray,
        start: Optics | None = None,
        background: bool = False,
    ):
        kinds = parse_refine(kinds) if kinds else ()
        self.kinds = tuple(kind for kind in kinds if kind not in ELSEWHERE)
        self.name, self.train, self.held = name, train, held
        start = Optics.of(acquisition.illumination) if start is None else start
        self.start = start.padded(max(ZERNIKE) + 1 if "pupil" in self.kinds else 0)
        self.acquisition, self.measured = acquisition, MeasuredImages.of(acquisition, background)
        self.layout = Layout(self.kinds, acquisition, train, self.start)
        self.jacobian = Jacobian(self.layout, acquisition, name, grid)
        self.equations = NormalEquations(self.jacobian, self.measured)

    def model(self, optics: Optics, **options: Any) -> ForwardModel:
        """The fit's model with these optics."""
        return self.jacobian.model(optics, **options)

    def due(self, share: float, corrections: int) -> bool:
        """Whether it is time for the next correction after so many, at a share of the fit."""
        return bool(self.kinds) and FIRST + EVERY * corrections <= share < LAST

    def judged(self, pairs: ImagePairs) -> ImagePairs:
        """Held-out images by whose error fields and corrections are chosen.

        Where intensities are refined, each image's own brightness, which nothing predicts, is taken out.
        """
        if "intensity" not in self.kinds:
            return pairs
        return replace(pairs, predicted=levelled(pairs.predicted, pairs.measured, pairs.valid))

    def improve(self, optics: Optics, contrast: np.ndarray, closed_form: bool = False) -> tuple[Optics, str]:
        """One correction at a contrast.

        Parameters
        ----------
        optics : Optics
        contrast : complex array, shape ``grid.shape``
        closed_form : bool
            The contrast is a closed-form inversion: directions stay, as it tells nothing of them.

        Returns
        -------
        Optics
            The corrected ones, or those that came.
        str
            What happened, in words.
        """
        normal, right, v = self.equations.at(optics, contrast)
        layout, width = self.layout, self.layout.width
        row = layout.pack(optics)
        normal = normal / v + np.diag(1 / width**2)
        right = right / v - (row - layout.pack(self.start)) / width**2
        free = np.ones(len(row), bool)
        if closed_form and "illumination" in layout.parts:
            free[layout.parts["illumination"]] = False
        row[free] += np.linalg.solve(normal[np.ix_(free, free)], right[free])
        trial = self.keep_inside(layout.unpack(layout.within_bounds(row), optics))
        before, after = self._held_error(optics, contrast), self._held_error(trial, contrast)
        words = self._words(trial)
        if after > (1 + _ROOM) * before:
            return optics, f"{words}: taken back, the held-out error rose from {before:.4f} to {after:.4f}"
        if not len(self.held):
            return trial, f"{words} (nothing is held out to check it)"
        return trial, f"{words}: held-out error {before:.4f} to {after:.4f}"

    def keep_inside(self, optics: Optics) -> Optics:
        """Sources inside the pupil stay inside, others outside: its edge makes or breaks a background."""
        scope = self.acquisition.microscope
        bright = self.acquisition.illumination.bright(scope)
        na = np.linalg.norm(optics.sources_na, axis=1)
        edge = np.where(bright, scope.objective_na, _OUTSIDE * scope.objective_na) / np.maximum(na, 1e-12)
        scale = np.where(bright, np.minimum(edge, 1.0), np.maximum(edge, 1.0))
        return replace(optics, sources_na=optics.sources_na * scale[:, None])

    def _held_error(self, optics, contrast):
        if not len(self.held):
            return 0.0
        return self.judged(self.measured.compare(self.model(optics), contrast, self.held)).sums.nrmse

    def _words(self, optics):
        words = []
        if "illumination" in self.kinds:
            moves = optics.sources_na - self.start.sources_na
            moves = np.linalg.norm(moves, axis=1)[self.layout.sources]
            words.append(f"directions by {np.median(moves):.4f} NA (median, at most {moves.max():.4f})")
        if "intensity" in self.kinds:
            words.append(f"intensities by {np.std(optics.gain[self.train]):.2%}")
        if "defocus" in self.kinds:
            words.append(f"focus by {optics.defocus_um:+.2f} um")
        if "pupil" in self.kinds:
            largest = max(ZERNIKE, key=lambda j: abs(optics.zernike[j]))
            words.append(f"Zernike term {largest} by {optics.zernike[largest]:+.3f} rad, others less")
        return f"refined {', '.join(words)}"

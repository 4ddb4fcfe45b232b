"""Predicted signals and their derivatives by the refined numbers: closed forms, or differences of marches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.models import ForwardModel
from fieldrx.models.corrections import Optics
from fieldrx.optics import Grid, Illumination
from fieldrx.refinement.kinds import ZERNIKE
from fieldrx.refinement.layout import Layout

_STEP = {"illumination": 5e-4, "pupil": 0.05}  # of differences; defocus: a twentieth of a depth of field


class Jacobian:
    """J = d signal / d theta of a fit's images.

    Parameters
    ----------
    layout : Layout
        Of theta.
    acquisition : Acquisition
    name : str
        Of the model.
    grid : Grid
    """

    def __init__(self, layout: Layout, acquisition: Acquisition, name: str, grid: Grid):
        self.layout, self.acquisition, self.name, self.grid = layout, acquisition, name, grid

    def model(self, optics: Optics, **options: Any) -> ForwardModel:
        """The fit's model with these optics."""
        acq = self.acquisition
        return optics.model(
            self.name, self.grid, acq.microscope, acq.illumination, acq.stack.shape[1:], **options
        )

    def images(
        self, model: ForwardModel, optics: Optics, contrast: np.ndarray, batch: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, list]]:
        """Images one by one.

        Parameters
        ----------
        model : ForwardModel
            Of the optics, see :meth:`model`.
        optics : Optics
        contrast : complex array, shape ``grid.shape``
        batch : int array
            Numbers of the images.

        Yields
        ------
        int
            Number of an image.
        float array, shape (ny, nx)
            Its predicted signal.
        list of (int, float array of shape (ny, nx))
            Place in the row, and derivative of the signal by what stands there, where it is not 0.
        """
        if model.linear:
            return self._closed_form(model, contrast, batch)
        return self._differences(model, optics, contrast, batch)

    def _closed_form(self, model, contrast, batch):
        parts = self.layout.parts
        for m, slopes in zip(batch, model.sensitivities(contrast, batch), strict=True):
            per_linear, per_gain = model.signal_slopes(slopes.linear, m)
            predicted = model.signal_of_linear(slopes.linear, m)
            columns = self._own(
                m, per_gain, {s: per_linear * along for s, (_, along) in slopes.sources.items()}
            )
            if "defocus" in parts:
                columns.append((parts["defocus"].start, per_linear * slopes.defocus))
            if "pupil" in parts:
                first = parts["pupil"].start
                columns += [(first + k, per_linear * slopes.pupil[j]) for k, j in enumerate(ZERNIKE)]
            yield m, predicted, columns

    def _differences(self, model, optics, contrast, batch):
        """One march per parameter; a source is moved towards the axis, so that it stays inside the pupil."""
        base = model.forward(contrast, batch)
        pattern = self.acquisition.illumination.pattern
        lit = np.flatnonzero(pattern[batch].any(axis=0))
        along = self._along(optics, contrast, lit) if "illumination" in self.layout.parts else {}
        shared = [
            (place, (self.model(changed).forward(contrast, batch) - base) / step)
            for place, changed, step in self._shared(optics)
        ]
        background = pattern[:, model.illumination.bright(model.microscope)].sum(axis=1)
        for k, m in enumerate(batch):
            share = optics.gain[m] * pattern[m] / background[m]
            by_source = {s: share[s] * along[s] for s in np.flatnonzero(pattern[m]) if s in along}
            columns = self._own(m, base[k] / optics.gain[m], by_source)
            yield m, base[k] - 1, columns + [(place, slope[k]) for place, slope in shared]

    def _shared(self, optics):
        """Place in the row, changed optics and step of the numbers that all images share."""
        parts = self.layout.parts
        if "defocus" in parts:
            step = 0.05 * self.layout.depth_of_field
            changed = replace(optics, defocus_um=optics.defocus_um + step)
            yield parts["defocus"].start, changed, step
        if "pupil" in parts:
            for k, j in enumerate(ZERNIKE):
                zernike = np.array(optics.zernike)
                zernike[j] += _STEP["pupil"]
                changed = replace(optics, zernike=zernike)
                yield parts["pupil"].start + k, changed, _STEP["pupil"]

    def _along(self, optics, contrast, sources):
        """Derivative of |E_s|^2 by the direction of each source, as a dictionary of (2, ny, nx)."""
        sources = np.intersect1d(sources, self.layout.sources)
        here = self._alone(optics.sources_na[sources], optics).forward(contrast)
        out = {s: np.empty((2, *here.shape[1:]), here.dtype) for s in sources}
        for axis in (0, 1):
            directions = optics.sources_na[sources].copy()
            step = np.where(directions[:, axis] > 0, -1.0, 1.0) * _STEP["illumination"]
            directions[:, axis] += step
            there = self._alone(directions, optics).forward(contrast)
            for k, s in enumerate(sources):
                out[s][axis] = (there[k] - here[k]) / step[k]
        return out

    def _alone(self, sources_na, optics):
        """A model with one image of each of these sources; differences need a pupil with a soft edge."""
        each = Optics(sources_na, np.ones(len(sources_na)), optics.defocus_um, optics.zernike)
        acq, light = self.acquisition, Illumination(sources_na)
        return each.model(self.name, self.grid, acq.microscope, light, acq.stack.shape[1:], edge="soft")

    def _own(self, m, per_gain, by_source):
        """Columns of image m's gain and of its sources' directions."""
        columns, parts, sources = [], self.layout.parts, self.layout.sources
        if "intensity" in parts:
            place = int(np.searchsorted(self.layout.train, m))
            columns.append((parts["intensity"].start + place, per_gain))
        if "illumination" in parts:
            for s, slopes in by_source.items():
                place = np.searchsorted(sources, s)
                if place < len(sources) and sources[place] == s:
                    first = parts["illumination"].start + 2 * int(place)
                    columns += [(first, slopes[0]), (first + 1, slopes[1])]
        return columns

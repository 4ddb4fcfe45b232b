"""The refined numbers of a fit in one row: what stands where, and how far it may be from its start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.models.corrections import Optics
from fieldrx.refinement.kinds import ZERNIKE

WIDTH = {"illumination": 0.002, "intensity": 0.03, "pupil": 0.3}  # NA, 1, rad; defocus: see `_widths`
_BOUND = 4.0  # widths from the start at which a parameter is held


class Layout:
    """A row of numbers for the kinds that are refined.

    Parameters
    ----------
    kinds : sequence of str
        Of `fieldrx.refinement.KINDS`, in the order of the row.
    acquisition : Acquisition
    train : int array
        Images to learn from.
    start : Optics
        Where the numbers start, and what is not refined.

    Attributes
    ----------
    sources : int array
        Those within the pupil that light an image to learn from; each has two numbers.
    parts : dict
        By kind: its slice of the row.
    width : float64 array, shape (n,)
        How far each number may be expected from its start.
    depth_of_field : float
        [um]
    """

    def __init__(self, kinds: tuple[str, ...], acquisition: Acquisition, train: np.ndarray, start: Optics):
        self.kinds, self.train, self.start = kinds, train, start
        scope = acquisition.microscope
        self.depth_of_field = scope.medium_index * scope.wavelength_um / scope.objective_na**2
        lit = acquisition.illumination.pattern[train].any(axis=0)
        self.sources = np.flatnonzero(lit & acquisition.illumination.bright(scope))
        self.parts = self._parts()
        self.width = self._widths()

    def _parts(self):
        sizes = {
            "illumination": 2 * len(self.sources),
            "intensity": len(self.train),
            "defocus": 1,
            "pupil": len(ZERNIKE),
        }
        parts, first = {}, 0
        for kind in self.kinds:
            parts[kind] = slice(first, first + sizes[kind])
            first += sizes[kind]
        return parts

    def _widths(self):
        width = np.empty(sum(p.stop - p.start for p in self.parts.values()))
        for kind, part in self.parts.items():
            width[part] = WIDTH.get(kind, 0.1 * self.depth_of_field)
        return width

    def pack(self, optics: Optics) -> np.ndarray:
        """The row of some optics, shape (n,)."""
        row = np.empty(len(self.width))
        values = {
            "illumination": optics.sources_na[self.sources].ravel(),
            "intensity": optics.gain[self.train],
            "defocus": optics.defocus_um,
            "pupil": np.asarray(optics.zernike)[list(ZERNIKE)] if "pupil" in self.kinds else (),
        }
        for kind, part in self.parts.items():
            row[part] = values[kind]
        return row

    def unpack(self, row: np.ndarray, optics: Optics) -> Optics:
        """The optics of a row; what it does not say is that of `optics`."""
        sources, gain = optics.sources_na.copy(), optics.gain.copy()
        defocus, zernike = optics.defocus_um, np.array(optics.zernike)
        for kind, part in self.parts.items():
            if kind == "illumination":
                sources = self.all_directions(row[part].reshape(-1, 2))
            elif kind == "intensity":
                gain[self.train] = row[part] * (self.start.gain[self.train].mean() / row[part].mean())
            elif kind == "defocus":
                defocus = float(row[part][0])
            else:
                zernike[list(ZERNIKE)] = row[part]
        return replace(optics, sources_na=sources, gain=gain, defocus_um=defocus, zernike=zernike)

    def all_directions(self, refined: np.ndarray) -> np.ndarray:
        """Directions of all sources: those refined, less a common shift; others as the board moves.

        Parameters
        ----------
        refined : float64 array, shape (len(sources), 2)

        Returns
        -------
        float64 array, shape (n_sources, 2)
        """
        nominal, out = self.start.sources_na, self.start.sources_na.copy()
        moves = refined - nominal[self.sources]
        moves -= moves.mean(axis=0)
        out[self.sources] += moves
        others = np.setdiff1d(np.arange(len(nominal)), self.sources)
        if len(others) and len(self.sources) >= 6:
            here, there = (np.c_[nominal[k], np.ones(len(k))] for k in (self.sources, others))
            out[others] += there @ np.linalg.lstsq(here, moves, rcond=None)[0]
        return out

    def within_bounds(self, row: np.ndarray) -> np.ndarray:
        """A row whose numbers stay within some widths of their start."""
        start = self.pack(self.start)
        return start + np.clip(row - start, -_BOUND * self.width, _BOUND * self.width)

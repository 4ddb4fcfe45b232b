"""Optics that are known better than an acquisition says them: directions, brightness, focus, aberrations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fieldrx.brief import brief
from fieldrx.models.base import ForwardModel
from fieldrx.models.registry import is_multislice, make_model
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.provenance import Provenance
from fieldrx.pupil import Pupil


@brief
@dataclass(frozen=True)
class Optics:
    """What of the optics may be known better than an acquisition says, as numbers.

    Parameters
    ----------
    sources_na : array, shape (n_sources, 2)
        Directions of the light, (na_y, na_x).
    gain : array, shape (n,)
        Brightness of every image over its background.
    defocus_um : float
        Height of the plane in focus [um].
    zernike : array
        Coefficients from ANSI index 0 on, as of `fieldrx.pupil.Pupil` [rad]; empty for none.
    edge : str
        Of the aperture, for models of multiple scattering: "hard" or "soft", see ``fieldrx.models.camera``.
    """

    sources_na: np.ndarray
    gain: np.ndarray
    defocus_um: float = 0.0
    zernike: np.ndarray = field(default_factory=lambda: np.zeros(0))
    edge: str = "hard"

    @classmethod
    def of(cls, illumination: Illumination) -> Optics:
        """Those that an acquisition says."""
        return cls(illumination.sources_na, np.ones(illumination.n_images), 0.0, np.zeros(0))

    def model(
        self,
        name: str,
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int],
        **options: Any,
    ) -> ForwardModel:
        """The model called ``name`` with these optics; ``illumination`` gives the pattern alone."""
        options |= {"gain": self.gain, "defocus_um": self.defocus_um}
        if len(self.zernike):
            options["pupil"] = Pupil(self.zernike)
        if self.edge != "hard" and is_multislice(name):
            options.setdefault("edge", self.edge)
        light = replace(illumination, sources_na=self.sources_na, distance_um=None)  # they hold here
        return make_model(name, grid, microscope, light, image_shape, **options)

    @classmethod
    def recorded(cls, provenance: Provenance, illumination: Illumination) -> Optics:
        """Those that a fit found, from its provenance; the illumination's where it refined nothing."""
        found = provenance.optics
        return cls.of(illumination) if found is None else cls.from_dict(found)

    def select(self, images: np.ndarray) -> Optics:
        """The same for some of the images."""
        return replace(self, gain=self.gain[images])

    def padded(self, count: int) -> Optics:
        """The same with at least ``count`` Zernike coefficients."""
        zernike = np.concatenate([self.zernike, np.zeros(max(0, count - len(self.zernike)))])
        sources, gain = np.array(self.sources_na, float), np.array(self.gain, float)
        return replace(self, sources_na=sources, gain=gain, zernike=zernike)

    def to_vector(self) -> np.ndarray:
        """All numbers in one row, for a checkpoint."""
        return np.concatenate([self.sources_na.ravel(), self.gain, [self.defocus_um], self.zernike])

    def with_vector(self, vector: np.ndarray) -> Optics:
        """Optics of the same shape from such a row."""
        n, m = self.sources_na.size, len(self.gain)
        sources, gain, rest = np.split(np.asarray(vector, float), [n, n + m])
        return replace(
            self, sources_na=sources.reshape(-1, 2), gain=gain, defocus_um=float(rest[0]), zernike=rest[1:]
        )

    def to_dict(self) -> dict:
        """Plain numbers, for provenance."""
        return {
            "sources_na": np.round(self.sources_na, 7).tolist(),
            "gain": np.round(self.gain, 6).tolist(),
            "defocus_um": round(self.defocus_um, 4),
            "zernike_rad": np.round(self.zernike, 5).tolist(),
            "edge": self.edge,
        }

    @classmethod
    def from_dict(cls, values: dict) -> Optics:
        """From provenance."""
        sources, gain = np.array(values["sources_na"], float), np.array(values["gain"], float)
        zernike, edge = np.array(values["zernike_rad"], float), values.get("edge", "hard")  # not in 0.1
        return cls(sources, gain, float(values["defocus_um"]), zernike, edge)

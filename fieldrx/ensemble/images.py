"""Images of the fields of an ensemble, under the model, the grid and the optics of the fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get
from fieldrx.band import Band, supported_band
from fieldrx.comparison import MeasuredImages, predicted_images
from fieldrx.field import NeuralField
from fieldrx.models import Optics, grid_for, spacing_of
from fieldrx.optics import Grid
from fieldrx.provenance import Provenance


@dataclass(frozen=True, eq=False)
class FitImages:
    """What images the fields of one fit make.

    Parameters
    ----------
    settings : Provenance
        Of the fit.
    acquisition : Acquisition
    device : str
        "cpu", "cuda" or "auto": where images are predicted; they come to the host.
    """

    settings: Provenance
    acquisition: Acquisition
    device: str = "auto"

    @property
    def grid(self) -> Grid:
        """The fit's grid."""
        acq = self.acquisition
        name, depth = self.settings.need("model"), self.settings.need("depth")
        return grid_for(name, acq.stack.shape[1:], acq.microscope, depth, spacing_of(self.settings))

    def band(self, images: np.ndarray) -> Band:
        """The band that some images support on the fit's grid."""
        return supported_band(self.grid, self.acquisition.microscope, self.acquisition.illumination, images)

    @property
    def measured(self) -> MeasuredImages:
        """The measured images, less what is left of their background where the fit refined that."""
        return MeasuredImages.of(self.acquisition, self.settings.background)

    def predicted(self, field: NeuralField, optics: Optics, images: np.ndarray) -> np.ndarray:
        """Images of a field under some optics, on the host, shape (n, y, x)."""
        acq, grid = self.acquisition, self.grid
        model = optics.model(
            self.settings.need("model"), grid, acq.microscope, acq.illumination, acq.stack.shape[1:]
        )
        contrast = field.on_axes(*map(get(self.device).asarray, grid.axes))
        return predicted_images(model, contrast, images, acq.stack)

    def unseen(self, member: NeuralField, images: np.ndarray) -> np.ndarray:
        """Images that a member never saw, predicted with the optics that it found for the others."""
        optics = Optics.recorded(member.provenance, self.acquisition.illumination)
        # nobody has seen the brightness of these images
        return self.predicted(member, replace(optics, gain=np.ones(self.acquisition.n_images)), images)

"""Models of light whose lamps are neither points nor of one wavelength: sums of models of those that are.

    I_m = sum_j v_j sum_s w_ms sum_k u_k |E_skj|^2 / background_m,

with points k of every lamp (`fieldrx.optics.lamps`) as sources of their own, and a model for each wavelength
j, whose frequencies, pupil and slices are those of that wavelength.  A point that the pupil does not let
through is dark field beside the others' bright field.  Models of single scattering add up what is linear in
the contrast instead.  The pupil's phase is taken as the same at all wavelengths, and so is the contrast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.models.base import ForwardModel, Gradients, OfIntensities, gain_of_images
from fieldrx.models.born import Born, Sensitivities
from fieldrx.models.multislice import MultiSlice
from fieldrx.models.rytov import Rytov
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.optics.lamps import spread
from fieldrx.resources import Need


class _Parts:
    """The models of all wavelengths, each of points, and how the lamps' numbers follow from theirs.

    Parameters
    ----------
    kind : type of ForwardModel
    grid, microscope, illumination, image_shape
        As of `fieldrx.models.make_model`; the illumination with lamps.
    defocus_um, gain
        As of the model.
    optics
        What else the model takes.
    """

    def __init__(
        self,
        kind: type[ForwardModel],
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int] | None,
        *,
        defocus_um: float = 0.0,
        gain: ArrayLike | None = None,
        **optics: Any,
    ):
        lamps, lit = illumination.lamps, illumination.pattern.any(axis=0)
        assert lamps is not None  # who asks for parts has them
        depth = float(np.abs(grid.axis(0) - defocus_um).max()) + 0.5 * grid.spacing_um[0]
        about = illumination.sources_na[lit], microscope, depth
        points, colours = lamps.points(*about), lamps.colours(*about)
        self.weights = points[:, 2]
        directions, self.slopes = spread(illumination.sources_na, points[:, :2])
        pattern = np.repeat(illumination.pattern, len(points), axis=1) * np.tile(self.weights, lit.size)
        light = Illumination(directions.reshape(-1, 2), pattern)
        # what is dark field by the lamps' centres is taken over all of their light
        bright = pattern[:, light.bright(microscope)].sum(axis=1)
        whole = illumination.dark(microscope) & (bright > 0)
        self.share = np.where(whole, bright / pattern.sum(axis=1), 1.0)
        optics |= {"defocus_um": defocus_um, "gain": self.share * gain_of_images(gain, illumination)}
        self.models: list[tuple[float, Any]] = [
            (weight, kind(grid, replace(microscope, wavelength_um=wavelength), light, image_shape, **optics))
            for wavelength, weight in colours
        ]

    def sum(self, of: Callable) -> Any:
        """Weighted sum over the wavelengths of an array that a function makes of a model."""
        (weight, model), *others = self.models
        total = weight * of(model)
        for weight, model in others:
            total += weight * of(model)
        return total

    def gradients(self, of: Callable) -> Gradients:
        """The lamps' gradients, from those that a function makes of a model, of their points."""
        found = [(weight, of(model)) for weight, model in self.models]
        total = {
            name: sum(weight * getattr(each, name) for weight, each in found)
            for name in ("contrast", "sources_na", "pattern", "gain", "defocus_um", "pupil")
        }
        n = len(self.slopes)
        total["sources_na"] = np.einsum("nka,nkab->nb", total["sources_na"].reshape(n, -1, 2), self.slopes)
        total["pattern"] = total["pattern"].reshape(-1, n, len(self.weights)) @ self.weights
        total["gain"] = total["gain"] * self.share
        return Gradients(**total)


class SumOfModels(OfIntensities):
    """A model of multiple scattering, of lamps; see the head of the module and `ForwardModel`."""

    linear = False

    @staticmethod
    def step_need(shape: tuple[int, int, int], n_images: int, n_waves: int) -> Need:
        """Memory of a step; the waves of one wavelength are kept at a time."""
        return MultiSlice.step_need(shape, n_images, n_waves)

    def __init__(
        self,
        kind: type[ForwardModel],
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int] | None = None,
        **optics: Any,
    ):
        self.parts = _Parts(kind, grid, microscope, illumination, image_shape, **optics)
        first = self.parts.models[0][1]
        self.name, self.grid, self.microscope, self.illumination = kind.name, grid, microscope, illumination
        self.image_shape, self.window = first.image_shape, first.window

    def forward(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Predicted intensities, shape (n, ny, nx)."""
        return self.parts.sum(lambda model: model.forward(contrast, images))

    def forward_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        *others, (weight, last) = self.parts.models
        intensity, last_back = last.forward_and_pullback(contrast, images)  # the one whose waves stay
        intensity = weight * intensity
        for share, model in others:
            intensity += share * model.forward(contrast, images)

        def pullback(d_intensity):
            total = weight * last_back(d_intensity)
            for share, model in others:
                total += share * model.vjp(contrast, d_intensity, images)
            return total

        return intensity, pullback

    def vjp(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))``, d/dRe + i d/dIm."""
        return self.parts.sum(lambda model: model.vjp(contrast, d_intensity, images))

    def gradients(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> Gradients:
        """Gradient of ``sum(d_intensity * forward(contrast))`` with respect to all parameters."""
        return self.parts.gradients(lambda model: model.gradients(contrast, d_intensity, images))


class BornOfLamps(Born):
    """First Born approximation, of lamps; see the head of the module."""

    def __init__(
        self,
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int] | None = None,
        **optics: Any,
    ):
        super().__init__(grid, microscope, illumination, image_shape, **optics)
        self.parts = _Parts(Born, grid, microscope, illumination, image_shape, **optics)

    def linear_signal(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """First-order signal, shape (n, ny, nx)."""
        self._refuse_dark(images)
        return self.parts.sum(lambda model: model.linear_signal(contrast, images))

    def adjoint(self, signal: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Adjoint of :meth:`linear_signal` for the real inner product, shape ``grid.shape``, complex."""
        self._refuse_dark(images)
        return self.parts.sum(lambda model: model.adjoint(signal, images))

    def transfer(
        self, nu_y: np.ndarray, nu_x: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Transfer functions of Re and Im contrast at a list of frequencies, as of :meth:`Born.transfer`."""
        self._refuse_dark(images)
        found = [(weight, model.transfer(nu_y, nu_x, images)) for weight, model in self.parts.models]
        real, imaginary = (sum(weight * pair[k] for weight, pair in found) for k in (0, 1))
        return real, imaginary

    def sensitivities(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> Iterator[Sensitivities]:
        """Derivatives of the linear signal of every image, by the lamps' optics; yields one each."""
        self._refuse_dark(images)
        shares, models = zip(*self.parts.models, strict=True)
        each = (model.sensitivities(contrast, images) for model in models)
        for parts in zip(*each, strict=True):
            weighted = list(zip(shares, parts, strict=True))
            yield Sensitivities(
                sum(w * part.linear for w, part in weighted),
                self._of_lamps(weighted),
                sum(w * part.defocus for w, part in weighted),
                sum(w * part.pupil for w, part in weighted),
            )

    def _of_lamps(self, weighted):
        """By lamp: its linear signal alone, and its derivative by the centre's direction."""
        count, weights, slopes = len(self.parts.weights), self.parts.weights, self.parts.slopes
        out: dict[int, tuple] = {}
        lamps = sorted({s // count for s in weighted[0][1].sources})
        for lamp in lamps:
            points = [k for k in range(count) if lamp * count + k in weighted[0][1].sources]
            bright = weights[points].sum()
            alone, along = np.zeros(self.image_shape), np.zeros((2, *self.image_shape))
            for share, part in weighted:
                for k in points:
                    one, by_direction = part.sources[lamp * count + k]
                    alone += share * weights[k] / bright * one
                    along += share * np.tensordot(slopes[lamp, k], by_direction, (0, 0))
            out[lamp] = alone, along
        return out

    def _refuse_dark(self, images):
        self.illumination.refuse_dark(self.microscope, images, self.name)


class RytovOfLamps(BornOfLamps, Rytov):
    """Rytov approximation, of lamps: all first-order signals are added before the exponential."""


def with_lamps(
    kind: type[ForwardModel],
    grid: Grid,
    microscope: Microscope,
    illumination: Illumination,
    image_shape: tuple[int, int] | None,
    **optics: Any,
) -> ForwardModel:
    """The model of a kind, for light that says what its lamps are."""
    linear: dict[type, type[BornOfLamps]] = {Born: BornOfLamps, Rytov: RytovOfLamps}
    if kind in linear:
        return linear[kind](grid, microscope, illumination, image_shape, **optics)
    return SumOfModels(kind, grid, microscope, illumination, image_shape, **optics)

"""What every image-formation model offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.backends import is_on_device, of
from fieldrx.brief import brief, times
from fieldrx.errors import InputError, expect
from fieldrx.optics import Grid, Illumination, Microscope, check_contrast
from fieldrx.optics.grid import pixels_of
from fieldrx.pupil import Pupil
from fieldrx.resources import Need

_BATCH = 16  # images predicted at once


@brief
@dataclass
class Gradients:
    """Gradient of a number with respect to everything that a model depends on.

    Parameters
    ----------
    contrast : complex, shape (nz, ny, nx)
    sources_na : float64, shape (n_sources, 2)
        With the pupil's edge held still, which a moving source crosses in jumps.
    pattern : float64, shape (n, n_sources)
        Of the weights of the chosen images, zero for others.
    gain : float64, shape (n,)
    defocus_um : float
    pupil : array
        Of the Zernike coefficients, or d/dRe + i d/dIm of the pupil's array.
    """

    contrast: np.ndarray
    sources_na: np.ndarray
    pattern: np.ndarray
    gain: np.ndarray
    defocus_um: float
    pupil: np.ndarray


class ForwardModel(Protocol):
    """Images of a refractive index contrast, and the way back for gradients.

    Contrasts are complex arrays of shape ``grid.shape``; intensities are real arrays of shape
    (n, ny, nx), normalised so that an empty sample gives 1.  `images` chooses rows of
    ``illumination.pattern``; None means all.  Gradients follow the convention d/dRe + i d/dIm.
    """

    name: str
    linear: bool  # whether the signal is linear in the contrast, so that it can be inverted in closed form
    grid: Grid
    microscope: Microscope
    illumination: Illumination
    image_shape: tuple[int, int]
    window: tuple[slice, slice]  # of the grid's pixels, that the images show

    def __init__(
        self,
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int] | None = None,
        **optics: Any,
    ): ...

    @staticmethod
    def step_need(shape: tuple[int, int, int], n_images: int, n_waves: int) -> Need:
        """Memory of predicting some images, of so many sources, and of the way back, on a grid."""

    def forward(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Predicted intensities."""

    def signal(self, intensity: np.ndarray) -> np.ndarray:
        """What a fit compares: intensities less 1 or a function of them; nan where it is undefined."""

    def intensity(self, signal: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`signal`, within what intensities can be."""

    def signal_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted signal, and the function that maps its gradient to that of the contrast."""

    def vjp(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))`` with respect to the contrast."""

    def forward_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted intensities, and the function that maps their gradient to that of the contrast."""

    def gradients(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> Gradients:
        """Of ``sum(d_intensity * forward(contrast))`` with respect to the contrast and all of the optics."""


class Geometry:
    """Where a model computes: the first arguments of all of them, and what a notebook shows of it."""

    if TYPE_CHECKING:  # set by who inherits it
        name: str
        grid: Grid
        microscope: Microscope
        illumination: Illumination
        image_shape: tuple[int, int]

    def __repr__(self):
        scope, spacing = self.microscope, ", ".join(f"{d:.4g}" for d in self.grid.spacing_um)
        return (
            f"{type(self).__name__}({self.name}: {self.illumination.n_images} images of "
            f"{times(self.image_shape)} pixels from {times(self.grid.shape)} voxels (z, y, x), {spacing} um "
            f"apart; wavelength {scope.wavelength_um:g} um, NA {scope.objective_na:g}, medium "
            f"{scope.medium_index:g})"
        )


def check_geometry(
    grid: object, microscope: object, illumination: object, image_shape: Sequence[int] | None, pupil: object
) -> tuple[int, int]:
    """Refuse first arguments of a model that are not what they should be; the images' shape.

    Raises
    ------
    InputError
    """
    order = "the order is grid, microscope, illumination, image_shape"
    whole = expect(grid, Grid, "grid", order).shape[1:]
    expect(microscope, Microscope, "microscope", order)
    expect(illumination, Illumination, "illumination", order)
    if pupil is not None:
        expect(pupil, Pupil, "pupil", "fieldrx.pupil.Pupil(coefficients) makes one from numbers")
    return pixels_of(whole if image_shape is None else image_shape)


class OfIntensities(Geometry, ABC):
    """What models of multiple scattering have in common: a fit compares their intensities as they are."""

    def signal(self, intensity: np.ndarray) -> np.ndarray:
        """I - 1; a fit compares in these terms."""
        return intensity - 1

    def intensity(self, signal: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`signal`."""
        return signal + 1

    @abstractmethod
    def forward_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """As of `ForwardModel`."""

    def signal_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted signal, and the map from its gradient to that of the contrast."""
        intensity, pullback = self.forward_and_pullback(contrast, images)
        return intensity - 1, pullback


def predict(
    model: ForwardModel, contrast: np.ndarray, images: ArrayLike
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predicted intensities of many images, a few at a time: yields (numbers, array)."""
    images = np.asarray(images)
    for first in range(0, len(images), _BATCH):
        batch = images[first : first + _BATCH]
        yield batch, model.forward(contrast, batch)


def as_complex(contrast: np.ndarray, grid: Grid, medium_index: float) -> np.ndarray:
    """The contrast as complex64, or complex128 where it came in double precision.

    Raises
    ------
    ValueError
        If its shape is not the grid's.
    InputError
        If it is the index itself; looked at on the host only, where nobody waits for it.
    """
    contrast = of(contrast).asarray(contrast)
    if contrast.shape != grid.shape:
        raise ValueError(
            f"contrast has shape {contrast.shape}; expected the grid's {grid.shape}, which Grid.for_images "
            "makes wider than the images (margin_um=0 does not): Volume.on_axes(*grid.axes) brings a volume "
            "there"
        )
    if not is_on_device(contrast):
        check_contrast(contrast, medium_index)
    double = contrast.dtype in (np.float64, np.complex128)
    return contrast.astype(np.complex128 if double else np.complex64, copy=False)


def check_images(d_intensity: np.ndarray, count: int, image_shape: tuple[int, int]) -> None:
    """Refuse what would broadcast to images without being them.

    Raises
    ------
    ValueError
        If it is not one image of `image_shape` pixels for each of `count` images.
    InputError
        If it is complex.
    """
    if np.iscomplexobj(d_intensity):
        raise InputError("d_intensity is complex; expected real numbers, as intensities are: take its .real")
    expected = count, *image_shape
    if np.shape(d_intensity) != expected:
        raise ValueError(
            f"d_intensity has shape {np.shape(d_intensity)}; expected {expected}, one value per pixel of "
            "every image that was asked for"
        )


def gain_of_images(gain: ArrayLike | None, illumination: Illumination) -> np.ndarray:
    """Brightness of every image over its background, float64; 1 where none is given.

    Raises
    ------
    InputError
        If it is not one number per image.
    """
    gain = np.ones(illumination.n_images) if gain is None else np.array(gain, np.float64)
    if gain.shape != (illumination.n_images,):
        raise InputError(f"gain has shape {gain.shape}; expected one per image")
    return gain

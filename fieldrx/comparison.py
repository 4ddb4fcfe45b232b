"""Measured images beside predicted ones: what every judgement of a field, or of its optics, starts from.

Predictions meet the measured images on one device, masked pixels count nowhere, and where a smooth factor of
every image is open (`fieldrx.shading`) the measured images are divided by the one that the prediction tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import is_on_device, module_of, of, to_host
from fieldrx.metrics import ErrorSums, error_sums
from fieldrx.models import ForwardModel, predict
from fieldrx.resources import Need
from fieldrx.shading import flattened


@dataclass(frozen=True, eq=False)
class ImagePairs:
    """Predicted and measured images, all on one device.

    Parameters
    ----------
    predicted, measured : float arrays, shape (n, y, x)
        Normalised intensities; measured ones less the smooth factor, where that is open.
    valid : bool array, shape (n, y, x), optional
        Pixels that count; all when not given.
    """

    predicted: np.ndarray
    measured: np.ndarray
    valid: np.ndarray | None = None

    @property
    def sums(self) -> ErrorSums:
        """Of squares of the residual and the signal, per image, which add up over parts of the images."""
        return error_sums(self.predicted, self.measured, self.valid)

    @property
    def residual(self) -> np.ndarray:
        """Measured less predicted, 0 where a pixel does not count, shape (n, y, x)."""
        return self.masked(self.measured - self.predicted)

    @property
    def n_valid(self) -> int:
        """How many pixels count, at least 1."""
        return max(self.measured.size if self.valid is None else int(self.valid.sum()), 1)

    def masked(self, values: np.ndarray) -> np.ndarray:
        """Values (n, y, x), 0 where a pixel does not count."""
        return values if self.valid is None else module_of(values).where(self.valid, values, 0)

    def of_valid(self, values: np.ndarray) -> np.ndarray:
        """Values (n, y, x) of the pixels that count, in a row."""
        return values.ravel() if self.valid is None else values[self.valid]


def images_need(n_images: int, shape: tuple[int, int]) -> Need:
    """Memory of an acquisition's images, as they came and normalised; `shape` is of the padded plane."""
    return Need("images", held=8.0 * n_images * shape[0] * shape[1])


@dataclass(frozen=True, eq=False)
class MeasuredImages:
    """Images that predictions are compared with, on the host or on a device.

    Parameters
    ----------
    images : float32 array, shape (n, y, x)
        Normalised intensities.
    mask : bool array, shape (n, y, x), optional
        Pixels that count; all when not given.
    background : bool
        Whether a smooth factor of every image is open, see `fieldrx.shading`.
    dark : bool array, shape (n,), on the host, optional
        Images in dark field, which have no background and no such factor; none when not given.
    """

    images: np.ndarray
    mask: np.ndarray | None = None
    background: bool = False
    dark: np.ndarray | None = None

    @classmethod
    def of(cls, acquisition: Acquisition, background: bool | None = False) -> MeasuredImages:
        """Those of an acquisition, on the host."""
        return cls(acquisition.stack, acquisition.mask, bool(background), ~acquisition.lit)

    def compare(self, model: ForwardModel, contrast: np.ndarray, images: np.ndarray) -> ImagePairs:
        """Some images beside those that a model predicts, where these images are.

        Parameters
        ----------
        model : ForwardModel
        contrast : complex array, shape ``model.grid.shape``
        images : int array, shape (m,)
            Their numbers, on the host.
        """
        return self.beside(predicted_images(model, contrast, images, self.images), images)

    def beside(
        self, predicted: np.ndarray, images: np.ndarray, defined: np.ndarray | None = None
    ) -> ImagePairs:
        """Some images beside given ones, where those are.

        Parameters
        ----------
        predicted : float array, shape (m, y, x)
        images : int array, shape (m,)
            Their numbers.
        defined : bool array, shape (m, y, x), optional
            Pixels that count beside the mask, as others say nothing.
        """
        there = of(predicted)
        measured, valid = there.asarray(_some(self.images, images)), defined
        if self.mask is not None:
            mask = there.asarray(_some(self.mask, images))
            valid = mask if defined is None else defined & mask
        if self.background:
            level = flattened(measured, predicted, valid)
            dark = np.zeros(len(images), bool) if self.dark is None else self.dark[to_host(images)]
            whole = there.asarray(dark)[:, None, None]
            measured = module_of(level).where(whole, measured, level) if dark.any() else level
        return ImagePairs(predicted, measured, valid)


def predicted_images(
    model: ForwardModel, contrast: np.ndarray, images: np.ndarray, like: np.ndarray
) -> np.ndarray:
    """Images that a model predicts, a few at a time.

    Parameters
    ----------
    model : ForwardModel
    contrast : complex array, shape ``model.grid.shape``
        Where it is the model computes.
    images : int array, shape (m,)
        Their numbers.
    like : array
        The result is where this is.

    Returns
    -------
    float array, shape (m, y, x)
        Of the precision of the contrast.
    """
    out = module_of(like).empty((len(images), *model.image_shape), contrast.real.dtype)
    first = 0
    for batch, part in predict(model, contrast, images):
        out[first : first + len(batch)] = part if is_on_device(like) else to_host(part)
        first += len(batch)
    return out


def _some(array, images):
    """Some rows; without a copy where they are all rows in order."""
    if len(images) == len(array) and np.array_equal(to_host(images), np.arange(len(array))):
        return array
    return array[of(array).asarray(images)]

"""Errors against measured images, and against a known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldrx.brief import brief
from fieldrx.errors import InputError


@brief
@dataclass(frozen=True, eq=False)
class ErrorSums:
    """Sums over the valid pixels of every image of a set, of which relative errors are made.

    Parts of a set add up, wherever they were computed: with 0 for images of other parts (`among`), sums and
    errors are the same to the last bit however the set was divided.

    Parameters
    ----------
    residual : float64 array, shape (n,)
        Of (I_predicted - I_measured)^2.
    signal : float64 array, shape (n,)
        Of (I_measured - 1)^2.
    pixels : int64 array, shape (n,)
        How many are valid.
    """

    residual: np.ndarray
    signal: np.ndarray
    pixels: np.ndarray

    def __add__(self, other: ErrorSums) -> ErrorSums:
        return ErrorSums(
            self.residual + other.residual, self.signal + other.signal, self.pixels + other.pixels
        )

    def among(self, places: np.ndarray, count: int) -> ErrorSums:
        """The same in some places of a set of `count` images, 0 in the others."""
        wide = [np.zeros(count, part.dtype) for part in (self.residual, self.signal, self.pixels)]
        for whole, part in zip(wide, (self.residual, self.signal, self.pixels), strict=True):
            whole[places] = part
        return ErrorSums(*wide)

    @property
    def nrmse(self) -> float:
        """|I_predicted - I_measured| / |I_measured - 1| over all images; nan without a signal."""
        return _ratio(self.residual.sum(), self.signal.sum())

    @property
    def nrmse_per_image(self) -> np.ndarray:
        """The same of every image, shape (n,)."""
        return np.array([_ratio(r, s) for r, s in zip(self.residual, self.signal, strict=True)])


def error_sums(
    predicted: np.ndarray, measured: np.ndarray, mask: np.ndarray | None = None, amplitudes: bool = False
) -> ErrorSums:
    """Sums of squares of predicted and measured intensities, all on one device.

    Parameters
    ----------
    predicted, measured : arrays, shape (n, y, x)
        Normalised intensities.
    mask : bool array, shape (n, y, x), optional
        Valid pixels.
    amplitudes : bool
        Compare amplitudes instead, sqrt(I), where the signal is all of them; negative intensities count as 0.
    """
    count, empty = len(measured), 0 if amplitudes else 1
    residual, signal, pixels = np.empty(count), np.empty(count), np.empty(count, np.int64)
    for k in range(count):
        valid = 1.0 if mask is None else mask[k]
        here, there = predicted[k], measured[k]
        if amplitudes:
            here, there = here.clip(0, None) ** 0.5, there.astype(np.float64).clip(0, None) ** 0.5
        residual[k] = float((valid * (here - there).astype(np.float64) ** 2).sum())
        signal[k] = float((valid * (there - empty).astype(np.float64) ** 2).sum())
        pixels[k] = measured[k].size if mask is None else int(mask[k].sum())
    return ErrorSums(residual, signal, pixels)


def image_errors(
    predicted: np.ndarray, measured: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Relative error of predicted intensities over the measured window.

    ``nrmse = |I_predicted - I_measured| / |I_measured - 1|`` with norms over the valid pixels.

    Parameters
    ----------
    predicted, measured, mask
        As of :func:`error_sums`.

    Returns
    -------
    overall : float
        With norms over all images; nan when no image has a valid pixel.
    per_image : float array, shape (n,)
        nan for an image without a valid pixel.
    """
    sums = error_sums(predicted, measured, mask)
    return sums.nrmse, sums.nrmse_per_image


def amplitude_errors(
    predicted: np.ndarray, measured: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Relative error of amplitudes, ``|sqrt(I_predicted) - sqrt(I_measured)| / |sqrt(I_measured)|``.

    It is defined in dark field, too, where an empty sample, which predicts nothing, has an error of 1.

    Parameters
    ----------
    predicted, measured, mask
        As of :func:`error_sums`; negative intensities count as 0.

    Returns
    -------
    overall, per_image
        As of :func:`image_errors`.
    """
    sums = error_sums(predicted, measured, mask, amplitudes=True)
    return sums.nrmse, sums.nrmse_per_image


def levelled(predicted: np.ndarray, measured: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Predicted images (n, y, x), each times the number that brings it closest to the measured one."""
    valid = 1.0 if mask is None else mask
    level = (valid * predicted * measured).sum((1, 2)) / (valid * predicted**2).sum((1, 2))
    return predicted * level[:, None, None]


def index_error(contrast: np.ndarray, true_contrast: np.ndarray) -> float:
    """``index_nrmse = |n - n_true| / |n_true - n0|``, norms over the voxels given.

    Raises
    ------
    InputError
        If the shapes differ or the truth is empty.
    """
    contrast, true_contrast = np.asarray(contrast), np.asarray(true_contrast)
    if contrast.shape != true_contrast.shape:
        raise InputError(f"contrast has shape {contrast.shape}; expected the truth's {true_contrast.shape}")
    norm = np.linalg.norm(true_contrast.ravel().astype(np.complex128))
    if norm == 0:
        raise InputError("the truth has no contrast anywhere: there is nothing to compare with")
    return float(np.linalg.norm((contrast - true_contrast).ravel().astype(np.complex128)) / norm)


def _ratio(error, signal):
    return float(np.sqrt(error / signal)) if signal > 0 else float("nan")

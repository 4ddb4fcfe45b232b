"""Errors against measured images, and against a known truth."""

from __future__ import annotations

import numpy as np

from fieldrx.errors import InputError


def image_errors(predicted, measured, mask=None):
    """Relative error of predicted intensities over the measured window.

    ``nrmse = |I_predicted - I_measured| / |I_measured - 1|`` with norms over the valid pixels.

    Parameters
    ----------
    predicted, measured : arrays, shape (n, y, x)
        Normalised intensities.
    mask : bool array, shape (n, y, x), optional
        Valid pixels.

    All three on one device.

    Returns
    -------
    overall : float
        With norms over all images; nan when no image has a valid pixel.
    per_image : float array, shape (n,)
        nan for an image without a valid pixel.
    """
    error, signal = np.empty(len(measured)), np.empty(len(measured))
    for k in range(len(measured)):
        valid = 1.0 if mask is None else mask[k]
        error[k] = float((valid * (predicted[k] - measured[k]).astype(np.float64) ** 2).sum())
        signal[k] = float((valid * (measured[k] - 1).astype(np.float64) ** 2).sum())
    return _ratio(error.sum(), signal.sum()), np.array(
        [_ratio(e, s) for e, s in zip(error, signal, strict=True)]
    )


def levelled(predicted, measured, mask=None):
    """Predicted images (n, y, x), each times the number that brings it closest to the measured one."""
    valid = 1.0 if mask is None else mask
    level = (valid * predicted * measured).sum((1, 2)) / (valid * predicted**2).sum((1, 2))
    return predicted * level[:, None, None]


def index_error(contrast, true_contrast) -> float:
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

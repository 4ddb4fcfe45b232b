"""What a fit minimises: the distance of predicted from measured images, with its gradient.

=========  ====================================================  =============================================
loss       of a pixel with prediction p and measurement m         when
=========  ====================================================  =============================================
squared    (s_p - s_m)^2, s the signal: I - 1 (log I for Rytov)  clean images, the default in bright field
huber      a^2 to abs(a) = t, beyond it 2 t abs(a) - t^2, with   dirt, saturated or hot pixels that no mask
           a = A(I_p) - A(I_m), A(I) = sqrt(I)                   knows: beyond t a pixel pulls no harder; the
                                                                 default with dark field
poisson    2 n [I_p - J + J log(J / I_p)], n photons,            few photons: the deviance, twice the
           J = I_m, both I plus read noise^2 / n                 log-likelihood lost against a perfect fit
=========  ====================================================  =============================================

The square root of a photon count has the same noise everywhere (1/2 of a photon's root), which is why
Huber's threshold is taken there, and why images of all brightnesses may be added: one of 0.002 counts as its
photons deserve.  Below a floor, I = 0.05, A goes on along its tangent: the root has no slope at 0 and
no value below, where a linear model may predict, and no pixel shall pull harder there than t / sqrt(0.05).
Dark-field images lie below all that: with them the floor is their noise, and t is at most three times an
image's own amplitude, so that stray light and hot pixels stay bounded there too.

For the Poisson likelihood read noise of r electrons is added as r^2 photons to both, which keeps mean and
variance right (the shifted Poisson model; Snyder, Hammoud, White, J. Opt. Soc. Am. A 10, 1014 (1993)).
A fit divides every loss by that of an empty sample, so 1 means that nothing is explained yet.

Only the arrays' own functions and ufuncs are used: CuPy arrays work like NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fieldrx.errors import InputError
from fieldrx.noise import noise_floor

if TYPE_CHECKING:
    from fieldrx.acquisition import Acquisition
    from fieldrx.models import ForwardModel

_DARK = 1e-3  # intensity below which a logarithm is continued by its tangent parabola
_DIM = 0.05  # and a square root by its tangent
_BEYOND = 3.0  # times an image's amplitude, that an error of a pixel cannot be
_LEAST_FLOOR = 1e-5  # of intensities, where images seem to hold no noise


class Loss(Protocol):
    """What every loss has."""

    empty: float  # prediction of an empty sample

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for files."""

    def measured(self, model: ForwardModel, intensity: np.ndarray) -> np.ndarray:
        """What the prediction is compared with."""

    def predict(
        self, model: ForwardModel, contrast: np.ndarray, images: np.ndarray
    ) -> tuple[np.ndarray, Callable]:
        """Prediction, and the map from its gradient to that of the contrast."""

    def value_and_gradient(
        self, predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sum over the valid pixels, and its gradient with respect to `predicted`; all of one shape."""


@dataclass(frozen=True)
class SquaredError:
    """Squared error of the signal, which is what the model predicts linearly."""

    empty = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {"kind": "squared"}

    def measured(self, model: ForwardModel, intensity: np.ndarray) -> np.ndarray:
        """The signal."""
        return model.signal(intensity)

    def predict(
        self, model: ForwardModel, contrast: np.ndarray, images: np.ndarray
    ) -> tuple[np.ndarray, Callable]:
        """Predicted signal, and the map from its gradient to that of the contrast."""
        return model.signal_and_pullback(contrast, images)

    def value_and_gradient(
        self, predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As of `Loss`."""
        residual = (predicted - measured) * valid
        return (residual * residual).sum(dtype=np.float64), 2 * residual


@dataclass(frozen=True)
class _OfIntensities:
    """Losses that compare intensities, whatever the model predicts linearly."""

    empty = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {"kind": type(self).__name__.lower(), **asdict(self)}

    def measured(self, model: ForwardModel, intensity: np.ndarray) -> np.ndarray:
        """The intensities themselves."""
        return intensity

    def predict(
        self, model: ForwardModel, contrast: np.ndarray, images: np.ndarray
    ) -> tuple[np.ndarray, Callable]:
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        return model.forward_and_pullback(contrast, images)


@dataclass(frozen=True)
class Huber(_OfIntensities):
    """Squared error of amplitudes up to a threshold, growing linearly beyond it.

    Parameters
    ----------
    threshold : float
        Of the amplitude, sqrt(I), in units of the empty field's.
    floor : float
        Intensity below which the amplitude goes on along its tangent.
    """

    threshold: float
    floor: float = _DIM

    def __post_init__(self):
        _positive("Huber's threshold", self.threshold)
        _positive("Huber's floor", self.floor)

    def value_and_gradient(
        self, predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As of `Loss`."""
        at_prediction, slope = _amplitude(predicted, self.floor)
        error = (at_prediction - _amplitude(measured, self.floor)[0]) * valid
        threshold = self._thresholds(measured, valid)
        inner = error.clip(-threshold, threshold)
        value = (inner * (2 * error - inner)).sum(dtype=np.float64)
        return value, 2 * inner * slope

    def _thresholds(self, measured, valid):
        """The threshold, less in images so dark that no error could be as large."""
        if measured.ndim < 3:
            return self.threshold
        count = valid.sum(axis=(-2, -1), keepdims=True).clip(1, None)
        mean = (np.sqrt(measured.clip(self.floor, None)) * valid).sum(axis=(-2, -1), keepdims=True) / count
        return (_BEYOND * mean).astype(measured.dtype).clip(None, self.threshold)


@dataclass(frozen=True)
class Poisson(_OfIntensities):
    """Deviance of photon counts, twice the loss of log-likelihood against a perfect prediction.

    Parameters
    ----------
    photons : float
        Photons per pixel of the empty field: the camera's gain times its counts there.
    read_noise : float
        Standard deviation of the camera's own noise [photons].
    floor : float
        Intensity below which the logarithm goes on as a parabola, if that is a photon or more.
    """

    photons: float
    read_noise: float = 0.0
    floor: float = _DARK

    def __post_init__(self):
        _positive("photons", self.photons)
        if not (np.isfinite(self.read_noise) and self.read_noise >= 0):
            raise InputError(f"read noise is {self.read_noise:g} photons; expected a number >= 0")
        _positive("the floor", self.floor)

    def value_and_gradient(
        self, predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As of `Loss`."""
        offset = self.read_noise**2 / self.photons
        # below the floor, or a photon, the logarithm goes on as its tangent parabola
        floor = max(self.floor, 1 / self.photons)
        target = measured.clip(0, None) + offset
        intensity = predicted + offset
        safe = intensity.clip(floor, None)
        below = (intensity - floor) * (intensity < floor)
        ratio = target / safe
        log = np.log(ratio.clip(1e-30, None)) - below / safe + 0.5 * (below / safe) ** 2
        value = (intensity - target + target * log) * valid
        slope = (1 - ratio + ratio * below / safe) * valid
        return 2 * self.photons * value.sum(dtype=np.float64), 2 * self.photons * slope


def _amplitude(intensity, floor):
    """A(I) of Huber's loss, and its slope."""
    root = np.sqrt(intensity.clip(floor, None))
    slope = 0.5 / root
    return root + slope * (intensity - floor).clip(None, 0), slope


def make_loss(text: str | dict[str, Any], acquisition: Acquisition, images: np.ndarray) -> tuple[Loss, str]:
    """A loss by its name, with numbers estimated from the images where it gives none.

    Parameters
    ----------
    text : str or dict
        "squared"; "huber", "huber:THRESHOLD" or "huber:THRESHOLD:FLOOR"; "poisson", "poisson:PHOTONS",
        "poisson:PHOTONS:READ_NOISE" or "poisson:PHOTONS:READ_NOISE:FLOOR"; "auto", which is huber where some
        images are in dark field, else squared; or what ``to_dict`` of a loss gave.
    acquisition : Acquisition
    images : array of int
        Those that may be looked at.

    Returns
    -------
    Loss
    note : str
        What was estimated; "" if nothing was.

    Raises
    ------
    InputError
        If there is no such loss, or a number does not make sense.
    """
    if isinstance(text, dict):
        text = ":".join(str(value) for value in text.values())
    dark = ~acquisition.lit[np.asarray(images)]
    bright, dark = np.asarray(images)[~dark], np.asarray(images)[dark]
    if text == "auto":
        text = "huber" if len(dark) else "squared"
    name, *parts = str(text).split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = [np.nan]
    most = {"squared": 0, "huber": 2, "poisson": 3}.get(name, -1)
    if len(numbers) > most or not np.isfinite(numbers).all():
        raise InputError(
            f'loss "{text}" is none of auto, squared, huber[:THRESHOLD[:FLOOR]], '
            "poisson[:PHOTONS[:READ_NOISE[:FLOOR]]]"
        )
    if name == "squared":
        return SquaredError(), ""
    if name == "huber":
        if numbers:
            return Huber(*numbers), ""
        threshold, floor = _spread(acquisition, bright), _floor(acquisition, dark, _DIM)
        note = f"Huber's threshold {threshold:.3g}: the typical amplitude of the signal"
        return Huber(threshold, floor), note + _of_floor(floor, dark)
    if numbers:
        return Poisson(*numbers), ""
    sigma = noise_floor(acquisition, bright).sigma
    if not sigma > 0:
        raise InputError("the images do not tell their noise: give the photons a pixel, poisson:PHOTONS")
    photons, floor = 1 / sigma**2, _floor(acquisition, dark, _DARK)
    note = f"{photons:.4g} photons a pixel, from the noise of the images"
    return Poisson(photons, floor=floor), note + _of_floor(floor, dark)


def _floor(acquisition, dark, usual):
    """Noise of the dark-field images; the usual floor where that is less, or where there are none."""
    if not len(dark):
        return usual
    sigma = noise_floor(acquisition, dark).sigma
    return float(np.clip(sigma, _LEAST_FLOOR, usual)) if np.isfinite(sigma) else usual


def _of_floor(floor, dark):
    return (
        f"; roots of intensities down to {floor:.2g}, the noise of {len(dark)} dark images"
        if len(dark)
        else ""
    )


def _spread(acquisition, images):
    """Robust standard deviation of the amplitude signal sqrt(I) - 1; its plain one where that is 0."""
    values = []
    for k in images:
        amplitude = np.sqrt(acquisition.stack[k].clip(0, None)) - 1
        values.append(amplitude.ravel() if acquisition.mask is None else amplitude[acquisition.mask[k]])
    together = np.concatenate(values)
    return float(1.4826 * np.median(np.abs(together))) or float(together.std()) or 1.0


def _positive(name, value):
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name} is {value:g}; expected a positive number")

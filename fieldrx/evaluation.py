"""Predicted against measured images, and a field against a known truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fieldrx.acquisition import Acquisition, require_images
from fieldrx.backends import get
from fieldrx.comparison import MeasuredImages
from fieldrx.errors import InputError, expect
from fieldrx.field import NeuralField
from fieldrx.field.sampled import Sampled
from fieldrx.io.plain import json_number
from fieldrx.metrics import amplitude_errors, image_errors, index_error
from fieldrx.models import ForwardModel, Optics, grid_for, is_multislice, spacing_of
from fieldrx.noise import NoiseFloor, noise_floor
from fieldrx.optics import Illumination, Microscope
from fieldrx.volume import Volume

EMPTY = 0.95  # relative error of unseen images from which an empty sample would do
UNTESTED = "no image was held out: nothing tests this field"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted beside measured images.

    Parameters
    ----------
    acquisition : Acquisition
    model : ForwardModel
    contrast : complex64 array
        The field on the model's grid.
    predicted : float32 array, shape (n, y, x)
        1 for images that cannot be used.
    usable, held : int arrays
        Images in bright field that count, and those of them that the fit did not see.
    noise : NoiseFloor
        Of the usable images.
    dark, dark_held : int arrays
        The same of images in dark field, where the model predicts these.
    """

    acquisition: Acquisition
    model: ForwardModel
    contrast: np.ndarray
    predicted: np.ndarray
    usable: np.ndarray
    held: np.ndarray
    noise: NoiseFloor
    dark: np.ndarray
    dark_held: np.ndarray

    def error(self, images: np.ndarray) -> tuple[float, np.ndarray]:
        """``nrmse`` over some images, and of each: see `image_errors`."""
        acq = self.acquisition
        mask = None if acq.mask is None else acq.mask[images]
        return image_errors(self.predicted[images], acq.stack[images], mask)

    def amplitude_error(self, images: np.ndarray) -> tuple[float, np.ndarray]:
        """That of amplitudes over some images, in bright or in dark field, and of each: see
        `fieldrx.metrics.amplitude_errors`."""
        mask = None if self.acquisition.mask is None else self.acquisition.mask[images]
        return amplitude_errors(self.predicted[images], self.acquisition.stack[images], mask)

    def amplitude_floor(self, images: np.ndarray) -> float:
        """What noise alone makes of the amplitude error over some images; nan where it is unknown.

        Noise of variance v in I moves sqrt(I) by sqrt(v / 4 I); as v of photons grows with I, v / I is taken
        as that of means.
        """
        mean = np.maximum(self._means(images), 1e-12)
        variance = noise_floor(self.acquisition, images).per_image ** 2
        known = np.isfinite(variance)
        if not known.any():
            return float("nan")
        return float(np.sqrt((variance / (4 * mean))[known].sum() / mean[known].sum()))

    def _means(self, images):
        """Mean intensity over the valid pixels of some images, shape (n,)."""
        mask = self.acquisition.mask
        return np.array([
            np.mean(np.maximum(self.acquisition.stack[k], 0), where=True if mask is None else mask[k])
            for k in images
        ])  # fmt: skip

    def noise_of(self, images: np.ndarray) -> NoiseFloor:
        """The noise of some of the images."""
        return noise_floor(self.acquisition, images)

    def signal(self, images: int | np.ndarray) -> float:
        """Root mean square of I - 1 over the valid pixels of an image, or of several."""
        valid = True if self.acquisition.mask is None else self.acquisition.mask[images]
        return float(np.sqrt(np.mean((self.acquisition.stack[images] - 1.0) ** 2, where=valid)))


def compare(
    field: Sampled, acquisition: Acquisition, model: str | None = None, device: str = "auto"
) -> Comparison:
    """Predict the images of an acquisition; parameters and errors as of :func:`evaluate`."""
    require_images(acquisition, "compare with")
    optics = None  # what was refined on other images says nothing of these
    if same_images(field, acquisition):
        optics = Optics.recorded(field.provenance, acquisition.illumination)
    setup = acquisition.microscope, acquisition.illumination, acquisition.stack.shape[1:]
    name, forward, contrast = model_of(field, *setup, model, device, optics)
    usable, seen = np.flatnonzero(acquisition.usable), acquisition.predictable(is_multislice(name))
    if not len(usable):
        raise InputError("no image can be compared: every one is masked or dark field")
    measured = MeasuredImages.of(acquisition, field.provenance.background)
    pairs = measured.compare(forward, contrast, seen)
    predicted = _placed(pairs.predicted, seen, np.broadcast_to(np.float32(1), acquisition.stack.shape))
    if measured.background:
        acquisition = replace(acquisition, images=_placed(pairs.measured, seen, acquisition.images))
    dark, unseen = np.setdiff1d(seen, usable), held_out(field, acquisition)
    held, dark_held = (np.intersect1d(unseen, part) for part in (usable, dark))
    noise = noise_floor(acquisition, usable)
    return Comparison(acquisition, forward, contrast, predicted, usable, held, noise, dark, dark_held)


def _placed(part, images, whole):
    """`part` in the places of some images, those of `whole` in all others."""
    if len(part) == len(whole):
        return part
    out = np.array(whole)
    out[images] = part
    return out


def evaluate(
    field: NeuralField,
    acquisition: Acquisition,
    truth: Volume | None = None,
    model: str | None = None,
    device: str = "auto",
) -> dict:
    """Errors of a field as JSON-ready numbers.

    Parameters
    ----------
    field : NeuralField
    acquisition : Acquisition
        With images.
    truth : Volume, optional
    model : str, optional
        Image formation; the one the field was fitted with when not given.
    device : str
        "cpu", "cuda" or "auto".

    Returns
    -------
    dict
        Of images in bright field: ``nrmse`` over all usable ones and ``nrmse_per_image``; ``nrmse_holdout``
        over the images that the fit did not see, where there are any, and ``nrmse_train`` over the rest;
        ``noise_floor``, below which no prediction of these images (of the unseen ones:
        ``noise_floor_holdout``) can come, ``noise_floor_per_image`` (null where too few pixels are valid),
        and ``noise_floor_method``, "beyond the band" or "differences of pixels", which bounds the noise from
        above.  Of "bright" and of "dark" field: ``amplitude_error``, see
        ``fieldrx.metrics.amplitude_errors``, each over ``all``, ``train`` and ``holdout`` images, with their
        ``noise_floor``; and ``amplitude_error_per_image``.  ``holdout``, ``dark_field`` and ``excluded``
        images: the last are masked, or in dark field that the model cannot predict, and count nowhere (null
        per image).  ``fitted_to_these_images``, false where the fit saw others; ``verdict``, a sentence, also
        where no image was held out; ``index_nrmse`` with a truth.

    Raises
    ------
    InputError
        If the acquisition has no images, or its medium is not the field's, or an argument is something else.
    """
    expect(field, NeuralField, "field", "of several give one, such as ensemble.members[0]")
    if truth is not None:
        expect(truth, Volume, "truth", "Volume(contrast, spacing_um, origin_um, medium_index) makes one")
    if truth is not None and abs(truth.medium_index - field.medium_index) > 1e-6:
        raise InputError(
            f"the truth lies in a medium of index {truth.medium_index:g}, the field in "
            f"{field.medium_index:g}: make them agree"
        )
    compared = compare(field, acquisition, model, device)
    result = _numbers(field, acquisition, compared)
    if truth is not None:
        result["index_nrmse"] = index_error(field.on_axes(*truth.grid.axes), truth.contrast)
    return result


def _numbers(field, acquisition, compared):
    """What the images of an acquisition say of a field, as of :func:`evaluate`."""
    usable, held, dark = compared.usable, compared.held, compared.dark
    overall, each = compared.error(usable)
    signal = [compared.signal(k) for k in usable]
    floors = compared.noise.per_image / np.maximum(signal, 1e-30)

    def per_image(values, images=usable):
        known = dict(zip(images.tolist(), map(json_number, values), strict=True))
        return [known.get(k) for k in range(acquisition.n_images)]

    result = {
        "model": compared.model.name,
        "refined": field.provenance.refine or [],
        "background_refined": bool(field.provenance.background),
        "fitted_to_these_images": same_images(field, acquisition),
        "nrmse": overall,
        "nrmse_per_image": per_image(each),
        "noise_floor": json_number(compared.noise.share),
        "noise_floor_method": compared.noise.method,
        "noise_floor_per_image": per_image(floors),
        "amplitude_error": amplitude_numbers(compared),
        "amplitude_error_per_image": per_image(
            compared.amplitude_error(np.concatenate([usable, dark]))[1], np.concatenate([usable, dark])
        ),
        "dark_field": dark.tolist(),
        "excluded": np.setdiff1d(np.arange(acquisition.n_images), np.concatenate([usable, dark])).tolist(),
        "verdict": UNTESTED,
    }
    if len(held):
        rest = np.setdiff1d(usable, held)
        unseen = np.union1d(held, compared.dark_held).tolist()
        result |= {"holdout": unseen, "nrmse_holdout": compared.error(held)[0]}
        noise = compared.noise_of(held)
        result["noise_floor_holdout"] = json_number(noise.share)
        result["nrmse_train"] = compared.error(rest)[0] if len(rest) else None
        result["verdict"] = verdict_of(compared)
    return result


def amplitude_numbers(compared: Comparison) -> dict[str, dict]:
    """Errors of amplitudes, of "bright" and of "dark" field where there are such images, JSON-ready.

    Each over ``all`` images, those of the fit (``train``) and those that it did not see (``holdout``); and
    what noise alone makes of these, ``noise_floor`` and ``noise_floor_holdout``.
    """
    found = {}
    for name, images, held in (
        ("bright", compared.usable, compared.held),
        ("dark", compared.dark, compared.dark_held),
    ):
        if not len(images):
            continue
        parts = {"all": images, "train": np.setdiff1d(images, held), "holdout": held}
        numbers: dict[str, float | int | None] = {"images": len(images)}
        for part, some in parts.items():
            numbers[part] = json_number(compared.amplitude_error(some)[0]) if len(some) else None
        numbers["noise_floor"] = json_number(compared.amplitude_floor(images))
        numbers["noise_floor_holdout"] = json_number(compared.amplitude_floor(held)) if len(held) else None
        found[name] = numbers
    return found


def verdict_of(compared: Comparison) -> str:
    """What the held-out errors of a comparison mean, in a sentence; dark field apart."""
    noise = compared.noise_of(compared.held)
    words = verdict(compared.error(compared.held)[0], noise.share, noise.measured)
    if not len(compared.dark_held):
        return words
    error = compared.amplitude_error(compared.dark_held)[0]
    floor = compared.amplitude_floor(compared.dark_held)
    beside = f", where noise alone makes {floor:.1%}" if np.isfinite(floor) else ""
    return f"{words}; unseen dark field: amplitudes to {error:.1%} (an empty sample: 100%){beside}"


def model_of(
    field: Sampled,
    microscope: Microscope,
    illumination: Illumination,
    image_shape: tuple[int, int],
    name: str | None = None,
    device: str = "auto",
    optics: Optics | None = None,
) -> tuple[str, ForwardModel, np.ndarray]:
    """A field's image formation: the model's name, the model, and the contrast on its grid.

    Parameters
    ----------
    field : NeuralField
    microscope : Microscope
    illumination : Illumination
    image_shape : (int, int)
    name : str, optional
        In ``fieldrx.models.MODELS``; the one the field was fitted with when not given.
    device : str
        "cpu", "cuda" or "auto": where the contrast is.
    optics : Optics, optional
        Better known than those of the illumination.

    Raises
    ------
    InputError
        If the media differ, or no model is known.
    """
    if abs(microscope.medium_index - field.medium_index) > 1e-6:
        raise InputError(
            f"the field lies in a medium of index {field.medium_index:g}, the acquisition's is "
            f"{microscope.medium_index:g}: this field belongs to another acquisition"
        )
    name = name or field.provenance.model
    if name is None:
        raise InputError("the field does not say with which model it was fitted; give one, --model")
    depth = (*field.region_um[0], field.spacing_um[0])
    grid = grid_for(name, image_shape, microscope, depth, spacing_of(field.provenance))
    contrast = field.on_axes(*map(get(device).asarray, grid.axes))
    optics = optics or Optics.of(illumination)
    return name, optics.model(name, grid, microscope, illumination, image_shape), contrast


def beyond_noise(error: float, floor: float) -> float:
    """The part of an error that is not noise, where noise alone makes `floor`; they add as squares."""
    return float(np.sqrt(max(error**2 - floor**2, 0.0)))


def verdict(error: float, floor: float | None, measured: bool = True) -> str:
    """What a held-out error means beside the noise floor, in a sentence.

    Parameters
    ----------
    error, floor : float
        As shares of the signal; a floor of nan (or None) is unknown.
    measured : bool
        Whether the floor is the noise itself, not a bound from above: `NoiseFloor.measured`.
    """
    first = f"predicts unseen illuminations to {error:.1%} of the signal"
    if floor is None or not np.isfinite(floor):
        return f"{first}; noise floor unknown, as too few pixels are valid: how much of that is noise is open"
    first += f"; noise floor {'' if measured else 'at most '}{floor:.1%}"
    beyond = beyond_noise(error, floor)
    if beyond <= 0.5 * floor:
        return f"{first}: {'explained to the noise' if measured else 'noise alone may explain it'}"
    return (
        f"{first}: {'' if measured else 'at least '}{beyond:.1%} is not noise but what the model of the "
        "light, the optics as they were given, or the reconstruction miss"
    )


def verdict_of_folds(folds: dict) -> str:
    """The same of a cross-validation, as an ensemble records it."""
    return verdict(folds["nrmse"], folds["noise_floor"], folds.get("noise_measured", True))


def held_out(field: Sampled, acquisition: Acquisition) -> np.ndarray:
    """Images the fit did not see: those it recorded, if these are its images, else the acquisition's."""
    if same_images(field, acquisition):
        return field.provenance.held
    return np.asarray(acquisition.holdout, int)


def same_images(field: Sampled, acquisition: Acquisition) -> bool:
    """Whether a field was fitted to the images of this acquisition."""
    return (field.provenance.acquisition or {}).get("images") == acquisition.fingerprint()["images"]

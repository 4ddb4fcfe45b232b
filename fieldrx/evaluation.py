"""Predicted against measured images, and a field against a known truth."""

from __future__ import annotations

import numpy as np

from fieldrx.backends import get, to_host
from fieldrx.errors import InputError
from fieldrx.metrics import image_errors, index_error
from fieldrx.models import grid_for, predict
from fieldrx.refinement import Optics


def evaluate(field, acquisition, truth=None, model=None, device="auto") -> dict:
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
        ``nrmse`` over all usable images and ``nrmse_per_image``; ``nrmse_holdout`` over the images that
        the fit did not see, where there are any, and ``nrmse_train`` over the rest; ``excluded`` images,
        which are masked or dark field and count nowhere (null per image); ``fitted_to_these_images``,
        false where the fit saw others; ``index_nrmse`` with a truth.

    Raises
    ------
    InputError
        If the acquisition has no images, or its medium is not the field's.
    """
    if acquisition.images is None:
        raise InputError("the acquisition has no images to compare with")
    optics = None
    if "optics" in field.provenance and _same_images(field, acquisition):
        optics = Optics.from_dict(field.provenance["optics"])  # refined on these images
    seen = acquisition.microscope, acquisition.illumination, acquisition.image_shape
    name, forward, contrast = model_of(field, *seen, model, device, optics)
    usable = np.flatnonzero(acquisition.usable)
    if not len(usable):
        raise InputError("no image can be compared: every one is masked or dark field")
    if truth is not None and abs(truth.medium_index - field.medium_index) > 1e-6:
        raise InputError(
            f"the truth lies in a medium of index {truth.medium_index:g}, the field in "
            f"{field.medium_index:g}: make them agree"
        )
    predicted = np.ones_like(acquisition.images)
    for batch, images in predict(forward, contrast, usable):
        predicted[batch] = to_host(images)

    def error(images):
        mask = None if acquisition.mask is None else acquisition.mask[images]
        return image_errors(predicted[images], acquisition.images[images], mask)

    overall, each = error(usable)
    per_image = dict(zip(usable.tolist(), each.tolist(), strict=True))
    result = {
        "model": name,
        "refined": field.provenance.get("refine", []),
        "fitted_to_these_images": _same_images(field, acquisition),
        "nrmse": overall,
        "nrmse_per_image": [per_image.get(k) for k in range(acquisition.n_images)],
        "excluded": np.setdiff1d(np.arange(acquisition.n_images), usable).tolist(),
    }
    held = np.intersect1d(held_out(field, acquisition), usable)
    if len(held):
        rest = np.setdiff1d(usable, held)
        result |= {"holdout": held.tolist(), "nrmse_holdout": error(held)[0]}
        result["nrmse_train"] = error(rest)[0] if len(rest) else None
    if truth is not None:
        result["index_nrmse"] = index_error(field.on_axes(*truth.grid.axes), truth.contrast)
    return result


def model_of(field, microscope, illumination, image_shape, name=None, device="auto", optics=None):
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
    name = name or field.provenance.get("model")
    if name is None:
        raise InputError("the field does not say with which model it was fitted; give one, --model")
    depth = (*field.region_um[0], field.spacing_um[0])
    grid = grid_for(name, image_shape, microscope, depth)
    contrast = field.on_axes(*map(get(device).asarray, grid.axes))
    optics = optics or Optics.of(illumination)
    return name, optics.model(name, grid, microscope, illumination, image_shape), contrast


def held_out(field, acquisition) -> np.ndarray:
    """Images the fit did not see: those it recorded, if these are its images, else the acquisition's."""
    if _same_images(field, acquisition):
        return np.asarray(field.provenance.get("holdout", ()), int)
    return np.asarray(acquisition.holdout, int)


def _same_images(field, acquisition) -> bool:
    return field.provenance.get("acquisition", {}).get("images") == acquisition.fingerprint()["images"]

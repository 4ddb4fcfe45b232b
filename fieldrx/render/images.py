"""Microscope images that were never taken: the field under other light, through the forward model."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import to_host
from fieldrx.errors import InputError
from fieldrx.evaluation import model_of
from fieldrx.export import write_npy, write_tiff
from fieldrx.field import NeuralField
from fieldrx.io import write_png
from fieldrx.models import Optics, predict
from fieldrx.optics import Illumination, Microscope
from fieldrx.progress import Progress
from fieldrx.provenance import Provenance
from fieldrx.render.sampling import Samples

ENDINGS = (".npz", ".npy", ".tif", ".tiff", ".png")


def new_images(
    field: NeuralField,
    light: Illumination | np.ndarray,
    microscope: Microscope | None = None,
    image_shape: tuple[int, int] | None = None,
    model: str | None = None,
    callback: Callable | None = None,
    device: str = "auto",
) -> Acquisition:
    """Predicted intensity images of a field.

    Defocus and aberrations that the fit found belong to its microscope, and so to these images; the
    brightness and the directions that it found are those of its own images.

    Parameters
    ----------
    field : NeuralField
    light : Illumination, or array of shape (n, 2)
        One image for every row of the illumination, or for every direction (na_y, na_x).
    microscope : Microscope, optional
        That of the fit when not given.
    image_shape : (int, int), optional
        Pixels (ny, nx) from the frame's origin on; as many as the region needs when not given.
    model : str, optional
        Image formation, a name in ``fieldrx.models.MODELS``; that of the fit when not given.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every piece of work.
    device : str
        "cpu", "cuda" or "auto".

    Returns
    -------
    Acquisition
        Normalised images, 1 without a sample.

    Raises
    ------
    InputError
        If the optics or the model are unknown, or a direction lies outside the pupil and the model is of
        single scattering, or on a grid too coarse for such light.
    """
    if not isinstance(light, Illumination):
        light = Illumination(light)
    if microscope is None:
        if field.provenance.microscope is None:
            raise InputError("the field does not say with which microscope it was measured; give one")
        microscope = Microscope(**field.provenance.microscope)
    optics = _optics_under(light, microscope, field.provenance)
    if image_shape is None:
        far = np.asarray(field.region_um)[1:, 1] / microscope.pixel_size_um
        ny, nx = (int(n) for n in np.floor(far + 1e-6) + 1)
        image_shape = ny, nx
        if min(image_shape) < 1:
            raise InputError("the field's region lies before the first pixel; give an image shape")
    _, forward, contrast = model_of(field, microscope, light, image_shape, model, device, optics)
    images = np.empty((light.n_images, *image_shape), np.float32)
    for batch, part in predict(forward, contrast, np.arange(light.n_images)):
        images[batch] = to_host(part)
        if callback:
            callback(Progress("images", int(batch[-1]) + 1, light.n_images))
    return Acquisition(images, light, microscope, name=field.provenance.name or "")


def _optics_under(light: Illumination, microscope: Microscope, provenance: Provenance) -> Optics:
    """The optics of the fit, if its microscope is this one, with other directions and brightness."""
    nominal = Optics.of(light)
    if provenance.microscope != microscope.to_dict():
        return nominal
    found = Optics.recorded(provenance, light)
    return replace(nominal, defocus_um=found.defocus_um, zernike=found.zernike, edge=found.edge)


def render_images(
    field: NeuralField, path: str | os.PathLike, light: Illumination | np.ndarray, **options: Any
) -> Path:
    """Write predicted images: .npz an acquisition; .npy and .tif a stack (n, y, x); .png them in a row.

    Parameters
    ----------
    field, light, **options
        As of :func:`new_images`.
    path : path-like

    Raises
    ------
    InputError
        If the ending is another one, or as of :func:`new_images`.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f'{path}: cannot write images as "{ending}"; expected one of {", ".join(ENDINGS)}')
    acquisition = new_images(field, light, **options)
    images = acquisition.stack
    pixel = acquisition.microscope.pixel_size_um
    if ending == ".npz":
        acquisition.save(path)
    elif ending in (".npy", ".tif", ".tiff"):
        write_stack = write_npy if ending == ".npy" else write_tiff
        write_stack(path, Samples.of_array(images, (1.0, pixel, pixel), label="intensity"))
    else:
        gap = np.ones((images.shape[1], 6), np.float32)
        row = [part for image in images for part in (image, gap)][:-1]
        strength = max(float(np.quantile(np.abs(images - 1), 0.999)), 1e-6)
        write_png(path, np.concatenate(row, axis=1), (1 - strength, 1 + strength))
    return path

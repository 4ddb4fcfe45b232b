"""Pictures of several samples a pixel, of which some are grey all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fieldrx.errors import InputError


def grey_of(images: np.ndarray, opaque: int | None, path: Path) -> tuple[np.ndarray, list[str]]:
    """Grey images (n, y, x) of images with samples (n, y, x, s), and what was dropped.

    Parameters
    ----------
    images : ndarray, shape (n, y, x, s)
    opaque : int or None
        Where the last sample is transparency: its value where a pixel is opaque.
    path : Path
        Named in errors.

    Raises
    ------
    InputError
        If the samples differ, so that the images are in colour or partly transparent.
    """
    notes = []
    if opaque is not None:
        if not (images[..., -1] == opaque).all():
            raise InputError(
                f"{path}: its pixels are partly transparent; expected grey images: export them without "
                "alpha, or "
                "take the first sample as it is with select = { S = 0 }"
            )
        images = images[..., :-1]
        notes.append("its alpha channel, opaque everywhere, was dropped")
    samples = images.shape[-1]
    if any(not np.array_equal(images[..., 0], images[..., k]) for k in range(1, samples)):
        raise InputError(
            f"{path}: colour images of {samples} samples a pixel; expected grey ones: convert them, or take "
            "one "
            'colour with select = { S = 0 }, or all as one image each with axis = "S", in [images]'
        )
    if samples > 1:
        notes.append(f"its {samples} colour channels are equal: taken as grey")
    return images[..., 0], notes

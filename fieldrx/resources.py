"""Memory that a fit needs and that the machine has."""

from __future__ import annotations

import os

import numpy as np

from fieldrx.errors import InputError


def memory_need(shape, n_images, n_params=4_000_000) -> float:
    """Bytes that a fit needs at its peak, roughly.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels of the model's grid.
    n_images : int
        Images of a step, as large as the grid.
    n_params : int
        Parameters of the field.
    """
    voxels, pixels = float(np.prod(shape)), float(shape[1] * shape[2] * n_images)
    volumes = 8 * 5  # complex contrast, spectrum, gradient, outputs and their gradient
    images = 4 * 2 + 8 * 2  # images and residual; complex spectra of one direction at a time
    return volumes * voxels + images * pixels + 4 * 8 * n_params + 3e8


def physical_memory() -> int | None:
    """Bytes of memory of this machine, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(shape, n_images, n_params) -> None:
    """Refuse a fit that cannot fit; parameters as of :func:`memory_need`.

    Raises
    ------
    InputError
        If it needs more than the machine's memory.
    """
    need, have = memory_need(shape, n_images, n_params), physical_memory()
    if have is not None and need > have:
        raise InputError(
            "a grid of "
            + " x ".join(map(str, shape))
            + f" voxels needs about {need / 2**30:.1f} GiB, this machine "
            f"has {have / 2**30:.1f}: use a larger DZ, a smaller region, or fewer images per step"
        )

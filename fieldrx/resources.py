"""Memory that a fit needs and that the machine has."""

from __future__ import annotations

import os

import numpy as np

from fieldrx.errors import InputError


def memory_need(shape, n_images, n_params=4_000_000, multislice=False) -> float:
    """Bytes that a fit needs at its peak, roughly.

    The closed form, which holds the spectra of all images, and a step of the fit, which holds volumes,
    take turns; the larger of the two counts.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels of the model's grid.
    n_images : int
        Images of the acquisition.
    n_params : int
        Parameters of the field.
    multislice : bool
        Whether 16 waves travel through the grid, and are kept at every slice (up to 2 GiB of them).
    """
    voxels, pixels = float(np.prod(shape)), float(shape[1] * shape[2])
    images = 8 * pixels * n_images  # as they came, and normalised
    closed_form = 12 * pixels * n_images + 16 * voxels  # padded, with their spectra; the solution's
    step = 40 * voxels + 24 * pixels * min(n_images, 16)  # contrast, spectra, gradient, outputs; a batch
    if multislice:
        step += min(128 * voxels, 2**31) + 128 * pixels * (np.sqrt(shape[0]) + 24)
    return images + max(closed_form, step) + 32 * n_params + 3e8


def physical_memory() -> int | None:
    """Bytes of memory of this machine, where the system tells."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def check_memory(shape, n_images, n_params, multislice=False) -> None:
    """Refuse a fit that cannot fit; parameters as of :func:`memory_need`.

    Raises
    ------
    InputError
        If it needs more than the machine's memory.
    """
    need, have = memory_need(shape, n_images, n_params, multislice), physical_memory()
    if have is not None and need > have:
        raise InputError(
            "a grid of "
            + " x ".join(map(str, shape))
            + f" voxels needs about {need / 2**30:.1f} GiB, this machine "
            f"has {have / 2**30:.1f}: use a larger DZ, a smaller region, or fewer images per step"
        )

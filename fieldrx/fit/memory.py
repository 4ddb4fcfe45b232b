"""What a fit takes of a device's memory: whoever allocates says how much, here it is added up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get
from fieldrx.backends.operators import Operators
from fieldrx.comparison import images_need
from fieldrx.fit.state import weights_need
from fieldrx.models import grid_for, grid_spacing, model_class
from fieldrx.parallel import world
from fieldrx.resources import Need, check_needs
from fieldrx.tikhonov import tikhonov_need

_CODE = Need("compiled code and the rest", held=3e8)


def fit_needs(
    shape: tuple[int, int, int],
    n_images: int,
    n_params: int = 4_000_000,
    model: str = "ssnp",
    step: tuple[int, int] = (8, 8),
) -> list[Need]:
    """The parts of the memory that a fit takes, on the device that computes it.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels of the model's grid.
    n_images : int
        Images of the acquisition.
    n_params : int
        Parameters of the field.
    model : str
    step : (int, int)
        Images of a step, and sources that light them.
    """
    # contrast, its spectra and gradient, the network's outputs and theirs
    volumes = Need("volumes", peak=40 * float(np.prod(shape)))
    working = model_class(model).step_need(shape, *step) + volumes
    weights = weights_need(n_params)
    return [images_need(n_images, shape[1:]), weights, tikhonov_need(n_images, shape), working, _CODE]


def check_fit(
    backend: Operators,
    shape: tuple[int, int, int],
    n_images: int,
    n_params: int,
    model: str,
    step: tuple[int, int] = (8, 8),
) -> None:
    """Refuse a fit that does not fit; parameters as of `fit_needs`, and the backend that would compute.

    Raises
    ------
    InputError
        If it needs more than the device has.
    """
    job = f"a grid of {' x '.join(map(str, shape))} voxels and {n_images} images"
    have, limit = backend.memory_limit()
    here = world().local_size if backend is get("cpu") else 1
    if have is not None and here > 1:
        have, limit = have / here, f"for each of {here} ranks {limit}"
    check_needs(job, fit_needs(shape, n_images, n_params, model, step), have, limit)


def check_room(acquisition: Acquisition, depth: Sequence[float], backend: Operators) -> None:
    """Refuse a fit that exceeds the memory with any model, before one is chosen.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    backend : Operators

    Raises
    ------
    InputError
        If the smallest grid and the smallest field need more than there is.
    """
    scope = acquisition.microscope
    spacing = grid_spacing(scope, acquisition.illumination)
    least = grid_for("ssnp", acquisition.stack.shape[1:], scope, depth, spacing)
    check_fit(backend, least.shape, acquisition.n_images, 0, "born")

"""What a fit takes of a device's memory: whoever allocates says how much, here it is added up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import get
from fieldrx.backends.operators import Operators
from fieldrx.brief import times
from fieldrx.comparison import images_need
from fieldrx.fit.state import weights_need
from fieldrx.models import MODELS, grid_for, grid_spacing, model_class
from fieldrx.optics import Microscope, slice_positions
from fieldrx.parallel import world
from fieldrx.resources import Need, check_needs, total
from fieldrx.tikhonov import tikhonov_need

_SMALLEST = 16  # rows of a region that is told
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


@dataclass(frozen=True)
class Extent:
    """What the memory of a fit depends on, from which the largest that fits can be found.

    Parameters
    ----------
    microscope : Microscope
    image_shape : (int, int)
        Pixels of the images.
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    model : str
    spacing_um : float
        Lateral distance of voxels.
    n_images : int
        Images of the acquisition.
    n_params : int
        Parameters of the field.
    step : (int, int)
        Images of a step, and sources that light them.
    """

    microscope: Microscope
    image_shape: tuple[int, int]
    depth: Sequence[float]
    model: str
    spacing_um: float
    n_images: int
    n_params: int
    step: tuple[int, int] = (8, 8)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the model's grid."""
        return grid_for(self.model, self.image_shape, self.microscope, self.depth, self.spacing_um).shape

    @property
    def needs(self) -> list[Need]:
        """The parts of the memory, as of `fit_needs`."""
        return fit_needs(self.shape, self.n_images, self.n_params, self.model, self.step)

    @property
    def words(self) -> str:
        """What it is, for messages."""
        return f"a grid of {times(self.shape)} voxels and {self.n_images} images"

    def fitting(self, have: float) -> list[str]:
        """Settings that would take no more than so many bytes, each by itself; none where none does.

        These are the smallest DZ and the largest region that fit, or, where there is no such DZ, the widest
        range of depth about its middle.
        """
        z0, z1, dz = self.depth
        middle, count = 0.5 * (z0 + z1), len(slice_positions(self.depth))
        height, width = self.image_shape

        def sliced(count):
            return replace(self, depth=(z0, z1, (z1 - z0) / (count - 1)))

        def cropped(rows):
            return replace(self, image_shape=(rows, max(rows * width // height, 1)))

        def narrowed(count):
            half = 0.5 * dz * (count - 1)
            return replace(self, depth=(middle - half, middle + half, dz))

        slices, narrow = _largest(2, count, sliced, have), None
        if slices is None:
            narrow = _largest(2, count, narrowed, have)
        rows = _largest(_SMALLEST, height, cropped, have)
        found = []
        if slices is not None:
            found.append(f"--depth {z0:g}:{z1:g}:{_rounded_up((z1 - z0) / (slices - 1)):g}")
        if narrow is not None:
            found.append("--depth " + ":".join(f"{z:.6g}" for z in narrowed(narrow).depth))
        if rows is not None:
            found.append(f"a region of {times(cropped(rows).image_shape)} pixels ([images] region)")
        return found


def _largest(least: int, beyond: int, extent: Callable[[int], Extent], have: float) -> int | None:
    """The largest number from `least` to below `beyond` whose extent fits; None where there is none."""

    def fits(number):
        return total(extent(number).needs) <= have

    if beyond <= least or not fits(least):
        return None
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if fits(middle) else (least, middle)
    return least


def _rounded_up(value: float) -> float:
    """To three digits, as somebody would write it."""
    unit = 10.0 ** (np.floor(np.log10(value)) - 2)
    return float(np.ceil(value / unit - 1e-9) * unit)


def memory_of_rank(backend: Operators) -> tuple[float | None, str]:
    """Bytes that one fit may take where it computes, and what limits them; ranks share a machine's memory.

    Parameters
    ----------
    backend : Operators
    """
    have, limit = backend.memory_limit()
    here = world().local_size if backend is get("cpu") else 1
    return (have, limit) if have is None or here == 1 else (have / here, f"for each of {here} ranks {limit}")


def check_fit(extent: Extent, backend: Operators) -> None:
    """Refuse a fit that does not fit, with settings that would.

    Raises
    ------
    InputError
        If it needs more than the device has.
    """
    have, limit = memory_of_rank(backend)
    needs = extent.needs
    if have is None or total(needs) <= have:
        return
    found = extent.fitting(have)
    advice = (
        f"{' or '.join(found)} would fit" if found else "no depth and no region of these images would fit"
    )
    check_needs(extent.words, needs, have, limit, advice)


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
        If the smallest field needs more than there is with the model that needs the least.
    """
    scope, shape = acquisition.microscope, acquisition.stack.shape[1:]
    spacing = grid_spacing(scope, acquisition.illumination)
    extents = [Extent(scope, shape, depth, name, spacing, acquisition.n_images, 0) for name in MODELS]
    check_fit(min(extents, key=lambda extent: total(extent.needs)), backend)

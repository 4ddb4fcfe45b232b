"""Values of a field on a lattice, computed block by block when they are asked for, never held as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.brief import brief
from fieldrx.progress import Progress
from fieldrx.render.lattice import Lattice
from fieldrx.render.quantities import Quantity, make_quantity

if TYPE_CHECKING:
    from fieldrx.render.ensembles import Renderable

BLOCK = 1 << 19  # points of a tile
_LAYERS = 64  # a hash grid between two of its planes is cheap where many layers lie there


@brief
@dataclass(frozen=True, eq=False)
class Samples:
    """An array (z, y, x) that is computed where it is read.

    Attributes
    ----------
    lattice : Lattice
        Where its elements lie.
    label, unit : str
        What they are.
    channels : tuple of str
        Names of the real and the imaginary part, or of the one value.
    dtype : numpy.dtype
        float32 or complex64.
    read : callable
        Three slices to the array of this block.
    described : str
        One line for the file: where it comes from.
    """

    lattice: Lattice
    label: str
    unit: str
    channels: tuple[str, ...]
    dtype: np.dtype
    read: Callable
    described: str = ""

    @classmethod
    def of_array(
        cls,
        array: np.ndarray,
        spacing_um: tuple[float, float, float],
        origin_um: tuple[float, float, float] = (0.0, 0.0, 0.0),
        label: str = "value",
        unit: str = "",
        channels: tuple[str, ...] | None = None,
    ) -> Samples:
        """An array (z, y, x) in memory."""
        array = np.asarray(array)
        dtype = np.dtype(np.complex64 if np.iscomplexobj(array) else np.float32)
        names = channels or ((label,) if dtype.kind == "f" else (label, f"imaginary part of {label}"))
        lattice = Lattice(array.shape, spacing_um, origin_um)
        return cls(lattice, label, unit, names, dtype, lambda block: array[block].astype(dtype))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Elements along z, y and x."""
        return self.lattice.shape

    @property
    def nbytes(self) -> int:
        """Size of all values that a file with these channels holds, as float32."""
        return 4 * len(self.channels) * self.lattice.size

    def parts(self, values: np.ndarray) -> list[np.ndarray]:
        """Real float32 arrays, one per channel, of values that were read."""
        return [values.real, values.imag][: len(self.channels)]

    def bands(self) -> Iterator[tuple[tuple, np.ndarray]]:
        """Blocks of whole rows in the order of C arrays, each of about ``BLOCK`` points: (block, values)."""
        nz, ny, nx = self.shape
        rows = max(1, BLOCK // nx)
        for block in tiles((nz, ny, nx), (max(1, rows // ny), min(rows, ny), nx)):
            yield block, self.read(block)

    def slabs(self) -> Iterator[tuple[tuple, np.ndarray]]:
        """The same in the shape that is computed fastest: few rows of many layers, in no order of a file."""
        nz, ny, nx = self.shape
        layers = max(1, min(nz, _LAYERS, BLOCK // nx))
        for block in tiles((nz, ny, nx), (layers, max(1, BLOCK // (layers * nx)), nx)):
            yield block, self.read(block)

    def watched(self, callback: Callable | None, done: int = 0, total: int | None = None) -> Samples:
        """The same samples, which tell a callback at every read how many points are done."""
        if callback is None:
            return self
        count, total = [done], self.lattice.size if total is None else total

        def read(block):
            values = self.read(block)
            count[0] += values.size
            callback(Progress("rendering", count[0], total))
            return values

        return replace(self, read=read)


def sample(field: Renderable, lattice: Lattice, quantity: Quantity | str = "n") -> Samples:
    """A quantity of the field on a lattice, straight from the network; the medium outside the domain.

    Parameters
    ----------
    field : NeuralField
    lattice : Lattice
    quantity : Quantity or str
        One of `fieldrx.render.quantities`.

    Returns
    -------
    Samples
        Without the channel of absorption where the network knows none.
    """
    if isinstance(quantity, str):
        quantity = make_quantity(quantity, field)
    channels = quantity.channels if field.network.n_outputs > 1 else quantity.channels[:1]
    return Samples(
        lattice,
        quantity.label,
        quantity.unit,
        channels,
        quantity.dtype,
        lambda block: quantity.of(contrast_on(field, lattice, block)),
        f"{quantity.label} of {field.provenance.name or 'a field'}, computed from a neural field "
        f"by fieldrx; medium index {field.medium_index:g}",
    )


def contrast_on(
    field: Renderable, lattice: Lattice, block: Sequence[slice], region: np.ndarray | None = None
) -> np.ndarray:
    """Contrast on a block of a lattice, complex64; with a region, 0 outside it."""
    along = lattice.permutation()
    if along is not None and region is None:
        return _along_axes(field, lattice, block, *along)
    points = lattice.points(block)
    if region is None:
        return field.contrast(points).astype(np.complex64)
    out = np.zeros(points.shape[:-1], np.complex64)
    within = within_region(points, region)
    out[within] = field.contrast(np.clip(points[within], *np.asarray(region).T))
    return out


def within_region(points: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Which points lie in a region (3, 2), its faces included, which rounding may miss."""
    low, high = np.asarray(region).T
    slack = 1e-9 * np.maximum(high - low, 1)
    return ((points >= low - slack) & (points <= high + slack)).all(axis=-1)


def tiles(shape: Sequence[int], tile: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Blocks of three slices that cover a shape, in the order of C arrays."""
    starts = [range(0, n, t) for n, t in zip(shape, tile, strict=True)]
    for z in starts[0]:
        for y in starts[1]:
            for x in starts[2]:
                yield tuple(slice(a, min(a + t, n)) for a, t, n in zip((z, y, x), tile, shape, strict=True))


def _along_axes(field, lattice, block, along, signs):
    """Contrast of a block whose indices run along z, y and x in any order, by the operators for grids."""
    axes = [None] * 3
    for steps, axis, sign in zip(lattice.steps(block), along, signs, strict=True):
        axes[axis] = lattice.origin_um[axis] + sign * steps
    return np.transpose(field.on_axes(*axes), along)

"""A field small enough to send: its values on a lattice, as quantised cosines of blocks, entropy-coded.

The lattice has the voxels of the field's own grid for nodes, and between them the field is interpolated: a
grid encoding of one level and a network that hands on what it is given, so that it is evaluated as any
other.
Values are cut into blocks, each turned into cosines (DCT-II, orthonormal), rounded to multiples of a step and
coded by `fieldrx.backends.cpu.entropy`.  What lies beyond the images, in the margin of the grid, shows in
them only a little and is rounded more coarsely.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.fft import dctn, idctn

from fieldrx.errors import InputError
from fieldrx.field.encodings import Hash
from fieldrx.field.network import Network

_EDGE = 16  # voxels along an edge of a block, about
_DEAD = 0.38  # added before the fraction is cut: rounding to the smaller multiple costs fewer bits
_COARSER = 8.0  # steps beyond the images over those within
_MOST_NODES = 1 << 28


@dataclass(frozen=True)
class Blocks:
    """Voxels cut into blocks.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels along z, y and x.
    block : (int, int, int)
        Voxels of a block.  A block begins where the images do; the first and the last along an axis are
        filled up with the outermost voxels.
    images : three (int, int)
        First voxel that the images show, and the one after the last, along each axis.
    coarser : float
        Step of the blocks that hold none of these, over the others'.
    """

    shape: tuple[int, int, int]
    block: tuple[int, int, int]
    images: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    coarser: float = _COARSER

    def __post_init__(self):
        edges = np.array(self.images, np.int64)
        sizes = np.array([self.shape, self.block], np.int64)
        if sizes.shape != (2, 3) or sizes.min() < 1 or edges.shape != (3, 2) or edges.min() < 0:
            raise InputError(f"{self.shape} voxels in blocks of {self.block} are no blocks of a volume")
        if math.prod(n + 2 for n in self.shape) > _MOST_NODES or (self.block > sizes[0]).any():
            raise InputError(f"{self.shape} voxels in blocks of {self.block} are too many, or too few")
        if not 1 <= self.coarser < math.inf:
            raise InputError(f"coarser is {self.coarser}; expected a number >= 1")

    @classmethod
    def of(cls, shape: Iterable[int], images: Iterable[Iterable[int]]) -> Blocks:
        """Blocks that are as equal as the images allow."""
        edges = [(int(first), int(end)) for first, end in images]
        sizes = [end - first for first, end in edges]
        block = [-(-n // max(1, round(n / _EDGE))) for n in sizes]
        return cls(_zyx(shape), _zyx(block), _zyx(edges))

    @property
    def before(self) -> tuple[int, ...]:
        """Voxels that the first block along each axis is filled up with."""
        return tuple(-first % b for (first, _), b in zip(self.images, self.block, strict=True))

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-(f + n) // b) for f, n, b in zip(self.before, self.shape, self.block, strict=True))

    def steps(self) -> np.ndarray:
        """Relative step of every block, (gz, gy, gx)."""
        ranges = zip(self.block, self.counts, self.before, strict=True)
        first = [b * np.arange(count) - f for b, count, f in ranges]
        shown = [
            (start < high) & (start + b > low)
            for start, b, (low, high) in zip(first, self.block, self.images, strict=True)
        ]
        return np.where(shown[0][:, None, None] & shown[1][:, None] & shown[2], 1.0, self.coarser)

    def cosines(self, values: np.ndarray) -> np.ndarray:
        """Of values (outputs, z, y, x): (outputs, fz, fy, fx, gz, gy, gx) float32."""
        sizes = zip(self.shape, self.before, self.counts, self.block, strict=True)
        filled = [(f, g * b - f - n) for n, f, g, b in sizes]
        whole = np.pad(values.astype(np.float32), [(0, 0), *filled], mode="edge")
        cut = whole.reshape(len(values), *self._interleaved())
        return dctn(cut, axes=(2, 4, 6), norm="ortho").transpose(0, 2, 4, 6, 1, 3, 5)

    def values(self, cosines: np.ndarray) -> np.ndarray:
        """The inverse of `cosines`."""
        cut = idctn(cosines.transpose(0, 4, 1, 5, 2, 6, 3), axes=(2, 4, 6), norm="ortho")
        whole = [g * b for g, b in zip(self.counts, self.block, strict=True)]
        z, y, x = (slice(f, f + n) for f, n in zip(self.before, self.shape, strict=True))
        return cut.reshape(len(cosines), *whole)[:, z, y, x]

    def _interleaved(self):
        return [n for pair in zip(self.counts, self.block, strict=True) for n in pair]


@dataclass(frozen=True, eq=False)
class Coded:
    """A lattice of values as it is stored.

    Parameters
    ----------
    blocks : Blocks
    step : float
        Of the cosines, in units of the network's output.
    n_outputs : int
        1, or 2 with absorption.
    stream : uint8 array
        The entropy code of the multiples of the step.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    blocks: Blocks
    step: float
    n_outputs: int
    stream: np.ndarray

    def __post_init__(self):
        if not (0 < self.step < math.inf and self.n_outputs in (1, 2)):
            raise InputError(f"a step of {self.step} and {self.n_outputs} outputs are no code of a field")

    @classmethod
    def of(cls, blocks: Blocks, symbols: np.ndarray, step: float) -> Coded:
        """From `quantised` cosines."""
        from fieldrx.backends.cpu.entropy import encode  # here, so that plain fields wait for no compiler

        return cls(blocks, float(step), len(symbols), encode(symbols))

    @property
    def encoding(self) -> Hash:
        """One level of nodes: the voxels, and one more beyond each face of the grid."""
        nodes = tuple(n + 2 for n in self.blocks.shape)
        bits = max(1, (math.prod(nodes) - 1).bit_length())
        return Hash((nodes,), bits, n_features_per_level=self.n_outputs, smooth=False)

    @property
    def network(self) -> Network:
        """One that hands on its inputs."""
        n = self.n_outputs
        return Network(n, width=n, depth=1, slope=1.0, n_outputs=n)

    def values(self) -> np.ndarray:
        """Values at the voxels, (outputs, z, y, x) float32.

        Raises
        ------
        InputError
            If the stream is damaged.
        """
        from fieldrx.backends.cpu.entropy import decode

        shape = (self.n_outputs, *self.blocks.block, *self.blocks.counts)
        return reconstructed(self.blocks, decode(self.stream, shape), self.step)

    def params(self) -> np.ndarray:
        """Parameters of `encoding` and `network`, as a field holds them."""
        nodes = np.pad(self.values(), [(0, 0), (1, 1), (1, 1), (1, 1)], mode="edge")
        table = np.moveaxis(nodes, 0, -1).ravel()
        same, none = np.eye(self.n_outputs), np.zeros(self.n_outputs)
        weights = {"weight_0": same, "bias_0": none, "weight_1": same, "bias_1": none}
        return np.concatenate([table, self.network.pack(weights)])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What a field file holds of it."""
        described = {**asdict(self.blocks), "step": self.step, "n_outputs": self.n_outputs}
        return {"lattice": np.array(json.dumps(described)), "stream": self.stream}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Coded:
        """The inverse of `to_arrays`; errors as of the class, and those of JSON and of missing names."""
        described = json.loads(str(arrays["lattice"]))
        shape, block, images = (described[name] for name in ("shape", "block", "images"))
        if not all(type(n) is int for n in [*shape, *block, *(edge for pair in images for edge in pair)]):
            raise InputError("the lattice must be described by whole numbers")
        stream = arrays["stream"]
        if stream.dtype != np.uint8 or stream.ndim != 1:
            raise InputError(f"stream is {stream.dtype} of shape {stream.shape}; expected bytes")
        blocks = Blocks(_zyx(shape), _zyx(block), _zyx(map(tuple, images)), float(described["coarser"]))
        return cls(blocks, float(described["step"]), described["n_outputs"], stream)


def _zyx(values: Iterable) -> tuple[Any, Any, Any]:
    """Three values as a tuple."""
    z, y, x = values
    return z, y, x


def quantised(blocks: Blocks, cosines: np.ndarray, step: float) -> np.ndarray:
    """Cosines as multiples of their blocks' steps: int32, of the same shape."""
    multiples = cosines / (step * blocks.steps()).astype(np.float32)
    return np.copysign(np.floor(np.abs(multiples) + _DEAD), multiples).astype(np.int32)


def reconstructed(blocks: Blocks, symbols: np.ndarray, step: float) -> np.ndarray:
    """Values (outputs, z, y, x) float32 of quantised cosines."""
    return blocks.values(symbols * (step * blocks.steps())).astype(np.float32)

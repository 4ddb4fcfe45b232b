"""A field in napari: ``napari cell.npz`` opens it as an image pyramid that is computed where one looks.

napari finds this reader through the manifest ``napari.yaml``; nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.errors import InputError
from fieldrx.field import load_field
from fieldrx.field.neural_field import FORMAT
from fieldrx.io import load_npz
from fieldrx.render.files import pyramid
from fieldrx.render.lattice import volume_lattice
from fieldrx.render.sampling import Samples, sample

if TYPE_CHECKING:
    from fieldrx.field import NeuralField

_FINER = 4  # how much finer than the fit the finest level is


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[tuple]] | None:
    """A function that reads fields, or None where `path` is none.

    Parameters
    ----------
    path : str or list of str
    """
    paths = path if isinstance(path, list) else [path]
    try:
        formats = [str(load_npz(p, "field").get("format", "")) for p in paths]
    except InputError:  # not ours to read: napari asks the next reader
        return None
    return read_fields if all(name == FORMAT for name in formats) else None


def read_fields(path: str | list[str]) -> list[tuple]:
    """Layers of one or several field files.

    Parameters
    ----------
    path : str or list of str

    Returns
    -------
    list of (levels, options, "image")
        Refractive index as a pyramid from 4 times the resolution of the fit on, in um; a second, hidden
        layer for the absorption where the network knows one.
    """
    paths = path if isinstance(path, list) else [path]
    return [layer for p in paths for layer in field_layers(load_field(p))]


def field_layers(field: NeuralField) -> list[tuple]:
    """Layers of a field; see :func:`read_fields`."""
    finest = volume_lattice(field, np.array(field.spacing_um) / _FINER)
    lattices = [finest, *pyramid(finest)]
    name = field.provenance.name or "field"
    layers = []
    shown = [("n", "refractive index")]
    shown += [("absorption", "absorption index")] if field.network.n_outputs > 1 else []
    for quantity, words in shown:
        levels = [Level(sample(field, lattice, quantity)) for lattice in lattices]
        coarse = np.asarray(levels[-1])
        options = {
            "name": f"{name}: {words}",
            "multiscale": True,
            "scale": finest.spacing_um,
            "translate": finest.origin_um,
            "units": ("um",) * 3,
            "axis_labels": ("z", "y", "x"),
            "contrast_limits": (float(coarse.min()), float(max(coarse.max(), coarse.min() + 1e-9))),
            "colormap": "inferno",
            "visible": quantity == "n",
            "metadata": {"fieldrx": field, "quantity": quantity},
        }
        layers.append((levels, options, "image"))
    return layers


@dataclass(frozen=True, eq=False)
class Level:
    """One level of the pyramid: an array that evaluates the field where it is indexed."""

    samples: Samples

    @property
    def shape(self) -> tuple[int, int, int]:
        """Points (z, y, x)."""
        return self.samples.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 3

    @property
    def size(self) -> int:
        """Number of points."""
        return self.samples.lattice.size

    @property
    def dtype(self) -> np.dtype:
        """Of what indexing gives."""
        return np.dtype(np.float32)

    def __getitem__(self, index):
        index = index if isinstance(index, tuple) else (index,)
        if Ellipsis in index:
            k = index.index(Ellipsis)
            index = (*index[:k], *(slice(None),) * (4 - len(index)), *index[k + 1 :])
        index = (*index, *(slice(None),) * (3 - len(index)))
        block, rest = [], []
        for part, n in zip(index, self.shape, strict=True):
            whole = isinstance(part, (int, np.integer))
            numbers = range(n)[part : part + 1 or None] if whole else range(n)[part]
            step = numbers.step if len(numbers) else 1
            first, last = (min(numbers), max(numbers)) if len(numbers) else (0, -1)
            if whole and not len(numbers):
                raise IndexError(f"index {part} is outside an axis of {n}")
            block.append(slice(first, last + 1))
            rest.append(0 if whole else slice(None, None, step))
        return self.samples.read(tuple(block)).real[tuple(rest)]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:, :, :], dtype)

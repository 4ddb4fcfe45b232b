"""Fields made small to send and keep: coded on the lattice of their own voxels (`fieldrx.field.coded`).

The loss is the relative L2 error of the contrast within the images, at the voxels of the fit:
|small - field| / |field|.  The step of the code is the coarsest that keeps a loss, or the finest that keeps a
size.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fieldrx._version import __version__
from fieldrx.ensemble import Ensemble
from fieldrx.ensemble.data import identity
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.field.coded import Blocks, Coded, quantised, reconstructed
from fieldrx.progress import Progress
from fieldrx.resources import physical_memory
from fieldrx.tiles.mosaic import Mosaic
from fieldrx.timelapse import Film

LOSS = 0.01  # when nothing is asked for
LOSSES = (1e-4, 0.5)  # that can be asked for
_POINTS = 1 << 16  # at which what lies between the voxels is compared
_SPARE = 512  # bytes by which descriptions of one field differ
_TRIALS = 16  # of steps, about
_EMPTY = "the field has no contrast within its images: there is nothing to compress"
_VOXEL = 80  # bytes of memory for each


def compress(
    field: NeuralField | Mosaic,
    loss: float | None = None,
    size: float | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> NeuralField:
    """A field that takes less room, and answers as any other.

    It agrees with the given one at the voxels of the fit, to the loss, and is interpolated between them.

    Parameters
    ----------
    field : NeuralField or Mosaic
        Of a mosaic the code makes one field.
    loss : float
        Largest relative error of the contrast, ``|small - field| / |field|`` over the voxels within the
        images, from 0.0001 to 0.5; 0.01 when neither is given.
    size : float
        Most bytes of the file instead.
    callback : callable
        Told of progress.

    Returns
    -------
    NeuralField
        ``provenance.origin["compressed"]`` tells what it cost: ``loss``; ``loss_between`` at points between
        the voxels, where it is more, since fields need not be smooth there; ``step``; and ``encoding`` and
        ``network`` of the given one.

    Raises
    ------
    InputError
        If both or an impossible one are asked for, the field cannot be coded, or the memory is too small.
    """
    if loss is not None and size is not None:
        raise InputError("give a loss or a size, not both")
    like = _largest(field)
    if like.coded is not None:
        raise InputError("the field is compressed already: compress the one that it was made from")
    if like.encoding.kind == "identity":
        raise InputError("a field of given features has no coordinates; expected one of positions")
    search = _Search(field, callback or (lambda progress: None))
    step = search.coarsest(LOSS if loss is None else loss) if size is None else search.finest(size)
    return search.small(step)


def compress_ensemble(
    ensemble: Ensemble,
    loss: float | None = None,
    size: float | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Ensemble:
    """The same of every member; `size` is that of all together.  Parameters and errors as of `compress`."""
    share = None if size is None else size / len(ensemble.members) - _SPARE
    return replace(ensemble, members=tuple(compress(m, loss, share, callback) for m in ensemble.members))


def compress_film(
    film: Film,
    loss: float | None = None,
    size: float | None = None,
    callback: Callable[[Progress], object] | None = None,
) -> Film:
    """The same of every frame; `size` is that of all together.  Parameters and errors as of `compress`."""
    share = None if size is None else size / len(film.fields) - _SPARE
    return replace(film, fields=tuple(compress(one, loss, share, callback) for one in film.fields))


class _Search:
    """The step of a field's code; steps are in units of the network's output."""

    def __init__(self, field: NeuralField | Mosaic, callback: Callable[[Progress], object]):
        self.field, self.like, self.callback, self.tried = field, _largest(field), callback, 0
        extent = np.diff(field.bounds_um, axis=1)[:, 0]
        shape = tuple(int(n) for n in np.maximum(np.rint(extent / field.spacing_um), 1))
        _check_memory(shape)
        self.spacing = extent / shape
        centres = np.asarray(field.bounds_um) + 0.5 * self.spacing[:, None] * [1, -1]
        contrast = field.volume(shape=shape, region=centres).contrast
        values = np.stack([contrast.real, contrast.imag][: field.network.n_outputs])
        if not self.like.output_scale:
            raise InputError(_EMPTY)
        values /= np.float32(self.like.output_scale)
        self.blocks = Blocks.of(shape, _shown(field.region_um, centres[:, 0], self.spacing, shape))
        self.part = (slice(None), *(slice(*pair) for pair in self.blocks.images))
        self.values, self.cosines = values[self.part], self.blocks.cosines(values)
        self.norm = float(np.linalg.norm(self.values.astype(np.float64)))
        if not self.norm > 0:
            raise InputError(_EMPTY)

    def coarsest(self, loss: float) -> float:
        """The coarsest step that keeps a loss."""
        low, high = LOSSES
        if not low <= loss <= high:
            raise InputError(
                f"loss {loss:g} is no share of the contrast from {low:g} to {high:g}, such as 0.01 (1%)"
            )
        return self._around(lambda step: self._loss(step) <= loss, self._typical(loss))[0]

    def finest(self, size: float) -> float:
        """The finest step that keeps a size in bytes, though none finer than the smallest loss asks for."""
        nothing = 2 * float(np.abs(self.cosines).max())
        room = size - _file_bytes(self.small(nothing)) - _SPARE
        if room < self._bytes(nothing):
            raise InputError(
                f"{size:.0f} bytes are too few: describing the field takes {size - room:.0f}, its values more"
            )
        least = self._typical(LOSSES[0])
        return max(least, self._around(lambda step: self._bytes(step) > room, self._typical(LOSS), least)[1])

    def small(self, step: float) -> NeuralField:
        """The field with a step, and what it costs."""
        field, coded = self.field, self._coded(step)
        bounds = np.asarray(field.bounds_um) + 0.5 * self.spacing[:, None] * [
            -1,
            1,
        ]  # nodes beyond the voxels
        made = replace(
            self.like,
            encoding=coded.encoding,
            network=coded.network,
            params=coded.params(),
            bounds_um=bounds,
            region_um=field.region_um,
            coded=coded,
            quantity="contrast",
        )
        told = {
            "fieldrx": __version__,
            "loss": self._loss(step),
            "loss_between": _loss_between(made, field),
            "step": coded.step,
            "encoding": self.like.encoding.to_dict(),
            "network": self.like.network.to_dict(),
            "params": identity(self.like)["params"],
        }
        origin = {**field.provenance.origin, "compressed": told}
        return replace(made, provenance=replace(field.provenance, origin=origin))

    def _typical(self, loss):
        """A step with about this loss, or less: where values are large, rounding is wrong by 0.3 steps."""
        return loss * self.norm / (0.3 * np.sqrt(self.values.size))

    def _coded(self, step):
        return Coded.of(self.blocks, quantised(self.blocks, self.cosines, step), step)

    def _loss(self, step):
        found = reconstructed(self.blocks, quantised(self.blocks, self.cosines, step), step)[self.part]
        return float(np.linalg.norm((found - self.values).astype(np.float64))) / self.norm

    def _bytes(self, step):
        return self._coded(step).stream.size

    def _around(self, is_below, step, least=0.0):
        """Two steps, closer than 0.3 %, the first of which is below a border and the second is not."""
        factor = 2.0 if self._tell(is_below(step)) else 0.5
        last, step = step, step * factor
        while self._tell(is_below(step)) == (factor > 1) and step > least:
            last, step = step, step * factor
        below, above = sorted((last, step))
        for _ in range(8):
            middle = float(np.sqrt(below * above))
            below, above = (middle, above) if self._tell(is_below(middle)) else (below, middle)
        return below, above

    def _tell(self, answer):
        self.tried += 1
        self.callback(Progress("compress", min(self.tried, _TRIALS), _TRIALS))
        return answer


def _largest(field):
    """The field itself; of a mosaic that of the tile with the largest outputs."""
    return max(field.fields, key=lambda one: one.output_scale) if isinstance(field, Mosaic) else field


def _check_memory(shape):
    """Refuse more voxels than there is memory for."""
    need, have = _VOXEL * math.prod(shape), physical_memory()
    if have is not None and need > have:
        raise InputError(
            f"compressing {' x '.join(map(str, shape))} voxels needs about {need / 2**30:.2g} GiB of memory; "
            f"there are {have / 2**30:.2g}: use a machine or a job with more"
        )


def _shown(region_um, first, spacing, shape):
    """Per axis, the first voxel within the images and the one after the last; all where there are none."""
    low, high = (np.asarray(region_um, np.float64).T - first) / spacing
    low, high = np.ceil(low - 1e-4).astype(int), np.floor(high + 1e-4).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    return np.stack([np.where(low < high, low, 0), np.where(low < high, high, shape)], axis=1)


def _loss_between(small, field):
    """Loss at random points within the images."""
    low, high = np.asarray(field.region_um).T
    points = np.random.default_rng(0).uniform(low, high, (_POINTS, 3))
    wanted = field.contrast(points)
    return float(np.linalg.norm(small.contrast(points) - wanted) / (np.linalg.norm(wanted) or 1.0))


def _file_bytes(field):
    file = io.BytesIO()
    np.savez_compressed(file, **field.to_arrays())
    return file.tell()

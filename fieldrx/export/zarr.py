"""OME-Zarr: a pyramid of chunked arrays in a folder, as OME-NGFF 0.4 (on Zarr 2) describes it."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io import named
from fieldrx.parallel import world

if TYPE_CHECKING:
    from fieldrx.export.times import Times
    from fieldrx.render.sampling import Samples

_CHUNK = (32, 256, 256)
_TRIES, _PAUSE_S = 20, 0.05  # of removing what failed


def write_ome_zarr(
    path: str | os.PathLike,
    levels: Sequence[Samples],
    *later: Sequence[Samples],
    times: Times | None = None,
) -> None:
    """Write a multiscale image, its levels as they are given: none is made from another.

    Parameters
    ----------
    path : path-like
        A folder, made or, where it is an OME-Zarr already, replaced.
    levels : sequence of Samples
        Finest first, all of the same channels.
    *later : sequences of Samples
        The same at later times.
    times : Times, optional
        Of them all; where their steps differ, they stand in the metadata alone.

    Raises
    ------
    InputError
        If the package zarr is missing, the folder holds something else, or the samples are turned.
    """
    try:
        import zarr
    except ImportError:
        raise InputError(f"{path}: writing OME-Zarr needs zarr; pip install fieldrx[io]") from None
    finest = levels[0]
    if not finest.lattice.straight:
        raise InputError(f"{path}: OME-Zarr has the axes z, y, x; write turned samples as .ome.tif or .vti")
    channels = () if len(finest.channels) == 1 else (len(finest.channels),)
    moments = [levels, *later]
    count = (len(moments),) if times else ()
    with _atomic_folder(path) as temporary:
        group = zarr.create_group(temporary, zarr_format=2)
        low, high = np.inf, -np.inf
        for number, samples in enumerate(levels):
            chunk = tuple(min(c, n) for c, n in zip(_CHUNK, samples.shape, strict=True))
            array = group.create_array(
                str(number), shape=(*count, *channels, *samples.shape),
                chunks=(*(1 for _ in (*count, *channels)), *chunk),
                dtype=np.float32, chunk_key_encoding={"name": "v2", "separator": "/"}, fill_value=0.0,
            )  # fmt: skip
            for moment, block in product(range(len(moments)), _chunks(samples.shape, chunk)):
                one = moments[moment][number]
                parts = np.stack(one.parts(one.read(block)))
                place = (*(moment for _ in count), *(slice(None) for _ in channels), *block)
                array[place] = parts if channels else parts[0]
                seen = parts[0][np.isfinite(parts[0])]
                if seen.size:
                    low, high = min(low, float(seen.min())), max(high, float(seen.max()))
        group.attrs.update(_attributes(levels, *((low, high) if low <= high else (0.0, 1.0)), times))


def _chunks(shape, chunk):
    starts = [range(0, n, c) for n, c in zip(shape, chunk, strict=True)]
    for z in starts[0]:
        for y in starts[1]:
            for x in starts[2]:
                yield slice(z, z + chunk[0]), slice(y, y + chunk[1]), slice(x, x + chunk[2])


def _attributes(levels: Sequence[Samples], low: float, high: float, times: Times | None) -> dict:
    """The metadata "multiscales" and "omero" of the group."""
    finest = levels[0]
    even = times is not None and times.step is not None
    steps = [(times.step or 1.0) if even and times else 1.0] * bool(times)
    starts = [times.values[0] if even and times else 0.0] * bool(times)
    axes = [_time_axis(times, even)] if times else []
    if len(finest.channels) > 1:
        axes += [{"name": "c", "type": "channel"}]
        steps, starts = [*steps, 1.0], [*starts, 0.0]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    datasets = []
    for number, samples in enumerate(levels):
        scale = {"type": "scale", "scale": [*steps, *samples.lattice.spacing_um]}
        shift = {"type": "translation", "translation": [*starts, *samples.lattice.origin_um]}
        datasets.append({"path": str(number), "coordinateTransformations": [scale, shift]})
    told = {"times": list(times.values)} if times else {}
    window = {"min": low, "max": high, "start": low, "end": high}
    colours = ["FFFFFF", "00FFFF"]
    return {
        "multiscales": [
            {
                "version": "0.4",
                "name": finest.label,
                "axes": axes,
                "datasets": datasets,
                "type": "evaluated at the points of each level",
                "metadata": {"description": finest.described, **told},
            }
        ],
        "omero": {
            "name": finest.label,
            "version": "0.4",
            "channels": [
                {"label": name, "color": colours[k], "window": window, "active": k == 0}
                for k, name in enumerate(finest.channels)
            ],
        },
    }


def _time_axis(times: Times, even: bool) -> dict[str, str]:
    """The axis of time; where steps differ, it counts frames."""
    return {"name": "t", "type": "time"} | ({"unit": "second"} if even and times.seconds else {})


@contextmanager
def _atomic_folder(path):
    """Write a folder whole or not at all, as `fieldrx.io.atomic_path` does with a file."""
    target = Path(os.path.realpath(path))
    if target.exists() and not (target / ".zgroup").is_file():
        raise InputError(f"{path} is there and is no OME-Zarr folder; choose another name")
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: the folder {target.parent} is not writable; choose another one")
    mark = secrets.token_hex(4)
    temporary, old = (target.with_name(f".{mark}-{kind}-{target.name}") for kind in ("new", "old"))
    try:
        yield temporary
        if world().rank:
            return
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
    except OSError as error:
        raise named(error, path) from None
    finally:
        for folder in (temporary, old):
            if folder.exists():
                _remove(folder)


def _remove(folder):
    """Remove a folder into which zarr's threads may go on writing for a moment, after one has failed."""
    for _ in range(_TRIES):
        with suppress(OSError):  # a file came, or went, meanwhile
            shutil.rmtree(folder)
        time.sleep(_PAUSE_S)
        if not folder.exists():
            return
    shutil.rmtree(folder)

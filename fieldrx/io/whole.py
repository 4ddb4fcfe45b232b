"""Whether an HDF5 dataset can be read and is whole: HDF5 itself fills what is missing with zeros."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx.errors import InputError

_FEW = 3  # names that an error lists


def check_filters(data: Any, path: Path) -> None:
    """Refuse a dataset whose compression nothing here can undo."""
    import h5py

    settings = data.id.get_create_plist()
    filters = [settings.get_filter(k) for k in range(settings.get_nfilters())]
    if all(h5py.h5z.filter_avail(f[0]) for f in filters):
        return
    with suppress(ImportError):  # said below
        import hdf5plugin  # noqa: F401 - registers its filters
    for number, _, _, name in filters:
        if not h5py.h5z.filter_avail(number):
            called = name.decode("utf-8", "replace") or "unknown"
            raise InputError(
                f"{path}: {data.name} is compressed by the HDF5 filter {number} ({called}), which is not "
                "installed; "
                "pip install hdf5plugin"
            )


def check_sources(data: Any, path: Path) -> None:
    """Refuse a dataset whose pixels lie in other files or datasets that are not there."""
    if data.external:
        parts = [(name, offset + min(size, data.nbytes)) for name, offset, size in data.external]
        gone = [
            name for name, end in parts if not (found := _beside(path, name)) or found.stat().st_size < end
        ]
        _refuse(gone, len(parts), "raw files", data, path)
    if not data.is_virtual:
        return
    sources = [(s.file_name, s.dset_name, s.vspace.get_select_npoints()) for s in data.virtual_sources()]
    known = [s for s in sources if "%" not in s[0] + s[1]]  # numbered names without end
    gone = [name for name, inner, _ in known if not _holds(data, path, name, inner)]
    _refuse(gone, len(sources), "files of the virtual dataset", data, path)
    mapped = sum(points for _, _, points in sources)
    if len(known) == len(sources) and mapped < data.size:
        raise InputError(
            f"{path}: the virtual dataset {data.name} has no source for {data.size - mapped} of its "
            f"{data.size} "
            "pixels, so that they are zero; make it again once all is there"
        )


def from_its_folder(data: Any, path: Path) -> Any:
    """A dataset whose raw files, if it has any, are looked for beside its file."""
    import h5py

    if not data.external or any(Path(name).is_file() for name, _, _ in data.external):
        return data
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_efile_prefix(os.fsencode(path.resolve().parent))
    file, name = data.file, data.name.encode()
    data.id.close()  # an open dataset keeps the folder that it was opened with
    return h5py.Dataset(h5py.h5d.open(file.id, name, access))


def _refuse(gone: list[str], count: int, what: str, data: Any, path: Path) -> None:
    if gone:
        few = ", ".join(gone[:_FEW]) + (" ..." if len(gone) > _FEW else "")
        raise InputError(
            f"{path}: {len(gone)} of the {count} {what} of {data.name} are not there, or lack its part: "
            f"{few}; copy "
            "them beside it"
        )


def _beside(path: Path, name: str) -> Path | None:
    """A file that HDF5 would find from another: beside it, or from the folder of work."""
    prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(path.parent))
    places = (Path(prefix) / name if prefix else None, path.parent / name, Path(name))
    return next((place for place in places if place is not None and place.is_file()), None)


def _holds(data: Any, path: Path, name: str, inner: str) -> bool:
    """Whether the source of a virtual dataset is there, and written as a whole."""
    import h5py

    if name == ".":
        return _complete(data.file.get(inner))
    found = _beside(path, name)
    if found is None:
        return False
    with h5py.File(found, "r") as file:
        return _complete(file.get(inner))


def _complete(data: Any) -> bool:
    if data is None:
        return False
    return data.ndim == 0 or not unwritten(data)(tuple(slice(None) for _ in data.shape), 0).any()


def unwritten(data: Any) -> Callable[[tuple[slice, ...], int], np.ndarray]:
    """The function `fieldrx.io.axes.Source.gaps` of a dataset."""
    if data.is_virtual or data.external:
        return lambda index, axis: np.zeros(data.shape[axis], bool)
    if data.chunks is None:
        lost = data.size > 0 and data.id.get_storage_size() == 0
        return lambda index, axis: np.full(data.shape[axis], lost)
    chunks = tuple(data.chunks)
    there = np.zeros([-(-n // c) for n, c in zip(data.shape, chunks, strict=True)], bool)
    if data.id.get_num_chunks() == there.size:
        return lambda index, axis: np.zeros(data.shape[axis], bool)
    for k in range(data.id.get_num_chunks()):
        there[tuple(o // c for o, c in zip(data.id.get_chunk_info(k).chunk_offset, chunks, strict=True))] = (
            True
        )

    def gaps(index, axis):
        parts = []
        for k, (part, c, n) in enumerate(zip(index, chunks, data.shape, strict=True)):
            start, stop, _ = part.indices(n)
            parts.append(slice(None) if k == axis else slice(start // c, -(-stop // c)))
        whole = there[tuple(parts)].all(axis=tuple(k for k in range(there.ndim) if k != axis))
        return ~np.repeat(whole, chunks[axis])[: data.shape[axis]]

    return gaps

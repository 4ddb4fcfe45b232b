"""Plain arrays: .npy, the volume .npz, and .vti for ParaView."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from functools import partial
from typing import IO, TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np

from fieldrx.errors import InputError
from fieldrx.io import atomic_path

if TYPE_CHECKING:
    from fieldrx.render.sampling import Samples


def write_npy(path: str | os.PathLike, samples: Samples) -> None:
    """Write a NumPy array (z, y, x) of complex64 or float32."""
    _, ny, nx = samples.shape
    kind = np.dtype(_kind(samples))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        _npy_header(file, samples)
        start = file.tell()

        def place(z, y):
            return start + kind.itemsize * nx * (z * ny + y)

        for block, values in samples.slabs():
            _scatter(file, block, values.astype(kind), place)


def write_volume_npz(path: str | os.PathLike, samples: Samples, medium_index: float) -> None:
    """Write a volume as `fieldrx.io.read_volume` reads it; the samples are the contrast.

    Raises
    ------
    InputError
        If the lattice is turned: a volume's axes are z, y and x.
    """
    lattice = samples.lattice
    if not lattice.straight:
        raise InputError(f"{path}: a volume .npz has the axes z, y, x; write turned samples as .npy or .tif")
    others = {
        "spacing_um": np.array(lattice.spacing_um),
        "origin_um": np.array(lattice.origin_um),
        "medium_index": np.array(medium_index),
    }
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("contrast.npy", "w", force_zip64=True) as file:
            _npy_header(file, samples)
            for _, values in samples.bands():  # a zip archive is written from front to back
                file.write(values.astype(_kind(samples)).tobytes())
        for name, value in others.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, value, allow_pickle=False)


def write_vti(path: str | os.PathLike, samples: Samples) -> None:
    """Write an image data file of VTK, which ParaView opens: one array per channel, appended raw.

    Layout: VTK file formats, "ImageData", appended data of encoding raw with 64-bit lengths.
    """
    lattice = samples.lattice
    xyz = lattice.shape[::-1]
    extent = " ".join(f"0 {n - 1}" for n in xyz)
    nbytes = 4 * lattice.size
    directions = np.array(lattice.directions)[::-1, ::-1].T  # columns: along x, y and z of the image
    arrays = "".join(
        f'<DataArray type="Float32" Name={quoteattr(name)} format="appended" offset="{k * (8 + nbytes)}"/>\n'
        for k, name in enumerate(samples.channels)
    )
    header = (
        '<?xml version="1.0"?>\n<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" '
        f'header_type="UInt64">\n<ImageData WholeExtent="{extent}" '
        f'Origin="{_words(lattice.origin_um[::-1])}" Spacing="{_words(lattice.spacing_um[::-1])}" '
        f'Direction="{_words(directions.ravel())}">\n'
        f'<Piece Extent="{extent}">\n<PointData Scalars={quoteattr(samples.channels[0])}>\n{arrays}'
        '</PointData>\n</Piece>\n</ImageData>\n<AppendedData encoding="raw">\n_'
    ).encode()
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(header)
        start = [len(header) + 8 + k * (8 + nbytes) for k in range(len(samples.channels))]
        for first in start:
            file.seek(first - 8)
            file.write(np.uint64(nbytes).astype("<u8").tobytes())
        _, ny, nx = samples.shape
        fill(file, samples, lambda channel, z, y: start[channel] + 4 * (z * ny + y) * nx)
        file.seek(start[-1] + nbytes)
        file.write(b"\n</AppendedData>\n</VTKFile>\n")


def fill(file: IO[bytes], samples: Samples, place: Callable[[int, int, int], int]) -> None:
    """Write little-endian float32 rows where they belong, ``place(channel, z, y)`` bytes from the start.

    Rows of a layer must lie one after the other.
    """
    for block, values in samples.slabs():
        for channel, part in enumerate(samples.parts(values)):
            _scatter(file, block, part.astype("<f4"), partial(place, channel))


def _scatter(file, block, values, place):
    """Write every layer of a block at ``place(z, y)`` of its first row."""
    for z, layer in enumerate(values, block[0].start):
        file.seek(place(z, block[1].start))
        file.write(layer.tobytes())


def _kind(samples):
    return "<c8" if samples.dtype.kind == "c" else "<f4"


def _npy_header(file, samples):
    """NumPy's format, version 1.0."""
    header = {"descr": _kind(samples), "fortran_order": False, "shape": samples.shape}
    np.lib.format.write_array_header_1_0(file, header)


def _words(numbers):
    return " ".join(repr(float(v)) for v in numbers)

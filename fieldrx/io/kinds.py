"""What kind of file holds images, by its first bytes rather than by its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from fieldrx.errors import InputError
from fieldrx.io.png import MAGIC as PNG_MAGIC
from fieldrx.io.zarr import MARKS

TIFF, HDF5, MATLAB, NPY, NPZ, PNG, ZARR = "TIFF", "HDF5", "MATLAB", "NPY", "NPZ", "PNG", "Zarr"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_STARTS = {
    PNG_MAGIC: PNG, b"\x93NUMPY": NPY, b"MATLAB 5.0": MATLAB,
    b"II*\0": TIFF, b"MM\0*": TIFF, b"II+\0": TIFF, b"MM\0+": TIFF,
}  # fmt: skip
_ENDINGS = {
    ".npy": NPY, ".npz": NPZ, ".mat": MATLAB, ".h5": HDF5, ".hdf5": HDF5, ".hdf": HDF5, ".he5": HDF5,
    ".nxs": HDF5, ".png": PNG, ".zarr": ZARR,
}  # fmt: skip
_FOREIGN = {
    b"\xff\xd8\xff": "a JPEG, which loses detail", b"GIF8": "a GIF, of at most 256 levels",
    b"BM": "a BMP picture",
    b"ZISRAWFILE": "a Zeiss CZI file", b"\xda\xce\xbe\x0a": "a Nikon ND2 file", b"SIMPLE  =": "a FITS file",
    b"\x1f\x8b": "compressed by gzip", b"%PDF": "a PDF", b"\x70\0\0\0": "a Leica LIF file",
}  # fmt: skip


def kind_of(path: Path) -> str:
    """The kind of a file or folder: by its content, else by its ending, else TIFF.

    Raises
    ------
    InputError
        If it is known to be of a kind that is not read.
    """
    if path.is_dir():
        return ZARR if any((path / mark).is_file() for mark in MARKS) else _by_ending(path)
    if not path.is_file():
        return _by_ending(path)
    try:
        with open(path, "rb") as file:
            head = file.read(520)
            for place in (0, 512, 1024, 2048, 4096):
                file.seek(place)
                if file.read(8) == _HDF5_MAGIC:
                    return HDF5
    except PermissionError:
        return _by_ending(path)  # whose reader says so
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if head.startswith(b"PK") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        return ZARR if any(name.rpartition("/")[2] in MARKS for name in names) else NPZ
    for start, what in _FOREIGN.items():
        if head.startswith(start):
            raise InputError(
                f"{path}: is {what}; expected TIFF, PNG, HDF5, MATLAB, NumPy or Zarr: export the images as "
                "TIFF"
            )
    return _by_ending(path)


def _by_ending(path: Path) -> str:
    return _ENDINGS.get(path.suffix.lower(), TIFF)

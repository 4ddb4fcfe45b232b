"""Reading an acquisition, whatever kind of file holds it."""

from __future__ import annotations

import os

from fieldrx.acquisition.arrays import from_arrays
from fieldrx.acquisition.data import Acquisition
from fieldrx.acquisition.frames import read_toml
from fieldrx.errors import InputError
from fieldrx.io import check_file, load_hdf5, load_npz

_WHICH_IMAGES = ("required", "named", "optional")  # that a reader insists on


def read_acquisition(path: str | os.PathLike, images: str = "required") -> Acquisition:
    """Read an acquisition from .toml, .npz or .h5; the tables above list the keys.

    Parameters
    ----------
    path : path-like
        Of the frames of a film the first is read.
    images : {"required", "named", "optional"}
        With "named" a file that names no images gives an `Acquisition` with ``images=None``: the optics
        alone.  With "optional" so does one whose image files are not there.

    Raises
    ------
    InputError
        One line: what was expected, what came, in which file, and what to do.
    """
    if images not in _WHICH_IMAGES:
        raise ValueError(f"images is {images!r}; expected one of {', '.join(_WHICH_IMAGES)}")
    path = check_file(path, "an acquisition (.toml, .npz or .h5)")
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return read_toml(path, images)
    if suffix == ".npz":
        return from_arrays(load_npz(path, "acquisition"), path, images != "required")
    if suffix in (".h5", ".hdf5"):
        return from_arrays(load_hdf5(path), path, images != "required")
    raise InputError(f"{path}: unknown ending; an acquisition is a .toml, .npz or .h5 file")

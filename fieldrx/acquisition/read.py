"""Reading an acquisition, whatever kind of file holds it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fieldrx.acquisition.arrays import from_arrays
from fieldrx.acquisition.data import Acquisition
from fieldrx.acquisition.frames import read_toml
from fieldrx.errors import InputError
from fieldrx.io import check_file, load_hdf5, load_npz

_WHICH_IMAGES = ("required", "named", "optional")  # that a reader insists on


def read_acquisition(
    path: str | os.PathLike, images: str = "required", region: Sequence[int] | None = None
) -> Acquisition:
    """Read an acquisition from .toml, .npz or .h5; the tables above list the keys.

    Parameters
    ----------
    path : path-like
        Of the frames of a film the first is read.
    images : {"required", "named", "optional"}
        With "named" a file that names no images gives an `Acquisition` with ``images=None``: the optics
        alone.  With "optional" so does one whose image files are not there.
    region : (int, int, int, int), optional
        A window (y0, y1, x0, x1) of what the file says, in pixels, ends excluded, as of
        :meth:`Acquisition.crop`.  What a .toml names is read there alone, and normalised by itself.

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
        return read_toml(path, images, region)
    if suffix not in (".npz", ".h5", ".hdf5"):
        raise InputError(f"{path}: unknown ending; an acquisition is a .toml, .npz or .h5 file")
    arrays = load_npz(path, "acquisition") if suffix == ".npz" else load_hdf5(path)
    whole = from_arrays(arrays, path, images != "required")
    return whole if region is None else whole.crop(region)

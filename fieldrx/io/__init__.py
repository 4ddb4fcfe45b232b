"""File formats in and out: bytes to arrays and back, no optics.

Every reader turns a mistake in a file into one `InputError` line that names the file; every writer
goes through `atomic_path`, so that a kill never leaves half a file.  One file a format; `stack` knows which
serves what an acquisition names.
"""

from fieldrx.errors import NoSuchFile, in_file, nearest, one_line
from fieldrx.io.choice import Choice, Stack, kept_images, numbers_called
from fieldrx.io.files import atomic_path, check_file, named, open_folder, remove_file, remove_own
from fieldrx.io.hdf5 import load_hdf5
from fieldrx.io.names import TIME, is_pattern, list_images, list_pattern, list_times
from fieldrx.io.npz import check_keys, check_npz, load_format, load_npz, save_npz
from fieldrx.io.plain import json_values
from fieldrx.io.png import png_bytes, write_png
from fieldrx.io.stack import read_images, read_stack

__all__ = [
    "TIME",
    "Choice",
    "NoSuchFile",
    "Stack",
    "atomic_path",
    "check_file",
    "check_keys",
    "check_npz",
    "in_file",
    "is_pattern",
    "json_values",
    "kept_images",
    "list_images",
    "list_pattern",
    "list_times",
    "load_format",
    "load_hdf5",
    "load_npz",
    "named",
    "nearest",
    "numbers_called",
    "one_line",
    "open_folder",
    "png_bytes",
    "read_images",
    "read_stack",
    "remove_file",
    "remove_own",
    "save_npz",
    "write_png",
]

_VOLUMES = ("Volume", "read_volume", "write_volume")  # were here in version 0.1


def __getattr__(name):
    if name not in _VOLUMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fieldrx import volume

    return getattr(volume, name)

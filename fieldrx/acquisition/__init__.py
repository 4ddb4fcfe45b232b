"""An acquisition: normalised intensity images and the optics that made them.

The keys of an acquisition.toml stand in `fieldrx.acquisition.schema`, those of an archive (.npz or .h5) in
`fieldrx.acquisition.arrays`, the columns of a table of directions in `read_table`.
"""

from fieldrx.acquisition.data import Acquisition, require_images
from fieldrx.acquisition.frames import Frames, FramesGiven, film_of
from fieldrx.acquisition.read import read_acquisition
from fieldrx.acquisition.table import read_table
from fieldrx.acquisition.windowed import Windowed

__all__ = [
    "Acquisition",
    "Frames",
    "FramesGiven",
    "Windowed",
    "film_of",
    "read_acquisition",
    "read_table",
    "require_images",
]

"""Whole frames, tile by tile: overlapping windows, a field for each, and a mosaic that answers as one field.

==========  ==================================================================================
`choose`    whether a frame needs tiles, and into which it is cut
`plan`      windows and the weights that join them: pure functions
`fits`      fitting all tiles; what is kept on the way
`mosaic`    the fields together, and their file
`judge`     errors over the frame
==========  ==================================================================================
"""

from fieldrx.tiles.choose import choose_tiles
from fieldrx.tiles.fits import Job, discard, fit_tiles, kept_job, plan
from fieldrx.tiles.judge import errors_of_tiles, evaluate_mosaic
from fieldrx.tiles.mosaic import Mosaic, load_mosaic
from fieldrx.tiles.plan import Tile, Tiling, cut

__all__ = [
    "Job",
    "Mosaic",
    "Tile",
    "Tiling",
    "choose_tiles",
    "cut",
    "discard",
    "errors_of_tiles",
    "evaluate_mosaic",
    "fit_tiles",
    "kept_job",
    "load_mosaic",
    "plan",
]

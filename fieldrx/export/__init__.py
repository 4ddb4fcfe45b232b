"""File formats for what is rendered: every writer asks its samples for one block after the other.

Samples are `fieldrx.render.sampling.Samples`: they know their shape, their place in space and the names of
their channels, and compute a block when it is read, so that a file may be far larger than the memory.
"""

from fieldrx.export.arrays import write_npy, write_volume_npz, write_vti
from fieldrx.export.film import write_gif, write_mp4
from fieldrx.export.tiff import write_tiff
from fieldrx.export.times import Times
from fieldrx.export.zarr import write_ome_zarr

__all__ = [
    "Times",
    "write_gif",
    "write_mp4",
    "write_npy",
    "write_ome_zarr",
    "write_tiff",
    "write_volume_npz",
    "write_vti",
]

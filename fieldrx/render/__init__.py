"""Pictures, volumes and films of a field, computed straight from the network at every point asked for."""

from fieldrx.render.files import ENDINGS, render, write
from fieldrx.render.images import new_images, render_images
from fieldrx.render.lattice import Lattice, plane_lattice, rotation, turned, volume_lattice
from fieldrx.render.movies import MOVIES, render_movie
from fieldrx.render.over_time import render_over_time
from fieldrx.render.pictures import colour, orthogonal_planes
from fieldrx.render.quantities import QUANTITIES, make_quantity
from fieldrx.render.sampling import Samples, sample
from fieldrx.render.views import PROJECTIONS, View, surface_level, view

__all__ = [
    "ENDINGS",
    "MOVIES",
    "PROJECTIONS",
    "QUANTITIES",
    "Lattice",
    "Samples",
    "View",
    "colour",
    "make_quantity",
    "new_images",
    "orthogonal_planes",
    "plane_lattice",
    "render",
    "render_images",
    "render_movie",
    "render_over_time",
    "rotation",
    "sample",
    "surface_level",
    "turned",
    "view",
    "volume_lattice",
    "write",
]

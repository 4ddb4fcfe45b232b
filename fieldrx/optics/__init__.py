"""Geometry, units and sign conventions: the microscope, its light, and the voxel grid.

All lengths are micrometres, arrays are ordered (z, y, x).  Pixel (i, j) of an image is centred at
``y = i * pixel_size``, ``x = j * pixel_size``; z is measured from the focal plane and grows in the
direction in which the light travels.  Time dependence is ``exp(-i w t)``: a wave towards +z is
``exp(+i kz z)`` and a positive imaginary index absorbs.

========================  ===========================================================  =========
symbol                    meaning                                                      unit
========================  ===========================================================  =========
``na`` = (na_y, na_x)     illumination direction: transverse wave vector over k0       1
``nu_s`` = na / lambda    the same as a spatial frequency                              cycles/um
``kz(nu)``                2 pi sqrt((n0 / lambda)^2 - |nu|^2), the axial wavenumber    rad/um
``P(nu)``                 pupil: 1 inside |nu| <= NA / lambda, else 0                  1
========================  ===========================================================  =========
"""

from fieldrx.optics.checks import check_contrast
from fieldrx.optics.grid import Grid, parse_depth, slice_positions
from fieldrx.optics.illumination import Illumination
from fieldrx.optics.lamps import Lamps
from fieldrx.optics.microscope import Microscope
from fieldrx.optics.sampling import (
    Resolution,
    clear_of_resonance,
    condenser_notes,
    lateral_band,
    sampling_notes,
)

__all__ = [
    "Grid",
    "Illumination",
    "Lamps",
    "Microscope",
    "Resolution",
    "check_contrast",
    "clear_of_resonance",
    "condenser_notes",
    "lateral_band",
    "parse_depth",
    "sampling_notes",
    "slice_positions",
]

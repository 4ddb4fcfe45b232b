"""Fields whose values, integrals and surfaces are known in closed form, where a NeuralField is expected."""

from types import SimpleNamespace

import numpy as np

from fieldrx.provenance import Provenance


class AnalyticField:
    """Index contrast given by a function of (z, y, x); what rendering asks of a field."""

    medium_index = 1.33
    spacing_um = (0.2, 0.1, 0.1)
    network = SimpleNamespace(n_outputs=1)

    def __init__(self, function, region, bounds=None):
        self.function = function
        self.region_um = np.array(region, float)
        self.bounds_um = self.region_um if bounds is None else np.array(bounds, float)
        self.provenance = Provenance(microscope={"wavelength_um": 0.5})

    def contrast(self, points):
        return self.function(*np.moveaxis(np.asarray(points, float), -1, 0)).astype(complex)

    def on_axes(self, z, y, x):
        z, y, x = (np.atleast_1d(np.asarray(a, float)) for a in (z, y, x))
        return self.function(z[:, None, None], y[:, None], x).astype(np.complex64)


CENTRE = np.array([0.3, 2.5, 1.6])
REGION = [(-3.0, 3.0), (-1.0, 5.0), (-2.0, 4.5)]  # centre (0, 2, 1.25)


def gaussian(sigma=0.4, height=0.02):
    """A round blob off the centre of its region; an integral along any line is a Gaussian again."""

    def contrast(z, y, x):
        r2 = (z - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (x - CENTRE[2]) ** 2
        return height * np.exp(-0.5 * r2 / sigma**2)

    return AnalyticField(contrast, REGION)


def cone(radius=1.5, height=0.02):
    """Contrast that falls linearly to 0 at a radius, so that every level is a sphere."""

    def contrast(z, y, x):
        r = np.sqrt((z - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (x - CENTRE[2]) ** 2)
        return height * np.maximum(1 - r / radius, 0)

    return AnalyticField(contrast, REGION)

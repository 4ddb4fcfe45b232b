"""Multi-slice models against the exact sphere: errors, and what they must stay below.

Radius 2 um, n0 1.335, wavelength 0.515 um, NA 0.65.  The exact image has the same frequencies as the model's
(zero-padded) camera, so what differs is the propagation through the sample, not how finely a pupil is drawn.
scripts/study_sphere.py prints the whole table, which docs/models.rst quotes.
"""

import functools

import numpy as np
import pytest
from sphere import sphere_contrast, sphere_intensity

from fieldrx.models import SSNP, BeamPropagation, MultiLayerBorn
from fieldrx.optics import Grid, Illumination, Microscope

RADIUS, N0, WAVELENGTH, NA = 2.0, 1.335, 0.515, 0.65
SOURCES = {"0": (0.0, 0.0), "0.3": (0.0, 0.3), "0.6": (0.36, -0.48)}
FOCUS = {"in focus": 0.0, "3 um off": 3.0}
MODELS = {"BPM": BeamPropagation, "SSNP": SSNP, "MLB": MultiLayerBorn}


@functools.cache
def exact(size, pixel, source, z, contrast):
    padded = 1 << (2 * size - 1).bit_length()
    centre = centre_of(size, pixel)
    sphere = (z, *centre), source, RADIUS, contrast, N0, WAVELENGTH, NA
    image = sphere_intensity((padded,) * 2, pixel, *sphere, still=True)
    return image[:size, :size]


def centre_of(size, pixel):
    return size * pixel / 2 + 0.03, size * pixel / 2 + 0.017


@functools.cache
def errors(kind, dz, contrast, z, pixel=0.1, size=320):
    """Relative error of I - 1 for every source."""
    n = 2 * int(np.ceil(1.05 * RADIUS / dz)) + 1
    grid = Grid((n, size, size), (dz, pixel, pixel), (z - 0.5 * (n - 1) * dz, 0.0, 0.0))
    delta = sphere_contrast(grid.axes, (z, *centre_of(size, pixel)), RADIUS, contrast).astype(np.float32)
    scope = Microscope(WAVELENGTH, NA, N0, pixel)
    model = MODELS[kind](grid, scope, Illumination(list(SOURCES.values())), border_um=4.0)
    out = {}
    for name, image in zip(SOURCES, model.forward(delta), strict=True):
        truth = exact(size, pixel, SOURCES[name], z, contrast)
        out[name] = float(np.linalg.norm(image - truth) / np.linalg.norm(truth - 1))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("contrast", [0.01, 0.03])
@pytest.mark.parametrize("z", FOCUS.values())
def test_split_step_is_accurate(contrast, z):
    """2 % at steps of 0.12 um and 1 % at 0.08; a phase in focus, lit along the axis, has a signal of second
    order only, so what the pixels lose weighs more there."""
    coarse, fine = errors("SSNP", 0.12, contrast, z), errors("SSNP", 0.08, contrast, z)
    for source in SOURCES:
        faint = z == 0 and source != "0.6"
        assert coarse[source] < (0.035 if faint else 0.02), source
        assert fine[source] < (0.035 if faint else 0.01), source


@pytest.mark.slow
def test_finer_pixels_resolve_what_is_in_focus():
    fine = errors("SSNP", 0.08, 0.01, 0.0, pixel=0.06, size=540)
    assert fine["0.3"] < 0.01


@pytest.mark.slow
def test_errors_fall_with_the_step():
    for z in FOCUS.values():
        steps = [errors("SSNP", dz, 0.03, z)["0.6"] for dz in (0.24, 0.12, 0.08)]
        assert steps[0] > 2 * steps[1] > 3 * steps[2]
        assert errors("MLB", 0.08, 0.03, z)["0.6"] < 0.8 * errors("MLB", 0.12, 0.03, z)["0.6"]


@pytest.mark.slow
def test_split_step_beats_beam_propagation():
    for source in SOURCES:
        assert errors("SSNP", 0.08, 0.03, 3.0)[source] < 0.3 * errors("BPM", 0.08, 0.03, 3.0)[source]

"""What a notebook shows of an object: one short line."""

import numpy as np
import tiny

from fieldrx import Ensemble, Grid
from fieldrx.band import Band
from fieldrx.calibration import Board, Calibration
from fieldrx.models import SSNP, Born, Optics, make_model
from fieldrx.noise import NoiseFloor
from fieldrx.pupil import Pupil
from fieldrx.refocus import DepthRange
from fieldrx.render import View, volume_lattice

GRID = Grid((5, 24, 20), (0.5, 0.25, 0.25), (-1 / 3, 0, 0))
MANY = np.linspace(0, 1, 1000)


def objects():
    acq, field = tiny.acquisition(), tiny.field()
    born = Born(GRID, tiny.SCOPE, tiny.LIGHT)
    images = born.forward(np.zeros(GRID.shape))
    yield acq
    yield tiny.LIGHT
    yield tiny.SCOPE
    yield tiny.phantom()
    yield field
    yield Ensemble([field, tiny.field(1)])
    yield GRID
    yield DepthRange((-1.0, 1.0, 0.5), MANY, MANY, "a long note " * 30)
    board = Board(np.eye(2), np.zeros(2), np.zeros(2))
    yield board
    directions, notes = [tiny.LIGHT.sources_na] * 3, ("word",) * 9
    yield Calibration(acq, board, *directions, 0.1, np.arange(9), 0.6, None, False, None, notes)
    yield Pupil(MANY)
    yield Optics(tiny.LIGHT.sources_na, np.ones(6))
    yield Band(GRID, np.ones(GRID.shape))
    yield NoiseFloor(0.1, MANY, 0.2, "beyond the band")
    yield View(np.ones((40, 50)), (0.1, 0.1), "n", "", 1.33)
    yield volume_lattice(field)
    yield born
    yield SSNP(GRID, tiny.SCOPE, tiny.LIGHT)
    yield make_model("bpm", GRID, tiny.SCOPE, tiny.LIGHT.with_lamps(bandwidth_um=0.02))
    yield born.gradients(np.zeros(GRID.shape), images)
    yield next(born.sensitivities(np.zeros(GRID.shape)))


def test_one_short_line():
    for thing in objects():
        line = repr(thing)
        assert line.startswith(type(thing).__name__ + "(")
        assert line.endswith(")")
        assert "\n" not in line
        assert len(line) < 300
        assert "array(" not in line


def test_shapes_and_units():
    assert repr(tiny.acquisition()) == (
        "Acquisition(tiny: 6 images of 24 x 20 pixels, 0.25 um each; wavelength 0.6 um, NA 0.6, medium 1.33; "
        "6 sources, 1 images held out)"
    )
    assert repr(tiny.LIGHT) == "Illumination(6 images, 6 sources of NA 0.5 ... 0.5)"
    assert "5 x 19 x 14 voxels (z, y, x), 0.5, 0.25, 0.3 um apart" in repr(tiny.phantom())
    assert "z -1 ... 1, y 0 ... 5.75, x 0 ... 4.75 um, medium 1.33; Hash, 1 x 16" in repr(tiny.field())
    assert repr(GRID) == "Grid(shape=(5, 24, 20), spacing_um=(0.5, 0.25, 0.25), origin_um=(-0.333333, 0, 0))"
    assert "heights_um=<float64 1000>" in repr(DepthRange((-1.0, 1.0, 0.5), MANY, MANY, ""))

"""Multi-slice models: derivatives by directional differences, engines against each other, images of nothing."""

import numpy as np
import pytest

from fieldrx.errors import InputError
from fieldrx.models import SSNP, BeamPropagation, MultiLayerBorn
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.pupil import Pupil

KINDS = [BeamPropagation, SSNP, MultiLayerBorn]
SCOPE = Microscope(wavelength_um=0.5, objective_na=0.7, medium_index=1.33, pixel_size_um=0.18)
GRID = Grid((6, 30, 40), (0.31, 0.18, 0.18), (-0.9, -5 * 0.18, -7 * 0.18))
IMAGE = (20, 27)
SOURCES = np.array([(0.0, 0.0), (0.31, -0.22), (-0.5, 0.11), (0.2, 0.55), (0.05, 0.9)])
PATTERN = np.array([(1, 0, 0, 0, 0), (0, 1, 0, 0.5, 0), (0.2, 0, 1, 0, 0.7)])
ZERNIKE = np.array([0.1, -0.2, 0.15, 0.3, -0.25, 0.1, 0.2])
UNEVEN = np.array([-1.0, -0.6, -0.35, 0.1, 0.3, 0.9])


def model(kind, sources=SOURCES, pattern=PATTERN, **options):
    return kind(GRID, SCOPE, Illumination(sources, pattern), IMAGE, **options)


def sample(dtype=np.complex128, strength=0.04):
    rng = np.random.default_rng(3)
    real, imaginary = rng.normal(size=(2, *GRID.shape))
    return (strength * (real + 0.3j * np.abs(imaginary))).astype(dtype)


def difference(f, at, along, step):
    return (f(at + step * along) - f(at - step * along)) / (2 * step)


OPTICS = {"pupil": Pupil(ZERNIKE), "defocus_um": 0.4, "gain": [1.1, 0.9, 1.2]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("edge", ["hard", "soft"])
@pytest.mark.parametrize("slices_um", [None, UNEVEN])
class TestGradients:
    """In double precision against central differences of forward(), in steps too small to meet a kink."""

    def check(self, kind, edge, slices_um, what, change):
        rng = np.random.default_rng(0)
        d_intensity = rng.normal(size=(3, *IMAGE))
        fixed = OPTICS | {"edge": edge, "slices_um": slices_um, "engine": "plain"}

        def loss(t):
            options, contrast = dict(fixed), sample()
            sources, pattern = SOURCES, PATTERN
            if what == "contrast":
                contrast = contrast + t * change
            elif what == "sources_na":
                sources = sources + t * change
            elif what == "pattern":
                pattern = pattern + t * change
            elif what == "pupil":
                options["pupil"] = Pupil(ZERNIKE + t * change)
            elif what == "gain":
                options["gain"] = np.array(options["gain"]) + t * change
            else:
                options["defocus_um"] += t * change
            return float(np.vdot(d_intensity, model(kind, sources, pattern, **options).forward(contrast)))

        gradients = model(kind, **fixed).gradients(sample(), d_intensity)
        along = np.vdot(getattr(gradients, what), change).real
        assert along == pytest.approx(difference(loss, 0.0, 1.0, 1e-6), rel=2e-6)

    def test_contrast(self, kind, edge, slices_um):
        rng = np.random.default_rng(1)
        change = rng.normal(size=GRID.shape) * (1 if edge == "hard" else 1j)
        self.check(kind, edge, slices_um, "contrast", change)

    def test_directions(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "sources_na", np.random.default_rng(2).normal(size=SOURCES.shape))

    def test_weights(self, kind, edge, slices_um):
        change = PATTERN * np.random.default_rng(3).normal(size=PATTERN.shape)  # no weight becomes negative
        self.check(kind, edge, slices_um, "pattern", change)

    def test_gain(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "gain", np.array([0.3, -1.0, 0.4]))

    def test_defocus(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "defocus_um", 1.0)

    def test_zernike(self, kind, edge, slices_um):
        self.check(kind, edge, slices_um, "pupil", np.random.default_rng(4).normal(size=len(ZERNIKE)))

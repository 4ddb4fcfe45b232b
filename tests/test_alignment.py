"""The board aligned with the field: found at a known sample, and by a fit that knows neither."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fieldrx import Acquisition, Fit, Illumination, Microscope, Volume, simulate
from fieldrx.alignment import Alignment
from fieldrx.board import Board, moved
from fieldrx.parallel import Alone
from fieldrx.priors import priors_of_sign
from fieldrx.refinement import Optics, Refinement
from fieldrx.simulation import on_image_grid

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.6, medium_index=1.33, pixel_size_um=0.24)
LIGHT = Illumination(
    np.concatenate([Illumination.led_ring(n, na).sources_na for n, na in ((5, 0.2), (9, 0.5))])
)
SHAPE = (44, 48)
WRONG = np.array([0.03, -0.02, 0.006, -0.004])  # rotation, scale, shift y, x of the table


def lit(board_step):
    return Illumination(moved(Board.turned(), board_step).directions(LIGHT.sources_na))


@cache
def sample():
    """Two beads, one of them off the axis and above the other."""
    spacing, origin = (0.2, 0.2, 0.2), (-1.8, 1.5, 1.5)
    z, y, x = (o + d * np.arange(n) for o, d, n in zip(origin, spacing, (23, 36, 40), strict=True))
    contrast = 0.0
    for centre, radius in (((-0.4, 4.2, 5.0), 1.2), ((1.0, 6.4, 7.2), 0.8)):
        far = [(a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)]
        r = np.sqrt(far[0][:, None, None] + far[1][:, None] + far[2])
        contrast = contrast + 0.03 / (1 + np.exp((r - radius) / 0.1))
    return Volume(contrast, spacing, origin, SCOPE.medium_index)


@cache
def images(holdout=(3, 10)):
    optics = Acquisition(None, LIGHT, SCOPE, holdout=holdout)
    return simulate(sample(), optics, "ssnp", SHAPE, photons=30_000)


def error_na(found):
    return np.median(np.linalg.norm(found - LIGHT.sources_na, axis=1))


def moves_at_the_sample(acq, count=30):
    """Directions after some moves at the true sample."""
    contrast, grid = on_image_grid(sample(), SHAPE, SCOPE)
    train = np.setdiff1d(np.arange(acq.n_images), acq.holdout)
    refinement = Refinement((), acq, "ssnp", grid, train, acq.holdout)
    alignment, optics, state = Alignment(refinement, Alone()), refinement.start, np.zeros(0)
    for k in range(count):
        optics, state = alignment.move(optics, state, contrast, np.sort(train[k % 2 :: 2]))
    return optics.sources_na, state


@pytest.mark.slow
def test_known_sample_gives_the_board():
    wrong = lit(WRONG)
    found, state = moves_at_the_sample(replace(images(), illumination=wrong))
    assert error_na(found) < 0.05 * error_na(wrong.sources_na)
    best, _ = moves_at_the_sample(images())  # what the edge of the pupil, soft here and hard there, leaves
    assert np.abs(found - best).max() < 2e-4
    np.testing.assert_allclose(state[:4], -WRONG, atol=2e-3)
    words = Alignment.words(state)
    assert f"turned by {np.rad2deg(state[0]):+.2f} degrees" in words
    assert f"scaled by {1 + state[1]:.4f}" in words


@pytest.mark.slow
def test_held_out_images_move_with_the_board_and_are_not_looked_at():
    acq = replace(images(), illumination=lit(WRONG))
    changed = acq.images.copy()
    changed[list(acq.holdout)] = 7
    found, _ = moves_at_the_sample(acq, 3)
    same, _ = moves_at_the_sample(replace(acq, images=changed), 3)
    np.testing.assert_array_equal(found, same)
    moved_by = np.linalg.norm(found - acq.illumination.sources_na, axis=1)
    assert moved_by[list(acq.holdout)].min() > 1e-3


@pytest.mark.slow
def test_masked_pixels_say_nothing():
    acq = replace(images(), illumination=lit(WRONG))
    mask = np.ones(acq.images.shape, bool)
    mask[:, 5:12, 8:20] = False
    spoilt = np.where(mask, acq.images, 3).astype(np.float32)
    found, _ = moves_at_the_sample(replace(acq, mask=mask), 3)
    same, _ = moves_at_the_sample(replace(acq, mask=mask, images=spoilt), 3)
    np.testing.assert_array_equal(found, same)


@pytest.mark.slow
def test_right_directions_stay_at_the_sample():
    found, _ = moves_at_the_sample(images())
    assert error_na(found) < 5e-4


@pytest.mark.slow
def test_a_fit_finds_board_and_sample():
    """From a board off by 0.013 NA to less than half of it, which nothing but the images tells."""
    acq = replace(images(), illumination=lit(WRONG))
    schedule = {"steps": 80, "coarse": 1.0, "tilted_from": 0.0, "patience": 0}
    fit = Fit(
        acq,
        (-1.8, 2.6, 0.4),
        "ssnp",
        refine="board",
        schedule=schedule,
        priors=priors_of_sign(1),
        device="cpu",
    )
    field = fit.run()
    assert error_na(fit.optics.sources_na) < 0.5 * error_na(acq.illumination.sources_na)
    assert field.provenance["refine"] == ["board"]
    assert any(note.startswith("board aligned with the field") for note in field.provenance["notes"])
    kept = Optics.recorded(field.provenance, acq.illumination)
    assert error_na(kept.sources_na) < 0.5 * error_na(acq.illumination.sources_na)


@pytest.mark.parametrize(
    ("step", "share", "due"), [(0, 0.0, False), (20, 0.5, True), (21, 0.5, False), (70, 0.8, False)]
)
def test_when_the_board_moves(step, share, due):
    _, grid = on_image_grid(sample(), SHAPE, SCOPE)
    refinement = Refinement((), images(), "ssnp", grid, np.arange(14), [])
    assert Alignment(refinement, Alone()).due(step, share) == due

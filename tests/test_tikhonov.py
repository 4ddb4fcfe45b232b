"""The closed-form inversion against a dense least-squares solution."""

from functools import cache

import numpy as np
import pytest

from fieldrx import Grid, Illumination, InputError, Microscope
from fieldrx.models import Born
from fieldrx.tikhonov import tikhonov

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.5, medium_index=1.33, pixel_size_um=0.25)
GRID = Grid((3, 6, 9), (0.7, 0.25, 0.25), (-0.6, 0.0, 0.0))  # all frequencies lie below the Nyquist
N = int(np.prod(GRID.shape))


def model(n_images):
    return Born(GRID, SCOPE, Illumination.led_ring(n_images, 0.45, start_deg=13))


@cache
def dense(n_images):
    """The matrix of the linear model, real: columns are real parts of the contrast, then imaginary."""
    m = model(n_images)
    columns = []
    for factor in (1.0, 1j):
        for voxel in range(N):
            unit = np.zeros(N, complex)
            unit[voxel] = factor
            columns.append(m.linear_signal(unit.reshape(GRID.shape)).ravel())
    return np.stack(columns, axis=1)


def row_norm(m):
    """The largest mean squared row norm of H over all frequencies, from the transfer functions."""
    ky, kx = np.meshgrid(*GRID.frequencies(), indexing="ij")
    h = np.concatenate(m.transfer(ky.ravel(), kx.ravel()), axis=2)
    return (np.abs(h) ** 2).sum(axis=2).mean(axis=1).max()


@pytest.mark.slow
@pytest.mark.parametrize("n_images", [4, 9])  # fewer and more images than unknowns of a frequency (6)
@pytest.mark.parametrize("regularisation", [1e-3, 0.3])
def test_against_dense_least_squares(n_images, regularisation):
    m = model(n_images)
    signal = np.random.default_rng(1).standard_normal((n_images, 6, 9)) * 0.1
    h, tau = dense(n_images), regularisation * row_norm(m)
    expected = np.linalg.solve(h.T @ h + tau * np.eye(2 * N), h.T @ signal.ravel())
    expected = (expected[:N] + 1j * expected[N:]).reshape(GRID.shape)
    contrast, used = tikhonov(m, signal.astype(np.float32), regularisation=regularisation)
    assert used == regularisation
    assert contrast.dtype == np.complex64
    tolerance = 2e-6 + np.finfo("f4").eps / regularisation  # of the FFTs, and by the condition number
    assert np.linalg.norm(contrast - expected) < tolerance * np.linalg.norm(expected)


def test_chosen_images_are_those_of_a_smaller_illumination():
    m, rows = model(9), np.array([7, 0, 4])
    signal = np.random.default_rng(2).standard_normal((3, 6, 9)).astype(np.float32)
    alone = Born(GRID, SCOPE, m.illumination.select(rows))
    one, other = tikhonov(m, signal, rows)[0], tikhonov(alone, signal)[0]
    assert np.linalg.norm(one - other) < 1e-5 * np.linalg.norm(one)


def test_regularisation_grows_with_the_noise():
    m, rng = model(9), np.random.default_rng(3)
    sample = (rng.standard_normal(GRID.shape) + 1j * rng.standard_normal(GRID.shape)) * 1e-3
    clean = m.linear_signal(sample).astype(np.float32)
    noise = rng.standard_normal(clean.shape).astype(np.float32) * clean.std()
    chosen = [tikhonov(m, clean + level * noise)[1] for level in (0.0, 0.3, 10.0)]
    assert chosen[0] < chosen[1] < chosen[2]


def test_images_smaller_than_the_grid():
    """A sample in the middle of the images is explained although the grid reaches beyond them."""
    grid = Grid((3, 40, 36), (0.7, 0.25, 0.25), (-0.6, -1.5, -1.0))
    m = Born(grid, SCOPE, Illumination.led_ring(6, 0.45), (27, 25))
    _, y, x = grid.axes
    sample = 1e-2 * np.exp(-(((y[:, None] - 3.3) / 0.5) ** 2) - ((x - 3.0) / 0.5) ** 2) * np.ones((3, 1, 1))
    signal = m.linear_signal(sample)
    contrast, _ = tikhonov(m, signal.astype(np.float32), regularisation=1e-3)
    assert contrast.shape == grid.shape
    assert np.linalg.norm(m.linear_signal(contrast) - signal) < 0.1 * np.linalg.norm(signal)


def test_progress_ends_at_one():
    shares = []
    tikhonov(model(4), np.ones((4, 6, 9), np.float32), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize(("images", "expected"), [(None, 4), ([0, 2], 2)])
def test_wrong_count(images, expected):
    with pytest.raises(InputError, match=f"3 images; expected {expected}, one per chosen image"):
        tikhonov(model(4), np.zeros((3, 6, 9), np.float32), images)


def test_one_image_is_inverted_without_a_choice():
    contrast, used = tikhonov(model(1), np.random.default_rng(4).standard_normal((1, 6, 9)))
    assert np.isfinite(contrast).all()
    assert used > 0

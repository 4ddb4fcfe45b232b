"""The smooth factor of an image, told from the sample by the sample's prediction."""

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, evaluate
from fieldrx.metrics import image_errors
from fieldrx.shading import flattened, smooth_factor

SHAPE = (30, 44)
Y, X = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")


def images(n=2, seed=0):
    rng = np.random.default_rng(seed)
    return (1 + 0.3 * rng.standard_normal((n, *SHAPE))).astype(np.float32)


def surface(a, b, c, d):
    return (1 + a + b * Y + c * X * Y + d * X**2).astype(np.float32)


@pytest.fixture
def free(monkeypatch):
    """Surfaces that nothing holds back."""
    monkeypatch.setattr("fieldrx.shading._RIDGE", 1e-4)


def test_a_smooth_factor_is_found(free):
    predicted = images()
    true = np.stack([surface(0.05, -0.1, 0.08, 0.2), surface(-0.1, 0.02, 0, -0.05)])
    found, _ = smooth_factor(predicted, predicted * true)
    assert np.abs(found - true).max() < 1e-3
    assert np.abs(flattened(predicted * true, predicted) - predicted).max() < 2e-3


def test_masked_pixels_do_not_count(free):
    predicted, true = images(1), surface(0.05, -0.1, 0, 0)
    valid = np.random.default_rng(1).random((1, *SHAPE)) > 0.3
    measured = np.where(valid, predicted * true, np.float32(70))
    assert np.abs(smooth_factor(predicted, measured, valid)[0] - true).max() < 1e-3
    assert (flattened(measured, predicted, valid)[~valid] == 1).all()


def test_it_is_the_least_squares_solution():
    predicted, measured = images(1, 2)[0], images(1, 3)[0]
    basis = np.stack([np.ones_like(Y), Y, X, 3 * Y**2 - 1, X * Y, 3 * X**2 - 1]).reshape(6, -1)
    basis /= np.sqrt((basis**2).mean(axis=1, keepdims=True))
    design, ridge = (basis * predicted.ravel()).T.astype(float), 0.3 * Y.size
    rows = np.concatenate([design, np.sqrt(ridge) * np.eye(6)])
    c = np.linalg.lstsq(rows, np.append((measured - predicted).ravel().astype(float), np.zeros(6)))[0]
    factor, penalty = smooth_factor(predicted[None], measured[None])
    assert np.abs(factor[0] - 1 - (c @ basis).reshape(SHAPE)).max() < 1e-4
    assert penalty == pytest.approx(ridge * (c**2).sum(), rel=1e-3)


@pytest.mark.parametrize("model", ["born", "rytov", "ssnp"])
def test_gradient_of_a_fit_that_finds_the_background(model):
    """The surface is optimal, so the gradient of the data term is that with the surface held."""
    fit = tiny.fit(tiny.acquisition("ssnp"), model, background=True)
    batch, rng = fit.train[:3], np.random.default_rng(0)
    predicted = rng.uniform(-0.2, 0.2, (3, *tiny.SHAPE)).astype(np.float32)
    direction = rng.standard_normal(predicted.shape).astype(np.float32)
    _, gradient = fit.objective.data_term(predicted, batch)
    h = 1e-2
    slope = (
        fit.objective.data_term(predicted + h * direction, batch)[0]
        - fit.objective.data_term(predicted - h * direction, batch)[0]
    ) / (2 * h)
    assert np.vdot(gradient, direction) == pytest.approx(slope, rel=5e-3)


def uneven(acq):
    y, x = (np.linspace(-1, 1, n) for n in acq.image_shape)
    k = np.arange(acq.n_images)[:, None, None]
    factor = 1 + 0.05 * np.cos(k) + 0.1 * np.sin(k + 1) * y[:, None] + 0.1 * np.cos(2 * k) * x**2
    return Acquisition(acq.images * factor.astype(np.float32), acq.illumination, acq.microscope,
                       holdout=acq.holdout, levelled=True)  # fmt: skip


@pytest.mark.slow
def test_fit_is_not_misled_by_an_uneven_background():
    clean = tiny.acquisition("ssnp", holdout=())
    spoilt, errors = uneven(clean), {}
    model = tiny.fit(clean, "ssnp").model  # without any surface
    for background in (None, False):
        fit = tiny.fit(spoilt, "ssnp", schedule=tiny.schedule(steps=60), background=background, holdout=0)
        field = fit.run()
        assert field.provenance["background"] == (background is None)
        predicted = model.forward(field.on_axes(*model.grid.axes))
        errors[background] = image_errors(predicted, clean.images)[0]
    assert errors[None] < 0.7 * errors[False]


def test_evaluation_divides_by_the_same_surface():
    acq = uneven(tiny.acquisition("ssnp"))
    field = tiny.fit(acq, "ssnp", schedule=tiny.schedule(steps=12)).run()
    result = evaluate(field, acq)
    assert result["background_refined"]
    assert result["nrmse_holdout"] == pytest.approx(field.provenance["nrmse_holdout"], rel=0.05)

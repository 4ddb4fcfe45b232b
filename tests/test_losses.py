"""Losses: values by hand, gradients by finite differences, masked pixels, and dirt that a fit survives."""

import numpy as np
import pytest
import tiny
from scipy.stats import poisson

from fieldrx import Acquisition, InputError
from fieldrx.losses import Huber, Poisson, SquaredError, make_loss
from fieldrx.metrics import index_error

LOSSES = [SquaredError(), Huber(0.07), Poisson(900.0), Poisson(900.0, read_noise=6.0)]


def pixels(seed=0, low=0.3):
    rng = np.random.default_rng(seed)
    measured = rng.uniform(low, 1.6, (2, 7, 5))
    return measured + rng.normal(0, 0.2, measured.shape), measured, rng.random(measured.shape) > 0.3


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("low", [0.3, -0.2])
def test_gradient(loss, low):
    """Central differences in double precision, dark and negative predictions included."""
    predicted, measured, valid = pixels(low=low)
    _, gradient = loss.value_and_gradient(predicted, measured, valid)
    direction = np.random.default_rng(1).standard_normal(predicted.shape)
    h = 1e-6
    up, down = (loss.value_and_gradient(predicted + s * h * direction, measured, valid)[0] for s in (1, -1))
    assert np.vdot(gradient, direction) == pytest.approx((up - down) / (2 * h), rel=1e-6)
    assert gradient.dtype == predicted.dtype


@pytest.mark.parametrize("loss", LOSSES)
def test_masked_pixels_count_nowhere(loss):
    predicted, measured, valid = pixels()
    value, gradient = loss.value_and_gradient(predicted, measured, valid)
    assert not gradient[~valid].any()
    assert gradient[valid].all()
    other = np.where(valid, predicted, 40.0)
    assert loss.value_and_gradient(other, measured, valid)[0] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_prediction_costs_nothing(loss):
    _, measured, valid = pixels()
    value, gradient = loss.value_and_gradient(measured, measured, valid)
    assert value == pytest.approx(0, abs=1e-9)
    assert np.abs(gradient).max() < 1e-9


def test_huber_by_hand():
    measured, valid = np.array([1.0, 1.0, 4.0]), np.ones(3, bool)
    value, gradient = Huber(0.5).value_and_gradient(np.array([1.21, 9.0, 1.0]), measured, valid)
    assert value == pytest.approx(0.1**2 + (2 * 0.5 * 2 - 0.25) + (2 * 0.5 * 1 - 0.25))
    assert gradient == pytest.approx([2 * 0.1 / 2.2, 2 * 0.5 / 6, -2 * 0.5 / 2])


def test_huber_pulls_with_bounded_strength_where_a_linear_model_predicts_below_zero():
    loss, valid = Huber(0.07), np.ones(1, bool)
    predicted = np.linspace(-3.0, 3.0, 601)
    for measured in (0.0, 0.04, 1.0):
        told = [loss.value_and_gradient(np.array([p]), np.array([measured]), valid) for p in predicted]
        values, slopes = np.array([v for v, _ in told]), np.array([float(g[0]) for _, g in told])
        assert np.abs(slopes).max() <= 0.07 / np.sqrt(0.05) + 1e-12
        assert np.abs(np.diff(slopes)).max() < 1.01 * 0.01 * 0.5 / 0.05  # no step, at 0.05 neither
        risen = np.cumsum(np.r_[0, 0.01 * 0.5 * (slopes[1:] + slopes[:-1])])
        assert values == pytest.approx(values[0] + risen, abs=2e-3)
        assert loss.value_and_gradient(np.array([measured]), np.array([measured]), valid)[0] == 0


def test_poisson_is_the_deviance_of_counts():
    counts, photons = np.array([0, 3, 40]), 20.0
    expected = np.array([0.4, 4.2, 33.0])
    value, _ = Poisson(photons).value_and_gradient(expected / photons, counts / photons, np.ones(3, bool))
    saturated = np.where(counts > 0, counts, 1e-300)
    by_scipy = 2 * (poisson.logpmf(counts, saturated) - poisson.logpmf(counts, expected)).sum()
    assert value == pytest.approx(by_scipy, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson:4000", "poisson:4000:3"])
@pytest.mark.parametrize("model", ["born", "rytov", "ssnp"])
def test_a_fit_starts_at_one_and_falls(loss, model):
    schedule = tiny.schedule(steps=30, warm_steps=0, coarse=0.0, learning_rate=0.02, table_learning_rate=0.1)
    fit = tiny.fit(tiny.acquisition("born"), model, loss=loss, schedule=schedule)
    zero = np.zeros(fit.grid.shape, np.complex64)
    predicted, _ = fit.loss.predict(fit.model, zero, fit.train)
    assert fit.objective.data_term(predicted, fit.train)[0] == pytest.approx(1, rel=1e-5)
    field = fit.run()
    assert field.history["loss"][-1] < 0.9 * field.history["loss"][0]
    assert field.provenance["loss"]["kind"] == loss.split(":")[0]


@pytest.mark.parametrize("model", ["born", "rytov"])
@pytest.mark.parametrize("loss", ["huber:0.01", "poisson:3000"])
def test_gradient_of_the_contrast(model, loss):
    """Loss and model together: central differences along a direction of the contrast."""
    fit = tiny.fit(tiny.acquisition(model, photons=3000), model, loss=loss)
    rng = np.random.default_rng(2)
    shape = fit.grid.shape
    contrast, direction = (
        0.004 * (rng.standard_normal(shape) + 0.2j * rng.standard_normal(shape)) for _ in range(2)
    )

    def value(step):
        predicted, _ = fit.loss.predict(fit.model, contrast + step * direction, fit.train)
        return fit.objective.data_term(predicted, fit.train)[0]

    predicted, pullback = fit.loss.predict(fit.model, contrast, fit.train)
    gradient = pullback(fit.objective.data_term(predicted, fit.train)[1])
    h = 1e-4
    assert np.vdot(gradient, direction).real == pytest.approx((value(h) - value(-h)) / (2 * h), rel=2e-3)


@pytest.mark.slow
def test_huber_survives_dirt_that_misleads_squares():
    clean = tiny.acquisition(photons=20000, holdout=())
    images = clean.images.copy()
    rng = np.random.default_rng(3)
    images[rng.random(images.shape) < 0.03] = 2.5
    dirty = Acquisition(images, clean.illumination, clean.microscope)
    truth = tiny.phantom()
    errors = {}
    for loss in ("squared", "huber"):
        schedule = tiny.schedule(steps=60)
        field = tiny.fit(dirty, loss=loss, schedule=schedule, holdout=0).run()
        errors[loss] = index_error(field.on_axes(*truth.grid.axes), truth.contrast)
    assert errors["huber"] < 0.8 * errors["squared"]


def test_numbers_are_estimated_where_none_are_given():
    acq = tiny.acquisition(photons=3000)
    train = np.array([0, 1, 2, 3, 5])
    loss, note = make_loss("poisson", acq, train)
    assert loss.photons == pytest.approx(3000, rel=0.4)
    assert "photons" in note
    loss, note = make_loss("huber", acq, train)
    amplitude = np.sqrt(acq.images[train]) - 1
    assert loss.threshold == pytest.approx(1.4826 * np.median(np.abs(amplitude)), rel=1e-5)
    assert "threshold" in note
    for given in (SquaredError(), Huber(0.2), Poisson(50.0, 2.0)):
        assert make_loss(given.to_dict(), acq, train)[0] == given


@pytest.mark.parametrize("text", ["l1", "huber:x", "huber:-1", "poisson:0", "poisson:9:-1", "squared:1", ""])
def test_wrong_losses(text):
    with pytest.raises(InputError):
        make_loss(text, tiny.acquisition(), np.arange(5))


# ---- dark field ------------------------------------------------------------------------------------


def decades(seed=0):
    """Images of which one is in bright field and two are darker by decades, and predictions of them."""
    rng = np.random.default_rng(seed)
    level = np.array([1.0, 0.03, 0.002])[:, None, None]
    measured = level * rng.uniform(0.3, 1.7, (3, 20, 24))
    return measured * rng.uniform(0.7, 1.3, measured.shape), measured, np.ones(measured.shape, bool)


@pytest.mark.parametrize("loss", [Huber(0.2, 1e-5), Poisson(4000.0, floor=1e-5), Poisson(4000.0, 2.0, 1e-5)])
def test_gradient_over_three_decades(loss):
    predicted, measured, valid = decades()
    _, gradient = loss.value_and_gradient(predicted, measured, valid)
    direction = predicted * np.random.default_rng(1).standard_normal(predicted.shape)
    up, down = (
        loss.value_and_gradient(predicted + s * 1e-6 * direction, measured, valid)[0] for s in (1, -1)
    )
    assert np.vdot(gradient, direction) == pytest.approx((up - down) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("loss", [Huber(0.2, 1e-5), Poisson(4e5, floor=1e-5)])
def test_photon_noise_costs_the_same_at_every_brightness(loss):
    """As many photons' noise as the light itself has is one and the same loss a pixel in all images."""
    rng = np.random.default_rng(0)
    level = np.broadcast_to(np.array([1.0, 0.03, 0.002])[:, None, None], (3, 60, 60))
    counted, valid = rng.poisson(4e5 * level) / 4e5, np.ones((1, 60, 60), bool)
    each = [loss.value_and_gradient(level[k : k + 1], counted[k : k + 1], valid)[0] for k in range(3)]
    assert each == pytest.approx([each[0]] * 3, rel=0.1)


def test_outliers_in_the_dark_are_bounded_by_the_image_itself():
    predicted, measured, valid = decades()
    loss, k = Huber(0.2, 1e-5), 2
    part = slice(k, k + 1)
    clean = loss.value_and_gradient(predicted[part], measured[part], valid[part])[0]
    measured[k, 3, 4] = 1.0  # a hot pixel, 500 times as bright as all others
    hot = loss.value_and_gradient(predicted[part], measured[part], valid[part])[0]
    amplitude = np.sqrt(measured[k]).mean()
    assert hot - clean < 2 * 3 * amplitude  # a dark image counts less: with the threshold alone it were 0.35
    assert 2 * 3 * amplitude < 0.3


def with_dark_field(photons=None):
    """Images of the tiny phantom in bright and in dark field."""
    from fieldrx import Illumination, simulate

    sources = np.r_[tiny.LIGHT.sources_na, Illumination.led_ring(5, 0.75).sources_na]
    optics = Acquisition(None, Illumination(sources), tiny.SCOPE, holdout=[4, 8])
    noise = {} if photons is None else {"photons": photons}
    return simulate(tiny.phantom(absorbing=True), optics, "ssnp", tiny.SHAPE, **noise)


def test_numbers_with_dark_field_are_those_of_its_noise():
    acq = with_dark_field(photons=3e5)
    bright, all_images = np.arange(6), np.arange(11)
    loss, note = make_loss("auto", acq, all_images)
    assert loss.threshold == make_loss("huber", acq, bright)[0].threshold
    assert 1e-5 <= loss.floor < 1e-3
    assert "5 dark images" in note
    assert make_loss(loss.to_dict(), acq, all_images)[0] == loss
    assert make_loss("auto", acq, bright) == (SquaredError(), "")
    photon, _ = make_loss("poisson", acq, all_images)
    assert photon.photons == pytest.approx(3e5, rel=0.4)
    assert photon.floor == loss.floor


@pytest.mark.parametrize("loss", ["auto", "squared", "poisson:100000:0:1e-5"])
def test_a_fit_with_dark_field_starts_at_one_and_falls(loss):
    schedule = tiny.schedule(steps=30, warm_steps=0, coarse=0.0, learning_rate=0.02, table_learning_rate=0.1)
    fit = tiny.fit(with_dark_field(), "ssnp", loss=loss, schedule=schedule, background=True)
    assert fit.train.tolist() == [0, 1, 2, 3, 5, 6, 7, 9, 10]
    zero = np.zeros(fit.grid.shape, np.complex64)
    predicted, _ = fit.loss.predict(fit.model, zero, fit.train)
    assert fit.objective.data_term(predicted, fit.train)[0] == pytest.approx(1, rel=1e-5)
    field = fit.run()
    assert field.history["loss"][-1] < 0.9 * field.history["loss"][0]

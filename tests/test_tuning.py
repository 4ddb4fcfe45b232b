"""The strength of the regularisation: chosen by unseen images, never by chance, and within the time given."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Fit, Illumination, InputError, Schedule, Volume, evaluate, simulate, tuning
from fieldrx.tuning import choose_tv

LIGHT = Illumination.led_ring(15, 0.5, start_deg=3)
SMALL = {"encoding": tiny.ENCODING, "network": tiny.NETWORK}


def images(photons, contrast=None):
    """Of a blob, or of a contrast on voxels below the pixels."""
    optics = Acquisition(None, LIGHT, tiny.SCOPE, holdout=[0, 7, 11])
    place = (0.5, 0.25, 0.25), (-1.0, 0.0, 0.0), tiny.SCOPE.medium_index
    truth = tiny.phantom() if contrast is None else Volume(contrast, *place)
    return simulate(truth, optics, "born", tiny.SHAPE, photons=photons, seed=3)


def choose(acq, schedule, **options):
    return choose_tv(acq, tiny.DEPTH, "born", schedule=schedule, **SMALL, **options)


def tried(note):
    """Weights and errors as a note names them."""
    pairs = re.findall(r"([\d.]+): ([\d.]+)", note)
    return np.array(pairs, float).T


@pytest.fixture
def fits(monkeypatch):
    """All fits of a choice."""
    made = []

    def fit(*args, **options):
        made.append(Fit(*args, **options))
        return made[-1]

    monkeypatch.setattr(tuning, "Fit", fit)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("sample", "photons", "weight"), [("grains", None, 0.15), ("ball", 300, 0.6)])
def test_short_fits_tell_rough_samples_from_smooth_ones(sample, photons, weight):
    """Fits whose looks at held-out images, every ten steps, end before their first step has told anything."""
    z, y, x = np.ogrid[-1:1:5j, 0:5.75:24j, 0:4.75:20j]
    ball = (z / 0.9) ** 2 + ((y - 2.7) / 1.6) ** 2 + ((x - 2.2) / 1.4) ** 2 < 1
    contrast = {"ball": 1.0 * ball, "grains": np.random.default_rng(0).standard_normal(ball.shape)}[sample]
    found, note = choose_tv(images(photons, 0.01 * contrast), tiny.DEPTH, "born", schedule={"steps": 70})
    assert found == weight, note
    assert "by errors of unseen images" in note


@pytest.mark.slow
def test_errors_are_those_of_images_that_no_trial_saw(fits):
    acq = images(2000)
    _, note = choose(acq, Schedule(steps=70))
    weights, errors = tried(note)
    assert weights.tolist() == [0.15, 0.6, 2.4]
    assert len(set(errors)) == 3
    train = np.setdiff1d(np.arange(15), acq.holdout)
    aside, seen = train[3::6], np.setdiff1d(train, train[3::6])
    for fit in fits:
        assert np.array_equal(fit.acquisition.images, acq.images[seen])
        assert fit.held.size == 0
    for fit, weight, error in zip(fits[1:], weights, errors, strict=True):
        assert (fit.priors.tv, fit.priors.tv_absorption) == (weight, weight)
        assert evaluate(fit.field(), acq.select(aside))["nrmse"] == pytest.approx(error, abs=6e-5)


@pytest.mark.slow
def test_as_many_steps_as_the_fit_at_most(fits):
    choose(images(2000), Schedule(steps=80))
    assert [fit.state.step for fit in fits] == [40, 12, 12, 12]


@pytest.mark.slow
def test_a_budget_is_the_time_of_all_trials(fits, monkeypatch):
    """On a clock that every look at it moves on."""
    now = [0.0]

    def tick():
        now[0] += 0.01
        return now[0]

    for module in ("run", "start"):
        monkeypatch.setattr(f"fieldrx.fit.{module}.time", SimpleNamespace(perf_counter=tick))
    _, note = choose(images(2000), {"budget_s": 8.0})
    assert len(fits) == 4
    assert 0.8 * 8.0 < sum(fit.state.seconds for fit in fits) < 8.0
    assert len({fit.state.step for fit in fits[1:]}) == 1
    assert "by errors of unseen images" in note


@pytest.mark.parametrize("schedule", [{"steps": 60}, Schedule(steps=60), {"budget_s": 1e-3}])
def test_fits_too_short_to_tell_take_the_usual_weight(schedule):
    tv, note = choose(images(2000), schedule)
    assert tv == 0.6
    assert "the usual: a fit of" in note
    assert "is too short to choose it" in note


@pytest.mark.parametrize(
    ("errors", "weight"),
    [
        ([0.2, 0.2, 0.2], 0.6),
        ([0.19999, 0.2, 0.3], 0.6),
        ([0.19, 0.2, 0.3], 0.15),
        ([0.3, 0.2, 0.1], 2.4),
        ([np.inf, np.inf, np.inf], 0.6),
        ([np.inf, np.inf, 0.1], 2.4),
    ],
)
def test_what_is_no_better_is_not_chosen(errors, weight):
    tv, note = tuning._chosen(0.6, errors)
    assert tv == weight
    assert ("tell no better one" in note) == (errors[0] in (0.2, 0.19999) or not np.isfinite(min(errors)))


def test_too_few_images():
    with pytest.raises(InputError, match="5 training images are too few"):
        choose(tiny.acquisition(), {"steps": 70})

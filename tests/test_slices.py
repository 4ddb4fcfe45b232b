"""Early steps on fewer, thicker slices: `fieldrx.fit.slices`."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from fieldrx import Priors
from fieldrx.field import Network
from fieldrx.fit import course
from fieldrx.fit.slices import MODEL, thick_grid
from fieldrx.models import make_model

HALF_PERIOD = 0.5 * 0.6 / (2 * (1.33 - np.sqrt(1.33**2 - 0.6**2)))  # of the tiny optics along the light


def fit(model="ssnp", **schedule):
    options = {"steps": 20, "warm_steps": 0, "thick": 0.5} | schedule
    return tiny.fit(tiny.acquisition(model), model, schedule=tiny.schedule(**options))


def test_thick_slices_fill_the_same_depth():
    problem = fit().problem
    thick, own = thick_grid(problem), problem.grid
    np.testing.assert_allclose(thick.bounds_um, own.bounds_um)
    assert thick.shape == (3, *own.shape[1:]) and own.shape[0] == 5
    assert 0.5 * HALF_PERIOD < thick.spacing_um[0] < 1.2 * HALF_PERIOD


def test_slices_that_the_optics_tell_apart_stay():
    problem = fit().problem
    coarse = replace(problem.grid, shape=(3, *problem.grid.shape[1:]), spacing_um=(1.0, 0.25, 0.25))
    assert thick_grid(replace(problem, grid=coarse)) is None
    assert thick_grid(fit(thick=0.0).problem) is None
    assert thick_grid(fit("born").problem) is None


def test_gradient_of_a_step_in_thick_slices(monkeypatch):
    """What such a step hands to Adam against central differences, and its errors, by a model made here."""
    network = Network(tiny.ENCODING.n_features, 8, 1, activation="sine", omega=2.0)
    schedule = tiny.schedule(steps=20, warm_steps=0, batch=3, thick=0.9, coarse=0.9, tilted_from=0.0)
    options = {"network": network, "schedule": schedule, "priors": Priors(0.1, 0.2)}
    one = tiny.fit(tiny.acquisition("ssnp"), "ssnp", **options)
    one.start()
    rng = np.random.default_rng(4)
    one.state.params[:] = rng.normal(0, 0.3, one.state.params.size)
    one.state.output_scale /= 8  # random weights stay near the sample
    one.state.step = 3
    thick, lift_um = one.slices.at(one.state, 3 / 20)
    assert 0 < abs(lift_um) < 0.5 * (thick.grid.spacing_um[0] - one.grid.spacing_um[0])
    stride, gain = course.coarseness(one.problem, 3 / 20)
    shift, batch = course.shift(0, 3), course.batch(one.problem, 3, 3 / 20)
    acq = one.acquisition
    model = make_model(MODEL, thick.grid, acq.microscope, acq.illumination, acq.image_shape)
    dz, dy, dx = thick.grid.spacing_um

    def objective(params):
        outputs, contrast = thick.contrast(params, one.state.output_scale, stride, gain, shift, lift_um)
        value, _ = one.objective.data_term(model.signal_and_pullback(contrast, batch)[0], batch)
        return value, one.priors.value_and_gradient(outputs, (dz, stride * dy, stride * dx), dy)[0]

    given = []
    monkeypatch.setattr(one.descent, "update", lambda state, grad, rate, count: given.append(grad.copy()))
    params = one.state.params.copy()
    assert one.step()
    data, prior = (one.state.history[name][-1] for name in ("loss", "prior"))
    assert (data, prior) == pytest.approx(objective(params), rel=1e-5)
    (grad,) = given
    direction = rng.standard_normal(params.size).astype(np.float32)
    direction += grad * (np.linalg.norm(direction) / np.linalg.norm(grad))
    slope = tiny.slope(lambda params: sum(objective(params)), params, direction)
    assert np.vdot(grad, direction) == pytest.approx(slope, rel=5e-4)


def test_after_its_share_light_crosses_the_own_slices():
    one = fit()
    one.start()
    assert one.slices.at(one.state, 0.49)[0] is one.slices.thick
    one.state.step = 10
    assert one.slices.at(one.state, 0.5) == (one.sampling, 0.0)
    assert one.state.judged_from == 10
    assert one.slices.at(one.state, 0.1)[0] is one.sampling  # and goes on to


def test_thick_slices_that_mislead_end_early():
    one = fit()
    one.start()
    one.slices.judge(one.state, 0.5, 0.4)
    one.slices.judge(one.state, 0.4, 0.4)
    one.slices.judge(one.state, 0.5, 0.4)
    assert one.slices.at(one.state, 0.1)[0] is one.slices.thick
    one.state.step = 4
    one.slices.judge(one.state, 0.43, 0.4)
    assert one.slices.at(one.state, 0.1)[0] is one.sampling
    assert one.state.judged_from == 5


def test_held_out_images_are_predicted_by_the_own_slices():
    one = fit(evaluate_every=2)
    one.start()
    for _ in range(3):
        params, scale = one.state.params.copy(), one.state.output_scale
        assert one.step()
    stride, gain = course.coarseness(one.problem, 0.1)
    contrast = one.sampling.contrast(params, scale, stride, gain, course.shift(0, 2))[1]
    predicted, measured = one.model.forward(contrast, one.held), one.acquisition.images[one.held]
    error = np.linalg.norm(predicted - measured) / np.linalg.norm(measured - 1)
    assert one.state.history["holdout"][2] == pytest.approx(error, rel=1e-5)


def test_a_fit_that_goes_on_from_a_field_is_not_coarse_again():
    field = fit(steps=2).run()
    one = fit()
    one.start(field)
    assert one.slices.at(one.state, 0.0)[0] is one.sampling


def test_the_board_moves_in_thick_slices():
    acq = tiny.acquisition("ssnp")
    options = {"steps": 8, "warm_steps": 0, "thick": 1.0, "tilted_from": 0.0}
    one = tiny.fit(acq, "ssnp", schedule=tiny.schedule(**options), refine="board")
    field = one.run()
    assert one.slices.at(one.state, 0.9)[0] is one.slices.thick
    assert np.abs(one.optics.sources_na - acq.illumination.sources_na).max() > 0
    assert any("board aligned" in note for note in field.provenance.notes)


def test_interrupted_while_slices_are_thick(tmp_path):
    path, whole, one = tmp_path / "c.npz", fit(steps=6).run(), fit(steps=6)
    one.start()
    for _ in range(2):
        one.step()
    one.save(path)
    resumed = fit(steps=6).run(path, resume=True)
    np.testing.assert_array_equal(resumed.params, whole.params)

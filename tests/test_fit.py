"""The fit: its gradient, its schedule, and that an interruption changes nothing."""

import os
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

from fieldrx import (
    Acquisition,
    Fit,
    Illumination,
    InputError,
    Priors,
    Schedule,
    Volume,
    load_field,
    reconstruct,
    simulate,
)
from fieldrx.backends import cpu
from fieldrx.field import Hash, Network, NeuralField, Radial
from fieldrx.field.choices import make_preset
from fieldrx.field.outputs import normalised, to_contrast
from fieldrx.fit import course, descent, fit_needs, split_images
from fieldrx.interpolation import upsample, upsample_adjoint
from fieldrx.io import load_npz
from fieldrx.metrics import image_errors
from fieldrx.resources import total
from fieldrx.tikhonov import tikhonov

SINE = Network(tiny.ENCODING.n_features, width=8, depth=1, activation="sine", omega=2.0)


def masked(acq):
    mask = np.random.default_rng(9).random(acq.images.shape) > 0.1
    return Acquisition(acq.images, acq.illumination, acq.microscope, mask, acq.holdout, acq.name)


# ---- the gradient --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["born", "rytov"])
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize(("stride", "warm_steps"), [(1, 1), (2, 1), (2, 0)])
def test_gradient_of_the_whole_objective(monkeypatch, model, n_outputs, stride, warm_steps):
    """What a step hands to Adam against central differences, with shift, gain, mask, batch and priors."""
    network = Network(tiny.ENCODING.n_features, 8, 1, activation="sine", omega=2.0, n_outputs=n_outputs)
    schedule = tiny.schedule(steps=20, warm_steps=warm_steps, batch=3, coarse=0.9 if stride == 2 else 0.0)
    fit = tiny.fit(masked(tiny.acquisition(model)), model, network=network, schedule=schedule,
                   priors=Priors(0.1, 0.2, 5.0, 3.0))  # fmt: skip
    fit.start()
    rng = np.random.default_rng(4)
    fit.state.params[:] = rng.normal(0, 0.3, fit.state.params.size)
    fit.state.step = 3
    stride_, gain = course.coarseness(fit.problem, 3 / 20)
    assert stride_ == stride
    assert (gain is None) == (warm_steps > 0)
    shift = np.random.default_rng((0, 3)).uniform(-0.5, 0.5, 2)
    batch = course.batch(fit.problem, 3, 3 / 20)
    assert len(batch) in (2, 3)
    dz, dy, dx = fit.grid.spacing_um

    def objective(params):
        outputs, contrast = fit.sampling.contrast(params, fit.state.output_scale, stride, gain, shift)
        value, _ = fit.objective.data_term(fit.model.signal_and_pullback(contrast, batch)[0], batch)
        return value, fit.priors.value_and_gradient(outputs, (dz, stride * dy, stride * dx), dy)[0]

    given = []
    monkeypatch.setattr(fit.descent, "update", lambda state, grad, rate, count: given.append(grad.copy()))
    params = fit.state.params.copy()
    assert fit.step()
    data, prior = (fit.state.history[name][-1] for name in ("loss", "prior"))
    assert (data, prior) == pytest.approx(objective(params), rel=1e-5)
    assert data > 0.1
    assert prior > 0.005
    (grad,) = given
    for _ in range(3):
        direction = rng.standard_normal(params.size).astype(np.float32)
        direction += grad * (np.linalg.norm(direction) / np.linalg.norm(grad))
        slope = tiny.slope(lambda params: sum(objective(params)), params, direction)
        assert np.vdot(grad, direction) == pytest.approx(slope, rel=5e-4)


@pytest.mark.parametrize("model", ["born", "rytov"])
def test_data_term_by_hand(model):
    acq = masked(tiny.acquisition(model))
    fit = tiny.fit(acq, model)
    batch = fit.train[:2]
    predicted = np.random.default_rng(5).uniform(-0.1, 0.1, (2, *tiny.SHAPE)).astype(np.float32)
    value, gradient = fit.objective.data_term(predicted, batch)

    def signal(intensity):
        return np.log(intensity.astype(float)) if model == "rytov" else intensity.astype(float) - 1

    error = (predicted - signal(acq.images[batch])) * acq.mask[batch]
    whole = (signal(acq.images[fit.train])[acq.mask[fit.train]] ** 2).sum()
    assert value == pytest.approx(5 / 2 * (error**2).sum() / whole, rel=1e-5)
    expected = 5 * error / whole
    assert np.abs(gradient - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.31, -0.47)])
@pytest.mark.parametrize("shape", [(2, 6, 9), (2, 5, 8)])
def test_upsampling_has_its_adjoint(stride, shift, shape):
    rng = np.random.default_rng(0)
    fine = shape[0], stride * shape[1], stride * shape[2]
    a, b = (
        (rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype(np.complex64) for s in (shape, fine)
    )
    up, down = upsample(a, stride, shift), upsample_adjoint(b, stride, shift)
    assert (up.shape, down.shape) == (fine, shape)
    assert np.vdot(up, b) == pytest.approx(np.vdot(a, down), rel=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.31, -0.47), (-0.5, 0.2)])
def test_upsampling_interpolates_shifted_samples(stride, shift):
    """A smooth periodic contrast sampled at shifted points comes back on the grid's own points."""
    fit = tiny.fit()
    _, ny, nx = fit.grid.shape
    _, y, x = fit.sampling.axes(stride, shift)

    # normalised coordinates run from -1 to 1 over one period
    def wave(y, x):
        return (0.3 + np.sin(3 * np.pi * y)[:, None] * np.exp(4j * np.pi * x + 0.7j)).astype(np.complex64)[
            None
        ]

    _, y1, x1 = fit.sampling.axes(1)
    assert (len(y), len(x)) == (ny // stride, nx // stride)
    assert np.abs(upsample(wave(y, x), stride, shift) - wave(y1, x1)).max() < 2e-5


def test_fold_makes_the_gain_part_of_the_weights():
    network = Network(tiny.ENCODING.n_features, width=8, depth=3, skips=(2,))
    fit = tiny.fit(network=network)
    params = np.random.default_rng(1).standard_normal(fit.encoding.n_params + network.n_params).astype("f4")
    gain, axes = np.array([1, 0.4, 0.2, 0], np.float32), fit.sampling.axes(2)
    before = params.copy()
    one = cpu.grid_forward(fit.encoding, network, params, *axes, gain)
    other = cpu.grid_forward(fit.encoding, network, fit.sampling.fold(params, gain), *axes)
    assert np.abs(one - other).max() < 1e-5 * np.abs(one).max()
    assert np.array_equal(params, before)


# ---- runs ----------------------------------------------------------------------------------------


def same_fields(one, other):
    for name in ("params", "bounds_um", "region_um", "output_scale", "medium_index"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("loss", "prior", "holdout"):
        assert np.array_equal(one.history[name], other.history[name], equal_nan=True), name
    left_out = {"seconds"}
    for name in one.provenance.keys() - left_out:
        assert one.provenance[name] == other.provenance[name], name


def stop_after(stage, done, number=signal.SIGINT):
    """A callback that sends a signal once, after so much of a stage."""

    def callback(progress):
        if (progress.stage, progress.done) == (stage, done):
            os.kill(os.getpid(), number)
            time.sleep(0.01)

    return callback


@pytest.mark.parametrize("batch", [0, 2])
def test_two_runs_are_identical(batch):
    schedule = tiny.schedule(steps=6, batch=batch)
    same_fields(tiny.fit(schedule=schedule).run(), tiny.fit(schedule=schedule).run())
    other = tiny.fit(schedule=tiny.schedule(steps=6, batch=batch, seed=1)).run()
    assert not np.array_equal(other.params, tiny.fit(schedule=schedule).run().params)


@pytest.mark.parametrize("holdout", [(), (4,)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("done", [1, 4, 7])
def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, holdout, number, done):
    acq, checkpoint = tiny.acquisition(holdout=holdout), tmp_path / "c.npz"
    options = {"holdout": 0, "schedule": tiny.schedule(steps=7, batch=2, evaluate_every=3)}
    whole = tiny.fit(acq, **options).run()
    handler = signal.getsignal(number)
    part = tiny.fit(acq, **options, callback=stop_after("fit", done, number)).run(checkpoint)
    assert signal.getsignal(number) is handler
    assert part.provenance["interrupted"] is True
    assert part.provenance["steps_done"] == done
    assert checkpoint.exists()
    resumed = tiny.fit(acq, **options).run(checkpoint, resume=True)
    assert resumed.provenance["interrupted"] is False
    same_fields(resumed, whole)


@pytest.mark.slow
def test_resumed_fit_keeps_its_notes(tmp_path):
    acq, checkpoint = tiny.acquisition(photons=10000), tmp_path / "c.npz"
    options = {"refine": "intensity", "schedule": tiny.schedule(steps=8)}
    whole = tiny.fit(acq, **options).run()
    tiny.fit(acq, **options, callback=stop_after("fit", 5)).run(checkpoint)
    resumed = tiny.fit(acq, **options).run(checkpoint, resume=True)
    assert resumed.provenance["notes"] == whole.provenance["notes"]
    assert len(whole.provenance["notes"]) > 4


def test_stopped_twice_and_resumed_twice(tmp_path):
    checkpoint, schedule = tmp_path / "c.npz", tiny.schedule(steps=7)
    whole = tiny.fit(schedule=schedule).run()
    tiny.fit(schedule=schedule, callback=stop_after("fit", 2)).run(checkpoint)
    tiny.fit(schedule=schedule, callback=stop_after("fit", 5)).run(checkpoint, resume=True)
    same_fields(tiny.fit(schedule=schedule).run(checkpoint, resume=True), whole)


@pytest.mark.parametrize(("stage", "done"), [("closed form", 100), ("warm start", 2)])
def test_stopped_before_the_first_step(tmp_path, stage, done):
    with pytest.raises(KeyboardInterrupt):
        tiny.fit(callback=stop_after(stage, done)).run(tmp_path / "c.npz")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_second_signal_kills():
    def callback(progress):
        signal.raise_signal(signal.SIGINT)

    fit = tiny.fit(schedule=tiny.schedule(warm_steps=0), callback=callback)
    with pytest.raises(KeyboardInterrupt):
        fit.run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_checkpoint_is_saved_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr("fieldrx.fit.run._SAVE_EVERY_S", 0.0)
    steps = []

    def callback(progress):
        if progress.stage == "fit":
            steps.append(int(load_npz(tmp_path / "c.npz", "checkpoint")["step"]) if progress.done > 1 else 0)

    tiny.fit(callback=callback).run(tmp_path / "c.npz")
    assert steps == [0, 1, 2, 3]
    assert int(load_npz(tmp_path / "c.npz", "checkpoint")["step"]) == 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("fit") / "c.npz"
    tiny.fit(callback=stop_after("fit", 2)).run(path)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": tiny.schedule(seed=3)}, r"other schedule \(seed\)"),
        ({"priors": Priors(tv=0.123)}, r"other priors \(tv\)"),
        ({"network": SINE}, r"other network \(.*activation.*\)"),
        ({"model": "rytov"}, "other model"),
        ({"encoding": Hash(((3, 5, 4), (5, 15, 14)), log2_table_size=9)}, r"other encoding \(resolutions\)"),
        ({"acq": tiny.acquisition(holdout=(1,)), "model": "rytov"}, "other model and holdout"),
    ],
)
def test_resume_with_other_arguments_is_refused(checkpoint, tmp_path, options, words):
    copy = Path(shutil.copy(checkpoint, tmp_path))
    with pytest.raises(InputError, match=f"belongs to a fit with {words}: resume with the same arguments"):
        tiny.fit(**options).run(copy, resume=True)
    assert copy.read_bytes() == checkpoint.read_bytes()


def test_resume_from_a_damaged_checkpoint(checkpoint, tmp_path):
    (tmp_path / "c.npz").write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        tiny.fit().run(tmp_path / "c.npz", resume=True)
    tiny.field().save(tmp_path / "f.npz")
    with pytest.raises(InputError, match='lacks "arguments"'):
        tiny.fit().run(tmp_path / "f.npz", resume=True)


def test_best_field_is_kept(monkeypatch):
    for limit in ("_ASTRAY", "_LOST"):  # else the fit would be set back
        monkeypatch.setattr(f"fieldrx.fit.descent.{limit}", np.inf)

    def ruin(progress):
        if (progress.stage, progress.done) == ("fit", 5):
            fit.state.params[:] += 1.0

    fit = tiny.fit(schedule=tiny.schedule(steps=8, warm_steps=20), callback=ruin)
    result = fit.run()
    errors, best = result.history["holdout"], result.provenance["best_step"]
    assert len(errors) == 8
    assert best == np.argmin(errors) < 5
    assert result.provenance["nrmse_holdout"] == errors.min()
    contrast = result.on_axes(*fit.grid.axes)
    error, _ = image_errors(fit.model.forward(contrast, [4]), fit.acquisition.images[[4]])
    assert error == pytest.approx(errors[best], abs=0.05)  # the look was at shifted, sparser points
    assert errors[-1] > error + 0.1


def test_warm_start_teaches_the_closed_form():
    told = []
    fit = Fit(
        tiny.acquisition(), tiny.DEPTH, "born", schedule=tiny.schedule(warm_steps=60), callback=told.append
    )
    fit.start()
    target, _ = tikhonov(fit.model, fit.acquisition.images[fit.train] - 1, fit.train)
    contrast = fit.sampling.contrast(fit.state.params, fit.state.output_scale)[1]
    assert np.linalg.norm(contrast - target) < 0.3 * np.linalg.norm(target)
    errors = [p.error for p in told if p.stage == "warm start"]
    assert errors[0] == pytest.approx(1, abs=0.1)
    assert errors[-1] < 0.3
    assert np.array_equal(fit.state.m, np.zeros_like(fit.state.params))


def test_nothing_held_out_keeps_the_last():
    fit = tiny.fit(tiny.acquisition(holdout=()), holdout=0)
    result = fit.run()
    assert np.array_equal(result.params, fit.state.params)
    assert result.provenance["nrmse_holdout"] is None
    assert result.provenance["best_step"] == 4
    assert np.isnan(result.history["holdout"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("model", ["born", "rytov"])
def test_small_fit_explains_images_it_never_saw(model):
    schedule = tiny.schedule(steps=60, warm_steps=40, evaluate_every=10)
    acq = tiny.acquisition(model, absorbing=True)
    field = Fit(acq, tiny.DEPTH, model, schedule=schedule).run()
    assert field.provenance["holdout"] == [4]
    assert field.provenance["nrmse_holdout"] < 0.5  # the empty field has 1
    truth = tiny.phantom()
    peak = field([0.0, 2.7, 2.1])
    assert 0.3 < (peak.real - 1.33) / truth.contrast.max() < 1.3
    assert abs(field([0.0, 0.2, 4.5]).real - 1.33) < 0.2 * truth.contrast.max()


def test_from_nothing_the_error_falls_too():
    schedule = tiny.schedule(steps=80, warm_steps=0, evaluate_every=10)
    field = tiny.fit(schedule=schedule).run()
    assert field.provenance["nrmse_holdout"] < 0.8
    assert field.history["loss"][-1] < 0.5 * field.history["loss"][0]


def test_field_of_a_fit(tmp_path):
    acq = tiny.acquisition()
    told = []
    field = tiny.fit(acq, callback=told.append).run()
    assert field.region_um == pytest.approx(np.array([(-1, 1), (0, 23 * 0.25), (0, 19 * 0.25)]))
    assert field.spacing_um == (0.5, 0.25, 0.25)
    assert field.volume().contrast.shape == (5, *tiny.SHAPE)
    assert (field.bounds_um[:, 0] < field.region_um[:, 0]).all()
    assert [p.done for p in told if p.stage == "fit"] == [1, 2, 3, 4]
    assert [p.done for p in told if p.stage == "warm start"] == [1, 2, 3]
    assert {p.stage for p in told} == {"closed form", "warm start", "fit"}
    assert field.provenance["name"] == "tiny"
    assert field.provenance["acquisition"] == tiny.acquisition().fingerprint()
    assert [len(field.history[k]) for k in ("loss", "prior", "seconds", "holdout")] == [4, 4, 4, 4]
    assert (np.diff(field.history["seconds"]) > 0).all()
    field.save(tmp_path / "f.npz")
    same_fields(load_field(tmp_path / "f.npz"), load_field(tmp_path / "f.npz"))
    assert np.array_equal(load_field(tmp_path / "f.npz").volume().contrast, field.volume().contrast)


def test_no_absorption():
    acq = tiny.acquisition()
    result = Fit(acq, tiny.DEPTH, "born", absorption=False, schedule=tiny.schedule()).run()
    assert result.network.n_outputs == 1
    assert (result.volume().contrast.imag == 0).all()


def test_patience_stops():
    schedule = Schedule(steps=5000, warm_steps=0, coarse=0.0, evaluate_every=2, patience=3,
                        learning_rate=0.5, table_learning_rate=0.5)  # fmt: skip
    field = tiny.fit(schedule=schedule).run()
    done = field.provenance["steps_done"]
    assert done == np.nanargmin(field.history["holdout"]) + 3 * 2 + 1
    assert done < 5000
    best = np.nanargmin(field.history["holdout"])
    assert field.provenance["notes"] == [
        f"stopped at step {done}: the held-out error has not fallen since step {best}; --patience 0 goes on"
    ]
    whole = tiny.fit(schedule=replace(schedule, steps=done + 2, patience=0)).run()
    assert (whole.provenance["steps_done"], whole.provenance["notes"]) == (done + 2, [])


def test_patience_waits_for_the_fine_steps():
    schedule = tiny.schedule(steps=30, coarse=0.5, patience=1, learning_rate=0.3, table_learning_rate=0.3)
    assert tiny.fit(schedule=schedule).run().provenance["steps_done"] > 15


@pytest.mark.slow
def test_budget():
    done = tiny.fit(schedule=tiny.schedule(steps=1, budget_s=2.0, patience=0)).run().provenance
    assert done["seconds"] >= 2.0
    assert done["steps_done"] > 1


def test_fit_that_goes_astray_is_set_back():
    """Weights spoiled once: the step is undone, reported, and the fit goes on with half the step size."""

    def ruin(progress):
        if (progress.stage, progress.done) == ("fit", 2) and fit.state.rate_scale == 1:
            fit.state.params[:] = np.nan

    fit = tiny.fit(callback=ruin)
    done = fit.run().provenance
    assert done["diverged"] is None
    assert done["steps_done"] == 4
    assert done["notes"] == ["step 2: the data term is nan; went back to step 2, with half the step size"]
    assert fit.state.rate_scale == 0.5
    assert np.isfinite(fit.field().params).all()


@pytest.mark.parametrize(("factor", "caught"), [(0.1, False), (1.0, True)])
def test_rising_error_is_caught(monkeypatch, factor, caught):
    fit = tiny.fit(schedule=tiny.schedule(steps=20))
    fit.start()
    for _ in range(4):
        fit.step()
    fit.state.history["error"][:] = [0.5] * 4
    monkeypatch.setattr(fit.objective, "data_term", lambda predicted, *_: (factor * 4.0, 0 * predicted))
    assert fit.step()
    if caught:
        assert fit.state.step == 4
        assert re.match(r"step 4: the error of its images rose to .* from 0.5; went back", fit.notes[-1])
    else:
        assert fit.state.history["loss"][-1] == factor * 4.0


def test_error_of_images_that_join_is_not_compared_with_that_of_easier_ones():
    """Tilted light's images join with an error of their own, over their own signal: no step is undone."""
    sources = [(0.0, 0.1), (0.12, 0), (0.0, -0.12), (0, 0.5), (0.5, 0.1), (0.1, -0.5)]
    optics = Acquisition(None, Illumination(sources), tiny.SCOPE, holdout=[2])
    acq = simulate(tiny.phantom(), optics, "ssnp", tiny.SHAPE)
    fit = tiny.fit(acq, "ssnp", schedule=tiny.schedule(steps=20, batch=1, tilted_from=0.5))
    fit.start()
    for _ in range(10):
        fit.step()
    assert fit.state.judged_from == 0
    before = fit.state.history["error"][-1]
    fit.step()
    assert fit.state.judged_from == 10
    assert fit.state.history["error"][-1] < 5 * max(before, 1)
    # however weak the images seen so far, this error is no reason to go back
    fit.state.history["error"] = [1e-3] * 10
    goal = fit.objective
    weak = np.square(1.5) * goal.empty[fit.train[-1:]].sum() * len(fit.train) / goal.norm
    assert descent.check(fit.state, weak, fit.train[-1:], goal) == pytest.approx(1.5)


def test_set_back_changes_the_order_of_images():
    acq = tiny.acquisition("ssnp")
    fit = tiny.fit(acq, "ssnp", schedule=tiny.schedule(batch=2, tilted_from=0))
    fit.start()

    def order():
        return [course.batch(fit.problem, k, 0.5, fit.state.setbacks).tolist() for k in range(8)]

    before = order()
    assert descent.set_back(fit.state)
    assert fit.state.rate_scale == 0.5
    assert order() != before


def test_fit_that_keeps_diverging_keeps_the_best_field():
    def ruin(progress):
        if progress.stage == "fit" and progress.done == 2:
            fit.state.good_params[:] = np.nan
            fit.state.params[:] = np.nan

    fit = tiny.fit(callback=ruin)
    done = fit.run().provenance
    assert done["diverged"] == "step 2: the data term is nan"
    assert len(done["notes"]) == 4
    assert done["steps_done"] == 2
    assert np.isfinite(done["nrmse_holdout"])
    assert np.isfinite(fit.field().params).all()


@pytest.mark.parametrize("model", ["bpm", "ssnp", "mlb"])
def test_multislice_fit_lowers_the_error(model):
    acq = tiny.acquisition("ssnp")
    done = tiny.fit(acq, model, schedule=tiny.schedule(steps=25, warm_steps=0)).run()
    assert done.history["loss"][-3:].mean() < 0.5 * done.history["loss"][0]
    assert done.provenance["model"] == model


def test_multislice_fit_begins_with_the_least_tilted_light():
    sources = [(0.0, 0.0), (0.1, 0), (0.3, 0), (0, 0.5), (0.5, 0.1)]
    optics = Acquisition(None, Illumination(sources), tiny.SCOPE)
    acq = simulate(tiny.phantom(), optics, "bpm", tiny.SHAPE)
    fit = tiny.fit(acq, "bpm", holdout=0, schedule=tiny.schedule(batch=0))
    assert course.pool(fit.problem, 0.0).tolist() == [0, 1, 2]
    assert course.pool(fit.problem, 0.5).tolist() == [0, 1, 2, 3, 4]
    assert course.pool(tiny.fit(acq, "born", holdout=0).problem, 0.0).tolist() == [0, 1, 2, 3, 4]


def test_settings_of_a_model():
    fit = tiny.fit(model="ssnp", schedule={"steps": 7}, priors={"tv": 5.0})
    assert fit.schedule == Schedule.for_model("ssnp", steps=7)
    assert (fit.schedule.steps, fit.schedule.warm_steps, fit.schedule.batch) == (7, 0, 8)
    assert (fit.priors.tv, fit.priors.tv_absorption) == (5.0, 3.0)
    assert tiny.fit(schedule={}).schedule == Schedule() == Schedule.for_model("born")


@pytest.mark.parametrize(
    ("strength", "dz", "expected"), [(0.02, 0.5, "born"), (15.0, 0.3, "ssnp"), (15.0, 0.5, "bpm")]
)
def test_auto_chooses_by_the_phase(strength, dz, expected):
    thin = tiny.phantom()
    sample = Volume(strength * thin.contrast, thin.spacing_um, thin.origin_um, thin.medium_index)
    acq = simulate(sample, Acquisition(None, tiny.LIGHT, tiny.SCOPE), "ssnp", tiny.SHAPE)
    fit = Fit(acq, (-1.0, 1.0, dz), "auto", encoding=tiny.ENCODING, network=tiny.NETWORK)
    assert fit.model.name == expected
    assert fit.notes[0].startswith(f"model {expected}: a thin slice at")
    assert fit.arguments["model"] == expected


def test_reconstruct_is_a_fit():
    options = {"encoding": tiny.ENCODING, "network": tiny.NETWORK, "schedule": tiny.schedule()}
    same_fields(reconstruct(tiny.acquisition(), tiny.DEPTH, "born", **options), tiny.fit().run())


def test_python_chooses_the_model_as_the_command_does():
    acq, options = tiny.acquisition(), {"schedule": tiny.schedule(steps=1, warm_steps=1)}
    assert Fit(acq, tiny.DEPTH).notes == Fit(acq, tiny.DEPTH, "auto").notes
    assert reconstruct(acq, tiny.DEPTH, **options).provenance["notes"][0].startswith("model ")


# ---- choices -------------------------------------------------------------------------------------


def optics(n=20, holdout=()):
    images = np.full((n, 4, 4), 1.1, np.float32)
    return Acquisition(images, Illumination.led_ring(n, 0.5), tiny.SCOPE, holdout=holdout)


@pytest.mark.parametrize(("share", "count"), [(None, 2), (0.0, 0), (0.3, 6), (0.99, None)])
def test_share_held_out(share, count):
    if count is None:
        with pytest.raises(InputError, match="nothing is left to fit"):
            split_images(optics(), share)
        return
    train, held = split_images(optics(), share, seed=1)
    assert len(held) == count
    assert sorted([*train, *held]) == list(range(20))
    again, other = (split_images(optics(), share, seed)[1] for seed in (1, 2))
    assert np.array_equal(again, held)
    assert count == 0 or not np.array_equal(other, held)


def test_own_held_out_images_win():
    train, held = split_images(optics(holdout=[7, 3]), 0.5)
    assert list(held) == [3, 7]
    assert len(train) == 18


def test_useless_images_are_in_neither():
    light = Illumination(np.concatenate([tiny.LIGHT.sources_na, [[0.0, 0.9]]]))
    mask = np.ones((7, 4, 4), bool)
    mask[2] = False
    acq = Acquisition(np.full((7, 4, 4), 1.1), light, tiny.SCOPE, mask, holdout=[1, 2, 6])
    train, held = split_images(acq)
    assert (list(train), list(held)) == ([0, 3, 4, 5], [1])
    dark = Acquisition(np.full((1, 4, 4), 1.1), Illumination([(0.0, 0.9)]), tiny.SCOPE)
    with pytest.raises(InputError, match="no image can be used"):
        split_images(dark)


@pytest.mark.parametrize("share", [-0.1, 1, np.nan])
def test_wrong_share(share):
    with pytest.raises(InputError, match="expected a share from 0 to below 1"):
        split_images(optics(), share)


def test_batches_show_every_image_once_a_round():
    fit = tiny.fit(tiny.acquisition(holdout=()), holdout=0, schedule=tiny.schedule(batch=4))
    rounds = [[list(course.batch(fit.problem, 2 * k + j, 0.5)) for j in range(2)] for k in range(5)]
    for pair in rounds:
        assert [len(b) for b in pair] == [4, 2]
        assert sorted(pair[0] + pair[1]) == list(range(6))
    assert len({tuple(pair[0]) for pair in rounds}) > 1


def test_a_cpu_computes_in_float32():
    for precision in (None, "float32"):
        assert tiny.fit(device="cpu", precision=precision).problem.precision == "float32"
    with pytest.raises(InputError, match='precision is "half"; the CPU computes in "float32" alone'):
        tiny.fit(device="cpu", precision="half")
    with pytest.raises(InputError, match='no precision "double"; expected "half" or "float32"'):
        tiny.fit(device="cpu", precision="double")


def test_presets_are_the_published_architectures():
    for name, depth, skip in (("decaf", 10, 5), ("decaf-small", 6, 3)):
        encoding, network = make_preset(name)
        assert isinstance(encoding, Radial)
        assert (encoding.angle_step_deg, encoding.xy_octaves, encoding.z_octaves) == (9, 7, 5)
        assert encoding.n_features == 2 * 20 * 7 + 2 * 5 == 290
        shapes = [(290, 208)] + [(208, 208)] * (depth - 1) + [(208, 2)]
        shapes[skip] = (208 + 290, 208)
        assert network.layer_shapes() == shapes
        assert (network.activation, network.slope) == ("leaky_relu", 0.2)
        assert make_preset(name, absorption=False)[1].layer_shapes()[-1] == (208, 1)
    with pytest.raises(InputError, match='no preset "decof"; expected one of decaf, decaf-small'):
        make_preset("decof")


def test_default_encoding_resolves_what_the_optics_do():
    fit = Fit(tiny.acquisition(), tiny.DEPTH, "born")
    extent = np.diff(fit.grid.bounds_um, axis=1)[:, 0]
    spacing = extent / (np.array(fit.encoding.resolutions[-1]) - 1)
    band = (0.6 + 0.5) / 0.6
    assert (spacing[1:] <= max(0.5 / band, 0.25) * 1.001).all()
    assert (spacing[1:] > 0.8 * max(0.5 / band, 0.25)).all()
    assert fit.network.n_outputs == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps is 0; expected at least 1"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"batch": -1}, "batch is -1"),
        ({"warm_steps": -1}, "warm_steps is -1"),
        ({"patience": -1}, "patience is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"coarse": 1.5}, "coarse is 1.5"),
        ({"coarse": np.nan}, "coarse is nan"),
        ({"budget_s": 0}, "expected a positive time"),
        ({"budget_s": np.nan}, "expected a positive time"),
    ],
)
def test_wrong_schedules(options, words):
    with pytest.raises(InputError, match=words):
        Schedule(**options)


def test_step_size_rises_and_falls():
    schedule = Schedule(steps=200)
    rates = [schedule.rate(k, schedule.share(k, 0.0)) for k in range(200)]
    assert rates[0] == pytest.approx(0.1)
    assert np.argmax(rates) == 9
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)


def test_wrong_arguments():
    acq = tiny.acquisition()
    with pytest.raises(InputError, match='no model "bmp"'):
        Fit(acq, tiny.DEPTH, "bmp")
    with pytest.raises(InputError, match="is empty"):
        Fit(acq, (1.0, -1.0, 0.5))
    empty = Acquisition(np.ones((6, *tiny.SHAPE)), tiny.LIGHT, tiny.SCOPE)
    with pytest.raises(InputError, match="no signal"):
        Fit(empty, tiny.DEPTH)


def test_memory_grows_with_the_job():
    def need(*job, model="born"):
        return total(fit_needs(*job, model=model))

    small = need((10, 64, 64), 10)
    assert need((20, 64, 64), 10) - small == pytest.approx(40 * 10 * 64 * 64)
    assert need((10, 64, 64), 20) > small
    assert need((10, 64, 64), 10, model="ssnp") > small + 128 * 10 * 64 * 64
    assert need((10, 64, 64), 10, 5_000_000) - small == pytest.approx(32 * 1_000_000)


def test_a_fit_beyond_the_device_is_refused_with_its_largest_part(monkeypatch):
    monkeypatch.setattr(cpu, "memory_limit", lambda: (2**30, "this card has free"))
    words = r"GiB \(waves and a batch of images, volumes .*this card has free 1\.0"
    with pytest.raises(InputError, match=words):
        Fit(tiny.acquisition(), (-5000.0, 5000.0, 0.5), "ssnp")


def test_output_scale_and_bounds_are_those_of_the_field():
    """The field of a fit gives the contrast that the fit showed to the model."""
    fit = tiny.fit(tiny.acquisition(holdout=()), holdout=0)
    field = fit.run()
    outputs = cpu.grid_forward(fit.encoding, fit.network, fit.state.params,
                               *normalised(fit.grid.axes, fit.grid.bounds_um))  # fmt: skip
    assert isinstance(field, NeuralField)
    assert np.array_equal(field.on_axes(*fit.grid.axes), to_contrast(outputs, field.output_scale))


def test_resume_with_other_images_is_refused(tmp_path):
    tiny.fit(callback=stop_after("fit", 2)).run(tmp_path / "c.npz")
    acq = tiny.acquisition()
    other = Acquisition(2 - acq.images, acq.illumination, acq.microscope, holdout=acq.holdout, name=acq.name)
    with pytest.raises(InputError, match="other acquisition"):
        tiny.fit(other).run(tmp_path / "c.npz", resume=True)


def test_optics_alone_cannot_be_fitted():
    with pytest.raises(InputError, match="no images"):
        Fit(Acquisition(None, tiny.LIGHT, tiny.SCOPE), tiny.DEPTH)


@pytest.mark.parametrize("rate", [np.nan, -1.0])
def test_wrong_rates(rate):
    with pytest.raises(InputError, match="learning_rate"):
        Schedule(learning_rate=rate)


def test_a_grid_beyond_the_memory_is_refused():
    with pytest.raises(InputError, match=r"GiB.*: --depth -\d+\.\d*:\d+\.\d*:0\.5 would fit"):
        Fit(tiny.acquisition(), (-20000.0, 20000.0, 0.5), "born")


def test_a_grid_beyond_the_memory_is_refused_before_a_model_is_chosen(monkeypatch):
    monkeypatch.setattr("fieldrx.fit.problem.choose_model", lambda *args: pytest.fail("chose a model first"))
    with pytest.raises(InputError, match="GiB"):
        Fit(tiny.acquisition(), (-20000.0, 20000.0, 0.5), "auto")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedule": 40}, "schedule is 40; expected a Schedule, or a dict of steps"),
        ({"schedule": {"step": 2}}, 'schedule has no "step"; did you mean "steps"'),
        ({"schedule": {"steps": "4"}}, "steps is '4'; expected a whole number"),
        ({"schedule": {"steps": 4.5}}, r"steps is 4\.5; expected a whole number"),
        ({"schedule": {"coarse": "half"}}, "coarse is 'half'; expected a number"),
        ({"priors": {"TV": 1}}, 'priors has no "TV"; did you mean "tv"'),
        ({"priors": {"tv": "1"}}, "tv is '1'; expected a number"),
        ({"priors": 3}, "priors is 3; expected a Priors"),
        ({"network": {"width": 16}}, "network: expected a Network, got dict"),
        (
            {"encoding": {"levels": 3}, "network": None},
            "encoding is {'levels': 3}; expected one of fieldrx.field",
        ),
        ({"optics": 3}, "optics: expected an Optics, got int"),
    ],
)
def test_options_of_another_kind(options, words):
    with pytest.raises(InputError, match=words):
        tiny.fit(**options)


def test_whole_numbers_may_be_written_as_floats():
    made = Schedule(steps=1e2, batch=np.int64(3))
    assert (made.steps, type(made.steps), type(made.batch)) == (100, int, int)

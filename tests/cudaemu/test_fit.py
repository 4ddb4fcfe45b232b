"""Whole fits on the emulated GPU, against the same fits on the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import Acquisition, Illumination, InputError, Priors, load_field, simulate
from fieldrx.backends import to_host
from fieldrx.cli import main
from fieldrx.field import Network, Positional
from fieldrx.fit.descent import Astray
from fieldrx.io import load_npz
from fieldrx.volume import write_volume

WHOLE_FITS = True

# Without a table, many of whose gradients are rounding errors, which Adam turns into whole steps.
WAVES = Positional(2, 2, 3)
SINE = Network(WAVES.n_features, width=16, depth=1, activation="sine", omega=2.0)  # float32 by default
PRIORS = Priors(0.1, 0.2, 5.0, 3.0)
SHAPE = (16, 14)  # emulated threads are slow


def masked(acq):
    mask = np.random.default_rng(9).random(acq.images.shape) > 0.1
    return type(acq)(acq.images, acq.illumination, acq.microscope, mask, acq.holdout, acq.name)


def close(found, expected, tolerance):
    found, expected = to_host(found), to_host(expected)
    return np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


def fits(model, schedule):
    acq = masked(tiny.acquisition(model, shape=SHAPE))
    given = {"encoding": WAVES, "network": SINE, "priors": PRIORS}
    return [tiny.fit(acq, model, schedule=schedule, device=device, **given) for device in ("cpu", "cuda")]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["born", "rytov", "bpm", "ssnp", "mlb"])
def test_steps_equal_those_of_the_cpu(gpu, model):
    """Warm start, coarse steps and fine ones, batches, a mask and priors, in float32."""
    linear = model in ("born", "rytov")
    schedule = tiny.schedule(steps=3, warm_steps=2 if linear else 0, batch=2, coarse=0.5, evaluate_every=2)
    host, device = fits(model, schedule)
    host.start()
    device.start()
    assert close(device.state.params, host.state.params, 1e-4)
    for _ in range(3):
        assert host.step() and device.step()
        expected, found = ([fit.state.history[n][-1] for n in ("loss", "prior")] for fit in (host, device))
        assert found[0] == pytest.approx(expected[0], rel=1e-4)
        assert found[1] == pytest.approx(expected[1], rel=1e-3, abs=1e-6)
    assert close(device.state.params, host.state.params, 1e-3)
    assert close(device.state.m, host.state.m, 2e-3)
    assert close(device.state.history["holdout"][::2], host.state.history["holdout"][::2], 1e-4)
    field = device.field()
    assert isinstance(field.params, np.ndarray)


@pytest.mark.parametrize("background", [False, True])
def test_steps_with_dark_field_equal_those_of_the_cpu(gpu, background):
    """Losses down to the noise of dark images, smooth factors of the bright ones, and the score of both."""
    sources = np.r_[tiny.LIGHT.sources_na, Illumination.led_ring(5, 0.75).sources_na]
    optics = Acquisition(None, Illumination(sources), tiny.SCOPE, holdout=[4, 8])
    acq = masked(simulate(tiny.phantom(absorbing=True), optics, "ssnp", SHAPE, photons=1e5))
    schedule = tiny.schedule(steps=2, warm_steps=0, batch=4, coarse=0.0, tilted_from=0.0)
    given = {"encoding": WAVES, "network": SINE, "schedule": schedule, "background": background}
    host, device = (tiny.fit(acq, "bpm", device=name, **given) for name in ("cpu", "cuda"))
    host.start()
    device.start()
    for _ in range(2):
        assert host.step() and device.step()
    for name in ("loss", "holdout"):
        assert close(device.state.history[name], host.state.history[name], 1e-4), name
    assert device.state.best_score == pytest.approx(host.state.best_score, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("born", {"loss": "huber"}),
        ("rytov", {"loss": "poisson:1000"}),
        ("ssnp", {"loss": "huber:0.1", "background": True}),
        ("bpm", {"background": True}),  # levelled
        ("born", {"refine": "intensity,illumination"}),
        ("ssnp", {"loss": "poisson:500:2", "refine": "intensity"}),
    ],
)
def test_losses_levels_and_refined_optics_equal_those_of_the_cpu(gpu, model, options):
    given = {"encoding": WAVES, "network": SINE, **options}
    schedule = tiny.schedule(steps=3, warm_steps=0, batch=2, evaluate_every=2)
    acq, states = tiny.acquisition(model, shape=SHAPE), []
    for device in ("cpu", "cuda"):
        fit = tiny.fit(acq, model, schedule=schedule, device=device, **given)
        fit.start()
        for _ in range(3):
            assert fit.step()
        states.append(fit.state)
    host, device = states
    assert device.history["loss"] == pytest.approx(host.history["loss"], rel=1e-4)
    assert close(device.params, host.params, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "asked", "taken"),
    [
        ("leaky_relu", None, "half"),
        ("leaky_relu", "float32", "float32"),
        ("sine", None, "float32"),
        ("sine", "half", "half"),
    ],
)
def test_precision_of_a_fit(gpu, activation, asked, taken):
    """Outputs and gradient equal those of the CPU, or do not because halves are multiplied."""
    network = Network(WAVES.n_features, width=16, depth=1, activation=activation, omega=2.0)
    given = {"encoding": WAVES, "network": network, "schedule": tiny.schedule(steps=1, warm_steps=1)}
    host, device = tiny.fit(device="cpu", **given), tiny.fit(device="cuda", precision=asked, **given)
    host.start()
    params, axes, rounded = host.state.params, host.sampling.axes(1), taken == "half"
    on_device = device.backend.asarray(params)
    planes = host.sampling.slab.own
    outputs = host.sampling.outputs(params, axes, planes)
    assert close(device.sampling.outputs(on_device, axes, planes), outputs, 1e-5) != rounded
    gradient = host.sampling.gradient(params, axes, outputs)
    found = device.sampling.gradient(on_device, axes, device.backend.asarray(outputs))
    assert close(found, gradient, 1e-5) != rounded
    assert device.run().provenance["precision"] == taken


@pytest.mark.parametrize("model", ["born", "ssnp"])
def test_a_step_reads_two_numbers_at_its_end(gpu, monkeypatch, model):
    """Nothing else comes back to the host, so nothing waits for the device within a step."""
    schedule = tiny.schedule(steps=9, warm_steps=0, batch=2, coarse=0.5, evaluate_every=5)
    fit = fits(model, schedule)[1]
    fit.start()
    fit.step()  # looks at the held-out images
    fit.step()  # holds the graph of a march against its launches
    before, at_update = gpu.transfers, []
    update = fit.descent.update
    monkeypatch.setattr(fit.descent, "update", lambda *a: (update(*a), at_update.append(gpu.transfers)))
    fit.step()
    assert at_update == [before]
    assert gpu.transfers == before + 2


def test_a_fit_that_goes_astray_is_set_back_on_the_device_too(gpu, monkeypatch):
    """The check comes after the update, which the set-back must undo."""
    fit = fits("born", tiny.schedule(steps=6, warm_steps=0, batch=0, evaluate_every=1))[1]
    fit.start()
    fit.step()
    updated = []
    update = fit.descent.update
    monkeypatch.setattr(fit.descent, "update", lambda *a: (update(*a), updated.append(a[0].params.get())))

    def fail(*_):
        if updated:
            raise Astray("made to fail")

    monkeypatch.setattr("fieldrx.fit.run.check", fail)
    good, steps = fit.state.good_params.get(), fit.state.step
    assert fit.step() and fit.notes[-1].startswith("made to fail; went back")
    assert fit.state.step == steps and len(fit.state.history["holdout"]) == steps
    assert not np.array_equal(updated[0], good)
    assert np.array_equal(fit.state.params.get(), good)


@pytest.mark.slow
def test_checkpoints_and_fields_go_from_device_to_device(gpu, tmp_path):
    schedule = tiny.schedule(steps=4, warm_steps=1, batch=3, evaluate_every=2)
    host, device = fits("born", schedule)
    device.start()
    device.step()
    device.step()
    device.save(tmp_path / "there.npz")
    assert load_npz(tmp_path / "there.npz", "checkpoint", ["params"])["params"].dtype == np.float32
    expected = device.run()  # from the start again: a fit has one state, that of its run
    there = host.run(tmp_path / "there.npz", resume=True)
    back = fits("born", schedule)[1]
    host.save(tmp_path / "here.npz")
    again = back.run(tmp_path / "here.npz", resume=True)
    for field in (there, again):
        field.save(tmp_path / "field.npz")
        assert close(load_field(tmp_path / "field.npz").params, expected.params, 1e-3)


def test_the_field_where_its_parameters_or_its_points_are(gpu):
    import cupy

    network = Network(WAVES.n_features, width=16, depth=1, activation="sine", omega=2.0)
    params = np.random.default_rng(0).normal(0, 0.3, WAVES.n_params + network.n_params).astype("f4")
    host = replace(tiny.field(), encoding=WAVES, network=network, params=params)
    device = host.to("cuda")
    points = np.random.default_rng(1).uniform(-3, 8, (4, 9, 3))  # in the domain and outside
    axes = np.linspace(-1.5, 1.5, 4), np.linspace(0, 8, 5), np.linspace(0, 3, 3)
    expected, volume = host(points), host.on_axes(*axes)
    assert 0 < np.count_nonzero(host.contrast(points)) < 36
    for field, put in ((device, np.asarray), (host, cupy.asarray), (device, cupy.asarray)):
        found, whole = field(put(points)), field.on_axes(*map(put, axes))
        assert isinstance(found, type(put(points))) and isinstance(whole, type(found))
        assert np.allclose(to_host(found), expected, atol=1e-7)
        assert np.allclose(to_host(whole), volume, atol=1e-7)
    assert np.array_equal(device.to("cpu").params, host.params)
    assert np.array_equal(device.to_arrays()["weight_0"], host.to_arrays()["weight_0"])


# ---- the command line ------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.slow
def test_commands_use_the_gpu_and_say_so(gpu, tmp_path):
    acq = tiny.acquisition()
    acq.save(tmp_path / "acq.npz")
    write_volume(tmp_path / "volume.npz", tiny.phantom())
    for device, word in (("auto", "cuda, Emulated GPU"), ("cuda", "cuda, Emulated GPU"), ("cpu", "cpu,")):
        out = tmp_path / f"{device}.npz"
        options = ("--depth", "-1:1:0.5", "-o", out, "--steps", 1, "--model", "bpm", "--device", device)
        gpu.launches.clear()
        result = run("reconstruct", tmp_path / "acq.npz", *options)
        assert result.exit_code == 0, result.output
        assert f"device: {word}" in result.output
        assert ("network_backward" in gpu.launches) == (device != "cpu")
    for command, kernel in (
        (("evaluate", tmp_path / "cpu.npz", tmp_path / "acq.npz"), "bpm_row"),
        (("render", tmp_path / "cpu.npz", tmp_path / "out.npy"), "network_forward"),
        (
            ("simulate", tmp_path / "volume.npz", tmp_path / "acq.npz", "-o", tmp_path / "new.npz"),
            "born_forward",
        ),
    ):
        for device in ("cuda", "cpu"):
            gpu.launches.clear()
            result = run(*command, "--device", device)
            assert result.exit_code == 0, result.output
            assert (kernel in gpu.launches) == (device == "cuda")


def test_doctor_reports_the_gpu(gpu):
    result = run("doctor", "--images", 3, "--shape", 4, 32, 32)
    assert result.exit_code == 0, result.output
    assert "gpu             cuda, Emulated GPU, 80 GiB" in result.output
    assert "gpu kernels     agree" in result.output


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_network_beyond_a_block_is_refused_before_the_closed_form(gpu, monkeypatch, device):
    """Consumer cards have 99 KiB of shared memory a block: enough for DeCAF's network in halves alone."""
    import cupy

    smaller = dict(cupy.cuda.Device.attributes) | {"MaxSharedMemoryPerBlockOptin": 99 * 1024}
    monkeypatch.setattr(cupy.cuda.Device, "attributes", smaller)
    monkeypatch.setattr(cupy.cuda.Device, "present", 7)  # whose limits nobody has asked for yet
    decaf = dict(device=device, preset="decaf", encoding=None, network=None)
    acq = tiny.acquisition()
    gpu.reset()
    message = r"needs \d+ bytes of shared memory; this GPU has 101376: use --precision half or the CPU"
    with pytest.raises(InputError, match=message):
        tiny.fit(acq, **decaf, precision="float32")
    assert not gpu.launches
    assert tiny.fit(acq, **decaf).problem.precision == "half"


def test_memory_that_cupy_keeps_counts_as_free(gpu, monkeypatch):
    import cupy

    from fieldrx.backends import cuda

    monkeypatch.setattr("cupy.cuda.runtime.memGetInfo", lambda: (2**28, 80 * 2**30))
    monkeypatch.setattr(type(cupy.get_default_memory_pool()), "free_bytes", lambda self: 2**20)
    limit = 2**28 + 2**20
    assert cuda.memory_limit() == (limit - limit // 16, "this GPU has free")  # less what is recorded
    monkeypatch.setenv("FIELDRX_CUDA_GRAPHS", "0")
    assert cuda.memory_limit() == (limit, "this GPU has free")


def test_a_fit_beyond_the_cards_free_memory_is_refused(gpu, monkeypatch):
    monkeypatch.setattr("cupy.cuda.runtime.memGetInfo", lambda: (2**28, 80 * 2**30))
    with pytest.raises(InputError, match=r"need about 0\.\d GiB .*this GPU has free 0\.2"):
        tiny.fit(device="cuda")
    assert tiny.fit(device="cpu")

"""The ensemble: its statistics, its file, and that its standard deviation keeps its promise."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Fit, Illumination, InputError, Volume, load_field, simulate
from fieldrx.ensemble import (
    Ensemble,
    calibrate,
    load_ensemble,
    make_ensemble,
)
from fieldrx.ensemble.images import FitImages
from fieldrx.ensemble.twin import against_twin, fit_twin, systematic
from fieldrx.evaluation import same_images
from fieldrx.io import load_npz, save_npz
from fieldrx.models import Born, Optics
from fieldrx.optics import Grid
from fieldrx.provenance import Provenance
from fieldrx.results import load_result

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

POINTS = np.array([[0.3, 2.7, 2.1], [-0.6, 1.0, 4.4], [40.0, 0.0, 0.0]])
SETTINGS = Provenance(model="born", depth=list(tiny.DEPTH))


def members(count=3):
    return [tiny.field(seed=k, provenance={"model": "born"}) for k in range(count)]


def test_mean_and_standard_deviation_by_hand():
    fields = members(4)
    ensemble = Ensemble(fields, 1.7, 1e-3, relative=0.2)
    values = np.stack([f(POINTS) for f in fields])
    mean, std = ensemble(POINTS)
    assert mean == pytest.approx(values.mean(axis=0), abs=1e-12)
    contrast = values.mean(axis=0) - tiny.SCOPE.medium_index
    for got, part, share in ((std.real, values.real, contrast.real), (std.imag, values.imag, contrast.imag)):
        bars = 1.7**2 * part.var(axis=0, ddof=1) + 1e-3**2 + (0.2 * share) ** 2
        assert got == pytest.approx(np.sqrt(bars))
    assert (mean[2], std[2]) == (tiny.SCOPE.medium_index, 1e-3 + 1e-3j)  # outside the domain all agree


def test_points_axes_and_volume_agree():
    ensemble = Ensemble(members(), 2.0)
    mean, std = ensemble.volume(spacing=(0.5, 0.9, 0.7))
    z, y, x = mean.grid.axes
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    by_point = ensemble(points)
    assert mean.contrast + 1.33 == pytest.approx(by_point[0], abs=1e-6)
    assert std.contrast == pytest.approx(by_point[1], abs=1e-6)
    assert np.abs(std.contrast).max() > 1e-3


def test_file(tmp_path):
    ensemble = Ensemble(members(), 1.3, 2e-4, {"seed": 4}, {"images": [2]}, 0.1)
    ensemble.save(tmp_path / "e.npz")
    loaded = load_ensemble(tmp_path / "e.npz")
    for one, other in zip(ensemble(POINTS), loaded(POINTS), strict=True):
        assert np.array_equal(one, other)
    assert (loaded.factor, loaded.hidden, loaded.relative) == (1.3, 2e-4, 0.1)
    assert (loaded.provenance, loaded.calibration) == ({"seed": 4}, {"images": [2]})
    assert isinstance(load_result(tmp_path / "e.npz"), Ensemble)
    tiny.field().save(tmp_path / "f.npz")
    assert np.array_equal(load_result(tmp_path / "f.npz").params, tiny.field().params)
    with pytest.raises(InputError, match="fieldrx-ensemble"):
        load_field(tmp_path / "e.npz")
    with pytest.raises(InputError, match="fieldrx-field"):
        load_ensemble(tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": np.array(9)}, "version 9"),
        ({"factor": np.array(-1.0)}, "damaged"),
        ({"calibration": np.array("{")}, "damaged"),
        ({"member_1_table": np.zeros(3, np.float32)}, "damaged"),
    ],
)
def test_damaged_files(tmp_path, change, words):
    Ensemble(members()).save(tmp_path / "e.npz")
    save_npz(tmp_path / "d.npz", **(load_npz(tmp_path / "e.npz", "ensemble") | change))
    with pytest.raises(InputError, match=words):
        load_ensemble(tmp_path / "d.npz")


def test_wrong_ensembles():
    with pytest.raises(InputError, match="2 or more"):
        Ensemble(members(1))
    with pytest.raises(InputError, match="domain"):
        Ensemble([tiny.field(), tiny.field(medium_index=1.4)])


def test_wrong_fields():
    acq = tiny.acquisition()
    field = tiny.fit(acq).run()
    other = Acquisition(acq.images + 0.1, acq.illumination, acq.microscope)
    with pytest.raises(InputError, match="other images"):
        make_ensemble(field, other)
    with pytest.raises(InputError, match="at least 2 members"):
        make_ensemble(field, acq, members=1)
    free = tiny.acquisition(holdout=())
    with pytest.raises(InputError, match="held out no image"):
        make_ensemble(tiny.fit(free, holdout=0).run(), free)


@pytest.mark.parametrize("seed", [100, 101, 102])
def test_calibration_finds_the_factor_of_a_known_spread(seed):
    """Members scattered around a field whose images are measured some three of their spreads away."""
    fields = [tiny.field(seed=k, output_scale=2e-5) for k in range(12)]
    grid = Grid.for_images(tiny.SHAPE, tiny.SCOPE, tiny.DEPTH)
    values = [f.on_axes(*grid.axes) for f in fields]
    mean = np.mean(values, axis=0)
    there = mean + 3 * (tiny.field(seed=seed, output_scale=2e-5).on_axes(*grid.axes) - mean)
    model = Born(grid, tiny.SCOPE, tiny.LIGHT, tiny.SHAPE)
    acq = Acquisition(model.forward(there.astype(np.complex64)), tiny.LIGHT, tiny.SCOPE)
    held = np.arange(3)
    factor, hidden, told = calibrate(Ensemble(fields), SETTINGS, acq, held)
    predicted = [model.forward(v, held) for v in values]
    spread = np.sqrt(np.mean(np.std(predicted, axis=0, ddof=1) ** 2))
    away = np.sqrt(np.mean((acq.images[held] - np.mean(predicted, axis=0)) ** 2)) / spread
    assert away > 2
    assert 0.7 * away < factor < 1.3 * away
    assert hidden > 0
    assert told["covered"][3] == pytest.approx(0.954, abs=0.01)
    assert told["covered_raw"][3] < 0.8
    assert told["notes"] == []
    assert told["levels"][3] == pytest.approx(0.9545, abs=1e-4)


def test_a_spread_that_explains_nothing_is_told():
    """Members that agree, of images that they do not predict: no bar can be made of them."""
    fields = [tiny.field(output_scale=2e-5 * (1 + 1e-7 * k)) for k in range(2)]
    acq = tiny.acquisition(holdout=())
    factor, _, told = calibrate(Ensemble(fields), SETTINGS, acq, np.arange(3))
    assert factor == 1000
    (note,) = told["notes"]
    assert f"1000 times their spread covers the residual at {told['covered'][3]:.0%} of" in note


def test_members_predict_with_the_optics_of_their_own():
    """As cross-validation with refinement makes them: other directions and another focus in every member."""
    rng, acq, held = np.random.default_rng(0), tiny.acquisition(holdout=()), np.array([1, 4])
    grid = Grid.for_images(tiny.SHAPE, tiny.SCOPE, tiny.DEPTH)
    own = [
        Optics(0.98 * tiny.LIGHT.sources_na + rng.normal(0, 0.005, (6, 2)), np.full(4, 0.9), focus)
        for focus in (0.3, -0.5, 0.8)
    ]
    parents = Optics(tiny.LIGHT.sources_na, np.full(6, 0.8), -2.0).to_dict()
    known = [{"model": "born", "optics": optics.to_dict()} for optics in own]
    fields = [tiny.field(seed=k, output_scale=2e-4, provenance=p) for k, p in enumerate(known)]
    settings = replace(SETTINGS, optics=parents)
    told = calibrate(Ensemble(fields), settings, acq, held)[2]
    images = [
        Born(grid, tiny.SCOPE, Illumination(o.sources_na), tiny.SHAPE, defocus_um=o.defocus_um).forward(
            f.on_axes(*grid.axes), held
        )
        for f, o in zip(fields, own, strict=True)
    ]
    signal = acq.images[held] - 1
    error = np.linalg.norm(np.mean(images, axis=0) - 1 - signal) / np.linalg.norm(signal)
    assert told["nrmse_holdout"] == pytest.approx(error, rel=1e-5)


def test_images_that_fit_never_shrink_the_spread():
    fields = [tiny.field(seed=k, output_scale=2e-4) for k in range(6)]
    acq = tiny.acquisition(holdout=())
    zero = Volume(np.zeros((3, 3, 3)), 0.3, (0, 0, 0), tiny.SCOPE.medium_index)
    still = simulate(zero, acq, "born", tiny.SHAPE, photons=1e9)
    assert calibrate(Ensemble(fields), SETTINGS, still, np.arange(3))[0] == 1


def scattered_blobs():
    """A sample of blobs of all sizes: images of 19 directions with noise, and the truth."""
    rng = np.random.default_rng(5)
    spacing, shape = (0.5, 0.25, 0.25), (13, 44, 40)
    z, y, x = (
        d * (np.arange(n) - (n // 2 if k == 0 else 0))
        for k, (d, n) in enumerate(zip(spacing, shape, strict=True))
    )
    contrast = np.zeros(shape)
    for _ in range(14):
        cz, cy, cx = rng.uniform(-1.5, 1.5), rng.uniform(2.5, 8.0), rng.uniform(2.5, 7.0)
        r2 = ((z - cz) ** 2)[:, None, None] + ((y - cy) ** 2)[:, None] + (x - cx) ** 2
        contrast += rng.uniform(0.002, 0.008) * np.exp(-r2 / rng.uniform(0.3, 1.0) ** 2)
    truth = Volume(contrast, spacing, (z[0], 0.0, 0.0), tiny.SCOPE.medium_index)
    rings = [Illumination.led_ring(n, na, start_deg=3).sources_na for n, na in ((6, 0.3), (13, 0.55))]
    light = Illumination(np.concatenate(rings))
    optics = Acquisition(None, light, tiny.SCOPE, holdout=(2, 8, 13, 17), name="blobs")
    return simulate(truth, optics, "born", (44, 40), photons=20000), truth


def test_twin_gives_the_factor_that_its_error_needs():
    """Members of spread 1 and a twin of error 3, white and inside the band: twice 3 covers it."""
    acq = tiny.acquisition()
    images = FitImages(SETTINGS, acq)
    grid, band = images.grid, images.band(np.arange(6))
    rng = np.random.default_rng(3)

    class Known:
        region_um = np.array([axis[[0, -1]] for axis in grid.axes])

        def __init__(self, values):
            self.values = values

        def on_axes(self, *axes):
            return self.values + 0j

    def noise():
        return band.inside(rng.standard_normal(grid.shape))

    truth = noise()
    field, twin = Known(truth), Known(truth + 3 * noise())
    ensemble = SimpleNamespace(members=[Known(truth + noise()) for _ in range(60)])
    factor, told = against_twin(ensemble, field, twin, grid, band, 0.0)
    assert factor == pytest.approx(3.0, rel=0.15)
    assert told["factor_twin"] == factor
    assert told["twin_error"] == pytest.approx(3.0, rel=0.2)
    assert against_twin(ensemble, field, twin, grid, band, 50.0)[0] == 1.0
    assert against_twin(ensemble, field, field, grid, band, 0.0)[0] == 1.0


def test_errors_that_members_share_are_a_share_of_the_contrast():
    """Half the signal is missed: of a sample of which the band holds nothing, nothing; of a wave, a half."""
    images = FitImages(SETTINGS, tiny.acquisition())
    grid, band = images.grid, images.band(np.arange(6))

    def known(values):
        return SimpleNamespace(on_axes=lambda *axes: values + 0j)

    assert systematic(known(np.ones(grid.shape)), grid, band, 0.5) == pytest.approx(0, abs=1e-6)
    seen = band.inside(np.random.default_rng(0).standard_normal(grid.shape))
    assert systematic(known(seen), grid, band, 0.5) == pytest.approx(0.5, rel=1e-6)
    assert systematic(known(seen + 10), grid, band, 0.5) < 0.1
    assert systematic(known(0 * seen), grid, band, 0.5) == 0


@pytest.mark.slow
def test_twin_is_a_fit_to_images_of_the_field():
    """From nothing, to images that the field gives, with as much noise; the same ones are held out."""
    acq = tiny.acquisition(photons=1000000)
    field = tiny.fit(acq, schedule=tiny.schedule(steps=80, warm_steps=30)).run()
    held, train = np.array([4]), np.array([0, 1, 2, 3, 5])
    how = {"callback": None, "device": "cpu", "precision": None}
    twin = fit_twin(field, acq, train, held, 7, **how)
    assert twin.provenance["holdout"] == [4]
    assert twin.provenance["steps_done"] == 80
    assert twin.provenance["schedule"]["seed"] != field.provenance["schedule"]["seed"]
    assert not same_images(twin, acq)
    grid = Grid(**field.provenance["grid"])
    model = Born(grid, tiny.SCOPE, tiny.LIGHT, tiny.SHAPE)
    mine, other = (model.forward(f.on_axes(*grid.axes)) for f in (field, twin))
    assert np.linalg.norm(mine - other) < 0.3 * np.linalg.norm(mine - 1)


def test_ensemble_with_and_without_a_twin():
    acq = tiny.acquisition(photons=10000)
    field = tiny.fit(acq, schedule=tiny.schedule(steps=10)).run()
    with_twin, without = (make_ensemble(field, acq, 2, 2, twin=twin) for twin in (True, False))
    told = with_twin.calibration
    assert with_twin.factor == max(told["factor_images"], told["factor_twin"])
    assert without.factor == told["factor_images"] == without.calibration["factor_images"]
    assert "factor_twin" not in without.calibration
    assert np.array_equal(with_twin.members[1].params, without.members[1].params)


@pytest.mark.slow
def test_the_standard_deviation_keeps_its_promise():
    """Errors lie within two standard deviations at about 95 % of the voxels, inside the band."""
    from check_uncertainty import coverage

    acq, truth = scattered_blobs()
    fit = Fit(acq, (-3, 3, 0.5), "born", schedule={"steps": 60, "batch": 8, "coarse": 0.0})
    ensemble = make_ensemble(fit.run(), acq, members=4, steps=12)
    rows, size = coverage(ensemble, acq, truth)
    within = {name: share for name, share, _ in rows}
    assert size < 0.6
    assert 0.88 < within["inside the band"] <= 1
    assert within["inside the band"] >= within["inside the band, before calibration"]
    assert ensemble.hidden > 0
    seen = [member.provenance["images"] for member in ensemble.members]
    assert len({tuple(s) for s in seen}) == 4
    assert not set(np.concatenate(seen)) & {2, 8, 13, 17}


@pytest.mark.slow
def test_folds_predict_every_image_by_a_field_that_never_saw_it():
    acq = tiny.acquisition(photons=5000)
    field = tiny.fit(acq, schedule=tiny.schedule(steps=12), refine="intensity").run()
    ensemble = make_ensemble(field, acq, 3, seed=2, folds=True)
    told = ensemble.calibration["folds"]
    assert sorted(np.concatenate(told["images"]).tolist()) == [0, 1, 2, 3, 5]  # 4 is held out by all
    grid = Grid.for_images(tiny.SHAPE, tiny.SCOPE, tiny.DEPTH)
    error = signal = 0.0
    for member, part, expected in zip(ensemble.members, told["images"], told["nrmse_per_fold"], strict=True):
        done = member.provenance
        assert sorted(done["images"] + part) == [0, 1, 2, 3, 5]
        assert done["schedule"]["steps"] == 12
        assert done["refine"] == ["intensity"]
        assert np.shape(done["optics"]["gain"]) == (len(done["images"]) + 1,)
        model = Born(grid, tiny.SCOPE, tiny.LIGHT, tiny.SHAPE)
        rest = model.forward(member.on_axes(*grid.axes), np.array(part)) - acq.images[part]
        squares = np.sum(rest.astype(float) ** 2), np.sum((acq.images[part] - 1.0) ** 2)
        assert expected == pytest.approx(np.sqrt(squares[0] / squares[1]), rel=1e-4)
        error, signal = error + squares[0], signal + squares[1]
    assert told["nrmse"] == pytest.approx(np.sqrt(error / signal), rel=1e-4)
    assert len({m.params.tobytes() for m in ensemble.members}) == 3
    assert 0 < told["noise_floor"] < told["nrmse"]


def test_folds_start_from_the_optics_that_the_field_was_given():
    acq, optics = tiny.acquisition(photons=5000), Optics(0.97 * tiny.LIGHT.sources_na, np.ones(6), 0.4)
    field = tiny.fit(acq, optics=optics).run()
    for member in make_ensemble(field, acq, 2, 3, folds=True).members:
        found = member.provenance["optics"]
        assert np.array(found["sources_na"]) == pytest.approx(optics.sources_na, abs=1e-6)
        assert found["defocus_um"] == 0.4


def test_folds_do_not_look_at_their_images():
    """An image changed beyond recognition changes every member but the one that left it out."""
    acq = tiny.acquisition(photons=5000)
    other = Acquisition(
        np.where(np.arange(6)[:, None, None] == 1, acq.images[::-1], acq.images),
        acq.illumination, acq.microscope, holdout=acq.holdout,
    )  # fmt: skip
    made = [make_ensemble(tiny.fit(a).run(), a, 3, 3, seed=2, folds=True) for a in (acq, other)]
    same = [np.array_equal(m.params, o.params) for m, o in zip(*(e.members for e in made), strict=True)]
    assert same == [1 in part for part in made[0].calibration["folds"]["images"]]
    assert sum(same) == 1


def test_more_folds_than_images():
    acq = tiny.acquisition()
    with pytest.raises(InputError, match="5 fitted images make no 6 folds"):
        make_ensemble(tiny.fit(acq).run(), acq, 6, folds=True)


def test_belongs_to_its_field_alone(tmp_path):
    acq = tiny.acquisition(photons=5000)
    field = tiny.fit(acq).run()
    make_ensemble(field, acq, 2, 2).save(tmp_path / "e.npz")
    field.save(tmp_path / "f.npz")
    ensemble = load_ensemble(tmp_path / "e.npz")
    assert ensemble.belongs_to(field)
    assert ensemble.belongs_to(load_field(tmp_path / "f.npz"))
    others = tiny.acquisition(photons=4000)
    for other in (
        tiny.fit(acq, schedule=tiny.schedule(seed=1)).run(),
        tiny.fit(others).run(),
        replace(field, bounds_um=field.bounds_um * 2),
        tiny.field(),
    ):
        assert not ensemble.belongs_to(other)
    assert not Ensemble(members()).belongs_to(tiny.field(provenance={"model": "born"}))


def test_two_ensembles_of_one_seed_are_identical():
    acq = tiny.acquisition(photons=5000)
    field = tiny.fit(acq).run()
    one, other = (make_ensemble(field, acq, 2, 2, seed=3) for _ in range(2))
    third = make_ensemble(field, acq, 2, 2, seed=4)
    assert np.array_equal(one(POINTS)[1], other(POINTS)[1])
    assert not np.array_equal(one(POINTS)[1], third(POINTS)[1])

"""The edge of the aperture: told by images that a fit never saw, kept with the field, used to predict."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, evaluate, load_field
from fieldrx.comparison import MeasuredImages
from fieldrx.ensemble.images import FitImages
from fieldrx.evaluation import model_of
from fieldrx.fit import correct
from fieldrx.fit.correct import share_explained
from fieldrx.models import Optics, grid_for, make_model
from fieldrx.render.images import new_images


def images_with(edge, shape=(40, 36)):
    """Images of a blob under light near the pupil's edge, through an aperture of either edge."""
    light = replace(tiny.LIGHT, sources_na=tiny.LIGHT.sources_na * 1.15)
    grid = grid_for("bpm", shape, tiny.SCOPE, tiny.DEPTH)
    z, y, x = grid.axes
    r2 = z[:, None, None] ** 2 + (y[:, None] - 5.0) ** 2 + (x - 4.4) ** 2
    model = make_model("bpm", grid, tiny.SCOPE, light, shape, edge=edge)
    seen = model.forward((0.02 * np.exp(-r2 / 1.5)).astype(np.complex64))
    return Acquisition(seen, light, tiny.SCOPE, holdout=(1, 4), name=edge)


SCHEDULE = {"steps": 60, "evaluate_every": 5, "patience": 0, "tilted_from": 0.1, "coarse": 0.2}


@pytest.fixture(scope="module")
def soft():
    acq = images_with("soft")
    job = tiny.fit(acq, "bpm", schedule=SCHEDULE)
    return acq, job, job.run()


def test_a_soft_edge_is_found_and_kept(soft, tmp_path):
    acq, job, field = soft
    assert job.state.soft_edge and field.provenance.optics["edge"] == "soft"
    assert sum("soft edge" in note for note in job.notes) == 1
    name, model, contrast = model_of(
        field, acq.microscope, acq.illumination, acq.image_shape,
        optics=Optics.recorded(field.provenance, acq.illumination),
    )  # fmt: skip
    assert name == "bpm" and model.camera.edge == "soft"
    field.save(tmp_path / "f.npz")
    again = load_field(tmp_path / "f.npz")
    assert evaluate(again, acq)["nrmse_holdout"] == pytest.approx(field.provenance.nrmse_holdout, rel=0.01)
    images = FitImages(field.provenance, acq, "cpu")
    optics = Optics.recorded(field.provenance, acq.illumination)
    predicted = images.predicted(field, optics, np.array([1]))
    assert np.allclose(predicted, model.forward(contrast, np.array([1])), atol=1e-5)


def test_new_light_has_the_edge_of_the_fit(soft):
    acq, _, field = soft
    light = acq.illumination.select([2])
    new = new_images(field, light, image_shape=acq.image_shape)
    _, model, contrast = model_of(
        field, acq.microscope, light, acq.image_shape, optics=replace(Optics.of(light), edge="soft")
    )
    assert np.allclose(new.images, model.forward(contrast), atol=1e-5)


def test_a_hard_edge_stays(tmp_path):
    job = tiny.fit(images_with("hard"), "bpm", schedule=SCHEDULE)
    field = job.run()
    assert job.state.edge_judged and not job.state.soft_edge
    assert field.provenance.optics is None and job.model.camera.edge == "hard"


def test_the_right_edge_predicts_better(soft, monkeypatch):
    """What the fit makes of its images is better than with the other edge."""
    acq, _, field = soft
    monkeypatch.setattr(correct, "SOFT", np.inf)
    other = tiny.fit(acq, "bpm", schedule=SCHEDULE).run()
    assert field.provenance.nrmse_holdout < 0.97 * other.provenance.nrmse_holdout


def test_an_interrupted_fit_goes_on_with_its_edge(soft, tmp_path):
    acq, _, field = soft
    job = tiny.fit(acq, "bpm", schedule=SCHEDULE)
    job.start()
    while not job.state.soft_edge:
        job.step()
    job.save(tmp_path / "c.npz")
    again = tiny.fit(acq, "bpm", schedule=SCHEDULE)
    resumed = again.run(tmp_path / "c.npz", resume=True)
    assert again.model.camera.edge == "soft"
    assert np.array_equal(resumed.params, field.params)


def test_nothing_is_asked_where_nothing_can_tell():
    acq = images_with("soft")
    alone = tiny.fit(replace(acq, holdout=()), "bpm", schedule=SCHEDULE, holdout=0.0)
    alone.run()
    assert not alone.state.edge_judged
    linear = tiny.fit(acq, "born", schedule=SCHEDULE)
    linear.run()
    assert not linear.state.edge_judged
    known = replace(Optics.of(acq.illumination), edge="soft")
    given = tiny.fit(acq, "bpm", schedule=SCHEDULE, optics=known)
    assert given.model.camera.edge == "soft"
    field = given.run()
    assert not given.state.edge_judged and field.provenance.optics["edge"] == "soft"


def test_optics_keep_their_edge():
    optics = replace(Optics.of(tiny.LIGHT), edge="soft")
    assert optics.with_vector(optics.to_vector()).edge == "soft"
    assert optics.padded(6).edge == optics.select(np.array([1, 2])).edge == "soft"
    assert Optics.from_dict(optics.to_dict()).edge == "soft"
    older = {name: value for name, value in optics.to_dict().items() if name != "edge"}
    assert Optics.from_dict(older).edge == "hard"


def test_share_of_a_difference():
    """One where the other prediction is right, zero where the first is, whatever the brightness of images."""
    rng = np.random.default_rng(0)
    first, other = rng.standard_normal((2, 3, 8, 9))
    light = np.array([0.5, -1.0, 2.0])[:, None, None]
    for share in (0.0, 0.3, 1.0):
        measured = first + share * (other - first) + light
        acq = Acquisition(measured, tiny.LIGHT.select([0, 1, 2]), tiny.SCOPE, normalised=True)
        pairs = MeasuredImages.of(acq, False).beside(first, np.arange(3))
        assert share_explained(pairs, other) == pytest.approx(share, abs=1e-6)
    assert np.isnan(share_explained(pairs, first + 1e-9))
    masked = np.ones(first.shape, bool)
    masked[:, :2] = False
    spoilt = np.where(masked, first + 0.4 * (other - first), 50.0)
    acq = Acquisition(spoilt, tiny.LIGHT.select([0, 1, 2]), tiny.SCOPE, masked, normalised=True)
    pairs = MeasuredImages.of(acq, False).beside(first, np.arange(3))
    assert share_explained(pairs, other) == pytest.approx(0.4, abs=1e-6)

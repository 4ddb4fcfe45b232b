"""Errors of a field against images and against a truth."""

import json

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Ensemble, Illumination, InputError, evaluate
from fieldrx.metrics import image_errors, index_error
from fieldrx.models import Born
from fieldrx.optics import Grid


def provenance(acq=None, holdout=(1, 5)):
    """Of a field that was fitted to an acquisition with the Born model."""
    return {
        "model": "born",
        "acquisition": (acq or tiny.acquisition()).fingerprint(),
        "holdout": list(holdout),
    }


@pytest.fixture
def field():
    return tiny.field(provenance=provenance())


def nrmse(predicted, measured, valid):
    return np.sqrt(((predicted - measured)[valid] ** 2).sum() / ((measured - 1)[valid] ** 2).sum())


def test_image_errors_by_hand():
    measured = np.array([[[1.0, 3.0], [1.0, 1.0]], [[1.0, 1.0], [1.5, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    predicted = np.array([[[1.0, 2.0], [2.0, 9.0]], [[1.0, 1.0], [1.5, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    mask = np.ones((3, 2, 2), bool)
    mask[0, 1, 1] = False
    overall, each = image_errors(predicted, measured, mask)
    assert overall == pytest.approx(np.sqrt(2 / 4.25))
    assert each[:2] == pytest.approx([np.sqrt(2 / 4), 0])
    assert np.isnan(each[2])  # no signal to compare with


def test_index_error_by_hand():
    assert index_error([1 + 1j, 0], [1, 2j]) == pytest.approx(np.sqrt((1 + 4) / 5))
    assert index_error(np.zeros(4), np.ones(4)) == 1
    with pytest.raises(InputError, match="shape"):
        index_error(np.zeros(3), np.ones(4))
    with pytest.raises(InputError, match="no contrast anywhere"):
        index_error(np.ones(4), np.zeros(4))


def test_against_the_model():
    rng = np.random.default_rng(0)
    mask = rng.random((6, *tiny.SHAPE)) > 0.2
    acq = Acquisition(tiny.acquisition().images, tiny.LIGHT, tiny.SCOPE, mask, name="tiny")
    grid = Grid.for_images(tiny.SHAPE, tiny.SCOPE, tiny.DEPTH)
    predicted = Born(grid, tiny.SCOPE, tiny.LIGHT, tiny.SHAPE).forward(tiny.field().on_axes(*grid.axes))
    result = evaluate(tiny.field(provenance=provenance(acq)), acq)
    assert result["nrmse"] == pytest.approx(nrmse(predicted, acq.images, mask), rel=1e-5)
    each = [nrmse(predicted[k], acq.images[k], mask[k]) for k in range(6)]
    assert result["nrmse_per_image"] == pytest.approx(each, rel=1e-5)
    held, rest = [1, 5], [0, 2, 3, 4]
    assert result["holdout"] == held
    assert result["nrmse_holdout"] == pytest.approx(
        nrmse(predicted[held], acq.images[held], mask[held]), 1e-5
    )
    assert result["nrmse_train"] == pytest.approx(nrmse(predicted[rest], acq.images[rest], mask[rest]), 1e-5)
    assert result["excluded"] == []
    assert "index_nrmse" not in result
    json.dumps(result, allow_nan=False)


def test_empty_field_has_error_one():
    field = tiny.field(provenance=provenance(), output_scale=0.0)
    result = evaluate(field, tiny.acquisition(), tiny.phantom())
    for name in ("nrmse", "nrmse_holdout", "nrmse_train", "index_nrmse"):
        assert result[name] == pytest.approx(1, rel=1e-6)


def test_truth(field):
    truth = field.volume(spacing=(0.6, 0.3, 0.2))
    assert evaluate(field, tiny.acquisition(), truth)["index_nrmse"] < 1e-6
    double = tiny.field(provenance=provenance(), output_scale=0.008)
    assert evaluate(double, tiny.acquisition(), truth)["index_nrmse"] == pytest.approx(1, rel=1e-6)


def test_held_out_images_are_those_the_fit_recorded_for_these_images(field):
    acq = tiny.acquisition()
    assert evaluate(field, acq)["holdout"] == [1, 5]
    moved = Acquisition(acq.images, Illumination(tiny.LIGHT.sources_na * 0.99), tiny.SCOPE)
    assert evaluate(field, moved)["holdout"] == [1, 5]  # the same images, corrected optics
    other = Acquisition(2 - acq.images, tiny.LIGHT, tiny.SCOPE, holdout=[4])
    assert evaluate(field, other)["holdout"] == [4]
    assert evaluate(tiny.field(provenance={"model": "born"}), acq)["holdout"] == [4]


def test_excluded_images_count_nowhere():
    light = Illumination(np.concatenate([tiny.LIGHT.sources_na[:5], [[0.0, 0.9]]]))
    images = tiny.acquisition().images.copy()
    images[5] = 7.0
    mask = np.ones(images.shape, bool)
    mask[2] = False
    acq = Acquisition(images, light, tiny.SCOPE, mask)
    field = tiny.field(provenance=provenance(acq))
    result = evaluate(field, acq)
    assert result["excluded"] == [2, 5]
    assert result["nrmse_per_image"][2] is None
    assert result["nrmse_per_image"][5] is None
    assert result["holdout"] == [1]
    part = Acquisition(images[[0, 1, 3, 4]], light.select([0, 1, 3, 4]), tiny.SCOPE)
    assert result["nrmse"] == pytest.approx(evaluate(field, part)["nrmse"], rel=1e-6)


def test_model_may_be_chosen(field):
    acq = tiny.acquisition()
    assert evaluate(field, acq, model="rytov")["model"] == "rytov"
    assert evaluate(field, acq, model="rytov")["nrmse"] != evaluate(field, acq)["nrmse"]
    with pytest.raises(InputError, match='no model "x"'):
        evaluate(field, acq, model="x")


def test_wrong_acquisitions(field):
    with pytest.raises(InputError, match="no images"):
        evaluate(field, Acquisition(None, tiny.LIGHT, tiny.SCOPE))
    oil = tiny.field(provenance=provenance(), medium_index=1.5)
    with pytest.raises(InputError, match="belongs to another acquisition"):
        evaluate(oil, tiny.acquisition())


def test_nothing_to_compare(field):
    acq = tiny.acquisition()
    masked = Acquisition(acq.images, tiny.LIGHT, tiny.SCOPE, np.zeros(acq.images.shape, bool))
    with pytest.raises(InputError, match="no image can be compared"):
        evaluate(field, masked)


def test_truth_in_another_medium(field):
    known = tiny.phantom()
    other = type(known)(known.contrast, known.spacing_um, known.origin_um, 1.4)
    with pytest.raises(InputError, match=r"truth lies in a medium of index 1\.4"):
        evaluate(field, tiny.acquisition(), other)


def test_what_is_no_field_or_no_truth(field):
    acq = tiny.acquisition()
    for wrong in (Ensemble((field, field)), np.zeros(3)):
        with pytest.raises(InputError, match=f"field: expected a NeuralField, got {type(wrong).__name__}"):
            evaluate(wrong, acq)
    with pytest.raises(InputError, match="truth: expected a Volume, got ndarray"):
        evaluate(field, acq, truth=np.zeros((3, 4, 5)))


def test_a_verdict_where_nothing_was_held_out():
    acq = tiny.acquisition(holdout=())
    result = evaluate(tiny.field(provenance={"model": "born"}), acq)
    assert result["verdict"] == "no image was held out: nothing tests this field"
    assert "nrmse_holdout" not in result

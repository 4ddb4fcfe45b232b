"""How a field came to be: read, written, and asked by name."""

import json

import pytest
import tiny

from fieldrx import load_field
from fieldrx.errors import InputError
from fieldrx.provenance import Provenance


def test_a_fit_tells_everything_by_name():
    told = tiny.fit(schedule=tiny.schedule(steps=1), origin={"automatic": ["depth: found"]}).run().provenance
    assert told.fitted and told.model == told["model"] == "born"
    assert told.held.tolist() == told["holdout"] == list(told.holdout)
    assert told["diverged"] is None and "optics" not in told
    assert told["automatic"] == told.origin["automatic"] == ["depth: found"]
    assert told == dict(told) and Provenance.from_json(told.to_json()).to_json() == told.to_json()


def test_a_field_that_was_not_fitted_says_what_it_knows(tmp_path):
    told = tiny.field(provenance={"name": "cell", "mine": [1]}).provenance
    assert dict(told) == {"name": "cell", "mine": [1]} and told.model is None and not told.fitted
    assert len(told.held) == 0
    tiny.field(provenance=told).save(tmp_path / "f.npz")
    assert load_field(tmp_path / "f.npz").provenance == told


def test_what_version_0_1_wrote_is_read():
    told = Provenance.from_json(json.dumps({"model": "ssnp", "holdout": [2], "threads": 2}))
    assert told.model == "ssnp" and told.held.tolist() == [2] and told.origin == {"threads": 2}
    assert told.background is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "provenance is a list; expected a dict"),
        ({"depth": 3}, r"provenance says depth = 3; expected list \| None"),
        ({"name": ["a"]}, r"provenance says name = \['a'\]"),
    ],
)
def test_other_things_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        Provenance.from_dict(values)


def test_a_later_version_is_refused():
    with pytest.raises(InputError, match="provenance of version 2; this fieldrx reads version 1"):
        Provenance.from_json('{"version": 2}')

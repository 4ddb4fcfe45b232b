"""The command that makes a fit again."""

import json

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import load_field
from fieldrx.cli import main
from fieldrx.recipe import recipe

OPTIONS = [
    [],
    ["--steps", "2", "--tv", "0.3", "--seed", "3", "--no-absorption", "--loss", "huber", "--model", "rytov"],
    ["--steps", "1", "--preset", "decaf-small", "--holdout", "0.4", "--refine", "intensity,defocus"],
    ["--steps", "2", "--model", "ssnp", "--loss", "poisson:5000", "--holdout", "0"],
]


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options[:4]) or "defaults")
def test_repeats_the_fit(options, tmp_path):
    """The command of a fit's recipe fits with the same arguments, to the same weights."""
    acq = tiny.acquisition(holdout=())
    acq.save(tmp_path / "acq.npz")
    files = [str(tmp_path / name) for name in ("acq.npz", "a.npz", "b.npz")]

    def run(words):
        done = CliRunner().invoke(main, [*words, "--quiet"])
        assert done.exit_code == 0, done.output

    first = ["reconstruct", files[0], "--depth", "-1:1:0.5", "-o", files[1], *(options or ["--steps", "2"])]
    run(first)
    commands, besides = recipe(load_field(files[1]), acq)
    assert besides == []
    words = commands.splitlines()[0].split()
    assert words[0] == "fieldrx"
    run([{"ACQ": files[0], "FIELD.npz": files[2]}.get(word, word) for word in words[1:]])
    one, other = (load_field(path) for path in files[1:])
    told = ("depth", "model", "priors", "schedule", "holdout", "loss", "refine", "network", "encoding")
    assert json.dumps([one.provenance[k] for k in told]) == json.dumps([other.provenance[k] for k in told])
    np.testing.assert_array_equal(one.params, other.params)


def test_what_only_python_can_give():
    acq = tiny.acquisition()
    field = tiny.fit(acq, priors={"tv": 0.1, "nonnegative": 0.0}, schedule=tiny.schedule(batch=3)).run()
    commands, besides = recipe(field, acq)
    assert "--holdout" not in commands  # the acquisition names its own
    assert "--tv" not in commands
    assert set(besides) >= {"tv=0.1", "nonnegative=0.0", "batch=3", "warm_steps=3"}
    assert recipe(tiny.field(), acq) == ("", [])

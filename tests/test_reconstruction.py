"""What "auto" stands for: in Python as in the command, kept with its evidence, and kept on resuming."""

import signal

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

import fieldrx
from fieldrx import InputError, Priors, load_field, read_acquisition, reconstruct, reconstruction
from fieldrx.cli import main
from fieldrx.fit.descent import Astray
from fieldrx.reconstruction import choose_depth, prepare

SMALL = {"encoding": tiny.ENCODING, "network": tiny.NETWORK}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Images of a blob below the focus."""
    optics = fieldrx.Acquisition(None, fieldrx.Illumination.led_ring(18, 0.5, start_deg=3), tiny.SCOPE)
    blob = tiny.phantom()
    blob = fieldrx.Volume(blob.contrast, blob.spacing_um, (-6.0, 4.5, 4.4), blob.medium_index)
    path = tmp_path_factory.mktemp("reconstruction") / "acq.npz"
    fieldrx.simulate(blob, optics, "born", (60, 52)).save(path)
    return path


@pytest.mark.slow
def test_python_does_what_the_command_does(path, tmp_path):
    options = ["--depth", "auto", "--tv", "auto", "--model", "auto", "--steps", "4", "--holdout", "0.2", "-q"]
    given = ["reconstruct", str(path), "-o", str(tmp_path / "f.npz"), *options]
    assert CliRunner().invoke(main, given).exit_code == 0
    theirs = load_field(tmp_path / "f.npz")
    ours = reconstruct(
        read_acquisition(path), "auto", tv="auto", model="auto", schedule={"steps": 4}, holdout=0.2
    )
    assert np.array_equal(ours.params, theirs.params)
    for name in ("depth", "model", "priors", "automatic", "notes", "holdout"):
        assert ours.provenance[name] == theirs.provenance[name], name
    assert len(ours.provenance["automatic"]) == 2


@pytest.mark.slow
def test_what_was_chosen_holds_when_a_fit_goes_on(path, tmp_path, monkeypatch):
    acq, checkpoint = read_acquisition(path), tmp_path / "c.npz"
    given = {"tv": "auto", "schedule": tiny.schedule(steps=6), "holdout": 0.2, **SMALL}

    def interrupt(progress):
        if progress.stage == "fit" and progress.done == 2:
            signal.raise_signal(signal.SIGINT)

    stopped = prepare(acq, "auto", "born", callback=interrupt, **given).run(checkpoint)
    assert stopped.provenance["interrupted"]
    for name in ("choose_depth", "choose_tv"):
        monkeypatch.setattr(reconstruction, name, lambda *_, **__: pytest.fail("chosen again"))
    done = reconstruct(acq, "auto", "born", checkpoint=checkpoint, resume=True, **given).provenance
    assert done["steps_done"] == 6
    for name in ("depth", "priors", "automatic"):
        assert done[name] == stopped.provenance[name]


def test_one_weight_for_index_and_absorption():
    for priors in (None, {"nonnegative": 2.0}, Priors(nonnegative=2.0)):
        found = prepare(tiny.acquisition(), tiny.DEPTH, "born", tv=0.3, priors=priors, **SMALL).priors
        assert (found.tv, found.tv_absorption) == (0.3, 0.3)
        assert found.nonnegative == (1.0 if priors is None else 2.0)


def test_remarks_follow_the_notes_of_the_fit():
    fit = prepare(tiny.acquisition(), "-1:1:0.3", "born", remarks=["as was asked"], **SMALL)
    assert fit.arguments["depth"] == [-1, 1, 0.3]
    assert fit.notes[-2:] == [
        "as was asked",
        "8 slices 0.28571 um apart, so that both ends of the depth range are slices",
    ]
    assert "automatic" not in fit.origin


def test_what_cannot_be_chosen():
    with pytest.raises(InputError, match='tv is "much"; expected a number, 0 or more, or "auto"'):
        prepare(tiny.acquisition(), tiny.DEPTH, tv="much")
    with pytest.raises(InputError, match='depth "deep" is not Z0:Z1:DZ'):
        prepare(tiny.acquisition(), "deep")
    optics = fieldrx.Acquisition(None, tiny.LIGHT, tiny.SCOPE)
    with pytest.raises(InputError, match="has no images to refocus"):
        choose_depth(optics)
    with pytest.raises(InputError, match="depth is 5; expected three numbers in um"):
        prepare(tiny.acquisition(), 5)
    for wrong in (prepare, fieldrx.Fit):
        with pytest.raises(InputError, match="expected an Acquisition, got ndarray: "):
            wrong(np.ones((4, 8, 8)), tiny.DEPTH)


def test_one_image_is_told_to_tell_no_depth():
    note = "one image, lit from one side, tells no depth"
    for images, told in (([0], True), ([0, 1], False)):
        fit = prepare(tiny.acquisition().select(images), tiny.DEPTH, "born", **SMALL)
        assert any(note in words for words in fit.notes) == told


def test_a_fit_that_diverges_warns(monkeypatch):
    def astray(*arguments):
        raise Astray("step 2: the data term is nan")

    monkeypatch.setattr("fieldrx.fit.run.check", astray)
    monkeypatch.setattr("fieldrx.fit.run.set_back", lambda state: False)
    with pytest.warns(UserWarning, match="data term is nan; the field is the best one before it"):
        field = reconstruct(tiny.acquisition(), tiny.DEPTH, "born", schedule=tiny.schedule(), **SMALL)
    assert field.provenance.diverged == "step 2: the data term is nan"


def test_a_fit_that_ends_well_warns_of_nothing(recwarn):
    reconstruct(tiny.acquisition(), tiny.DEPTH, "born", schedule=tiny.schedule(), **SMALL)
    assert not [one for one in recwarn if one.category is UserWarning]

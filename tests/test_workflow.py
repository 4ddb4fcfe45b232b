"""`fieldrx run`: choices with their evidence, a verdict, and one question where the images do not tell."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from fieldrx import (
    Acquisition,
    Illumination,
    InputError,
    Volume,
    read_acquisition,
    simulate,
)
from fieldrx.cli import NOTHING, main
from fieldrx.field import load_field
from fieldrx.fit import Parts
from fieldrx.io import open_folder
from fieldrx.noise import NoiseFloor
from fieldrx.verdict import Verdict, cut_off, judge
from fieldrx.workflow import Undecided, depth, run, sign, trials
from fieldrx.workflow.folder import PARTS
from fieldrx.workflow.trials import Case

SCOPE = replace(tiny.SCOPE, pixel_size_um=0.22)
LIGHT = Illumination(np.concatenate([Illumination.led_ring(8, na).sources_na for na in (0.3, 0.52)]))
SHAPE = (40, 44)
QUICK = {"steps": 12}
NAMES = ["calibration", "sign", "depth", "model", "alignment"]


def bead(sign=1, light=LIGHT, photons=20000, height=1.0):
    """Images of a bead of a radian, out of focus."""
    spacing, origin = (0.2, 0.22, 0.22), (height - 2.0, 1.5, 1.5)
    z, y, x = (o + d * np.arange(21) for o, d in zip(origin, spacing, strict=True))
    r = np.sqrt(((z - height) ** 2)[:, None, None] + ((y - 3.9) ** 2)[:, None] + (x - 3.7) ** 2)
    volume = Volume(sign * 0.04 / (1 + np.exp((r - 1.2) / 0.08)), spacing, origin, SCOPE.medium_index)
    optics = Acquisition(None, light, SCOPE, holdout=(2, 9))
    return simulate(volume, optics, "ssnp", SHAPE, photons=photons)


@pytest.fixture(scope="module", autouse=True)
def short_trials():
    """A bead tells its sign in fewer steps than a stranger's cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trials._SHORT, "steps", 60)
        patch.setitem(trials._LONG, "steps", 60)
        yield


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Short fits of the runs before, so that the same one is not made twice."""
    return Parts(tmp_path_factory.mktemp("known"), resume=True)


@pytest.fixture(scope="module")
def outcome(short_trials, known):
    return run(bead(), schedule=QUICK, parts=known)


@pytest.mark.slow
def test_every_choice_has_its_evidence(outcome):
    assert [choice.name for choice in outcome.choices] == NAMES
    assert all(choice.value and len(choice.evidence) > 20 for choice in outcome.choices)
    first, last, _ = outcome.field.provenance["depth"]
    assert first < 0.5 and last > 1.5
    assert outcome.field.provenance["model"] == "ssnp"
    assert outcome.choices[1].value == "light as given"
    assert outcome.field.provenance["automatic"] == [str(choice) for choice in outcome.choices]
    json.dumps(outcome.to_dict())


@pytest.mark.slow
def test_directions_that_are_right_are_kept(outcome):
    assert outcome.choices[0].value == "as given"
    assert outcome.choices[-1].value in ("none", "during the fit")
    np.testing.assert_array_equal(outcome.acquisition.illumination.sources_na, LIGHT.sources_na)


@pytest.mark.slow
def test_only_the_user_knows_what_looks_less_dense(known):
    with pytest.raises(Undecided, match=r"is the sample denser .*--contrast negative.*positive"):
        run(bead(sign=-1), schedule=QUICK, parts=known)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contrast", "value"), [("negative", "light as given"), ("positive", "light reversed")]
)
def test_the_answer_is_heeded(known, contrast, value):
    found = run(bead(sign=-1), contrast=contrast, schedule=QUICK, parts=known)
    assert found.choices[1].value == value
    contrast = found.field.volume().contrast.real
    peak = contrast.flat[np.abs(contrast).argmax()]
    assert (peak < 0) == (value == "light as given")


class Ends:
    """Trials of which the reversed light ends at a given share of the other, short ones and long ones."""

    sign = 1

    def __init__(self, short, long):
        self.short, self.long = short, long

    def of(self, case, long=False):
        ratio = self.long if long else self.short
        return replace(case, end=ratio if case.depth[0] < -1.5 else 1.0)


@pytest.mark.parametrize(
    ("turned", "short", "long", "flipped", "doubt"),
    [
        (False, 1.2, None, False, ""),
        (False, 0.9, 1.04, False, ""),  # as single rings do
        (False, 1.01, 0.995, False, "hardly tell"),  # the table is believed, and the verdict doubts it
        (False, 0.98, 0.98, False, "hardly tell"),  # so do thin films
        (False, 0.96, 0.96, True, "as the images prefer it"),
        (True, 1.02, 0.995, True, "hardly tell"),  # a table that was turned far has no sign to believe
        (True, 1.01, 1.005, False, "hardly tell"),
        (True, 0.6, None, True, ""),
    ],
)
def test_the_sign_of_a_table_counts_where_images_tell_little(turned, short, long, flipped, doubt):
    told = []
    case = Case(bead(), (-1.0, 2.0, 0.3), "ssnp", ("", ""), turned=turned, end=1.0)
    found = sign.signed(case, "auto", Ends(short, long), lambda *choice: told.append(choice))
    assert (found.depth == (-2.0, 1.0, 0.3)) == flipped
    assert doubt in found.doubt and bool(doubt) == bool(found.doubt)
    assert told[0][:2] == ("sign", "light reversed" if flipped else "light as given")
    assert ("longer" in told[0][2]) == (long is not None)


def sign_of(contrast, short, long=None, **changes):
    """The case of a bead whose trials end so, after its sign was chosen."""
    case = Case(bead(), (-1.0, 2.0, 0.3), "ssnp", ("", ""), end=1.0)
    return sign.signed(replace(case, **changes), contrast, Ends(short, long), lambda *choice: None)


def test_longer_trials_see_the_busy_part_of_large_images():
    images = np.ones((16, 300, 200), np.float32)
    images[:, 250:, 20:60] += 0.1 * np.random.default_rng(0).normal(size=(16, 50, 40))
    case = Case(replace(bead(), images=images, checksum=None), (-1.0, 2.0, 0.3), "ssnp", ("", ""), end=1.0)
    ends, seen = Ends(0.95, 0.95), []

    def of(case, long=False):
        seen.append((long, case.acquisition.stack))
        return Ends.of(ends, case, long)

    ends_of = SimpleNamespace(sign=1, of=of)
    found = sign.signed(case, "positive", ends_of, lambda *choice: None)
    assert found.acquisition.stack.shape == images.shape
    assert [long for long, _ in seen] == [False, True, True]
    for _, stack in seen[1:]:
        assert max(stack.shape[1:]) <= 192 and np.ptp(stack[:, -50:], axis=0).max() > 0.1


def test_longer_trials_may_ask_as_well():
    with pytest.raises(Undecided):
        sign_of("auto", 0.85, 0.7)


@pytest.mark.parametrize("contrast", ["positive", "negative"])
def test_who_knows_the_contrast_is_not_asked_for_it(contrast):
    assert sign_of(contrast, 0.6).depth == (-2.0, 1.0, 0.3)
    assert sign_of(contrast, 0.9, 0.9).doubt == ""
    words = sign_of(contrast, 1.0, 1.0).doubt
    assert "--contrast" not in words
    assert ("like a hole" in words) == (contrast == "positive")


@pytest.mark.parametrize(
    ("grade", "then"), [("good", "fair"), ("fair", "fair"), ("poor", "poor"), ("nothing", "nothing")]
)
def test_nothing_is_good_whose_sign_is_in_doubt(grade, then):
    found = Verdict(grade, f"{grade}: predicts", ("one",)).doubted("is it a hole?")
    assert found.grade == then and found.sentence.startswith(f"{then}: predicts")
    assert ("doubt" in found.sentence) == (grade == "good")
    assert found.advice == ("one", "is it a hole?")


@pytest.mark.parametrize(
    ("given", "reversed_", "flipped"), [(1.0, np.inf, False), (np.inf, np.inf, False), (np.inf, 1.0, None)]
)
def test_trials_that_diverge_reverse_no_light(given, reversed_, flipped):
    if flipped is None:
        with pytest.raises(Undecided):
            sign_of("auto", reversed_, reversed_, end=given)
        return
    found = sign_of("auto", reversed_, reversed_ / given if np.isfinite(given) else 1.0, end=given)
    assert found.depth == (-1.0, 2.0, 0.3)


@pytest.mark.parametrize(
    ("errors", "cut", "kept"),
    [
        ((0.30, 0.29, 0.28), (), 1.0),
        ((0.40, 0.25, 0.24), (), 0.75),
        ((0.40, 0.30, 0.20), (), 0.55),
        ((0.40, 0.30, 0.20), (2,), 0.75),
        ((0.40, 0.30, 0.20), (1, 2), 1.0),
        ((0.40, np.nan, 0.20), (), 1.0),
    ],
)
def test_the_widest_range_that_tells_unseen_images_as_well(monkeypatch, errors, cut, kept):
    """Judged by images that neither the short fits nor the final verdict use."""
    acq = replace(bead(), holdout=np.array([2]))
    case = Case(acq, (-4.0, 4.0, 0.25), "ssnp", ("", ""))
    told, seen = iter(errors), []

    class Trials:
        seed, device = 0, "cpu"

        def of(self, case):
            seen.append(set(case.acquisition.holdout.tolist()))
            return replace(case, field=len(seen) - 1)

    class Compared:
        def error(self, images):
            assert 2 not in images and set(images.tolist()) <= seen[-1]
            return next(told), None

    monkeypatch.setattr(depth, "compare", lambda *args, **kwargs: Compared())
    monkeypatch.setattr(depth, "_centre", lambda field: 0.0)
    monkeypatch.setattr(depth, "cut_off", lambda field: field in cut)
    found = depth._tightened(case, Trials())
    assert len(seen) == 3 and all(2 in held and len(held) >= 3 for held in seen)
    thick = 8.0 if found is None else found.depth[1] - found.depth[0]
    assert thick == pytest.approx(8.0 * kept)
    assert (found is None) == (kept == 1.0)


def test_wrong_words():
    with pytest.raises(InputError, match="expected one of auto, positive, negative"):
        run(bead(), contrast="dark")
    with pytest.raises(InputError, match="no images to reconstruct"):
        run(Acquisition(None, LIGHT, SCOPE))


@pytest.mark.slow
def test_noise_alone_is_nothing():
    rng = np.random.default_rng(0)
    noise = (1 + 0.02 * rng.standard_normal((8, *SHAPE))).astype(np.float32)
    found = run(Acquisition(noise, Illumination.led_ring(8, 0.4), SCOPE, holdout=(2, 5)), schedule=QUICK)
    assert found.verdict.failed
    assert "No sample was found" in found.verdict.sentence


@pytest.mark.parametrize(
    ("floor", "grade", "said"), [(0.5, "good", False), (0.75, "good", True), (0.85, "fair", True)]
)
def test_what_noise_hides_is_not_called_good(monkeypatch, floor, grade, said):
    """An error just above its noise: the more of the signal is noise, the less that tells."""

    class Compared:
        held, dark_held = np.array([2]), np.zeros(0, int)

        def error(self, images):
            return np.sqrt(floor**2 + 0.01), None

        def noise_of(self, images):
            return NoiseFloor(0.1, np.array([0.1]), floor, "beyond the band")

    monkeypatch.setattr("fieldrx.verdict.compare", lambda *args, **kwargs: Compared())
    verdict = judge(replace(tiny.field(), provenance={"nrmse_closed_form": 1.0}), bead())
    assert verdict.grade == grade
    assert any("is noise" in advice for advice in verdict.advice) == said


@pytest.mark.slow
def test_a_wrong_depth_is_advised_against():
    acq = bead(height=3.0)
    fit = tiny.Fit(acq, (-3.5, -0.5, 0.3), "ssnp", schedule={"steps": 20})
    verdict = judge(fit.run(), acq)
    assert verdict.grade in ("poor", "nothing")
    assert any("--depth auto" in advice for advice in verdict.advice)


@pytest.mark.parametrize("said", [False, True])
def test_a_sample_at_the_end_of_its_range_is_said(monkeypatch, said):
    contrast = np.full((4, 5, 6), 1e-4)
    field = tiny.field()
    weights = np.array([0.0, 0.2, 1.0, 1.0] if said else [0.1, 1.0, 0.1, 0.0])
    contrast[:, 2, 3] = 0.02 * weights
    monkeypatch.setattr(
        type(field), "volume", lambda self: Volume(contrast, (0.5, 0.25, 0.25), (0, 0, 0), 1.33)
    )
    assert bool(cut_off(field)) == said


@pytest.mark.slow
def test_the_folder_of_a_run(known, tmp_path):
    bead().save(tmp_path / "acq.npz")
    folder = tmp_path / "out"
    shutil.copytree(known.folder, folder / PARTS)
    job = ["run", str(tmp_path / "acq.npz"), "-o", str(folder), "--steps", "12", "--resume"]
    result = CliRunner().invoke(main, job)
    assert result.exit_code in (0, NOTHING), result.output
    names = {"field.npz", "acquisition.npz", "field.png", "report.html", "log.json"}
    assert {p.name for p in folder.iterdir()} == names
    assert "unseen illuminations" in result.output
    log = json.loads((folder / "log.json").read_text())
    assert [choice["name"] for choice in log["choices"]] == NAMES
    field, again = load_field(folder / "field.npz"), read_acquisition(folder / "acquisition.npz")
    assert judge(field, again).sentence == log["verdict"]["sentence"]


@pytest.mark.slow
def test_a_question_ends_with_status_2_and_a_log(known, tmp_path):
    bead(sign=-1).save(tmp_path / "acq.npz")
    shutil.copytree(known.folder, tmp_path / "out" / PARTS)
    result = CliRunner().invoke(
        main, ["run", str(tmp_path / "acq.npz"), "-o", str(tmp_path / "out"), "--resume"]
    )
    assert result.exit_code == 2
    assert result.output.count("is the sample denser than its medium?") == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["log.json"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="give a folder"):
        open_folder(tmp_path / "out")

"""Calibration on simulated images whose geometry is known, and the files that it writes."""

import tomllib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from fieldrx import Acquisition, Grid, Illumination, InputError, Microscope, read_acquisition
from fieldrx.board import lattice_of, reach_of
from fieldrx.calibration import Board, calibrate, picture, toml_text, write_calibrated
from fieldrx.calibration.brightness import intensities
from fieldrx.calibration.calibrate import _strange
from fieldrx.calibration.sample import Sample, find_sample
from fieldrx.calibration.sign import settle
from fieldrx.calibration.words import board_words, height_words
from fieldrx.cli import main
from fieldrx.demo import demo_acquisition
from fieldrx.models import Born

SCOPE = Microscope(wavelength_um=0.6, objective_na=0.5, medium_index=1.33, pixel_size_um=0.25)
SHAPE = (120, 104)
TRUE = Illumination.led_grid(np.argwhere(np.ones((5, 5))), 4.0, 20.0, (1.9, 2.2)).sources_na
TRUE = TRUE[np.linalg.norm(TRUE, axis=1) < 0.49]


@cache
def images():
    """Dense specks of all sizes, before the focus, with a little noise."""
    rng = np.random.default_rng(0)
    grid = Grid((3, 160, 144), (1.0, 0.25, 0.25), (-9.0, -20 * 0.25, -20 * 0.25))
    contrast = np.zeros(grid.shape, complex)
    contrast.reshape(-1)[rng.choice(contrast.size, 400, replace=False)] = rng.uniform(0.05, 0.3, 400)
    clean = Born(grid, SCOPE, Illumination(TRUE), SHAPE).forward(contrast)
    return (clean + 0.002 * rng.standard_normal(clean.shape)).astype("f4")


def acquisition(table, holdout=()):
    return Acquisition(images(), Illumination(table), SCOPE, holdout=holdout)


def distance(found, true=TRUE):
    return np.linalg.norm(found - true, axis=1)


def turned(degrees, scale, scatter=0.0, shift=(0.0, 0.0), true=TRUE):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    noise = scatter * np.random.default_rng(5).standard_normal(true.shape)
    return scale * true @ np.array([[c, s], [-s, c]]).T + np.array(shift) + noise


SCATTERED = turned(4.0, 1.05, 0.006, (0.02, -0.015))


TOLD: list = []


@cache
def calibrated():
    return calibrate(acquisition(SCATTERED), depth=(-12, -6), callback=TOLD.append)


@pytest.mark.slow
def test_how_far_it_is_is_told():
    calibrated()
    done = [progress.done for progress in TOLD]
    assert done == sorted(set(done)) and (done[0], done[-1], len(done)) == (0, 100, 6)
    assert {(progress.stage, progress.total) for progress in TOLD} == {("calibrate", 100)}


@pytest.mark.slow
def test_directions_are_found():
    """Rotation, scale, shift and scatter together, to a sixth of a pixel of the spectra (0.02 NA)."""
    table, found = SCATTERED, calibrated()
    assert np.median(distance(table)) > 0.025
    assert np.median(distance(found.found_na)) < 0.004
    assert found.board.rotation_deg == pytest.approx(-4.0, abs=0.6)
    assert found.objective_na == pytest.approx(0.5, rel=0.02)
    assert any("regular lattice" in note for note in found.notes)
    assert any("settled by the depth" in note for note in found.notes)


@pytest.mark.slow
def test_height_and_sign():
    assert calibrated().sample.height_um == pytest.approx(-8.0, abs=1.5)
    other = calibrate(acquisition(-TRUE), depth=(-12, -6))
    assert np.median(distance(other.found_na)) < 0.004
    assert any("the other one: settled by the depth" in note for note in other.notes)


@pytest.mark.parametrize(
    ("shares", "contrast", "skewness", "sign", "words"),
    [
        (None, "positive", 3.0, 1, "as given: settled by positive contrast"),
        (None, "negative", 3.0, -1, "the other one: settled by negative contrast"),
        (None, "positive", -3.0, -1, "the other one: settled by positive contrast"),
        (None, "positive", 3.0, 1, "as assumed; --contrast negative or unknown otherwise"),
        (None, "positive", 0.5, 1, "as given: weakly settled by positive contrast"),
        (
            None,
            "positive",
            -0.5,
            1,
            "opposite contrast at +5.0 um; weakly for those speaks positive",
        ),
        (None, "positive", -0.85, 1, "kept as given"),
        (None, "positive", 0.2, 1, "ambiguous"),
        (None, "unknown", 3.0, 1, "ambiguous"),
        ((0.9, 0.9), "unknown", 3.0, 1, "the depth does not tell"),
        ((0.9, 0.87), "unknown", 3.0, 1, "the depth does not tell"),
        ((0.87, 0.9), "negative", 3.0, -1, "settled by negative contrast"),
        ((0.2, 0.3), "unknown", 3.0, 1, "90.0% anywhere"),
        ((0.1, 0.9), "positive", 3.0, -1, "the other one: settled by the depth"),
        (
            (0.1, 0.9),
            "positive",
            -3.0,
            -1,
            "contrast, as assumed; --contrast negative or unknown otherwise (sk",
        ),
        ((0.1, 0.9), "positive", -3.0, -1, "+- 0.30) agrees"),
        ((0.1, 0.9), "positive", 3.0, -1, "against it speaks positive contrast"),
        ((0.1, 0.9), "positive", 3.0, -1, "the depth is followed, as the stronger by standard errors (60.0 "),
        (
            (0.85, 0.9),
            "positive",
            3.0,
            1,
            "the contrast is followed, as the stronger by standard errors (10.0 ",
        ),
        ((0.9, 0.1), "negative", 3.0, 1, "explains 90% of the images' power so, and 10%"),
    ],
)
def test_what_settles_the_sign(shares, contrast, skewness, sign, words):
    depth = None if shares is None else (-9.0, -2.0)
    given, mirrored = (np.nan, np.nan) if shares is None else shares
    explained = np.array([0.1, 0.1, 0.1, 0.9, 0.1])
    sample = Sample(np.arange(5.0), explained, -5.0, (-6, -4), False, given, mirrored, skewness, 0.3)
    found, evidence, why = settle(sample, depth, contrast)
    assert found == sign
    assert (evidence == 0) == ("ambiguous" in why)
    assert evidence * sign >= 0
    assert words in why
    assert sample.reversed().side == -sample.side


@pytest.mark.slow
def test_the_depth_given_is_where_the_sample_is_looked_for():
    """Far outside the heights that are looked at without a depth, and only within it."""
    near, far = (find_sample(acquisition(TRUE), np.arange(len(TRUE)), d) for d in ((-12, -6), (20, 80)))
    assert near.side == 1
    assert not near.at_end
    assert near.given > 3 * near.mirrored
    assert 20 <= far.height_um <= 80 or -80 <= far.height_um <= -20
    assert far.side == 0
    narrow = find_sample(acquisition(TRUE), np.arange(len(TRUE)), (-30, -9.5))
    assert narrow.height_um == pytest.approx(-9.5)
    assert "the end of the heights searched" in height_words(narrow)[-1]
    assert len(height_words(near)) == 1


@pytest.mark.parametrize("depth", [(-12, -6), None])
def test_noise_has_neither_height_nor_sign(depth):
    noise = 1 + 0.02 * np.random.default_rng(3).standard_normal(images().shape)
    acq = Acquisition(noise, Illumination(TRUE), SCOPE)
    sample = find_sample(acq, np.arange(len(TRUE)), depth)
    sign, evidence, why = settle(sample, depth, "positive")
    assert (sign, evidence) == (1, 0)
    assert "ambiguous" in why
    assert ("the depth does not tell" in why) == (depth is not None)
    assert np.isnan(sample.height_um) == (depth is None)
    if depth is None:
        assert height_words(sample)[0].endswith("the depth is not known")


def test_a_sample_elsewhere_settles_nothing():
    sample = find_sample(acquisition(TRUE), np.arange(len(TRUE)), (25, 33))
    assert "ambiguous" in settle(sample, (25, 33), "unknown")[2]


@pytest.mark.slow
def test_dense_specks_have_a_skewed_index():
    sample = calibrated().sample
    assert sample.skewness > 3 * sample.error


@pytest.mark.slow
def test_mirrored_table():
    found = calibrate(acquisition(TRUE * [-1, 1]), depth=(-12, -6))
    assert np.linalg.det(found.board.matrix) < 0
    assert any("mirrored" in note for note in found.notes)
    assert np.median(distance(found.found_na)) < 0.004


@pytest.mark.slow
def test_outliers_are_named_and_held_out_images_not_looked_at():
    table, mixed = TRUE.copy(), images().copy()
    mixed[[3, 11]] = mixed[[11, 3]]
    acq = Acquisition(mixed, Illumination(table), SCOPE, holdout=[5, 6])
    found = calibrate(acq, depth=(-12, -6))
    assert any("3, 11 contradict the board" in note for note in found.notes)
    assert {3, 11} <= set(found.outliers.tolist())
    assert np.isnan(found.measured_na[[5, 6]]).all()
    spoilt = mixed.copy()
    spoilt[[5, 6]] = 1.0
    again = calibrate(Acquisition(spoilt, Illumination(table), SCOPE, holdout=[5, 6]), depth=(-12, -6))
    assert np.array_equal(found.found_na, again.found_na)


@pytest.mark.slow
def test_evidence_of_the_sign_is_told():
    assert calibrated().sign_evidence > 3
    assert calibrate(acquisition(-TRUE), depth=(-12, -6)).sign_evidence < -3


@pytest.mark.slow
def test_lights_whose_discs_hardly_part_are_no_outliers():
    """In focus, where spectra have rings: the LED on the axis, and some others, tell next to nothing."""
    acq, _ = demo_acquisition()
    found = calibrate(acq)
    measured = found.measured_na[0]
    assert found.outliers.size == 0
    assert np.linalg.norm(measured - found.found_na[0]) <= np.linalg.norm(measured + found.found_na[0])


def test_an_image_is_accused_by_what_it_gains_not_by_distance():
    far, gained, own = np.array([1.0, 9.0, 9.0, 9.0]), np.array([0.5, 9.0, 300.0, 0.0]), np.full(4, 400.0)
    assert _strange(far, gained, own).tolist() == [False, False, True, False]


@pytest.mark.slow
def test_few_images_and_lights_at_the_edge():
    chosen = np.argsort(np.linalg.norm(TRUE, axis=1))[-5:]
    assert np.linalg.norm(TRUE[chosen], axis=1).min() > 0.36
    table = turned(3.0, 1.03)[chosen]
    acq = Acquisition(images()[chosen], Illumination(table), SCOPE)
    found = calibrate(acq, depth=(-12, -6))
    assert np.median(distance(table, TRUE[chosen])) > 0.02
    assert np.median(distance(found.found_na, TRUE[chosen])) < 0.008


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contrast": "dark"}, 'contrast is "dark"'),
        ({"holdout": range(1, len(TRUE))}, "calibration needs at least 2"),
    ],
)
def test_wrong_arguments(change, words):
    options = dict(change)
    with pytest.raises(InputError, match=words):
        calibrate(acquisition(TRUE, list(options.pop("holdout", ()))), **options)


@pytest.mark.slow
def test_dark_field_images_are_not_looked_at():
    """Lights outside the pupil change nothing, and move with the board; alone they are refused."""
    dark = np.array([(0.6, 0.0), (0.0, 0.6), (-0.6, 0.0), (0.0, -0.6)])
    rng = np.random.default_rng(0)
    faint = (0.02 * rng.random((4, *SHAPE))).astype("f4")
    table = turned(4.0, 1.05, true=np.r_[TRUE, dark])
    both = Acquisition(np.r_[images(), faint], Illumination(table), SCOPE)
    found = calibrate(both, (-12, -6))
    assert np.isnan(found.measured_na[-4:]).all()
    assert np.median(distance(found.found_na[:-4])) < 0.004
    assert (distance(found.found_na[-4:], dark) < distance(table[-4:], dark) / 3).all()
    with pytest.raises(InputError, match="0 images are valid"):
        calibrate(Acquisition(faint, Illumination(dark), SCOPE))
    low = replace(SCOPE, objective_na=0.3)
    with pytest.raises(InputError, match=r"1\.15 times the objective's NA of 0\.3"):
        calibrate(Acquisition(faint, Illumination(dark), low))


def test_no_light_within_the_pupil_is_refused():
    """Lights just outside by the table, in images that tell nothing better."""
    table = 0.56 * np.array([(0.0, 1.0), (0.8, 0.6), (-0.6, 0.8)])
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((3, *SHAPE))
    with pytest.raises(InputError, match=r"all images are lit from outside the pupil of NA 0\.5;"):
        calibrate(Acquisition(noise, Illumination(table), SCOPE))


@pytest.mark.slow
def test_images_without_signal_are_refused():
    with pytest.raises(InputError, match="no signal"):
        calibrate(Acquisition(np.ones_like(images()), Illumination(TRUE), SCOPE))


@pytest.mark.parametrize("depth", [(3, 3), (0, np.inf)])
def test_depths_that_are_none(depth):
    with pytest.raises(InputError, match="two different heights"):
        calibrate(acquisition(TRUE), depth)


def flickering():
    """Brightness of every image: small scatter, one lamp that is far off."""
    level = 1 + 0.04 * np.random.default_rng(2).uniform(-1, 1, len(TRUE))
    level[8] = 0.5
    return level


@pytest.mark.slow
def test_intensities_are_told_by_valid_pixels():
    level, raw = flickering(), images().copy()
    mask = np.ones(raw.shape, bool)
    mask[::2, :70] = False
    raw *= level[:, None, None].astype("f4")
    raw[~mask] = 1.0
    found, levels, notes = intensities(Acquisition(raw, Illumination(TRUE), SCOPE, mask))
    assert found == pytest.approx(level / np.median(level), rel=0.03)
    assert levels
    assert "far from the others': 8 (0.5" in notes[-1]
    found, levels, notes = intensities(acquisition(TRUE))
    assert found == pytest.approx(1, abs=0.02)
    assert not levels
    assert len(notes) == 1


def test_intensities_that_the_background_took_out():
    raw = 1000 * images() * flickering()[:, None, None]
    acq = Acquisition.from_raw(raw, Illumination(TRUE), SCOPE, "mean")
    found, levels, notes = intensities(acq)
    assert (found, levels) == (None, False)
    assert "already taken out" in notes[0]


@pytest.mark.parametrize("steepest", [0.4, 0.99, 1.2])
def test_directions_of_a_board_do_not_depend_on_the_others(steepest):
    """Also those of immersed light, which are counted in the sine of the steepest of the whole table."""
    table = TRUE * steepest / np.linalg.norm(TRUE, axis=1).max()
    board = Board(np.array([[0.9, 0.1], [0.0, 0.95]]), np.array([0.01, 0.0]), np.zeros(2), reach_of(table))
    part = np.argsort(np.linalg.norm(table, axis=1))[:5]
    assert np.allclose(board.directions(table[part]), board.directions(table)[part])
    assert np.allclose(Board.turned(reach=reach_of(table)).directions(table[part]), table[part])


def test_lattice():
    clean = Board.turned(20.0, 0.9).directions(TRUE)
    noisy = clean + 0.004 * np.random.default_rng(0).standard_normal(clean.shape)
    found = lattice_of(noisy)
    assert np.linalg.norm(found - clean, axis=1).max() < 0.006
    assert lattice_of(Illumination.led_ring(20, 0.4).sources_na) is None
    assert lattice_of(np.random.default_rng(1).uniform(-0.4, 0.4, (30, 2))) is None


def test_board_turns_from_x_towards_y():
    na = Board.turned(90.0).directions(np.array([(0.0, 0.3)]))
    assert np.allclose(na, [(0.3, 0.0)])
    assert Board.turned(25.0).rotation_deg == pytest.approx(25.0)


# ---- files -----------------------------------------------------------------------------------------


def test_toml_round_trip():
    content = {
        "name": 'a "quoted" \\ name\nof two lines\t\x01',
        "number": 0.1,
        "images": {"files": ["a.tif", "b.tif"], "region": [0, 5, 1, 6], "saturation": 4095},
        "illumination": {"clockwise": False, "odd key": [[1, 2.5], [True, "x"]], "tiny": 1e-300},
    }
    assert tomllib.loads(toml_text(content)) == content
    with pytest.raises(TypeError, match="no place in TOML"):
        toml_text({"a": None})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    tifffile.imwrite(tmp_path / "in" / "stack.tif", (1000 * images()).astype("u2"))
    rows = "\n".join(f"{k},{y},{x}" for k, (y, x) in enumerate(turned(3.0, 1.04).tolist()))
    (tmp_path / "in" / "leds.csv").write_text(f"image,na_y,na_x\n{rows}\n")
    (tmp_path / "in" / "acquisition.toml").write_text(
        'name = "specks"\n[microscope]\nwavelength_um = 0.6\nobjective_na = 0.5\nmedium_index = 1.33\n'
        'pixel_size_um = 0.25\n[images]\nfiles = "stack.tif"\nbackground = 1000\nholdout = [2]\n'
        '[illumination]\nkind = "table"\ntable = "leds.csv"\n'
    )
    return tmp_path


@pytest.mark.slow
def test_command(folder):
    out = folder / "out" / "better.toml"
    arguments = ["calibrate", str(folder / "in" / "acquisition.toml"), "-o", str(out), "--depth", "-12:-6"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "settled by the depth" in result.output
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert tomllib.loads(out.read_text())["illumination"]["directions"] == "travel"
    before, after = (read_acquisition(p) for p in (folder / "in" / "acquisition.toml", out))
    assert np.array_equal(before.images, after.images)
    assert (after.holdout.tolist(), after.name, after.microscope) == ([2], "specks", before.microscope)
    order = after.illumination.pattern.argmax(axis=1)
    assert np.median(distance(after.illumination.sources_na[order])) < 0.005


@pytest.mark.slow
def test_flicker_is_taken_out_of_the_next_commands_images(folder):
    """`gain` goes into the output where the images keep their levels, and only there."""
    level = flickering()[:, None, None]
    tifffile.imwrite(folder / "in" / "stack.tif", (1000 * level * images()).astype("u2"))
    source = folder / "in" / "acquisition.toml"
    found = calibrate(read_acquisition(source), (-12, -6))
    assert found.levels
    assert found.acquisition.levelled
    assert np.median(found.acquisition.images[8]) == pytest.approx(1, abs=0.03)
    write_calibrated(folder / "out" / "better.toml", source, found)
    after = read_acquisition(folder / "out" / "better.toml")
    assert after.levelled
    assert after.images == pytest.approx(found.acquisition.images, rel=1e-5)
    header, *rows = (folder / "out" / "better.csv").read_text().splitlines()
    told = [float(row.split(",")[header.split(",").index("intensity")]) for row in rows]
    assert told == pytest.approx(found.intensities, abs=1e-5)
    again = replace(found, intensities=None, levels=False)
    write_calibrated(folder / "out" / "again.toml", folder / "out" / "better.toml", again)
    assert "intensity" not in (folder / "out" / "again.csv").read_text()
    assert read_acquisition(folder / "out" / "again.toml").levelled


@pytest.mark.parametrize(
    ("output", "replaced"),
    [
        ("in/leds.toml", "leds.csv"),
        ("in/dark.toml", "dark.png"),
        ("in/empty.npz", "empty.npz"),
        ("in/link.toml", "link.csv"),
        ("in/single_0.toml", "single_0.csv"),
        ("in/acquisition.toml", "acquisition.toml"),
    ],
)
def test_what_the_source_names_is_not_replaced(folder, monkeypatch, output, replaced):
    """Its table, background, dark and images, also by another name, and itself; before the computation."""
    home = folder / "in"
    source = home / "acquisition.toml"
    text = source.read_text().replace("background = 1000", 'background = "empty.npz"\ndark = "dark.png:/a"')
    if "single" in replaced:
        text = text.replace('"stack.tif"', '["single_0.csv"]')
    source.write_text(text)
    (home / "link.csv").symlink_to(home / "leds.csv")
    monkeypatch.setattr("fieldrx.acquisition.read_acquisition", lambda path: acquisition(TRUE))
    before = (home / "leds.csv").read_bytes()
    run = CliRunner().invoke(main, ["calibrate", str(source), "-o", str(folder / output)])
    assert run.exit_code == 2, run.output
    assert run.output.count("\n") == 1
    assert "choose another name" in run.output
    assert replaced in run.output
    assert (home / "leds.csv").read_bytes() == before
    with pytest.raises(InputError, match="choose another name"):
        write_calibrated(folder / output, source, calibrated())


@pytest.mark.parametrize("background", ["smooth", "mean", "median", "../dark/empty.tif"])
def test_only_files_are_named_anew_from_another_folder(folder, background):
    source = folder / "in" / "acquisition.toml"
    source.write_text(source.read_text().replace("background = 1000", f'background = "{background}"'))
    write_calibrated(folder / "better.toml", source, calibrated())
    written = tomllib.loads((folder / "better.toml").read_text())["images"]
    expected = "dark/empty.tif" if "/" in background else background
    assert (written["files"], written["background"]) == ("in/stack.tif", expected)


def test_images_keep_their_numbers_where_some_are_excluded(folder):
    """The table is of the images that were calibrated, by the numbers that [images] gives them."""
    stack = (1000 * images()).astype("u2")
    tifffile.imwrite(folder / "in" / "stack.tif", np.insert(stack, 4, 9, axis=0))
    source = folder / "in" / "acquisition.toml"
    source.write_text(source.read_text().replace("holdout = [2]", "exclude = [4]\nselect = {}"))
    found = calibrated()
    write_calibrated(folder / "better.toml", source, found)
    after = read_acquisition(folder / "better.toml")
    assert np.array_equal(after.images, (stack / 1000).astype("f4"))
    directions = after.illumination.pattern @ after.illumination.sources_na
    expected = found.acquisition.illumination.pattern @ found.acquisition.illumination.sources_na
    assert directions == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_npz_output_and_refusals(folder):
    source = str(folder / "in" / "acquisition.toml")
    run = CliRunner().invoke(main, ["calibrate", source, "-o", str(folder / "a.npz"), "-q"])
    assert run.exit_code == 0, run.output
    back = read_acquisition(folder / "a.npz")
    assert np.array_equal(back.images, read_acquisition(source).images)
    wrong = CliRunner().invoke(main, ["calibrate", source, "-o", str(folder / "a.txt")])
    assert wrong.exit_code == 2
    assert "written as .toml or .npz" in wrong.output
    wrong = CliRunner().invoke(main, ["calibrate", str(folder / "a.npz"), "-o", str(folder / "b.toml")])
    assert wrong.exit_code == 2
    assert "holds its images itself" in wrong.output


def test_picture_shows_found_and_outlying_lights():
    shown = picture(calibrated())
    assert shown.shape == (916, 820, 3)
    blue = (shown == (25, 80, 190)).all(axis=2)
    assert blue.sum() > 20 * len(TRUE)
    assert not (shown == (200, 40, 30)).all(axis=2).any()


def test_picture_has_a_title_axes_and_a_legend():
    """Something is drawn above, left of and below the plane; a name that cannot be drawn does no harm."""
    found = calibrated()
    shown = picture(replace(found, acquisition=replace(found.acquisition, name="cells ☃ 7"))) < 128
    dark = shown.any(axis=2)
    assert dark[:40].any()
    assert dark[60:770, :60].any()
    assert dark[780:800].any()
    legend = dark[825:905].any(axis=1)
    assert np.count_nonzero(np.diff(legend.astype(int)) == 1) >= 3


def test_the_legend_names_outliers_beside_nothing_else():
    found = calibrated()
    scope = replace(found.acquisition.microscope, objective_na=0.65)
    found = replace(found, acquisition=replace(found.acquisition, microscope=scope))
    plain, odd = (picture(replace(found, outliers=np.array(some, int))) for some in ([], [0]))
    red = np.argwhere((odd[780:] == (200, 40, 30)).all(axis=2)) + (780, 0)
    (top, left), bottom = red.min(axis=0), red[:, 0].max()
    assert (plain[top - 4 : bottom + 4, left - 20 :] == 255).all()


@pytest.mark.parametrize(
    ("scale", "scatter", "said"),
    [
        (1.0, 0.006, ""),
        (1.0, 0.05, "as single images lie 0.0500 in NA from the board:"),
        (1.3, 0.006, "as a scale of 1.30 is far from the table's:"),
        (0.7, 0.05, "from the board and a scale of 0.70 is"),
    ],
)
def test_directions_that_are_hardly_right_are_doubted(scale, scatter, said):
    acq = Acquisition(images(), Illumination(TRUE), SCOPE)
    notes = board_words(Board.turned(scale=scale), scatter, np.zeros(0, int), 0.5, len(TRUE), acq)
    doubts = [note for note in notes if "in doubt" in note]
    assert len(doubts) == bool(said) and all(said in note for note in doubts)

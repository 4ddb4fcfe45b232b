"""Calibration on simulated images whose geometry is known, and the files that it writes."""

import tomllib
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from fieldrx import Acquisition, Grid, Illumination, InputError, Microscope, read_acquisition
from fieldrx.calibration import Board, calibrate, picture, toml_text, write_calibrated
from fieldrx.calibration.board import lattice_of
from fieldrx.calibration.calibrate import _settle
from fieldrx.cli import main
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


def turned(degrees, scale, scatter=0.0, shift=(0.0, 0.0)):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    noise = scatter * np.random.default_rng(5).standard_normal(TRUE.shape)
    return scale * TRUE @ np.array([[c, s], [-s, c]]).T + np.array(shift) + noise


SCATTERED = turned(4.0, 1.05, 0.006, (0.02, -0.015))


@cache
def calibrated():
    return calibrate(acquisition(SCATTERED), depth=(-12, -6))


def test_directions_are_found():
    """Rotation, scale, shift and scatter together, to a sixth of a pixel of the spectra (0.02 NA)."""
    table, found = SCATTERED, calibrated()
    assert np.median(distance(table)) > 0.025
    assert np.median(distance(found.found_na)) < 0.004
    assert found.board.rotation_deg == pytest.approx(-4.0, abs=0.6)
    assert found.objective_na == pytest.approx(0.5, rel=0.02)
    assert any("regular lattice" in note for note in found.notes)
    assert any("settled by the depth" in note for note in found.notes)


def test_height_and_sign():
    assert calibrated().sample.height_um == pytest.approx(-8.0, abs=1.5)
    other = calibrate(acquisition(-TRUE), depth=(-12, -6))
    assert np.median(distance(other.found_na)) < 0.004
    assert any("the other one: settled by the depth" in note for note in other.notes)


@pytest.mark.parametrize(
    ("depth", "contrast", "skewness", "sign", "words"),
    [
        (None, "positive", 3.0, 1, "as given: settled by positive contrast"),
        (None, "negative", 3.0, -1, "the other one: settled by negative contrast"),
        (None, "positive", -3.0, -1, "the other one: settled by positive contrast"),
        (None, "positive", 0.5, 1, "ambiguous"),
        (None, "unknown", 3.0, 1, "ambiguous"),
        ((-9, 9), "unknown", 3.0, 1, "ambiguous"),
        ((2, 9), "positive", 3.0, -1, "the other one: settled by the depth, which lies behind"),
        ((-9, -2, 0.5), "negative", 3.0, 1, "as given: settled by the depth, which lies before"),
    ],
)
def test_what_settles_the_sign(depth, contrast, skewness, sign, words):
    sample = replace(calibrated().sample, height_um=-5.0, skewness=skewness, error=0.3)
    found, why = _settle(sample, depth, contrast)
    assert found == sign
    assert words in why


def test_dense_specks_have_a_skewed_index():
    sample = calibrated().sample
    assert sample.skewness > 3 * sample.error


def test_mirrored_table():
    found = calibrate(acquisition(TRUE * [-1, 1]), depth=(-12, -6))
    assert found.board.mirrored
    assert any("mirrored" in note for note in found.notes)
    assert np.median(distance(found.found_na)) < 0.004


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


def test_command(folder):
    out = folder / "out" / "better.toml"
    arguments = ["calibrate", str(folder / "in" / "acquisition.toml"), "-o", str(out), "--depth", "-12:-6"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "settled by the depth" in result.output
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    before, after = (read_acquisition(p) for p in (folder / "in" / "acquisition.toml", out))
    assert np.array_equal(before.images, after.images)
    assert (after.holdout.tolist(), after.name, after.microscope) == ([2], "specks", before.microscope)
    order = after.illumination.pattern.argmax(axis=1)
    assert np.median(distance(after.illumination.sources_na[order])) < 0.005


@pytest.mark.parametrize("background", ["smooth", "mean", "median", "../dark/empty.tif"])
def test_only_files_are_named_anew_from_another_folder(folder, background):
    source = folder / "in" / "acquisition.toml"
    source.write_text(source.read_text().replace("background = 1000", f'background = "{background}"'))
    write_calibrated(folder / "better.toml", source, calibrated())
    written = tomllib.loads((folder / "better.toml").read_text())["images"]
    expected = "dark/empty.tif" if "/" in background else background
    assert (written["files"], written["background"]) == ("in/stack.tif", expected)


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
    assert shown.shape == (720, 720, 3)
    blue = (shown == (25, 80, 190)).all(axis=2)
    assert blue.sum() > 20 * len(TRUE)
    assert not (shown == (200, 40, 30)).all(axis=2).any()

"""The command line: every command, and one line for every mistake."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tifffile
import tiny
from click.testing import CliRunner

import fieldrx
import fieldrx.render
from fieldrx import load_field, read_acquisition, read_volume, write_volume
from fieldrx.cli import main
from fieldrx.cli.progress import Reporter
from fieldrx.cli.status import one_line
from fieldrx.demo import SAMPLES
from fieldrx.models import MODELS
from fieldrx.progress import Progress

DEPTH = "-1:1:0.5"
TOML = """
[microscope]
wavelength_um = 0.6
objective_na = 0.6
medium_index = 1.33
pixel_size_um = 0.25

[images]
files = "stack.tif"
background = 1.0

[illumination]
kind = "table"
table = "leds.csv"
"""
LEDS = "image,na_y,na_x\n" + "".join(f"{k},{y},{x}\n" for k, (y, x) in enumerate(tiny.LIGHT.sources_na))


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


def good(*args):
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that commands read: images, their truth, a fitted field, points."""
    path = tmp_path_factory.mktemp("cli")
    acq = tiny.acquisition(holdout=(), absorbing=True)
    acq.save(path / "acq.npz")
    tifffile.imwrite(path / "stack.tif", acq.images, photometric="minisblack")
    (path / "leds.csv").write_text(LEDS)
    (path / "acquisition.toml").write_text(TOML)
    write_volume(path / "truth.npz", tiny.phantom(absorbing=True))
    (path / "points.csv").write_text("name,z_um,y_um,x_um\nin,0,2.7,2.1\nout,50,0,0\n")
    good("reconstruct", path / "acq.npz", "-o", path / "field.npz", "--depth", DEPTH, "--steps", 3,
         "--holdout", 0.2, "--model", "born", "-q")  # fmt: skip
    return path


# ---- commands ------------------------------------------------------------------------------------


def test_help_and_version():
    text = good("--help").output
    commands = [
        "demo",
        "reconstruct",
        "evaluate",
        "render",
        "view",
        "query",
        "ensemble",
        "report",
        "simulate",
        "calibrate",
        "info",
        "doctor",
    ]
    places = [text.index(f"\n  {name} ") for name in commands]
    assert places == sorted(places)
    for name in commands:
        assert "Usage" in good(name, "-h").output
    assert fieldrx.__version__ in good("--version").output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["acq.npz", "acquisition.toml"])
def test_reconstruct_says_what_it_does(folder, tmp_path, name):
    out = tmp_path / "f.npz"
    result = good("reconstruct", folder / name, "-o", out, "--depth", DEPTH, "--steps", 2, "--model", "born")
    field = load_field(out)
    assert "predicts unseen illuminations to" in result.stdout
    assert result.stdout.startswith(f"{out}: {field.params.size} parameters")
    assert "2 steps" in result.stdout
    assert f"held-out error {field.provenance['nrmse_holdout']:.4f}" in result.stdout
    for words in ("device: cpu", "closed form: 100/100", "warm start: 60/60", "fit: 2/2"):
        assert words in result.stderr
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_a_whole_fit_that_found_nothing_has_a_status_of_its_own(tmp_path):
    noise = 1 + 0.01 * np.random.default_rng(0).standard_normal((6, *tiny.SHAPE))
    fieldrx.Acquisition(noise, tiny.LIGHT, tiny.SCOPE).save(tmp_path / "acq.npz")
    args = "reconstruct", tmp_path / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH, "--model", "born"
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == 3, result.output
    assert "nothing: predicts" in result.stdout and "advice: " in result.stdout
    assert (tmp_path / "f.npz").exists()
    assert CliRunner().invoke(main, [*map(str, args), "--steps", "3"]).exit_code == 0  # cut short


def test_options_reach_the_fit(folder, tmp_path):
    options = [
        "--model",
        "rytov",
        "--steps",
        1,
        "--holdout",
        0.4,
        "--tv",
        0.3,
        "--no-absorption",
        "--seed",
        7,
        "--precision",
        "float32",
    ]
    good("reconstruct", folder / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH, *options)
    field = load_field(tmp_path / "f.npz")
    done = field.provenance
    assert (done["model"], done["depth"], len(done["holdout"])) == ("rytov", [-1, 1, 0.5], 2)
    assert (done["schedule"]["steps"], done["schedule"]["seed"]) == (1, 7)
    assert (done["priors"]["tv"], done["priors"]["tv_absorption"]) == (0.3, 0.3)
    assert done["precision"] == "float32"
    assert field.network.n_outputs == 1


@pytest.mark.slow
def test_budget_and_quiet(folder, tmp_path):
    result = good("reconstruct", folder / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH,
                  "--budget", "0.02m", "--quiet")  # fmt: skip
    assert (result.stdout, result.stderr) == ("", "")
    schedule = load_field(tmp_path / "f.npz").provenance["schedule"]
    assert schedule["budget_s"] == pytest.approx(1.2)


def test_own_held_out_images_are_told(folder, tmp_path):
    tiny.acquisition().save(tmp_path / "own.npz")
    result = good("reconstruct", tmp_path / "own.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH,
                  "--steps", 1, "--holdout", 0.5)  # fmt: skip
    assert "names its own held-out images; --holdout is not used" in result.stderr
    assert load_field(tmp_path / "f.npz").provenance["holdout"] == [4]


@pytest.mark.slow
def test_automatic_choices_are_said_and_kept(tmp_path):
    light = fieldrx.Illumination.led_ring(18, 0.5, start_deg=3)
    optics = fieldrx.Acquisition(None, light, tiny.SCOPE, holdout=[4])
    blob = tiny.phantom()
    blob = fieldrx.Volume(blob.contrast, blob.spacing_um, (-6.0, 4.5, 4.4), blob.medium_index)
    fieldrx.simulate(blob, optics, "born", (60, 52)).save(tmp_path / "acq.npz")
    out = tmp_path / "f.npz"
    options = ["--depth", "auto", "--tv", "auto", "--steps", 4, "--loss", "huber", "--patience", 0]
    result = good("reconstruct", tmp_path / "acq.npz", "-o", out, *options)
    assert "found by refocusing" in result.stderr
    assert "too short to choose it by unseen images" in result.stderr
    assert "Huber's threshold" in result.stderr
    done = load_field(out).provenance
    assert len(done["automatic"]) == 2
    assert (done["schedule"]["patience"], done["steps_done"]) == (0, 4)
    assert done["depth"][0] < -5 < done["depth"][1]
    assert done["priors"]["tv"] == done["priors"]["tv_absorption"]
    assert any(f"total variation {done['priors']['tv']:g}" in note for note in done["automatic"])
    assert done["loss"]["kind"] == "huber"


@pytest.mark.slow
def test_total_variation_by_unseen_images(tmp_path):
    grains = 0.01 * np.random.default_rng(0).standard_normal((5, 24, 20))
    optics = fieldrx.Acquisition(None, fieldrx.Illumination.led_ring(15, 0.5, start_deg=3), tiny.SCOPE)
    truth = fieldrx.Volume(grains, (0.5, 0.25, 0.25), (-1.0, 0.0, 0.0), tiny.SCOPE.medium_index)
    fieldrx.simulate(truth, optics, "born", (24, 20)).save(tmp_path / "acq.npz")
    good("reconstruct", tmp_path / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH, "--tv", "auto",
         "--model", "born", "--steps", 70)  # fmt: skip
    done = load_field(tmp_path / "f.npz").provenance
    assert (done["priors"]["tv"], done["priors"]["tv_absorption"]) == (0.15, 0.15)
    assert [note.split(",")[0] for note in done["automatic"]] == ["total variation 0.15"]


def test_choices_and_remarks_are_kept_apart(folder, tmp_path):
    out = tmp_path / "f.npz"
    result = good("reconstruct", folder / "acq.npz", "-o", out, "--depth", "-1:1:0.3", "--steps", 1)
    field = load_field(out)
    done = field.provenance
    assert done["automatic"] == []
    assert any(note.startswith("8 slices 0.28571 um apart") for note in done["notes"])
    (why,) = (note for note in done["notes"] if note.startswith("field: "))
    assert f"note: {why}" in result.stderr
    # the finest nodes, as far apart as half a period of 0.6 um / (0.6 + 0.5)
    nodes = np.ptp(field.bounds_um, axis=1) / (np.array(field.encoding.resolutions[-1]) - 1)
    assert f"finest nodes {nodes[0]:.3g} x {nodes[1]:.3g} x {nodes[2]:.3g} um apart" in why
    axial = 0.6 / (1.33 - np.sqrt(1.33**2 - 0.6**2)) / 4
    assert f"half periods of {axial:.3g} x 0.273 x 0.273 um" in why
    assert nodes[1:] == pytest.approx(0.273, rel=0.1)
    assert f"{field.params.size} parameters" in why
    good("reconstruct", folder / "acq.npz", "-o", out, "--depth", "-1:1:1", "--steps", 1,
         "--preset", "decaf-small")  # fmt: skip
    assert not any(note.startswith("field: ") for note in load_field(out).provenance["notes"])


def test_help_tells_the_weights_that_fits_use():
    text = " ".join(good("reconstruct", "--help").output.split())
    thin, thick = (tiny.fit(model=model).priors.tv for model in ("born", "ssnp"))
    assert f"Default: {thin:g} ({thick:g} for ssnp, bpm, mlb)" in text
    assert f"Default: {fieldrx.Schedule().patience}." in text


@pytest.mark.slow
def test_ensemble_query_and_report(folder, tmp_path):
    field, acq, out = folder / "field.npz", folder / "acq.npz", tmp_path / "e.npz"
    result = good(
        "ensemble", field, acq, "-o", out, "--members", 2, "--steps", 2, "--std", tmp_path / "s.npz"
    )
    assert "calibrated by a factor of" in result.stdout
    ensemble = fieldrx.load_ensemble(out)
    std = read_volume(tmp_path / "s.npz")
    assert std.contrast == pytest.approx(ensemble.volume()[1].contrast)
    lines = good("query", out, folder / "points.csv").stdout.splitlines()
    assert lines[0] == "z_um,y_um,x_um,n_real,n_imag,std_real,std_imag"
    mean, spread = ensemble([[0.0, 2.7, 2.1]])
    found = [float(v) for v in lines[1].split(",")[3:]]
    assert found == pytest.approx([mean[0].real, mean[0].imag, spread[0].real, spread[0].imag], abs=1e-8)
    assert "ensemble" in good("info", out).stdout
    folds = good("ensemble", field, acq, "-o", out, "--members", 2, "--steps", 2, "--folds").stdout
    assert "by a member that never saw it: predicts unseen illuminations to" in folds
    assert "cross-validation" in good("info", out).stdout
    result = good("report", field, acq, "-o", tmp_path / "r.html", "--ensemble", out)
    assert "noise floor" in result.stdout
    assert "Error bars" in (tmp_path / "r.html").read_text()
    assert "ending" in refused("report", field, acq, "-o", tmp_path / "r.pdf")
    tiny.field().save(tmp_path / "bare.npz")
    line = refused("report", tmp_path / "bare.npz", acq, "-o", tmp_path / "r.html")
    assert "bare.npz does not say with which model it was fitted" in line
    assert "other images" in refused("ensemble", folder / "field.npz", _others(acq, tmp_path), "-o", out)
    before = out.read_bytes()
    assert "would replace the ensemble" in refused(
        "ensemble", field, acq, "-o", out, "--std", tmp_path / "." / "e.npz"
    )
    assert out.read_bytes() == before


def _others(path, folder):
    acq = read_acquisition(path)
    other = fieldrx.Acquisition(acq.images + 0.1, acq.illumination, acq.microscope)
    other.save(folder / "other.npz")
    return folder / "other.npz"


def test_evaluate_prints_json(folder):
    result = json.loads(good("evaluate", folder / "field.npz", folder / "acq.npz",
                             "--truth", folder / "truth.npz").stdout)  # fmt: skip
    field = load_field(folder / "field.npz")
    expected = fieldrx.evaluate(
        field, read_acquisition(folder / "acq.npz"), read_volume(folder / "truth.npz")
    )
    for name in ("nrmse", "nrmse_per_image", "nrmse_holdout", "index_nrmse"):
        assert result[name] == pytest.approx(expected[name])
    assert len(result["nrmse_per_image"]) == 6
    assert result["holdout"] == field.provenance["holdout"]
    assert result["field"] == str(folder / "field.npz")
    without = json.loads(
        good("evaluate", folder / "field.npz", folder / "acq.npz", "--model", "rytov").stdout
    )
    assert without["model"] == "rytov"
    assert "index_nrmse" not in without


@pytest.mark.parametrize("ending", [".npy", ".npz", ".tif", ".png"])
def test_render(folder, tmp_path, ending):
    out = tmp_path / f"r{ending}"
    options = ["--spacing", "1,0.5,0.25", "--region=-1:1,0:4,1:3"]
    assert good("render", folder / "field.npz", out, *options).stdout == f"{out}\n"
    if ending == ".npz":
        volume = read_volume(out)
        assert volume.contrast.shape == (3, 9, 9)
        assert (volume.spacing_um, volume.origin_um) == ((1, 0.5, 0.25), (-1, 0, 1))
    good("render", folder / "field.npz", out, "--spacing", 0.5)
    if ending == ".npy":
        assert np.load(out).shape == (5, 12, 10)


def test_render_planes_views_films_and_images(folder, tmp_path):
    field, path = load_field(folder / "field.npz"), folder / "field.npz"
    good("render", path, tmp_path / "p.npy", "--plane", "0,2,2", "--down", "1,1,0", "--spacing", 0.3)
    plane = fieldrx.render.plane_lattice(field, (0, 2, 2), (1, 1, 0), spacing=0.3)
    assert np.abs(np.load(tmp_path / "p.npy") - field(plane.points())).max() < 1e-6
    turns = ["--turn", "y:30", "--turn", "1,0,1:-20.5"]
    look = ["--projection", "path", "--quantity", "dry-mass", "--spacing", 0.3]
    good("render", path, tmp_path / "v.npy", *turns, *look)
    turn = fieldrx.render.turned([("y", 30), ((1, 0, 1), -20.5)])
    seen = fieldrx.render.view(field, turn, "path", "dry-mass", spacing=0.3)
    assert np.array_equal(np.load(tmp_path / "v.npy")[0], seen.values)
    good("render", path, tmp_path / "z.gif", "--movie", "zoom", "--plane", "0,2,2", "--frames", 3,
         "--spacing", 0.2, "--fps", 5)  # fmt: skip
    good("render", path, tmp_path / "s.gif", "--axis", "1,1,0", "--frames", 2, "--spacing", 0.5,
         "--limits", "1.33,1.34")  # fmt: skip
    good("render", path, tmp_path / "d.npy", "--quantity", "dry-mass", "--increment", 0.18, "--spacing", 0.5)
    density = field.volume(0.5).contrast.real / 0.18
    assert np.abs(np.load(tmp_path / "d.npy") - density).max() < 1e-6
    good("render", path, tmp_path / "i.npz", "--light", "0.1,-0.2", "--light", "0,0.4")
    images = read_acquisition(tmp_path / "i.npz")
    assert images.illumination.sources_na.tolist() == [[0.1, -0.2], [0, 0.4]]
    assert images.images.shape == (2, *tiny.SHAPE)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "d.npy",
        "i.npz",
        "p.npy",
        "s.gif",
        "v.npy",
        "z.gif",
    ]


def test_render_replaces_an_ome_zarr_and_tells_progress(folder, tmp_path):
    out = tmp_path / "a.ome.zarr"
    for _ in range(2):
        result = good("render", folder / "field.npz", out, "--spacing", 0.5)
        assert result.stdout == f"{out}\n"
        assert "rendering: 600/600" in result.stderr
    assert not good("render", folder / "field.npz", out, "-q").stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_query_adds_columns(folder):
    lines = good("query", folder / "field.npz", folder / "points.csv").stdout.splitlines()
    assert lines[0] == "z_um,y_um,x_um,n_real,n_imag"
    inside, outside = ([float(v) for v in line.split(",")] for line in lines[1:])
    n = load_field(folder / "field.npz")([0, 2.7, 2.1])
    assert inside == pytest.approx([0, 2.7, 2.1, n.real, n.imag], abs=1e-9)
    assert abs(n - 1.33) > 1e-3
    assert outside == [50, 0, 0, 1.33, 0]


def test_query_reads_what_a_spreadsheet_writes(folder, tmp_path):
    (tmp_path / "p.csv").write_bytes("\ufeffx_um,y_um,z_um\r\n2.1,2.7,0\r\n".encode())
    line = good("query", folder / "field.npz", tmp_path / "p.csv").stdout.splitlines()[1]
    assert line.startswith("0.0,2.7,2.1,")
    (tmp_path / "none.csv").write_text("z_um,y_um,x_um\n")
    assert len(good("query", folder / "field.npz", tmp_path / "none.csv").stdout.splitlines()) == 1


def test_simulate(folder, tmp_path):
    out = tmp_path / "s.npz"
    args = folder / "truth.npz", folder / "acquisition.toml", "-o", out
    assert "6 images of 24 x 20 pixels" in good("simulate", *args).stdout
    again = read_acquisition(out)
    assert np.abs(again.images - read_acquisition(folder / "acq.npz").images).max() < 1e-6
    good("simulate", *args, "--image-shape", 10, 12, "--photons", 50, "--seed", 2, "--model", "rytov")
    noisy = read_acquisition(out).images
    assert noisy.shape == (6, 10, 12)
    assert np.abs(noisy * 50 - np.rint(noisy * 50)).max() < 1e-4


def test_simulate_needs_no_images_when_told_their_shape(folder, tmp_path):
    (tmp_path / "leds.csv").write_text(LEDS)
    (tmp_path / "a.toml").write_text(TOML)
    args = folder / "truth.npz", tmp_path / "a.toml", "-o", tmp_path / "s.npz"
    assert run("simulate", *args).exit_code == 2
    assert "8 x 9 pixels" in good("simulate", *args, "--image-shape", 8, 9).stdout


def test_info(folder):
    words = {
        "field.npz": ("refractive index n(z, y, x)", "born, 3 steps", "region"),
        "truth.npz": ("index contrast, 5 x 19 x 14 voxels", "0.5, 0.25, 0.3 um", "absorption"),
        "acq.npz": ("6 of 24 x 20 pixels, 6 x 5 um", "NA 0.6", "6 sources"),
        "acquisition.toml": ("6 of 24 x 20 pixels", "wavelength 0.6 um"),
    }
    for name, expected in words.items():
        text = good("info", folder / name).stdout
        for part in expected:
            assert part in text


def test_doctor():
    result = good("doctor", "--images", 3, "--shape", 4, 32, 32)
    assert "kernels" in result.stdout
    assert "FAIL" not in result.stdout
    result = run("doctor", "--shape", 10000, 10000, 10000)
    assert result.exit_code == 1
    assert "FAIL memory" in result.stdout


@pytest.mark.slow
def test_demo(tmp_path, monkeypatch):
    """The whole demonstration, on a smaller cell."""
    monkeypatch.setattr("fieldrx.demo.samples._CELL_PIXELS", 32)
    monkeypatch.setitem(SAMPLES, "cell", replace(SAMPLES["cell"], depth=(-2.0, 2.0, 1.0)))
    smaller = partial(fieldrx.cell_phantom, diameter_um=3.5)
    monkeypatch.setattr(
        "fieldrx.demo.samples.cell_phantom", lambda spacing_um, **options: smaller(0.25, **options)
    )
    result = good("demo", "--out", tmp_path / "new" / "demo", "--steps", 2, "--quiet")
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith(("closed form", "neural field"))]
    assert [0 < float(v) < 5 for row in rows for v in row[-2:]] == [True] * 4
    files = {p.name for p in (tmp_path / "new" / "demo").iterdir()}
    assert files == {"acquisition.npz", "truth.npz", "cell.npz", "comparison.png", "cell.png", "images.png"}


# ---- mistakes ------------------------------------------------------------------------------------


def refused(*args):
    """The one line that a bad input gives."""
    result = run(*args)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("fieldrx: error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    return result.stderr


@pytest.fixture
def broken(folder, tmp_path):
    """A folder with an acquisition to break; returns the line that `reconstruct` then gives."""
    (tmp_path / "stack.tif").write_bytes((folder / "stack.tif").read_bytes())
    (tmp_path / "leds.csv").write_text(LEDS)
    (tmp_path / "acquisition.toml").write_text(TOML)

    def attempt(*options, depth=DEPTH):
        line = refused("reconstruct", tmp_path / "acquisition.toml", "-o", tmp_path / "f.npz",
                       "--depth", depth, "--steps", 1, *options)  # fmt: skip
        assert not (tmp_path / "f.npz").exists()
        return line

    attempt.folder = tmp_path
    return attempt


def test_missing_files(broken):
    (broken.folder / "stack.tif").rename(broken.folder / "stak.tif")
    line = broken()
    assert "stack.tif: no such file" in line
    assert 'did you mean "stak.tif"?' in line
    (broken.folder / "acquisition.toml").unlink()
    assert "acquisition.toml: no such file" in broken()


def test_truncated_tiff(broken):
    path = broken.folder / "stack.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "stack.tif" in broken()


def test_wrong_count_of_leds(broken):
    (broken.folder / "leds.csv").write_text("".join(LEDS.splitlines(keepends=True)[:-1]))
    assert "no row for 1 of 6 images (first: image 5)" in broken()
    (broken.folder / "leds.csv").write_text(LEDS + "6,0,0\n")
    assert "there are 6 images" in broken()


def test_nan_in_the_table(broken):
    (broken.folder / "leds.csv").write_text(LEDS.replace(LEDS.splitlines()[3], "2,nan,0.1"))
    assert 'leds.csv, row 3 (line 4), column na_y: "nan" is not a finite number' in broken()


def test_images_of_mixed_shapes(broken):
    for k in range(6):
        tifffile.imwrite(broken.folder / f"i{k}.tif", np.ones((24, 20 + (k == 4)), np.uint16))
    files = ", ".join(f'"i{k}.tif"' for k in range(6))
    (broken.folder / "acquisition.toml").write_text(TOML.replace('"stack.tif"', f"[{files}]"))
    line = broken()
    assert "i4.tif: image of 24 x 21 pixels" in line
    assert "i0.tif has 24 x 20" in line


@pytest.mark.parametrize(
    ("depth", "words"),
    [("1:-1:0.5", "is empty"), ("0:0:1", "is empty"), ("-1:1:0", "is empty"), ("1:2", "is not Z0:Z1:DZ"),
     ("a:b:c", "is not Z0:Z1:DZ"), ("0:nan:1", "finite")],
)  # fmt: skip
def test_depths(broken, depth, words):
    assert words in broken(depth=depth)


def test_light_outside_the_pupil_in_every_image(broken):
    (broken.folder / "acquisition.toml").write_text(TOML.replace("objective_na = 0.6", "objective_na = 0.2"))
    assert "dark field" in broken()


@pytest.mark.parametrize(
    ("before", "after", "nearest"),
    [("medium_index", "medium_indx", "medium_index"), ("files", "fils", "files"),
     ("[illumination]", "[ilumination]", "illumination")],
)  # fmt: skip
def test_unknown_toml_keys(broken, before, after, nearest):
    (broken.folder / "acquisition.toml").write_text(TOML.replace(before, after))
    line = broken()
    assert "unknown" in line
    assert f'did you mean "{nearest}"?' in line


def test_empty_field_of_view(broken):
    tifffile.imwrite(broken.folder / "stack.tif", np.ones((6, 24, 20), np.float32), photometric="minisblack")
    assert "no signal" in broken()


def test_bad_options(broken, folder):
    assert 'no model "brn"' in broken("--model", "brn")
    assert 'no preset "decalf"' in broken("--preset", "decalf")
    assert "not both" in broken("--budget", "5m")
    assert "--device cuda:" in broken("--device", "cuda")
    assert 'the CPU computes in "float32" alone' in broken("--device", "cpu", "--precision", "half")
    assert "to resume from: start without --resume" in broken("--resume")
    assert "nothing is left to fit" in broken("--holdout", 0.99)
    assert "budget" in broken("--budget", "5 parsecs")
    for weight in ("-1", "nan", "inf", "automatic"):
        assert f'--tv "{weight}" is no weight' in broken("--tv", weight)
    for what in ("", "focus", "defocus,,pupil"):
        assert "--refine knows illumination, board, intensity, defocus, pupil" in broken("--refine", what)
    assert "6 training images are too few" in broken("--tv", "auto", "--holdout", 0)
    assert "--patience" in broken("--patience", "-1")
    args = "reconstruct", folder / "acq.npz", "--depth", DEPTH, "-o"
    assert "no folder" in refused(*args, broken.folder / "none" / "f.npz")
    assert "is a folder" in refused(*args, broken.folder)


def test_resume_of_another_fit(broken, folder):
    fit = fieldrx.Fit(read_acquisition(folder / "acq.npz"), (-1, 1, 0.5), "born", schedule=tiny.schedule())
    fit.start()
    fit.save(broken.folder / "f.checkpoint.npz")
    assert "belongs to a fit with other schedule" in broken("--resume", "--quiet", "--model", "born")


def test_damaged_fields(folder, tmp_path):
    arrays = dict(np.load(folder / "field.npz"))
    path = tmp_path / "f.npz"
    changes = {
        "version 9; this fieldrx reads versions 1 and 2": {"version": 9},
        "Python objects": {"provenance": np.array([{}], object)},
        'has format "fieldrx-checkpoint"': {"format": "fieldrx-checkpoint"},
        "is damaged": {"table": arrays["table"][:-1]},
    }
    commands = [
        ("evaluate", path, folder / "acq.npz"), ("render", path, tmp_path / "r.npy"),
        ("query", path, folder / "points.csv"), ("info", path),
    ]  # fmt: skip
    for words, change in changes.items():
        np.savez(path, **(arrays | change))
        for command in commands:
            if command[0] == "info" and words.startswith(("has format", "Python")):
                refused(*command)
            else:
                assert words in refused(*command)
    path.write_bytes((folder / "field.npz").read_bytes()[:-50])
    for command in commands:
        assert "cut short" in refused(*command)


def test_wrong_kind_of_file(folder, tmp_path):
    assert "lacks" in refused("evaluate", folder / "acq.npz", folder / "acq.npz")
    assert "lacks" in refused("simulate", folder / "acq.npz", folder / "acq.npz", "-o", tmp_path / "s.npz")
    assert "lacks" in refused("evaluate", folder / "field.npz", folder / "truth.npz")
    assert "unknown ending" in refused("info", folder / "points.csv")
    np.savez(tmp_path / "x.npz", a=1)
    assert "holds a: no field" in refused("info", tmp_path / "x.npz")
    np.savez(tmp_path / "acq.npz", **(dict(np.load(folder / "acq.npz")) | {"images": np.array([None])}))
    assert "never unpickles" in refused("evaluate", folder / "field.npz", tmp_path / "acq.npz")


def test_evaluate_of_another_medium(folder, tmp_path):
    np.savez(tmp_path / "oil.npz", **(dict(np.load(folder / "acq.npz")) | {"medium_index": 1.5}))
    assert "belongs to another acquisition" in refused("evaluate", folder / "field.npz", tmp_path / "oil.npz")
    assert "no model" in refused("evaluate", folder / "field.npz", folder / "acq.npz", "--model", "x")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("r.jpg", [], 'cannot write ".jpg"; expected one of .npy'),
        ("r", [], "cannot write"),
        ("none/r.npy", [], "no folder"),
        ("r.npy", ["--region=-1:1,0:4,1:30"], "outside the field's domain"),
        ("r.npy", ["--region=1:-1,0:4,1:3"], "first <= last"),
        ("r.npy", ["--region=1:2,0:4"], "--region"),
        ("r.npy", ["--spacing", "0"], "must be positive"),
        ("r.npy", ["--spacing", "1,2"], "--spacing"),
        ("r.npy", ["--spacing", "small"], "--spacing"),
        ("r.npy", ["--spacing", "nan"], "--spacing"),
        ("r.npy", ["--quantity", "mass"], "there is no quantity"),
        ("r.npy", ["--increment", "0.18"], "belongs to --quantity dry-mass"),
        ("r.npy", ["--quantity", "dry-mass", "--increment", "0"], "positive number in ml/g"),
        ("r.npy", ["--plane", "0,2"], "--plane"),
        ("r.npy", ["--plane", "50,2,2"], "misses the region"),
        ("r.npy", ["--down", "1,0,0"], "belong to --plane"),
        ("r.npy", ["--plane", "0,2,2", "--down", "x"], "parallel"),
        ("r.npy", ["--plane", "0,2,2", "--down", "sideways"], '--down "sideways" is not'),
        ("r.npy", ["--turn", "y30"], "is not AXIS:DEGREES"),
        ("r.npy", ["--turn", "w:30"], "is not AXIS:DEGREES"),
        ("r.npy", ["--turn", "0,0,0:30"], "there is no axis"),
        ("r.npy", ["--turn", "x:30", "--plane", "0,2,2"], "not both"),
        ("r.npy", ["--projection", "sum"], "there is no projection"),
        ("r.npy", ["--projection", "path", "--quantity", "n"], "no integral"),
        ("r.npy", ["--movie", "spin"], "belong to a film"),
        ("r.gif", ["--movie", "dance"], "there is no film"),
        ("r.gif", ["--frames", "1"], "--frames"),
        ("r.gif", ["--turn", "x:3"], "a film takes no plane, turn or shape"),
        ("r.npz", ["--light", "0,0", "--spacing", "1"], "--light predicts images"),
        ("r.npz", ["--light", "0,0.9"], "dark field"),
        ("r.gif", ["--light", "0,0"], "cannot write images"),
    ],
)
def test_render_mistakes(folder, tmp_path, name, options, words):
    assert words in refused("render", folder / "field.npz", tmp_path / name, *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"z_um,y_um,x_um\n0,0,0\n0,one,0\n", 'row 2 (line 3), column y_um: "one" is not a finite number'),
        (b"z_um,y_um,x_um\n0,0\n", "row 1 (line 2): has 2 cells for 3 columns"),
        (b"z_um,y_um,x_um\n0,inf,0\n", '(line 2), column y_um: "inf" is not a finite number'),
        (b"z,y,x\n0,0,0\n", "expected z_um,y_um,x_um in its first line"),
        (b"", "expected z_um,y_um,x_um in its first line"),
        (b"\xff\xfe\x00z\x80", "not valid csv"),
    ],
)
def test_points_that_are_none(folder, tmp_path, content, words):
    (tmp_path / "p.csv").write_bytes(content)
    assert words in refused("query", folder / "field.npz", tmp_path / "p.csv")


def test_simulate_mistakes(folder, tmp_path):
    args = "simulate", folder / "truth.npz", folder / "acq.npz", "-o"
    assert "saved as .npz" in refused(*args, tmp_path / "s.tif")
    assert "photons is" in refused(*args, tmp_path / "s.npz", "--photons", "inf")
    assert 'no model "bpn"' in refused(*args, tmp_path / "s.npz", "--model", "bpn")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["reconstruct", "a.toml", "-o", "f.npz"], "Missing option '--depth'"),
        (["recontruct"], "No such command 'recontruct'"),
        (["demo", "--steps", "0"], "'--steps': expected a whole number from 1 on, not \"0\""),
        (["demo", "--steps", "ten"], 'expected a whole number from 1 on, not "ten"'),
        (["app", "--port", "70000"], 'expected a whole number from 0 to 65535, not "70000"'),
        (["plan", "a.toml", "--grid-um", "0"], 'expected a number above 0, not "0"'),
        (["reconstruct", "a.toml", "--holdout", "1"], 'expected a number from 0 to below 1, not "1"'),
        (["reconstruct", "--device", "gpu"], "'gpu' is not one of"),
        (["reconstruct", "--precision", "double"], "'double' is not one of"),
        (["render", "f.npz", "r.npy", "--sapcing", "1"], "No such option"),
    ],
)
def test_wrong_usage(args, words):
    line = refused(*args)
    assert words in line
    assert "--help)" in line


@pytest.mark.parametrize(
    "args",
    [
        ["reconstruct", "acq.npz", "--depth", DEPTH, "-o", "out.npz"],
        ["evaluate", "field.npz", "acq.npz"],
        ["ensemble", "field.npz", "acq.npz", "-o", "out.npz"],
        ["report", "field.npz", "acq.npz", "-o", "out.html"],
        ["render", "field.npz", "out.npy"],
        ["simulate", "truth.npz", "acq.npz", "-o", "out.npz"],
    ],
)
def test_a_gpu_that_is_not_there_is_refused(folder, args, monkeypatch):
    monkeypatch.chdir(folder)
    line = refused(*args, "--device", "cuda")
    assert "--device cuda: CuPy" in line
    assert line.endswith("use --device cpu\n")


def test_inputs_are_never_replaced(folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    acq, truth, field = (folder / f"{name}.npz" for name in ("acq", "truth", "field"))
    for args in (
        ("reconstruct", acq, "--depth", DEPTH, "-o", acq),
        ("simulate", truth, acq, "-o", truth),
        ("simulate", truth, acq, "-o", folder / ".." / folder.name / "acq.npz"),
        ("render", field, field),
    ):
        assert "choose another name" in refused(*args)
    assert "a field is saved as .npz" in refused("reconstruct", acq, "--depth", DEPTH, "-o", folder / "f.tif")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


# ---- in a process of its own ---------------------------------------------------------------------


def process(*args):
    command = [sys.executable, "-W", "error", "-c", "from fieldrx.cli import main; main()"]
    return subprocess.Popen([*command, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})  # fmt: skip


@pytest.mark.parametrize("files", ["img_*.tif", "gone.tif", "g_{row}_{col}.tif"])
def test_info_of_images_that_are_not_there(folder, tmp_path, files):
    (tmp_path / "leds.csv").write_text(LEDS)
    path = tmp_path / "acquisition.toml"
    path.write_text(TOML.replace("stack.tif", files))
    line = refused("info", path)
    assert str(tmp_path / files) in line
    assert "write files =" in line if "*" in files else "check the" in line
    out = tmp_path / "o.npz"
    good("simulate", folder / "truth.npz", path, "-o", out, "--image-shape", 24, 20)
    path.write_text(TOML.replace('files = "stack.tif"\n', "").replace("background = 1.0", ""))
    assert "none named, optics for 6" in good("info", path).stdout


@pytest.mark.slow
def test_process_of_a_mistake(tmp_path):
    child = process("info", tmp_path / "none.npz")
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err.count("\n")) == (2, "", 1)


def stopped_fit(*args, number=signal.SIGINT):
    """What a fit prints that gets a signal once its steps have begun; its status is 75."""
    child = process(*args)
    for line in child.stderr:
        if line.startswith("fit:"):
            break
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 75
    assert "Traceback" not in err
    return err


@pytest.mark.slow
def test_ctrl_c_saves_the_field_and_resume_goes_on(folder, tmp_path):
    out, checkpoint = tmp_path / "f.npz", tmp_path / "f.checkpoint.npz"
    args = "reconstruct", folder / "acq.npz", "-o", out, "--depth", DEPTH, "--steps", 100000
    assert "--resume continues" in stopped_fit(*args)
    first = load_field(out).provenance
    assert first["interrupted"] is True
    assert first["steps_done"] > 0
    assert f"after {first['steps_done']} steps" in good("info", checkpoint).stdout
    assert "--resume continues" in stopped_fit(*args, "--resume", number=signal.SIGTERM)
    assert load_field(out).provenance["steps_done"] > first["steps_done"]


def test_resume_auto_starts_anew_or_goes_on_and_says_which(folder, tmp_path):
    out = tmp_path / "f.npz"
    args = "reconstruct", folder / "acq.npz", "-o", out, "--depth", DEPTH, "--steps", 3, "--resume", "auto"
    begun = good(*args)
    assert "note: the fit starts anew: there is no checkpoint" in begun.stderr
    acq = read_acquisition(folder / "acq.npz")
    fit = fieldrx.Fit(acq, (-1, 1, 0.5), "auto", schedule={"steps": 3})
    fit.start()
    fit.save(tmp_path / "f.checkpoint.npz")
    assert "note: the fit continues from" in good(*args).stderr
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]
    assert "note: the fit" not in good(*args, "-q").stderr


def test_resume_before_the_acquisition_is_no_value(folder, tmp_path):
    args = folder / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH
    assert "start without --resume, or with --resume auto" in refused("reconstruct", "--resume", *args)
    assert "yes, auto" in refused("reconstruct", "--resume=no", *args).replace("'", "")


def test_a_fit_that_ends_leaves_no_checkpoint(folder, tmp_path):
    good("reconstruct", folder / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH, "--steps", 2)
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


@pytest.mark.slow
def test_ctrl_c_before_the_first_step(folder, tmp_path):
    child = process("reconstruct", folder / "acq.npz", "-o", tmp_path / "f.npz", "--depth", DEPTH)
    child.stderr.readline()
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 75
    assert "Traceback" not in err
    assert "interrupted, no field saved" in err
    assert list(tmp_path.iterdir()) == []


def test_numbers_too_large_to_read_are_told_as_per_cent(capsys):
    reporter = Reporter(quiet=False)
    reporter(Progress("rendering", 1_500_000, 3_000_000))
    reporter(Progress("rendering", 3_000_000, 3_000_000))
    assert capsys.readouterr().err == "rendering: 50/100\nrendering: 100/100\n"


@pytest.mark.parametrize("command", main.commands)
def test_help_is_written_for_people(command):
    assert not re.search(r"\bNone\b|\binf\b|\bnan\b", good(command, "--help").stdout)


@pytest.mark.parametrize("command", ["reconstruct", "simulate"])
def test_help_names_every_model(command):
    text = good(command, "--help").stdout
    assert not [name for name in MODELS if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.npz"), "a.npz: No space left on device"),
        (OSError(errno.EXDEV, "Cross-device link", "a", None, "b"), "a and b: Cross-device link"),
        (OSError("no device"), "OSError: no device"),
        (MemoryError("too\nmuch"), "MemoryError: too much"),
    ],
)
def test_failures_are_said_plainly(capsys, error, words):
    with pytest.raises(SystemExit) as end, one_line():
        raise error
    assert end.value.code == 1
    assert capsys.readouterr().err == f"fieldrx: error: {words}\n"

"""Whole frames: how they are cut, how fields join, that tiles answer as one field, and what is kept."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import tifffile
import tiny
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldrx import Acquisition, Illumination, InputError, Volume, backends, load_field, simulate
from fieldrx.acquisition import Windowed
from fieldrx.cli import main
from fieldrx.compression import compress
from fieldrx.fit import Schedule
from fieldrx.render import render
from fieldrx.report import write_frame_report
from fieldrx.results import load_result
from fieldrx.tiles import Job, Mosaic, cut, discard, evaluate_mosaic, fit_tiles, kept_job, load_mosaic, plan
from fieldrx.tiles.choose import busiest, choose_tiles, default_side
from fieldrx.totals import HOLE, contrast_sign, sign_of
from fieldrx.verdict import judge_mosaic

SHAPE, PIXEL = (60, 44), tiny.SCOPE.pixel_size_um
OPTIONS = {"encoding": tiny.ENCODING, "network": tiny.NETWORK, "schedule": tiny.schedule(), "tv": None}


@given(
    st.tuples(st.integers(40, 900), st.integers(40, 900)), st.integers(60, 400), st.integers(1, 20),
    st.integers(0, 10**6),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_windows_cover_the_frame_and_their_weights_add_up_to_one(shape, window, overlap, seed):
    tiling = cut(shape, window, overlap)
    y, x = (np.random.default_rng(seed).uniform(-30, n + 30, 50) for n in shape)
    total, covered = np.zeros(50), np.zeros(shape, int)
    for tile in tiling:
        y0, y1, x0, x1 = tile.window
        assert 0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]
        assert y1 - y0 <= window and x1 - x0 <= window
        covered[y0:y1, x0:x1] += 1
        wy, wx = tiling.weight(tile, y, x)
        total += wy * wx
        inside = (wy > 0) & (wx > 0) & (y >= 0) & (y <= shape[0] - 1) & (x >= 0) & (x <= shape[1] - 1)
        assert ((y >= y0 - 0.5) & (y <= y1 - 0.5) & (x >= x0 - 0.5) & (x <= x1 - 0.5))[inside].all()
    assert covered.min() == 1 or len(tiling) == 1 or covered.min() > 0
    assert np.allclose(total, 1, atol=1e-12)
    for starts, size in zip(tiling.starts, tiling.window, strict=True):
        assert all(a + size - b >= overlap for a, b in pairwise(starts))
    assert type(tiling).from_dict(json.loads(json.dumps(tiling.to_dict()))) == tiling


def test_weights_leave_out_the_edge_of_a_window():
    tiling = cut((100, 50), 60, 20)
    first, second = tiling
    overlap = first.window[1] - second.window[0]
    assert overlap == 20
    near = np.array([second.window[0] + 4.0, first.window[1] - 5.0])  # within a quarter of the overlap
    assert tiling.weight(second, near, near)[0][0] == 0
    assert tiling.weight(first, near, near)[0][1] == 0


def test_tiles_that_would_be_all_overlap_are_refused():
    with pytest.raises(InputError, match="at least 150 pixels"):
        cut((400, 400), 100, 50)


def blob(shape=SHAPE):
    """A wide and a narrow blob that reach over the border of tiles."""
    z, y, x = np.linspace(-1, 1, 5)[:, None, None], np.arange(shape[0])[:, None], np.arange(shape[1])
    wide = np.exp(-(((y - 31) / 12.0) ** 2) - ((x - 20) / 9.0) ** 2 - z**2)
    return Volume(0.01 * wide, (0.5, PIXEL, PIXEL), (-1.0, 0.0, 0.0), tiny.SCOPE.medium_index)


@pytest.fixture(scope="module")
def whole():
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,), name="frame")
    return simulate(blob(), optics, "born", SHAPE)


def job_of(acq, **changes):
    return Job(Windowed.of(acq), cut(SHAPE, 36, 12), tiny.DEPTH, "born", OPTIONS | changes)


@pytest.fixture
def job(whole):
    return job_of(whole)


@pytest.fixture(scope="module")
def mosaic(whole, tmp_path_factory):
    return fit_tiles(job_of(whole), tmp_path_factory.mktemp("m") / "tiles")


def test_a_tile_is_fitted_as_its_crop_alone(whole, mosaic):
    for one, tile in mosaic:
        alone = tiny.fit(whole.crop(tile.window)).run()
        assert np.array_equal(one.params, alone.params)


def test_a_mosaic_answers_in_the_coordinates_of_the_frame(mosaic):
    """Where one window alone counts it says what that field says, shifted; between two, their mean."""
    tiling = mosaic.tiling
    z, y, x = np.array([-0.5, 0.25]), np.arange(0, 15, 0.7), np.arange(0, 11, 0.6)
    whole = mosaic.on_axes(z, y, x)
    expected = np.zeros_like(whole)
    for one, tile in mosaic:
        wy, wx = tiling.weight(tile, y / PIXEL, x / PIXEL)
        y0, _, x0, _ = tile.window
        expected += wy[:, None] * wx * one.on_axes(z, y - y0 * PIXEL, x - x0 * PIXEL)
    assert np.allclose(whole, expected, atol=1e-9)
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"), axis=-1)
    assert np.allclose(mosaic.contrast(points), whole, atol=1e-6 * np.abs(whole).max() + 1e-9)
    assert np.allclose(mosaic(points), mosaic.medium_index + mosaic.contrast(points))
    assert mosaic.region_um.tolist() == [[-1, 1], [0, 59 * PIXEL], [0, 43 * PIXEL]]
    volume = mosaic.volume()
    assert volume.contrast.shape == (5, 60, 44)
    window = mosaic.window(list(tiling)[3])
    y0, _, x0, _ = window.mosaic.tiling and list(tiling)[3].window
    assert np.allclose(window.contrast(points), mosaic.contrast(points + [0, y0 * PIXEL, x0 * PIXEL]))


def test_no_seam_between_fields_of_one_sample(mosaic):
    """Fields that agree join to what they agree on."""
    one = mosaic.fields[0]
    flat = replace(one, params=np.zeros_like(one.params))
    flat.params[-1] = 0.3
    value = flat.contrast(np.array([0.0, 2.0, 2.0]))
    joined = Mosaic((flat,) * len(mosaic.tiling), mosaic.tiling, PIXEL)
    inside = joined.volume().contrast
    assert np.ptp(np.abs(inside)) < 1e-6 * abs(value)


def test_a_mosaic_below_its_medium_is_advised_on(mosaic):
    numbers = {"nrmse_holdout": 0.2, "noise_floor_holdout": 0.1, "verdict": "predicts"}
    sign = contrast_sign(mosaic)
    assert sign == sign_of(mosaic.volume().contrast.real) != 0
    turned = replace(mosaic, fields=[replace(one, output_scale=-one.output_scale) for one in mosaic.fields])
    dense, below = (mosaic, turned)[::sign]
    assert contrast_sign(below) == -1
    for held_out in (numbers, {}):
        assert judge_mosaic(dense, held_out).advice == ()
        assert judge_mosaic(below, held_out).advice == (HOLE,)


def test_a_mosaic_without_a_sample_says_why(mosaic):
    numbers = {"nrmse_holdout": 0.3, "noise_floor_holdout": 0.1, "verdict": "predicts"}
    assert judge_mosaic(mosaic, numbers).sentence == "good: predicts"
    nothing = judge_mosaic(mosaic, numbers | {"nrmse_closed_form": 0.29})
    assert nothing.failed and "one would score 1, the closed form's 0.29" in nothing.sentence


def test_the_file(mosaic, tmp_path):
    mosaic.save(tmp_path / "m.npz")
    read = load_result(tmp_path / "m.npz")
    assert isinstance(read, Mosaic) and read.tiling == mosaic.tiling
    points = np.random.default_rng(0).uniform(0, 10, (20, 3))
    assert np.array_equal(read(points), mosaic(points))
    assert read.provenance.to_json() == mosaic.provenance.to_json()
    with pytest.raises(InputError, match="fieldrx-mosaic"):
        load_field(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as archive:
        arrays = dict(archive)
    broken = {k: v for k, v in arrays.items() if not k.startswith("tile_2_")}
    np.savez(tmp_path / "b.npz", **broken)
    with pytest.raises(InputError, match="it holds 3 of 4 tiles"):
        load_mosaic(tmp_path / "b.npz")
    np.savez(tmp_path / "b.npz", **arrays | {"tiling": np.array('{"shape": [9, 9]}')})
    with pytest.raises(InputError, match="damaged"):
        load_mosaic(tmp_path / "b.npz")


def test_errors_over_the_frame(whole, mosaic):
    numbers = evaluate_mosaic(mosaic, Windowed.of(whole), truth=blob())
    assert numbers["fitted_to_these_images"]
    assert len(numbers["tiles"]) == 4
    errors = [one["nrmse_holdout"] for one in numbers["tiles"]]
    assert min(errors) <= numbers["nrmse_holdout"] <= max(errors)
    truth = blob()
    missed = np.linalg.norm(mosaic.on_axes(*truth.grid.axes) - truth.contrast)
    assert numbers["index_nrmse"] == pytest.approx(missed / np.linalg.norm(truth.contrast), rel=1e-5)
    with pytest.raises(InputError, match="30 x 44"):
        evaluate_mosaic(mosaic, Windowed.of(whole.crop((0, 30, 0, 44))))


def test_tiles_that_are_done_are_kept(job, tmp_path, monkeypatch):
    """A stop after two tiles loses none of them, and what goes on gives the same mosaic."""
    folder, said = tmp_path / "tiles", []

    def stop(text):
        said.append(text)
        if len(said) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_tiles(job, folder, say=stop)
    assert kept_job(folder)["model"] == "born"
    said = said[:0]
    again = fit_tiles(job, folder, resume=True, say=said.append)
    assert len(said) == 2  # the other two
    straight = fit_tiles(job, tmp_path / "straight")
    for one, other in zip(again.fields, straight.fields, strict=True):
        assert np.array_equal(one.params, other.params)
    other = replace(job, depth=(-1.0, 1.0, 0.25))
    with pytest.raises(InputError, match=r"other settings \(depth\)"):
        fit_tiles(other, folder, resume=True)
    discard(folder)
    assert not folder.exists() and kept_job(folder) is None


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis.tex, which is not of such work"):
        discard(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_tile_that_cannot_be_fitted_is_left_empty(whole, job, tmp_path):
    mask = np.ones(whole.images.shape, bool)
    y0, y1, x0, x1 = list(job.tiling)[3].window
    mask[:, y0:y1, x0:x1] = False
    said = []
    spoilt = replace(job, frame=Windowed.of(replace(whole, mask=mask, checksum=None)))
    made = fit_tiles(spoilt, tmp_path / "tiles", say=said.append)
    assert any("tile 3 is left empty" in line for line in said)
    assert made.fields[3].output_scale == 0
    assert not made.contrast(np.array([0.0, 59 * PIXEL, 43 * PIXEL]))


def test_when_frames_are_cut(whole):
    backend, frame = backends.get("cpu"), Windowed.of(whole)
    assert choose_tiles(frame, tiny.DEPTH, backend) == (None, "")
    assert choose_tiles(frame, tiny.DEPTH, backend, "off") == (None, "")
    large = replace(frame, shape=(1500, 1400))
    tiling, why = choose_tiles(large, tiny.DEPTH, backend)
    assert len(tiling) > 1 and "too few parameters" in why
    assert max(tiling.window) <= default_side(large)
    assert choose_tiles(large, tiny.DEPTH, backend, "off") == (None, "")
    with pytest.raises(InputError, match='"auto", "off"'):
        choose_tiles(large, tiny.DEPTH, backend, "all")


def test_light_that_turns_across_the_frame_asks_for_tiles(whole):
    near = Illumination(tiny.LIGHT.sources_na, distance_um=2000.0)
    frame = Windowed.of(replace(whole, illumination=near))
    large = replace(frame, shape=(500, 500))
    thick = (-20.0, 20.0, 1.0)
    tiling, why = choose_tiles(large, thick, backends.get("cpu"))
    assert "directions change" in why and len(tiling) > 1
    far = Illumination(tiny.LIGHT.sources_na, distance_um=2e6)
    large = replace(large, optics=replace(large.optics, illumination=far))
    assert choose_tiles(large, (-2.0, 2.0, 0.5), backends.get("cpu"))[0] is None


def test_a_mosaic_is_compressed_into_one_field(mosaic):
    small = compress(mosaic, loss=0.02)
    volume = mosaic.volume().contrast
    assert np.linalg.norm(small.volume().contrast - volume) < 0.021 * np.linalg.norm(volume)
    assert np.array_equal(small.region_um, mosaic.region_um)


def test_a_mosaic_is_rendered(mosaic, tmp_path):
    render(mosaic, tmp_path / "m.npy")
    assert np.allclose(
        np.load(tmp_path / "m.npy"), mosaic.volume().contrast.real + mosaic.medium_index, atol=1e-6
    )


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_commands(tmp_path):
    acq, out, shape = tmp_path / "a.npz", tmp_path / "field.npz", (100, 44)
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,), name="frame")
    simulate(blob(shape), optics, "born", shape).save(acq)
    done = run("reconstruct", acq, "--depth=-1:1:0.5", "--model", "born", "--tiles", "66", "--steps", "2",
               "-o", out, "-q")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert isinstance(load_result(out), Mosaic) and not (tmp_path / "field.tiles").exists()
    shown = json.loads(run("evaluate", out, acq).output)
    assert len(shown["tiles"]) == len(load_result(out).tiling) and shown["nrmse_holdout"] > 0
    assert "mosaic" in run("info", out).output
    (tmp_path / "points.csv").write_text("z_um,y_um,x_um\n0,3,4\n")
    assert "n_real" in run("query", out, tmp_path / "points.csv").output
    for name in ("m.tif", "m.png", "m.html", "report.html"):
        command = {"m.html": ("view", out, "-o"), "report.html": ("report", out, acq, "-o")}.get(
            name, ("render", out)
        )
        done = run(*command, tmp_path / name)
        assert done.exit_code == 0, done.output
        assert (tmp_path / name).stat().st_size > 1000
    wrong = run("reconstruct", acq, "--depth=-1:1:0.5", "--tiles", "some", "-o", out)
    assert wrong.exit_code == 2 and "number of pixels" in wrong.output


def test_trials_of_the_total_variation_are_kept_when_stopped(tmp_path, monkeypatch):
    acq, out, shape = tmp_path / "a.npz", tmp_path / "field.npz", (100, 44)
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,))
    simulate(blob(shape), optics, "born", shape).save(acq)
    found = []

    def trials(*_, parts, **options):
        kept = parts.checkpoint({"trial": 1})
        found.append(kept.exists())
        kept.touch()
        if len(found) == 1:
            raise KeyboardInterrupt
        return 0.1, "total variation 0.1, by trials"

    monkeypatch.setattr("fieldrx.tiles.fits.choose_tv", trials)
    asked = ("reconstruct", acq, "--depth=-1:1:0.5", "--model", "born", "--tiles", "66", "--steps", "2",
             "--tv", "auto", "-o", out)  # fmt: skip
    assert run(*asked).exit_code == 75
    done = run(*asked, "--resume", "auto")
    assert done.exit_code == 0 and "by trials" in done.output
    assert found == [False, True] and not (tmp_path / "field.parts").exists()


def test_schedule_is_shared_out(whole, tmp_path):
    """A budget is that of the whole frame."""
    seen = []
    job = job_of(whole, schedule={"budget_s": 2.0}, callback=seen.append)
    fit_tiles(job, tmp_path / "t")
    assert {p.total for p in seen if p.stage.endswith("fit")} == {0.5}
    assert Schedule().budget_s is None


def test_what_is_auto_is_settled_once_for_all_tiles(tmp_path):
    """By the window that shows most, and again when the job goes on."""
    shape = (100, 44)
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,))
    frame = Windowed.of(simulate(blob(shape), optics, "born", shape))
    made = plan(frame, tiny.DEPTH, "auto", 72, **OPTIONS)
    assert len(made.tiling) == 2 and made.model in ("born", "ssnp", "bpm")
    assert "2 x 1 tiles" in made.notes[0] and any("model" in note for note in made.notes)
    fit_tiles(replace(made, model="born"), tmp_path / "t")
    again = plan(frame, "auto", "auto", "auto", kept=kept_job(tmp_path / "t"), **OPTIONS)
    assert (again.depth, again.model, again.tiling) == (list(tiny.DEPTH), "born", made.tiling)
    assert plan(frame, tiny.DEPTH, "auto", **OPTIONS) is None  # small enough for one field


def test_a_file_is_read_window_by_window(tmp_path):
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,))
    whole = simulate(blob(), optics, "born", SHAPE)
    tifffile.imwrite(tmp_path / "stack.tif", whole.images)
    (tmp_path / "a.toml").write_text(TOML)
    frame = Windowed.open(tmp_path / "a.toml")
    assert frame.shape == (50, 44) and frame.optics.images is None and list(frame.optics.holdout) == [4]
    seen = frame.window((5, 25, 3, 33))
    assert np.allclose(seen.images, whole.images[:, 15:35, 3:33], atol=1e-6)
    assert np.allclose(frame.whole().images, whole.images[:, 10:], atol=1e-6)
    with pytest.raises(InputError, match="leaves the frame"):
        frame.window((5, 51, 0, 20))


TOML = """
[microscope]
wavelength_um = 0.6
objective_na = 0.6
medium_index = 1.33
pixel_size_um = 0.25
[images]
files = "stack.tif"
background = 1
holdout = [4]
region = [10, 60, 0, 44]
[illumination]
kind = "led-ring"
count = 6
na = 0.5
start_deg = 10
"""


def test_a_tile_of_other_images_is_not_kept(job, whole, tmp_path):
    """Whatever was fitted before is fitted again where the images are others; other optics are refused."""
    fit_tiles(job, tmp_path / "t")
    brighter = replace(whole, images=1 + 1.1 * (whole.images - 1), checksum=None)
    again = fit_tiles(replace(job, frame=Windowed.of(brighter)), tmp_path / "t", resume=True)
    straight = fit_tiles(replace(job, frame=Windowed.of(brighter)), tmp_path / "s")
    for one, other in zip(again.fields, straight.fields, strict=True):
        assert np.array_equal(one.params, other.params)
    turned = replace(whole, illumination=Illumination.led_ring(6, 0.4), checksum=None)
    with pytest.raises(InputError, match=r"other settings \(optics\)"):
        fit_tiles(replace(job, frame=Windowed.of(turned)), tmp_path / "t", resume=True)


def test_wrong_options_are_refused_and_leave_no_tile_empty(job, tmp_path):
    wrong = replace(job, options=job.options | {"loss": "foo"})
    with pytest.raises(InputError, match="foo"):
        fit_tiles(wrong, tmp_path / "t")


def test_a_mosaic_with_an_empty_tile_is_judged_and_reported(whole, job, tmp_path):
    mask = np.ones(whole.images.shape, bool)
    y0, y1, x0, x1 = list(job.tiling)[3].window
    mask[:, y0:y1, x0:x1] = False
    frame = Windowed.of(replace(whole, mask=mask, checksum=None))
    made = fit_tiles(replace(job, frame=frame), tmp_path / "t")
    assert made.provenance.steps_done == sum(f.provenance.steps_done for f in made.fields[:3])
    numbers = write_frame_report(made, frame, tmp_path / "r.html")
    assert numbers["fitted_to_these_images"] and np.isnan(numbers["tiles"][3]["nrmse"])
    assert np.isfinite(numbers["nrmse_holdout"])


def test_a_dead_part_of_a_file_is_left_empty(tmp_path):
    shape = (100, 44)
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,))
    images = simulate(blob(shape), optics, "born", shape).images
    images[:, 34:] = 0
    tifffile.imwrite(tmp_path / "stack.tif", images)
    (tmp_path / "a.toml").write_text(TOML.replace("region = [10, 60, 0, 44]", "missing = 0"))
    frame, said = Windowed.open(tmp_path / "a.toml"), []
    made = fit_tiles(
        Job(frame, cut(shape, 66, 20), tiny.DEPTH, "born", OPTIONS), tmp_path / "t", say=said.append
    )
    assert any("tile 1 is left empty" in line for line in said) and made.fields[1].output_scale == 0


def test_all_tiles_hold_out_the_same_images():
    """Though the images of one are masked, from which it would have drawn others."""
    shape = (100, 44)
    light = Illumination.led_ring(30, 0.5)
    images = 1 + 0.05 * np.random.default_rng(0).standard_normal((30, *shape))
    mask = np.ones(images.shape, bool)
    mask[7, :50] = False
    frame = Windowed.of(Acquisition(images, light, tiny.SCOPE, mask))
    made = plan(frame, tiny.DEPTH, "born", 72, **OPTIONS)
    held = {tuple(made.frame.window(tile.window).holdout) for tile in made.tiling}
    assert len(held) == 1 and len(held.pop()) == 3


def test_the_busiest_part_is_that_of_the_images_that_count(whole):
    """An image may be masked in all of a part: it says nothing there, and lowers no mean."""
    mask = np.ones(whole.images.shape, bool)
    mask[2] = False
    frame = Windowed.of(replace(whole, mask=mask))
    assert np.array_equal(busiest(frame).images, frame.window(next(iter(cut(SHAPE, 400, 0))).window).images)


def test_what_a_kill_leaves_is_removed_too(job, tmp_path):
    fit_tiles(job, tmp_path / "t")
    (tmp_path / "t" / ".a1b2c3d4-tile_1.npz").write_bytes(b"half")
    discard(tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("spoilt", [{"tiling": {"shape": 1}}, {"options": []}, {"depth": 3}, {"notes": None}])
def test_a_damaged_plan_is_one_line(job, tmp_path, spoilt):
    fit_tiles(job, tmp_path / "t")
    plan_file = tmp_path / "t" / "plan.json"
    plan_file.write_text(json.dumps(json.loads(plan_file.read_text()) | spoilt))
    with pytest.raises(InputError, match="damaged"):
        kept_job(tmp_path / "t")


def test_tiles_that_go_on_cannot_be_cut_anew(job, whole, tmp_path, monkeypatch):
    fit_tiles(job, tmp_path / "t")
    kept = kept_job(tmp_path / "t")
    for asked in ("off", 66):
        with pytest.raises(InputError, match=f"--tiles {asked} cannot change"):
            plan(Windowed.of(whole), tiny.DEPTH, "born", asked, kept=kept, **OPTIONS)
    monkeypatch.setattr("fieldrx.tiles.fits.choose_tiles", lambda *asked: (cut(SHAPE, asked[-1], 12), ""))
    assert plan(Windowed.of(whole), tiny.DEPTH, "born", 36, kept=kept, **OPTIONS).tiling == job.tiling
    with pytest.raises(InputError, match="30 x 44"):
        plan(Windowed.of(whole.crop((0, 30, 0, 44))), tiny.DEPTH, "born", kept=kept, **OPTIONS)

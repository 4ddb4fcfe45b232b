"""Films: frames and their times, fits that go on from one another, files, what is between, the command."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import tiny
import zarr
from click.testing import CliRunner
from PIL import Image

from fieldrx import Acquisition, InputError, NeuralField, Volume, read_acquisition, simulate
from fieldrx.acquisition import FramesGiven, film_of
from fieldrx.cli import main
from fieldrx.compression import compress_film
from fieldrx.describe import describe
from fieldrx.fit import Schedule
from fieldrx.io.metadata import read_interval
from fieldrx.render import render, render_over_time
from fieldrx.results import at_time, load_result
from fieldrx.timelapse import Film, Moment, load_film, make_film, plan
from fieldrx.timelapse.arriving import Arriving
from fieldrx.timelapse.kept import Kept, folder_of

HEAD = """
[microscope]
wavelength_um = 0.6
objective_na = 0.6
medium_index = 1.33
pixel_size_um = 0.25

[illumination]
kind = "led-ring"
directions = "travel"
count = 6
na = 0.5
start_deg = 10

[images]
holdout = [4]
background = 10000
"""
STEPS = ["--depth=-1:1:0.5", "--model", "born", "--steps", "12"]


def blob(frame):
    """A sample that moves and grows."""
    spacing, origin = (0.5, 0.25, 0.3), (-1.0, 0.5, 0.4)
    z, y, x = (o + d * np.arange(n) for o, d, n in zip(origin, spacing, (5, 19, 14), strict=True))
    size = 1 + 0.03 * frame
    r2 = (
        (z[:, None, None] / 0.8) ** 2
        + ((y[:, None] - 2.2 - 0.15 * frame) / 1.1) ** 2
        + ((x - 2.1) / 0.9) ** 2
    )
    return Volume(0.02 * np.exp(-r2 / size**2), spacing, origin, tiny.SCOPE.medium_index)


def taken(frame):
    optics = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=(4,), name="tiny")
    return simulate(blob(frame), optics, "born", tiny.SHAPE, photons=1e5, seed=frame)


@pytest.fixture(scope="module")
def acquisitions():
    return [taken(frame) for frame in range(4)]


@pytest.fixture(scope="module")
def counts(acquisitions):
    """The frames as a camera counts, (t, n, y, x)."""
    return np.stack([np.rint(acq.images * 10000) for acq in acquisitions]).astype(np.uint16)


@pytest.fixture
def numbered(tmp_path, counts):
    """An acquisition with a file a frame."""
    for k, frame in enumerate(counts):
        tifffile.imwrite(tmp_path / f"t{k:02d}.tif", frame)
    (tmp_path / "acquisition.toml").write_text(HEAD + 'files = "t{t}.tif"\ninterval_s = 2.5\n')
    return tmp_path / "acquisition.toml"


def schedule(**options):
    """A fit that comes to something."""
    bold = {"learning_rate": 0.02, "table_learning_rate": 0.08}
    return tiny.schedule(**({"steps": 80, "warm_steps": 60, **bold} | options))


def small(acquisitions, **options):
    given = {"encoding": tiny.ENCODING, "network": tiny.NETWORK, "schedule": schedule()}
    return make_film(acquisitions, tiny.DEPTH, "born", **(given | options))


@pytest.fixture(scope="module")
def film(acquisitions):
    return small(FramesGiven(acquisitions, (0, 2, 3, 7)))


# --- frames ---------------------------------------------------------------------------------------


def same_images(acquisition, frame):
    return np.array_equal(acquisition.images, (frame / 10000).astype(np.float32))


def test_a_file_a_frame(numbered, counts):
    frames = film_of(numbered)
    assert frames.numbers() == [0, 1, 2, 3]
    assert all(same_images(frames.read(k), counts[k]) for k in range(4))
    assert (frames.unit, frames.time(3)) == ("s", 7.5)
    assert frames.mark(1) != frames.mark(2)
    first = read_acquisition(numbered)
    assert same_images(first, counts[0])
    assert any("film" in note for note in first.notes)


def test_a_folder_a_frame(tmp_path, counts):
    for k in (3, 10, 4):
        (tmp_path / f"at{k}").mkdir()
        for n in range(6):
            tifffile.imwrite(tmp_path / f"at{k}" / f"at{k}_{n}.tif", counts[k % 4, n])
    (tmp_path / "at5_other").mkdir()
    (tmp_path / "a.toml").write_text(HEAD + 'files = "at{t}/at{t}_{n}.tif"\n')
    frames = film_of(tmp_path / "a.toml")
    assert frames.numbers() == [3, 4, 10]
    assert same_images(frames.read(10), counts[2])
    assert (frames.unit, frames.time(10)) == ("frame", 10)


@pytest.mark.parametrize("name", ["s.tif", "s.ome.tif", "s.npy", "s.zarr"])
def test_an_axis_of_time(tmp_path, counts, name):
    path, told, interval = tmp_path / name, 'time = "T"\n', 0.5
    if name == "s.npy":
        np.save(path, counts)
        told = 'time = "frame"\naxes = ["frame", "led", "y", "x"]\ninterval_s = 0.5\n'
    elif name == "s.zarr":
        group = zarr.create_group(path, zarr_format=2)
        group.create_array("0", data=counts, chunks=(1, 6, 24, 20))
        axes = [{"name": "t", "type": "time", "unit": "millisecond"}, {"name": "c", "type": "channel"}]
        axes += [{"name": name, "type": "space"} for name in "yx"]
        scale = [{"type": "scale", "scale": [500, 1, 1, 1]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    elif name == "s.ome.tif":
        words = {"axes": "TCYX", "TimeIncrement": 500, "TimeIncrementUnit": "ms"}
        tifffile.imwrite(path, counts, ome=True, metadata=words)
    else:
        tifffile.imwrite(path, counts, imagej=True, metadata={"axes": "TCYX", "finterval": interval})
    (tmp_path / "a.toml").write_text(HEAD + f'files = "{name}"\n{told}')
    frames = film_of(tmp_path / "a.toml")
    assert frames.numbers() == [0, 1, 2, 3]
    assert (frames.unit, frames.time(3)) == ("s", pytest.approx(1.5))
    assert all(same_images(frames.read(k), counts[k]) for k in range(4))
    assert same_images(read_acquisition(tmp_path / "a.toml"), counts[0])


def test_a_background_a_frame(numbered, counts):
    for k in range(4):
        tifffile.imwrite(numbered.parent / f"empty{k:02d}.tif", np.full((24, 20), 9000 + k, np.uint16))
    text = numbered.read_text().replace("10000", '"empty{t}.tif"')
    numbered.write_text(text)
    found = film_of(numbered).read(3).images
    assert np.allclose(found, counts[3] / 9003, rtol=1e-6)


def test_an_acquisition_without_time(tmp_path, acquisitions):
    acquisitions[0].save(tmp_path / "a.npz")
    (tmp_path / "a.toml").write_text(HEAD + 'files = "s.tif"\n')
    assert film_of(tmp_path / "a.npz") is film_of(tmp_path / "a.toml") is None


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ('files = "t{t}.tif"\ntime = "T"\n', "keep one"),
        ('files = "t{t}.tif"\ninterval_s = 0\n', "interval_s is 0; expected a positive time"),
        ('files = "t00.tif"\ntime = "T"\n', "names the axis T"),
        ('files = "t00.tif"\ntime = 3\n', "time is 3; expected text"),
        ('files = "nothing{t}.tif"\n', "no such file"),
        ('files = "nothing.tif"\ntime = "T"\n', "no such file"),
    ],
)
def test_time_that_makes_no_sense(numbered, told, message):
    numbered.write_text(HEAD + told)
    with pytest.raises(InputError, match=message):
        film_of(numbered).read(0)


def test_two_names_of_one_frame(numbered):
    (numbered.parent / "t1.tif").write_bytes((numbered.parent / "t01.tif").read_bytes())
    with pytest.raises(InputError, match="two names show frame 1"):
        film_of(numbered).numbers()


def test_interval_of_micro_manager_and_of_none(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 8, 8), np.uint16))
    assert read_interval(tmp_path / "a.tif") is None
    (tmp_path / "b.zarr").mkdir()
    assert read_interval(tmp_path / "b.zarr") is None
    (tmp_path / "b.zarr" / ".zattrs").write_text('{"multiscales": [{"axes": 3}]}')
    with pytest.raises(InputError, match="metadata cannot be read"):
        read_interval(tmp_path / "b.zarr")


@pytest.mark.parametrize("times", [(0, 1), (0, 1, 1, 2), (0, 1, 2, np.inf), (0, np.nan, 1, 2)])
def test_given_times_must_grow(acquisitions, times):
    with pytest.raises(InputError, match="later time"):
        FramesGiven(acquisitions, times)


# --- the plan -------------------------------------------------------------------------------------


def test_rounds_are_short_and_differ():
    own = Schedule(steps=200, budget_s=60.0, seed=4)
    one, other = (plan.round_of(own, 200, number) for number in (1, 2))
    assert one.steps <= 0.25 * 200 and one.budget_s is None and one.seed != other.seed
    assert one == plan.round_of(own, 200, 1)
    assert plan.round_of(own, 5, 1).steps == 5


def test_what_is_good_enough():
    assert plan.good_enough(None, 0.1) and plan.good_enough(0.2, None) and plan.good_enough(0.1, 0.1)
    assert not plan.good_enough(0.2, 0.1) and plan.worth_anew(0.2, 0.1) and not plan.worth_anew(0.1, 0.1)
    assert plan.is_empty(0.99, 0.3) and not plan.is_empty(0.99, 0.98) and not plan.is_empty(0.5, 0.3)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [([], []), ([5], []), ([0, 1, 2], []), ([3, 4, 7], [5, 6]), ([0, 60, 180], [120]), ([4, 2, 3, 0], [1])],
)
def test_missing_numbers(numbers, missing):
    assert plan.gaps(numbers) == missing


# --- fits -----------------------------------------------------------------------------------------


def test_every_frame_goes_on_from_the_one_before(film, acquisitions):
    told = film.provenance["frames"]
    assert [frame["from"] for frame in told][:2] == [None, 0]
    assert [frame["time"] for frame in told] == [0, 2, 3, 7] == list(film.times)
    assert film.unit == "s" and not film.provenance["skipped"] and not film.provenance["interrupted"]
    first = film.fields[0].provenance
    for number, field in enumerate(film.fields):
        provenance = field.provenance
        for name in ("model", "depth", "grid", "priors", "loss", "holdout", "background"):
            assert provenance[name] == first[name], name
        assert provenance.acquisition["images"] == acquisitions[number].checksum
        assert told[number]["nrmse_holdout"] == provenance.nrmse_holdout


def centre(field):
    """Along y, of what is seen."""
    y = np.linspace(0.5, 5.0, 60)
    profile = np.maximum(field.on_axes(np.zeros(1), y, np.linspace(1.0, 3.2, 12)).real.sum(axis=(0, 2)), 0)
    return float(profile @ y / profile.sum())


def test_frames_follow_the_sample(film, acquisitions):
    """As far as fits from nothing see it move, with errors as low."""
    alone = tiny.fit(acquisitions[3], schedule=schedule()).run()
    moved, seen = centre(film.fields[3]) - centre(film.fields[0]), centre(alone) - centre(film.fields[0])
    assert moved > 0.5 * seen > 0.15
    assert film.fields[3].provenance.nrmse_holdout < 1.1 * alone.provenance.nrmse_holdout


def test_optics_found_on_the_first_frame_are_kept(acquisitions):
    gain = np.array([1, 1.1, 1, 0.95, 1, 1], np.float32)[:, None, None]
    wrong = [replace(acq, images=gain * acq.images, checksum=None) for acq in acquisitions[:2]]
    made = small(wrong, refine="intensity")
    one, other = (field.provenance for field in made.fields)
    assert one.refine == ["intensity"] and other.refine == []
    assert other.optics == one.optics == other.optics_start
    assert np.argmax(one.optics["gain"]) == 1 and np.argmin(one.optics["gain"]) == 3


def test_spoilt_frames_are_left_out(acquisitions):
    one = acquisitions[1]
    dark = replace(one, mask=np.zeros_like(one.images, bool), checksum=None)
    smaller = replace(one, images=one.images[:, 2:], checksum=None)
    fewer = one.select(np.arange(5))
    noise = np.random.default_rng(0).normal(1, 0.1, one.images.shape).astype(np.float32)
    other = replace(one, images=noise, checksum=None)
    said = []
    made = small([acquisitions[0], dark, smaller, fewer, other, acquisitions[2]], say=said.append)
    skipped = {frame["number"]: frame["why"] for frame in made.provenance["skipped"]}
    assert list(skipped) == [1, 2, 3, 4]
    for number, words in ((1, "no image can be used"), (2, "shape"), (3, "light"), (4, "empty sample")):
        assert words in skipped[number]
        assert any(line.startswith(f"note: frame {number} is left out") for line in said)
    assert made.times == (0, 5) and made.provenance["frames"][1]["from"] in (0, None)


def test_a_sudden_change_is_fitted_from_nothing(acquisitions, monkeypatch):
    turned = acquisitions[0]
    turned = replace(turned, images=np.ascontiguousarray(2 - turned.images), checksum=None)
    monkeypatch.setattr(plan, "ROUNDS", 1)
    made = small([acquisitions[0], turned], schedule=schedule())
    assert made.provenance["frames"][1]["from"] is None
    alone = tiny.fit(turned, schedule=schedule()).run()
    assert made.fields[1].provenance.nrmse_holdout == pytest.approx(alone.provenance.nrmse_holdout, rel=1e-6)


def test_the_first_frame_that_can_be_read_begins(numbered):
    (numbered.parent / "t00.tif").write_bytes(b"no TIFF")
    made = small(film_of(numbered))
    assert made.times == (2.5, 5, 7.5)
    assert [frame["number"] for frame in made.provenance["skipped"]] == [0]
    for path in numbered.parent.glob("*.tif"):
        path.write_bytes(b"no TIFF")
    with pytest.raises(InputError, match=r"t00\.tif"):
        small(film_of(numbered))


def test_a_missing_frame_is_said(numbered):
    (numbered.parent / "t02.tif").unlink()
    said = []
    made = small(film_of(numbered), say=said.append)
    assert made.times == (0, 2.5, 7.5)
    assert made.provenance["skipped"] == [{"number": 2, "why": "it is missing"}]


# --- stopped, and gone on with --------------------------------------------------------------------


def equal(one, other):
    return all(
        np.array_equal(a.params, b.params) and a.output_scale == b.output_scale
        for a, b in zip(one.fields, other.fields, strict=True)
    )


class _Stopping:
    """A callback that raises a signal within a frame."""

    def __init__(self, frame):
        self.frame = frame

    def __call__(self, progress):
        if progress.stage.startswith(f"frame {self.frame}") and progress.done == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_film_goes_on(film, acquisitions, tmp_path):
    path, frames = tmp_path / "film.npz", FramesGiven(acquisitions, (0, 2, 3, 7))
    stopped = small(frames, path=path, callback=_Stopping(2))
    assert stopped.provenance["interrupted"] and stopped.times == (0, 2)
    assert load_film(path).times == (0, 2) and folder_of(path).is_dir()
    said = []
    whole = small(frames, path=path, resume=True, say=said.append)
    assert equal(whole, film) and equal(load_film(path), film)
    assert not any(line.startswith(("frame 0", "frame 1")) for line in said)
    assert not folder_of(path).exists()


def test_a_film_goes_on_with_new_frames(film, acquisitions, tmp_path):
    path = tmp_path / "film.npz"
    small(FramesGiven(acquisitions[:2], (0, 2)), path=path)
    assert equal(small(FramesGiven(acquisitions, (0, 2, 3, 7)), path=path, resume=True), film)


def test_frames_of_other_images_are_fitted_again(acquisitions, tmp_path):
    path = tmp_path / "film.npz"
    before = small(acquisitions[:3], path=path)
    other = [acquisitions[0], acquisitions[3], acquisitions[2]]
    after = small(other, path=path, resume=True)
    same = [np.array_equal(a.params, b.params) for a, b in zip(before.fields, after.fields, strict=True)]
    assert same == [True, False, False]
    assert equal(after, small(other))


def test_another_film_is_not_gone_on_with(acquisitions, tmp_path):
    path = tmp_path / "film.npz"
    small(acquisitions[:1], path=path)
    with pytest.raises(InputError, match="another schedule"):
        small(acquisitions[:1], path=path, resume=True, schedule=schedule(steps=5))
    assert equal(small(acquisitions[:1], path=path), small(acquisitions[:1]))


def test_a_film_stopped_before_its_first_frame(acquisitions, tmp_path):
    def stop(progress):
        if progress.stage == "fit" and progress.done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    path = tmp_path / "film.npz"
    with pytest.raises(KeyboardInterrupt):
        small(acquisitions[:2], path=path, callback=stop)
    assert not path.exists() and (folder_of(path) / "first.checkpoint.npz").is_file()
    made = small(acquisitions[:2], path=path, resume=True)
    assert equal(made, small(acquisitions[:2]))


# --- frames that arrive ---------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("fieldrx.timelapse.arriving._LOOK_S", 0.05)
    monkeypatch.setattr("fieldrx.timelapse.arriving._NAP_S", 0.01)


def test_frames_are_waited_for(numbered, quick):
    files = sorted(numbered.parent.glob("t*.tif"))
    whole = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()

    def write():
        for path, data in zip(files, whole, strict=True):
            time.sleep(0.1)
            with open(path, "wb") as file:
                file.write(data[: len(data) // 2])
                file.flush()
                time.sleep(0.12)
                file.write(data[len(data) // 2 :])

    writer, skipped = threading.Thread(target=write), []
    writer.start()
    arriving = Arriving(film_of(numbered), 1.0, lambda: False, lambda number, error: skipped.append(number))
    seen = [(number, acq.checksum) for number, acq in arriving]
    writer.join()
    assert seen == [(number, film_of(numbered).read(number).checksum) for number in range(4)]
    assert not skipped and arriving.waiting


def test_a_frame_that_never_becomes_whole(numbered, quick):
    (numbered.parent / "t03.tif").write_bytes(b"II*\0")
    skipped = []
    arriving = Arriving(film_of(numbered), 0.3, lambda: False, lambda number, error: skipped.append(number))
    assert [number for number, _ in arriving] == [0, 1, 2]
    assert skipped == [3]


def test_waiting_ends_when_asked(numbered, quick):
    stop, idle = [], []
    arriving = Arriving(film_of(numbered), 600.0, lambda: bool(stop), lambda number, error: None)
    arriving.idle = lambda: idle.append(1)
    seen = []
    for number, _ in arriving:
        seen.append(number)
        if number == 3:
            threading.Timer(0.2, lambda: stop.append(1)).start()
    assert seen == [0, 1, 2, 3] and idle and arriving.waiting


# --- the film -------------------------------------------------------------------------------------


def test_file_of_a_film(film, tmp_path):
    film.save(tmp_path / "film.npz")
    read = load_result(tmp_path / "film.npz")
    assert isinstance(read, Film) and equal(read, film)
    assert (read.times, read.unit, read.provenance) == (film.times, film.unit, film.provenance)
    assert read.fields[2].provenance.to_json() == film.fields[2].provenance.to_json()


def test_between_frames_contrast_is_mixed(film):
    points = np.random.default_rng(0).uniform((-1, 0, 0), (1, 5, 4), (50, 3))
    assert film.at(3) is film.fields[2]
    moment = film.at(4)
    assert isinstance(moment, Moment)
    mixed = 0.75 * film.fields[2](points) + 0.25 * film.fields[3](points)
    assert np.abs(moment(points) - mixed).max() < 1e-9
    assert np.abs(film(points, np.full(50, 4.0)) - mixed).max() < 1e-9
    axes = [np.linspace(*side, 5) for side in film.fields[0].region_um]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    assert np.abs(moment.on_axes(*axes) - (moment(grid) - film.medium_index)).max() < 1e-6
    volume = moment.volume(spacing=0.5)
    assert np.abs(volume.contrast - moment.on_axes(*volume.grid.axes)).max() < 1e-6
    assert film(points[0], 0.0) == film.fields[0](points[0])


@pytest.mark.parametrize("when", [-0.1, 7.1, np.nan])
def test_a_time_outside_the_film(film, when):
    with pytest.raises(InputError, match="lies outside the film, 0 to 7 s"):
        film.at(when)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": (0, 1)}, "pairs"),
        ({"times": (0, 1, 3, 3)}, "must grow"),
        ({"unit": "h"}, 'expected "s" or "frame"'),
        ({"fields": ()}, "pairs"),
    ],
)
def test_fields_that_make_no_film(film, changes, message):
    with pytest.raises(InputError, match=message):
        replace(film, **changes)
    other = replace(film.fields[1], medium_index=1.4)
    with pytest.raises(InputError, match="share their domain and medium"):
        replace(film, fields=(film.fields[0], other, *film.fields[2:]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "fieldrx-other"}, "expected"),
        ({"version": 9}, "version 9"),
        ({"times": [0.0, 1.0]}, "damaged"),
        ({"provenance": "{"}, "damaged"),
        ({"unit": None}, 'lacks "unit"'),
        ({"frame_0_version": None}, 'lacks "version"'),
    ],
)
def test_damaged_files(film, tmp_path, changes, message):
    film.save(tmp_path / "film.npz")
    with np.load(tmp_path / "film.npz") as archive:
        arrays = dict(archive) | changes
    np.savez(tmp_path / "film.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError, match=message):
        load_film(tmp_path / "film.npz")


def test_one_time_of_a_result(film):
    field = film.fields[0]
    assert at_time(field, None) is field and at_time(film, 0) is field
    with pytest.raises(InputError, match="only a film has a time"):
        at_time(field, 1.0)
    with pytest.raises(InputError, match="choose one, 0 to 7 s"):
        at_time(film, None)


def test_info_on_a_film(film, tmp_path):
    film.save(tmp_path / "film.npz")
    told = describe(tmp_path / "film.npz")
    assert ("times", "0 to 7 s") in told
    assert dict(told)["frame 2"].startswith("t = 3 s, from frame 1")


def test_compressed_films(film):
    made = compress_film(film, loss=0.05)
    for one, other in zip(made.fields, film.fields, strict=True):
        assert one.coded is not None
        grid = other.volume()
        wrong = np.linalg.norm(one.volume().contrast - grid.contrast) / np.linalg.norm(grid.contrast)
        assert wrong < 0.06


# --- files over time ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif"])
def test_tiff_over_time(film, tmp_path, name):
    even = replace(film, times=(1, 3, 5, 7))
    render_over_time(even, tmp_path / name, spacing=0.5)
    with tifffile.TiffFile(tmp_path / name) as tif:
        assert tif.series[0].axes == "TZCYX"
        values = tif.series[0].asarray()
        words, told = tif.ome_metadata, tif.imagej_metadata
    for number, field in enumerate(film.fields):
        contrast = field.volume(spacing=0.5).contrast
        assert np.abs(values[number, :, 0] - 1.33 - contrast.real).max() < 1e-5
        assert np.abs(values[number, :, 1] - contrast.imag).max() < 1e-5
    if name == "a.tif":
        assert told["finterval"] == 2 and told["frames"] == 4
    else:
        assert 'TimeIncrement="2.0"' in words and words.count('DeltaT="5.0"') == 2 * 5


@pytest.mark.parametrize("times", [(0, 2, 4, 6), (0, 2, 3, 7)])
def test_ome_zarr_over_time(film, tmp_path, times):
    render_over_time(replace(film, times=times), tmp_path / "a.ome.zarr", spacing=0.5)
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    scale = group.attrs["multiscales"][0]
    assert [axis["name"] for axis in scale["axes"]] == list("tczyx")
    even = times[2] == 4
    assert (scale["axes"][0].get("unit") == "second") == even
    assert scale["datasets"][0]["coordinateTransformations"][0]["scale"][0] == (2 if even else 1)
    assert scale["metadata"]["times"] == list(times)
    for number, field in enumerate(film.fields):
        contrast = field.volume(spacing=0.5).contrast
        assert np.abs(group["0"][number, 0] - 1.33 - contrast.real).max() < 1e-5


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"plane": ((0, 2, 2), None, None)},
        {"projection": "path"},
        {"projection": "surface", "level": 1.332},
    ],
)
def test_moving_pictures(film, tmp_path, what):
    render_over_time(film, tmp_path / "a.gif", frames=5, spacing=0.1, **what)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5
        pictures = []
        for number in range(5):
            gif.seek(number)
            pictures.append(np.asarray(gif.convert("RGB")))
    assert (pictures[0][30:] != pictures[4][30:]).any()  # below the words for the time
    assert (pictures[0][:14] != pictures[4][:14]).any()


@pytest.mark.parametrize(
    ("name", "what", "message"),
    [
        ("a.png", {}, "holds no time"),
        ("a.npy", {}, "--time"),
        ("a.ome.tif", {"projection": "max"}, "belong to a picture"),
        ("a.gif", {"shape": (3, 3, 3)}, "no shape"),
        ("a.gif", {"quantity": "std"}, "no standard deviation"),
        ("a.gif", {"fps": 0.0}, "fps"),
        ("a.gif", {"frames": 1}, "two times"),
    ],
)
def test_what_cannot_be_shown_over_time(film, tmp_path, name, what, message):
    with pytest.raises(InputError, match=message):
        render_over_time(film, tmp_path / name, **what)
    assert not list(tmp_path.iterdir())


def test_a_film_is_no_field(film, tmp_path):
    with pytest.raises(InputError, match="choose a time"):
        render(film, tmp_path / "a.png")
    render(film.at(2.5), tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


# --- the command ----------------------------------------------------------------------------------


def run(*arguments, status=0):
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == status, done.output
    return done


@pytest.fixture(scope="module")
def made(tmp_path_factory, counts):
    """A folder with a film that the command made."""
    folder = tmp_path_factory.mktemp("film")
    tifffile.imwrite(folder / "s.tif", counts, imagej=True, metadata={"axes": "TCYX", "finterval": 2.0})
    (folder / "a.toml").write_text(HEAD + 'files = "s.tif"\ntime = "T"\n')
    run("reconstruct", folder / "a.toml", "-o", folder / "film.npz", *STEPS)
    return folder


def test_the_command_makes_a_film(made):
    film = load_film(made / "film.npz")
    assert film.times == (0, 2, 4, 6) and film.unit == "s"
    assert sorted(path.name for path in made.iterdir()) == ["a.toml", "film.npz", "s.tif"]


def test_a_film_is_shown_queried_and_measured(made, tmp_path):
    film = made / "film.npz"
    sweep = ("--time", 2, "--movie", "sweep", "--frames", 2)
    for name, options in (
        ("a.ome.zarr", ()), ("a.gif", ("--frames", 3)), ("a.png", ("--time", 3)), ("b.npz", ("--time", 2)),
        ("c.gif", sweep),
    ):  # fmt: skip
        run("render", film, tmp_path / name, "-q", *options)
        assert (tmp_path / name).exists()
    run("render", film, tmp_path / "d.png", status=2)
    run("render", film, tmp_path / "d.gif", "--movie", "spin", status=2)
    run("render", film, tmp_path / "d.png", "--time", 99, status=2)
    run("render", tmp_path / "b.npz", tmp_path / "d.png", "--time", 0, status=2)
    run("measure", film, "-o", tmp_path / "m.csv", status=2)
    assert not (tmp_path / "d.png").exists() and not (tmp_path / "m.csv").exists()
    run("compress", film, "-o", tmp_path / "small.npz", "--loss", "5%", "-q")
    assert load_film(tmp_path / "small.npz").fields[3].coded is not None
    run("view", tmp_path / "small.npz", "-o", tmp_path / "page.html")
    header = (tmp_path / "page.html").read_text().split('id="header">')[1].split("</script>")[0]
    assert [frame["time"] for frame in json.loads(header)["frames"]] == [f"t = {t} s" for t in (0, 2, 4, 6)]


def test_points_of_a_film(made, tmp_path):
    film, (points, timed) = load_film(made / "film.npz"), (tmp_path / "p.csv", tmp_path / "t.csv")
    points.write_text("z_um,y_um,x_um\n0,2.5,2\n0,3,2\n")
    timed.write_text("z_um,y_um,x_um,t_s\n0,2.5,2,5\n")
    rows = run("query", made / "film.npz", points).output.splitlines()
    assert rows[0] == "t_s,z_um,y_um,x_um,n_real,n_imag" and len(rows) == 1 + 2 * 4
    assert float(rows[6].split(",")[4]) == pytest.approx(film.fields[2]([0, 3, 2]).real, abs=1e-8)
    (_, row) = run("query", made / "film.npz", timed).output.splitlines()
    assert float(row.split(",")[4]) == pytest.approx(film.at(5)([0, 2.5, 2]).real, abs=1e-8)
    for wrong in ("t_s\n0,0,0,99", "frame\n0,0,0,1", "t_s\n0,0,0,x"):
        timed.write_text(f"z_um,y_um,x_um,{wrong}\n")
        run("query", made / "film.npz", timed, status=2)


def test_wrong_requests_for_films(made, tmp_path):
    still = tmp_path / "still.toml"
    still.write_text(HEAD + 'files = "s.tif"\nselect = { T = 0 }\n')
    (tmp_path / "s.tif").write_bytes((made / "s.tif").read_bytes())
    done = run("reconstruct", still, "-o", tmp_path / "f.npz", *STEPS, "--follow", "1s", status=2)
    assert "has no time" in done.output
    done = run("reconstruct", made / "a.toml", "-o", tmp_path / "f.npz", *STEPS, "--resume", status=2)
    assert "to resume from" in done.output
    run("reconstruct", made / "a.toml", "-o", tmp_path / "f.npz", *STEPS, "--follow", "soon", status=2)
    done = run(
        "reconstruct", made / "a.toml", "-o", made / "film.npz", *STEPS, "--seed", 1, "--resume", status=2
    )
    assert "another schedule" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.tif", "still.toml"]


@pytest.mark.slow
def test_a_signal_stops_the_command(made, tmp_path):
    """Within a later frame, with status 75; --resume auto goes on to the same film as without a stop."""
    path, whole = tmp_path / "film.npz", tmp_path / "whole.npz"
    command, other = (
        [sys.executable, "-m", "fieldrx", "reconstruct", made / "a.toml", "-o", name, *STEPS]
        for name in (path, whole)
    )
    assert subprocess.run(other, capture_output=True).returncode == 0
    with subprocess.Popen([*command, "--resume", "auto"], stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            if line.startswith("frame 0: "):
                running.send_signal(signal.SIGTERM)
    assert running.returncode == 75
    assert isinstance(load_film(path).fields[0], NeuralField)
    assert subprocess.run([*command, "--resume", "auto"], capture_output=True).returncode == 0
    assert equal(load_film(path), load_film(whole))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    """It may be called as the one of a film that is to be made."""
    folder = tmp_path / "film.frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"notes\.txt, which is not of such work"):
        Kept(tmp_path / "film.npz", {}, resume=False)
    assert (folder / "notes.txt").exists()

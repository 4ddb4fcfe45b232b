"""The napari plugin, without napari: layers are plain tuples, the manifest is checked by npe2 itself."""

import inspect
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import tiny

import fieldrx
from fieldrx import (
    Acquisition,
    Illumination,
    InputError,
    Volume,
    load_field,
    napari_widgets,
    read_acquisition,
    simulate,
    write_volume,
)
from fieldrx.models import MODELS
from fieldrx.napari_reader import get_reader
from fieldrx.napari_widgets import calibration_layers, fit_layers
from fieldrx.napari_writer import write_layer


@pytest.fixture
def path(tmp_path):
    tiny.field(provenance={"name": "cell"}).save(tmp_path / "cell.npz")
    return str(tmp_path / "cell.npz")


def test_layers_are_pyramids_in_um(path, monkeypatch):
    monkeypatch.setattr("fieldrx.render.files._COARSEST", 30)
    field = tiny.field()
    (index, options, kind), (_, absorbing, _) = get_reader(path)(path)
    assert kind == "image"
    assert options["multiscale"]
    assert options["scale"] == (0.125, 0.0625, 0.0625)  # four times as fine as the fit
    assert options["translate"] == (-1, 0, 0)
    assert options["units"] == ("um", "um", "um")
    assert options["name"] == "cell: refractive index"
    assert not absorbing["visible"]
    assert [level.shape for level in index] == [(17, 93, 77), (17, 47, 39), (9, 24, 20)]
    for step, level in zip((1, 2, 4), index, strict=True):
        assert (level.ndim, level.dtype, level.size) == (3, np.float32, np.prod(level.shape))
        place = np.array([-1, 0, 0]) + np.array([8 // max(step // 2, 1), 6, 5]) * np.array(
            [0.125 * max(step // 2, 1), 0.0625 * step, 0.0625 * step]
        )
        assert level[8 // max(step // 2, 1), 6, 5] == pytest.approx(field(place).real, abs=1e-6)
    low, high = options["contrast_limits"]
    whole = np.asarray(index[-1])
    assert (low, high) == (whole.min(), whole.max())


@pytest.mark.parametrize(
    "key",
    [
        np.s_[3], np.s_[-1, 2], np.s_[..., 4], np.s_[2, ..., 3:9], np.s_[:, 5:20:3, ::-1], np.s_[1:3, -4:-1],
        np.s_[np.int64(2), :, 7], np.s_[3:3], np.s_[...], np.s_[1, 2, 3],
    ],
)  # fmt: skip
def test_levels_are_indexed_like_arrays(path, key):
    level = get_reader(path)(path)[0][0][0]
    whole = np.asarray(level)
    part = level[key]
    assert np.shape(part) == whole[key].shape
    assert part == pytest.approx(whole[key], abs=1e-6)


def test_index_outside_a_level(path):
    level = get_reader(path)(path)[0][0][0]
    for key in (17, -18):
        with pytest.raises(IndexError, match="outside an axis of 17"):
            level[key]


def test_other_files_are_left_to_other_readers(path, tmp_path):
    write_volume(tmp_path / "volume.npz", tiny.phantom())
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    for name in ("volume.npz", "broken.npz", "missing.npz"):
        assert get_reader(str(tmp_path / name)) is None
    assert get_reader([path, str(tmp_path / "volume.npz")]) is None
    assert len(get_reader([path, path])([path, path])) == 4


def test_manifest_is_valid_and_found():
    (entry,) = entry_points(group="napari.manifest", name="fieldrx")
    assert entry.value == "fieldrx:napari.yaml"
    manifest = str(files("fieldrx") / "napari.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", manifest], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


# ---- the writer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1])
def test_a_layer_is_saved_as_its_field(path, tmp_path, layer):
    data, options, _ = get_reader(path)(path)[layer]
    assert write_layer(str(tmp_path / "again.npz"), data, options) == [str(tmp_path / "again.npz")]
    assert np.array_equal(load_field(tmp_path / "again.npz").params, load_field(path).params)
    write_layer(str(tmp_path / "page.html"), data, options)
    assert "<title>cell</title>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    write_layer(str(tmp_path / "volume.tif"), data, options)
    grid = load_field(path).on_axes(*(axis(lo, hi, d) for (lo, hi), d in zip(REGION, SPACING, strict=True)))
    volume = tifffile.imread(tmp_path / "volume.tif")
    expected = grid.imag if layer else 1.33 + grid.real
    shown = volume if layer else volume[:, 0]  # index and absorption are channels
    assert shown == pytest.approx(expected, abs=1e-6)


SPACING, REGION = (0.5, 0.25, 0.25), ((-1.0, 1.0), (0.0, 5.75), (0.0, 4.75))  # of tiny.field


def axis(low, high, step):
    return low + step * np.arange(round((high - low) / step) + 1)


def test_what_the_writer_refuses(path, tmp_path):
    data, options, _ = get_reader(path)(path)[0]
    with pytest.raises(InputError, match="holes is of no field of fieldrx"):
        write_layer(str(tmp_path / "a.npz"), np.zeros((3, 3)), {"name": "holes", "metadata": {}})
    with pytest.raises(InputError, match="cannot write"):
        write_layer(str(tmp_path / "a.jpg"), data, options)
    assert [p.name for p in tmp_path.iterdir()] == ["cell.npz"]


# ---- widgets ---------------------------------------------------------------------------------------


def test_a_fit_gives_layers_and_is_saved(tmp_path):
    tiny.acquisition(holdout=(4,)).save(tmp_path / "acq.npz")
    out = tmp_path / "cell.npz"
    layers = fit_layers(tmp_path / "acq.npz", out, "-1:1:0.5", "born", "", 3)
    field = load_field(out)
    assert field.provenance.steps_done == 3 and not field.provenance.refine
    assert [kind for _, _, kind in layers] == ["image", "image"]
    assert np.array_equal(layers[0][1]["metadata"]["fieldrx"].params, field.params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": "cell.txt"}, "a field is saved as .npz"),
        ({"output": "none/cell.npz"}, "does not exist; create it first"),
        ({"depth": "deep"}, 'depth "deep" is not Z0:Z1:DZ'),
        ({"refine": "colour"}, "colour"),
        ({"acquisition": "none.toml"}, "no such file"),
    ],
)
def test_a_fit_that_makes_no_sense_is_refused_before_it_begins(tmp_path, changes, message):
    tiny.acquisition().save(tmp_path / "acq.npz")
    given = {
        "acquisition": "acq.npz",
        "output": "cell.npz",
        "depth": "-1:1:0.5",
        "model": "born",
        "refine": "",
    }
    given |= changes
    acquisition, output = tmp_path / given["acquisition"], tmp_path / given["output"]
    with pytest.raises(InputError, match=message):
        fit_layers(acquisition, output, given["depth"], given["model"], given["refine"], 10**6)
    assert [p.name for p in tmp_path.iterdir()] == ["acq.npz"]


def test_a_calibration_shows_the_pupil_plane(tmp_path):
    light = Illumination(np.concatenate([np.zeros((1, 2)), Illumination.led_ring(12, 0.4).sources_na]))
    optics = Acquisition(None, light, tiny.SCOPE)
    grains = np.random.default_rng(0).normal(size=(1, 64, 64)) * 0.01
    scene = Volume(grains, (0.5, 0.25, 0.25), (0.0, 0.0, 0.0), 1.33)
    simulate(scene, optics, "born", (64, 64)).save(tmp_path / "acq.npz")
    ((picture, options, kind),) = calibration_layers(tmp_path / "acq.npz", tmp_path / "out.npz", "unknown")
    assert kind == "image" and options["rgb"] and picture.ndim == 3 and picture.dtype == np.uint8
    expected = fieldrx.calibrate(read_acquisition(tmp_path / "acq.npz"), contrast="unknown")
    found = read_acquisition(tmp_path / "out.npz").illumination.sources_na
    assert np.array_equal(found, expected.acquisition.illumination.sources_na)
    assert options["metadata"]["notes"] == list(expected.notes)
    assert (tmp_path / "out.png").exists()


def test_widgets_are_made_without_napari():
    """Parameters that napari makes fields of; neither it nor Qt is imported by the modules of the plugin."""
    code = (
        "import sys, fieldrx.napari_widgets, fieldrx.napari_writer, fieldrx.napari_reader;"
        "print([m for m in sys.modules if m.split('.')[0] in ('napari', 'qtpy', 'PyQt6', 'magicgui')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    for widget in (napari_widgets.fit, napari_widgets.calibrate):
        parameters = inspect.signature(widget).parameters.values()
        assert all(p.annotation is not p.empty and not isinstance(p.annotation, str) for p in parameters)
    assert set(napari_widgets.fit.__annotations__["model"].__args__) == {"auto", *MODELS}


@pytest.mark.parametrize(("name", "n_arguments"), [("fit", 6), ("calibrate", 3)])
def test_a_widget_hands_its_work_to_a_thread(monkeypatch, name, n_arguments):
    asked = []
    threads = SimpleNamespace(create_worker=lambda *given, **options: asked.append((given, options)))
    monkeypatch.setitem(sys.modules, "napari", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "napari.qt", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "napari.qt.threading", threads)
    getattr(napari_widgets, name)("a.npz", "b.npz")
    (((work, *arguments), _),) = asked
    inspect.signature(work).bind(*arguments)  # fits
    assert len(arguments) == n_arguments

"""The napari reader, without napari: layers are plain tuples, the manifest is checked by npe2 itself."""

import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files

import numpy as np
import pytest
import tiny

from fieldrx import write_volume
from fieldrx.napari_reader import get_reader


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

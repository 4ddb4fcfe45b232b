"""Volumes of other programs: TIFF, OME-TIFF, .npy and OME-Zarr, with the scale that they tell."""

import json

import numpy as np
import pytest
import tifffile
import tiny
from click.testing import CliRunner

from fieldrx import InputError, read_volume
from fieldrx.cli import main
from fieldrx.io.metadata import read_metadata
from fieldrx.io.scaled import read_scaled
from fieldrx.io.spacing import zarr_transform
from fieldrx.render import render
from fieldrx.volume import open_volume

N0 = 1.33
STEPS = (0.5, 0.25, 0.3)


def values(shape=(3, 5, 4), seed=0):
    return (0.01 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize("quantity", ["n", "contrast"])
@pytest.mark.parametrize("ending", ["tif", "ome.tif", "ome.zarr"])
def test_what_fieldrx_renders_comes_back(tmp_path, ending, quantity):
    if ending == "ome.zarr":
        pytest.importorskip("zarr")
    field = tiny.field()
    path = tmp_path / f"v.{ending}"
    render(field, path, quantity=quantity, spacing=STEPS)
    expected = field.volume(STEPS)
    volume, notes = open_volume(path, medium_index=N0)
    np.testing.assert_allclose(volume.contrast, expected.contrast, atol=2e-7)
    assert np.abs(expected.contrast.imag).max() > 1e-3
    np.testing.assert_allclose(volume.spacing_um, STEPS)
    where = (0, 0, 0) if ending == "tif" else expected.origin_um  # ImageJ has no place for it
    np.testing.assert_allclose(volume.origin_um, where)
    assert [("subtracted" in n, "does not say where" in n) for n in notes] == [
        pair for pair, told in (((True, False), quantity == "n"), ((False, True), ending == "tif")) if told
    ]


def test_npy_takes_its_scale_from_the_options(tmp_path):
    path, data = tmp_path / "v.npy", values()
    np.save(path, data)
    with pytest.raises(InputError, match="along z, y, x: give the spacing"):
        read_volume(path, medium_index=N0)
    with pytest.raises(InputError, match="index of the medium"):
        read_volume(path, STEPS)
    volume = read_volume(path, 0.2, (1, 2, 3), N0)
    np.testing.assert_array_equal(volume.contrast, data)
    assert (volume.spacing_um, volume.origin_um) == ((0.2,) * 3, (1, 2, 3))


def test_options_replace_what_a_volume_file_says(tmp_path):
    from fieldrx import write_volume

    write_volume(tmp_path / "v.npz", tiny.phantom())
    assert read_volume(tmp_path / "v.npz").spacing_um == (0.5, 0.25, 0.3)
    moved = read_volume(tmp_path / "v.npz", 0.4, (1, 2, 3))
    assert (moved.spacing_um, moved.origin_um) == ((0.4,) * 3, (1, 2, 3))


@pytest.mark.parametrize(
    "unit, factor",
    [
        *(("um", 1), ("micron", 1), ("micrometer", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("nanometer", 1e-3)),
        *(("angstrom", 1e-4), ("mm", 1e3), ("Meter", 1e6), ("pixel", None), ("", None)),
    ],
)
def test_imagej_units(tmp_path, unit, factor):
    """Of volumes and of the images of a fit."""
    path = tmp_path / "v.tif"
    told = {"axes": "ZYX", "spacing": 4.0, "unit": unit}
    tifffile.imwrite(path, values(), imagej=True, resolution=(1 / 3.0, 1 / 2.0), metadata=told)
    found = read_scaled(path)
    if factor is None:
        assert found.spacing_um == (None, None, None) and read_metadata(path) == {}
    else:
        told, program = read_metadata(path)["pixel_size_um"]
        assert (told, program) == (pytest.approx(3 * factor), "ImageJ")
        np.testing.assert_allclose(found.spacing_um, np.array([4.0, 2.0, 3.0]) * factor, rtol=1e-6)
    np.testing.assert_array_equal(found.values, values())


def test_ome_units_and_missing_sizes(tmp_path):
    path = tmp_path / "v.ome.tif"
    sizes = {"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, values(), ome=True, photometric="minisblack", metadata={"axes": "ZYX", **sizes})
    assert read_scaled(path).spacing_um == (None, 0.5, 0.25)
    with pytest.raises(InputError, match="apart along z: give"):
        read_volume(path, medium_index=N0)


def test_pages_of_a_plain_tiff_are_slices(tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", values(), photometric="minisblack")
    found = read_scaled(tmp_path / "v.tif")
    np.testing.assert_array_equal(found.values, values())
    assert found.spacing_um == (None, None, None)


def test_one_image_is_one_slice(tmp_path):
    np.save(tmp_path / "v.npy", values((5, 4)))
    assert read_scaled(tmp_path / "v.npy").values.shape == (1, 5, 4)


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_of_other_programs(tmp_path, version):
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(tmp_path / "v.zarr", zarr_format=version)
    group.create_array("full", data=values((2, 3, 5, 4)))
    axes = [
        {"name": "t", "type": "time"},
        *({"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"),
    ]
    scale = [
        {"type": "scale", "scale": [1, 500, 250, 300]},
        {"type": "translation", "translation": [0, 1e3, 2e3, 3e3]},
    ]
    told = {
        "multiscales": [{"axes": axes, "datasets": [{"path": "full", "coordinateTransformations": scale}]}]
    }
    group.attrs.update(told if version == 2 else {"ome": {"version": "0.5", **told}})
    with pytest.raises(InputError, match="2 values along axis T"):
        read_scaled(tmp_path / "v.zarr")
    group.create_array("full", data=values((1, 3, 5, 4)), overwrite=True)
    found = read_scaled(tmp_path / "v.zarr")
    np.testing.assert_array_equal(found.values, values((1, 3, 5, 4))[0])
    np.testing.assert_allclose(found.spacing_um, STEPS)
    np.testing.assert_allclose(found.origin_um, (1, 2, 3))


def test_transformations_of_zarr_go_one_after_the_other():
    level = [{"type": "scale", "scale": [2, 3]}, {"type": "translation", "translation": [5, 7]}]
    told = {
        "axes": ["y", "x"],
        "datasets": [{"path": "0", "coordinateTransformations": level}],
        "coordinateTransformations": [{"type": "scale", "scale": [10, 100]}],
    }
    steps, place = zarr_transform(told)
    np.testing.assert_array_equal(steps, [20, 300])
    np.testing.assert_array_equal(place, [50, 700])


def broken(folder, case):
    path = folder / "v.tif"
    if case == "truncated":
        tifffile.imwrite(path, values((3, 50, 40)), photometric="minisblack")
        path.write_bytes(path.read_bytes()[:-9000])
    elif case == "no tiff":
        path.write_bytes(b"II*\0 and then nothing")
    elif case == "integers":
        tifffile.imwrite(path, np.ones((3, 5, 4), np.uint16), photometric="minisblack")
    elif case == "two channels":
        tifffile.imwrite(path, values((3, 2, 5, 4)), imagej=True, metadata={"axes": "ZCYX"})
    elif case == "time":
        tifffile.imwrite(path, values((2, 3, 5, 4)), imagej=True, metadata={"axes": "TZYX"})
    elif case == "zeros around":
        data = 1.33 + values()
        data[0] = 0
        tifffile.imwrite(path, data, photometric="minisblack")
    elif case == "not finite":
        data = values()
        data[1, 2, 3] = np.nan
        tifffile.imwrite(path, data, photometric="minisblack")
    elif case == "four axes":
        path = folder / "v.npy"
        np.save(path, values((2, 3, 5, 4)))
    elif case == "pickle":
        path = folder / "v.npy"
        np.save(path, np.array([[[{}]]], object), allow_pickle=True)
    elif case == "no zarr":
        path = folder / "v.ome.zarr"
        path.mkdir()
        (path / ".zattrs").write_text(json.dumps({"multiscales": []}))
    elif case == "ending":
        path = folder / "v.mrc"
        path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    "case, words",
    [
        ("truncated", "TIFF|ends before"),
        ("no tiff", "damaged or truncated TIFF|holds 0 series"),
        ("integers", "uint16 numbers, whose meaning is not known"),
        ("two channels", "two channels"),
        ("time", "2 values along axis T"),
        ("zeros around", "expected an index near the medium's 1.33"),
        ("not finite", "not finite"),
        ("four axes", "expected three axes"),
        ("pickle", "not a readable .npy"),
        ("no zarr", "cannot be read as OME-Zarr|needs zarr"),
        ("ending", "expected a volume that ends in"),
    ],
)
def test_what_is_refused(tmp_path, case, words):
    path = broken(tmp_path, case)
    with pytest.raises(InputError, match=words) as caught:
        read_volume(path, 0.5, medium_index=N0)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_the_commands(tmp_path):
    """simulate and --truth of a TIFF give what the .npz gives."""
    from fieldrx import write_volume

    phantom, optics = tiny.phantom(), tmp_path / "acq.npz"
    tiny.acquisition().save(optics)
    write_volume(tmp_path / "v.npz", phantom)
    np.save(tmp_path / "v.npy", phantom.contrast + phantom.medium_index)
    tiny.field(bounds_um=np.array([(-1.25, 1.25), (-2.0, 7.0), (-1.5, 6.0)])).save(tmp_path / "f.npz")
    place = ["--spacing", "0.5,0.25,0.3", "--origin=-1,0.5,0.4"]
    run = CliRunner().invoke
    images, errors = [], []
    for name, options in (("v.npz", []), ("v.npy", place)):
        out = tmp_path / f"{name}-images.npz"
        done = run(main, ["simulate", str(tmp_path / name), str(optics), "-o", str(out), *options])
        assert done.exit_code == 0, done.output
        images.append(np.load(out)["images"])
        asked = [
            "evaluate",
            tmp_path / "f.npz",
            optics,
            "--model",
            "born",
            "--truth",
            tmp_path / name,
            *options,
        ]
        done = run(main, list(map(str, asked)))
        assert done.exit_code == 0, done.output
        errors.append(json.loads(done.stdout))
    np.testing.assert_allclose(images[1], images[0], atol=1e-5)
    assert np.ptp(images[0]) > 0.01
    known = [{k: v for k, v in e.items() if "truth" in k or "index" in k} for e in errors]
    assert known[0] and known[0] == pytest.approx(known[1], rel=1e-3)
    asked = run(main, ["simulate", str(tmp_path / "v.npy"), str(optics), "-o", str(tmp_path / "o.npz")])
    assert asked.exit_code == 2 and "--spacing" in asked.output
    asked = run(main, ["evaluate", str(tmp_path / "f.npz"), str(optics), "--spacing", "1"])
    assert asked.exit_code == 2 and "--truth" in asked.output

"""File formats of `fieldrx.io`: round trips, and one line for every broken file."""

import io as text_io
import logging
import os
import stat
import struct
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldrx import io
from fieldrx.errors import InputError

STACK = np.random.default_rng(1).integers(0, 4000, (7, 12, 15)).astype(np.uint16)


def refuses(path, *words):
    """The one-line error about a file that holds all the words."""

    class Check:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, _):
            assert kind is not None, "no error"
            if not issubclass(kind, InputError):
                return False
            text = str(error)
            assert "\n" not in text
            for word in (os.path.basename(path), *words):
                assert word in text, f"{word!r} not in {text!r}"
            return True

    return Check()


# --- atomic writing --------------------------------------------------------------------------


def test_atomic_path_replaces_when_done(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with io.atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".bin"
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_atomic_path_keeps_the_old_file(tmp_path, error):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(error), io.atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_atomic_path_follows_links_and_keeps_the_umask(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.npz"
    link.symlink_to(tmp_path / "real" / "x.npz")
    io.save_npz(link, a=1)
    assert link.is_symlink()
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE((tmp_path / "real" / "x.npz").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_atomic_path_refuses(tmp_path):
    with refuses(tmp_path, "is a folder; give the name of a file"), io.atomic_path(tmp_path):
        pass
    missing = tmp_path / "no" / "a.npz"
    with refuses(missing, "does not exist; create it"), io.atomic_path(missing):
        pass
    with refuses(os.devnull, "not a regular file"), io.atomic_path(os.devnull):
        pass


# --- npz -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_round_trip(tmp_path, compressed):
    path = tmp_path / "no_ending"
    io.save_npz(path, compressed=compressed, a=STACK, text="µm", number=1.5)
    arrays = io.load_npz(path, "field", ("a",))
    np.testing.assert_array_equal(arrays["a"], STACK)
    assert str(arrays["text"]) == "µm"
    assert float(arrays["number"]) == 1.5
    assert os.listdir(tmp_path) == ["no_ending"]


def test_save_npz_refuses_objects(tmp_path):
    with pytest.raises(TypeError, match="a holds Python objects"):
        io.save_npz(tmp_path / "x.npz", a=np.array([{}, None]))
    assert os.listdir(tmp_path) == []


def test_load_npz_refuses_objects(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, images=np.array([1, "a", None], dtype=object))
    with refuses(path, '"images"', "never unpickles", "save it as"):
        io.load_npz(path, "acquisition")


@pytest.mark.parametrize("keep", [0.0, 0.05, 0.5, 0.9, 0.999])
def test_load_npz_refuses_truncated(tmp_path, keep):
    path = tmp_path / "x.npz"
    io.save_npz(path, a=STACK)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with refuses(path, "not a .npz archive, or cut short", "fieldrx volume", "again"):
        io.load_npz(path, "volume")


def test_load_npz_refuses_damaged(tmp_path):
    path = tmp_path / "x.npz"
    io.save_npz(path, a=STACK)
    content = bytearray(path.read_bytes())
    content[500] ^= 255
    path.write_bytes(content)
    with refuses(path, "damaged archive", "again"):
        io.load_npz(path, "volume")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 1500), value=st.integers(0, 255))
def test_load_npz_survives_any_byte(tmp_path, position, value):
    path = tmp_path / "x.npz"
    io.save_npz(path, compressed=True, a=STACK[:2], b=np.arange(4.0))
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        io.load_npz(path, "volume", ("a", "b"))
    except InputError as error:
        assert "x.npz" in str(error)


def test_load_npz_refuses_other_files(tmp_path):
    with refuses(tmp_path, "is a folder", "give a file inside"):
        io.load_npz(tmp_path, "volume")
    (tmp_path / "cells.npz").touch()
    path = tmp_path / "cell.npz"
    with refuses(path, "no such file", 'did you mean "cells.npz"'):
        io.load_npz(path, "volume")
    np.save(tmp_path / "a.npy", STACK)
    with refuses("a.npy", "not a .npz archive"):
        io.load_npz(tmp_path / "a.npy", "volume")
    with zipfile.ZipFile(tmp_path / "z.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with refuses("z.npz", "readme.txt", "numpy.savez"):
        io.load_npz(tmp_path / "z.npz", "volume")


def test_load_npz_names_missing_and_present_keys(tmp_path):
    path = tmp_path / "x.npz"
    io.save_npz(path, a=1, b=2)
    with refuses(path, 'lacks "c"', "it holds a, b"):
        io.load_npz(path, "field", ("a", "c"))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write anything"
)
def test_permissions(tmp_path):
    path = tmp_path / "x.npz"
    io.save_npz(path, a=1)
    path.chmod(0)
    with refuses(path, "no permission"):
        io.load_npz(path, "field")
    tmp_path.chmod(0o500)
    with refuses(path, "not writable"):
        io.save_npz(path, a=1)
    tmp_path.chmod(0o700)


# --- TIFF in ---------------------------------------------------------------------------------

LAYOUTS = {
    "plain": {},
    "bare": {"metadata": None},
    "deflate": {"compression": "zlib"},
    "imagej": {"imagej": True},
    "ome": {"ome": True},
    "one-header": {"truncate": True},
    "tiles": {"tile": (16, 16)},
    "big-endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_read_tiff_stack(tmp_path, layout, dtype):
    images = (STACK % 250).astype(dtype)
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack", **LAYOUTS[layout])
    read = io.read_images("s.tif", tmp_path)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, images)
    cut = io.read_images("s.tif", tmp_path, region=[2, 11, 3, 7])
    np.testing.assert_array_equal(cut, images[:, 2:11, 3:7])


def test_read_tiff_written_frame_by_frame(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        for image in STACK:
            writer.write(image, contiguous=False)
    np.testing.assert_array_equal(io.read_images("s.tif", tmp_path), STACK)


@pytest.mark.parametrize("n", [3, 4])
def test_read_tiff_of_images_stored_as_colour_planes(tmp_path, n):
    tifffile.imwrite(tmp_path / "s.tif", STACK[:n], photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(io.read_images("s.tif", tmp_path), STACK[:n])


def test_read_tiff_of_one_image(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", STACK[0])
    np.testing.assert_array_equal(io.read_images("s.tif", tmp_path), STACK[:1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("keep", [0.0, 0.002, 0.3, 0.6, 0.9])
def test_read_tiff_refuses_truncated(tmp_path, layout, keep, caplog):
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **LAYOUTS[layout])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with caplog.at_level(logging.DEBUG), refuses(path, "TIFF", "again"):
        io.read_images("s.tif", tmp_path)
    assert not caplog.records  # what tifffile logs is told in the error, not beside it


def test_read_tiff_refuses_other_files(tmp_path):
    (tmp_path / "s.tif").write_text("hello" * 30)
    with refuses("s.tif", "not a TIFF", "again"):
        io.read_images("s.tif", tmp_path)
    with refuses("no.tif", "no such file", "check the path"):
        io.read_images("no.tif", tmp_path)
    with refuses(tmp_path, "is a folder"):
        io.read_images(".", tmp_path)
    tifffile.imwrite(tmp_path / "rgb.tif", np.moveaxis(STACK, 0, -1)[None, ..., :3], photometric="rgb")
    with refuses("rgb.tif", "colour", "convert"):
        io.read_images("rgb.tif", tmp_path)
    tifffile.imwrite(tmp_path / "t.tif", np.zeros((2, 3, 8, 9), np.uint8), imagej=True)
    with refuses("t.tif", "(2, 3, 8, 9)", "expected (n_images, y, x)"):
        io.read_images("t.tif", tmp_path)


def test_read_tiff_refuses_pages_of_several_shapes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        writer.write(STACK[0], metadata=None)
        writer.write(STACK[1, :5], metadata=None)
    with refuses(
        "s.tif",
        "differ in shape",
        "0: (12, 15) uint16, 1: (5, 15) uint16",
        "select = { series = 0 }",
        "export",
    ):
        io.read_images("s.tif", tmp_path)


@pytest.mark.parametrize("region", [[0, 13, 0, 5], [4, 4, 0, 5], [5, 4, 0, 5], [-1, 4, 0, 5], [0, 4, 0, 16]])
@pytest.mark.parametrize("source", ["s.tif", "s.npy"])
def test_region_outside_or_empty(tmp_path, region, source):
    tifffile.imwrite(tmp_path / "s.tif", STACK)
    np.save(tmp_path / "s.npy", STACK)
    with refuses(source, str(region), "12 x 15", "expected 0 <= y0 < y1 <= 12"):
        io.read_images(source, tmp_path, region)


# --- one file per image ----------------------------------------------------------------------


def write_pattern(folder, leds, name="img_y{row}_x{col}.tif"):
    for k, (row, col) in enumerate(leds):
        tifffile.imwrite(folder / name.format(row=row, col=col), STACK[k])


def test_pattern_is_ordered_by_number(tmp_path):
    leds = [(10, 2), (9, 11), (9, 3), (-1, 0)]
    write_pattern(tmp_path, leds)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "img_y1_x1_old.tif").touch()
    paths, found = io.list_images("img_y{row}_x{col}.tif", tmp_path)
    assert found.tolist() == [[-1, 0], [9, 3], [9, 11], [10, 2]]
    assert paths[0].name == "img_y-1_x0.tif"
    np.testing.assert_array_equal(io.read_images("img_y{row}_x{col}.tif", tmp_path), STACK[[3, 2, 1, 0]])


def test_pattern_characters_are_literal(tmp_path):
    (tmp_path / "a(b)").mkdir()
    write_pattern(tmp_path / "a(b)", [(0, 1)], "led.{col}+{row}.tif")
    assert len(io.list_images("a(b)/led.{col}+{row}.tif", tmp_path)[0]) == 1
    assert io.list_images("a(b)/led.{col}+{row}.tif", tmp_path)[1].tolist() == [[0, 1]]


def test_list_of_files_keeps_its_order(tmp_path):
    write_pattern(tmp_path, [(0, 0), (0, 1)])
    read = io.read_images(["img_y0_x1.tif", "img_y0_x0.tif"], tmp_path)
    np.testing.assert_array_equal(read, STACK[[1, 0]])


def test_pattern_errors(tmp_path):
    pattern = "img_y{row}_x{col}.tif"
    with refuses(pattern, "no file matches", "img_y12_x7.tif", "check the pattern"):
        io.read_images(pattern, tmp_path)
    with refuses(pattern, "does not exist"):
        io.read_images(f"no/{pattern}", tmp_path)
    for wrong in ("img_{row}.tif", "img_{row}_{row}_{col}.tif", "img_{x}.tif", "{row}/img_{col}.tif"):
        with refuses(wrong, "{row} and {col} once each"):
            io.read_images(wrong, tmp_path)
    write_pattern(tmp_path, [(1, 1)])
    tifffile.imwrite(tmp_path / "img_y1_x01.tif", STACK[1])
    with refuses(pattern, "img_y1_x01.tif and img_y1_x1.tif both show LED (1, 1)"):
        io.read_images(pattern, tmp_path)


def test_pattern_refuses_mixed_images(tmp_path):
    write_pattern(tmp_path, [(0, 0), (0, 1)])
    pattern = "img_y{row}_x{col}.tif"
    for odd in (STACK[0, :5], STACK[0].astype(np.uint8)):
        tifffile.imwrite(tmp_path / "img_y0_x2.tif", odd)
        with refuses("img_y0_x2.tif", "img_y0_x0.tif has 12 x 15 and uint16", "leave out"):
            io.read_images(pattern, tmp_path)
    tifffile.imwrite(tmp_path / "img_y0_x2.tif", STACK)
    with refuses("img_y0_x2.tif", "holds 7 images"):
        io.read_images(pattern, tmp_path)


@pytest.mark.parametrize("source", [[], [1, 2]])
def test_list_of_files_must_be_names(source):
    with pytest.raises(InputError, match=r"files is .*expected at least one file name"):
        io.read_images(source)


# --- NumPy, HDF5, MATLAB ---------------------------------------------------------------------


def test_read_npy(tmp_path):
    np.save(tmp_path / "s.npy", STACK)
    np.testing.assert_array_equal(io.read_images("s.npy", tmp_path), STACK)
    read = io.read_images("s.npy", tmp_path, [1, 4, 2, 9])
    np.testing.assert_array_equal(read, STACK[:, 1:4, 2:9])
    assert not isinstance(read, np.memmap)
    np.save(tmp_path / "c.npy", STACK + 1j)
    with refuses("c.npy", "complex", "abs(field)**2"):
        io.read_images("c.npy", tmp_path)
    np.save(tmp_path / "b.npy", STACK > 1)
    with refuses("b.npy", "type bool"):
        io.read_images("b.npy", tmp_path)
    np.save(tmp_path / "e.npy", STACK[:0])
    with refuses("e.npy", "(0, 12, 15)", "no pixels"):
        io.read_images("e.npy", tmp_path)
    (tmp_path / "t.npy").write_bytes((tmp_path / "s.npy").read_bytes()[:300])
    with refuses("t.npy", "not a readable .npy", "again"):
        io.read_images("t.npy", tmp_path)
    np.savez(tmp_path / "z.npz", a=STACK)
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    np.testing.assert_array_equal(io.read_images("z.npy", tmp_path), STACK)  # known by its content


@pytest.fixture
def hdf5(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"] = STACK
        file["group/one"] = STACK[0]
        file["field"] = STACK[:2] + 1j
        file["text"] = "hello"
    return tmp_path


def test_read_hdf5(hdf5):
    np.testing.assert_array_equal(io.read_images("data.h5:/images", hdf5), STACK)
    np.testing.assert_array_equal(io.read_images("data.h5:images", hdf5, [1, 4, 2, 9]), STACK[:, 1:4, 2:9])
    np.testing.assert_array_equal(io.read_images("data.h5:/group/one", hdf5), STACK[:1])


def test_read_hdf5_errors(hdf5):
    with refuses("data.h5", 'no dataset "img"', "field, group/one, images, text"):
        io.read_images("data.h5:/img", hdf5)
    for source in ("data.h5", "data.h5:"):
        with refuses("data.h5", "needs the name", "data.h5:/NAME"):
            io.read_images(source, hdf5)
    with refuses("data.h5", "complex"):
        io.read_images("data.h5:/field", hdf5)
    with refuses("data.h5", "type object"):
        io.read_images("data.h5:/text", hdf5)
    with refuses("data.h5", "region"):
        io.read_images("data.h5:/images", hdf5, [0, 99, 0, 1])
    with refuses("no.h5", "no such file"):
        io.read_images("no.h5:/images", hdf5)
    (hdf5 / "data.h5").write_bytes((hdf5 / "data.h5").read_bytes()[:900])
    with refuses("data.h5", "damaged", "again"):
        io.read_images("data.h5:/images", hdf5)


def test_hdf5_without_h5py(hdf5, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with refuses("data.h5", "pip install fieldrx[io]"):
        io.read_images("data.h5:/images", hdf5)


def write_mat_v73(path, **arrays):
    """As MATLAB does: HDF5 behind 512 bytes, every array with its axes reversed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            file[name] = value.T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_mat(path, version, **arrays):
    if version == "5":
        scipy.io.savemat(path, arrays)
    else:
        write_mat_v73(path, **arrays)


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_read_mat_counts_images_along_the_last_axis(tmp_path, version):
    write_mat(tmp_path / "d.mat", version, I_Raw=np.moveaxis(STACK, 0, -1), one=STACK[0])
    read = io.read_images("d.mat:/I_Raw", tmp_path)
    np.testing.assert_array_equal(read, STACK)
    assert read.flags.c_contiguous
    np.testing.assert_array_equal(io.read_images("d.mat:I_Raw", tmp_path, [1, 4, 2, 9]), STACK[:, 1:4, 2:9])
    np.testing.assert_array_equal(io.read_images("d.mat:/one", tmp_path), STACK[:1])


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_read_mat_errors(tmp_path, version):
    path = tmp_path / "d.mat"
    write_mat(path, version, I_Raw=np.moveaxis(STACK, 0, -1), field=STACK[0] * 1j)
    with refuses(path, "I_raw", "I_Raw", "d.mat:/NAME"):
        io.read_images("d.mat:/I_raw", tmp_path)
    with refuses(path, "complex"):
        io.read_images("d.mat:/field", tmp_path)
    with refuses(path, "region"):
        io.read_images("d.mat:/I_Raw", tmp_path, [0, 12, 0, 16])
    path.write_bytes(path.read_bytes()[:700])
    with refuses(path, "again"):
        io.read_images("d.mat:/I_Raw", tmp_path)


def test_read_mat_other_files(tmp_path):
    (tmp_path / "d.mat").write_text("hello")
    with refuses("d.mat", "cannot be read as MATLAB", "again"):
        io.read_images("d.mat:/a", tmp_path)
    scipy.io.savemat(tmp_path / "s.mat", {"a": scipy.sparse.eye_array(3)})
    with refuses("s.mat", "full array"):
        io.read_images("s.mat:/a", tmp_path)


def test_load_hdf5_reads_datasets_and_attributes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = STACK
        file["notes"] = ["a", "b"]
        file.attrs["wavelength_um"] = 0.5
        file.attrs["name"] = "cell"
        file.create_group("ignored")
    arrays = io.load_hdf5(tmp_path / "a.h5")
    assert sorted(arrays) == ["images", "name", "notes", "wavelength_um"]
    assert str(arrays["name"]) == "cell"
    assert arrays["notes"].tolist() == ["a", "b"]


VOLUME = np.random.default_rng(2).normal(size=(4, 6, 9))


# --- volumes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "read"),
    [("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("c8", "c8"), ("c16", "c16"), ("i2", "f4")],
)
@pytest.mark.parametrize("spacing", [0.25, (0.5, 0.2, 0.1)])
def test_volume_round_trip(tmp_path, stored, read, spacing):
    path = tmp_path / "v.npz"
    contrast = VOLUME.astype(stored)
    np.savez(path, contrast=contrast, spacing_um=spacing, origin_um=[-1, 2, 3], medium_index=1.33)
    volume = io.read_volume(path)
    io.write_volume(path, volume, compressed=True)
    again = io.read_volume(path)
    assert again.contrast.dtype == np.dtype(read)
    np.testing.assert_array_equal(again.contrast, contrast)
    assert again.spacing_um == ((0.25,) * 3 if spacing == 0.25 else spacing)
    assert again.origin_um == (-1, 2, 3)
    assert again.medium_index == 1.33
    assert again.grid.shape == VOLUME.shape
    assert again.grid.axis(1)[1] == 2 + again.spacing_um[1]


def test_a_volume_is_saved_as_npz_alone(tmp_path):
    made = tmp_path / "v.npz"
    np.savez(made, contrast=VOLUME, spacing_um=0.2, origin_um=[0, 0, 0], medium_index=1.33)
    with pytest.raises(InputError, match=r"x\.tif: a volume is saved as \.npz"):
        io.write_volume(tmp_path / "x.tif", io.read_volume(made))
    assert not (tmp_path / "x.tif").exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("contrast", VOLUME[0], ("shape (6, 9)", "(z, y, x)")),
        ("contrast", VOLUME > 0, ("type bool",)),
        ("contrast", VOLUME[:0], ("(0, 6, 9)",)),
        ("contrast", np.where(VOLUME > 1, np.nan, VOLUME), ("not finite", "set them to 0")),
        ("spacing_um", [1, 2], ("[1, 2]", "1 or 3 finite")),
        ("spacing_um", 0, ("must be positive",)),
        ("spacing_um", "x", ("'x'", "1 or 3 finite")),
        ("origin_um", 0.0, ("3 finite",)),
        ("medium_index", [1, 2], ("1 finite",)),
        ("medium_index", np.nan, ("nan", "1 finite")),
    ],
)
def test_volume_errors(tmp_path, key, value, words):
    path = tmp_path / "v.npz"
    arrays = {"contrast": VOLUME, "spacing_um": 1.0, "origin_um": [0, 0, 0], "medium_index": 1.33}
    np.savez(path, **{**arrays, key: value})
    with refuses(path, key, *words):
        io.read_volume(path)
    del arrays[key]
    np.savez(path, **arrays)
    with refuses(path, f'lacks "{key}"', "it holds"):
        io.read_volume(path)


# --- PNG -------------------------------------------------------------------------------------


def decode_png(path):
    """A reader of its own: chunks, checksums, and the one filter that is used."""
    stream = text_io.BytesIO(path.read_bytes())
    assert stream.read(8) == b"\x89PNG\r\n\x1a\n"
    chunks = {}
    while head := stream.read(8):
        size, name = struct.unpack(">I4s", head)
        chunks[name] = stream.read(size)
        assert struct.unpack(">I", stream.read(4))[0] == zlib.crc32(name + chunks[name])
    nx, ny, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    samples = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(ny, -1)
    assert (rows[:, 0] == 2).all()
    pixels = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(ny, nx, samples)
    return pixels[..., 0] if samples == 1 else pixels


@pytest.mark.parametrize("shape", [(5, 8), (5, 8, 3), (1, 1), (1, 7, 3)])
def test_png_round_trip(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    io.write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(decode_png(tmp_path / "a.png"), image)


def test_png_is_what_others_read(tmp_path):
    plt = pytest.importorskip("matplotlib.image")
    image = np.random.default_rng(0).integers(0, 256, (5, 8, 3)).astype(np.uint8)
    io.write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(np.rint(plt.imread(tmp_path / "a.png") * 255), image)


def test_png_scales_real_numbers(tmp_path):
    image = np.array([[0.5, 1.0, 1.5], [np.nan, np.inf, -np.inf]])
    io.write_png(tmp_path / "a.png", image)
    assert decode_png(tmp_path / "a.png").tolist() == [[0, 128, 255], [0, 255, 0]]
    io.write_png(tmp_path / "a.png", image, limits=(1, 2))
    assert decode_png(tmp_path / "a.png").tolist() == [[0, 0, 128], [0, 255, 0]]
    io.write_png(tmp_path / "a.png", np.full((2, 2), 3.0))
    assert (decode_png(tmp_path / "a.png") == 0).all()
    io.write_png(tmp_path / "a.png", np.full((2, 2), np.nan))
    assert (decode_png(tmp_path / "a.png") == 0).all()


@pytest.mark.parametrize("shape", [(3,), (2, 2, 4), (0, 5)])
def test_png_refuses_shapes(tmp_path, shape):
    with pytest.raises(ValueError, match=r"expected \(y, x\) or \(y, x, 3\)"):
        io.write_png(tmp_path / "a.png", np.zeros(shape, np.uint8))


def test_volume_between_its_voxels():
    """Linear functions are met exactly, and nothing is left one voxel outside."""
    z, y, x = np.arange(3.0), np.arange(4.0), np.arange(5.0)
    values = 1 + z[:, None, None] + 10 * y[:, None] + 100 * x
    volume = io.Volume(values, (0.5, 2.0, 0.1), (-1.0, 3.0, 0.0), 1.33)
    out = volume.on_axes([-0.75, 0.0], [3.5, 9.0, 40.0], [0.05, 0.4])
    expected = 1 + np.array([0.5, 2])[:, None, None] + 10 * np.array([0.25, 3])[:, None] + [50.0, 400.0]
    assert out[:, :2] == pytest.approx(expected, rel=1e-6)
    assert not out[:, 2].any()
    assert volume.on_axes(*volume.grid.axes) == pytest.approx(values, rel=1e-6)

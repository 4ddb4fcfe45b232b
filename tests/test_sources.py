"""Arrays in files: HDF5 that points elsewhere or has holes, MATLAB's structs, .npz, Zarr; file names."""

import json
import os
import shutil
import sys
import unicodedata

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile

import fieldrx
from fieldrx.errors import InputError
from fieldrx.io import Choice, list_images, read_images, read_stack

STACK = np.random.default_rng(3).integers(100, 4000, (6, 12, 15)).astype(np.uint16)
COLUMNS = np.moveaxis(STACK, 0, -1)  # as MATLAB counts: (y, x, n)
REGION = [2, 9, 3, 11]
CUT = STACK[:, 2:9, 3:11]


def refused(folder, source, words, **options):
    with pytest.raises(InputError, match=words) as caught:
        read_images(source, folder, **options)
    assert "\n" not in str(caught.value)


# --- HDF5 ------------------------------------------------------------------------------------


def test_hdf5_links(tmp_path):
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["frames"] = STACK
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["raw/frames"] = STACK
        file["soft"] = h5py.SoftLink("/raw/frames")
        file["hard"] = file["raw/frames"]
        file["away"] = h5py.ExternalLink("part.h5", "/frames")
        file["lost"] = h5py.SoftLink("/raw/nothing")
    for name in ("soft", "hard", "away"):
        np.testing.assert_array_equal(read_images(f"d.h5:/{name}", tmp_path, REGION), CUT)
    refused(tmp_path, "d.h5:/lost", r"lost is a link to /raw/nothing, which is not there")
    refused(tmp_path, "d.h5:/no", r'no dataset "no".*away, hard, raw/frames, soft')
    (tmp_path / "part.h5").unlink()
    refused(tmp_path, "d.h5:/away", r"link to part\.h5:/frames.*copy that file beside it")


def virtual(folder):
    layout = h5py.VirtualLayout(STACK.shape, "u2")
    for k, image in enumerate(STACK):
        with h5py.File(folder / f"led{k}.h5", "w") as file:
            file["image"] = image
        layout[k] = h5py.VirtualSource(f"led{k}.h5", "image", image.shape)
    with h5py.File(folder / "all.h5", "w") as file:
        file.create_virtual_dataset("images", layout)
        layout = h5py.VirtualLayout((7, 12, 15), "u2")
        layout[:6] = h5py.VirtualSource(".", "images", STACK.shape)
        file.create_virtual_dataset("holes", layout)


def test_hdf5_virtual_datasets(tmp_path):
    virtual(tmp_path)
    np.testing.assert_array_equal(read_images("all.h5:/images", tmp_path), STACK)
    refused(tmp_path, "all.h5:/holes", r"has no source for 180 of its 1260 pixels")
    (tmp_path / "led4.h5").unlink()
    refused(tmp_path, "all.h5:/images", r"1 of the 6 files .*: led4\.h5; copy them beside it")


def test_hdf5_raw_files(tmp_path):
    STACK.tofile(tmp_path / "raw.bin")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_dataset("images", STACK.shape, "u2", external=[("raw.bin", 0, STACK.nbytes)])
    np.testing.assert_array_equal(read_images("d.h5:/images", tmp_path), STACK)
    os.truncate(tmp_path / "raw.bin", STACK.nbytes - 1)
    refused(tmp_path, "d.h5:/images", r"1 of the 1 raw files .*raw\.bin")


def test_hdf5_odd_items(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["images"] = STACK
        file["itself"] = h5py.SoftLink("/itself")
        file["empty"] = h5py.Empty("f4")
        file.create_group("nothing")
        file["number"] = 3.0
    for name, words in (
        ("itself", "itself is a link to /itself, which is not there"),
        ("empty", "without any values"),
        ("nothing", "holds nothing"),
        ("number", r"shape \(\); expected"),
        ("images/x", 'no dataset "images/x".*NAME one of: empty, images, number'),
    ):
        refused(tmp_path, f"d.h5:/{name}", words)


def test_hdf5_of_a_run_that_stopped(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        data = file.create_dataset("images", STACK.shape, "u2", chunks=(1, 5, 15))
        data[:4] = STACK[:4]
        data[4, :5] = STACK[4, :5]
        file.create_dataset("nothing", STACK.shape, "u2")
    refused(tmp_path, "d.h5:/images", r"2 of 6 images were never written.*image 4.*exclude = \[4, 5\]")
    np.testing.assert_array_equal(read_images("d.h5:/images", tmp_path, exclude=[4, 5]), STACK[:4])
    np.testing.assert_array_equal(  # the part of image 4 that is there is enough
        read_images("d.h5:/images", tmp_path, [0, 5, 0, 9], exclude=[5]), STACK[:5, :5, :9]
    )
    refused(tmp_path, "d.h5:/nothing", "6 of 6 images were never written")


def test_hdf5_without_the_plugin_of_its_compression(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_dataset("images", data=STACK, chunks=(1, 12, 15), compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: False)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    refused(tmp_path, "d.h5:/images", r"filter 1 \(deflate\).*pip install hdf5plugin")


def test_hdf5_group_of_images(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for k in range(12):
            file[f"images/led_{k}"] = STACK[k % 6] + k
            file[f"0/{k}"] = STACK[k % 6] + k
        file["odd/a"] = STACK[0]
        file["odd/b"] = STACK[1]
    expected = np.array([STACK[k % 6] + k for k in range(12)])
    np.testing.assert_array_equal(read_images("d.h5:/images", tmp_path), expected)  # 2 before 10
    np.testing.assert_array_equal(read_images("d.h5:/0", tmp_path, exclude=[1]), np.delete(expected, 1, 0))
    assert read_stack("d.h5:/0/3", tmp_path).notes == (
        "/0/3 is one of 12 numbered images: /0 names them all",
    )
    refused(tmp_path, "d.h5:/odd", r"/odd is a group.*holds a, b")


def test_axes_of_arrays(tmp_path):
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["last"] = COLUMNS
        file["turned"] = STACK.transpose(0, 2, 1)
        file["five"] = STACK[None, :, None]
        file["two"] = np.stack([STACK, STACK[::-1]], axis=1)
        file["labels"] = STACK.transpose(1, 0, 2)
        for k, name in enumerate("ytx"):
            file["labels"].dims[k].label = name
    for source, options in (
        ("last", {"axis": -1}), ("last", {"axes": "YXT"}), ("turned", {"axes": "TXY"}), ("five", {}),
        ("five", {"axis": 1}), ("labels", {}),
        ("two", {"axes": ["led", "side", "y", "x"], "select": {"side": 0}}),
    ):  # fmt: skip
        np.testing.assert_array_equal(read_images(f"d.h5:/{source}", tmp_path, REGION, **options), CUT)
    np.testing.assert_array_equal(
        read_images("d.h5:/last", tmp_path, REGION, axis=-1, exclude=[1]), np.delete(CUT, 1, 0)
    )
    refused(tmp_path, "d.h5:/two", r"axes no names.*axes = \"TCYX\"")
    refused(tmp_path, "d.h5:/last", r"axis is 3; its images have 3 axes", axis=3)
    refused(tmp_path, "d.h5:/last", "expected 3 different names, Y and X among them", axes="TCYX")
    refused(tmp_path, "d.h5:/last", "axes .* have no names; give its number", axis="T")


def test_a_stack_that_could_count_along_either_end_is_said_to_be_taken_as_it_is(tmp_path):
    np.save(tmp_path / "s.npy", STACK[:, :, :6])
    assert "set axis = -1" in read_stack("s.npy", tmp_path).notes[0]
    assert read_stack("s.npy", tmp_path, Choice(axis=0)).notes == ()


# --- MATLAB ----------------------------------------------------------------------------------


def write_v73(path, head=True, marks=False):
    """As MATLAB writes: axes reversed, structs as groups, cells as references."""
    with h5py.File(path, "w", userblock_size=512 if head else 0) as file:

        def put(where, name, value, kind="uint16"):
            where[name] = value.T
            if head or marks:
                where[name].attrs["MATLAB_class"] = np.bytes_(kind)
            return where[name]

        put(file, "I", COLUMNS)
        if not head:
            return
        struct = file.create_group("run")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        put(struct, "I", COLUMNS)
        put(struct, "single", COLUMNS[:, :, None])
        cells = [put(file, f"#refs#/{k}", image) for k, image in enumerate(STACK)]
        references = np.array([[c.ref] for c in cells], dtype=h5py.ref_dtype)
        put(file, "cell", references.T, "cell")
    if head:
        with open(path, "r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def write_v5(path):
    cell = np.empty((1, len(STACK)), object)
    for k, image in enumerate(STACK):
        cell[0, k] = image
    run = {"I": COLUMNS, "single": COLUMNS[:, :, None]}
    scipy.io.savemat(path, {"I": COLUMNS, "run": run, "cell": cell})


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_matlab_structs_and_cells(tmp_path, write):
    write(tmp_path / "d.mat")
    for name in ("I", "run/I", "run/single", "cell"):
        np.testing.assert_array_equal(read_images(f"d.mat:/{name}", tmp_path, REGION), CUT)
    refused(tmp_path, "d.mat:/run", r"run.* (a struct|a group).*I, single")
    refused(tmp_path, "d.mat:/run/J", "J.*I, ")


def test_matlab_is_known_by_its_marks(tmp_path):
    write_v73(tmp_path / "renamed.h5")
    write_v73(tmp_path / "copied.h5", head=False, marks=True)
    for name in ("renamed", "copied"):
        np.testing.assert_array_equal(read_images(f"{name}.h5:/I", tmp_path), STACK)
    with h5py.File(tmp_path / "python.mat", "w") as file:
        file["I"] = STACK  # no MATLAB at all
    np.testing.assert_array_equal(read_images("python.mat:/I", tmp_path), STACK)
    scipy.io.savemat(tmp_path / "saved.mat", {"I": STACK})  # (n, y, x) through scipy
    np.testing.assert_array_equal(read_images("saved.mat:/I", tmp_path, axis=0), STACK)


# --- .npz and Zarr ---------------------------------------------------------------------------


def test_npz(tmp_path):
    np.savez(tmp_path / "one.npz", anything=STACK)
    np.savez_compressed(tmp_path / "two.npz", images=STACK, dark=STACK[0], text=np.array(["a", None], object))
    np.testing.assert_array_equal(read_images("one.npz", tmp_path, REGION), CUT)
    np.testing.assert_array_equal(read_images("two.npz:/images", tmp_path, REGION), CUT)
    refused(tmp_path, "two.npz", "needs the name of an array.*two.npz:/NAME.*images, dark, text")
    refused(tmp_path, "two.npz:/image", 'no array "image"')
    refused(tmp_path, "two.npz:/text", "never unpickles")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr(tmp_path, version):
    zarr = pytest.importorskip("zarr")
    about = [{"axes": [{"name": n} for n in "tcyx"], "datasets": [{"path": "0"}, {"path": "1"}]}]
    group = zarr.create_group(tmp_path / "s.ome.zarr", zarr_format=version)
    group.attrs.update(
        {"multiscales": about} if version == 2 else {"ome": {"version": "0.5", "multiscales": about}}
    )
    both = np.stack([STACK, STACK[::-1]], axis=1)
    for name, step in (("0", 1), ("1", 2)):
        values = both[..., ::step, ::step]
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=(1, 1, 5, 15))
        array[:] = values
    np.testing.assert_array_equal(read_images("s.ome.zarr", tmp_path, REGION, select={"C": 0}), CUT)
    np.testing.assert_array_equal(
        read_images("s.ome.zarr:/0", tmp_path, axes="TCYX", select={"c": 1}), STACK[::-1]
    )
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "s.ome.zarr")
    np.testing.assert_array_equal(read_images("packed.zip", tmp_path, select={"C": 0}), STACK)
    refused(tmp_path, "s.ome.zarr", r"T \(6\), C \(2\)")
    refused(tmp_path, "s.ome.zarr:/2", r'no image "2".*0, 1')
    plain = zarr.create_array(
        tmp_path / "p.zarr", shape=STACK.shape, dtype="u2", chunks=(1, 12, 15), zarr_format=version
    )
    plain[:4] = STACK[:4]
    refused(tmp_path, "p.zarr", r"2 of 6 images were never written.*exclude = \[4, 5\]")
    np.testing.assert_array_equal(read_images("p.zarr", tmp_path, REGION, exclude=[4, 5]), CUT[:4])
    chunk = next(
        path
        for path in (tmp_path / "p.zarr").rglob("*")
        if path.is_file() and path.stat().st_size > 100 and path.name != "zarr.json"
    )
    chunk.write_bytes(chunk.read_bytes()[:50])
    refused(tmp_path, "p.zarr", "p.zarr: cannot be read as Zarr.*again", exclude=[4, 5])


def test_zarr_without_its_library(tmp_path, monkeypatch):
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / ".zarray").write_text(json.dumps({}))
    monkeypatch.setitem(sys.modules, "zarr", None)
    refused(tmp_path, "s.zarr", r"pip install fieldrx\[io\]")


# --- names -----------------------------------------------------------------------------------


def test_running_numbers(tmp_path):
    for k in (1, 2, 10, 9):
        tifffile.imwrite(tmp_path / f"img_{k}.tif", STACK[k % 6])
    stack = read_stack("img_{n}.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, STACK[[1, 2, 3, 4]])
    assert stack.notes == ("numbers 1 to 10 of img_{n}.tif lack 3, 4, 5, 6, 7, 8; images count on without",)
    stack = read_stack("img_{n}.tif", tmp_path, Choice(exclude=["img_2.tif", 3]))
    np.testing.assert_array_equal(stack.images, STACK[[1, 3]])
    assert stack.kept.tolist() == [0, 2]
    tifffile.imwrite(tmp_path / "img_02.tif", STACK[0])
    refused(tmp_path, "img_{n}.tif", r"img_02\.tif and img_2\.tif both show number 2")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_other_unicode_forms(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    folder = tmp_path / unicodedata.normalize(form, "Zürich")
    folder.mkdir()
    for k in range(2):
        tifffile.imwrite(folder / unicodedata.normalize(form, f"größe_é{k}.tif"), STACK[k])
    for text in (form, other):
        name = unicodedata.normalize(text, "Zürich/größe_é")
        np.testing.assert_array_equal(read_images(f"{name}1.tif", tmp_path), STACK[1:2])
        np.testing.assert_array_equal(read_images([f"{name}1.tif", f"{name}0.tif"], tmp_path), STACK[[1, 0]])
        np.testing.assert_array_equal(read_images(f"{name}{{n}}.tif", tmp_path), STACK[:2])
        assert [p.exists() for p in list_images([f"{name}1.tif"], tmp_path)[0]] == [True]


# --- acquisitions ----------------------------------------------------------------------------

OPTICS = "wavelength_um = 0.5\nobjective_na = 0.4\nmedium_index = 1.33\npixel_size_um = 0.3\n"


def acquire(folder, images, rows, header="image,na_y,na_x"):
    """An acquisition of six directions."""
    (folder / "leds.csv").write_text(header + "\n" + "".join(f"{k},{0.01 * i},0.02\n" for i, k in rows))
    text = f'[microscope]\n{OPTICS}[images]\nbackground = 2000\n{images}\n[illumination]\nkind = "table"\n'
    (folder / "a.toml").write_text(text + 'table = "leds.csv"\n')
    return fieldrx.read_acquisition(folder / "a.toml")


def test_exclude_in_an_acquisition(tmp_path):
    """Tables, held-out images and backgrounds keep the numbers that they have with all images."""
    np.save(tmp_path / "s.npy", STACK)
    np.save(tmp_path / "b.npy", STACK + 1)
    images = 'files = "s.npy"\nexclude = [1, 4]\nholdout = [2, 5]\n'
    for rows in (range(6), (0, 2, 3, 5)):
        acquisition = acquire(tmp_path, images, [(k, k) for k in rows])
        np.testing.assert_allclose(acquisition.images, STACK[[0, 2, 3, 5]] / 2000, rtol=1e-6)
        used = acquisition.illumination.pattern @ acquisition.illumination.sources_na
        np.testing.assert_allclose(used[:, 0], [0, 0.02, 0.03, 0.05])
        assert acquisition.holdout.tolist() == [1, 3]
    with pytest.raises(InputError, match="holdout names image 4, which exclude leaves out"):
        acquire(tmp_path, images.replace("[2, 5]", "[4]"), [(k, k) for k in range(6)])
    own = images.replace("holdout", 'background = "b.npy"\nholdout')
    text = (tmp_path / "a.toml").read_text().replace("background = 2000\n", "").split("[images]")[0]
    (tmp_path / "a.toml").write_text(
        f'{text}[images]\n{own}[illumination]\nkind = "table"\ntable = "leds.csv"\n'
    )
    ratio = fieldrx.read_acquisition(tmp_path / "a.toml").images
    np.testing.assert_allclose(ratio, STACK[[0, 2, 3, 5]] / (STACK[[0, 2, 3, 5]] + 1.0), rtol=1e-6)


def test_names_of_files_in_several_folders(tmp_path):
    for k, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "img.npy", STACK[k])
    files = 'files = ["b/img.npy", "a/img.npy"]'
    acquisition = acquire(tmp_path, files, [(1, "a/img.npy"), (2, "b/img.npy")], "file,na_y,na_x")
    used = acquisition.illumination.pattern @ acquisition.illumination.sources_na
    np.testing.assert_allclose(used[:, 0], [0.02, 0.01])
    with pytest.raises(InputError, match=r"2 images are called img\.npy; name the folder too"):
        acquire(tmp_path, files, [(1, "img.npy"), (2, "b/img.npy")], "file,na_y,na_x")
    kept = acquire(tmp_path, f'{files}\nexclude = ["b/img.npy"]', [(1, "a/img.npy")], "file,na_y,na_x")
    np.testing.assert_allclose(kept.images, STACK[:1] / 2000, rtol=1e-6)


def test_a_wrong_count_names_the_axis(tmp_path):
    np.save(tmp_path / "s.npy", COLUMNS)
    with pytest.raises(InputError, match=r"the last axis has 6: .*axis = -1"):
        acquire(tmp_path, 'files = "s.npy"', [(k, k) for k in range(6)])
    acquisition = acquire(tmp_path, 'files = "s.npy"\naxis = -1', [(k, k) for k in range(6)])
    np.testing.assert_allclose(acquisition.images, STACK / 2000, rtol=1e-6)


def test_frames_in_lists_and_with_other_axes(tmp_path):
    both = np.stack([STACK, STACK[::-1]], axis=1)[:, None].swapaxes(1, 2)  # T C Z Y X
    tifffile.imwrite(tmp_path / "s.tif", both.swapaxes(1, 2), imagej=True, metadata={"axes": "TZCYX"})
    tifffile.imwrite(tmp_path / "d0.tif", np.full((12, 15), 10, np.uint16))
    tifffile.imwrite(tmp_path / "d1.tif", np.full((12, 15), 14, np.uint16))
    images = 'files = "s.tif"\nselect = { C = 1 }\ndark = ["d0.tif", "d1.tif"]\n'
    acquisition = acquire(tmp_path, images, [(k, k) for k in range(6)])
    np.testing.assert_allclose(acquisition.images, (STACK[::-1] - 12.0) / 1988, rtol=1e-6)


@pytest.mark.parametrize(
    "words", ['select = "C"', "exclude = 3", "axis = []", "exclude = [1.5]", "axes = [1]"]
)
def test_keys_of_the_wrong_type(tmp_path, words):
    np.save(tmp_path / "s.npy", STACK)
    with pytest.raises(InputError, match=r"a\.toml: \[images\] .*expected"):
        acquire(tmp_path, f'files = "s.npy"\n{words}', [(k, k) for k in range(6)])

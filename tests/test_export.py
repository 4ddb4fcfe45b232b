"""Files of rendered samples, read back by readers that know nothing of fieldrx."""

import errno
import json
import resource
import shutil
import struct
import sys
import tracemalloc
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import tiny
import zarr
from click.testing import CliRunner
from PIL import Image

from fieldrx import InputError, read_volume
from fieldrx.cli import main
from fieldrx.export import write_gif, write_mp4, write_ome_zarr, write_tiff
from fieldrx.export.zarr import _remove
from fieldrx.render import Lattice, Samples, plane_lattice, rotation, sample, volume_lattice, write
from fieldrx.render.files import pyramid
from fieldrx.render.pictures import palette
from fieldrx.render.sampling import contrast_on

ARRAY = np.random.default_rng(2).normal(size=(4, 6, 9)).astype(np.float32)
SPACING, ORIGIN = (0.5, 0.2, 0.1), (-1.0, 2.0, 3.0)
WHOLE = (slice(None),) * 3


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Every file of these tests is written in many pieces."""
    monkeypatch.setattr("fieldrx.render.sampling.BLOCK", 70)


def held(array=ARRAY, **options):
    return Samples.of_array(array, SPACING, ORIGIN, **options)


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_npy_and_npz(tmp_path, n_outputs):
    field = tiny.field(n_outputs=n_outputs)
    lattice = volume_lattice(field, (0.5, 0.3, 0.4))
    write(tmp_path / "a.npy", sample(field, lattice, "permittivity"))
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == np.complex64
    assert np.abs(read - field(lattice.points()) ** 2).max() < 2e-6
    write(tmp_path / "b.npy", sample(field, lattice, "absorption"))
    assert np.load(tmp_path / "b.npy", allow_pickle=False).dtype == np.float32
    write(tmp_path / "a.npz", sample(field, lattice, "contrast"), medium_index=field.medium_index)
    volume = read_volume(tmp_path / "a.npz")
    assert (volume.spacing_um, volume.origin_um) == ((0.5, 0.3, 0.4), (-1, 0, 0))
    assert np.array_equal(volume.contrast, field.on_axes(*volume.grid.axes))


def test_vti_as_vtk_describes_it(tmp_path):
    """Appended raw data: 64-bit lengths and numbers behind the underscore, x fastest, axes as columns."""
    field = tiny.field()
    lattice = plane_lattice(field, (0.1, 2, 2), (1, 1, 0), "x", spacing=(0.3, 0.2))
    write(tmp_path / "a.vti", sample(field, lattice))
    head, _, data = (tmp_path / "a.vti").read_bytes().partition(b'<AppendedData encoding="raw">\n_')
    root = ET.fromstring(head + b"</VTKFile>")
    assert root.attrib == {
        "type": "ImageData", "version": "1.0", "byte_order": "LittleEndian", "header_type": "UInt64"
    }  # fmt: skip
    image = root.find("ImageData")
    numbers = {name: np.array(image.get(name).split(), float) for name in ("Origin", "Spacing", "Direction")}
    nz, ny, nx = lattice.shape
    assert (
        image.get("WholeExtent") == image.find("Piece").get("Extent") == f"0 {nx - 1} 0 {ny - 1} 0 {nz - 1}"
    )
    values = field(lattice.points())
    for array, part in zip(image.iter("DataArray"), (values.real, values.imag), strict=True):
        offset = int(array.get("offset"))
        (length,) = struct.unpack("<Q", data[offset : offset + 8])
        assert length == 4 * nx * ny * nz
        read = np.frombuffer(data[offset + 8 : offset + 8 + length], "<f4").reshape(nz, ny, nx)
        assert np.abs(read - part).max() < 1e-6
    # VTK: point = Origin + Direction (i dx, j dy, k dz)
    index = (3, 2, 0)
    point = numbers["Origin"] + numbers["Direction"].reshape(3, 3) @ (numbers["Spacing"] * index)
    assert point == pytest.approx(lattice.points()[index[::-1]][::-1])
    assert data.endswith(b"\n</AppendedData>\n</VTKFile>\n")


# --- TIFF -----------------------------------------------------------------------------------------


def test_tiff_for_imagej(tmp_path):
    path = tmp_path / "v.tif"
    write_tiff(path, held())
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata["spacing"] == 0.5
        assert tif.imagej_metadata["unit"] == "um"
        assert tif.imagej_metadata["Labels"][1] == "value, z = -0.5 um"
        assert tif.series[0].axes == "ZYX"
        for tag, expected in (("XResolution", 10), ("YResolution", 5)):
            across, of = tif.pages[0].tags[tag].value
            assert across / of == pytest.approx(expected)
        read = tif.asarray()
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, ARRAY)
    with Image.open(path) as image:  # a reader that knows nothing of ImageJ
        image.seek(3)
        np.testing.assert_array_equal(np.asarray(image), ARRAY[3])


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif"])
def test_tiff_of_complex_samples_has_two_channels(tmp_path, name):
    write_tiff(tmp_path / name, held(ARRAY + 2j * ARRAY))
    with tifffile.TiffFile(tmp_path / name) as tif:
        assert tif.series[0].axes == "ZCYX"
        read = tif.asarray()
    np.testing.assert_array_equal(read[:, 0], ARRAY)
    np.testing.assert_array_equal(read[:, 1], 2 * ARRAY)


@pytest.mark.slow
def test_ome_tiff_validates_and_says_where_everything_is(tmp_path):
    from ome_types import from_xml, validate_xml

    field = tiny.field()
    path = tmp_path / "v.ome.tif"
    lattice = volume_lattice(field, SPACING, region=[(-1, 0.5), (2, 4), (3, 4)])
    write(path, sample(field, lattice))
    with tifffile.TiffFile(path) as tif:
        text = tif.ome_metadata
        read = tif.asarray()
    validate_xml(text)  # against the schema of OME
    pixels = from_xml(text).images[0].pixels
    assert (pixels.size_z, pixels.size_c, pixels.size_y, pixels.size_x) == (4, 2, 11, 11)
    sizes = [pixels.physical_size_z, pixels.physical_size_y, pixels.physical_size_x]
    units = [pixels.physical_size_z_unit, pixels.physical_size_y_unit, pixels.physical_size_x_unit]
    assert sizes == pytest.approx(SPACING)
    assert {unit.value for unit in units} == {"µm"}
    assert [channel.name for channel in pixels.channels] == ["refractive index", "absorption index"]
    plane = pixels.planes[2]
    assert (plane.the_z, plane.the_c) == (1, 0)
    assert (plane.position_z, plane.position_y, plane.position_x) == pytest.approx((-0.5, 2, 3))
    assert plane.position_z_unit.value == "µm"
    values = field(lattice.points())
    assert np.abs(read[:, 0] - values.real).max() < 1e-6
    assert np.abs(read[:, 1] - values.imag).max() < 1e-6


def test_large_tiff_becomes_ome_and_huge_ones_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr("fieldrx.export.tiff.IMAGEJ_LIMIT", 100)
    write_tiff(tmp_path / "v.tif", held())
    with tifffile.TiffFile(tmp_path / "v.tif") as tif:
        assert tif.is_ome
        assert not tif.is_bigtiff
    # 8 GiB of which only the last row is written: the rest of the file is a hole
    huge = held()
    huge = Samples(
        Lattice((2, 2**15, 2**15), SPACING, ORIGIN), "value", "", ("value",), huge.dtype, huge.read
    )  # fmt: skip
    row = np.arange(2**15, dtype=np.float32)[None, None]
    last = (slice(1, 2), slice(2**15 - 1, 2**15), slice(0, 2**15))
    monkeypatch.setattr(Samples, "slabs", lambda self: iter([(last, row)]))
    write_tiff(tmp_path / "h.ome.tif", huge)
    with tifffile.TiffFile(tmp_path / "h.ome.tif") as tif:
        assert tif.is_bigtiff
        assert tif.series[0].shape == (2, 2**15, 2**15)
        page = tif.pages[1]
    with open(tmp_path / "h.ome.tif", "rb") as file:
        file.seek(page.dataoffsets[0] + 4 * 2**15 * (2**15 - 1))
        assert np.array_equal(np.frombuffer(file.read(4 * 2**15), "<f4"), row[0, 0])


def test_turned_samples(tmp_path):
    """OME-TIFF has no words for a slant, so it claims no place; formats with straight axes refuse."""
    field = tiny.field()
    slanted = sample(field, Lattice((2, 3, 4), (0.2, 0.1, 0.3), (0, 2, 2), rotation("x", 30)))
    write(tmp_path / "a.ome.tif", slanted)
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        assert "PositionZ" not in tif.ome_metadata
        assert 'PhysicalSizeZ="0.2"' in tif.ome_metadata
    for name in ("a.npz", "a.ome.zarr"):
        with pytest.raises(InputError, match="has the axes z, y, x"):
            write(tmp_path / name, slanted)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.tif"]


# --- OME-Zarr -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ome_zarr_read_by_ome_zarr(tmp_path, monkeypatch):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    monkeypatch.setattr("fieldrx.render.files._COARSEST", 12)
    monkeypatch.setattr("fieldrx.export.zarr._CHUNK", (3, 8, 7))
    field, path = tiny.field(), tmp_path / "a.ome.zarr"
    lattice = volume_lattice(field, (0.5, 0.13, 0.15))
    lattices = [lattice, *pyramid(lattice)]
    assert [level.shape for level in lattices] == [(5, 45, 32), (5, 23, 16), (3, 12, 8)]
    write(path, sample(field, lattice), [sample(field, level) for level in lattices[1:]])
    (node,) = Reader(parse_url(path))()
    assert node.metadata["axes"] == [
        {"name": "c", "type": "channel"},
        *({"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"),
    ]
    assert len(node.data) == 3
    transforms = node.metadata["coordinateTransformations"]
    for level, data, (scale, shift) in zip(lattices, node.data, transforms, strict=True):
        assert scale["scale"] == pytest.approx([1, *level.spacing_um])
        assert shift["translation"] == pytest.approx([0, *level.origin_um])
        values = field(level.points())  # every level comes from the field itself
        read = np.asarray(data)
        assert np.abs(read - [values.real, values.imag]).max() < 1e-6
    assert node.metadata["channel_names"] == ["refractive index", "absorption index"]


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_ome_zarr_follows_the_specification(tmp_path, n_outputs):
    from ome_zarr_models.v04 import Image as Model

    field, path = tiny.field(n_outputs=n_outputs), tmp_path / "a.ome.zarr"
    for spacing in (0.5, 0.4):  # the second replaces the first
        write(path, sample(field, volume_lattice(field, spacing)))
    attributes = json.loads((path / ".zattrs").read_text())
    model = Model.from_zarr(zarr.open_group(path, mode="r"))  # raises where it does not hold
    assert len(model.ome_attributes.multiscales[0].axes) == 2 + n_outputs
    assert attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"][-1] == 0.4
    assert json.loads((path / "0" / ".zarray").read_text())["dimension_separator"] == "/"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_ome_zarr_of_a_surface_has_finite_numbers(tmp_path):
    depth = np.full((1, 3, 4), np.nan, np.float32)
    for name, window in (("a", (0, 1)), ("b", (2, 2))):
        write(tmp_path / f"{name}.ome.zarr", held(depth))
        text = (tmp_path / f"{name}.ome.zarr" / ".zattrs").read_text()
        assert "NaN" not in text
        shown = json.loads(text)["omero"]["channels"][0]["window"]
        assert (shown["start"], shown["end"]) == window
        depth[0, 1, 2] = 2


def test_ome_zarr_is_removed_though_somebody_still_writes(tmp_path, monkeypatch):
    """As zarr's own threads do for a moment after one of them has failed: files come between and after."""
    folder, pauses, removals, rmtree = tmp_path / "left", [], [], shutil.rmtree

    def write():
        (folder / "0").mkdir(parents=True, exist_ok=True)
        (folder / "0" / "chunk").write_bytes(b"x")

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) < 4:
            write()

    def remove(path):
        removals.append(path)
        if len(removals) == 2:
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        rmtree(path)

    write()
    monkeypatch.setattr("fieldrx.export.zarr.time.sleep", pause)
    monkeypatch.setattr("fieldrx.export.zarr.shutil.rmtree", remove)
    _remove(folder)
    assert not folder.exists()
    assert (len(pauses), len(removals)) == (4, 4)


def test_ome_zarr_replaces_no_other_folder(tmp_path):
    (tmp_path / "a.ome.zarr").mkdir()
    (tmp_path / "a.ome.zarr" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="no OME-Zarr folder"):
        write_ome_zarr(tmp_path / "a.ome.zarr", [held()])
    with pytest.raises(InputError, match="does not exist"):
        write_ome_zarr(tmp_path / "b" / "a.ome.zarr", [held()])
    assert (tmp_path / "a.ome.zarr" / "thesis.txt").read_text() == "x"


def test_missing_packages_are_named(tmp_path, monkeypatch):
    for name in ("zarr", "imageio_ffmpeg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"needs zarr; pip install fieldrx\[io\]"):
        write_ome_zarr(tmp_path / "a.ome.zarr", [held()])
    with pytest.raises(InputError, match=r"pip install fieldrx\[movie\], or choose \.gif"):
        write_mp4(tmp_path / "a.mp4", [np.zeros((4, 4, 3), np.uint8)])
    assert list(tmp_path.iterdir()) == []


# --- films ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shaded", [False, True])
def test_gif_read_by_pillow(tmp_path, shaded):
    """Noise fills the code table again and again, flat frames give long codes."""
    colours = palette(shaded)
    rng = np.random.default_rng(0)
    frames = [colours[rng.integers(0, 256, (70, 93))], np.zeros((70, 93, 3), np.uint8)]
    frames += [colours[np.arange(70 * 93).reshape(70, 93) // 40 % 256], np.full((70, 93, 3), 255, np.uint8)]
    write_gif(tmp_path / "a.gif", iter(frames), colours, fps=20)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.info["loop"], film.info["duration"]) == (4, 0, 50)
        for number, frame in enumerate(frames):
            film.seek(number)
            np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frame)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 4000])
def test_gif_of_awkward_lengths(tmp_path, size):
    """Where the width of the codes changes just before the end."""
    colours = palette()
    frame = colours[np.random.default_rng(size).integers(0, 256, (1, size))]
    write_gif(tmp_path / "a.gif", [frame], colours)
    with Image.open(tmp_path / "a.gif") as film:
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frame)


def test_gif_takes_the_nearest_colour(tmp_path):
    colours = np.zeros((256, 3), np.uint8)
    colours[7] = (200, 100, 0)
    frame = np.array([[(190, 110, 5), (3, 3, 3)]], np.uint8)
    write_gif(tmp_path / "a.gif", [frame], colours)
    with Image.open(tmp_path / "a.gif") as film:
        assert np.asarray(film.convert("RGB")).tolist() == [[[200, 100, 0], [0, 0, 0]]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its pipes stay open
def test_mp4_read_by_ffmpeg(tmp_path):
    import imageio_ffmpeg

    path = tmp_path / "a.mp4"
    ramp = np.repeat(np.linspace(0, 255, 41).astype(np.uint8)[None, :, None], 33, axis=0)
    frames = [np.repeat(np.roll(ramp, k, axis=1), 3, axis=2) for k in range(5)]
    write_mp4(path, iter(frames), fps=10)
    read = imageio_ffmpeg.read_frames(path)
    about = next(read)
    assert (about["size"], about["fps"], about["codec"]) == ((42, 34), 10, "h264")
    films = [np.frombuffer(data, np.uint8).reshape(34, 42, 3) for data in read]
    assert len(films) == 5
    for film, frame in zip(films, frames, strict=True):
        assert np.abs(film[:33, :41].astype(int) - frame).mean() < 6


# --- a disk that fills up, a memory that does not -------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.npy", []), ("a.npz", []), ("a.tif", []), ("a.ome.tif", []), ("a.vti", []), ("a.ome.zarr", []),
        ("a.png", []), ("a.gif", ["--movie", "sweep", "--frames", "3"]), ("i.npz", ["--light", "0,0"]),
    ],
)  # fmt: skip
def test_full_disk_leaves_no_file(tmp_path, name, options):
    """The system refuses files beyond a size, as it would on a full disk."""
    provenance = {"microscope": tiny.SCOPE.to_dict(), "model": "born"}
    tiny.field(provenance=provenance).save(tmp_path / "field.npz")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    spacing = [] if "--light" in options else ["--spacing", "0.06"]
    arguments = ["render", tmp_path / "field.npz", tmp_path / name, *spacing, *options, "-q"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "File too large" in result.stderr
    assert name in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["field.npz"]


@pytest.mark.parametrize("name", ["a.npy", "a.ome.zarr"])
def test_disk_without_room_is_refused_beforehand(tmp_path, monkeypatch, name):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="the disk has 1e-06 GB left") as caught:
        write(tmp_path / name, held(np.zeros((9, 9, 9), np.float32)))
    assert caught.value.filename == str(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["npy", "npz", "tif", "ome.tif", "vti", "ome.zarr"])
def test_nothing_is_left_when_the_field_fails(tmp_path, ending):
    def read(block):
        if block[0].start:
            raise RuntimeError("stop")
        return np.zeros([s.stop - s.start for s in block], np.float32)

    lattice = Lattice((40, 6, 9), SPACING, ORIGIN)
    with pytest.raises(RuntimeError, match="stop"):
        write(tmp_path / f"a.{ending}", Samples(lattice, "value", "", ("value",), ARRAY.dtype, read))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["npy", "npz", "tif", "ome.tif", "vti", "ome.zarr"])
def test_memory_stays_flat_while_the_file_grows_64_times(tmp_path, monkeypatch, ending):
    monkeypatch.setattr("fieldrx.render.sampling.BLOCK", 1 << 11)
    monkeypatch.setattr("fieldrx.export.zarr._CHUNK", (8, 16, 16))
    field = tiny.field(n_outputs=1)

    def peak(n):
        lattice = Lattice((n, n, n), (0.01, 0.01, 0.01), (-0.5, 1, 1))
        samples = sample(field, lattice, "contrast")
        tracemalloc.start()
        try:
            write(tmp_path / f"{n}.{ending}", samples)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(8)  # what is imported and compiled once
    small, large = peak(16), peak(64)
    assert large < small + 250_000  # the whole would be a million bytes


def test_blocks_cover_everything_once():
    field = tiny.field()
    lattice = Lattice((3, 7, 11), (0.3, 0.2, 0.1), (0, 1, 1), rotation("z", 20))
    samples = sample(field, lattice, "contrast")
    for blocks in (samples.bands(), samples.slabs()):
        seen = np.zeros(lattice.shape, int)
        for block, values in blocks:
            seen[block] += 1
            assert values.size <= 70
            assert np.array_equal(values, contrast_on(field, lattice, block))
        assert (seen == 1).all()

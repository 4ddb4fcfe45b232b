"""TIFF and PNG mean what their tags say: turned, inverted, through tables; colour and holes are refused."""

import json
import logging
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldrx.errors import InputError
from fieldrx.io import Choice, read_images, read_stack

STACK = np.random.default_rng(1).integers(100, 4000, (5, 12, 15)).astype(np.uint16)
SMALL = (STACK % 200).astype(np.uint8)


def write(path, images, **options):
    """One page an image, with tags of their own."""
    with tifffile.TiffWriter(path) as writer:
        for image in images:
            writer.write(
                np.ascontiguousarray(image), metadata=None, **{"photometric": "minisblack", **options}
            )


# Where the first row and column of the stored image are shown, as the TIFF specification words it: row 0 on
# the side, column 0 on the side.  A viewer shows `shown`; what is stored follows.
STORED = {
    2: lambda shown: shown[:, ::-1],  # row 0 top, column 0 right
    3: lambda shown: shown[::-1, ::-1],  # bottom, right
    4: lambda shown: shown[::-1],  # bottom, left
    5: lambda shown: shown.T,  # left, top
    6: lambda shown: np.rot90(shown, 1),  # right, top: is turned clockwise to be seen
    7: lambda shown: np.rot90(shown.T, 2),  # right, bottom
    8: lambda shown: np.rot90(shown, -1),  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
def test_orientation(tmp_path, orientation):
    tags = [(274, "H", 1, orientation, True)]
    write(tmp_path / "s.tif", [STORED[orientation](image) for image in STACK], extratags=tags)
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, STACK)
    assert any("orientation tag" in note for note in stack.notes)
    cut = read_images("s.tif", tmp_path, [1, 7, 2, 11])  # of the images as they are seen
    np.testing.assert_array_equal(cut, STACK[:, 1:7, 2:11])


@pytest.mark.parametrize(
    "layout", [{"metadata": None}, {}, {"imagej": True}, {"truncate": True}, {"ome": True}]
)
def test_orientation_told_once_is_that_of_all(tmp_path, layout):
    """Stacks of tifffile have extra tags in their first directory alone."""
    tags = [(274, "H", 1, 4, True)]
    tifffile.imwrite(tmp_path / "s.tif", STACK[:, ::-1], photometric="minisblack", extratags=tags, **layout)
    np.testing.assert_array_equal(read_images("s.tif", tmp_path), STACK)


def test_orientation_by_corners(tmp_path):
    """Row 0 is the right side and column 0 the top of orientation 6."""
    stored = np.zeros((4, 6), np.uint16) + 1
    stored[0, :] = 7  # row 0
    stored[:, 0] = 9  # column 0
    write(tmp_path / "s.tif", [stored], extratags=[(274, "H", 1, 6, True)])
    image = read_images("s.tif", tmp_path)[0]
    assert image.shape == (6, 4)
    assert (image[1:, -1] == 7).all() and (image[0] == 9).all() and (image[1:, :-1] == 1).all()


@pytest.mark.parametrize("images", [STACK, SMALL])
def test_white_is_zero(tmp_path, images):
    write(tmp_path / "s.tif", np.iinfo(images.dtype).max - images, photometric="miniswhite")
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, images)
    assert stack.images.dtype == images.dtype
    assert any("inverted" in note for note in stack.notes)
    write(tmp_path / "f.tif", images.astype(np.float32), photometric="miniswhite")
    with pytest.raises(InputError, match=r"f\.tif: white is zero .* floating-point"):
        read_images("f.tif", tmp_path)


def test_palette(tmp_path):
    order = np.random.default_rng(0).permutation(256).astype(np.uint8)
    table = np.tile(order.astype(np.uint16) * 257, (3, 1))
    write(
        tmp_path / "s.tif", np.argsort(order).astype(np.uint8)[SMALL], photometric="palette", colormap=table
    )
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, SMALL)
    assert any("colour table" in note for note in stack.notes)
    table[1] //= 2
    write(tmp_path / "c.tif", SMALL, photometric="palette", colormap=table)
    with pytest.raises(InputError, match=r"c\.tif: .*table of colours.*convert"):
        read_images("c.tif", tmp_path)


def test_colours(tmp_path):
    grey = np.repeat(STACK[..., None], 3, axis=-1)
    write(tmp_path / "grey.tif", grey, photometric="rgb")
    stack = read_stack("grey.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, STACK)
    assert any("channels are equal" in note for note in stack.notes)
    colour = grey.copy()
    colour[2, 3, 4, 1] += 1
    write(tmp_path / "rgb.tif", colour, photometric="rgb")
    with pytest.raises(InputError, match=r"rgb\.tif: colour images .* select = \{ S = 0 \}"):
        read_images("rgb.tif", tmp_path)
    np.testing.assert_array_equal(read_images("rgb.tif", tmp_path, select={"S": 1}), colour[..., 1])
    write(tmp_path / "one.tif", colour[2:3], photometric="rgb")
    np.testing.assert_array_equal(read_images("one.tif", tmp_path, axis="S"), np.moveaxis(colour[2], -1, 0))


def test_planes_of_one_picture_are_said_to_be_taken_as_images(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", STACK[:3], photometric="rgb", planarconfig="separate")
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, STACK[:3])
    assert any("3 colour planes" in note for note in stack.notes)
    tifffile.imwrite(tmp_path / "e.tif", STACK[[0, 0, 0]], photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_images("e.tif", tmp_path), STACK[:1])  # a grey camera's


def test_alpha(tmp_path):
    def pictures(alpha):
        return np.stack([STACK, np.full_like(STACK, alpha)], axis=-1)

    options = {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
    write(tmp_path / "s.tif", pictures(65535), **options)
    np.testing.assert_array_equal(read_images("s.tif", tmp_path), STACK)
    write(tmp_path / "t.tif", pictures(7), **options)
    with pytest.raises(InputError, match=r"t\.tif: .*partly transparent"):
        read_images("t.tif", tmp_path)


def test_mosaic_is_refused(tmp_path):
    pattern = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, bytes([0, 1, 1, 2]), True)]
    write(tmp_path / "s.tif", STACK, photometric="cfa", extratags=pattern)
    with pytest.raises(InputError, match=r"s\.tif: .*Bayer.*extract one colour"):
        read_images("s.tif", tmp_path)


def test_thumbnails_are_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        for image in STACK:
            writer.write(image, photometric="minisblack", subifds=1, metadata=None)
            writer.write(image[::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
        writer.write(SMALL[0], photometric="minisblack", subfiletype=1, metadata=None)
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, STACK)
    assert "1 thumbnails or masks beside the images were left out" in stack.notes


def test_a_mask_of_the_size_of_the_images_is_left_out(tmp_path):
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as writer:
        for k, image in enumerate([*STACK, STACK[0]]):
            writer.write(
                image, metadata=None, subfiletype=1 if k == len(STACK) else 0, photometric="minisblack"
            )
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        struct.pack_into("<I", content, tif.pages[len(STACK)].tags[254].valueoffset, 4)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_images("s.tif", tmp_path), STACK)


def test_several_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        writer.write(STACK, photometric="minisblack")
        writer.write(STACK[:, :7], photometric="minisblack")
    with pytest.raises(InputError, match=r"differ in shape.*select = \{ series = 0 \}"):
        read_images("s.tif", tmp_path)
    np.testing.assert_array_equal(read_images("s.tif", tmp_path, select={"series": 1}), STACK[:, :7])
    with pytest.raises(InputError, match="series = 2; expected a whole number from 0 to 1"):
        read_images("s.tif", tmp_path, select={"series": 2})


# --- ImageJ ----------------------------------------------------------------------------------


def test_imagej_signed(tmp_path):
    about = "ImageJ=1.53t\nimages=5\nslices=5\ncf=0\nc0=-32768.0\nc1=1.0\nvunit=Gray Value\n"
    with tifffile.TiffWriter(tmp_path / "s.tif", byteorder=">") as writer:
        stored = (STACK.astype(np.int32) + 32768).astype(">u2")
        writer.write(stored, photometric="minisblack", description=about, metadata=None)
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, STACK)
    assert any("calibration applied" in note for note in stack.notes)


def test_imagej_optical_density_stays_counts(tmp_path):
    about = "ImageJ=1.53t\nimages=5\nslices=5\ncf=21\nvunit=Uncalibrated OD\n"
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        writer.write(SMALL, photometric="minisblack", description=about, metadata=None)
    stack = read_stack("s.tif", tmp_path)
    np.testing.assert_array_equal(stack.images, SMALL)
    assert any("left aside" in note for note in stack.notes)


def test_axes_are_chosen(tmp_path):
    stack = STACK[:4].reshape(2, 1, 2, 12, 15)
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "TZCYX"})
    with pytest.raises(InputError, match=r'T \(2\), C \(2\).*select = \{ C = 0 \}.*axis = "TC"'):
        read_images("s.tif", tmp_path)
    np.testing.assert_array_equal(read_images("s.tif", tmp_path, select={"C": 1}), stack[:, 0, 1])
    np.testing.assert_array_equal(read_images("s.tif", tmp_path, select={"time": 1}), stack[1, 0])
    np.testing.assert_array_equal(read_images("s.tif", tmp_path, select={"T": 1, "C": 0}), stack[1:, 0, 0])
    np.testing.assert_array_equal(read_images("s.tif", tmp_path, axis="TC"), STACK[:4])
    np.testing.assert_array_equal(read_images("s.tif", tmp_path, axis="CT"), STACK[[0, 2, 1, 3]])
    for select, words in (
        ({"C": 2}, "from 0 to 1"),
        ({"A": 0}, "select names the axis A"),
        ({"Y": 0}, "axis Y"),
    ):
        with pytest.raises(InputError, match=words):
            read_images("s.tif", tmp_path, select=select)


# --- incomplete files ------------------------------------------------------------------------


@pytest.fixture(params=["heard", "disabled", "silenced"])
def logger(request, monkeypatch):
    """What host programs do to the logger of tifffile."""
    known = logging.getLogger("tifffile")
    if request.param == "disabled":
        monkeypatch.setattr(known, "disabled", True)
    if request.param == "silenced":
        logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def write_set(folder, numbers, count):
    """An OME set with one image a file, of which only some are written."""
    names = [f"urn:uuid:00000000-0000-0000-0000-00000000000{k}" for k in range(count)]
    data = "".join(
        f'<TiffData FirstT="{k}" FirstC="0" FirstZ="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="set_{k}.ome.tif">{name}</UUID></TiffData>'
        for k, name in enumerate(names)
    )
    for k in numbers:
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME '
            'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{names[k]}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            'Type="uint16" '
            f'SizeX="15" SizeY="12" SizeZ="1" SizeC="1" SizeT="{count}"><Channel ID="Channel:0:0" '
            f'SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            folder / f"set_{k}.ome.tif", STACK[k], photometric="minisblack", metadata=None, description=xml
        )


def test_ome_set(tmp_path, logger):
    write_set(tmp_path, range(4), 4)
    np.testing.assert_array_equal(read_images("set_0.ome.tif", tmp_path), STACK[:4])
    files = [f"set_{k}.ome.tif" for k in (2, 0)]
    np.testing.assert_array_equal(read_images(files, tmp_path), STACK[[2, 0]])  # each its own image
    (tmp_path / "set_2.ome.tif").unlink()
    with pytest.raises(InputError, match=r"1 of the 4 files of this OME set .*set_2\.ome\.tif"):
        read_images("set_0.ome.tif", tmp_path)


def test_ome_file_that_was_renamed(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata={"axes": "TYX"})
    (tmp_path / "a.ome.tif").rename(tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(read_images("b.ome.tif", tmp_path), STACK)
    write_set(tmp_path, [0], 1)
    (tmp_path / "set_0.ome.tif").rename(tmp_path / "c.ome.tif")
    np.testing.assert_array_equal(read_images("c.ome.tif", tmp_path), STACK[:1])


def test_ome_with_several_positions(tmp_path):
    with tifffile.TiffWriter(tmp_path / "s.ome.tif", ome=True) as writer:
        for k in range(2):
            writer.write(STACK + k, photometric="minisblack", metadata={"axes": "TYX"})
    with pytest.raises(InputError, match=r"2 stacks of shape \(5, 12, 15\).*select = \{ series = 0 \}"):
        read_images("s.ome.tif", tmp_path)
    np.testing.assert_array_equal(read_images("s.ome.tif", tmp_path, select={"series": 1}), STACK + 1)


def micromanager(path, planned, written):
    """A stack of Micro-Manager: a summary of what was planned, and an index of the (c, z, t, p) written."""
    summary = {"Prefix": "run", "MicroManagerVersion": "2.0.0", "PixelType": "GRAY16", "TimeFirst": False}
    summary |= {"Width": 15, "Height": 12, "Frames": 1, "Slices": 1, "Channels": 1, "Positions": 1}
    about = json.dumps(summary | planned).encode()
    body, places, at, size = b"", [], 40 + len(about), 162 + 360 + 16 + 8
    for k, image in enumerate(STACK[: len(written)]):
        raw = image.astype("<u2").tobytes()
        values = {256: 15, 257: 12, 258: 16, 259: 1, 262: 1, 273: at + 162, 277: 1, 278: 12, 279: len(raw)}
        tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
        tags += struct.pack("<HHII", 282, 5, 1, at + 522) + struct.pack("<HHII", 283, 5, 1, at + 530)
        tags += struct.pack("<HHII", 296, 4, 1, 3) + struct.pack("<HHII", 51123, 2, 8, at + 538)
        following = at + size if k < len(written) - 1 else 0
        body += struct.pack("<H", 13) + tags + struct.pack("<I", following) + raw
        body += struct.pack("<IIII8s", 10000, 1, 10000, 1, b'{"k":1}')
        places.append(at)
        at += size
    index = struct.pack("<II", 3453623, len(written))
    index += b"".join(struct.pack("<IIIII", *w, place) for w, place in zip(written, places, strict=True))
    rest = at + len(index)
    head = 54773648, at, 483765892, rest, 99384722, rest + 10, 2355492, len(about)
    tail = struct.pack("<II", 347834724, 2) + b"[]" + struct.pack("<II", 84720485, 2) + b"{}"
    start = struct.pack("<2sHI8I", b"II", 42, 40 + len(about), *head)
    path.write_bytes(start + about + body + index + tail)


def test_micromanager(tmp_path, logger):
    path = tmp_path / "run_MMStack_Pos0.ome.tif"
    order = [3, 0, 4, 1, 2]
    micromanager(path, {"Frames": 5}, [(0, 0, t, 0) for t in order])
    stack = read_stack(path.name, tmp_path)
    np.testing.assert_array_equal(stack.images, STACK[np.argsort(order)])  # by the index, not as written
    assert stack.notes == ()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"MicroManagerVersion", b"MacroManagerVersion"))
    with pytest.raises(InputError, match="index of its images cannot be followed"):
        read_images(path.name, tmp_path)
    micromanager(path, {"Frames": 9}, [(0, 0, t, 0) for t in range(4)])
    stack = read_stack(path.name, tmp_path)
    np.testing.assert_array_equal(stack.images, STACK[:4])
    assert stack.notes == ("Micro-Manager planned 9 frames, 4 were written: the run stopped early",)
    micromanager(path, {"Frames": 2, "Channels": 2}, [(0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0)])
    np.testing.assert_array_equal(read_images(path.name, tmp_path, select={"C": 0}), STACK[[0, 2]])
    with pytest.raises(InputError, match=r"1 of 2 images were never written.*exclude = \[1\]"):
        read_images(path.name, tmp_path, select={"C": 1})
    micromanager(path, {"Frames": 2, "Positions": 2}, [(0, 0, t, p) for p in range(2) for t in range(2)])
    with pytest.raises(InputError, match=r"P \(2\), T \(2\)"):
        read_images(path.name, tmp_path)
    np.testing.assert_array_equal(read_images(path.name, tmp_path, select={"position": 1}), STACK[2:4])


@pytest.mark.parametrize("layout", [{"metadata": None}, {"imagej": True}, {"ome": True}, {"truncate": True}])
@pytest.mark.parametrize("keep", [0.4, 0.8, 0.97])
def test_cut_short(tmp_path, logger, layout, keep):
    tifffile.imwrite(tmp_path / "s.tif", STACK, photometric="minisblack", **layout)
    content = (tmp_path / "s.tif").read_bytes()
    (tmp_path / "s.tif").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(InputError, match=r"s\.tif: .*TIFF.*again"):
        read_images("s.tif", tmp_path)


# --- PNG -------------------------------------------------------------------------------------


def png(path, pixels, colour, kinds, chunks=(), interlaced=False):
    """A PNG of uint8 or big-endian uint16 samples (y, x, s), its rows filtered by the kinds in turn."""
    ny, nx, samples = pixels.shape
    step = samples * pixels.dtype.itemsize
    passes = [pixels]
    if interlaced:
        grid = (
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        )
        passes = [part for y, x, dy, dx in grid if (part := pixels[y::dy, x::dx]).size]
    body = b""
    for part in passes:
        rows = np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1)
        above = bytes(rows.shape[1])
        for y, row in enumerate(rows.tolist()):
            kind, out = kinds[y % len(kinds)], []
            for x, value in enumerate(row):
                a = row[x - step] if x >= step else 0
                b, c = above[x], above[x - step] if x >= step else 0
                nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
                out.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
            body += bytes([kind, *out])
            above = row
    header = struct.pack(">IIBBBBB", nx, ny, 8 * pixels.dtype.itemsize, colour, 0, 0, int(interlaced))
    pieces = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(body)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(d)) + name + d + struct.pack(">I", zlib.crc32(name + d))
            for name, d in pieces
        )
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 19), st.integers(1, 19), st.sampled_from(["u1", ">u2"]), st.booleans(),
    st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 99),
)  # fmt: skip
def test_png_of_any_filter(tmp_path_factory, ny, nx, dtype, interlaced, kinds, seed):
    folder = tmp_path_factory.mktemp("png")
    image = (
        np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (ny, nx, 1), endpoint=True).astype(dtype)
    )
    png(folder / "a.png", image, 0, kinds, interlaced=interlaced)
    read = read_images("a.png", folder)
    np.testing.assert_array_equal(read, image[None, ..., 0])
    assert read.dtype == np.dtype(dtype).newbyteorder("=")


def test_png_as_another_library_writes_it(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, pixels, expected in (
        ("16", STACK[0], STACK[0]),
        ("8", SMALL[0], SMALL[0]),
        ("rgb", np.repeat(SMALL[0][..., None], 3, -1), SMALL[0]),
    ):
        image.fromarray(pixels).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_images(f"{name}.png", tmp_path), expected[None])
    image.fromarray(SMALL[0] > 90).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_images("bits.png", tmp_path)[0], SMALL[0] > 90)
    image.fromarray(SMALL[0]).quantize(16).save(tmp_path / "palette.png")
    shown = np.asarray(image.open(tmp_path / "palette.png").convert("L"))
    np.testing.assert_array_equal(read_images("palette.png", tmp_path)[0], shown)


def test_png_that_is_no_grey_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7, 4)).astype(np.uint8)
    png(tmp_path / "c.png", pixels[..., :3], 2, [0])
    with pytest.raises(InputError, match=r"c\.png: colour images"):
        read_images("c.png", tmp_path)
    png(tmp_path / "a.png", pixels[..., :2], 4, [1])
    with pytest.raises(InputError, match=r"a\.png: .*partly transparent"):
        read_images("a.png", tmp_path)
    pixels[..., 1] = 255
    png(tmp_path / "o.png", pixels[..., :2], 4, [1])
    np.testing.assert_array_equal(read_images("o.png", tmp_path)[0], pixels[..., 0])
    png(tmp_path / "n.png", pixels[..., :1], 0, [0], [(b"acTL", bytes(8))])
    with pytest.raises(InputError, match="animated"):
        read_images("n.png", tmp_path)
    png(tmp_path / "g.png", pixels[..., :1], 0, [0], [(b"gAMA", struct.pack(">I", 45455))])
    assert any("gamma 0.455" in note for note in read_stack("g.png", tmp_path).notes)
    content = (tmp_path / "g.png").read_bytes()
    for keep in (3, 20, 50, len(content) - 13):
        (tmp_path / "t.png").write_bytes(content[:keep])
        with pytest.raises(InputError, match=r"t\.png: .*again"):
            read_images("t.png", tmp_path)
    (tmp_path / "t.png").write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    with pytest.raises(InputError, match=r"t\.png: damaged"):
        read_images("t.png", tmp_path)


# --- other files -----------------------------------------------------------------------------


def test_files_are_known_by_their_content(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", STACK, photometric="minisblack")
    (tmp_path / "s.tif").rename(tmp_path / "s.dat")
    np.testing.assert_array_equal(read_images("s.dat", tmp_path), STACK)
    np.save(tmp_path / "n.npy", STACK)
    (tmp_path / "n.npy").rename(tmp_path / "n.tif")
    np.testing.assert_array_equal(read_images("n.tif", tmp_path), STACK)
    (tmp_path / "j.tif").write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    with pytest.raises(InputError, match=r"j\.tif: is a JPEG.*export the images as TIFF"):
        read_images("j.tif", tmp_path)


def test_exclude(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", STACK, photometric="minisblack")
    stack = read_stack("s.tif", tmp_path, Choice(exclude=[0, 3]))
    np.testing.assert_array_equal(stack.images, STACK[[1, 2, 4]])
    assert (stack.kept.tolist(), stack.count) == ([1, 2, 4], 5)
    for exclude, words in (
        ([5], "numbered 0 to 4"),
        (["s.tif"], "no files of their own"),
        (range(5), "leaves out"),
    ):
        with pytest.raises(InputError, match=words):
            read_images("s.tif", tmp_path, exclude=exclude)

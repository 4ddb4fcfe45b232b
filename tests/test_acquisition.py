"""Acquisitions: reading, normalising, masking, and one line for every mistake."""

import dataclasses
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldrx.acquisition import Acquisition, read_acquisition, read_table, schema
from fieldrx.acquisition.toml import parse_toml, toml_text
from fieldrx.background import mean_background, normalise, saturation_level, smooth_background
from fieldrx.errors import InputError
from fieldrx.optics import Illumination, Microscope

DATA = Path(__file__).parents[2] / "shared" / "data"
MICROSCOPE = Microscope(0.5, 0.4, 1.33, 0.2)
N, NY, NX = 4, 20, 27
RAW = np.random.default_rng(3).poisson(500, (N, NY, NX)).astype(np.uint16)
RING = Illumination.led_ring(N, 0.3)

OPTICS = "[microscope]\nwavelength_um = 0.5\nobjective_na = 0.4\nmedium_index = 1.33\npixel_size_um = 0.2\n"
IMAGES = '[images]\nfiles = "s.tif"\nbackground = 500\n'
LED_RING = '[illumination]\nkind = "led-ring"\ncount = 4\nna = 0.3\n'
LED_GRID = (
    '[illumination]\nkind = "led-grid"\npitch_um = 4000\ndistance_um = 79000\ncentre = [1, 1.5]\n'
    'axes = ["row", "-col"]\n'
)
TABLE = '[illumination]\nkind = "table"\ntable = "leds.csv"\n'
ROWS = "image,na_y,na_x\n0,0.1,0\n1,0,0.1\n2,-0.1,0\n3,0,-0.1\n"


@pytest.fixture
def folder(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", RAW, photometric="minisblack")
    (tmp_path / "leds.csv").write_text(ROWS)
    return tmp_path


def read(folder, text, **options):
    path = folder / "cells.toml"
    path.write_text(text)
    return read_acquisition(path, **options)


def error_line(action, *arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        action(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def assert_says(text, *words):
    for word in words:
        assert word in text, f"{word!r} not in {text!r}"


# --- TOML ------------------------------------------------------------------------------------


def test_read_toml_with_a_ring(folder):
    acquisition = read(folder, OPTICS + IMAGES + "holdout = [2, 0, 2]\n" + LED_RING)
    assert acquisition.images.dtype == np.float32
    np.testing.assert_allclose(acquisition.images, RAW / 500, rtol=1e-6)
    assert acquisition.mask is None
    assert acquisition.microscope == MICROSCOPE
    np.testing.assert_array_equal(acquisition.illumination.sources_na, RING.sources_na)
    assert acquisition.holdout.tolist() == [0, 2]
    assert (acquisition.n_images, acquisition.image_shape) == (N, (NY, NX))
    assert acquisition.name == "cells"
    (note,) = acquisition.notes
    assert_says(note, "led-ring", "taken as directions of travel", 'directions = "led-position"')


@pytest.mark.parametrize("kind", [TABLE, LED_RING, LED_GRID + "leds = [[1, 2], [0, 1], [3, 1], [0, 0]]\n"])
def test_directions_say_what_the_numbers_mean(folder, kind):
    """Where the LED stands is the opposite of where its light travels to; without a word it is travel."""
    plain = read(folder, OPTICS + IMAGES + kind)
    travel, place = (
        read(folder, OPTICS + IMAGES + kind + f'directions = "{d}"\n') for d in ("travel", "led-position")
    )
    np.testing.assert_array_equal(plain.illumination.sources_na, travel.illumination.sources_na)
    np.testing.assert_array_equal(place.illumination.sources_na, -travel.illumination.sources_na)
    np.testing.assert_array_equal(place.illumination.pattern, travel.illumination.pattern)
    assert travel.notes == place.notes == ()
    assert bool(plain.notes) == (kind != TABLE)


def test_read_toml_camera_pixel_and_names(folder):
    optics = OPTICS.replace("pixel_size_um = 0.2", "camera_pixel_um = 6.5\nmagnification = 10")
    path = folder / "acquisition.toml"
    path.write_text('notes = "fixed"\n' + optics + IMAGES + LED_RING)
    acquisition = read_acquisition(path)
    assert acquisition.microscope.pixel_size_um == pytest.approx(0.65)
    assert acquisition.name == folder.name
    assert acquisition.notes[0] == "fixed"
    assert read(folder, 'name = "mine"\n' + OPTICS + IMAGES + LED_RING).name == "mine"


def test_what_a_pixel_integrates_is_read(folder):
    full = read(folder, OPTICS + "pixel_fill = 1\n" + IMAGES + LED_RING)
    camera = OPTICS.replace(
        "pixel_size_um = 0.2", "camera_pixel_um = 6.5\nmagnification = 10\npixel_fill = 0.9"
    )
    assert (full.microscope.pixel_fill, read(folder, camera + IMAGES + LED_RING).microscope.pixel_fill) == (
        1,
        0.9,
    )
    assert read(folder, OPTICS + IMAGES + LED_RING).microscope.pixel_fill == 0


def test_region_cuts_images_background_and_dark(folder):
    surface = np.linspace(400, 600, NX) * np.ones((NY, 1))
    surface[0] = 0  # outside the region: never looked at
    tifffile.imwrite(folder / "bg.tif", surface.astype(np.float32))
    tifffile.imwrite(folder / "dark.tif", np.full((NY, NX), 20, np.uint16))
    text = IMAGES.replace("500", '"bg.tif"') + 'dark = "dark.tif"\nregion = [3, 17, 5, 26]\n'
    acquisition = read(folder, OPTICS + text + LED_RING)
    expected = (RAW - 20.0)[:, 3:17, 5:26] / (surface - 20)[3:17, 5:26]
    np.testing.assert_allclose(acquisition.images, expected, rtol=1e-5)


@pytest.mark.parametrize("background", ["[500, 250, 1000, 125]", '"mean"', '"smooth"', None])
def test_toml_backgrounds(folder, background):
    tifffile.imwrite(folder / "s.tif", (RAW.T * [1, 0.5, 2, 0.25]).T, photometric="minisblack")
    images = IMAGES.replace("background = 500", f"background = {background}" if background else "")
    acquisition = read(folder, OPTICS + images + LED_RING)
    np.testing.assert_allclose(acquisition.images.mean(axis=(1, 2)), 1, atol=0.02)
    remarks = [note for note in acquisition.notes if "directions" not in note]
    assert bool(remarks) == (background in ('"mean"', '"smooth"', None))


def test_led_grid_from_list_shape_and_pattern(folder):
    for k, (row, col) in enumerate([(0, 1), (0, 2), (3, 0), (11, 0)]):
        tifffile.imwrite(folder / f"led_r{row}_c{col}.tif", RAW[k])
    pattern = IMAGES.replace("s.tif", "led_r{row}_c{col}.tif")
    named = read(folder, OPTICS + pattern + LED_GRID)
    listed = read(folder, OPTICS + IMAGES + LED_GRID + "leds = [[0, 1], [0, 2], [3, 0], [11, 0]]\n")
    np.testing.assert_array_equal(named.illumination.sources_na, listed.illumination.sources_na)
    np.testing.assert_array_equal(named.images, listed.images)
    shaped = read(folder, OPTICS + IMAGES + LED_GRID + "shape = [2, 2]\n")
    expected = Illumination.led_grid([(0, 0), (0, 1), (1, 0), (1, 1)], 4000, 79000, (1, 1.5), ("row", "-col"))
    np.testing.assert_array_equal(shaped.illumination.sources_na, expected.sources_na)


def test_list_of_files_with_a_table_of_files(folder):
    for k, name in enumerate("dcba"):
        tifffile.imwrite(folder / f"{name}.tif", RAW[k])
    (folder / "leds.csv").write_text("file,na_y,na_x\na.tif,0.1,0\nb.tif,0.2,0\nc.tif,0.3,0\nd.tif,0.4,0\n")
    images = IMAGES.replace('"s.tif"', '["d.tif", "c.tif", "b.tif", "a.tif"]')
    acquisition = read(folder, OPTICS + images + TABLE)
    np.testing.assert_allclose(acquisition.images, RAW / 500, rtol=1e-6)
    directions = acquisition.illumination.pattern @ acquisition.illumination.sources_na
    np.testing.assert_allclose(directions[:, 0], [0.4, 0.3, 0.2, 0.1])
    text = error_line(read, folder, OPTICS + IMAGES + TABLE)
    assert_says(text, "leds.csv", "column file", "use column image")


def test_images_from_hdf5_with_background(folder):
    with h5py.File(folder / "d.h5", "w") as file:
        file["images"], file["empty"] = RAW, np.full((NY, NX), 500)
    images = IMAGES.replace("s.tif", "d.h5:/images").replace("500", '"d.h5:/empty"')
    np.testing.assert_allclose(read(folder, OPTICS + images + LED_RING).images, RAW / 500, rtol=1e-6)


def test_images_are_optional_for_optics_alone(folder):
    for text in (OPTICS + LED_RING, OPTICS + IMAGES.replace("s.tif", "gone.tif") + LED_RING,
                 OPTICS + IMAGES.replace("s.tif", "g_{row}_{col}.tif") + TABLE):  # fmt: skip
        acquisition = read(folder, text, images="optional")
        assert acquisition.images is None
        assert acquisition.image_shape is None
        assert acquisition.n_images == N
        acquisition.save(folder / "optics.npz")
        again = read_acquisition(folder / "optics.npz", images="optional")
        np.testing.assert_array_equal(again.illumination.pattern, acquisition.illumination.pattern)
    assert_says(
        error_line(read_acquisition, folder / "optics.npz"), "optics.npz", 'lacks "images"', "it holds"
    )
    assert read(folder, OPTICS + IMAGES + LED_RING, images="optional").images is not None
    (folder / "s.tif").write_bytes(b"broken")
    assert_says(
        error_line(read, folder, OPTICS + IMAGES + LED_RING, images="optional"), "s.tif", "not a TIFF"
    )
    with pytest.raises(ValueError, match="required"):
        read(folder, OPTICS + LED_RING, images="maybe")


TOML_MISTAKES = {
    "syntax": ("[microscope\n", "not valid TOML", "line 1", "correct"),
    "not text": ("\udcff", "not valid TOML"),
    "unknown table": (
        OPTICS + "[ilumination]\n",
        'unknown table "ilumination"',
        'did you mean "illumination"',
    ),
    "unknown top key": ("nam = 1\n" + OPTICS + IMAGES + LED_RING, 'unknown key "nam"', 'did you mean "name"'),
    "unknown key": (
        OPTICS.replace("wavelength", "wavelenght") + IMAGES + LED_RING,
        'unknown key "wavelenght_um" in [microscope]',
        'did you mean "wavelength_um"',
    ),
    "key of another kind": (
        OPTICS + IMAGES + LED_RING + "pitch_um = 1\n",
        'unknown key "pitch_um"',
        "known are kind",
    ),
    "unknown image key": (OPTICS + IMAGES + "file = 1\n" + LED_RING, 'unknown key "file"', '"files"'),
    "table is no table": ("microscope = 3\n", "expected a table [microscope]"),
    "no microscope": (IMAGES + LED_RING, 'lacks "microscope"', "it holds illumination, images"),
    "no images": (OPTICS + LED_RING, 'lacks "images"'),
    "no files": (OPTICS + "[images]\n" + LED_RING, '[images] lacks "files"', "name the image file"),
    "no wavelength": (
        OPTICS.replace("wavelength_um = 0.5\n", "") + IMAGES + LED_RING,
        'lacks "wavelength_um"',
    ),
    "no pixel": (OPTICS.replace("pixel_size_um = 0.2\n", "") + IMAGES + LED_RING, 'lacks "pixel_size_um"'),
    "half a pixel": (
        OPTICS.replace("pixel_size_um", "magnification") + IMAGES + LED_RING,
        '"camera_pixel_um"',
        "present:",
    ),
    "two pixels": (
        OPTICS + "magnification = 2\n" + IMAGES + LED_RING,
        "both pixel_size_um and magnification",
        "keep",
    ),
    "magnification": (
        OPTICS.replace("pixel_size_um = 0.2", "camera_pixel_um = 1\nmagnification = 0") + IMAGES + LED_RING,
        "magnification is 0",
        "positive",
    ),
    "fill": (OPTICS + "pixel_fill = 90\n" + IMAGES + LED_RING, "pixel_fill is 90", "expected 0"),
    "wavelength": (OPTICS.replace("0.5", "-0.5") + IMAGES + LED_RING, "wavelength_um is -0.5", "positive"),
    "text for number": (
        OPTICS.replace("0.5", '"0.5"') + IMAGES + LED_RING,
        "wavelength_um is '0.5'",
        "a number",
    ),
    "bool for number": (OPTICS.replace("0.5", "true") + IMAGES + LED_RING, "is True", "a number"),
    "number for bool": (OPTICS + IMAGES + LED_RING + "clockwise = 1\n", "is 1", "true or false"),
    "missing file": (
        OPTICS + IMAGES.replace("s.tif", "t.tif") + LED_RING,
        "t.tif",
        "no such file",
        '"s.tif"',
    ),
    "region": (OPTICS + IMAGES + "region = [0, 5, 0, 99]\n" + LED_RING, "s.tif", "region", "20 x 27"),
    "region of three": (OPTICS + IMAGES + "region = [0, 5, 0]\n" + LED_RING, "[0, 5, 0]", "4 whole numbers"),
    "holdout": (OPTICS + IMAGES + "holdout = [4]\n" + LED_RING, "image 4", "numbered 0 to 3", "correct"),
    "holdout all": (OPTICS + IMAGES + "holdout = [0,1,2,3]\n" + LED_RING, "all 4 images", "leave some"),
    "holdout text": (OPTICS + IMAGES + 'holdout = ["a"]\n' + LED_RING, "expected a list of image numbers"),
    "holdout of lists": (
        OPTICS + IMAGES + "holdout = [[1], [2, 3]]\n" + LED_RING,
        "holdout is",
        "equal length",
    ),
    "background of lists": (
        OPTICS + IMAGES.replace("500", "[[1], [2, 3]]") + LED_RING,
        "background is [[1], [2, 3]]",
        "equal length",
    ),
    "background file": (OPTICS + IMAGES.replace("500", '"b.tif"') + LED_RING, "b.tif", "no such file"),
    "background 0": (
        OPTICS + IMAGES.replace("500", "0") + LED_RING,
        "background of image 0 is zero",
        "check dark",
    ),
    "background shape": (
        OPTICS + IMAGES.replace("500", "[1, 2]") + LED_RING,
        "background has shape (2,)",
        "(20, 27)",
    ),
    "dark": (OPTICS + IMAGES + "dark = 500\n" + LED_RING, "background of image 0 is zero", "dark"),
    "saturation": (
        OPTICS + IMAGES + "saturation = 9\n" + LED_RING,
        "no valid pixel",
        "leave it out",
        "saturation",
    ),
    "no kind": (OPTICS + IMAGES + "[illumination]\n", '[illumination] lacks "kind"', "present: nothing"),
    "kind": (OPTICS + IMAGES + '[illumination]\nkind = "ring"\n', "kind is 'ring'", "led-ring", "table"),
    "kind type": (OPTICS + IMAGES + "[illumination]\nkind = 3\n", "kind is 3", "expected one of"),
    "directions": (
        OPTICS + IMAGES + LED_RING + 'directions = "led"\n',
        "directions is 'led'",
        'expected "travel"',
        '"led-position"',
    ),
    "ring count": (
        OPTICS + IMAGES + LED_RING.replace("4", "5"),
        "count is 5 for 4 images",
        "one LED per image",
    ),
    "ring count type": (OPTICS + IMAGES + LED_RING.replace("4", "4.0"), "count is 4.0", "whole"),
    "no na": (OPTICS + IMAGES + LED_RING.replace("na = 0.3", ""), 'lacks "na"', "kind, count"),
    "grid without leds": (OPTICS + IMAGES + LED_GRID, "by nothing", "leds = [[row, col], ...]"),
    "grid twice": (
        OPTICS + IMAGES + LED_GRID + "leds = [[1, 2]]\nshape = [2, 2]\n",
        "leds and shape",
        "one of",
    ),
    "leds": (OPTICS + IMAGES + LED_GRID + "leds = [[1, 2], [3]]\n", "leds is", "shape (2, 2) as (row, col)"),
    "leds empty": (OPTICS + IMAGES + LED_GRID + "leds = []\n", "leds is []"),
    "leds count": (OPTICS + IMAGES + LED_GRID + "leds = [[1, 2]]\n", "1 LEDs for 4 images", "per image"),
    "grid shape": (OPTICS + IMAGES + LED_GRID + "shape = [0, 2]\n", "shape is [0, 2]", "positive"),
    "grid pitch": (
        OPTICS + IMAGES + LED_GRID.replace("4000", "0") + "shape = [2, 2]\n",
        "pitch_um is 0",
        "positive",
    ),
    "grid axes": (
        OPTICS + IMAGES + LED_GRID.replace('"-col"', '"row"') + "shape = [2, 2]\n",
        "axes is",
        '"-row"',
    ),
    "grid centre": (OPTICS + IMAGES + LED_GRID.replace("1.5", '"a"') + "shape = [2, 2]\n", "centre is"),
    "no table": (
        OPTICS + IMAGES + TABLE.replace("leds.csv", "led.csv"),
        "led.csv",
        "no such file",
        '"leds.csv"',
    ),
    "table is a folder": (OPTICS + IMAGES + TABLE.replace("leds.csv", "."), "is a folder", "give a file"),
}


@pytest.mark.parametrize("mistake", TOML_MISTAKES)
def test_toml_mistakes(folder, mistake):
    text, *words = TOML_MISTAKES[mistake]
    path = folder / "cells.toml"
    path.write_text(text, errors="surrogateescape")
    line = error_line(read_acquisition, path)
    assert_says(line, *words)
    assert re.search(r"cells\.toml|\.tif|\.csv|is a folder", line)


def test_other_files(folder):
    assert_says(error_line(read_acquisition, folder / "no.toml"), "no.toml", "no such file", "check the path")
    assert_says(error_line(read_acquisition, folder), folder.name, "is a folder", "give a file")
    assert_says(
        error_line(read_acquisition, folder / "s.tif"), "s.tif", "unknown ending", ".toml, .npz or .h5"
    )


def test_background_file_of_another_shape(folder):
    tifffile.imwrite(folder / "bg.tif", np.ones((NX, NY), np.float32))
    line = error_line(read, folder, OPTICS + IMAGES.replace("500", '"bg.tif"') + LED_RING)
    assert_says(line, "cells.toml", "background has shape (1, 27, 20)", "(20, 27)", "region")


def test_pattern_of_images_of_mixed_shapes(folder):
    for k in range(4):
        tifffile.imwrite(folder / f"p_{k}_0.tif", RAW[k, : NY - (k == 2)])
    line = error_line(read, folder, OPTICS + IMAGES.replace("s.tif", "p_{row}_{col}.tif") + LED_RING)
    assert_says(line, "p_2_0.tif", "19 x 27", "p_0_0.tif has 20 x 27", "leave out")


# --- table -----------------------------------------------------------------------------------


def table(folder, text, **options):
    path = folder / "leds.csv"
    path.write_text(text)
    return read_table(path, **options)


def test_table_keeps_the_order_of_sources(folder):
    light = table(folder, ROWS, n_images=N)
    np.testing.assert_array_equal(light.pattern, np.eye(N))
    np.testing.assert_array_equal(light.sources_na, [[0.1, 0], [0, 0.1], [-0.1, 0], [0, -0.1]])


def test_table_multiplexes_and_shares_sources(folder):
    text = "\ufeff# board 3\n na_x , extra, weight,page,na_y\n"
    text += "0,a,1,1,0.1\n\n0.2,b,0.5,0,0\n0,c,2,0,0.1\n0,d,1,1,0.1\n"
    light = table(folder, text)
    np.testing.assert_array_equal(light.sources_na, [[0.1, 0], [0, 0.2]])
    np.testing.assert_array_equal(light.pattern, [[2, 0.5], [2, 0]])


TABLE_MISTAKES = {
    "text": (
        ROWS.replace("2,-0.1", "2,abc"),
        "row 3 (line 4), column na_y",
        '"abc"',
        "finite number",
        "correct",
    ),
    "nan": (ROWS.replace("2,-0.1", "2,nan"), "row 3 (line 4), column na_y", '"nan"'),
    "empty cell": (ROWS.replace("2,-0.1", "2,"), "row 3 (line 4), column na_y", '""'),
    "short row": (ROWS.replace("2,-0.1,0", "2,-0.1"), "row 3 (line 4)", "2 cells for 3 columns", "complete"),
    "one based": (
        ROWS.replace("3,0,", "4,0,"),
        "row 4 (line 5), column image",
        "numbered from 0 to 3",
        "4 images",
    ),
    "half image": (ROWS.replace("3,0,", "1.5,0,"), "row 4 (line 5), column image", "1.5 is no image"),
    "missing image": (
        ROWS.replace("2,-0.1", "1,-0.1"),
        "no row for 1 of 4 images (first: image 2)",
        "at least one row",
    ),
    "short table": ("image,na_y,na_x\n0,0,0\n", "no row for 3 of 4 images (first: image 1)"),
    "no column": (ROWS.replace("na_x", "nax"), "lacks the column na_x", "it has image, na_y, nax"),
    "no image column": (ROWS.replace("image", "number"), "lacks the column image", "page, or file"),
    "two runs": (
        ROWS + ROWS[ROWS.index("\n") + 1 :],
        "row 5 (line 6)",
        "a second time",
        "add a column weight",
    ),
    "two runs, names included": (ROWS + ROWS, "line 6", "names the columns again", "keep one"),
    "part of a second run": (ROWS + "0,0.1,0.1\n", "row 5 (line 6)", "a second time"),
    "column twice": ("image,na_y,na_x,NA_y\n0,0,0,0\n", "two columns na_y", "rename or delete"),
    "image and page": (
        re.sub(r"\n(\d),", lambda m: f"\n{m[1]},{3 - int(m[1])},", ROWS.replace("image", "image,page")),
        "row 1 (line 2)",
        "image and page name different images (0 and 3)",
        "keep the one",
    ),
    "from one": (
        re.sub(r"\n(\d),", lambda m: f"\n{int(m[1]) + 1},", ROWS),
        "column image: 4 is no image",
        "count from 1: take 1 off",
    ),
    "comma and point": (ROWS.replace(",", ";").replace("0.1;0\n1", "0,1;0\n1"), "line 2", '"0,1"', "alike"),
    "open quote": (ROWS.replace("0,0.1,0\n", '0,0.1,"0\n'), "line 2", "is not closed"),
    "underscore": (ROWS.replace("0,0.1,", "0,0_1,"), "row 1 (line 2), column na_y", '"0_1"'),
    "no rows": ("image,na_y,na_x\n", "has no rows", "one row per image"),
    "empty": ("", "has no rows"),
    "weight": ("image,na_y,na_x,weight\n0,0,0,1\n1,0,0,1\n2,0,0,1\n3,0,0,-1\n", "not negative"),
    "dark": ("image,na_y,na_x,weight\n0,0,0,1\n1,0,0,1\n2,0,0,1\n3,0,0,0\n", "image 3 has no source"),
    "weight nan": ("image,na_y,na_x,weight\n0,0,0,x\n", "row 1 (line 2), column weight"),
}


@pytest.mark.parametrize("mistake", TABLE_MISTAKES)
def test_table_mistakes(folder, mistake):
    text, *words = TABLE_MISTAKES[mistake]
    assert_says(error_line(table, folder, text, n_images=N), "leds.csv", *words)


PAGED = re.sub(r"\n(\d),", r"\n\1,\1,", ROWS.replace("image", "page,image"))
NOTED = "image,na_y,na_x,note\n" + "".join(f"{row},\n" for row in ROWS.splitlines()[1:])
AS_PEOPLE_WRITE = {
    "semicolons": ROWS.replace(",", ";"),
    "decimal commas": ROWS.replace(",", ";").replace(".", ","),
    "quoted decimal commas": ROWS.replace("-0.1", '"-0,1"').replace(",0.1", ',"0,1"'),
    "a word for Excel": "sep=;\n" + ROWS.replace(",", ";"),
    "tabs": ROWS.replace(",", "\t"),
    "blanks": ROWS.replace(",", "  "),
    "commas above blanks": ROWS[:15] + ROWS[15:].replace(",", " "),
    "header of numpy.savetxt": "# board 3\n# " + ROWS,
    "capitals and quotes": ROWS.replace("image,na_y,na_x", '"Image", "NA_y",NA_X'),
    "old line breaks": ROWS.replace("\n", "\r"),
    "form feed": ROWS + "\x0c\n",
    "typographic minus": ROWS.replace("-", "\u2212"),
    "mark of no width": ROWS.replace("na_y", "na\ufeff_y"),
    "rows of commas": ROWS + ",,\n,,\n",
    "commas behind": ROWS[:15] + ROWS[15:].replace("\n", ",,\n")[2:],
    "page and image alike": PAGED,
    "quoted line break": NOTED.replace("0.1,0,\n", '0.1,0,"dim,\n# see ""book"""\n', 1),
    "line separator": NOTED.replace("0.1,0,\n", "0.1,0,a\u2028b\n", 1),
    "inch": NOTED.replace("0.1,0,\n", '0.1,0,off by 1.5" in y\n', 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", AS_PEOPLE_WRITE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_as_people_write_them(folder, kind, encoding):
    path = folder / "leds.csv"
    path.write_bytes(AS_PEOPLE_WRITE[kind].encode(encoding))
    light = read_table(path, N)
    np.testing.assert_array_equal(
        light.pattern @ light.sources_na, [[0.1, 0], [0, 0.1], [-0.1, 0], [0, -0.1]]
    )


def test_table_other_mistakes(folder):
    (folder / "leds.csv").write_bytes(ROWS.encode("utf-16-le"))
    assert_says(error_line(read_table, folder / "leds.csv"), "leds.csv", "zero bytes", "UTF-16")
    (folder / "leds.csv").write_bytes(b"PK\x03\x04" + bytes(20))
    assert_says(error_line(read_table, folder / "leds.csv"), "leds.csv", "workbook", "save it as csv")
    (folder / "leds.csv").write_bytes(ROWS.replace("2,", "2,°").encode("latin-1"))
    assert_says(error_line(read_table, folder / "leds.csv"), "leds.csv", "line 4", "save the file as UTF-8")
    (folder / "leds.csv").write_bytes(b"\xff\xfe\x00")
    assert_says(error_line(read_table, folder / "leds.csv"), "leds.csv", "UTF-8")
    line = error_line(table, folder, "file,na_y,na_x\nx1.tif,0,0\n", files=["x.tif", "y.tif"])
    assert_says(line, "column file", "no image is called x1.tif", 'did you mean "x.tif"')


# --- npz and HDF5 ----------------------------------------------------------------------------

ARRAYS = {**MICROSCOPE.to_dict(), "images": RAW, "illumination_na": RING.sources_na, "background": 500.0}


def read_npz(folder, arrays):
    np.savez(folder / "a.npz", **arrays)
    return read_acquisition(folder / "a.npz")


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f2", "f4", "f8", ">u2"])
@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_read_arrays_of_any_real_type(tmp_path, dtype, suffix):
    images = (RAW // 4).astype(dtype)
    arrays = {**ARRAYS, "images": images, "background": np.float32(125), "holdout": np.array([1], np.int32)}
    if suffix == "npz":
        np.savez(tmp_path / "a.npz", **arrays)
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["images"], file["illumination_na"] = images, RING.sources_na
            for name in arrays.keys() - {"images", "illumination_na"}:
                file.attrs[name] = arrays[name]
            file.attrs["name"] = "a"
    acquisition = read_acquisition(tmp_path / f"a.{suffix}")
    assert acquisition.images.dtype == np.float32
    np.testing.assert_allclose(acquisition.images, images.astype(float) / 125, rtol=1e-6)
    assert acquisition.holdout.tolist() == [1]
    assert acquisition.name == "a"


@pytest.mark.parametrize(
    "background",
    [500, np.full(N, 500), np.full((NY, NX), 500), np.full((1, NY, NX), 500.0), np.full(RAW.shape, 500)],
)
def test_given_backgrounds(tmp_path, background):
    acquisition = read_npz(tmp_path, {**ARRAYS, "background": background})
    np.testing.assert_allclose(acquisition.images, RAW / 500, rtol=1e-6)


def test_save_reads_back_the_same(tmp_path):
    raw = RAW.astype(float)
    raw[1, 2, 3], raw[2, 0, 0], raw[3, 4, 5] = np.nan, np.inf, 1e300
    light = RING.multiplexed([(0, 1), (1, 2), (2, 3), (0,)])
    before = Acquisition.from_raw(raw, light, MICROSCOPE, 500, holdout=[3], name="x", notes=["hello"])
    before.save(tmp_path / "a.npz")
    after = read_acquisition(tmp_path / "a.npz")
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.mask, before.mask)
    np.testing.assert_array_equal(after.illumination.pattern, light.pattern)
    np.testing.assert_array_equal(after.illumination.sources_na, light.sources_na)
    assert after.microscope == before.microscope
    assert after.holdout.tolist() == [3]
    assert after.name == "x"
    assert "hello" in after.notes
    assert after.notes == before.notes
    assert_says(error_line(before.save, tmp_path / "a.tif"), "a.tif", "saved as .npz", "choose")


def test_save_of_an_empty_field_reads_back_unmasked(tmp_path):
    before = Acquisition(np.ones((N, NY, NX)), RING, MICROSCOPE)
    before.save(tmp_path / "a.npz")
    after = read_acquisition(tmp_path / "a.npz")
    assert after.mask is None
    assert (after.images == 1).all()
    assert after.notes == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"illumination_na": RING.sources_na[:3]},
            ("illumination_na has 3 rows for 4 images", "one row per image"),
        ),
        ({"illumination_na": None}, ("either illumination_na", "holds none")),
        ({"pattern": np.eye(4)}, ("either illumination_na", "holds illumination_na, pattern")),
        ({"sources_na": np.zeros((4, 2))}, ("either illumination_na", "illumination_na, sources_na")),
        (
            {"illumination_na": None, "sources_na": np.zeros((2, 2)), "pattern": np.ones((3, 2))},
            ("pattern has 3 rows for 4 images",),
        ),
        (
            {"illumination_na": None, "sources_na": np.zeros((2, 2)), "pattern": np.ones((4, 3))},
            ("pattern has shape (4, 3)", "one column per source"),
        ),
        ({"illumination_na": None, "sources_na": np.zeros((3, 2))}, ("sources_na has 3 rows for 4 images",)),
        ({"illumination_na": np.array(["a"] * 4)}, ("illumination_na has type", "real numbers")),
        ({"illumination_na": RING.sources_na * np.nan}, ("source 0 is not finite", "give numbers")),
        ({"wavelength_um": None}, ('lacks "wavelength_um"', "it holds background, illumination_na, images")),
        ({"wavelength_um": np.array([1, 2])}, ("wavelength_um has shape (2,)", "one number")),
        ({"wavelength_um": 0}, ("wavelength_um is 0", "positive")),
        ({"wavelength_um": "green"}, ("wavelength_um", "one number")),
        ({"images": None}, ('lacks "images"',)),
        ({"images": RAW[0]}, ("images have shape (20, 27)", "n_images = 4")),
        ({"images": RAW * 1j}, ("complex", "abs(field)**2")),
        ({"images": RAW[:0]}, ("4 rows for 0 images",)),
        ({"images": np.moveaxis(RAW, 0, -1)}, ("4 rows for 20 images",)),
        ({"background": RAW[:, 1:]}, ("background has shape (4, 19, 27)", "expected a number, (4,)")),
        ({"background": RAW * (RAW > 500)}, ("background of image 0 is zero", "pixels", "check dark")),
        ({"background": np.nan}, ("not finite",)),
        ({"background": "smoth"}, ("background",)),
        ({"holdout": [7]}, ("holdout names image 7", "0 to 3")),
        ({"holdout": [-1]}, ("holdout names image -1",)),
        ({"holdout": [0.5]}, ("holdout has type float64", "such as [3, 17]")),
        ({"mask": np.ones((NY, NX))}, ("mask has shape (20, 27)", "same shape")),
        ({"mask": np.ones(RAW.shape)}, ("mask has type float64", "true (or 1)")),
        ({"mask": np.zeros(RAW.shape, bool)}, ("mask leaves no valid pixel in any image", "true (or 1)")),
        ({"images": np.array([{}] * 4)}, ('"images"', "never unpickles", "save it as")),
    ],
)
def test_npz_mistakes(tmp_path, change, words):
    arrays = {k: v for k, v in {**ARRAYS, **change}.items() if v is not None}
    assert_says(error_line(read_npz, tmp_path, arrays), "a.npz", *words)


def test_one_image_may_have_two_axes(tmp_path):
    acquisition = read_npz(tmp_path, {**ARRAYS, "images": RAW[0], "illumination_na": [[0.1, 0]]})
    assert acquisition.images.shape == (1, NY, NX)


def test_mask_in_the_file_is_kept(tmp_path):
    mask = RAW < 520
    acquisition = read_npz(tmp_path, {**ARRAYS, "mask": mask.astype(np.uint8)})
    np.testing.assert_array_equal(acquisition.mask, mask)
    assert (acquisition.images[~mask] == 1).all()


def test_an_image_masked_as_a_whole_reads_back(tmp_path):
    mask = np.ones(RAW.shape, bool)
    mask[2] = False
    first = read_npz(tmp_path, {**ARRAYS, "mask": mask})
    assert (first.images[2] == 1).all()
    first.save(tmp_path / "b.npz")
    again = read_acquisition(tmp_path / "b.npz")
    np.testing.assert_array_equal(again.mask, mask)
    np.testing.assert_array_equal(again.images, first.images)


# --- the class -------------------------------------------------------------------------------


def test_acquisition_is_frozen_and_checks():
    acquisition = Acquisition(RAW / 500, RING, MICROSCOPE)
    assert acquisition.images.dtype == np.float32
    with pytest.raises(dataclasses.FrozenInstanceError):
        acquisition.images = None
    assert dataclasses.replace(acquisition, holdout=[1, 1]).holdout.tolist() == [1]
    nan = np.where(RAW > 520, np.nan, RAW / 500)
    assert_says(error_line(Acquisition, nan, RING, MICROSCOPE), "not finite", "from_raw")
    line = error_line(Acquisition, np.moveaxis(RAW, 0, -1), RING, MICROSCOPE)
    assert_says(line, "describes 4 images", "(20, 27, 4)", "np.moveaxis(images, -1, 0)")
    assert_says(error_line(Acquisition, RAW[0], RING, MICROSCOPE), "(20, 27)", "(n_images, y, x)")
    assert_says(error_line(Acquisition, RAW[:0], RING, MICROSCOPE), "(0, 20, 27)", "n_images = 4")
    assert_says(error_line(Acquisition, None, RING, MICROSCOPE, np.ones(RAW.shape)), "mask", "None")


@pytest.mark.parametrize("junk", [9.0, np.nan, -np.inf])
def test_masked_pixels_become_one(junk):
    images, mask = (RAW / 500).astype(np.float32), RAW < 520
    given = np.where(mask, images, np.float32(junk))
    acquisition = Acquisition(given, RING, MICROSCOPE, mask)
    np.testing.assert_array_equal(acquisition.images, np.where(mask, images, 1))
    np.testing.assert_array_equal(given, np.where(mask, images, np.float32(junk)))  # the caller's stay
    clean = Acquisition(np.where(mask, images, np.float32(1)), RING, MICROSCOPE, mask)
    assert acquisition.fingerprint() == clean.fingerprint()
    assert np.shares_memory(dataclasses.replace(acquisition, name="b").images, acquisition.images)


# --- background and masks --------------------------------------------------------------------


def scene(shape=(90, 130), noise=0.02, seed=0):
    """An uneven field with a strong sample over a quarter of it: (image, background, sample)."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    background = 3000 * (1 + 0.2 * y - 0.3 * x - 0.15 * x**2 + 0.1 * x * y)
    sample = (y + 0.2) ** 2 + (x - 0.3) ** 2 < 0.35
    rng = np.random.default_rng(seed)
    image = background * np.where(sample, rng.uniform(0.2, 1.4, shape), 1) * rng.normal(1, noise, shape)
    return image, background, sample


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_smooth_background_ignores_the_sample(seed, scale):
    image, background, sample = scene(seed=seed)
    found = smooth_background(image * scale) / scale
    off = np.abs(found / background - 1)  # largest in a corner, where noise leads the surface away
    assert np.quantile(off, 0.99) < 0.02 and off.max() < 0.03
    assert np.mean((image / found)[~sample]) == pytest.approx(1, abs=0.004)


def test_smooth_background_looks_at_valid_pixels_alone():
    image, background, _ = scene()
    valid = np.ones(image.shape, bool)
    valid[:50, :60] = False
    image[~valid] = 60000
    np.testing.assert_allclose(smooth_background(image, valid), background, rtol=0.03)
    assert mean_background(image, valid) == pytest.approx(image[valid].mean())


def test_smooth_background_does_not_follow_a_sample_to_zero():
    """A dense sample that leaves a corner empty: the surface of second order falls below zero."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (90, 130)), indexing="ij")
    rng = np.random.default_rng(0)
    dense = rng.uniform(0.05, 0.7, x.shape) * (1.2 - x - y) / 3
    image = 3000 * np.where(x + y < -0.3, 1, dense) * rng.normal(1, 0.02, x.shape)
    found = smooth_background(image)
    assert found.min() > 0.1 * np.median(found)
    assert (image / found).max() < 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 2), (200, 3)])
def test_smooth_background_of_small_and_flat_images(shape):
    np.testing.assert_allclose(smooth_background(np.full(shape, 7.0)), 7, rtol=1e-5)


def test_smooth_background_with_few_valid_pixels():
    image, _, _ = scene()
    valid = np.zeros(image.shape, bool)
    valid[1::2, 1::2] = True  # none of them on the coarse grid of samples
    assert np.isfinite(smooth_background(image, valid)).all()
    valid[:] = False
    valid[3, 4] = True
    assert smooth_background(image, valid)[3, 4] == pytest.approx(image[3, 4], rel=1e-4)


def test_background_that_cannot_be_estimated():
    image = np.zeros((1, 30, 30))
    image[0, :3] = 1000
    assert_says(error_line(normalise, image, "smooth"), "image 0 cannot be estimated", "empty-field image")
    assert_says(error_line(normalise, image, "smoth"), '"smoth"', '"smooth", "mean"')


def test_normalised_images_stay_as_they_are():
    image, background, _ = scene()
    done = (image / background).astype(np.float32)[None]
    out, mask, notes = normalise(done)
    np.testing.assert_array_equal(out, done)
    assert (mask, notes) == (None, [])
    out, _, notes = normalise(image[None])
    assert np.median(out) == pytest.approx(1, abs=0.01)
    assert "estimated" in notes[0]


def flickering(n=15, shape=(48, 60)):
    """Images (n, y, x) of a blob that moves while the light turns, dust, and the lamp's brightness."""
    rng = np.random.default_rng(7)
    y, x = np.meshgrid(*(np.linspace(-1, 1, k) for k in shape), indexing="ij")
    angle = 2 * np.pi * np.arange(n)[:, None, None] / n
    r2 = (y - 0.6 * np.sin(angle)) ** 2 + (x - 0.6 * np.cos(angle)) ** 2
    signal = 1 + 0.4 * np.exp(-r2 / 0.02)
    dust = 1 - 0.3 * (rng.random(shape) < 0.05) - 0.2 * np.exp(-((y - 0.2) ** 2 + (x + 0.1) ** 2) / 0.01)
    return signal, dust, rng.uniform(0.7, 1.4, n)[:, None, None]


def off(out, signal, mask=None):
    """Root mean square error of normalised images."""
    error = (out - signal) ** 2
    return float(np.sqrt(error.mean() if mask is None else error[mask].mean()))


def test_median_of_the_stack_finds_a_pattern_and_the_level_of_every_image():
    signal, dust, level = flickering()
    raw = 10 + 800 * level * dust * signal
    raw[3, 4:8, 5:9] = np.nan
    out, mask, notes = normalise(raw, "median", dark=10)
    assert off(out, signal, mask) < 2e-3
    assert any("median of the stack" in note for note in notes)
    assert off(normalise(raw, "smooth", dark=10)[0], signal, mask) > 0.05  # dust stays


def test_median_looks_at_valid_pixels_alone():
    """Missing, saturated and masked pixels, and images masked as a whole, move neither pattern nor level."""
    signal, dust, level = flickering(9)
    raw = 800 * level * dust * signal
    raw[:5, 8:20, 6:30] = 0
    raw[4:8, 30:40, 6:30] = 5000
    raw[2:7, 20:24, 40:] = 77
    raw[8] = 3
    mask = np.ones(raw.shape, bool)
    mask[2:7, 20:24, 40:] = mask[8] = False
    out, valid, _ = normalise(raw, "median", missing=0, saturation=4000, mask=mask)
    assert off(out, signal, valid) < 0.01
    flat = np.full((6, 20, 24), 100.0)
    flat[:3, :15] = 0
    out, valid, _ = normalise(flat, "median", missing=0)
    assert out[valid] == pytest.approx(1, abs=1e-6)


def test_images_normalised_already_are_told_by_valid_pixels():
    done = np.ones((3, 20, 24), np.float32)
    done[1, :15] = -9
    out, _, notes = normalise(done, missing=-9)
    assert not any("estimated" in note for note in notes)
    assert (out == 1).all()


def test_dark_field_is_told_by_valid_pixels(folder):
    raw = np.full((4, 20, 24), 500.0)
    raw[1, :15] = 0
    light = Illumination.led_ring(4, 0.99 * MICROSCOPE.objective_na)
    acquisition = Acquisition.from_raw(raw, light, MICROSCOPE, 500, missing=0)
    assert acquisition.usable.all()
    raw[2] = 40
    assert not Acquisition.from_raw(raw, light, MICROSCOPE, 500, missing=0).usable[2]


@pytest.mark.parametrize(
    ("options", "levelled"),
    [
        ({"background": 500}, False),
        ({"background": np.full(RAW.shape[1:], 500.0)}, False),
        ({"background": 500, "gain": True}, True),
        ({"background": "smooth"}, True),
        ({"background": "median"}, True),
        ({}, True),
    ],
)
def test_whether_levels_are_taken_out(tmp_path, options, levelled):
    acquisition = Acquisition.from_raw(RAW, RING, MICROSCOPE, **options)
    assert acquisition.levelled is levelled
    acquisition.save(tmp_path / "a.npz")
    assert read_acquisition(tmp_path / "a.npz").levelled is levelled


def test_fixed_pattern_is_divided_out():
    signal, dust, level = flickering()
    raw = 800 * level * dust * signal
    given = 800 * level[:, 0, 0]
    out, _, notes = normalise(raw, given, fixed_pattern=True)
    assert off(out, signal) < 2e-3
    assert notes == ["fixed pattern of the stack divided out"]
    assert off(normalise(raw, given)[0], signal) > 0.05


def test_gain_of_every_image_under_a_given_background():
    signal, dust, level = flickering()
    raw = 800 * level * dust * signal
    out, _, notes = normalise(raw, 800 * dust, gain=True)
    assert off(out, signal) < 2e-3
    assert notes == ["gain of every image estimated"]
    assert off(normalise(raw, 800 * dust)[0], signal) > 0.05


def test_gain_and_fixed_pattern_together():
    signal, dust, level = flickering()
    raw = 800 * level * dust * signal
    assert off(normalise(raw, 800, fixed_pattern=True, gain=True)[0], signal) < 2e-3
    for left_out in ({"gain": True}, {"fixed_pattern": True}):
        assert off(normalise(raw, 800, **left_out)[0], signal) > 0.05


def test_toml_corrections(folder):
    """The keys of [images] do what the arguments do."""
    signal, dust, level = flickering(N, (NY, NX))
    raw = (8000 * level * dust * signal).astype(np.uint16)
    tifffile.imwrite(folder / "s.tif", raw, photometric="minisblack")
    for text, options in (
        ('background = "median"', ("median",)),
        (
            "background = 8000\nfixed_pattern = true\ngain = true",
            (8000, 0, None, None, None, True, True),
        ),
    ):
        images = '[images]\nfiles = "s.tif"\n' + text + "\n"
        (folder / "a.toml").write_text(OPTICS + images + LED_RING)
        np.testing.assert_array_equal(read_acquisition(folder / "a.toml").images, normalise(raw, *options)[0])


def test_normalise_does_not_touch_its_input_and_does_not_wrap():
    raw = RAW.copy()
    raw[0, 0, 0] = 3
    before = raw.copy()
    out, _, _ = normalise(raw, 510, dark=np.uint16(10))
    np.testing.assert_array_equal(raw, before)
    assert out[0, 0, 0] == pytest.approx(-7 / 500)


def test_bad_pixels_are_masked_and_set_to_one():
    raw = RAW.astype(np.float32)
    raw[0, :3], raw[1, 5, 5], raw[2, 6] = np.nan, np.inf, 0
    out, mask, notes = normalise(raw, "mean", missing=0)
    expected = np.isfinite(raw) & (raw != 0)
    np.testing.assert_array_equal(mask, expected)
    assert (out[~mask] == 1).all()
    np.testing.assert_allclose([o[m].mean() for o, m in zip(out, mask, strict=True)], 1, rtol=1e-5)
    assert any("masked" in note for note in notes)
    assert normalise(raw, "mean")[1][2].all()  # zero is a value like any other by default


def test_dead_pixels_of_a_background_may_be_marked():
    raw, background = RAW.copy(), np.full((NY, NX), 500)
    raw[:, 3, 4] = background[3, 4] = 0
    out, mask, _ = normalise(raw, background, missing=0)
    assert not mask[:, 3, 4].any()
    assert np.isfinite(out).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_integers_saturate_at_their_maximum(dtype):
    raw = np.minimum(RAW, 100).astype(dtype)
    raw[1, 2, 3] = np.iinfo(dtype).max
    _, mask, _ = normalise(raw, 100)
    assert not mask[1, 2, 3]


def test_given_saturation():
    _, mask, notes = normalise(RAW, 500, saturation=530)
    np.testing.assert_array_equal(mask, RAW < 530)
    assert "at or above 530" in notes[0]


def camera(limit, dtype, seed=0):
    """Twelve-bit counts of a bright field whose brightest spot exceeds the camera."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (80, 110)), indexing="ij")
    mean = 2000 + 4000 * np.exp(-(x**2 + y**2) / 0.1)
    counts = np.random.default_rng(seed).poisson(mean, (3, 80, 110))
    return np.minimum(counts, limit).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_plateau_of_a_camera_of_fewer_bits(dtype):
    assert saturation_level(camera(4095, dtype)) == 4095
    assert saturation_level(camera(10**6, dtype)) == (65535 if dtype == np.uint16 else np.inf)


@pytest.mark.parametrize(
    "images",
    [
        np.ones((2, 30, 30)),
        np.full((2, 30, 30), 900.0),
        np.concatenate([RAW, np.full((1, NY, NX), 900)]).astype(float),
        np.where(RAW > 500, 900.0, 100.0),
        np.minimum(RAW / 500, 1.0),
        np.full((1, 2, 2), np.nan),
    ],
)
def test_no_plateau_where_none_is(images):
    assert saturation_level(images) == np.inf


def test_dim_images_at_the_edge_of_the_pupil_are_masked():
    raw = np.tile(RAW, (2, 1, 1)).astype(float)
    raw[[2, 3]] *= 0.1
    raw[6] *= 0.5
    raw[0, 0, 0] = np.nan
    light = Illumination(
        [[0.39, 0], [0, 0.39], [0.38, 0], [0.1, 0], [0, 0.1], [0, 0], [0.39, 0.01], [0.5, 0]]
    )
    acquisition = Acquisition.from_raw(raw, light, MICROSCOPE, "mean")
    assert not acquisition.mask[2].any()
    assert (acquisition.images[2] == 1).all()
    assert acquisition.mask[3].all()  # dim, but its light comes from the middle of the pupil
    assert np.flatnonzero(~acquisition.usable).tolist() == [2, 7]  # image 7 is dark field by its table
    assert_says(acquisition.notes[0], "images 2 are masked", "dark field")
    assert "1 pixels" in acquisition.notes[-1]
    both = light.multiplexed([(k, (k + 1) % 8) for k in range(8)])
    assert Acquisition.from_raw(raw, both, MICROSCOPE, "mean").mask[2].all()


# --- measured and simulated data -------------------------------------------------------------


def shared(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs {name}, which is not part of the repository")
    return path


@pytest.mark.slow
def test_algae():
    acquisition = read_acquisition(shared("algae/acquisition.toml"))
    assert acquisition.images.shape == (89, 320, 320)
    assert acquisition.name == "algae"
    assert acquisition.microscope.pixel_size_um == pytest.approx(6.5 / 10.07)
    np.testing.assert_array_equal(acquisition.illumination.pattern, np.eye(89))
    np.testing.assert_allclose(acquisition.illumination.sources_na[0], [-0.245127, 0.049025])
    assert np.flatnonzero(~acquisition.usable).tolist() == [38, 49, 60, 78, 79, 85, 86, 87, 88]
    assert np.median(np.median(acquisition.images, axis=(1, 2))) == pytest.approx(1, abs=0.03)


def test_hl60():
    acquisition = read_acquisition(shared("hl60/acquisition.npz"))
    raw = np.load(shared("hl60/acquisition.npz"), allow_pickle=False)
    np.testing.assert_allclose(acquisition.images, raw["images"] / 8000, rtol=1e-6)
    assert acquisition.mask is None
    assert acquisition.holdout.tolist() == list(range(33, 43))
    assert acquisition.notes == ()


COUNTS = {"whole": RAW, "float": RAW.astype(float), "dim": RAW / 1e5, "signal": RAW / 500 - 1}


@pytest.mark.parametrize("images", COUNTS.values(), ids=COUNTS)
def test_counts_are_no_normalised_images(images):
    text = error_line(Acquisition, images, RING, MICROSCOPE)
    assert_says(text, str(images.dtype), "1 without a sample", "Acquisition.from_raw normalises counts")


def test_odd_images_among_normalised_ones_are_kept():
    images, dark = RAW / 500, np.zeros((N, NY, NX), bool)
    images[0] *= 100
    acquisition = Acquisition(images, RING, MICROSCOPE)
    assert acquisition.select([0]).n_images == 1
    Acquisition(np.full((N, NY, NX), 1e4), RING, MICROSCOPE, dark)  # what is masked counts nowhere
    outside = Illumination.led_ring(N, 0.9 * MICROSCOPE.medium_index)
    Acquisition(np.full((N, NY, NX), 0.01), outside, MICROSCOPE)  # nor does dark field
    Acquisition.from_raw(RAW, RING, MICROSCOPE, background=1.0)  # who names a background knows


# ---- the schema, for reading and for writing -------------------------------------------------------


@pytest.mark.parametrize(
    ("background", "named"),
    [(1.5, False), ([1.0, 2.0], False), ("smooth", False), ("mean", False), ("median", False),
     ("empty.tif", True), ("data.h5:/background", True)],
)  # fmt: skip
def test_files_that_an_acquisition_names(background, named):
    images = {"files": ["a.tif", "b.tif"], "background": background, "dark": 3, "holdout": [1]}
    content = {"images": images, "illumination": {"kind": "table", "table": "leds.csv"}}
    expected = ["a.tif", "b.tif", *[background] * named, "leds.csv"]
    assert list(schema.named_files(content)) == expected
    moved = schema.with_files(images, lambda name: f"../{name}")
    assert moved["files"] == ["../a.tif", "../b.tif"]
    assert moved["background"] == (f"../{background}" if named else background)
    assert (moved["dark"], moved["holdout"]) == (3, [1])
    assert images["files"] == ["a.tif", "b.tif"]


VALUES = {
    "a number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "a list": st.lists(st.integers(0, 99)),
    "true or false": st.booleans(),
    "a table such as { C = 0 }": st.dictionaries(st.text(max_size=3), st.integers(0, 9)),
}


def any_table(keys):
    return st.fixed_dictionaries({}, optional={k: st.one_of(*map(VALUES.get, v)) for k, v in keys.items()})


@given(any_table(schema.TOP), any_table(schema.MICROSCOPE), any_table(schema.IMAGES))
def test_what_is_written_reads_back(tmp_path_factory, top, microscope, images):
    """Every key of the schema with any value of its types, quotes and control characters included."""
    path = tmp_path_factory.mktemp("toml") / "acquisition.toml"
    content = {**top, "microscope": microscope, "images": images, "illumination": {"kind": "table"}}
    path.write_text(toml_text(content), encoding="utf-8", newline="")
    assert parse_toml(path) == content
    assert schema.check_table(parse_toml(path)["images"], schema.IMAGES, "images", path) == images


# --- arrays of NumPy -------------------------------------------------------------------------


@pytest.mark.parametrize("given", [lambda images: images, list])
def test_what_a_masked_array_hides_is_invalid(given):
    images = np.ma.MaskedArray(RAW / np.float32(500), np.zeros(RAW.shape, bool))
    images[1, 3, 4] = np.ma.masked
    images.data[1, 3, 4] = 7
    known = np.ones(RAW.shape, bool)
    known[0, 0, 0] = False
    made = [
        Acquisition(given(images), RING, MICROSCOPE),
        Acquisition.from_raw(given(images * 500), RING, MICROSCOPE, background=500),
    ]
    for acquisition in made:
        assert np.argwhere(~acquisition.mask).tolist() == [[1, 3, 4]]
        assert acquisition.images[1, 3, 4] == 1
    both = Acquisition(given(images), RING, MICROSCOPE, known)
    assert np.argwhere(~both.mask).tolist() == [[0, 0, 0], [1, 3, 4]]
    assert Acquisition(np.ma.MaskedArray(made[0].images), RING, MICROSCOPE).mask is None


def test_what_a_masked_background_hides_is_invalid():
    background = np.ma.MaskedArray(np.full((NY, NX), 500), np.zeros((NY, NX), bool))
    background[3, 4] = np.ma.masked
    acquisition = Acquisition.from_raw(RAW, RING, MICROSCOPE, background=background)
    assert not acquisition.mask[:, 3, 4].any() and acquisition.mask.sum() == RAW.size - N


def test_images_of_different_shapes_are_named():
    ragged = [*RAW[:3], RAW[3][:5]]
    for make in (Acquisition, Acquisition.from_raw):
        assert_says(
            error_line(make, ragged, RING, MICROSCOPE), "images is arrays of shapes (20, 27), (5, 27)"
        )
    assert_says(error_line(Illumination, [[0, 1], [2]]), "source directions is [[0, 1], [2]]")


def test_directions_that_no_light_in_the_medium_has_are_refused():
    degrees = Illumination([[0, 0], [0, 48.6], [3, 4], [0, 1]])
    for make in (Acquisition, Acquisition.from_raw):
        assert_says(error_line(make, RAW, degrees, MICROSCOPE), "source 1 has NA 48.6, not below", "degrees")
    lit = Illumination([[0, 0], [0, 48.6]], [[1, 0]] * N)  # a source that lights no image
    assert Acquisition(None, lit, MICROSCOPE).n_images == N

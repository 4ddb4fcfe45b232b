"""Keys of acquisition.toml: units, numbers and directions in data files, boards, slips, metadata."""

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from scipy.spatial.transform import Rotation

from fieldrx import Illumination, InputError, read_acquisition
from fieldrx.calibration import calibrate, write_calibrated

N, SHAPE = 6, (20, 24)
RAW = np.random.default_rng(0).poisson(500, (N, *SHAPE)).astype(np.uint16)
NA = Illumination.led_ring(N, 0.3, 10).sources_na * [[1.0, 0.7]]
OPTICS = {"wavelength_um": 0.515, "objective_na": 0.4, "medium_index": 1.33, "pixel_size_um": 0.2}
LIGHT = 'kind = "led-ring"\ncount = 6\nna = 0.3\ndirections = "travel"'


@pytest.fixture
def folder(tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", RAW, photometric="minisblack")
    return tmp_path


def text(optics=None, light=LIGHT, images='files = "s.tif"\nbackground = 500'):
    optics = OPTICS if optics is None else optics
    lines = "\n".join(f"{k} = {v}" for k, v in optics.items())
    return f"[microscope]\n{lines}\n[images]\n{images}\n[illumination]\n{light}\n"


def read(folder, content=None, encoding="utf-8"):
    path = folder / "a.toml"
    path.write_bytes((text() if content is None else content).encode(encoding))
    return read_acquisition(path)


def changed(**keys):
    """The optics with some keys in the place of those of another unit."""
    bases = {key.rpartition("_")[0] for key in keys}
    return {k: v for k, v in OPTICS.items() if k.rpartition("_")[0] not in bases} | keys


@pytest.mark.parametrize(
    "optics",
    [{"wavelength_nm": 515}, {"wavelength_mm": 515e-6}, {"wavelength_m": 515e-9}, {"pixel_size_nm": 200},
     {"pixel_size_cm": 2e-5}],
)  # fmt: skip
def test_lengths_in_other_units(folder, optics):
    scope = read(folder, text(changed(**optics))).microscope
    assert scope.to_dict() == pytest.approx(OPTICS, rel=1e-14)


def test_units_of_boards(folder):
    board = 'kind = "led-grid"\ncentre = [1, 1]\nshape = [2, 3]\ndirections = "travel"\n'
    um = read(folder, text(light=board + "pitch_um = 4000\ndistance_um = 79000\noffset_um = [100, -50]"))
    mm = read(folder, text(light=board + "pitch_mm = 4\ndistance_cm = 7.9\noffset_mm = [0.1, -0.05]"))
    np.testing.assert_allclose(mm.illumination.sources_na, um.illumination.sources_na, rtol=1e-12)


@pytest.mark.parametrize(
    ("optics", "words"),
    [
        ({**OPTICS, "wavelength_nm": 515}, "wavelength is given twice; keep one"),
        (changed(wavelength_um=515), "wavelength_um is 515; .* .wavelength_nm in a .toml"),
        (changed(wavelength_um='"515 nm"'), "is '515 nm'; expected a number .the unit stands in the key"),
        (changed(wavelength_um='"d.npz:/wlength * 1e6 * 2"'), "expected a number"),
        (changed(wavelength_um='"d.npz:/wlength * 1e"'), "expected a number behind"),
        (
            changed(wavelength_um='"d.npz:/length"'),
            'd.npz has no variable "length"; it holds wlength, two, text',
        ),
        (changed(wavelength_um='"d.npz:/two"'), r"wavelength_um is \[1.0, 2.0\]; expected a number"),
        (changed(wavelength_um='"d.npz:/text"'), "text has type <U1; expected real numbers"),
        (changed(wavelength_um='"e.npz:/text"'), "e.npz: no such file"),
        (changed(objective_nm=3), 'unknown key "objective_nm"'),
        (changed(wavelength_nm="true"), "is True; expected a number"),
    ],
)
def test_mistakes_of_units_and_pointers(folder, optics, words):
    np.savez(folder / "d.npz", wlength=515e-9, two=[1.0, 2.0], text="a")
    with pytest.raises(InputError, match=words):
        read(folder, text(optics))


@pytest.mark.parametrize(("low", "key"), [("4", "pitch_um"), ("4", "distance_um")])
def test_boards_in_other_units_are_refused(folder, low, key):
    values = {"pitch_um": "4000", "distance_um": "79000", key: low}
    board = 'kind = "led-grid"\ncentre = [1, 1]\nshape = [2, 3]\n' + "\n".join(
        f"{k} = {v}" for k, v in values.items()
    )
    with pytest.raises(InputError, match=f"{key} is 4; optics have .* 4 mm would be 4000 um .{key[:-2]}mm"):
        read(folder, text(light=board))


def write(folder, kind, **arrays):
    """Arrays in a file of some kind; its name with a colon."""
    if kind == "npz":
        np.savez(folder / "d.npz", **arrays)
    elif kind == "mat":
        scipy.io.savemat(folder / "d.mat", arrays)
    else:
        with h5py.File(folder / ("d.h5" if kind == "h5" else "d.mat"), "w", userblock_size=512) as file:
            for name, value in arrays.items():
                file[name] = np.asarray(value).T if kind == "v7.3" else value
        if kind == "v7.3":
            with open(folder / "d.mat", "r+b") as raw:
                raw.write(b"MATLAB 7.3 MAT-file".ljust(512))
    return "d.mat:/" if kind in ("mat", "v7.3") else f"d.{kind}:/"


@pytest.mark.parametrize("kind", ["npz", "h5", "mat", "v7.3"])
def test_numbers_and_directions_in_data_files(folder, kind):
    at = write(folder, kind, wlength=515e-9, na=NA[:, ::-1] * [1, -1], scale=0.1)
    optics = changed(wavelength_m=f'"{at}wlength"', pixel_size_um=f'"{at}scale * 2"')
    acquisition = read(folder, text(optics, f'kind = "table"\ntable = "{at}na"\naxes = ["x", "-y"]'))
    assert acquisition.microscope.to_dict() == pytest.approx(OPTICS)
    np.testing.assert_allclose(acquisition.illumination.sources_na, NA)
    assert any("table means" in note for note in acquisition.notes)


def test_whole_numbers_beyond_any_float_are_named(folder):
    with pytest.raises(InputError, match="saturation has 401 digits"):
        read(folder, text(images=f'files = "s.tif"\nsaturation = 1{"0" * 400}'))
    with pytest.raises(InputError, match="wavelength_nm has 401 digits"):
        read(folder, text().replace("wavelength_um = 0.515", f"wavelength_nm = 1{'0' * 400}"))


@pytest.mark.parametrize("kind", ["h5", "mat"])
def test_numbers_in_groups_and_structs(folder, kind):
    if kind == "mat":
        scipy.io.savemat(folder / "d.mat", {"setup": {"light": {"nm": 515.0}, "na": 0.4}})
    else:
        with h5py.File(folder / "d.h5", "w") as file:
            file["setup/light/nm"] = 515.0
            file["setup"].attrs["na"] = 0.4
    optics = changed(wavelength_nm=f'"d.{kind}:/setup/light/nm"', objective_na=f'"d.{kind}:/setup/na"')
    assert read(folder, text(optics)).microscope.to_dict() == OPTICS
    with pytest.raises(InputError, match=r"setup/dark.*setup/light/nm|no field \"dark\"; it has light, na"):
        read(folder, text(changed(wavelength_nm=f'"d.{kind}:/setup/dark"')))


K = NA / 0.515
PLACES = 60_000 * NA / np.sqrt(1 - (NA**2).sum(axis=1, keepdims=True))
UNITS = {
    "na": (NA, ""),
    "1/um": (K, ""),
    "rad/um": (2 * np.pi * K, ""),
    "um": (PLACES, "distance_mm = 60"),
    "mm": (PLACES / 1000, "distance_um = 60000"),
    "m": (PLACES / 1e6, "distance_m = 0.06"),
    "degree": (np.rad2deg(np.arctan(PLACES / 60_000)), ""),
}


@pytest.mark.parametrize("unit", UNITS)
def test_units_of_directions(folder, unit):
    values, more = UNITS[unit]
    np.save(folder / "d.npy", values)
    light = (
        f'kind = "table"\ntable = "d.npy"\naxes = ["y", "x"]\nunit = "{unit}"\ndirections = "led-position"\n'
    )
    found = read(folder, text(light=light + more))
    np.testing.assert_allclose(found.illumination.sources_na, -NA, rtol=1e-9)
    assert not any("means" in note for note in found.notes)


def test_two_variables_and_turned_arrays(folder):
    np.savez(folder / "d.npz", ny=NA[:, :1], nx=NA[:, 1], both=NA.T)
    for source in ('["d.npz:/nx", "d.npz:/ny"]\naxes = ["x", "y"]', '"d.npz:/both"\naxes = ["y", "x"]'):
        found = read(folder, text(light=f'kind = "table"\ntable = {source}\n'))
        np.testing.assert_allclose(found.illumination.sources_na, NA)


@pytest.mark.parametrize(
    ("light", "words"),
    [
        ('table = "d.npz:/na"', r'lacks "axes"'),
        (
            'table = "d.npz"\naxes = ["x", "y"]',
            r"needs the name of a variable, d.npz:/NAME; it holds na, few",
        ),
        ('table = "d.npz:/na"\naxes = ["x", "x"]', r"axes is \['x', 'x'\]; expected .* such as"),
        ('table = "d.npz:/na"\naxes = ["x", "y"]\nunit = "deg"', "unit is 'deg'; .* did you mean \"degree\""),
        ('table = "d.npz:/na"\naxes = ["x", "y"]\nunit = "mm"', 'lacks "distance_um"'),
        ('table = "d.npz:/few"\naxes = ["x", "y"]', r"of shape \(5, 2\); expected \(6, 2\)"),
        ('table = "leds.csv"\nunit = "degree"', "unit belongs to arrays"),
    ],
)
def test_mistakes_of_directions_in_arrays(folder, light, words):
    np.savez(folder / "d.npz", na=NA, few=NA[:5])
    with pytest.raises(InputError, match=words):
        read(folder, text(light=f'kind = "table"\n{light}'))


def test_archives_take_units_too(folder):
    arrays = {**changed(wavelength_nm=515), "images": RAW, "illumination_na": NA, "background": 500}
    np.savez(folder / "a.npz", **arrays)
    assert read_acquisition(folder / "a.npz").microscope.to_dict() == OPTICS
    np.savez(folder / "a.npz", **arrays, wavelength_um=0.515)
    with pytest.raises(InputError, match=r"a.npz: wavelength is given twice"):
        read_acquisition(folder / "a.npz")


# ---- boards ------------------------------------------------------------------------------------------


def test_boards_are_turned_tilted_and_shifted():
    """Against rotations of rigid bodies: y is the first axis, away from the sample the third."""
    leds = [(0, 0), (3, 1), (1, 4), (2, 2)]
    found = Illumination.led_grid(leds, 4000, 60_000, (1, 1.5), ("row", "-col"), 20, (5, -8), (700, -300))
    y, x = (np.array(leds) - (1, 1.5)).T * 4000 * [[1], [-1]]
    flat = np.stack([y, x, 0 * x], axis=1)
    turned = Rotation.from_rotvec([0, 0, np.deg2rad(-20)]).apply(flat)  # from +x towards +y
    tilted = Rotation.from_rotvec([0, np.deg2rad(-5), 0]).apply(turned)  # +y goes away
    tilted = Rotation.from_rotvec([np.deg2rad(-8), 0, 0]).apply(tilted)  # and +x comes near
    places = tilted + [700, -300, 60_000]
    expected = places / np.linalg.norm(places, axis=1, keepdims=True)
    np.testing.assert_allclose(found.sources_na, expected[:, :2], rtol=1e-12)


def test_spiral_boards(folder):
    board = 'kind = "led-grid"\ncentre = [0, 0]\npitch_mm = 4\ndistance_mm = 80\n'
    found = read(folder, text(light=board + 'spiral = ["col", "-row"]'))
    expected = Illumination.led_grid([(0, 0), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1)], 4, 80, (0, 0))
    np.testing.assert_allclose(found.illumination.sources_na, expected.sources_na)
    (folder / "a.toml").write_text(text(light=board + 'spiral = ["row", "col"]\ncount = 225', images=""))
    whole = read_acquisition(folder / "a.toml", images="optional").illumination.sources_na
    leds = np.rint(80 * whole / np.sqrt(1 - (whole**2).sum(axis=1, keepdims=True)) / 4).astype(int)
    assert {tuple(led) for led in leds} == {(r, c) for r in range(-7, 8) for c in range(-7, 8)}
    assert (np.abs(np.diff(leds, axis=0)).sum(axis=1) == 1).all()
    with pytest.raises(InputError, match=r"spiral is .* expected the first two steps"):
        read(folder, text(light=board + 'spiral = ["row", "-row"]'))


# ---- text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_toml_as_editors_write_it(folder, encoding, end):
    assert read(folder, ("# 0.2 µm\n" + text()).replace("\n", end), encoding).microscope.to_dict() == OPTICS


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.515", "0,515", "line 2, .* write a decimal point"),
        ("0.515", ".515", "line 2, .* write 0 before"),
        ('"s.tif"', "“s.tif”", "straight quotes"),
        ('"s.tif"', r'"C:\data\s.tif"', "write / in paths"),
        ('"s.tif"', r'"data\test.tif"', r"files names 'data\\test.tif': in double quotes"),
    ],
)
def test_slips_of_toml_are_named(folder, old, new, words):
    with pytest.raises(InputError, match=words):
        read(folder, text().replace(old, new))


def test_lists_of_files_as_background(folder):
    for k in range(2):
        tifffile.imwrite(folder / f"b{k}.tif", np.full(SHAPE, 400 + 20 * k, np.uint16))
    found = read(folder, text(images='files = "s.tif"\nbackground = ["b0.tif", "b1.tif"]'))
    np.testing.assert_allclose(found.images, RAW / 410, rtol=1e-6)


# ---- metadata ----------------------------------------------------------------------------------------


def written(folder, kind):
    """The images with 0.2 um a pixel in the metadata of a kind."""
    if kind == "OME":
        told = {
            "axes": "TYX",
            "PhysicalSizeX": 200.0,
            "PhysicalSizeXUnit": "nm",
            "Channel": {"EmissionWavelength": 515},
        }
        tifffile.imwrite(folder / "s.tif", RAW, ome=True, metadata=told, photometric="minisblack")
    elif kind == "ImageJ":
        tifffile.imwrite(
            folder / "s.tif", RAW, imagej=True, resolution=(5, 5), metadata={"axes": "TYX", "unit": "micron"}
        )
    else:
        tags = [(51123, "s", 0, '{"PixelSizeUm": 0.2, "Width": 24}', True)]
        tifffile.imwrite(folder / "s.tif", RAW, photometric="minisblack", extratags=tags)


@pytest.mark.parametrize("kind", ["OME", "ImageJ", "Micro-Manager"])
def test_metadata_fill_what_is_left_out(folder, kind):
    written(folder, kind)
    left_out = ["pixel_size_um", *["wavelength_um"] * (kind == "OME")]
    found = read(folder, text({k: v for k, v in OPTICS.items() if k not in left_out}))
    assert found.microscope.to_dict() == pytest.approx(OPTICS)
    for name in left_out:
        assert any(f"{name} {OPTICS[name]} is taken from the {kind} metadata" in n for n in found.notes)
    assert read(folder).notes == ()
    other = read(folder, text({**OPTICS, "pixel_size_um": 0.3}))
    assert other.microscope.pixel_size_um == 0.3
    assert f"pixel_size_um is 0.3 here and 0.2 in the {kind} metadata" in other.notes[0]


def test_resolutions_without_a_unit_say_nothing(folder):
    tifffile.imwrite(folder / "s.tif", RAW, imagej=True, resolution=(72, 72), metadata={"axes": "TYX"})
    with pytest.raises(InputError, match='lacks "pixel_size_um"'):
        read(folder, text({k: v for k, v in OPTICS.items() if k != "pixel_size_um"}))


@pytest.mark.slow
def test_numbers_of_data_files_stay_right_where_a_calibration_is_written(folder):
    np.savez(folder / "d.npz", wlength=515e-9)
    acquisition = read(folder, text(changed(wavelength_m='"d.npz:/wlength"')))
    (folder / "sub").mkdir()
    write_calibrated(folder / "sub" / "b.toml", folder / "a.toml", calibrate(acquisition))
    assert read_acquisition(folder / "sub" / "b.toml").microscope.to_dict() == pytest.approx(OPTICS)

"""Layouts of others: from their files, made here in their image, to an acquisition and a field."""

import tomllib

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import tiny
from click.testing import CliRunner

from fieldrx import read_acquisition, reconstruct
from fieldrx.cli import describing, main
from fieldrx.errors import InputError
from fieldrx.io.variables import list_variables
from fieldrx.layouts import LAYOUTS, apply_settings, list_files, recognise

SHAPE = (14, 11)


def pictures(n, balanced=False):
    """Images (n, y, x) around 1, or 0, each with its own spot."""
    y, x = np.indices(SHAPE)
    spots = [np.exp(-((y - 3 - k % 7) ** 2 + (x - 4 - k % 3) ** 2) / 6) for k in range(n)]
    return 0.2 * np.array(spots) + (0 if balanced else 1)


def columns(images):
    """Images as MATLAB has them, (y, x, n)."""
    return np.moveaxis(images, 0, 2)


def across(places, distance):
    """NA of light along lines of some length across at a distance, (n, 2)."""
    places = np.asarray(places, float)
    return places / np.hypot(np.linalg.norm(places, axis=1), distance)[:, None]


def write_tiffs(folder, names, dtype=np.uint16, **options):
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, pictures(len(names)), strict=True):
        tifffile.imwrite(folder / name, (1000 * image).astype(dtype), **options)


def high_throughput_idt(folder):
    leds = [(15, 17), (17, 17), (17, 20), (18, 13)]
    write_tiffs(folder / "LED_algae_data", [f"img_y{row}_x{col}.tif" for row, col in leds])
    ordered = np.array(leds) - 17
    yx = np.stack([ordered[:, 0], -ordered[:, 1]], axis=1) * 4.0
    return folder / "LED_algae_data", [], across(yx, 79), (0.63, 0.25, 6.5 / 10.07, 1.33)


def led_images(folder):
    write_tiffs(folder / "run", [f"led_col{c:02d}_row{r}.tif" for r in (3, 4) for c in (8, 9, 10)])
    optics = "wavelength_nm=520 objective_na=0.4 medium_index=1.33 pixel_size_nm=325"
    settings = f"{optics} pitch_mm=6 distance_mm=60".split()
    yx = [((r - 3.5) * -6, (c - 9) * -6) for r in (3, 4) for c in (8, 9, 10)]
    return folder / "run", settings, across(yx, 60), (0.52, 0.4, 0.325, 1.33)


def led_numbers(folder):
    write_tiffs(folder / "run", [f"shot_{k}_gain1.png.tif" for k in (2, 3, 11)])
    rows = "image,na_y,na_x\n0,0.1,0\n1,0,-0.2\n2,0.1,0.1\n"
    (folder / "run" / "lamps.csv").write_text(rows)
    settings = ["wavelength_um=0.52", "objective_na=0.4", "medium_index=1.33", "pixel_size_um=0.3"]
    return folder / "run", settings, [(0.1, 0), (0, -0.2), (0.1, 0.1)], (0.52, 0.4, 0.3, 1.33)


def micro_manager(folder):
    options = {
        "ome": True,
        "metadata": {"axes": "TYX", "PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm"},
    }
    images = (1000 * pictures(5)).astype(np.uint16)
    tifffile.imwrite(folder / "run_MMStack_Pos0.ome.tif", images, **options)
    settings = [
        "wavelength_um=0.5",
        "objective_na=0.5",
        "medium_index=1.33",
        "na=0.4",
        "count=5",
        "start_deg=90",
    ]
    angle = np.deg2rad(90 + 72 * np.arange(5))
    ring = 0.4 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return folder / "run_MMStack_Pos0.ome.tif", settings, ring, (0.5, 0.5, 0.325, 1.33)


def unit_circle(n=24):
    angle = 0.3 + 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(angle), np.sin(angle)])


def annular_idt(folder):
    scipy.io.savemat(folder / "IRaw_Cheek.mat", {"I_Raw": columns(pictures(24))})
    scipy.io.savemat(folder / "Sorted_Pos.mat", {"Sorted_Pos": unit_circle()})
    x, y = unit_circle()
    return folder / "IRaw_Cheek.mat", [], 0.65 * np.stack([-y, x], axis=1), (0.515, 0.65, 6.5 / 40, 1.33)


def annular_idt_of_eight(folder):
    scipy.io.savemat(folder / "IRaw_Diatom_I.mat", {"I_Raw": columns(pictures(8, balanced=True))})
    scipy.io.savemat(folder / "Sorted_Pos.mat", {"Sorted_Pos": unit_circle()})
    x, y = unit_circle()[:, ::3]
    optics = (0.515, 0.65, 6.5 / 40, 1.45)
    return folder / "IRaw_Diatom_I.mat", [], 0.65 * np.stack([-y, x], axis=1), optics


def write_v73(path, **arrays):
    """A file as MATLAB 7.3 writes it: axes reversed, complex numbers as pairs."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            values = np.asarray(values).T
            if values.dtype.kind == "c":
                pairs = np.empty(values.shape, [("real", float), ("imag", float)])
                pairs["real"], pairs["imag"] = values.real, values.imag
                values = pairs
            file[name] = values
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


def decaf(folder):
    n = sum(np.hypot(*(4.0 * np.array([r, c]))) / np.hypot(79, 4 * np.hypot(r, c)) < 0.25
            for r in range(-16, 16) for c in range(-16, 16))  # fmt: skip
    transfer = np.ones((*SHAPE, 3, n), complex)
    write_v73(folder / "Algae.mat", I=columns(pictures(n, balanced=True)), Hreal=transfer, Himag=transfer)
    places = [(4.0 * r, -4.0 * c) for c in range(-16, 16) for r in range(-16, 16)]
    na = across(places, 79)
    return folder / "Algae.mat", [], na[np.linalg.norm(na, axis=1) < 0.25], (0.63, 0.25, 6.5 / 10.07, 1.33)


def decaf_annular(folder):
    transfer = np.ones((*SHAPE, 2, 6), complex)
    (folder / "pred_config.txt").write_text("--z_max=8\n--n0=1.337\n--render_max=0.02\n")
    images = columns(pictures(6, balanced=True))
    write_v73(folder / "Cells_b.mat", I_Raw=images, PTF_4D=transfer, ATF_4D=transfer)
    angle = np.deg2rad(15 + 60 * np.arange(6))
    ring = 0.65 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return folder / "Cells_b.mat", ["start_deg=15"], ring, (0.515, 0.65, 6.5 / 40, 1.337)


NAS = np.array([[0.05, 0.01], [-0.1, 0.12], [0.02, -0.08], [0.11, 0.0]])  # x, y


def fpm_inr(folder):
    write_v73(
        folder / "sheepblood_g.mat",
        I_low=columns(pictures(4)), na_calib=NAS, mag=[[10.0]], dpix_c=[[4.5]], na_cal=[[0.256]],
    )  # fmt: skip
    return folder / "sheepblood_g.mat", [], NAS[:, ::-1], (0.5126, 0.256, 0.45, 1.0)


def ptylab(folder):
    encoder = np.array([[0.0, 0.0], [4e-3, -8e-3], [0.0, 4e-3]])  # y, x [m]
    with h5py.File(folder / "fpm.hdf5", "w") as file:
        values = {
            "ptychogram": pictures(3), "encoder": encoder, "wavelength": 625e-9, "zled": (0.08,),
            "dxd": (6.5e-6,), "magnification": 10.0, "orientation": (0,), "NA": 0.3,
        }  # fmt: skip
        for name, value in values.items():
            file[name] = value
    return folder / "fpm.hdf5", [], across(encoder, 0.08), (0.625, 0.3, 0.65, 1.0)


def spiral(n):
    """Places (x, y) of a square spiral, from the drawing in LED_location.m: 1 is the middle."""
    drawn = [[16, 15, 14, 13], [5, 4, 3, 12], [6, 1, 2, 11], [7, 8, 9, 10]]
    where = {number: (col - 1, 2 - row) for row, line in enumerate(drawn) for col, number in enumerate(line)}
    return [where[k + 1] for k in range(n)]


def uconn(folder):
    theta, xint, yint = 3.0, 0.2, 0.35
    scipy.io.savemat(
        folder / "blood_red.mat",
        {"imlow_HDR": columns(pictures(16)).astype(np.float32), "wlength": 6.3e-7, "theta": theta,
         "xint": xint, "yint": yint, "z": -5.5e-5, "aberration": 0},
    )  # fmt: skip
    turn = np.deg2rad(theta)
    placed = [(xint + 4 * x, yint + 4 * y) for x, y in spiral(16)]
    yx = [(x * np.sin(turn) + y * np.cos(turn), x * np.cos(turn) - y * np.sin(turn)) for x, y in placed]
    return folder / "blood_red.mat", [], -across(yx, 90.88 + 1 / 1.52), (0.63, 0.1, 1.845, 1.0)


def waller(folder):
    metadata = {
        "objective": {"na": 0.25, "mag": 10.0, "system_mag": 1.01},
        "camera": {"pixel_size_um": 6.5},
        "illumination": {"wavelength_um": 0.514},
        "source_list": {"na_design": 2 * NAS, "na_init": NAS},
    }
    path = folder / "LED_cheekCell_input.mat"
    scipy.io.savemat(path, {"data": (1e3 * columns(pictures(4))).astype(np.uint16), "metadata": metadata})
    return path, [], -NAS[:, ::-1], (0.514, 0.25, 6.5 / 10.1, 1.0)


MADE = (
    high_throughput_idt, led_images, led_numbers, micro_manager, annular_idt, annular_idt_of_eight, decaf,
    decaf_annular, fpm_inr, ptylab, uconn, waller,
)  # fmt: skip


def draft_of(path):
    """What is recognised in a file or folder."""
    home = path if path.is_dir() else path.parent
    return recognise(list_files([path], home / "acquisition.toml"))


def new(*arguments):
    """Run the command: its status and everything that it printed."""
    result = CliRunner().invoke(main, ["new", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def sets(settings):
    return [word for setting in settings for word in ("--set", setting)]


def made(make, folder):
    """What `new` made of a layout: the acquisition's file, directions, optics."""
    path, settings, na, optics = make(folder)
    status, told = new(path, *sets(settings))
    assert status == 0, told
    return (path if path.is_dir() else path.parent) / "acquisition.toml", na, optics


@pytest.mark.parametrize("make", MADE)
def test_from_files_to_an_acquisition(make, tmp_path):
    target, na, optics = made(make, tmp_path)
    acq = read_acquisition(target)
    scope = acq.microscope
    found = (scope.wavelength_um, scope.objective_na, scope.pixel_size_um, scope.medium_index)
    np.testing.assert_allclose(found, optics, rtol=1e-6)
    np.testing.assert_allclose(acq.illumination.sources_na, na, atol=2e-5)
    lit = np.flatnonzero(acq.usable)
    tallest = [np.unravel_index(np.argmax(acq.images[k]), SHAPE) for k in lit]
    assert tallest == [(3 + k % 7, 4 + k % 3) for k in lit]
    assert target.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("make", MADE)
def test_from_files_to_a_field(make, tmp_path):
    acq = read_acquisition(made(make, tmp_path)[0])
    options = {"encoding": tiny.ENCODING, "network": tiny.NETWORK, "schedule": tiny.schedule()}
    field = reconstruct(acq, (-1, 1, 1), "born", **options)
    assert len(field.history["loss"]) == 4 and np.isfinite(field([[0.0, 1.0, 1.0]])).all()


def test_what_is_missing_is_listed_and_drafted(tmp_path):
    write_tiffs(tmp_path, ["img_r1_c1.tif", "img_r1_c2.tif", "img_r2_c1.tif"])
    status, told = new(tmp_path, "--set", "wavelength_nm=520", "--set", "pitch_mm=4")
    target = tmp_path / "acquisition.toml"
    assert status == 2 and not (tmp_path / "acquisition.png").exists()
    missing = ["objective_na", "pixel_size_um", "medium_index", "distance_um"]
    assert [line.split()[1].rstrip(":") for line in told.splitlines() if line[:7] == "missing"] == missing
    assert told.splitlines()[-1].startswith("fieldrx: error: ") and f"{target} is a draft" in told
    content = tomllib.loads(target.read_text())
    assert content["microscope"] == {"wavelength_nm": 520}
    assert content["illumination"]["centre"] == [1.5, 1.5] and content["illumination"]["pitch_mm"] == 4
    assert all(f"\n# {name} =" in target.read_text() for name in missing)


def test_what_is_missing_is_asked_on_a_terminal(tmp_path, monkeypatch):
    path = decaf_annular(tmp_path)[0]
    asked = []

    def answer(text, **_):
        asked.append(text)
        return {1: "fifteen", 2: "15"}[len(asked)]

    monkeypatch.setattr(describing.click, "prompt", answer)
    monkeypatch.setattr(describing, "_is_terminal", lambda: True)
    status, told = new(path)
    assert status == 0, told
    assert len(asked) == 2 and asked[0] == asked[1] == "start_deg, angle of the first LED, from +x towards +y"
    assert "start_deg is 'fifteen'; expected a number; asked again" in told
    assert tomllib.loads((tmp_path / "acquisition.toml").read_text())["illumination"]["start_deg"] == 15


def test_an_empty_answer_leaves_a_draft(tmp_path, monkeypatch):
    monkeypatch.setattr(describing.click, "prompt", lambda *_, **__: "")
    monkeypatch.setattr(describing, "_is_terminal", lambda: True)
    status, told = new(decaf_annular(tmp_path)[0])
    assert status == 2 and "missing           start_deg" in told
    assert "start_deg" not in tomllib.loads((tmp_path / "acquisition.toml").read_text())["illumination"]


def test_nothing_is_replaced_unasked(tmp_path):
    path = fpm_inr(tmp_path)[0]
    (tmp_path / "acquisition.toml").write_text("mine")
    status, told = new(path)
    assert status == 2 and "acquisition.toml is there already" in told
    assert (tmp_path / "acquisition.toml").read_text() == "mine"
    assert new(path, "--overwrite")[0] == 0
    (tmp_path / "acquisition.toml").unlink()
    assert new(path)[0] == 2  # the picture


def test_images_are_never_replaced(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", (1000 * pictures(5)).astype(np.uint16))
    (tmp_path / "a.tif").rename(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    status, told = new(tmp_path / "a.png", "-o", tmp_path / "a.toml", "--overwrite")
    assert status == 2 and "a.png is one of the images" in told
    assert (tmp_path / "a.png").read_bytes() == before


def test_a_file_written_elsewhere_names_the_images_from_there(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "work").mkdir()
    path, _, na, _ = uconn(tmp_path / "data")
    assert new(path, "-o", tmp_path / "work" / "blood.toml")[0] == 0
    found = read_acquisition(tmp_path / "work" / "blood.toml")
    np.testing.assert_allclose(found.illumination.sources_na, na, atol=2e-5)
    assert '"../data/blood_red.mat:/imlow_HDR"' in (tmp_path / "work" / "blood.toml").read_text()


def test_a_set_of_micro_manager_is_one_stack(tmp_path):
    micro_manager(tmp_path)
    path = tmp_path / "run_MMStack_Pos0.ome.tif"
    for k in (1, 2):
        path.with_name(f"run_MMStack_Pos0_{k}.ome.tif").write_bytes(path.read_bytes())
    draft = draft_of(tmp_path)
    assert draft.content()["images"] == {"files": path.name}


def test_one_of_many_images_gets_a_hint(tmp_path):
    write_tiffs(tmp_path, [f"led_{k}.tif" for k in range(3)])
    hint = "2 files beside it differ in numbers alone: where each is one image, give their folder"
    assert draft_of(tmp_path / "led_1.tif").layout == f"stack of images (led_1.tif); {hint}"
    for k in (0, 2):
        (tmp_path / f"led_{k}.tif").unlink()
    assert draft_of(tmp_path / "led_1.tif").layout == "stack of images (led_1.tif)"


@pytest.mark.parametrize("name", ["", "a.mat", "two"])
def test_what_has_no_layout(tmp_path, name):
    if name == "a.mat":
        scipy.io.savemat(tmp_path / name, {"photos": np.ones((3, 4, 5))})
    elif name:
        fpm_inr(tmp_path)
        (tmp_path / "other.mat").write_bytes((tmp_path / "sheepblood_g.mat").read_bytes())
    (tmp_path / "notes").mkdir()
    words = {
        "": "it holds nothing; folders notes",
        "a.mat": "it holds a.mat:/photos",
        "two": "holds 2 sets of images",
    }[name]
    with pytest.raises(InputError, match=words):
        draft_of(tmp_path)
    status, told = new(tmp_path)
    assert status == 2 and len(told.splitlines()) == 1 and not (tmp_path / "acquisition.toml").exists()


def test_a_second_run_does_not_take_its_picture_for_an_image(tmp_path):
    settings = sets(micro_manager(tmp_path)[1])
    assert new(tmp_path, *settings)[0] == 0
    status, told = new(tmp_path, *settings, "--overwrite")
    assert status == 0, told


def test_paths_that_are_not_there(tmp_path):
    write_tiffs(tmp_path, ["a.tif"])
    with pytest.raises(InputError, match=r'no such file or folder.*did you mean "a.tif"'):
        list_files([tmp_path / "b.tif"], tmp_path / "acquisition.toml")
    with pytest.raises(InputError, match="one folder, or files alone"):
        list_files([tmp_path, tmp_path / "a.tif"], tmp_path / "acquisition.toml")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("wavelength_um", "no KEY=VALUE"),
        ("wavelenth_um=1", 'did you mean "wavelength_um"'),
        ("axes=TYX", "write images.axes or illumination.axes"),
        ("illumination.count=4", "belongs to led-grid and led-ring"),
        ("objective_na=0,4", "objective_na is '0,4'; expected a number"),
        ("table=5", "--set: table is 5; expected text or a list"),
        ("wavelength_um=630", "wavelength_um is 630; optics have 0.05 to 30 um: 630 nm would be 0.63 um"),
        ("pitch_um=4", "4 mm would be 4000 um"),
        ("objective_na=0,25", "expected a number, its decimals behind a point: 0.25"),
    ],
)
def test_settings_that_say_nothing(tmp_path, setting, words):
    draft = draft_of(micro_manager(tmp_path)[0])
    with pytest.raises(InputError, match=words):
        apply_settings(draft, [setting])


def test_lamps_belong_to_every_light(tmp_path):
    draft = draft_of(micro_manager(tmp_path)[0])
    light = apply_settings(draft, ["led_size_um=200", "bandwidth_nm=10"]).content()["illumination"]
    assert light == draft.content()["illumination"] | {"led_size_um": 200, "bandwidth_nm": 10}


def test_numbers_alone_do_not_tell_the_led(tmp_path):
    write_tiffs(tmp_path / "a", ["n1.tif", "n2.tif"])
    draft = draft_of(tmp_path / "a")
    assert [key.name for key in draft.missing][-4:] == ["pitch_um", "distance_um", "centre", "shape"]
    turned = apply_settings(draft, ['spiral=["col", "row"]'])
    assert [key.name for key in turned.missing][-3:] == ["pitch_um", "distance_um", "centre"]
    write_tiffs(tmp_path / "b", ["r1_c1.tif", "r2_c2.tif"])
    (tmp_path / "b" / "leds.csv").write_text("image,na_y,na_x\n0,0,0\n1,0,0.1\n")
    draft = draft_of(tmp_path / "b")
    assert draft.content()["illumination"]["table"] == "leds.csv"
    head = "image,na_y,na_x,weight,table_na_y,table_na_x"  # what calibrate makes of it names no other light
    (tmp_path / "b" / "mine.csv").write_text(f"{head}\n0,0,0,1,0,0\n1,0,0.1,1,0,0.1\n")
    assert draft_of(tmp_path / "b").content()["illumination"]["table"] == "leds.csv"
    grid = apply_settings(draft, ["kind=led-grid"])
    assert [key.name for key in grid.missing][-3:] == ["pitch_um", "distance_um", "centre"]


def test_a_struct_of_matlab_73(tmp_path):
    values = {
        "objective/na": 0.25,
        "objective/mag": 10.0,
        "camera/pixel_size_um": 6.5,
        "illumination/wavelength_um": 0.5,
    }
    arrays = {f"metadata/{name}": [[value]] for name, value in values.items()}
    write_v73(
        tmp_path / "a.mat", data=columns(pictures(4)), **arrays, **{"metadata/source_list/na_design": NAS}
    )
    assert new(tmp_path / "a.mat")[0] == 0
    acq = read_acquisition(tmp_path / "acquisition.toml")
    np.testing.assert_allclose(acq.illumination.sources_na, -NAS[:, ::-1])
    assert acq.microscope.pixel_size_um == 0.65


def test_settings_replace_what_they_contradict(tmp_path):
    draft = draft_of(high_throughput_idt(tmp_path)[0])
    changed = apply_settings(
        draft, ["pixel_size_nm=650", "leds=[[1, 2], [3, 4]]", "name=2026-11-27"]
    ).content()
    assert changed["name"] == "2026-11-27"
    assert {"pixel_size_nm", "camera_pixel_um", "magnification"} & set(changed["microscope"]) == {
        "pixel_size_nm"
    }
    assert changed["illumination"]["leds"] == [[1, 2], [3, 4]]
    pointed = apply_settings(draft, ["wavelength_m=optics.mat:/w * 1e-3"]).content()["microscope"]
    assert pointed["wavelength_m"] == "optics.mat:/w * 1e-3" and "wavelength_um" not in pointed
    small = apply_settings(apply_settings(draft, ["pixel_size_um=1"]), ["magnification=20"])
    assert [key.name for key in small.missing] == ["camera_pixel_um"]
    ring = apply_settings(draft, ["na=0.3", "kind=led-ring"])
    assert ring.content()["illumination"] == {"kind": "led-ring", "na": 0.3}
    assert [key.name for key in ring.missing] == ["count"]


def test_orientation_and_unknown_lamps_are_said(tmp_path):
    path = ptylab(tmp_path)[0]
    with h5py.File(path, "r+") as file:
        file["orientation"][0] = 3
        del file["NA"]
    draft = draft_of(path)
    assert [key.name for key in draft.missing] == ["objective_na"]
    assert "PtyLab turns them" in draft.text()
    path = fpm_inr(tmp_path)[0].rename(tmp_path / "cells.mat")
    assert [key.name for key in draft_of(path).missing] == ["wavelength_um"]


def test_variables_are_listed_as_they_are_read(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"I": np.ones((3, 4, 5)), "s": {"t": {"x": [1.0, 2.0]}}})
    assert list_variables(tmp_path / "a.mat") == {"I": (3, 4, 5), "s/t/x": (1, 2)}
    write_v73(tmp_path / "b.mat", I=np.ones((3, 4, 5)))
    assert list_variables(tmp_path / "b.mat") == {"I": (3, 4, 5)}
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["run/images"] = np.ones((5, 3, 4))
    assert list_variables(tmp_path / "c.h5") == {"run/images": (5, 3, 4)}
    (tmp_path / "a.mat").write_bytes((tmp_path / "a.mat").read_bytes()[:150])
    with pytest.raises(InputError, match=r"a\.mat"):
        list_variables(tmp_path / "a.mat")


def test_every_layout_is_made_here(tmp_path):
    seen = set()
    for make in MADE:
        folder = tmp_path / make.__name__
        folder.mkdir()
        listing = list_files([make(folder)[0]], folder / "acquisition.toml")
        seen.add(next(name for name, layout in LAYOUTS.items() if layout(listing) is not None))
    assert seen == set(LAYOUTS)

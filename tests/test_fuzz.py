"""The fuzzer and the kills, shortened; and the mistakes that they found, which stay mended."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny

from fieldrx import Grid, Illumination, InputError, Microscope, load_field, read_acquisition, refocus
from fieldrx.field import Fourier, Hash, Network, Radial
from fieldrx.fit import checkpoint_arguments
from fieldrx.io import load_npz
from fieldrx.render.pictures import scale_of
from fieldrx.viewer import write_viewer

SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

import fuzz  # noqa: E402
from fuzz_cases import Case, make_base, make_case  # noqa: E402


def script(name, *arguments):
    run = subprocess.run([sys.executable, str(SCRIPTS / name), *arguments],
                         capture_output=True, text=True, timeout=580)  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_a_short_run_of_the_fuzzer():
    told = script("fuzz.py", "--cases", "140", "--seed", "5")
    assert "140 cases of seed 5" in told
    assert next(line for line in told.splitlines() if line.startswith("all")).split()[4:] == ["0"] * len(
        fuzz.FLAGS
    )


@pytest.mark.slow
def test_a_short_run_of_kills():
    told = script("kill_test.py", "--kills", "2", "--more", "0", "--steps", "12")
    assert "fits: 1 kills" in told and "renderings: 1 kills" in told
    assert told.count(" 0 complaints") == 2


def test_a_case_depends_on_its_number_alone(tmp_path):
    base = tmp_path / "base"
    make_base(base)
    one = make_case(1, 5, base, tmp_path / "a")
    make_case(1, 6, base, tmp_path / "a")
    assert make_case(1, 5, base, tmp_path / "b") == one
    make_case(1, 5, base, tmp_path / "a")
    assert fuzz.snapshot(tmp_path / "a") == fuzz.snapshot(tmp_path / "b")


LINE = "fieldrx: error: no such file\n"


@pytest.mark.parametrize(
    "flag, status, err, failure, warned, case, after",
    [
        (None, 0, "", "", [], Case([]), {}),
        (None, 2, LINE, "", [], Case([]), {}),
        ("traceback", 0, "", "Traceback\nKeyError: 'x'", [], Case([]), {}),
        ("memory", 1, "fieldrx: error: MemoryError: ", "", [], Case([]), {}),
        ("status", 1, LINE, "", [], Case([]), {}),
        ("status", 9, LINE, "", [], Case([]), {}),
        ("status", 0, "", "", [], Case([], bad=True), {}),
        ("status", 2, LINE, "", [], Case([], good=True), {}),
        ("message", 2, "", "", [], Case([]), {}),
        ("message", 2, "fieldrx: error: \x1b[31m\n", "", [], Case([]), {}),
        ("leftover", 2, LINE, "", [], Case(["out.npz"]), {"out.npz": b"1"}),
        ("leftover", 0, "", "", [], Case([]), {".0a1b2c3d-out.npz": b"1"}),
        ("leftover", 0, "", "", [], Case(["info", "b"]), {"in.npz": b"2"}),
        ("warning", 0, "", "", ["overflow"], Case([]), {}),
    ],
)
def test_the_fuzzer_sees(flag, status, err, failure, warned, case, after):
    before = {"in.npz": b"1"}
    found = fuzz.judge(case, (status, "", err, failure, warned), before, before | after)
    assert found == ([flag] if flag else [])


# ---- what they found ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Microscope(10**400, 0.5, 1.33, 0.2), "wavelength_um is 1000"),
        (lambda: Microscope(1e-300, 0.5, 1.33, 0.2), "which no microscope has"),
        (lambda: Grid.for_images((8, 8), tiny.SCOPE, (0, 1e301, 1e300)), "dz_um is 1e"),
        (
            lambda: Grid.for_images((8, 8), tiny.SCOPE, (0, 1e8, 1e5)),
            "expected slices near the focal plane",
        ),
        (lambda: Fourier(10**400, 1, 1, 1), "n_frequencies"),
        (lambda: Fourier(3, 10**400, 1, 1), "sigma_z"),
        (lambda: Illumination.led_ring(2**70, 0.3), "at most 1000000"),
        (lambda: Illumination.led_ring(3, float("inf")), "na is inf"),
        (lambda: Hash(((2, 2, 2),), smooth={}), "smooth to be true or false"),
        (lambda: Radial(1e-300, 3, 3), "angle_step_deg"),
        (lambda: Radial(9.0, 2000, 3), "xy_octaves"),
        (lambda: Network(3, depth=2**63), "depth"),
        (lambda: Network(3, depth=5000), "depth up to"),
        (lambda: tiny.field(spacing_um=np.ones(3) * (1 + 1j)), "spacing_um must be finite numbers"),
    ],
)
def test_absurd_numbers_are_named(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert len(str(caught.value)) < 300


def test_an_archive_that_claims_more_than_it_holds(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(3))
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)}
    with zipfile.ZipFile(path, "a") as archive, archive.open("b.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(100))
    with pytest.raises(InputError, match='damaged archive \\("b" is cut short\\)'):
        load_npz(path, "volume")


@pytest.mark.parametrize("text, words", [("{", "is no JSON"), ("[1]", "is a list")])
def test_checkpoints_whose_words_are_damaged(tmp_path, text, words):
    np.savez(tmp_path / "c.npz", arguments=np.array(text))
    with pytest.raises(InputError, match=f'"arguments" {words}'):
        checkpoint_arguments(tmp_path / "c.npz")


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("bounds_um", np.ones((3, 2), complex), "bounds_um is complex128"),
        ("weight_0", np.ones((4, 16), "U3"), "weight_0 as numbers"),
        ("history_loss", np.array(0.3), "history_loss is float64"),
    ],
)
def test_fields_of_other_types(tmp_path, name, value, words):
    np.savez(tmp_path / "f.npz", **(tiny.field().to_arrays() | {name: value}))
    with pytest.raises(InputError, match=words):
        load_field(tmp_path / "f.npz")


def test_a_page_of_a_field_that_is_absurd_everywhere(tmp_path):
    field = tiny.field(output_scale=1.0)
    field.params[:] = 0
    field.params[-2:] = 1e35  # the biases of the outputs
    write_viewer(field, tmp_path / "v.html")
    text = (tmp_path / "v.html").read_text(encoding="utf-8")
    header = json.loads(
        re.search(r'id="header">(.*?)</script>', text, re.S)[1], parse_constant=pytest.fail
    )  # neither nan nor infinity, which no browser reads
    for quantity in header["quantities"]:
        low, high = quantity["window"]
        assert low < high and np.isfinite([low, high]).all()


def test_pictures_of_fields_without_contrast():
    for low in (1.33, 1e35):
        scale = scale_of(np.full((3, 3), low), medium=low)
        assert scale.low < scale.high


def test_optics_that_transfer_nothing_explain_nothing():
    seen = np.ones((2, 1, 3, 1), np.complex64)
    assert not np.any(refocus._explained_by(np.zeros((2, 1, 3, 2), np.complex64)[:, 0], seen[:, 0]))


def test_archives_and_light_of_other_types(tmp_path):
    tiny.acquisition().save(tmp_path / "a.npz")
    arrays = load_npz(tmp_path / "a.npz", "acquisition") | {"checksum": np.array("x")}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match="checksum has shape"):
        read_acquisition(tmp_path / "a.npz")
    scope = "wavelength_um = 0.5\nobjective_na = 0.5\nmedium_index = 1.3\npixel_size_um = 0.2\n"
    (tmp_path / "a.toml").write_text(f"[microscope]\n{scope}[illumination]\nkind = [1]\n")
    with pytest.raises(InputError, match="kind"):
        read_acquisition(tmp_path / "a.toml", images="optional")

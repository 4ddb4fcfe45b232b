"""Measuring: shapes against spheres and ellipsoids, beads behind a missing cone, tables and labels."""

import csv
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tifffile
import tiny
from click.testing import CliRunner
from scipy import ndimage

import fieldrx
from fieldrx import Grid, Illumination, InputError, Microscope
from fieldrx.band import supported_band
from fieldrx.cli import main
from fieldrx.ensemble import Ensemble
from fieldrx.measure import NAMES, measure, segment
from fieldrx.measure.body import BodyFit, half_way, occupancy, signed_distance, volume_and_surface
from fieldrx.totals import _nonnegative

H = 0.2


def ball(axes, centre, radii, contrast=0.02):
    """An ellipsoid whose surface voxels hold the share of it that lies inside."""
    z, y, x = (a - c for a, c in zip(np.meshgrid(*axes, indexing="ij"), centre, strict=True))
    rz, ry, rx = np.broadcast_to(radii, 3)
    s = np.sqrt((z / rz) ** 2 + (y / ry) ** 2 + (x / rx) ** 2)
    slope = np.sqrt((z / rz**2) ** 2 + (y / ry**2) ** 2 + (x / rx**2) ** 2) / np.maximum(s, 1e-9)
    distance = (s - 1) / np.maximum(slope, 1e-3)
    return contrast * np.clip(0.5 - distance / H, 0, 1)


def axes(*sizes):
    return [H * np.arange(n) for n in sizes]


def spheroid_surface(a, c):
    """Of semi-axes a, a and c > a: its closed form."""
    e = np.sqrt(1 - (a / c) ** 2)
    return 2 * np.pi * a**2 * (1 + c / (a * e) * np.arcsin(e))


@pytest.mark.parametrize(
    ("radii", "volume", "surface"),
    [
        ((2.0, 2.0, 2.0), 4 / 3 * np.pi * 8, 4 * np.pi * 4),
        ((1.2, 1.2, 1.2), 4 / 3 * np.pi * 1.2**3, 4 * np.pi * 1.2**2),
        ((3.0, 1.5, 1.5), 4 / 3 * np.pi * 3 * 1.5**2, spheroid_surface(1.5, 3.0)),
    ],
)
def test_volume_and_surface_of_known_bodies(radii, volume, surface):
    grid = axes(44, 34, 32)
    body = ball(grid, (4.31, 3.27, 3.12), radii)
    distance = signed_distance(body, H, half_way(body, body > 0.005))
    found = volume_and_surface(occupancy(distance, H), H)
    assert found == pytest.approx((volume, surface), rel=0.03)
    assert (distance[body == 0] > 0).all()


@cache
def behind_the_cone(na=0.8):
    """A ball's contrast, the band of images, and what it lets through."""
    scope = Microscope(wavelength_um=0.532, objective_na=na, medium_index=1.335, pixel_size_um=H)
    rings = [Illumination.led_ring(n, r * na).sources_na for n, r in ((1, 0.0), (8, 0.5), (24, 0.98))]
    body = ball(axes(56, 44, 42), (5.6, 4.4, 4.2), 2.0)
    band = supported_band(Grid(body.shape, (H,) * 3, (0.0,) * 3), scope, Illumination(np.concatenate(rings)))
    return body, band


@pytest.mark.parametrize(("na", "within"), [(0.8, 0.04), (0.4, 0.1)])
def test_a_body_has_the_height_that_the_images_tell_not_the_prior(na, within):
    """A field that knows of the cone only that it is nowhere negative is too tall; the body is less so."""
    body, band = behind_the_cone(na)
    field = _nonnegative(band.inside(body), band)
    mask = segment(field, H, 0.3 * field.max()) == 1
    near = ndimage.binary_dilation(mask, iterations=2)
    fit = BodyFit(field, band, signed_distance(field * near, H, half_way(field, mask)))
    volume, mass = 4 / 3 * np.pi * 8, 4 / 3 * np.pi * 8 * 0.02
    first, _ = volume_and_surface(fit.occupancy(0.0, 1.0), H)
    assert abs(first - volume) > within * volume
    inside, filled = fit.body(*fit.best())
    assert volume_and_surface(inside, H)[0] == pytest.approx(volume, rel=within)
    assert filled[inside > 0].sum() * H**3 == pytest.approx(mass, rel=0.05)


def test_touching_balls_are_two_and_specks_none():
    grid = axes(30, 30, 50)
    pair = ball(grid, (3, 3, 2.6), 1.6) + 1.5 * ball(grid, (3, 3, 6.0), 2.0)
    pair[2, 2, 2] = 0.02
    labels = segment(pair, H, 0.006, smallest_um3=0.1)
    assert labels.max() == 2 and labels[2, 2, 2] == 0
    assert labels[15, 15, 30] == 1 and labels[15, 15, 13] == 2  # the largest first
    assert not (labels[:, :, :18] == 1).any() and not (labels[:, :, 25:] == 2).any()
    one = segment(ball(grid, (3, 3, 5), (1.5, 1.5, 4.0)), H, 0.006)
    assert one.max() == 1


def test_nothing_is_no_object():
    assert segment(np.zeros((4, 5, 6)), H, 0.01).max() == 0


def test_an_empty_field_has_no_objects():
    made = measure(Ensemble([Known(TWO[0], scale=0.0)] * 2))
    assert len(made) == 0 and made.values.shape == made.std.shape == (0, len(NAMES))
    assert made.labels.shape == made.grid.shape and not made.labels.any()


class Known:
    """A field whose contrast is known."""

    def __init__(self, *balls, scale=1.0):
        self.field = replace(tiny.field(), provenance={"microscope": SCOPE.to_dict()},
                             bounds_um=np.array([(-5.0, 5.0), (0.0, 9.0), (0.0, 14.0)]),
                             region_um=np.array([(-4.8, 4.8), (0.2, 8.8), (0.2, 13.8)]),
                             spacing_um=(2 * H, H, H), medium_index=SCOPE.medium_index)  # fmt: skip
        self.balls, self.scale = balls, scale

    def __getattr__(self, name):
        return getattr(self.field, name)

    def on_axes(self, z, y, x):
        return self.scale * sum(ball((z, y, x), *one) for one in self.balls).astype(np.complex64)


SCOPE = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=1.335, pixel_size_um=H)
TWO = ((0.3, 4.1, 3.6), 2.0, 0.03), ((-0.6, 4.6, 9.8), 2.6, 0.02)


def test_numbers_of_two_balls():
    made = measure(Known(*TWO))
    assert made.std is None and len(made) == 2 and made.notes == ("", "")
    with pytest.raises(InputError, match="fieldrx ensemble"):
        made.column_std("volume_um3")
    for k, (centre, r, contrast) in enumerate(TWO[::-1]):  # the largest first
        volume = 4 / 3 * np.pi * r**3
        assert made.values[k, :3] == pytest.approx(centre, abs=0.05)
        assert made.column("volume_um3")[k] == pytest.approx(volume, rel=0.03)
        assert made.column("surface_um2")[k] == pytest.approx(4 * np.pi * r**2, rel=0.03)
        assert made.column("sphericity")[k] == pytest.approx(1, abs=0.015)
        assert made.column("dry_mass_pg")[k] == pytest.approx(volume * contrast / 0.19, rel=0.04)
        assert made.column("mean_index")[k] == pytest.approx(SCOPE.medium_index + contrast, abs=0.0015)
        assert made.column("peak_index")[k] == pytest.approx(SCOPE.medium_index + contrast, abs=0.001)


def test_numbers_stand_under_their_names_in_any_order(monkeypatch):
    plain = measure(Ensemble([Known(TWO[0]), Known(TWO[0], scale=1.05)], relative=0.01))
    order = (*NAMES[4:], "volume_um3", *NAMES[:3])
    assert sorted(order) == sorted(NAMES)
    monkeypatch.setattr("fieldrx.measure.objects.NAMES", order)
    turned = measure(Ensemble([Known(TWO[0]), Known(TWO[0], scale=1.05)], relative=0.01))
    places = [NAMES.index(name) for name in order]
    np.testing.assert_allclose(turned.values, plain.values[:, places])
    np.testing.assert_allclose(turned.std, plain.std[:, places])
    assert turned.notes == plain.notes


def test_a_hole_weighs_less_than_nothing():
    hole, body = measure(Known(TWO[0], scale=-1)), measure(Known(TWO[0]))
    assert hole.column("dry_mass_pg") == pytest.approx(-body.column("dry_mass_pg"))
    assert hole.column("volume_um3") == pytest.approx(body.column("volume_um3"))
    assert hole.column("mean_index")[0] < SCOPE.medium_index


def test_notes_say_what_is_cut_off_or_not_uniform():
    cut = measure(Known(((0.0, 4.0, 0.9), 2.0, 0.03)))
    assert "touches the edge" in cut.notes[0]
    grains = [((0.0, 4.0, 7.0), 3.0, 0.01), *(((z, y, x), 0.9, 0.05) for z, y, x in (
        (0.9, 4.9, 7.0), (-0.9, 3.4, 8.3), (0.0, 3.4, 5.7)))]  # fmt: skip
    assert "not uniform" in " ".join(measure(Known(*grains), found=0.1).notes)


def test_what_fills_the_field_has_no_surface():
    made = measure(Known(((0.0, 4.0, 4.0), 60.0, 0.03)))
    assert len(made) == 1 and np.isnan(made.column("sphericity")[0])
    assert made.column("volume_um3")[0] == pytest.approx(made.labels.size * H**3)
    assert made.notes[0].startswith("touches the edge")


def test_the_package_may_be_called_as_the_function_that_has_its_name():
    field = Known(TWO[0])
    np.testing.assert_array_equal(fieldrx.measure(field).values, measure(field).values)
    code = "import fieldrx, fieldrx.measure.files; "
    code += "print([name for name in fieldrx.__all__ if not callable(getattr(fieldrx, name))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['__version__']"


@pytest.mark.parametrize("first", ["fieldrx.measure", "import fieldrx.measure"])
def test_the_package_is_the_same_whatever_came_first(first):
    code = f"import fieldrx; {first}; import fieldrx.measure as m; "
    code += "print(m.NAMES[0], callable(m), m is fieldrx.measure)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["z_um", "True", "True"]


def test_members_make_standard_deviations():
    members = [Known(*TWO, scale=s) for s in (0.95, 1.0, 1.05)]
    ensemble = Ensemble(members, factor=2.0, relative=0.01)
    made, alone = measure(ensemble), measure(Known(*TWO))
    assert made.values == pytest.approx(alone.values, rel=1e-3, abs=1e-3)
    mass = made.column_std("dry_mass_pg") / made.column("dry_mass_pg")
    assert (mass > np.hypot(0.1, 0.01)).all() and (mass < 0.13).all()  # 2 times 5 %, and the cone
    assert (made.column_std("z_um") >= 2 * H / np.sqrt(12)).all()


def written(tmp_path, *more, ensemble=False):
    field = replace(tiny.field(), provenance={"microscope": tiny.SCOPE.to_dict()})
    given = (
        Ensemble([replace(tiny.field(k), provenance=field.provenance) for k in range(3)])
        if ensemble
        else field
    )
    given.save(tmp_path / "f.npz")
    run = CliRunner().invoke(main, ["measure", str(tmp_path / "f.npz"), "-o", str(tmp_path / "t.csv"), *more])
    return run


def test_the_command_writes_a_table_and_labels(tmp_path):
    run = written(tmp_path, "--labels", str(tmp_path / "l.ome.tif"), "--found", "50%")
    assert run.exit_code == 0, run.output
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text("utf-8").splitlines()))
    assert rows and list(rows[0]) == ["label", *NAMES, "note"]
    assert f"{len(rows)} object" in run.stdout and "fieldrx ensemble" in run.stderr
    with tifffile.TiffFile(tmp_path / "l.ome.tif") as file:
        labels, ome = file.asarray(), file.ome_metadata
    assert labels.max() == len(rows) and labels.dtype == np.uint32
    assert 'PhysicalSizeZ="0.25"' in ome and 'PositionZ="-1.0"' in ome


def test_the_command_on_an_ensemble(tmp_path):
    run = written(tmp_path, "-q", ensemble=True)
    assert run.exit_code == 0, run.output
    head = (tmp_path / "t.csv").read_text("utf-8").splitlines()[0].split(",")
    assert head[:3] == ["label", "z_um", "z_um_std"] and len(head) == 2 * len(NAMES) + 2
    assert run.stdout.count("\n") == 1 and not run.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--found", "2"], "is not a share"),
        (["--smallest", "-1"], "smallest volume is -1"),
        (["--spacing", "0"], "spacing is 0"),
        (["--increment", "nan"], "increment is nan"),
        (["--labels", "l.png"], "labels are saved as .tif"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, more, said):
    monkeypatch.chdir(tmp_path)
    run = written(tmp_path, *more)
    assert run.exit_code == 2 and said in run.stderr and len(run.stderr.splitlines()) == 1
    assert not (tmp_path / "t.csv").exists()

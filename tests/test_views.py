"""Lattices, planes, rotated views, surfaces and quantities, against closed forms and plain NumPy."""

import numpy as np
import pytest
import tiny
from analytic_field import CENTRE, REGION, cone, gaussian
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fieldrx import InputError
from fieldrx.render import (
    Lattice,
    plane_lattice,
    rotation,
    sample,
    surface_level,
    turned,
    view,
    volume_lattice,
)
from fieldrx.render.brick import brick_of
from fieldrx.render.quantities import make_quantity
from fieldrx.render.views import quick_view

WHOLE = (slice(None),) * 3
MIDDLE = np.mean(REGION, axis=1)


def values_on(field, lattice, quantity="n"):
    return sample(field, lattice, quantity).read(WHOLE)


# --- the same points, whichever way ---------------------------------------------------------------


def test_plane_volume_and_query_agree():
    field = tiny.field(output_scale=0.05)
    volume = volume_lattice(field, spacing=(0.5, 0.25, 0.4), region=[(-1, 1), (0, 5), (0.2, 4)])
    dense = values_on(field, volume)
    plane = plane_lattice(
        field, volume.points()[2, 3, 4], spacing=(0.25, 0.4), region=[(-1, 1), (0, 5), (0.2, 4)]
    )
    flat = values_on(field, plane)
    assert flat.shape == (1, *dense.shape[1:])
    assert np.abs(flat[0] - dense[2]).max() < 1e-6
    assert np.abs(dense - field(volume.points())).max() < 1e-6
    assert np.ptp(dense.real) > 0.1


def test_slanted_plane_is_what_query_says():
    field = tiny.field(output_scale=0.05)
    down, right = np.array([1.0, 2.0, 0.5]), np.array([-1.0, 0.5, 1.0])
    plane = plane_lattice(field, (0.1, 2.2, 2.4), down, right, spacing=(0.2, 0.3))
    into, across, along = np.array(plane.directions)
    assert across == pytest.approx(down / np.linalg.norm(down))
    assert along @ down == pytest.approx(0, abs=1e-12)
    assert along @ right > 0
    assert np.cross(along[::-1], across[::-1])[::-1] == pytest.approx(into)  # right-handed in (x, y, z)
    points = plane.points()
    assert points[0, 1, 0] - points[0, 0, 0] == pytest.approx(0.2 * across)
    assert points[0, 0, 1] - points[0, 0, 0] == pytest.approx(0.3 * along)
    assert np.abs(points - (0.1, 2.2, 2.4)).sum(axis=-1).min() < 1e-9  # passes through the point
    assert np.abs(values_on(field, plane) - field(points)).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 6), st.tuples(*[st.floats(0, 1)] * 3))
def test_planes_cover_what_they_share_with_the_region(directions, place):
    down, right = np.array(directions[:3]), np.array(directions[3:])
    assume(np.linalg.norm(np.cross(down, right)) > 0.1)
    field = gaussian()
    through = np.array(REGION)[:, 0] + np.array(place) * np.ptp(REGION, axis=1)
    lattice = plane_lattice(field, through, down, right, spacing=0.25)
    points = lattice.points().reshape(-1, 3)
    # random points of the plane inside the region lie within a pixel of the lattice
    rng = np.random.default_rng(0)
    _, across, along = np.array(lattice.directions)
    tries = through + rng.uniform(-9, 9, (400, 1)) * across + rng.uniform(-9, 9, (400, 1)) * along
    low, high = np.array(REGION).T
    tries = tries[((tries >= low) & (tries <= high)).all(axis=1)]
    for point in (through, *tries):
        assert np.linalg.norm(points - point, axis=1).min() < 0.25 * np.sqrt(2) + 1e-6


def test_lattices_whose_indices_run_along_other_axes_use_the_same_numbers():
    field = tiny.field()
    turned_lattice = Lattice((3, 4, 5), (0.3, 0.2, 0.1), (0.5, 3, 3), ((0, 0, -1), (0, 1, 0), (-1, 0, 0)))
    assert np.abs(values_on(field, turned_lattice) - field(turned_lattice.points())).max() < 1e-6
    slanted = Lattice((3, 4, 5), (0.3, 0.2, 0.1), (0.5, 3, 3), rotation((1, 1, 1), 20))
    assert slanted.permutation() is None
    assert np.abs(values_on(field, slanted) - field(slanted.points())).max() < 1e-6


# --- views ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0, 360, -720])
def test_view_from_angle_zero_is_the_projection_of_the_volume(degrees):
    field = tiny.field(output_scale=0.05)
    spacing = (0.5, 0.3, 0.2)
    volume = field.volume(spacing)
    n = volume.contrast.real + np.float32(field.medium_index)
    look = {"rotation": rotation("y", degrees), "spacing": spacing}
    assert np.abs(view(field, projection="max", **look).values - n.max(axis=0)).max() < 1e-6
    assert np.abs(view(field, projection="mean", **look).values - n.mean(axis=0)).max() < 1e-6
    path = view(field, projection="path", **look)
    assert np.abs(path.values - 0.5 * volume.contrast.real.sum(axis=0)).max() < 1e-6
    assert (path.unit, path.spacing_um, path.medium) == ("um", (0.3, 0.2), 0)


def test_view_from_the_side_is_the_projection_along_x():
    field = tiny.field(output_scale=0.05)
    seen = view(field, rotation("y", 90), "mean", "contrast", spacing=0.25)
    volume = field.volume(0.25).contrast.real
    expected = volume.mean(axis=2).T  # z, turned about y, runs right
    assert seen.values.shape == expected.shape
    assert np.abs(seen.values - expected).max() < 1e-6


@pytest.mark.parametrize(("axis", "degrees"), [("y", 33.0), ("x", -70.0), ("z", 118.0), ((1, -2, 0.5), 51.0)])
def test_optical_path_of_a_gaussian_from_any_side(axis, degrees):
    """The integral along any line is known, and its place follows from the textbook's rotation."""
    sigma, height = 0.4, 0.02
    matrix = rotation(axis, degrees)
    seen = view(gaussian(sigma, height), matrix, "path", spacing=0.1)
    vector = {"z": (0, 0, 1), "y": (0, 1, 0), "x": (1, 0, 0)}.get(axis, (0.5, -2, 1))  # as (x, y, z)
    unit = np.array(vector) / np.linalg.norm(vector)
    offset = (CENTRE - MIDDLE)[::-1]
    angle = np.deg2rad(degrees)
    place = (
        offset * np.cos(angle) + np.cross(unit, offset) * np.sin(angle)
        + unit * (unit @ offset) * (1 - np.cos(angle))
    )  # fmt: skip
    ny, nx = seen.values.shape
    length = np.abs(matrix) @ np.ptp(REGION, axis=1)
    y = -0.5 * length[1] + 0.1 * np.arange(ny)
    x = -0.5 * length[2] + 0.1 * np.arange(nx)
    r2 = (y[:, None] - place[1]) ** 2 + (x - place[0]) ** 2
    truth = height * np.sqrt(2 * np.pi) * sigma * np.exp(-0.5 * r2 / sigma**2)
    assert np.abs(seen.values - truth).max() < 1e-4 * truth.max()


def test_mean_counts_only_the_part_of_a_line_in_the_region():
    field = gaussian()
    field.function = lambda z, y, x: np.full(np.broadcast_shapes(z.shape, y.shape, x.shape), 0.01)
    seen = view(field, rotation("y", 30), "mean", "contrast", spacing=0.2)
    within = seen.values > 0.005
    assert np.abs(seen.values[within] - 0.01).max() < 1e-8
    assert (seen.values[~within] == 0).all()
    assert 0 < (~within).sum() < within.sum()
    assert view(field, rotation("y", 30), "max", spacing=0.2).values.min() == np.float32(1.33)


def test_a_full_turn_is_none_and_quarter_turns_are_exact():
    assert np.array_equal(rotation("x", 360), np.eye(3))
    assert np.array_equal(turned([("y", 90)] * 4), np.eye(3))
    assert np.array_equal(turned([("z", 90), ("z", -450)]), rotation("z", -360))
    # x turns to y about z, y to z about x, z to x about y
    assert rotation("z", 90) @ (0, 0, 1) == pytest.approx((0, 1, 0))
    assert rotation("x", 90) @ (0, 1, 0) == pytest.approx((1, 0, 0))
    assert rotation("y", 90) @ (1, 0, 0) == pytest.approx((0, 0, 1))
    matrix = turned([("x", 20), ((1, 2, 3), 77)])
    assert matrix @ matrix.T == pytest.approx(np.eye(3))
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert matrix == pytest.approx(rotation((1, 2, 3), 77) @ rotation("x", 20))


def test_views_do_not_depend_on_their_tiles(monkeypatch):
    field = tiny.field(output_scale=0.05)
    level = field.medium_index + 0.02
    looks = [{"projection": p} for p in ("max", "mean", "path")] + [{"projection": "surface", "level": level}]
    whole = [view(field, rotation("x", 40), spacing=0.3, **look) for look in looks]
    monkeypatch.setattr("fieldrx.render.views._PIXELS", 37)
    monkeypatch.setattr("fieldrx.render.views._BLOCK", 100)
    told = []
    for look, before in zip(looks, whole, strict=True):
        again = view(
            field, rotation("x", 40), spacing=0.3, callback=told.append, **look
        )  # fmt: skip
        assert again.values == pytest.approx(before.values, abs=1e-6, nan_ok=True)
    assert told[-1].done == told[-1].total > 0


def test_surface_of_a_sphere():
    """The level of a cone is a sphere: its depth from any side, and the light on it, are known."""
    field = cone(radius=1.5, height=0.02)
    matrix = rotation("y", 40)
    seen = view(field, matrix, "surface", "contrast", spacing=0.1, level=0.008)
    radius = 1.5 * (1 - 0.008 / 0.02)
    length = np.abs(matrix) @ np.ptp(REGION, axis=1)
    place = matrix @ (CENTRE - MIDDLE) + 0.5 * length  # from the first sample
    ny, nx = seen.values.shape
    y, x = 0.1 * np.arange(ny)[:, None] - place[1], 0.1 * np.arange(nx) - place[2]
    inside = radius**2 - y**2 - x**2
    truth = place[0] - np.sqrt(np.maximum(inside, 0))
    clear = inside > 0.3 * radius**2
    assert np.abs(seen.values - truth)[clear].max() < 2e-3
    assert np.isnan(seen.values[inside < -0.05]).all()
    assert (seen.shade[inside < -0.05] == 0).all()
    lit = np.unravel_index(seen.shade.argmax(), seen.shade.shape)
    assert y[lit[0], 0] < 0  # the lamp stands above and to the left
    assert x[lit[1]] < 0


def test_surface_where_the_region_cuts_the_sample():
    field = cone()
    low = CENTRE[0] + 0.2
    region = [(low, 3.0), *REGION[1:]]
    seen = view(field, None, "surface", "contrast", spacing=0.1, region=region, level=0.008)
    middle = tuple(round((c - r[0]) / 0.1) for c, r in zip(CENTRE[1:], REGION[1:], strict=True))
    assert seen.values[middle] == pytest.approx(0, abs=1e-3)


def test_surface_level_splits_sample_from_medium():
    field = gaussian()
    field.function = lambda z, y, x: 0.02 * ((np.abs(z) < 1) & (np.abs(y - 2) < 1) & (np.abs(x) < 1))
    assert 0 < surface_level(field, "contrast") < 0.02
    assert 1.33 < surface_level(field) < 1.35


# --- quantities -----------------------------------------------------------------------------------


def test_quantities():
    field = tiny.field(provenance={"microscope": {"wavelength_um": 0.5}})
    delta = np.array([[0.01 + 0.002j, -0.003]], np.complex64)
    expected = {
        "n": 1.33 + delta,
        "contrast": delta,
        "absorption": delta.imag,
        "permittivity": (1.33 + delta.astype(complex)) ** 2,
        "phase": 4 * np.pi * delta.real,
        "dry-mass": delta.real / 0.19,
    }
    for name, values in expected.items():
        quantity = make_quantity(name, field)
        assert quantity.of(delta) == pytest.approx(values, rel=1e-6)
        assert quantity.of(delta).dtype == quantity.dtype
    # 0.0019 above the medium are 0.01 g/ml of protein, or 10 pg in 1000 um^3
    assert make_quantity("dry-mass", field).of(np.complex64(0.0019)) == pytest.approx(0.01)
    assert make_quantity("dry-mass", field, increment=0.18).of(np.complex64(0.0018)) == pytest.approx(0.01)
    assert make_quantity("phase", field, wavelength_um=1.0).of(np.complex64(0.5)) == pytest.approx(np.pi)


def test_dry_mass_of_a_cell_adds_up():
    """The projected density times the pixel area is the mass: 3D integral over alpha."""
    field = gaussian(sigma=0.4, height=0.02)
    seen = view(field, rotation("x", 25), "path", "dry-mass", spacing=0.1)
    mass = seen.values.sum(dtype=float) * 0.01
    assert mass == pytest.approx(0.02 * (2 * np.pi * 0.16) ** 1.5 / 0.19, rel=1e-4)
    assert seen.unit == "pg/um²"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: make_quantity("index", f), "there is no quantity"),
        (lambda f: make_quantity("phase", f), "at which wavelength"),
        (lambda f: make_quantity("phase", f, wavelength_um=-1), "positive"),
        (lambda f: make_quantity("dry-mass", f, increment=0), "positive number in ml/g"),
        (lambda f: view(f, projection="sum"), "there is no projection"),
        (lambda f: view(f, projection="path", quantity="n"), "no integral"),
        (lambda f: view(f, projection="surface", level=1.0), "not above the medium"),
        (lambda f: view(f, projection="surface", level=9.0), "nothing in the region exceeds"),
        (lambda f: view(f, rotation=np.ones((3, 3))), "turns"),
        (lambda f: view(f, rotation=np.diag([1, 1, -1])), "turns"),
        (lambda f: view(f, spacing=0), "must be positive"),
        (lambda f: view(f, spacing=(1, 1)), "must be positive"),
        (lambda f: view(f, region=[(-9, 9), (0, 1), (0, 1)]), "outside the field's domain"),
        (lambda f: rotation("w", 3), "there is no axis"),
        (lambda f: rotation((0, 0, 0), 3), "there is no axis"),
        (lambda f: rotation("x", np.nan), "finite"),
        (lambda f: plane_lattice(f, (0, 0, 0), "y", (0, 2, 0)), "parallel"),
        (lambda f: plane_lattice(f, (5, 0, 0)), "misses the region"),
        (lambda f: plane_lattice(f, (5, 0)), "three numbers"),
        (lambda f: plane_lattice(f, spacing=-1), "must be positive"),
        (lambda f: plane_lattice(f, down=(0, 0, 0)), "there is no direction"),
        (lambda f: volume_lattice(f, region=[(-1, 1), (0, 4), (0, 30)]), "outside the field's domain"),
        (lambda f: volume_lattice(f, spacing=1e-12), "larger spacing"),
        (lambda f: Lattice((1, 1, 1), (1, 1, 1), (0, 0, 0), np.ones((3, 3))), "perpendicular"),
        (lambda f: Lattice((1, 1, 0), (1, 1, 1), (0, 0, 0)), "larger spacing"),
        (lambda f: Lattice((1, 1), (1, 1, 1), (0, 0, 0)), "three numbers"),
    ],
)  # fmt: skip
def test_bad_requests(call, words):
    with pytest.raises(InputError, match=words):
        call(tiny.field())


@pytest.mark.parametrize("degrees", [0.0, 33.0, 90.0])
@pytest.mark.parametrize("projection", ["max", "mean", "path"])
def test_a_brick_shows_what_the_network_says(degrees, projection):
    """Interpolated between half voxels of the fit, to 2 % of the brightest where the sample is smooth."""
    field, turn = gaussian(), rotation((0.2, 1, 0.1), degrees)
    quantity, region = make_quantity("contrast", field), np.array(REGION)
    brick = brick_of(field, quantity, region, 0.03)
    given = {"quantity": quantity, "spacing": (0.05, 0.09, 0.09)}
    direct, quick = (view(field, turn, projection, **given, brick=b) for b in (None, brick))
    assert quick.values.shape == direct.values.shape
    assert np.abs(quick.values - direct.values).max() < 0.02 * direct.values.max()


def test_surface_in_a_brick():
    field, turn = cone(), rotation("y", 25.0)
    brick = brick_of(field, make_quantity("n", field), np.array(REGION), 0.02)
    direct, quick = (view(field, turn, "surface", "n", 0.1, level=1.34, brick=b) for b in (None, brick))
    both = np.isfinite(direct.values) & np.isfinite(quick.values)
    assert both.sum() > 0.97 * np.isfinite(direct.values).sum()
    assert np.median(np.abs(quick.values - direct.values)[both]) < 0.02
    assert np.median(np.abs(quick.shade - direct.shade)[both]) < 0.03


def test_places_outside_a_brick_and_bricks_too_large(monkeypatch):
    field = gaussian()
    quantity, region = make_quantity("n", field), np.array(REGION)
    brick = brick_of(field, quantity, region, 0.05)
    outside = np.array([(-3.1, 2, 1), (0, 5.2, 1), (0, 2, -2.1)])
    assert brick.at(outside) == pytest.approx([1.33] * 3)
    assert brick.at(CENTRE[None]) == pytest.approx(1.35, abs=2e-4)
    flat = brick_of(field, quantity, [(0.3, 0.3), *REGION[1:]], 0.05)
    assert flat.values.shape[0] == 1
    assert flat.at(CENTRE[None]) == pytest.approx(1.35, abs=2e-4)
    monkeypatch.setattr("fieldrx.render.brick.MOST", 1000)
    assert brick_of(field, quantity, region, 0.05) is None
    assert quick_view(field, spacing=0.2).values.max() == pytest.approx(1.35, abs=2e-3)

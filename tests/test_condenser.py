"""Condensers: discs, annuli and halves of them, against closed forms and sums over many directions."""

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Grid, Illumination, InputError, Microscope, read_acquisition, simulate
from fieldrx.layouts.draft import Draft
from fieldrx.models import Born, make_model
from fieldrx.optics import condenser_notes
from fieldrx.optics.condenser import BOUND, PARTS
from fieldrx.reconstruction import prepare

LOW = Microscope(wavelength_um=0.5, objective_na=0.1, medium_index=1.0, pixel_size_um=1.0)  # kz is one number
SCOPE = Microscope(wavelength_um=0.53, objective_na=0.4, medium_index=1.33, pixel_size_um=0.35)
RNG = np.random.default_rng(5)


def lens(distance, a, b):
    """Area that two circles of radii a and b share."""
    d = np.clip(distance, abs(a - b) + 1e-12, a + b)
    turn_a = np.arccos(np.clip((d**2 + a**2 - b**2) / (2 * d * a), -1, 1))
    turn_b = np.arccos(np.clip((d**2 + b**2 - a**2) / (2 * d * b), -1, 1))
    kite = 0.5 * np.sqrt(np.maximum((a + b - d) * (d + a - b) * (d - a + b) * (d + a + b), 0))
    return a**2 * turn_a + b**2 * turn_b - kite


def segment(distance, radius):
    """Area of a circle beyond a chord."""
    d = np.minimum(distance, radius)
    return radius**2 * np.arccos(d / radius) - d * np.sqrt(radius**2 - d**2)


def transfer_of(light, scope, nu_y, nu_x, z=0.0):
    """Transfers of index and absorption of a slice of 1 um at z, shape (f, m)."""
    grid = Grid((1, 8, 8), (1.0, *2 * (scope.pixel_size_um,)), (z, 0.0, 0.0))
    return [part[..., 0] for part in Born(grid, scope, light).transfer(nu_y, nu_x)]


def rms(values):
    return np.sqrt((np.abs(values) ** 2).mean(axis=0))


@pytest.mark.parametrize("share, hole", [(1.0, 0.0), (0.5, 0.0), (0.9, 0.6)])
def test_absorption_in_focus_is_transferred_as_circles_overlap(share, hole):
    """Of circles as large as the pupil this is the transfer of incoherent light."""
    cutoff, outer, inner = LOW.cutoff, share * LOW.cutoff, hole * LOW.cutoff
    light = Illumination.disc(LOW, share * LOW.objective_na, 0.0, hole * LOW.objective_na)
    nu = RNG.uniform(-2 * cutoff, 2 * cutoff, (2, 600))
    index, absorption = transfer_of(light, LOW, *nu)
    distance = np.hypot(*nu)
    common = lens(distance, outer, cutoff) - (lens(distance, inner, cutoff) if hole else 0.0)
    true = -2 * LOW.wavenumber * common / (np.pi * (outer**2 - inner**2))
    assert rms(absorption[:, 0] - true) < BOUND * rms(true)
    assert rms(index[:, 0]) < BOUND * rms(true)  # a full disc shows no phase in focus
    if share == 1:
        q = np.minimum(distance / (2 * cutoff), 1)
        assert np.allclose(true, -4 * LOW.wavenumber / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2)))


def test_phase_in_focus_is_transferred_as_halves_do():
    """Light that travels right: along x, the half circle x > 0 that the pupil, moved by -nu, covers."""
    cutoff = LOW.cutoff
    light = Illumination.disc(LOW, LOW.objective_na, 0.0, parts=["right", "left", "down", "up"])
    nu = np.linspace(-2, 2, 161) * cutoff
    distance = np.abs(nu)
    beyond = segment(distance, cutoff)
    covered = {  # by the sign of nu: the lens less what lies left of the middle, or that alone
        1: np.where(nu < 0, lens(distance, cutoff, cutoff) - beyond, beyond),
        -1: np.where(nu > 0, lens(distance, cutoff, cutoff) - beyond, beyond),
    }
    true = 1j * LOW.wavenumber * (covered[1] - covered[-1]) / (0.5 * np.pi * cutoff**2)
    for columns, places in (((0, 1), (0 * nu, nu)), ((2, 3), (nu, 0 * nu))):
        index = transfer_of(light, LOW, *places)[0]
        for column, sign in zip(columns, (1, -1), strict=True):
            assert rms(index[:, column] - sign * true) < 2 * BOUND * rms(true)  # of one line of frequencies


def many(part, na, inner=0.0, step=0.011):
    """Directions on a square lattice, askew, that fill a part of the aperture."""
    axis = np.arange(-na, na, step)
    y, x = (g.ravel() for g in np.meshgrid(axis + 0.3 * step, axis + 0.1 * step, indexing="ij"))
    y, x = np.cos(0.3) * y - np.sin(0.3) * x, np.sin(0.3) * y + np.cos(0.3) * x
    inside = (np.hypot(y, x) < na) & (np.hypot(y, x) >= inner)
    if part != "whole":
        angle = np.deg2rad(PARTS.get(part, part))
        inside &= y * np.sin(angle) + x * np.cos(angle) > 0
    return np.stack([y, x], axis=1)[inside]


def one_image(directions):
    return Illumination(directions, np.ones((1, len(directions))))


@pytest.mark.parametrize("depth", [3.0, 9.0])
@pytest.mark.parametrize(
    "part, na, inner", [("whole", 0.4, 0.0), ("up", 0.4, 0.0), (40.0, 0.25, 0.0), ("left", 0.38, 0.3)]
)
def test_transfers_out_of_focus_are_within_the_bound(depth, part, na, inner):
    light = Illumination.disc(SCOPE, na, depth, inner, [part])
    nu = RNG.uniform(-2 * SCOPE.cutoff, 2 * SCOPE.cutoff, (2, 400))
    dense = one_image(many(part, na, inner, step=0.012))
    step = 0.012 * np.sqrt(dense.n_sources / light.n_sources)
    lattice = one_image(many(part, na, inner, step))  # about as many
    assert abs(lattice.n_sources / light.n_sources - 1) < 0.1 and light.n_sources < 0.1 * dense.n_sources
    in_focus = np.concatenate(transfer_of(dense, SCOPE, *nu))
    errors = []
    for z in (0.0, -0.5 * depth, depth):
        found, other, true = (
            np.concatenate(transfer_of(made, SCOPE, *nu, z)) for made in (light, lattice, dense)
        )
        errors.append([rms(made - true)[0] / rms(in_focus)[0] for made in (found, other)])
    error, of_lattice = np.max(errors, axis=0)
    assert error < 1.1 * BOUND  # both sample it, elsewhere
    assert error < of_lattice


def test_sources_are_as_few_as_the_depth_allows():
    counts = [Illumination.disc(SCOPE, 0.4, depth).n_sources for depth in (0, 10, 20)]
    assert counts[0] < counts[1] < counts[2] < 500
    assert Illumination.disc(SCOPE, 0.05, 0).n_sources < counts[0]


@pytest.mark.parametrize("name", ["ssnp", "rytov"])
def test_images_are_those_of_many_sources(name):
    shape = 30, 26
    grid = Grid.for_images(shape, SCOPE, (2.0, 3.0, 0.5), 2.0)
    contrast = tiny.rough(grid.shape, strength=0.02)
    options = {"engine": "plain"} if name == "ssnp" else {}

    def image(light):
        return make_model(name, grid, SCOPE, light, shape, **options).forward(contrast)

    light = Illumination.disc(SCOPE, 0.4, 3.0, parts=["right", "whole"])
    found = image(light)
    for row, part in enumerate(("right", "whole")):
        true = image(one_image(many(part, 0.4, step=0.03)))[0]
        scale = np.linalg.norm(true - 1)
        assert np.linalg.norm(found[row] - true) < 2 * BOUND * scale  # as much again for the lattice
        centre = one_image([light.pattern[row] @ light.sources_na / light.pattern[row].sum()])
        assert np.linalg.norm(image(centre)[0] - true) > 10 * BOUND * scale  # no point does it


def test_parts_share_their_sources_and_add_up():
    light = Illumination.disc(SCOPE, 0.4, 2.0, parts=["whole", *PARTS, 30.0, 210.0])
    whole, right, down, left, up, one, other = light.pattern
    assert np.allclose(right + left, whole) and np.allclose(up + down, whole)
    assert np.allclose(one + other, whole)
    y, x = (light.pattern @ light.sources_na / light.pattern.sum(axis=1, keepdims=True)).T
    middle = 0.4 * 4 / (3 * np.pi)  # of a half circle
    angle = np.deg2rad(30)
    expected = [0, 0, middle, 0, -middle, middle * np.sin(angle), -middle * np.sin(angle)]
    assert np.allclose(y, expected, atol=0.01)
    assert np.allclose(
        x, [0, middle, 0, -middle, 0, *(s * middle * np.cos(angle) for s in (1, -1))], atol=0.01
    )


def test_nothing_stands_for_what_is_dark():
    half = Illumination.disc(SCOPE, 0.4, 2.0, parts=["up"])
    both = Illumination.disc(SCOPE, 0.4, 2.0, parts=["up", "down"])
    assert (half.pattern > 0).all() and (half.sources_na[:, 0] < 0).all()
    assert np.array_equal(half.sources_na, both.sources_na[both.pattern[0] > 0])


def test_light_past_the_objective_is_dark_field_by_its_area():
    light = Illumination.disc(SCOPE, 0.6, 1.0, 0.1)
    bright = light.pattern[0, light.bright(SCOPE)].sum() / light.pattern[0].sum()
    assert np.isclose(bright, (0.4**2 - 0.1**2) / (0.6**2 - 0.1**2))
    assert Illumination.disc(SCOPE, 0.6, 0.0, 0.45).dark(SCOPE).all()


@pytest.mark.parametrize(
    "values, words",
    [
        ({"na": 1.4}, "below|between 0 and medium_index"),
        ({"na": "wide"}, "na is 'wide'; expected a number"),
        ({"inner_na": 0.4}, "inner_na of the condenser is 0.4"),
        ({"depth_um": -1}, "depth_um is -1"),
        ({"depth_um": 500}, "smaller depth_um, or refocus"),
        ({"parts": ["top"]}, 'no part "top".*right, down, left, up'),
        ({"parts": []}, "parts of the condenser is empty"),
        ({"parts": [None]}, "angle of parts"),
        ({"parts": [True]}, 'no part "True"'),
    ],
)
def test_condensers_that_cannot_be(values, words):
    with pytest.raises(InputError, match=words):
        Illumination.disc(SCOPE, **({"na": 0.4, "depth_um": 2.0} | values))


TOML = """[microscope]
wavelength_um = 0.6
objective_na = 0.6
medium_index = 1.33
pixel_size_um = 0.25
[images]
files = "s.npy"
background = 1
[illumination]
kind = "disc"
na = 0.5
depth_nm = 1000
"""


def test_files_tell_of_condensers(tmp_path):
    halves = Illumination.disc(tiny.SCOPE, 0.5, 1.0, parts=["up", "down", "left", 0])
    images = simulate(tiny.phantom(), Acquisition(None, halves, tiny.SCOPE), "born", tiny.SHAPE).images
    np.save(tmp_path / "s.npy", images)
    path = tmp_path / "a.toml"
    path.write_text(TOML + 'parts = ["up", "down", "left", 0]\n')
    read = read_acquisition(path)
    assert np.array_equal(read.illumination.sources_na, halves.sources_na)
    assert np.array_equal(read.illumination.pattern, halves.pattern)
    assert any("directions of travel" in note for note in read.notes)
    read.save(tmp_path / "a.npz")
    assert read_acquisition(tmp_path / "a.npz").illumination.within_um == 1.0
    path.write_text(TOML + 'parts = ["up", "down", "left", 0]\ndirections = "led-position"\n')
    assert np.array_equal(read_acquisition(path).illumination.sources_na, -halves.sources_na)
    path.write_text(TOML)
    whole = read_acquisition(path)
    assert whole.n_images == 4 and np.ptp(whole.illumination.pattern, axis=0).max() == 0 and not whole.notes
    path.write_text(TOML + 'parts = "up"\n')
    up = read_acquisition(path).illumination
    assert up.n_images == 4 and np.ptp(up.pattern, axis=0).max() == 0 and up.sources_na[:, 0].max() < 0.03
    for line, words in (
        ('parts = ["up"]', "names 1 for 4 images"),
        ('parts = [["up"]]', "names 1 for 4 images"),
        ("parts = [[1], 0, 0, 0]", "an angle of parts"),
        ('parts = "top"', 'no part "top"'),
        ("nat = 1", "known are .*inner_na"),
    ):
        path.write_text(TOML + line)
        with pytest.raises(InputError, match=words):
            read_acquisition(path)
    path.write_text(TOML.replace("depth_nm = 1000\n", ""))
    with pytest.raises(InputError, match=r'a\.toml: \[illumination\] lacks "depth_um"'):
        read_acquisition(path)


def test_a_sample_deeper_than_the_sources_stand_for_is_told():
    light = Illumination.disc(tiny.SCOPE, 0.5, 0.6)
    assert condenser_notes(light, 0.6) == [] == condenser_notes(tiny.LIGHT, 9.0)
    optics = Acquisition(None, light, tiny.SCOPE)
    images = simulate(tiny.phantom(absorbing=True), optics, "born", tiny.SHAPE)
    assert "set depth_um = 1 " in images.notes[0]
    notes = prepare(images, tiny.DEPTH, "born", holdout=0).notes
    assert any("slices reach 1 um" in note for note in notes)


@pytest.mark.parametrize("order", [("na", "depth_um"), ("depth_um", "na")])
def test_a_draft_with_a_depth_is_of_a_condenser(order):
    draft = Draft("stack", ())
    assert 'kind = "led-ring"' in draft.having("illumination", "na", 0.5).text()
    for name in order:
        draft = draft.having("illumination", name, 0.5)
    text = draft.text()
    assert 'kind = "disc"' in text and "\nna = 0.5" in text and "\ndepth_um = 0.5" in text

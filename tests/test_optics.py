"""Geometry and sign conventions of `fieldrx.optics`."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldrx.errors import InputError
from fieldrx.models import grid_spacing
from fieldrx.optics import (
    Grid,
    Illumination,
    Microscope,
    Resolution,
    clear_of_resonance,
    parse_depth,
    sampling_notes,
    slice_positions,
)
from fieldrx.provenance import Provenance
from fieldrx.volume import Volume

ALGAE = Path(__file__).parents[2] / "shared" / "data" / "algae" / "leds.csv"
MICROSCOPE = Microscope(wavelength_um=0.5, objective_na=0.6, medium_index=1.33, pixel_size_um=0.15)


def lengths(low, high):
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


# --- microscope ------------------------------------------------------------------------------


def test_microscope_derived_quantities():
    assert MICROSCOPE.wavenumber == pytest.approx(4 * np.pi)
    assert MICROSCOPE.cutoff == pytest.approx(1.2, rel=2e-6)
    assert MICROSCOPE.axial_frequency(0.0) == pytest.approx(2.66)
    assert MICROSCOPE.axial_frequency(2.66**2 + 1) < 1e-5  # evanescent
    assert Microscope(**MICROSCOPE.to_dict()) == MICROSCOPE


@given(lengths(0, 2.6))
def test_axial_frequency_lies_on_the_ewald_sphere(nu):
    assert MICROSCOPE.axial_frequency(nu**2) ** 2 + nu**2 == pytest.approx(2.66**2)


@pytest.mark.parametrize("name", ["wavelength_um", "objective_na", "medium_index", "pixel_size_um"])
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, "green", None])
def test_microscope_refuses(name, value):
    with pytest.raises(InputError, match=f"{name} is .*expected a"):
        Microscope(**{**MICROSCOPE.to_dict(), name: value})


def test_microscope_aperture_below_index():
    with pytest.raises(InputError, match=r"objective_na 1\.4 exceeds medium_index 1\.33.*check both"):
        Microscope(0.5, 1.4, 1.33, 0.1)


# --- illumination ----------------------------------------------------------------------------


def test_led_grid_matches_the_algae_acquisition():
    light = Illumination.led_grid([(12, 16)], 4000, 79000, (17, 17), ("row", "-col"))
    np.testing.assert_allclose(light.sources_na, [[-0.245127, 0.049025]], atol=5e-7)


def test_led_grid_matches_the_whole_algae_table():
    if not ALGAE.exists():
        pytest.skip("needs the measured data, which are not part of the repository")
    table = np.genfromtxt(ALGAE, delimiter=",", names=True)
    leds = np.stack([table["led_row"], table["led_col"]], axis=1)
    light = Illumination.led_grid(leds, 4000, 79000, (17, 17), ("row", "-col"))
    np.testing.assert_allclose(light.sources_na, np.stack([table["na_y"], table["na_x"]], axis=1), atol=1e-6)


def test_led_grid_axes():
    leds = [(3, 5)]
    plain = Illumination.led_grid(leds, 1.0, 10.0, (0, 0)).sources_na[0]
    swapped = Illumination.led_grid(leds, 1.0, 10.0, (0, 0), ("col", "-row")).sources_na[0]
    np.testing.assert_allclose(swapped, [plain[1], -plain[0]])
    np.testing.assert_allclose(plain, np.array([3, 5]) / np.sqrt(3**2 + 5**2 + 10**2))


@pytest.mark.parametrize("axes", [("row", "row"), ("row",), ("x", "y"), ("row", "-row")])
def test_led_grid_refuses_axes(axes):
    with pytest.raises(InputError, match=r'axes is .*expected one of "row"'):
        Illumination.led_grid([(0, 1)], 1, 1, (0, 0), axes)


def test_led_grid_refuses_shape():
    with pytest.raises(InputError, match=r"leds has shape \(3,\).*\(n_images, 2\)"):
        Illumination.led_grid([1, 2, 3], 1, 1, (0, 0))


def test_led_ring_starts_at_x_and_turns_towards_y():
    light = Illumination.led_ring(4, 0.3)
    np.testing.assert_allclose(
        light.sources_na, 0.3 * np.array([[0, 1], [1, 0], [0, -1], [-1, 0]]), atol=1e-15
    )
    other = Illumination.led_ring(4, 0.3, clockwise=False)
    np.testing.assert_allclose(other.sources_na[1], [-0.3, 0], atol=1e-15)
    turned = Illumination.led_ring(3, 0.3, start_deg=90)
    np.testing.assert_allclose(turned.sources_na[0], [0.3, 0], atol=1e-15)


def test_led_ring_refuses_an_empty_ring():
    with pytest.raises(InputError, match="at least one"):
        Illumination.led_ring(0, 0.3)


def test_multiplexed_adds_weights():
    light = Illumination.led_ring(5, 0.3)
    both = light.multiplexed([(0, 3), (1,)])
    np.testing.assert_array_equal(both.pattern, [[1, 0, 0, 1, 0], [0, 1, 0, 0, 0]])
    weighted = light.multiplexed([(0, 3)], weights=[(0.25, 2)])
    np.testing.assert_array_equal(weighted.pattern, [[0.25, 0, 0, 2, 0]])
    assert (both.n_images, both.n_sources) == (2, 5)


def test_select_keeps_sources():
    light = Illumination.led_ring(5, 0.3).select([4, 1])
    assert light.pattern.shape == (2, 5)
    assert light.pattern[0, 4] == light.pattern[1, 1] == 1


def test_weights_divide_by_bright_field_alone():
    light = Illumination([[0.1, 0], [0, 0.6], [0.7, 0]], [[1, 3, 4], [2, 0, 0]])
    assert light.bright(MICROSCOPE).tolist() == [True, True, False]
    np.testing.assert_allclose(light.weights(MICROSCOPE), [[0.25, 0.75, 1.0], [1, 0, 0]])


def test_weights_of_dark_field_are_over_their_own_sum():
    light = Illumination([[0.1, 0], [0.7, 0], [0, 0.8]], [[1, 2, 0], [0, 1, 3]])
    assert light.dark(MICROSCOPE).tolist() == [False, True]
    np.testing.assert_allclose(light.weights(MICROSCOPE), [[1, 2, 0], [0, 0.25, 0.75]])


def test_single_scattering_refuses_dark_field():
    light = Illumination([[0.1, 0], [0.7, 0]])
    light.refuse_dark(MICROSCOPE, [0], "born")
    with pytest.raises(InputError, match=r"^images 1 are lit only.*dark field.*born.*use bpm.*leave"):
        light.refuse_dark(MICROSCOPE, None, "born")
    with pytest.raises(InputError, match=r"^every image is lit only"):
        light.select([1]).refuse_dark(MICROSCOPE, None, "born")


def test_dark_field_makes_the_grid_finer():
    scope = Microscope(0.5, 0.2, 1.0, 1.0)
    light = Illumination([[0.1, 0], [0.0, 0.55]])
    assert grid_spacing(scope, light) == 1.0
    assert grid_spacing(scope, light, dark_field=True) == pytest.approx(0.5 * 0.5 / 0.75)
    both = Illumination(light.sources_na, [[1, 1]])  # one image in bright field: its steep light adds little
    assert grid_spacing(scope, both, dark_field=True) == 1.0


def test_illumination_is_read_only():
    light = Illumination.led_ring(3, 0.2)
    with pytest.raises(ValueError):
        light.sources_na[0, 0] = 1
    with pytest.raises(ValueError):
        light.pattern[0, 0] = 2


def test_illumination_copies_its_input():
    sources = np.zeros((2, 2))
    light = Illumination(sources)
    sources[:] = 9
    assert (light.sources_na == 0).all()


@pytest.mark.parametrize(
    ("sources", "pattern", "message"),
    [
        (np.zeros((3, 3)), None, r"shape \(3, 3\); expected \(n_sources, 2\)"),
        (np.zeros((0, 2)), None, r"expected \(n_sources, 2\)"),
        ([[0, 0], [np.nan, 0]], None, "source 1 is not finite"),
        (np.zeros((2, 2)), np.ones((4, 3)), r"pattern has shape \(4, 3\); expected \(n_images, 2\)"),
        (np.zeros((2, 2)), [[1, -1]], "not negative"),
        (np.zeros((2, 2)), [[1, np.inf]], "finite"),
        (np.zeros((2, 2)), [[1, 0], [0, 0]], "image 1 has no source"),
    ],
)
def test_illumination_refuses(sources, pattern, message):
    with pytest.raises(InputError, match=message):
        Illumination(sources, pattern)


# --- grid ------------------------------------------------------------------------------------


def test_grid_axes_and_bounds():
    grid = Grid((3, 4, 5), (0.5, 0.2, 0.1), (-1, 2, 3))
    z, y, x = grid.axes
    np.testing.assert_allclose(z, [-1, -0.5, 0])
    np.testing.assert_allclose(y, [2, 2.2, 2.4, 2.6])
    assert len(x) == 5
    np.testing.assert_allclose(grid.bounds_um, [[-1.25, 0.25], [1.9, 2.7], [2.95, 3.45]])
    nu_y, nu_x = grid.frequencies()
    assert nu_y[1] == pytest.approx(1 / 0.8)
    assert nu_x[1] == pytest.approx(1 / 0.5)
    assert Grid(**grid.to_dict()) == grid


@pytest.mark.parametrize(
    ("shape", "spacing", "message"),
    [((3, 4), (1, 1, 1), "three numbers"), ((0, 4, 4), (1, 1, 1), "empty"), ((1, 1, 1), (1, 0, 1), "empty"),
     ((1, 1, 1), (1, np.nan, 1), "empty")],
)  # fmt: skip
def test_grid_refuses(shape, spacing, message):
    with pytest.raises(InputError, match=message):
        Grid(shape, spacing)


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    lengths(-30, 10),
    lengths(1, 40),
    lengths(0.05, 3),
    st.none() | lengths(0, 20),
)
def test_grid_for_images_holds_images_and_margin(image_shape, z0, thickness, dz, margin):
    grid = Grid.for_images(image_shape, MICROSCOPE, (z0, z0 + thickness, dz), margin)
    pixel = MICROSCOPE.pixel_size_um
    assert grid.spacing_um[1:] == (pixel, pixel)
    assert grid.axis(0)[0] == pytest.approx(z0)
    assert grid.axis(0)[-1] == pytest.approx(z0 + thickness)
    for k, n in enumerate(image_shape, 1):
        before = -grid.origin_um[k] / pixel
        assert before == pytest.approx(round(before), abs=1e-6)  # voxels coincide with pixels
        after = grid.shape[k] - round(before) - n
        assert min(round(before), after) >= (0 if margin is None else np.ceil(margin / pixel - 1e-9))
        assert abs(after - round(before)) <= 1


def test_grid_margin_grows_with_depth():
    near = Grid.for_images((40, 60), MICROSCOPE, (-2, 2, 0.5))
    far = Grid.for_images((40, 60), MICROSCOPE, (-40, 2, 0.5))
    assert far.shape[1] > near.shape[1] > 40
    assert near.shape[2] > near.shape[1]


# --- depth -----------------------------------------------------------------------------------


def test_parse_depth_includes_both_ends():
    assert parse_depth("-10:10:0.25") == (-10, 10, 0.25)
    z = slice_positions(parse_depth("-10:10:0.25"))
    assert (len(z), z[0], z[-1]) == (81, -10, 10)


@given(lengths(-100, 100), lengths(0.1, 100), lengths(0.01, 10))
def test_slices_are_even_and_close_to_the_step(z0, thickness, dz):
    z = slice_positions(parse_depth(f"{z0!r}:{z0 + thickness!r}:{dz!r}"))
    assert len(z) >= 2
    assert (z[0], z[-1]) == (z0, z0 + thickness)
    step = np.diff(z)
    np.testing.assert_allclose(step, step[0], rtol=1e-6)
    assert step[0] <= max(dz * 1.5, dz + 1e-9) + 1e-9 or len(z) == 2


@pytest.mark.parametrize("text", ["", "1:2", "1:2:3:4", "a:b:c", "-10,10,1"])
def test_parse_depth_refuses_text(text):
    with pytest.raises(InputError, match=r"is not Z0:Z1:DZ.*such as -10:10:0\.25"):
        parse_depth(text)


@pytest.mark.parametrize("text", ["2:1:0.1", "1:1:0.1", "0:1:0", "0:1:-0.1"])
def test_parse_depth_refuses_empty_ranges(text):
    with pytest.raises(InputError, match=r"is empty; expected Z0:Z1:DZ in um"):
        parse_depth(text)


@pytest.mark.parametrize("text", ["nan:1:0.1", "0:inf:0.1"])
def test_parse_depth_refuses_what_is_not_finite(text):
    with pytest.raises(InputError, match="finite"):
        parse_depth(text)


# --- sampling --------------------------------------------------------------------------------


def test_sampling_notes_are_silent_when_all_is_well():
    assert sampling_notes(MICROSCOPE, Illumination.led_ring(8, 0.5), dz=0.5) == []


def test_sampling_notes_name_the_remedy():
    coarse = Microscope(0.5, 0.6, 1.33, 0.5)
    notes = sampling_notes(coarse, Illumination([[0.1, 0.2], [0.0, 0.7]]), dz=20)
    assert len(notes) == 3
    assert "1 of 2 sources lie outside the pupil" in notes[0]
    assert "pixels of 0.5 um" in notes[1]
    assert "use a depth step below" in notes[2]


def test_slices_half_a_wavelength_apart_are_a_mirror():
    half = 0.5 * 0.5 / 1.33
    for factor, said in ((1.0, True), (1.06, True), (0.95, True), (1.2, False), (0.8, False), (2.0, False)):
        notes = sampling_notes(MICROSCOPE, Illumination.led_ring(8, 0.5), dz=factor * half)
        assert any("mirror" in note for note in notes) == said
        clear = clear_of_resonance(MICROSCOPE, factor * half)
        assert clear == (factor * half if not said else pytest.approx(0.86 * half))
        assert clear_of_resonance(MICROSCOPE, clear) == clear


def test_sampling_notes_refuse_impossible_light():
    with pytest.raises(InputError, match=r"source 1 has NA 1\.4, not below medium_index"):
        sampling_notes(MICROSCOPE, Illumination([[0, 0], [1.4, 0]]))
    notes = sampling_notes(MICROSCOPE, Illumination([[0, 0.7], [0.7, 0]]))
    assert "2 of 2 sources lie outside the pupil" in notes[0]


def test_resolution_is_that_of_both_apertures():
    """Abbe: half of lambda / (NA + NA_light) across the light; along it, of the objective alone."""
    scope = Microscope(wavelength_um=0.5, objective_na=0.3, medium_index=1.33, pixel_size_um=0.2)
    found = Resolution.of(scope, Illumination([[0.0, 0.0], [0.0, 0.25]]))
    assert found.lateral_um == pytest.approx(0.5 * 0.5 / (0.3 + 0.25))
    expected = 0.25 * 0.5 / (1.33 - np.sqrt(1.33**2 - 0.3**2))
    assert found.axial_um == pytest.approx(expected, rel=1e-5)  # its edge is a little outside the aperture
    assert (found.objective_na, found.light_na) == (0.3, pytest.approx(0.25))
    dark = Illumination([[0.0, 0.0], [0.0, 0.6]])
    assert Resolution.of(scope, dark).light_na == 0
    assert Resolution.of(scope, dark, dark_field=True).lateral_um == pytest.approx(0.25 / 0.9)
    assert "NA 0.3 of the objective and 0.25 of the light" in found.words


def test_a_recorded_resolution():
    origin = {"axial_um": 2.0, "lateral_um": 0.3, "objective_na": 0.3, "light_na": 0.2}
    assert Resolution.recorded(Provenance(origin={"resolution": origin})) == Resolution(2.0, 0.3, 0.3, 0.2)
    for strange in (None, 3, {**origin, "axial_um": "2"}, {"axial_um": 2.0}):
        assert Resolution.recorded(Provenance(origin={"resolution": strange})) is None


METRES = (-3e-6, 3e-6, 1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Volume(np.zeros((3, 4, 5)), (3e-7, 2e-7, 2e-7), (0, 0, 0), 1.33),
            "spacing_um is 2e-07.* 0.2 um",
        ),
        (lambda: Grid((3, 4, 5), (3e-7, 3e-7, 3e-7)), "spacing_um is 3e-07.* 3e-07 m would be 0.3 um"),
        (lambda: Grid.for_images((8, 8), MICROSCOPE, METRES), "dz_um is 1e-06; .* 1e-06 m would be 1 um"),
    ],
)
def test_lengths_in_metres_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("shape", [64, (3, 64, 64), (64, 0), (64,)])
def test_wrong_shapes_of_images(shape):
    with pytest.raises(InputError, match=r"image_shape is .*; expected two numbers of pixels"):
        Grid.for_images(shape, MICROSCOPE, (-2, 2, 0.5))


def test_a_list_of_slices_is_no_depth():
    with pytest.raises(InputError, match="depth is 12 numbers, in ndarray; expected three numbers in um"):
        Grid.for_images((8, 8), MICROSCOPE, np.arange(-3, 3, 0.5))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([0, 33], "images names image 33, but the 2 images"),
        (0, r"shape \(\)"),
        ([-1], "image -1"),
        ([0.5], "float64"),
    ],
)
def test_wrong_numbers_of_images(images, words):
    with pytest.raises(InputError, match=words):
        Illumination([[0, 0], [0, 0.1]]).weights(MICROSCOPE, images)

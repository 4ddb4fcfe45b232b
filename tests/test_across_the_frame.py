"""Directions that change across the frame: a board at a known distance, crops, regions, and files."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from fieldrx import (
    Acquisition,
    Illumination,
    InputError,
    Microscope,
    Volume,
    calibrate,
    read_acquisition,
    simulate,
)
from fieldrx.calibration import Board
from fieldrx.calibration.across import Parts, Turning, find_turning, tells_turning
from fieldrx.calibration.files import write_calibrated
from fieldrx.calibration.words import turning_words

DISTANCE = 60e3
SCOPE = Microscope(wavelength_um=0.6, objective_na=0.3, medium_index=1.33, pixel_size_um=2.0)
LEDS = np.argwhere(np.ones((3, 3)))


def board(**place):
    return Illumination.led_grid(LEDS, 4e3, DISTANCE, (1, 1), **place)


def seen_from(light, place):
    """Unit vectors from the sources, at their places in space, to a place in the sample."""
    along = np.sqrt(1 - (light.sources_na**2).sum(axis=1))
    sources = -light.distance_um[:, None] * light.sources_na / along[:, None]
    rays = np.c_[np.asarray(place) - sources, light.distance_um]
    return (rays / np.linalg.norm(rays, axis=1)[:, None])[:, :2]


@pytest.mark.parametrize("place", [{}, {"tilt_deg": (4, -2), "offset_um": (900, -300), "rotation_deg": 20}])
def test_directions_at_a_place_are_those_of_rays_from_the_sources(place):
    light = board(**place)
    there = light.at((700.0, -450.0))
    assert there.place_um == (700.0, -450.0)
    assert np.allclose(there.sources_na, seen_from(light, (700.0, -450.0)), atol=1e-14)
    assert np.abs(there.sources_na - light.sources_na).max() > 0.01  # at 830 um from the centre
    assert np.allclose(there.at((0, 0)).sources_na, light.sources_na, atol=1e-14)
    moved = np.linalg.norm(light.at((0.0, 700.0)).sources_na - light.sources_na, axis=1).max()
    assert 0.9 * light.turning_na(700.0) < moved <= light.turning_na(700.0)


def test_without_a_distance_directions_hold_everywhere():
    light = Illumination.led_ring(6, 0.2)
    assert np.array_equal(light.at((500, 500)).sources_na, light.sources_na)
    assert light.turning_na(500) == 0


def test_light_that_converges_turns_the_other_way():
    """Rays towards points behind the sample: reversed, they are those from sources there."""
    ahead = board()
    converging = Illumination(-ahead.sources_na, distance_um=-DISTANCE)
    assert np.allclose(converging.at((700, -450)).sources_na, -seen_from(ahead, (700, -450)), atol=1e-14)
    assert converging.turning_na(700.0) == ahead.turning_na(700.0)


def test_selections_keep_their_distance():
    light = board().at((100.0, 0.0))
    for made in (light.select([3, 1]), light.multiplexed([[0, 1], [4]])):
        assert made.place_um == light.place_um
        assert np.all(made.distance_um == DISTANCE) and len(made.distance_um) == made.n_sources


@pytest.mark.parametrize(
    ("distance", "message"),
    [([1.0, 2.0], "shape"), (0.0, "lengths in um"), (np.nan, "lengths in um")],
)
def test_distances_that_make_no_sense(distance, message):
    with pytest.raises(InputError, match=message):
        Illumination([[0.0, 0.1]], distance_um=distance)


def test_no_board_lights_more_steeply_than_along_itself():
    with pytest.raises(InputError, match="leave the distance out"):
        Illumination([[0.0, 1.1]], distance_um=1e4)


PARTED = replace(SCOPE, pixel_size_um=0.5)
SPREAD = 0.22 * np.stack(np.meshgrid([-0.6, 0, 0.6], [-0.7, 0.1, 0.7], indexing="ij"), -1).reshape(-1, 2)


def speckle(light, seed, side=48, number=6):
    """Images whose spectra are bright within both discs of the directions at every place, else dim."""
    rng, nu = np.random.default_rng(seed), np.fft.fftfreq(side, PARTED.pixel_size_um) * PARTED.wavelength_um
    images = np.empty((light.n_images, side * number, side * number), np.float32)
    for i, j in np.ndindex(number, number):
        there = light.at((np.array([i, j]) - 0.5 * (number - 1)) * side * PARTED.pixel_size_um)
        for image, (y, x) in zip(images, there.sources_na, strict=True):
            discs = [np.hypot(nu[:, None] - s * y, nu - s * x) < PARTED.objective_na for s in (1, -1)]
            noise = np.fft.fft2(rng.standard_normal((side, side)))
            seen = np.fft.ifft2(noise * (0.1 + (discs[0] | discs[1]))).real
            image[i * side : (i + 1) * side, j * side : (j + 1) * side] = 1 + 0.05 * seen
    return images


def acquisition(shape=(40, 60)):
    images = 1 + 0.1 * np.random.default_rng(0).standard_normal((9, *shape))
    return Acquisition(images, board(), SCOPE, images < 1.3, holdout=(2,), name="frame")


def test_a_crop_keeps_its_place():
    whole = acquisition()
    part = whole.crop((10, 30, 0, 20))
    assert np.array_equal(part.images, whole.images[:, 10:30, 0:20])
    assert part.mask.shape == part.images.shape and list(part.holdout) == [2]
    assert part.illumination.place_um == (0.0, -40.0)
    assert np.allclose(part.illumination.sources_na, seen_from(whole.illumination, (0.0, -40.0)))
    again = part.crop((5, 15, 10, 20))
    straight = whole.crop((15, 25, 10, 20))
    assert np.allclose(again.illumination.sources_na, straight.illumination.sources_na, atol=1e-15)
    with pytest.raises(InputError, match="leaves the images"):
        whole.crop((0, 41, 0, 20))


TOML = """
[microscope]
wavelength_um = 0.6
objective_na = 0.3
medium_index = 1.33
pixel_size_um = 2.0
[images]
files = "stack.tif"
background = 100
{region}
[illumination]
{light}
"""
GRID = """kind = "led-grid"
pitch_um = 4000
distance_um = 60000
centre = [1, 1]
shape = [3, 3]
directions = "{}"
"""


@pytest.fixture
def folder(tmp_path):
    counts = np.round(100 * acquisition().images).astype(np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", counts)
    rows = [f"{k},{y:.8f},{x:.8f}" for k, (y, x) in enumerate(board().sources_na)]
    (tmp_path / "leds.csv").write_text("\n".join(["image,na_y,na_x", *rows]))
    return tmp_path


def written(folder, light, region=""):
    (folder / "acquisition.toml").write_text(TOML.format(light=light, region=region))
    return folder / "acquisition.toml"


@pytest.mark.parametrize("sense", ["travel", "led-position"])
def test_a_region_of_a_file_has_the_light_of_its_place(folder, sense):
    sign = 1 if sense == "travel" else -1
    whole = read_acquisition(written(folder, GRID.format(sense)))
    assert np.allclose(whole.illumination.sources_na, sign * board().sources_na)
    cut = read_acquisition(written(folder, GRID.format(sense), "region = [10, 30, 4, 24]"))
    there = seen_from(whole.illumination, (0.0, -32.0))
    assert np.allclose(cut.illumination.sources_na, there)
    window = read_acquisition(folder / "acquisition.toml", region=(5, 15, 0, 10))
    assert window.image_shape == (10, 10)
    assert np.allclose(
        window.images, read_acquisition(folder / "acquisition.toml").images[:, 5:15, :10], atol=1e-6
    )
    assert np.allclose(window.illumination.sources_na, seen_from(whole.illumination, (0.0, -42.0)))


def test_a_table_with_a_distance(folder):
    light = 'kind = "table"\ntable = "leds.csv"\n'
    assert read_acquisition(written(folder, light)).illumination.distance_um is None
    acq = read_acquisition(written(folder, light + "distance_mm = 60", "region = [0, 20, 0, 60]"))
    assert np.allclose(acq.illumination.sources_na, seen_from(board(), (-20.0, 0.0)), atol=1e-7)
    with pytest.raises(InputError, match="lengths in um"):
        read_acquisition(written(folder, light + "distance_um = 0"))


def test_an_archive_keeps_distances(tmp_path):
    acquisition().save(tmp_path / "a.npz")
    read = read_acquisition(tmp_path / "a.npz")
    assert np.array_equal(read.illumination.distance_um, board().distance_um)
    window = read_acquisition(tmp_path / "a.npz", region=(0, 20, 0, 60))
    assert np.allclose(window.illumination.sources_na, seen_from(board(), (-20.0, 0.0)))


def test_a_calibrated_region_reads_back_as_it_was_found(folder):
    """Its table holds for the centre of the whole frame, though the region was looked at."""
    fine = {"pixel_size_um = 2.0": "pixel_size_um = 0.5", "background = 100": "background = 1000"}
    scope, rough = replace(SCOPE, pixel_size_um=0.5), np.random.default_rng(1).uniform(0, 0.01, (1, 80, 80))
    sample = Volume(rough, (1.0, 0.8, 0.8), (3.0, 0.0, 0.0), 1.33)
    framed = np.ones((9, 80, 90), np.float32)
    light = board().at((4.0, -6.5))  # of the region below
    framed[:, 16:80, 0:64] = simulate(sample, Acquisition(None, light, scope), "born", (64, 64)).images
    tifffile.imwrite(folder / "stack.tif", np.round(1000 * framed).astype(np.uint16))
    path = written(folder, GRID.format("travel"), "region = [16, 80, 0, 64]")
    for old, new in fine.items():
        path.write_text(path.read_text().replace(old, new))
    found = calibrate(read_acquisition(path))
    write_calibrated(folder / "calibrated.toml", path, found)
    read = read_acquisition(folder / "calibrated.toml")
    assert np.allclose(read.illumination.sources_na, found.acquisition.illumination.sources_na, atol=1e-6)
    assert np.allclose(read.illumination.distance_um, DISTANCE / found.board.scale)


@pytest.mark.parametrize("distance", [4000.0, -3000.0, 1e9])
def test_the_distance_of_the_sources_is_found_across_the_frame(distance):
    light = Illumination(SPREAD, distance_um=distance)
    parts = Parts(speckle(light, seed=4), PARTED)
    found = find_turning(parts, SPREAD, Board.turned())
    assert abs(found.per_um - 1 / distance) < 3 * found.error
    assert found.told == (abs(distance) < 1e9)
    assert found.error < 0.15 / 3000
    assert found.reversed().per_um == -found.per_um


def test_the_parts_of_a_frame_have_the_directions_of_their_places():
    light = Illumination(SPREAD, distance_um=4000.0)
    parts = Parts(speckle(light, seed=4), PARTED, 1 / 4000.0)
    assert np.allclose(parts.places_um[[0, 4, 5]], [[-48, -48], [0, 0], [0, 48]])
    together = parts.discs(SPREAD[2])
    for place, spectra, discs in zip(parts.places_um, parts.spectra, together, strict=True):
        assert np.allclose(discs, spectra.discs(light.at(place).sources_na[2]), atol=1e-5)
    assert parts.evidence(SPREAD).shape == (9, *together.shape)


def test_a_frame_too_small_for_parts_is_left_as_it_is():
    assert tells_turning((288, 300), PARTED)
    assert not tells_turning((280, 300), PARTED)


@pytest.mark.parametrize(
    ("turning", "said"),
    [
        (
            Turning(1 / 79e3, 1e-7),
            "as those of sources 79 +- 0.62 mm away; by the scale of the directions 75 mm",
        ),
        (Turning(-1 / 22e3, 1e-6), "not telecentric"),
        (Turning(1e-6, 1e-6), "not told apart from noise"),
    ],
)
def test_what_is_said_of_the_frame(turning, said):
    assert said in turning_words(turning, np.full(3, 75e3), Board.turned())[0]
    assert turning_words(None, None, Board.turned()) == []


@pytest.mark.slow
def test_calibration_takes_the_distance_that_the_frame_shows(folder):
    """Whatever distance was given; directions at the centre and those of a region come back from the file."""
    light = Illumination(SPREAD, distance_um=4000.0)
    tifffile.imwrite(folder / "stack.tif", np.round(1000 * speckle(light, seed=5)).astype(np.uint16))
    rows = [f"{k},{y:.8f},{x:.8f}" for k, (y, x) in enumerate(SPREAD)]
    (folder / "leds.csv").write_text("\n".join(["image,na_y,na_x", *rows]))
    path = written(folder, 'kind = "table"\ntable = "leds.csv"\ndistance_um = 9000')
    text = path.read_text().replace("pixel_size_um = 2.0", "pixel_size_um = 0.5")
    path.write_text(text.replace("background = 100", "background = 1000"))
    found = calibrate(read_acquisition(path), contrast="unknown")
    sources = found.acquisition.illumination
    assert np.all(sources.distance_um == found.turning.distance_um)
    assert abs(found.turning.per_um - 1 / 4000) < 3 * found.turning.error
    assert np.median(np.linalg.norm(found.found_na - SPREAD, axis=1)) < 0.003
    assert any("as those of sources" in note for note in found.notes)
    write_calibrated(folder / "calibrated.toml", path, found)
    cut = read_acquisition(folder / "calibrated.toml", region=(0, 100, 20, 120))
    assert np.allclose(cut.illumination.sources_na, sources.at((-47.0, -37.0)).sources_na, atol=1e-6)

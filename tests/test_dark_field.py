"""Images lit from outside the pupil alone: models and gradients, reading, fitting."""

import json

import numpy as np
import pytest
import tiny
from scipy.ndimage import gaussian_filter

from fieldrx import Acquisition, simulate
from fieldrx.band import supported_band
from fieldrx.errors import InputError
from fieldrx.evaluation import Comparison, compare, evaluate
from fieldrx.fit import split_images
from fieldrx.metrics import amplitude_errors
from fieldrx.models import SSNP, BeamPropagation, Born, MultiLayerBorn, Rytov
from fieldrx.noise import noise_floor
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.pupil import Pupil

KINDS = [BeamPropagation, SSNP, MultiLayerBorn]
SCOPE = Microscope(wavelength_um=0.5, objective_na=0.5, medium_index=1.33, pixel_size_um=0.18)
GRID = Grid((5, 30, 40), (0.31, 0.12, 0.12), (-0.6, -3 * 0.18, -5 * 0.18))
WIDE = Grid((5, 20, 27), (0.31, 0.18, 0.18), (-0.6, -3 * 0.18, -5 * 0.18))  # its voxels are the pixels
IMAGE = (14, 16)
SOURCES = np.array([(0.0, 0.1), (0.31, -0.22), (-0.6, 0.11), (0.3, 0.85), (0.05, 1.31)])
PATTERN = np.array([(1, 0, 0, 0.5, 0), (0, 0, 1, 0, 0), (0, 0, 0.4, 1.2, 0)])  # the last two in dark field
OPTICS = {"pupil": Pupil([0.1, -0.2, 0.15, 0.3]), "defocus_um": 0.4, "gain": [1.1, 0.9, 1.2]}


def model(kind, sources=SOURCES, pattern=PATTERN, **options):
    return kind(GRID, SCOPE, Illumination(sources, pattern), IMAGE, **options)


def sample(dtype=np.complex128, strength=0.04):
    return tiny.rough(GRID.shape, dtype, strength)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["compiled", "plain"])
def test_an_empty_field_is_dark(kind, engine):
    images = model(kind, engine=engine, **OPTICS).forward(np.zeros(GRID.shape, "c8"))
    assert np.abs(images[0] - 1.1).max() < 2e-5
    assert np.abs(images[1:]).max() < 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_intensities_are_over_what_the_lamp_gives_inside_the_pupil(kind):
    """A dark-field source beside one inside adds its own image, at its weight over that of the other."""
    single = model(kind, pattern=np.eye(5)[:4]).forward(sample("c8"))
    both = model(kind, pattern=[(2, 0, 3, 0, 0)]).forward(sample("c8"))[0]
    assert np.allclose(both, single[0] + 1.5 * single[2], atol=1e-5)
    several = model(kind, pattern=[(0, 0, 3, 1, 0)]).forward(sample("c8"))[0]
    assert np.allclose(several, 0.75 * single[2] + 0.25 * single[3], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["contrast", "sources_na", "pattern", "pupil", "gain", "defocus_um"])
def test_gradients(kind, what):
    """In double precision against central differences of forward()."""
    rng = np.random.default_rng(0)
    d_intensity = rng.normal(size=(3, *IMAGE))
    change = {
        "contrast": rng.normal(size=GRID.shape) * (1 + 0.5j),
        "sources_na": rng.normal(size=SOURCES.shape),
        "pattern": PATTERN * rng.normal(size=PATTERN.shape),
        "pupil": rng.normal(size=4),
        "gain": np.array([0.3, -1.0, 0.4]),
        "defocus_um": 1.0,
    }[what]

    def loss(t):
        options, contrast, light = dict(OPTICS), sample(), {"sources": SOURCES, "pattern": PATTERN}
        if what == "contrast":
            contrast = contrast + t * change
        elif what in ("sources_na", "pattern"):
            name = what.removesuffix("_na")
            light[name] = light[name] + t * change
        elif what == "pupil":
            options["pupil"] = Pupil(OPTICS["pupil"].parameters + t * change)
        else:
            options[what] = np.asarray(options[what]) + t * change
        images = model(kind, engine="plain", edge="soft", **light, **options).forward(contrast)
        return float(np.vdot(d_intensity, images))

    gradients = model(kind, engine="plain", edge="soft", **OPTICS).gradients(sample(), d_intensity)
    along = np.vdot(getattr(gradients, what), change).real
    assert along == pytest.approx((loss(1e-6) - loss(-1e-6)) / 2e-6, rel=5e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_way_back_equals_plain_double_precision(kind):
    d_intensity = np.random.default_rng(1).normal(size=(3, *IMAGE)).astype("f4")
    double, single = model(kind, engine="plain", **OPTICS), model(kind, **OPTICS)
    assert np.allclose(single.forward(sample("c8")), double.forward(sample()), atol=1e-5)
    expected = double.vjp(sample(), d_intensity)
    assert np.linalg.norm(single.vjp(sample("c8"), d_intensity) - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_light_nearly_as_steep_as_the_medium_carries_keeps_its_own_wave(kind):
    """Beyond 0.95 of the medium's index, where steep scattered waves are cut off."""
    fine = Grid((5, 36, 48), (0.31, 0.09, 0.09), (-0.6, -4 * 0.18, -6 * 0.18))
    light = Illumination([(0.05, 1.31), (0.0, 0.1)])
    for engine in ("plain", "compiled"):
        steep = kind(fine, SCOPE, light, (8, 10), engine=engine)
        assert np.abs(steep.forward(np.zeros(fine.shape, "c8"))[0]).max() < 1e-8
    weak = 1e-4 * np.random.default_rng(0).normal(size=fine.shape)
    once, twice = steep.forward(weak.astype("c8"))[0], steep.forward((2 * weak).astype("c8"))[0]
    assert once.max() > 0
    assert np.linalg.norm(twice - 4 * once) < 0.05 * np.linalg.norm(twice)  # |E|^2 of one scattering


@pytest.mark.parametrize("na", [1.33, 1.4])
def test_light_that_no_medium_carries_is_refused(na):
    with pytest.raises(InputError, match=r"source 1 has NA 1\.\d+, not below medium_index 1\.33"):
        SSNP(GRID, SCOPE, Illumination([(0, 0), (0, na)]), IMAGE)


def test_a_grid_too_coarse_for_the_scattered_light_is_refused():
    coarse = SSNP(WIDE, SCOPE, Illumination([(0, 0), (0, 1.2)]), IMAGE)
    coarse.forward(np.zeros(WIDE.shape, "c8"), [0])
    with pytest.raises(InputError, match=r"voxels of 0\.18 um hold; use a grid of at most 0\.147 um"):
        coarse.forward(np.zeros(WIDE.shape, "c8"))


@pytest.mark.parametrize("kind", [Born, Rytov])
def test_single_scattering_says_that_it_cannot(kind):
    with pytest.raises(InputError, match=f"images 1 are lit only.*dark field.*{kind.name}.*use bpm"):
        kind(WIDE, SCOPE, Illumination([(0, 0.1), (0, 0.8)]), IMAGE).forward(np.zeros(WIDE.shape, "c8"))


# ---- reading ---------------------------------------------------------------------------------------

LIGHT = Illumination([*Illumination.led_ring(6, 0.3).sources_na, (0.0, 0.7), (0.9, 0.0)])
LEVELS = np.array([900.0, 1000, 1100, 1000, 950, 1050, 8, 40])


def counts(levels=LEVELS, offset=0.0):
    noise = 1 + 0.05 * np.random.default_rng(0).normal(size=(len(levels), 20, 24))
    return offset + levels[:, None, None] * noise


def read(raw, **options):
    return Acquisition.from_raw(raw, LIGHT, SCOPE, **options)


def level(acquisition):
    return [float(np.median(image)) for image in acquisition.images[-2:]]


def test_one_number_is_the_level_of_all():
    acquisition = read(counts(offset=100), background=1100, dark=100)
    assert level(acquisition) == pytest.approx([0.008, 0.04], rel=0.01)
    assert np.flatnonzero(acquisition.dark_field).tolist() == [6, 7]
    assert acquisition.usable.sum() == 6
    assert acquisition.predictable(True).tolist() == list(range(8))


@pytest.mark.parametrize("background", ["mean", "smooth", "median", "frames"])
def test_the_level_is_that_of_the_bright_images_where_nothing_says_it(background):
    raw = counts()
    given = np.maximum(raw, 1) if background == "frames" else background
    acquisition = read(raw, background=given)
    assert level(acquisition) == pytest.approx([0.008, 0.04], rel=0.02)
    assert "2 dark-field images are taken over the level of the bright-field ones, 100" in " ".join(
        acquisition.notes
    ).replace("99", "100")
    assert acquisition.images[:6].mean() == pytest.approx(1, abs=0.01)


def test_exposures_are_taken_out():
    exposure = np.array([1.0, 1, 1, 1, 1, 1, 20, 5])
    raw = counts(LEVELS * exposure, offset=100)
    for background in (1100, "mean"):
        acquisition = read(raw, background=background, dark=100, exposure=exposure)
        assert level(acquisition) == pytest.approx([0.008, 0.04], rel=0.02)
    bright = read(counts(LEVELS * 2), background=1000, exposure=2.0)
    assert bright.images[1].mean() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(
    ("exposure", "words"),
    [
        ([1.0, 2.0], "expected one positive number for each of 8 images"),
        (np.zeros(8), "exposure holds 0; expected positive numbers"),
        (np.full(8, np.nan), "expected positive numbers"),
    ],
)
def test_wrong_exposures(exposure, words):
    with pytest.raises(InputError, match=words):
        read(counts(), background=1000, exposure=exposure)
    with pytest.raises(InputError, match="which tells its exposure"):
        read(counts(), background=LEVELS, exposure=np.ones(8))


def test_dark_field_alone_needs_a_level():
    raw, light = counts()[-2:], LIGHT.select([6, 7])
    with pytest.raises(InputError, match=r"every image is lit only.*background of one number"):
        Acquisition.from_raw(raw, light, SCOPE, "mean")
    assert level(Acquisition.from_raw(raw, light, SCOPE, 1000)) == pytest.approx([0.008, 0.04], rel=0.01)


def test_images_that_are_not_dark_are_no_dark_field():
    levels = np.r_[LEVELS[:6], 900, 40]
    assert np.flatnonzero(read(counts(levels), background=1000).dark_field).tolist() == [7]


def scattering(lamps, seed=0):
    """Counts of bright-field images and `lamps` in dark field, all of one smooth sample, over an offset."""
    rng = np.random.default_rng(seed)
    sample = gaussian_filter(rng.normal(size=(6 + lamps, 40, 44)), (0, 2, 2))
    level = np.r_[np.full(6, 2000.0), np.full(lamps, 80.0)][:, None, None]
    light = Illumination([*LIGHT.sources_na[:6], *Illumination.led_ring(lamps, 0.8).sources_na])
    return rng.poisson(100 + level * np.exp(4 * sample)).astype("f4"), light


def test_a_lamp_in_dark_field_that_did_not_shine_is_masked():
    raw, light = scattering(9)
    given = {"background": "smooth", "dark": 100}
    whole = Acquisition.from_raw(raw, light, SCOPE, **given)
    assert "not lit" not in " ".join(whole.notes) and whole.dark_field[6:].all()
    raw[10] = np.random.default_rng(1).normal(100, 3, raw.shape[1:])
    found = Acquisition.from_raw(raw, light, SCOPE, **given)
    assert "dark-field image 10: noise alone" in " ".join(found.notes)
    assert np.flatnonzero(~found.dark_field).tolist() == [*range(6), 10]


def test_no_lamp_is_missed_where_none_tells_anything():
    raw, light = scattering(9)
    raw[6:] = np.random.default_rng(1).normal(100, 3, raw[6:].shape)
    found = Acquisition.from_raw(raw, light, SCOPE, background="smooth", dark=100)
    assert "not lit" not in " ".join(found.notes) and found.dark_field[6:].all()


def test_lamps_in_each_others_place_are_named():
    raw, light = scattering(9)
    raw[[2, 8]] = raw[[8, 2]]
    found = Acquisition.from_raw(raw, light, SCOPE, background="smooth", dark=100)
    said = " ".join(found.notes)
    assert "image 2: 0.0" in said
    assert "image 8 lies outside the pupil" in said and "those of image 2 in each other's place?" in said
    assert not found.usable[2] and not found.dark_field[8]


def test_a_saved_acquisition_keeps_its_dark_field(tmp_path):
    from fieldrx import read_acquisition

    acquisition = read(counts(), background="mean")
    acquisition.save(tmp_path / "a.npz")
    again = read_acquisition(tmp_path / "a.npz")
    assert np.array_equal(again.images, acquisition.images)
    assert np.array_equal(again.dark_field, acquisition.dark_field)


def test_bright_and_dark_field_are_held_out_alike():
    rings = np.r_[Illumination.led_ring(20, 0.3).sources_na, Illumination.led_ring(30, 0.7).sources_na]
    images = np.r_[np.ones((20, 6, 6)), np.full((30, 6, 6), 0.01)]
    acquisition = Acquisition(images, Illumination(rings), SCOPE)
    train, held = split_images(acquisition, 0.1, 0, dark_field=True)
    assert (held < 20).sum() == 2
    assert (held >= 20).sum() == 3
    assert len(train) == 45
    bright, unseen = split_images(acquisition, 0.1, 0)
    assert np.array_equal(np.union1d(bright, unseen), np.arange(20))
    assert np.array_equal(unseen, held[held < 20])


# ---- what a field is worth -------------------------------------------------------------------------


def both_fields():
    """Images of the tiny phantom in bright and in dark field, and a field of it."""
    sources = np.r_[tiny.LIGHT.sources_na, Illumination.led_ring(5, 0.75).sources_na]
    optics = Acquisition(None, Illumination(sources), tiny.SCOPE, holdout=[4, 8])
    acquisition = simulate(tiny.phantom(absorbing=True), optics, "ssnp", tiny.SHAPE, photons=1e6)
    return acquisition, tiny.fit(acquisition, "ssnp").run()


def test_errors_are_told_apart():
    acquisition, field = both_fields()
    result = evaluate(field, acquisition)
    compared = compare(field, acquisition)
    assert result["dark_field"] == [6, 7, 8, 9, 10]
    assert result["holdout"] == [4, 8]
    assert result["excluded"] == []
    assert result["nrmse_per_image"][8] is None
    for name, images, held in (("bright", range(6), [4]), ("dark", range(6, 11), [8])):
        numbers = result["amplitude_error"][name]
        for part, some in (("all", list(images)), ("holdout", held)):
            roots = [np.sqrt(np.maximum(x[some], 0)) for x in (compared.predicted, acquisition.images)]
            by_hand = np.linalg.norm(roots[0] - roots[1]) / np.linalg.norm(roots[1])
            assert numbers[part] == pytest.approx(by_hand, rel=1e-5)
    assert "unseen dark field: amplitudes to" in result["verdict"]
    bright = compared.error(np.arange(6))[0]
    assert result["nrmse"] == pytest.approx(bright)
    json.dumps(result, allow_nan=False)


def test_a_model_of_single_scattering_leaves_them_out():
    acquisition, _ = both_fields()
    fit = tiny.fit(acquisition, "born")
    assert "5 dark-field images are left out: born" in " ".join(fit.notes)
    result = evaluate(fit.run(), acquisition)
    assert result["excluded"] == [6, 7, 8, 9, 10]
    assert "dark" not in result["amplitude_error"]
    assert "dark field" not in result["verdict"]


def test_noise_alone_makes_the_floor():
    """Of amplitudes: half the noise of a photon's root, over the roots of photons."""
    images = np.random.default_rng(0).poisson(200.0, (3, 60, 60)) / 1e5  # 0.002 of the bright field
    light = Illumination([(0, 0.1), (0, 0.7), (0.7, 0)])
    images[0] = np.random.default_rng(1).poisson(1e5, (60, 60)) / 1e5
    acquisition = Acquisition(images, light, Microscope(0.5, 0.5, 1.33, 0.08))
    noise = noise_floor(acquisition, np.arange(3))
    compared = Comparison(
        acquisition, None, None, images, np.array([0]), np.array([]), noise, np.array([1, 2]), []
    )
    assert compared.amplitude_floor(np.array([1, 2])) == pytest.approx(0.5 / np.sqrt(200), rel=0.1)
    truth = np.full(images.shape, 0.002)
    assert amplitude_errors(truth[1:], images[1:])[0] == pytest.approx(0.5 / np.sqrt(200), rel=0.1)


def test_the_report_says_what_is_dark_field(tmp_path):
    from fieldrx.report import write_report

    acquisition, field = both_fields()
    numbers = write_report(field, acquisition, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert "amplitudes in dark field never seen" in text
    assert "5 of the images, lit from outside the pupil" in text
    assert "9 fitted, 2 held out, 0 left out" in text
    assert numbers["amplitude_error"]["dark"]["images"] == 5


def test_the_supported_band_reaches_as_far_as_dark_field():
    grid = Grid((8, 64, 64), (0.5, 0.15, 0.15))
    light = Illumination([(0.0, 0.4), (0.0, 0.9)])
    nu = grid.frequencies()[1]
    reach = [
        np.abs(nu[supported_band(grid, SCOPE, light, images).supported.any(axis=(0, 1))]).max()
        for images in ([0], [0, 1], None)
    ]
    assert reach[0] == pytest.approx(0.9 / 0.5, abs=0.11)
    assert reach[1:] == pytest.approx([1.4 / 0.5] * 2, abs=0.11)

"""Images are checked for sense: what is masked, what is said, and that nothing good is accused."""

import numpy as np
import pytest

from fieldrx import Acquisition, Illumination, InputError, Microscope, read_acquisition
from fieldrx.acquisition.pixels import odd_pixels

SCOPE = Microscope(0.5, 0.4, 1.33, 0.25)
N, SHAPE = 9, (50, 64)
LIGHT = Illumination.led_ring(N, 0.25)
MANY = Illumination.led_ring(12, 0.25)


def band_limited(n=N, seed=0, spread=0.25, band=2 * 0.4 / 0.5):
    """Images (n, y, x) about 1 whose detail fills the whole band evenly: as sharp as images can be."""
    rng = np.random.default_rng(seed)
    nu = np.hypot(*np.meshgrid(*(np.fft.fftfreq(k, SCOPE.pixel_size_um) for k in SHAPE), indexing="ij"))
    spectrum = np.fft.fft2(rng.standard_normal((n, *SHAPE))) * (nu < band)
    detail = np.fft.ifft2(spectrum).real
    return np.maximum(1 + spread * detail / detail.std(), 0.02)


def counts(seed=0, still=True, level=2000.0, n=N):
    """The same detail in all images, as in focus, or other detail in each; with the noise of a camera."""
    images = np.repeat(band_limited(1, seed), n, axis=0) if still else band_limited(n, seed)
    return np.random.default_rng(seed + 1).poisson(level * images).astype(np.uint16)


def read(raw, light=LIGHT, scope=SCOPE, **options):
    return Acquisition.from_raw(raw, light, scope, **options)


def said(acquisition):
    return " | ".join(note for note in acquisition.notes if "background estimated" not in note)


# ---- pixels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("still", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_sharp_detail_is_no_bad_pixel(seed, still):
    acquisition = read(counts(seed, still), background=2000)
    assert (acquisition.mask, said(acquisition)) == (None, "")


@pytest.mark.parametrize("still", [True, False])
def test_hot_and_dead_pixels_are_masked_in_all_images(still):
    raw = counts(3, still)
    places = {(20, 31): 9000, (0, 0): 12000, (49, 10): 6500, (33, 41): 0}
    for place, value in places.items():
        raw[:, *place] = value + np.arange(N) % 2
    acquisition = read(raw, background=2000)
    expected = np.zeros(SHAPE, bool)
    expected[tuple(np.transpose(list(places)))] = True
    np.testing.assert_array_equal(acquisition.mask, np.broadcast_to(~expected, raw.shape))
    assert (acquisition.images[:, expected] == 1).all()
    assert "3 hot and 1 dead pixels" in said(acquisition)
    assert "(20, 31)" in said(acquisition)


def test_hot_pixels_side_by_side_are_all_masked():
    raw = counts(3)
    for place in ((20, 31), (20, 32), (21, 31)):
        raw[:, *place] = 9000 + np.arange(N)
    mask = read(raw, background=2000).mask
    assert np.argwhere(~mask[0]).tolist() == [[20, 31], [20, 32], [21, 31]]


def test_a_bright_pixel_in_one_image_is_the_samples():
    raw = counts(3)
    raw[4, 20, 31] = 9000
    assert read(raw, background=2000).mask is None


def test_stuck_pixels_are_masked():
    raw = counts(5, still=False, n=12)
    raw[:, 12, 7] = 2000
    acquisition = read(raw, MANY, background=2000)
    assert (~acquisition.mask).sum() == 12
    assert "1 stuck" in said(acquisition)
    assert "(12, 7)" in said(acquisition)


def test_pixels_too_large_to_tell_are_left_alone():
    raw = counts(3)
    raw[:, 20, 31] = 9000 + np.arange(N)
    coarse = Microscope(0.5, 0.4, 1.33, 0.9)
    odd, note = odd_pixels(raw, raw / 2000, np.ones(raw.shape, bool), coarse, LIGHT)
    assert (odd.any(), note) == (False, "")


def test_blocks_of_zeros_are_masked():
    raw = counts()
    raw[2, :, :3] = raw[3, 10:20, 30:44] = 0
    raw[5, 8, 8] = 0  # alone: light may do that
    raw[7] = 0
    acquisition = read(raw, background=2000)
    expected = np.ones(raw.shape, bool)
    expected[2, :, :3] = expected[3, 10:20, 30:44] = expected[7] = False
    np.testing.assert_array_equal(acquisition.mask, expected)
    assert "image 7 holds zeros alone" in said(acquisition)
    assert "blocks of exact zeros in images 2, 3" in said(acquisition)


def test_a_shadow_that_fades_to_zero_is_the_samples():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shadow = 1 - np.exp(-(((y - 25) / 9) ** 8 + ((x - 30) / 9) ** 8))
    raw = np.rint(60 * shadow * np.ones((N, 1, 1))).astype(np.uint8)
    assert (raw == 0).sum() > 50 * N
    assert read(raw, background=60).mask is None


def test_zeros_of_few_photons_are_counts():
    raw = np.random.default_rng(0).poisson(1.5, (N, *SHAPE)).astype(np.uint16)
    assert read(raw, background=1.5).mask is None


# ---- levels ------------------------------------------------------------------------------------------


def test_how_images_were_normalised_is_said_and_kept(tmp_path):
    raw, field = counts(), np.full(SHAPE, 2000)
    ways = [
        (2000, "given background, 2000"),
        (field, "one image of the empty field"),
        ("mean", "mean of each"),
        (None, "smooth surface"),
        (np.full(N, 2000), "a number per image"),
    ]
    for background, words in ways:
        acquisition = read(raw, background=background)
        assert words in acquisition.way
        acquisition.save(tmp_path / "a.npz")
        assert read_acquisition(tmp_path / "a.npz").way == acquisition.way
    assert "taken as they are" in read(raw / 2000).way


@pytest.mark.parametrize("background", [2000, "smooth"])
def test_images_unlike_the_others_are_named(background):
    raw = counts()
    raw[4] = np.random.default_rng(0).poisson(100, SHAPE)
    raw[6] *= 5
    notes = said(read(raw, background=background))
    assert "image 4: 0.051 times the brightness" in notes
    assert "not lit: masked" in notes
    assert "image 6: 5 times the brightness" in notes


def test_a_lamp_that_did_not_shine_over_a_known_offset_is_masked_not_refused():
    """No surface can be laid through what is left, which is negative in half of its pixels."""
    raw = counts().astype("f4") + 100
    raw[4] = np.random.default_rng(0).normal(100, 3, SHAPE)
    found = read(raw, background="smooth", dark=100)
    assert "image 4: " in said(found)
    assert "not lit: masked" in said(found)
    assert not found.usable[4] and found.usable.sum() == N - 1
    others = np.arange(N) != 4
    whole = read(raw[others], LIGHT.select(np.flatnonzero(others)), background="smooth", dark=100)
    np.testing.assert_array_equal(found.images[others], whole.images)


def test_what_is_saved_is_not_told_twice(tmp_path):
    raw = counts()
    raw[4] //= 20
    raw[:, 20, 31] = 9000
    before = read(raw, background=2000)
    before.save(tmp_path / "a.npz")
    after = read_acquisition(tmp_path / "a.npz")
    assert after.notes == before.notes
    np.testing.assert_array_equal(after.mask, before.mask)


def test_exposures_that_differ_as_the_lamps_do_are_alike():
    """Half discs of many lamps beside single lamps, each at its own exposure."""
    light = LIGHT.multiplexed([(0, 1, 2, 3), (4, 5, 6, 7), (0,), (3,), (6,)])
    assert said(read(counts()[:5], light, background="smooth")) == ""


@pytest.mark.parametrize(
    ("background", "words"),
    [(900, "typically 2.19"), (60000, "typically 0.03"), (np.full(SHAPE, 1000), "another exposure")],
)
def test_a_background_of_another_exposure_is_told(background, words):
    assert words in said(read(counts(), background=background))


def test_a_saturated_background_is_refused():
    with pytest.raises(InputError, match=r"background is saturated in 100% of its pixels .at 65535.; take"):
        read(counts(), background=np.full(SHAPE, 65535, np.uint16))


def test_saturated_parts_of_a_background_are_masked():
    for top in (4095, 65535):
        field = np.random.default_rng(0).poisson(2000, SHAPE).astype(np.uint16)
        field[:10, 5:20] = top
        acquisition = read(counts(), background=field)
        assert not acquisition.mask[:, :10, 5:20].any()
        assert acquisition.mask.sum() == N * (SHAPE[0] * SHAPE[1] - 150)
        assert "150 pixels where the background is saturated" in said(acquisition)


def test_dead_pixels_of_a_background_are_masked():
    field = np.full(SHAPE, 2000)
    field[:, 20] = 0
    acquisition = read(counts(), background=field)
    assert not acquisition.mask[..., 20].any()
    assert acquisition.mask.mean() == 1 - 1 / SHAPE[1]
    assert f"{N * SHAPE[0]} pixels masked where the background is zero" in said(acquisition)


def test_more_frames_than_one_are_averaged_unless_they_differ():
    raw = counts()
    frames = 2000 + np.array([-30, 10, 20])[:, None, None] + np.zeros(SHAPE)
    acquisition = read(raw, background=frames, dark=np.zeros((4, *SHAPE)))
    np.testing.assert_allclose(acquisition.images, raw / 2000, rtol=1e-6)
    assert "mean of 3 frames is taken as background" in said(acquisition)
    assert "mean of 4 frames is taken as dark" in said(acquisition)
    with pytest.raises(InputError, match="3 frames for 9 images, between 1000 and 3000"):
        read(raw, background=np.linspace(1000, 3000, 3)[:, None, None] + np.zeros(SHAPE))


def test_frames_of_one_lamp_taken_one_per_image_are_doubted():
    frames = np.linspace(1600, 2400, N)[:, None, None] + np.zeros(SHAPE)
    assert "average them into one" in said(read(counts(), background=frames))
    own = (counts().T * np.linspace(0.5, 1, N)).T
    right = 2000 * np.linspace(0.5, 1, N)[:, None, None] + np.zeros(SHAPE)
    assert said(read(own, background=right)) == ""


@pytest.mark.parametrize("background", [None, 1.0, "smooth"])
def test_signals_about_zero_are_refused(background):
    with pytest.raises(InputError, match=r"negative .* if these are I / I0 - 1, add 1"):
        read(counts() / 2000 - 1, background=background)


def test_a_dark_above_the_images_is_refused():
    with pytest.raises(InputError, match="else check dark"):
        read(counts(), background=4500, dark=2100)


def test_images_scaled_by_a_program_are_told():
    raw = counts() / 2000
    each = (raw - raw.min(axis=(1, 2), keepdims=True)) / np.ptp(raw, axis=(1, 2), keepdims=True)
    assert "spans exactly 0 to 1" in said(read(each, background="smooth"))
    stack = (raw - raw.min()) / np.ptp(raw)
    assert "as after stretching the stack" in said(read(stack, background="smooth"))
    flat = 1 - 0.02 * np.random.default_rng(0).random((N, *SHAPE))
    assert 'say background = "smooth"' in said(read(flat))
    assert said(read(flat, background=np.ones(SHAPE))) == ""
    assert said(read(np.ones((N, *SHAPE)))) == ""
    assert said(read(raw)) == ""


def test_repeated_frames_are_named():
    raw = counts(still=False)
    raw[5] = raw[2]
    assert "image 5 (as 2) repeat an earlier frame" in said(read(raw, background=2000))
    assert said(read(np.full((N, *SHAPE), 500), background=500)) == ""  # an empty field without noise
    same = LIGHT.select([0, 1, 2, 3, 4, 2, 6, 7, 8])  # the same lamp twice
    assert said(read(raw, same, background=2000)) == ""


def test_overexposed_images_are_named():
    raw = counts()
    raw[3, :30] = 65535
    assert "image 3 lost 60% of the pixels" in said(read(raw, background=2000))


# ---- light ------------------------------------------------------------------------------------------


def test_light_of_one_direction_is_told():
    for sources in ([[0.1, 0.1]] * N, [[0.1, 0.1 + 1e-4 * k] for k in range(N)]):
        assert "hardly tell depth" in said(read(counts(), Illumination(sources), background=2000))


def test_pixels_far_from_what_the_optics_need_are_told():
    coarse = Microscope(0.5, 0.65, 1.33, 6.5)
    assert "the camera's pixel over the magnification" in said(read(counts(), scope=coarse, background=2000))


def test_bright_images_that_the_table_calls_dark_field_are_told():
    sources = LIGHT.sources_na.copy()
    sources[5:] *= 3
    raw = counts()
    assert "images 5, 6, 7, 8 lie outside the pupil" in said(
        read(raw, Illumination(sources), background=2000)
    )
    raw[5:] = raw[5:] * 0.03
    assert said(read(raw, Illumination(sources), background=2000)) == ""
    alone = read(raw, Illumination(sources))
    assert "4 dark-field images are taken over the level of the bright-field ones" in said(alone)
    assert alone.usable.sum() == 5
    assert np.flatnonzero(alone.dark_field).tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize("n_dark", [0, 4, 16])
def test_dim_is_measured_on_images_that_are_bright_by_the_table(n_dark):
    sources = [
        *LIGHT.sources_na,
        (0.38, 0.0),
        *(0.6 * np.array([np.sin(k), np.cos(k)]) for k in range(n_dark)),
    ]
    levels = np.array([2000.0] * N + [100.0] + [80.0] * n_dark)
    raw = np.random.default_rng(0).normal(levels[:, None, None], 5, (len(levels), *SHAPE))
    acquisition = read(raw, Illumination(sources), background=2000)
    assert "images 9 are masked" in said(acquisition)
    assert np.flatnonzero(~acquisition.mask.any(axis=(1, 2))).tolist() == [9]


def wide(shadow=False):
    """Frames of which one, lit from the pupil's edge, is dark where the light leaves the pupil."""
    shape = (200, 260)
    light = Illumination([*LIGHT.sources_na[:6], (0.0, 0.395)])
    y, x = np.mgrid[: shape[0], : shape[1]]
    raw = np.random.default_rng(0).normal(1000, 10, (7, *shape))
    where = (y - 100) ** 2 + (x - 130) ** 2 < 40**2 if shadow else x < 90
    raw[6][where] *= 0.02
    return raw, light, where


def test_the_dark_part_of_a_wide_frame_is_masked():
    raw, light, where = wide()
    acquisition = read(raw, light)
    assert not acquisition.mask[6][where].any()
    assert acquisition.mask[6].mean() > 0.5
    assert acquisition.mask[:6].all()
    assert acquisition.images[6][acquisition.mask[6]].mean() == pytest.approx(1, abs=0.01)
    assert "parts of images 6 (" in said(acquisition)


def test_a_shadow_in_a_frame_is_no_dark_field():
    raw, light, _ = wide(shadow=True)
    assert read(raw, light, background=1000).mask is None


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ((515, 0.4, 1.33, 0.25), "wavelength_um is 515; .* 515 nm would be 0.515 um"),
        ((5.15e-7, 0.4, 1.33, 0.25), "5.15e-07 m would be 0.515 um"),
        ((0.000515, 0.4, 1.33, 0.25), "0.000515 mm would be 0.515 um"),
        ((0.5, 0.4, 1.33, 2500), "pixel_size_um is 2500; .* 2500 nm would be 2.5 um"),
        ((0.5, 0.4, 1.33, 2.5e-7), "2.5e-07 m would be 0.25 um"),
    ],
)
def test_lengths_of_other_units_are_refused(scope, words):
    with pytest.raises(InputError, match=words):
        Microscope(*scope)


def test_optics_and_light_in_the_wrong_order():
    with pytest.raises(InputError, match="illumination: expected an Illumination, got Microscope: the order"):
        Acquisition(None, SCOPE, LIGHT)


def test_pixels_far_below_zero_are_told():
    images = np.random.default_rng(1).normal(1, 0.02, (N, *SHAPE)).astype(np.float32)
    assert not [note for note in Acquisition(images, LIGHT, SCOPE).notes if "negative" in note]
    images[2, 3, 4] = -1
    words = "1 pixels of image 2 are negative, down to -1, which no intensity is"
    made = Acquisition(images, LIGHT, SCOPE)
    assert [note for note in made.notes if words in note]
    assert words in said(read(images, LIGHT))
    hidden = np.ma.masked_less(images, 0)
    assert not Acquisition(hidden, LIGHT, SCOPE).notes
    assert len(made.select(np.arange(N)).notes) == 1

"""Rendered files: what they hold, where their voxels lie, and what pictures show."""

import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import tiny
from analytic_field import CENTRE, REGION, cone, gaussian
from click.testing import CliRunner
from PIL import Image

from fieldrx import Illumination, InputError, evaluate, read_acquisition, read_volume
from fieldrx.cli import main
from fieldrx.ensemble import Ensemble
from fieldrx.evaluation import compare
from fieldrx.models import Born, Optics
from fieldrx.optics import Grid
from fieldrx.progress import Progress
from fieldrx.render import (
    colour,
    new_images,
    orthogonal_planes,
    plane_lattice,
    render,
    render_images,
    render_movie,
    rotation,
    view,
)
from fieldrx.render.lettering import text_mask
from fieldrx.render.pictures import framed, nice_length, nice_ticks, number_text, palette, scale_of, shown

BOX = [(-1.0, 1.0), (0.5, 4.0), (1.0, 4.0)]
WHITE = 255


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


# --- arrays by the ending -------------------------------------------------------------------------


def test_npy_is_the_complex_index(tmp_path):
    field = tiny.field()
    assert render(field, tmp_path / "a.npy", spacing=0.5, region=BOX) == tmp_path / "a.npy"
    index = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert (index.dtype, index.shape) == (np.complex64, (5, 8, 7))
    assert np.abs(index[1, 2, 3] - field([-0.5, 1.5, 2.5])) < 2e-7


def test_npz_is_a_volume(tmp_path):
    field = tiny.field()
    render(field, tmp_path / "a.npz", spacing=(1, 0.5, 0.25), region=BOX)
    volume = read_volume(tmp_path / "a.npz")
    assert volume.spacing_um == (1, 0.5, 0.25)
    assert volume.origin_um == (-1, 0.5, 1)
    assert volume.medium_index == 1.33
    assert np.array_equal(volume.contrast, field.on_axes(*volume.grid.axes))


@pytest.mark.parametrize("ending", [".tif", ".TIFF", ".OME.tif"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_tiff_has_channels_and_scale(tmp_path, ending, n_outputs):
    field, path = tiny.field(n_outputs=n_outputs), tmp_path / f"a{ending}"
    render(field, path, spacing=(1, 0.5, 0.25), region=BOX)
    with tifffile.TiffFile(path) as tif:
        data = tif.asarray().reshape(3, n_outputs, 8, 13)
        assert tif.is_ome == (ending == ".OME.tif")
        page = tif.pages[0]
        resolution = [page.tags[name].value for name in ("XResolution", "YResolution")]
    assert data.dtype == np.float32
    assert [a / b for a, b in resolution] == pytest.approx([4, 2])
    expected = field.volume(spacing=(1, 0.5, 0.25), region=BOX).contrast
    assert np.abs(data[:, 0] - 1.33 - expected.real).max() < 2e-7
    if n_outputs == 2:
        assert np.array_equal(data[:, 1], expected.imag)


@pytest.mark.parametrize("ending", [".npy", ".tif", ".ome.tif", ".vti", ".ome.zarr"])
def test_planes_and_views_in_every_format(tmp_path, ending):
    field = tiny.field()
    plane = ((0.2, 2, 2), None, (0.0, 0.0, 1.0))
    render(field, tmp_path / f"v{ending}", projection="path", spacing=0.4)
    names = [f"v{ending}"]
    if ending != ".ome.zarr":
        render(field, tmp_path / f"p{ending}", plane=plane, spacing=(0.5, 0.3, 0.4))
        names.append(f"p{ending}")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(names)
    if ending == ".npy":
        lattice = plane_lattice(field, plane[0], spacing=(0.3, 0.4))
        assert np.abs(np.load(tmp_path / "p.npy") - field(lattice.points())).max() < 1e-6
        assert np.array_equal(np.load(tmp_path / "v.npy")[0], view(field, None, "path", spacing=0.4).values)


def test_progress_counts_every_point(tmp_path, monkeypatch):
    monkeypatch.setattr("fieldrx.render.sampling.BLOCK", 50)
    monkeypatch.setattr("fieldrx.render.files._COARSEST", 8)
    field = tiny.field()
    for name, total in (
        ("a.tif", 5 * 8 * 7),
        ("a.ome.zarr", 5 * 8 * 7),
        ("b.ome.zarr", 5 * 15 * 13 + 5 * 8 * 7),
    ):
        told = []
        spacing = (0.5, 0.25, 0.25) if name[0] == "b" else 0.5
        render(field, tmp_path / name, spacing, region=BOX, callback=told.append)
        last = told[-1]
        assert isinstance(last, Progress)
        assert (last.stage, last.done, last.total) == ("rendering", total, total)
        assert [one.done for one in told] == sorted({one.done for one in told})


# --- pictures -------------------------------------------------------------------------------------


def test_png_shows_three_planes(tmp_path):
    field = tiny.field()
    region = np.array([(-1.0, 1.0), (0.0, 4.0), (0.0, 3.0)])
    render(field, tmp_path / "a.png", region=region)
    content = (tmp_path / "a.png").read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    planes = orthogonal_planes(field, region)
    assert planes.shape == (height, width, 3)
    assert width == 14 + 360 + 6 + 240 + 14
    assert height > 14 + 480 + 6 + 240 + 14
    assert np.array_equal(pixels(tmp_path / "a.png"), planes)
    inner = planes[14:, 14:]
    assert (inner[480:486, :606] == WHITE).all()
    assert (inner[486:726, 366:606] == WHITE).all()
    n = field.medium_index + field.on_axes(0, np.linspace(0, 4, 480), np.linspace(0, 3, 360))[0].real
    rank = np.argsort(n[100:, 100:].ravel())
    lightness = inner[100:480, 100:360].reshape(-1, 3).sum(axis=1)[rank].astype(int)
    assert (np.diff(lightness) >= -2).all()  # brighter where the index is higher


def test_planes_lie_where_they_should():
    """A blob right of the middle, below it and near the top of the stack."""
    field = gaussian()
    field.region_um = np.array([(-1.0, 1.0), (0.0, 4.0), (0.0, 3.0)])
    z0, y0, x0 = CENTRE
    planes = orthogonal_planes(field)[14:, 14:].astype(int).sum(axis=2)
    planes[:20, :20] = planes[486:506, :20] = planes[:20, 366:386] = 0  # the names of the panels
    panels = planes[:480, :360], planes[486:726, :360], planes[:480, 366:606]
    expected = (y0 / 4, x0 / 3), ((z0 + 1) / 2, x0 / 3), (y0 / 4, (z0 + 1) / 2)
    for panel, place in zip(panels, expected, strict=True):
        bright = np.argwhere(panel >= np.quantile(panel, 0.999))
        assert bright.mean(axis=0) / panel.shape == pytest.approx(place, abs=0.02)


def test_png_of_a_plane_and_of_no_contrast():
    flat = orthogonal_planes(tiny.field(), [(0.0, 0.0), (0.0, 4.0), (0.0, 3.0)])
    assert flat.shape[1] == 14 + 360 + 6 + 1 + 14
    empty = orthogonal_planes(tiny.field(output_scale=0.0))
    assert (empty[200, 200] == colour(0.0)).all()


def test_scale_bar_and_colour_bar_are_right():
    picture = np.zeros((100, 400, 3), np.uint8)
    scale = scale_of(np.linspace(1.33, 1.36, 1000), 1.33, "refractive index", limits=(1.33, 1.36))
    whole = framed(picture, 0.05, scale)
    foot = whole[14 + 100 + 14 :, 14:-14].astype(int)
    bar = (foot[3] == 0).all(axis=1)
    assert bar.sum() == 100  # 5 um of the 20 um that the picture shows
    assert bar[:100].all()
    colours = foot[2, 180:]  # 55 % of the width, on the right
    assert np.array_equal(colours, shown(np.linspace(1.33, 1.36, 220), scale))
    ticks = 180 + np.flatnonzero((foot[11, 180:] == 0).all(axis=1))
    assert ticks.tolist() == pytest.approx([180 + 219 * k / 3 for k in range(4)], abs=1)
    assert framed(picture, 0.05, scale_of(picture, 0.0, limits=(0, 1))).shape == whole.shape


def test_round_numbers():
    assert [nice_length(v) for v in (0.0199, 0.02, 3.1, 9.99, 700)] == pytest.approx([0.01, 0.02, 2, 5, 500])
    assert nice_ticks(1.332, 1.357, 4) == pytest.approx([1.34, 1.35])
    assert nice_ticks(-0.1, 1.0, 4) == pytest.approx([0, 0.5, 1])
    for low, high in ((0, 1), (-3.3, 7.1), (1.3312, 1.3319), (0, 2e-7)):
        for most in (2, 3, 5):
            ticks = nice_ticks(low, high, most)
            assert len(ticks) <= most
            assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)
    assert number_text(1.35, 0.01) == "1.35"
    assert number_text(-2.0, 0.5) == "−2.0"
    assert number_text(5.0, 5.0) == "5"
    assert number_text(2e-7, 1e-7) == "2.0e−7"


def test_letters_are_drawn():
    """Every letter has ink, none has that of another, and the size sets the height."""
    masks = {}
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,:-−+=/()°²³µ":
        mask = text_mask(letter, 14)
        assert mask.max() > 0.6
        assert mask.min() == 0
        masks[letter] = np.pad(mask, ((0, 0), (0, 40 - mask.shape[1]))).round(3).tobytes()
    assert len(set(masks.values())) == len(masks)
    rows = np.flatnonzero(text_mask("8", 28).max(axis=1) > 0.5)
    assert np.ptp(rows) == pytest.approx(28, abs=5)
    assert np.array_equal(text_mask("PG", 14), text_mask("pg", 14))


def test_colours_brighten_all_the_way():
    weights = np.array([0.2126, 0.7152, 0.0722])
    for shaded in (False, True):
        lightness = colour(np.linspace(0, 1, 200), shaded) @ weights
        assert (np.diff(lightness) >= -0.5).all()  # of 255: rounding alone
        assert (colour([-3, 4], shaded) == colour([0, 1], shaded)).all()
        assert len(palette(shaded)) == 256


def test_scale_from_the_medium_up():
    values = np.concatenate([np.full(900, 1.33), np.linspace(1.33, 1.35, 100), [np.nan]])
    scale = scale_of(values, 1.33)
    assert (scale.low, scale.high) == pytest.approx((1.33, 1.35), abs=1e-3)
    below = scale_of(2.66 - values, 1.33)
    assert (below.low, below.high) == pytest.approx((1.31, 1.33), abs=1e-3)
    with pytest.raises(InputError, match="must grow"):
        scale_of(values, 1.33, limits=(2, 1))


@pytest.mark.slow
def test_views_and_planes_as_pictures(tmp_path):
    field = cone()
    turn = rotation("y", 25)
    render(field, tmp_path / "s.png", rotation=turn, projection="surface", spacing=0.1)
    surface = pixels(tmp_path / "s.png")
    seen = view(field, turn, "surface", spacing=0.1)
    ny, nx = seen.values.shape
    left = (surface.shape[1] - nx) // 2
    inner = surface[14 : 14 + ny, left : left + nx]
    nothing = np.isnan(seen.values)
    assert (inner[nothing] == WHITE).all()
    assert (inner[~nothing] != WHITE).any(axis=1).all()
    render(field, tmp_path / "m.png", projection="mean", spacing=0.1, limits=(1.33, 1.34))
    assert pixels(tmp_path / "m.png").std() > 20
    render(field, tmp_path / "p.png", plane=(CENTRE, (1.0, 1.0, 0.0), None))
    plane = pixels(tmp_path / "p.png")
    bright = np.argwhere(plane[:, :-1].sum(axis=2) > 600)
    assert len(bright)
    assert max(plane.shape) > 480


# --- films ----------------------------------------------------------------------------------------


def frames_of(path):
    with Image.open(path) as film:
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    return np.array(frames)


@pytest.mark.parametrize("projection", ["max", "path", "surface"])
def test_spin_turns_the_sample_once_round(tmp_path, projection):
    """The blob lies off the axis: it moves to and fro like a cosine."""
    told = []
    path = tmp_path / "a.gif"
    render_movie(
        gaussian(), path, "spin", frames=8, spacing=0.15, projection=projection,
        callback=told.append,
    )  # fmt: skip
    frames = frames_of(path)
    assert list(map(str, told)) == [str(Progress("frames", k, 8)) for k in range(1, 9)]
    assert len(frames) == 8
    middle = np.mean(REGION, axis=1)
    size = np.hypot(np.ptp(REGION[0]), np.ptp(REGION[2]))
    nx = int(size / 0.15 + 1e-6) + 1
    left = (frames.shape[2] - nx) // 2
    picture = frames[:, 14 : 14 + 41, left : left + nx].sum(axis=3)
    if projection == "surface":
        picture = (picture < 3 * WHITE).astype(int)
    z, _, x = CENTRE - middle
    for k, shot in enumerate(picture):
        weights = np.maximum(shot - np.median(shot), 0).sum(axis=0)
        place = 0.15 * ((weights * np.arange(nx)).sum() / weights.sum()) - 0.5 * size
        angle = 2 * np.pi * k / 8
        assert place == pytest.approx(x * np.cos(angle) + z * np.sin(angle), abs=0.15)


def test_sweep_shows_each_plane(tmp_path):
    path = tmp_path / "a.gif"
    render_movie(gaussian(), path, "sweep", frames=7, spacing=0.1)
    frames = frames_of(path)
    brightness = frames[:, 14:70, 130:-130].sum(axis=(1, 2, 3))
    assert brightness.argmax() == 3  # z = 0 of -3 ... 3, the blob's is 0.3
    assert brightness[4] > brightness[2]


def test_zoom_closes_in(tmp_path):
    """At the end the goal is in the middle of the picture, and a pixel a twelfth of its first size."""
    path = tmp_path / "a.gif"
    render_movie(gaussian(sigma=0.2), path, "zoom", frames=4, spacing=0.1, through=CENTRE)
    frames = frames_of(path)
    left = (frames.shape[2] - 66) // 2
    shots = frames[:, 14 : 14 + 61, left : left + 66].sum(axis=3)
    wide = [(shot > 0.5 * shot.max()).sum() for shot in shots]
    assert wide == sorted(wide)
    assert wide[1] / wide[0] == pytest.approx(6 ** (2 / 3), rel=0.3)
    first, last = (np.argwhere(shot > 0.95 * shot.max()).mean(axis=0) for shot in (shots[0], shots[-1]))
    low = np.array(REGION)[1:, 0]
    assert first == pytest.approx((CENTRE[1:] - low) / 0.1, abs=1)
    assert last == pytest.approx([30, 32.5], abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spin", "sweep", "zoom"])
def test_films_are_large_and_ask_the_network_little(tmp_path, kind):
    """Frames of 720 pixels, from fewer points than they have pixels."""
    field, asked = gaussian(), [0]
    on_axes, contrast = field.on_axes, field.contrast

    def counted(ask, *at):
        values = ask(*at)
        asked[0] += values.size
        return values

    field.on_axes = lambda *at: counted(on_axes, *at)
    field.contrast = lambda points: counted(contrast, points)
    render_movie(field, tmp_path / "a.gif", kind, frames=6)
    frames = frames_of(tmp_path / "a.gif")
    assert max(frames.shape[1:3]) >= 720
    assert asked[0] < 0.9 * 6 * 720 * 600
    asked[0] = 0
    render(field, tmp_path / "a.png", projection="path")
    assert asked[0] < 2e6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "dance"}, "there is no film"),
        ({"frames": 1}, "at least 2 frames"),
        ({"fps": 0}, "frames per second"),
        ({"spacing": 0}, "must be positive"),
        ({"kind": "zoom", "through": (9, 9, 9)}, "no point z, y, x in the region"),
        ({"region": [(-9, 9), (0, 1), (0, 1)]}, "outside the field's domain"),
        ({"projection": "sum"}, "there is no projection"),
        ({"spacing": 1e-6}, "larger spacing"),
    ],
)
def test_impossible_films(tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        render_movie(gaussian(), tmp_path / "a.gif", **options)
    with pytest.raises(InputError, match=r"expected \.gif or \.mp4"):
        render_movie(gaussian(), tmp_path / "a.avi")
    assert list(tmp_path.iterdir()) == []


# --- ensembles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".npy", ".npz", ".tif", ".ome.tif", ".vti", ".ome.zarr", ".png", ".gif"])
@pytest.mark.parametrize("quantity", [None, "std"])
def test_ensembles_are_written_as_fields_are(tmp_path, ending, quantity):
    """The mean, or the standard deviation of the index, to every format and as plane and view."""
    ensemble = Ensemble([tiny.field(seed=k) for k in range(3)], 2.0, 1e-4)
    more = {"frames": 2, "spacing": 0.2} if ending == ".gif" else {}
    path = tmp_path / ("a" + ending)
    assert render(ensemble, path, quantity=quantity, **more) == path
    assert path.exists()
    mean, std = ensemble.volume()
    if ending == ".npy":
        expected = std.contrast.real if quantity else mean.contrast + tiny.SCOPE.medium_index
        assert np.load(path) == pytest.approx(expected, abs=1e-6)
        render(ensemble, path, quantity=quantity, plane=((0, 1, 1), None, None))
        render(ensemble, path, quantity=quantity, projection="max")
    if ending == ".npz":
        expected = std.contrast.real if quantity else mean.contrast
        assert read_volume(path).contrast == pytest.approx(expected, abs=1e-7)


def test_a_single_field_has_no_standard_deviation(tmp_path):
    with pytest.raises(InputError, match="give an ensemble"):
        render(tiny.field(), tmp_path / "a.npy", quantity="std")
    ensemble = Ensemble([tiny.field(seed=k) for k in range(2)])
    with pytest.raises(InputError, match="std has no integral"):
        render(ensemble, tmp_path / "a.npy", quantity="std", projection="path")


def test_command_renders_ensembles(tmp_path):
    Ensemble([tiny.field(seed=k) for k in range(2)]).save(tmp_path / "e.npz")
    given = ["render", str(tmp_path / "e.npz")]
    for out, more in (("a.png", []), ("a.npy", ["--quantity", "std"])):
        run = CliRunner().invoke(main, [*given, str(tmp_path / out), *more])
        assert run.exit_code == 0, run.output
    assert np.load(tmp_path / "a.npy").dtype == np.float32
    run = CliRunner().invoke(main, [*given, str(tmp_path / "a.npz"), "--light", "0,0"])
    assert (run.exit_code, run.output.count("\n")) == (2, 1)
    assert "not the ensemble" in run.output


# --- images under other light ---------------------------------------------------------------------


def test_new_images_are_those_that_evaluate_compares(tmp_path):
    acq = tiny.acquisition()
    field = tiny.fit(acq).run()
    again = new_images(field, acq.illumination, image_shape=acq.image_shape)
    error = np.linalg.norm(again.images - acq.images, axis=(1, 2)) / np.linalg.norm(
        acq.images - 1, axis=(1, 2)
    )
    assert evaluate(field, acq)["nrmse_per_image"] == pytest.approx(error.tolist(), rel=1e-4)
    # the microscope, the model and the size are known from the fit
    assert again.microscope == acq.microscope
    told = []
    seen = new_images(field, [(0.31, -0.22)], callback=told.append)
    assert seen.image_shape == acq.image_shape
    assert list(map(str, told)) == [str(Progress("images", 1, 1))]
    grid = Grid.for_images(seen.image_shape, acq.microscope, tiny.DEPTH)
    model = Born(grid, acq.microscope, Illumination([(0.31, -0.22)]), seen.image_shape)
    assert np.abs(seen.images - model.forward(field.on_axes(*grid.axes))).max() < 1e-6
    assert np.ptp(seen.images) > 1e-4
    for name in ("a.npz", "a.npy", "a.tif", "a.png"):
        render_images(field, tmp_path / name, [(0.31, -0.22)])
    assert np.array_equal(read_acquisition(tmp_path / "a.npz").images, seen.images)
    assert np.array_equal(np.load(tmp_path / "a.npy"), seen.images)
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), seen.images[0])
    assert pixels(tmp_path / "a.png").shape == (*seen.image_shape, 3)
    with pytest.raises(InputError, match="cannot write images"):
        render_images(field, tmp_path / "a.gif", [(0.31, -0.22)])


def test_new_images_have_the_focus_and_aberrations_that_the_fit_found():
    acq = tiny.acquisition()
    zernike = np.zeros(13)
    zernike[[3, 8]] = 0.4, -0.3
    found = Optics(tiny.LIGHT.sources_na, np.full(6, 0.9), 0.7, zernike)
    known = {"model": "born", "microscope": tiny.SCOPE.to_dict(), "acquisition": acq.fingerprint()}
    refined = tiny.field(provenance=known | {"optics": found.to_dict()})
    expected = compare(refined, acq).predicted / 0.9  # the gains are those of the fit's own images
    again = new_images(refined, tiny.LIGHT, image_shape=tiny.SHAPE).images
    assert again == pytest.approx(expected, abs=1e-5)
    one = new_images(refined, tiny.LIGHT.sources_na[2:3], image_shape=tiny.SHAPE).images
    assert one[0] == pytest.approx(again[2], abs=1e-6)
    plain = new_images(tiny.field(provenance=known), tiny.LIGHT, image_shape=tiny.SHAPE).images
    assert np.abs(again - plain).max() > 0.1 * np.abs(plain - 1).max()
    other = replace(tiny.SCOPE, objective_na=0.55)  # whose aberrations nobody measured
    seen = [
        new_images(f, tiny.LIGHT, other, tiny.SHAPE).images for f in (refined, tiny.field(provenance=known))
    ]
    assert np.array_equal(*seen)


@pytest.mark.parametrize(
    ("provenance", "light", "words"),
    [
        ({}, [(0, 0)], "with which microscope"),
        ({"microscope": tiny.SCOPE.to_dict()}, [(0, 0)], "with which it was fitted|with which model"),
        ({"microscope": tiny.SCOPE.to_dict(), "model": "born"}, [(0.9, 0)], "dark field"),
        ({"microscope": tiny.SCOPE.to_dict(), "model": "born"}, [(0.9,)], "expected"),
        ({"microscope": tiny.SCOPE.to_dict() | {"medium_index": 1.4}, "model": "born"}, [(0, 0)], "medium"),
    ],
)
def test_impossible_images(provenance, light, words):
    with pytest.raises(InputError, match=words):
        new_images(tiny.field(provenance=provenance), light)


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.npz.bak", "a.zarr"])
def test_unknown_ending(tmp_path, name):
    with pytest.raises(InputError, match=r'cannot write ".*"; expected one of \.npy, \.npz'):
        render(tiny.field(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["a.npy", "a.npz", "a.png", "a.tif", "a.ome.tif", "a.ome.zarr", "a.vti", "a.gif"]
)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": [(1, 0), (0, 1), (0, 1)]}, "first <= last"),
        ({"region": [(-1, 1), (0, 1), (0, 99)]}, "outside the field's domain"),
        ({"region": [(-1, 1), (0, 1)]}, "three ranges"),
        ({"spacing": 0}, "must be positive"),
        ({"spacing": np.nan}, "must be positive"),
        ({"spacing": (1, -1, 1)}, "must be positive"),
        ({"quantity": "colour"}, "there is no quantity|holds the contrast"),
    ],
)
def test_bad_requests_leave_no_file(tmp_path, name, options, words):
    with pytest.raises(InputError, match=words):
        render(tiny.field(), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.npz", {"projection": "max"}, "holds the contrast of a box"),
        ("a.npz", {"quantity": "n"}, "holds the contrast of a box"),
        ("a.npz", {"plane": ((0, 1, 1), (1, 1, 0), None)}, "has the axes z, y, x"),
        ("a.tif", {"plane": (None, None, None), "projection": "max"}, "not both"),
        ("a.tif", {"plane": (None, None, None), "shape": (1, 2, 3)}, "no shape"),
        ("a.tif", {"level": 1.34}, "belongs to the projection surface"),
        ("a.tif", {"frames": 4}, "belong to a film"),
        ("a.gif", {"plane": (None, None, None)}, "a film takes no plane"),
        ("a.png", {"spacing": 1e-5}, "larger spacing"),
    ],
)
def test_requests_that_contradict_themselves(tmp_path, name, options, words):
    with pytest.raises(InputError, match=words):
        render(tiny.field(), tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []

"""Simulated images: where a volume's voxels come to lie, the noise, and the invented cell."""

import numpy as np
import pytest
import tiny

from fieldrx import Acquisition, Illumination, InputError, Volume, cell_phantom, simulate
from fieldrx.models import make_model
from fieldrx.optics import Grid
from fieldrx.simulation import _depth, on_grid, on_image_grid

OPTICS = Acquisition(None, tiny.LIGHT, tiny.SCOPE, holdout=[2], name="optics")


def blob(spacing, origin, shape=(4, 80, 120), centre=(2.3, 1.8), sigma=0.5):
    """A Gaussian column at (y, x) = centre [um], twice as strong in slice 2 as in the others."""
    y, x = (o + d * np.arange(n) for o, d, n in zip(origin[1:], spacing[1:], shape[1:], strict=True))
    plane = np.exp(-0.5 * (((y[:, None] - centre[0]) / sigma) ** 2 + ((x - centre[1]) / sigma) ** 2))
    return Volume(plane * np.array([1, 1, 2, 1])[:, None, None] * (1 + 0.5j), spacing, origin, 1.33)


def centroid(contrast, grid):
    _, y, x = grid.axes
    plane = contrast[2].real
    return (plane.sum(axis=1) * y).sum() / plane.sum(), (plane.sum(axis=0) * x).sum() / plane.sum()


# as fine as the pixels of 0.25 um, and finer, different along y and x, with an origin off the pixels
SPACINGS = [
    ((0.4, 0.25, 0.25), (-0.5, -1.0, -2.0)),
    ((0.4, 0.083, 0.05), (0.3, -0.57, -0.92)),
    ((0.4, 0.083, 0.11), (0.3, -0.57, -0.92)),
    ((0.4, 0.125, 0.17), (0.3, -0.57, -0.92)),
]


@pytest.mark.parametrize(("spacing", "origin"), SPACINGS)
def test_voxels_keep_their_place_in_um(spacing, origin):
    contrast, grid = on_image_grid(blob(spacing, origin), tiny.SHAPE, tiny.SCOPE)
    assert grid.shape[0] == 4
    assert grid.axis(0) == pytest.approx(origin[0] + 0.4 * np.arange(4))
    assert grid.spacing_um == pytest.approx((0.4, 0.25, 0.25))
    assert centroid(contrast, grid) == pytest.approx((2.3, 1.8), abs=2e-3)
    assert np.allclose(contrast[2], 2 * contrast[1])
    assert np.allclose(contrast.imag, 0.5 * contrast.real)


@pytest.mark.parametrize(("spacing", "origin"), SPACINGS)
def test_resampling_conserves_the_integral(spacing, origin):
    volume = blob(spacing, origin)
    contrast, _ = on_image_grid(volume, tiny.SHAPE, tiny.SCOPE)
    before = volume.contrast[2].real.sum() * spacing[1] * spacing[2]
    assert contrast[2].real.sum() * 0.25**2 == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("spacing", [0.4, 0.25, 0.14])
def test_detail_that_voxels_and_grid_hold_is_kept(spacing):
    """A packet of waves of 0.7 cycles / um, whatever the voxels: its crests are not damped."""

    def packet(y, x):
        return np.cos(2 * np.pi * 0.7 * x + 0.3) * np.exp(-0.5 * ((y - 5) ** 2 + (x - 5) ** 2) / 1.2**2)

    axis = 0.07 + spacing * np.arange(int(10 / spacing))
    volume = Volume(packet(axis[:, None], axis)[None], (0.5, spacing, spacing), (0, 0.07, 0.07), 1.33)
    contrast, grid = on_image_grid(volume, tiny.SHAPE, tiny.SCOPE)
    assert np.abs(contrast[0] - packet(grid.axis(1)[:, None], grid.axis(2))).max() < 2e-3


def test_detail_too_fine_for_the_grid_is_left_out():
    """Not folded into slower waves: pixels of 0.25 um hold 2 cycles / um."""
    axis = 0.05 * np.arange(200)
    window = np.exp(-0.5 * (axis - 5) ** 2)
    wave = np.cos(2 * np.pi * 3.4 * axis) * window * window[:, None]
    contrast, _ = on_image_grid(
        Volume(wave[None], (0.5, 0.05, 0.05), (0, 0, 0), 1.33), tiny.SHAPE, tiny.SCOPE
    )
    assert np.abs(contrast).max() < 1e-3


def test_voxels_on_the_pixels_are_kept():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 6, 5)) + 1j * rng.standard_normal((3, 6, 5))
    volume = Volume(values, (0.5, 0.25, 0.25), (-0.5, 0.5, 0.75), 1.33)
    contrast, grid = on_image_grid(volume, tiny.SHAPE, tiny.SCOPE)
    y, x = (round((o - g) / 0.25) for o, g in zip((0.5, 0.75), grid.origin_um[1:], strict=True))
    assert np.abs(contrast[:, y : y + 6, x : x + 5] - values).max() < 1e-6
    contrast[:, y : y + 6, x : x + 5] = 0
    assert np.abs(contrast).max() < 1e-6


@pytest.mark.parametrize("name", ["born", "rytov", "bpm"])
def test_images_are_those_of_the_model(name):
    """On a grid by hand, with the frequencies of the wide one that simulations of single scattering take."""
    volume = tiny.phantom(absorbing=True)
    result = simulate(volume, OPTICS, name, tiny.SHAPE)
    (z0, z1, dz), margin = _depth(volume), 60.0
    if name == "bpm":  # slices of at most half a wave
        z0, z1, dz, margin = z0 - dz, z1 + dz, dz / 3, None
    grid = Grid.for_images(tiny.SHAPE, tiny.SCOPE, (z0, z1, dz), margin)
    options = {"edge": "soft"} if name == "bpm" else {}
    model = make_model(name, grid, tiny.SCOPE, tiny.LIGHT, tiny.SHAPE, **options)
    expected = model.forward(on_grid(volume, grid))
    assert np.linalg.norm(result.images - expected) < 0.02 * np.linalg.norm(expected - 1)
    assert (result.name, list(result.holdout), result.mask) == ("optics", [2], None)


@pytest.mark.parametrize("name", ["bpm", "ssnp"])
def test_thick_slices_are_split(name):
    """A smooth sample makes the same images whether its volume has slices of 0.6 or 0.2 um."""
    results = []
    for dz in (0.2, 0.6):
        z, y, x = -3 + dz * np.arange(round(6 / dz) + 1), 0.2 * np.arange(31), 0.2 * np.arange(26)
        r2 = (z[:, None, None] / 0.8) ** 2 + ((y[:, None] - 3) / 0.7) ** 2 + ((x - 2.5) / 0.7) ** 2
        volume = Volume(0.02 * np.exp(-r2), (dz, 0.2, 0.2), (-3, 0, 0), 1.33)
        results.append(simulate(volume, OPTICS, name, tiny.SHAPE).images)
    assert np.linalg.norm(results[1] - results[0]) < 0.01 * np.linalg.norm(results[0] - 1)


def test_a_single_slice():
    one = Volume(tiny.phantom().contrast[2:3], (0.5, 0.25, 0.3), (0.0, 0.5, 0.4), 1.33)
    padded = Volume(np.concatenate([one.contrast, 0 * one.contrast]), one.spacing_um, one.origin_um, 1.33)
    images = [simulate(v, OPTICS, "born", tiny.SHAPE).images for v in (one, padded)]
    assert np.abs(images[0] - 1).max() > 1e-3
    assert np.array_equal(*images)


def test_many_images_are_predicted_in_batches():
    ring = Acquisition(None, Illumination.led_ring(35, 0.5), tiny.SCOPE)
    few = Acquisition(None, ring.illumination.select([0, 17, 34]), tiny.SCOPE)
    many = simulate(tiny.phantom(), ring, "born", tiny.SHAPE).images
    assert many.shape == (35, *tiny.SHAPE)
    assert np.abs(many[[0, 17, 34]] - simulate(tiny.phantom(), few, "born", tiny.SHAPE).images).max() < 1e-6


def test_noise_is_that_of_photons():
    photons = 400
    clean = simulate(tiny.phantom(), OPTICS, "born", (96, 80)).images
    noisy = simulate(tiny.phantom(), OPTICS, "born", (96, 80), photons=photons, seed=3).images
    counts = noisy.astype(float) * photons
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    z = (noisy - clean) / np.sqrt(clean / photons)
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2.01 / n)
    again, other = (
        simulate(tiny.phantom(), OPTICS, "born", (96, 80), photons, seed).images for seed in (3, 4)
    )
    assert np.array_equal(again, noisy)
    assert not np.array_equal(other, noisy)


@pytest.mark.parametrize("photons", [0, -5, np.nan, np.inf, 1e30])
def test_wrong_photons(photons):
    with pytest.raises(InputError, match="photons is"):
        simulate(tiny.phantom(), OPTICS, "born", tiny.SHAPE, photons=photons)


def test_wrong_input():
    water = Volume(tiny.phantom().contrast, 0.5, (0, 0, 0), 1.34)
    with pytest.raises(InputError, match=r"medium of index 1\.34, the acquisition's is 1\.33"):
        simulate(water, OPTICS, "born", tiny.SHAPE)
    with pytest.raises(InputError, match="--image-shape"):
        simulate(tiny.phantom(), OPTICS)
    with pytest.raises(InputError, match='no model "bpn"'):
        simulate(tiny.phantom(), OPTICS, "bpn", tiny.SHAPE)
    dark = Acquisition(None, Illumination([(0.0, 0.9)]), tiny.SCOPE)
    with pytest.raises(InputError, match="dark field"):
        simulate(tiny.phantom(), dark, "born", tiny.SHAPE)


def test_invented_cell():
    cell = cell_phantom(spacing_um=0.4, diameter_um=8, peak_contrast=0.02, seed=1)
    nz, ny, nx = cell.contrast.shape
    assert nz == ny == nx
    assert nx % 2 == 1
    assert nx * 0.4 >= 10
    assert cell.grid.axis(1)[ny // 2] == pytest.approx(0, abs=1e-12)
    assert cell.contrast.real.min() >= 0
    assert cell.contrast.imag.min() >= 0
    assert 0.01 < cell.contrast.real.max() < 0.023
    assert 0 < cell.contrast.imag.max() < 0.02
    faces = [cell.contrast[index] for index in np.ndindex(*cell.contrast.shape)
             if min(index) == 0 or max(index) == nx - 1]  # fmt: skip
    assert np.abs(faces).max() < 1e-6
    again, other = (cell_phantom(0.4, 8, peak_contrast=0.02, seed=s).contrast for s in (1, 2))
    assert np.array_equal(again, cell.contrast)
    assert not np.array_equal(other, cell.contrast)


@pytest.mark.parametrize("spacing", [0.1, 0.17, 0.31])
def test_the_spectrum_of_one_voxel_is_flat(spacing):
    """Integral, place and all detail below the Nyquist frequencies of voxels and grid."""
    fine = np.zeros((2, 45, 39))
    fine[1, 20, 13] = 1
    contrast, grid = on_image_grid(
        Volume(fine, (0.5, spacing, spacing), (0, 0, 0), 1.33), (160, 160), tiny.SCOPE
    )
    y, x = grid.axes[1:]
    for nu in ((0.0, 0.0), (0.9, -0.3), (-1.2, 1.1)):
        waves = [
            np.exp(-2j * np.pi * n * (a - k * spacing)) for n, a, k in zip(nu, (y, x), (20, 13), strict=True)
        ]
        found = waves[0] @ contrast[1] @ waves[1] * 0.25**2
        assert found == pytest.approx(spacing**2, rel=0.03, abs=0.03 * spacing**2)


@pytest.mark.parametrize("model", ["born", "ssnp"])
def test_a_volume_far_from_focus_is_refused_before_anything_is_allocated(model):
    far = Volume(np.zeros((3, 4, 4), np.complex64), (0.2, 0.2, 0.2), (6e4, 0.0, 0.0), 1.33)
    with pytest.raises(InputError, match=r"voxels, for a volume from .*GiB.*nearer to the plane in focus"):
        simulate(far, OPTICS, model, tiny.SHAPE)


@pytest.mark.parametrize(
    ("volume", "optics", "shape", "words"),
    [
        (np.zeros((3, 4, 5)), OPTICS, None, "volume: expected a Volume, got ndarray"),
        (tiny.field(), OPTICS, None, r"volume: expected a Volume, got NeuralField: .*field\.volume\(\)"),
        (tiny.phantom(), tiny.LIGHT, None, "optics: expected an Acquisition, got Illumination"),
        (tiny.phantom(), OPTICS, None, r"image_shape=\(ny, nx\), --image-shape"),
        (tiny.phantom(), OPTICS, 64, "image_shape is 64; expected two numbers"),
    ],
)
def test_wrong_arguments(volume, optics, shape, words):
    with pytest.raises(InputError, match=words):
        simulate(volume, optics, "born", shape)

"""Rendered files: what they hold, and where their voxels lie."""

import struct

import numpy as np
import pytest
import tifffile
import tiny

from fieldrx import InputError, read_volume
from fieldrx.render import colour, orthogonal_planes, render

REGION = [(-1.0, 1.0), (0.5, 4.0), (1.0, 4.0)]


def test_npy_is_the_complex_index(tmp_path):
    field = tiny.field()
    assert render(field, tmp_path / "a.npy", spacing=0.5, region=REGION) == tmp_path / "a.npy"
    index = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert (index.dtype, index.shape) == (np.complex64, (5, 8, 7))
    assert np.abs(index[1, 2, 3] - field([-0.5, 1.5, 2.5])) < 2e-7


def test_npz_is_a_volume(tmp_path):
    field = tiny.field()
    render(field, tmp_path / "a.npz", spacing=(1, 0.5, 0.25), region=REGION)
    volume = read_volume(tmp_path / "a.npz")
    assert volume.spacing_um == (1, 0.5, 0.25)
    assert volume.origin_um == (-1, 0.5, 1)
    assert volume.medium_index == 1.33
    assert np.array_equal(volume.contrast, field.on_axes(*volume.grid.axes))


@pytest.mark.parametrize("ending", [".tif", ".TIFF"])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_tiff_has_channels_and_scale(tmp_path, ending, n_outputs):
    field, path = tiny.field(n_outputs=n_outputs), tmp_path / f"a{ending}"
    render(field, path, spacing=(1, 0.5, 0.25), region=REGION)
    with tifffile.TiffFile(path) as tif:
        data = tif.asarray().reshape(3, n_outputs, 8, 13)
        page, metadata = tif.pages[0], tif.imagej_metadata
        assert data.dtype == np.float32
        assert metadata["spacing"] == 1
        assert metadata["unit"] == "um"
        resolution = [page.tags[name].value for name in ("XResolution", "YResolution")]
    assert [a / b for a, b in resolution] == pytest.approx([4, 2])
    expected = field.volume(spacing=(1, 0.5, 0.25), region=REGION).contrast
    assert np.abs(data[:, 0] - 1.33 - expected.real).max() < 2e-7
    if n_outputs == 2:
        assert np.array_equal(data[:, 1], expected.imag)


def test_png_shows_three_planes(tmp_path):
    field = tiny.field()
    region = np.array([(-1.0, 1.0), (0.0, 4.0), (0.0, 3.0)])
    render(field, tmp_path / "a.png", region=region)
    content = (tmp_path / "a.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    planes = orthogonal_planes(field, region)
    assert planes.shape == (height, width, 3) == (480 + 6 + 240, 360 + 6 + 240, 3)
    assert (planes[480:486] == 255).all()
    assert (planes[486:, 366:] == 255).all()


def test_planes_lie_where_they_should():
    """A blob right of the middle, below it and near the top of the stack."""

    class Blob:
        region_um = np.array([(-1.0, 1.0), (0.0, 4.0), (0.0, 3.0)])

        @staticmethod
        def on_axes(z, y, x):
            z, y, x = (np.asarray(a, float) for a in (z, y, x))
            r2 = (z[:, None, None] + 0.5) ** 2 + (y[:, None] - 3.0) ** 2 + (x - 2.25) ** 2
            return np.exp(-r2).astype(np.complex64)

    planes = orthogonal_planes(Blob()).sum(axis=2).astype(int)
    brightest = [np.array(np.unravel_index(p.argmax(), p.shape)) / p.shape
                 for p in (planes[:480, :360], planes[486:, :360], planes[:480, 366:])]  # fmt: skip
    for found, expected in zip(brightest, [(0.75, 0.75), (0.25, 0.75), (0.75, 0.25)], strict=True):
        assert found == pytest.approx(expected, abs=0.03)


def test_png_of_a_plane_and_of_no_contrast():
    plane = orthogonal_planes(tiny.field(), [(0.0, 0.0), (0.0, 4.0), (0.0, 3.0)])
    assert plane.shape == (480 + 6 + 1, 360 + 6 + 1, 3)
    empty = orthogonal_planes(tiny.field(output_scale=0.0))
    assert (empty[0, 0] == colour(0.0)).all()


def test_colours_brighten_all_the_way():
    lightness = colour(np.linspace(0, 1, 200)) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) >= -0.5).all()  # of 255: rounding alone
    assert (colour([-3, 4]) == colour([0, 1])).all()


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.npz.bak"])
def test_unknown_ending(tmp_path, name):
    with pytest.raises(InputError, match=r'cannot write ".*"; expected one of \.npy, \.npz'):
        render(tiny.field(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.npy", "a.png"])
def test_region_that_runs_backwards(tmp_path, name):
    with pytest.raises(InputError, match="first <= last"):
        render(tiny.field(), tmp_path / name, region=[(1, 0), (0, 1), (0, 1)])
    assert list(tmp_path.iterdir()) == []

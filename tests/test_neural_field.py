"""The field as a function of position, and its file."""

import numpy as np
import pytest
import tiny

from fieldrx import InputError, load_field
from fieldrx.field import Fourier, Hash, Network, NeuralField


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_file_round_trip(tmp_path, n_outputs):
    field = tiny.field(n_outputs=n_outputs)
    field.save(tmp_path / "f.npz")
    other = load_field(tmp_path / "f.npz")
    assert (other.encoding, other.network) == (field.encoding, field.network)
    for name in ("params", "bounds_um", "region_um"):
        one, two = getattr(field, name), getattr(other, name)
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)
    for name in ("output_scale", "medium_index", "provenance"):
        assert getattr(other, name) == getattr(field, name)
    assert other.history.keys() == field.history.keys()
    assert np.array_equal(other.history["loss"], field.history["loss"])
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    assert np.array_equal(other(points), field(points))


def test_points_axes_and_volume_agree():
    field = tiny.field()
    volume = field.volume(spacing=(0.4, 0.7, 0.3))
    axes = volume.grid.axes
    assert [len(a) for a in axes] == [6, 9, 16]
    assert [a[0] for a in axes] == [-1, 0, 0]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    at_points = field(points)
    assert at_points.shape == volume.contrast.shape
    largest = np.abs(volume.contrast).max()
    assert largest > 1e-3
    assert np.abs(at_points - 1.33 - volume.contrast).max() < 1e-6 * largest + 1e-9
    assert np.array_equal(field.on_axes(*axes), volume.contrast)
    one_output = tiny.field(n_outputs=1)
    assert (one_output(points).imag == 0).all()


def test_contrast_is_scaled_output_of_normalised_points():
    """The domain's faces are -1 and 1, along z, y and x."""
    field = tiny.field()
    low, high = field.bounds_um.T
    middle = 0.5 * (low + high)
    unit = tiny.field(bounds_um=np.array([(-1.0, 1.0)] * 3))
    for p in ([-1, -1, -1], [1, 1, 1], [0.3, -0.2, 0.9]):
        place = middle + 0.5 * np.array(p) * (high - low)
        assert field(place) == pytest.approx(unit(np.array(p)), abs=1e-8)
    double = tiny.field(output_scale=0.008)
    assert double.contrast(middle) == pytest.approx(2 * field.contrast(middle), rel=1e-6)


def test_outside_the_domain_is_medium():
    field = tiny.field()
    (z0, z1), (y0, _), (x0, x1) = field.bounds_um
    inside = [(z0, y0, x0), (z1, y0, x1)]
    outside = [(z0 - 1e-6, 0, 0), (z1 + 1e-6, 0, 0), (0, -1e9, 0), (0, 0, x1 + 3)]
    assert (field.contrast(inside) != 0).all()
    assert (field.contrast(outside) == 0).all()
    assert (field(outside) == 1.33).all()
    assert (field.on_axes([z1 + 1, z1 + 2], [0], [0, 1]) == 0).all()
    partly = field.on_axes([0], [0], [x0 - 1, x0, x1, x1 + 1])[0, 0]
    assert list(partly != 0) == [False, True, True, False]


def test_halved_spacing_keeps_the_points():
    field = tiny.field()
    coarse, fine = field.volume(spacing=0.25), field.volume(spacing=0.125)
    assert np.abs(fine.contrast[::2, ::2, ::2] - coarse.contrast).max() < 1e-6


@pytest.mark.parametrize("smooth", [True, False])
def test_zoom_shows_no_facets(smooth):
    """The slope of a smooth lattice field has no steps: refined tenfold, it changes tenfold less."""
    encoding = Hash(((2, 5, 5),), smooth=smooth)
    network = Network(encoding.n_features, width=8, depth=1, activation="sine", omega=1.0)
    params = np.random.default_rng(1).standard_normal(encoding.n_params + network.n_params)
    bounds = np.array([(-1.0, 1.0)] * 3)
    field = NeuralField(
        encoding, network, params.astype(np.float32), bounds, bounds, (1.0, 1.0, 1.0), 1.0, 1.33
    )

    def largest_step_of_slope(n):
        x = np.linspace(-0.9, 0.9, n)
        return np.abs(np.diff(field.contrast(np.stack([0 * x, 0 * x + 0.13, x], 1)).real, 2)).max() * n

    ratio = largest_step_of_slope(60) / largest_step_of_slope(600)
    assert (ratio > 7) if smooth else (ratio < 2)


def test_large_grids_are_computed_in_slabs(monkeypatch):
    field = tiny.field()
    axes = np.linspace(-1, 1, 7), np.linspace(0, 5, 9), np.linspace(0, 4, 8)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    whole, at_points = field.on_axes(*axes), field.contrast(points)
    monkeypatch.setattr("fieldrx.field.neural_field._BLOCK", 150)
    assert np.abs(field.on_axes(*axes) - whole).max() < 1e-8
    assert np.abs(field.contrast(points) - at_points).max() < 1e-8


def test_shapes_of_points():
    field = tiny.field()
    assert field([0, 0, 0]).shape == ()
    assert field(np.zeros((0, 3))).shape == (0,)
    assert field(np.zeros((2, 4, 3))).shape == (2, 4)


@pytest.mark.parametrize(
    ("points", "words"),
    [(1.0, r"expected \(\.\.\., 3\)"), ([[0, 1]], r"shape \(1, 2\)"), ([0, np.nan, 0], "finite")],
)
def test_wrong_points(points, words):
    with pytest.raises(InputError, match=words):
        tiny.field()(points)


def test_grid_of_a_volume():
    field = tiny.field()
    assert field.volume().grid.to_dict() == {
        "shape": [5, 24, 20], "spacing_um": [0.5, 0.25, 0.25], "origin_um": [-1, 0, 0]
    }  # fmt: skip
    assert field.grid(spacing=0.1).shape == (21, 58, 48)
    by_shape = field.grid(shape=(3, 24, 1))
    assert by_shape.shape == (3, 24, 1)
    assert by_shape.axis(1)[-1] == pytest.approx(5.75)
    assert by_shape.axis(2).tolist() == [2.375]  # a single sample lies in the middle
    plane = field.grid(spacing=0.5, region=[(0.2, 0.2), (1, 3), (-1, 1.6)])
    assert plane.shape == (1, 5, 6)
    assert plane.origin_um == (0.2, 1, -1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spacing": 0.1, "shape": (2, 2, 2)}, "not both"),
        ({"spacing": 0}, "must be positive"),
        ({"spacing": (1, -1, 1)}, "must be positive"),
        ({"spacing": np.nan}, "must be positive"),
        ({"shape": (2, 2)}, "three positive numbers"),
        ({"shape": (2, 0, 2)}, "three positive numbers"),
        ({"region": [(0, 1), (0, 1)]}, "three ranges"),
        ({"region": [(0, 1), (2, 1), (0, 1)]}, "first <= last"),
        ({"region": [(0, 1), (0, np.nan), (0, 1)]}, "first <= last"),
    ],
)
def test_wrong_grids(options, words):
    with pytest.raises(InputError, match=words):
        tiny.field().volume(**options)


def saved(tmp_path, **changes):
    arrays = tiny.field().to_arrays() | changes
    path = tmp_path / "changed.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


DAMAGE = {
    "newer": ({"version": 3}, "version 3; this fieldrx reads versions 1 and 2: update fieldrx"),
    "other": ({"format": "fieldrx-volume"}, 'expected "fieldrx-field"'),
    "no weights": ({"weight_0": None}, "is damaged.*weight_0"),
    "no bounds": ({"bounds_um": None}, 'lacks "bounds_um"'),
    "short table": ({"table": np.zeros(3, np.float32)}, r"table has shape \(3,\)"),
    "wrong layer": ({"bias_1": np.zeros(7, np.float32)}, "is damaged.*bias_1"),
    "no json": ({"network": "{"}, "is damaged"),
    "unknown encoding": ({"encoding": '{"kind": "hsh"}'}, "is damaged.*hsh"),
    "unknown field": ({"network": '{"n_inputs": 8, "depht": 2}'}, "is damaged.*depht"),
    "two scales": ({"output_scale": np.ones(2)}, "is damaged"),
    "objects": ({"provenance": np.array([{}], object)}, "never unpickles"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_files(tmp_path, case):
    changes, words = DAMAGE[case]
    path = saved(tmp_path, **changes)
    with pytest.raises(InputError, match=words) as caught:
        load_field(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 100, 0.5, -10])
def test_truncated_file(tmp_path, keep):
    path = tmp_path / "f.npz"
    tiny.field().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=str(path)):
        load_field(path)


@pytest.mark.parametrize("name", ["cell", "cell.np", "cell.npy"])
def test_a_name_that_is_no_npz_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"a field is saved as \.npz; choose a name with that ending"):
        tiny.field().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "f.npz"
    tiny.field().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_field(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch, error):
    path = tmp_path / "f.npz"
    tiny.field(seed=0).save(path)
    before = path.read_bytes()

    def half(file, **arrays):
        file.write(b"half a file")
        raise error

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(error):
        tiny.field(seed=1).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_waves_round_trip(tmp_path):
    encoding = Fourier(8, 1.0, 2.0, 3.0, seed=5)
    network = Network(encoding.n_features, width=8, depth=3, skips=(2,))
    bounds = np.array([(-1.0, 1.0)] * 3)
    params = np.random.default_rng(2).standard_normal(network.n_params).astype(np.float32)
    field = NeuralField(encoding, network, params, bounds, bounds, (1.0, 1.0, 1.0), 1.0, 1.5)
    field.save(tmp_path / "f.npz")
    assert load_field(tmp_path / "f.npz")([0.1, 0.2, 0.3]) == field([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "one"},
        {"version": np.ones(3, int)},
        {"encoding": "[]"},
        {"bounds_um": np.zeros((2, 2))},
        {"bounds_um": np.zeros((3, 2))},
        {"region_um": np.zeros(2)},
        {"spacing_um": np.zeros(3)},
        {"provenance": "[]"},
        {"provenance": '{"version": 2}'},
        {"provenance": '{"holdout": "none"}'},
        {"bias_0": np.full(16, np.nan, np.float32)},
    ],
)
def test_damaged_values_are_one_error(tmp_path, changes):
    with pytest.raises(InputError, match=r"changed\.npz"):
        load_field(saved(tmp_path, **changes))


@pytest.mark.parametrize(
    "options", [{"spacing": 1e-30}, {"spacing": (1, 2)}, {"region": [(0, 1), (0, np.inf), (0, 1)]}]
)
def test_impossible_grids(options):
    with pytest.raises(InputError):
        tiny.field().grid(**options)

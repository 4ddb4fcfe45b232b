"""Encodings: descriptions, their JSON form, and the features that the CPU backend computes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_network import features_and_taps

from fieldrx.backends.cpu import encode, grid_backward, grid_forward
from fieldrx.backends.cpu.encodings import fill_waves
from fieldrx.errors import InputError
from fieldrx.field.encodings import (
    Fourier,
    Hash,
    Identity,
    PlaneWaves,
    Positional,
    Radial,
    encoding_from_dict,
)
from fieldrx.field.network import Network

# 60 nodes fit into the table of 2^9 entries; the other levels are hashed.
RESOLUTIONS = ((3, 4, 5), (9, 12, 7), (17, 31, 22))
ENCODINGS = [
    Radial(),
    Radial(angle_step_deg=50.0, xy_octaves=10, z_octaves=0),
    Positional(3, 10, 6),
    Fourier(37, 1.0, 5.0, 8.0, seed=3),
    PlaneWaves(((0.5, 0, 0), (0, 1, -2.25), (1, 2, 0))),
    Hash(RESOLUTIONS, 9),
    Hash(RESOLUTIONS, 9, n_features_per_level=3, smooth=False),
    Hash(RESOLUTIONS, 15, n_features_per_level=1),
]


def random_params(encoding, rng):
    return rng.normal(size=encoding.n_params).astype("f4")


@pytest.mark.parametrize("encoding", [*ENCODINGS, Identity(6)], ids=str)
def test_json_round_trip(encoding):
    text = json.dumps(encoding.to_dict())
    assert encoding_from_dict(json.loads(text)) == encoding


@pytest.mark.parametrize("encoding", [*ENCODINGS, Identity(6)], ids=str)
def test_shapes(encoding):
    assert encoding.octave_of_feature().shape == (encoding.n_features,)
    params = encoding.initial_params(np.random.default_rng(0))
    assert params.shape == (encoding.n_params,)
    assert params.dtype == np.float32


def test_decaf_has_290_features():
    encoding = Radial(angle_step_deg=9.0, xy_octaves=7, z_octaves=5)
    assert encoding.n_features == 290
    octaves = encoding.octave_of_feature()
    np.testing.assert_allclose(octaves[:280], np.repeat(np.arange(7), 40), atol=1e-12)
    np.testing.assert_allclose(octaves[280:], np.repeat(np.arange(5), 2), atol=1e-12)


def test_hash_stores_only_what_a_level_needs():
    encoding = Hash(RESOLUTIONS, 9)
    assert encoding.dense == (True, False, False)
    assert encoding.nodes_per_level == (60, 512, 512)
    assert encoding.n_params == 2 * (60 + 512 + 512)
    assert np.abs(encoding.initial_params(np.random.default_rng(0))).max() <= 1e-4


def test_geometric_ladder():
    encoding = Hash.geometric((2, 4, 4), (32, 64, 100), 5, log2_table_size=10)
    assert encoding.resolutions[0] == (2, 4, 4)
    assert encoding.resolutions[2] == (8, 16, 20)
    assert encoding.resolutions[-1] == (32, 64, 100)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("n", [1, 777])
def test_features_match_numpy(encoding, n):
    rng = np.random.default_rng(n)
    params = random_params(encoding, rng)
    points = rng.uniform(-1.05, 1.05, (n, 3)).astype("f4")  # also a little outside
    expected, _ = features_and_taps(encoding, params, points)
    np.testing.assert_allclose(encode(encoding, params, points), expected, atol=2e-6)


def test_no_points_and_other_memory_layouts():
    encoding = Positional(2, 2, 2)
    points = np.random.default_rng(0).uniform(-1, 1, (3, 40)).astype("f4").T
    empty = np.zeros(0, np.float32)
    assert encode(encoding, empty, points[:0]).shape == (0, 12)
    plain = encode(encoding, empty, points.copy(order="C"))
    np.testing.assert_array_equal(encode(encoding, empty, points), plain)
    np.testing.assert_array_equal(encode(encoding, empty, points.astype("f8")), plain)
    np.testing.assert_array_equal(encode(encoding, empty, points[::2]), plain[::2])


@settings(max_examples=50, deadline=None)
@given(st.floats(-2000, 2000))
def test_sine_and_cosine_of_large_arguments(argument):
    features = np.zeros(2, np.float32)
    frequency = np.array([[argument / (2 * np.pi), 0, 0]])
    fill_waves(frequency, np.array([0]), np.array([1]), np.array([[1.0], [0], [0]]), 1, features, 1)
    np.testing.assert_allclose(features, [np.sin(argument), np.cos(argument)], atol=5e-7)


@pytest.mark.parametrize("smooth", [True, False])
def test_smooth_grid_has_a_continuous_derivative(smooth):
    """One-sided slopes across lattice planes agree for smoothstep, and only there."""
    encoding = Hash(((5, 5, 5), (9, 9, 17)), 9, smooth=smooth)
    params = random_params(encoding, np.random.default_rng(1))
    step = 2.0**-10  # exact in float32, as are the planes
    jumps = []
    for axis in range(3):
        for plane in (-0.5, 0.0, 0.5):
            points = np.full((3, 3), 0.13, np.float32)
            points[:, axis] = plane + step * np.array([-1, 0, 1])
            below, at, above = encode(encoding, params, points).astype(float)
            jumps.append(np.abs((above - at) - (at - below)).max() / step)
    if smooth:
        assert max(jumps) < 1.0
    else:
        assert min(jumps) > 1.0


@pytest.mark.parametrize("encoding", [e for e in ENCODINGS if e.n_params], ids=str)
def test_table_gradient_on_a_grid_is_the_adjoint_of_the_features(encoding):
    """With one linear layer, <d, field(table)> must equal <gradient, table>."""
    network = Network(encoding.n_features, width=16, depth=1, slope=1.0)
    rng = np.random.default_rng(2)
    params = np.concatenate([random_params(encoding, rng), network.initial_params(rng)])
    axes = np.linspace(-1, 1, 11), np.sort(rng.uniform(-1, 1, 40)), np.linspace(-0.9, 0.7, 23)
    d_out = rng.normal(size=(2, 11, 40, 23)).astype("f4")
    value = grid_forward(encoding, network, params, *axes)
    gradient = grid_backward(encoding, network, params, *axes, d_out)
    table = slice(encoding.n_params)
    left = np.vdot(d_out.astype(float), value)
    right = np.vdot(gradient[table].astype(float), params[table])
    scale = np.linalg.norm(d_out.astype(float)) * np.linalg.norm(value)
    assert abs(left - right) < 1e-5 * scale


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Radial(angle_step_deg=0), "angle_step_deg"),
        (lambda: Radial(xy_octaves=2.5), "xy_octaves"),
        (lambda: Positional(0, 0, 0), "at least one octave"),
        (lambda: Positional(1, -1, 0), "y_octaves"),
        (lambda: Fourier(0, 1, 1, 1), "n_frequencies"),
        (lambda: PlaneWaves(((1, 2),)), "frequencies"),
        (lambda: PlaneWaves(((1, 2, np.inf),)), "frequencies"),
        (lambda: Fourier(3, 1, 0, 1), "sigma_y"),
        (lambda: Hash(()), "resolutions"),
        (lambda: Hash(((3, 4),)), "resolutions"),
        (lambda: Hash(((1, 4, 4),)), "resolution"),
        (lambda: Hash(((4, 4, 4),), 40), "log2_table_size"),
        (lambda: Hash.geometric((1, 2, 2), (4, 4, 4), 3), "coarsest_zyx"),
        (lambda: Identity(0), "n_features"),
        (lambda: encoding_from_dict({"kind": "spherical"}), "spherical"),
        (lambda: encoding_from_dict({"kind": "identity"}), "n_features"),
        (lambda: encode(Positional(1, 1, 1), np.zeros(0), np.zeros((4, 2))), r"\(n, 3\)"),
        (lambda: encode(Positional(1, 1, 1), np.zeros(3), np.zeros((4, 3))), "params"),
    ],
)
def test_a_mistake_is_one_clear_line(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)

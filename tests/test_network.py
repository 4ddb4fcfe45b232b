"""The network: layout of parameters, values and gradients, at points and on grids."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_network import away_from_kinks, forward_and_gradient

from fieldrx.backends.cpu import field_backward, field_forward, grid_backward, grid_forward
from fieldrx.errors import InputError
from fieldrx.field.encodings import Fourier, Hash, Identity, Positional, Radial
from fieldrx.field.network import Network

NETWORKS = [
    dict(width=17, depth=1),
    dict(width=64, depth=2),
    dict(width=40, depth=4, skips=(2, 3), activation="relu"),
    dict(width=33, depth=3, skips=(1,), activation="sine", omega=3.0, n_outputs=5),
    dict(width=208, depth=10, skips=(5,)),
    dict(width=1, depth=2, n_outputs=1),
]
HASH = Hash(((3, 4, 5), (9, 12, 7), (17, 31, 22)), 9)
ENCODINGS = [
    Identity(13),
    Identity(32),
    Radial(40.0, 3, 2),
    Positional(2, 3, 4),
    Fourier(9, 1.0, 2.0, 3.0),
    HASH,
]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def problem(encoding, options, n, seed=0):
    """Network, parameters away from zero, points or features, gradient of the outputs, gain.

    The gradient is zero at the few points where a ReLU sits at its kink.
    """
    rng = np.random.default_rng(seed)
    network = Network(encoding.n_features, **options)
    params = np.concatenate([rng.normal(size=encoding.n_params), network.initial_params(rng)])
    params = (params + rng.normal(0, 0.02, params.size)).astype("f4")
    if isinstance(encoding, Identity):
        points = rng.normal(size=(n, encoding.n_features)).astype("f4")
    else:
        points = rng.uniform(-1, 1, (n, 3)).astype("f4")
    d_out = rng.normal(size=(n, network.n_outputs)).astype("f4")
    gain = rng.uniform(0.2, 1, encoding.n_features).astype("f4")
    if n:
        d_out[~away_from_kinks(encoding, network, params, points, gain)] = 0
    return network, params, points, d_out, gain


@pytest.mark.parametrize("options", NETWORKS, ids=str)
@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_matches_numpy_at_points(encoding, options):
    network, params, points, d_out, gain = problem(encoding, options, 501)
    value, gradient = forward_and_gradient(encoding, network, params, points, d_out, gain)
    out = np.empty_like(d_out)
    assert relative(field_forward(encoding, network, params, points, gain), value) < 3e-6
    ours = field_backward(encoding, network, params, points, d_out, gain, out)
    assert relative(out, value) < 3e-6
    split = encoding.n_params
    assert relative(ours[split:], gradient[split:]) < 3e-6
    if split:
        assert relative(ours[:split], gradient[:split]) < 3e-6


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 192, 193, 70_001])
@pytest.mark.parametrize("encoding", [Identity(20), Positional(2, 3, 4), HASH], ids=str)
def test_any_number_of_points(encoding, n):
    network, params, points, d_out, gain = problem(encoding, dict(width=24, depth=2), n)
    value, gradient = forward_and_gradient(encoding, network, params, points, d_out, gain)
    ours = field_backward(encoding, network, params, points, d_out, gain)
    at_points = field_forward(encoding, network, params, points, gain)
    np.testing.assert_allclose(at_points, value, atol=1e-5)
    assert np.linalg.norm(ours - gradient) <= 5e-6 * np.linalg.norm(gradient)


@pytest.mark.parametrize("encoding", [Radial(40.0, 3, 2), Positional(2, 3, 4), HASH], ids=str)
@pytest.mark.parametrize("shape", [(5, 23, 31), (1, 1, 7), (3, 90, 64), (33, 65, 2)])
def test_grid_is_the_same_as_its_points(encoding, shape):
    options = dict(width=24, depth=2, skips=(1,))
    network, params, _, _, gain = problem(encoding, options, 0)
    rng = np.random.default_rng(3)
    z, y, x = (np.sort(rng.uniform(-1, 1, n)).astype("f4") for n in shape)
    points = np.stack(np.meshgrid(z, y, x, indexing="ij"), -1).reshape(-1, 3)
    d_out = rng.normal(size=(network.n_outputs, *shape)).astype("f4")
    columns = d_out.reshape(network.n_outputs, -1).T
    columns[~away_from_kinks(encoding, network, params, points, gain)] = 0
    at_points = field_forward(encoding, network, params, points, gain)
    gradient = field_backward(encoding, network, params, points, columns, gain)

    on_grid = grid_forward(encoding, network, params, z, y, x, gain)
    out = np.empty_like(on_grid)
    assert on_grid.shape == (network.n_outputs, *shape)
    assert relative(on_grid.reshape(network.n_outputs, -1).T, at_points) < 1e-6
    ours = grid_backward(encoding, network, params, z, y, x, d_out, gain, out)
    np.testing.assert_array_equal(out, on_grid)
    assert relative(ours, gradient) < 5e-6
    split = encoding.n_params
    if split:
        assert relative(ours[:split], gradient[:split]) < 5e-6


@pytest.mark.parametrize("direction", ["ascending", "descending", "shuffled"])
def test_grid_axes_in_any_order(direction):
    network, params, _, _, _ = problem(HASH, dict(width=16, depth=1), 0)
    rng = np.random.default_rng(4)
    axes = [np.linspace(-1, 1, n).astype("f4") for n in (7, 20, 9)]
    d_out = rng.normal(size=(2, 7, 20, 9)).astype("f4")
    order = {
        "ascending": lambda n: np.arange(n),
        "descending": lambda n: np.arange(n)[::-1],
        "shuffled": rng.permutation,
    }[direction]
    orders = [order(len(axis)) for axis in axes]
    value = grid_forward(HASH, network, params, *axes)
    gradient = grid_backward(HASH, network, params, *axes, d_out)
    mixed = [axis[o] for axis, o in zip(axes, orders, strict=True)]
    pick = np.ix_(range(2), *orders)
    assert relative(grid_forward(HASH, network, params, *mixed), value[pick]) < 1e-6
    assert relative(grid_backward(HASH, network, params, *mixed, d_out[pick]), gradient) < 1e-6


@pytest.mark.parametrize("options", NETWORKS[:4], ids=str)
@pytest.mark.parametrize("encoding", [Identity(13), Positional(2, 3, 4), HASH], ids=str)
def test_directional_derivative(encoding, options):
    """<gradient, direction> against a central difference of the float64 reference."""
    network, params, points, d_out, gain = problem(encoding, options, 200, seed=5)
    gradient = field_backward(encoding, network, params, points, d_out, gain).astype(float)
    # Along the gradient itself plus as much noise, so that the derivative is not a small
    # difference of large terms; the step is small enough to cross almost no kink.
    noise = np.random.default_rng(6).normal(size=params.size)
    direction = gradient / np.linalg.norm(gradient) + noise / np.linalg.norm(noise)
    step = 1e-7

    def loss(shift):
        shifted = params.astype(float) + shift * direction
        return np.vdot(d_out, forward_and_gradient(encoding, network, shifted, points, gain=gain))

    difference = (loss(step) - loss(-step)) / (2 * step)
    assert gradient @ direction == pytest.approx(difference, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    n_inputs=st.integers(1, 50),
    width=st.integers(1, 70),
    depth=st.integers(1, 5),
    n_outputs=st.integers(1, 20),
    n=st.integers(1, 400),
    activation=st.sampled_from(["leaky_relu", "relu"]),
    data=st.data(),
)
def test_any_shape(n_inputs, width, depth, n_outputs, n, activation, data):
    skips = data.draw(st.sets(st.integers(1, max(1, depth - 1))) if depth > 1 else st.just(set()))
    options = dict(width=width, depth=depth, n_outputs=n_outputs, activation=activation, skips=tuple(skips))
    encoding = Identity(n_inputs)
    network, params, points, d_out, gain = problem(encoding, options, n)
    value, gradient = forward_and_gradient(encoding, network, params, points, d_out, gain)
    out = np.empty_like(d_out)
    ours = field_backward(encoding, network, params, points, d_out, gain, out)
    np.testing.assert_allclose(out, value, atol=1e-5 * np.abs(value).max())
    assert np.linalg.norm(ours - gradient) <= 1e-5 * np.linalg.norm(gradient)


def decaf_forward(weights, biases, skip, features):
    """DeCAF's network, transcribed: dense layers with leaky ReLU 0.2, one concatenation, linear."""
    h = features
    for layer in range(len(weights) - 1):
        if layer == skip:
            h = np.concatenate([h, features], axis=-1)
        h = h @ weights[layer] + biases[layer]
        h = np.maximum(h, 0) + 0.2 * np.minimum(h, 0)
    return h @ weights[-1] + biases[-1]


@pytest.mark.parametrize("depth, skip", [(10, 5), (6, 3)])
def test_decaf_networks(depth, skip):
    rng = np.random.default_rng(7)
    encoding = Radial(9.0, 7, 5)
    network = Network(290, width=208, depth=depth, skips=(skip,))
    fan_ins = [290] + [208] * depth
    fan_ins[skip] += 290
    fan_outs = [208] * depth + [2]
    assert network.layer_shapes() == list(zip(fan_ins, fan_outs, strict=True))
    weights = [rng.normal(0, np.sqrt(1.9 / i), (i, o)) for i, o in zip(fan_ins, fan_outs, strict=True)]
    biases = [rng.normal(0, 0.1, o) for o in fan_outs]
    named = {f"weight_{i}": w for i, w in enumerate(weights)}
    named |= {f"bias_{i}": b for i, b in enumerate(biases)}
    points = rng.uniform(-1, 1, (300, 3)).astype("f4")

    z, y, x = points.T.astype(float)
    angles = np.pi * np.arange(20) / 20
    along = y[:, None] * np.sin(angles) + x[:, None] * np.cos(angles)
    blocks = []
    for octave in range(7):
        blocks += [np.sin(2**octave * np.pi * along), np.cos(2**octave * np.pi * along)]
    for octave in range(5):
        blocks += [np.sin(2**octave * np.pi * z)[:, None], np.cos(2**octave * np.pi * z)[:, None]]
    expected = decaf_forward(weights, biases, skip, np.concatenate(blocks, 1))
    assert relative(field_forward(encoding, network, network.pack(named), points), expected) < 3e-6


@pytest.mark.parametrize("encoding", [Identity(20), Radial(40.0, 3, 2), HASH], ids=str)
def test_two_runs_agree_bit_for_bit(encoding):
    network, params, points, d_out, gain = problem(encoding, dict(width=40, depth=3), 5000)
    runs = [field_backward(encoding, network, params, points, d_out, gain) for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_inputs_stay_untouched_and_any_layout_works():
    network, params, points, d_out, gain = problem(Identity(13), dict(width=20, depth=2), 300)
    plain = field_backward(Identity(13), network, params, points, d_out, gain)
    before = [a.copy() for a in (params, points, d_out, gain)]
    again = field_backward(
        Identity(13),
        network,
        params.astype("f8"),
        np.asfortranarray(points),
        d_out.astype("f8"),
        gain.tolist(),
    )
    np.testing.assert_array_equal(again, plain)
    for array, copy in zip((params, points, d_out, gain), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_pack_and_unpack():
    network = Network(7, width=5, depth=3, skips=(2,), n_outputs=3)
    flat = np.arange(network.n_params, dtype=np.float32)
    named = network.unpack(flat)
    assert named["weight_2"].shape == (12, 5)
    assert named["bias_3"].shape == (3,)
    np.testing.assert_array_equal(network.pack(named), flat)
    assert Network.from_dict(json.loads(json.dumps(network.to_dict()))) == network


def test_initial_sizes():
    rng = np.random.default_rng(8)
    for activation in ("leaky_relu", "relu", "sine"):
        network = Network(64, width=128, depth=4, activation=activation, skips=(2,))
        params = network.initial_params(rng)
        named = network.unpack(params)
        assert all(not named[f"bias_{layer}"].any() for layer in range(5))
        features = rng.normal(size=(500, 64)).astype("f4")
        value = field_forward(Identity(64), network, params, features)
        assert 0.01 < value.std() < 0.5


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Network(0), "n_inputs"),
        (lambda: Network(3, width=2.5), "width"),
        (lambda: Network(3, depth=2, skips=(2,)), "skips"),
        (lambda: Network(3, activation="tanh"), "activation"),
        (lambda: Network(3, slope=-1), "slope"),
        (lambda: Network(3, omega=0), "omega"),
        (lambda: Network.from_dict({"width": 3}), "n_inputs"),
        (lambda: Network(3).unpack(np.zeros(4)), "parameters"),
        (lambda: Network(3).pack({}), "weight_0"),
        (lambda: field_forward(Identity(4), Network(3), np.zeros(9), np.zeros((1, 4))), "n_inputs"),
        (lambda: field_forward(Identity(3), Network(3), np.zeros(9), np.zeros((1, 3))), "params"),
        (
            lambda: grid_forward(Identity(3), Network(3), np.zeros(Network(3).n_params), [0], [0], [0]),
            "Identity",
        ),
        (
            lambda: field_backward(
                Identity(3), Network(3), np.zeros(Network(3).n_params), np.zeros((5, 3)), np.zeros((4, 2))
            ),
            "d_out",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(make, words):
    with pytest.raises(InputError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)

"""Encodings and network on the emulated GPU, against plain NumPy and against the CPU."""

import numpy as np
import pytest
from reference_network import away_from_kinks, features_and_taps, forward_and_gradient

from fieldrx.backends import cpu
from fieldrx.errors import InputError
from fieldrx.field.encodings import Fourier, Hash, Identity, PlaneWaves, Positional, Radial
from fieldrx.field.network import Network

SMOOTH = Hash(((3, 4, 5), (9, 12, 7), (17, 31, 22)), 9)
TRILINEAR = Hash(((4, 3, 6), (7, 25, 13)), 8, n_features_per_level=3, smooth=False)
WAVES = Positional(2, 3, 4)
DEFAULT = (SMOOTH, dict(width=32, depth=2))

# Of the sum of squares: against the plain float64 of tests/reference_network.py, value and gradient.
TOLERANCES = {"float32": (2e-6, 5e-6), "half": (2e-3, 1e-2)}
# Points whose ReLUs halves may put on the other side of the kink are left out of the gradient.
MARGINS = {"float32": 2e-5, "half": 1e-3}

CASES = {
    "default": (*DEFAULT, "half"),  # a warp for itself
    "default-float32": (*DEFAULT, "float32"),
    "team": (WAVES, dict(width=64, depth=2, skips=(1,)), "half"),  # eight warps share the gradient
    "uneven": (WAVES, dict(width=48, depth=2, skips=(1,)), "half"),  # four warps, and not equally
    "team-float32": (WAVES, dict(width=64, depth=2, skips=(1,)), "float32"),
    "wide": (
        Radial(40.0, 3, 2),
        dict(width=208, depth=3, skips=(2,)),
        "half",
    ),  # activations in global memory
    "wide-float32": (Radial(40.0, 3, 2), dict(width=208, depth=3, skips=(2,)), "float32"),
    "wide-sine-table": (
        TRILINEAR,
        dict(width=112, depth=2, skips=(1,), activation="sine", omega=3.0),
        "float32",
    ),
    "sine": (Fourier(9, 1.0, 2.0, 3.0), dict(width=24, depth=2, activation="sine", omega=3.0), "half"),
    "listed": (PlaneWaves(((0.5, 0, 1), (0, 1, -2.25), (1, 2, 0))), dict(width=16, depth=1), "float32"),
    "given": (Identity(13), dict(width=17, depth=1, n_outputs=5, activation="relu"), "float32"),
}


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def problem(encoding, options, n, margin, seed=0):
    """Network, parameters, points, gradient of the outputs (0 near kinks), gain."""
    rng = np.random.default_rng(seed)
    network = Network(encoding.n_features, **options)
    params = np.concatenate([rng.normal(size=encoding.n_params), network.initial_params(rng)])
    params = (params + rng.normal(0, 0.02, params.size)).astype("f4")
    if isinstance(encoding, Identity):
        points = rng.normal(size=(n, encoding.n_features)).astype("f4")
    else:
        points = rng.uniform(-1, 1, (n, 3)).astype("f4")
        points[: n // 4] = np.sort(points[: n // 4], axis=0)  # neighbours in the same cell
    d_out = (1e-4 * rng.normal(size=(n, network.n_outputs))).astype("f4")
    gain = rng.uniform(0.2, 1, encoding.n_features).astype("f4")
    d_out[~away_from_kinks(encoding, network, params, points, gain, margin)] = 0
    assert np.count_nonzero(d_out) > 0.1 * d_out.size
    return network, params, points, d_out, gain


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_points_against_plain_numpy_and_the_cpu(gpu, monkeypatch, case):
    import cupy

    from fieldrx.backends import cuda
    from fieldrx.backends.cuda import field

    encoding, options, precision = CASES[case]
    if case == "wide":  # two lots of points
        monkeypatch.setattr(field, "_WORKSPACE", 500_000)
    network, params, points, d_out, gain = problem(encoding, options, 301, MARGINS[precision])
    value, gradient = forward_and_gradient(encoding, network, params, points, d_out, gain)
    of_value, of_gradient = TOLERANCES[precision]
    device = [cupy.asarray(a) for a in (params, points, gain, d_out)]
    ours = cuda.field_forward(encoding, network, *device[:3], precision=precision)
    assert relative(ours.get(), value) < of_value
    out = cupy.empty(d_out.shape, np.float32)
    arguments = device[0], device[1], device[3], device[2], out
    ours = cuda.field_backward(encoding, network, *arguments, precision=precision).get()
    assert relative(out.get(), value) < of_value
    on_cpu = cpu.field_backward(encoding, network, params, points, d_out, gain)
    assert relative(ours, on_cpu) < (1e-4 if precision == "float32" else 1e-2)
    for name, part in named_parts(encoding, network, gradient).items():
        assert relative(named_parts(encoding, network, ours)[name], part) < of_gradient, name
    wide = case.startswith("wide")
    assert gpu.launches.count("weight_gradient") == (3 if case == "wide" else 1 if wide else 0)


@pytest.mark.slow
@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(("depth", "width", "n"), [(2, 64, 150), (10, 208, 40)])
def test_gradients_of_biases(gpu, depth, width, n, precision):
    """Of two warps and more, without one addition of floats in shared memory, which the emulator refuses.

    Nearly without kinks, since of ten layers hardly a point is away from all of them.
    """
    import cupy

    from fieldrx.backends import cuda

    options = dict(width=width, depth=depth, n_outputs=2, slope=0.999)
    network, params, points, d_out, gain = problem(WAVES, options, n, margin=0)
    d_out += np.float32(1e-4)  # else the sums nearly cancel
    _, gradient = forward_and_gradient(WAVES, network, params, points, d_out, gain)
    device = [cupy.asarray(a) for a in (params, points, d_out, gain)]
    ours = cuda.field_backward(WAVES, network, *device, precision=precision).get()
    parts, expected = (named_parts(WAVES, network, g) for g in (ours, gradient))
    for name in (f"bias_{layer}" for layer in range(depth + 1)):
        assert relative(parts[name], expected[name]) < TOLERANCES[precision][1], name
    assert ("weight_gradient" in gpu.launches) == (depth == 10)


def test_waves_of_a_thousand_turns(gpu):
    """A float holds the product to 3e-5 turns only; what that leaves out is added."""
    import cupy

    from fieldrx.backends import cuda

    encoding = PlaneWaves(((900.25, 0, 1), (0, 1234.5, -2.25)))
    points = np.random.default_rng(5).uniform(-1, 1, (64, 3)).astype("f4")
    features, _ = features_and_taps(encoding, np.zeros(0), points)
    ours = cuda.encode(encoding, cupy.zeros(0, np.float32), cupy.asarray(points)).get()
    np.testing.assert_allclose(ours, features, atol=3e-6)


def named_parts(encoding, network, gradient):
    parts = network.unpack(gradient[encoding.n_params :])
    if encoding.n_params:
        parts["table"] = gradient[: encoding.n_params]
    return parts


@pytest.mark.parametrize("case", ["default", "team-float32"])
def test_grid_against_plain_numpy(gpu, case):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, precision = CASES[case]
    network, params, _, _, gain = problem(encoding, options, 8, MARGINS[precision])
    rng, shape = np.random.default_rng(3), (5, 9, 13)
    axes = [np.sort(rng.uniform(-1, 1, n)).astype("f4") for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    d_out = rng.normal(size=(len(points), network.n_outputs)).astype("f4")
    d_out[~away_from_kinks(encoding, network, params, points, gain, MARGINS[precision])] = 0
    value, gradient = forward_and_gradient(encoding, network, params, points, d_out, gain)
    of_value, of_gradient = TOLERANCES[precision]
    device = cupy.asarray(params), *(cupy.asarray(a) for a in axes)
    values = cuda.grid_forward(encoding, network, *device, cupy.asarray(gain), precision=precision)
    out = cupy.empty((network.n_outputs, *shape), np.float32)
    d_grid = cupy.asarray(d_out.T.reshape(out.shape).copy())
    arguments = *device, d_grid, cupy.asarray(gain), out
    ours = cuda.grid_backward(encoding, network, *arguments, precision=precision)
    assert gpu.transfers == 0  # nothing waits for the device
    assert values.shape == (network.n_outputs, *shape)
    for given in (values, out):
        assert relative(given.get().reshape(network.n_outputs, -1).T, value) < of_value
    for name, part in named_parts(encoding, network, gradient).items():
        assert relative(named_parts(encoding, network, ours.get())[name], part) < of_gradient, name


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e9])
def test_halves_hold_gradients_of_any_size(gpu, factor):
    """Without the power of two, gradients of 1e-12 would be lost, and of 1e9 not finite."""
    import cupy

    from fieldrx.backends import cuda

    encoding, options, _ = CASES["default"]
    network, params, points, d_out, gain = problem(encoding, options, 50, MARGINS["half"])
    d_out *= np.float32(factor)
    _, gradient = forward_and_gradient(encoding, network, params, points, d_out, gain)
    device = (cupy.asarray(a) for a in (params, points, d_out, gain))
    ours = cuda.field_backward(encoding, network, *device, precision="half").get()
    assert relative(ours / factor, gradient / factor) < 1e-2


@pytest.mark.parametrize("place", [0, 17, 31, 5000, -1])
def test_the_largest_gradient_is_found_wherever_it_is(gpu, place):
    """In any lane, and among more numbers than threads."""
    import cupy

    from fieldrx.backends.cuda import field

    d_out = np.random.default_rng(place % 7).uniform(-1, 1, (3000, 2)).astype("f4")
    d_out.reshape(-1)[place] = -100
    for precision, scale in (("half", 0.125), ("float32", 1)):  # 100 in [64, 128)
        largest = cupy.zeros(1, np.uint32)
        assert field._gradient_scale(cupy.asarray(d_out), precision, largest).get() == scale


def test_no_power_of_two_is_too_large_for_a_float(gpu):
    """Gradients of 1e-38 would ask for 2^129: they are lost instead, and the rest stays finite."""
    import cupy

    from fieldrx.backends import cuda

    encoding, options, _ = CASES["default"]
    network, params, points, d_out, gain = problem(encoding, options, 50, MARGINS["half"])
    device = (cupy.asarray(a) for a in (params, points, d_out * np.float32(1e-34), gain))
    assert not cuda.field_backward(encoding, network, *device, precision="half").get().any()


def test_a_gradient_of_zero_stays_zero(gpu):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, _ = CASES["default"]
    network, params, points, d_out, gain = problem(encoding, options, 50, MARGINS["half"])
    device = (cupy.asarray(a) for a in (params, points, 0 * d_out, gain))
    assert not cuda.field_backward(encoding, network, *device).get().any()


def test_what_is_not_a_number_is_not_hidden(gpu):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, _ = CASES["default"]
    network, params, points, _, _ = problem(encoding, options, 50, MARGINS["half"])
    d_out = np.zeros((50, network.n_outputs), np.float32)
    d_out[7, 1] = np.nan
    device = [cupy.asarray(a) for a in (params, points, d_out)]
    assert np.isnan(cuda.field_backward(encoding, network, *device).get()).any()
    device[0][encoding.n_params] = np.nan
    assert np.isnan(cuda.field_forward(encoding, network, *device[:2]).get()).any()


@pytest.mark.parametrize("encoding", [SMOOTH, TRILINEAR, WAVES, Radial(40.0, 7, 5), Identity(5)], ids=str)
def test_features(gpu, encoding):
    import cupy

    from fieldrx.backends import cuda

    rng = np.random.default_rng(4)
    params = rng.normal(size=encoding.n_params).astype("f4")
    shape = (95, 3 if encoding.kind != "identity" else encoding.n_features)
    points = rng.uniform(-1.1, 1.1, shape).astype("f4")  # some outside the domain
    features, _ = features_and_taps(encoding, params, points)
    ours = cuda.encode(encoding, cupy.asarray(params), cupy.asarray(points))
    np.testing.assert_allclose(ours.get(), features, atol=1e-5)


def test_no_points(gpu):
    import cupy

    from fieldrx.backends import cuda

    encoding, options, _ = CASES["default"]
    network, params, _, _, _ = problem(encoding, options, 8, MARGINS["half"])
    params, points = cupy.asarray(params), cupy.zeros((0, 3), np.float32)
    assert cuda.field_forward(encoding, network, params, points).shape == (0, 2)
    gradient = cuda.field_backward(encoding, network, params, points, cupy.zeros((0, 2), np.float32))
    assert gradient.shape == params.shape and not gradient.get().any()
    assert cuda.encode(encoding, params[: encoding.n_params], points).shape == (0, encoding.n_features)


@pytest.mark.parametrize(
    ("options", "precision", "message"),
    [
        (dict(width=257, depth=2), None, "257 neurons"),
        (dict(width=16, depth=1), "double", 'no precision "double"'),
    ],
)
def test_what_a_gpu_cannot_do(gpu, options, precision, message):
    import cupy

    from fieldrx.backends import cuda

    network = Network(WAVES.n_features, **options)
    params, points = cupy.zeros(network.n_params, np.float32), cupy.zeros((3, 3), np.float32)
    with pytest.raises(InputError, match=message):
        cuda.field_forward(WAVES, network, params, points, precision=precision)


def test_a_table_that_does_not_begin_at_pairs(gpu):
    """Two features at a time are read: of parameters that are a part of an array, from a copy."""
    import cupy

    from fieldrx.backends import cuda

    network, params, points, d_out, gain = problem(*DEFAULT, 33, margin=0)
    shifted = cupy.zeros(params.size + 1, np.float32)
    shifted[1:] = cupy.asarray(params)
    assert shifted[1:].data.ptr % 8 == 4
    rest = [cupy.asarray(a) for a in (points, d_out, gain)]
    found, expected = (
        cuda.field_backward(SMOOTH, network, given, *rest, precision="float32").get()
        for given in (shifted[1:], cupy.asarray(params))
    )
    assert np.array_equal(found, expected) and expected[: SMOOTH.n_params].any()

"""The arithmetic of the network's kernels in half precision, as whole arrays in NumPy.

What is rounded to a half, and where, is as in kernels/network.cuh, network_backward.cu, weight_gradient.cu
and weights.cu: the operands of every matrix product.  Sums, biases, parameters and their gradient are
float32; of a wide network the biases' gradient sums those operands.  Features and the scatter into a table
are those of the CPU.  Fast enough for whole fits: see scripts/study_precision.py.
"""

import numpy as np

from fieldrx.backends import cpu
from fieldrx.backends.checks import HALF, checked_array, checked_axes, checked_field
from fieldrx.backends.cpu import hashgrid
from fieldrx.backends.cuda import layout, load

_LARGEST = 65504.0
_H100 = load.Limits(132, 227 * 1024, 228 * 1024)


def halves(values):
    """float32 values rounded to the nearest half; what is larger becomes the largest one."""
    return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)


def gradient_scale(d_out):
    """The power of two that brings the largest magnitude to between 8 and 16; 1 where all is zero."""
    largest = np.abs(d_out).max(initial=0)
    return np.float32(2.0 ** (4 - np.frexp(largest)[1]) if largest > 0 else 1)


def forward(encoding, network, params, points, gain=None):
    """Value (n, n_outputs) float32 of the field at points (n, 3)."""
    return _forward(encoding, network, *checked_field(np, encoding, network, params, gain), points)[0]


def backward(encoding, network, params, points, d_out, gain=None):
    """Gradient (n_params,) float32 of sum(d_out * field) with respect to all parameters."""
    params, gain = checked_field(np, encoding, network, params, gain)
    _, weights, read, slopes = _forward(encoding, network, params, gain, points)
    gradient, scale = np.zeros(params.size, np.float32), gradient_scale(d_out)
    named = network.unpack(gradient[encoding.n_params :])
    d_features = np.zeros((len(points), encoding.n_features), np.float32)
    d, wide = halves(scale * d_out), layout.backward_plan(encoding, network, HALF, True, _H100).wide
    for layer in range(network.depth, -1, -1):
        named[f"weight_{layer}"][...] = read[layer].T @ d
        if layer == network.depth:
            named[f"bias_{layer}"][...] = d.sum(0)
        back = d @ weights[layer].T
        if _reads_features(network, layer):
            d_features += back[:, -encoding.n_features :]
            named[f"weight_{layer}"][-encoding.n_features :] *= gain[:, None]
        if layer > 0:
            v = back[:, : network.width] * slopes[layer - 1]
            d = halves(v)
            named[f"bias_{layer - 1}"][...] = (d if wide else v).sum(0)  # in weight_gradient
    gradient /= scale
    if encoding.kind == "hash":
        table, buffer = gradient[: encoding.n_params], np.ascontiguousarray(d_features.T / scale).reshape(-1)
        hashgrid.visit_points(hashgrid.levels_of(encoding), points, buffer, len(points), table, True)
    return gradient


class Backend:
    """The CPU's operators, but for a field on a grid in half precision: `fieldrx.Fit` can use it."""

    def __getattr__(self, name):
        return getattr(cpu, name)

    def device_name(self):
        return "half precision in NumPy"

    def choose_precision(self, encoding, network, precision=None):
        return HALF

    def grid_forward(self, encoding, network, params, z, y, x, gain=None, *, precision=HALF):
        assert precision == HALF
        axes = checked_axes(np, encoding, z, y, x)
        values = forward(encoding, network, params, _points(axes), gain)
        return np.ascontiguousarray(values.T).reshape(-1, *map(len, axes))

    def grid_backward(self, encoding, network, params, z, y, x, d_out, gain=None, *, precision=HALF):
        assert precision == HALF
        axes = checked_axes(np, encoding, z, y, x)
        d_out = checked_array(np, "d_out", d_out, (network.n_outputs, *map(len, axes)))
        by_point = d_out.reshape(network.n_outputs, -1).T
        return backward(encoding, network, params, _points(axes), by_point, gain)


def _forward(encoding, network, params, gain, points):
    """Value, and as halves the weights, what every layer reads and the slopes of its activations."""
    features = halves(cpu.encode(encoding, params[: encoding.n_params], points))
    weights, read, slopes, h = [], [], [], None
    named = network.unpack(params[encoding.n_params :])
    for layer in range(network.depth + 1):
        weight = named[f"weight_{layer}"].copy()
        if _reads_features(network, layer):
            weight[-encoding.n_features :] *= gain[:, None]
            h = features if layer == 0 else np.concatenate([h, features], axis=1)
        weights.append(halves(weight))
        read.append(h)
        v = h @ weights[layer] + named[f"bias_{layer}"]
        if layer < network.depth:
            h, slope = _activate(network, v)
            slopes.append(slope)
    return v, weights, read, slopes


def _activate(network, v):
    """Activation as halves, and its derivative as the kernels find it in them."""
    if network.activation == "sine":
        turns = network.omega * v.astype(float)
        return halves(np.sin(turns).astype("f4")), halves((network.omega * np.cos(turns)).astype("f4"))
    slope = np.float32(network.slope if network.activation == "leaky_relu" else 0)
    h = halves(np.where(v > 0, v, slope * v))
    return h, np.where(h > 0, np.float32(1), slope)


def _reads_features(network, layer):
    return layer == 0 or layer in network.skips


def _points(axes):
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)

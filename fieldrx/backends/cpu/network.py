"""The network on tiles of points: forward pass and the gradient of all weights.

A tile of up to 192 points travels through all layers while it is in the cache; only inputs and
outputs ever exist for the whole batch.  Matrices of a tile are stored (neuron, point).  The
backward pass computes the tile's forward pass again instead of reading it back from memory.

Tiles are dealt to the threads in contiguous ranges, each thread sums its own weight gradient, and
these are added in the order of the threads: the result depends on their number, never on timing.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fieldrx.backends.compiler import CACHED, n_threads, njit, prange, threaded_njit
from fieldrx.backends.cpu.encodings import ENCODED, GIVEN, WAVES, fill_given, fill_waves, sincos_turns
from fieldrx.backends.cpu.memory import aligned_zeros, pitch_of, round_up
from fieldrx.backends.cpu.simd import (
    LANES,
    backward_block,
    dense_block,
    dot_block,
    product_block,
    transpose_sum_block,
)

TILE = 192
STEP = 64  # a tile is filled up with points of value zero to a multiple of this
FEW = 4  # neurons of an output layer for which vectors of neurons would be nearly empty

# Columns of the table that describes a layer: where its weights and biases start, neurons that it
# reads, the row where the weights of the features start, features that it reads, its neurons, and
# the row pitch of its weights.
_WEIGHT, _BIAS, _HIDDEN, _FEATURE_ROW, _FEATURES, _NEURONS, _PITCH = range(7)

# Rows x vectors held in registers.
_dense_8x2, _dense_2x4 = dense_block(8, 2), dense_block(2, 4)
_backward_8x2 = backward_block(8, 2)
_product_8x2, _product_16x1 = product_block(8, 2), product_block(16, 1)
_dot_8x2 = dot_block(8, 2)


def _layer_table(network):
    table = np.zeros((network.depth + 1, 7), np.int64)
    end = 0
    for layer, (fan_in, fan_out) in enumerate(network.layer_shapes()):
        hidden = network.width if layer > 0 else 0
        feature_row, pitch = round_up(hidden, LANES), pitch_of(fan_out)
        bias = end + (feature_row + round_up(fan_in - hidden, LANES)) * pitch
        table[layer] = end, bias, hidden, feature_row, fan_in - hidden, fan_out, pitch
        end = bias + pitch
    return table, end


def _matrices(network, named, packed, table):
    """Pairs of the same matrix in logical and packed form: (name, logical, packed, of_features)."""
    for layer, row in enumerate(table.tolist()):
        start, bias, hidden, feature_row, features, neurons, pitch = row
        weight = named[f"weight_{layer}"]
        padded = packed[start:bias].reshape(-1, pitch)[:, :neurons]
        yield weight[:hidden], padded[:hidden], False
        yield weight[hidden:], padded[feature_row : feature_row + features], features > 0
        yield named[f"bias_{layer}"], packed[bias : bias + neurons], False


# --- one tile -------------------------------------------------------------------------------------


@njit(cache=CACHED, nogil=True)
def _dense(params, layer, h, ho, pitch, x, xo, x_pitch, slope, y, yo, n_points):
    """y = leaky(W^T (h, x) + b) for all neurons of a layer and a tile of points."""
    w, b, pw = layer[_WEIGHT], layer[_BIAS], layer[_PITCH]
    eights = layer[_NEURONS] // 8 * 8
    for i in range(0, n_points, 32):
        for j in range(0, eights, 8):
            _dense_8x2(params, w + j, pw, params, b + j, layer[_HIDDEN], h, ho + i, pitch,
                       layer[_FEATURE_ROW], layer[_FEATURES], x, xo + i, x_pitch, slope, y,
                       yo + j * pitch + i, pitch)
    for i in range(0, n_points, 64):
        for j in range(eights, layer[_NEURONS], 2):
            _dense_2x4(params, w + j, pw, params, b + j, layer[_HIDDEN], h, ho + i, pitch,
                       layer[_FEATURE_ROW], layer[_FEATURES], x, xo + i, x_pitch, slope, y,
                       yo + j * pitch + i, pitch)


@njit(cache=CACHED, nogil=True, fastmath={"contract"}, error_model="numpy")
def _sine_row(values, derivatives, omega):
    turns = omega / (2 * math.pi)
    for i in range(values.size):
        sine, cosine = sincos_turns(turns * values[i])
        values[i] = sine
        derivatives[i] = np.float32(omega) * cosine


@njit(cache=CACHED, nogil=True)
def _sine(values, derivatives, start, n_rows, n_points, pitch, omega):
    """values = sin(omega values), derivatives = omega cos(omega values), in place."""
    for r in range(n_rows):
        row = start + r * pitch
        _sine_row(values[row : row + n_points], derivatives[row : row + n_points], omega)


@njit(cache=CACHED, nogil=True)
def _forward_tile(
    params, layers, slope, omega, x, xo, x_pitch, h, derivatives, n_kept, plane, out, n_points, pitch
):
    """All layers; hidden layer l stays in h at (l % n_kept) * plane, the outputs in `out`."""
    last = layers.shape[0] - 1
    for depth in range(last):
        here, before = depth % n_kept * plane, (depth - 1) % n_kept * plane
        _dense(params, layers[depth], h, before, pitch, x, xo, x_pitch, slope, h, here, n_points)
        if omega > 0:
            _sine(h, derivatives, here, layers[depth, _NEURONS], n_points, pitch, omega)
    _dense(params, layers[last], h, (last - 1) % n_kept * plane, pitch, x, xo, x_pitch,
           np.float32(1), out, 0, n_points)


@njit(cache=CACHED, nogil=True)
def _weight_gradient(a, ao, a_pitch, n_rows, d, do, pitch, dt, dt_pitch, n_neurons,
                     grad, start, w_pitch, n_points):
    """grad[r, j] += sum_i a[r, i] d[j, i], where dt is d transposed unless neurons are FEW."""
    if n_neurons <= FEW:
        for j in range(0, n_neurons, 2):
            for r in range(0, n_rows, 8):
                _dot_8x2(n_points, a, ao + r * a_pitch, a_pitch, d, do + j * pitch, pitch,
                         grad, start + r * w_pitch + j, w_pitch)
        return
    wide = (n_neurons + 15) // 32 * 32
    for j in range(0, wide, 32):
        for r in range(0, n_rows, 8):
            _product_8x2(n_points, a, ao + r * a_pitch, a_pitch, dt, j, dt_pitch,
                         grad, start + r * w_pitch + j, w_pitch)
    if wide < n_neurons:
        for r in range(0, n_rows, 16):
            _product_16x1(n_points, a, ao + r * a_pitch, a_pitch, dt, wide, dt_pitch,
                          grad, start + r * w_pitch + wide, w_pitch)


@njit(cache=CACHED, nogil=True, fastmath=True)
def _sum(row):
    total = np.float32(0)
    for i in range(row.size):
        total += row[i]
    return total


@njit(cache=CACHED, nogil=True)
def _multiply(row, factor):
    for i in range(row.size):
        row[i] *= factor[i]


@njit(cache=CACHED, nogil=True)
def _backward_layer(params, layer, slope, h, ho, d, d_here, d_next, n_points, pitch):
    """d_next = act'(h) * W_hidden d_here."""
    w, pw = layer[_WEIGHT], layer[_PITCH]
    for i in range(0, n_points, 32):
        for r in range(0, layer[_HIDDEN], 8):
            _backward_8x2(params, w + r * pw, pw, layer[_NEURONS], d, d_here + i, h,
                          ho + r * pitch + i, slope, d, d_next + r * pitch + i, pitch)


@njit(cache=CACHED, nogil=True)
def _feature_gradient(params, layer, d, d_here, dx, n_points, pitch):
    """dx += W_features d."""
    w, pw = layer[_WEIGHT] + layer[_FEATURE_ROW] * layer[_PITCH], layer[_PITCH]
    for i in range(0, n_points, 32):
        for r in range(0, layer[_FEATURES], 8):
            _product_8x2(
                layer[_NEURONS], params, w + r * pw, pw, d, d_here + i, pitch, dx, r * pitch + i, pitch
            )


@njit(cache=CACHED, nogil=True)
def _backward_tile(params, layers, slope, omega, x, xo, x_pitch, h, derivatives, plane, d, dt,
                   dt_pitch, dx, grad, n_points, pitch):
    """Add the weight gradient of a tile to `grad`, and to `dx` (unless empty) the features'.

    d holds two matrices that the layers use in turn; the gradient of the outputs is in the one of
    the last layer.
    """
    for depth in range(layers.shape[0] - 1, -1, -1):
        layer = layers[depth]
        w, pw, neurons = layer[_WEIGHT], layer[_PITCH], layer[_NEURONS]
        here, before = depth % 2 * plane, (depth - 1) * plane
        if neurons <= FEW:
            for j in range(neurons):
                row = here + j * pitch
                grad[layer[_BIAS] + j] += _sum(d[row:row + n_points])
        else:
            for j in range(0, neurons, LANES):
                for i in range(0, n_points, LANES):
                    transpose_sum_block(d, here + j * pitch + i, pitch,
                                        dt, i * dt_pitch + j, dt_pitch, grad, layer[_BIAS] + j)
        _weight_gradient(h, before, pitch, layer[_HIDDEN], d, here, pitch, dt, dt_pitch, neurons,
                         grad, w, pw, n_points)
        _weight_gradient(x, xo, x_pitch, layer[_FEATURES], d, here, pitch, dt, dt_pitch, neurons,
                         grad, w + layer[_FEATURE_ROW] * pw, pw, n_points)
        if dx.size > 0:
            _feature_gradient(params, layer, d, here, dx, n_points, pitch)
        if depth > 0:
            _backward_layer(params, layer, slope, h, before, d, here, plane - here, n_points, pitch)
            if omega > 0:
                for r in range(layer[_HIDDEN]):
                    row, factor = plane - here + r * pitch, before + r * pitch
                    _multiply(d[row : row + n_points], derivatives[factor : factor + n_points])


# --- tiles of a batch -----------------------------------------------------------------------------
# A batch is n points, the same for every one of n_layers layers that differ only by an offset in z:
# scattered points are one layer with offset 0, a grid has its (y, x) points and its z axis.  The
# value of output o at point i of layer k is at o * strides[0] + k * strides[1] + i * strides[2].


@njit(cache=CACHED, nogil=True)
def _load_tile(kind, points, z_offset, given, frequencies, sin_feature, cos_feature, n_planar,
               same_points, start, count, n_points, zyx, features, pitch):
    """Fill the features of a tile.

    Waves without a z component, the first n_planar ones, are still there from the layer before.
    """
    if kind == GIVEN:
        fill_given(given, start, count, features, pitch)
        if count < n_points:
            for f in range(given.shape[1]):
                features[f * pitch + count : f * pitch + n_points] = 0
    elif kind == WAVES:
        for i in range(n_points):
            p = start + min(i, count - 1)
            zyx[0, i] = np.float64(points[p, 0]) + z_offset
            zyx[1, i] = points[p, 1]
            zyx[2, i] = points[p, 2]
        first = n_planar if same_points else 0
        fill_waves(
            frequencies[first:], sin_feature[first:], cos_feature[first:], zyx, n_points, features, pitch
        )


@njit(cache=CACHED, nogil=True)
def _write_tile(tile, pitch, start, count, out, layer, strides, n_outputs):
    for o in range(n_outputs):
        base = o * strides[0] + layer * strides[1] + start * strides[2]
        for i in range(count):
            out[base + i * strides[2]] = tile[o * pitch + i]


@njit(cache=CACHED, nogil=True)
def _read_tile(tile, offset, pitch, start, count, n_points, d_out, layer, strides, n_outputs):
    for o in range(n_outputs):
        base = o * strides[0] + layer * strides[1] + start * strides[2]
        row = offset + o * pitch
        for i in range(count):
            tile[row + i] = d_out[base + i * strides[2]]
        tile[row + count : row + n_points] = 0


@threaded_njit(cache=CACHED, nogil=True)
def _forward(params, layers, slope, omega, rows, feature_rows, kind, points, z_offsets, given,
             encoded, encoded_pitch, frequencies, sin_feature, cos_feature, n_planar, n, tile,
             pitch, out, strides, workspace):
    n_outputs, n_layers = layers[-1, _NEURONS], z_offsets.size
    n_threads, plane = workspace.shape[0], rows * pitch
    work = -(-n // tile) * n_layers
    for thread in prange(n_threads):
        space = workspace[thread]
        own_features = space[: feature_rows * pitch]
        space = space[feature_rows * pitch :]
        h, tile_out, derivatives = space[: 2 * plane], space[2 * plane : 3 * plane], space[3 * plane :]
        zyx = np.empty((3, tile), np.float64)
        loaded = np.int64(-1)
        for item in range(thread * work // n_threads, (thread + 1) * work // n_threads):
            column, k = item // n_layers, item % n_layers
            start = column * tile
            count = min(tile, n - start)
            n_points = -(-count // STEP) * STEP
            _load_tile(kind, points, z_offsets[k], given, frequencies, sin_feature, cos_feature,
                       n_planar, loaded == column, start, count, n_points, zyx, own_features, pitch)
            loaded = column
            if kind == ENCODED:
                x, xo, x_pitch = encoded, k * feature_rows * encoded_pitch + start, encoded_pitch
            else:
                x, xo, x_pitch = own_features, np.int64(0), pitch
            _forward_tile(params, layers, slope, omega, x, xo, x_pitch, h, derivatives, 2, plane,
                          tile_out, n_points, pitch)
            _write_tile(tile_out, pitch, start, count, out, k, strides, n_outputs)


@threaded_njit(cache=CACHED, nogil=True)
def _backward(params, layers, slope, omega, rows, feature_rows, kind, points, z_offsets, given,
              encoded, encoded_pitch, frequencies, sin_feature, cos_feature, n_planar, n, tile,
              pitch, d_out, out, strides, workspace, gradients):
    n_outputs, n_layers, depth = layers[-1, _NEURONS], z_offsets.size, layers.shape[0] - 1
    n_threads, plane = workspace.shape[0], rows * pitch
    dt_pitch = rows + LANES * (1 - rows // LANES % 2)
    work = -(-n // tile) * n_layers
    for thread in prange(n_threads):
        space = workspace[thread]
        own_features = space[: feature_rows * pitch]
        dx = space[
            feature_rows * pitch : 2 * feature_rows * pitch if kind == ENCODED else feature_rows * pitch
        ]
        space = space[feature_rows * pitch + dx.size :]
        h, tile_out, d = (space[: depth * plane], space[depth * plane : (depth + 1) * plane],
                          space[(depth + 1) * plane : (depth + 3) * plane])
        space = space[(depth + 3) * plane :]
        dt, derivatives = space[: tile * dt_pitch], space[tile * dt_pitch :]
        zyx = np.empty((3, tile), np.float64)
        loaded = np.int64(-1)
        for item in range(thread * work // n_threads, (thread + 1) * work // n_threads):
            column, k = item // n_layers, item % n_layers
            start = column * tile
            count = min(tile, n - start)
            n_points = -(-count // STEP) * STEP
            _load_tile(kind, points, z_offsets[k], given, frequencies, sin_feature, cos_feature,
                       n_planar, loaded == column, start, count, n_points, zyx, own_features, pitch)
            loaded = column
            if kind == ENCODED:
                x, xo, x_pitch = encoded, k * feature_rows * encoded_pitch + start, encoded_pitch
            else:
                x, xo, x_pitch = own_features, np.int64(0), pitch
            _forward_tile(params, layers, slope, omega, x, xo, x_pitch, h, derivatives, depth,
                          plane, tile_out, n_points, pitch)
            if out.size > 0:
                _write_tile(tile_out, pitch, start, count, out, k, strides, n_outputs)
            _read_tile(d, depth % 2 * plane, pitch, start, count, n_points, d_out, k, strides, n_outputs)
            dx[:] = 0
            _backward_tile(params, layers, slope, omega, x, xo, x_pitch, h, derivatives, plane, d,
                           dt, dt_pitch, dx, gradients[thread], n_points, pitch)
            if kind == ENCODED:
                for f in range(feature_rows):
                    row = xo + f * x_pitch
                    x[row : row + count] = dx[f * pitch : f * pitch + count]


class Batch(NamedTuple):
    """Points for `TiledNetwork`: n points, the same for each of several layers.

    Attributes
    ----------
    kind : GIVEN, WAVES or ENCODED
        Where the features come from: `given`, the `waves` at the points, or `encoded`.
    n : int
        Points in a layer.
    strides : (3,) int64
        Distance in the flat outputs between outputs, between layers, between points.
    points : (n, 3) float32, (z, y, x)
    z_offsets : (layers,) float32, added to z
    given : (n, n_features) float32
    encoded : flat float32
        Feature f of point i of layer k at (k * feature_rows + f) * encoded_pitch + i, with
        feature_rows the number of features rounded up to 16; the backward pass leaves the features'
        gradient in their place.
    waves : fieldrx.field.encodings.Waves
    start : int
        Place of the batch in the flat outputs of the caller.
    """

    kind: int
    n: int
    strides: np.ndarray
    points: np.ndarray = np.zeros((0, 3), np.float32)
    z_offsets: np.ndarray = np.zeros(1, np.float32)
    given: np.ndarray = np.zeros((0, 0), np.float32)
    encoded: np.ndarray = np.zeros(0, np.float32)
    encoded_pitch: int = 0
    waves: tuple = (np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(0, np.int64))
    start: int = 0


class TiledNetwork:
    """A network with packed weights, and the weight gradient of the batches it has seen.

    Parameters
    ----------
    network : fieldrx.field.network.Network
    params : (network.n_params,) float32
    gain : (n_inputs,) float32
        Factor of every feature; it goes into the weights that read them.
    """

    def __init__(self, network: Any, params: np.ndarray, gain: np.ndarray):
        self.network, self.gain = network, gain
        self.layers, size = _layer_table(network)
        self.params = aligned_zeros(size)
        named = network.unpack(params)
        for logical, packed, of_features in _matrices(network, named, self.params, self.layers):
            packed[...] = logical * gain[:, None] if of_features else logical
        self.n_threads = n_threads()
        self.gradients = None

    def forward(self, batch: Batch, out: np.ndarray) -> None:
        """Write the outputs of a batch to flat `out`, which starts at the batch."""
        _forward(*self._arguments(batch), out, batch.strides, self._workspace(batch.kind, 2, 1))

    def backward(self, batch: Batch, d_out: np.ndarray, out: np.ndarray) -> None:
        """Add a batch's weight gradient; write its outputs to `out` unless that is empty."""
        if self.gradients is None:
            self.gradients = aligned_zeros(self.n_threads, self.params.size)
        depth = self.network.depth
        _backward(*self._arguments(batch), d_out, out, batch.strides,
                  self._workspace(batch.kind, depth, 3), self.gradients)

    def write_gradient(self, out: np.ndarray) -> None:
        """Sum of the threads' weight gradients, (network.n_params,), written to `out`."""
        if self.gradients is None:
            return
        total, named = self.gradients.sum(axis=0), self.network.unpack(out)
        for logical, packed, of_features in _matrices(self.network, named, total, self.layers):
            logical[...] = packed * self.gain[:, None] if of_features else packed

    def _arguments(self, batch):
        network = self.network
        slope = {"leaky_relu": network.slope, "relu": 0.0, "sine": 1.0}[network.activation]
        omega = network.omega if network.activation == "sine" else 0.0
        waves, n_planar = _planar_first(*batch.waves)
        return (self.params, self.layers, np.float32(slope), omega, self._rows,
                round_up(network.n_inputs, LANES), batch.kind, batch.points, batch.z_offsets,
                batch.given, batch.encoded, batch.encoded_pitch, *waves, n_planar, batch.n, TILE,
                pitch_of(TILE))

    @property
    def _rows(self):
        return round_up(max(self.network.width, self.network.n_outputs), LANES)

    def _workspace(self, kind, n_kept, n_more):
        """Zeroed memory of every thread: n_kept activations and n_more matrices like them."""
        n_planes = n_kept + n_more + (n_kept if self.network.activation == "sine" else 0)
        n_features = round_up(self.network.n_inputs, LANES) * (2 if kind == ENCODED else 1)
        transposed = TILE * pitch_of(self._rows)
        return aligned_zeros(
            self.n_threads, (n_features + n_planes * self._rows) * pitch_of(TILE) + transposed
        )


def _planar_first(frequencies, sin_feature, cos_feature):
    """The waves without a z component before the others, and their number."""
    axial = frequencies[:, 0] != 0
    order = np.argsort(axial, kind="stable")
    waves = frequencies[order], sin_feature[order], cos_feature[order]
    return waves, np.count_nonzero(~axial)

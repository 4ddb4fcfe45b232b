"""The operators of a neural field on the device; the twins of `fieldrx.backends.cpu.field`.

Encoding and network run in one kernel: coordinates in, outputs out.  See kernels/network.cu and
kernels/network_backward.cu, and docs/gpu.rst for what they move and compute.

`precision` "half": operands of matrix products are halves and sums are floats, on tensor cores; parameters
and their gradient are float32, and gradients are multiplied by a power of two on their way, so that halves
hold them.  "float32": nothing is rounded to less.  None chooses "half", but "float32" for sines.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

import cupy
import numpy as np

from fieldrx.backends.checks import checked_array, checked_axes, checked_field, checked_out, checked_points
from fieldrx.backends.cuda import layout
from fieldrx.backends.cuda.load import blocks_at_once, device_limits, launch, on_each_device
from fieldrx.backends.cuda.upload import held

_WORKSPACE = 1 << 28  # bytes for the activations of a wide network
_THREADS = 256
_ALIGNED = 64  # floats, from a multiple of which on a part of an array begins


class _Points(NamedTuple):
    """Where the field is evaluated, as the kernels take it."""

    arrays: tuple  # points, or the axes
    n: int
    ny: int
    nx: int
    grid: bool
    along: int  # distance between outputs in the flat values
    across: int  # between points

    def arguments(self):
        return (*self.arrays, np.int32(self.n), np.int32(self.ny), np.int32(self.nx))

    def strides(self):
        return np.int64(self.along), np.int64(self.across)


def choose_precision(encoding: Any, network: Any, precision: str | None = None) -> str:
    """ "half" or "float32"; see `fieldrx.backends.operators.Operators.choose_precision`.

    Raises
    ------
    InputError
        If the network's kernels need more shared memory than a block has here.
    """
    chosen, limits = layout.precision_of(network, precision), device_limits()
    for plan in (layout.forward_plan, layout.backward_plan):  # needs are the same on a grid and off it
        plan(encoding, network, chosen, True, limits)
    return chosen


def field_forward(
    encoding: Any,
    network: Any,
    params: np.ndarray,
    zyx_points: np.ndarray,
    gain: np.ndarray | None = None,
    out: np.ndarray | None = None,
    *,
    precision: str | None = None,
) -> np.ndarray:
    """Value of the field at scattered points; see `fieldrx.backends.operators.Operators.field_forward`."""
    params, gain = _field(encoding, network, params, gain)
    points = checked_points(cupy, encoding, zyx_points)
    out = checked_out(cupy, out, (len(points), network.n_outputs))
    return _forward(encoding, network, params, gain, _scattered(points, network), out, precision)


def field_backward(
    encoding: Any,
    network: Any,
    params: np.ndarray,
    zyx_points: np.ndarray,
    d_out: np.ndarray,
    gain: np.ndarray | None = None,
    out: np.ndarray | None = None,
    *,
    precision: str | None = None,
) -> np.ndarray:
    """Gradient of sum(d_out * field); see `fieldrx.backends.operators.Operators.field_backward`."""
    params, gain = _field(encoding, network, params, gain)
    points = checked_points(cupy, encoding, zyx_points)
    shape = (len(points), network.n_outputs)
    d_out = checked_array(cupy, "d_out", d_out, shape)
    out = None if out is None else checked_out(cupy, out, shape)
    return _backward(encoding, network, params, gain, _scattered(points, network), d_out, out, precision)


def grid_forward(
    encoding: Any,
    network: Any,
    params: np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    gain: np.ndarray | None = None,
    *,
    precision: str | None = None,
) -> np.ndarray:
    """Value of the field on a grid; see `fieldrx.backends.operators.Operators.grid_forward`."""
    params, gain = _field(encoding, network, params, gain)
    axes = _axes(encoding, z, y, x)
    out = cupy.empty((network.n_outputs, *map(len, axes)), np.float32)
    return _forward(encoding, network, params, gain, _on_grid(axes), out, precision)


def grid_backward(
    encoding: Any,
    network: Any,
    params: np.ndarray,
    z: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    d_out: np.ndarray,
    gain: np.ndarray | None = None,
    out: np.ndarray | None = None,
    *,
    precision: str | None = None,
) -> np.ndarray:
    """Gradient of sum(d_out * field) on a grid; see `fieldrx.backends.operators.Operators.grid_backward`."""
    params, gain = _field(encoding, network, params, gain)
    axes = _axes(encoding, z, y, x)
    shape = (network.n_outputs, *map(len, axes))
    d_out = checked_array(cupy, "d_out", d_out, shape)
    out = None if out is None else checked_out(cupy, out, shape)
    return _backward(encoding, network, params, gain, _on_grid(axes), d_out, out, precision)


def encode(encoding: Any, params: np.ndarray, zyx_points: np.ndarray) -> np.ndarray:
    """Features of scattered points; see `fieldrx.backends.operators.Operators.encode`."""
    params = checked_array(cupy, "params", params, (encoding.n_params,))
    points = checked_points(cupy, encoding, zyx_points)
    features = cupy.empty((len(points), encoding.n_features), np.float32)
    if len(points):
        constants = layout.encoding_constants(encoding) | {"GRID": 0}
        arguments = points, np.int32(len(points)), *_encoding_arrays(encoding, params, points), features
        launch("encode.cu", "encode", (-(-len(points) // 32),), (128,), arguments, constants=constants)
    return features


# --- launches -------------------------------------------------------------------------------------


def _field(encoding, network, params, gain):
    """Parameters, and the gain of every feature, which one step after the other may share."""
    if not isinstance(gain, cupy.ndarray):
        gain = np.ones(encoding.n_features) if gain is None else np.asarray(gain)
        gain = held(gain.astype(np.float32))[0]
    return checked_field(cupy, encoding, network, params, gain)


def _axes(encoding, *axes):
    """The axes of a grid, which the way back takes as well."""
    if any(isinstance(axis, cupy.ndarray) for axis in axes):
        return checked_axes(cupy, encoding, *axes)
    return held(*checked_axes(np, encoding, *axes))


def _scattered(points, network):
    return _Points((points,) * 3, len(points), 1, 1, False, 1, network.n_outputs)


def _on_grid(axes):
    nz, ny, nx = map(len, axes)
    n = nz * ny * nx
    return _Points(tuple(axes), n, ny, nx, True, n, 1)


def _forward(encoding, network, params, gain, points, out, precision):
    precision = layout.precision_of(network, precision)
    plan = layout.forward_plan(encoding, network, precision, points.grid, device_limits())
    if points.n == 0:
        return out
    packed, biases = _pack(encoding, network, params, gain, precision, backward=False)
    arguments = (
        *points.arguments(),
        *_encoding_arrays(encoding, params, points.arrays[0]),
        *(packed, np.int32(plan.packed_size), np.int32(plan.slot), biases, out),
        *points.strides(),
    )
    _launch_persistent("network.cu", "network_forward", plan, points.n, arguments)
    return out


def _backward(encoding, network, params, gain, points, d_out, out, precision):
    precision = layout.precision_of(network, precision)
    plan = layout.backward_plan(encoding, network, precision, points.grid, device_limits())
    tables = _tables(encoding, network, precision, True)
    gradient, d_packed, largest = _zeros(params.size, tables.gradient_size, 1)
    if points.n == 0:
        return gradient
    packed, biases = _pack(encoding, network, params, gain, precision, backward=True)
    scale = _gradient_scale(d_out, precision, largest.view(np.uint32))
    given = *points.arguments(), *_encoding_arrays(encoding, params, points.arrays[0])
    weights = packed, np.int32(plan.packed_size), np.int32(plan.slot), biases
    values = d_out, scale, d_out if out is None else out, np.int32(out is not None), *points.strides()
    space = _workspace(plan, points.n)
    for start in range(0, points.n, space.rows):
        stop = min(start + space.rows, points.n)
        part = np.int32(start), np.int32(stop), d_packed, gradient
        rows = np.int32(layout.round_up(stop - start, plan.rows))
        arguments = (*given, *weights, *values, *part, *space.arrays, rows)
        _launch_persistent("network_backward.cu", "network_backward", plan, stop - start, arguments)
        if plan.wide:
            _weight_gradient(plan, given, np.int32(start), rows, space, tables.jobs, d_packed)
    weights_gradient = gradient[encoding.n_params :]
    arguments = d_packed, gain, tables.place, tables.feature_of_param, np.int32(network.n_params), scale
    _launch_over(network.n_params, precision, "unpack_gradient", *arguments, weights_gradient)
    return gradient


def _weight_gradient(plan, given, start, rows, space, jobs, d_packed):
    constants, shared = layout.gradient_constants(plan)
    kept, _, deltas, d_last = space.arrays
    shares = max(1, min(int(rows) // 32, 2 * device_limits().multiprocessors // len(jobs)))
    arguments = (*given, start, rows, kept, deltas, d_last, jobs, d_packed)
    launch("weight_gradient.cu", "weight_gradient", (len(jobs), shares), (256,), arguments, shared, constants)


class _Workspace(NamedTuple):
    rows: int  # points at a time
    arrays: tuple  # activations, their derivatives, gradients before the activations, scaled d_out


def _workspace(plan, n):
    """Global memory of network_backward; a placeholder where it needs none."""
    number = np.dtype(np.uint16 if plan.item == 2 else np.float32)
    if not plan.wide:
        return _Workspace(n, (cupy.empty(1, number),) * 4)
    at_once = max(plan.rows, _WORKSPACE // layout.workspace_row(plan) // plan.rows * plan.rows)
    rows = min(at_once, layout.round_up(n, plan.rows))
    constants = plan.constants
    plane = rows * constants["WIDTH"] * constants["DEPTH"]
    sizes = plane, plane if constants["SINE"] else 1, plane, rows * constants["OUTPUTS"]
    return _Workspace(at_once, tuple(cupy.empty(size, number) for size in sizes))


def _launch_persistent(source, kernel, plan, n, arguments):
    """Launch as many blocks as run at once, at most one a tile."""
    at_once = blocks_at_once(source, kernel, plan.threads, plan.shared_bytes, plan.constants)
    blocks = min(at_once, -(-n // plan.rows))
    launch(source, kernel, (blocks,), (plan.threads,), arguments, plan.shared_bytes, plan.constants)


def _launch_over(n, precision, kernel, *arguments):
    """Launch a kernel of weights.cu with a thread for each of n elements."""
    constants = {"HALF": int(precision == layout.HALF)}
    launch("weights.cu", kernel, (-(-n // _THREADS),), (_THREADS,), arguments, constants=constants)


def _pack(encoding, network, params, gain, precision, backward):
    """Packed weights and biases of the network."""
    tables = _tables(encoding, network, precision, backward)
    n, n_biases = tables.feature.size, tables.source.size - tables.feature.size
    packed = cupy.empty(n, np.uint16 if precision == layout.HALF else np.float32)
    biases = cupy.empty(n_biases, np.float32)
    arguments = params[encoding.n_params :], gain, tables.source, tables.feature, np.int32(n)
    _launch_over(n + n_biases, precision, "pack_weights", *arguments, np.int32(n_biases), packed, biases)
    return packed, biases


def _zeros(*sizes):
    """Rows of zeros, float32, that are parts of one."""
    starts = [0, *accumulate(layout.round_up(size, _ALIGNED) for size in sizes)]
    row = cupy.zeros(starts.pop(), np.float32)
    return [row[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def _gradient_scale(d_out, precision, largest):
    """Factor that brings d_out into the range of halves, (1,) on the device; 1 for float32."""
    scale = cupy.empty(1, np.float32)
    if precision == layout.HALF:
        blocks = 8 * device_limits().multiprocessors * _THREADS
        _launch_over(
            min(d_out.size, blocks), precision, "largest_magnitude", d_out, np.int32(d_out.size), largest
        )
    constants = {"HALF": int(precision == layout.HALF)}
    launch("weights.cu", "gradient_scale", (1,), (1,), (largest, scale), constants=constants)
    return scale


@on_each_device(maxsize=8)
def _tables(encoding, network, precision, backward):
    """The places of parameters, on the device."""
    tables = layout.places(encoding, network, precision, backward)
    return tables._replace(
        **{name: cupy.asarray(a) for name, a in tables._asdict().items() if isinstance(a, np.ndarray)}
    )


def _encoding_arrays(encoding, params, unused):
    """Numbers and integers of an encoding, see encoding.cuh."""
    if encoding.kind == "identity":
        return unused, cupy.zeros(1, np.int32)
    if encoding.kind == "hash":  # whose numbers are read in pairs
        table = params[: encoding.n_params]
        return table.copy() if table.data.ptr % 8 else table, _levels(encoding)
    return _waves(encoding)


@on_each_device(maxsize=8)
def _waves(encoding):
    waves = encoding.waves()
    first = waves.frequencies.astype(np.float32)
    rest = (waves.frequencies - first).astype(np.float32)
    features = np.stack([waves.sin_feature, waves.cos_feature], axis=1).astype(np.int32)
    return cupy.asarray(np.concatenate([first, rest], axis=1)), cupy.asarray(features)


@on_each_device(maxsize=8)
def _levels(encoding):
    sizes = encoding.n_features_per_level * np.array(encoding.nodes_per_level)
    mask = np.where(encoding.dense, -1, 2**encoding.log2_table_size - 1)
    table = np.column_stack([encoding.resolutions, np.cumsum(sizes) - sizes, mask])
    return cupy.asarray(table.astype(np.int32))

"""The operators of a neural field: values and weight gradients, at points and on grids.

Parameters are one flat float32 vector, those of the encoding first, then those of the network.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from fieldrx.backends.checks import (
    SINGLE,
    checked_array,
    checked_axes,
    checked_field,
    checked_out,
    checked_points,
    checked_precision,
)
from fieldrx.backends.cpu import hashgrid
from fieldrx.backends.cpu.encodings import ENCODED, GIVEN, WAVES, fill_waves
from fieldrx.backends.cpu.memory import LINE, aligned_zeros, pitch_of, round_up
from fieldrx.backends.cpu.network import STEP, Batch, TiledNetwork
from fieldrx.errors import InputError

# The features of a hash grid are computed for blocks of this many points; rows of a grid come in
# slabs, so that the lattice planes of a slab stay in the cache.
_BLOCK, _SLAB = 2**16, 2**12

_NOTHING = np.zeros(0, np.float32)


def choose_precision(encoding: Any, network: Any, precision: str | None = None) -> str:
    """ "float32", in which the CPU computes every network.

    Raises
    ------
    InputError
        If another precision is asked for.
    """
    if checked_precision(precision) not in (None, SINGLE):
        raise InputError(
            f'precision is "{precision}"; the CPU computes in "{SINGLE}" alone: leave the precision out, '
            "or use a GPU"
        )
    return SINGLE


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
    choose_precision(encoding, network, precision)
    params, gain = checked_field(np, encoding, network, params, gain)
    points = checked_points(np, encoding, zyx_points)
    out = checked_out(np, out, (len(points), network.n_outputs))
    _forward(encoding, network, params, gain, _point_batches(encoding, points, network), out)
    return out


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
    choose_precision(encoding, network, precision)
    params, gain = checked_field(np, encoding, network, params, gain)
    points = checked_points(np, encoding, zyx_points)
    shape = (len(points), network.n_outputs)
    d_out = checked_array(np, "d_out", d_out, shape)
    out = _NOTHING if out is None else checked_out(np, out, shape)
    batches = _point_batches(encoding, points, network)
    return _backward(encoding, network, params, gain, batches, d_out, out)


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
    choose_precision(encoding, network, precision)
    params, gain = checked_field(np, encoding, network, params, gain)
    axes = checked_axes(np, encoding, z, y, x)
    out = np.zeros((network.n_outputs, *map(len, axes)), np.float32)
    _forward(encoding, network, params, gain, _grid_batches(encoding, axes, network), out)
    return out


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
    choose_precision(encoding, network, precision)
    params, gain = checked_field(np, encoding, network, params, gain)
    axes = checked_axes(np, encoding, z, y, x)
    shape = (network.n_outputs, *map(len, axes))
    d_out = checked_array(np, "d_out", d_out, shape)
    out = _NOTHING if out is None else checked_out(np, out, shape)
    batches = _grid_batches(encoding, axes, network)
    return _backward(encoding, network, params, gain, batches, d_out, out)


def encode(encoding: Any, params: np.ndarray, zyx_points: np.ndarray) -> np.ndarray:
    """Features of scattered points; see `fieldrx.backends.operators.Operators.encode`."""
    params = checked_array(np, "params", params, (encoding.n_params,))
    points = checked_points(np, encoding, zyx_points)
    n = len(points)
    if encoding.kind == "identity":
        return points.copy()
    features = np.zeros((encoding.n_features, n), np.float32)
    if encoding.kind == "hash":
        hashgrid.visit_points(hashgrid.levels_of(encoding), points, features.reshape(-1), n, params, False)
    else:
        fill_waves(*encoding.waves(), points.T.astype(float), n, features.reshape(-1), n)
    return np.ascontiguousarray(features.T)


# --- from operators to batches --------------------------------------------------------------------


def _forward(encoding, network, params, gain, batches, out):
    table, weights = np.split(params, [encoding.n_params])
    tiled = TiledNetwork(network, weights, gain)
    for batch, visit_table in batches:
        visit_table(table, False)
        tiled.forward(batch, out.reshape(-1)[batch.start :])


def _backward(encoding, network, params, gain, batches, d_out, out):
    table, weights = np.split(params, [encoding.n_params])
    gradient = np.zeros(params.size, np.float32)
    table_gradient, weight_gradient = np.split(gradient, [encoding.n_params])
    tiled = TiledNetwork(network, weights, gain)
    for batch, visit_table in batches:
        visit_table(table, False)
        tiled.backward(batch, d_out.reshape(-1)[batch.start :], out.reshape(-1)[batch.start :])
        visit_table(table_gradient, True)
    tiled.write_gradient(weight_gradient)
    return gradient


def _no_table(table, scatter):
    """What `visit_table` does for an encoding without parameters."""


def _point_batches(encoding, points, network):
    """Pairs (Batch, visit_table) that cover scattered points.

    visit_table(table, False) computes the features of the batch from the encoding's parameters,
    visit_table(gradient, True) adds the gradient that the network left in their place.
    """
    n, strides = len(points), np.array([1, 0, network.n_outputs])
    if encoding.kind == "identity":
        yield Batch(GIVEN, n, strides, given=points), _no_table
    elif encoding.kind == "hash":
        levels = hashgrid.levels_of(encoding)
        features, pitch = _feature_buffer(encoding, 1, min(n, _BLOCK))
        for start in range(0, n, _BLOCK):
            block = points[start : start + _BLOCK]
            visit = partial(hashgrid.visit_points, levels, block, features, pitch)
            place = dict(encoded=features, encoded_pitch=pitch, start=start * network.n_outputs)
            yield Batch(ENCODED, len(block), strides, **place), visit
    else:
        yield Batch(WAVES, n, strides, points=points, waves=encoding.waves()), _no_table


def _grid_batches(encoding, axes, network):
    """Pairs (Batch, visit_table) that cover a grid, see `_point_batches`."""
    nz, ny, nx = map(len, axes)
    strides = np.array([nz * ny * nx, ny * nx, 1])
    if encoding.kind == "hash":
        levels = hashgrid.levels_of(encoding)
        places = [hashgrid.axis_nodes(levels, axis, axes[axis]) for axis in range(3)]
        n_rows = max(1, min(ny, _SLAB // max(nx, 1)))
        n_planes = max(1, min(nz, _BLOCK // max(n_rows * nx, 1)))
        features, pitch = _feature_buffer(encoding, n_planes, n_rows * nx)
        for y in range(0, ny, n_rows):
            for z in range(0, nz, n_planes):
                block = (slice(z, min(z + n_planes, nz)), slice(y, min(y + n_rows, ny)))
                visit = partial(hashgrid.visit_grid, levels, places, block, features, pitch)
                n = (block[1].stop - y) * nx
                place = dict(encoded=features, encoded_pitch=pitch, start=(z * ny + y) * nx)
                yield Batch(ENCODED, n, strides, z_offsets=axes[0][block[0]], **place), visit
    else:
        plane = np.zeros((ny, nx, 3), np.float32)
        plane[..., 1], plane[..., 2] = axes[1][:, None], axes[2]
        place = dict(points=plane.reshape(-1, 3), z_offsets=axes[0])
        yield Batch(WAVES, ny * nx, strides, waves=encoding.waves(), **place), _no_table


def _feature_buffer(encoding, n_planes, n_points):
    pitch = pitch_of(round_up(n_points, STEP))
    return aligned_zeros(n_planes * round_up(encoding.n_features, LINE) * pitch), pitch

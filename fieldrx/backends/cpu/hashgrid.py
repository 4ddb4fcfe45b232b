"""The hash-grid encoding: features of points or of a regular grid, and the gradient of its table.

Features of a block of points are stored (layer, feature, point): feature f of point i of layer k is
at (k * feature_rows + f) * pitch + i of a flat buffer.  Threads own whole levels, in the forward
pass and in the gradient, so that no two of them ever write to the same place.

On a grid the lookup is separable.  Each lattice row is read once and interpolated along x once for
each lattice plane; these rows are then blended along y and z.  The gradient is the exact adjoint
of that, lattice planes being scattered into the table when the sweep along z leaves them.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fieldrx.backends.compiler import CACHED, n_threads, njit, prange, threaded_njit
from fieldrx.backends.cpu.memory import LINE, round_up

_PRIME_Y, _PRIME_Z = np.uint32(2654435761), np.uint32(805459861)
_GROUP = 64  # scattered points that are looked up together


class Levels(NamedTuple):
    """The levels of a `fieldrx.field.encodings.Hash` as arrays."""

    resolutions: np.ndarray  # (levels, 3) int64, lattice nodes along (z, y, x)
    starts: np.ndarray  # (levels,) int64, first parameter
    masks: np.ndarray  # (levels,) int64, table size - 1, or -1 where the level is dense
    n_features: int  # per level
    smooth: bool


class AxisNodes(NamedTuple):
    """Where the samples of one axis of a grid lie between the lattice nodes of every level."""

    nodes: np.ndarray  # (levels, 2 n) uint32: the distinct nodes in use, ascending
    counts: np.ndarray  # (levels,) int64: how many they are
    lower: np.ndarray  # (levels, n) int64: position in `nodes` of each sample's lower node
    weights: np.ndarray  # (levels, n) float32: weight of the upper node


def levels_of(encoding: Any) -> Levels:
    """The arrays that the kernels take for a `Hash`."""
    sizes = encoding.n_features_per_level * np.array(encoding.nodes_per_level)
    mask = 2**encoding.log2_table_size - 1
    return Levels(np.array(encoding.resolutions, np.int64), np.cumsum(sizes) - sizes,
                  np.where(encoding.dense, -1, mask).astype(np.int64),
                  encoding.n_features_per_level, encoding.smooth)


def axis_nodes(levels: Levels, axis: int, coordinates: np.ndarray) -> AxisNodes:
    """Place the samples of a grid's axis (0, 1, 2 for z, y, x) in the lattices of all levels."""
    n_levels, n = len(levels.resolutions), len(coordinates)
    table = AxisNodes(np.zeros((n_levels, 2 * n), np.uint32), np.zeros(n_levels, np.int64),
                      np.zeros((n_levels, n), np.int64), np.zeros((n_levels, n), np.float32))
    for level, resolution in enumerate(levels.resolutions[:, axis]):
        place = np.clip((coordinates.astype(float) + 1) * 0.5 * (resolution - 1), 0, resolution - 1)
        cell = np.minimum(place.astype(np.int64), resolution - 2)
        weight = place - cell
        used = np.unique(np.concatenate([cell, cell + 1]))
        table.nodes[level, : used.size] = used
        table.counts[level] = used.size
        table.lower[level] = np.searchsorted(used, cell)
        table.weights[level] = weight**2 * (3 - 2 * weight) if levels.smooth else weight
    return table


# --- scattered points -----------------------------------------------------------------------------


@njit(cache=CACHED, nogil=True, inline="always")
def _place(coordinate, resolution, smooth):
    """Lower lattice node and weight of the upper one; outside the domain, its border."""
    place = (np.float64(coordinate) + 1) * 0.5 * (resolution - 1)
    place = min(max(place, 0.0), np.float64(resolution - 1))
    cell = min(np.int64(place), resolution - 2)
    weight = place - cell
    if smooth:
        weight = weight * weight * (3 - 2 * weight)
    return cell, np.float32(weight)


@njit(cache=CACHED, nogil=True, error_model="numpy")
def _corners(points, resolution, mask, smooth, entries, weights):
    """Stored index and weight, both (8, n), of the lattice nodes around n points."""
    for i in range(points.shape[0]):
        z, wz = _place(points[i, 0], resolution[0], smooth)
        y, wy = _place(points[i, 1], resolution[1], smooth)
        x, wx = _place(points[i, 2], resolution[2], smooth)
        for corner in range(8):
            cz, cy, cx = corner >> 2, (corner >> 1) & 1, corner & 1
            weights[corner, i] = ((wz if cz else 1 - wz) * (wy if cy else 1 - wy)
                                  * (wx if cx else 1 - wx))
            if mask < 0:
                entries[corner, i] = (((z + cz) * resolution[1] + y + cy) * resolution[2] + x + cx)
            else:
                mixed = (np.uint32(x + cx) ^ (np.uint32(y + cy) * _PRIME_Y)
                         ^ (np.uint32(z + cz) * _PRIME_Z))
                entries[corner, i] = mixed & np.uint32(mask)


@njit(cache=CACHED, nogil=True, fastmath={"contract"})
def _gather_points(table, n_features, entries, weights, row):
    for i in range(row.size):
        total = np.float32(0)
        for corner in range(8):
            total += weights[corner, i] * table[entries[corner, i] * n_features]
        row[i] = total


@njit(cache=CACHED, nogil=True, fastmath={"contract"})
def _scatter_points(table, n_features, entries, weights, row):
    for i in range(row.size):
        for corner in range(8):
            table[entries[corner, i] * n_features] += weights[corner, i] * row[i]


@njit(cache=CACHED, nogil=True)
def _visit_level_at_points(table, mask, resolution, n_features, smooth, points, buffer, row, pitch,
                           scatter):
    """Read the 8 nodes around every point into the buffer, or add the buffer's gradient to them."""
    entries = np.empty((8, _GROUP), np.int64)
    weights = np.empty((8, _GROUP), np.float32)
    for start in range(0, points.shape[0], _GROUP):
        group = points[start:start + _GROUP]
        _corners(group, resolution, mask, smooth, entries, weights)
        for f in range(n_features):
            at = (row + f) * pitch + start
            values = buffer[at:at + group.shape[0]]
            if scatter:
                _scatter_points(table[f:], n_features, entries, weights, values)
            else:
                _gather_points(table[f:], n_features, entries, weights, values)


@threaded_njit(cache=CACHED, nogil=True)
def _visit_levels_at_points(
    table, starts, masks, resolutions, n_features, smooth, points, buffer, pitch, scatter, n_threads
):
    n_levels = starts.size
    for thread in prange(n_threads):
        for level in range(thread, n_levels, n_threads):
            _visit_level_at_points(table[starts[level] :], masks[level], resolutions[level],
                                   n_features, smooth, points, buffer, level * n_features, pitch,
                                   scatter)


def visit_points(levels: Levels, points: np.ndarray, buffer: np.ndarray, pitch: int, table: np.ndarray,
                 scatter: bool) -> None:
    """Features of points (scatter False), or the table's gradient from theirs (scatter True).

    Parameters
    ----------
    levels : Levels
    points : (n, 3) float32, (z, y, x)
    buffer : flat float32
        Feature f of point i at f * pitch + i, written or read.
    table : (n_params,) float32, read or added to
    """
    _visit_levels_at_points(table, levels.starts, levels.masks, levels.resolutions,
                            levels.n_features, levels.smooth, points, buffer, pitch, scatter,
                            n_threads())


# --- grids ----------------------------------------------------------------------------------------


@njit(cache=CACHED, nogil=True)
def _row_entries(z, y, x_nodes, resolution, mask, entries):
    """Stored index of all nodes of a lattice row that are in use."""
    if mask < 0:
        base = (np.int64(z) * resolution[1] + np.int64(y)) * resolution[2]
        for x in range(x_nodes.size):
            entries[x] = base + x_nodes[x]
    else:
        mixed, mask32 = (y * _PRIME_Y) ^ (z * _PRIME_Z), np.uint32(mask)
        for x in range(x_nodes.size):
            entries[x] = (x_nodes[x] ^ mixed) & mask32


@njit(cache=CACHED, nogil=True)
def _gather(table, n_features, entries, nodes):
    for x in range(entries.size):
        nodes[x] = table[np.int64(entries[x]) * n_features]


@njit(cache=CACHED, nogil=True)
def _scatter(table, n_features, entries, nodes):
    for x in range(entries.size):
        table[np.int64(entries[x]) * n_features] += nodes[x]


@njit(cache=CACHED, nogil=True, fastmath={"contract"})
def _interpolate(nodes, lower, weights, row):
    for x in range(row.size):
        a = nodes[np.uint64(lower[x])]
        row[x] = a + weights[x] * (nodes[np.uint64(lower[x] + 1)] - a)


@njit(cache=CACHED, nogil=True, fastmath={"contract"})
def _interpolate_adjoint(nodes, lower, weights, row):
    nodes[:] = 0
    for x in range(row.size):
        upper = weights[x] * row[x]
        nodes[np.uint64(lower[x])] += row[x] - upper
        nodes[np.uint64(lower[x] + 1)] += upper


@njit(cache=CACHED, nogil=True, fastmath={"contract"})
def _blend(a, b, c, d, wz, wy, out):
    """Bilinear mean of the rows (z, y) = a, (z, y+1) = b, (z+1, y) = c, (z+1, y+1) = d."""
    w0, w1, w2, w3 = (1 - wz) * (1 - wy), (1 - wz) * wy, wz * (1 - wy), wz * wy
    for x in range(out.size):
        out[x] = w0 * a[x] + w1 * b[x] + w2 * c[x] + w3 * d[x]


@njit(cache=CACHED, nogil=True, fastmath={"contract"})
def _add(row, weight, out):
    for x in range(out.size):
        out[x] += weight * row[x]


@njit(cache=CACHED, nogil=True)
def _load_plane(
    table, n_features, mask, resolution, z, y_nodes, x_nodes, lower, weights, entries, nodes, plane
):
    """Interpolate the rows of a lattice plane along x: plane is (y_nodes, n_features, nx)."""
    for y in range(y_nodes.size):
        _row_entries(z, y_nodes[y], x_nodes, resolution, mask, entries)
        for f in range(n_features):
            _gather(table[f:], n_features, entries, nodes)
            _interpolate(nodes, lower, weights, plane[y, f])


@njit(cache=CACHED, nogil=True)
def _retire_plane(
    table, n_features, mask, resolution, z, y_nodes, x_nodes, lower, weights, entries, nodes, plane
):
    """Adjoint of `_load_plane`: add the plane to the table, and clear it."""
    for y in range(y_nodes.size):
        _row_entries(z, y_nodes[y], x_nodes, resolution, mask, entries)
        for f in range(n_features):
            _interpolate_adjoint(nodes, lower, weights, plane[y, f])
            _scatter(table[f:], n_features, entries, nodes)
    plane[:] = 0


@njit(cache=CACHED, nogil=True)
def _encode_level(table, n_features, mask, resolution, z_nodes, z_lower, z_weights, y_nodes,
                  y_lower, y_weights, x_nodes, x_lower, x_weights, buffer, row, feature_rows,
                  pitch):
    nx = x_lower.size
    planes = np.empty((2, y_nodes.size, n_features, nx), np.float32)
    entries, nodes = np.empty(x_nodes.size, np.uint32), np.empty(x_nodes.size, np.float32)
    held = np.full(2, -1)  # which lattice plane each of the two buffers holds
    for k in range(z_lower.size):
        for upper in range(2):
            wanted = z_lower[k] + upper
            if held[wanted % 2] != wanted:
                held[wanted % 2] = wanted
                _load_plane(table, n_features, mask, resolution, z_nodes[wanted], y_nodes, x_nodes,
                            x_lower, x_weights, entries, nodes, planes[wanted % 2])
        below, above = planes[z_lower[k] % 2], planes[(z_lower[k] + 1) % 2]
        for y in range(y_lower.size):
            j = y_lower[y]
            for f in range(n_features):
                at = (k * feature_rows + row + f) * pitch + y * nx
                _blend(below[j, f], below[j + 1, f], above[j, f], above[j + 1, f], z_weights[k],
                       y_weights[y], buffer[at : at + nx])


@njit(cache=CACHED, nogil=True)
def _encode_level_adjoint(table, n_features, mask, resolution, z_nodes, z_lower, z_weights, y_nodes,
                          y_lower, y_weights, x_nodes, x_lower, x_weights, buffer, row,
                          feature_rows, pitch):
    nx = x_lower.size
    planes = np.zeros((2, y_nodes.size, n_features, nx), np.float32)
    slab = np.empty((y_nodes.size, n_features, nx), np.float32)
    entries, nodes = np.empty(x_nodes.size, np.uint32), np.empty(x_nodes.size, np.float32)
    held = np.full(2, -1)
    for k in range(z_lower.size):
        slab[:] = 0
        for y in range(y_lower.size):
            j, weight = y_lower[y], y_weights[y]
            for f in range(n_features):
                at = (k * feature_rows + row + f) * pitch + y * nx
                _add(buffer[at : at + nx], 1 - weight, slab[j, f])
                _add(buffer[at : at + nx], weight, slab[j + 1, f])
        for upper in range(2):
            wanted = z_lower[k] + upper
            side = wanted % 2
            if held[side] != wanted:
                if held[side] >= 0:
                    _retire_plane(table, n_features, mask, resolution, z_nodes[held[side]], y_nodes,
                                  x_nodes, x_lower, x_weights, entries, nodes, planes[side])
                held[side] = wanted
            weight = z_weights[k] if upper else 1 - z_weights[k]
            _add(slab.reshape(-1), weight, planes[side].reshape(-1))
    for side in range(2):
        if held[side] >= 0:
            _retire_plane(table, n_features, mask, resolution, z_nodes[held[side]], y_nodes,
                          x_nodes, x_lower, x_weights, entries, nodes, planes[side])


@threaded_njit(cache=CACHED, nogil=True)
def _visit_levels_on_grid(table, starts, masks, resolutions, n_features, z_nodes, z_lower,
                          z_weights, y_nodes, y_lower, y_weights, x_nodes, x_counts, x_lower,
                          x_weights, buffer, feature_rows, pitch, scatter, n_threads):
    n_levels = starts.size
    for thread in prange(n_threads):
        for level in range(thread, n_levels, n_threads):
            # Only the lattice rows that the block touches.
            first, last = y_lower[level].min(), y_lower[level].max() + 2
            own = table[starts[level] :]
            own_y_nodes, own_y_lower = y_nodes[level, first:last], y_lower[level] - first
            own_x_nodes = x_nodes[level, : x_counts[level]]
            at = level * n_features
            if scatter:
                _encode_level_adjoint(own, n_features, masks[level], resolutions[level],
                                      z_nodes[level], z_lower[level], z_weights[level], own_y_nodes,
                                      own_y_lower, y_weights[level], own_x_nodes, x_lower[level],
                                      x_weights[level], buffer, at, feature_rows, pitch)
            else:
                _encode_level(own, n_features, masks[level], resolutions[level], z_nodes[level],
                              z_lower[level], z_weights[level], own_y_nodes, own_y_lower,
                              y_weights[level], own_x_nodes, x_lower[level], x_weights[level],
                              buffer, at, feature_rows, pitch)


def visit_grid(levels: Levels, places: list[AxisNodes], block: tuple[slice, slice], buffer: np.ndarray,
               pitch: int, table: np.ndarray, scatter: bool) -> None:
    """Features of a block of a grid (scatter False), or the table's gradient (scatter True).

    Parameters
    ----------
    levels : Levels
    places : three AxisNodes, of the axes z, y, x of the whole grid
    block : (slice, slice)
        Planes and rows of the grid that make up the block.
    buffer : flat float32
        Feature f of sample (k, j, i) of the block at (k * feature_rows + f) * pitch + j * nx + i,
        with feature_rows the number of features rounded up to 16; written or read.
    table : (n_params,) float32, read or added to
    """
    z, y, x = places
    planes, rows = block
    _visit_levels_on_grid(table, levels.starts, levels.masks, levels.resolutions, levels.n_features,
                          z.nodes, z.lower[:, planes].copy(), z.weights[:, planes].copy(), y.nodes,
                          y.lower[:, rows].copy(), y.weights[:, rows].copy(), x.nodes, x.counts,
                          x.lower, x.weights, buffer,
                          round_up(len(levels.starts) * levels.n_features, LINE), pitch, scatter,
                          n_threads())

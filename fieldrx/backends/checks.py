"""Checks of the arguments of a field's operators, the same for all backends.

`xp` is the module whose arrays the backend computes on: numpy, or cupy.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from fieldrx.errors import InputError

HALF, SINGLE = "half", "float32"


def checked_array(xp: ModuleType, name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """C-contiguous float32 array of the shape."""
    values = xp.ascontiguousarray(values, dtype=np.float32)
    if values.shape != shape:
        raise InputError(f"expected {name} of shape {shape}; got {values.shape}")
    return values


def checked_precision(precision: str | None) -> str | None:
    """A precision's name, or None for the backend's own choice."""
    if precision not in (None, HALF, SINGLE):
        raise InputError(f'there is no precision "{precision}"; expected "{HALF}" or "{SINGLE}"')
    return precision


def checked_points(xp: ModuleType, encoding: Any, points: np.ndarray) -> np.ndarray:
    """Points (n, 3), or the features that `Identity` takes in their place."""
    given = encoding.kind == "identity"
    columns = encoding.n_features if given else 3
    points = xp.ascontiguousarray(points, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != columns:
        raise InputError(
            f"expected {'features' if given else 'zyx_points'} of shape (n, {columns}); got {points.shape}"
        )
    return points


def checked_field(
    xp: ModuleType, encoding: Any, network: Any, params: np.ndarray, gain: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and the gain of every feature, 1 where none is given."""
    if network.n_inputs != encoding.n_features:
        raise InputError(
            f"expected a network of {encoding.n_features} inputs, one per feature; "
            f"got n_inputs = {network.n_inputs}"
        )
    params = checked_array(xp, "params", params, (encoding.n_params + network.n_params,))
    gain = xp.ones(encoding.n_features, np.float32) if gain is None else gain
    return params, checked_array(xp, "gain", gain, (encoding.n_features,))


def checked_axes(
    xp: ModuleType, encoding: Any, z: np.ndarray, y: np.ndarray, x: np.ndarray
) -> list[np.ndarray]:
    """The three axes of a grid."""
    if encoding.kind == "identity":
        raise InputError(
            "expected an encoding of coordinates for a grid; got Identity, whose "
            "features are given: use the functions for points"
        )
    axes = [xp.ascontiguousarray(axis, dtype=np.float32) for axis in (z, y, x)]
    if any(axis.ndim != 1 for axis in axes):
        raise InputError(
            f"expected the axes z, y, x as 1D arrays; got shapes {[axis.shape for axis in axes]}"
        )
    return axes


def checked_out(xp: ModuleType, out: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """The caller's array for the values, or a new one."""
    if out is None:
        return xp.zeros(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise InputError(
            f"expected out as a C-contiguous float32 array of shape {shape}; "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out

"""How a network is cut up for the device: constants of its kernels, shared memory, order of the weights.

Needs no device.  The kernels pad the width, the features and the outputs with zeros to multiples of 16, the
size of the matrices that tensor cores multiply.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fieldrx.backends.checks import HALF, SINGLE, checked_precision
from fieldrx.backends.cuda.load import Limits
from fieldrx.errors import InputError

ENCODINGS = {"identity": 0, "radial": 1, "positional": 1, "fourier": 1, "waves": 1, "hash": 2}
MOST = 256  # neurons of a layer, and features of a table: registers hold no more
_MOST_GRADIENT = 64  # registers of a thread for the weights' gradient
_STAGES = 3
_STEP, _BLOCK_ROWS = 32, 128  # of weight_gradient.cu


def round_up(count: int, step: int) -> int:
    """The smallest multiple of `step` that is at least `count`."""
    return -(-count // step) * step


def precision_of(network: Any, precision: str | None = None) -> str:
    """ "half" or "float32", where not given; a sine of large argument needs the latter."""
    return checked_precision(precision) or (SINGLE if network.activation == "sine" else HALF)


class Plan(NamedTuple):
    """How one of the network's kernels is compiled and launched."""

    constants: dict
    shared_bytes: int
    slot: int  # numbers of the longest chunk of weights
    packed_size: int  # numbers of packed weights
    item: int  # bytes of a number

    @property
    def threads(self) -> int:
        """Of a block."""
        return 32 * self.constants["WARPS"]

    @property
    def rows(self) -> int:
        """Points that a block computes at once."""
        return 16 * self.constants["M_TILES"] * self.constants["WARPS"]

    @property
    def wide(self) -> bool:
        """Whether activations go through global memory."""
        return self.constants.get("WIDE") == 1


class _Sizes(NamedTuple):
    width: int
    features: int
    outputs: int
    pad: int
    item: int


def _sizes(encoding, network, precision):
    if network.width > MOST or network.n_outputs > MOST:
        raise InputError(
            f"the network has {network.width} neurons a layer and {network.n_outputs} outputs; a GPU takes "
            f"at most {MOST}: use the CPU, or a narrower network"
        )
    if encoding.kind == "hash" and encoding.n_features > MOST:
        raise InputError(
            f"the encoding has {encoding.n_features} features; a GPU takes at most {MOST} of a hash grid"
        )
    padded = (round_up(n, 16) for n in (network.width, encoding.n_features, network.n_outputs))
    return _Sizes(*padded, *((8, 2) if precision == HALF else (4, 4)))


def encoding_constants(encoding: Any) -> dict:
    """Constants of encoding.cuh, but for GRID."""
    constants = {"ENCODING": ENCODINGS[encoding.kind], "N_FEATURES": encoding.n_features}
    if constants["ENCODING"] == 1:
        constants["N_WAVES"] = len(encoding.waves().frequencies)
    if constants["ENCODING"] == 2:
        constants |= {
            "LEVELS": len(encoding.resolutions),
            "LEVEL_FEATURES": encoding.n_features_per_level,
            "SMOOTH": int(encoding.smooth),
        }
    return constants


def _network_constants(encoding, network, precision, grid):
    sizes = _sizes(encoding, network, precision)
    constants = encoding_constants(encoding) | {
        "HALF": int(precision == HALF),
        "GRID": int(grid),
        "WIDTH": sizes.width,
        "FEATURES": sizes.features,
        "OUTPUTS": sizes.outputs,
        "N_OUTPUTS": network.n_outputs,
        "DEPTH": network.depth,
        "SKIPS": sum(1 << layer for layer in network.skips),
        "SINE": int(network.activation == "sine"),
        "OMEGA": float(network.omega),
        "SLOPE": float(network.slope) if network.activation == "leaky_relu" else 0.0,
        "STAGES": _STAGES,
    }
    return constants, sizes


def forward_plan(encoding: Any, network: Any, precision: str, grid: bool, limits: Limits) -> Plan:
    """Constants and shared memory of network_forward."""
    constants, sizes = _network_constants(encoding, network, precision, grid)
    segments = _segments(encoding, network, sizes, backward=False)
    constants["M_TILES"] = 2 if max(sizes.width, sizes.outputs) <= 128 else 1

    def working(rows):
        pitches = sizes.features + sizes.width + 2 * sizes.pad
        return 4 * _n_biases(network, sizes) + sizes.item * rows * pitches

    return _fitted(constants, sizes, segments, working, limits, [{}])


def backward_plan(encoding: Any, network: Any, precision: str, grid: bool, limits: Limits) -> Plan:
    """Constants and shared memory of network_backward."""
    constants, sizes = _network_constants(encoding, network, precision, grid)
    segments = _segments(encoding, network, sizes, backward=True)
    constants |= {"M_TILES": 1, "GROUP": 4 if sizes.width % 32 == 0 else 2}
    n_biases, sine = _n_biases(network, sizes), constants["SINE"]

    def working(rows, wide=False):
        planes = (1 + sine) * (1 if wide else network.depth) + (not wide)
        numbers = sizes.features + sizes.outputs + 2 * sizes.pad + planes * (sizes.width + sizes.pad)
        bias_sums = 0 if wide else rows // 16 * n_biases  # every warp of 16 rows has its own
        floats = n_biases + bias_sums + (rows * (sizes.features + 4) if constants["ENCODING"] == 2 else 0)
        return 4 * floats + sizes.item * rows * numbers

    for team in (1, 2, 4, 8):
        if _gradient_registers(network, sizes, constants["GROUP"], team) <= _MOST_GRADIENT:
            narrow = {"WIDE": 0, "TEAM": team}
            plan = _fitted(constants, sizes, segments, working, limits, [narrow], least=team, needed=False)
            if plan is not None:
                return plan
    return _fitted(
        constants,
        sizes,
        segments,
        lambda rows: working(rows, wide=True),
        limits,
        [{"WIDE": 1, "TEAM": 1}],
    )


def gradient_constants(plan: Plan) -> tuple[dict, int]:
    """Constants and bytes of shared memory of weight_gradient, which follows a wide network_backward."""
    pad = 16 // plan.item
    pitch = _BLOCK_ROWS + pad + max(plan.constants["WIDTH"], plan.constants["OUTPUTS"]) + pad
    names = {"WIDE", "TEAM", "GROUP"}
    constants = {name: value for name, value in plan.constants.items() if name not in names}
    return constants, 2 * _STEP * pitch * plan.item


def workspace_row(plan: Plan) -> int:
    """Bytes that a point of a wide network_backward needs in global memory."""
    planes = (2 + plan.constants["SINE"]) * plan.constants["DEPTH"]
    return plan.item * (planes * plan.constants["WIDTH"] + plan.constants["OUTPUTS"])


def _fitted(constants, sizes, segments, working, limits, more, least=2, needed=True):
    """The plan with the most warps whose shared memory the device has; all weights in it where they fit."""
    packed = sum(16 * chunks * pitch for chunks, pitch in segments)
    slot = 16 * max(pitch for _, pitch in segments)
    text = ",".join(f"{{{chunks},{pitch}}}" for chunks, pitch in segments)
    for warps, resident in ((8, 1), (4, 1), (8, 0), (4, 0), (2, 1), (2, 0)):
        rows = 16 * constants["M_TILES"] * warps
        need = working(rows) + sizes.item * (packed if resident else _STAGES * slot)
        if warps >= least and need <= limits.shared_per_block:
            chosen = constants | more[0] | {"WARPS": warps, "RESIDENT": resident}
            chosen |= {"SEGMENTS": f"{{{text}}}", "N_SEGMENTS": len(segments)}
            return Plan(chosen, need, slot, packed, sizes.item)
    if needed:
        raise InputError(
            f"the network needs {need} bytes of shared memory; this GPU has {limits.shared_per_block}: use "
            + ("--precision half or the CPU" if sizes.item == 4 else "the CPU, or a narrower network")
        )
    return None


def _n_biases(network, sizes):
    return network.depth * sizes.width + sizes.outputs


def _segments(encoding, network, sizes, backward):
    """(chunks of 16 rows, row length) of the packed matrices in their order, see network.cuh."""
    wide, narrow, of_features = (n + sizes.pad for n in (sizes.width, sizes.outputs, sizes.features))
    segments = [
        (sum(rows for rows, _ in _parts(network, sizes, layer)) // 16, wide) for layer in range(network.depth)
    ]
    segments.append((sizes.width // 16, narrow))
    if backward:
        segments.append((sizes.outputs // 16, wide))
        for layer in range(network.depth - 1, -1, -1):
            if encoding.kind == "hash" and _reads_features(network, layer):
                segments.append((sizes.width // 16, of_features))
            if layer > 0:
                segments.append((sizes.width // 16, wide))
    return segments


def _reads_features(network, layer):
    return layer == 0 or layer in network.skips


def _parts(network, sizes, layer):
    """(padded rows, rows) of the hidden part and of the features' part of a weight matrix."""
    hidden = [(sizes.width, network.width)] if layer > 0 else []
    return hidden + ([(sizes.features, network.n_inputs)] if _reads_features(network, layer) else [])


def _gradient_registers(network, sizes, group, team):
    """Registers of a thread that hold the weights' gradient when a team of warps shares it."""
    groups = sizes.width // (8 * group)
    slots = sum(
        -(-(rows // 16 * groups) // team)
        for layer in range(network.depth)
        for rows, _ in _parts(network, sizes, layer)
    )
    return 4 * group * slots + 8 * -(-(sizes.width // 16 * (sizes.outputs // 16)) // team)


class Places(NamedTuple):
    """Where parameters are in packed weights and in packed gradients; int32 arrays.

    Attributes
    ----------
    source : (packed_size + n_biases,)
        The parameter of every packed number, then of every bias; -1 is padding.
    feature : (packed_size,)
        The feature whose gain multiplies it, or -1.
    place : (n_params,)
        Where the packed gradient has that of a parameter.
    feature_of_param : (n_params,)
        The feature whose gain multiplies it, or -1.
    jobs : (m, 4)
        Those of weight_gradient.cu.
    gradient_size : int
    """

    source: np.ndarray
    feature: np.ndarray
    place: np.ndarray
    feature_of_param: np.ndarray
    jobs: np.ndarray
    gradient_size: int


@lru_cache(maxsize=8)
def places(encoding: Any, network: Any, precision: str, backward: bool) -> Places:
    """The tables for a network; without W^T unless `backward`."""
    sizes = _sizes(encoding, network, precision)
    named = network.unpack(np.arange(network.n_params, dtype=np.int32))
    of_param = np.full(network.n_params, -1, np.int32)
    place = np.empty(network.n_params, np.int32)
    forward, transposed, biases, jobs, start = [], [], [], [], 0
    for layer in range(network.depth + 1):
        columns = sizes.width if layer < network.depth else sizes.outputs
        parts, row = [], 0
        of_features = [False] if layer == network.depth else [layer == 0]
        if layer < network.depth and layer > 0:
            of_features = [False] + [True] * _reads_features(network, layer)
        for takes_features in of_features:
            rows, padded = (
                (network.n_inputs, sizes.features) if takes_features else (network.width, sizes.width)
            )
            weight = named[f"weight_{layer}"][row : row + rows]
            if takes_features:
                of_param[weight] = np.arange(rows, dtype=np.int32)[:, None]
            parts.append((takes_features, _padded(weight, padded, columns)))
            for first in range(0, padded, _BLOCK_ROWS):
                jobs.append((layer, takes_features, first, start + first * columns))
            place[weight] = start + np.arange(rows)[:, None] * columns + np.arange(weight.shape[1])
            start += padded * columns
            row += rows
        forward += [part for _, part in parts]
        transposed.append(parts)
        biases.append(_padded(named[f"bias_{layer}"][None], 1, columns)[0])
    for layer in range(network.depth + 1):
        bias = named[f"bias_{layer}"]
        place[bias] = start + np.arange(len(bias))
        start += len(biases[layer])
    packed = list(forward)
    if backward:
        for parts in transposed[::-1]:
            for takes_features, part in parts[::-1]:
                if not takes_features or encoding.kind == "hash":
                    packed.append(part.T)
    source = np.concatenate([_padded(part, len(part), part.shape[1] + sizes.pad).ravel() for part in packed])
    feature = np.where(source < 0, -1, of_param[source]).astype(np.int32)
    jobs = np.array(jobs, np.int32).reshape(-1, 4)
    return Places(np.concatenate([source, *biases]), feature, place, of_param, jobs, start)


def _padded(matrix, rows, columns):
    """The matrix in the upper left corner of a larger one of -1."""
    out = np.full((rows, columns), -1, np.int32)
    out[: matrix.shape[0], : matrix.shape[1]] = matrix
    return out

"""Networks that DeCAF trained (https://github.com/wustl-cig/DeCAF), as fields.

Liu et al., Nature Machine Intelligence 4, 781 (2022).  A folder holds a checkpoint of TensorFlow, of which
the layers ``dense``, ``dense_1`` ... are read, and text files of flags, one ``--name=value`` a line:

===========================  =============================================================================
flag                         meaning
===========================  =============================================================================
positional_encoding_type     exp_diag, exp or fourier_fixed_xy: see `_encode`
dia_digree                   angle between waves across the plane, of exp_diag [degrees]
xy_encoding_num              octaves across the plane
z_encoding_num               octaves along z
fourier_encoding_size        random waves of fourier_fixed_xy, and ``sig_xy`` their spread
output_scale                 divides the two outputs: real and imaginary part of n^2 - n0^2
n0                           index of the medium
z_min, z_max, z_train_delta  first and last slice of the fit, and their distance [um]
===========================  =============================================================================

Pixel i of N has the coordinate 2 i / N - 1, and slice k likewise.  The first coordinate is x: DeCAF
reads MATLAB's files, where it counts columns, and transposes the pictures that it writes.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldrx._version import __version__
from fieldrx.errors import InputError, in_file
from fieldrx.field import Network, NeuralField, PlaneWaves
from fieldrx.io.tensorflow import read_index, read_tensor
from fieldrx.provenance import Provenance

# What DeCAF's programs take where no flag is given.
_DEFAULTS: dict[str, Any] = {
    "positional_encoding_type": "exp_diag",
    "dia_digree": 45.0,
    "xy_encoding_num": 6,
    "z_encoding_num": 5,
    "fourier_encoding_size": 256,
    "sig_xy": 26.0,
    "output_scale": 5.0,
    "n0": 1.33,
    "z_min": -10.0,
    "z_max": 16.0,
    "z_train_delta": 0.5,
    "mlp_activation": "leaky_relu",
}
_COUNTS = ("xy_encoding_num", "fourier_encoding_size")  # at least 1
_POSITIVE = ("dia_digree", "sig_xy", "output_scale", "n0", "z_train_delta")
_MOST = 4096  # waves; DeCAF's networks have some hundred
_LAYER = re.compile(r"(?:.*/)?dense(?:_(\d+))?/(kernel|bias)")
_SLOPE = 0.2  # of its leaky ReLU


@dataclass(frozen=True)
class Geometry:
    """Where a network's cube of coordinates lies.  What is None comes from the flags.

    Parameters
    ----------
    pixels : int
        Of a side of the (square) images, which the flags do not tell: their view_size is a part of it.
    pixel_size_um : float
    depth_um : (float, float, float), optional
        First and last slice of the fit and their distance [um].
    medium_index : float, optional
    first : {"x", "y"}
        Along which axis of the images the network's first coordinate runs.
    """

    pixels: int
    pixel_size_um: float
    depth_um: Sequence[float] | None = None
    medium_index: float | None = None
    first: str = "x"

    def __post_init__(self):
        if not 0 < self.pixel_size_um < math.inf or self.pixels < 1:
            raise InputError(f"{self.pixels} pixels a side of {self.pixel_size_um} um; expected numbers > 0")
        if self.first not in ("x", "y"):
            raise InputError(f'the first coordinate is "{self.first}"; expected x or y')


def import_decaf(folder: str | os.PathLike, geometry: Geometry) -> NeuralField:
    """The field of a network that DeCAF trained.

    Parameters
    ----------
    folder : path-like
        Holds the checkpoint, or a folder with it, and the files of flags, \\*config\\*.txt.
    geometry : Geometry

    Returns
    -------
    NeuralField
        Its ``provenance.notes`` say what was assumed.

    Raises
    ------
    InputError
        If a file is missing or damaged, or flags and weights contradict each other.
    """
    index = _find_index(Path(folder))
    given = read_flags(Path(folder), index.parent)
    flags = _checked({**_DEFAULTS, **{k: v for k, v in given.items() if k in _DEFAULTS}}, folder)
    layers = _layers(index)
    with in_file(index):
        encoding, order = _encode(flags, geometry.first)
        network = _network(encoding, layers, given)
    domain, notes = _domain(flags, given, geometry)
    named: dict[str, np.ndarray] = {}
    for number, (kernel, bias) in enumerate(layers):
        own = 0 if number == 0 else network.width
        rows = np.concatenate([kernel[:own], kernel[own:][order]]) if len(kernel) > own else kernel
        named |= {f"weight_{number}": rows, f"bias_{number}": bias}
    origin = {"imported": {"from": "DeCAF", "checkpoint": str(index), "flags": given}}
    provenance = Provenance(fieldrx=__version__, name=given.get("name"), notes=notes, origin=origin)
    return NeuralField(
        encoding,
        network,
        network.pack(named),
        **domain,
        output_scale=1 / flags["output_scale"],
        provenance=provenance,
        quantity="permittivity",
    )


def read_flags(*folders: Path) -> dict[str, Any]:
    """The flags of all files \\*config\\*.txt of the folders, as text; lists of repeated ones.

    Raises
    ------
    InputError
        If no file is there, a line is no flag, or two files contradict each other.
    """
    paths = sorted({path for folder in folders for path in folder.glob("*config*.txt")})
    if not paths:
        raise InputError(
            f"{folders[0]}: holds no flags of DeCAF; expected train_config.txt or pred_config.txt beside the "
            "checkpoint"
        )
    flags: dict[str, Any] = {}
    told: dict[str, Path] = {}
    for path in paths:
        for name, value in _flags_of(path).items():
            if flags.get(name, value) != value and name in (*_DEFAULTS, "mlp_skip_layer"):
                raise InputError(
                    f"{path}: says {name} = {value}, but {told[name].name} says {flags[name]}; keep what the "
                    "network was trained with"
                )
            flags[name], told[name] = value, path
    return flags


def _flags_of(path: Path) -> dict[str, Any]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text; expected flags, one --name=value a line") from None
    flags: dict[str, Any] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith(("#", "//")):
            continue
        found = re.fullmatch(r"--?(\w+)(?:[=\s]\s*(.*))?", line)
        if not found:
            raise InputError(f'{path}, line {number}: "{line[:60]}" is no flag; expected --name=value')
        name, value = found[1], found[2] or ""
        if name == "mlp_skip_layer":  # the one that may be repeated
            flags[name] = [*flags.get(name, []), value]
        else:
            flags[name] = value
    return flags


def _checked(flags, folder):
    """Numbers as numbers, all in their ranges."""
    for name, default in _DEFAULTS.items():
        if isinstance(default, str):
            continue
        try:
            flags[name] = type(default)(flags[name])
            good = math.isfinite(flags[name]) and abs(flags[name]) < 1e9
        except (ValueError, OverflowError):
            good = False
        least = 1 if name in _COUNTS else 0 if name == "z_encoding_num" else -math.inf
        if not good or flags[name] < least or (name in _POSITIVE and flags[name] <= 0):
            raise InputError(f"{folder}: the flag {name} is {flags[name]!r}; expected a number in range")
    if flags["mlp_activation"] != _DEFAULTS["mlp_activation"]:
        raise InputError(
            f"{folder}: mlp_activation is {flags['mlp_activation']}; DeCAF knows leaky_relu alone"
        )
    return flags


def _find_index(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds DeCAF's checkpoint and flags")
    found = sorted({*folder.glob("*.index"), *folder.glob("*/*.index")})
    if len(found) != 1:
        listed = ", ".join(str(path.relative_to(folder)) for path in found[:5]) or "none"
        raise InputError(f"{folder}: expected one checkpoint, NAME.index beside its data; there is {listed}")
    return found[0]


def _layers(index: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases of the dense layers, in their order."""
    tensors, n_shards = read_index(index)
    found: dict[int, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match:
            values = read_tensor(index, name, tensor, n_shards)
            if not np.isfinite(values).all():
                raise InputError(f'{index}: "{name}" holds values that are not finite: training diverged')
            found.setdefault(int(match[1] or 0), {})[match[2]] = values.astype(np.float32)
    complete = sorted(found) == list(range(len(found))) and all(len(parts) == 2 for parts in found.values())
    if len(found) < 2 or not complete:
        raise InputError(
            f"{index}: expected kernels and biases of layers dense, dense_1 ... as DeCAF's networks have; "
            f"it holds {', '.join(sorted(tensors)[:4]) or 'nothing'} ..."
        )
    return [(found[k]["kernel"], found[k]["bias"]) for k in range(len(found))]


def _network(encoding, layers, given):
    """The network that the shapes of the layers tell, as the flags must agree."""
    shapes = [(*kernel.shape, *bias.shape) for kernel, bias in layers]
    width, depth, n = shapes[0][1], len(layers) - 1, encoding.n_features
    if shapes[0][0] != n:
        raise InputError(
            f"the first layer reads {shapes[0][0]} features, but the flags of the encoding give {n}"
        )
    skips = tuple(k for k in range(1, depth) if shapes[k][0] == width + n)
    network = Network(n, width, depth, skips, slope=_SLOPE)
    expected = [(rows, columns, columns) for rows, columns in network.layer_shapes()]
    if shapes != expected:
        raise InputError(
            f"the layers have shapes {[s[:2] for s in shapes]}; expected {[e[:2] for e in expected]}"
        )
    told = {
        "mlp_layer_num": [str(depth)],
        "mlp_kernel_size": [str(width)],
        "mlp_skip_layer": [*map(str, skips)],
    }
    for name, value in told.items():
        flag = given.get(name, value)
        if name in given and sorted(flag if isinstance(flag, list) else [flag]) != value:
            raise InputError(
                f"the flag {name} is {flag}, but the layers' shapes say {', '.join(value) or 'none'}"
            )
    return network


def _encode(flags: dict[str, Any], first: str) -> tuple[PlaneWaves, np.ndarray]:
    """The waves that the flags describe, and which of DeCAF's features are theirs.

    With p and q the two coordinates across the plane: *exp_diag* has, for every octave l, sines and then
    cosines of 2^l pi (p sin a + q cos a) for all angles a; *exp*, for every octave, sines and then cosines
    of 2^l pi (p, q, z), where z stays 0 beyond its own octaves; *fourier_fixed_xy* those of random waves,
    drawn after seeding with 10.  The first and the last have, after that, sine and cosine of 2^l pi z for
    every octave of z.
    """
    kind, z_octaves = flags["positional_encoding_type"], flags["z_encoding_num"]
    if kind not in ("exp_diag", "exp", "fourier_fixed_xy"):
        raise InputError(f'positional_encoding_type is "{kind}"; expected exp_diag, exp or fourier_fixed_xy')
    octaves = flags["xy_encoding_num"]
    count = flags["fourier_encoding_size"] if kind == "fourier_fixed_xy" else octaves
    if max(octaves, z_octaves) > 60 or count * max(1, 180 / flags["dia_digree"]) + z_octaves > _MOST:
        raise InputError(f"the flags of the encoding give more than {_MOST} waves or 60 octaves")
    if kind == "exp_diag":
        angles = np.arange(0, 180, flags["dia_digree"]) * np.pi / 180
        across = np.stack([np.sin(angles), np.cos(angles), 0 * angles], axis=1)
        groups = [2.0 ** (octave - 1) * across for octave in range(octaves)]
    elif kind == "exp":
        groups = [
            2.0 ** (octave - 1) * np.diag([1.0, 1.0, float(octave < z_octaves)]) for octave in range(octaves)
        ]
    else:
        drawn = np.random.RandomState(10).normal(0, flags["sig_xy"], (flags["fourier_encoding_size"], 2))
        groups = [np.pad(drawn.astype(np.float32).astype(float), ((0, 0), (0, 1)))]
    if kind != "exp":
        groups += [np.array([[0, 0, 2.0 ** (octave - 1)]]) for octave in range(z_octaves)]
    starts = 2 * np.cumsum([0] + [len(group) for group in groups[:-1]])
    sines = np.concatenate([s + np.arange(len(g)) for s, g in zip(starts, groups, strict=True)])
    cosines = np.concatenate([s + len(g) + np.arange(len(g)) for s, g in zip(starts, groups, strict=True)])
    axes = [2, 1, 0] if first == "x" else [2, 0, 1]  # which of (p, q, z) runs along z, y and x
    return PlaneWaves(tuple(np.concatenate(groups)[:, axes])), np.concatenate([sines, cosines])


def _domain(flags, given, geometry):
    """Bounds, region, spacing and medium, as arguments of the field, and what was assumed."""
    notes = []
    missing = [name for name in ("z_min", "z_max", "z_train_delta") if name not in given]
    if geometry.depth_um is None and missing:
        notes.append(
            f"{', '.join(missing)} not among the flags: DeCAF's defaults, {_told(missing)}, are taken"
        )
    if geometry.medium_index is None and "n0" not in given:
        notes.append(f"n0 not among the flags: DeCAF's default, {_DEFAULTS['n0']}, is taken")
    z0, z1, dz = geometry.depth_um or (flags["z_min"], flags["z_max"], flags["z_train_delta"])
    if not (z0 < z1 and (z1 - z0) / dz < 1e6):
        raise InputError(f"slices from {z0:g} to {z1:g} um, {dz:g} um apart; expected first < last")
    slices = math.ceil((z1 + 1e-8 - z0) / dz)  # as DeCAF counts them
    pixels, pixel = geometry.pixels, geometry.pixel_size_um
    first = np.array([z0, 0.0, 0.0])
    step, count = np.array([dz, pixel, pixel]), np.array([slices, pixels, pixels])
    arguments = {
        "bounds_um": np.stack([first, first + step * count], axis=1),
        "region_um": np.stack([first, first + step * (count - 1)], axis=1),
        "spacing_um": (dz, pixel, pixel),
        "medium_index": geometry.medium_index or flags["n0"],
    }
    return arguments, notes


def _told(names):
    return ", ".join(f"{_DEFAULTS[name]:g}" for name in names)

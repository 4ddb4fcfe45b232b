"""Architectures: the one that fits the optics, and published ones."""

from __future__ import annotations

import numpy as np

from fieldrx.errors import InputError
from fieldrx.field.encodings import Encoding, Hash, Radial
from fieldrx.field.network import Network
from fieldrx.optics import Grid, Illumination, Microscope, Resolution

_PRESETS = {"decaf": (10, 5), "decaf-small": (6, 3)}  # layers, and the one the skip joins


def default_encoding(
    grid: Grid, microscope: Microscope, illumination: Illumination, dark_field: bool = False
) -> Hash:
    """Multiresolution grid whose finest nodes lie as close as the optics resolve."""
    extent = np.diff(grid.bounds_um, axis=1)[:, 0]
    step = np.maximum(Resolution.of(microscope, illumination, dark_field).half_periods_um, grid.spacing_um)
    finest = np.maximum(np.ceil(extent / step).astype(int) + 1, 4)
    coarsest = np.maximum(np.round(finest / 16).astype(int), 3)
    return Hash.geometric(tuple(map(int, coarsest)), tuple(map(int, finest)), levels=8, log2_table_size=19)


def encoding_note(
    encoding: Hash,
    network: Network,
    grid: Grid,
    microscope: Microscope,
    illumination: Illumination,
    dark_field: bool = False,
) -> str:
    """Why the default encoding has its size, in a sentence."""
    extent = np.diff(grid.bounds_um, axis=1)[:, 0]
    nodes = np.array(encoding.resolutions[-1])
    distance = extent / (nodes - 1)
    half = Resolution.of(microscope, illumination, dark_field).half_periods_um
    return (
        f"field: a grid of {len(encoding.resolutions)} levels, its finest nodes {_by(distance)} um apart "
        f"(z, y, x), where the optics resolve half periods of {_by(half)} um and voxels are "
        f"{_by(grid.spacing_um)} um; {encoding.n_params + network.n_params} parameters (--preset for another)"
    )


def _by(lengths):
    return " x ".join(f"{length:.3g}" for length in lengths)


def make_preset(name: str, absorption: bool = True) -> tuple[Radial, Network]:
    """Published architectures: encoding and network.

    "decaf" is 10 x 208 with a skip at 5, "decaf-small" 6 x 208 with a skip at 3; leaky ReLU of slope
    0.2, radial encoding (Liu et al., Nature Machine Intelligence 4, 781 (2022)).
    """
    if name not in _PRESETS:
        raise InputError(f'there is no preset "{name}"; expected one of {", ".join(_PRESETS)}')
    (depth, skip), encoding = _PRESETS[name], Radial(angle_step_deg=9.0, xy_octaves=7, z_octaves=5)
    return encoding, Network(
        encoding.n_features,
        width=208,
        depth=depth,
        skips=(skip,),
        slope=0.2,
        n_outputs=2 if absorption else 1,
    )


def preset_of(encoding: Encoding, network: Network) -> str | None:
    """The name of a preset; None where this is none."""
    made = {name: make_preset(name, network.n_outputs == 2) for name in _PRESETS}
    return next((name for name, parts in made.items() if parts == (encoding, network)), None)

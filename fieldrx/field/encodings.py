"""Encodings: how a coordinate becomes the features that the network reads.

Coordinates are (z, y, x), each normalised to [-1, 1] over the domain of the field.  These classes
only describe an encoding, as of `Encoding`; the arithmetic is in `fieldrx.backends`.  `Radial`, `Positional`,
`Fourier` and `PlaneWaves` are lists of plane waves: ``waves()`` says which.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np

from fieldrx.errors import InputError

_MOST = 1 << 20  # of anything that is counted: no file may ask for more than a machine has
_MOST_OCTAVES, _MOST_ANGLES = 60, 1800
_LARGEST = 1e30


class Waves(NamedTuple):
    """Features sin(2 pi f.p) and cos(2 pi f.p) of a point p = (z, y, x).

    Attributes
    ----------
    frequencies : (m, 3) float64
        Cycles per normalised unit along (z, y, x).
    sin_feature, cos_feature : (m,) int64
        Which feature holds the sine and the cosine of each wave.
    """

    frequencies: np.ndarray
    sin_feature: np.ndarray
    cos_feature: np.ndarray


class Encoding(Protocol):
    """What every encoding has."""

    kind: ClassVar[str]

    @property
    def n_features(self) -> int:
        """Length of the feature vector."""

    @property
    def n_params(self) -> int:
        """Number of trained parameters; only `Hash` has any."""

    def octave_of_feature(self) -> np.ndarray:
        """Fineness of every feature, (n_features,) float64, to fade in fine ones late in a fit."""

    def initial_params(self, rng: np.random.Generator) -> np.ndarray:
        """Parameters to start a fit from: (n_params,) float32."""

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON-ready values, read back by `encoding_from_dict`."""


def _require_int(owner, name, value, least, most=_MOST):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise InputError(
            f"{owner}: expected {name} to be an integer from {least} to {most}; got {f'{value!r}'[:40]}"
        )


def _require_positive(owner, name, value):
    if not isinstance(value, (int, float, np.number)) or not 0 < value <= _LARGEST:
        raise InputError(
            f"{owner}: expected {name} to be a number > 0, up to {_LARGEST:g}; got {f'{value!r}'[:40]}"
        )


@dataclass(frozen=True)
class _Description:
    """What all encodings share: no parameters unless they say so, and the JSON form."""

    kind: ClassVar[str]

    @property
    def n_params(self) -> int:
        """Numbers in the table."""
        return 0

    def initial_params(self, rng: np.random.Generator) -> np.ndarray:
        """Parameters to start a fit from: (n_params,) float32."""
        return np.zeros(self.n_params, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON-ready values, read back by `encoding_from_dict`."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The encoding that `to_dict` described."""
        values = {name: value for name, value in values.items() if name != "kind"}
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(
                f"{cls.__name__}: expected the fields of {str(cls.__doc__).splitlines()[0]}"
                f" got {sorted(values)} ({error})"
            ) from None


class _WaveDescription(_Description, ABC):
    """An encoding made of plane waves."""

    @property
    def n_features(self) -> int:
        """Length of the feature vector."""
        return 2 * len(self.waves().frequencies)

    @abstractmethod
    def waves(self) -> Waves:
        """The plane waves behind the features."""

    def octave_of_feature(self) -> np.ndarray:
        """Octave l of every feature, (n_features,) float64: 2^(l-1) cycles per unit."""
        waves = self.waves()
        cycles = np.linalg.norm(waves.frequencies, axis=1)
        octaves = np.empty(self.n_features)
        octaves[waves.sin_feature] = octaves[waves.cos_feature] = np.log2(np.maximum(2 * cycles, 1))
        return octaves


@dataclass(frozen=True)
class Radial(_WaveDescription):
    """Radial(angle_step_deg, xy_octaves, z_octaves): waves across the plane in many directions.

    For the angles a = 0, step, ... < 180 degrees, u_a = y sin(a) + x cos(a).  The features are, for
    each octave l, [sin(2^l pi u_a) for all a, cos(2^l pi u_a) for all a], and then, for each z
    octave, sin(2^l pi z), cos(2^l pi z).  This is the encoding of DeCAF (Liu et al., Nature Machine
    Intelligence 4, 781, 2022).
    """

    angle_step_deg: float = 9.0
    xy_octaves: int = 7
    z_octaves: int = 5
    kind: ClassVar[str] = "radial"

    def __post_init__(self):
        _require_positive("Radial", "angle_step_deg", self.angle_step_deg)
        _require_int("Radial", "xy_octaves", self.xy_octaves, 1, _MOST_OCTAVES)
        _require_int("Radial", "z_octaves", self.z_octaves, 0, _MOST_OCTAVES)
        if 180 / self.angle_step_deg > _MOST_ANGLES:
            raise InputError(
                f"Radial: expected angle_step_deg >= {180 / _MOST_ANGLES:g}; got {self.angle_step_deg}"
            )

    def waves(self) -> Waves:
        """The plane waves behind the features."""
        n_angles = math.ceil(180 / self.angle_step_deg - 1e-9)
        angles = np.deg2rad(self.angle_step_deg * np.arange(n_angles))
        directions = np.stack([np.zeros(n_angles), np.sin(angles), np.cos(angles)], axis=1)
        in_plane = [2.0 ** (octave - 1) * directions for octave in range(self.xy_octaves)]
        axial = [[[2.0 ** (octave - 1), 0, 0]] for octave in range(self.z_octaves)]
        starts = 2 * n_angles * np.arange(self.xy_octaves)[:, None] + np.arange(n_angles)
        z_starts = 2 * n_angles * self.xy_octaves + 2 * np.arange(self.z_octaves)
        return Waves(
            np.concatenate(in_plane + axial),
            np.concatenate([starts.ravel(), z_starts]),
            np.concatenate([starts.ravel() + n_angles, z_starts + 1]),
        )


@dataclass(frozen=True)
class Positional(_WaveDescription):
    """Positional(z_octaves, y_octaves, x_octaves): sin, cos(2^l pi c) of each coordinate.

    The features are, for c = z, y, x and each octave l of that axis, sin(2^l pi c), cos(2^l pi c):
    the encoding of NeRF (Mildenhall et al., ECCV 2020) with octaves chosen per axis.
    """

    z_octaves: int
    y_octaves: int
    x_octaves: int
    kind: ClassVar[str] = "positional"

    def __post_init__(self):
        for name in ("z_octaves", "y_octaves", "x_octaves"):
            _require_int("Positional", name, getattr(self, name), 0, _MOST_OCTAVES)
        if self.z_octaves + self.y_octaves + self.x_octaves == 0:
            raise InputError("Positional: expected at least one octave on some axis; got none")

    def waves(self) -> Waves:
        """The plane waves behind the features."""
        counts = (self.z_octaves, self.y_octaves, self.x_octaves)
        axis = np.repeat(np.arange(3), counts)
        octave = np.concatenate([np.arange(count) for count in counts])
        frequencies = 2.0 ** (octave[:, None] - 1) * np.eye(3)[axis]
        sin_feature = 2 * np.arange(len(axis))
        return Waves(frequencies, sin_feature, sin_feature + 1)


@dataclass(frozen=True)
class Fourier(_WaveDescription):
    """Fourier(n_frequencies, sigma_z, sigma_y, sigma_x, seed): random plane waves.

    The features are sin(2 pi B p) for all rows of B, then cos(2 pi B p), with B drawn from normal
    distributions of the given standard deviations in cycles per normalised unit (Tancik et al.,
    NeurIPS 2020).
    """

    n_frequencies: int
    sigma_z: float
    sigma_y: float
    sigma_x: float
    seed: int = 0
    kind: ClassVar[str] = "fourier"

    def __post_init__(self):
        _require_int("Fourier", "n_frequencies", self.n_frequencies, 1)
        _require_int("Fourier", "seed", self.seed, 0)
        for name in ("sigma_z", "sigma_y", "sigma_x"):
            _require_positive("Fourier", name, getattr(self, name))

    def waves(self) -> Waves:
        """The plane waves behind the features."""
        normal = np.random.default_rng(self.seed).standard_normal((self.n_frequencies, 3))
        index = np.arange(self.n_frequencies)
        sigmas = np.array([self.sigma_z, self.sigma_y, self.sigma_x], float)
        return Waves(normal * sigmas, index, index + self.n_frequencies)


@dataclass(frozen=True)
class PlaneWaves(_WaveDescription):
    """PlaneWaves(frequencies): waves that are listed one by one.

    The features are sin(2 pi f.p) for all frequencies f = (fz, fy, fx), in cycles per normalised unit, then
    cos(2 pi f.p).
    """

    frequencies: tuple
    kind: ClassVar[str] = "waves"

    def __post_init__(self):
        try:
            listed = np.array(self.frequencies, float)
        except (TypeError, ValueError):
            listed = np.empty(0)
        if listed.ndim != 2 or listed.shape[1] != 3 or not len(listed) or not np.isfinite(listed).all():
            raise InputError("PlaneWaves: expected frequencies as ((fz, fy, fx), ...), finite numbers")
        object.__setattr__(self, "frequencies", tuple(map(tuple, listed.tolist())))

    def waves(self) -> Waves:
        """The plane waves behind the features."""
        index = np.arange(len(self.frequencies))
        return Waves(np.array(self.frequencies), index, index + len(index))


@dataclass(frozen=True)
class Hash(_Description):
    """Hash(resolutions, log2_table_size, n_features_per_level, smooth, initial_scale): a grid.

    Every level is a lattice of rz x ry x rx nodes over the domain, ends included, with a few
    trained features a node; a point reads the 8 nodes around it.  A level of at most
    2^log2_table_size nodes is stored densely in row-major order; a finer one is hashed into a table
    of that size (Mueller et al., ACM Trans. Graph. 41, 102, 2022).

    Attributes
    ----------
    resolutions : tuple of (rz, ry, rx)
        Lattice nodes along each axis, per level, each at least 2.
    smooth : bool
        True weighs the nodes with smoothstep, which makes the field C1; False is trilinear.
    initial_scale : float
        Parameters start uniform in +-initial_scale.
    """

    resolutions: tuple
    log2_table_size: int = 15
    n_features_per_level: int = 2
    smooth: bool = True
    initial_scale: float = 1e-4
    kind: ClassVar[str] = "hash"

    def __post_init__(self):
        _require_int("Hash", "log2_table_size", self.log2_table_size, 1)
        _require_int("Hash", "n_features_per_level", self.n_features_per_level, 1)
        _require_positive("Hash", "initial_scale", self.initial_scale)
        if not isinstance(self.smooth, bool):
            raise InputError(f"Hash: expected smooth to be true or false; got {f'{self.smooth!r}'[:40]}")
        if self.log2_table_size > 28:
            raise InputError(f"Hash: expected log2_table_size <= 28; got {self.log2_table_size}")
        try:
            resolutions = tuple(tuple(level) for level in self.resolutions)
        except TypeError:
            resolutions = ()
        if not resolutions or any(len(level) != 3 for level in resolutions):
            raise InputError(
                f"Hash: expected resolutions as ((rz, ry, rx), ...), one per level; got {self.resolutions!r}"
            )
        for level in resolutions:
            for nodes in level:
                _require_int("Hash", "every resolution", nodes, 2)
        plain = tuple(tuple(int(nodes) for nodes in level) for level in resolutions)
        object.__setattr__(self, "resolutions", plain)

    @classmethod
    def geometric(
        cls, coarsest_zyx: Sequence[float], finest_zyx: Sequence[float], levels: int, **options: Any
    ) -> Hash:
        """Levels whose resolution grows by a constant factor per axis.

        Parameters
        ----------
        coarsest_zyx, finest_zyx : (float, float, float)
            Nodes of the first and of the last level.
        levels : int
        **options
            As of the class.
        """
        _require_int("Hash.geometric", "levels", levels, 1)
        coarsest, finest = np.asarray(coarsest_zyx, float), np.asarray(finest_zyx, float)
        if coarsest.shape != (3,) or finest.shape != (3,) or coarsest.min() < 2 or finest.min() < 2:
            raise InputError(
                "Hash.geometric: expected coarsest_zyx and finest_zyx as three numbers"
                f" >= 2; got {coarsest_zyx!r} and {finest_zyx!r}"
            )
        steps = np.linspace(0, 1, levels)[:, None]
        ladder = np.rint(coarsest * (finest / coarsest) ** steps).astype(int)
        return cls(tuple(map(tuple, ladder.tolist())), **options)

    @property
    def n_features(self) -> int:
        """Length of the feature vector."""
        return len(self.resolutions) * self.n_features_per_level

    @property
    def n_params(self) -> int:
        """Numbers in the table."""
        return sum(self.nodes_per_level) * self.n_features_per_level

    @property
    def dense(self) -> tuple[bool, ...]:
        """Per level, whether its nodes are stored one by one: tuple of bool."""
        return tuple(math.prod(level) <= 2**self.log2_table_size for level in self.resolutions)

    @property
    def nodes_per_level(self) -> tuple[int, ...]:
        """Per level, the number of stored feature vectors: tuple of int."""
        return tuple(min(math.prod(level), 2**self.log2_table_size) for level in self.resolutions)

    def octave_of_feature(self) -> np.ndarray:
        """Level of every feature, (n_features,) float64."""
        return np.repeat(np.arange(len(self.resolutions), dtype=float), self.n_features_per_level)

    def initial_params(self, rng: np.random.Generator) -> np.ndarray:
        """Parameters to start a fit from: (n_params,) float32, uniform in +-initial_scale."""
        return rng.uniform(-self.initial_scale, self.initial_scale, self.n_params).astype("f4")


@dataclass(frozen=True)
class Identity(_Description):
    """Identity(n_features): the caller gives the features themselves in place of points."""

    n_features: int
    kind: ClassVar[str] = "identity"

    def __post_init__(self):
        _require_int("Identity", "n_features", self.n_features, 1)

    def octave_of_feature(self) -> np.ndarray:
        """Zero for every feature, (n_features,) float64."""
        return np.zeros(self.n_features)


_KINDS = {encoding.kind: encoding for encoding in (Radial, Positional, Fourier, PlaneWaves, Hash, Identity)}


def encoding_from_dict(values: dict[str, Any]) -> Encoding:
    """The encoding that `to_dict` of any of the classes above described."""
    kind = values.get("kind")
    if kind not in _KINDS:
        raise InputError(f"encoding: expected kind to be one of {sorted(_KINDS)}; got {kind!r}")
    return _KINDS[kind].from_dict(values)

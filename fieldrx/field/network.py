"""The network: a small multilayer perceptron from features to the two parts of the contrast.

Only the description and the layout of its parameters; the arithmetic is in `fieldrx.backends`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fieldrx.errors import InputError

_MOST, _DEEPEST = 1 << 20, 1000  # no file may ask for more than a machine has
ACTIVATIONS = ("leaky_relu", "relu", "sine")


@dataclass(frozen=True)
class Network:
    """A multilayer perceptron with a linear output layer.

    Hidden layer l computes h = act(W_l^T i + b_l), where i is the features for l = 0, concat(h,
    features) for l in `skips`, and h otherwise; the output is W^T h + b.

    Attributes
    ----------
    n_inputs : int
        Features per point.
    width, depth : int
        Neurons per hidden layer, and hidden layers.
    skips : tuple of int
        Hidden layers, from 1 to depth - 1, that read the features again.
    activation : {"leaky_relu", "relu", "sine"}
        max(v, slope v), max(v, 0) or sin(omega v).
    slope, omega : float
        Of the leaky ReLU and the sine.
    n_outputs : int
        2 by default: the real and the imaginary part of the index contrast.
    """

    n_inputs: int
    width: int = 64
    depth: int = 2
    skips: tuple = ()
    activation: str = "leaky_relu"
    slope: float = 0.2
    omega: float = 30.0
    n_outputs: int = 2

    def __post_init__(self):
        for name in ("n_inputs", "width", "depth", "n_outputs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value <= _MOST:
                raise InputError(
                    f"Network: expected {name} to be an integer from 1 to {_MOST}; got {f'{value!r}'[:40]}"
                )
        if self.depth > _DEEPEST:
            raise InputError(f"Network: expected depth up to {_DEEPEST}; got {self.depth}")
        skips = tuple(self.skips)
        if len(set(skips)) < len(skips) or not set(skips) <= set(range(1, self.depth)):
            raise InputError(
                "Network: expected skips to be different layers from 1 to "
                f"depth - 1 = {self.depth - 1}; got {skips}"
            )
        object.__setattr__(self, "skips", tuple(sorted(int(layer) for layer in skips)))
        if self.activation not in ACTIVATIONS:
            raise InputError(
                f"Network: expected activation to be one of {ACTIVATIONS}; got {self.activation!r}"
            )
        if not 0 <= self.slope <= 1:
            raise InputError(f"Network: expected slope from 0 to 1; got {self.slope!r}")
        if not (math.isfinite(self.omega) and self.omega > 0):
            raise InputError(f"Network: expected omega > 0; got {self.omega!r}")

    def to_dict(self) -> dict[str, Any]:
        """The description as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Network:
        """The network that `to_dict` described."""
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(f"Network: unexpected or missing field ({error})") from None

    def layer_shapes(self) -> list[tuple[int, int]]:
        """(fan_in, fan_out) of every layer, the output layer last: list of pairs."""
        hidden = [
            (self.n_inputs * (layer == 0 or layer in self.skips) + self.width * (layer > 0), self.width)
            for layer in range(self.depth)
        ]
        return hidden + [(self.width, self.n_outputs)]

    @property
    def n_params(self) -> int:
        """Weights and biases of all layers."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in self.layer_shapes())

    def unpack(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Named views of a flat parameter vector.

        Parameters
        ----------
        flat : (n_params,) array

        Returns
        -------
        dict
            weight_0 (fan_in, fan_out), bias_0 (fan_out,), weight_1, ...; rows of a skip layer are
            the hidden neurons first, then the features.
        """
        if flat.shape != (self.n_params,):
            raise InputError(f"Network: expected {self.n_params} parameters; got shape {flat.shape}")
        named, start = {}, 0
        for layer, (fan_in, fan_out) in enumerate(self.layer_shapes()):
            end = start + fan_in * fan_out
            named[f"weight_{layer}"] = flat[start:end].reshape(fan_in, fan_out)
            named[f"bias_{layer}"] = flat[end : end + fan_out]
            start = end + fan_out
        return named

    def pack(self, named: dict[str, np.ndarray]) -> np.ndarray:
        """The flat float32 parameter vector, (n_params,), of arrays named as by `unpack`."""
        flat = np.empty(self.n_params, np.float32)
        for name, view in self.unpack(flat).items():
            if name not in named:
                raise InputError(f"Network: expected an array {name}; got {sorted(named)}")
            given = np.asarray(named[name])
            if given.shape != view.shape or given.dtype.kind not in "iuf":
                raise InputError(
                    f"Network: expected {name} as numbers of shape {view.shape}; got {given.dtype} "
                    f"{given.shape}"
                )
            view[...] = given
        return flat

    def initial_params(self, rng: np.random.Generator) -> np.ndarray:
        """Parameters to start a fit from: (n_params,) float32, biases zero.

        Weights have He's variance for (leaky) ReLU and SIREN's uniform range for the sine
        (Sitzmann et al., NeurIPS 2020); the output layer starts ten times smaller than its
        fan-in would ask, so that the field starts near zero.
        """
        flat = np.zeros(self.n_params, np.float32)
        for layer, (fan_in, fan_out) in enumerate(self.layer_shapes()):
            weight = self.unpack(flat)[f"weight_{layer}"]
            if layer == self.depth:
                weight[...] = rng.normal(0, 0.1 / math.sqrt(fan_in), weight.shape)
            elif self.activation == "sine":
                bound = 1 / fan_in if layer == 0 else math.sqrt(6 / fan_in) / self.omega
                weight[...] = rng.uniform(-bound, bound, (fan_in, fan_out))
            else:
                gain = math.sqrt(2 / (1 + self._slope**2))
                weight[...] = rng.normal(0, gain / math.sqrt(fan_in), (fan_in, fan_out))
        return flat

    @property
    def _slope(self):
        return self.slope if self.activation == "leaky_relu" else 0.0

"""The trained field: a continuous complex refractive index n(z, y, x), and its file format.

A field file is one .npz without pickles:

==================  ==============================================================================
key                 meaning
==================  ==============================================================================
format, version     "fieldrx-field"; 1, or 2 where it is coded (``fieldrx.field.coded``) or has a quantity
encoding, network   JSON text: descriptions of ``fieldrx.field.encodings`` and ``fieldrx.field.network``
table               float32: parameters of the encoding (empty unless it is a hash grid)
weight_0, bias_0 …  float32: layers, (fan_in, fan_out) and (fan_out,)
lattice, stream     of a coded field in place of the four above: JSON text of its blocks, and bytes
output_scale        contrast per unit of the network's output
quantity            of version 2: what contrast that is, of "permittivity", n^2 - n0^2
medium_index        n0
bounds_um           (3, 2): domain, mapped to [-1, 1] per axis; outside it the contrast is 0
region_um           (3, 2): first and last voxel centre of what the images show
spacing_um          (3,): voxel spacing (dz, dy, dx) at which the field was fitted
provenance          JSON text: versions, arguments, optics, final errors
history_*           float arrays: the course of the fit
==================  ==============================================================================
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.backends import get, is_on_device, module_of, of, to_host
from fieldrx.errors import InputError, one_line
from fieldrx.field import storage
from fieldrx.field.coded import Coded
from fieldrx.field.encodings import Encoding
from fieldrx.field.network import Network
from fieldrx.field.outputs import QUANTITIES, from_permittivity, normalised, to_contrast
from fieldrx.field.sampled import Sampled
from fieldrx.io import check_keys, check_npz, load_npz, save_npz
from fieldrx.provenance import Provenance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = "fieldrx-field"
_KEYS = (
    "output_scale",
    "medium_index",
    "bounds_um",
    "region_um",
    "spacing_um",
    "provenance",
)
_BLOCK = 1 << 20  # points evaluated at once


@dataclass(frozen=True, eq=False)
class NeuralField(Sampled):
    """Refractive index as a function of position.

    Parameters
    ----------
    encoding : an encoding of ``fieldrx.field.encodings``
    network : Network
        With one output (index contrast) or two (index contrast and absorption).
    params : float32 array, shape (n,)
        The field is evaluated on the device that holds them.
    bounds_um : array, shape (3, 2)
        Domain along z, y and x [um].
    region_um : array, shape (3, 2)
        First and last voxel centre of the measured region, the default of :meth:`volume` [um].
    spacing_um : (float, float, float)
        Voxel spacing (dz, dy, dx) of the fit, the default of :meth:`volume` [um].
    output_scale : float
        Index contrast per unit of the network's output.
    medium_index : float
        n0.
    provenance : Provenance or dict
        How the field came to be.
    history : dict of arrays
        The course of the fit.
    coded : Coded, optional
        What the parameters were decoded from, for the file, of a field that was compressed.
    quantity : {"contrast", "permittivity"}
        What the scaled outputs are: index contrast n - n0, or contrast of permittivity n^2 - n0^2.

    Raises
    ------
    InputError
        If shapes disagree or a number is not finite.
    """

    encoding: Encoding
    network: Network
    params: np.ndarray
    bounds_um: np.ndarray
    region_um: np.ndarray
    spacing_um: tuple[float, float, float]
    output_scale: float
    medium_index: float
    provenance: Provenance = field(default_factory=Provenance)
    history: dict = field(default_factory=dict)
    coded: Coded | None = None
    quantity: str = "contrast"

    def __post_init__(self):
        shapes = {
            "params": (self.encoding.n_params + self.network.n_params,),
            "bounds_um": (3, 2),
            "region_um": (3, 2),
            "spacing_um": (3,),
            "output_scale": (),
            "medium_index": (),
        }
        for name, shape in shapes.items():
            value = to_host(getattr(self, name))
            if value.shape != shape or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
                raise InputError(f"{name} must be finite numbers of shape {shape}; got shape {value.shape}")
        bounds, region = np.asarray(self.bounds_um), np.asarray(self.region_um)
        if not (bounds[:, 0] < bounds[:, 1]).all() or not (region[:, 0] <= region[:, 1]).all():
            raise InputError(f"bounds_um {bounds.tolist()} and region_um {region.tolist()} must grow")
        if not min(self.spacing_um) > 0 or not self.medium_index > 0:
            raise InputError(
                f"spacing_um {self.spacing_um} and medium_index {self.medium_index} must be positive"
            )
        if self.quantity not in QUANTITIES:
            raise InputError(f'quantity is "{self.quantity}"; expected one of {", ".join(QUANTITIES)}')
        object.__setattr__(self, "provenance", Provenance.from_dict(self.provenance))

    def to(self, device: str) -> NeuralField:
        """The same field on another device: "cpu", "cuda" or "auto" (see ``fieldrx.backends.get``)."""
        return replace(self, params=get(device).asarray(to_host(self.params)))

    def contrast(self, points: ArrayLike) -> np.ndarray:
        """Complex index contrast n - n0 at any points (..., 3) [um]; 0 outside the domain.

        Device arrays in, device arrays out.
        """
        xp = module_of(points)
        places: np.ndarray = xp.asarray(points, np.float64)
        if places.ndim == 0 or places.shape[-1] != 3:
            raise InputError(f"points have shape {places.shape}; expected (..., 3) as (z, y, x) in um")
        if not xp.isfinite(places).all():
            raise InputError("points must be finite numbers in um")
        flat = places.reshape(-1, 3)
        out = xp.zeros(len(flat), np.complex128)
        low, high = xp.asarray(np.asarray(self.bounds_um, np.float64).T)
        inside = xp.flatnonzero(((flat >= low) & (flat <= high)).all(axis=1))
        backend, params = self._at(places)
        for first in range(0, len(inside), _BLOCK):
            block = inside[first : first + _BLOCK]
            at = xp.stack(normalised(flat[block].T, self.bounds_um), axis=1)
            values = backend.field_forward(self.encoding, self.network, params, backend.asarray(at))
            out[block] = _like(places, self._contrast_of(values.T))
        return out.reshape(places.shape[:-1])

    def on_axes(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Index contrast on the grid of three axes, complex64 of shape (nz, ny, nx).

        Parameters
        ----------
        z, y, x : float arrays, shapes (nz,), (ny,) and (nx,)
            Voxel centres [um]; the device that holds ``z`` computes, and holds the result.
        """
        like, axes = z, [np.atleast_1d(np.asarray(to_host(a), np.float64)) for a in (z, y, x)]
        xp, (backend, params) = module_of(like), self._at(like)
        out = xp.zeros(tuple(len(a) for a in axes), np.complex64)
        keep = [
            np.flatnonzero((a >= lo) & (a <= hi)) for a, (lo, hi) in zip(axes, self.bounds_um, strict=True)
        ]
        if any(k.size == 0 for k in keep):
            return out
        z, y, x = normalised([a[k] for a, k in zip(axes, keep, strict=True)], self.bounds_um)
        slab = max(1, _BLOCK // (len(y) * len(x)))
        for first in range(0, len(z), slab):
            part = slice(first, first + slab)
            values = backend.grid_forward(self.encoding, self.network, params, z[part], y, x)
            places = [xp.asarray(k) for k in np.ix_(keep[0][part], keep[1], keep[2])]
            out[tuple(places)] = _like(like, self._contrast_of(values))
        return out

    def _contrast_of(self, outputs):
        """Index contrast of the network's outputs."""
        scaled = to_contrast(outputs, self.output_scale)
        return scaled if self.quantity == "contrast" else from_permittivity(scaled, self.medium_index)

    def _at(self, points):
        """Where the field is evaluated, and its parameters there: on a GPU if either lives on one."""
        backend = of(self.params) if is_on_device(self.params) else of(points)
        return backend, backend.asarray(self.params)

    def show(
        self,
        quantity: str = "n",
        region: ArrayLike | None = None,
        spacing: ArrayLike | None = None,
        limits: Sequence[float] | None = None,
    ) -> Figure:
        """A matplotlib figure of the three central planes.

        Parameters
        ----------
        quantity : str
            As for ``fieldrx render --quantity``.
        region : array_like, shape (3, 2), optional
            First and last point along z, y and x [um]; what the images show when not given.
        spacing : float or three, optional
            Of pixels [um]; fine enough for a picture when not given.
        limits : (float, float), optional
            Of the colours.

        Raises
        ------
        InputError
            If matplotlib is missing, or an argument makes no sense.
        """
        from fieldrx.plot import show_field

        return show_field(self, quantity, region, spacing, limits)

    def __repr__(self):
        ends = zip("zyx", self.region_um, strict=True)
        region = ", ".join(f"{n} {a:.4g} ... {b:.4g}" for n, (a, b) in ends)
        return (
            f"NeuralField({region} um, medium {self.medium_index:g}; {type(self.encoding).__name__}, "
            f"{self.network.depth} x {self.network.width} network, {self.params.size} parameters)"
        )

    def _repr_html_(self):
        from fieldrx.plot import field_html

        return field_html(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write the field file, a .npz; an interruption leaves the old one."""
        check_npz(path, "a field")
        arrays: dict[str, Any] = self.to_arrays()
        save_npz(path, compressed=self.coded is not None, **arrays)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The contents of the field file."""
        return {
            "format": np.array(FORMAT),
            **storage.stored(self.encoding, self.network, to_host(self.params), self.coded, self.quantity),
            "output_scale": np.array(self.output_scale),
            "medium_index": np.array(self.medium_index),
            "bounds_um": np.asarray(self.bounds_um),
            "region_um": np.asarray(self.region_um),
            "spacing_um": np.asarray(self.spacing_um),
            "provenance": np.array(self.provenance.to_json()),
            **{f"history_{name}": np.asarray(values) for name, values in self.history.items()},
        }


def load_field(path: str | os.PathLike) -> NeuralField:
    """Read a field file.

    Raises
    ------
    InputError
        If the file is missing, damaged, no field, or of another version.
    """
    return field_from_arrays(load_npz(path, "field"), path)


def field_from_arrays(arrays: dict[str, np.ndarray], path: str | os.PathLike) -> NeuralField:
    """The field of a field file's contents; `path` is for errors, which are those of `load_field`."""
    check_keys(arrays, ("format", "version"), path, "field")
    if str(arrays["format"]) != FORMAT:
        raise InputError(f'{path} has format "{arrays["format"]}"; expected "{FORMAT}"')
    version = arrays["version"]
    if version.shape != () or version.item() not in storage.VERSIONS:
        raise InputError(
            f"{path} is a field file of version {version}; this fieldrx reads versions "
            f"{' and '.join(map(str, storage.VERSIONS))}: update fieldrx, or fit again"
        )
    check_keys(arrays, storage.needed(arrays) + _KEYS, path, "field")
    try:
        encoding, network, params, coded = storage.restored(arrays)
        return NeuralField(
            encoding,
            network,
            params,
            _real(arrays, "bounds_um", 2),
            _real(arrays, "region_um", 2),
            tuple(_real(arrays, "spacing_um", 1).tolist()),
            float(_real(arrays, "output_scale", 0)),
            float(_real(arrays, "medium_index", 0)),
            Provenance.from_json(str(arrays["provenance"])),
            {k.removeprefix("history_"): _real(arrays, k, 1) for k in arrays if k.startswith("history_")},
            coded,
            str(arrays.get("quantity", "contrast")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # InputError is a ValueError
        raise InputError(f"{path} is damaged: {one_line(error)}; fit again or restore the file") from None


def _real(arrays, name, axes):
    """One array of a file, which must hold real numbers."""
    value = arrays[name]
    if value.ndim != axes or value.dtype.kind not in "iuf":
        raise InputError(f"{name} is {value.dtype} {value.shape}; expected numbers along {axes} axes")
    return value.astype(np.float64)


def _like(array, values):
    """Values on the device of an array."""
    return values if is_on_device(array) else to_host(values)

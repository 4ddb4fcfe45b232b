"""What the multi-slice models share: slices, sources, images, and the order of the way back.

A plane wave from source s enters the sample; slice after slice changes it and lets it travel on.  All
waves are envelopes around the incident wave exp(2 pi i nu_s . rho + i kz(nu_s) z), so any tilt is exact on
any grid and an empty sample leaves 1.  `camera` brings the wave to the camera as E_s; image m is

    I_m = gain_m sum_s w_ms |E_s|^2 / sum_bright w_ms |P(nu_s)|^2 .

Where pixels integrate, |E_s|^2 is the mean over a few points of each (`fieldrx.models.camera`).

An image that is lit from outside the pupil alone (dark field) holds scattered light alone: P(nu_s) = 0.  Its
intensities are relative to what its lamps would give inside the pupil: divided by sum_s w_ms.

The way back, with gradients as d/dRe + i d/dIm: dE_s = 2 E_s sum_m (gain_m w_ms / background_m) dI_m,
then `camera`'s adjoint, then the model's own march in reverse.
"""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.backends import module_of, of, plain, to_host
from fieldrx.backends.propagation import MOST_STORED
from fieldrx.errors import InputError
from fieldrx.models.base import (
    Gradients,
    OfIntensities,
    as_complex,
    check_geometry,
    check_images,
    gain_of_images,
)
from fieldrx.models.camera import Camera, Readings
from fieldrx.models.plane import image_window
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.pupil import Pupil
from fieldrx.resources import Need

ENGINES = ("compiled", "plain")
MEMORY = ("auto", "store", "recompute")
_LANES = 16  # sources that march together
_WAVES = 24  # that a march and the way to the camera hold beside those that it keeps


class MultiSlice(OfIntensities):
    """Images of a sample that scatters more than once; see the subclasses for how slices act.

    Parameters
    ----------
    grid : Grid
        Voxels of the contrast.  The waves travel on this grid, so it should reach beyond the images
        (``Grid.for_images``).
    microscope : Microscope
    illumination : Illumination
    image_shape : (int, int), optional
        Pixels of an image; the whole lateral grid when not given.
    slices_um : array_like, shape (nz,), optional
        Heights of the slices where they are not evenly spaced; the grid's when not given.  A slice
        stands for the sample half-way to its neighbours.
    pupil : Pupil, optional
        Aberrations; none when not given.
    defocus_um : float
        Height of the plane in focus.
    gain : array_like, shape (n,), optional
        Brightness of every image over its background; 1 when not given.
    border_um : float, optional
        Width of a frame at the grid's edge in which the scattered wave fades before it travels to the camera;
        half of what the grid has around the images when not given.
    edge : str
        Edge of the aperture on the frequency grid: "hard", or "soft" for shares of cells: see
        ``fieldrx.models.camera``.
    engine : str
        "compiled", or "plain" for array functions and FFTs, which also takes double precision.
    memory : str
        "store" keeps the wave at every slice for the way back; "recompute" keeps a few and computes
        the others again; "auto" stores up to 2 GiB.

    Raises
    ------
    InputError
        If the images do not lie on the grid, or a parameter does not make sense.
    """

    name, linear = "", False
    march = ""  # the name of its march in the backends

    @staticmethod
    def step_need(shape: tuple[int, int, int], n_images: int, n_waves: int) -> Need:
        """Memory of a step: waves of all lanes, kept at every slice or at some, and a batch of images."""
        pixels = float(shape[1] * shape[2])
        lanes = 8 * (_LANES // 2 if n_waves <= _LANES // 2 else _LANES) * pixels  # bytes of their waves
        stored = lanes * shape[0]
        kept = stored if stored <= MOST_STORED else 2 * lanes * np.sqrt(shape[0])
        return Need("waves and a batch of images", peak=kept + lanes * _WAVES + 24 * pixels * n_images)

    def __init__(
        self,
        grid: Grid,
        microscope: Microscope,
        illumination: Illumination,
        image_shape: tuple[int, int] | None = None,
        *,
        slices_um: ArrayLike | None = None,
        pupil: Pupil | None = None,
        defocus_um: float = 0.0,
        gain: ArrayLike | None = None,
        border_um: float | None = None,
        edge: str = "hard",
        engine: str = "compiled",
        memory: str = "auto",
    ):
        self.image_shape = check_geometry(grid, microscope, illumination, image_shape, pupil)
        self.grid, self.microscope, self.illumination = grid, microscope, illumination
        self.window = image_window(grid, self.image_shape, microscope)
        self.pupil, self.defocus_um = pupil or Pupil(), float(defocus_um)
        self.heights, self.thickness = _slices(grid, slices_um)
        self.gain = gain_of_images(gain, illumination)
        if engine not in ENGINES:
            raise InputError(f'there is no engine "{engine}"; expected one of {", ".join(ENGINES)}')
        if memory not in MEMORY:
            raise InputError(f'memory is "{memory}"; expected one of {", ".join(MEMORY)}')
        self.engine, self.memory = engine, memory
        self._sources = illumination.sources_na / microscope.wavelength_um
        illumination.refuse_steep(microscope)
        if edge not in ("hard", "soft"):
            raise InputError(f'edge is "{edge}"; expected hard or soft')
        distance = self.heights[-1] - self.defocus_um
        self.camera = Camera(grid, self.image_shape, microscope, self.pupil, distance, edge, border_um)
        self._power = np.array([abs(self.camera.incident(nu)) ** 2 for nu in self._sources])
        self._refocus: dict[Any, Readings] = {}  # by backend

    # ---- what a subclass says --------------------------------------------------------------------

    @abstractmethod
    def _slices(self, contrast: np.ndarray) -> np.ndarray:
        """What every slice does to the wave, in radians, from the contrast."""

    @abstractmethod
    def _slices_vjp(self, contrast: np.ndarray, d_slices: np.ndarray) -> np.ndarray:
        """Gradient of the contrast from that of the slices."""

    # ---- the protocol ----------------------------------------------------------------------------

    def forward(self, contrast: np.ndarray, images: np.ndarray | None = None) -> np.ndarray:
        """Predicted intensities, shape (n, ny, nx)."""
        contrast = as_complex(contrast, self.grid, self.microscope.medium_index)
        slices, light = self._slices(contrast), _Light(self, images)
        parts = (self._pass(slices, group, light, None)[1] for group in light.groups)
        return reduce(operator.add, parts).astype(contrast.real.dtype, copy=False)

    def vjp(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of ``sum(d_intensity * forward(contrast))``, d/dRe + i d/dIm."""
        return self.forward_and_pullback(contrast, images)[1](d_intensity)

    def forward_and_pullback(
        self, contrast: np.ndarray, images: np.ndarray | None = None
    ) -> tuple[np.ndarray, Callable]:
        """Predicted intensities, and the map from their gradient to that of the contrast."""
        contrast = as_complex(contrast, self.grid, self.microscope.medium_index)
        slices, light = self._slices(contrast), _Light(self, images)
        out: Any = None
        for group in light.groups:
            kept, part = self._pass(slices, group, light, self.memory)
            out = part if out is None else out + part
        out = out.astype(contrast.real.dtype, copy=False)

        def pullback(d_intensity):
            check_images(d_intensity, len(light.images), self.image_shape)

            def d_slices(group):
                if group is light.groups[-1]:  # of several groups the march of the last one is kept
                    return kept.from_images(d_intensity)
                return self._pass(slices, group, light, self.memory)[0].from_images(d_intensity)

            return self._slices_vjp(contrast, reduce(operator.add, map(d_slices, reversed(light.groups))))

        return out, pullback

    def gradients(
        self, contrast: np.ndarray, d_intensity: np.ndarray, images: np.ndarray | None = None
    ) -> Gradients:
        """Gradient of ``sum(d_intensity * forward(contrast))`` with respect to all parameters.

        Runs on the plain engine, in the precision of the contrast.
        """
        contrast = as_complex(contrast, self.grid, self.microscope.medium_index)
        slices, light = self._slices(contrast), _Light(self, images)
        check_images(d_intensity, len(light.images), self.image_shape)
        d_slices, d_defocus = module_of(slices).zeros_like(slices), 0.0
        d_sources, d_pupil = np.zeros(self._sources.shape), np.zeros_like(self.pupil.parameters)
        refocus, power = self._to_camera(slices, plain), np.zeros(light.weights.shape)
        for group in light.groups:
            march = self._march(group, slices, plain)
            waves = march.forward(slices, self.memory)
            fields, share = refocus.fields(waves, group), light.share[:, group]
            for n, s in enumerate(group):
                scattered = waves[n] - 1
                for weight, shift, of_point in refocus.points(fields):
                    d_field = plain.field_gradient(d_intensity, of_point[n], weight * share[:, n])
                    d_source, d_distance, d_p = self.camera.details(
                        scattered, self._sources[s], d_field, shift
                    )
                    d_sources[s] += d_source
                    d_defocus -= d_distance
                    d_pupil += d_p
                    power[:, s] += weight * to_host(_intensity_products(d_intensity, of_point[n]))
            d_waves = refocus.waves_gradient(d_intensity, fields, share, group)
            d_part, d_march = march.backward(d_waves, directions=True)
            d_slices += d_part
            d_sources[group] += to_host(d_march)
        d_pattern, d_gain, d_background = light.own_gradients(power)
        for s, d_power in d_background.items():  # background_m holds |P(nu_s)|^2
            rho = self.camera.rho(self._sources[s][:, None])
            d_value = np.array([2 * d_power * self.camera.incident(self._sources[s])])
            d_pupil += self.pupil.vjp(rho, d_value)
            slope = (np.conj(d_value) * self.pupil.slope(rho)).real[:, 0]
            d_sources[s] += slope / self.camera.radius
        return Gradients(
            self._slices_vjp(contrast, d_slices),
            d_sources / self.microscope.wavelength_um,
            d_pattern,
            d_gain,
            d_defocus,
            d_pupil,
        )

    # ---- parts -----------------------------------------------------------------------------------

    def _pass(self, slices, group, light, memory):
        """March a group of sources through the slices to the camera; the march, and what is seen."""
        march = self._march(group, slices)
        camera = self._to_camera(slices).simplest
        return march, march.to_images(slices, memory, camera, group, light.share[:, group])

    def _engine(self, slices):
        """The operators that the engine names, for the device of the slices."""
        return plain if self.engine == "plain" else of(slices)

    def _march(self, group, slices, engine=None):
        engine, scope = engine or self._engine(slices), self.microscope
        frequencies = self.grid.frequencies()
        if engine is plain:
            y, x = frequencies
            frequencies = of(slices).asarray(y), of(slices).asarray(x)
        return getattr(engine, self.march)(
            *frequencies,
            self._sources[group],
            scope.medium_index / scope.wavelength_um,
            np.round(np.diff(self.heights), 9),  # equal gaps compare equal
        )

    def _to_camera(self, slices, engine=None):
        """What brings waves to the camera; made once for every engine."""
        engine = engine or self._engine(slices)
        if engine not in self._refocus:
            self._refocus[engine] = Readings(engine, self.camera, self._sources)
        return self._refocus[engine]


class PotentialSlices(MultiSlice):
    """Slices are dz V / k = (k0 dz / n0) (2 n0 delta + delta^2), with V = k0^2 [(n0 + delta)^2 - n0^2]."""

    def _slices(self, contrast: np.ndarray) -> np.ndarray:
        return of(contrast).potential(contrast, self.microscope.medium_index, self._factors)

    def _slices_vjp(self, contrast: np.ndarray, d_slices: np.ndarray) -> np.ndarray:
        return of(contrast).potential_vjp(contrast, d_slices, self.microscope.medium_index, self._factors)

    @property
    def _factors(self):
        return self.microscope.wavenumber / self.microscope.medium_index * self.thickness


class _Light:
    """Which sources light the chosen images, and with what weight."""

    def __init__(self, model: MultiSlice, images: np.ndarray | None):
        illumination = model.illumination
        self.images = illumination.rows(images)
        self.n_images, self.image_shape = illumination.n_images, model.image_shape
        self.gain = model.gain[self.images]
        self.weights = illumination.pattern[self.images]
        self.power = model._power
        self.lit = self.weights @ self.power > 0
        # what a source adds to the background: nothing from outside the pupil, unless all are there
        self.reference = np.where(self.lit[:, None], self.power, 1.0)
        self.background = (self.weights * self.reference).sum(axis=1)
        self._check_grid(model)
        self.share = (self.gain / self.background)[:, None] * self.weights
        used = np.flatnonzero(self.weights.any(axis=0))
        count = -(-len(used) // _LANES)
        self.groups = [list(map(int, part)) for part in np.array_split(used, count)]

    def _check_grid(self, model):
        """Refuse dark-field images of which the grid holds a part of the pupil alone."""
        sources = np.flatnonzero(self.weights[~self.lit].any(axis=0))
        lost = [s for s in sources if not model.camera.holds(model._sources[s])]
        if lost:
            na = np.abs(model.illumination.sources_na[lost]).max()
            scope = model.microscope
            raise InputError(
                f"dark-field light of NA {na:.3g} scatters into the pupil of NA {scope.objective_na:g} from "
                f"finer detail than voxels of {max(model.grid.spacing_um[1:]):.3g} um hold; use a grid of at "
                f"most {0.5 * scope.wavelength_um / (na + scope.objective_na):.3g} um (--grid-um)"
            )

    def own_gradients(self, power: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[int, float]]:
        """Gradients of pattern and gain, and of |P(nu_s)|^2 in the backgrounds, from <dI_m, |E_s|^2>."""
        total = (self.share * power).sum(axis=1)  # <dI_m, I_m>
        scale = (self.gain / self.background)[:, None]
        d_pattern, d_gain = np.zeros((self.n_images, self.weights.shape[1])), np.zeros(self.n_images)
        over = (total / self.background)[:, None]
        np.add.at(d_pattern, self.images, scale * power - over * self.reference)
        np.add.at(d_gain, self.images, total / self.gain)
        d_power = -(over * self.weights)[self.lit].sum(axis=0)
        used = [s for group in self.groups for s in group]
        return d_pattern, d_gain, {s: d_power[s] for s in used if self.power[s]}


def _intensity_products(d_intensity, field):
    """<dI_m, |E|^2> of every image m."""
    intensity = field.real**2 + field.imag**2
    return (d_intensity * intensity).sum(axis=(1, 2), dtype=np.float64)


def _slices(grid: Grid, slices_um: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the slices and the thickness that each stands for [um]."""
    if slices_um is None:
        return grid.axis(0), np.full(grid.shape[0], grid.spacing_um[0])
    heights = np.array(slices_um, np.float64)
    if heights.shape != (grid.shape[0],) or len(heights) < 2:
        raise InputError(
            f"slices_um has shape {heights.shape}; expected the grid's {grid.shape[0]} (2 or more)"
        )
    if not np.isfinite(heights).all() or (np.diff(heights) <= 0).any():
        raise InputError("slices_um must be finite and grow from slice to slice")
    gaps = np.diff(heights)
    ends = np.concatenate([gaps[:1], gaps, gaps[-1:]])
    return heights, 0.5 * (ends[:-1] + ends[1:])

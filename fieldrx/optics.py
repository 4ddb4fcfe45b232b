"""Geometry, units and sign conventions: the microscope, its light, and the voxel grid.

All lengths are micrometres, arrays are ordered (z, y, x).  Pixel (i, j) of an image is centred at
``y = i * pixel_size``, ``x = j * pixel_size``; z is measured from the focal plane and grows in the
direction in which the light travels.  Time dependence is ``exp(-i w t)``: a wave towards +z is
``exp(+i kz z)`` and a positive imaginary index absorbs.

========================  ===========================================================  =========
symbol                    meaning                                                      unit
========================  ===========================================================  =========
``na`` = (na_y, na_x)     illumination direction: transverse wave vector over k0       1
``nu_s`` = na / lambda    the same as a spatial frequency                              cycles/um
``kz(nu)``                2 pi sqrt((n0 / lambda)^2 - |nu|^2), the axial wavenumber    rad/um
``P(nu)``                 pupil: 1 inside |nu| <= NA / lambda, else 0                  1
========================  ===========================================================  =========
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.fft import next_fast_len

from fieldrx.brief import brief
from fieldrx.errors import InputError

_MOST_SLICES = 100_000
_EDGE = 1e-6  # relative slack, so that a source given as exactly the objective's NA counts as inside
_RESONANT = 0.07  # of half a wavelength, within which the distance of slices is one


@dataclass(frozen=True)
class Microscope:
    """What the objective and the camera fix once for all images.

    Parameters
    ----------
    wavelength_um : float
        Vacuum wavelength [um].
    objective_na : float
        Numerical aperture of the objective; at most ``medium_index``.
    medium_index : float
        Refractive index n0 of the medium around the sample.
    pixel_size_um : float
        Size of a camera pixel in the sample [um] (camera pixel over magnification).

    Raises
    ------
    InputError
        If a value is not positive and finite, or the aperture exceeds the medium's index.
    """

    wavelength_um: float
    objective_na: float
    medium_index: float
    pixel_size_um: float

    def __post_init__(self):
        for name in ("wavelength_um", "objective_na", "medium_index", "pixel_size_um"):
            value = _number(getattr(self, name), name)
            if not value > 0:
                raise InputError(f"{name} is {value:g}; expected a positive number")
            object.__setattr__(self, name, value)
        if self.objective_na > self.medium_index:
            raise InputError(
                f"objective_na {self.objective_na:g} exceeds medium_index {self.medium_index:g}; "
                "no such light leaves the medium: check both values"
            )

    @property
    def wavenumber(self) -> float:
        """Vacuum wavenumber k0 = 2 pi / lambda [rad/um]."""
        return 2 * np.pi / self.wavelength_um

    @property
    def cutoff(self) -> float:
        """Radius of the pupil NA / lambda [cycles/um], with slack for sources exactly at its edge."""
        return self.objective_na / self.wavelength_um * (1 + _EDGE)

    def axial_frequency(self, nu_squared):
        """kz / 2 pi = sqrt((n0 / lambda)^2 - |nu|^2) [cycles/um]; a tiny number for evanescent waves."""
        ball = (self.medium_index / self.wavelength_um) ** 2
        return np.sqrt(np.maximum(ball - nu_squared, 1e-12 * ball))

    def to_dict(self) -> dict:
        """Plain numbers under the names of the acquisition file."""
        return {
            "wavelength_um": self.wavelength_um,
            "objective_na": self.objective_na,
            "medium_index": self.medium_index,
            "pixel_size_um": self.pixel_size_um,
        }


@dataclass(frozen=True, eq=False)
class Illumination:
    """Where the light of every image comes from.

    The sources of one image are mutually incoherent: ``I = sum_s w_s I_s / sum_s w_s``.  One LED is
    one source; multiplexed, half-annulus and partially coherent light are rows with several weights.

    Parameters
    ----------
    sources_na : array_like, shape (n_sources, 2)
        Direction in which the light of each source travels, (na_y, na_x).
    pattern : array_like, shape (n_images, n_sources), optional
        Non-negative weights of the sources in each image; the identity (one source per image, in
        order) when not given.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a weight is negative, or an image has no light.
    """

    sources_na: np.ndarray
    pattern: np.ndarray = field(default=None)

    def __post_init__(self):
        sources = np.array(self.sources_na, dtype=np.float64)
        if sources.ndim != 2 or sources.shape[1] != 2 or len(sources) == 0:
            raise InputError(
                f"source directions have shape {sources.shape}; expected (n_sources, 2) as (na_y, na_x)"
            )
        if not np.isfinite(sources).all():
            bad = int(np.flatnonzero(~np.isfinite(sources).all(axis=1))[0])
            raise InputError(f"direction of source {bad} is not finite; give numbers for na_y and na_x")
        pattern = np.eye(len(sources)) if self.pattern is None else np.array(self.pattern, np.float64)
        if pattern.ndim != 2 or pattern.shape[1] != len(sources):
            raise InputError(
                f"pattern has shape {pattern.shape}; expected (n_images, {len(sources)}), "
                "one column per source"
            )
        if not np.isfinite(pattern).all() or (pattern < 0).any():
            raise InputError("pattern weights must be finite and not negative")
        dark = np.flatnonzero(pattern.sum(axis=1) == 0)
        if dark.size:
            raise InputError(f"image {dark[0]} has no source: its pattern row is all zero")
        sources.setflags(write=False)
        pattern.setflags(write=False)
        object.__setattr__(self, "sources_na", sources)
        object.__setattr__(self, "pattern", pattern)

    def __repr__(self):
        na = np.linalg.norm(self.sources_na, axis=1)
        return (
            f"Illumination({self.n_images} images, {self.n_sources} sources of NA "
            f"{na.min():.3g} ... {na.max():.3g})"
        )

    @classmethod
    def led_grid(cls, leds, pitch_um, distance_um, centre, axes=("row", "col")) -> Illumination:
        """Directions of LEDs on a flat board, ``na = offset / sqrt(|offset|^2 + distance^2)``.

        Parameters
        ----------
        leds : array_like, shape (n_images, 2)
            Row and column of the LED that lit each image.
        pitch_um, distance_um : float
            Spacing of the LEDs and distance of the board from the sample [um].
        centre : (float, float)
            Row and column of the point on the optical axis.
        axes : (str, str)
            What runs along the image's y and x: "row", "-row", "col" or "-col".  The sign says
            whether the direction of travel grows with the LED's number.
        """
        leds = np.asarray(leds, dtype=np.float64)
        if leds.ndim != 2 or leds.shape[1] != 2:
            raise InputError(f"leds has shape {leds.shape}; expected (n_images, 2) as (row, col)")
        offset = {}
        for k, name in enumerate(("row", "col")):
            offset[name] = (leds[:, k] - float(centre[k])) * float(pitch_um)
            offset["-" + name] = -offset[name]
        names = [str(a) for a in axes]
        if len(names) != 2 or {n.lstrip("-") for n in names} != {"row", "col"}:
            raise InputError(f'axes is {list(axes)}; expected one of "row", "-row" and one of "col", "-col"')
        across = np.stack([offset[n] for n in names], axis=1)
        return cls(across / np.hypot(np.linalg.norm(across, axis=1), float(distance_um))[:, None])

    @classmethod
    def led_ring(cls, count, na, start_deg=0.0, clockwise=True) -> Illumination:
        """Directions equally spaced on a ring of numerical aperture `na`.

        The angle runs from +x towards +y, which looks clockwise on a displayed image (row 0 on top).
        """
        count = int(count)
        if count < 1:
            raise InputError(f"count is {count}; a ring needs at least one LED")
        turn = np.arange(count) / count * (1.0 if clockwise else -1.0)
        angle = np.deg2rad(float(start_deg)) + 2 * np.pi * turn
        return cls(float(na) * np.stack([np.sin(angle), np.cos(angle)], axis=1))

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.pattern)

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return len(self.sources_na)

    def select(self, images) -> Illumination:
        """The illumination of some of the images (all sources kept)."""
        return Illumination(self.sources_na, self.pattern[np.asarray(images)])

    def multiplexed(self, groups, weights=None) -> Illumination:
        """Light several of today's images at once: one new image per group of image numbers."""
        rows = [
            self.pattern[list(g)].sum(axis=0)
            if weights is None
            else np.asarray(weights[k], float) @ self.pattern[list(g)]
            for k, g in enumerate(groups)
        ]
        return Illumination(self.sources_na, np.stack(rows))

    def extended(self, radius_na, n_points=7) -> Illumination:
        """Replace every source by a disc of `n_points` sources: partially coherent light.

        The points fill the disc of radius `radius_na` evenly (sunflower spiral) with equal weights.
        """
        k = np.arange(n_points) + 0.5
        radius, angle = radius_na * np.sqrt(k / n_points), k * np.pi * (3 - np.sqrt(5))
        disc = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
        disc -= disc.mean(axis=0)  # few points are not balanced by themselves
        sources = (self.sources_na[:, None, :] + disc[None]).reshape(-1, 2)
        return Illumination(sources, np.repeat(self.pattern / n_points, n_points, axis=1))

    def bright(self, microscope: Microscope) -> np.ndarray:
        """Which sources pass the pupil (bright field), bool of shape (n_sources,)."""
        na = np.linalg.norm(self.sources_na, axis=1)
        return na <= microscope.cutoff * microscope.wavelength_um

    def weights(self, microscope: Microscope, images=None) -> np.ndarray:
        """Weights over the background of each image, shape (n_images, n_sources).

        Only bright-field sources make background, so a row is divided by their sum alone.

        Parameters
        ----------
        microscope : Microscope
        images : array of int, optional
            Rows wanted; all when not given.

        Raises
        ------
        InputError
            If a wanted image is lit by dark-field sources alone: it has no background to divide by.
        """
        images = np.arange(self.n_images) if images is None else np.asarray(images)
        background = self.pattern[images][:, self.bright(microscope)].sum(axis=1)
        dark = images[background == 0]
        if dark.size:
            numbers = ", ".join(map(str, dark[:8]))
            some = "every image is" if dark.size == self.n_images else f"images {numbers} are"
            raise InputError(
                f"{some} lit only from outside the pupil of NA {microscope.objective_na:g} (dark field): "
                "there is no background to normalise by; leave them out or check the directions and "
                "objective_na"
            )
        return self.pattern[images] / background[:, None]


@brief
@dataclass(frozen=True)
class Grid:
    """A regular grid of voxel centres.

    Parameters
    ----------
    shape : (int, int, int)
        Number of voxels (nz, ny, nx).
    spacing_um : (float, float, float)
        Distance of neighbours (dz, dy, dx) [um].
    origin_um : (float, float, float)
        Centre of voxel (0, 0, 0) as (z, y, x) in the frame of the images [um].
    """

    shape: tuple[int, int, int]
    spacing_um: tuple[float, float, float]
    origin_um: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self):
        shape, spacing, origin = tuple(self.shape), tuple(self.spacing_um), tuple(self.origin_um)
        if not len(shape) == len(spacing) == len(origin) == 3:
            raise InputError("a grid needs three numbers each (z, y, x) for shape, spacing and origin")
        if min(shape) < 1 or not all(0 < d < np.inf for d in spacing):
            raise InputError(
                f"grid of shape {shape} and spacing {spacing} um is empty; both must be positive"
            )
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "spacing_um", tuple(float(d) for d in spacing))
        object.__setattr__(self, "origin_um", tuple(float(o) for o in origin))

    @classmethod
    def for_images(cls, image_shape, microscope: Microscope, depth, margin_um=None) -> Grid:
        """The grid on which images of `image_shape` pixels are modelled.

        Laterally it has the camera's pixels and reaches `margin_um` beyond the images on every side
        (by default as far as light from the deepest slice spreads within the pupil), so that what
        lies outside the images but shines into them is part of the model, and light that an FFT
        wraps round ends up in the margin.  Sizes are rounded up to even products of
        2, 3 and 5, fast FFT lengths.

        Parameters
        ----------
        image_shape : (int, int)
        microscope : Microscope
        depth : (float, float, float)
            First and last slice centre and slice distance (z0, z1, dz) [um], both ends included.
        margin_um : float, optional
        """
        z = slice_positions(depth)
        if margin_um is None:
            margin_um = cls.margin_um(microscope, depth)
        pixel = microscope.pixel_size_um
        margin = int(np.ceil(margin_um / pixel))
        full = [2 * next_fast_len(-(-(int(n) + 2 * margin) // 2), real=True) for n in image_shape]
        before = [(f - int(n)) // 2 for f, n in zip(full, image_shape, strict=True)]
        dz = (z[-1] - z[0]) / (len(z) - 1) if len(z) > 1 else float(depth[2])
        return cls((len(z), *full), (dz, pixel, pixel), (z[0], -before[0] * pixel, -before[1] * pixel))

    @staticmethod
    def margin_um(microscope: Microscope, depth) -> float:
        """How far light from the deepest slice spreads within the pupil, and twice the resolution [um]."""
        sine = min(microscope.objective_na / microscope.medium_index, 0.99)
        blur = microscope.wavelength_um / microscope.objective_na
        return float(np.abs(slice_positions(depth)).max() * sine / np.sqrt(1 - sine**2) + 2 * blur)

    def axis(self, k: int) -> np.ndarray:
        """Voxel centres along axis `k` (0: z, 1: y, 2: x) [um]."""
        return self.origin_um[k] + self.spacing_um[k] * np.arange(self.shape[k])

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Voxel centres along z, y and x [um]."""
        return self.axis(0), self.axis(1), self.axis(2)

    @property
    def bounds_um(self) -> np.ndarray:
        """Outer faces of the first and last voxels, shape (3, 2) [um]."""
        first = np.array(self.origin_um) - 0.5 * np.array(self.spacing_um)
        return np.stack([first, first + np.array(self.shape) * np.array(self.spacing_um)], axis=1)

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Lateral spatial frequencies (nu_y, nu_x) in numpy.fft order [cycles/um]."""
        _, ny, nx = self.shape
        return np.fft.fftfreq(ny, self.spacing_um[1]), np.fft.fftfreq(nx, self.spacing_um[2])

    def to_dict(self) -> dict:
        """Plain numbers, for files."""
        return {
            "shape": list(self.shape),
            "spacing_um": list(self.spacing_um),
            "origin_um": list(self.origin_um),
        }


def check_contrast(contrast, medium_index: float) -> None:
    """Refuse the refractive index itself where its contrast over the medium is expected.

    Parameters
    ----------
    contrast : array
        A few hundred of its values are looked at.
    medium_index : float
        n0.

    Raises
    ------
    InputError
        If most real parts lie near `medium_index` and far from 0.
    """
    some = contrast[tuple(slice(None, None, -(-n // 12)) for n in contrast.shape)]
    typical = float(np.median(some.real))
    if typical > 0.5 and abs(typical - medium_index) < 0.3 * medium_index:
        raise InputError(
            f"the contrast is {typical:.4g} nearly everywhere; expected n - n0, 0 in the medium: it looks "
            f"like the index n itself: subtract medium_index {medium_index:g}"
        )


def slice_positions(depth) -> np.ndarray:
    """Slice centres of a depth range (z0, z1, dz), both ends included [um].

    The distance is adjusted to the nearest one that divides the range evenly.

    Raises
    ------
    InputError
        If the range is empty, a number is not finite, or there are too many slices.
    """
    z0, z1, dz = (_number(v, "depth") for v in depth)
    if not z1 > z0 or not dz > 0:
        raise InputError(
            f"depth range {z0:g}:{z1:g}:{dz:g} is empty; expected Z0:Z1:DZ in um with Z0 < Z1 and DZ > 0"
        )
    if (z1 - z0) / dz > _MOST_SLICES:
        raise InputError(f"depth range {z0:g}:{z1:g}:{dz:g} has over {_MOST_SLICES} slices; use a larger DZ")
    return np.linspace(z0, z1, max(round((z1 - z0) / dz), 1) + 1)


def parse_depth(text: str) -> tuple[float, float, float]:
    """Read "Z0:Z1:DZ" [um].

    Raises
    ------
    InputError
        If the text is not three numbers or the range is empty.
    """
    try:
        z0, z1, dz = (float(part) for part in text.split(":"))
    except ValueError:
        raise InputError(f'depth "{text}" is not Z0:Z1:DZ, three numbers in um such as -10:10:0.25') from None
    slice_positions((z0, z1, dz))
    return z0, z1, dz


def sampling_notes(microscope: Microscope, illumination: Illumination, dz: float | None = None) -> list[str]:
    """Where the sampling or the light does not fit the optics, and what follows from it.

    Parameters
    ----------
    microscope : Microscope
    illumination : Illumination
    dz : float, optional
        Distance of the slices [um], when known.

    Returns
    -------
    list of str
        One sentence per finding; empty when all is well.

    Raises
    ------
    InputError
        If a source is steeper than any wave in the medium, or every image is dark field.
    """
    na = np.linalg.norm(illumination.sources_na, axis=1)
    if na.max() >= microscope.medium_index:
        raise InputError(
            f"source {int(na.argmax())} has NA {na.max():.3g}, not below medium_index "
            f"{microscope.medium_index:g}: no such wave travels in the medium; check na_y and na_x"
        )
    bright = illumination.bright(microscope)
    notes = []
    if not bright.any():
        illumination.weights(microscope)
    if not bright.all():
        notes.append(
            f"{int((~bright).sum())} of {len(na)} sources lie outside the pupil (NA up to {na.max():.3f} > "
            f"{microscope.objective_na:g}): dark field, which the linear model cannot use"
        )
    steepest = na[bright].max()
    band = (microscope.objective_na + steepest) / microscope.wavelength_um
    nyquist = 0.5 / microscope.pixel_size_um
    if band > nyquist:
        notes.append(
            f"pixels of {microscope.pixel_size_um:.3g} um sample up to {nyquist:.3g} cycles/um, the images "
            f"hold up to {band:.3g}: details finer than {1 / nyquist:.3g} um alias or are lost "
            f"(pixels of {0.5 / band:.3g} um would keep them)"
        )
    if dz is not None:
        ball = microscope.medium_index / microscope.wavelength_um
        rate = microscope.axial_frequency(0.0) - microscope.axial_frequency(
            max(microscope.cutoff, steepest / microscope.wavelength_um) ** 2
        )
        if dz * rate > 0.5:
            notes.append(
                f"slices {dz:.3g} um apart undersample the axial resolution of these optics "
                f"({1 / max(rate, 1e-12 * ball):.3g} um): use a depth step below {0.5 / rate:.3g} um"
            )
        if (clear := clear_of_resonance(microscope, dz)) != dz:
            notes.append(
                f"slices {dz:.3g} um apart are half a wavelength in the medium: to ssnp they are a mirror, "
                f"whose reflections add up; use a depth step of {clear:.3g} um, or --model bpm"
            )
    return notes


def clear_of_resonance(microscope: Microscope, dz: float) -> float:
    """A slice distance that is not half a wavelength in the medium, nor near it.

    Slices that far apart are a Bragg mirror, and the model `ssnp`, which knows light that goes back, makes it
    one.

    Parameters
    ----------
    microscope : Microscope
    dz : float
        Distance [um].

    Returns
    -------
    float
        The same, or a smaller one [um].
    """
    half = 0.5 * microscope.wavelength_um / microscope.medium_index
    return (1 - 2 * _RESONANT) * half if abs(dz / half - 1) < _RESONANT else dz


def _number(value, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; expected a number") from None
    if not np.isfinite(number):
        raise InputError(f"{name} is {number}; expected a finite number")
    return number

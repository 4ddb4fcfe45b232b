"""Where the light of every image comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError
from fieldrx.optics.checks import array_of, distances_of, finite_number, numbers_of_images
from fieldrx.optics.condenser import condenser_sources
from fieldrx.optics.lamps import Lamps
from fieldrx.optics.microscope import Microscope

_MOST_LEDS = 1_000_000


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
    distance_um : array_like, shape (n_sources,) or (), optional
        Distance of every source from the sample along the optical axis [um], where it is known: then
        directions depend on the place, see :meth:`at`.  Negative for light that converges to points behind
        the sample, or seems to, as the aperture of an objective that is not telecentric moves with the place.
    place_um : (float, float)
        Where in the whole frame the directions hold, (y, x) from its centre [um].
    lamps : Lamps, optional
        What all sources are that are no points of one wavelength, see :meth:`with_lamps`; ``sources_na`` then
        holds for their centres.
    within_um : float, optional
        Distance from the plane in focus within which few sources stand for a continuous condenser [um], as of
        :meth:`disc`.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a weight is negative, an image has no light, or a source
        of known distance does not shine along the axis.
    """

    sources_na: np.ndarray
    pattern: np.ndarray = None  # type: ignore[assignment]  # an array once it is made
    distance_um: np.ndarray | None = None
    place_um: tuple[float, float] = (0.0, 0.0)
    lamps: Lamps | None = None
    within_um: float | None = None

    if TYPE_CHECKING:  # what is given is made into arrays

        def __init__(
            self,
            sources_na: ArrayLike,
            pattern: ArrayLike | None = None,
            distance_um: ArrayLike | None = None,
            place_um: Sequence[float] = (0.0, 0.0),
            lamps: Lamps | None = None,
            within_um: float | None = None,
        ): ...

    def __post_init__(self):
        sources = np.array(array_of(self.sources_na, "source directions"), dtype=np.float64)
        if sources.ndim != 2 or sources.shape[1] != 2 or len(sources) == 0:
            raise InputError(
                f"source directions have shape {sources.shape}; expected (n_sources, 2) as (na_y, na_x)"
            )
        if not np.isfinite(sources).all():
            bad = int(np.flatnonzero(~np.isfinite(sources).all(axis=1))[0])
            raise InputError(f"direction of source {bad} is not finite; give numbers for na_y and na_x")
        given = np.eye(len(sources)) if self.pattern is None else array_of(self.pattern, "pattern")
        pattern = np.array(given, np.float64)
        if pattern.ndim != 2 or pattern.shape[1] != len(sources):
            raise InputError(
                f"pattern has shape {pattern.shape}; expected (n_images, {len(sources)}), "
                "one column per source"
            )
        if not np.isfinite(pattern).all() or (pattern < 0).any():
            raise InputError("pattern weights must be finite and not negative")
        if (dark := np.flatnonzero(pattern.sum(axis=1) == 0)).size:
            raise InputError(f"image {dark[0]} has no source: its pattern row is all zero")
        sources.setflags(write=False)
        pattern.setflags(write=False)
        object.__setattr__(self, "sources_na", sources)
        object.__setattr__(self, "pattern", pattern)
        object.__setattr__(self, "place_um", (float(self.place_um[0]), float(self.place_um[1])))
        if self.distance_um is not None:
            object.__setattr__(self, "distance_um", distances_of(self.distance_um, sources))

    def __repr__(self):
        na = np.linalg.norm(self.sources_na, axis=1)
        return (
            f"Illumination({self.n_images} images, {self.n_sources} sources of NA "
            f"{na.min():.3g} ... {na.max():.3g})"
        )

    @classmethod
    def led_grid(
        cls,
        leds: ArrayLike,
        pitch_um: float,
        distance_um: float,
        centre: Sequence[float] | np.ndarray,
        axes: Sequence[str] = ("row", "col"),
        rotation_deg: float = 0.0,
        tilt_deg: Sequence[float] | np.ndarray = (0.0, 0.0),
        offset_um: Sequence[float] | np.ndarray = (0.0, 0.0),
    ) -> Illumination:
        """Directions of LEDs on a flat board, ``na = v / |(v, w)|`` for places v across and w along.

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
        rotation_deg : float
            Of the board about ``centre``, from +x towards +y.
        tilt_deg : (float, float)
            Of the board about ``centre``: first the side of growing y is moved away from the sample, then
            that of growing x.
        offset_um : (float, float)
            Shift of the board along y and x [um].
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
        y, x = offset[names[0]], offset[names[1]]
        turn, (tilt_y, tilt_x) = np.deg2rad(float(rotation_deg)), np.deg2rad(np.asarray(tilt_deg, float))
        y, x = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
        y, away = y * np.cos(tilt_y), y * np.sin(tilt_y)
        x, away = x * np.cos(tilt_x) - away * np.sin(tilt_x), x * np.sin(tilt_x) + away * np.cos(tilt_x)
        across = np.stack([y, x], axis=1) + np.asarray(offset_um, float)
        along = float(distance_um) + away
        ahead = bool((along > 0).all())  # a steep tilt may turn a part of the board behind the sample
        na = across / np.hypot(np.linalg.norm(across, axis=1), along)[:, None]
        return cls(na, distance_um=along if ahead else None)

    @classmethod
    def led_ring(cls, count: int, na: float, start_deg: float = 0.0, clockwise: bool = True) -> Illumination:
        """Directions equally spaced on a ring of numerical aperture ``na``.

        Parameters
        ----------
        count : int
            LEDs, one image each.
        na : float
        start_deg : float
            Angle of the first one, from +x.
        clockwise : bool
            Whether the angle runs from +x towards +y, which looks clockwise on a displayed image (row 0 on
            top).
        """
        count = int(count)
        if not 1 <= count <= _MOST_LEDS:
            raise InputError(
                f"count is {f'{count}'[:20]}; a ring needs at least one LED, at most {_MOST_LEDS}"
            )
        turn = np.arange(count) / count * (1.0 if clockwise else -1.0)
        angle = np.deg2rad(finite_number(start_deg, "start_deg")) + 2 * np.pi * turn
        return cls(finite_number(na, "na") * np.stack([np.sin(angle), np.cos(angle)], axis=1))

    @classmethod
    def disc(
        cls,
        microscope: Microscope,
        na: float,
        depth_um: float,
        inner_na: float = 0.0,
        parts: Sequence[str | float] = ("whole",),
    ) -> Illumination:
        """Partially coherent light of a condenser, or of halves of its aperture.

        The aperture is uniformly bright in the plane of the pupil.  As few sources stand for it as keep the
        transfer of a weak sample within ``fieldrx.optics.condenser.BOUND`` of its own in focus.

        Parameters
        ----------
        microscope : Microscope
        na : float
            Outer numerical aperture of the condenser.
        depth_um : float
            Greatest distance of the sample from the plane in focus [um].
        inner_na : float
            Inner numerical aperture, of an annulus.
        parts : sequence of str or float
            Of every image: "whole", or the half whose light travels "right", "down", "left" or "up" in the
            image, or at an angle [degree] from +x towards +y.

        Raises
        ------
        InputError
            If no such condenser exists, or no few sources stand for it at that depth.
        """
        sources, pattern = condenser_sources(microscope, na, inner_na, parts, depth_um)
        return cls(sources, pattern, within_um=float(depth_um))

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.pattern)

    @property
    def n_sources(self) -> int:
        """Number of sources."""
        return len(self.sources_na)

    def select(self, images: ArrayLike) -> Illumination:
        """The illumination of some of the images (all sources kept)."""
        return replace(self, pattern=self.pattern[np.asarray(images)])

    def at(self, place_um: Sequence[float]) -> Illumination:
        """The directions at another place of the frame, where the sources' distance is known.

        Light of a source at distance d that arrives at the frame's origin in the direction of the vector
        (v, d), with ``na = v / |(v, d)|``, arrives at a place p in that of (v + p, d): tangents v / d of
        directions change by p / d.  A parallel plate in between, such as a slide of glass, shifts light and
        does not turn it.

        Parameters
        ----------
        place_um : (float, float)
            (y, x) from the centre of the whole frame [um].
        """
        place = (float(place_um[0]), float(place_um[1]))
        move = np.subtract(place, self.place_um)
        if self.distance_um is None or not move.any():
            return replace(self, place_um=place)
        na = shifted(self.sources_na, move / self.distance_um[:, None])
        return replace(self, sources_na=na, place_um=place)

    def turning_na(self, reach_um: float) -> float:
        """Most that a direction changes over a distance across the frame [um]; 0 where that is unknown.

        It changes fastest on the axis, by ``reach / distance``.
        """
        return 0.0 if self.distance_um is None else float(reach_um / np.abs(self.distance_um).min())

    def multiplexed(
        self, groups: Sequence[Sequence[int]], weights: Sequence[ArrayLike] | None = None
    ) -> Illumination:
        """Light several of today's images at once: one new image per group of image numbers.

        Parameters
        ----------
        groups, weights : sequences, an item per new image
            Numbers of the images whose light it has, and what each counts for; 1 without weights.
        """
        rows = []
        for k, group in enumerate(groups):
            part = self.pattern[list(group)]
            rows.append(part.sum(axis=0) if weights is None else np.asarray(weights[k], float) @ part)
        return replace(self, pattern=np.stack(rows))

    def with_lamps(self, led_size_um: float = 0.0, bandwidth_um: float = 0.0) -> Illumination:
        """The same light of lamps that are discs of one size, or have one spectrum.

        Models that `fieldrx.models.make_model` makes, and all that fits or predicts images, then sum over as
        few points and wavelengths as keep the error of a transfer below ``fieldrx.optics.lamps.BOUND`` for
        each.

        Parameters
        ----------
        led_size_um : float
            Diameter of a lamp, which faces along the axis [um]; 0 for points.  Needs the sources' distance,
            of which the mean counts.
        bandwidth_um : float
            Full width at half maximum of a Gaussian spectrum about the microscope's wavelength [um]; 0 for
            one wavelength.

        Raises
        ------
        InputError
            If a value makes no sense, or the distance is not known.
        """
        size = finite_number(led_size_um, "led_size_um")
        if size and self.distance_um is None:
            raise InputError(
                f"led_size_um is {size:g}, but nothing says how far the lamps are: give distance_um, from "
                "the board to the sample"
            )
        lamps = Lamps(size / self._mean_distance_um(), bandwidth_um)
        return replace(self, lamps=lamps if lamps.size or lamps.bandwidth_um else None)

    def lamp_lengths(self) -> dict[str, float]:
        """Arguments of :meth:`with_lamps` that make these lamps, by name; none where they are points."""
        if self.lamps is None:
            return {}
        lengths = {"bandwidth_um": self.lamps.bandwidth_um}
        if self.distance_um is not None:
            lengths["led_size_um"] = self.lamps.size * self._mean_distance_um()
        return {name: value for name, value in lengths.items() if value}

    def _mean_distance_um(self) -> float:
        """How far the lamps are in the mean; infinitely where nothing says."""
        return np.inf if self.distance_um is None else abs(float(np.mean(self.distance_um)))

    def bright(self, microscope: Microscope) -> np.ndarray:
        """Which sources pass the pupil (bright field), bool of shape (n_sources,)."""
        na = np.linalg.norm(self.sources_na, axis=1)
        return na <= microscope.cutoff * microscope.wavelength_um

    def weights(self, microscope: Microscope, images: ArrayLike | None = None) -> np.ndarray:
        """Weights over the background of each image, shape (n_images, n_sources).

        Only bright-field sources make background, so a row is divided by their sum alone; that of a
        dark-field image by the sum of all, as the same lamps would be bright inside the pupil.

        Parameters
        ----------
        microscope : Microscope
        images : array of int, optional
            Rows wanted; all when not given.
        """
        pattern = self.pattern[self.rows(images)]
        background = pattern[:, self.bright(microscope)].sum(axis=1)
        return pattern / np.where(background > 0, background, pattern.sum(axis=1))[:, None]

    def dark(self, microscope: Microscope) -> np.ndarray:
        """Which images are lit from outside the pupil alone (dark field), bool of shape (n_images,)."""
        return np.logical_not(np.any(self.pattern[:, self.bright(microscope)], axis=1))

    def rows(self, images: ArrayLike | None) -> np.ndarray:
        """Numbers of the wanted images, int array, checked; of all when None."""
        return numbers_of_images(
            np.arange(self.n_images) if images is None else images, self.n_images, "images"
        )

    def refuse_steep(self, microscope: Microscope) -> None:
        """Refuse directions that no light in the medium has.

        Raises
        ------
        InputError
            If a source that lights an image is as steep as the medium's index, or steeper.
        """
        na = np.linalg.norm(self.sources_na, axis=1) * self.pattern.any(axis=0)
        if na.max() > (1 - 1e-6) * microscope.medium_index:
            raise InputError(
                f"source {int(na.argmax())} has NA {na.max():.4g}, not below medium_index "
                f"{microscope.medium_index:g}: no such wave travels in the medium; check na_y and na_x (of "
                "an angle in degrees NA is the sine)"
            )

    def refuse_dark(self, microscope: Microscope, images: ArrayLike | None, model: str) -> None:
        """Refuse dark-field images that a model of single scattering is asked for.

        Parameters
        ----------
        microscope : Microscope
        images : array of int, optional
            Rows wanted; all when not given.
        model : str
            Its name.

        Raises
        ------
        InputError
            If a wanted image is lit from outside the pupil alone.
        """
        rows = self.rows(images)
        dark = rows[self.dark(microscope)[rows]]
        if dark.size:
            numbers = ", ".join(map(str, dark[:8])) + (", ..." if dark.size > 8 else "")
            some = "every image is" if dark.size == self.n_images else f"images {numbers} are"
            raise InputError(
                f"{some} lit only from outside the pupil of NA {microscope.objective_na:g} (dark field): "
                f"{model} knows light that interferes with the unscattered wave alone; use bpm, ssnp or mlb, "
                "leave them out, or check the directions and objective_na"
            )


def shifted(na: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Directions (..., 2) whose tangents ``na / sqrt(1 - |na|^2)`` are changed by (y, x)."""
    tangent = na / np.sqrt(1 - (na**2).sum(axis=-1, keepdims=True)) + change
    return tangent / np.sqrt(1 + (tangent**2).sum(axis=-1, keepdims=True))

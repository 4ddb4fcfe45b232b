"""Lamps that are neither points nor of one wavelength, as few points and wavelengths that shine for them.

A disc of directions of radius r averages what depends on the direction; what turns by x = |g| r radians from
its middle to its edge becomes 2 J1(x) / x times as strong.  A Gaussian spectrum makes exp(-y^2 / 2) of what
turns by y at one standard deviation.  How far a transfer of a microscope turns follows from

    A(nu, z) ~ exp(-2 pi i [f(nu + na / lambda) - f(na / lambda)] z),    2 pi f = kz,

(`fieldrx.models.born`).  With m, the direction in which the light leaves,

    d/dna      2 pi z / lambda [na / w(na) - m / w(m)],                     w(m) = sqrt(n0^2 - |m|^2),
    d/dlambda  2 pi z / lambda^2 [(n0^2 - m . na) / w(m) - w(na)]           (at one nu),

both greatest for light that leaves at the edge of the pupil opposite to na, and at the greatest |z|.  The
points are as few as keep the average of such a turning wave within `BOUND` of its true one.  Frequencies that
the edge of the pupil cuts for a part of the lamp alone jump instead of turning, and are not bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldrx.errors import InputError
from fieldrx.optics.checks import finite_number
from fieldrx.optics.microscope import Microscope

BOUND = 0.01  # of the transfer, by which the average over points may be wrong, of directions and of colours
_FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian, over its standard deviation
_MOST_COLOURS, _MOST_RINGS, _MOST_TURN = 32, 8, 16.0
_LARGEST, _BROADEST = 0.5, 0.3  # size over distance, and bandwidth over wavelength
_GRAZING = 0.97  # sine, over the medium's index, of the steepest direction that counts


@dataclass(frozen=True)
class Lamps:
    """What all lamps have in common besides their place.

    Parameters
    ----------
    size : float
        Diameter of a lamp over its distance along the axis; 0 for points.
    bandwidth_um : float
        Full width at half maximum of a Gaussian spectrum [um]; 0 for one wavelength.

    Raises
    ------
    InputError
        If a value is negative, not finite, or larger than any lamp's.
    """

    size: float = 0.0
    bandwidth_um: float = 0.0

    def __post_init__(self):
        for name in ("size", "bandwidth_um"):
            value = finite_number(getattr(self, name), name)
            if value < 0:
                raise InputError(f"{name} of the lamps is {value:g}; expected a positive number, or 0")
            object.__setattr__(self, name, value)
        if self.size > _LARGEST:
            raise InputError(
                f"lamps are {self.size:.3g} times as wide as they are far away; expected at most "
                f"{_LARGEST:g}: check led_size_um and distance_um"
            )

    def points(self, sources_na: np.ndarray, microscope: Microscope, depth_um: float) -> np.ndarray:
        """Points of a lamp, each with the same number of directions, and their weights.

        Parameters
        ----------
        sources_na : array, shape (n, 2)
            Directions of the lamps' centres that count.
        microscope : Microscope
        depth_um : float
            Greatest distance of the sample from the plane in focus [um].

        Returns
        -------
        array, shape (k, 3)
            Places (y, x) in units of the lamps' distance, and weights, whose sum is 1.
        """
        sine = np.minimum(np.linalg.norm(sources_na, axis=1), _GRAZING * microscope.medium_index)
        turn = _per_na(sine, microscope, depth_um) * np.sqrt(np.maximum(1 - sine**2, 0))
        rule = disc_rule(0.5 * self.size * float(turn.max()))
        return rule * [0.5 * self.size, 0.5 * self.size, 1.0]

    def colours(
        self, sources_na: np.ndarray, microscope: Microscope, depth_um: float
    ) -> list[tuple[float, float]]:
        """Wavelengths [um] and their weights, whose sum is 1; parameters as of :meth:`points`.

        Raises
        ------
        InputError
            If the spectrum is as broad as its wavelength, or so broad that no few wavelengths stand for it at
            that depth.
        """
        wavelength = microscope.wavelength_um
        if self.bandwidth_um > _BROADEST * wavelength:
            raise InputError(
                f"bandwidth_um is {self.bandwidth_um:g}; expected at most {_BROADEST:g} of wavelength_um "
                f"{wavelength:g}: check its unit, or give each colour its own acquisition"
            )
        deviation = self.bandwidth_um / _FWHM
        sine = np.minimum(np.linalg.norm(sources_na, axis=1), _GRAZING * microscope.medium_index)
        places, weights = spectrum_rule(deviation * float(_per_um(sine, microscope, depth_um).max()))
        return list(zip((wavelength + deviation * places).tolist(), weights.tolist(), strict=True))


def spread(sources_na: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the points of lamps, and their derivatives by the direction of the centre.

    A lamp's centre at (q, 1) times its distance shines in the direction of ``na = q / |(q, 1)|``.

    Parameters
    ----------
    sources_na : array, shape (n, 2)
    places : array, shape (k, 2)
        In units of the lamps' distance.

    Returns
    -------
    array, shape (n, k, 2)
    array, shape (n, k, 2, 2)
        The derivative of its third axis by the fourth's.

    Raises
    ------
    InputError
        If a lamp shines across the axis.
    """
    na = np.asarray(sources_na, float)
    if (steep := np.flatnonzero((na**2).sum(axis=1) >= 1)).size:
        raise InputError(
            f"source {steep[0]} has NA {np.linalg.norm(na[steep[0]]):.3g}, which no lamp at a distance in "
            "air has: leave led_size_um out"
        )
    along = np.sqrt(1 - (na**2).sum(axis=1))
    centre = na / along[:, None]
    q = centre[:, None] + places
    length = np.sqrt(1 + (q**2).sum(axis=-1))
    out = q / length[..., None]
    d_centre = (np.eye(2) + centre[:, :, None] * centre[:, None, :]) / along[:, None, None]
    d_out = (np.eye(2) - out[..., :, None] * out[..., None, :]) / length[..., None, None]
    return out, d_out @ d_centre[:, None]


def _per_na(sine, microscope, depth_um):
    """Most that the transfer turns by the direction [rad per NA]."""
    n0, edge = microscope.medium_index, _edge(microscope)
    return 2 * np.pi * depth_um / microscope.wavelength_um * (_tangent(sine, n0) + _tangent(edge, n0))


def _per_um(sine, microscope, depth_um):
    """Most that the transfer turns by the wavelength [rad / um]."""
    n0, edge = microscope.medium_index, _edge(microscope)
    path = (n0**2 + edge * sine) / np.sqrt(n0**2 - edge**2) - np.sqrt(n0**2 - sine**2)
    return 2 * np.pi * depth_um / microscope.wavelength_um**2 * path


def _edge(microscope):
    return min(microscope.objective_na, _GRAZING * microscope.medium_index)


def _tangent(sine, n0):
    return sine / np.sqrt(n0**2 - sine**2)


def disc_rule(turn: float) -> np.ndarray:
    """The fewest points of the unit disc whose mean of a wave is right to within `BOUND`.

    Rings at Gauss-Legendre nodes of the squared radius hold equally many points each, turned against each
    other.

    Parameters
    ----------
    turn : float
        Radians by which the wave turns along the radius, at most.

    Returns
    -------
    array, shape (k, 3)
        y, x and weight.

    Raises
    ------
    InputError
        If more points than any model should sum are needed.
    """
    from scipy.special import j1  # takes long to import, and few lamps are no points

    if turn <= _MOST_TURN:
        turns = np.linspace(0, turn, 40)[1:]
        true = 2 * j1(turns) / turns if turn > 0 else np.ones_like(turns)
        for rule in _rules():
            angle = np.linspace(0, np.pi, 13)
            along = np.sin(angle)[:, None] * rule[:, 0] + np.cos(angle)[:, None] * rule[:, 1]
            mean = np.exp(1j * turns[:, None, None] * along) @ rule[:, 2]
            if np.abs(mean - true[:, None]).max() <= BOUND:
                return rule
    raise InputError(
        f"light of the lamps' rims turns by {turn:.0f} radians against that of their centres at the depth of "
        f"the sample, expected at most {_MOST_TURN:.0f}: check led_size_um and the distance, or refocus "
        "nearer"
    )


def _rules():
    """Rules of growing size."""
    yield np.array([[0.0, 0.0, 1.0]])
    sizes = [(m, a) for m in range(1, 1 + _MOST_RINGS) for a in range(4, 8 * m, 2)]
    yield from (_rings(*size) for size in sorted(sizes, key=np.prod))


def _rings(rings, angles):
    nodes, weights = np.polynomial.legendre.leggauss(rings)
    radius = np.sqrt(0.5 + 0.5 * nodes)[:, None]
    angle = 2 * np.pi * (np.arange(angles) + 0.5 * (np.arange(rings) % 2)[:, None]) / angles
    weight = np.broadcast_to(0.5 * weights[:, None] / angles, angle.shape)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle), weight], axis=-1).reshape(-1, 3)


def spectrum_rule(turn: float) -> tuple[np.ndarray, np.ndarray]:
    """The fewest nodes, in standard deviations, and weights whose mean of a wave is right to within `BOUND`.

    Parameters
    ----------
    turn : float
        Radians by which the wave turns at one standard deviation of the Gaussian, at most.

    Raises
    ------
    InputError
        If more wavelengths than any model should sum are needed.
    """
    turns = np.linspace(0, turn, 200)
    for count in range(1, _MOST_COLOURS + 1):  # Gauss-Hermite
        nodes, weights = np.polynomial.hermite_e.hermegauss(count)
        weights = weights / weights.sum()
        mean = np.exp(1j * turns[:, None] * nodes) @ weights
        if np.abs(mean - np.exp(-0.5 * turns**2)).max() <= BOUND:
            return nodes, weights
    raise InputError(
        f"the ends of the lamps' spectrum turn by {turn:.0f} radians against its middle at the depth of the "
        "sample, for which no few wavelengths stand: check bandwidth_um, or refocus nearer"
    )

"""Condensers: light that fills a disc of directions, or a part of it, as few sources that shine for it.

A condenser's aperture, uniformly bright in the plane of the pupil, is cut into cells: rings, and sectors of
them as long as they are wide.  Every cell is one source, in the direction of the middle of its area,
which is its weight; of a cell that the edge of a part of the aperture cuts, the share inside is.  Cells end
where the objective's aperture does, so that as much light as it lets through is bright field.

Images of weak samples follow from one transfer (`fieldrx.models.born`), the mean over all directions na of

    A(nu, z) ~ P(nu + na / lambda) / kz exp(-i [kz(nu + na / lambda) - kz(na / lambda)] z).

Cells are as large as keep its error, in root mean square over all frequencies that the objective passes,
within `BOUND` of the transfer's in focus: it is largest at the greatest |z|, where neighbouring cells differ
most, and what the edge of the pupil cuts counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from fieldrx.errors import InputError, nearest
from fieldrx.optics.checks import finite_number
from fieldrx.optics.microscope import Microscope

BOUND = 0.05  # of the transfer in focus, by which that of few sources may be wrong, in root mean square
PARTS = {"right": 0.0, "down": 90.0, "left": 180.0, "up": 270.0}  # towards which light travels, as an angle
WHOLE = "whole"
_MOST, _TRUE = 16, 28  # cells across the radius: at most, and of what is taken for true
_FREQUENCIES = 300  # at which the transfer is compared


def condenser_sources(
    microscope: Microscope, na: float, inner_na: float, parts: Sequence[str | float], depth_um: float
) -> tuple[np.ndarray, np.ndarray]:
    """Sources that stand for parts of a condenser's aperture, as few as `BOUND` allows.

    Parameters
    ----------
    microscope : Microscope
    na, inner_na : float
        Outer and inner numerical aperture; 0 for a disc without a hole.
    parts : sequence of str or float
        Of every image: "whole", or the half whose light travels "right", "down", "left" or "up" in the
        image, or at an angle [degree] from +x towards +y.
    depth_um : float
        Greatest distance of the sample from the plane in focus [um].

    Returns
    -------
    array, shape (k, 2)
        Directions (na_y, na_x).
    array, shape (n_images, k)
        Weights.

    Raises
    ------
    InputError
        If no such condenser exists, or no few sources stand for it at that depth.
    """
    na, inner_na, depth_um = _checked(microscope, na, inner_na, depth_um)
    towards = [_angle(part) for part in parts]
    if not towards:
        raise InputError("parts of the condenser is empty; name one for each image")
    different = list(dict.fromkeys(towards))
    edges = [inner_na, *[e for e in (microscope.objective_na,) if inner_na < e < na], na]
    reach = microscope.cutoff + na / microscope.wavelength_um
    nu, depths = reach * _spiral(_FREQUENCIES), [0.0, depth_um] if depth_um else [0.0]
    directions, pattern = _sources(edges, na / _TRUE, different)
    true = _transfers(microscope, directions, pattern, nu, depths)
    scale = np.linalg.norm(true[0], axis=-1)
    for across in range(1, _MOST + 1):
        directions, pattern = _sources(edges, na / across, different)
        error = np.linalg.norm(_transfers(microscope, directions, pattern, nu, depths) - true, axis=-1)
        if (error <= BOUND * scale).all():
            lit = pattern.any(axis=0)
            return directions[lit], pattern[:, lit][[different.index(part) for part in towards]]
    raise InputError(
        f"light of a condenser of NA {na:g} turns too far at {depth_um:.4g} um from the plane in focus for "
        "few sources to stand for it: give a smaller depth_um, or refocus nearer"
    )


def _checked(microscope, na, inner_na, depth_um):
    na, inner_na = finite_number(na, "na"), finite_number(inner_na, "inner_na")
    depth_um = finite_number(depth_um, "depth_um")
    if not 0 < na < microscope.medium_index:
        raise InputError(
            f"na of the condenser is {na:g}; expected a number between 0 and medium_index "
            f"{microscope.medium_index:g}"
        )
    if not 0 <= inner_na < na:
        raise InputError(
            f"inner_na of the condenser is {inner_na:g}; expected 0 or more, below its na {na:g}"
        )
    if depth_um < 0:
        raise InputError(
            f"depth_um is {depth_um:g}; expected the sample's greatest distance from the plane in focus, "
            "0 or more"
        )
    return na, inner_na, depth_um


def _angle(part):
    """Towards which the light of a half travels [degree]; None for all of the aperture."""
    if isinstance(part, str | bool):
        if part != WHOLE and part not in PARTS:
            known = (WHOLE, *PARTS)
            raise InputError(
                f'there is no part "{part}" of a condenser; expected one of {", ".join(known)}, or an angle'
                + nearest(str(part), known)
            )
        return PARTS.get(part)
    return finite_number(part, "an angle of parts") % 360


def _sources(edges, width, towards):
    """Directions of cells about so wide, and their weights in every part."""
    cells = np.concatenate([_cells(a, b, width) for a, b in itertools.pairwise(edges)])
    radius, middle, half, area = cells.T
    directions = radius[:, None] * np.stack([np.sin(middle), np.cos(middle)], axis=1)
    pattern = np.stack([area * (1.0 if t is None else _inside(middle, half, np.deg2rad(t))) for t in towards])
    return directions, pattern


def _cells(inner, outer, width):
    """Cells of an annulus: radius and angle of the middle, half the sector's angle, area; shape (n, 4)."""
    out = []
    bounds = np.linspace(inner, outer, 1 + max(1, round((outer - inner) / width)))
    for a, b in itertools.pairwise(bounds):
        count = 4 * max(1, round(0.5 * np.pi * 0.5 * (a + b) / width))  # halves along an axis cut none
        half = np.pi / count
        radius = np.sqrt(0.5 * (a**2 + b**2))
        middle = (2 * np.arange(count) + 1) * half
        out.append(np.stack(np.broadcast_arrays(radius, middle, half, half * (b**2 - a**2)), axis=1))
    return np.concatenate(out)


def _inside(middle, half, towards):
    """Share of sectors that lies within a half circle."""
    away = np.abs((middle - towards + np.pi) % (2 * np.pi) - np.pi)
    return np.clip((0.5 * np.pi - away + half) / (2 * half), 0, 1)


def _spiral(count):
    """Points that fill the unit disc evenly (sunflower), aligned with nothing."""
    k = np.arange(count) + 0.5
    radius, angle = np.sqrt(k / count), k * np.pi * (3 - np.sqrt(5))
    return radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def _transfers(microscope, directions, pattern, nu, depths):
    """The transfer of every part at some depths and frequencies nu (f, 2), shape (depth, part, f)."""
    cutoff, source = microscope.cutoff, directions / microscope.wavelength_um
    leaves = ((nu + source[:, None]) ** 2).sum(axis=-1)  # (source, frequency)
    axial = microscope.axial_frequency(np.minimum(leaves, cutoff**2))
    turn = axial - microscope.axial_frequency((source**2).sum(axis=1))[:, None]
    weights = pattern / pattern.sum(axis=1, keepdims=True)
    out, passed = [], (leaves <= cutoff**2) / axial
    for z in depths:
        angle = (2 * np.pi * z * turn).astype(np.float32)
        out.append(weights @ (passed * np.cos(angle)) - 1j * (weights @ (passed * np.sin(angle))))
    return np.stack(out)

"""Totals of a sample, dry mass and volume, with an interval that covers what the images cannot tell.

A sum over a sample is its spectrum near frequency zero, and there, in the missing cone, no image shows
anything (`fieldrx.band`).  What a field holds there comes from its prior: that the index hardly falls below
the medium's, and is smooth.  So a sum has no value without an interval, and the spread of an ensemble, whose
members share the prior, is too small an interval.  What the images do show is the part B of the contrast
inside the band.  Three kinds of sample are asked what total goes with B:

- the non-negative: a contrast that is nowhere below 0, and has the part B inside the band, found from B
  alone by turns of setting negative values to 0 and putting B back (Gerchberg, Optica Acta 21, 709 (1974);
  Papoulis, IEEE Trans. Circuits Syst. 22, 735 (1975)): what positivity alone says;
- the uniform body: the field's shape at a level of its contrast, filled with the one contrast that explains
  B best; several levels give several bodies, of which the images cannot choose one;
- the field itself, with what lies outside the band, the prior's, left out or doubled.

The interval reaches from the smallest to the largest of these, and further by two standard deviations of the
total over the members of an ensemble, if there is one.  Volumes are those of the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldrx.backends import to_host
from fieldrx.band import Band, supported_band
from fieldrx.ensemble import Ensemble
from fieldrx.optics import Grid, Illumination, Microscope
from fieldrx.render.quantities import REFRACTIVE_INCREMENT, Quantity
from fieldrx.results import Still
from fieldrx.tiles import Mosaic

LEVELS = (0.3, 0.5, 0.7)  # of the typical largest contrast, at which the sample's shape is cut
_TURNS = 12  # of positivity
_DIRECTIONS = 48  # of a pupil filled with light
_CLEAR = 1.25  # times, that one sign's peaks must exceed the other's
_PEAK = 0.999  # quantile of the contrast that counts as a peak
HOLE = (
    "the sample came out below its medium: if it should be denser, the light's directions are reversed: set "
    'directions = "led-position" (or "travel", where it is that now), or let fieldrx run fit both'
)


@dataclass(frozen=True)
class Totals:
    """Sums over a sample.

    Attributes
    ----------
    dry_mass_pg : float
        Of the field, in its shape at the lowest level [pg].
    dry_mass_interval_pg : (float, float)
    volume_um3 : float
        Of the shape at half of the typical largest contrast [um^3].
    volume_interval_um3 : (float, float)
    prior_share : float
        Of the total, that lies outside the band: from 0 to 1.
    bound : bool
        Whether that share is a bound from below, as the directions of the light are not known.
    sentence : str
        What to say beside such a number.
    """

    dry_mass_pg: float
    dry_mass_interval_pg: tuple[float, float]
    volume_um3: float
    volume_interval_um3: tuple[float, float]
    prior_share: float
    bound: bool
    sentence: str


def totals(
    field: Still,
    ensemble: Ensemble | None = None,
    illumination: Illumination | None = None,
    images: np.ndarray | None = None,
    increment: float = REFRACTIVE_INCREMENT,
) -> Totals:
    """Dry mass and volume of a field's sample.

    Parameters
    ----------
    field : NeuralField, Ensemble, Mosaic or Moment
        Of an ensemble the mean is asked.
    ensemble : Ensemble, optional
        Made from the field: its members' totals widen the intervals.
    illumination : Illumination, optional
        Of the fitted images; without it the pupil counts as filled with light, which is the most that any
        images could show.
    images : array of int, optional
        Rows of the illumination's pattern; all when not given.
    increment : float
        Refractive increment [ml/g], see ``fieldrx.render.quantities``.

    Returns
    -------
    Totals
    """
    members = ensemble.members if ensemble is not None else getattr(field, "members", ())
    contrast, grid = _contrast(field)
    band = band_of(field, grid, illumination, images)
    others = [to_host(member.on_axes(*grid.axes)).real for member in members]
    factor = max(getattr(ensemble or field, "factor", 1.0), 1.0)
    return totals_of(contrast, band, others, factor, increment, illumination is None)


def totals_of(
    contrast: np.ndarray,
    band: Band,
    members: Sequence[np.ndarray] = (),
    factor: float = 1.0,
    increment: float = REFRACTIVE_INCREMENT,
    bound: bool = False,
) -> Totals:
    """The same of arrays.

    Parameters
    ----------
    contrast : float array, shape ``band.grid.shape``
    band : Band
    members : sequence of float arrays
        Contrast of an ensemble's members.
    factor : float
        What their spread is multiplied by.
    increment, bound
        As of `totals` and `Totals`.
    """
    voxel = float(np.prod(band.grid.spacing_um))
    sign = -1.0 if sign_of(contrast) < 0 else 1.0  # of a hole, the sums are negative
    upright = sign * contrast
    shapes = _shapes(upright)
    sample = shapes[0]
    seen = band.inside(upright)
    whole, inside = float(upright[sample].sum()), float(seen[sample].sum())
    masses = [whole, inside, 2 * whole - inside]
    masses += [_nonnegative(seen, band)[sample].sum(), *_bodies(seen, shapes, band)]
    share = float(np.clip(1 - inside / whole, 0, 1)) if whole > 0 else 0.0
    volumes = [float(shape.sum()) for shape in shapes]
    spread = [0.0, 0.0]
    if len(members) > 1:
        own = [_shapes(sign * member) for member in members]
        sums = [(sign * member)[shape[0]].sum() for member, shape in zip(members, own, strict=True)]
        spread = [2 * factor * np.std(sums, ddof=1), 2 * factor * np.std([s[1].sum() for s in own], ddof=1)]
    interval = max(min(masses) - spread[0], 0.0), max(masses) + spread[0]
    unit = sign * voxel / increment
    least, most = sorted(float(m) * unit for m in interval)
    mass = least, most
    room = max(min(volumes) - spread[1], 0.0) * voxel, (max(volumes) + spread[1]) * voxel
    text = _sentence(whole * unit, mass, share, bound)
    return Totals(whole * unit, mass, volumes[1] * voxel, room, share, bound, text)


def notes_on_totals(
    field: Still,
    quantity: str | Quantity | None,
    plane: object = None,
    projection: str | None = None,
) -> list[str]:
    """What to say beside values that people add up; nothing beside others.

    Parameters
    ----------
    field : NeuralField, Ensemble, Mosaic or Moment
    quantity : str, Quantity or None
        That is shown, of ``fieldrx.render``.
    plane : optional
        The plane that is shown, if it is one.
    projection : str, optional
        The projection of a view.
    """
    name = getattr(quantity, "name", quantity)
    first = field.members[0] if hasattr(field, "members") else field
    adds_up = name in ("dry-mass", "phase") and plane is None and projection in (None, "path")
    return [totals(field).sentence] if adds_up and first.provenance.microscope else []


def contrast_sign(field: Still) -> int:
    """Which sign of the contrast dominates.

    The whole contrast is asked, not its part inside the band, where a dense cell has halos as deep as it is
    high.

    Parameters
    ----------
    field : NeuralField, Ensemble, Mosaic or Moment

    Returns
    -------
    int
        +1 or -1, where the highest peaks of the contrast (its 99.9th percentile) exceed the deepest holes, or
        they the peaks, by a quarter; 0 where neither does.  Of a mosaic, peaks and holes are the means of its
        tiles', which never stand in memory together.  For -1 see ``HOLE``.
    """
    parts = field.fields if isinstance(field, Mosaic) else (field,)
    return _dominant(*np.mean([_ends(_contrast(part)[0]) for part in parts], axis=0))


def sign_of(contrast: np.ndarray) -> int:
    """The sign that dominates in a contrast; see `contrast_sign`."""
    return _dominant(*_ends(contrast))


def _ends(contrast):
    return np.quantile(contrast, [1 - _PEAK, _PEAK])


def _dominant(low, high):
    return 1 if high > _CLEAR * -low else -1 if -low > _CLEAR * high else 0


def _contrast(field):
    """Contrast (z, y, x) on the fit's voxels within the region, and their grid."""
    volume = field.volume()
    volume = volume[0] if isinstance(volume, tuple) else volume
    return np.asarray(to_host(volume.contrast)).real.astype(np.float64), volume.grid


def band_of(field: Still, grid: Grid, illumination: Illumination | None, images: np.ndarray | None) -> Band:
    """The band of the images, or the widest that the objective could give.

    Parameters
    ----------
    field : NeuralField, Ensemble, Mosaic or Moment
        Which says with what optics it was measured.
    grid : Grid
    illumination : Illumination or None
    images : int array or None
        Rows of the illumination's pattern; all when None.
    """
    first = field.members[0] if isinstance(field, Ensemble) else field
    scope = Microscope(**first.provenance.need("microscope"))
    if illumination is None:
        rings = [Illumination.led_ring(max(int(_DIRECTIONS * r), 1), r * scope.objective_na).sources_na
                 for r in (0.0, 0.25, 0.5, 0.75, 0.99)]  # fmt: skip
        illumination, images = Illumination(np.concatenate(rings)), None
    return supported_band(grid, scope, illumination, images)


def _shapes(contrast):
    """The sample at every level, of bool: the lowest first.

    The typical largest contrast is the 95th percentile of what lies above a tenth of the field's largest.
    """
    top = max(float(np.quantile(contrast, 0.9995)), 1e-12)
    typical = (
        float(np.quantile(contrast[contrast > 0.1 * top], 0.95)) if (contrast > 0.1 * top).any() else top
    )
    return [contrast > level * typical for level in LEVELS]


def _nonnegative(seen, band):
    """A contrast, nowhere negative, whose part inside the band is what is seen."""
    contrast = np.maximum(seen, 0)
    for _ in range(_TURNS):
        contrast = np.maximum(contrast + seen - band.inside(contrast), 0)
    return contrast


def _bodies(seen, shapes, band):
    """Sums over uniform bodies of these shapes, as dense as explains best what is seen."""
    sums = []
    for shape in shapes:
        print_ = band.inside(shape.astype(seen.dtype))
        power = float((print_**2).sum())
        sums.append(max(float((seen * print_).sum()), 0.0) / power * shape.sum() if power > 0 else 0.0)
    return sums


def _sentence(mass, interval, share, bound):
    return (
        f"dry mass {mass:.3g} pg, somewhere between {interval[0]:.3g} and {interval[1]:.3g}: these images do "
        f"not tell slow variations along the light; {'at least ' if bound else ''}{share:.0%} of this total "
        "is the prior's"
    )

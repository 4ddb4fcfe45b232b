"""Numbers of every object: volume, surface, dry mass, index, shape and place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from fieldrx.acquisition import Acquisition
from fieldrx.backends import to_host
from fieldrx.band import Band
from fieldrx.ensemble import Ensemble
from fieldrx.errors import InputError
from fieldrx.measure.body import BodyFit, half_way, signed_distance, volume_and_surface
from fieldrx.measure.segmentation import FOUND, segment, typical_contrast
from fieldrx.optics import Grid, Microscope
from fieldrx.progress import Progress
from fieldrx.render.quantities import REFRACTIVE_INCREMENT
from fieldrx.results import Still
from fieldrx.totals import band_of, sign_of

NAMES = (
    "z_um", "y_um", "x_um", "volume_um3", "surface_um2", "sphericity", "dry_mass_pg", "mean_index",
    "peak_index",
)  # fmt: skip
_PLACE, _SHAPE = ("z_um", "y_um", "x_um"), ("surface_um2", "sphericity")
_VOXELS = 0.005  # share of a surface, that voxels make it wrong by
_AROUND = 0.8  # of an object's size, of the medium around it that is looked at on either side
_MARGIN = 6  # voxels, beside that
_PEAK_SHARE = 0.99  # of the voxels inside an object, whose index is not above its peak
# what the cone leaves open, and its relative std beyond which that is said
_OPEN = {"volume": ("volume_um3", 0.1), "dry mass": ("dry_mass_pg", 0.05)}
_ELSE = 0.3  # of what is seen, beyond which an object is not uniform


@dataclass(frozen=True, eq=False)
class Measurement:
    """Objects of a field, and their numbers.

    Attributes
    ----------
    labels : int32 array, shape ``grid.shape``
        0 in the medium, k in object k.
    grid : Grid
        Where the labels lie.
    values : float array, shape (objects, len(NAMES))
        A row an object, columns as in ``NAMES``.
    std : float array, shape (objects, len(NAMES)), or None
        Standard deviations; None of a single field, whose noise nothing tells.
    notes : tuple of str
        Of every object: what its numbers cannot be trusted for; "" where there is nothing to say.
    """

    labels: np.ndarray
    grid: Grid
    values: np.ndarray
    std: np.ndarray | None
    notes: tuple[str, ...]

    def __len__(self):
        return len(self.values)

    def column(self, name: str) -> np.ndarray:
        """One number of all objects, by its name in ``NAMES``."""
        return self.values[:, NAMES.index(name)]

    def column_std(self, name: str) -> np.ndarray:
        """Its standard deviation.

        Raises
        ------
        InputError
            If a single field was measured.
        """
        if self.std is None:
            raise InputError(
                "a single field has no standard deviations: measure an ensemble (fieldrx ensemble)"
            )
        return self.std[:, NAMES.index(name)]


class _Sample(NamedTuple):
    """What all objects share."""

    contrasts: list[np.ndarray]  # upright: of the field, then of the members
    labels: np.ndarray
    nearest: np.ndarray  # the label of the object that is nearest
    grid: Grid
    band: Callable[[Grid], Band]
    sign: float
    increment: float
    medium_index: float
    voxel: np.ndarray  # spacing of the fit


def measure(
    field: Still,
    acquisition: Acquisition | None = None,
    found: float = FOUND,
    smallest_um3: float | None = None,
    spacing_um: float | None = None,
    increment: float = REFRACTIVE_INCREMENT,
    callback: Callable[[Progress], object] | None = None,
) -> Measurement:
    """Find the objects of a field and measure them.

    Parameters
    ----------
    field : NeuralField, Ensemble, Mosaic or Moment
        Of an ensemble the mean is measured, and every member for the standard deviations.
    acquisition : Acquisition, optional
        The images of the fit, which say what they can tell; without them the pupil counts as filled.
    found : float
        Share of the typical largest contrast, above which something is an object.
    smallest_um3 : float, optional
        Least volume of an object [um^3]; what the optics resolve when not given.
    spacing_um : float, optional
        Of the voxels [um]; the smallest of the fit when not given.
    increment : float
        Refractive increment [ml/g], see ``fieldrx.render.quantities``.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress` after every object.

    Returns
    -------
    Measurement

    Raises
    ------
    InputError
        If a number does not make sense, or the field does not say with which optics it was measured.
    """
    _check(found, {"increment": increment, "spacing": spacing_um, "smallest volume": smallest_um3})
    members = field.members if isinstance(field, Ensemble) else (field,)
    scope = Microscope(**members[0].provenance.need("microscope"))
    grid = members[0].grid(spacing_um or min(members[0].spacing_um))
    each = [to_host(member.on_axes(*grid.axes)).real.astype(np.float64) for member in members]
    mean = np.mean(each, axis=0)
    sign = -1.0 if sign_of(mean) < 0 else 1.0
    contrasts = [sign * mean, *(sign * one for one in each if len(each) > 1)]
    smallest = _resolved_um3(scope) if smallest_um3 is None else smallest_um3
    h = grid.spacing_um[0]
    labels = segment(contrasts[0], h, found * typical_contrast(contrasts[0]), smallest)
    places = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)

    sample = _Sample(
        contrasts, labels, labels[tuple(places)], grid, _bands(field, acquisition), sign, increment,
        members[0].medium_index, np.array(members[0].spacing_um),
    )  # fmt: skip
    rows, objects = [], ndimage.find_objects(labels)
    count = len(objects)
    for number, place in enumerate(objects, 1):
        rows.append(_measured(sample, number, place, field))
        if callback is not None:
            callback(Progress("measuring", number, count))
    values, std, notes = zip(*rows, strict=True) if rows else ((), (), ())
    shape = (count, len(NAMES))
    spread = np.reshape(std, shape) if isinstance(field, Ensemble) else None
    return Measurement(labels, grid, np.reshape(values, shape), spread, notes)


def _check(found, numbers):
    for name, value in numbers.items():
        if value is not None and not (np.isfinite(value) and value > 0):
            raise InputError(f"the {name} is {value:g}; expected a positive number")
    if not 0 < found < 1:
        raise InputError(
            f"the share of the contrast at which objects are found is {found:g}; expected 0 to 1"
        )


def _resolved_um3(scope):
    """Volume of an ellipsoid as large as what the objective resolves [um^3]."""
    lateral = scope.wavelength_um / (2 * scope.objective_na)
    axial = scope.wavelength_um / (
        scope.medium_index - np.sqrt(scope.medium_index**2 - scope.objective_na**2)
    )
    return float(np.pi / 6 * lateral**2 * axial)


def _bands(field, acquisition):
    """What makes the band of the fitted images on a grid."""
    light, learnt = None, None
    if acquisition is not None:
        first = field.members[0] if isinstance(field, Ensemble) else field
        light = acquisition.illumination
        learnt = np.setdiff1d(np.flatnonzero(acquisition.usable), first.provenance.held)
    return lambda grid: band_of(field, grid, light, learnt)


def _measured(sample, number, place, field):
    """(values, standard deviations, note) of one object, whose voxels lie within the slices `place`."""
    shape = sample.labels.shape
    box = _box(place, shape)
    own = sample.nearest[box] == number
    mask = sample.labels[box] == number
    grid = Grid(
        own.shape,
        sample.grid.spacing_um,
        tuple(a[s.start] for a, s in zip(sample.grid.axes, box, strict=True)),
    )
    band, boxed = sample.band(grid), [c[box] * own for c in sample.contrasts]
    fit = _fit(boxed[0], mask, band)
    best = fit.best()
    values, cone = _numbers(fit, best, boxed[0], grid, sample), _cone(fit, best, boxed[0], grid, sample)
    cone["peak_index"] = np.hypot(cone["peak_index"], cone["mean_index"])  # what dilutes one dilutes both
    for name in _SHAPE:
        cone[name] = np.hypot(cone[name], _VOXELS * values[name])
    for name, size in zip(_PLACE, sample.voxel, strict=True):
        cone[name] = np.hypot(cone[name], size / np.sqrt(12))
    note = _note(values, cone, fit.residual(best), _is_cut(place, shape))
    if len(boxed) == 1:
        return _row(values), _row(cone), note
    others = []
    for contrast in boxed[1:]:
        other = _fit(contrast, mask, band)
        others.append(_row(_numbers(other, other.best(tuple(best)), contrast, grid, sample)))
    spread = max(field.factor, 1.0) * np.std(others, axis=0, ddof=1)
    shared = _row(_shared(values, sample.medium_index, field))
    return _row(values), np.sqrt(_row(cone) ** 2 + spread**2 + shared**2), note


def _row(numbers):
    """Numbers by name in the order of ``NAMES``."""
    return np.array([numbers[name] for name in NAMES])


def _shared(values, medium_index, ensemble):
    """Standard deviations that all members of an ensemble share, by name."""
    shared = dict.fromkeys(NAMES, 0.0)
    shared["dry_mass_pg"] = ensemble.relative * values["dry_mass_pg"]
    for name in ("mean_index", "peak_index"):
        shared[name] = ensemble.relative * (values[name] - medium_index)
    shared["peak_index"] = np.hypot(shared["peak_index"], ensemble.hidden)
    return shared


def _box(place, shape):
    """Slices around an object with medium on all sides, as far as the field goes."""
    around = []
    for part, n in zip(place, shape, strict=True):
        margin = int(_AROUND * (part.stop - part.start)) + _MARGIN
        around.append(slice(max(part.start - margin, 0), min(part.stop + margin, n)))
    return tuple(around)


def _fit(contrast, mask, band):
    h = band.grid.spacing_um[0]
    near = ndimage.binary_dilation(mask, iterations=2)
    return BodyFit(contrast, band, signed_distance(contrast * near, h, half_way(contrast, mask)))


def _numbers(fit, shape, contrast, grid, sample):
    """The numbers of a body, by name."""
    inside, filled = fit.body(*shape)
    volume, surface = volume_and_surface(inside, fit.spacing_um)
    total = float(inside.sum())
    place = [
        float(inside.sum(axis=tuple({0, 1, 2} - {k})) @ axis) / total for k, axis in enumerate(grid.axes)
    ]
    summed = sample.sign * float(filled[inside > 0].sum()) * fit.spacing_um**3
    peak = sample.sign * float(np.quantile(contrast[inside >= 0.5 * inside.max()], _PEAK_SHARE))
    # what fills the whole field has no surface there
    sphericity = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface if surface > 0 else np.nan
    return dict(zip(_PLACE, place, strict=True)) | {
        "volume_um3": volume,
        "surface_um2": surface,
        "sphericity": sphericity,
        "dry_mass_pg": summed / sample.increment,
        "mean_index": sample.medium_index + summed / volume,
        "peak_index": sample.medium_index + peak,
    }


def _cone(fit, best, *what):
    """Standard deviations that the missing cone leaves, by name; see `fieldrx.measure.body`."""

    def numbers(shape):
        return _row(_numbers(fit, shape, *what))

    covariance = fit.freedom(best)
    values, vectors = np.linalg.eigh(covariance)
    moved = np.zeros(len(NAMES))
    for length, direction in zip(np.sqrt(values), vectors.T, strict=True):
        step = min(length, 0.1) * direction  # numbers are nearly linear within a tenth
        change = 0.5 * (numbers(best + step) - numbers(best - step))
        moved += (change * length / min(length, 0.1)) ** 2
    first = 0.5 * (numbers(best) - numbers(np.array([0.0, 1.0])))
    return dict(zip(NAMES, np.sqrt(moved + first**2), strict=True))


def _is_cut(place, shape):
    """Whether an object touches the border of what the images show."""
    return any(part.start == 0 or part.stop == n for part, n in zip(place, shape, strict=True))


def _note(values, cone, left, cut):
    """What one object's numbers cannot be trusted for."""
    found = ["touches the edge of the field: its numbers are those of a part"] if cut else []
    wide = {w: cone[k] / abs(values[k]) for w, (k, most) in _OPEN.items() if cone[k] > most * abs(values[k])}
    if wide:
        words = " and ".join(f"{what} open by {share:.0%}" for what, share in wide.items())
        found.append(f"the missing cone leaves {words}")
    if np.sqrt(left) > _ELSE:
        found.append(f"not uniform: {np.sqrt(left):.0%} of what the images show of it is no such body")
    return "; ".join(found)

"""Calibration of an acquisition: directions, their sign, the aperture, and where the sample lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fieldrx.acquisition import Acquisition, require_images
from fieldrx.board import STEEPEST, Board, lattice_of, reach_of
from fieldrx.brief import brief
from fieldrx.calibration.across import Parts, Turning, find_turning, tells_turning
from fieldrx.calibration.brightness import intensities, level_each
from fieldrx.calibration.circles import Spectra, coarse_map, fit_board, likelihood, refine_each
from fieldrx.calibration.sample import Sample, find_sample
from fieldrx.calibration.sign import settle
from fieldrx.calibration.words import board_words, height_words, turning_words
from fieldrx.errors import InputError
from fieldrx.progress import Progress

CONTRASTS = ("positive", "negative", "unknown")
_OUTLIER = 4.0  # robust standard deviations from the board
_CLEAR = 0.1  # of an image's likelihood, that an outlier's own direction must gain; of right ones up to 0.06
_OUTSIDE = 1.15  # times the objective's NA, beyond which a source is dark field even by a wrong table
_APERTURES = np.linspace(0.9, 1.1, 21)
_TURNS = np.arange(0, 180, 4.0)  # a half turn is a change of sign, which the spectra do not show
_SCALES = 1.12 ** np.arange(-3, 4)
_BOARD, _PARTS, _IMAGES, _SAMPLE = 0.3, 0.7, 0.75, 0.85  # share of the work that is done after each
_BETTER = 1.15  # times the likelihood of the table as it is, for a table to be called turned or mirrored


@brief
@dataclass(frozen=True)
class Calibration:
    """What the images say about their optics.

    Parameters
    ----------
    acquisition : Acquisition
        The same images with corrected directions, each divided by its own level if `levels`.
    board : Board
        From the table to the directions found.
    nominal_na, found_na : array, shape (n_sources, 2)
        Directions of the table and those found.
    measured_na : array, shape (n_images, 2)
        The directions that each image alone tells, near the board's; nan for images not looked at.
    scatter_na : float
        Median distance of `measured_na` from the board.
    outliers : array of int
        Images that contradict the board.
    objective_na : float
        Aperture at which the discs fit best.
    intensities : array, shape (n_images,), or None
        Brightness of the images relative to their median, by valid pixels and whatever the sample; nan for
        images without any, or of dark field.  None where the normalisation has divided each image by its own
        level.
    levels : bool
        Whether the intensities scatter so much that they were divided out.
    sample : Sample
        With the sign of the directions found.
    notes : tuple of str
        All findings in words.
    sign_evidence : float
        How surely the sign is settled, in standard errors: positive where it stays as the table has it,
        negative where it is the other one, 0 where nothing speaks, or less than 3 for the other one.  From 3
        on it is sure; where depth and contrast contradict each other it is their difference, whose sign is
        that of the stronger.
    turning : Turning or None
        How directions change across the frame; None of frames too small to look.
    """

    acquisition: Acquisition
    board: Board
    nominal_na: np.ndarray
    found_na: np.ndarray
    measured_na: np.ndarray
    scatter_na: float
    outliers: np.ndarray
    objective_na: float
    intensities: np.ndarray | None
    levels: bool
    sample: Sample
    notes: tuple[str, ...]
    sign_evidence: float = 0.0
    turning: Turning | None = None


def calibrate(
    acquisition: Acquisition,
    depth: Sequence[float] | None = None,
    contrast: str = "positive",
    callback: Callable[[Progress], None] | None = None,
) -> Calibration:
    """Find the directions of the light from the images.

    Held-out images are not looked at; their directions are those of the board that the others show.

    Parameters
    ----------
    acquisition : Acquisition
        With images; its directions are the first guess, which may be turned, mirrored or scaled.
    depth : (float, float), optional
        Between which heights the sample lies [um], if known: settles the sign where the images are explained
        much better there than in the mirror image of that range.
    contrast : str
        "positive" where the sample is denser than its medium, "negative", or "unknown": settles the sign when
        ``depth`` does not, and the index in the best slice is clearly skewed.
    callback : callable, optional
        Called with a `fieldrx.progress.Progress`, whose stage is "calibrate", after every piece of the work.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        If fewer than two images are lit by a single source within the pupil, the images hold no signal, or an
        argument does not make sense.
    """
    if contrast not in CONTRASTS:
        raise InputError(f'contrast is "{contrast}"; expected one of {", ".join(CONTRASTS)}')
    if depth is not None and not (np.isfinite(depth[:2]).all() and depth[0] != depth[1]):
        raise InputError(f"depth is {depth[0]:g} to {depth[1]:g} um; expected two different heights")
    require_images(acquisition, "calibrate on")
    told = _Told(callback)
    light, scope = acquisition.illumination, acquisition.microscope
    source = _measurable(acquisition)
    looked_at = np.flatnonzero(source >= 0)
    table = light.sources_na
    spectra = Spectra(acquisition.stack[looked_at], scope)
    board, evidence, notes = _fit(spectra, table, source[looked_at])
    told(_BOARD)
    turning, parts = _across(acquisition, looked_at, table[source[looked_at]], board)
    if parts is not None:  # spectra of the whole frame are blurred by what changes across it
        spectra, evidence = parts, parts.evidence(board.directions(table[source[looked_at]]))
        board, evidence = fit_board(spectra, table[source[looked_at]], evidence, board, 1, 1.0)
    told(_PARTS)
    directions, board, lattice, evidence = _better_table(spectra, table, source[looked_at], board, evidence)
    if lattice:
        notes.append("the table is a regular lattice but for small scatter: the lattice was fitted")
    at = directions[source[looked_at]]
    measured, own = refine_each(spectra, evidence, at, 2 * spectra.pixel_na)
    distance = np.linalg.norm(measured - at, axis=1)
    scatter = float(np.median(distance))
    gained = own - likelihood(spectra, evidence, at)
    outliers = looked_at[_strange(distance / max(scatter, 0.3 * spectra.pixel_na), gained, own)]
    told(_IMAGES)
    everyone = np.full((acquisition.n_images, 2), np.nan)
    everyone[looked_at] = measured
    light = _as_far_as_found(light, board, turning)
    chosen = replace(acquisition, illumination=replace(light, sources_na=directions))
    sample = find_sample(chosen, _within_pupil(chosen, looked_at), depth)
    told(_SAMPLE)
    sign, sure, why = settle(sample, depth, contrast)
    if sign < 0:
        directions, everyone = -directions, -everyone
        board, sample, turning = board.reversed(), sample.reversed(), turning and turning.reversed()
        light = _as_far_as_found(acquisition.illumination, board, turning)
        chosen = replace(acquisition, illumination=replace(light, sources_na=directions))
    aperture = _aperture(spectra, evidence, at)
    told(1.0)
    notes += board_words(board, scatter, outliers, aperture, len(looked_at), acquisition)
    notes += turning_words(turning, acquisition.illumination.distance_um, board)
    brightness, levels, words = intensities(chosen)
    notes += [*words, *height_words(sample), why]
    if levels:
        chosen = level_each(chosen)
    chosen = replace(chosen, notes=(*acquisition.notes, *notes))
    return Calibration(
        chosen, board, table, directions, everyone, scatter, outliers, aperture, brightness, levels, sample,
        tuple(notes), sure, turning,
    )  # fmt: skip


class _Told:
    """Tells a callback which share of the work is done."""

    def __init__(self, callback: Callable[[Progress], None] | None):
        self.callback = callback
        self(0.0)

    def __call__(self, share: float) -> None:
        if self.callback is not None:
            self.callback(Progress("calibrate", round(100 * share), 100))


def _across(acquisition, looked_at, table, board):
    """How directions change across the frame, if it is large, and its parts, where a board explains it."""
    images, scope = acquisition.images[looked_at], acquisition.microscope
    if not tells_turning(images.shape[1:], scope) or np.linalg.norm(table, axis=1).max() > STEEPEST:
        return None, None
    turning = find_turning(parts := Parts(images, scope), table, board)
    parts.per_um = turning.per_um
    return turning, parts if turning.of_a_board else None


def _within_pupil(acquisition, looked_at):
    """Those of the images looked at that are lit from within the pupil by the directions found."""
    usable = np.intersect1d(looked_at, np.flatnonzero(acquisition.usable))
    if not usable.size:
        raise InputError(
            "by their spectra all images are lit from outside the pupil of NA "
            f"{acquisition.microscope.objective_na:g}; check objective_na, the pixel size and the wavelength"
        )
    return usable


def _as_far_as_found(light, board, turning):
    """The light with the distances that directions across the frame, or else their found scale, mean."""
    if turning is not None and turning.of_a_board:
        distance = turning.distance_um
    elif light.distance_um is not None:
        distance = light.distance_um / board.scale
    else:
        return light
    return replace(light, distance_um=distance).with_lamps(**light.lamp_lengths())


def _strange(distance, gained, own):
    """Which images contradict the board.

    Images tell their directions with very different precision: near the axis the two discs lie on each
    other, and which way they part hardly shows.  So a large distance alone accuses nobody: the direction
    found must also explain the image clearly better, measured against all that its discs explain.

    Parameters
    ----------
    distance : array, shape (n,)
        From the board, in typical distances.
    gained, own : arrays, shape (n,)
        Log likelihood that the direction found is ahead of the board's, and that it has.
    """
    clear = np.maximum(_OUTLIER**2 * np.median(gained), _CLEAR * np.abs(own))
    return (distance > _OUTLIER) & (gained > clear)


def _measurable(acquisition):
    """Number of the one source of every image that can tell it, -1 for the others."""
    light, aperture = acquisition.illumination, acquisition.microscope.objective_na
    single = np.count_nonzero(light.pattern, axis=1) == 1
    if acquisition.mask is not None:
        single &= acquisition.mask.any(axis=(1, 2))
    single[acquisition.holdout] = False
    source = light.pattern.argmax(axis=1)
    single &= np.linalg.norm(light.sources_na, axis=1)[source] <= _OUTSIDE * aperture
    if np.count_nonzero(single) < 2:
        raise InputError(
            f"{np.count_nonzero(single)} images are valid, not held out and lit by one source each, within "
            f"{_OUTSIDE:g} times the objective's NA of {aperture:g}; calibration needs at least 2 (several "
            "sources in an image: reconstruct --refine illumination)"
        )
    return np.where(single, source, -1)


def _fit(spectra, table, source):
    """The board from nothing but the spectra and the table, and what was unusual about the table."""
    blind = spectra.blind_evidence()
    places, values = coarse_map(spectra, blind)
    # some part of every spectrum is bright wherever discs are put
    values -= values.mean(axis=1, keepdims=True)
    start, words = _turned_or_mirrored(places, values, table, source, spectra.radius)
    evidence = spectra.evidence(start.directions(table)[source])
    board, evidence = fit_board(spectra, table[source], evidence, start)
    return board, evidence, words


def _turned_or_mirrored(places, values, table, source, radius):
    """The table as it is, unless a turned, mirrored or scaled one is far likelier."""
    both = np.concatenate([places, -places])
    step, reach = radius / 14, reach_of(table)

    def score(board):
        na = board.directions(table)[source]
        apart = np.linalg.norm(both - na[:, None], axis=2)
        nearest = apart.argmin(axis=1)
        hit = apart[np.arange(len(na)), nearest] < step
        return float((values[np.arange(len(na)), nearest % len(places)] * hit).sum())

    plain = max(score(Board.turned(a, k, reach=reach)) for a in (-6, -3, 0, 3, 6) for k in (0.94, 1, 1.06))
    best, choice = plain, (0.0, 1.0, False)
    for mirrored in (False, True):
        for angle in _TURNS:
            for scale in _SCALES:
                value = score(Board.turned(angle, scale, mirrored, reach))
                if value > best:
                    best, choice = value, (angle, scale, mirrored)
    if best <= max(_BETTER * plain, 0) or choice == (0.0, 1.0, False):
        return Board.turned(reach=reach), []
    angle, scale, mirrored = choice
    turn = angle - 180 if angle > 90 else angle
    words = [f"turned by about {turn:.0f} degrees"] if turn else []
    words += ["mirrored"] if mirrored else []
    words += [f"scaled by about {scale:.2f}"] if scale != 1 else []
    said = f"the images fit the table only when it is {', '.join(words)}: check which way its axes run"
    return Board.turned(turn, scale, mirrored, reach), [said]


def _better_table(spectra, table, source, board, evidence):
    """Directions of all sources: from the table or the lattice that it nearly is, whichever is likelier."""
    directions = board.directions(table)
    lattice = lattice_of(table)
    if lattice is None or np.abs(lattice - table).max() < 1e-4:
        return directions, board, False, evidence
    regular, better = fit_board(spectra, lattice[source], evidence, board, rounds=2, softness=1.0)
    moved = regular.directions(lattice)
    gain = [
        likelihood(spectra, e, moved[source]).sum() - likelihood(spectra, e, directions[source]).sum()
        for e in (evidence, better)
    ]
    return (moved, regular, True, better) if sum(gain) > 0 else (directions, board, False, evidence)


def _aperture(spectra, evidence, directions):
    """Radius of the discs that fits best (NA), between the trials by a parabola."""
    values = [likelihood(spectra, evidence, directions, radius=k * spectra.radius).sum() for k in _APERTURES]
    k = int(np.clip(np.argmax(values), 1, len(values) - 2))
    left, middle, right = values[k - 1 : k + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(spectra.radius * (_APERTURES[k] + np.clip(shift, -1, 1) * (_APERTURES[1] - _APERTURES[0])))

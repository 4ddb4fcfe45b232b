"""Calibration of an acquisition: directions, their sign, the aperture, and where the sample lies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.background import robust_level
from fieldrx.board import Board, lattice_of, reach_of
from fieldrx.brief import brief
from fieldrx.calibration.circles import Spectra, coarse_map, fit_board, refine_each
from fieldrx.calibration.sample import DEPTH_ERROR, Sample, find_sample
from fieldrx.errors import InputError
from fieldrx.optics import Illumination

CONTRASTS = ("positive", "negative", "unknown")
_OUTLIER = 4.0  # robust standard deviations from the board
_CLEAR = 0.1  # of an image's likelihood, that an outlier's own direction must gain; of right ones up to 0.06
_OUTSIDE = 1.15  # times the objective's NA, beyond which a source is dark field even by a wrong table
_CERTAIN, _WEAK = 3.0, 1.0  # standard errors beyond which evidence tells the sign, or hints at it
_APERTURES = np.linspace(0.9, 1.1, 21)
_TURNS = np.arange(0, 180, 4.0)  # a half turn is a change of sign, which the spectra do not show
_SCALES = 1.12 ** np.arange(-3, 4)
_LEVEL_PIXELS = 256  # per axis, that the brightness of an image is measured on
_FLICKER = 0.02  # scatter of the intensities from which images are levelled
_ODD = 0.1, 4.0  # distance of a brightness from the others' worth a word: relative, and in robust deviations
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
        negative where it is the other one, 0 where nothing speaks.  From 3 on it is sure; where depth and
        contrast contradict each other it is their difference, whose sign is that of the stronger.
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


def calibrate(acquisition: Acquisition, depth=None, contrast="positive") -> Calibration:
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
        `depth` does not.

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
    if acquisition.images is None:
        raise InputError("the acquisition has no images to calibrate on")
    light, scope = acquisition.illumination, acquisition.microscope
    source = _measurable(acquisition)
    looked_at = np.flatnonzero(source >= 0)
    table = light.sources_na
    spectra = Spectra(acquisition.images[looked_at], scope)
    board, evidence, notes = _fit(spectra, table, source[looked_at])
    directions, board, lattice, evidence = _better_table(spectra, table, source[looked_at], board, evidence)
    if lattice:
        notes.append("the table is a regular lattice but for small scatter: the lattice was fitted")
    at = directions[source[looked_at]]
    measured, own = refine_each(spectra, evidence, at, 2 * spectra.pixel_na)
    distance = np.linalg.norm(measured - at, axis=1)
    scatter = float(np.median(distance))
    gained = own - spectra.likelihood(evidence, at)
    outliers = looked_at[_strange(distance / max(scatter, 0.3 * spectra.pixel_na), gained, own)]
    everyone = np.full((acquisition.n_images, 2), np.nan)
    everyone[looked_at] = measured
    chosen = replace(acquisition, illumination=Illumination(directions, light.pattern))
    usable = np.intersect1d(looked_at, np.flatnonzero(chosen.usable))
    if not usable.size:
        raise InputError(
            f"by their spectra all images are lit from outside the pupil of NA {scope.objective_na:g}; check "
            "objective_na, the pixel size and the wavelength"
        )
    sample = find_sample(chosen, usable, depth)
    sign, sure, why = _settle(sample, depth, contrast)
    if sign < 0:
        directions, everyone = -directions, -everyone
        board, sample = board.reversed(), sample.reversed()
        chosen = replace(acquisition, illumination=Illumination(directions, light.pattern))
    aperture = _aperture(spectra, evidence, at)
    notes += _words(board, scatter, outliers, aperture, scope, len(looked_at), acquisition)
    intensities, levels, words = _intensities(chosen)
    notes += [*words, *_height_words(sample), why]
    if levels:
        chosen = _levelled(chosen)
    chosen = replace(chosen, notes=(*acquisition.notes, *notes))
    return Calibration(
        chosen,
        board,
        table,
        directions,
        everyone,
        scatter,
        outliers,
        aperture,
        intensities,
        levels,
        sample,
        tuple(notes),
        sure,
    )


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
        spectra.likelihood(e, moved[source]).sum() - spectra.likelihood(e, directions[source]).sum()
        for e in (evidence, better)
    ]
    return (moved, regular, True, better) if sum(gain) > 0 else (directions, board, False, evidence)


def _aperture(spectra, evidence, directions):
    """Radius of the discs that fits best (NA), between the trials by a parabola."""
    values = [spectra.likelihood(evidence, directions, radius=k * spectra.radius).sum() for k in _APERTURES]
    k = int(np.clip(np.argmax(values), 1, len(values) - 2))
    left, middle, right = values[k - 1 : k + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(spectra.radius * (_APERTURES[k] + np.clip(shift, -1, 1) * (_APERTURES[1] - _APERTURES[0])))


def _settle(sample, depth, contrast):
    """The sign of the directions, how sure it is, and how it was settled.

    Returns
    -------
    sign : int
        +1 as found or -1.
    evidence : float
        Standard errors for (positive) or against (negative) the directions as found; 0 where nothing speaks.
    why : str
    """
    by_depth, by_contrast = _depth_evidence(sample), _contrast_evidence(sample, contrast)
    said = _depth_words(sample, depth, by_depth), _contrast_words(sample, contrast, by_contrast)
    stronger, first = (by_contrast, 1) if abs(by_contrast) > abs(by_depth) else (by_depth, 0)
    if not stronger:
        return 1, 0.0, _ambiguous_words(sample, said[0])
    sign = 1 if stronger > 0 else -1
    kept = {1: "as given", -1: "the other one"}[sign]
    how = "settled" if abs(stronger) >= _CERTAIN else "weakly settled"
    why = f"sign of the light {kept}: {how} by {said[first]}"
    if not by_depth or not by_contrast:
        return sign, stronger, why + ("" if first == 0 or by_depth else said[0])
    if by_depth * by_contrast > 0:
        return sign, stronger, f"{why}; {said[1 - first]} agrees"
    other = ("the depth", "the contrast")
    why += (
        f"; against it speaks {said[1 - first]}: {other[first]} is followed, as the stronger by standard "
        f"errors ({abs(stronger):.1f} against {abs((by_depth, by_contrast)[1 - first]):.1f}); check the "
        f"{'depth' if first else 'contrast'} that was given"
    )
    return sign, by_depth + by_contrast, why


def _depth_evidence(sample):
    """Standard errors by which the range given, rather than its mirror image, holds the sample; or 0."""
    return sample.side * abs(sample.given - sample.mirrored) / DEPTH_ERROR if sample.side else 0.0


def _contrast_evidence(sample, contrast):
    """Standard errors by which the index is skewed as a sample of this contrast makes it; or 0."""
    if contrast == "unknown" or not sample.error > 0 or not sample.stands_out:
        return 0.0
    evidence = sample.skewness / sample.error * (1 if contrast == "positive" else -1)
    return float(evidence) if abs(evidence) >= _WEAK else 0.0


def _depth_words(sample, depth, evidence):
    if evidence:
        best, worse = max(sample.given, sample.mirrored), min(sample.given, sample.mirrored)
        return (
            f"the depth; one thin slice between {min(depth[:2]):g} and {max(depth[:2]):g} um explains "
            f"{best:.0%} of the images' power so, and {worse:.0%} with the other sign"
        )
    if not np.isfinite(sample.given):
        return ""
    return (
        f" (the depth does not tell: best slices explain {sample.given:.1%} of the images' power in it, "
        f"{sample.mirrored:.1%} in its mirror image, and {sample.explained.max():.1%} anywhere)"
    )


def _contrast_words(sample, contrast, evidence):
    if not evidence:
        return ""
    sign = 1 if evidence > 0 else -1
    assumed = ", as assumed; --contrast negative or unknown otherwise" if contrast == "positive" else ""
    return (
        f"{contrast} contrast{assumed} (skewness of the index {sign * sample.skewness:+.2f} +- "
        f"{sample.error:.2f})"
    )


def _ambiguous_words(sample, doubt):
    place = f" at {-sample.height_um:+.1f} um" if np.isfinite(sample.height_um) else ""
    return (
        "sign of the light ambiguous, kept as given: with all directions reversed the images are explained "
        f"as well, by a sample of the opposite contrast{place}{doubt}; settle it by a depth on one side of "
        "the focus"
    )


def _words(board, scatter, outliers, aperture, scope, count, acquisition):
    shift = board.shift
    notes = [
        f"directions from the spectra of {count} images: board turned by {board.rotation_deg:+.2f} "
        f"degrees, directions scaled by {board.scale:.4f}, shifted by ({shift[0]:+.4f}, {shift[1]:+.4f}) in "
        f"NA (y, x); single images scatter by {scatter:.4f}"
    ]
    if len(acquisition.holdout):
        notes.append("held-out images were not looked at: their directions are the board's")
    if outliers.size:
        notes.append(
            f"images {', '.join(map(str, outliers))} contradict the board: other lights, or dirt; leave them "
            "out or look at them"
        )
    off = aperture / scope.objective_na - 1
    notes.append(
        f"the objective's NA: {aperture:.4f} fits best, {scope.objective_na:g} is given"
        + ("; check it, and the pixel size and wavelength" if abs(off) > 0.03 else "")
    )
    return notes


def _height_words(sample):
    if not np.isfinite(sample.height_um):
        return [
            "at no height one thin slice explains the images better than at others: the depth is not known"
        ]
    low, high = sample.extent_um
    notes = [
        f"the sample is best explained at z = {sample.height_um:+.1f} um from the focus, and stands out half "
        f"as much between {low:+.1f} and {high:+.1f} um"
    ]
    if sample.at_end:
        notes.append("that is the end of the heights searched: the sample may lie beyond; give a wider depth")
    return notes


def _intensities(acquisition):
    """Relative brightness of the images, or None; whether to level them; and what to say."""
    if acquisition.levelled:
        said = "intensities of the images are already taken out: the background divided each by its own level"
        return None, False, [said]
    level = np.full(acquisition.n_images, np.nan)
    step = -(-max(acquisition.image_shape) // _LEVEL_PIXELS)
    for k in np.flatnonzero(acquisition.usable):
        valid = None if acquisition.mask is None else acquisition.mask[k]
        coarse = step if valid is None or valid[::step, ::step].any() else 1
        part = (slice(None, None, coarse),) * 2
        level[k] = robust_level(acquisition.images[k][part], None if valid is None else valid[part])
    some = np.setdiff1d(np.flatnonzero(acquisition.usable), acquisition.holdout)
    level /= np.median(level[some])
    off = np.abs(level[some] - 1)
    scatter = 1.4826 * float(np.median(off))
    levels = scatter > _FLICKER
    notes = [
        f"intensities of the images scatter by {scatter:.1%}"
        + (": every image is divided by its own (gain = true)" if levels else "")
    ]
    odd = off > max(_ODD[0], _ODD[1] * scatter)
    if odd.any():
        told = ", ".join(f"{k} ({level[k]:.2f} of the median)" for k in some[odd])
        notes.append(f"images whose brightness is far from the others': {told}")
    return level, levels, notes


def _levelled(acquisition):
    """The images divided by their own level, as `gain` of the background does."""
    images = acquisition.images.copy()
    for k in np.flatnonzero(acquisition.usable):
        valid = np.ones(images[k].shape, bool) if acquisition.mask is None else acquisition.mask[k]
        images[k][valid] /= robust_level(images[k], valid)
    return replace(acquisition, images=images, levelled=True)

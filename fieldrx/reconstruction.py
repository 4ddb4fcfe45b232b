"""From an acquisition to a field, with everything that is "auto" chosen by the images.

The depth is where refocusing finds the sample (`fieldrx.refocus`), the weight of the total variation what
unseen images prefer (`fieldrx.tuning`), the model what a first estimate of the sample's phase asks for
(`fieldrx.automatic`).  Every choice is kept with its evidence in the field's provenance: depth and weight as
``automatic``, the model among ``notes``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from fieldrx import automatic
from fieldrx.acquisition import Acquisition, require_images
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, Parts, Schedule, checkpoint_arguments
from fieldrx.optics import condenser_notes, parse_depth, sampling_notes, slice_positions
from fieldrx.priors import Priors
from fieldrx.tuning import choose_tv, training_images

_EVEN = 1e-3  # relative difference up to which slices count as being as far apart as they were asked to be


def reconstruct(
    acquisition: Acquisition,
    depth: Sequence[float] | str,
    model: str = "auto",
    *,
    tv: float | str | None = None,
    checkpoint: str | PathLike | None = None,
    resume: bool = False,
    **options: Any,
) -> NeuralField:
    """Fit a neural field to an acquisition.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float) or "auto"
        Slice centres z0, z1 and their distance dz [um], both ends included; "auto" finds the sample by
        refocusing.
    model : str
        "born", "rytov", "bpm", "ssnp", "mlb", or "auto" to let a first estimate of the sample's phase decide.
    tv : float or "auto", optional
        Weight of the total variation of index and absorption; "auto" chooses it by unseen images, which
        doubles the time.  That of ``priors``, or the model's default, when not given.
    checkpoint, resume
        As of :meth:`Fit.run`.
    **options
        Keyword arguments of :class:`Fit`.

    Returns
    -------
    NeuralField
        ``provenance.notes`` tells what was chosen and what is odd, ``provenance.diverged`` where a fit went
        astray, if it did.

    Warns
    -----
    UserWarning
        If the fit has diverged; the field is the best one before.

    Raises
    ------
    InputError
        If the acquisition or an argument does not make sense.
    KeyboardInterrupt
        If the fit was stopped before its first step.
    """
    earlier = checkpoint_arguments(checkpoint) if resume and checkpoint is not None else None
    field = prepare(acquisition, depth, model, tv=tv, earlier=earlier, **options).run(checkpoint, resume)
    if field.provenance.diverged:
        warnings.warn(f"{field.provenance.diverged}; the field is the best one before it", stacklevel=2)
    return field


def prepare(
    acquisition: Acquisition,
    depth: Sequence[float] | str,
    model: str = "auto",
    *,
    tv: float | str | None = None,
    priors: Priors | dict[str, float] | None = None,
    origin: dict[str, Any] | None = None,
    earlier: dict[str, Any] | None = None,
    remarks: Sequence[str] = (),
    parts: Parts | None = None,
    **options: Any,
) -> Fit:
    """A fit that is ready to run, with everything that is "auto" chosen.

    Parameters
    ----------
    acquisition, depth, model, tv
        As of :func:`reconstruct`.
    priors, origin
        As of :class:`Fit`.
    earlier : dict, optional
        Arguments of the interrupted fit that is to go on, as `fieldrx.fit.checkpoint_arguments` gives them:
        what was chosen then holds.
    remarks : sequence of str
        What is known of the fit beforehand: joins its notes.
    parts : Parts, optional
        Where the trials of the total variation are kept.
    **options
        Further keyword arguments of :class:`Fit`.

    Returns
    -------
    Fit
        Its ``origin["automatic"]`` tells choices of depth and total variation, its ``notes`` everything
        else worth knowing.

    Raises
    ------
    InputError
        If the acquisition or an argument does not make sense, or the images do not tell what to choose.
    KeyboardInterrupt
        If the choice of the total variation was interrupted.
    """
    require_images(acquisition, "reconstruct")
    choices = []
    if earlier is not None:
        depth = tuple(earlier["depth"]) if _is_auto(depth) else depth
        tv = earlier["priors"]["tv"] if _is_auto(tv) else tv
    if _is_auto(depth):
        depth, why = choose_depth(acquisition, options.get("holdout"), options.get("schedule"))
        choices.append(why)
    depth = parse_depth(depth) if isinstance(depth, str) else depth
    remarks = [*remarks, *_slice_notes(acquisition, depth)]
    if _is_auto(tv):
        of_trials = {name: value for name, value in options.items() if name != "refine"}
        tv, why = choose_tv(acquisition, depth, model, parts=parts, **of_trials)
        choices.append(why)
    priors = priors if tv is None else _with_tv(priors, tv)
    origin = (origin or {}) | ({"automatic": choices} if choices else {})
    fit = Fit(acquisition, depth, model, priors=priors, origin=origin, **options)
    fit.notes += remarks
    return fit


def choose_depth(
    acquisition: Acquisition, holdout: float | None = None, schedule: Schedule | dict[str, Any] | None = None
) -> tuple[tuple[float, float, float], str]:
    """The depth range that refocusing finds, without a look at the images that a fit holds out.

    Parameters
    ----------
    acquisition : Acquisition
    holdout, schedule
        As of :class:`Fit`.

    Returns
    -------
    (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    str
        What was found, in a sentence.

    Raises
    ------
    InputError
        If there are no images, or they do not tell depth.
    """
    require_images(acquisition, "refocus")
    return automatic.choose_depth(acquisition, training_images(acquisition, holdout, schedule))


def _is_auto(value):
    return isinstance(value, str) and value == "auto"


def _with_tv(priors, tv):
    """Priors with one weight for both total variations."""
    if isinstance(tv, str):
        raise InputError(f'tv is "{tv}"; expected a number, 0 or more, or "auto"')
    both = {"tv": tv, "tv_absorption": tv}
    return replace(priors, **both) if isinstance(priors, Priors) else (priors or {}) | both


def _slice_notes(acquisition, depth):
    """Where slices do not suit the optics, or are not as far apart as they were asked to be."""
    z = slice_positions(depth)
    dz = z[1] - z[0]
    light = acquisition.illumination
    notes = sampling_notes(acquisition.microscope, light, dz) + condenser_notes(light, max(-z[0], z[-1]))
    if abs(dz / depth[2] - 1) > _EVEN:
        notes.append(f"{len(z)} slices {dz:.5g} um apart, so that both ends of the depth range are slices")
    return notes

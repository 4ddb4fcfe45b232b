"""From an acquisition to a field without a question: calibrate, find depth and sign, choose the model, fit.

Every choice is made by the library's own functions and kept with its evidence.  One thing is left that the
images do not tell: light hardly differs between a sample denser than its medium and a less dense one,
mirrored along z, lit from the opposite sides.  Short fits that hold the sample for denser, with the light as
given and reversed, are compared; where the light as given ends worse, either it is reversed or the sample is
less dense, and the user is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.calibration import Calibration, calibrate
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, split_images
from fieldrx.models.auto import choose_model
from fieldrx.optics import Illumination
from fieldrx.priors import priors_of_sign
from fieldrx.refocus import axial_resolution_um, explained_share, find_depth, heights_around_focus
from fieldrx.verdict import Verdict, judge

CONTRASTS = ("auto", "positive", "negative")
_REST = 0.985  # of the power that no thin slice explains: calibrated directions must leave less
_SCALES = (0.8, 1.25)  # of calibrated directions over those given: all from one side explain anything
_TRIAL = {"steps": 80, "coarse": 1.0, "tilted_from": 0.0, "patience": 0, "evaluate_every": 8}
# Where a trial with the light reversed ends, over that with the light as given.  For denser samples of the
# zoo it was 1.01 to 1.21 with the right sign, but 0.89 for one cell; for those less dense 0.59 and 0.66.
_TOLD = 0.95  # below, the light is reversed or the sample less dense
_UNSURE = 0.8, 1.03  # between these the verdict says that the sign is not certain
_UNKNOWN_DEPTH = 4  # axial resolutions on each side of the focus, where images tell no depth


_SIGN_OPEN = (
    "the images hardly tell whether the light is reversed: if the sample looks like a hole, set directions "
    "in [illumination], or give --contrast"
)


class Undecided(InputError):
    """The images leave a question that only the user can answer."""


@dataclass(frozen=True)
class Choice:
    """One automatic choice.

    Parameters
    ----------
    name : str
        "calibration", "sign", "depth", "model", ...
    value : str
        What was chosen.
    evidence : str
        Why, in a sentence.
    """

    name: str
    value: str
    evidence: str

    def __str__(self):
        return f"{self.name}: {self.value} ({self.evidence})"


@dataclass
class Outcome:
    """What an automatic reconstruction found.

    Parameters
    ----------
    acquisition : Acquisition
        As it was fitted, calibrated if that helped.
    calibration : Calibration or None
        Where it was used.
    field : NeuralField
    verdict : Verdict
    choices : list of Choice
    """

    acquisition: Acquisition
    calibration: Calibration | None
    field: NeuralField
    verdict: Verdict
    choices: list[Choice] = field(default_factory=list)

    def to_dict(self) -> dict:
        """JSON values: choices, verdict, errors."""
        done = self.field.provenance
        return {
            "choices": [asdict(choice) for choice in self.choices],
            "verdict": asdict(self.verdict),
            "nrmse_holdout": done["nrmse_holdout"],
            "nrmse_closed_form": done["nrmse_closed_form"],
            "seconds": done["seconds"],
            "notes": list(done["notes"]),
        }


@dataclass(frozen=True)
class _Case:
    """An acquisition on its way, with what goes into its fit."""

    acquisition: Acquisition
    calibration: Calibration | None
    depth: tuple[float, float, float]
    model: str
    sign: int = 1  # of the contrast
    sure: bool = True  # whether the images tell it


def run(
    acquisition,
    *,
    contrast="auto",
    holdout=None,
    schedule=None,
    seed=0,
    device="auto",
    callback=None,
    say: Callable = lambda choice: None,
    checkpoint=None,
    resume=False,
) -> Outcome:
    """Reconstruct an acquisition with everything chosen by its images.

    Parameters
    ----------
    acquisition : Acquisition
    contrast : str
        "positive" if the sample is denser than its medium, "negative" if less dense; "auto" finds out, and
        asks where the images do not tell.
    holdout : float, optional
        As of `fieldrx.Fit`.
    schedule : dict, optional
        As of `fieldrx.Fit`, of the final fit.
    seed : int
    device : str
    callback : callable, optional
        Told of progress, as of `fieldrx.Fit`.
    say : callable, optional
        Called with every `Choice` when it is made.
    checkpoint, resume
        Of the final fit, as of `fieldrx.Fit.run`.

    Returns
    -------
    Outcome

    Raises
    ------
    Undecided
        If only the user can know the sign of the contrast.
    InputError
        If the images cannot be reconstructed at all.
    """
    if contrast not in CONTRASTS:
        raise InputError(f'contrast is "{contrast}"; expected one of {", ".join(CONTRASTS)}')
    choices = []

    def chosen(name, value, evidence):
        choices.append(Choice(name, value, evidence))
        say(choices[-1])

    seen = _named_holdout(acquisition, holdout, seed)
    case = _directions(seen, chosen)
    case = _placed(case, chosen)
    case = _signed(case, contrast, seed, device, callback, chosen)
    fit = Fit(
        case.acquisition, case.depth, case.model, priors=priors_of_sign(case.sign),
        schedule={"seed": seed} | (schedule or {}),
        origin={"automatic": [str(choice) for choice in choices]}, callback=callback, device=device,
    )  # fmt: skip
    found = fit.run(checkpoint, resume)
    verdict = judge(found, case.acquisition, device, case.sign)
    if not case.sure:
        verdict = replace(verdict, advice=(*verdict.advice, _SIGN_OPEN))
    return Outcome(case.acquisition, case.calibration, found, verdict, choices)


def _named_holdout(acquisition, holdout, seed):
    """The acquisition with its held-out images settled, so that every step leaves the same ones alone."""
    if acquisition.images is None:
        raise InputError("the acquisition has no images to reconstruct")
    if len(acquisition.holdout):
        return acquisition
    _, held = split_images(acquisition, holdout, seed)
    return replace(acquisition, holdout=held)


# ---- directions ----------------------------------------------------------------------------------


def _directions(acquisition, chosen):
    """Calibrated directions where they explain the images better."""
    try:
        found = calibrate(acquisition, contrast="unknown")
    except InputError as error:
        chosen("calibration", "as given", f"not possible: {error}")
        return _Case(acquisition, None, (), "")
    before, after = _explained(acquisition), _explained(found.acquisition)
    shift = float(np.median(np.linalg.norm(found.found_na - found.nominal_na, axis=1)))
    told = (
        f"one thin slice explains {after:.1%} of the images' power with calibrated directions, {before:.1%} "
        f"with those given; they differ by {shift:.4f} in NA"
    )
    trusted = _SCALES[0] < found.board.scale < _SCALES[1]
    if not (trusted and 1 - after < _REST * (1 - before)):
        chosen("calibration", "as given", told + ("" if trusted else "; their scale is beyond belief"))
        return _Case(acquisition, None, (), "")
    chosen("calibration", "calibrated", f"{told}; {found.notes[0]}")
    return _Case(found.acquisition, found, (), "")


def _explained(acquisition):
    """The most of the images' power that a thin slice at any height explains; 0 where none can be asked."""
    images, _ = split_images(acquisition)
    try:
        return float(explained_share(acquisition, images, heights_around_focus(acquisition)).max())
    except InputError:
        return 0.0


# ---- depth and model -----------------------------------------------------------------------------


def _placed(case, chosen):
    """Depth and model."""
    acq, images = case.acquisition, split_images(case.acquisition)[0]
    try:
        found = find_depth(acq, images)
        depth, why = found.depth, found.note
    except InputError as error:
        step = axial_resolution_um(acq.microscope, acq.illumination)
        reach = _UNKNOWN_DEPTH * min(step, acq.image_shape[0] * acq.microscope.pixel_size_um / 8)
        depth, why = (-reach, reach, reach / 16), f"around the focus, since {error}"
    chosen("depth", ":".join(f"{d:.4g}" for d in depth) + " um", why)
    model, why = choose_model(acq, depth, images)
    chosen("model", model, why)
    return replace(case, depth=depth, model=model)


# ---- sign ----------------------------------------------------------------------------------------


def _signed(case, contrast, seed, device, callback, chosen):
    """The case or its reverse, with the sign of the contrast."""
    sign = -1 if contrast == "negative" else 1
    given, other = (_trial(one, sign, seed, device, callback) for one in (case, _reversed(case)))
    held = "denser" if sign > 0 else "less dense"
    tried = (
        f"short fits that hold the sample for {held} than its medium end at {given:.3f} with the light as "
        f"given and {other:.3f} with it reversed (errors of images and priors)"
    )
    case = replace(case, sign=sign, sure=not _UNSURE[0] < other / given < _UNSURE[1])
    if other >= _TOLD * given:
        chosen("sign", "light as given", tried)
        return case
    if contrast == "auto":
        raise Undecided(
            "is the sample denser than its medium? With these directions of the light it looks less dense, "
            f"which may also mean that they are reversed ({tried}): run again with --contrast negative if it "
            "is less dense, or --contrast positive to reverse the light"
        )
    chosen("sign", "light reversed", tried)
    return _reversed(case)


def _reversed(case):
    """The same with all light from the opposite sides, and the depth mirrored."""
    acq, (first, last, step) = case.acquisition, case.depth
    light = Illumination(-acq.illumination.sources_na, acq.illumination.pattern)
    return replace(case, acquisition=replace(acq, illumination=light), depth=(-last, -first, step))


def _trial(case, sign, seed, device, callback):
    """Where a short fit that allows one sign of the contrast ends: its data term and priors.

    Few unseen images of a short fit tell less; and a sample of the wrong sign must hide in a broad halo of
    the right one, which costs priors more than images.
    """
    fit = Fit(
        case.acquisition, case.depth, case.model, priors=priors_of_sign(sign),
        schedule=_TRIAL | {"seed": seed}, callback=callback, device=device,
    )  # fmt: skip
    found = fit.run()
    if found.provenance["interrupted"]:
        raise KeyboardInterrupt
    return float(np.mean((found.history["loss"] + found.history["prior"])[-10:]))

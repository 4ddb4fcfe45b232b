"""From an acquisition to a field without a question: directions, depth, model, sign, fit.

Every choice is made by the library's own functions and kept with its evidence.  Directions are judged by
short fits, as a sample is what they must explain: those of the table, or those that the spectra tell where a
thin slice prefers them; the better of them as they are, or aligned with the field (`fieldrx.alignment`).
The depth is narrowed to what a short fit occupies, and further while unseen images are told more surely.

One thing is left that the images do not tell: light hardly differs between a sample denser than its medium
and a less dense one, mirrored along z, lit from the opposite sides.  Short fits that hold the sample for
denser, with the light as given and reversed, are compared, and longer ones where these tell too little; where
the light as given ends far worse, either it is reversed or the sample is less dense, and the user is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.calibration import calibrate
from fieldrx.errors import InputError
from fieldrx.evaluation import compare
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, split_images
from fieldrx.models import is_multislice
from fieldrx.models.auto import choose_model
from fieldrx.optics import Illumination
from fieldrx.priors import priors_of_sign
from fieldrx.refocus import (
    axial_resolution_um,
    explained_share,
    find_depth,
    heights_around_focus,
    slice_distance,
)
from fieldrx.verdict import DIRECTIONS, Verdict, depth_profile, judge

CONTRASTS = ("auto", "positive", "negative")
_REST = 0.985  # of the power that no thin slice explains: calibrated directions must leave less
_SCALES = (0.8, 1.25)  # of calibrated directions over those given: all from one side explain anything
_TRIAL = {"steps": 80, "coarse": 1.0, "tilted_from": 0.0, "patience": 0, "evaluate_every": 20}
_LONG = _TRIAL | {"steps": 220}  # where short ones tell too little
_LAST = 10  # steps at whose mean a trial ends
# Where a trial with aligned directions ends, over that with the directions as they are.  In the zoo it was
# 0.90 to 0.97 where they were off by 0.01 to 0.02 NA, and 0.998 to 1.26 where they were right.
_ALIGNED = 0.985
# Where a trial with the light reversed ends, over that with the light as given: in the zoo 0.89 to 1.46 for
# samples denser than their medium, 0.59 and 0.66 for those less dense, 0.96 where the light was reversed.
_TOLD = 0.8  # below, the light is reversed or the sample less dense
_OPEN = 1.03  # from there up to here longer trials are asked
_SURE = 0.01  # by which the ratio of longer ones must differ from 1 to leave no doubt, or to doubt a table
_TURNED = 0.3  # of the typical tilt, by which calibrated directions lie elsewhere: the table was turned
_OCCUPIED = 0.25  # of the strongest slice, from which a height belongs to the sample of a short fit
_NARROWER = 0.85  # of a depth range, below which another short fit within what is occupied pays
_SHARES = (0.75, 0.55)  # of a depth range, tried about the sample's centre
_UNSEEN = 0.15  # of the images of a fit, and at least two, that judge these ranges
_AS_GOOD = 1.1  # error of these images over the least of all ranges, up to which the widest is taken
_WORSE = 1.02  # that a short fit may end worse, and still count as well as another
_UNKNOWN_DEPTH = 4  # axial resolutions on each side of the focus, where images tell no depth


_SIGN_OPEN = (
    "the images hardly tell whether the light is reversed: if the sample looks like a hole, set directions "
    "in [illumination], or give --contrast"
)
_SIGN_TURNED = (
    "the light was taken as reversed, as the images prefer it: if the sample is less dense than its medium, "
    "give --contrast negative; else set directions in [illumination]"
)


class Undecided(InputError):
    """The images leave a question that only the user can answer."""


@dataclass(frozen=True)
class Choice:
    """One automatic choice.

    Parameters
    ----------
    name : str
        "calibration", "sign", "depth", "model", "alignment".
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
        As it was fitted, with the directions that explain it best.
    field : NeuralField
    verdict : Verdict
    choices : list of Choice
    """

    acquisition: Acquisition
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
    depth: tuple[float, float, float]
    model: str
    evidence: tuple[str, str]  # for the depth, and for the model
    calibrated: bool = False  # whether spectra told its directions, less exactly than a field does
    turned: bool = False  # whether these are so far from the table that its sign says nothing
    end: float = np.nan  # of its trial, and the field that came out
    field: NeuralField | None = None
    aligning: bool = False  # whether the board goes on moving in the fit
    sign: int = 1  # of the contrast
    doubt: str = ""  # of it, as advice

    def lit(self, sources_na, *notes):
        """The same with other directions, and what there is to say of them."""
        acq = self.acquisition
        light = Illumination(sources_na, acq.illumination.pattern)
        return replace(self, acquisition=replace(acq, illumination=light, notes=(*acq.notes, *notes)))

    def reversed(self):
        """The same with all light from the opposite sides, and the depth mirrored."""
        first, last, step = self.depth
        other = self.lit(-self.acquisition.illumination.sources_na)
        return replace(other, depth=(-last, -first, step))


@dataclass(frozen=True)
class _Trials:
    """Short fits that compare cases."""

    sign: int
    seed: int
    device: str
    callback: Callable | None

    def of(self, case, refine=None, schedule=_TRIAL):
        """The case after a short fit that allows one sign of the contrast: its end, its field, and the
        directions that it was refined to.

        What counts is the data term and the priors: few unseen images of a short fit tell less, and a sample
        of the wrong sign must hide in a broad halo of the right one, which costs priors more than images.
        """
        fit = Fit(
            case.acquisition, case.depth, case.model, priors=priors_of_sign(self.sign), refine=refine,
            schedule=schedule | {"seed": self.seed}, callback=self._tell, device=self.device,
        )  # fmt: skip
        field = fit.run()
        if field.provenance["interrupted"]:
            raise KeyboardInterrupt
        end = float(np.mean((field.history["loss"] + field.history["prior"])[-_LAST:]))
        case = case.lit(fit.optics.sources_na) if refine else case
        return replace(case, end=end, field=field)

    def _tell(self, progress):
        if self.callback:
            short = progress.stage == "fit"
            self.callback(replace(progress, stage="short fit") if short else progress)


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
    trials = _Trials(-1 if contrast == "negative" else 1, seed, device, callback)
    case = _started(seen, trials, chosen)
    case = _signed(case, contrast, trials, chosen)
    case = _narrowed(case, trials, chosen)
    case = _aligned(case, trials, chosen)
    fit = Fit(
        case.acquisition, case.depth, case.model, priors=priors_of_sign(case.sign),
        refine="board" if case.aligning else None, schedule={"seed": seed} | (schedule or {}),
        origin={"automatic": [str(choice) for choice in choices]}, callback=callback, device=device,
    )  # fmt: skip
    found = fit.run(checkpoint, resume)
    verdict = judge(found, case.acquisition, device, case.sign)
    if case.doubt:
        verdict = replace(verdict, advice=(*verdict.advice, case.doubt))
    return Outcome(case.acquisition, found, verdict, choices)


def _named_holdout(acquisition, holdout, seed):
    """The acquisition with its held-out images settled, so that every step leaves the same ones alone."""
    if acquisition.images is None:
        raise InputError("the acquisition has no images to reconstruct")
    if len(acquisition.holdout):
        return acquisition
    _, held = split_images(acquisition, holdout, seed)
    return replace(acquisition, holdout=held)


# ---- depth and model -----------------------------------------------------------------------------


def _placed(acq):
    """An acquisition with its depth and model."""
    images = split_images(acq)[0]
    try:
        found = find_depth(acq, images)
        depth, where = found.depth, found.note
    except InputError as error:
        step = axial_resolution_um(acq.microscope, acq.illumination)
        reach = _UNKNOWN_DEPTH * min(step, acq.image_shape[0] * acq.microscope.pixel_size_um / 8)
        depth, where = (-reach, reach, reach / 16), f"around the focus, since {error}"
    model, why = choose_model(acq, depth, images)
    return _Case(acq, depth, model, (where, why))


def _narrowed(case, trials, chosen):
    """The case within the heights that the field of its short fit occupies, if that fits as well, and within
    a share of these, if that tells images more surely that a short fit has not seen."""
    within = _occupied(case)
    if within is not None:
        narrow = trials.of(within)
        case = narrow if narrow.end < _WORSE * case.end else case
    tight = _tightened(case, trials)
    case = case if tight is None else trials.of(tight)
    chosen("depth", ":".join(f"{d:.4g}" for d in case.depth) + " um", case.evidence[0])
    chosen("model", case.model, case.evidence[1])
    return case


def _occupied(case):
    """The case within the heights where its field holds a sample; None where that is nearly all of them."""
    z, power = depth_profile(case.field)
    most = int(np.argmax(power))
    less = np.flatnonzero(power < _OCCUPIED * power[most])
    low, high = less[less < most].max(initial=-1) + 1, less[less > most].min(initial=len(z)) - 1
    if low == high or z[high] - z[low] > _NARROWER * (z[-1] - z[0]):
        return None
    return _within(case, z[low], z[high], "the field of a short fit keeps to")


def _tightened(case, trials):
    """The case within a share of its depth range; None where that tells unseen images no better.

    Few tilts leave the depth of a sample open: a wide range then lets a fit explain its own images with what
    is far from the sample, which fails at images that it has not seen.
    """
    acq = case.acquisition
    train, held = split_images(acq)
    count = max(2, round(_UNSEEN * len(train)))
    if len(train) < 3 * count:
        return None
    unseen = np.sort(np.random.default_rng(trials.seed).permutation(train)[:count])
    blind = replace(acq, holdout=np.union1d(held, unseen))

    fits = [trials.of(replace(case, acquisition=blind))]
    for share in _SHARES:
        one = _about(case, _centre(fits[-1].field), share)
        fits.append(trials.of(replace(one, acquisition=blind)))
    errors = [compare(fit.field, blind, device=trials.device).error(unseen)[0] for fit in fits]
    best = int(np.argmax(np.array(errors) <= _AS_GOOD * np.min(errors)))  # the first; 0 if one is not finite
    return replace(fits[best], acquisition=acq) if best else None


def _centre(field):
    """Mean height of a field's sample [um]."""
    z, power = depth_profile(field)
    return float(np.average(z, weights=power - power.min() + np.finfo(float).tiny))


def _about(case, middle, share):
    """The case within a share of its depth range about a height."""
    first, last, _ = case.depth
    half = share * (last - first) / 2
    low, high = max(middle - half, first), min(middle + half, last)
    return _within(case, low, high, "short fits tell unseen images more surely within")


def _within(case, low, high, words):
    """The case between two heights, with the model for these."""
    acq = case.acquisition
    step = axial_resolution_um(acq.microscope, acq.illumination)
    dz = slice_distance(acq.microscope, high - low, step)
    depth = round(float(low), 3), round(float(high), 3), round(float(dz), 4)
    model, why = choose_model(acq, depth, split_images(acq)[0])
    where = f"{case.evidence[0]}; {words} {depth[0]:.4g}..{depth[1]:.4g} um"
    return replace(case, depth=depth, model=model, evidence=(where, why))


# ---- directions ----------------------------------------------------------------------------------


def _started(acquisition, trials, chosen):
    """The case with directions of the table or of the spectra."""
    told, starts = _starts(acquisition)
    cases = {name: trials.of(_placed(start)) for name, start in starts.items()}
    best = min(cases, key=lambda name: cases[name].end)
    if len(cases) > 1:
        ends = " and ".join(f"{case.end:.4f} {name}" for name, case in cases.items())
        told += f"; short fits end at {ends} (errors of images and priors)"
    chosen("calibration", best, told)
    given, found = (cases[k].acquisition.illumination.sources_na for k in ("as given", best))
    apart, typical = (np.median(np.linalg.norm(a, axis=1)) for a in (found - given, given))
    return replace(cases[best], calibrated=best != "as given", turned=apart > _TURNED * typical)


def _aligned(case, trials, chosen):
    """The case with the board aligned, where that lets a short fit end better; where it ends as well, the
    board starts as it is, and moves later in the fit."""
    if not is_multislice(case.model):
        chosen("alignment", "none", f"the field of {case.model} tells too little of directions")
        return case
    moved = trials.of(case, "board")
    before, after = (c.acquisition.illumination.sources_na for c in (case, moved))
    helps = case.calibrated or moved.end < _ALIGNED * case.end
    case = replace(case, aligning=helps or moved.end < _WORSE * case.end)
    chosen(
        "alignment", "with the field" if helps else "during the fit" if case.aligning else "none",
        f"a short fit that moves the board ends at {moved.end:.4f}, one that does not at {case.end:.4f}; it "
        f"moves directions by {np.median(np.linalg.norm(after - before, axis=1)):.4f} in NA",
    )  # fmt: skip
    return case.lit(after, f"{DIRECTIONS} alignment with a field") if helps else case


def _starts(acquisition):
    """What the spectra say, and the acquisitions to start from by name."""
    try:
        found = calibrate(acquisition, contrast="unknown")
    except InputError as error:
        return f"calibration is not possible: {error}", {"as given": acquisition}
    before, after = _explained(acquisition), _explained(found.acquisition)
    told = (
        f"one thin slice explains {after:.1%} of the images' power with directions calibrated by spectra, "
        f"{before:.1%} with those given"
    )
    # levelled alike where the lamps flicker, so that their fits compare
    starts = {"as given": replace(found.acquisition, illumination=acquisition.illumination)}
    if not _SCALES[0] < found.board.scale < _SCALES[1]:
        told += "; their scale is beyond belief"
    elif 1 - after < _REST * (1 - before):
        starts["calibrated"] = found.acquisition
    return told, starts


def _explained(acquisition):
    """The most of the images' power that a thin slice at any height explains; 0 where none can be asked."""
    images, _ = split_images(acquisition)
    try:
        return float(explained_share(acquisition, images, heights_around_focus(acquisition)).max())
    except InputError:
        return 0.0


# ---- sign ----------------------------------------------------------------------------------------


def _signed(case, contrast, trials, chosen):
    """The case or its reverse, with the sign of the contrast and what there is to doubt about it."""
    ratio, other, tried = _reversal(case, trials)
    given = replace(case, sign=trials.sign, doubt=_SIGN_OPEN if abs(ratio - 1) < _SURE else "")
    if ratio >= (1.0 if case.turned else 1 - _SURE):
        chosen("sign", "light as given", tried)
        return given
    if ratio < _TOLD and contrast == "auto" and not case.turned:
        raise Undecided(
            "is the sample denser than its medium? With these directions of the light it looks less dense, "
            f"which may also mean that they are reversed ({tried}): run again with --contrast negative if it "
            "is less dense, or --contrast positive to reverse the light"
        )
    why = "; calibrated so far from the table, light has no given sign" if case.turned else ""
    chosen("sign", "light reversed", tried + why)
    believed = case.turned or contrast != "auto"
    return replace(other, sign=trials.sign, doubt=given.doubt if believed else _SIGN_TURNED)


def _reversal(case, trials):
    """Where trials of the reversed light end over those of the light as given, the reversed case after its
    short trial, and a sentence.

    Short trials tell signs that are plain; where they do not, the objective of longer ones is lower for the
    right sign, if only by a per cent for rings and thin films.
    """
    other = trials.of(case.reversed())
    ends, words = (case.end, other.end), "short"
    if _TOLD < ends[1] / ends[0] < _OPEN:
        ends, words = tuple(trials.of(c, schedule=_LONG).end for c in (case, other)), "longer"
    held = "denser" if trials.sign > 0 else "less dense"
    return (
        ends[1] / ends[0],
        other,
        (
            f"{words} fits that hold the sample for {held} than its medium end at {ends[0]:.4f} with the light "
            f"as given and {ends[1]:.4f} with it reversed (errors of images and priors)"
        ),
    )

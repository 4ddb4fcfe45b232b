"""What a result is worth, in words, with advice: so that a bad one is never sold as a good one.

A field is judged by the images that it never saw, beside the noise that they hold, beside an empty sample,
whose error is 1, and beside the closed-form inversion, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import to_host
from fieldrx.evaluation import EMPTY, UNTESTED, Comparison, beyond_noise, compare, verdict_of
from fieldrx.field import NeuralField
from fieldrx.models import MODELS, is_multislice
from fieldrx.tiles import Mosaic
from fieldrx.totals import HOLE, contrast_sign

DIRECTIONS = "directions from"  # begins the note of an acquisition whose directions its images told
GRADES = ("good", "fair", "poor", "nothing")
_FAIR, _POOR = 0.3, 0.6  # of the signal, missed beyond the noise, from which a result is fair, or poor
_NOISY = 0.7  # of the signal that is noise, from which that is said,
_HIDDEN = 0.8  # and from which nothing is good: too little is left to test a result by
_BETTER = 0.98  # of the closed form's error, that a fit must at least come down to
_CUT = 0.8  # of the strongest slice's contrast, at an end of the depth range: the sample goes on beyond


@dataclass(frozen=True)
class Verdict:
    """What a reconstruction is worth.

    Parameters
    ----------
    grade : str
        "good", "fair" or "poor", by what unseen images show beyond the noise; "nothing" where the field is no
        better than the closed form or an empty sample; "untested" where no image was held out.
    sentence : str
    advice : tuple of str
        What may be wrong, and what to do.
    """

    grade: str
    sentence: str
    advice: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether nothing was found."""
        return self.grade == "nothing"

    def doubted(self, why: str) -> Verdict:
        """The same with a doubt that no image settles: a wrong sample predicts unseen ones as well, so what
        was "good" is "fair"."""
        if self.grade != "good":
            return replace(self, advice=(*self.advice, why))
        words = f"fair: {self.sentence.removeprefix('good: ')}; but there is a doubt"
        return Verdict("fair", words, (*self.advice, why))


def judge(field: NeuralField, acquisition: Acquisition, device: str = "auto", sign: int = 1) -> Verdict:
    """Judge a field by the images it was fitted to.

    Parameters
    ----------
    field : NeuralField
        Of a fit.
    acquisition : Acquisition
        The images of the fit.
    device : str
        Where images are predicted.
    sign : int
        +1 if the sample should be denser than its medium, -1 if less dense.

    Returns
    -------
    Verdict
    """
    provenance = field.provenance
    compared = compare(field, acquisition, device=device)
    advice = cut_off(field)
    if sign > 0 and contrast_sign(field) < 0:
        advice.append(HOLE)
    if not len(compared.held):
        return Verdict("untested", UNTESTED, tuple(advice))
    error, noise = compared.error(compared.held)[0], compared.noise_of(compared.held)
    closed = provenance.nrmse_closed_form
    grade = _worse(_grade(error, noise.share, closed), _grade_in_the_dark(compared))
    words = _words(grade, verdict_of(compared), closed)
    if noise.share > _NOISY:  # false where it is not known
        advice.append(f"most of the signal is noise ({noise.share:.0%}): more light, or more images")
    if grade in ("poor", "nothing"):
        advice += _remedies(provenance, acquisition)
    return Verdict(grade, words, tuple(advice))


def judge_mosaic(mosaic: Mosaic, numbers: Mapping[str, Any]) -> Verdict:
    """Judge a mosaic by its errors and by its sign.

    Parameters
    ----------
    mosaic : Mosaic
    numbers : mapping
        As `fieldrx.tiles.evaluate_mosaic` gives them: ``nrmse_holdout``, ``noise_floor_holdout`` and
        ``verdict``, where images were held out.
    """
    advice = (HOLE,) if contrast_sign(mosaic) < 0 else ()
    if "nrmse_holdout" not in numbers:
        return Verdict("untested", "no image was held out: nothing tests this mosaic", advice)
    closed = numbers.get("nrmse_closed_form")
    grade = _grade(numbers["nrmse_holdout"], numbers["noise_floor_holdout"], closed)
    return Verdict(grade, _words(grade, numbers["verdict"], closed), advice)


def _words(grade, told, closed):
    """A grade with what it is by, and why that is nothing."""
    if grade != "nothing":
        return f"{grade}: {told}"
    beside = "" if closed is None else f", the closed form's {closed:.2f}"
    return f"{grade}: {told}. No sample was found: an empty one would score 1{beside}"


def _missed(error: float, floor: float) -> tuple[float, float]:
    """What is missed beyond the noise, infinite where an empty sample would do, and the noise."""
    floor = floor if np.isfinite(floor) else 0.0
    empty = not np.isfinite(error) or error >= EMPTY
    return np.inf if empty else beyond_noise(error, floor), floor


def _graded(beyond: float, good: float) -> str:
    """The grade of what is missed, where up to `good` is good."""
    if np.isinf(beyond):
        return "nothing"
    return "good" if beyond < good else "fair" if beyond < _POOR else "poor"


def _grade(error, floor, closed):
    beyond, floor = _missed(error, floor)
    if beyond <= 0.5 * floor:
        return "good" if floor < _HIDDEN else "fair"
    if closed is not None and error > _BETTER * closed:
        return "nothing"
    return _graded(beyond, _FAIR)


def _grade_in_the_dark(compared: Comparison) -> str:
    """The same of amplitudes in dark field, if any was held out; there an empty sample's error is 1, too."""
    if not len(compared.dark_held):
        return GRADES[0]
    held = compared.dark_held
    beyond, floor = _missed(compared.amplitude_error(held)[0], compared.amplitude_floor(held))
    return _graded(beyond, max(_FAIR, 0.5 * floor))


def _worse(*grades: str) -> str:
    return GRADES[max(map(GRADES.index, grades))]


def depth_profile(field: NeuralField) -> tuple[np.ndarray, np.ndarray]:
    """How much of a sample lies at which height.

    Parameters
    ----------
    field : NeuralField

    Returns
    -------
    array, shape (nz,)
        Heights of the slices [um].
    array, shape (nz,)
        Root mean square of the contrast there, over its median in the volume.
    """
    volume = field.volume()
    contrast = to_host(volume.contrast).real
    contrast = contrast - np.median(contrast)
    return volume.grid.axis(0), np.sqrt((contrast.astype(np.float64) ** 2).mean(axis=(1, 2)))


def cut_off(field: NeuralField) -> list[str]:
    """Whether a sample reaches an end of its depth range, in words; [] if not.

    What the images do not tell along the light smears a sample, so a weak rest at an end is no sample.
    """
    z, power = depth_profile(field)
    if not power.max() > 0:
        return []
    ends = [
        f"{z[k]:.4g}" for k, where in ((0, power[:2]), (-1, power[-2:])) if where.min() > _CUT * power.max()
    ]
    if not ends:
        return []
    return [f"the sample reaches the end of the depth range at {' and '.join(ends)} um: give a wider --depth"]


def _remedies(provenance, acquisition):
    """What most often is wrong with such a fit, the likeliest first."""
    advice = []
    calibrated = any(note.startswith(DIRECTIONS) for note in acquisition.notes)
    if not calibrated:
        advice.append("directions of the light may be off: fieldrx calibrate")
    advice.append("the sample may lie elsewhere: --depth auto, or a wider range")
    if provenance.model in MODELS and not is_multislice(provenance.model):
        advice.append(f"light may scatter more often than {provenance.model} knows: --model ssnp or bpm")
    if not provenance.background:
        advice.append("the background may be uneven: --refine background")
    return advice

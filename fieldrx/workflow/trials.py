"""An acquisition on its way to a field, and the short fits that compare two of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, Parts
from fieldrx.priors import priors_of_sign

_SHORT = {"steps": 80, "coarse": 1.0, "tilted_from": 0.0, "patience": 0, "evaluate_every": 20}
_LONG = _SHORT | {"steps": 220}  # where short ones tell too little
_LAST = 10  # steps at whose mean a trial ends
WORSE = 1.02  # that a short fit may end worse, and still count as well as another


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


@dataclass(frozen=True)
class Case:
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

    def lit(self, sources_na: np.ndarray, *notes: str) -> Case:
        """The same with other directions, and what there is to say of them."""
        acq = self.acquisition
        light = replace(acq.illumination, sources_na=sources_na)
        return replace(self, acquisition=replace(acq, illumination=light, notes=(*acq.notes, *notes)))

    def reversed(self) -> Case:
        """The same with all light from the opposite sides, and the depth mirrored."""
        first, last, step = self.depth
        other = self.lit(-self.acquisition.illumination.sources_na)
        return replace(other, depth=(-last, -first, step))


@dataclass(frozen=True)
class Trials:
    """Short fits that compare cases."""

    sign: int
    seed: int
    device: str
    callback: Callable | None
    parts: Parts | None = None  # where they are kept

    def of(self, case: Case, refine: str | None = None, long: bool = False) -> Case:
        """The case after a short fit that allows one sign of the contrast: its end, its field, and the
        directions that it was refined to.

        What counts is the data term and the priors: few unseen images of a short fit tell less, and a sample
        of the wrong sign must hide in a broad halo of the right one, which costs priors more than images.
        """
        schedule, stage = (_LONG, "longer fit") if long else (_SHORT, "short fit")
        fit = Fit(
            case.acquisition, case.depth, case.model, priors=priors_of_sign(self.sign), refine=refine,
            schedule=schedule | {"seed": self.seed}, callback=self._teller(stage), device=self.device,
        )  # fmt: skip
        field = fit.finish(parts=self.parts)
        case = case.lit(fit.optics.sources_na) if refine else case
        return replace(case, end=_end(field), field=field)

    def _teller(self, stage):
        """The callback, told of a fit by another name."""
        if self.callback is None:
            return None
        return lambda p: self.callback(replace(p, stage=stage) if p.stage == "fit" else p)


def _end(field):
    """Errors of images and priors at the end of a fit; infinite where it diverged."""
    if field.provenance.diverged:
        return np.inf
    return float(np.mean((field.history["loss"] + field.history["prior"])[-_LAST:]))

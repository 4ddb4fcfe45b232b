"""One choice after another, the final fit, and its verdict."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from dataclasses import field as attribute
from typing import Any

from fieldrx.acquisition import Acquisition, require_images
from fieldrx.errors import InputError
from fieldrx.field import NeuralField
from fieldrx.fit import Fit, Parts, split_images
from fieldrx.plan import plan_of
from fieldrx.priors import priors_of_sign
from fieldrx.verdict import Verdict, judge
from fieldrx.workflow.depth import narrowed
from fieldrx.workflow.directions import aligned, started
from fieldrx.workflow.sign import signed
from fieldrx.workflow.trials import Choice, Trials

CONTRASTS = ("auto", "positive", "negative")


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
    choices: list[Choice] = attribute(default_factory=list)

    def to_dict(self) -> dict:
        """JSON values: choices, verdict, errors."""
        provenance = self.field.provenance
        return {
            "choices": [asdict(choice) for choice in self.choices],
            "verdict": asdict(self.verdict),
            "nrmse_holdout": provenance.nrmse_holdout,
            "nrmse_closed_form": provenance.nrmse_closed_form,
            "seconds": provenance.seconds,
            "notes": list(provenance.notes or ()),
        }


def run(
    acquisition: Acquisition,
    *,
    contrast: str = "auto",
    holdout: float | None = None,
    schedule: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    callback: Callable | None = None,
    say: Callable = lambda choice: None,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
    parts: Parts | None = None,
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
        Called with every `Choice` when it is made, and with lines of text.
    checkpoint, resume
        Of the final fit, as of `fieldrx.Fit.run`.
    parts : Parts, optional
        Where the short fits are kept.

    Returns
    -------
    Outcome

    Raises
    ------
    Undecided
        If only the user can know the sign of the contrast.
    InputError
        If the images cannot be reconstructed at all.
    KeyboardInterrupt
        If it was stopped before the final fit.
    """
    if contrast not in CONTRASTS:
        raise InputError(f'contrast is "{contrast}"; expected one of {", ".join(CONTRASTS)}')
    choices = []

    def chosen(name, value, evidence):
        choices.append(Choice(name, value, evidence))
        say(choices[-1])

    seen = _named_holdout(acquisition, holdout, seed)
    trials = Trials(-1 if contrast == "negative" else 1, seed, device, callback, parts)
    case = started(seen, trials, chosen)
    case = signed(case, contrast, trials, chosen)
    case = narrowed(case, trials, chosen)
    case = aligned(case, trials, chosen)
    fit = Fit(
        case.acquisition, case.depth, case.model, priors=priors_of_sign(case.sign),
        refine="board" if case.aligning else None, schedule={"seed": seed} | (schedule or {}),
        origin={"automatic": [str(choice) for choice in choices]}, callback=callback, device=device,
    )  # fmt: skip
    for line in plan_of(fit.problem, fit.backend, measure=False).lines():
        say(line)
    found = fit.run(checkpoint, resume)
    if found.provenance.interrupted:  # those who stop it do not wait
        return Outcome(case.acquisition, found, Verdict("untested", "the fit was stopped"), choices)
    verdict = judge(found, case.acquisition, device, case.sign)
    if case.doubt:
        verdict = verdict.doubted(case.doubt)
    return Outcome(case.acquisition, found, verdict, choices)


def _named_holdout(acquisition, holdout, seed):
    """The acquisition with its held-out images settled, so that every step leaves the same ones alone."""
    require_images(acquisition, "reconstruct")
    if len(acquisition.holdout):
        return acquisition
    _, held = split_images(acquisition, holdout, seed)
    return replace(acquisition, holdout=held)

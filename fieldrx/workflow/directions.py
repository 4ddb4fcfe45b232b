"""Directions of the light: of the table or of the spectra, as they are or aligned with a field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.calibration import calibrate
from fieldrx.calibration.words import SCALES
from fieldrx.errors import InputError
from fieldrx.fit import split_images
from fieldrx.models import is_multislice
from fieldrx.refocus import explained_share, heights_around_focus
from fieldrx.verdict import DIRECTIONS
from fieldrx.workflow.depth import placed
from fieldrx.workflow.trials import WORSE, Case, Trials

_REST = 0.985  # of the power that no thin slice explains: calibrated directions must leave less
# Where a trial with aligned directions ends, over that with the directions as they are.  In the zoo it was
# 0.90 to 0.97 where they were off by 0.01 to 0.02 NA, and 0.998 to 1.26 where they were right.
_ALIGNED = 0.985
_TURNED = 0.3  # of the typical tilt, by which calibrated directions lie elsewhere: the table was turned


def started(acquisition: Acquisition, trials: Trials, chosen: Callable[[str, str, str], None]) -> Case:
    """The case with directions of the table or of the spectra."""
    told, starts = _starts(acquisition)
    cases = {name: trials.of(placed(start)) for name, start in starts.items()}
    best = min(cases, key=lambda name: cases[name].end)
    if len(cases) > 1:
        ends = " and ".join(f"{case.end:.4f} {name}" for name, case in cases.items())
        told += f"; short fits end at {ends} (errors of images and priors)"
    chosen("calibration", best, told)
    given, found = (cases[k].acquisition.illumination.sources_na for k in ("as given", best))
    apart, typical = (np.median(np.linalg.norm(a, axis=1)) for a in (found - given, given))
    return replace(cases[best], calibrated=best != "as given", turned=apart > _TURNED * typical)


def aligned(case: Case, trials: Trials, chosen: Callable[[str, str, str], None]) -> Case:
    """The case with the board aligned, where that lets a short fit end better; where it ends as well, the
    board starts as it is, and moves later in the fit."""
    if not is_multislice(case.model):
        chosen("alignment", "none", f"the field of {case.model} tells too little of directions")
        return case
    moved = trials.of(case, "board")
    before, after = (c.acquisition.illumination.sources_na for c in (case, moved))
    helps = case.calibrated or moved.end < _ALIGNED * case.end
    case = replace(case, aligning=helps or moved.end < WORSE * case.end)
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
    if not SCALES[0] < found.board.scale < SCALES[1]:
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

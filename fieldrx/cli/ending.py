"""How a fit begins and ends on the command line: from a checkpoint, and with the status of its worth."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fieldrx.cli.status import NOTHING, STOPPED
from fieldrx.cli.text import echo
from fieldrx.errors import InputError
from fieldrx.parallel import by_first

if TYPE_CHECKING:
    from fieldrx.field import NeuralField
    from fieldrx.verdict import Verdict


def resumed(resume: str | None, checkpoint: Path) -> tuple[bool, list[str]]:
    """Whether a fit goes on from its checkpoint, and what to say of it.

    Parameters
    ----------
    resume : str or None
        "yes", "auto", or not at all.
    checkpoint : Path
    """
    there = by_first(checkpoint.exists)
    if resume == "yes" and not there:
        raise InputError(
            f"there is no checkpoint {checkpoint} to resume from: start without --resume, or with "
            "--resume auto"
        )
    if resume is None and there:
        return False, [
            f"the fit starts anew, over {checkpoint} of one that was stopped; --resume goes on from it"
        ]
    if resume != "auto":
        return bool(resume), []
    says = f"continues from {checkpoint}" if there else f"starts anew: there is no checkpoint {checkpoint}"
    return there, [f"the fit {says}"]


def saved(output: Path, field: NeuralField) -> str:
    """One line about a field that was saved."""
    provenance, error = field.provenance, field.provenance.nrmse_holdout
    return (
        f"{output}: {field.network.n_params + field.encoding.n_params} parameters, "
        f"{output.stat().st_size / 1e6:.1f} MB, {provenance.steps_done} steps in {provenance.seconds:.0f} s"
        + ("" if error is None else f", held-out error {error:.4f}")
    )


def stop(field: NeuralField) -> NoReturn:
    """Leave with the status of a fit that was stopped."""
    echo(f"stopped after {field.provenance.steps_done} steps; --resume continues", err=True)
    sys.exit(STOPPED)


def end(verdict: Verdict, quiet: bool, short: bool) -> None:
    """Say what a field is worth, and leave with the status that tells it, unless the fit was cut short."""
    for text in [] if quiet else (verdict.sentence, *(f"advice: {advice}" for advice in verdict.advice)):
        echo(text)
    if verdict.failed and not short:
        sys.exit(NOTHING)

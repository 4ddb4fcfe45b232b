"""The folder that `fieldrx run` leaves: field, picture, report, acquisition, and a log of every choice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fieldrx.acquisition import Acquisition
from fieldrx.ensemble import make_ensemble
from fieldrx.fit import Parts
from fieldrx.io import atomic_path, json_values, open_folder, remove_file
from fieldrx.parallel import by_first
from fieldrx.render import render
from fieldrx.report import write_report
from fieldrx.workflow.outcome import Outcome, run
from fieldrx.workflow.sign import Undecided
from fieldrx.workflow.trials import Choice

FIELD, CHECKPOINT, ENSEMBLE = "field.npz", "field.checkpoint.npz", "field-ensemble.npz"
PARTS = "parts"  # short fits and members, until all is done
PICTURE, REPORT, ACQUISITION, LOG = "field.png", "report.html", "acquisition.npz", "log.json"


def run_in(
    acquisition: Acquisition,
    folder: str | os.PathLike,
    *,
    error_bars: bool = False,
    say: Callable[[str], object] = lambda text: None,
    callback: Callable | None = None,
    device: str = "auto",
    resume: bool = False,
    **options: Any,
) -> tuple[Outcome, list[tuple[Path, str]]]:
    """Reconstruct an acquisition and write all that belongs to it.

    Parameters
    ----------
    acquisition : Acquisition
    folder : path-like
        Made if it is not there.
    error_bars : bool
        Also make an ensemble with a twin, which takes about twice as long again.
    say : callable
        Told in a line what was chosen, and what begins.
    resume : bool
        Go on with the fits that the folder holds of a run which was stopped, ended or not.
    callback, device, **options
        As of `fieldrx.workflow.run`.

    Returns
    -------
    Outcome
    list of (Path, str)
        What was written, and what it is.
    """
    folder = open_folder(folder)
    checkpoint, parts = folder / CHECKPOINT, Parts(folder / PARTS, resume)
    log: list[str] = []

    def told(choice: Choice | str) -> None:
        log.append(str(choice))
        _write(folder / LOG, {"choices": log})  # stays where a run ends with a question
        say(str(choice))

    try:
        found = run(
            acquisition, callback=callback, device=device, say=told, checkpoint=checkpoint,
            resume=resume and by_first(checkpoint.exists), parts=parts, **options,
        )  # fmt: skip
    except Undecided:  # whose answer makes other fits
        parts.clear()
        raise
    found.field.save(folder / FIELD)
    found.acquisition.save(folder / ACQUISITION)
    written = [(folder / FIELD, "the field"), (folder / ACQUISITION, "its images, with the optics used")]
    if found.field.provenance.interrupted:
        return found, written
    ensemble = None
    if error_bars and len(found.field.provenance.held):
        say("error bars: an ensemble and a twin")
        ensemble = make_ensemble(
            found.field, found.acquisition, callback=callback, device=device, parts=parts
        )
        ensemble.save(folder / ENSEMBLE)
        written.append((folder / ENSEMBLE, "fields as good as this one: error bars"))
    say("drawing the picture and writing the report")
    render(found.field.to(device), folder / PICTURE)
    numbers = write_report(found.field.to(device), found.acquisition, folder / REPORT, ensemble, device)
    _write(folder / LOG, found.to_dict() | {"report": numbers})
    remove_file(checkpoint)
    parts.clear()
    written += [
        (folder / PICTURE, "three planes"),
        (folder / REPORT, "how far to trust it"),
        (folder / LOG, "every choice with its evidence"),
    ]
    return found, written


def _write(path, values):
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(json_values(values), indent=1), encoding="utf-8")

"""The page: its sections, one after the other."""

from __future__ import annotations

from html import escape
from os import PathLike
from typing import Any

from fieldrx.acquisition import Acquisition
from fieldrx.ensemble import Ensemble
from fieldrx.errors import InputError, printable_lines
from fieldrx.evaluation import same_images
from fieldrx.field import NeuralField
from fieldrx.io import atomic_path
from fieldrx.report import course, images, sample, trust
from fieldrx.report.facts import Facts
from fieldrx.report.parts import asset

_SECTIONS = (
    trust.head,
    images.measured,
    sample.inferred,
    images.predictions,
    sample.reach,
    trust.uncertainty,
    course.course,
    course.optics,
    course.settings,
    trust.words,
)


def write_report(
    field: NeuralField,
    acquisition: Acquisition,
    path: str | PathLike,
    ensemble: Ensemble | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Write the report of a field.

    Parameters
    ----------
    field : NeuralField
    acquisition : Acquisition
        With the images it was fitted to.
    path : path-like
        An .html file.
    ensemble : Ensemble, optional
        Made from the field, for maps of uncertainty.
    device : str
        "cpu", "cuda" or "auto": where images are predicted.  Fields are evaluated where they are.

    Returns
    -------
    dict
        The main numbers, JSON-ready.

    Raises
    ------
    InputError
        If the field was not fitted to these images, or the ensemble belongs to another field.
    """
    if not same_images(field, acquisition):
        raise InputError(
            "the field was not fitted to these images: give the acquisition it was fitted to (errors on "
            "other images: fieldrx evaluate)"
        )
    if ensemble is not None and not ensemble.belongs_to(field):
        raise InputError("the ensemble was made from another field: make the ensemble from this field")
    facts = Facts(field, acquisition, ensemble, device)
    text = asset("page.html").format(
        title=escape(f"fieldrx report: {acquisition.name or 'reconstruction'}"),
        style=asset("style.css"),
        sections="\n".join(section(facts) for section in _SECTIONS),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(printable_lines(text), encoding="utf-8")
    return facts.numbers

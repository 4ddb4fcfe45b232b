"""Sections on the fit: how it went, what it corrected, how to repeat it."""

from __future__ import annotations

import json
from html import escape

import numpy as np

from fieldrx.charts import BLUE, ORANGE, chart
from fieldrx.recipe import recipe
from fieldrx.report.facts import Facts
from fieldrx.report.parts import fill, items, table


def course(facts: Facts) -> str:
    """Section 6: how the fit went; nothing of a field without a history."""
    history, provenance = facts.field.history, facts.field.provenance
    loss = np.asarray(history.get("loss", ()), float)
    if not len(loss):
        return ""
    notes, best = [escape(str(note)) for note in provenance.notes or ()], provenance.best_step
    chosen = best is not None and len(facts.held)
    return fill(
        "course.course",
        kept=" " + fill("course.kept", step=best) if chosen else "",
        chart=_errors(loss, np.asarray(history.get("holdout", ()), float)),
        notes=f"<ul>{items(notes)}</ul>" if notes else "",
    )


def _errors(loss, held):
    """Errors of the images of every step, and of those held out where they were looked at."""
    known = np.isfinite(held)
    series = [
        {"x": np.arange(1, len(loss) + 1), "y": np.sqrt(loss), "name": "images of the step", "color": BLUE}
    ]
    if known.any():
        series.append({"x": np.arange(len(held))[known] + 1, "y": held[known], "name": "held-out images",
                       "color": ORANGE})  # fmt: skip
    return chart(series, "step", "relative error", size=(900, 250), y_log=True)


def optics(facts: Facts) -> str:
    """What the fit corrected, against what it was given; nothing where it corrected nothing."""
    provenance = facts.field.provenance
    kinds, found = provenance.refine or (), provenance.optics
    if not kinds or found is None:
        return ""
    given, light = facts.acquisition.illumination.sources_na, facts.light.sources_na
    lit = facts.light.pattern[facts.train].any(axis=0)
    moved = np.linalg.norm(light - given, axis=1)[lit]
    gain, terms = np.asarray(found["gain"])[facts.train], np.asarray(found["zernike_rad"])
    directions = ("directions", f"by {np.median(moved):.4f} NA (median, at most {moved.max():.4f})")
    pupil = ", ".join(f"Zernike term {j}: {terms[j]:+.3f} rad" for j in np.flatnonzero(terms))
    rows = {
        "board": directions,
        "illumination": directions,
        "intensity": ("intensities", f"{gain.min():.3f} to {gain.max():.3f}"),
        "defocus": ("focus", f"by {found['defocus_um']:+.2f} um"),
        "pupil": ("aberrations", pupil or "none"),
    }
    return fill("course.optics", table=table(dict.fromkeys(rows[kind] for kind in kinds)))


def settings(facts: Facts) -> str:
    """Section 7: settings, to repeat the fit."""
    rows = [
        (name, json.dumps(value) if isinstance(value, (dict, list)) else str(value))
        for name, value in facts.field.provenance.items()
        if name != "notes"
    ]
    commands, only_python = recipe(facts.field, facts.acquisition)
    besides = fill("course.besides", names=escape(", ".join(only_python))) if only_python else ""
    return fill("course.settings", commands=escape(commands), besides=besides, table=table(rows))

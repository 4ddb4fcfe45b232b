"""How far to trust the field: the summary at the head, error bars, and words."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import numpy as np

from fieldrx._version import __version__
from fieldrx.charts import BLUE, GREEN, GREY, chart, picture
from fieldrx.ensemble import Ensemble
from fieldrx.evaluation import verdict_of_folds
from fieldrx.report.facts import Facts
from fieldrx.report.parts import fill, items, percent, table
from fieldrx.totals import HOLE


def head(facts: Facts) -> str:
    """The summary."""
    made = f"fieldrx {facts.field.provenance.fieldrx or __version__}"
    name = facts.acquisition.name or "reconstruction"
    return fill("trust.head", name=escape(name), made=escape(made), points=items(_points(facts)))


def _points(facts: Facts) -> Iterator[str]:
    """What matters most, as HTML."""
    numbers, held = facts.numbers, len(facts.held)
    aside = f" ({held} of them kept away from the fit)" if held else ""
    yield fill("trust.measured", count=len(facts.usable), aside=aside)
    yield fill("trust.inferred", model=escape(facts.compared.model.name))
    if "verdict" in numbers:
        yield fill("trust.tested", verdict=escape(numbers["verdict"]))
    else:
        yield fill("trust.untested")
    if facts.folds:
        told = escape(verdict_of_folds(facts.folds))
        yield fill("trust.folds", count=len(facts.folds["images"]), verdict=told)
    yield fill(
        "trust.reach",
        lateral=numbers["resolution_lateral_um"],
        axial=numbers["resolution_axial_um"],
        inside=percent(numbers["share_inside_band"]),
        gap=percent(numbers["share_in_gap"]),
        beyond=percent(numbers["share_beyond_reach"]),
    )
    if facts.ensemble is None:
        yield fill("trust.no_bars")
    elif numbers["std_in_sample"] is not None:
        yield fill("trust.bars", std=numbers["std_in_sample"], top=facts.top)
    low, high = numbers["volume_interval_um3"]
    volume = {"volume": numbers["volume_um3"], "low": low, "high": high}
    yield fill("trust.totals", sentence=escape(facts.totals.sentence), **volume)
    if numbers["contrast_sign"] < 0:
        yield fill("trust.beware", hole=escape(HOLE))


def uncertainty(facts: Facts) -> str:
    """Section 5: how uncertain the values are."""
    if facts.ensemble is None or facts.std is None:
        return fill("trust.no_ensemble")
    ensemble, told = facts.ensemble, facts.ensemble.calibration
    top = float(np.quantile(facts.std, 0.999)) or 1e-12
    planes = "".join(
        picture(values, (0, top), extent, title, label="standard deviation of the index")
        for title, values, extent in facts.planes(lambda z, y, x: ensemble.on_axes(z, y, x)[1].real)
    )
    return fill(
        "trust.uncertainty",
        members=_members(facts),
        twin=fill("trust.twin") if "factor_twin" in told else "",
        hidden=ensemble.hidden,
        relative=percent(ensemble.relative),
        planes=planes,
        table=table(_calibration_rows(facts, ensemble)),
        notes="".join(fill("trust.note", note=escape(note)) for note in told.get("notes", ())),
        reliability=_reliability(told),
    )


def _members(facts):
    """How the ensemble came to be, in a sentence."""
    count = len(facts.ensemble.members)
    if facts.folds:
        return f"{count} fields were fitted from nothing, each without another part of the images."
    how = "each on a part of the images and shaken by large steps"
    return f"{count} fields were trained on from this one, {how}."


def _calibration_rows(facts: Facts, ensemble: Ensemble) -> Iterator[tuple[str, str]]:
    told = ensemble.calibration
    made = "fitted anew" if facts.folds else "refitted"
    share = percent(told["share_of_images"])
    yield "members", f"{len(ensemble.members)}, each {made} to {share} of the images"
    yield "calibrated on", f"{len(told['images'])} images that no fit has seen"
    yield "factor on the raw spread", f"{ensemble.factor:.3g}"
    if "factor_twin" in told:
        factors = f"{told['factor_images']:.3g}, {told['factor_twin']:.3g}"
        yield "needed by the unseen images, by a twin of known truth", factors
        yield "what the twin misses inside the band", percent(told["twin_error"])
    yield "added for detail that the noise hides", f"{ensemble.hidden:.2g} of the index, in squares"
    yield (
        "added for errors of the model and the optics",
        f"{percent(ensemble.relative)} of the contrast, in squares",
    )
    yield "noise of these images", f"{told['sigma']:.3g}"
    yield "error of the ensemble's mean on them", percent(told["nrmse_holdout"])
    std = facts.numbers["std_in_sample"] or float("nan")
    yield "median in the sample", f"{std:.3g} (one standard deviation)"


def _reliability(told):
    """The share of unseen pixels within bars of several widths, before and after the calibration."""
    levels = np.asarray(told["levels"])
    return chart(
        [
            {"x": levels, "y": levels, "name": "ideal", "color": GREY},
            {"x": levels, "y": told["covered_raw"], "name": "raw spread", "color": BLUE, "mark": "points"},
            {"x": levels, "y": told["covered"], "name": "calibrated", "color": GREEN, "mark": "points"},
        ],
        "share of pixels that should lie within the bars",
        "share that does",
        size=(430, 300),
    )


def words(facts: Facts) -> str:
    """What the words mean, whatever the facts."""
    return fill("trust.words")

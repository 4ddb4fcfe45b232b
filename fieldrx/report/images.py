"""Sections on images: what was measured, and what the field predicts."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from fieldrx.charts import BLUE, GREEN, GREY, ORANGE, chart, picture, pupil_map
from fieldrx.noise import NoiseFloor
from fieldrx.report.facts import Facts
from fieldrx.report.parts import fill, items, percent, table

_SHOWN = 6  # measured images in the overview


def measured(facts: Facts) -> str:
    """Section 1: what was measured."""
    notes = [escape(note) for note in facts.acquisition.notes]
    return fill(
        "images.measured",
        table=table(_measured_rows(facts)),
        light=_directions(facts),
        tiles=_tiles(facts),
        remarks=fill("images.remarks", notes=items(notes)) if notes else "",
    )


def _measured_rows(facts):
    acq, scope = facts.acquisition, facts.acquisition.microscope
    height, width = _extent(acq)
    valid = 1.0 if acq.mask is None else float(acq.mask[facts.usable].mean())
    return [
        ("wavelength in vacuum", f"{scope.wavelength_um:.4g} um"),
        ("numerical aperture of the objective", f"{scope.objective_na:.3g}"),
        ("index of the medium", f"{scope.medium_index:.4g}"),
        ("images", f"{acq.n_images}, of which {len(facts.fitted)} fitted, "
                   f"{len(facts.held) + len(facts.dark_held)} held out, {len(_left_out(facts))} left out "
                   f"(masked, or dark field that {facts.compared.model.name} cannot predict)"),
        *_dark_rows(facts),
        ("pixels", f"{acq.image_shape[0]} x {acq.image_shape[1]} of {scope.pixel_size_um:.4g} um: "
                   f"{height:.4g} x {width:.4g} um"),
        ("valid pixels", f"{valid:.2%}"),
        ("signal", f"{facts.compared.signal(facts.usable):.3g} (root mean square of I - 1; I = 1 without a "
                   "sample)"),
        ("noise", _noise(facts.compared.noise)),
    ]  # fmt: skip


def _left_out(facts):
    return np.setdiff1d(np.arange(facts.acquisition.n_images), np.union1d(facts.usable, facts.dark))


def _dark_rows(facts):
    """What of the images is dark field, if any is."""
    if not len(facts.dark):
        return
    levels = [float(np.median(facts.acquisition.images[k])) for k in facts.dark]
    yield (
        "dark field",
        f"{len(facts.dark)} of the images, lit from outside the pupil: typically {min(levels):.2g} to "
        f"{max(levels):.2g} of the bright field",
    )


def _extent(acq):
    """Height and width of the images [um]."""
    return tuple(n * acq.microscope.pixel_size_um for n in acq.image_shape)


def _noise(noise: NoiseFloor) -> str:
    if not np.isfinite(noise.sigma):
        return "unknown: too few valid pixels"
    bound = "" if noise.method == "beyond the band" else ", at most"
    return f"{noise.sigma:.3g} of the empty field{bound}: {percent(noise.share)} of the signal"


def _directions(facts):
    """Where the light of the images came from."""
    pattern, na = facts.acquisition.illumination.pattern, facts.light.sources_na

    def of(images):
        return na[pattern[images].any(axis=0)] if len(images) else np.empty((0, 2))

    return pupil_map(
        [
            (of(facts.fitted), "fitted", BLUE),
            (of(np.union1d(facts.held, facts.dark_held)), "held out", ORANGE),
            (of(_left_out(facts)), "left out", GREY),
        ],
        facts.acquisition.microscope.objective_na,
    )


def _tiles(facts):
    """Some of the measured images, in one range of brightness."""
    acq, usable = facts.acquisition, facts.usable
    shown = usable[np.unique(np.linspace(0, len(usable) - 1, _SHOWN).astype(int))]
    limits, extent = _limits(acq.images[shown]), _extent(acq)
    pictures = (picture(acq.images[k], limits, extent, f"image {k}", grey=True) for k in shown)
    return "".join(fill("images.tile", picture=one) for one in pictures)


def _limits(images):
    """A range around 1 that holds all but the outermost intensities."""
    spread = float(np.quantile(np.abs(images - 1), 0.998)) or 1.0
    return 1 - spread, 1 + spread


def predictions(facts: Facts) -> str:
    """Section 3: whether the field predicts what it never saw."""
    errors = dict(zip(facts.usable.tolist(), facts.compared.error(facts.usable)[1].tolist(), strict=True))
    rows = (
        fill("images.error", name=name, error=percent(error), floor=percent(floor))
        for name, error, floor in _error_rows(facts)
        if error is not None
    )
    return fill(
        "images.predictions",
        again=" " + fill("images.again") if facts.folds else "",
        errors="".join(rows),
        chart=_error_chart(facts, errors),
        triples="".join(_triple(facts, k, name, errors[k]) for k, name in _telling(facts, errors)),
        masked="" if facts.acquisition.mask is None else fill("images.masked"),
    )


def _error_rows(facts):
    """Errors beside the noise: (of which images, error, noise floor)."""
    numbers, compared = facts.numbers, facts.compared
    rows = []
    if len(facts.held):
        rows.append(("images never seen", numbers["nrmse_holdout"], numbers["noise_floor_holdout"]))
    floor = compared.noise_of(facts.train).share if len(facts.train) else None
    rows.append(("images of the fit", numbers["nrmse_train"], floor))
    if facts.folds:
        name = f"images of the fit, each by one of {len(facts.folds['images'])} fields that has not seen it"
        rows.append((name, facts.folds["nrmse"], facts.folds["noise_floor"]))
    dark = numbers["amplitude_error"].get("dark")
    if dark:
        rows.append(("amplitudes in dark field never seen", dark["holdout"], dark["noise_floor_holdout"]))
        rows.append(("amplitudes in dark field of the fit", dark["train"], dark["noise_floor"]))
    return rows


def _error_chart(facts, errors):
    """The error of every image."""
    bars = [
        {"x": images, "y": [errors[k] for k in images.tolist()], "name": name, "color": color, "mark": "bars"}
        for images, name, color in ((facts.train, "fitted", BLUE), (facts.held, "held out", ORANGE))
        if len(images)
    ]
    if facts.folds:
        found = np.concatenate(facts.folds["images"]), facts.folds["nrmse_per_image"]
        bars.append({"x": found[0], "y": found[1], "name": "fitted, by a field that has not seen it",
                     "color": GREEN, "mark": "points"})  # fmt: skip
    floor = facts.compared.noise.share
    lines = [(floor, "noise floor", GREY)] if np.isfinite(floor) else []
    return chart(bars, "image", "relative error", size=(900, 250), y_zero=True, lines=lines)


def _telling(facts, errors):
    """The best, the middle and the worst image that was held out, or else fitted, and their names."""
    asked, kind = (facts.held, "held out") if len(facts.held) else (facts.train, "fitted")
    order = asked[np.argsort([errors[k] for k in asked.tolist()])]
    chosen = dict.fromkeys([int(order[0]), int(order[len(order) // 2]), int(order[-1])])
    names = ("best", "middle", "worst") if len(chosen) == 3 else ("",) * len(chosen)
    return [(k, f"{name} {kind} image".strip()) for k, name in zip(chosen, names, strict=True)]


def _triple(facts, k, name, error):
    """An image as measured and as predicted, and what is left."""
    acq, sigma = facts.acquisition, facts.compared.noise.sigma
    measured, predicted = acq.images[k], facts.compared.predicted[k]
    extent, limits = _extent(acq), _limits(measured)
    valid = 1.0 if acq.mask is None else acq.mask[k]
    unit, label = (
        (sigma, "in standard deviations of the noise") if sigma > 0 else (1.0, "predicted - measured")
    )
    residual = (predicted - measured) * valid / unit
    top = max(5.0 if sigma > 0 else 0.0, float(np.quantile(np.abs(residual), 0.998)))
    grey: dict[str, Any] = {"grey": True, "label": "intensity"}
    pictures = (
        picture(measured, limits, extent, f"{name} ({k}): measured", **grey),
        picture(predicted, limits, extent, f"predicted, error {percent(error)}", **grey),
        picture(residual, (-top, top), extent, f"predicted - measured, {label}", diverging=True),
    )
    return fill("images.triple", pictures="".join(fill("images.half", picture=one) for one in pictures))

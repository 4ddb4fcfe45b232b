"""The report of a mosaic: the frame, and its errors tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np

from fieldrx.acquisition import Windowed
from fieldrx.backends import to_host
from fieldrx.charts import picture
from fieldrx.errors import InputError, printable_lines
from fieldrx.io import atomic_path
from fieldrx.progress import Progress
from fieldrx.report.parts import asset, fill, percent, table
from fieldrx.tiles import Mosaic, evaluate_mosaic

_MOST_PIXELS = 1200  # along a side of the picture
_MAPS = (("nrmse_holdout", "joined"), ("alone_holdout", "each tile alone"), ("noise_floor_holdout", "noise"))


def write_frame_report(
    mosaic: Mosaic,
    frame: Windowed,
    path: str | PathLike,
    device: str = "auto",
    callback: Callable[[Progress], object] = lambda progress: None,
) -> dict[str, Any]:
    """Write the report of a mosaic.

    Parameters
    ----------
    mosaic : Mosaic
    frame : Windowed
        With the images it was fitted to.
    path : path-like
        An .html file.
    device : str
        Where images are predicted.
    callback : callable
        Told of progress.

    Returns
    -------
    dict
        The numbers, of `fieldrx.tiles.evaluate_mosaic`.

    Raises
    ------
    InputError
        If the mosaic was not fitted to these images.
    """
    numbers = evaluate_mosaic(mosaic, frame, device=device, callback=callback)
    if not numbers["fitted_to_these_images"]:
        raise InputError(
            "the mosaic was not fitted to these images: give the acquisition it was fitted to (errors on "
            "other images: fieldrx evaluate)"
        )
    tiling, name = mosaic.tiling, escape(frame.optics.name or "reconstruction")
    head = fill(
        "frame.head",
        name=name,
        verdict=escape(numbers.get("verdict", "no image was held out: nothing tests this field")),
        tiles=len(tiling),
        rows=len(tiling.starts[0]),
        cols=len(tiling.starts[1]),
        height=tiling.window[0],
        width=tiling.window[1],
    )
    text = asset("page.html").format(
        title=f"fieldrx report: {name}",
        style=asset("style.css"),
        sections="\n".join((head, _seen(mosaic), _errors(mosaic, numbers))),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(printable_lines(text), encoding="utf-8")
    return numbers


def _seen(mosaic):
    """The frame from above, and what is worth knowing of the fit."""
    (z0, z1), *frame = mosaic.region_um
    step = max(float(np.ptp(mosaic.region_um[1:], axis=1).max()) / _MOST_PIXELS, min(mosaic.spacing_um[1:]))
    y, x = (np.arange(low, high + 1e-9, step) for low, high in frame)
    heights = np.arange(z0, z1 + 1e-9, mosaic.spacing_um[0])
    highest = np.max([to_host(mosaic.on_axes([z], y, x))[0].real for z in heights], axis=0)
    n = mosaic.medium_index
    limits = n + max(float(np.quantile(highest, 0.01)), 0.0), n + float(np.quantile(highest, 0.999))
    extent = len(y) * step, len(x) * step
    provenance = mosaic.provenance
    rows = [
        ("region", f"{extent[0]:.0f} x {extent[1]:.0f} um, {z0:.4g} to {z1:.4g} um along the light"),
        ("model", str(provenance.model)),
        ("steps", f"{provenance.steps_done} in {provenance.seconds or 0:.0f} s, over all tiles"),
        *(("note", note) for note in provenance.notes or ()),
    ]
    plane = picture(_with_borders(highest, mosaic, step), limits, extent, "seen along the light", label="n")
    return fill("frame.seen", plane=plane, table=table(rows))


def _with_borders(highest, mosaic, step):
    """The index, with thin lines in the middle of overlaps."""
    out = mosaic.medium_index + highest
    line = out.max()
    for axis, (starts, width) in enumerate(zip(mosaic.tiling.starts, mosaic.tiling.window, strict=True)):
        for here, there in pairwise(starts):
            at = round(0.5 * (here + width + there) * mosaic.pixel_size_um / step)
            np.moveaxis(out, axis, 0)[at : at + 1, ::6] = line
    return out


def _errors(mosaic, numbers):
    """Maps of errors over the frame."""
    shape = tuple(len(starts) for starts in mosaic.tiling.starts)
    extent = tuple(n * mosaic.pixel_size_um for n in mosaic.tiling.shape)
    maps = {name: np.array([one[name] for one in numbers["tiles"]]).reshape(shape) for name, _ in _MAPS}
    top = max((float(np.nanmax(m)) for m in maps.values() if np.isfinite(m).any()), default=1.0)
    shown = "".join(
        picture(np.nan_to_num(maps[name]), (0.0, top), extent, words, label="relative error")
        for name, words in _MAPS
    )
    worst = np.nanmax(maps["nrmse_holdout"]) if "nrmse_holdout" in numbers else None
    rows = [
        ("unseen images, joined", percent(numbers.get("nrmse_holdout"))),
        ("unseen images, each tile alone", percent(numbers.get("alone_holdout"))),
        ("of that noise", percent(numbers.get("noise_floor_holdout"))),
        ("worst tile", percent(worst)),
        ("all images", percent(numbers["nrmse"])),
    ]
    return fill("frame.errors", maps=shown, table=table(rows))

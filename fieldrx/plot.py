"""Figures for notebooks, with matplotlib, which is imported only here and only when a figure is asked for."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.errors import InputError, printable
from fieldrx.render.pictures import scale_of, three_planes
from fieldrx.render.quantities import Quantity, make_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fieldrx.acquisition import Acquisition
    from fieldrx.field import NeuralField


def _pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise InputError("figures need matplotlib; pip install fieldrx[plot]") from None
    return plt


def show_field(
    field: NeuralField,
    quantity: str | Quantity = "n",
    region: ArrayLike | None = None,
    spacing: ArrayLike | None = None,
    limits: Sequence[float] | None = None,
) -> Figure:
    """The three central planes of a field, with axes in um.

    Parameters
    ----------
    field : NeuralField
    quantity, region, spacing, limits
        As of ``fieldrx.render.orthogonal_planes``.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        If matplotlib is missing or an argument does not make sense.
    """
    plt = _pyplot()
    shown = quantity if isinstance(quantity, Quantity) else make_quantity(quantity, field)
    region = np.asarray(field.region_um if region is None else region, float)
    planes, _ = three_planes(field, region, spacing, shown)
    medium = float(shown.of(np.zeros((), np.complex64)).real)
    scale = scale_of(np.concatenate([p.ravel() for p in planes]), medium, limits=limits)
    (z, y, x), size = region, np.maximum(np.ptp(region, axis=1), 1e-9)
    figure, axes = plt.subplots(
        2, 2, figsize=(7, 7), width_ratios=[size[2], size[0]], height_ratios=[size[1], size[0]],
        layout="compressed",
    )  # fmt: skip
    for axis, plane, across, down, names in (
        (axes[0, 0], planes[0], x, y, "xy"),
        (axes[1, 0], planes[1], x, z, "xz"),
        (axes[0, 1], planes[2], z, y, "zy"),
    ):
        image = axis.imshow(
            plane, extent=(*across, *down[::-1]), vmin=scale.low, vmax=scale.high, cmap="inferno"
        )
        axis.set(xlabel=f"{names[0]} (µm)", ylabel=f"{names[1]} (µm)")
    axes[1, 1].axis("off")
    label = shown.label + (f" ({shown.unit})" if shown.unit else "")
    figure.colorbar(image, ax=axes[1, 1], label=label, location="left", fraction=0.3)
    return figure


def show_acquisition(acquisition: Acquisition, images: Sequence[int] | None = None) -> Figure:
    """Some images, and where their light comes from in the pupil plane.

    Parameters
    ----------
    acquisition : Acquisition
    images : sequence of int, optional
        Which ones; up to six, evenly chosen, when not given.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        If matplotlib is missing, or an image is not there.
    """
    plt = _pyplot()
    light, scope = acquisition.illumination, acquisition.microscope
    if images is None:
        count = 0 if acquisition.images is None else min(6, acquisition.n_images)
        some = np.unique(np.linspace(0, acquisition.n_images - 1, count).round().astype(int))
    else:
        some = np.asarray(images, int)
    if len(some) and (acquisition.images is None or not np.isin(some, range(acquisition.n_images)).all()):
        raise InputError(f"images {some.tolist()} are not all there: there are {acquisition.n_images}")
    rows = max(1, -(-len(some) // 3))
    figure = plt.figure(figsize=(11 if len(some) else 4.5, max(3.6, 2.6 * rows)), layout="constrained")
    parts = figure.subfigures(1, 2, width_ratios=[1, 1.8]) if len(some) else [figure]
    pupil = parts[0].subplots()
    edge = np.linspace(0, 2 * np.pi, 200)
    pupil.plot(*(scope.objective_na * np.array([np.cos(edge), np.sin(edge)])), color="0.6")
    strength = light.pattern.sum(axis=0)
    held = light.pattern[acquisition.holdout].sum(axis=0) > 0
    for chosen, colour, words in ((~held, "tab:blue", "sources"), (held, "tab:orange", "held out")):
        if chosen.any():
            sizes = 30 * strength[chosen] / max(strength.max(), 1e-30)
            y, x = light.sources_na[chosen].T
            pupil.scatter(x, y, s=sizes, color=colour, label=words)
    pupil.set(xlabel="NA along x", ylabel="NA along y", aspect="equal", title="directions of the light")
    pupil.invert_yaxis()
    parts[0].legend(loc="outside lower center", ncols=2, fontsize="small")
    if len(some):
        axes = parts[1].subplots(rows, 3, squeeze=False).ravel()
        spread = max(float(np.quantile(np.abs(acquisition.stack[some] - 1), 0.995)), 1e-6)
        size = np.array(acquisition.image_shape) * scope.pixel_size_um
        for axis, number in zip(axes, some.tolist(), strict=False):
            shown = axis.imshow(
                acquisition.stack[number], cmap="gray", vmin=1 - spread, vmax=1 + spread,
                extent=(0, size[1], size[0], 0),
            )  # fmt: skip
            axis.set_title(f"image {number}", fontsize="small")
        for axis in axes[len(some) :]:
            axis.axis("off")
        parts[1].colorbar(shown, ax=axes.tolist(), label="intensity over background", shrink=0.8)
        parts[1].supxlabel("µm", fontsize="small")
    return figure


def show_history(field: NeuralField) -> Figure:
    """How the fit went: errors of the images it learnt from and of those held out, step by step.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        If matplotlib is missing, or the field has no history.
    """
    plt = _pyplot()
    loss = np.asarray(field.history.get("loss", ()), float)
    if not loss.size:
        raise InputError("the field has no history of a fit")
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    steps = np.arange(1, loss.size + 1)
    axis.semilogy(steps, np.sqrt(loss), color="0.7", label="images of the step")
    held = np.asarray(field.history.get("holdout", ()), float)
    seen = np.isfinite(held)
    if seen.any():
        axis.semilogy(steps[seen], held[seen], "o-", ms=3, label="held-out images")
    axis.set(xlabel="step", ylabel="relative error")
    axis.legend()
    return figure


def field_html(field: NeuralField) -> str:
    """A field in a notebook: the three central planes and a table, without matplotlib."""
    import base64

    from fieldrx.io import png_bytes
    from fieldrx.render.pictures import orthogonal_planes

    size = np.ptp(field.region_um, axis=1)
    picture = png_bytes(orthogonal_planes(field, spacing=max(size.max(), 1e-9) / 240))
    ranges = ", ".join(f"{n} {a:.5g} … {b:.5g}" for n, (a, b) in zip("zyx", field.region_um, strict=True))
    provenance = field.provenance
    error = provenance.nrmse_holdout
    rows = [
        ("region", f"{ranges} µm"),
        ("medium", f"{field.medium_index:g}"),
        ("parameters", f"{field.params.size:,}"),
        ("fitted", f"{provenance.name or 'images'}, {provenance.model or 'unknown model'}"),
        ("held-out error", "unknown" if error is None else f"{error:.4f}"),
    ]
    image = base64.b64encode(picture).decode()
    return f'{_table("NeuralField", rows)}<img alt="central planes" src="data:image/png;base64,{image}">'


def acquisition_html(acquisition: Acquisition) -> str:
    """An acquisition in a notebook: a table."""
    scope, light = acquisition.microscope, acquisition.illumination
    na = np.linalg.norm(light.sources_na, axis=1)
    shape = acquisition.image_shape
    rows = [
        ("name", acquisition.name),
        (
            "images",
            f"{acquisition.n_images} of {shape[0]} × {shape[1]} pixels"
            if shape
            else f"none, optics for {acquisition.n_images}",
        ),
        ("wavelength", f"{scope.wavelength_um:g} µm"),
        ("objective", f"NA {scope.objective_na:g}, pixel {scope.pixel_size_um:.5g} µm"),
        ("medium", f"{scope.medium_index:g}"),
        ("light", f"{light.n_sources} sources, NA {na.min():.3g} … {na.max():.3g}"),
        ("held out", ", ".join(map(str, acquisition.holdout)) or "none"),
    ]
    return _table("Acquisition", rows)


def _table(title, rows):
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(printable(text))}</td></tr>"
        for name, text in rows
    )
    return f"<table><caption>{title}</caption>{cells}</table>"

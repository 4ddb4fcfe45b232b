"""Simulate an example, reconstruct it, and compare the result with what is known of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.demo.samples import BARS_UM, BEAD_CONTRAST, BEAD_RADIUS_UM, sample_called
from fieldrx.evaluation import evaluate
from fieldrx.field import NeuralField
from fieldrx.fit import Fit
from fieldrx.io import open_folder, write_png
from fieldrx.measure.objects import measure
from fieldrx.metrics import image_errors, index_error
from fieldrx.render import colour, orthogonal_planes
from fieldrx.render.quantities import REFRACTIVE_INCREMENT
from fieldrx.tikhonov import tikhonov
from fieldrx.volume import Volume, write_volume

_BEAD = ("volume_um3", "dry_mass_pg", "mean_index")


@dataclass
class Outcome:
    """What came out, beside what is known.

    Parameters
    ----------
    heads : sequence of str
        Of the columns of numbers.
    rows : list of (name, numbers)
    note : str
        What the numbers are.
    pictures : list of (path, what it shows)
    """

    heads: Sequence[str]
    rows: list[tuple[str, Sequence[float]]]
    note: str
    pictures: list[tuple[Path, str]]


@dataclass
class _Run:
    """An example under way: where, what is known, and who is told."""

    folder: Path
    acquisition: Acquisition
    truth: Volume
    depth: Sequence[float]
    steps: int
    callback: Callable | None
    say: Callable[[str], object]

    def fit(self, name: str, acquisition: Acquisition | None = None) -> tuple[Fit, NeuralField]:
        """Fit a field to the images, or to others, and save it."""
        images = self.acquisition if acquisition is None else acquisition
        fit = Fit(images, self.depth, "bpm", schedule={"steps": self.steps}, callback=self.callback)
        field = fit.run()
        if field.provenance.interrupted:
            raise KeyboardInterrupt
        field.save(self.folder / f"{name}.npz")
        return fit, field


def run_demo(
    folder: str | os.PathLike,
    steps: int | None = None,
    callback: Callable | None = None,
    say: Callable[[str], object] = print,
    name: str = "cell",
) -> Outcome:
    """Simulate, reconstruct, render and compare.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    steps : int, optional
        Of a fit; the default takes about two minutes on two cores.
    callback, say : callables
        Told of progress, and of what begins.
    name : str
        Of the example, one of `SAMPLES`.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If there is no such example.
    KeyboardInterrupt
        If it was stopped.
    """
    sample = sample_called(name)
    folder = open_folder(folder)
    say(f"simulating {sample.what}")
    acq, truth = sample.make()
    acq.save(folder / "acquisition.npz")
    write_volume(folder / "truth.npz", truth, compressed=True)
    say("reconstructing (the first start compiles the kernels, which takes about a minute)")
    run = _Run(folder, acq, truth, sample.depth, steps or sample.steps, callback, say)
    return {"cell": _cell, "bead": _bead, "dark-field": _dark_field}[name](run)


def _cell(run):
    """Errors of the closed form and of the field."""
    fit, field = run.fit("cell")
    result = evaluate(field, run.acquisition, run.truth)
    run.say("comparing with the closed-form (Tikhonov) inversion and drawing")
    closed, holdout = _closed_form(run.acquisition, fit)
    off = index_error(closed.on_axes(*run.truth.grid.axes), run.truth.contrast)
    rows: list[tuple[str, Sequence[float]]] = [
        ("closed form (Tikhonov)", (holdout, off)),
        ("neural field", (result["nrmse_holdout"], result["index_nrmse"])),
    ]
    note = "relative errors: |predicted - measured| / |measured - 1|  and  |n - n_true| / |n_true - n0|"
    what = "truth, closed form, neural field: central plane above, section along z below"
    pictures = _draw(run, "cell", field, _sections(run.truth, closed, field), what)
    return Outcome(("held-out images", "refractive index"), rows, note, pictures)


def _bead(run):
    """Numbers of the bead, as they are and as `measure` finds them."""
    fit, field = run.fit("bead")
    result = evaluate(field, run.acquisition, run.truth)
    run.say("measuring the bead and drawing")
    found = measure(field, run.acquisition)
    room = 4 / 3 * np.pi * BEAD_RADIUS_UM**3
    index = run.truth.medium_index + BEAD_CONTRAST
    rows: list[tuple[str, Sequence[float]]]
    rows = [("truth", (room, room * BEAD_CONTRAST / REFRACTIVE_INCREMENT, index))]
    rows += [
        (f"neural field, object {k}", [float(found.column(column)[k - 1]) for column in _BEAD])
        for k in range(1, len(found) + 1)
    ]
    note = f"by fieldrx measure; images that were held out are predicted to {result['nrmse_holdout']:.1%}"
    closed, _ = _closed_form(run.acquisition, fit)
    what = "truth, closed form, neural field: central plane above, section along z below"
    pictures = _draw(run, "bead", field, _sections(run.truth, closed, field), what)
    return Outcome(("volume [um^3]", "dry mass [pg]", "mean index"), rows, note, pictures)


def _dark_field(run):
    """How well bars stand out, with dark field and without."""
    acq = run.acquisition
    bright = np.flatnonzero(~acq.illumination.dark(acq.microscope))
    held = np.flatnonzero(np.isin(bright, acq.holdout))
    light = acq.illumination.select(bright)
    run.say("first from the images in bright field alone")
    alone = Acquisition(acq.images[bright], light, acq.microscope, holdout=held, name="bright field")
    _, without = run.fit("bright-field", alone)
    run.say("then from all images")
    _, field = run.fit("dark-field")
    run.say("comparing and drawing")
    sources = {"truth": run.truth, "bright field alone": without, "with dark field": field}
    seen = {name: _thickness(run, source) for name, source in sources.items()}
    true = _bars(run, seen["truth"])
    rows = [(name, _bars(run, image) / true) for name, image in seen.items()]
    heads = [f"bars of {width:g} um" for _, width in BARS_UM]
    what = "truth, bright field alone, with dark field: contrast, summed along z"
    picture = np.concatenate(list(seen.values()), axis=1) / seen["truth"].max()
    pictures = _draw(run, "dark-field", field, picture, what)
    return Outcome(heads, rows, "difference of bars and the gaps between them, over the true one", pictures)


def _closed_form(acq, fit):
    """The Tikhonov inversion of the linear model, and its held-out error."""
    signal = fit.linear.signal(acq.images[fit.train])
    contrast, _ = tikhonov(fit.linear, np.where(np.isfinite(signal), signal, np.float32(0)), fit.train)
    error, _ = image_errors(fit.linear.forward(contrast, fit.held), acq.images[fit.held])
    return Volume(contrast, fit.grid.spacing_um, fit.grid.origin_um, acq.microscope.medium_index), error


def _axes(run):
    """Points along y and x that fill the images."""
    size = run.acquisition.microscope.pixel_size_um * (np.array(run.acquisition.image_shape) - 1)
    return [np.linspace(0, end, 300) for end in size]


def _thickness(run, source):
    """The contrast, summed along z [um]."""
    low, high, _ = run.depth
    return (high - low) * source.on_axes(np.linspace(low, high, 21), *_axes(run)).real.mean(axis=0)


def _bars(run, image):
    """Of every group of bars the mean of its bars less that of its gaps."""
    y, x = _axes(run)
    line = image[len(y) // 2 - 5 : len(y) // 2 + 6].mean(axis=0)
    middle = 0.5 * (x[0] + x[-1])
    return np.array(
        [
            np.interp(middle + place + 2 * width * np.array([-1, 0, 1]), x, line).mean()
            - np.interp(middle + place + width * np.array([-1, 1]), x, line).mean()
            for place, width in BARS_UM
        ]
    )


def _sections(*sources):
    """Central planes side by side, sections along z below them; of the truth first, of the field last."""
    truth, field = sources[0], sources[-1]
    z, y, x = (np.linspace(lo, hi, 300) for lo, hi in field.region_um)
    middle = field.region_um.mean(axis=1)
    top = float(np.quantile(truth.contrast.real, 0.999))
    rows, columns = np.full((6, len(x)), top), np.full((len(y) + 6 + len(z), 6), top)
    strips = []
    for source in sources:
        xy, xz = source.on_axes(middle[0], y, x).real[0], source.on_axes(z, middle[1], x).real[:, 0]
        strips += [np.concatenate([xy, rows, xz]), columns]
    return np.concatenate(strips[:-1], axis=1) / top


def _draw(run, name, field, comparison, what):
    """Write the pictures; returns pairs (path, what it shows)."""
    images, compared, planes = (run.folder / f"{of}.png" for of in ("images", "comparison", name))
    write_png(compared, colour(comparison))
    write_png(planes, orthogonal_planes(field))
    acq = run.acquisition
    shown, dark = (
        acq.images[[0, 1, 5, 9, 15, 21]],
        acq.illumination.dark(acq.microscope)[[0, 1, 5, 9, 15, 21]],
    )
    shown[dark] = 0.8 + 0.4 * shown[dark] / shown[dark].max(initial=1e-9)  # black else
    pairs = [np.concatenate(list(row), axis=1) for row in (shown[:3], shown[3:])]
    write_png(images, np.concatenate(pairs), (0.8, 1.2))
    return [
        (images, "six of the simulated images"),
        (compared, what),
        (planes, "the three central planes of the field"),
    ]

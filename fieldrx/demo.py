"""The demonstration: an invented cell, its simulated images, two reconstructions, a report."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.evaluation import evaluate
from fieldrx.fit import Fit
from fieldrx.io import open_folder, write_png
from fieldrx.metrics import image_errors, index_error
from fieldrx.optics import Illumination, Microscope
from fieldrx.render import colour, orthogonal_planes
from fieldrx.simulation import cell_phantom, simulate
from fieldrx.tikhonov import tikhonov
from fieldrx.volume import Volume, write_volume

_SCOPE = Microscope(wavelength_um=0.532, objective_na=0.8, medium_index=1.335, pixel_size_um=0.16)
_PIXELS = 112
_DEPTH = (-7.0, 7.0, 0.5)
_PHOTONS = 20000
_STEPS = 160
_PEAK = 0.03  # of the index contrast: about 2 rad, far beyond single scattering


def demo_acquisition() -> tuple[Acquisition, Volume]:
    """An invented cell and its images: one LED on the axis, 8 at NA 0.4, 24 at NA 0.79.

    The cell scatters light more than once.  Its images come from voxels a fifth of the reconstruction's
    slices and finer than its pixels, and from the split-step non-paraxial model, with photon noise, while
    beam propagation reconstructs it: nothing is inverted with what made it.

    Returns
    -------
    Acquisition, Volume
    """
    rings = [Illumination.led_ring(n, na, start_deg=7).sources_na for n, na in ((8, 0.4), (24, 0.79))]
    light = Illumination(np.concatenate([[[0.0, 0.0]], *rings]))
    centre = 0.5 * (_PIXELS - 1) * _SCOPE.pixel_size_um
    cell = cell_phantom(spacing_um=0.1, peak_contrast=_PEAK)
    z, y, x = cell.origin_um
    cell = Volume(cell.contrast, cell.spacing_um, (z, y + centre, x + centre), cell.medium_index)
    optics = Acquisition(None, light, _SCOPE, holdout=np.arange(3, 33, 6), name="demo")
    return simulate(cell, optics, "ssnp", (_PIXELS, _PIXELS), photons=_PHOTONS), cell


def run_demo(
    folder: str | os.PathLike,
    steps: int | None = None,
    callback: Callable | None = None,
    say: Callable[[str], object] = print,
) -> tuple[list[tuple], list[tuple]]:
    """Simulate, reconstruct, render and compare.

    Parameters
    ----------
    folder : path-like
        Made if it is not there.
    steps : int, optional
        Of the fit; the default takes about two minutes on two cores.
    callback, say : callables
        Told of progress, and of what begins.

    Returns
    -------
    rows : list of (name, held-out image error, index error)
    pictures : list of (path, what it shows)
    """
    folder = open_folder(folder)
    say("simulating 33 images of an invented cell")
    acq, cell = demo_acquisition()
    acq.save(folder / "acquisition.npz")
    write_volume(folder / "truth.npz", cell, compressed=True)
    say("reconstructing (the first start compiles the kernels, which takes about a minute)")
    fit = Fit(acq, _DEPTH, "bpm", schedule={"steps": steps or _STEPS}, callback=callback)
    field = fit.run()
    if field.provenance.interrupted:
        raise KeyboardInterrupt
    field.save(folder / "cell.npz")
    result = evaluate(field, acq, cell)
    say("comparing with the closed-form (Tikhonov) inversion and drawing")
    closed, holdout = _closed_form(acq, fit)
    rows = [
        ("closed form (Tikhonov)", holdout, index_error(closed.on_axes(*cell.grid.axes), cell.contrast)),
        ("neural field", result["nrmse_holdout"], result["index_nrmse"]),
    ]
    return rows, _draw(folder, acq, cell, closed, field)


def _closed_form(acq, fit):
    """The Tikhonov inversion of the linear model, and its held-out error."""
    signal = fit.linear.signal(acq.images[fit.train])
    contrast, _ = tikhonov(fit.linear, np.where(np.isfinite(signal), signal, np.float32(0)), fit.train)
    error, _ = image_errors(fit.linear.forward(contrast, fit.held), acq.images[fit.held])
    return Volume(contrast, fit.grid.spacing_um, fit.grid.origin_um, _SCOPE.medium_index), error


def _draw(folder, acq, cell, closed, field):
    """Write the pictures; returns pairs (path, what it shows)."""
    z, y, x = (np.linspace(lo, hi, 300) for lo, hi in field.region_um)
    middle = field.region_um.mean(axis=1)
    top = float(np.quantile(cell.contrast.real, 0.999))
    rows, columns = np.full((6, len(x)), top), np.full((len(y) + 6 + len(z), 6), top)
    strips = []
    for source in (cell, closed, field):
        xy, xz = source.on_axes(middle[0], y, x).real[0], source.on_axes(z, middle[1], x).real[:, 0]
        strips += [np.concatenate([xy, rows, xz]), columns]
    comparison, planes, images = (folder / n for n in ("comparison.png", "cell.png", "images.png"))
    write_png(comparison, colour(np.concatenate(strips[:-1], axis=1) / top))
    write_png(planes, orthogonal_planes(field))
    shown = acq.images[[0, 1, 5, 9, 15, 21]]
    pairs = [np.concatenate(list(row), axis=1) for row in (shown[:3], shown[3:])]
    write_png(images, np.concatenate(pairs), (0.8, 1.2))
    return [
        (images, "six of the simulated images"),
        (comparison, "truth, closed form, neural field: central plane above, section along z below"),
        (planes, "the three central planes of the field"),
    ]

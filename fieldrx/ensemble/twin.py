"""The twin: the field's own fit again, to images of a sample that is known, the field itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.backends import to_host
from fieldrx.band import Band
from fieldrx.ensemble.calibration import smallest_factor
from fieldrx.ensemble.data import Ensemble
from fieldrx.ensemble.fits import refit, schedule_anew
from fieldrx.ensemble.images import FitImages
from fieldrx.field import NeuralField
from fieldrx.fit import Parts
from fieldrx.models import Optics
from fieldrx.noise import noise_floor
from fieldrx.optics import Grid

SAMPLE = 0.15  # of the largest contrast, above which a voxel counts as the sample's


def fit_twin(
    parent: NeuralField,
    acquisition: Acquisition,
    train: np.ndarray,
    held: np.ndarray,
    seed: int | tuple,
    *,
    device: str,
    parts: Parts | None = None,
    **how: Any,
) -> NeuralField:
    """The field's own fit again, from nothing, to images that the field itself would give.

    Parameters
    ----------
    parent : NeuralField
    acquisition : Acquisition
        The images it was fitted to.
    train, held : int arrays
        Those it learnt from, and those that were held out.
    seed : int or tuple of int
        Of the noise, and of the fit.
    device : str
        "cpu", "cuda" or "auto".
    parts : Parts, optional
        Where it is kept.
    **how
        Callback and precision: as of `fieldrx.Fit`.
    """
    settings, rng = parent.provenance, np.random.default_rng(seed)
    optics = Optics.recorded(settings, acquisition.illumination)
    images = np.union1d(train, held)
    clean = FitImages(settings, acquisition, device).predicted(parent, optics, images)
    sigma = np.nan_to_num(noise_floor(acquisition, images).sigma)
    noisy = np.ones_like(acquisition.images)
    noisy[images] = clean + sigma * rng.standard_normal(clean.shape, np.float32)
    schedule = schedule_anew(parent, rng)
    other = replace(acquisition, images=noisy, holdout=held, checksum=None)
    known = optics if settings.optics is not None else None
    return refit(
        parent, other, {"images": train.tolist()}, schedule, optics=known, device=device, **how
    ).finish(parts=parts)


def misfit(field: NeuralField, acquisition: Acquisition, held: np.ndarray) -> float:
    """What a field misses of its unseen images beyond their noise, as a share of the signal.

    Not less than a tenth of the noise, below which no difference means anything.
    """
    noise = noise_floor(acquisition, held)
    floor = noise.share if noise.measured and np.isfinite(noise.share) else 0.0
    beyond = field.provenance.need("nrmse_holdout") ** 2 - floor**2
    return float(np.sqrt(max(beyond, (0.1 * floor) ** 2, 1e-12)))


def systematic(field: NeuralField, grid: Grid, band: Band, missed: float) -> float:
    """Standard deviation that errors of the model leave, as a share of the contrast.

    To first order a share of an image is the same share of what the sample has inside the band; it is laid
    where the sample is.

    Parameters
    ----------
    field : NeuralField
    grid : Grid
    band : Band
        Of the images.
    missed : float
        Share of the signal of unseen images that the field misses beyond their noise, `misfit`.
    """
    contrast = to_host(field.on_axes(*grid.axes)).real
    sample = np.abs(contrast) > SAMPLE * np.abs(contrast).max()
    whole = float(np.linalg.norm(contrast[sample]))
    return missed * float(np.linalg.norm(band.inside(contrast)[sample])) / whole if whole > 0 else 0.0


def against_twin(
    ensemble: Ensemble, field: NeuralField, twin: NeuralField, grid: Grid, band: Band, hidden: float
) -> tuple[float, dict]:
    """The factor that the twin's error needs.

    Parameters
    ----------
    ensemble : Ensemble
        Its own factor is not used.
    field, twin : NeuralField
        The truth, and what was fitted to its images.
    grid : Grid
        Where they are compared, within the field's region.
    band : Band
        The frequencies that are compared.
    hidden : float
        As of `Ensemble`.

    Returns
    -------
    float
    dict
        What was found, JSON-ready: ``factor_twin``, ``twin_error``.
    """
    place = np.ix_(
        *(
            (axis >= lo - 1e-6) & (axis <= hi + 1e-6)
            for axis, (lo, hi) in zip(grid.axes, field.region_um, strict=True)
        )
    )

    def inside(one):
        return band.inside(to_host(one.on_axes(*grid.axes)).real)

    truth = inside(field)
    error = np.abs(inside(twin) - truth)[place]
    spread = np.std([inside(member) for member in ensemble.members], axis=0, ddof=1)[place]

    def covered(factor):
        return float(np.mean(error <= 2 * np.sqrt((factor * spread) ** 2 + hidden**2)))

    factor = smallest_factor(covered)
    norm = max(float(np.linalg.norm(truth[place])), 1e-30)
    return factor, {
        "factor_twin": factor,
        "twin_error": float(np.linalg.norm(error)) / norm,
    }

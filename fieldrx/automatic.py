"""What "auto" stands for: the depth where refocusing finds the sample, and the model that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldrx.acquisition import Acquisition
from fieldrx.errors import NoSignal
from fieldrx.optics import slice_positions
from fieldrx.refocus import DAMPING, explained_share, find_depth, heights_between
from fieldrx.thin_slice import thin_slice

WEAK_RAD = 0.07  # estimated phase up to which single scattering serves
_IMAGES, _FOLDS = 48, 4
_QUANTILE = 0.99


@dataclass(frozen=True)
class Strength:
    """How strongly a sample acts on light, as far as images tell.

    Parameters
    ----------
    phase_rad : float
        99th percentile of the phase of the one thin slice that explains the images best.
    error_rad : float
        Its standard deviation over folds of the images (jackknife).
    height_um : float
        Of that slice.
    """

    phase_rad: float
    error_rad: float
    height_um: float


def choose_depth(acquisition: Acquisition, images: np.ndarray) -> tuple[tuple[float, float, float], str]:
    """The depth range where refocusing finds the sample, and what was found.

    Parameters
    ----------
    acquisition : Acquisition
    images : array of int
        Those that may be looked at.

    Returns
    -------
    (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    str
        A sentence.

    Raises
    ------
    InputError
        If the images do not tell depth.
    """
    found = find_depth(acquisition, images)
    return found.depth, found.note


def choose_model(
    acquisition: Acquisition, depth: Sequence[float], images: np.ndarray, dark_field: bool = False
) -> tuple[str, str]:
    """The model for an acquisition, and why.

    The sample is taken as one thin slice at the height that explains the images best, and its phase found in
    closed form.  Slow variations hardly show in intensities, so the estimate is low: on simulated cells, a
    thirteenth (NA 0.4, 9 LEDs well inside the aperture) to nine tenths of the truth (NA 0.8, two rings).
    Single scattering is chosen only where even so much more would be weak.  In doubt light may scatter more
    than once: such a model is right for weak samples too, and costs time alone.  It is split-step
    non-paraxial propagation where slices are closer than the wavelength in the medium, else beam
    propagation, which takes larger steps.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    images : array of int
        Those in bright field that may be looked at.
    dark_field : bool
        Whether there are others in dark field, which single scattering cannot predict.

    Returns
    -------
    str, str
        Name of the model, and a sentence.
    """
    scope, dz = acquisition.microscope, float(np.diff(slice_positions(depth)).max())
    found = strength(acquisition, depth, np.asarray(images))
    what = (
        f"a thin slice at {found.height_um:.3g} um that explains the images adds a phase of "
        f"{found.phase_rad:.2g} +- {found.error_rad:.1g} rad"
    )
    if found.phase_rad + 2 * found.error_rad > WEAK_RAD:
        why = f"{what}, not surely below {WEAK_RAD:g}: light may scatter more than once"
    elif dark_field:
        why = f"{what}, below {WEAK_RAD:g}, but single scattering cannot predict the dark-field images"
    else:
        return "born", f"{what}, below {WEAK_RAD:g}: light scatters once"
    wavelength = scope.wavelength_um / scope.medium_index
    if dz <= wavelength:
        return "ssnp", why
    return (
        "bpm",
        f"{why}; slices {dz:.3g} um apart are too far for ssnp, which wants at most {wavelength:.2g} um",
    )


def strength(acquisition: Acquisition, depth: Sequence[float], images: np.ndarray) -> Strength:
    """The phase of the thin slice inside a depth range that explains the images best.

    Parameters
    ----------
    acquisition, depth, images
        As of :func:`choose_model`.
    """
    z = slice_positions(depth)
    try:
        heights = heights_between(acquisition, z[0], z[-1])
        height = float(heights[np.argmax(explained_share(acquisition, images, heights))])
    except NoSignal:  # at frequencies that tell depth: then any height serves
        height = float(z.mean())
    images = np.random.default_rng(0).permutation(images)[:_IMAGES]
    folds = [np.setdiff1d(images, part) for part in np.array_split(images, _FOLDS)]
    each = [_phase(acquisition, height, fold) for fold in folds if len(fold)]
    spread = np.std(each, ddof=1) * np.sqrt(_FOLDS - 1) if len(each) == _FOLDS else np.inf
    return Strength(_phase(acquisition, height, images), float(spread), height)


def _phase(acquisition, height, images):
    """Quantile of |phase| of a slice at a height by regularised least squares [rad]."""
    index = thin_slice(acquisition, height, np.sort(images), _common_ridge)
    phase = acquisition.microscope.wavenumber * index
    return float(np.quantile(np.abs(phase - np.median(phase)), _QUANTILE))


def _common_ridge(block, blocks):
    """One for all frequencies."""
    return DAMPING * max(one.strongest for one in blocks) / 2

"""Which model a sample needs: from a first cheap estimate of the phase it adds to the light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fieldrx.models.born import Rytov
from fieldrx.optics import Grid, slice_positions
from fieldrx.tikhonov import tikhonov

WEAK_RAD = 0.25  # estimated phase up to which single scattering serves
_PIXELS, _SLICES, _IMAGES = 96, 24, 24  # of the estimate


def choose_model(acquisition, depth, images):
    """The model for an acquisition, and why.

    A closed-form Rytov inversion on few pixels, slices and images gives the phase that the sample adds
    to a wave along z, k0 dz sum_z Re delta, at its 99th percentile.  Intensities hardly tell slow variations
    along z, so the estimate is low: about a sixth of the truth for a cell of 3.5 rad.  Beyond 0.25 rad light
    scatters more than once: split-step non-paraxial propagation where slices are closer than
    the wavelength in the medium, else beam propagation, which takes larger steps.

    Parameters
    ----------
    acquisition : Acquisition
    depth : (float, float, float)
        Slice centres z0, z1 and their distance dz [um].
    images : array of int
        Those that may be looked at.

    Returns
    -------
    str, str
        Name of the model, and a sentence.
    """
    phase = _phase(acquisition, depth, np.asarray(images))
    scope, z = acquisition.microscope, slice_positions(depth)
    what = f"a first estimate of the phase that the sample adds is {phase:.2f} rad"
    if phase <= WEAK_RAD:
        return "born", f"{what}, up to {WEAK_RAD:g}: light scatters once"
    wavelength, dz = scope.wavelength_um / scope.medium_index, float(np.diff(z).max())
    if dz <= wavelength:
        return "ssnp", f"{what}, over {WEAK_RAD:g}: light scatters more than once"
    return "bpm", (
        f"{what}, over {WEAK_RAD:g}: light scatters more than once; "
        f"slices {dz:.3g} um apart are too far for ssnp, which wants at most {wavelength:.2g} um"
    )


def _phase(acquisition, depth, images):
    z = slice_positions(depth)
    images = images[:: -(-len(images) // _IMAGES)]
    full = acquisition.images[images]
    if acquisition.mask is not None:
        full = np.where(acquisition.mask[images], full, np.float32(1))
    stride = -(-max(full.shape[1:]) // _PIXELS)
    small = _bin(full, stride)
    scope = replace(acquisition.microscope, pixel_size_um=stride * acquisition.microscope.pixel_size_um)
    light = acquisition.illumination.select(images)
    dz = max(float(np.diff(z).max()), (z[-1] - z[0]) / _SLICES)
    grid = Grid.for_images(small.shape[1:], scope, (z[0], z[-1], dz))
    model = Rytov(grid, scope, light, small.shape[1:])
    signal = model.signal(small)
    contrast, _ = tikhonov(model, np.where(np.isfinite(signal), signal, np.float32(0)))
    total = scope.wavenumber * grid.spacing_um[0] * contrast.real.sum(axis=0)[model.window]
    return float(np.quantile(np.abs(total), 0.99))


def _bin(images, stride):
    """Means of stride x stride pixels; the rest at the far edges is dropped."""
    n, ny, nx = images.shape[0], images.shape[1] // stride, images.shape[2] // stride
    cut = images[:, : ny * stride, : nx * stride].reshape(n, ny, stride, nx, stride)
    return cut.mean(axis=(2, 4), dtype=np.float32)

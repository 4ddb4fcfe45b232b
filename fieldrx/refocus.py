"""Where along the optical axis a sample lies, found by refocusing its images.

Light from another direction shifts what is out of focus: a detail at height z moves by z tan(theta).  For
every height the images are explained as well as they can be by one thin slice there, whose spectra of index
x_r and absorption x_a at every lateral frequency solve b_m = H_rm x_r + H_am x_a over all images m, with
the linear model's transfer functions.  The explained share of the images' power is high where the sample
lies, because only there the images agree; elsewhere two free numbers explain M images by chance to about 2
in M.  Little of a transparent sample shows in focus: there the peak is low, and the range found is wide.

Directions on a regular lattice explain a detail at other heights as well, its echoes: of a period p, lit from
directions d apart in NA, every n0 p / d.  So the sample is sought around the best height, as far as heights
hang together with it.  A second object elsewhere is told from an echo by what the first leaves: once the
slices found explain the images, an echo explains nothing more.  Frequencies count by their amplitude, not
their power: the few that are strongest are low and have the farthest echoes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike

from fieldrx.acquisition import Acquisition
from fieldrx.backends import n_threads
from fieldrx.backends.fft import taper
from fieldrx.brief import brief
from fieldrx.errors import InputError, NoSignal
from fieldrx.models import Born
from fieldrx.optics import Grid, Illumination, Microscope, clear_of_resonance

_FREQUENCIES = 1500  # at which slices are tried: those that hold most
_LOWEST = 0.1  # of the pupil's cutoff: slower variations, background among them, tell no depth
_BLOCK = 128  # frequencies at once
_IMAGES = 48
DAMPING = 1e-3  # of the 2 x 2 systems, over the strongest transfer
_RISE = 0.1  # of the peak over the surroundings, from which a height belongs to the sample
_ANOTHER = 0.1  # of the first's, that a further object must explain of what the first one leaves
_EMPHASIS = 0.5  # exponent of the power that a frequency counts with
_LEAST = 2.0  # peak over surroundings, or
_CLEARLY = 0.1  # of the power beyond them: less is no finding
_MOST_HEIGHTS, _PER_RESOLUTION = 400, 3
_SLICES = (12, 80)  # fewest of a range, and most before slices become wider than single waves want
_WAVES = 0.9  # slice distance over the wavelength in the medium, for multiple scattering


@brief
@dataclass(frozen=True, eq=False)
class DepthRange:
    """A depth range found by refocusing.

    Parameters
    ----------
    depth : (float, float, float)
        First and last slice centre and their distance [um].
    heights_um : float array, shape (n,)
        Heights that were tried.
    explained : float array, shape (n,)
        Share of the images' power that one thin slice there explains, weighed by amplitudes.
    note : str
        What was found, in a sentence.
    at_end : bool
        Whether the range touches the end of the heights tried: the sample may go on beyond.
    """

    depth: tuple[float, float, float]
    heights_um: np.ndarray
    explained: np.ndarray
    note: str
    at_end: bool = False


def axial_resolution_um(microscope: Microscope, illumination: Illumination) -> float:
    """Finest axial period that the optics transfer, 1 / (2 [f(0) - f(cutoff)]) [um]; f = kz / 2 pi."""
    na = np.linalg.norm(illumination.sources_na[illumination.bright(microscope)], axis=1).max(initial=0)
    steepest = max(microscope.cutoff, na / microscope.wavelength_um)
    return 0.5 / (microscope.axial_frequency(0.0) - microscope.axial_frequency(steepest**2))


def find_depth(
    acquisition: Acquisition, images: np.ndarray | None = None, heights_um: ArrayLike | None = None
) -> DepthRange:
    """The depth range that holds the sample.

    Parameters
    ----------
    acquisition : Acquisition
    images : array of int, optional
        Those that may be looked at; all usable ones when not given.
    heights_um : array_like, optional
        Heights to try, growing; by default as far as light at the steepest angle still falls into the
        images from their middle, a third of the axial resolution apart.

    Returns
    -------
    DepthRange

    Raises
    ------
    InputError
        If all light comes from one direction, no height stands out, or the images hold no signal.
    """
    images = np.flatnonzero(acquisition.usable) if images is None else np.asarray(images)
    scope, light = acquisition.microscope, acquisition.illumination
    if not tells_depth(acquisition, images):
        raise InputError(
            f"{len(images)} images from nearly one direction do not tell depth: give --depth Z0:Z1:DZ"
        )
    step = axial_resolution_um(scope, light)
    heights = heights_around_focus(acquisition) if heights_um is None else np.asarray(heights_um, float)
    explained = explained_share(acquisition, images, heights, emphasis=_EMPHASIS)
    floor, peak = surroundings(explained), float(explained.max())
    if not stands_out(peak, floor):
        raise InputError(
            f"no height between {heights[0]:.4g} and {heights[-1]:.4g} um explains the images better than "
            f"the others ({floor:.1%} to {peak:.1%} of their power): give --depth Z0:Z1:DZ"
        )
    low, high = _hanging_together(explained, floor)
    low, high = _with_others(acquisition, images, heights, low, high, peak - floor, step)
    at_end = low == 0 or high == len(heights) - 1
    first, last = heights[low] - 0.5 * step, heights[high] + 0.5 * step
    dz = slice_distance(scope, last - first, step)
    note = (
        f"depth {first:.4g}:{last:.4g}:{dz:.3g} um, found by refocusing: one thin slice explains the images "
        f"best at {heights[explained.argmax()]:.4g} um ({peak:.0%} of their power; far from the sample "
        f"{floor:.0%})"
    )
    if at_end:
        note += "; this is the end of the heights tried: the sample may lie beyond, give a wider --depth"
    depth = (round(float(first), 3), round(float(last), 3), round(float(dz), 4))
    return DepthRange(depth, heights, explained, note, at_end)


def _hanging_together(explained, floor):
    """First and last number of the heights around the best that stand out without a gap."""
    best = int(np.argmax(explained))
    less = np.flatnonzero(explained < floor + _RISE * (explained[best] - floor))
    return int(less[less < best].max(initial=-1)) + 1, int(less[less > best].min(initial=len(explained))) - 1


def _with_others(acquisition, images, heights, low, high, rise, step):
    """The range widened to objects that explain what slices inside it leave."""
    most = max(len(images) // 6, 1)  # slices: as many unknowns as a third of the images
    count = int(np.clip(round((heights[high] - heights[low]) / step) + 1, 1, most))
    inside = np.linspace(heights[low], heights[high], count + 2)[1:-1]
    rest = explained_share(acquisition, images, heights, emphasis=_EMPHASIS, without=inside)
    floor = surroundings(rest)
    if not (stands_out(rest.max(), floor) and rest.max() - floor >= _ANOTHER * rise):
        return low, high
    first, last = _hanging_together(rest, floor)
    return min(low, first), max(high, last)


def tells_depth(acquisition: Acquisition, images: np.ndarray) -> bool:
    """Whether some images are many enough, and lit from directions different enough, to tell depth."""
    light = acquisition.illumination
    na = np.linalg.norm(light.sources_na - light.sources_na.mean(axis=0), axis=1)
    lit = light.pattern[images].any(axis=0)
    return len(images) >= 3 and na[lit].max() >= 0.05 * acquisition.microscope.objective_na


def surroundings(explained: np.ndarray) -> float:
    """The share that heights far from the sample explain."""
    return float(np.quantile(explained, 0.1))


def stands_out(peak: float, floor: float) -> bool:
    """Whether the share explained at the best height is a finding, not chance."""
    return bool(peak >= _LEAST * floor or peak - floor >= _CLEARLY)


def heights_around_focus(acquisition: Acquisition) -> np.ndarray:
    """Heights [um] as far as light at the steepest angle still falls into the images, finely spaced."""
    scope, light = acquisition.microscope, acquisition.illumination
    step = axial_resolution_um(scope, light) / _PER_RESOLUTION
    na = np.linalg.norm(light.sources_na[light.bright(scope)], axis=1).max()
    sine = na / scope.medium_index
    reach = 0.5 * min(acquisition.stack.shape[1:]) * scope.pixel_size_um * np.sqrt(1 - sine**2) / sine
    count = int(np.clip(np.ceil(reach / step), 3, _MOST_HEIGHTS // 2))
    return np.linspace(-reach, reach, 2 * count + 1)


def heights_between(acquisition: Acquisition, first: float, last: float) -> np.ndarray:
    """Heights [um] from first to last, as finely spaced."""
    step = axial_resolution_um(acquisition.microscope, acquisition.illumination) / _PER_RESOLUTION
    return np.linspace(first, last, int(np.clip(np.ceil((last - first) / step), 2, _MOST_HEIGHTS)) + 1)


def explained_share(
    acquisition: Acquisition,
    images: np.ndarray,
    heights: np.ndarray,
    emphasis: float = 1.0,
    without: Sequence[float] | np.ndarray = (),
) -> np.ndarray:
    """Share of the power of the images that one thin slice explains, at every height.

    Parameters
    ----------
    acquisition : Acquisition
    images : array of int
        Those that may be looked at; of many, some.
    heights : array, shape (n,)
        Equally spaced and growing, at least two [um].
    emphasis : float
        Frequencies count by this power of their power: 1, or less for a fairer share of the weak ones.
    without : array_like
        Heights of slices whose part of the images is taken out first [um].

    Returns
    -------
    array, shape (n,)

    Raises
    ------
    NoSignal
        If the images hold nothing at frequencies that tell depth.
    """
    images = images[:: -(-len(images) // _IMAGES)]
    model, others = _thin_slices(acquisition, heights), [_thin_slices(acquisition, [z]) for z in without]
    y, x, spectra = _strongest(acquisition, images)
    power = (np.abs(spectra) ** 2).sum(axis=0)
    if not power.sum() > 0:
        raise NoSignal(
            "the images hold no signal at frequencies that tell depth: every valid pixel is 1, or the images "
            "are too small; check the images, or give --depth Z0:Z1:DZ"
        )
    weight = np.maximum(power, 1e-12 * power.max()) ** (emphasis - 1)
    nu_y, nu_x = model.grid.frequencies()
    explained = np.zeros(len(heights))
    for first in range(0, len(y), _BLOCK):
        part = slice(first, first + _BLOCK)
        place = nu_y[y[part]], nu_x[x[part]], images
        seen = spectra[:, part].T[..., None]  # (f, image, 1)
        if others:
            seen = seen - _explained_by(
                np.concatenate([_columns(one, *place)[:, 0] for one in others], -1), seen
            )
        h = _columns(model, *place)  # (f, z, image, 2)
        adjoint = h.conj().swapaxes(2, 3)
        right = adjoint @ seen[:, None]
        found = (right.conj() * np.linalg.solve(_damped(adjoint @ h), right)).real.sum(axis=(2, 3))
        explained += weight[part] @ found
    return explained / float(weight @ power)


def _thin_slices(acquisition, heights):
    """The linear model of slices at some heights, on the pixels of the images."""
    scope, shape = acquisition.microscope, acquisition.image_shape
    dz = float(heights[1] - heights[0]) if len(heights) > 1 else 1.0
    grid = Grid((len(heights), *shape), (dz, *2 * (scope.pixel_size_um,)), (heights[0], 0.0, 0.0))
    return Born(grid, scope, acquisition.illumination, shape)


def _columns(model, nu_y, nu_x, images):
    """What index and absorption of each slice do to the images, shape (f, z, image, 2)."""
    return np.moveaxis(np.stack(model.transfer(nu_y, nu_x, images), axis=-1), 1, 2)


def _damped(gram):
    """Gram matrices whose inverse does not blow up what the optics hardly transfer."""
    diagonal = np.arange(gram.shape[-1])
    largest = np.trace(gram, axis1=-2, axis2=-1).real.max() or 1.0  # 0 where the optics transfer nothing
    gram[..., diagonal, diagonal] += np.float32(DAMPING * largest)
    return gram


def _explained_by(h, seen):
    """The part of spectra (f, image, 1) that columns (f, image, k) explain."""
    adjoint = h.conj().swapaxes(1, 2)
    return h @ np.linalg.solve(_damped(adjoint @ h), adjoint @ seen)


def _strongest(acquisition, images):
    """The frequencies at which the images hold most, as rows and columns, and their spectra there."""
    scope, (ny, nx) = acquisition.microscope, acquisition.image_shape
    signal = acquisition.images[images] - 1
    if acquisition.mask is not None:
        signal *= acquisition.mask[images]
    spectra = scipy.fft.rfft2(signal * taper((ny, nx)).astype(np.float32), workers=n_threads())
    nu_y, nu_x = np.fft.fftfreq(ny, scope.pixel_size_um), np.fft.rfftfreq(nx, scope.pixel_size_um)
    nu = np.hypot(nu_y[:, None], nu_x[None]) / scope.cutoff
    y, x = np.nonzero((nu >= _LOWEST) & (nu <= 2))
    power = (np.abs(spectra[:, y, x]) ** 2).sum(axis=0)
    best = np.argsort(power)[::-1][:_FREQUENCIES]
    return y[best], x[best], spectra[:, y[best], x[best]]


def slice_distance(microscope: Microscope, thickness: float, resolution: float) -> float:
    """Distance of slices that suits a depth range [um].

    Half the axial resolution, closer where multiple scattering wants it and slices stay few.

    Parameters
    ----------
    microscope : Microscope
    thickness : float
        Of the range [um].
    resolution : float
        As of `axial_resolution_um` [um].

    Returns
    -------
    float
    """
    fewest, most = _SLICES
    close = _WAVES * microscope.wavelength_um / microscope.medium_index
    dz = min(0.5 * resolution, thickness / fewest)
    return clear_of_resonance(microscope, min(dz, close) if thickness / close <= most else dz)

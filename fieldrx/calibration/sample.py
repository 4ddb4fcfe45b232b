"""Where the sample lies along z, and whether it is denser than its medium: what settles the light's sign.

All directions with the other sign explain the images as well: to first order a transparent sample of
contrast delta(z) then becomes one of -delta(-z).  So the sign is settled by whoever knows on which side of
the focus the sample lies, or that it is denser (or less dense) than its medium.

The height is that of the one thin slice which explains the images best, as of `fieldrx.refocus`.  A range of
heights that is said to hold the sample is compared with its mirror image.  The skewness of the index in a
slice at that height, positive for small dense things in a medium, tells the contrast.  Of wide things images
hold little but edges, whose skewness has either sign: it counts where it is far beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldrx import refocus
from fieldrx.acquisition import Acquisition
from fieldrx.brief import brief
from fieldrx.thin_slice import thin_slice

_IMAGES = 32
_RIDGE = 0.1  # over the mean squared row norm
_TILES = 4  # per axis, for the error of the skewness
# By so much (root mean square), with either sign, is the skewness off zero where samples of a known contrast
# are wide: scripts/check_sign.py --zoo.
_EITHER = 1.0
# Of the images' power, by which a range must explain more than its mirror image.  In scripts/check_sign.py
# the difference is at most 0.024 where nothing tells a sign, and 0.03 to 0.74 with a sample in the range.
_MARGIN = 0.04
DEPTH_ERROR = _MARGIN / 3  # what counts as one standard error of that difference


@brief
@dataclass(frozen=True)
class Sample:
    """What a thin slice at each height explains.

    Parameters
    ----------
    heights_um, explained : array, shape (m,)
        Heights that were tried far and wide, and the share of the images' power that a slice explains there.
    height_um : float
        The best height, of the range given and its mirror image if one was; nan where the images tell none.
    extent_um : (float, float)
        Around it, where at least half as much as there stands out from the surroundings.
    at_end : bool
        Whether the best height is the first or the last of its range: the sample may lie beyond.
    given, mirrored : float
        The best shares within the range given and within its mirror image; nan where none was given.
    skewness, error : float
        Of the index at the best height, and its standard error; nan as `height_um`.
    """

    heights_um: np.ndarray
    explained: np.ndarray
    height_um: float = np.nan
    extent_um: tuple[float, float] = (np.nan, np.nan)
    at_end: bool = False
    given: float = np.nan
    mirrored: float = np.nan
    skewness: float = np.nan
    error: float = np.nan

    @property
    def stands_out(self) -> bool:
        """Whether some height explains so much more than others that there is a sample to speak of."""
        return refocus.stands_out(self.explained.max(), refocus.surroundings(self.explained))

    @property
    def side(self) -> int:
        """+1 if the range given holds the sample, -1 if its mirror image does, 0 where neither is clear."""
        best, floor = max(self.given, self.mirrored), refocus.surroundings(self.explained)
        told = abs(self.given - self.mirrored) >= _MARGIN
        if not (told and best - floor >= 0.5 * (self.explained.max() - floor)):
            return 0
        return 1 if self.given > self.mirrored else -1

    def reversed(self) -> Sample:
        """The sample that explains the images as well once all directions are reversed."""
        low, high = self.extent_um
        return Sample(
            -self.heights_um[::-1],
            self.explained[::-1],
            -self.height_um,
            (-high, -low),
            self.at_end,
            self.mirrored,
            self.given,
            -self.skewness,
            self.error,
        )


def find_sample(acquisition: Acquisition, images: np.ndarray, depth: Sequence[float] | None = None) -> Sample:
    """Find the height of the sample and the sign of its contrast.

    Parameters
    ----------
    acquisition : Acquisition
    images : array of int
        Those that may be looked at, all lit from within the pupil.
    depth : (float, float), optional
        Between which heights the sample lies [um], if known.

    Returns
    -------
    Sample
        With nan where the images are too few, or alike, to tell a height, or where none stands out and no
        range was given.

    Raises
    ------
    InputError
        If the images hold no signal.
    """
    if not refocus.tells_depth(acquisition, images):
        return Sample(np.zeros(1), np.zeros(1))
    wide = refocus.heights_around_focus(acquisition)
    explained = refocus.explained_share(acquisition, images, wide)
    floor = refocus.surroundings(explained)
    heights, shares, given, mirrored = wide, explained, np.nan, np.nan
    if depth is not None:
        heights = refocus.heights_between(acquisition, *sorted(depth[:2]))
        shares = refocus.explained_share(acquisition, images, heights)
        reflected = refocus.explained_share(acquisition, images, -heights[::-1])
        given, mirrored = float(shares.max()), float(reflected.max())
        if mirrored - given >= _MARGIN:
            heights, shares = -heights[::-1], reflected
    elif not refocus.stands_out(explained.max(), floor):
        return Sample(wide, explained)
    best = int(np.argmax(shares))
    extent = _around(heights, shares, best, 0.5 * (floor + shares[best]))
    skewness, error = _skewness(acquisition, images, heights[best])
    at_end = best in (0, len(heights) - 1)
    return Sample(wide, explained, float(heights[best]), extent, at_end, given, mirrored, skewness, error)


def _around(heights, shares, best, least):
    """First and last height of those around the best where a slice explains at least so much."""
    less = np.flatnonzero(shares < least)
    first = less[less < best].max(initial=-1) + 1
    last = less[less > best].min(initial=len(shares)) - 1
    return float(heights[first]), float(heights[last])


def _skewness(acquisition, images, height):
    """Skewness of the index in a slice at a height, by closed-form inversion, and its standard error.

    The error is that over parts of the image, and the skewness that wide things have with either sign.
    """
    images = images[:: -(-len(images) // _IMAGES)]
    plane = thin_slice(acquisition, height, images, lambda block, _: _RIDGE * block.mean)
    plane = plane - np.median(plane)
    scale = max(float((plane**2).mean()) ** 1.5, 1e-30)
    tiles = [t for row in np.array_split(plane**3, _TILES) for t in np.array_split(row, _TILES, axis=1)]
    means = np.array([t.mean() for t in tiles]) / scale
    return float(means.mean()), float(np.hypot(means.std(ddof=1) / np.sqrt(len(means)), _EITHER))

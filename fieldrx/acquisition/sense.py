"""Whether images make sense beside their background, their light and each other, and what to say if not."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.acquisition.dim import DIM
from fieldrx.background import saturation_level, typical_level
from fieldrx.errors import InputError
from fieldrx.optics import Illumination, Microscope

_NEGATIVE = 0.2  # share of negative pixels from which images are no intensities
_BELOW = -0.1  # intensity over the background that noise does not make
_ODD = 3.0  # brightness over that of the others from which an image is not like them
_AS_BRIGHT = 0.5  # of bright-field images, what no scattered light alone comes to
_NO_LIGHT = 0.1  # brightness over that of the others below which a lamp did not shine
_FAR = 1.7  # typical intensity, or one over it, that samples do not explain
_OVEREXPOSED = 0.3  # share of saturated pixels
_SATURATED = 0.5  # share of a background's pixels from which it is of no use
_FEWEST = 3  # bright-field images, for one to be unlike the others
_SPREADS = 1.5  # by how much a background of many frames may spread levels more than they were
_PIXELS = 12.0  # times the size that the optics need, or one over it, which no camera has
_LISTED = 8


def numbered(images: Sequence[int] | np.ndarray) -> str:
    """'image 3' or 'images 3, 4, ...' as a note says it."""
    some = [str(int(k)) for k in images[:_LISTED]]
    return (
        f"image{'s' if len(images) > 1 else ''} {', '.join(some)}{', ...' if len(images) > _LISTED else ''}"
    )


def one_per_image(background: ArrayLike | str | None, n: int) -> bool:
    """Whether each of n images has a background of its own, a number or a frame, which tells its exposure."""
    given = np.asarray(0.0 if background is None else background)
    return given.dtype.kind in "iuf" and given.ndim in (1, 3) and len(given) == n


def check_intensities(images: np.ndarray, dark: np.ndarray, valid: np.ndarray, lit: np.ndarray) -> None:
    """Refuse bright-field images that are negative in many pixels, such as I / I0 - 1.

    Parameters
    ----------
    images, dark : ndarray, shape (n, y, x)
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    lit : ndarray of bool, shape (n,)

    Raises
    ------
    InputError
        If it is so in most of the lit images.
    """
    some = [k for k in np.flatnonzero(lit) if valid[k].any()]
    shares = [float(np.mean((images[k] < dark[k])[valid[k]])) for k in some]
    if some and np.median(shares) > _NEGATIVE:
        typical = np.median([typical_level(images[k] - dark[k].astype(float), valid[k]) for k in some])
        raise InputError(
            f"{np.median(shares):.0%} of the images' pixels are negative (typical value {typical:.3g}); "
            "expected intensities: if these are I / I0 - 1, add 1 to them; else check dark"
        )


def below_zero(images: np.ndarray, mask: np.ndarray | None, lit: np.ndarray) -> list[str]:
    """Notes about pixels further below zero than noise takes an intensity.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
        Over the background.
    mask : ndarray of bool, shape (n, y, x), optional
        Pixels to look at.
    lit : ndarray of bool, shape (n,)
        Images in bright field.
    """
    counts = [0] * len(images)
    for k in np.flatnonzero(lit):
        low = images[k] < _BELOW
        counts[k] = int(np.count_nonzero(low if mask is None else low & mask[k]))
    some = np.flatnonzero(counts)
    if not some.size:
        return []
    least = min(float(images[k].min(where=True if mask is None else mask[k], initial=0)) for k in some)
    return [
        f"{sum(counts)} pixels of {numbered(some)} are negative, down to {least:.3g}, which no intensity is: "
        "mask them, or check dark and background"
    ]


def saturated_background(background: ArrayLike | str | None) -> np.ndarray | None:
    """Where images of the empty field are saturated, of their shape; None where nowhere, or for no images.

    Raises
    ------
    InputError
        If most of their pixels are.
    """
    frames = np.asarray(background) if background is not None else np.empty(0)
    if frames.dtype.kind not in "iuf" or frames.ndim < 2:
        return None
    level = saturation_level(frames.reshape(-1, *frames.shape[-2:]))
    saturated = frames >= level
    if (share := float(saturated.mean())) > _SATURATED:
        raise InputError(
            f"background is saturated in {share:.0%} of its pixels (at {level:g}); take the empty field "
            "again with a shorter exposure, or leave background out"
        )
    return saturated if share else None


def way(images: np.ndarray, background: ArrayLike | str | None, is_estimated: bool) -> str:
    """How images are normalised, in words.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
    background
        As it was given.
    is_estimated : bool
        Whether the images tell it.
    """
    if is_estimated:
        word = background if isinstance(background, str) else "smooth"
        return {
            "mean": "divided by the mean of each image",
            "median": "divided by the stack's median at every pixel, times each image's level",
            "smooth": "divided by a smooth surface estimated from each image",
        }[word]
    if background is None:
        return "taken as they are, as intensities over the background: each is typically within 10 % of 1"
    given = np.asarray(background)
    if given.ndim < 2:
        number = f"{given.item():g}" if given.size == 1 else "a number per image"
        return f"divided by the given background, {number}"
    one = given.ndim == 2 or len(given) == 1
    return f"divided by {'one image' if one else f'{len(given)} images, in their order,'} of the empty field"


def unlit(
    raw: np.ndarray,
    dark: np.ndarray,
    valid: np.ndarray,
    illumination: Illumination,
    microscope: Microscope,
    exposure: np.ndarray,
) -> np.ndarray:
    """Numbers of bright-field images whose lamps did not shine, by their counts alone.

    Parameters
    ----------
    raw, dark, valid, illumination, microscope, exposure
        As of `Levels`.
    """
    some = np.flatnonzero(~illumination.dark(microscope) & valid.any(axis=(1, 2)))
    level = np.array([typical_level(raw[k] - dark[k].astype(float), valid[k]) for k in some])
    return some[_shares(level / exposure[some], illumination.pattern.sum(axis=1)[some]) < _NO_LIGHT]


def _shares(level, weight):
    """Brightness over that of the others, of equal exposure or of exposures that differ; 1 for a few."""
    shares = [v / np.median(v) for v in (level, level / weight) if len(v) and np.median(v) > 0]
    if len(level) < _FEWEST or len(shares) < 2:
        return np.ones(len(level))
    off = np.abs(np.log(np.maximum(shares, 1e-9)))
    return np.where(off[0] < off[1], *shares)


class Levels:
    """Typical brightness of images, before and after normalisation.

    Parameters
    ----------
    raw : ndarray, shape (n, y, x)
        As stored.
    dark : ndarray, shape (n, y, x)
    images : ndarray, shape (n, y, x)
        Over the background.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    illumination : Illumination
    microscope : Microscope
    exposure : ndarray, shape (n,)
        Relative exposures of the images.
    """

    def __init__(
        self,
        raw: np.ndarray,
        dark: np.ndarray,
        images: np.ndarray,
        valid: np.ndarray,
        illumination: Illumination,
        microscope: Microscope,
        exposure: np.ndarray,
    ):
        pattern, dark_field = illumination.pattern, illumination.dark(microscope)
        na = np.linalg.norm(illumination.sources_na, axis=1)
        seen = valid.any(axis=(1, 2))
        self.lit, self.unlit = ~dark_field & seen, dark_field & seen
        level = [typical_level(r - d.astype(float), v) for r, d, v in zip(raw, dark, valid, strict=True)]
        self.raw, self.weight = np.array(level) / exposure, pattern.sum(axis=1)
        self.normalised = np.array([typical_level(i, v) for i, v in zip(images, valid, strict=True)])
        # lamps of a flat board shine askew, from farther away: cos^4 of their angle
        self.falloff = (pattern @ (1 - np.minimum(na, 0.95) ** 2) ** 2) / pattern.sum(axis=1)

    def notes(self, background: ArrayLike | str | None, is_estimated: bool) -> list[str]:
        """What is odd about them.

        Parameters
        ----------
        background
            As it was given.
        is_estimated : bool
            Whether the images tell it.
        """
        lit = np.flatnonzero(self.lit)
        if not lit.size:
            return []
        own = not is_estimated and one_per_image(background, len(self.raw))
        share = self._shares(lit, own)
        notes = self._unlike(lit, share)
        notes += [] if own else self._bright_outside(lit, lit[share < _NO_LIGHT])
        typical = float(np.median(self.normalised[lit]))
        if not 1 / _FAR < typical < _FAR:
            notes.append(
                f"images are typically {typical:.3g} over their background, where 1 is expected without a "
                "sample: is the background of another exposure, or does the sample absorb everywhere?"
            )
        if own and np.asarray(background).ndim == 3:
            notes += self._frames_of_one(lit)
        return notes

    def without_light(self, background: ArrayLike | str | None, is_estimated: bool) -> np.ndarray:
        """Numbers of bright-field images whose lamps did not shine; parameters as of `notes`."""
        lit = np.flatnonzero(self.lit)
        own = not is_estimated and one_per_image(background, len(self.raw))
        return lit[self._shares(lit, own) < _NO_LIGHT]

    def _shares(self, lit, own):
        return _shares((self.normalised if own else self.raw)[lit], self.weight[lit])

    def _unlike(self, lit, share):
        """Images much darker or brighter than the others."""
        notes = []
        dim = share < DIM * np.minimum(self.falloff[lit] / np.median(self.falloff[lit]), 1)
        for odd, words in (
            (share < _NO_LIGHT, "not lit: masked"),
            (dim & (share >= _NO_LIGHT), "not lit? leave out what is"),
            (share > _ODD, "overexposed, or lit by other lamps too? leave out what is"),
        ):
            if odd.any():
                times = ", ".join(f"{max(s, 0):.2g}" for s in share[odd][:_LISTED])
                notes.append(
                    f"{numbered(lit[odd])}: {times} times the brightness of the other bright-field images; "
                    f"{words}"
                )
        return notes

    def _bright_outside(self, lit, unlit):
        """Images that are dark field by the table and not dark; whether those without light are theirs."""
        each = (self.raw, self.raw / self.weight)
        outside = np.flatnonzero(
            self.unlit & np.all([v > _AS_BRIGHT * np.median(v[lit]) for v in each], axis=0)
        )
        if not outside.size:
            return []
        asks = "are the directions in NA (not degrees), and is objective_na right?"
        if outside.size == unlit.size:
            asks = f"are these lamps and those of {numbered(unlit)} in each other's place?"
        lie = "lies" if outside.size == 1 else "lie"
        return [
            f"{numbered(outside)} {lie} outside the pupil by the directions, but as bright as those inside: "
            f"{asks}"
        ]

    def _frames_of_one(self, lit):
        """Whether frames that were taken one per image are rather many of one lamp."""
        before, after = (float(np.ptp(np.log(np.maximum(v[lit], 1e-9)))) for v in (self.raw, self.normalised))
        if after <= _SPREADS * before:
            return []
        return [
            "the frames of the background are taken one per image, in their order, and make the images' "
            "brightness less alike than it was: if all are of one lamp, average them into one"
        ]


def directions(illumination: Illumination, microscope: Microscope, shape: Sequence[int]) -> list[str]:
    """Notes about light whose directions hardly differ, and about pixels far from what the optics need.

    Parameters
    ----------
    illumination : Illumination
    microscope : Microscope
    shape : (int, int, int)
        Of the images, (n, y, x).
    """
    notes = []
    na = illumination.sources_na[(illumination.pattern > 0).any(axis=0)]
    span = 2 * float(np.linalg.norm(na - na.mean(axis=0), axis=1).max())
    resolved = microscope.wavelength_um / (max(shape[1:]) * microscope.pixel_size_um)
    if span < resolved:
        where = "one direction" if span == 0 else f"directions within {span:.2g} in NA"
        notes.append(
            f"all light comes from {where}, where the frame tells {resolved:.2g} apart: such images hardly "
            "tell depth; if directions should differ, check their table and its units"
        )
    pixels = microscope.pixel_size_um * 4 * microscope.objective_na / microscope.wavelength_um
    if not 1 / _PIXELS < pixels < _PIXELS:
        notes.append(
            f"pixels of {microscope.pixel_size_um:g} um are {pixels:.2g} times what NA "
            f"{microscope.objective_na:g} needs: pixel_size_um is the camera's pixel over the magnification, "
            "in um"
        )
    return notes


def repeated(images: np.ndarray, valid: np.ndarray, pattern: np.ndarray) -> list[str]:
    """Notes about images that are the same frame, to the last bit, although their light differs."""
    first: dict[int, int] = {}
    again = []
    for k, image in enumerate(images):
        if not valid[k].any() or np.ptp(image[valid[k]]) == 0:  # nothing in it that could tell
            continue
        other = first.setdefault(zlib.crc32(np.ascontiguousarray(image).data), k)
        if np.array_equal(pattern[k], pattern[other]):
            continue
        if np.array_equal(image, images[other], equal_nan=image.dtype.kind == "f"):
            again.append(f"{k} (as {other})")
    if not again:
        return []
    return [
        f"image{'s' if len(again) > 1 else ''} {', '.join(again[:_LISTED])} repeat an earlier frame, pixel "
        "by pixel: a lamp that was not switched, or a file copied twice; leave them out"
    ]


def scaled(images: np.ndarray, valid: np.ndarray, background: ArrayLike | str | None) -> list[str]:
    """Notes about floating-point images that some program scaled to the range from 0 to 1.

    Parameters
    ----------
    images : ndarray, shape (n, y, x)
        As stored.
    valid : ndarray of bool, shape (n, y, x)
        Pixels to look at.
    background
        What they are divided by; 1 where they are taken as they are.
    """
    if images.dtype.kind != "f":
        return []
    some = [image[ok] for image, ok in zip(images, valid, strict=True) if ok.any()]
    ranges = np.array([(v.min(), v.max()) for v in some])
    if (ranges == [0, 1]).all():
        return [
            "every image spans exactly 0 to 1, as after stretching each by itself: that takes its level and "
            "dark away, and with them the sample's contrast; export the images unscaled"
        ]
    if ranges.min() == 0 and ranges.max() == 1:
        return [
            "the images span exactly 0 to 1, as after stretching the stack: that takes the dark level away, "
            "and changes the sample's contrast; export the images unscaled"
        ]
    as_they_are = np.array_equal(np.asarray(background), 1.0)
    if not as_they_are or ranges.max() > 1 or ranges.min() < 0 or ranges.max() == ranges.min():
        return []
    return [
        f"no pixel exceeds {ranges.max():.4g}, though intensities over the background do where light "
        'gathers: if some program scaled the images to 1, say background = "smooth"'
    ]


def overexposed(valid: np.ndarray, known: np.ndarray) -> list[str]:
    """Notes about images of which much is saturated, missing or not finite.

    Parameters
    ----------
    valid, known : ndarray of bool, shape (n, y, x)
        Valid pixels, and those that could be.
    """
    total = known.sum(axis=(1, 2))
    lost = 1 - valid.sum(axis=(1, 2)) / np.maximum(total, 1)
    many = np.flatnonzero((lost > _OVEREXPOSED) & (total > 0))
    if not many.size:
        return []
    return [
        f"{numbered(many)} lost {', '.join(f'{lost[k]:.0%}' for k in many[:_LISTED])} of the pixels to "
        "saturation, or to missing values: if overexposed, take it again or leave it out"
    ]

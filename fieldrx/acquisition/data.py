"""Images with their optics: what everything else starts from."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import InitVar, asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from fieldrx.acquisition.checks import (
    as_stack,
    check_holdout,
    check_level,
    mask_of,
    without_junk,
)
from fieldrx.acquisition.counts import intensities
from fieldrx.acquisition.dim import DIM
from fieldrx.acquisition.light import place_of
from fieldrx.acquisition.sense import below_zero
from fieldrx.background import typical_level
from fieldrx.brief import times
from fieldrx.errors import InputError, expect
from fieldrx.io import check_npz, save_npz
from fieldrx.io.checks import window as window_of
from fieldrx.optics import Illumination, Microscope
from fieldrx.optics.checks import array_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Normalised images with their optics.

    Parameters
    ----------
    images : ndarray, shape (n, y, x), or None
        Intensities over the background, 1 without a sample; of images lit from outside the pupil alone
        (dark field) over the background that their lamps would give inside it, 0 without a sample.  Kept as
        float32.  None for optics alone.
        Counts of a camera go through `Acquisition.from_raw`.  Pixels that a masked array hides are invalid.
    illumination : Illumination
        n rows of weights, one per image.
    microscope : Microscope
    mask : ndarray of bool, shape (n, y, x), optional
        True where a pixel is valid; None when all are.  Invalid pixels become 1, whatever they hold.
    holdout : sequence of int
        Images kept for evaluation; stored sorted, each once.
    name : str
    notes : sequence of str
        Remarks, and what the reader estimated or masked.
    checksum : int, optional
        Tells these images from others; of the images as they were read, before normalisation, whose last
        digits differ between machines.
    levelled : bool
        Whether every image was divided by its own level, so that the lamps' brightness does not show.
    way : str
        How the images were normalised, in words, where it is known.
    normalised : bool
        That the images are known to be over their background, whatever they look like.

    Raises
    ------
    InputError
        If shapes or counts disagree, a valid pixel is not finite, no image is left to fit, the images look
        like the counts of a camera, or directions are steeper than any light in the medium.
    """

    images: np.ndarray | None
    illumination: Illumination
    microscope: Microscope
    mask: np.ndarray | None = None
    holdout: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    name: str = ""
    notes: tuple[str, ...] = ()
    checksum: int | None = None
    levelled: bool = False
    way: str = ""
    normalised: InitVar[bool] = False

    def __post_init__(self, normalised):
        _check_optics(self.illumination, self.microscope)
        images, n = self.images, self.illumination.n_images
        if images is not None:
            images = as_stack(images, n)
        mask = mask_of(self.images, images, self.mask)
        if images is not None:
            if not normalised:
                check_level(images, mask, self.lit)
            images = images.astype(np.float32, copy=False)
        if images is not None:
            images = without_junk(images, mask)
            bad = images.size - sum(int(np.count_nonzero(np.isfinite(image))) for image in images)
            if bad:
                raise InputError(
                    f"images hold {bad} values that are not finite; Acquisition.from_raw masks them"
                )
            object.__setattr__(self, "images", images)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "holdout", check_holdout(self.holdout, n))
        odd = [] if images is None or normalised else below_zero(images, mask, self.lit)
        object.__setattr__(self, "notes", tuple(dict.fromkeys([*map(str, self.notes), *odd])))
        if self.checksum is None and self.images is not None:
            object.__setattr__(self, "checksum", _checksum(self.images))

    @classmethod
    def from_raw(
        cls,
        images: ArrayLike,
        illumination: Illumination,
        microscope: Microscope,
        background: ArrayLike | str | None = None,
        holdout: ArrayLike = (),
        saturation: float | None = None,
        *,
        dark: ArrayLike = 0.0,
        missing: float | None = None,
        mask: ArrayLike | None = None,
        fixed_pattern: bool = False,
        gain: bool = False,
        exposure: ArrayLike | None = None,
        name: str = "",
        notes: Sequence[str] = (),
        checksum: int | None = None,
        levelled: bool = False,
        way: str | None = None,
    ) -> Acquisition:
        """Normalise camera images, mask pixels that tell nothing of the sample, and note what is odd.

        Parameters
        ----------
        images : ndarray, shape (n, y, x), or (y, x) for one image
            Counts of any real type; not changed.  Pixels that a masked array hides are invalid.
        background : number, array_like or str, optional
            What the images are divided by, ``dark`` taken off both: counts of the empty field, one number or
            shape (n,), (y, x) or (n, y, x); or an estimate from the images themselves, "mean" (of each
            image), "smooth" (a surface of second order, robust, of each image) or "median" (of the stack at
            every pixel, times each image's level).  None is "smooth", or 1 for floating-point images whose
            medians all lie within 10 % of 1.
        saturation : float, optional
            Pixels at or above it are masked; found from the images when not given.
        dark : array_like
            Counts of the camera without light: one number, shape (n,), (y, x) or (n, y, x).
        missing : float, optional
            Pixels of exactly this value are masked.
        mask : ndarray of bool, shape of the images, optional
            True where a pixel is valid; an image without any is left out of everything.
        fixed_pattern : bool
            Divide by the median of the normalised images at every pixel: dust on the camera.
        gain : bool
            Divide every image by its own robust level: a lamp that flickers.
        exposure : array_like, optional
            Relative exposure of every image, shape (n,): a background of all images is multiplied by it, and
            dark-field images are taken over the bright-field level at their exposure.
        illumination, microscope, holdout, name, notes, checksum, levelled, way
            As in the class; estimated backgrounds and ``gain`` make it levelled, whatever it was.

        Raises
        ------
        InputError
            If shapes disagree, a background is not positive, or an image has no valid pixel.
        """
        _check_optics(illumination, microscope)
        stack = as_stack(images, illumination.n_images)
        checksum = _checksum(stack) if checksum is None else checksum
        if isinstance(background, np.ma.MaskedArray):
            background = background.filled(0)  # where the background is 0, pixels are masked
        options = {"background": background, "dark": dark, "saturation": saturation, "missing": missing,
                   "fixed_pattern": fixed_pattern, "gain": gain, "exposure": exposure}  # fmt: skip
        done = intensities(stack, illumination, microscope, mask_of(images, stack, mask), **options)
        return cls(
            done.images,
            illumination,
            microscope,
            done.mask,
            array_of(holdout, "holdout"),
            name,
            tuple(dict.fromkeys((*notes, *done.notes))),  # some are found again in what was saved
            checksum,
            levelled or done.levelled,
            done.way if way is None else way,
            normalised=True,
        )

    @property
    def n_images(self) -> int:
        """Number of images, of rows of the illumination's pattern."""
        return self.illumination.n_images

    @property
    def stack(self) -> np.ndarray:
        """The images, for what cannot do without them.

        Raises
        ------
        InputError
            If the acquisition is optics alone.
        """
        if self.images is None:
            raise InputError("the acquisition has no images: give it images, not optics alone")
        return self.images

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(y, x) in pixels; None without images."""
        return None if self.images is None else self.images.shape[1:]

    @property
    def usable(self) -> np.ndarray:
        """Which images have a valid pixel and a source inside the pupil, bool of shape (n,)."""
        return self.lit if self.mask is None else self.lit & self.mask.any(axis=(1, 2))

    @property
    def lit(self) -> np.ndarray:
        """Which images have a source inside the pupil, bool of shape (n,)."""
        return ~self.illumination.dark(self.microscope)

    @cached_property
    def dark_field(self) -> np.ndarray:
        """Which images have a valid pixel and light from outside the pupil alone, bool of shape (n,).

        Those that are not dark, though their directions say so, were lit from inside it.
        """
        dark = ~self.lit
        for k in np.flatnonzero(dark):
            valid = np.ones(self.stack.shape[1:], bool) if self.mask is None else self.mask[k]
            dark[k] = valid.any() and typical_level(self.stack[k], valid) < DIM
        return dark

    def predictable(self, dark_field: bool) -> np.ndarray:
        """Numbers of the usable images, and of those in dark field where a model can predict them."""
        return np.flatnonzero(self.usable | self.dark_field if dark_field else self.usable)

    def select(self, images: ArrayLike) -> Acquisition:
        """Some of the images, in the order given, with their light; those held out keep their part."""
        images = np.asarray(images)
        return replace(
            self,
            images=None if self.images is None else self.images[images],
            illumination=self.illumination.select(images),
            mask=None if self.mask is None else self.mask[images],
            holdout=np.flatnonzero(np.isin(images, self.holdout)),
            checksum=None,
            normalised=True,
        )

    def crop(self, window: Sequence[int]) -> Acquisition:
        """A part of every image, with the light as it arrives there.

        Parameters
        ----------
        window : (int, int, int, int)
            Rows y0 to y1 and columns x0 to x1, ends excluded.

        Returns
        -------
        Acquisition
            Its y = x = 0 is the first pixel of the window.

        Raises
        ------
        InputError
            If the window is empty or leaves the images.
        """
        rows, cols = window_of(self.stack.shape[1:], window, self.name or "the acquisition")
        light, (_, ny, nx) = self.illumination, self.stack.shape
        y, x = np.add(light.place_um, place_of(window, (ny, nx), self.microscope))
        return replace(
            self,
            images=self.stack[:, rows, cols],
            illumination=light.at((y, x)),
            mask=None if self.mask is None else self.mask[:, rows, cols],
            checksum=None,
            normalised=True,
        )

    def fingerprint(self) -> dict:
        """What tells one acquisition from another: JSON values with a checksum of images and of optics."""
        light = self.illumination
        optics = {**self.microscope.to_dict(), "light": _checksum(light.sources_na, light.pattern)}
        if light.lamps is not None:
            optics["lamps"] = asdict(light.lamps)
        return {"images": self.checksum, "optics": optics}

    def show(self, images: Sequence[int] | None = None) -> Figure:
        """A matplotlib figure of images and of the directions of light; see ``fieldrx.plot``."""
        from fieldrx.plot import show_acquisition

        return show_acquisition(self, images)

    def __repr__(self):
        scope, shape = self.microscope, self.image_shape
        images = f"{self.n_images} images" + (f" of {times(shape)} pixels" if shape else ", absent")
        return (
            f"Acquisition({self.name or 'unnamed'}: {images}, {scope.pixel_size_um:.4g} um each; wavelength "
            f"{scope.wavelength_um:g} um, NA {scope.objective_na:g}, medium {scope.medium_index:g}; "
            f"{self.illumination.n_sources} sources, {len(self.holdout)} images held out)"
        )

    def _repr_html_(self):
        from fieldrx.plot import acquisition_html

        return acquisition_html(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write an acquisition .npz that reads back as the same acquisition.

        The images are stored normalised with background 1, masked pixels as ``mask``.
        """
        check_npz(path, "an acquisition")
        arrays = {**self.microscope.to_dict(), "holdout": self.holdout}
        arrays |= {"name": self.name, "notes": np.array(self.notes, dtype=np.str_)}
        sources, pattern = self.illumination.sources_na, self.illumination.pattern
        if np.array_equal(pattern, np.eye(len(sources))):
            arrays["illumination_na"] = sources
        else:
            arrays |= {"sources_na": sources, "pattern": pattern}
        if self.illumination.distance_um is not None:
            arrays["distance_um"] = self.illumination.distance_um
        if self.illumination.within_um is not None:
            arrays["within_um"] = self.illumination.within_um
        arrays |= self.illumination.lamp_lengths()
        if self.images is not None:
            arrays |= {"images": self.images, "background": 1.0, "checksum": self.checksum}
            arrays |= {"levelled": self.levelled, "way": self.way}
        if self.mask is not None:
            arrays["mask"] = self.mask
        save_npz(path, **arrays)


def require_images(acquisition: object, purpose: str) -> None:
    """Refuse what is no acquisition, or has no images to `purpose`, as in "fit" or "compare with".

    Raises
    ------
    InputError
    """
    advice = (
        "Acquisition.from_raw(images, illumination, microscope) makes one from arrays, "
        "read_acquisition(path) from a file"
    )
    if expect(acquisition, Acquisition, "acquisition", advice).images is None:
        raise InputError(f"the acquisition has no images to {purpose}")


def _check_optics(illumination: object, microscope: object) -> None:
    """Refuse what is no light and no microscope, and light that no medium of this index carries."""
    order = "the order is images, illumination, microscope"
    light = expect(illumination, Illumination, "illumination", order)
    light.refuse_steep(expect(microscope, Microscope, "microscope", order))


def _checksum(*arrays: np.ndarray | None) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(b"" if array is None else np.ascontiguousarray(array).data, crc)
    return crc

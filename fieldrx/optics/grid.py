"""The voxel grid, and the slices of a depth range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, lcm

import numpy as np

from fieldrx.brief import brief
from fieldrx.errors import InputError
from fieldrx.optics.checks import finite_number
from fieldrx.optics.microscope import Microscope
from fieldrx.optics.units import check_lengths

_MOST_SLICES = 100_000
_SMOOTH = (1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16)
_WIDTHS = {Fraction(a, b) for a in (1, 2, 4, 8, 16) for b in _SMOOTH}  # of a voxel, in pixels
_MOST_PIXELS = 1 << 20  # of a margin


@brief
@dataclass(frozen=True)
class Grid:
    """A regular grid of voxel centres.

    Parameters
    ----------
    shape : (int, int, int)
        Number of voxels (nz, ny, nx).
    spacing_um : (float, float, float)
        Distance of neighbours (dz, dy, dx) [um].
    origin_um : (float, float, float)
        Centre of voxel (0, 0, 0) as (z, y, x) in the frame of the images [um].
    """

    shape: tuple[int, int, int]
    spacing_um: tuple[float, float, float]
    origin_um: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self):
        shape, spacing, origin = tuple(self.shape), tuple(self.spacing_um), tuple(self.origin_um)
        if not len(shape) == len(spacing) == len(origin) == 3:
            raise InputError("a grid needs three numbers each (z, y, x) for shape, spacing and origin")
        if min(shape) < 1 or not all(0 < d < np.inf for d in spacing):
            raise InputError(
                f"grid of shape {shape} and spacing {spacing} um is empty; both must be positive"
            )
        check_lengths({"spacing_um": min(spacing)})
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "spacing_um", tuple(float(d) for d in spacing))
        object.__setattr__(self, "origin_um", tuple(float(o) for o in origin))

    @classmethod
    def for_images(
        cls,
        image_shape: tuple[int, int],
        microscope: Microscope,
        depth: Sequence[float],
        margin_um: float | None = None,
        spacing_um: float | None = None,
    ) -> Grid:
        """The grid on which images of ``image_shape`` pixels are modelled.

        It reaches `margin_um` beyond the images on every side (by default as far as light from the
        deepest slice spreads within the pupil), so that what lies outside the images but shines into
        them is part of the model, and light that an FFT wraps round ends up in the margin.  Sizes are
        rounded up to even products of 2, 3 and 5, fast FFT lengths, that are a whole number of pixels wide.

        Parameters
        ----------
        image_shape : (int, int)
        microscope : Microscope
        depth : (float, float, float)
            First and last slice centre and slice distance (z0, z1, dz) [um], both ends included.
        margin_um : float, optional
        spacing_um : float, optional
            Widest distance of voxels, y and x; the next smaller one that fits the pixels is taken
            (``pixels_of_voxel``).  The camera's pixels when not given.
        """
        from scipy.fft import next_fast_len  # here: reading a file need not wait for it

        z, (ny, nx) = slice_positions(depth), pixels_of(image_shape)
        if margin_um is None:
            margin_um = cls.margin_um(microscope, depth)
        pixel = microscope.pixel_size_um
        if not margin_um / pixel < _MOST_PIXELS:
            raise InputError(
                f"slices from {z[0]:g} to {z[-1]:g} um ask for {margin_um:.3g} um around images of pixels of "
                f"{pixel:g} um, more than a grid holds: expected slices near the focal plane"
            )
        width = Fraction(1) if spacing_um is None else pixels_of_voxel(spacing_um, pixel)
        unit = lcm(2, width.denominator)  # voxels that are a whole number of pixels wide, and even
        margin = int(np.ceil(margin_um / pixel))
        full = [
            unit * next_fast_len(ceil((int(n) + 2 * margin) / (unit * width)), real=True) for n in (ny, nx)
        ]
        before = [int(f * width - int(n)) // 2 for f, n in zip(full, (ny, nx), strict=True)]
        dz = (z[-1] - z[0]) / (len(z) - 1) if len(z) > 1 else float(depth[2])
        lateral = float(width) * pixel
        return cls((len(z), *full), (dz, lateral, lateral), (z[0], -before[0] * pixel, -before[1] * pixel))

    @staticmethod
    def margin_um(microscope: Microscope, depth: Sequence[float]) -> float:
        """How far light from the deepest slice spreads within the pupil, and twice the resolution [um].

        Parameters
        ----------
        microscope : Microscope
        depth : (float, float, float)
            Slice centres z0, z1 and their distance dz [um].
        """
        sine = min(microscope.objective_na / microscope.medium_index, 0.99)
        blur = microscope.wavelength_um / microscope.objective_na
        return float(np.abs(slice_positions(depth)).max() * sine / np.sqrt(1 - sine**2) + 2 * blur)

    def axis(self, k: int) -> np.ndarray:
        """Voxel centres along axis ``k`` (0: z, 1: y, 2: x) [um]."""
        return self.origin_um[k] + self.spacing_um[k] * np.arange(self.shape[k])

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Voxel centres along z, y and x [um]."""
        return self.axis(0), self.axis(1), self.axis(2)

    @property
    def bounds_um(self) -> np.ndarray:
        """Outer faces of the first and last voxels, shape (3, 2) [um]."""
        first = np.array(self.origin_um) - 0.5 * np.array(self.spacing_um)
        return np.stack([first, first + np.array(self.shape) * np.array(self.spacing_um)], axis=1)

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Lateral spatial frequencies (nu_y, nu_x) in numpy.fft order [cycles/um]."""
        _, ny, nx = self.shape
        return np.fft.fftfreq(ny, self.spacing_um[1]), np.fft.fftfreq(nx, self.spacing_um[2])

    def to_dict(self) -> dict:
        """Plain numbers, for files."""
        return {
            "shape": list(self.shape),
            "spacing_um": list(self.spacing_um),
            "origin_um": list(self.origin_um),
        }


def pixels_of(image_shape: Sequence[int]) -> tuple[int, int]:
    """A shape of images, checked.

    Raises
    ------
    InputError
        If it is not two positive numbers.
    """
    if np.shape(image_shape) != (2,) or not np.all(np.greater_equal(image_shape, 1)):
        raise InputError(
            f"image_shape is {f'{image_shape!r}'[:60]}; expected two numbers of pixels, (ny, nx)"
        )
    ny, nx = (int(n) for n in image_shape)
    return ny, nx


def pixels_of_voxel(spacing_um: float, pixel_um: float) -> Fraction:
    """The widest voxel up to `spacing_um`, in pixels, of which a few are as wide as some pixels.

    The pixels are a power of two, so that those of a padded plane, which are one too, are a whole number of
    voxels wide; the voxels are a product of 2, 3 and 5, so that their FFTs are fast.

    Raises
    ------
    InputError
        If the distance is no positive number, or below a sixteenth of a pixel.
    """
    spacing = finite_number(spacing_um, "the grid's spacing")
    fitting = [w for w in _WIDTHS if float(w) <= spacing / pixel_um * (1 + 1e-6)]
    if not fitting:
        raise InputError(
            f"the grid's spacing is {spacing:g} um; expected at least a sixteenth of a pixel, "
            f"{pixel_um / 16:.3g} um"
        )
    return max(fitting)


def slice_positions(depth: Sequence[float]) -> np.ndarray:
    """Slice centres of a depth range (z0, z1, dz), both ends included [um].

    The distance is adjusted to the nearest one that divides the range evenly.

    Raises
    ------
    InputError
        If these are not three numbers, the range is empty, a number is not finite, the slices are as close or
        as far apart as in another unit, or there are too many.
    """
    if isinstance(depth, str) or np.ndim(depth) != 1 or len(depth) != 3:
        count = 0 if isinstance(depth, str) else np.size(depth)
        came = f"{count} numbers, in {type(depth).__name__}" if count > 3 else f"{depth!r}"[:60]
        raise InputError(
            f"depth is {came}; expected three numbers in um: the first and the last slice and "
            "the distance between slices, such as (-10, 10, 0.25)"
        )
    z0, z1, dz = (finite_number(v, "depth") for v in depth)
    if not z1 > z0 or not dz > 0:
        raise InputError(
            f"depth range {z0:g}:{z1:g}:{dz:g} is empty; expected Z0:Z1:DZ in um with Z0 < Z1 and DZ > 0"
        )
    check_lengths({"dz_um": dz})
    if (z1 - z0) / dz > _MOST_SLICES:
        raise InputError(f"depth range {z0:g}:{z1:g}:{dz:g} has over {_MOST_SLICES} slices; use a larger DZ")
    return np.linspace(z0, z1, max(round((z1 - z0) / dz), 1) + 1)


def parse_depth(text: str) -> tuple[float, float, float]:
    """Read "Z0:Z1:DZ" [um].

    Raises
    ------
    InputError
        If the text is not three numbers or the range is empty.
    """
    try:
        z0, z1, dz = (float(part) for part in text.split(":"))
    except ValueError:
        raise InputError(f'depth "{text}" is not Z0:Z1:DZ, three numbers in um such as -10:10:0.25') from None
    slice_positions((z0, z1, dz))
    return z0, z1, dz

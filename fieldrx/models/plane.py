"""Where the camera samples the light that a model computes on a grid of its own.

The lateral grid of a model may be coarser than the camera's pixels, where the optics carry no finer detail,
or finer, where tilted light does.  A periodic plane that is as wide as the grid has the same frequencies, so
light moves from one to the other by its spectrum, exactly, and is squared and read off at the pixels.  Where
these are too wide for the field, the plane has a few points a pixel.  Pixels that integrate damp the spectrum
(`fieldrx.optics.pixels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from fieldrx.backends import module_of, of
from fieldrx.backends.fft import fft2, ifft2, rfft2
from fieldrx.errors import InputError
from fieldrx.optics import Grid, Microscope

_FEW = 16  # most voxels in which a whole number of pixels repeats


@dataclass(frozen=True)
class Plane:
    """A periodic plane of points, some of which are the images' pixels.

    Parameters
    ----------
    shape : (int, int)
        Points (ny, nx), at the same places as the grid's first voxel.
    window : (slice, slice)
        Those that are pixels; every so many points where a pixel has several.
    sides : (float, float)
        Of the sensitive part of a pixel, over the plane's; 0 for points.
    """

    shape: tuple[int, int]
    window: tuple[slice, slice]
    sides: tuple[float, float] = (0.0, 0.0)

    def at_pixels(self, spectrum: np.ndarray) -> np.ndarray:
        """Real part, as pixels see it, of what has these spectra (n, ny, nx) on a grid; may use them up."""
        size, spectrum = spectrum.shape[1:], self._integrated(spectrum)
        if size != self.shape:
            scale = prod(self.shape) / prod(size)
            spectrum = of(spectrum).resample(spectrum, self.shape, (0.0, 0.0), scale)
        return ifft2(spectrum, overwrite=True).real[(slice(None), *self.window)]

    def spectrum(self, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Sums over the pixels' values, 0 elsewhere in (n, *shape), times waves as pixels see them, for the
        frequencies of a grid of `size`: the adjoint of :meth:`at_pixels` but for a factor."""
        spectrum = fft2(values, overwrite=True)
        if size != self.shape:
            spectrum = of(spectrum).resample(spectrum, size, (0.0, 0.0), 1.0)
        return self._integrated(spectrum)

    def _integrated(self, spectrum):
        """Spectra of means over the pixels, in place."""
        for axis, side in zip((-2, -1), self.sides, strict=True):
            if side:
                n = spectrum.shape[axis]
                response = np.sinc(side * np.fft.fftfreq(n, 1 / n)).astype(spectrum.real.dtype)
                spectrum *= module_of(spectrum).asarray(response[:, None] if axis == -2 else response)
        return spectrum

    def half_spectrum(self, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Spectra, in the layout of rfft2 on a grid of `size` voxels, of values at the plane's points.

        Parameters
        ----------
        values : float, shape (n, *shape)
        size : (int, int)
            Of a grid that is as wide as the plane.

        Returns
        -------
        complex, shape (n, size[0], size[1] // 2 + 1)
            0 beyond the frequencies that both hold.
        """
        spectrum = rfft2(values)
        if size == self.shape:
            return spectrum
        rows, columns = ((min(n, m) - 1) // 2 + 1 for n, m in zip(size, self.shape, strict=True))
        out = module_of(values).zeros((len(values), size[0], size[1] // 2 + 1), spectrum.dtype)
        for part in (slice(0, rows), slice(1 - rows, None)) if rows > 1 else (slice(0, 1),):
            out[:, part, :columns] = spectrum[:, part, :columns]
        out *= prod(size) / prod(self.shape)
        return out


def voxels_of_pixels(grid: Grid, microscope: Microscope) -> tuple[Fraction, Fraction]:
    """Width of a pixel in voxels (y, x), as fractions of small numbers.

    Raises
    ------
    InputError
        If no few voxels are as wide as some pixels.
    """
    pixel = microscope.pixel_size_um
    ratios = [Fraction(pixel / d).limit_denominator(_FEW) for d in grid.spacing_um[1:]]
    for ratio, d in zip(ratios, grid.spacing_um[1:], strict=True):
        if ratio <= 0 or ratio.numerator > _FEW or abs(float(ratio) * d / pixel - 1) > 1e-4:
            raise InputError(
                f"the grid's voxels are {d:g} um wide, the camera's pixels {pixel:g}: no few of them are as "
                "wide as some pixels; use Grid.for_images, or bring a volume there by fieldrx.simulate"
            )
    return ratios[0], ratios[1]


def image_window(grid: Grid, image_shape: tuple[int, int], microscope: Microscope) -> tuple[slice, slice]:
    """The voxels of the lateral grid that the images show.

    Raises
    ------
    InputError
        If voxels and pixels do not fit, or the images reach beyond the grid.
    """
    ratios = voxels_of_pixels(grid, microscope)
    window = []
    for k, ratio, n in zip((1, 2), ratios, image_shape, strict=True):
        start = -grid.origin_um[k] / grid.spacing_um[k]
        first, end = round(start, 3), round(start + float(ratio) * (int(n) - 1), 3)
        if first < 0 or end > grid.shape[k] - 1:
            raise InputError(
                f"images of {tuple(image_shape)} pixels do not fit in a grid of {grid.shape[1:]} voxels that "
                f"starts {first:g} voxels before them; use Grid.for_images"
            )
        window.append(slice(int(np.ceil(first)), int(np.floor(end)) + 1))
    return window[0], window[1]


def plane_of(
    grid: Grid,
    size: tuple[int, int],
    image_shape: tuple[int, int],
    microscope: Microscope,
    band: float = 0.0,
) -> Plane:
    """The plane in which a field is read off.

    Parameters
    ----------
    grid : Grid
    size : (int, int)
        Voxels of the periodic area on which the field is known, the grid's or more.
    image_shape : (int, int)
    microscope : Microscope
    band : float
        Width of the field's spectrum that the plane must hold [cycles/um]; with 0 its points are the pixels.

    Raises
    ------
    InputError
        If pixel (0, 0) does not lie on a point of the plane, or the area is no whole number of pixels wide.
    """
    shape, window, sides = [], [], []
    for k, ratio, n, count in zip((1, 2), voxels_of_pixels(grid, microscope), size, image_shape, strict=True):
        finer = max(1, int(np.ceil(band * microscope.pixel_size_um - 1e-9))) if ratio > 1 else 1
        points = n / ratio * finer
        if points.denominator != 1:
            raise InputError(
                f"{n} voxels of {grid.spacing_um[k]:g} um are not a whole number of pixels of "
                f"{microscope.pixel_size_um:g} um; use Grid.for_images"
            )
        start = -grid.origin_um[k] / microscope.pixel_size_um
        if abs(start - round(start)) > 1e-3:
            raise InputError(
                f"the grid's origin {grid.origin_um[k]:g} um is not a whole number of pixels "
                f"({microscope.pixel_size_um:g} um) before the first one; use Grid.for_images"
            )
        shape.append(int(points))
        first = round(start) * finer
        window.append(slice(first, first + finer * int(count), finer))
        sides.append(microscope.pixel_fill * finer / int(points))
    return Plane((shape[0], shape[1]), (window[0], window[1]), (sides[0], sides[1]))

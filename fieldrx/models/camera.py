"""From the wave at the last slice to the field on the camera, and back.

With D the scattered envelope at the last slice, zero-padded so that nothing wraps round on its way back,

    E_s = P(nu_s) + c* F^-1[ P(nu) exp(-2 pi i [f(nu) - f(nu_s)] L) F[c D] ],

f = kz / 2 pi and L the distance from the plane in focus to the last slice.  The frequencies nu are those of
the padded grid for every source, as one aperture filters the light of all of them: the carrier
c = exp(2 pi i e . rho) holds what of nu_s lies between two of them, and the rest, m cells of the grid, only
renames them: entry k of the FFT is the wave of frequency number k + m.

The edge of the aperture may be "hard", a frequency is inside or outside, as FFT simulations of microscopes
have it; or "soft", a frequency counts with the share of its cell that is inside, which is closer to an edge
between the frequencies: for a source near the edge the two differ by ringing that reaches across the image.

Pixels that integrate see the mean of |E_s|^2 over a few points each (`fieldrx.optics.pixels`): fields that
are shifted by rho_q, for which the transfer function has the factor exp(2 pi i (nu - nu_s) . rho_q).

The pupil passes only a small part of the spectrum, so the transforms visit the rows and columns that hold
something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from fieldrx.backends import module_of, of, to_host
from fieldrx.backends.plain import PaddedFourier, carry, pixel_numbers
from fieldrx.backends.propagation import Refocusing
from fieldrx.errors import InputError
from fieldrx.models.plane import plane_of, voxels_of_pixels
from fieldrx.optics import Grid, Microscope
from fieldrx.optics.pixels import pixel_points
from fieldrx.pupil import Pupil

_KEPT_BYTES = 1 << 28  # most that transfer functions take
CENTRE = np.zeros(2)  # of a pixel


class Camera:
    """Refocusing and the pupil for waves on one lateral grid.

    Parameters
    ----------
    grid : Grid
    image_shape : (int, int)
    microscope : Microscope
    pupil : Pupil
    distance_um : float
        From the plane in focus to the last slice [um].
    edge : str
        "hard" or "soft".
    border_um : float, optional
        Width of the frame in which D fades to 0, so that the padding makes no step; half of what the grid has
        around the images when not given.
    """

    def __init__(
        self,
        grid: Grid,
        image_shape: tuple[int, int],
        microscope: Microscope,
        pupil: Pupil,
        distance_um: float,
        edge: str = "hard",
        border_um: float | None = None,
    ):
        self.grid, self.microscope, self.pupil = grid, microscope, pupil
        self.distance_um = distance_um
        ratios = voxels_of_pixels(grid, microscope)
        height, width = (_padded(*sizes) for sizes in zip(image_shape, grid.shape[1:], ratios, strict=True))
        self.shape = height, width
        cells = [1 / (n * d) for n, d in zip(self.shape, grid.spacing_um[1:], strict=True)]
        band = 2 * microscope.cutoff + 3 * max(cells)  # with those that the edge of the aperture cuts
        self.plane = plane_of(grid, self.shape, image_shape, microscope, band)
        self.window = self.plane.window
        per_point = [n / m for n, m in zip(self.shape, self.plane.shape, strict=True)]
        self.per_point = np.array(per_point)  # voxels
        self.edge, self.fade = edge, _fade(grid, self.window, per_point, border_um)
        self.cell = np.prod([n * d for n, d in zip(self.shape, grid.spacing_um[1:], strict=True)]) ** -0.5
        self.padded = PaddedFourier(self.shape, self.plane.shape, grid.shape[1:], self.window)
        self._kept: dict[bytes, tuple] = {}  # transfer functions, by source
        self.nu = [np.fft.fftfreq(n, d) for n, d in zip(self.shape, grid.spacing_um[1:], strict=True)]

    def incident(self, nu_s: np.ndarray) -> complex:
        """P(nu_s), 0 for a dark-field source."""
        if nu_s @ nu_s > self.microscope.cutoff**2:
            return 0j
        return complex(self.pupil.value(self.rho(nu_s[:, None]))[0])

    def holds(self, nu_s: np.ndarray) -> bool:
        """Whether the envelopes of a source reach all of the pupil on this grid's frequencies."""
        nyquist = 0.5 / np.array(self.grid.spacing_um[1:])
        return bool((np.abs(nu_s) + self.microscope.cutoff <= nyquist * (1 + 1e-4)).all())

    def transfer(
        self, nu_s: np.ndarray, shift: np.ndarray = CENTRE
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, complex, np.ndarray]:
        """What brings a scattered wave to the camera; kept for the next time.

        Parameters
        ----------
        nu_s : float64, shape (2,)
            Source frequency [cycles/um].
        shift : float64, shape (2,)
            From the centres of the pixels to where the field is read off, (y, x) [um].

        Returns
        -------
        rows, columns : int arrays
            Of the padded spectrum that pass.
        table : complex128, shape (len(rows), len(columns))
            The transfer function there.
        incident : complex
            P(nu_s).
        carrier : float64, shape (2,)
            Turns per voxel along y and x of the carrier c.
        """
        key = nu_s.tobytes() + shift.tobytes()
        if key not in self._kept:
            rows, columns, place, nu = self._support(nu_s)
            table = np.zeros((len(rows), len(columns)), np.complex128)
            table[place] = self._transfer(nu, nu_s, shift)
            while self._kept and (len(self._kept) + 1) * table.nbytes > _KEPT_BYTES:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = rows, columns, table, self.incident(nu_s), self._cells(nu_s)[1]
        return self._kept[key]

    def details(
        self, scattered: np.ndarray, nu_s: np.ndarray, d_field: np.ndarray, shift: np.ndarray = CENTRE
    ) -> tuple[np.ndarray, float, np.ndarray]:
        """Gradients by what the way to the camera depends on.

        Parameters
        ----------
        scattered : complex, shape (ny, nx)
            D.
        nu_s : float64, shape (2,)
            Source frequency [cycles/um].
        d_field : complex, shape of an image
            Gradient of the field on the camera.
        shift : float64, shape (2,)
            As of :meth:`transfer`.

        Returns
        -------
        float64 array of shape (2,), float, array
            Of nu_s, of `distance_um` and of the pupil's parameters.
        """
        rows, columns, place, nu = self._support(nu_s)
        turns = self._cells(nu_s)[1]
        faded = scattered * of(scattered).asarray(self.fade.astype(scattered.dtype))
        carried, d_carried = carry(faded, turns), carry(d_field, turns * self.per_point, self.window)
        spectrum = self.padded.forward(carried, rows, columns)
        d_filtered = self.padded.inverse_adjoint_spectrum(d_carried, rows, columns)
        table = of(scattered).asarray(self.transfer(nu_s, shift)[2].astype(scattered.dtype))
        wave = self.padded.inverse(table * spectrum, rows, columns)
        d_wave = self.padded.inverse_adjoint(d_carried, rows, columns, table.conj())
        there = self.per_point * _carrier_slope(d_carried, wave, self.window)
        d_turns = _carrier_slope(d_wave, carried) - there
        d_source, d_distance, d_pupil = self._details(
            nu, nu_s, shift, to_host(d_filtered)[place], to_host(spectrum)[place], complex(d_field.sum())
        )
        return d_source + d_turns * self.grid.spacing_um[1:], d_distance, d_pupil

    def _details(self, nu, nu_s, shift, d_filtered, spectrum, d_incident):
        """Gradients through the transfer function and P(nu_s); the frequencies nu stay when nu_s moves."""
        d_transfer = np.conj(spectrum) * d_filtered
        value = self._transfer(nu, nu_s, shift)
        f, f_s = self._axial(nu), self._axial(nu_s[:, None])[0]
        d_turns = (np.conj(d_transfer) * -2j * np.pi * value).real  # of (f - f_s) L - (nu - nu_s) . rho_q
        d_distance = float(d_turns @ (f - f_s))
        d_source = (self.distance_um * nu_s / f_s + shift) * d_turns.sum()
        rho = self.rho(nu)
        d_pupil = self.pupil.vjp(rho, self._inside(nu) * np.conj(self._phase(nu, nu_s, shift)) * d_transfer)
        if self.incident(nu_s):
            rho_s = self.rho(nu_s[:, None])
            d_rho = (np.conj(d_incident) * self.pupil.slope(rho_s)).real[:, 0]
            d_source = d_source + d_rho / self.radius
            d_pupil = d_pupil + self.pupil.vjp(rho_s, np.array([d_incident]))
        return d_source, d_distance, d_pupil

    @property
    def radius(self) -> float:
        """Of the pupil, NA / lambda [cycles/um]."""
        return self.microscope.objective_na / self.microscope.wavelength_um

    def rho(self, nu: np.ndarray) -> np.ndarray:
        """Places in the pupil, |rho| <= 1, of frequencies nu."""
        return nu / self.radius

    def _axial(self, nu):
        return self.microscope.axial_frequency((nu**2).sum(axis=0))

    def _phase(self, nu, nu_s, shift):
        turns = (self._axial(nu) - self._axial(nu_s[:, None])) * self.distance_um
        return np.exp(-2j * np.pi * (turns - shift @ (nu - nu_s[:, None])))

    def _transfer(self, nu, nu_s, shift):
        return self._inside(nu) * self.pupil.value(self.rho(nu)) * self._phase(nu, nu_s, shift)

    def _inside(self, nu):
        """Share of every frequency's cell within the aperture."""
        radius = np.linalg.norm(nu, axis=0)
        if self.edge == "hard":
            return (radius <= self.microscope.cutoff).astype(float)
        return np.clip(0.5 + (self.microscope.cutoff - radius) / self.cell, 0, 1)

    def _cells(self, nu_s):
        """nu_s as a whole number m of the spectrum's cells, and turns per voxel of what is left."""
        voxels = np.array(self.grid.spacing_um[1:])
        whole = np.round(nu_s * voxels * self.shape)
        return whole, nu_s * voxels - whole / self.shape

    def _support(self, nu_s):
        """Rows and columns of the padded spectrum with a wave that passes; where, and nu there."""
        radius = self.microscope.cutoff + 0.5 * self.cell
        cells, voxels = self._cells(nu_s)[0], self.grid.spacing_um[1:]
        y, x = (k + m / (n * d) for k, m, n, d in zip(self.nu, cells, self.shape, voxels, strict=True))
        rows, columns = np.flatnonzero(np.abs(y) <= radius), np.flatnonzero(np.abs(x) <= radius)
        place = np.nonzero(y[rows, None] ** 2 + x[columns] ** 2 <= radius**2)
        return rows, columns, place, np.stack([y[rows[place[0]]], x[columns[place[1]]]])


class Readings:
    """From waves at the last slice to what pixels read, and back: with the calls of a `Refocusing`, for the
    points of a pixel together.

    Parameters
    ----------
    engine : module
        Of operators.
    camera : Camera
    sources : float64, shape (n, 2)
        Frequencies [cycles/um].
    """

    def __init__(self, engine: Any, camera: Camera, sources: np.ndarray):
        self.weights, self.shifts = pixel_points(camera.microscope)
        self.parts: list[Refocusing] = [
            engine.Refocus(
                *(camera.shape, camera.plane.shape, camera.grid.shape[1:], camera.window, camera.fade),
                lambda s, shift=shift: camera.transfer(sources[s], shift),
            )
            for shift in self.shifts
        ]

    @property
    def simplest(self) -> Any:
        """The same without the list of points where there is one alone: a `Refocusing`."""
        return self if len(self.parts) > 1 else self.parts[0]

    def points(self, fields: list[np.ndarray]) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Weight, shift [um] and fields of every point of a pixel."""
        return zip(self.weights, self.shifts, fields, strict=True)

    def fields(self, waves: np.ndarray, sources: list[int]) -> list[np.ndarray]:
        """Fields on the camera at every point of the pixels."""
        return [part.fields(waves, sources) for part in self.parts]

    def intensities(self, fields: list[np.ndarray], share: np.ndarray) -> np.ndarray:
        """What the pixels read."""
        images = self.parts[0].intensities(fields[0], self.weights[0] * share)
        for part, weight, field in zip(self.parts[1:], self.weights[1:], fields[1:], strict=True):
            part.add_intensities(field, weight * share, images)
        return images

    def waves_gradient(
        self, d_images: np.ndarray, fields: list[np.ndarray], share: np.ndarray, sources: list[int]
    ) -> np.ndarray:
        """Gradient of the waves from that of the images."""
        first, *others = zip(self.parts, self.weights, fields, strict=True)

        def gradient(part, weight, field):
            return part.waves_gradient(d_images, field, weight * share, sources)

        total = gradient(*first)
        for point in others:
            total += gradient(*point)
        return total


def _carrier_slope(d_wave, wave, window=None):
    """Gradient of the carrier's turns per point, where `wave` was multiplied by it."""
    xp = module_of(wave)
    density = -2 * np.pi * (xp.conj(d_wave) * wave).imag  # Re(conj(d_wave) 2 pi i wave)
    rows, columns = (xp.asarray(k) for k in pixel_numbers(wave.shape, window))
    return np.array([float(density.sum(axis=1) @ rows), float(density.sum(axis=0) @ columns)])


def _padded(n_image: int, n_grid: int, pixel: Fraction) -> int:
    """Voxels of the refocusing grid; a pixel is `pixel` voxels wide.

    In pixels it is the power of two that holds the image twice and the grid once, whatever the voxels: the
    frequencies on which the aperture is drawn are the same.
    """
    least = max(2 * n_image, ceil(n_grid / pixel))
    return ceil(pixel * (1 << (least - 1).bit_length()))


def _fade(
    grid: Grid, window: tuple[slice, slice], per_point: Sequence[float], width_um: float | None
) -> np.ndarray:
    """1 inside, a sine's rise from 0 over the frame at the edge."""
    ramps = []
    for w, n, d, r in zip(window, grid.shape[1:], grid.spacing_um[1:], per_point, strict=True):
        width = 0.5 * d * min(r * w.start, n - r * w.stop) if width_um is None else float(width_um)
        if not (np.isfinite(width) and width >= 0):
            raise InputError(f"border_um is {width_um}; expected a width of 0 or more")
        inside = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5) * d
        ramps.append(np.sin(0.5 * np.pi * np.clip(inside / max(width, 1e-12), 0, 1)) ** 2)
    return ramps[0][:, None] * ramps[1]

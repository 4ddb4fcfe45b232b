"""What the classes of a backend must offer: waves through slices, and on to the camera; see `operators`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

MOST_STORED = 2 << 30  # bytes of waves that a march keeps by itself for the way back, memory "auto"


class March(Protocol):
    """Waves from some sources through slices, and the gradient back.

    Waves are envelopes: the incident wave exp(2 pi i nu_s . rho + i kz(nu_s) z) is divided out, so an empty
    sample leaves 1.  The equations and their sources stand in `fieldrx.models.bpm`, `mlb` and `ssnp`.

    Parameters
    ----------
    nu_y, nu_x : float64 host arrays, shapes (ny,), (nx,)
        Frequencies in numpy.fft order [cycles/um].
    sources : float64 host array, shape (n, 2)
        nu_s of sources that march together, at most 16 [cycles/um].
    ball : float
        n0 / lambda [cycles/um].
    gaps : float64 host array, shape (nz - 1,)
        Distances of neighbouring slices [um].
    """

    _seen: tuple  # the last camera, fields on it, sources and their shares

    def __init__(
        self, nu_y: np.ndarray, nu_x: np.ndarray, sources: np.ndarray, ball: float, gaps: np.ndarray
    ): ...

    @abstractmethod
    def forward(self, slices: np.ndarray, memory: str | None = "store") -> np.ndarray:
        """The waves at the last slice.

        Parameters
        ----------
        slices : complex, shape (nz, ny, nx)
            What the slices do to the wave [rad].
        memory : str, optional
            What is kept for :meth:`backward`: "store" every slice's wave; "recompute" so few that the
            others are computed once more; "auto" stores up to 2 GiB; None keeps nothing.

        Returns
        -------
        complex, shape (n, ny, nx)
        """

    @abstractmethod
    def backward(self, d_wave: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The way back of the last :meth:`forward`, gradients as d/dRe + i d/dIm.

        Parameters
        ----------
        d_wave : complex, shape (n, ny, nx)
            Gradient of the waves at the last slice.

        Returns
        -------
        complex, shape (nz, ny, nx)
            Gradient of the slices.
        float64, shape (n, 2), or None
            That of the source frequencies, which the plain engine alone knows.
        """

    def to_images(
        self,
        slices: np.ndarray,
        memory: str | None,
        camera: Any,
        sources: list[int],
        share: np.ndarray,
    ) -> np.ndarray:
        """What the camera sees of the sources through slices.

        Parameters
        ----------
        slices, memory
            As of :meth:`forward`.
        camera : Refocusing
            Of the same backend; or what has its calls.
        sources : list of int
            Numbers of the march's sources, as the camera takes them.
        share : float64 host array, shape (n_images, n)
            Of every source in every image.

        Returns
        -------
        float, shape (n_images, iy, ix)
        """
        fields = camera.fields(self.forward(slices, memory), sources)
        self._seen = camera, fields, share, sources
        return camera.intensities(fields, share)

    def from_images(self, d_images: np.ndarray) -> np.ndarray:
        """The way back of the last :meth:`to_images`.

        Parameters
        ----------
        d_images : float, shape (n_images, iy, ix)
            Gradient of the images.

        Returns
        -------
        complex, shape (nz, ny, nx)
            Gradient of the slices.
        """
        camera, fields, share, sources = self._seen
        return self.backward(camera.waves_gradient(d_images, fields, share, sources))[0]


class Refocusing(Protocol):
    """From the waves at the last slice to fields on the camera and intensities, and back.

    The equation stands in `fieldrx.models.camera`.

    Parameters
    ----------
    shape : (int, int)
        (py, px) of the padded grid in which the waves travel to the camera.
    plane : (int, int)
        (qy, qx) of a plane as wide as that, with points of its own, in which the fields are read off.
    size : (int, int)
        (ny, nx) of the waves.
    window : (slice, slice)
        Where the images, (iy, ix), lie in the plane; every so many points where they have steps.
    fade : float64 host array, shape (ny, nx)
        Factor of the scattered wave.
    transfer : callable
        Gives for the number of a source, on the host, the rows and columns of the padded spectrum that pass,
        the complex transfer function there, the incident wave P(nu_s) on the camera, and the turns per point
        of the grid (y, x) of the carrier by which the wave is multiplied on its way there.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        plane: tuple[int, int],
        size: tuple[int, int],
        window: tuple[slice, slice],
        fade: np.ndarray,
        transfer: Callable[[int], tuple],
    ): ...

    @abstractmethod
    def fields(self, waves: np.ndarray, sources: list[int]) -> np.ndarray:
        """Fields on the camera.

        Parameters
        ----------
        waves : complex, shape (n, ny, nx)
        sources : list of int
            Their n numbers, as `transfer` takes them.

        Returns
        -------
        complex, shape (n, iy, ix)
        """

    @abstractmethod
    def add_intensities(self, fields: np.ndarray, share: np.ndarray, images: np.ndarray) -> None:
        """Add ``sum_n share[m, n] |fields[n]|^2`` to ``images[m]``.

        Parameters
        ----------
        fields : complex, shape (n, iy, ix)
        share : float64 host array, shape (n_images, n)
        images : float, shape (n_images, iy, ix)
            Added to in place.
        """

    def intensities(self, fields: np.ndarray, share: np.ndarray) -> np.ndarray:
        """``sum_n share[m, n] |fields[n]|^2``.

        Parameters
        ----------
        fields, share
            As of :meth:`add_intensities`.

        Returns
        -------
        float, shape (n_images, iy, ix)
        """
        from fieldrx.backends import module_of  # here: the package needs this module first

        images = module_of(fields).zeros((len(share), *fields.shape[1:]), fields.real.dtype)
        self.add_intensities(fields, share, images)
        return images

    @abstractmethod
    def waves_gradient(
        self, d_images: np.ndarray, fields: np.ndarray, share: np.ndarray, sources: list[int]
    ) -> np.ndarray:
        """Gradient of the waves from that of the images, as d/dRe + i d/dIm.

        Parameters
        ----------
        d_images : float, shape (n_images, iy, ix)
        fields, share, sources
            As of :meth:`fields` and :meth:`add_intensities`.

        Returns
        -------
        complex, shape (n, ny, nx)
        """

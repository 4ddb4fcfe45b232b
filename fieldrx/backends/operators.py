"""What every backend must offer: `fieldrx.backends.cpu` and `fieldrx.backends.cuda` are such `Operators`.

Arrays are those of the backend's device, NumPy's or CuPy's; what is small and given as a host array to every
backend says so.  An operator of `cpu` computes the same as its namesake of `cuda`, to the rounding of its
precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fieldrx.backends.propagation import March, Refocusing


class Operators(Protocol):
    """The names that a backend module offers, with their parameters.

    An `encoding` is one of `fieldrx.field.encodings`, a `network` a `fieldrx.field.network.Network`; their
    parameters are one flat float32 vector, those of the encoding first.  `precision` is "half" or "float32",
    or None for the backend's own choice (see :meth:`choose_precision`).
    """

    Bpm: type[March]  # beam propagation: slices are phases k0 dz delta [rad]
    Mlb: type[March]  # multi-layer Born: slices are dz V / k [rad], with k = 2 pi ball
    Ssnp: type[March]  # split-step non-paraxial: slices as of Mlb
    Refocus: type[Refocusing]

    # ---- the device ------------------------------------------------------------------------------

    def asarray(self, array: Any) -> np.ndarray:
        """An array on the backend's device; copied only if it lives elsewhere."""

    def device_name(self) -> str:
        """The device in words: "2 threads" or "NVIDIA H100 80GB HBM3, 79 GiB"."""

    def memory_limit(self) -> tuple[float | None, str]:
        """Bytes that a job may take there, None where nothing tells, and what limits them in words."""

    # ---- a field -----------------------------------------------------------------------------------

    def choose_precision(self, encoding: Any, network: Any, precision: str | None = None) -> str:
        """The precision in which a network is computed, forward and back.

        Parameters
        ----------
        encoding, network
        precision : str, optional
            "half": operands of matrix products are halves, sums are floats; "float32".  None lets the
            backend choose: what is fastest and good enough for the network.

        Raises
        ------
        InputError
            If the backend does not have the one asked for, or the device no room for such a network.
        """

    def field_forward(
        self,
        encoding: Any,
        network: Any,
        params: np.ndarray,
        zyx_points: np.ndarray,
        gain: np.ndarray | None = None,
        out: np.ndarray | None = None,
        *,
        precision: str | None = None,
    ) -> np.ndarray:
        """Value of the field at scattered points.

        Parameters
        ----------
        encoding, network
        params : float32, shape (encoding.n_params + network.n_params,)
        zyx_points : shape (n, 3)
            Normalised (z, y, x), -1 to 1 in the domain; for `Identity`, the features, (n, n_features).
        gain : shape (n_features,), optional
            Factor of every feature.
        out : float32, shape (n, n_outputs), C-contiguous, optional
            Filled and returned.
        precision : str, optional

        Returns
        -------
        float32, shape (n, n_outputs)

        Raises
        ------
        InputError
            If shapes disagree, or the precision is not the backend's.
        """

    def field_backward(
        self,
        encoding: Any,
        network: Any,
        params: np.ndarray,
        zyx_points: np.ndarray,
        d_out: np.ndarray,
        gain: np.ndarray | None = None,
        out: np.ndarray | None = None,
        *,
        precision: str | None = None,
    ) -> np.ndarray:
        """Gradient of sum(d_out * field) with respect to all parameters.

        Parameters
        ----------
        encoding, network, params, zyx_points, gain, precision
            As of :meth:`field_forward`, which also says what is raised.
        d_out : shape (n, n_outputs)
        out : float32, shape (n, n_outputs), C-contiguous, optional
            Filled with the value of the field, at no extra cost.

        Returns
        -------
        float32, shape (encoding.n_params + network.n_params,)
        """

    def grid_forward(
        self,
        encoding: Any,
        network: Any,
        params: np.ndarray,
        z: np.ndarray,
        y: np.ndarray,
        x: np.ndarray,
        gain: np.ndarray | None = None,
        *,
        precision: str | None = None,
    ) -> np.ndarray:
        """Value of the field on the grid of three axes.

        Parameters
        ----------
        encoding, network, params, gain, precision
            As of :meth:`field_forward`, which also says what is raised; not for `Identity`.
        z, y, x : shapes (nz,), (ny,), (nx,)
            Normalised coordinates, evenly spaced or not.

        Returns
        -------
        float32, shape (n_outputs, nz, ny, nx)
        """

    def grid_backward(
        self,
        encoding: Any,
        network: Any,
        params: np.ndarray,
        z: np.ndarray,
        y: np.ndarray,
        x: np.ndarray,
        d_out: np.ndarray,
        gain: np.ndarray | None = None,
        out: np.ndarray | None = None,
        *,
        precision: str | None = None,
    ) -> np.ndarray:
        """Gradient of sum(d_out * field on the grid) with respect to all parameters.

        Parameters
        ----------
        encoding, network, params, z, y, x, gain, precision
            As of :meth:`grid_forward`.
        d_out : shape (n_outputs, nz, ny, nx)
        out : float32, shape (n_outputs, nz, ny, nx), C-contiguous, optional
            Filled with the value of the field, at no extra cost.

        Returns
        -------
        float32, shape (encoding.n_params + network.n_params,)
        """

    def encode(self, encoding: Any, params: np.ndarray, zyx_points: np.ndarray) -> np.ndarray:
        """Features of scattered points, for tests and inspection.

        Parameters
        ----------
        encoding
        params : float32, shape (encoding.n_params,)
        zyx_points : shape (n, 3)
            As of :meth:`field_forward`.

        Returns
        -------
        float32, shape (n, encoding.n_features)
        """

    # ---- a fit -------------------------------------------------------------------------------------

    def adam_step(
        self,
        params: np.ndarray,
        grad: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        step: int,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        """One step of Adam (Kingma & Ba, ICLR 2015), in place; give slices for several rates.

        m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2,
        params -= lr m' / (sqrt(v') + eps),  m' = m / (1 - beta1^step),  v' = v / (1 - beta2^step).

        Parameters
        ----------
        params, m, v : float32, shape (n,), contiguous
            Parameters and running moments, overwritten; the moments start at zero.
        grad : float32, shape (n,), contiguous
        step : int
            1 for the first step.
        lr : float
            Step size.
        beta1, beta2 : float
            Memory of the gradient and of its square, 0 to below 1.
        eps : float
        """

    def squared_error(
        self, predicted: np.ndarray, measured: np.ndarray, valid: np.ndarray, scale: float
    ) -> tuple[np.ndarray | float, np.ndarray]:
        """``scale * sum |predicted - measured|^2`` over valid elements, and its gradient.

        Parameters
        ----------
        predicted, measured : float arrays of one shape
        valid : bool array of that shape
        scale : float

        Returns
        -------
        float, or float64 array of shape () on the device
            A step need not wait for it.
        float array of that shape
            With respect to `predicted`.
        """

    def measured(
        self, images: np.ndarray, mask: np.ndarray | None, numbers: np.ndarray | Sequence[int], level: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Some images less a level, and where they are known: finite and not masked.

        Parameters
        ----------
        images : float32, shape (n, ny, nx)
        mask : bool, shape (n, ny, nx), optional
            Pixels that count; all when not given.
        numbers : int host array, shape (m,)
        level : float
            Taken off; unknown pixels are those of an image of ones.

        Returns
        -------
        float32, shape (m, ny, nx)
        bool, shape (m, ny, nx)
        """

    def regularise(
        self,
        u: np.ndarray,
        weights_zyx: Sequence[float] | np.ndarray,
        eps: float,
        tv: float,
        negative: float,
        positive: float,
        grad: np.ndarray,
        value: np.ndarray | float | None = None,
    ) -> np.ndarray | float:
        """What is known of a volume, in one pass: smoothness with edges, and its sign.

        ``tv sum_i (sqrt(|D u|_i^2 + eps^2) - eps)``, where D are forward differences times `weights_zyx`, 0
        at the far border, and ``negative sum_i min(u_i, 0)^2 + positive sum_i max(u_i, 0)^2``.

        Parameters
        ----------
        u : float32, shape (nz, ny, nx)
        weights_zyx : (float, float, float)
        eps : float
            Differences well below it are penalised quadratically.
        tv, negative, positive : float
            Factors of the smoothed total variation and of the squares.
        grad : float32, shape (nz, ny, nx), C-contiguous
            The gradient is added to it.
        value : float, or float64 array of shape () on the device, optional
            What another volume gave, to which this one's is added; an array in place.

        Returns
        -------
        float, or float64 array of shape () on the device
        """

    # ---- a volume ----------------------------------------------------------------------------------

    def to_contrast(self, outputs: np.ndarray, scale: float) -> np.ndarray:
        """A network's outputs as a contrast, ``scale (outputs[0] + i outputs[1])``.

        Parameters
        ----------
        outputs : float32, shape (1 or 2, ...)
        scale : float

        Returns
        -------
        complex64, shape (...)
        """

    def to_outputs(self, gradient: np.ndarray, n_outputs: int, scale: float) -> np.ndarray:
        """The adjoint of :meth:`to_contrast`: real and imaginary part of a gradient, times a number.

        Parameters
        ----------
        gradient : complex64, shape (...)
        n_outputs : int
            1 leaves the imaginary part out.
        scale : float

        Returns
        -------
        float32, shape (n_outputs, ...)
        """

    def potential(self, contrast: np.ndarray, n0: float, factors: np.ndarray) -> np.ndarray:
        """Slices of a scattering potential, ``factors[z] (2 n0 + contrast[z]) contrast[z]``.

        Parameters
        ----------
        contrast : complex, shape (nz, ny, nx)
            n - n0.
        n0 : float
        factors : float64 host array, shape (nz,)

        Returns
        -------
        complex, shape (nz, ny, nx)
            Of the precision of `contrast`.
        """

    def potential_vjp(
        self, contrast: np.ndarray, d_slices: np.ndarray, n0: float, factors: np.ndarray
    ) -> np.ndarray:
        """The way back: ``2 factors[z] conj(n0 + contrast[z]) d_slices[z]``, as d/dRe + i d/dIm.

        Parameters
        ----------
        contrast, n0, factors
            As of :meth:`potential`.
        d_slices : complex, shape (nz, ny, nx)
            Gradient of the slices.

        Returns
        -------
        complex, shape (nz, ny, nx)
            Gradient of the contrast.
        """

    def resample(
        self,
        spectrum: np.ndarray,
        shape: tuple[int, int],
        turns: tuple[float, float],
        scale: float,
    ) -> np.ndarray:
        """Move the frequencies that two lateral grids share from one to the other, with a linear phase.

        ``out[z, k] = scale exp(2 pi i (k_y turns_y + k_x turns_x)) spectrum[z, k]`` for integer frequencies k
        below the Nyquist frequency of the coarser grid, 0 for others.

        Parameters
        ----------
        spectrum : complex, shape (nz, ny, nx)
            In the order of numpy.fft.
        shape : (int, int)
            Lateral shape of the result.
        turns : (float, float)
            Along y and x.
        scale : float

        Returns
        -------
        complex, shape (nz, *shape)
        """

    # ---- single scattering ---------------------------------------------------------------------------

    def born_forward(
        self,
        spectrum: np.ndarray,
        nu_y: np.ndarray,
        nu_x: np.ndarray,
        sources: np.ndarray,
        starts: np.ndarray,
        index: np.ndarray,
        weight: np.ndarray,
        ball: float,
        cutoff: float,
        z_first: float,
        dz: float,
        out: np.ndarray,
    ) -> None:
        """Scattered field of every image: ``out[m] = sum_s w_ms sum_z A_s(nu, z) spectrum[z]``.

        A(nu, z) = i / (2 kz(nu + nu_s)) P(nu + nu_s) exp(-i [kz(nu + nu_s) - kz(nu_s)] z), the transfer of
        Ling et al., Biomed. Opt. Express 9, 2130 (2018); see `fieldrx.models.born`.

        Parameters
        ----------
        spectrum : complex, shape (nz, ny, nx)
            Lateral Fourier transform of the slices.
        nu_y, nu_x : float64 host arrays, shapes (ny,), (nx,)
            Frequencies in numpy.fft order [cycles/um].
        sources : float64 host array, shape (n_sources, 2)
            nu_s [cycles/um].
        starts, index, weight : int64 (n_images + 1,), int64 (nnz,), float64 (nnz,), on the host
            Sources of image m: ``index[starts[m]:starts[m + 1]]``, and their weights.
        ball, cutoff : float
            n0 / lambda and NA / lambda [cycles/um].
        z_first, dz : float
            Height of the first slice and distance of the slices [um].
        out : complex, shape (n_images, ny, nx)
            Overwritten; of the precision of `spectrum`.
        """

    def born_adjoint(
        self,
        residual: np.ndarray,
        nu_y: np.ndarray,
        nu_x: np.ndarray,
        sources: np.ndarray,
        starts: np.ndarray,
        index: np.ndarray,
        weight: np.ndarray,
        ball: float,
        cutoff: float,
        z_first: float,
        dz: float,
        out: np.ndarray,
    ) -> None:
        """Adjoint of :meth:`born_forward`: ``out[z] = sum_ms w_ms conj(A_s(nu, z)) residual[m]``.

        Parameters
        ----------
        residual : complex, shape (n_images, ny, nx)
        nu_y, nu_x, sources, starts, index, weight, ball, cutoff, z_first, dz
            As of :meth:`born_forward`.
        out : complex, shape (nz, ny, nx)
            Overwritten; of the precision of `residual`.
        """

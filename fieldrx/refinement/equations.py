"""Normal equations of a correction, from which the best changes of the sample are eliminated.

See `fieldrx.refinement` for the formula.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends.fft import taper
from fieldrx.comparison import MeasuredImages
from fieldrx.models import model_class
from fieldrx.models.corrections import Optics
from fieldrx.models.plane import plane_of
from fieldrx.refinement.jacobian import Jacobian
from fieldrx.refinement.layout import WIDTH
from fieldrx.tikhonov import choose, passband, transfer_matrix

_BATCH = 16
_CLEAR = 2.0  # frequency steps from the edge of a pupil within which a spectrum is not looked at
_FREQUENCIES, _BLOCK = 20000, 512  # looked at, at most, and at once
_FEWEST = 8  # blocks, from which their scatter is looked at


class NormalEquations:
    """J^H P J and J^H P r of a fit's images to learn from.

    Parameters
    ----------
    jacobian : Jacobian
    measured : MeasuredImages
        All images of the acquisition, on the host.
    """

    def __init__(self, jacobian: Jacobian, measured: MeasuredImages):
        self.jacobian, self.measured = jacobian, measured
        self.layout, self.acquisition, self.grid = jacobian.layout, jacobian.acquisition, jacobian.grid
        self.train = jacobian.layout.train
        self._taper = taper(self.acquisition.stack.shape[1:])
        self._chosen: tuple | None = None

    def at(self, optics: Optics, contrast: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The equations at some optics and a contrast.

        Parameters
        ----------
        optics : Optics
        contrast : complex array, shape ``grid.shape``

        Returns
        -------
        float64 array, shape (n, n)
            J^H P J, for the n numbers of the layout.
        float64 array, shape (n,)
            J^H P r.
        float
            Variance of the residual per independent number, raised where that is not white noise.
        """
        linear = self._single_scattering(optics)
        rows, cols, tau = self._frequencies()
        residual, columns, places, spread = self._spectra(optics, contrast, rows, cols)
        clear = self._clear(optics, rows, cols)
        residual, columns = residual * clear, columns * clear[:, None]
        twice = (cols > 0) & (2 * cols != self.grid.shape[2])  # stand for their mirror images as well
        n, (count, width) = len(self.layout.width), places.shape
        parts, squares, free = [], 0.0, 0.0
        for first in range(0, len(rows), _BLOCK):
            block = slice(first, first + _BLOCK)
            h = transfer_matrix(linear, rows[block], cols[block], self.train) * clear.T[block][..., None]
            left = tau * np.linalg.inv(h @ h.conj().swapaxes(1, 2) + tau * np.eye(count, dtype=np.float32))
            left *= np.where(twice[block], 2, 1)[:, None, None]
            j, r = columns[..., block].conj(), residual[:, block]
            rest = np.einsum("fmn,nf->mf", left, r)
            squares += float(np.vdot(r, rest).real)
            free += float((np.diagonal(left, axis1=1, axis2=2).real * clear.T[block]).sum())
            normal, right = np.zeros((n + 1, n + 1)), np.zeros(n + 1)
            np.add.at(right, places, np.einsum("maf,mf->ma", j, rest).real)
            left = left.transpose(1, 0, 2)
            for b in range(width):
                product = (j @ (left * columns[:, b, block].T)).real  # (image, column, other image)
                np.add.at(normal, (places[:, :, None], places[None, None, :, b]), product)
            parts.append((normal[:n, :n], right[:n]))
        v = max(spread * squares / max(free, 1e-30), 1e-30)
        normal, right = (np.asarray(sum(part)) for part in zip(*parts, strict=True))
        return normal, right, v * self._structure(parts, normal, right, v) ** 2

    def _structure(self, parts, normal, right, v):
        """How far the residual is from white noise of variance v; at least 1.

        What a field does not explain yet has structure: the scores J^H P r / v of different blocks of
        frequencies scatter more than their curvature says (White, Econometrica 50, 1 (1982)), for that kind
        of parameters most that resembles it.  Such a residual also biases the step, by about as much, hence
        the square where this is used.
        """
        if len(parts) < _FEWEST:
            return 1.0
        best = np.linalg.solve(normal / v + 1e-6 * np.diag(1 / self.layout.width**2), right / v)
        scores = np.stack([(r - h @ best) / v for h, r in parts])
        excess = (scores**2).sum(axis=0) * len(parts) / (len(parts) - 1) / (np.diag(normal) / v)
        return max(1.0, *(float(excess[part].mean()) for part in self.layout.parts.values()))

    def _clear(self, optics, rows, cols):
        """Where the spectrum of an image (image, frequency) is clear of the edges of its pupils: what these
        let through jumps while directions move."""
        scope, clear = self.acquisition.microscope, np.ones((len(self.train), len(rows)), bool)
        nu = np.stack([nu[k] for nu, k in zip(self.grid.frequencies(), (rows, cols), strict=True)], axis=1)
        steps = [1 / (n * d) for n, d in zip(self.grid.shape[1:], self.grid.spacing_um[1:], strict=True)]
        margin = 2 * WIDTH["illumination"] / scope.wavelength_um + _CLEAR * max(steps)
        for k, m in enumerate(self.train):
            for source in optics.sources_na[self.acquisition.illumination.pattern[m] > 0]:
                for sign in (1, -1):
                    reach = np.linalg.norm(nu + sign * source / scope.wavelength_um, axis=1)
                    clear[k] &= np.abs(reach - scope.cutoff) > margin
        return clear | ((rows == 0) & (cols == 0))  # the mean, which every source in the pupil lets through

    def _single_scattering(self, optics):
        """The model of single scattering with these optics, which says what a changed sample can explain."""
        acq, name = self.acquisition, self.jacobian.name
        name = name if model_class(name).linear else "rytov"
        return optics.model(name, self.grid, acq.microscope, acq.illumination, acq.image_shape)

    def _frequencies(self):
        """Rows and columns of the frequencies looked at, and tau: chosen once, by the optics at the start."""
        if self._chosen is None:
            linear = self._single_scattering(self.layout.start)
            signal = linear.signal(self.acquisition.stack[self.train])
            rows, cols = passband(linear, self.train)
            spectrum = self._spectrum(np.where(np.isfinite(signal), signal, 0))
            peak, best = choose(linear, spectrum, self.train, rows, cols)
            if len(rows) > _FREQUENCIES:
                some = np.sort(np.random.default_rng(0).permutation(len(rows))[:_FREQUENCIES])
                rows, cols = rows[some], cols[some]
            self._chosen = rows, cols, np.float32(peak * best)
        return self._chosen

    def _spectrum(self, images):
        """Of images that fade to 0 at their borders, on the grid: no cut edge spreads over it."""
        size = self.grid.shape[1:]
        pixels = plane_of(self.grid, size, images.shape[1:], self.acquisition.microscope)
        padded = np.zeros((len(images), *pixels.shape), np.float32)
        padded[(slice(None), *pixels.window)] = images * self._taper
        return pixels.half_spectrum(padded, size)

    def _spectra(self, optics, contrast, rows, cols):
        """Spectra of the residuals (image, frequency), of the columns (image, column, frequency), the
        columns' places in the row of parameters (image, column), one beyond its end where there is none, and
        how many of the residuals' numbers stand for an independent one: the grid over the area that the
        residual covers (for noise, whose fourth moment is three squared variances, that of the taper)."""
        model, out, moments = self.jacobian.model(optics), [], np.zeros(2)
        for first in range(0, len(self.train), _BATCH):
            batch = self.train[first : first + _BATCH]
            for m, predicted, own in self.jacobian.images(model, optics, contrast, batch):
                valid, residual = self._residual(model, m, predicted)
                stack = np.stack([residual, *(c for _, c in own)]) * valid
                moments += [((self._taper * stack[0]) ** k).sum() for k in (2, 4)]
                spectrum = self._spectrum(stack)[:, rows, cols]
                out.append((spectrum, [place for place, _ in own]))
        width = max(len(p) for _, p in out)
        places = np.full((len(out), width), len(self.layout.width))
        columns = np.zeros((len(out), width, len(rows)), np.complex64)
        for k, (spectrum, p) in enumerate(out):
            places[k, : len(p)], columns[k, : len(p)] = p, spectrum[1:]
        numbers = np.prod(self.grid.shape[1:]) * len(out)
        spread = numbers * moments[1] / (3 * max(moments[0], 1e-30) ** 2)
        return np.stack([spectrum[0] for spectrum, _ in out]), columns, places, spread

    def _residual(self, model, m, predicted):
        """Valid pixels of image m, and measured less predicted signal, 0 elsewhere."""
        defined = np.isfinite(model.signal(self.measured.images[m]))
        pairs = self.measured.beside(model.intensity(predicted)[None], np.array([m]), defined[None])
        valid = defined if pairs.valid is None else pairs.valid[0]
        return valid, np.where(valid, model.signal(pairs.measured[0]) - predicted, 0)

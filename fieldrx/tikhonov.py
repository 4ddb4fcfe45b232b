"""Closed-form inversion of the linear model: the fast first answer, and the starting point of a fit.

At every lateral frequency the images' spectra b (one number an image) depend linearly on the spectra x
of index contrast and absorption (one number each a slice), ``b = H x``, and

    x = argmin |H x - b|^2 + tau |x|^2 = H^H (H H^H + tau)^-1 b = (H^H H + tau)^-1 H^H b,

whichever matrix is smaller (Tikhonov; for intensity diffraction tomography Ling et al., Biomed. Opt.
Express 9, 2130 (2018), here with all slices coupled).  H is built from the model's transfer functions
for a block of frequencies at a time, so memory is that of the images plus the volume.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fieldrx.backends import is_on_device, module_of, of, to_host
from fieldrx.backends.fft import irfft2
from fieldrx.errors import InputError
from fieldrx.parallel import world
from fieldrx.resources import Need

if TYPE_CHECKING:
    from fieldrx.models import Born
    from fieldrx.models.plane import Plane

_BLOCK, _DEVICE_BYTES = 128, 1 << 28  # frequencies solved at once, or bytes of their matrices on a GPU
_DEVICE_ORDER = 256  # of the largest matrices that CuPy solves in stacks; larger ones it takes one by one
_TRIALS = 10.0 ** np.arange(-4.0, 0.6, 0.5)  # regularisations tried, relative to the strongest frequency
_SAMPLE = 384  # frequencies on which they are tried
_FOLDS = 4


def tikhonov_need(n_images: int, shape: tuple[int, int, int]) -> Need:
    """Memory of the closed form: padded images, their spectra, and those of a volume of `shape`."""
    pixels = float(shape[1] * shape[2])
    return Need("closed form", peak=12 * pixels * n_images + 16 * pixels * shape[0])


def tikhonov(
    model: Born,
    signal: np.ndarray,
    images: np.ndarray | None = None,
    regularisation: float | None = None,
    progress: Callable[[float], object] | None = None,
    least: float = 0.0,
) -> tuple[np.ndarray, float]:
    """Invert the linear model in closed form.

    Parameters
    ----------
    model : Born or Rytov
    signal : array, shape (n, ny, nx)
        I - 1 for Born, log I for Rytov, on the measured window.
    images : array of int, optional
        Rows of the illumination's pattern the images belong to; all when not given.
    regularisation : float, optional
        tau over the largest mean squared row norm of H.  By default chosen by cross-validation: images
        are predicted from the others on a sample of frequencies.
    progress : callable, optional
        Called with the share done, 0 to 1.
    least : float
        Of the regularisation, where it is chosen.

    Returns
    -------
    contrast : complex64 array, shape ``model.grid.shape``
        On the device of the signal.
    regularisation : float
        The one used.

    Raises
    ------
    InputError
        If the number of images does not fit.
    """
    images = np.arange(model.illumination.n_images) if images is None else np.asarray(images)
    if len(signal) != len(images):
        raise InputError(f"signal has {len(signal)} images; expected {len(images)}, one per chosen image")
    xp = module_of(signal)
    spectrum = model.pixels.half_spectrum(extend(signal, model.pixels), model.grid.shape[1:])
    rows, columns = map(xp.asarray, passband(model, images))
    peak, best = world().agree(choose(model, spectrum, images, rows, columns, regularisation))
    best = max(best, least) if regularisation is None else best
    nz = model.grid.shape[0]
    index = xp.zeros((nz, *spectrum.shape[1:]), np.complex64)
    absorption = xp.zeros_like(index)
    block = max(_BLOCK, _DEVICE_BYTES // (16 * nz * len(images)) if is_on_device(signal) else 0)
    ranks = world()  # which share the blocks: of a round one each
    for begun in range(0, len(rows), block * ranks.size):
        first = begun + block * ranks.rank
        r, c = rows[first : first + block], columns[first : first + block]
        if len(r):
            h = transfer_matrix(model, r, c, images)
            x = _solve(h, spectrum[:, r, c].T[..., None], best * peak)[..., 0].T
            index[:, r, c], absorption[:, r, c] = x[:nz], x[nz:]
        if progress:
            progress(min(begun + block * ranks.size, len(rows)) / len(rows))
    index, absorption = ranks.sum(index), ranks.sum(absorption)
    shape = model.grid.shape[1:]
    contrast = xp.empty(model.grid.shape, np.complex64)
    contrast.real = irfft2(index, shape)
    contrast.imag = irfft2(absorption, shape)
    return contrast, best


def extend(signal: np.ndarray, pixels: Plane) -> np.ndarray:
    """The images on a plane of pixels, continued by reflection that fades to 0 at the border."""
    (y, x), (ny, nx) = pixels.window, pixels.shape
    before, after = (y.start, x.start), (ny - y.stop, nx - x.stop)
    n, m = signal.shape[1:]
    pads = [(min(b, size - 1), min(a, size - 1)) for b, a, size in zip(before, after, (n, m), strict=True)]
    xp = module_of(signal)
    out = xp.zeros((len(signal), ny, nx), np.float32)
    inner = tuple(slice(w.start - p[0], w.stop + p[1]) for w, p in zip((y, x), pads, strict=True))
    out[(slice(None), *inner)] = xp.pad(signal, ((0, 0), *pads), mode="reflect")
    for k, (pad, size) in enumerate(zip(pads, (n, m), strict=True)):
        rise = [0.5 - 0.5 * np.cos(np.pi * (np.arange(p) + 0.5) / max(p, 1)) for p in pad]
        window = np.concatenate([rise[0], np.ones(size), rise[1][::-1]]).astype(np.float32)
        shape = (-1, 1) if k == 0 else (1, -1)
        out[(slice(None), *inner)] *= xp.asarray(window.reshape(shape))
    return out


def passband(model: Born, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers, in rfft2 layout, of the frequencies that the optics transfer."""
    nu_y, nu_x = model.grid.frequencies()
    half = np.abs(nu_x[: len(nu_x) // 2 + 1])
    used = model.illumination.pattern[images].any(axis=0) & model.illumination.bright(model.microscope)
    steepest = np.linalg.norm(model.illumination.sources_na[used], axis=1).max()
    reach = model.microscope.cutoff + steepest / model.microscope.wavelength_um
    rows, columns = np.nonzero(nu_y[:, None] ** 2 + half[None, :] ** 2 <= reach**2)
    return rows, columns


def transfer_matrix(model: Born, rows: np.ndarray, columns: np.ndarray, images: np.ndarray) -> np.ndarray:
    """H at the given frequencies, shape (n, n_images, 2 nz)."""
    xp = module_of(rows)
    nu_y, nu_x = map(xp.asarray, model.grid.frequencies())
    return xp.concatenate(model.transfer(nu_y[rows], nu_x[columns], images), axis=2)


def _solve(h, b, tau):
    """Minimiser of |h x - b|^2 + tau |x|^2 for a stack of systems."""
    hh = h.conj().swapaxes(1, 2)
    wide = h.shape[1] <= h.shape[2]
    gram = h @ hh if wide else hh @ h
    xp = module_of(h)
    diagonal = xp.arange(gram.shape[1])
    gram[:, diagonal, diagonal] += np.float32(tau)
    solve = _solve_on_host if is_on_device(h) and gram.shape[1] > _DEVICE_ORDER else xp.linalg.solve
    return hh @ solve(gram, b) if wide else solve(gram, hh @ b)


def _solve_on_host(matrices, b):
    return of(b).asarray(np.linalg.solve(to_host(matrices), to_host(b)))


def choose(
    model: Born,
    spectrum: np.ndarray,
    images: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    regularisation: float | None = None,
) -> tuple[float, float]:
    """Scale of tau, and the regularisation that predicts left-out images best.

    `spectrum` holds the signals' real FFTs, `rows` and `columns` its frequencies that count, as of
    :func:`passband`; the rest is as of :func:`tikhonov`.
    """
    xp = module_of(rows)
    pick = xp.asarray(np.random.default_rng(0).permutation(len(rows))[:_SAMPLE])
    h = transfer_matrix(model, rows[pick], columns[pick], images)
    peak = float((np.abs(h) ** 2).sum(axis=2).mean(axis=1).max())
    if regularisation is not None or len(images) < 2:
        return peak, _TRIALS[4] if regularisation is None else float(regularisation)
    b = spectrum[:, rows[pick], columns[pick]].T[..., None]
    fold = np.arange(len(images)) % min(_FOLDS, len(images))
    errors = []
    for trial in _TRIALS:
        error = 0.0
        for k in range(fold.max() + 1):
            rest, left = (xp.asarray(np.flatnonzero(chosen)) for chosen in (fold != k, fold == k))
            x = _solve(h[:, rest], b[:, rest], trial * peak)
            error += float((xp.abs(h[:, left] @ x - b[:, left]) ** 2).sum())
        errors.append(error)
    return peak, float(_TRIALS[int(np.argmin(errors))])

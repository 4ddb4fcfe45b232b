"""Kernels of the multi-slice models: rows and columns of all sources at once, two passes over memory a slice.

A wave W is stored (y, x, re / im, lane) with padded rows; between two slices its y axis is in space and its
x axis in frequency, digit-reversed.  A row pass finishes the inverse FFT, lets the slice act, and starts the
forward FFT; a column pass finishes that, propagates, and starts the next inverse.  Spectra and tables are
stored (x, y, ..., lane) in digit-reversed order, so a column pass reads them in order.

Threads own rows or columns; nothing is shared, so results do not depend on their number.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from __future__ import annotations

import numpy as np
from numba import njit, prange

from fieldrx.backends.cpu import fft
from fieldrx.backends.cpu.encodings import sincos_turns
from fieldrx.backends.cpu.lanes import (
    add_inner,
    add_scaled,
    copy,
    kick,
    multiply,
    potential,
    rotate,
    scaled,
    screen,
)

SPACE, SPECTRUM = 0, 1  # what a row pass finds, or leaves, along x


@njit(**fft.JIT)
def _act(lanes, n, wave, slab, row, g, factor, phase, conjugate):
    """Multiply a row by the slice: exp(i g slab) for a phase, else factor * slab; or by the conjugate."""
    e = 2 * len(lanes)
    if not phase:
        if conjugate:
            for x in range(n):
                potential(lanes, wave, x * e, 1, slab, row + 2 * x, factor)
        else:
            for x in range(n):
                potential(lanes, wave, x * e, 0, slab, row + 2 * x, factor)
        return
    lossy = False
    for x in range(n):
        lossy |= slab[row + 2 * x + 1] != 0
    if lossy and conjugate:
        for x in range(n):
            screen(lanes, wave, x * e, 1, 1, slab, row + 2 * x, g)
    elif lossy:
        for x in range(n):
            screen(lanes, wave, x * e, 0, 1, slab, row + 2 * x, g)
    elif conjugate:
        for x in range(n):
            screen(lanes, wave, x * e, 1, 0, slab, row + 2 * x, g)
    else:
        for x in range(n):
            screen(lanes, wave, x * e, 0, 0, slab, row + 2 * x, g)


@njit(parallel=True, **fft.JIT)
def rows(lanes, parts, radices, starts, w, wave, pitch, before, after, slab, g, factor, phase, kept, keep,
         gradient, mode):
    """One slice acts on the wave.

    Parameters
    ----------
    lanes : tuple
    parts : int
        Pieces of the work, a few for every thread.
    radices, starts, w : the plan along x
    wave : flat float32, rows `pitch` apart; overwritten
    before, after : SPACE or SPECTRUM
    slab : flat float32, (ny, nx, 2)
        The slice: phases or potentials.
    g : float32, (lanes,)
        Path length of every lane for phases; in a gradient the lane's weight.
    factor : float32
        On potentials.
    phase : bool
        Whether the slice is a phase.
    kept : flat float32, (ny, nx, 2, lanes)
        The waves before the slice; written with `keep`, read in mode 1.
    gradient : flat float32, (ny, nx, 2)
        In mode 1, gains sum over lanes of g conj(kept) wave.
    mode : int
        0 forward, 1 the adjoint, which acts with the conjugate.
    """
    e = 2 * len(lanes)
    n_x = slab.size // (2 * (wave.size // pitch))
    n_y = wave.size // pitch
    for part in prange(parts):
        line, work = np.empty(n_x * e, np.float32), np.empty(n_x * e, np.float32)
        for y in range(part * n_y // parts, (part + 1) * n_y // parts):
            start, row = y * pitch, y * n_x
            if before == SPECTRUM:
                fft.inverse(lanes, radices, starts, w, n_x, wave, start, work, line, 0, e)
            else:
                for x in range(n_x):
                    copy(lanes, wave, start + x * e, line, x * e)
            if mode == 0:
                if keep:
                    for x in range(n_x):
                        copy(lanes, line, x * e, kept, (row + x) * e)
                _act(lanes, n_x, line, slab, 2 * row, g, factor, phase, False)
            elif phase:  # exp(i g q) applies to both sides of the product, so act first
                _act(lanes, n_x, line, slab, 2 * row, g, factor, phase, True)
                for x in range(n_x):
                    add_inner(lanes, kept, (row + x) * e, line, x * e, g, gradient, 2 * (row + x))
            else:
                for x in range(n_x):
                    add_inner(lanes, kept, (row + x) * e, line, x * e, g, gradient, 2 * (row + x))
                _act(lanes, n_x, line, slab, 2 * row, g, factor, phase, True)
            if after == SPECTRUM:
                fft.forward(lanes, radices, starts, w, n_x, line, 0, e, work, wave, start)
            else:
                for x in range(n_x):
                    copy(lanes, line, x * e, wave, start + x * e)


@njit(parallel=True, **fft.JIT)
def filter_columns(lanes, parts, radices, starts, w, wave, pitch, table, conjugate):
    """FFT along y, times the table or its conjugate, and back."""
    e = 2 * len(lanes)
    n_y = wave.size // pitch
    n_x = table.size // (n_y * e)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for x in range(part * n_x // parts, (part + 1) * n_x // parts):
            fft.forward(lanes, radices, starts, w, n_y, wave, x * e, pitch, line, line, 0)
            at = x * n_y * e
            if conjugate:
                for y in range(n_y):
                    multiply(lanes, line, y * e, 1, table, at + y * e)
            else:
                for y in range(n_y):
                    multiply(lanes, line, y * e, 0, table, at + y * e)
            fft.inverse(lanes, radices, starts, w, n_y, line, 0, line, wave, x * e, pitch)


@njit(parallel=True, **fft.JIT)
def pair_columns(lanes, parts, radices, starts, w, wave, pitch, u, p, tables, sign, collect, emit):
    """p -= F[wave] with `collect`; then with `emit` (u, p) turn and wave = F^-1[u], along y."""
    e = 2 * len(lanes)
    n_y = wave.size // pitch
    n_x = u.size // (n_y * e)
    width = len(lanes)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for x in range(part * n_x // parts, (part + 1) * n_x // parts):
            at = x * n_y
            if collect:
                fft.forward(lanes, radices, starts, w, n_y, wave, x * e, pitch, line, line, 0)
                for y in range(n_y):
                    kick(lanes, p, (at + y) * e, line, y * e)
            if emit:
                if collect:
                    for y in range(n_y):
                        rotate(lanes, u, p, (at + y) * e, line, y * e, tables, (at + y) * 3 * width, sign)
                else:
                    for y in range(n_y):
                        copy(lanes, u, (at + y) * e, line, y * e)
                fft.inverse(lanes, radices, starts, w, n_y, line, 0, line, wave, x * e, pitch)


@njit(parallel=True, **fft.JIT)
def sum_columns(lanes, parts, radices, starts, w, wave, pitch, a, r, table, conjugate, collect, propagate):
    """a += r F[wave] with `collect`; a *= table, or conj, with `propagate`; wave = F^-1[r a], along y."""
    e = 2 * len(lanes)
    n_y = wave.size // pitch
    n_x = a.size // (n_y * e)
    width = len(lanes)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for x in range(part * n_x // parts, (part + 1) * n_x // parts):
            at = x * n_y
            if collect:
                fft.forward(lanes, radices, starts, w, n_y, wave, x * e, pitch, line, line, 0)
                for y in range(n_y):
                    add_scaled(lanes, a, (at + y) * e, r, (at + y) * width, line, y * e)
            if propagate:
                if conjugate:
                    for y in range(n_y):
                        multiply(lanes, a, (at + y) * e, 1, table, (at + y) * e)
                else:
                    for y in range(n_y):
                        multiply(lanes, a, (at + y) * e, 0, table, (at + y) * e)
            for y in range(n_y):
                scaled(lanes, r, (at + y) * width, a, (at + y) * e, line, y * e)
            fft.inverse(lanes, radices, starts, w, n_y, line, 0, line, wave, x * e, pitch)


@njit(parallel=True, **fft.JIT)
def columns_in(lanes, parts, radices, starts, w, wave, pitch, spectrum):
    """spectrum = F[wave] along y."""
    e = 2 * len(lanes)
    n_y = wave.size // pitch
    n_x = spectrum.size // (n_y * e)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for x in range(part * n_x // parts, (part + 1) * n_x // parts):
            fft.forward(lanes, radices, starts, w, n_y, wave, x * e, pitch, line, spectrum, x * n_y * e)


@njit(parallel=True, **fft.JIT)
def rows_in(lanes, parts, radices, starts, w, fields, scale, wave, pitch, after):
    """Waves (source, y, x), complex64, times `scale`, into the lanes; F along x where after is SPECTRUM."""
    count, n_y, n_x = fields.shape
    width = len(lanes)
    e = 2 * width
    for part in prange(parts):
        line, work = np.zeros(n_x * e, np.float32), np.empty(n_x * e, np.float32)
        for y in range(part * n_y // parts, (part + 1) * n_y // parts):
            for s in range(count):
                for x in range(n_x):
                    line[x * e + s] = scale * fields[s, y, x].real
                    line[x * e + width + s] = scale * fields[s, y, x].imag
            if after == SPECTRUM:
                fft.forward(lanes, radices, starts, w, n_x, line, 0, e, work, wave, y * pitch)
            else:
                for x in range(n_x):
                    copy(lanes, line, x * e, wave, y * pitch + x * e)


@njit(parallel=True, **fft.JIT)
def rows_out(lanes, parts, radices, starts, w, wave, pitch, before, fields):
    """The lanes as waves (source, y, x), complex64; F^-1 along x where before is SPECTRUM."""
    count, n_y, n_x = fields.shape
    width = len(lanes)
    e = 2 * width
    for part in prange(parts):
        line, work = np.empty(n_x * e, np.float32), np.empty(n_x * e, np.float32)
        for y in range(part * n_y // parts, (part + 1) * n_y // parts):
            if before == SPECTRUM:
                fft.inverse(lanes, radices, starts, w, n_x, wave, y * pitch, work, line, 0, e)
            else:
                for x in range(n_x):
                    copy(lanes, wave, y * pitch + x * e, line, x * e)
            for s in range(count):
                for x in range(n_x):
                    fields[s, y, x] = complex(line[x * e + s], line[x * e + width + s])


# ---- tables: (x, y, numbers, lane), digit-reversed -------------------------------------------------


@njit(**fft.JIT)
def _axial(nu_y, nu_x, source, ball, band):
    """f of a wave, 0 beyond the band."""
    squared = (nu_y + source[0]) ** 2 + (nu_x + source[1]) ** 2
    return np.sqrt(ball * ball - squared) if squared <= band * band else 0.0


@njit(parallel=True, **fft.JIT)
def fill_phase(nu_y, nu_x, sources, ball, band, gap, scale, table):
    """scale exp(2 pi i [f - f_s] gap) within the band, table (nx, ny, 2, lanes)."""
    for x in prange(nu_x.size):
        for y in range(nu_y.size):
            for s in range(sources.shape[0]):
                f = _axial(nu_y[y], nu_x[x], sources[s], ball, band)
                f_s = np.sqrt(ball * ball - sources[s, 0] ** 2 - sources[s, 1] ** 2)
                sine, cosine = sincos_turns((f - f_s) * gap)
                amplitude = np.float32(scale if f > 0 else 0.0)
                table[x, y, 0, s] = amplitude * cosine
                table[x, y, 1, s] = amplitude * sine


@njit(parallel=True, **fft.JIT)
def fill_rotation(nu_y, nu_x, sources, ball, band, gap, table):
    """cos(kz gap), k sin(kz gap) / kz, kz sin(kz gap) / k within the band, table (nx, ny, 3, lanes)."""
    for x in prange(nu_x.size):
        for y in range(nu_y.size):
            for s in range(sources.shape[0]):
                f = _axial(nu_y[y], nu_x[x], sources[s], ball, band)
                sine, cosine = sincos_turns(f * gap)
                inside = np.float32(1.0 if f > 0 else 0.0)
                table[x, y, 0, s] = inside * cosine
                table[x, y, 1, s] = sine * np.float32(ball / max(f, 1e-30)) * inside
                table[x, y, 2, s] = sine * np.float32(f / ball) * inside


@njit(parallel=True, **fft.JIT)
def fill_steepness(nu_y, nu_x, sources, ball, band, table):
    """k / kz within the band, 0 beyond it, table (nx, ny, lanes)."""
    for x in prange(nu_x.size):
        for y in range(nu_y.size):
            for s in range(sources.shape[0]):
                f = _axial(nu_y[y], nu_x[x], sources[s], ball, band)
                table[x, y, s] = ball / f if f > 0 else 0.0

"""Kernels of the multi-slice models: rows and columns of all sources at once, two passes over memory a slice.

A wave W is stored (y, x, re / im, source) with padded rows; between two slices its y axis is in space and its
x axis in frequency, digit-reversed.  A row pass finishes the inverse FFT, lets the slice act, and starts the
forward FFT; a column pass finishes that, propagates, and starts the next inverse.

With 8 sources or fewer a vector holds two rows or more, or as many columns (see `lanes`): a bundle.  Spectra
and tables belong to column passes alone and are stored (bundle, y, ..., lane), columns in digit-reversed
order, so that they are read in order.  The last bundle may be filled up with rows, or columns, of zeros:
memory holds multiples of a bundle, while the FFTs have the length of their plans.

Threads own bundles; nothing is shared, so results do not depend on their number.
"""
# Kernels take many arguments, which read best in rows.
# fmt: off

from __future__ import annotations

import numpy as np

from fieldrx.backends.compiler import njit, prange, threaded_njit
from fieldrx.backends.cpu import fft
from fieldrx.backends.cpu.encodings import sincos_turns
from fieldrx.backends.cpu.lanes import (
    ELEMENT,
    add_inner,
    add_scaled,
    copy,
    gather,
    kick,
    multiply,
    potential,
    rotate,
    scaled,
    scatter,
    screen,
)
from fieldrx.backends.cpu.simd import LANES
from fieldrx.backends.plain import OWN

SPACE, SPECTRUM = 0, 1  # what a row pass finds, or leaves, along x


@njit(**fft.JIT)
def _act(lanes, n, line, slab, row, g, factor, phase, conjugate):
    """Multiply a bundle of rows by the slice: exp(i g slab) for a phase, else factor * slab; or conjugate."""
    e, apart = ELEMENT, 2 * n
    if not phase:
        if conjugate:
            for x in range(n):
                potential(lanes, line, x * e, 1, slab, row + 2 * x, apart, factor)
        else:
            for x in range(n):
                potential(lanes, line, x * e, 0, slab, row + 2 * x, apart, factor)
        return
    lossy = False
    for x in range(n * (LANES // len(lanes))):
        lossy |= slab[row + 2 * x + 1] != 0
    if lossy and conjugate:
        for x in range(n):
            screen(lanes, line, x * e, 1, 1, slab, row + 2 * x, apart, g)
    elif lossy:
        for x in range(n):
            screen(lanes, line, x * e, 0, 1, slab, row + 2 * x, apart, g)
    elif conjugate:
        for x in range(n):
            screen(lanes, line, x * e, 1, 0, slab, row + 2 * x, apart, g)
    else:
        for x in range(n):
            screen(lanes, line, x * e, 0, 0, slab, row + 2 * x, apart, g)


@threaded_njit(**fft.JIT)
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
    g : float32, (16,)
        Path length of every lane for phases; in a gradient the lane's weight.
    factor : float32
        On potentials.
    phase : bool
        Whether the slice is a phase.
    kept : flat float32, (ny, nx, 2, sources)
        The waves before the slice; written with `keep`, read in mode 1.
    gradient : flat float32, (ny, nx, 2)
        In mode 1, gains sum over sources of g conj(kept) wave.
    mode : int
        0 forward, 1 the adjoint, which acts with the conjugate.
    """
    e, stored, points = ELEMENT, 2 * len(lanes), LANES // len(lanes)
    n_y = wave.size // pitch
    n_x, bundles = slab.size // (2 * n_y), n_y // points
    for part in prange(parts):
        line = np.empty(n_x * e, np.float32)
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            y = bundle * points
            start, row = y * pitch, y * n_x
            for x in range(n_x):
                gather(lanes, wave, start + x * stored, pitch, 0, line, x * e)
            if before == SPECTRUM:
                fft.inverse(radices, starts, w, n_x, line, 0)
            if mode == 0:
                if keep:
                    for x in range(n_x):
                        scatter(lanes, line, x * e, kept, (row + x) * stored, n_x * stored)
                _act(lanes, n_x, line, slab, 2 * row, g, factor, phase, False)
            elif phase:  # exp(i g q) applies to both sides of the product, so act first
                _act(lanes, n_x, line, slab, 2 * row, g, factor, phase, True)
                for x in range(n_x):
                    add_inner(lanes, kept, (row + x) * stored, n_x * stored, line, x * e, g,
                              gradient, 2 * (row + x), 2 * n_x)
            else:
                for x in range(n_x):
                    add_inner(lanes, kept, (row + x) * stored, n_x * stored, line, x * e, g,
                              gradient, 2 * (row + x), 2 * n_x)
                _act(lanes, n_x, line, slab, 2 * row, g, factor, phase, True)
            if after == SPECTRUM:
                fft.forward(radices, starts, w, n_x, line, 0)
            for x in range(n_x):
                scatter(lanes, line, x * e, wave, start + x * stored, pitch)


@njit(**fft.JIT)
def _length(radices):
    """Points of a plan."""
    n = 1
    for radix in radices:
        n *= radix
    return n


@njit(**fft.JIT)
def _column_in(lanes, n_y, wave, pitch, bundle, line, at):
    """A bundle of columns from memory; the next one is fetched for later."""
    stored = 2 * len(lanes)
    for y in range(n_y):
        gather(lanes, wave, y * pitch + bundle * ELEMENT, stored, ELEMENT, line, at + y * ELEMENT)


@njit(**fft.JIT)
def _column_out(lanes, n_y, line, wave, pitch, bundle):
    """A bundle of columns to memory."""
    stored = 2 * len(lanes)
    for y in range(n_y):
        scatter(lanes, line, y * ELEMENT, wave, y * pitch + bundle * ELEMENT, stored)


@threaded_njit(**fft.JIT)
def filter_columns(lanes, parts, radices, starts, w, wave, pitch, table, conjugate):
    """FFT along y, times the table or its conjugate, and back."""
    e, n_y = ELEMENT, _length(radices)
    bundles = table.size // (n_y * e)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            at = bundle * n_y * e
            _column_in(lanes, n_y, wave, pitch, bundle, line, 0)
            fft.forward(radices, starts, w, n_y, line, 0)
            if conjugate:
                for y in range(n_y):
                    multiply(line, y * e, 1, table, at + y * e)
            else:
                for y in range(n_y):
                    multiply(line, y * e, 0, table, at + y * e)
            fft.inverse(radices, starts, w, n_y, line, 0)
            _column_out(lanes, n_y, line, wave, pitch, bundle)


@threaded_njit(**fft.JIT)
def pair_columns(lanes, parts, radices, starts, w, wave, pitch, u, p, tables, sign, collect, emit):
    """p -= F[wave] with `collect`; then with `emit` (u, p) turn and wave = F^-1[u], along y."""
    e, n_y = ELEMENT, _length(radices)
    bundles = u.size // (n_y * e)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            at = bundle * n_y
            if collect:
                _column_in(lanes, n_y, wave, pitch, bundle, line, 0)
                fft.forward(radices, starts, w, n_y, line, 0)
                for y in range(n_y):
                    kick(p, (at + y) * e, line, y * e)
            if emit:
                if collect:
                    for y in range(n_y):
                        rotate(u, p, (at + y) * e, line, y * e, tables, (at + y) * 3 * LANES, sign)
                else:
                    for y in range(n_y):
                        copy(u, (at + y) * e, line, y * e)
                fft.inverse(radices, starts, w, n_y, line, 0)
                _column_out(lanes, n_y, line, wave, pitch, bundle)


@threaded_njit(**fft.JIT)
def sum_columns(lanes, parts, radices, starts, w, wave, pitch, a, r, table, conjugate, collect, propagate):
    """a += r F[wave] with `collect`; a *= table, or conj, with `propagate`; wave = F^-1[r a], along y."""
    e, n_y = ELEMENT, _length(radices)
    bundles = a.size // (n_y * e)
    for part in prange(parts):
        line = np.empty(n_y * e, np.float32)
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            at = bundle * n_y
            if collect:
                _column_in(lanes, n_y, wave, pitch, bundle, line, 0)
                fft.forward(radices, starts, w, n_y, line, 0)
                for y in range(n_y):
                    add_scaled(a, (at + y) * e, r, (at + y) * LANES, line, y * e)
            if propagate:
                if conjugate:
                    for y in range(n_y):
                        multiply(a, (at + y) * e, 1, table, (at + y) * e)
                else:
                    for y in range(n_y):
                        multiply(a, (at + y) * e, 0, table, (at + y) * e)
            for y in range(n_y):
                scaled(r, (at + y) * LANES, a, (at + y) * e, line, y * e)
            fft.inverse(radices, starts, w, n_y, line, 0)
            _column_out(lanes, n_y, line, wave, pitch, bundle)


@threaded_njit(**fft.JIT)
def columns_in(lanes, parts, radices, starts, w, wave, pitch, spectrum):
    """spectrum = F[wave] along y."""
    n_y = _length(radices)
    bundles = spectrum.size // (n_y * ELEMENT)
    for part in prange(parts):
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            at = bundle * n_y * ELEMENT
            _column_in(lanes, n_y, wave, pitch, bundle, spectrum, at)
            fft.forward(radices, starts, w, n_y, spectrum, at)


@threaded_njit(**fft.JIT)
def rows_in(lanes, parts, radices, starts, w, fields, scale, wave, pitch, after):
    """Waves (source, y, x), complex64, times `scale`, into the lanes; F along x where after is SPECTRUM."""
    count, n_y, n_x = fields.shape
    e, width, points = ELEMENT, len(lanes), LANES // len(lanes)
    bundles = -(-n_y // points)
    for part in prange(parts):
        line = np.zeros(n_x * e, np.float32)
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            if (bundle + 1) * points > n_y:
                line[:] = 0
            for k in range(min(points, n_y - bundle * points)):
                for s in range(count):
                    lane = k * width + s
                    for x in range(n_x):
                        value = scale * fields[s, bundle * points + k, x]
                        line[x * e + lane], line[x * e + LANES + lane] = value.real, value.imag
            if after == SPECTRUM:
                fft.forward(radices, starts, w, n_x, line, 0)
            for x in range(n_x):
                scatter(lanes, line, x * e, wave, bundle * points * pitch + x * 2 * width, pitch)


@threaded_njit(**fft.JIT)
def rows_out(lanes, parts, radices, starts, w, wave, pitch, before, fields):
    """The lanes as waves (source, y, x), complex64; F^-1 along x where before is SPECTRUM."""
    count, n_y, n_x = fields.shape
    e, width, points = ELEMENT, len(lanes), LANES // len(lanes)
    bundles = -(-n_y // points)
    for part in prange(parts):
        line = np.empty(n_x * e, np.float32)
        for bundle in range(part * bundles // parts, (part + 1) * bundles // parts):
            for x in range(n_x):
                gather(lanes, wave, bundle * points * pitch + x * 2 * width, pitch, 0, line, x * e)
            if before == SPECTRUM:
                fft.inverse(radices, starts, w, n_x, line, 0)
            for k in range(min(points, n_y - bundle * points)):
                for s in range(count):
                    lane = k * width + s
                    for x in range(n_x):
                        fields[s, bundle * points + k, x] = complex(line[x * e + lane],
                                                                    line[x * e + LANES + lane])


# ---- tables: (bundle, y, numbers, lane), columns digit-reversed ---------------------------------------


@njit(**fft.JIT)
def _axial(nu_y, nu_x, source, ball, band):
    """f of a wave, 0 beyond the band, or beyond the source's own angle where that is steeper."""
    squared = (nu_y + source[0]) ** 2 + (nu_x + source[1]) ** 2
    most = max(band * band, OWN * (source[0] ** 2 + source[1] ** 2))
    return np.sqrt(ball * ball - squared) if squared <= most else 0.0


@threaded_njit(**fft.JIT)
def fill_phase(nu_y, nu_x, sources, ball, band, gap, scale, table):
    """scale exp(2 pi i [f - f_s] gap) within the band, table (bundles, ny, 2, 16)."""
    width = sources.shape[0]
    points = LANES // width
    for x in prange(nu_x.size):
        for y in range(nu_y.size):
            for s in range(width):
                f = _axial(nu_y[y], nu_x[x], sources[s], ball, band)
                f_s = np.sqrt(ball * ball - sources[s, 0] ** 2 - sources[s, 1] ** 2)
                sine, cosine = sincos_turns((f - f_s) * gap)
                amplitude = np.float32(scale if f > 0 else 0.0)
                lane = x % points * width + s
                table[x // points, y, 0, lane] = amplitude * cosine
                table[x // points, y, 1, lane] = amplitude * sine


@threaded_njit(**fft.JIT)
def fill_rotation(nu_y, nu_x, sources, ball, band, gap, table):
    """cos(kz gap), k sin(kz gap) / kz, kz sin(kz gap) / k within the band, table (bundles, ny, 3, 16)."""
    width = sources.shape[0]
    points = LANES // width
    for x in prange(nu_x.size):
        for y in range(nu_y.size):
            for s in range(width):
                f = _axial(nu_y[y], nu_x[x], sources[s], ball, band)
                sine, cosine = sincos_turns(f * gap)
                inside = np.float32(1.0 if f > 0 else 0.0)
                lane = x % points * width + s
                table[x // points, y, 0, lane] = inside * cosine
                table[x // points, y, 1, lane] = sine * np.float32(ball / max(f, 1e-30)) * inside
                table[x // points, y, 2, lane] = sine * np.float32(f / ball) * inside


@threaded_njit(**fft.JIT)
def fill_steepness(nu_y, nu_x, sources, ball, band, table):
    """k / kz within the band, 0 beyond it, table (bundles, ny, 16)."""
    width = sources.shape[0]
    points = LANES // width
    for x in prange(nu_x.size):
        for y in range(nu_y.size):
            for s in range(width):
                f = _axial(nu_y[y], nu_x[x], sources[s], ball, band)
                table[x // points, y, x % points * width + s] = ball / f if f > 0 else 0.0

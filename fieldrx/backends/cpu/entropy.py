"""Integers to bytes and back: an adaptive binary range coder for the quantised coefficients of blocks.

Symbols are (output, fz, fy, fx, gz, gy, gx): frequency f of the block at g.  How large the neighbours were,
the next lower frequencies of the same block and the same frequency of the blocks before, chooses the model of
a symbol; a magnitude is a run of binary decisions, each with a probability that adapts at two speeds, then an
Exp-Golomb code where it is large; signs are stored as they are.  The range coder is the carry-propagating one
of G. N. N. Martin, Range encoding (1979), as LZMA writes it: 32 bits, a byte at a time.  ``web/coded.js`` is
the same decoder.
"""

from __future__ import annotations

import numpy as np

from fieldrx.backends.compiler import CACHED, njit
from fieldrx.errors import InputError

LARGEST = 1 << 24  # magnitude of a symbol
_RUN = 18  # decisions before the Exp-Golomb code
_LONGEST = 25  # bits of that code
_ACTIVITY = np.array(  # where contexts begin
    [1, 2, 3, 4, 5, 6, 9, 13, 18, 25, 35, 50, 70, 100, 140, 200, 400, 800, 1600, 3200]
)
_FAST, _SLOW = 5, 8  # a probability moves by a share of 2^-5 and 2^-8, faster while it has seen little
_RATE = np.array([int(seen + 1).bit_length() for seen in range(128)])
_LEAST = 64  # of 65536: no decision is thought certain
_TOP = 1 << 24  # a range below it takes another byte
# What a coder remembers: the low end and its byte that waits for a carry with the 255s behind it, or the code
# that was read; the range; the place in the stream.
_LOW, _RANGE, _PLACE, _WAITING, _BEHIND = range(5)


@njit(cache=CACHED, nogil=True)
def _context(q, a, b, c, i, j, k):
    """Which model codes a symbol: how large those before it in its neighbourhood are."""
    lower, before = 0, 0
    if a > 0:
        lower += 2 * abs(q[a - 1, b, c, i, j, k])
    if b > 0:
        lower += 2 * abs(q[a, b - 1, c, i, j, k])
        if c > 0:
            lower += abs(q[a, b - 1, c - 1, i, j, k])
    if b > 1:
        lower += abs(q[a, b - 2, c, i, j, k])
    if c > 0:
        lower += 2 * abs(q[a, b, c - 1, i, j, k])
    if c > 1:
        lower += abs(q[a, b, c - 2, i, j, k])
    if i > 0:
        before += abs(q[a, b, c, i - 1, j, k])
    if j > 0:
        before += 2 * abs(q[a, b, c, i, j - 1, k])
    if k > 0:
        before += 2 * abs(q[a, b, c, i, j, k - 1])
    activity, context = (lower + 2 * before) >> 1, 0
    while context < _ACTIVITY.size and activity >= _ACTIVITY[context]:
        context += 1
    return context


@njit(cache=CACHED, nogil=True)
def _models():
    """Per context and decision: the fast and the slow probability of 1, of 65536, and decisions seen."""
    models = np.zeros((_ACTIVITY.size + 1, _RUN + _LONGEST, 3), np.int64)
    models[:, :, :2] = 1 << 15
    return models


@njit(cache=CACHED, nogil=True)
def _probability(model):
    """Of 1, out of 32768."""
    return min(max((model[0] + model[1]) >> 1, _LEAST), (1 << 16) - _LEAST) >> 1


@njit(cache=CACHED, nogil=True)
def _learn(model, bit):
    rate = _RATE[model[2]]
    target = (1 << 16) if bit else 0
    model[0] += (target - model[0]) >> min(rate, _FAST)
    model[1] += (target - model[1]) >> min(rate, _SLOW)
    model[2] = min(model[2] + 1, _RATE.size - 1)


# --- writing --------------------------------------------------------------------------------------


@njit(cache=CACHED, nogil=True)
def _put_byte(state, out):
    """Move the highest byte of the low end out, once no carry can reach it any more."""
    low = state[_LOW]
    if low < 0xFF000000 or low >= 1 << 32:
        carry = low >> 32
        out[state[_PLACE]] = (state[_WAITING] + carry) & 0xFF
        state[_PLACE] += 1
        for _ in range(state[_BEHIND]):
            out[state[_PLACE]] = (0xFF + carry) & 0xFF
            state[_PLACE] += 1
        state[_BEHIND] = 0
        state[_WAITING] = (low >> 24) & 0xFF
    else:
        state[_BEHIND] += 1
    state[_LOW] = (low & 0x00FFFFFF) << 8


@njit(cache=CACHED, nogil=True)
def _put(state, out, bit, bound):
    """A decision; 1 takes the lower part of the range, up to the bound."""
    if bit:
        state[_RANGE] = bound
    else:
        state[_LOW] += bound
        state[_RANGE] -= bound
    while state[_RANGE] < _TOP:
        state[_RANGE] <<= 8
        _put_byte(state, out)


@njit(cache=CACHED, nogil=True)
def _put_even(state, out, bit):
    _put(state, out, bit, state[_RANGE] >> 1)


@njit(cache=CACHED, nogil=True)
def _put_learnt(state, out, bit, model):
    _put(state, out, bit, (state[_RANGE] >> 15) * _probability(model))
    _learn(model, bit)


@njit(cache=CACHED, nogil=True)
def _put_symbol(state, out, value, models):
    size = abs(value)
    for run in range(_RUN):
        bit = size > run
        _put_learnt(state, out, bit, models[run])
        if not bit:
            break
    if size >= _RUN:
        rest, bits = size - _RUN + 1, 0
        while rest >> (bits + 1):
            _put_learnt(state, out, True, models[_RUN + bits])
            bits += 1
        _put_learnt(state, out, False, models[_RUN + bits])
        for bit in range(bits - 1, -1, -1):
            _put_even(state, out, (rest >> bit) & 1 == 1)
    if size:
        _put_even(state, out, value < 0)


@njit(cache=CACHED, nogil=True)
def _encode(symbols):
    out = np.empty(1 << 16, np.uint8)
    state = np.array([0, 0xFFFFFFFF, 0, 0, 0])
    for q in symbols:
        models = _models()
        for place in np.ndindex(q.shape):
            room = state[_PLACE] + state[_BEHIND] + 128
            if room > out.size:
                grown = np.empty(2 * room, np.uint8)
                grown[: out.size] = out
                out = grown
            a, b, c, i, j, k = place
            _put_symbol(state, out, q[place], models[_context(q, a, b, c, i, j, k)])
    for _ in range(5):
        _put_byte(state, out)
    return out[: state[_PLACE]].copy()


# --- reading --------------------------------------------------------------------------------------


@njit(cache=CACHED, nogil=True)
def _take_byte(state, stream):
    """The next byte; 0 beyond the end, where the place goes on counting."""
    byte = stream[state[_PLACE]] if state[_PLACE] < stream.size else 0
    state[_LOW] = (state[_LOW] << 8) | byte
    state[_PLACE] += 1


@njit(cache=CACHED, nogil=True)
def _take(state, stream, bound):
    bit = state[_LOW] < bound
    if bit:
        state[_RANGE] = bound
    else:
        state[_LOW] -= bound
        state[_RANGE] -= bound
    while state[_RANGE] < _TOP:
        state[_RANGE] <<= 8
        _take_byte(state, stream)
    return bit


@njit(cache=CACHED, nogil=True)
def _take_even(state, stream):
    return _take(state, stream, state[_RANGE] >> 1)


@njit(cache=CACHED, nogil=True)
def _take_learnt(state, stream, model):
    bit = _take(state, stream, (state[_RANGE] >> 15) * _probability(model))
    _learn(model, bit)
    return bit


@njit(cache=CACHED, nogil=True)
def _take_symbol(state, stream, models):
    size = 0
    while size < _RUN and _take_learnt(state, stream, models[size]):
        size += 1
    if size == _RUN:
        bits, rest = 0, 1
        while bits < _LONGEST - 1 and _take_learnt(state, stream, models[_RUN + bits]):
            bits += 1
        for _ in range(bits):
            rest = 2 * rest + _take_even(state, stream)
        size += rest - 1
    return -size if size and _take_even(state, stream) else size


@njit(cache=CACHED, nogil=True)
def _decode(stream, symbols):
    """Fill the symbols; returns how many bytes that took."""
    state = np.array([0, 0xFFFFFFFF, 0, 0, 0])
    for _ in range(5):
        _take_byte(state, stream)
    for q in symbols:
        models = _models()
        for place in np.ndindex(q.shape):
            a, b, c, i, j, k = place
            q[place] = _take_symbol(state, stream, models[_context(q, a, b, c, i, j, k)])
            if state[_PLACE] > stream.size:
                return state[_PLACE]
    return state[_PLACE]


# --- from arrays to streams -----------------------------------------------------------------------


def encode(symbols: np.ndarray) -> np.ndarray:
    """The stream of some symbols.

    Parameters
    ----------
    symbols : int32 array of seven axes
        (output, fz, fy, fx, gz, gy, gx), below 2^24 in magnitude.

    Returns
    -------
    uint8 array
    """
    if symbols.ndim != 7 or (symbols.size and np.abs(symbols).max() >= LARGEST):
        raise ValueError(f"symbols of shape {symbols.shape}; expected seven axes and less than {LARGEST}")
    return _encode(np.ascontiguousarray(symbols, np.int32))


def decode(stream: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The int32 symbols that `encode` made a stream of.

    Parameters
    ----------
    stream : uint8 array
    shape : seven int

    Raises
    ------
    InputError
        If the stream does not end where the symbols do.
    """
    symbols = np.zeros(shape, np.int32)
    taken = _decode(np.array(stream, np.uint8), symbols)  # a copy, since read-only bytes compile anew
    if taken != stream.size:
        raise InputError(f"a stream of {stream.size} bytes is no code of {symbols.size} symbols")
    return symbols

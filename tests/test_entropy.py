"""The entropy code: what goes in comes out, in about as many bits as there is information, or is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldrx import InputError
from fieldrx.backends.cpu.entropy import LARGEST, decode, encode


def laplacian(shape, spread, seed=0):
    return np.rint(np.random.default_rng(seed).laplace(0, spread, shape)).astype(np.int32)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 2), *[st.integers(1, 4)] * 6),
    st.sampled_from([0.0, 0.2, 1.0, 30.0, 1e4, 1e6]),
    st.integers(0, 99),
)
def test_comes_back(shape, spread, seed):
    symbols = laplacian(shape, spread, seed)
    stream = encode(symbols)
    assert stream.dtype == np.uint8
    assert np.array_equal(decode(stream, shape), symbols)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1 - LARGEST, LARGEST - 1), min_size=8, max_size=8))
def test_any_magnitude_comes_back(values):
    symbols = np.array(values, np.int32).reshape(1, 2, 1, 2, 1, 2, 1)
    assert np.array_equal(decode(encode(symbols), symbols.shape), symbols)


@pytest.mark.parametrize("spread", [0.1, 1.0, 20.0])
def test_takes_little_more_than_the_information(spread):
    symbols = laplacian((1, 4, 8, 8, 2, 10, 10), spread)
    _, counts = np.unique(symbols, return_counts=True)
    share = counts / counts.sum()
    bits = -symbols.size * float(share @ np.log2(share))
    assert 0.98 * bits < 8 * len(encode(symbols)) < 1.04 * bits + 500


def test_uses_neighbours():
    """Large values that keep together cost what they and the small ones would cost apart."""
    small, large = laplacian((1, 4, 8, 8, 2, 10, 10), 0.2), laplacian((1, 4, 8, 8, 2, 10, 10), 8.0, 1)
    mixed = np.concatenate([small, large], axis=5)
    assert len(encode(mixed)) < 1.03 * (len(encode(small)) + len(encode(large)))


def test_carries_run_through():
    """Streams with long runs of 255 and of 0: a carry must pass them."""
    for seed in range(200):
        symbols = laplacian((1, 2, 2, 3, 2, 2, 3), 300.0, seed)
        assert np.array_equal(decode(encode(symbols), symbols.shape), symbols)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.integers(1, 5))
def test_other_bytes_are_refused_or_are_a_code(data, n):
    stream, shape = np.frombuffer(data, np.uint8), (1, n, n, n, 1, 2, 2)
    try:
        symbols = decode(stream, shape)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert symbols.shape == shape


def test_cut_and_longer_streams_are_refused():
    symbols = laplacian((1, 3, 4, 4, 2, 3, 3), 5.0)
    stream = encode(symbols)
    for other in (stream[:-1], stream[: len(stream) // 2], stream[:0], np.append(stream, stream[:1])):
        with pytest.raises(InputError, match="is no code of 864 symbols"):
            decode(other, symbols.shape)


def test_too_large_symbols():
    with pytest.raises(ValueError, match="less than 16777216"):
        encode(np.full((1,) * 7, LARGEST, np.int32))

"""The way to the camera, the loss and Fourier interpolation on the emulated GPU."""

import numpy as np
import pytest

from fieldrx.backends import cpu, cuda
from fieldrx.interpolation import upsample, upsample_adjoint

SIZE, PADDED = (11, 9), (18, 25)
WINDOW = slice(3, 8, 1), slice(1, 8, 1)
PLANES = {"the grid's points": (PADDED, WINDOW), "its own": ((27, 40), (slice(4, 14, 2), slice(2, 23, 3)))}


def close(found, expected, tolerance):
    return np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


def noise(rng, *shape):
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def transfer(s):
    """Any function on a rectangle that reaches across frequency 0, another for every source."""
    rng = np.random.default_rng(s)
    rows = np.flatnonzero(np.abs(np.fft.fftfreq(18, 1 / 18) + s - 1) <= 4)
    columns = np.flatnonzero(np.abs(np.fft.fftfreq(25, 1 / 25) - s) <= 5 + s % 2)
    table, incident = noise(rng, len(rows), len(columns)), complex(*rng.normal(size=2))
    return rows, columns, table, incident, rng.uniform(-0.03, 0.03, 2)


def plain_field(wave, fade, s, plane=PADDED, window=WINDOW):
    """Every frequency for itself, at the points of a plane that is as wide as the padded grid."""
    rows, columns, table, incident, turns = transfer(s)
    y, x = np.indices(PADDED)
    there = np.zeros(PADDED, complex)
    there[: SIZE[0], : SIZE[1]] = (wave - 1) * fade
    spectrum = np.fft.fft2(np.exp(2j * np.pi * (turns[0] * y + turns[1] * x)) * there)[np.ix_(rows, columns)]
    y, x = (np.arange(n)[w] * p / n for n, w, p in zip(plane, window, PADDED, strict=True))  # in voxels
    along_y, along_x = (
        np.exp(2j * np.pi * v[:, None] * (np.where(2 * k < p, k, k - p) / p - t))
        for v, k, p, t in zip((y, x), (rows, columns), PADDED, turns, strict=True)
    )
    return incident + along_y @ (table * spectrum) @ along_x.T / np.prod(PADDED)


@pytest.mark.parametrize("plane", PLANES)
def test_fields_and_gradients_against_plain_numpy(gpu, plane):
    import cupy

    rng, sources, where = np.random.default_rng(0), [4, 0, 2], PLANES[plane]
    waves, fade = noise(rng, 3, *SIZE), rng.uniform(size=SIZE)
    share = np.array([[0.5, 0, 1.5], [0, 2, 0], [0, 0, 0], [1, 1, 1]])
    expected = np.stack([plain_field(w, fade, s, *where) for w, s in zip(waves, sources, strict=True)])
    plane, window = where
    refocus = cuda.Refocus(PADDED, plane, SIZE, window, fade, transfer)
    fields = refocus.fields(cupy.asarray(waves.astype("c8")), sources)
    assert close(fields.get(), expected, 2e-6)
    host = cpu.Refocus(PADDED, plane, SIZE, window, fade, transfer)
    assert close(host.fields(waves, sources), expected, 1e-12)

    start = rng.uniform(size=(4, 5, 7))
    power = np.einsum("mn,nyx->myx", share, np.abs(expected) ** 2)
    for dtype in ("f4", "f8"):
        images = cupy.asarray(start.astype(dtype))
        refocus.add_intensities(fields, share, images)
        assert images.dtype == dtype and close(images.get(), start + power, 2e-6)

    d_images = rng.normal(size=(4, 5, 7))
    d_waves = refocus.waves_gradient(cupy.asarray(d_images.astype("f4")), fields, share, sources)
    change = noise(rng, 3, *SIZE)
    step = np.stack(
        [plain_field(1 + c, fade, s, *where) - transfer(s)[3] for c, s in zip(change, sources, strict=True)]
    )
    d_fields = 2 * expected * np.einsum("mn,myx->nyx", share, d_images)
    assert np.vdot(d_waves.get(), change).real == pytest.approx(np.vdot(d_fields, step).real, rel=1e-5)
    assert close(d_waves.get(), host.waves_gradient(d_images, expected, share, sources), 2e-6)


def test_transfer_functions_take_turns_where_there_is_little_room(gpu, monkeypatch):
    import cupy

    from fieldrx.backends.cuda import refocus as module

    monkeypatch.setattr(module, "_TABLE_BYTES", 0)
    monkeypatch.setattr(module, "_WAVES", 3)
    asked = []

    def counted(s):
        asked.append(s)
        return transfer(s)

    rng = np.random.default_rng(1)
    waves, fade = noise(rng, 2, *SIZE).astype("c8"), np.ones(SIZE)
    refocus = cuda.Refocus(PADDED, PADDED, SIZE, WINDOW, fade, counted)
    for sources in ([1, 2], [3, 1], [4, 1], [3, 2]):
        fields = refocus.fields(cupy.asarray(waves), sources)
        expected = np.stack([plain_field(w, fade, s) for w, s in zip(waves, sources, strict=True)])
        assert close(fields.get(), expected, 2e-6)
    assert asked == [1, 2, 3, 4, 2]  # the one not used for longest makes room


def test_a_larger_transfer_function_makes_room_for_itself(gpu):
    """Where the grid cuts the pupil off, sources let through rectangles of different sizes."""
    import cupy

    def cut(s):
        rows, columns, table, *rest = transfer(s)
        return (rows[:2], columns, table[:2], *rest) if s == 1 else (rows, columns, table, *rest)

    waves = cupy.asarray(noise(np.random.default_rng(1), 2, *SIZE).astype("c8"))
    found = []
    for first in ([1, 2], [2, 1]):
        refocus = cuda.Refocus(PADDED, PADDED, SIZE, WINDOW, np.ones(SIZE), cut)
        refocus.fields(waves, first)
        found.append(refocus.fields(waves, [1, 2]).get())
    assert close(found[0], found[1], 1e-6)
    assert close(found[0][1], plain_field(waves[1].get(), np.ones(SIZE), 2), 2e-6)


@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 40, 31)])
def test_squared_error(gpu, shape):
    import cupy

    rng = np.random.default_rng(2)
    predicted, measured = rng.normal(size=(2, *shape)).astype("f4")
    valid = rng.random(shape) > 0.3
    predicted[~valid] = np.nan  # what does not count may be anything
    difference = np.where(valid, predicted.astype("f8") - measured, 0)
    for backend, arrays in (
        (cpu, (predicted, measured, valid)),
        (cuda, map(cupy.asarray, (predicted, measured, valid))),
    ):
        value, gradient = backend.squared_error(*arrays, 0.37)
        assert float(value) == pytest.approx(0.37 * (difference**2).sum(), rel=1e-6, abs=1e-12)
        gradient = gradient if isinstance(gradient, np.ndarray) else gradient.get()
        assert gradient.dtype == np.float32
        assert np.allclose(gradient, 0.74 * difference, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_measured_images(gpu, masked, level):
    """Some of them in any order, less a level; what is unknown is that of an image of ones."""
    import cupy

    rng = np.random.default_rng(3)
    images = rng.uniform(size=(5, 7, 19)).astype("f4")
    images[2, 3, :3], mask = (np.nan, np.inf, -np.inf), rng.random(images.shape) > 0.2
    numbers = np.array([2, 0, 4])
    known = np.isfinite(images[numbers]) & (mask[numbers] | (not masked))
    expected = np.where(known, images[numbers] - np.float32(level), np.float32(1 - level))
    for backend, put in ((cpu, np.asarray), (cuda, cupy.asarray)):
        values, valid = backend.measured(put(images), put(mask) if masked else None, numbers, level)
        if backend is cuda:
            assert gpu.launches == ["measured"]
            values, valid = values.get(), valid.get()
        assert valid.dtype == bool and np.array_equal(valid, known)
        assert values.dtype == np.float32 and np.array_equal(values, expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(3, 8, 6), (2, 5, 7), (1, 1, 4)])
def test_fourier_interpolation(gpu, stride, shape):
    import cupy

    rng, shift = np.random.default_rng(3), (0.31, -0.22)
    coarse, fine = noise(rng, *shape), noise(rng, shape[0], stride * shape[1], stride * shape[2])
    expected = upsample(coarse, stride, shift)
    assert close(upsample(cupy.asarray(coarse.astype("c8")), stride, shift).get(), expected, 1e-6)
    back = upsample_adjoint(cupy.asarray(fine.astype("c8")), stride, shift).get()
    assert close(back, upsample_adjoint(fine, stride, shift), 1e-6)
    assert np.vdot(fine, expected) == pytest.approx(np.vdot(back, coarse), rel=1e-5)


def test_interpolation_follows_waves(gpu):
    """A wave below the coarser Nyquist frequency is evaluated exactly at every pixel."""
    import cupy

    ny, nx, shift = 6, 10, (0.3, -0.4)
    y, x = np.arange(ny)[:, None] + shift[0], np.arange(nx) + shift[1]
    wave = np.exp(2j * np.pi * (2 * y / ny - 3 * x / nx))[None]
    fine_y, fine_x = np.arange(2 * ny)[:, None] / 2, np.arange(2 * nx) / 2
    expected = np.exp(2j * np.pi * (2 * fine_y / ny - 3 * fine_x / nx))[None]
    assert close(upsample(wave, 2, shift), expected, 1e-12)
    assert close(upsample(cupy.asarray(wave.astype("c8")), 2, shift).get(), expected, 1e-6)

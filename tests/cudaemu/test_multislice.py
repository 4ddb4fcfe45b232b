"""Multi-slice marches on the emulated GPU: against plain NumPy, and whole models against the CPU."""

import numpy as np
import pytest

from fieldrx.backends import cpu, cuda, plain
from fieldrx.backends.cuda import lines

MARCHES = ["Bpm", "Mlb", "Ssnp"]
BALL = 1.33 / 0.5


def problem(shape=(15, 12), count=3, gaps=(0.3, 0.3, 0.25, 0.4), seed=0):
    rng = np.random.default_rng(seed)
    frequencies = [np.fft.fftfreq(n, d) for n, d in zip(shape, (0.18, 0.21), strict=True)]
    sources = rng.uniform(-1, 1, (count, 2))
    n = len(gaps) + 1
    slices = 0.3 * rng.normal(size=(n, *shape)) + 0.1j * np.abs(rng.normal(size=(n, *shape)))
    d_wave = rng.normal(size=(2, count, *shape))
    return (*frequencies, sources, BALL, np.array(gaps)), slices, d_wave[0] + 1j * d_wave[1]


def close(found, expected, tolerance):
    return np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("kind", MARCHES)
@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize(("shape", "count"), [((15, 12), 3), ((6, 25), 1), ((6, 10), 11)])
def test_march_equals_plain_numpy(gpu, kind, memory, shape, count):
    import cupy

    arguments, slices, d_wave = problem(shape, count)
    reference = getattr(plain, kind)(*arguments)
    wave, (d_slices, _) = reference.forward(slices), reference.backward(d_wave)
    march = getattr(cuda, kind)(*arguments)
    on_device, d_device = cupy.asarray(slices.astype("c8")), cupy.asarray(d_wave.astype("c8"))
    for _ in range(2):  # a march may be used again, also backward, and leaves its input alone
        found = march.forward(on_device, memory)
        assert close(found.get(), wave, 1e-6)
        for _ in range(2):
            assert close(march.backward(d_device)[0].get(), d_slices, 2e-6)
    assert close(march.forward(on_device, None).get(), wave, 1e-6)
    assert np.array_equal(on_device.get(), slices.astype("c8"))
    assert np.array_equal(d_device.get(), d_wave.astype("c8"))
    assert gpu.transfers == 9  # what the test itself fetched: nothing waits for the device


@pytest.mark.parametrize("kind", MARCHES)
def test_dot_product_of_the_derivative(gpu, kind):
    """The way back is the adjoint of the forward march's derivative, here in the direction of one slice."""
    import cupy

    arguments, slices, d_wave = problem()
    march = getattr(cuda, kind)(*arguments)
    march.forward(cupy.asarray(slices.astype("c8")))
    gradient = march.backward(cupy.asarray(d_wave.astype("c8")))[0].get()
    change = np.random.default_rng(5).normal(size=slices.shape) * 1e-6 * (1 + 0.5j)
    reference = getattr(plain, kind)(*arguments)
    slope = np.vdot(d_wave, reference.forward(slices + change) - reference.forward(slices - change)).real / 2
    assert np.vdot(gradient, change).real == pytest.approx(slope, rel=1e-4)


def test_all_slices_are_kept_where_there_is_room(gpu):
    import cupy

    arguments, slices, _ = problem()
    slices = cupy.asarray(slices.astype("c8"))
    for kind in MARCHES:
        march = getattr(cuda, kind)(*arguments)
        march.forward(slices, "auto")
        assert len(march.kept) == len(slices)
        launched = len(gpu.launches)
        march.forward(slices, "auto")
        assert len(gpu.launches) - launched <= 2 * len(slices) + 2  # along rows and along columns


def test_a_march_without_memory_has_no_way_back(gpu):
    import cupy

    arguments, slices, d_wave = problem()
    march = cuda.Bpm(*arguments)
    march.forward(cupy.asarray(slices.astype("c8")), None)
    with pytest.raises(ValueError, match="nothing was kept"):
        march.backward(cupy.asarray(d_wave.astype("c8")))


@pytest.mark.parametrize("kind", MARCHES)
@pytest.mark.parametrize("memory", ["store", "recompute"])
@pytest.mark.parametrize("shape", [(15, 12), (14, 12), (15, 22), (13, 23)])  # products of 2, 3 and 5, or not
def test_cpu_and_gpu_give_the_same_gradient(gpu, kind, memory, shape):
    import cupy

    arguments, slices, d_wave = problem(shape, 4)
    slices, d_wave = slices.astype("c8"), d_wave.astype("c8")
    one, other = getattr(cpu, kind)(*arguments), getattr(cuda, kind)(*arguments)
    wave = one.forward(slices, memory)
    assert close(other.forward(cupy.asarray(slices), memory).get(), wave, 5e-6)
    assert close(other.backward(cupy.asarray(d_wave))[0].get(), one.backward(d_wave)[0], 1e-4)


@pytest.mark.parametrize("kind", MARCHES)
def test_phases_of_long_ways_are_exact(gpu, kind):
    """Hundreds of turns between slices: the axial frequency must be better than single precision."""
    import cupy

    arguments, slices, d_wave = problem((6, 9), 2, gaps=(300.0, 411.0))
    reference = getattr(plain, kind)(*arguments)
    wave, (d_slices, _) = reference.forward(slices), reference.backward(d_wave)
    march = getattr(cuda, kind)(*arguments)
    assert close(march.forward(cupy.asarray(slices.astype("c8"))).get(), wave, 1e-6)
    assert close(march.backward(cupy.asarray(d_wave.astype("c8")))[0].get(), d_slices, 2e-6)


@pytest.mark.parametrize("points", [2, 9, 12, 125, 250, 288])
def test_orders_of_spectra(points):
    """What the stages leave, in plain NumPy, is numpy.fft's in the order that is said."""
    rng = np.random.default_rng(points)
    signal = rng.normal(size=points) + 1j * rng.normal(size=points)
    blocks = signal[None]
    for radix in lines.radices(points):  # decimation in frequency
        length = blocks.shape[1]
        legs = np.arange(length // radix)
        parts = np.fft.fft(blocks.reshape(-1, radix, len(legs)), axis=1)
        turned = parts * np.exp(-2j * np.pi * np.outer(np.arange(radix), legs) / length)
        blocks = turned.reshape(-1, len(legs))
    found = blocks.ravel()
    assert np.abs(found - np.fft.fft(signal)[lines.order(points)]).max() < 1e-12 * points


@pytest.mark.parametrize("points", [1, 14])
def test_lengths_that_have_no_stages_are_refused(points):
    with pytest.raises(ValueError, match=f"an FFT of {points} points is not made of factors 2, 3, 5"):
        lines.line(points)


@pytest.mark.parametrize(("points", "most"), [(12, 1), (250, 8), (300, 11), (2000, 16), (5000, 16)])
def test_lines_fit_into_shared_memory(points, most):
    line = lines.line(points, most)
    launched = line.launched()
    assert line.lines & (line.lines - 1) == 0 and line.lines <= 8 and line.pitch >= points
    assert launched["shared_bytes"] <= 48 * 1024 and launched["block"] == (32 * line.lines,)
    column, element = np.divmod(np.arange(16), 16 // line.lines)  # what half a warp writes of some columns
    assert len(set((column * line.pitch + element) % 16)) == 16  # ... goes to different banks

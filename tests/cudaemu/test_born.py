"""First Born on the emulated GPU, against one slice and one source at a time in float64."""

import numpy as np
import pytest
import reference_born

from fieldrx.backends import cpu, cuda
from fieldrx.models import Born, Rytov
from fieldrx.optics import Grid, Illumination, Microscope

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.6, medium_index=1.34, pixel_size_um=0.21)
GRID = Grid((19, 14, 11), (0.37, 0.21, 0.21), (-2.9, -0.63, -0.42))  # more slices than one restart; odd nx
IMAGE = (9, 8)
SOURCES = [(0.0, 0.0), (0.31, -0.2), (-0.1, 0.58), (0.0, -0.6), (0.2, 0.2)]
PATTERN = np.zeros((10, 5))  # more images than a thread holds
PATTERN[np.arange(10), np.arange(10) % 5] = 1
PATTERN[2] = 0.1, 1, 0.5, 2, 0
PATTERN[9, 1:] = 0.3, 0.2, 0.1, 0.4
LIGHT = Illumination(SOURCES, PATTERN)


def close(found, expected, tolerance):
    return np.linalg.norm(found - expected) < tolerance * np.linalg.norm(expected)


def contrast(dtype=np.complex128, shape=GRID.shape):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype) * 1e-3


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.complex128, 1e-12), (np.complex64, 2e-6)])
def test_forward_against_plain_numpy(gpu, dtype, tolerance):
    import cupy

    model = Born(GRID, SCOPE, LIGHT, IMAGE)
    predicted = model.linear_signal(cupy.asarray(contrast(dtype)))
    assert gpu.launches == ["born_forward"] and gpu.transfers == 0
    y, x = model.window
    for image, weights in zip(predicted.get(), LIGHT.pattern, strict=True):
        plain = reference_born.signal(contrast(), GRID, SCOPE, LIGHT.sources_na, weights)[y, x]
        assert close(image, plain, tolerance)


@pytest.mark.parametrize("images", [None, [9, 2, 3]])
@pytest.mark.parametrize(("dtype", "tolerance"), [("f8", 1e-12), ("f4", 1e-5)])
def test_dot_product(gpu, images, dtype, tolerance):
    import cupy

    model, rng = Born(GRID, SCOPE, LIGHT, IMAGE), np.random.default_rng(1)
    v = contrast("c16" if dtype == "f8" else "c8")
    forward = model.linear_signal(cupy.asarray(v), images).get()
    w = rng.standard_normal(forward.shape).astype(dtype)
    back = model.adjoint(cupy.asarray(w), images).get()
    left, right = np.vdot(forward, w).real, np.vdot(v, back).real
    assert abs(left - right) < tolerance * np.linalg.norm(forward) * np.linalg.norm(w)


@pytest.mark.parametrize("kind", [Born, Rytov])
def test_cpu_and_gpu_give_the_same_gradient(gpu, kind):
    import cupy

    model, c = kind(GRID, SCOPE, LIGHT, IMAGE), contrast("c8")
    d = np.random.default_rng(2).standard_normal((10, *IMAGE)).astype("f4")
    intensity, pullback = model.forward_and_pullback(cupy.asarray(c))
    assert close(intensity.get() - 1, model.forward(c) - 1, 1e-5)
    assert close(pullback(cupy.asarray(d)).get(), model.vjp(c, d), 1e-5)
    signal, back = model.signal_and_pullback(cupy.asarray(c), [4, 0])
    expected, expected_back = model.signal_and_pullback(c, [4, 0])
    assert close(signal.get(), expected, 1e-5)
    assert close(back(cupy.asarray(d[:2])).get(), expected_back(d[:2]), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("z_first", "dtype", "tolerance"),  # 800 um from focus phases are hundreds of turns
    [(-3.3, "c16", 1e-12), (-3.3, "c8", 3e-6), (800.0, "c16", 1e-11), (800.0, "c8", 3e-6)],
)
def test_operators_on_odd_shapes(gpu, z_first, dtype, tolerance):
    """Any heights, slices and frequencies: both kernels alone against the CPU in double precision."""
    import cupy

    rng, shape = np.random.default_rng(4), (33, 7, 13)
    frequencies = [np.fft.fftfreq(n, d) for n, d in zip(shape[1:], (0.2, 0.3), strict=True)]
    sources = rng.uniform(-1.1, 1.1, (6, 2))
    starts, index = np.array([0, 1, 5, 5, 7]), np.array([3, 0, 1, 2, 4, 5, 3])  # one image without light
    weight = rng.uniform(0.1, 1, 7)
    constants = *frequencies, sources, starts, index, weight, 2.7, 1.2, z_first, 0.21
    spectrum, residual = (
        (rng.normal(size=(2, n, *shape[1:])).T @ [1, 1j]).T.astype(dtype) for n in (shape[0], 4)
    )
    for name, given, n in (("born_forward", spectrum, 4), ("born_adjoint", residual, shape[0])):
        out = np.empty((n, *shape[1:]), np.complex128)
        getattr(cpu, name)(given.astype("c16"), *constants, out)
        on_device = cupy.empty(out.shape, dtype)
        getattr(cuda, name)(cupy.asarray(given), *constants, on_device)
        assert close(on_device.get(), out, tolerance)

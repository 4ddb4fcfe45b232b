"""The emulator itself: it runs what is right and finds what is wrong, in both orders of threads."""

import fake_cupy
import numpy as np
import pytest
from emulator import EmulationError

SOURCE = r"""
extern "C" __global__ void sum_rows(const float* __restrict__ x, float* y, int n) {
    extern __shared__ float part[];
    float v = threadIdx.x < n ? x[blockIdx.x * n + threadIdx.x] : 0.0f;
    for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(0xffffffffu, v, d);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
#ifndef NO_BARRIER
    __syncthreads();
#endif
    if (threadIdx.x == 0) {
        float total = 0.0f;
        for (int w = 0; w < blockDim.x / 32; ++w) total += part[w];
        y[blockIdx.x] = total;
    }
    if (threadIdx.x == blockDim.x - 1) {
        float total = 0.0f;
        for (int w = 0; w < blockDim.x / 32; ++w) total += part[w];
        atomicAdd(y + gridDim.x, total);
    }
}
extern "C" __global__ void diverge(float* y) {
    if (threadIdx.x % 32 < 16) __syncwarp(); else __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void leave_early(float* y, int n) {
    if (threadIdx.x >= n) return;
    __syncthreads();
    y[threadIdx.x] = 1;
}
extern "C" __global__ void write_at(float* y, int i) { y[i] = 1; }
extern "C" __global__ void write_shared_at(float* y, int i) {
    extern __shared__ float part[];
    __shared__ float fixed[8];
    part[threadIdx.x] = 0;
    fixed[threadIdx.x] = 0;
    if (i < 0) fixed[-i] = 1; else part[i] = 1;
    y[0] = part[0] + fixed[0];
}
extern "C" __global__ void read_four_at(const float* x, float* y, int i) {
    const float4 v = *reinterpret_cast<const float4*>(x + i);
    y[0] = v.x + v.w;
}
"""


def run(name, grid, block, args, options=(), shared_mem=256):
    function = fake_cupy.RawModule(code=SOURCE, options=options).get_function(name)
    function((grid,), (block,), args, shared_mem=shared_mem)


def test_blocks_warps_shuffles_and_atomics(gpu):
    import cupy

    x = np.random.default_rng(0).normal(size=(3, 90)).astype("f4")
    y = cupy.zeros(4, np.float32)
    run("sum_rows", 3, 96, (cupy.asarray(x), y, np.int32(90)))
    np.testing.assert_allclose(cupy.asnumpy(y), [*x.sum(1), x.sum()], rtol=1e-5)
    assert gpu.launches == ["sum_rows"]


def test_a_missing_barrier_shows(gpu):
    import cupy

    y = cupy.zeros(2, np.float32)
    run("sum_rows", 1, 64, (cupy.ones((1, 64), np.float32), y, np.int32(64)), ("-DNO_BARRIER",))
    assert not (y.get() == 64).all()


@pytest.mark.parametrize(
    ("name", "block", "scalars", "message"),
    [
        ("diverge", 64, (), "deadlock"),
        ("leave_early", 64, (np.int32(40),), "others have left"),
        ("write_at", 1, (np.int32(66),), "outside an array"),
        ("write_at", 1, (np.int32(-1),), "outside an array"),
        ("write_shared_at", 4, (np.int32(70),), "beyond the dynamic shared memory"),
        ("write_shared_at", 4, (np.int32(-9),), "beyond the end of an array"),
        ("write_at", 1, (3,), "must be of type i4"),
        ("write_at", 1, (np.int64(3),), "must be of type i4"),
    ],
)
def test_faults_are_found(gpu, name, block, scalars, message):
    import cupy

    with pytest.raises(EmulationError, match=message):
        run(name, 1, block, (cupy.zeros(64, np.float32), *scalars))


MATRICES = r"""
#include "ptx_twins.h"
extern "C" __global__ void sum_into(float* y) {
    extern __shared__ float part[];
    part[0] = 0;
    atomicAdd(part, 1.0f);
    y[0] = part[0];
}
extern "C" __global__ void load_after_copies(const float* x, unsigned* y, int pieces, int together) {
    extern __shared__ __align__(16) float part[];
    for (int i = threadIdx.x; i < pieces; i += 32) copy_async(part + 4 * i, x + 4 * i);
    copy_commit();
    copy_wait<0>();
    if (together) __syncwarp();
    unsigned r[4];
    ldmatrix(r, part + 4 * threadIdx.x);
    y[threadIdx.x] = r[0];
}
"""


def test_sums_of_floats_in_shared_memory_are_refused(gpu):
    """On a device each of them is a loop of compare-and-swap."""
    import cupy

    function = fake_cupy.RawModule(code=MATRICES).get_function("sum_into")
    with pytest.raises(EmulationError, match="compare-and-swap"):
        function((1,), (32,), (cupy.zeros(1, np.float32),), shared_mem=16)


@pytest.mark.parametrize(("pieces", "together"), [(32, 0), (40, 1), (40, 0)])
def test_matrices_are_loaded_by_lanes_that_have_met(gpu, pieces, together):
    import cupy

    function = fake_cupy.RawModule(code=MATRICES).get_function("load_after_copies")
    x, y = cupy.zeros(160, np.float32), cupy.zeros(32, np.uint32)
    arguments = (x, y, np.int32(pieces), np.int32(together))
    if pieces == 32 or together:
        function((1,), (32,), arguments, shared_mem=640)
    else:
        with pytest.raises(EmulationError, match="ldmatrix: lanes have diverged"):
            function((1,), (32,), arguments, shared_mem=640)


def test_misaligned_vector_is_found(gpu):
    import cupy

    x, y = cupy.ones(8, np.float32), cupy.zeros(1, np.float32)
    run("read_four_at", 1, 1, (x, y, np.int32(4)))
    assert float(y[0]) == 2
    with pytest.raises(EmulationError, match="misaligned"):
        run("read_four_at", 1, 1, (x, y, np.int32(2)))


def test_wrong_types_and_too_much_shared_memory_are_refused(gpu):
    import cupy

    for array in (np.zeros(4, np.float32), cupy.zeros(4, np.float64), cupy.zeros((4, 4), np.float32)[:, 1]):
        with pytest.raises(EmulationError, match="argument 0"):
            run("write_at", 1, 1, (array, np.int32(0)))
    with pytest.raises(EmulationError, match="max_dynamic_shared_size_bytes"):
        run("write_at", 1, 1, (cupy.zeros(4, np.float32), np.int32(0)), shared_mem=50_000)


def test_device_arrays_refuse_to_mix(gpu):
    import cupy

    a, b = cupy.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.float32)
    for mix in (lambda: a + b, lambda: b + a, lambda: np.add(a, b), lambda: np.asarray(a), lambda: a[b > 0]):
        with pytest.raises(TypeError):
            mix()
    with pytest.raises(TypeError):
        a[:] = b
    result = 2 * a[:, 1:] + np.float32(1)
    assert isinstance(result, cupy.ndarray)
    np.testing.assert_array_equal(result.get(), [[3, 5], [9, 11]])
    a[0] += 1
    a[:, 0] = 7
    np.testing.assert_array_equal(a.get(), [[7, 2, 3], [7, 4, 5]])
    assert float(np.sum(a)) == float(a.sum()) == 28
    assert np.isnan(cupy.empty(3, np.float32).get()).all()


def test_ffts_and_plans(gpu):
    import cupy
    import cupyx.scipy.fft

    a = np.random.default_rng(1).normal(size=(2, 6, 5)).astype(np.complex64)
    device = cupy.asarray(a)
    with cupyx.scipy.fft.get_fft_plan(device, axes=(1, 2)) as plan:
        spectrum = cupyx.scipy.fft.fftn(device, axes=(1, 2), plan=plan)
    np.testing.assert_allclose(spectrum.get(), np.fft.fft2(a), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(cupy.fft.ifft2(spectrum).get(), a, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="plan"):
        cupyx.scipy.fft.fftn(device, axes=(0, 1), plan=plan)

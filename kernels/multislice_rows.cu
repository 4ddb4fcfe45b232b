// Multi-slice propagation along the rows of waves: what slices do, between an inverse FFT along x and a forward one.
//
// Envelopes of n_sources waves, (n_sources, ny, POINTS), march together; slices are (nz, ny, POINTS) and a kernel
// works on slice j.  kernels/multislice_columns.cu does the rest: of a wave that travels every kernel reads and
// writes each element once.  `roots`: see lines.cuh.
// Launch: LINES warps a block.  Shared memory: [LINES][PITCH] complex.
#include "lines.cuh"

// exp(i path phase); a positive imaginary part absorbs.
__device__ __forceinline__ complex screen(real path, complex phase) {
    real sine, cosine;
    sine_cosine(real(0.15915494309189535) * path * phase.re, &sine, &cosine);
    return expf(-path * phase.im) * complex{cosine, sine};
}

// What a slice multiplies a wave by.
template <bool SCREEN>
__device__ __forceinline__ complex factor(real path, complex slice) {
    return SCREEN ? screen(path, slice) : slice;
}

__device__ __forceinline__ complex* shared_lines() {
    extern __shared__ __align__(16) unsigned char shared[];
    return reinterpret_cast<complex*>(shared);
}

// Where a row of a source begins in the waves.
__device__ __forceinline__ size_t row_of(int source, int ny, int y) { return (size_t(source) * ny + y) * POINTS; }

// One row of a source; grid (ceil(n_sources / LINES), ny).
//   in, out: spectra along x in the order of lines.cuh where from_spectrum and to_spectrum say so
//   path (n_sources): for screens;  kept: where `keep` says so, the wave before the slice
template <bool SCREEN>
__device__ __forceinline__ void row(const complex* in, int from_spectrum, const complex* slices, const real* path,
                                    const complex* roots, int j, int n_sources, int ny, complex* kept, int keep,
                                    complex* out, int to_spectrum) {
    complex* line = shared_lines() + WARP * PITCH;
    const int s = blockIdx.x * LINES + WARP, y = blockIdx.y;
    if (s >= n_sources) return;
    const size_t at = row_of(s, ny, y);
    const complex* slice = slices + row_of(j, ny, y);
    for (int i = LANE; i < POINTS; i += 32) line[i] = in[at + i];
    __syncwarp();
    if (from_spectrum) Fourier::inverse(line, roots);
    const real length = SCREEN ? path[s] : 0;
    for (int i = LANE; i < POINTS; i += 32) {
        const complex wave = line[i];
        if (keep) kept[at + i] = wave;
        line[i] = factor<SCREEN>(length, slice[i]) * wave;
    }
    __syncwarp();
    if (to_spectrum) Fourier::forward(line, roots);
    for (int i = LANE; i < POINTS; i += 32) out[at + i] = line[i];
}

// The way back through `row`, from the waves before it; a row of all sources, grid (1, ny).
//   d_wave (n_sources, ny, POINTS) is overwritten
//   screens:  d_slices[j] = sum_s -i path_s conj(screen wave[s]) d_wave[s],  d_wave[s] <- conj(screen) d_wave[s]
//   others:   d_slices[j] = sign sum_s conj(wave[s]) d_wave[s],  d_wave[s] <- conj(slices[j]) d_wave[s]
template <bool SCREEN>
__device__ __forceinline__ void row_back(complex* d_wave, int from_spectrum, const complex* wave, const complex* slices,
                                         const real* path, const complex* roots, int j, int n_sources, int ny, real sign,
                                         complex* d_slices, int to_spectrum) {
    complex *lines = shared_lines(), *line = lines + WARP * PITCH;
    const int y = blockIdx.y;
    const size_t here = row_of(j, ny, y);
    for (int first = 0; first < n_sources; first += LINES) {
        const int s = first + WARP, count = min(LINES, n_sources - first);
        const size_t at = row_of(s, ny, y);
        if (WARP < count) {
            for (int i = LANE; i < POINTS; i += 32) line[i] = d_wave[at + i];
            __syncwarp();
            if (from_spectrum) Fourier::inverse(line, roots);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < POINTS; i += 32 * LINES) {  // a pixel of all lines
            const complex slice = slices[here + i];
            complex sum = {0, 0};
#pragma unroll 4
            for (int k = 0; k < count; ++k) {
                const real length = SCREEN ? path[first + k] : 1;
                const complex d = lines[k * PITCH + i], back = conj(factor<SCREEN>(length, slice)) * d;
                sum = add_product(sum, length * conj(wave[row_of(first + k, ny, y) + i]), SCREEN ? back : d);
                lines[k * PITCH + i] = back;
            }
            sum = SCREEN ? over_i(sum) : sign * sum;
            d_slices[here + i] = first ? d_slices[here + i] + sum : sum;
        }
        __syncthreads();
        if (WARP < count) {
            if (to_spectrum) Fourier::forward(line, roots);
            for (int i = LANE; i < POINTS; i += 32) d_wave[at + i] = line[i];
            __syncwarp();
        }
    }
}

// Beam propagation: slices are phases, path (n_sources) = ball / f_s.  in may be out.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    bpm_row(const complex* in, int from_spectrum, const complex* __restrict__ slices, const real* __restrict__ path,
            const complex* __restrict__ roots, int j, int n_sources, int ny, complex* kept, int keep, complex* out,
            int to_spectrum) {
    row<true>(in, from_spectrum, slices, path, roots, j, n_sources, ny, kept, keep, out, to_spectrum);
}

extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    bpm_row_back(complex* d_wave, int from_spectrum, const complex* __restrict__ wave, const complex* __restrict__ slices,
                 const real* __restrict__ path, const complex* __restrict__ roots, int j, int n_sources, int ny,
                 complex* d_slices, int to_spectrum) {
    row_back<true>(d_wave, from_spectrum, wave, slices, path, roots, j, n_sources, ny, 1, d_slices, to_spectrum);
}

// Multi-layer Born and split-step non-paraxial: waves times slices.  in may be out.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    scatter_row(const complex* in, const complex* __restrict__ slices, const complex* __restrict__ roots, int j,
                int n_sources, int ny, complex* kept, int keep, complex* out) {
    row<false>(in, 1, slices, nullptr, roots, j, n_sources, ny, kept, keep, out, 1);
}

extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    scatter_row_back(complex* d_wave, const complex* __restrict__ wave, const complex* __restrict__ slices,
                     const complex* __restrict__ roots, int j, int n_sources, int ny, real sign, complex* d_slices) {
    row_back<false>(d_wave, 1, wave, slices, nullptr, roots, j, n_sources, ny, sign, d_slices, 1);
}

// FFT of rows, without a slice; grid (ceil(n_sources / LINES), ny).
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    transform_row(complex* __restrict__ wave, const complex* __restrict__ roots, int n_sources, int ny, int inverse) {
    complex* line = shared_lines() + WARP * PITCH;
    const int s = blockIdx.x * LINES + WARP;
    if (s >= n_sources) return;
    const size_t at = row_of(s, ny, blockIdx.y);
    for (int i = LANE; i < POINTS; i += 32) line[i] = wave[at + i];
    __syncwarp();
    if (inverse) Fourier::inverse(line, roots);
    else Fourier::forward(line, roots);
    for (int i = LANE; i < POINTS; i += 32) wave[at + i] = line[i];
}

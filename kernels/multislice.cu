// Multi-slice propagation around batched cuFFT: BPM, MLB and SSNP; the twins of fieldrx/backends/plain.py.
//
// Envelopes of n_sources waves, (n_sources, ny, nx), march together.  Between two FFTs, which do not normalise,
// one kernel reads and writes each wave once.  Propagators are made where they are used, from the sources; no
// table of them is stored.  Slices are (nz, ny, nx) and a kernel works on slice j; `plane` = ny nx.
//
// What the kernels on spectra share (FREQUENCIES):
//   sources (n_sources, 2)  double: nu_s along y and x [cycles/um]
//   ball, band              n0 / lambda, and the radius beyond which waves are cut off, unless their source is as
//                           steep [cycles/um]
//   step_y, step_x          distance of neighbouring frequencies [cycles/um], in the order of numpy.fft
// Launch, spectra: one thread a frequency and source, grid (ceil(plane / block), n_sources); waves in
// space: one thread a pixel, which visits all sources, grid (ceil(plane / block)).  No shared memory.
#include "waves.cuh"

#define FREQUENCIES \
    const double *__restrict__ sources, double ball, double band, double step_y, double step_x, int ny, int nx

struct Axial {
    double f, f_s;  // kz / 2 pi of nu + nu_s, and of nu_s [cycles/um]
    bool inside;    // the band
};

__device__ __forceinline__ Axial axial(int i, const double* source, double ball, double band, double step_y,
                                       double step_x, int ny, int nx) {
    const int row = i / nx;
    const double y = signed_number(row, ny) * step_y + source[0];
    const double x = signed_number(i - row * nx, nx) * step_x + source[1];
    const double squared = y * y + x * x, ball2 = ball * ball;
    const double own = source[0] * source[0] + source[1] * source[1];
    const bool inside = squared <= fmax(band * band, (1 + 1e-12) * own);
    return {root(inside ? ball2 - squared : ball2), root(ball2 - own), inside};
}

#define AXIAL axial(i, sources + 2 * blockIdx.y, ball, band, step_y, step_x, ny, nx)

// ---- beam propagation ------------------------------------------------------------------------------

// exp(i path phase); a positive imaginary part absorbs.
__device__ __forceinline__ complex screen(real path, complex phase) {
    real sine, cosine;
    sine_cosine(real(0.15915494309189535) * path * phase.re, &sine, &cosine);
    return expf(-path * phase.im) * complex{cosine, sine};
}

// out[s] = exp(i path_s slices[j]) wave[s];  path (n_sources) = ball / f_s;  out may be wave.
extern "C" __global__ void bpm_screen(const complex* wave, const complex* __restrict__ slices,
                                      const real* __restrict__ path, int j, int n_sources, int plane, complex* out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    const complex phase = slices[size_t(j) * plane + i];
#pragma unroll 4
    for (int s = 0; s < n_sources; ++s) {
        const size_t at = size_t(s) * plane + i;
        out[at] = screen(path[s], phase) * wave[at];
    }
}

// The way back through bpm_screen, from the wave before it:
//   d_slices[j] = sum_s -i path_s conj(screen wave[s]) d_wave[s],  then  d_wave[s] <- conj(screen) d_wave[s]
extern "C" __global__ void bpm_screen_back(const complex* __restrict__ wave, const complex* __restrict__ slices,
                                           const real* __restrict__ path, int j, int n_sources, int plane,
                                           complex* __restrict__ d_wave, complex* __restrict__ d_slices) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    const complex phase = slices[size_t(j) * plane + i];
    complex sum = {0, 0};
#pragma unroll 4
    for (int s = 0; s < n_sources; ++s) {
        const size_t at = size_t(s) * plane + i;
        const complex back = conj(screen(path[s], phase)) * d_wave[at];
        sum = add_product(sum, path[s] * conj(wave[at]), back);
        d_wave[at] = back;
    }
    d_slices[size_t(j) * plane + i] = over_i(sum);
}

// spectrum <- scale exp(2 pi i (f - f_s) gap) spectrum within the band, 0 outside; a negative gap conjugates.
extern "C" __global__ void propagate(complex* __restrict__ spectrum, FREQUENCIES, double gap, real scale) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const Axial a = AXIAL;
    const size_t at = size_t(blockIdx.y) * ny * nx + i;
    spectrum[at] = a.inside ? scale * (turn((a.f - a.f_s) * gap) * spectrum[at]) : complex{0, 0};
}

// ---- multi-layer Born and split-step non-paraxial --------------------------------------------------

// out[s] = slices[j] wave[s];  out may be wave.
extern "C" __global__ void scatter(const complex* wave, const complex* __restrict__ slices, int j, int n_sources,
                                   int plane, complex* out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    const complex q = slices[size_t(j) * plane + i];
#pragma unroll 4
    for (int s = 0; s < n_sources; ++s) out[size_t(s) * plane + i] = q * wave[size_t(s) * plane + i];
}

// The way back through scatter, from the wave before it:
//   d_slices[j] = sign sum_s conj(wave[s]) d_source[s],  then  d_source[s] <- conj(slices[j]) d_source[s]
extern "C" __global__ void scatter_back(const complex* __restrict__ wave, const complex* __restrict__ slices, int j,
                                        int n_sources, int plane, real sign, complex* __restrict__ d_source,
                                        complex* __restrict__ d_slices) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    const complex q = conj(slices[size_t(j) * plane + i]);
    complex sum = {0, 0};
#pragma unroll 4
    for (int s = 0; s < n_sources; ++s) {
        const size_t at = size_t(s) * plane + i;
        const complex back = d_source[at];
        sum = add_product(sum, conj(wave[at]), back);
        d_source[at] = q * back;
    }
    d_slices[size_t(j) * plane + i] = sign * sum;
}

// state <- exp(2 pi i (f - f_s) gap) (state + scale i ball / (2 f) source) within the band, 0 outside.
// Backward, with a negative scale and a negative gap, it marches conj(i ball / 2 f) times the gradient.
extern "C" __global__ void mlb_step(complex* __restrict__ state, const complex* __restrict__ source, FREQUENCIES,
                                    double gap, real scale) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const Axial a = AXIAL;
    const size_t at = size_t(blockIdx.y) * ny * nx + i;
    if (!a.inside) {
        state[at] = {0, 0};
        return;
    }
    const real half = scale * real(0.5 * ball / a.f);
    state[at] = turn((a.f - a.f_s) * gap) * (state[at] + half * times_i(source[at]));
}

// p <- p - scale source, then (u, p) <- R (u, p) within the band, 0 outside, with the rotation R of
// fieldrx.models.ssnp over `gap`; negative scale and gap undo a step.
extern "C" __global__ void ssnp_step(complex* __restrict__ u, complex* __restrict__ p,
                                     const complex* __restrict__ source, FREQUENCIES, double gap, real scale) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const Axial a = AXIAL;
    const size_t at = size_t(blockIdx.y) * ny * nx + i;
    if (!a.inside) {
        u[at] = p[at] = {0, 0};
        return;
    }
    const complex angle = turn(a.f * gap), wave = u[at], slope = p[at] - scale * source[at];
    const real steep = real(ball / a.f);
    u[at] = angle.re * wave + (angle.im * steep) * slope;
    p[at] = angle.re * slope - (angle.im / steep) * wave;
}

// The pair of an empty sample's wave: u is 1 everywhere, p = i f_s / ball u; spectra over `plane`.
extern "C" __global__ void ssnp_start(complex* __restrict__ u, complex* __restrict__ p, FREQUENCIES) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const size_t at = size_t(blockIdx.y) * ny * nx + i;
    u[at] = {real(i == 0), 0};
    p[at] = {0, i == 0 ? real(AXIAL.f_s / ball) : 0};
}

// The wave towards +z without its carrier: out = exp(-2 pi i f_s height) (u - i ball / f p) / 2, in the band.
extern "C" __global__ void ssnp_camera(const complex* __restrict__ u, const complex* __restrict__ p, FREQUENCIES,
                                       double height, complex* __restrict__ out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const Axial a = AXIAL;
    const size_t at = size_t(blockIdx.y) * ny * nx + i;
    const complex half = real(0.5) * turn(-a.f_s * height);
    out[at] = a.inside ? half * (u[at] + real(ball / a.f) * over_i(p[at])) : complex{0, 0};
}

// Adjoint of ssnp_camera: d_u = scale exp(2 pi i f_s height) d / 2 in the band, d_p = i ball / f d_u; d_u may be d.
extern "C" __global__ void ssnp_camera_back(const complex* d, FREQUENCIES, double height, real scale, complex* d_u,
                                            complex* __restrict__ d_p) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const Axial a = AXIAL;
    const size_t at = size_t(blockIdx.y) * ny * nx + i;
    const complex back = a.inside ? real(0.5) * scale * (turn(a.f_s * height) * d[at]) : complex{0, 0};
    d_u[at] = back;
    d_p[at] = real(ball / a.f) * times_i(back);
}

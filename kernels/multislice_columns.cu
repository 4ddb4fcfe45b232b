// Multi-slice propagation along the columns of waves: how they travel, between a forward FFT along y and an inverse
// one; the twins of fieldrx/backends/plain.py.
//
// Waves (n_sources, POINTS, nx) come as spectra along x, from kernels/multislice_rows.cu, and go back so.  Propagators
// are made where they are used, from the sources; no table of them is stored.  States of the march are spectra, kept
// as (n_sources, nx, POINTS), along both axes in the order of lines.cuh.
//
// What the kernels share (FREQUENCIES):
//   sources (n_sources, 2)  double: nu_s along y and x [cycles/um]
//   nu_y (POINTS), nu_x (nx)  double: frequencies in the order of lines.cuh, the first of them 0 [cycles/um]
//   ball, band              n0 / lambda, and the radius beyond which waves are cut off, unless their source is as
//                           steep [cycles/um]
//   roots                   see lines.cuh
// Launch: LINES warps a block, grid (ceil(nx / LINES), n_sources).  Shared memory: [LINES][PITCH] complex.
#include "lines.cuh"

#define FREQUENCIES                                                                                                   \
    const double *__restrict__ sources, const double *__restrict__ nu_y, const double *__restrict__ nu_x, double ball, \
        double band, const complex *__restrict__ roots, int nx
#define GIVEN sources, nu_y, nu_x, ball, band, roots, nx

struct Axial {
    double f, f_s;  // kz / 2 pi of nu + nu_s, and of nu_s [cycles/um]
    bool inside;    // the band
};

__device__ __forceinline__ Axial axial(double nu_y, double nu_x, const double* source, double ball, double band) {
    const double y = nu_y + source[0], x = nu_x + source[1];
    const double squared = y * y + x * x, ball2 = ball * ball;
    const double own = source[0] * source[0] + source[1] * source[1];
    const bool inside = squared <= fmax(band * band, (1 + 1e-12) * own);
    return {root(inside ? ball2 - squared : ball2), root(ball2 - own), inside};
}

// Columns of a source: a forward FFT where `collect` says so, else zeros; then
//   value <- act(value, frequency, place of the element in the states, whether it is frequency 0)
// and the inverse FFT, back to where they came from.
template <class Act>
__device__ __forceinline__ void columns(complex* wave, FREQUENCIES, bool collect, Act act) {
    extern __shared__ __align__(16) unsigned char shared[];
    complex *lines = reinterpret_cast<complex*>(shared), *line = lines + WARP * PITCH;
    const int s = blockIdx.y, first = blockIdx.x * LINES, x = first + WARP;
    wave += size_t(s) * POINTS * nx + first;
    for (int i = threadIdx.x; collect && i < POINTS * LINES; i += 32 * LINES) {
        const int column = i % LINES, y = i / LINES;
        if (first + column < nx) lines[column * PITCH + y] = wave[size_t(y) * nx + column];
    }
    __syncthreads();
    if (x < nx) {
        if (collect) Fourier::forward(line, roots);
        for (int k = LANE; k < POINTS; k += 32) {
            const Axial a = axial(nu_y[k], nu_x[x], sources + 2 * s, ball, band);
            const complex value = collect ? line[k] : complex{0, 0};
            line[k] = act(value, a, (size_t(s) * nx + x) * POINTS + k, x == 0 && k == 0);
        }
        __syncwarp();
        Fourier::inverse(line, roots);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < POINTS * LINES; i += 32 * LINES) {
        const int column = i % LINES, y = i / LINES;
        if (first + column < nx) wave[size_t(y) * nx + column] = lines[column * PITCH + y];
    }
}

// Beam propagation: scale exp(2 pi i (f - f_s) gap) times the spectrum within the band, 0 outside; a negative gap
// conjugates.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2) bpm_column(complex* __restrict__ wave, FREQUENCIES, double gap, real scale) {
    columns(wave, GIVEN, true, [=](complex value, const Axial& a, size_t, bool) {
        return a.inside ? scale * (turn((a.f - a.f_s) * gap) * value) : complex{0, 0};
    });
}

// Multi-layer Born: state <- exp(2 pi i (f - f_s) gap) (state + scale i ball / (2 f) source) within the band, 0
// outside, which goes on; the source is the wave that comes, or nothing.  Backward, with a negative scale and a
// negative gap, it marches conj(i ball / 2 f) times the gradient.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    mlb_column(complex* __restrict__ wave, FREQUENCIES, complex* __restrict__ state, double gap, real scale, int collect) {
    columns(wave, GIVEN, collect, [=](complex source, const Axial& a, size_t at, bool) {
        const real half = scale * real(0.5 * ball / a.f);
        const complex grown = turn((a.f - a.f_s) * gap) * (state[at] + half * times_i(source));
        return state[at] = a.inside ? grown : complex{0, 0};
    });
}

// Split-step non-paraxial: p <- p - scale source, then (u, p) <- R (u, p) within the band, 0 outside, with the
// rotation R of fieldrx.models.ssnp over `gap`; u goes on.  Negative scale and gap undo a step.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    ssnp_column(complex* __restrict__ wave, FREQUENCIES, complex* __restrict__ u, complex* __restrict__ p, double gap, real scale,
                int collect) {
    columns(wave, GIVEN, collect, [=](complex source, const Axial& a, size_t at, bool) {
        const complex angle = turn(a.f * gap), wave = u[at], slope = p[at] - scale * source;
        const real steep = real(ball / a.f);
        p[at] = a.inside ? angle.re * slope - (angle.im / steep) * wave : complex{0, 0};
        return u[at] = a.inside ? angle.re * wave + (angle.im * steep) * slope : complex{0, 0};
    });
}

// The pair of an empty sample's wave: u is 1 everywhere, which goes on, p = i f_s / ball u; spectra over their size.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    ssnp_start(complex* __restrict__ wave, FREQUENCIES, complex* __restrict__ u, complex* __restrict__ p) {
    columns(wave, GIVEN, false, [=](complex, const Axial& a, size_t at, bool zero) {
        p[at] = {0, zero ? real(a.f_s / ball) : 0};
        return u[at] = {real(zero), 0};
    });
}

// p <- p - scale source, in the band, where the last slice has sent its source; what goes on is the wave towards +z
// without its carrier, exp(-2 pi i f_s height) (u - i ball / f p) / 2.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    ssnp_camera(complex* __restrict__ wave, FREQUENCIES, const complex* __restrict__ u, complex* __restrict__ p, double height,
                real scale) {
    columns(wave, GIVEN, true, [=](complex source, const Axial& a, size_t at, bool) {
        const complex half = real(0.5) * turn(-a.f_s * height), slope = a.inside ? p[at] - scale * source : complex{0, 0};
        p[at] = slope;
        return a.inside ? half * (u[at] + real(ball / a.f) * over_i(slope)) : complex{0, 0};
    });
}

// Adjoint of the way to the camera: d_u = scale exp(2 pi i f_s height) d / 2 in the band, d_p = i ball / f d_u, which
// goes on.
extern "C" __global__ void __launch_bounds__(32 * LINES, 2)
    ssnp_camera_back(complex* __restrict__ wave, FREQUENCIES, complex* __restrict__ d_u, complex* __restrict__ d_p, double height,
                     real scale) {
    columns(wave, GIVEN, true, [=](complex d, const Axial& a, size_t at, bool) {
        const complex back = a.inside ? real(0.5) * scale * (turn(a.f_s * height) * d) : complex{0, 0};
        d_u[at] = back;
        return d_p[at] = real(ball / a.f) * times_i(back);
    });
}

// First Born: accumulate and adjoint, a recurrence over z; the twins of fieldrx/backends/cpu/born.py.
//
// For source s the slice at height z acts on frequency nu by
//     A(nu, z) = i / (2 kz(nu + nu_s)) P(nu + nu_s) exp(-i [kz(nu + nu_s) - kz(nu_s)] z).
// Nothing of A is stored: its phase turns by a constant angle per slice and is multiplied up, from a fresh
// start every RESTART slices.
//
// Arrays that both share:
//   nu_y (ny), nu_x (nx)   double: frequencies [cycles/um]
//   pairs (n_pairs, 4)     double: nu_s along y and x, weight, number of the image; in the order of images
//   ball, cutoff           n0 / lambda and NA / lambda [cycles/um];  z_first, dz [um]
#include "waves.cuh"

#define RESTART 16
#define IMAGES 8  // whose sums a thread holds at once; the spectrum is read once for all of them

struct Pair {
    double rate;  // turns per um of the phase
    real scale;   // weight / (2 kz); 0 outside the pupil
    int image;
};

__device__ __forceinline__ Pair make_pair(double nu_y, double nu_x, const double* pair, double ball, double cutoff) {
    const double y = nu_y + pair[0], x = nu_x + pair[1];
    const double rest = cutoff * cutoff - y * y;
    if (rest < 0.0 || x * x > rest) return {0.0, 0, 0};
    const double ball2 = ball * ball, source2 = pair[0] * pair[0] + pair[1] * pair[1];
    const double f = root(fmax(ball2 - (x * x + y * y), 1e-12 * ball2));
    return {root(ball2 - source2) - f, real(pair[2] / (12.566370614359172 * f)), int(pair[3])};
}

// out[m] = sum_s w_ms sum_z A_s(nu, z) spectrum[z]
//   spectrum (nz, ny, nx) complex;  starts (n_images + 1) int: first pair of every image
//   out (n_images, ny, nx) complex, overwritten
// Launch: one thread a frequency and IMAGES images: grid (ceil(ny nx / block), ceil(n_images / IMAGES)).
// No shared memory.  Reads the spectrum once per IMAGES pairs, writes out once.
extern "C" __global__ void __launch_bounds__(128)
born_forward(const complex* __restrict__ spectrum, const double* __restrict__ nu_y, const double* __restrict__ nu_x,
             const int* __restrict__ starts, const double* __restrict__ pairs, double ball, double cutoff,
             double z_first, double dz, int nz, int ny, int nx, int n_images, complex* __restrict__ out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, plane = ny * nx;
    if (i >= plane) return;
    const double my_y = nu_y[i / nx], my_x = nu_x[i % nx];
    const int first_image = IMAGES * blockIdx.y, last_image = min(first_image + IMAGES, n_images);
    for (int m = first_image; m < last_image; ++m) out[size_t(m) * plane + i] = {0, 0};
    for (int first = starts[first_image]; first < starts[last_image]; first += IMAGES) {
        Pair pair[IMAGES];
        complex phase[IMAGES], step[IMAGES], sum[IMAGES];
        bool any = false;
#pragma unroll
        for (int k = 0; k < IMAGES; ++k) {
            pair[k] = {0.0, 0, 0};
            if (first + k < starts[last_image]) pair[k] = make_pair(my_y, my_x, pairs + 4 * (first + k), ball, cutoff);
            any |= pair[k].scale != 0;
            step[k] = turn(pair[k].rate * dz);
            sum[k] = {0, 0};
        }
        if (!any) continue;
        for (int z = 0; z < nz; ++z) {
            if (z % RESTART == 0) {
#pragma unroll
                for (int k = 0; k < IMAGES; ++k) phase[k] = turn(pair[k].rate * (z_first + z * dz));
            }
            const complex v = spectrum[size_t(z) * plane + i];
#pragma unroll
            for (int k = 0; k < IMAGES; ++k) {
                sum[k] = add_product(sum[k], phase[k], v);
                phase[k] = phase[k] * step[k];
            }
        }
#pragma unroll
        for (int k = 0; k < IMAGES; ++k) {
            if (pair[k].scale == 0) continue;
            const size_t at = size_t(pair[k].image) * plane + i;
            out[at] = out[at] + pair[k].scale * times_i(sum[k]);
        }
    }
}

// out[z] = sum_ms w_ms conj(A_s(nu, z)) residual[m]
//   residual (n_images, ny, nx) complex;  out (nz, ny, nx) complex, overwritten
// Launch: one thread a frequency and RESTART slices, whose sums it holds: grid (ceil(ny nx / block),
// ceil(nz / RESTART)).  No shared memory.  Writes out once, reads the residual once per RESTART slices.
extern "C" __global__ void __launch_bounds__(128)
born_adjoint(const complex* __restrict__ residual, const double* __restrict__ nu_y, const double* __restrict__ nu_x,
             const double* __restrict__ pairs, int n_pairs, double ball, double cutoff, double z_first, double dz,
             int nz, int ny, int nx, complex* __restrict__ out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x, plane = ny * nx, first = RESTART * blockIdx.y;
    if (i >= plane) return;
    const double my_y = nu_y[i / nx], my_x = nu_x[i % nx];
    complex sum[RESTART];
#pragma unroll
    for (int z = 0; z < RESTART; ++z) sum[z] = {0, 0};
    for (int e = 0; e < n_pairs; ++e) {
        const Pair pair = make_pair(my_y, my_x, pairs + 4 * e, ball, cutoff);
        if (pair.scale == 0) continue;
        const complex r = over_i(pair.scale * residual[size_t(pair.image) * plane + i]);
        complex phase = turn(-pair.rate * (z_first + first * dz));  // conjugated, like the step
        const complex step = turn(-pair.rate * dz);
#pragma unroll
        for (int z = 0; z < RESTART; ++z) {
            sum[z] = add_product(sum[z], phase, r);
            phase = phase * step;
        }
    }
#pragma unroll
    for (int z = 0; z < RESTART; ++z)
        if (first + z < nz) out[size_t(first + z) * plane + i] = sum[z];
}

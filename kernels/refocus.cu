// From waves at the last slice to fields on the camera and intensities, and back; the twins of Refocus in
// fieldrx/backends/plain.py.
//
// Waves are (n_waves, ny, nx) in the corner of a padded grid (py, px); fields are (n_waves, iy, ix), the images'
// window of a plane (qy, qx) that is as wide as that grid but has points of its own: the first pixel is its point
// (y0, x0), the others stand (sy, sx) points apart.  `padded` and `plane` are where cuFFT works, without
// normalising.
// Launch: one thread a pixel or frequency of what is written, grid (ceil(pixels / block), number of planes
// written).  No shared memory; every element is read and written once.
//
// A wave travels on a carrier c = exp(2 pi i (turns[0] y + turns[1] x)) of its own, y and x in points of the grid
// or of the plane:  carrier (n_waves, 2) real, the turns, well below one over the whole of it.
#include "waves.cuh"

__device__ __forceinline__ complex carried(complex value, const real* carrier, int y, int x, real sign) {
    const real* turns = carrier + 2 * blockIdx.y;
    complex c;
    sine_cosine(sign * (turns[0] * y + turns[1] * x), &c.im, &c.re);
    return c * value;
}

// padded = c fade (wave - 1) on the grid, 0 around it;  fade (ny, nx) real.
extern "C" __global__ void refocus_in(const complex* __restrict__ wave, const real* __restrict__ fade,
                                      const real* __restrict__ carrier, int ny, int nx, int py, int px,
                                      complex* __restrict__ padded) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= py * px) return;
    const int y = i / px, x = i % px;
    complex value = {0, 0};
    if (y < ny && x < nx) {
        const complex w = wave[(size_t(blockIdx.y) * ny + y) * nx + x];
        value = carried(fade[y * nx + x] * complex{w.re - 1, w.im}, carrier, y, x, 1);
    }
    padded[size_t(blockIdx.y) * py * px + i] = value;
}

// out = scale T spectrum, or with conj(T) where sign is -1, from a spectrum of (ny, nx) points to one of (my, mx)
// with the same frequencies; out may be the spectrum where the sizes agree.
//   place (n_waves, 5) int: of every wave's T, the signed numbers of its first row and column of frequencies, how
//       many rows and columns, no more than there are points, and where it begins in table, row by row; T is 0
//       beyond
extern "C" __global__ void refocus_filter(const complex* spectrum, const int* __restrict__ place,
                                          const complex* __restrict__ table, int ny, int nx, int my, int mx, real sign,
                                          real scale, complex* out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= my * mx) return;
    const int* mine = place + 5 * blockIdx.y;
    const int row = modulo(i / mx - mine[0], my), column = modulo(i % mx - mine[1], mx);
    complex value = {0, 0};
    if (row < mine[2] && column < mine[3]) {
        const complex t = table[mine[4] + row * mine[3] + column];
        const int y = modulo(row + mine[0], ny), x = modulo(column + mine[1], nx);
        value = scale * (complex{t.re, sign * t.im} * spectrum[(size_t(blockIdx.y) * ny + y) * nx + x]);
    }
    out[size_t(blockIdx.y) * my * mx + i] = value;
}

// field = incident + conj(c) plane within the window;  incident (n_waves) complex: P(nu_s).
extern "C" __global__ void refocus_out(const complex* __restrict__ plane, const complex* __restrict__ incident,
                                       const real* __restrict__ carrier, int qy, int qx, int y0, int x0, int sy, int sx,
                                       int iy, int ix, complex* __restrict__ field) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= iy * ix) return;
    const int y = y0 + sy * (i / ix), x = x0 + sx * (i % ix);
    const complex scattered = carried(plane[(size_t(blockIdx.y) * qy + y) * qx + x], carrier, y, x, -1);
    field[size_t(blockIdx.y) * iy * ix + i] = incident[blockIdx.y] + scattered;
}

// images[m] += sum_w share[m, w] |field[w]|^2;  share (n_images, n_waves) real, pixels = iy ix.
extern "C" __global__ void add_intensity(const complex* __restrict__ field, const real* __restrict__ share, int n_waves,
                                         int pixels, real* __restrict__ images) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels) return;
    real sum = images[size_t(blockIdx.y) * pixels + i];
    for (int w = 0; w < n_waves; ++w) {
        const real weight = share[blockIdx.y * n_waves + w];
        if (weight == 0) continue;
        const complex e = field[size_t(w) * pixels + i];
        sum += weight * (e.re * e.re + e.im * e.im);
    }
    images[size_t(blockIdx.y) * pixels + i] = sum;
}

// The gradient of the fields, in place for the FFT: plane = 2 c field sum_m share[m, w] d_images[m] within the
// window, 0 around it and between its pixels.
extern "C" __global__ void refocus_back_in(const real* __restrict__ d_images, const real* __restrict__ share,
                                           const complex* __restrict__ field, const real* __restrict__ carrier,
                                           int n_images, int n_waves, int qy, int qx, int y0, int x0, int sy, int sx,
                                           int iy, int ix, complex* __restrict__ plane) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= qy * qx) return;
    const int from_y = i / qx - y0, from_x = i % qx - x0, w = blockIdx.y;
    complex value = {0, 0};
    if (from_y >= 0 && from_y % sy == 0 && from_y < sy * iy && from_x >= 0 && from_x % sx == 0 && from_x < sx * ix) {
        const int y = from_y / sy, x = from_x / sx;
        real sum = 0;
        for (int m = 0; m < n_images; ++m) {
            const real weight = share[m * n_waves + w];
            if (weight != 0) sum += weight * d_images[(size_t(m) * iy + y) * ix + x];
        }
        value = carried(2 * sum * field[(size_t(w) * iy + y) * ix + x], carrier, i / qx, i % qx, 1);
    }
    plane[size_t(w) * qy * qx + i] = value;
}

// d_wave = fade conj(c) padded on the grid.
extern "C" __global__ void refocus_back_out(const complex* __restrict__ padded, const real* __restrict__ fade,
                                            const real* __restrict__ carrier, int ny, int nx, int py, int px,
                                            complex* __restrict__ d_wave) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= ny * nx) return;
    const int y = i / nx, x = i % nx;
    const complex value = carried(padded[(size_t(blockIdx.y) * py + y) * px + x], carrier, y, x, -1);
    d_wave[size_t(blockIdx.y) * ny * nx + i] = fade[i] * value;
}

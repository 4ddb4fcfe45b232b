// What a fit compares: predicted and measured signals.
#include "sums.cuh"
#include "waves.cuh"

// The sum of squared differences over valid elements, and its gradient:
//   value += scale sum_i valid_i (predicted_i - measured_i)^2,  gradient = 2 scale valid (predicted - measured)
//   predicted, measured, gradient (n) real;  valid (n) bytes, 0 or 1;  value (1) double, which starts at 0
// Launch: any grid of blocks of a multiple of 32 threads, up to 1024; threads stride over the array.
// Shared memory: one double a warp.
extern "C" __global__ void squared_error(const real* __restrict__ predicted, const real* __restrict__ measured,
                                         const unsigned char* __restrict__ valid, int n, double scale,
                                         real* __restrict__ gradient, double* value) {
    double sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const real difference = valid[i] ? predicted[i] - measured[i] : 0;
        gradient[i] = real(2 * scale) * difference;
        sum += double(difference) * difference;
    }
    add_to_total(scale * sum, value);
}

// Some images less a level, and which of their pixels are known: finite, and not masked; others are 1 - level.
//   images (any number, pixels) real;  mask like images, bytes, 0 or 1, where `masked` says so;
//   numbers (n) int: which images;  values (n, pixels) real;  valid (n, pixels) bytes, 0 or 1
// Launch: one thread a pixel, grid (ceil(pixels / block), n).
extern "C" __global__ void measured(const real* __restrict__ images, const unsigned char* mask, int masked,
                                    const int* __restrict__ numbers, int pixels, real level,
                                    real* __restrict__ values, unsigned char* valid) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels) return;
    const size_t from = size_t(numbers[blockIdx.y]) * pixels + i, to = size_t(blockIdx.y) * pixels + i;
    const real value = images[from] - level;
    const bool known = value - value == 0 && (!masked || mask[from]);  // not so of infinity, nor of nan
    values[to] = known ? value : 1 - level;
    valid[to] = known;
}

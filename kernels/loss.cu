// What a fit compares: predicted and measured signals.
#include "waves.cuh"

// The sum of squared differences over valid elements, and its gradient:
//   value += scale sum_i valid_i (predicted_i - measured_i)^2,  gradient = 2 scale valid (predicted - measured)
//   predicted, measured, gradient (n) real;  valid (n) bytes, 0 or 1;  value (1) double, which starts at 0
// Launch: any grid of blocks of a multiple of 32 threads, up to 1024; threads stride over the array.
// Shared memory: one double a warp.
extern "C" __global__ void squared_error(const real* __restrict__ predicted, const real* __restrict__ measured,
                                         const unsigned char* __restrict__ valid, int n, double scale,
                                         real* __restrict__ gradient, double* value) {
    __shared__ double of_warp[32];
    double sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const real difference = valid[i] ? predicted[i] - measured[i] : 0;
        gradient[i] = real(2 * scale) * difference;
        sum += double(difference) * difference;
    }
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;
    double total = 0;
    for (int w = 0; w < int(blockDim.x / 32); ++w) total += of_warp[w];
    atomicAdd(value, scale * total);
}

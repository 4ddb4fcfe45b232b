// Sums over a whole launch.
#pragma once

// Adds the sum of `value` over a block to *total; whole warps must come here together.
// Shared memory: one double a warp.
__device__ __forceinline__ void add_to_total(double value, double* total) {
    __shared__ double of_warp[32];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(0xffffffffu, value, d);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x > 0) return;
    double sum = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += of_warp[w];
    atomicAdd(total, sum);
}

// Weights on their way into the network's kernels, and their gradient on its way out.
//
// Packed weights: see layout.py in fieldrx/backends/cuda, which also makes the tables of places.
#include "tiles.cuh"

// Packs parameters: packed[i] = number(params[source[i]] gain[feature[i]]).
//   params, gain floats;  source, feature (n) int: the parameter or -1 for padding, the feature or -1 for none;
//   biases (n_biases) float: params[source[n + i]];  packed (n)
// Launch: any grid; one thread an element.
extern "C" __global__ void pack_weights(const float* __restrict__ params, const float* __restrict__ gain,
                                        const int* __restrict__ source, const int* __restrict__ feature, int n, int n_biases,
                                        number* __restrict__ packed, float* __restrict__ biases) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n + n_biases; i += gridDim.x * blockDim.x) {
        const float value = source[i] < 0 ? 0.0f : params[source[i]];
        if (i < n) packed[i] = to_number(feature[i] < 0 ? value : value * gain[feature[i]]);
        else biases[i - n] = value;
    }
}

// Gradient of the parameters from that of the packed weights: d_params[i] = d_packed[place[i]] gain[feature[i]] / scale.
//   place, feature (n) int;  scale (1): what d_out was multiplied by
// Launch: any grid; one thread a parameter.
extern "C" __global__ void unpack_gradient(const float* __restrict__ d_packed, const float* __restrict__ gain,
                                           const int* __restrict__ place, const int* __restrict__ feature, int n,
                                           const float* __restrict__ scale, float* __restrict__ d_params) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const float value = d_packed[place[i]] / scale[0];
        d_params[i] = feature[i] < 0 ? value : value * gain[feature[i]];
    }
}

// Largest |d_out|, as bits, which order as the floats do: *largest = max(*largest, |d_out|).
// Launch: any grid of blocks of a multiple of 32 threads.
extern "C" __global__ void largest_magnitude(const float* __restrict__ d_out, int n, unsigned* largest) {
    unsigned m = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        m = max(m, __float_as_uint(fabsf(d_out[i])));
#pragma unroll
    for (int d = 16; d > 0; d /= 2) m = max(m, __shfl_xor_sync(0xffffffffu, m, d));
    if (LANE == 0 && m) atomicMax(largest, m);
}

// The power of two that brings the largest |d_out| to between 8 and 16: halves then hold gradients 2^-28 times
// smaller, and 4000 times larger.  1 where d_out is zero or not finite, or for float.
// Launch: one thread.
extern "C" __global__ void gradient_scale(const unsigned* largest, float* scale) {
    const int exponent = int(largest[0] >> 23) - 127;
    const bool usable = HALF && largest[0] > 0 && exponent > -120 && exponent < 120;
    scale[0] = usable ? ldexpf(1.0f, 3 - exponent) : 1.0f;
}

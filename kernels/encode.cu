// Features of points, for tests and inspection: in a fit they are computed where the network reads them.
#define LANE (int(threadIdx.x) % 32)
#include "encoding.cuh"

// features[i, f] = feature f of point i.
//   points (n, 3);  numbers, integers: Encoding;  features (n, N_FEATURES)
// Launch: one block for 32 points; any number of threads.
extern "C" __global__ void encode(const float* __restrict__ points, int n, const float* __restrict__ numbers,
                                  const int* __restrict__ integers, float* __restrict__ features) {
    const int first = 32 * blockIdx.x;
    encode_rows(Points{points, points, points, n, 1, 1}, Encoding{numbers, integers}, first, min(32, n - first), threadIdx.x,
                blockDim.x, [=](int row, int feature, float v) { features[(long long)(first + row) * N_FEATURES + feature] = v; });
}

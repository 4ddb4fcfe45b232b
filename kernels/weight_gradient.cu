// The gradient of weights and biases of a wide network, from what network_backward.cu left in global memory.
#include "network.cuh"

#define BLOCK_ROWS 128  // rows of a weight matrix that a block sums, 16 a warp
#define STEP 32         // points at a time
#define LD_X (BLOCK_ROWS + PAD)

// Sums X^T D over this block's share of the points, and adds it to `gradient` (rows of X's columns, N);
// where `d_bias` (N) is not null, the sum of D's rows to that.
//   x: fill(row, to) brings a step's points of X to shared memory;  d (points, N)
template <int N, class Fill>
__device__ __forceinline__ void sum_products(Fill fill, const number* d, int points, int columns, number* space, float* gradient,
                                             float* d_bias) {
    static_assert(N <= 256, "a thread for every bias");
    const int ldd = N + PAD, step = 16 / int(sizeof(number)), stage = STEP * (LD_X + LD_WIDTH);
    const auto bring = [&](int piece, int side) {
        number *to_x = space + side * stage, *to_d = to_x + STEP * LD_X;
        fill(piece * STEP, to_x);
        for (int i = threadIdx.x * step; i < STEP * N; i += blockDim.x * step)
            copy_async(to_d + i / N * ldd + i % N, d + (long long)piece * STEP * N + i);
        copy_commit();
    };
    float sum[1][N / 8][4];
    clear(sum);
    float bias_sum = 0.0f;
    const bool sums_bias = d_bias && int(threadIdx.x) < N;
    const int pieces = points / STEP;
    int side = 0;
    bring(blockIdx.y, side);
    for (int piece = blockIdx.y; piece < pieces; piece += gridDim.y, side ^= 1) {
        if (piece + int(gridDim.y) < pieces) {
            bring(piece + gridDim.y, side ^ 1);
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        const number *at = space + side * stage, *at_d = at + STEP * LD_X;
        if (16 * WARP < columns)
            for (int row = 0; row < STEP; row += 16)
                multiply_add<true>(sum, at + row * LD_X + 16 * WARP, LD_X, at_d + row * ldd, ldd);
        if (sums_bias)
            for (int row = 0; row < STEP; ++row) bias_sum += to_float(at_d[row * ldd + threadIdx.x]);
        __syncthreads();
    }
    if (sums_bias) atomicAdd(d_bias + threadIdx.x, bias_sum);
    if (16 * WARP >= columns) return;
    float* to = gradient + (16 * WARP + LANE / 4) * N + 2 * (LANE % 4);
#pragma unroll
    for (int j = 0; j < N / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) atomicAdd(to + e / 2 * 8 * N + 8 * j + e % 2, sum[0][j][e]);
}

// Gradients of all weight matrices, BLOCK_ROWS rows a block, and of the biases, by the block of a layer's first rows.
//   a, b, c, n, ny, nx, numbers, integers: as for network_forward;  start: first point;  points: those in kept and
//   deltas, a multiple of STEP;  kept, deltas (DEPTH, points, WIDTH), d_last (points, OUTPUTS)
//   jobs (gridDim.x, 4) int: layer, whether its rows are those of the features, first row, place in d_packed
//   d_packed (weights without PAD, then N_BIASES) float, added to
// Launch: gridDim (jobs, shares of the points), at most points / STEP shares; 256 threads.
// Shared memory: numbers [2][STEP][LD_X + LD_WIDTH].
extern "C" __global__ void __launch_bounds__(256, 1)
    weight_gradient(const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c, int n, int ny, int nx,
                    const float* __restrict__ numbers, const int* __restrict__ integers, int start, int points,
                    const number* __restrict__ kept, const number* __restrict__ deltas, const number* __restrict__ d_last,
                    const int* __restrict__ jobs, float* d_packed) {
    extern __shared__ __align__(16) unsigned char shared[];
    number* space = reinterpret_cast<number*>(shared);
    const int layer = jobs[4 * blockIdx.x], row = jobs[4 * blockIdx.x + 2];
    const bool of_features = jobs[4 * blockIdx.x + 1] != 0;
    float* gradient = d_packed + jobs[4 * blockIdx.x + 3];
    float* d_bias = row == 0 && of_features == (layer == 0) ? d_packed + N_WEIGHTS + layer * WIDTH : nullptr;
    const int columns = min(BLOCK_ROWS, (of_features ? FEATURES : WIDTH) - row);
    const long long plane = (long long)points * WIDTH;
    const Points where{a, b, c, n, ny, nx};
    const Encoding encoding{numbers, integers};
    const auto features = [=](int first, number* to) {
        encode_rows(where, encoding, start + first, STEP, threadIdx.x, 256, [=](int r, int feature, float v) {
            if (feature >= row && feature < row + columns) to[r * LD_X + feature - row] = to_number(v);
        });
        for (int i = threadIdx.x; i < STEP * columns; i += 256)
            if (row + i % columns >= N_FEATURES) to[i / columns * LD_X + i % columns] = to_number(0.0f);
    };
    const auto activations = [=](int first, number* to) {
        const int step = 16 / int(sizeof(number));
        const number* from = kept + (layer - 1) * plane + (long long)first * WIDTH + row;
        for (int i = threadIdx.x * step; i < STEP * columns; i += 256 * step)
            copy_async(to + i / columns * LD_X + i % columns, from + (long long)(i / columns) * WIDTH + i % columns);
    };
    if (layer == DEPTH) sum_products<OUTPUTS>(activations, d_last, points, columns, space, gradient, d_bias);
    else if (of_features) sum_products<WIDTH>(features, deltas + layer * plane, points, columns, space, gradient, d_bias);
    else sum_products<WIDTH>(activations, deltas + layer * plane, points, columns, space, gradient, d_bias);
}

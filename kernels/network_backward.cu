// The gradient of a field's weights, encoding included, and on the way its values.
//
// Constants beside those of network.cuh:
//   WIDE 0: a tile's activations stay in shared memory, and every warp sums its share of the weights' gradient in
//     registers over all tiles of its block, so that global memory sees it once a block.  TEAM neighbouring
//     warps share their points and divide the weights among each other, GROUP columns of 8 at a time.  The biases'
//     gradient is summed in shared memory, every warp for itself: additions of several warps to one float there would
//     be loops of compare-and-swap.
//   WIDE 1: the registers cannot hold the weights' gradient.  Activations and their gradients go to global memory,
//     from where weight_gradient.cu takes them for the weights' and the biases' gradient.
#include "network.cuh"

#define LD_D_FEATURES (FEATURES + 4)
#define N_GROUPS (WIDTH / (8 * GROUP))
#define PLANES (WIDE ? 1 : DEPTH)
#define BIAS_SUMS (WIDE ? 0 : WARPS * N_BIASES)

// Units of 16 rows x GROUP columns of 8 that a warp of a team owns in `rows` rows of a weight matrix.
__device__ __forceinline__ constexpr int slots_of(int rows) { return (rows / 16 * N_GROUPS + TEAM - 1) / TEAM; }
__device__ __forceinline__ constexpr int slots_before(int layer) {
    int slots = 0;
    for (int l = 0; l < layer; ++l) slots += (l > 0 ? slots_of(WIDTH) : 0) + (reads_features(l) ? slots_of(FEATURES) : 0);
    return slots;
}
#define SLOTS_OUT ((WIDTH / 16 * (OUTPUTS / 16) + TEAM - 1) / TEAM)

// All that the layers of a tile work on.
struct Tile {
    number *f, *h, *slopes, *d, *d_out;  // of this warp's rows
    float *d_f, *d_bias;                  // d_bias: not WIDE, this warp's own sums
    number *kept, *kept_slopes, *deltas;  // WIDE: this warp's rows of layer 0 in global memory
    long long plane;                      // WIDE: numbers from layer to layer there
};

__device__ __forceinline__ void team_sync() {
    if (TEAM == 1 || WIDE) __syncwarp();
    else __syncthreads();
}

// Copies this warp's rows of a matrix to global memory, without PAD.
__device__ __forceinline__ void keep_rows(const number* rows, int ld, int columns, number* kept) {
    const int step = 16 / int(sizeof(number)), pieces = columns / step;
    for (int i = LANE; i < ROWS_OF_WARP * pieces; i += 32) {
        const int row = i / pieces, at = i % pieces * step;
        *reinterpret_cast<uint4*>(kept + row * columns + at) = *reinterpret_cast<const uint4*>(rows + row * ld + at);
    }
}

// g += X^T D over the team's rows, for this warp's units of K rows and N columns of the weights; x and d are
// those of the team's first row.
template <int K, int N, int G>
__device__ __forceinline__ void add_gradient(float (*g)[G][4], const number* x, int ldx, const number* d, int ldd) {
    const int member = WARP % TEAM;
    const int groups = N / (8 * G), units = K / 16 * groups;
#pragma unroll
    for (int s = 0; s < (units + TEAM - 1) / TEAM; ++s) {
        const int unit = s * TEAM + member;
        if (unit >= units) continue;
        float(&into)[1][G][4] = *reinterpret_cast<float(*)[1][G][4]>(g + s);
        const number *xu = x + 16 * (unit / groups), *du = d + 8 * G * (unit % groups);
#pragma unroll 2
        for (int row = 0; row < TEAM * ROWS_OF_WARP; row += 16) multiply_add<true>(into, xu + row * ldx, ldx, du + row * ldd, ldd);
    }
}

// Adds this warp's units of a matrix (K, N) to the gradient in global memory.
template <int K, int N, int G>
__device__ __forceinline__ void write_gradient(const float (*g)[G][4], float* out) {
    const int member = WARP % TEAM, groups = N / (8 * G), units = K / 16 * groups;
#pragma unroll
    for (int s = 0; s < (units + TEAM - 1) / TEAM; ++s) {
        const int unit = s * TEAM + member;
        if (unit >= units) continue;
        float* to = out + (16 * (unit / groups) + LANE / 4) * N + 8 * G * (unit % groups) + 2 * (LANE % 4);
#pragma unroll
        for (int j = 0; j < G; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) atomicAdd(to + e / 2 * 8 * N + 8 * j + e % 2, g[s][j][e]);
    }
}

// The gradient at the activations of `layer`, v, becomes that before the activation; it is stored as d and, not
// WIDE, its sum over the points added to this warp's for the bias.
__device__ __forceinline__ void through_activation(float (&v)[M_TILES][WIDTH / 8][4], const Tile& tile, int layer) {
    const int g = LANE / 4, t = LANE % 4;
    const number* from = WIDE ? (SINE ? tile.kept_slopes : tile.kept) + layer * tile.plane
                              : (SINE ? tile.slopes : tile.h) + layer * ROWS * LD_WIDTH;
    const int ld = WIDE ? WIDTH : LD_WIDTH;
    team_sync();  // no warp of the team reads d any more
#pragma unroll
    for (int j = 0; j < WIDTH / 8; ++j) {
        [[maybe_unused]] float sum0 = 0.0f, sum1 = 0.0f;
#pragma unroll
        for (int m = 0; m < M_TILES; ++m)
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                const int row = 16 * m + g + 4 * e, column = 8 * j + 2 * t;
                const float2 kept = load_pair(from + row * ld + column);
                sum0 += v[m][j][e] *= slope_of(kept.x);
                sum1 += v[m][j][e + 1] *= slope_of(kept.y);
                store_pair(tile.d + row * LD_WIDTH + column, v[m][j][e], v[m][j][e + 1]);
            }
#if WIDE
        if (j % 8 == 7) __syncwarp();  // no later load may come before: registers hold no more of them
#else
#pragma unroll
        for (int lane = 4; lane < 32; lane *= 2) {
            sum0 += __shfl_xor_sync(0xffffffffu, sum0, lane);
            sum1 += __shfl_xor_sync(0xffffffffu, sum1, lane);
        }
        if (g == 0) {
            float* sum = tile.d_bias + layer * WIDTH + 8 * j + 2 * t;
            sum[0] += sum0, sum[1] += sum1;
        }
#endif
    }
    team_sync();
    if (WIDE) keep_rows(tile.d, LD_WIDTH, WIDTH, tile.deltas + layer * tile.plane);
}

// From the gradient d before the activation of `layer` to that of what it reads.
__device__ __forceinline__ void through_weights(const Tile& tile, Weights& weights, int layer) {
#if ENCODING == 2
    if (reads_features(layer)) {
        const int g = LANE / 4, t = LANE % 4;
        float v[M_TILES][FEATURES / 8][4];
        clear(v);
        product(v, weights, tile.d, LD_WIDTH, WIDTH / 16);
#pragma unroll
        for (int m = 0; m < M_TILES; ++m)
#pragma unroll
            for (int j = 0; j < FEATURES / 8; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    tile.d_f[(16 * m + g + 8 * (e / 2)) * LD_D_FEATURES + 8 * j + 2 * t + e % 2] += v[m][j][e];
        __syncwarp();
    }
#endif
    if (layer > 0) {
        float v[M_TILES][WIDTH / 8][4];
        clear(v);
        product(v, weights, tile.d, LD_WIDTH, WIDTH / 16);
        through_activation(v, tile, layer - 1);
    }
}

#if !WIDE
// Layers L, L - 1, .. 0: gradients of the weights, and on to the layer below.  The layers are unrolled, so that
// the gradients stay in registers.
template <int L>
__device__ __forceinline__ void layers_down(float (*g)[GROUP][4], const Tile& tile, Weights& weights) {
    if constexpr (L >= 0) {
        const int back = WARP % TEAM * ROWS_OF_WARP;  // rows from the team's first to this warp's first
        const number* d = tile.d - back * LD_WIDTH;
        if constexpr (L > 0) {
            const number* below = tile.h + (L - 1) * ROWS * LD_WIDTH - back * LD_WIDTH;
            add_gradient<WIDTH, WIDTH, GROUP>(g + slots_before(L), below, LD_WIDTH, d, LD_WIDTH);
        }
        if constexpr (reads_features(L))
            add_gradient<FEATURES, WIDTH, GROUP>(g + slots_before(L) + (L > 0 ? slots_of(WIDTH) : 0),
                                                 tile.f - back * LD_FEATURES, LD_FEATURES, d, LD_WIDTH);
        through_weights(tile, weights, L);
        layers_down<L - 1>(g, tile, weights);
    }
}
template <int L>
__device__ __forceinline__ void write_gradients(const float (*g)[GROUP][4], float* out) {
    if constexpr (L >= 0) {
        float* to = out + weights_before(L);
        if constexpr (L > 0) write_gradient<WIDTH, WIDTH, GROUP>(g + slots_before(L), to);
        if constexpr (reads_features(L))
            write_gradient<FEATURES, WIDTH, GROUP>(g + slots_before(L) + (L > 0 ? slots_of(WIDTH) : 0),
                                                   to + (L > 0 ? WIDTH * WIDTH : 0));
        write_gradients<L - 1>(g, out);
    }
}
#endif

// Gradient of sum(d_out * field) for the points start .. stop - 1; values as well where write_out.
//   a, b, c, n, ny, nx, numbers, integers, packed, n_packed, slot, biases, out, along, across: as for network_forward,
//   with W^T behind W in `packed`;  d_out like out;  scale (1): factor of d_out, undone by the caller but for the table
//   d_packed (weights without PAD, then N_BIASES) float, added to: scaled.  WIDE: unused
//   d_table (parameters of the table) float, added to
//   kept, kept_slopes, deltas (DEPTH, rows, WIDTH), d_last (rows, OUTPUTS), WIDE only: activations, of a sine their
//   derivatives, gradients before the activations and scaled d_out, for `rows` points, stop - start rounded up to ROWS
// Launch: blocks of THREADS threads, as many as fit on the device at once, at most one a tile.
// Shared memory: float [N_BIASES], [BIAS_SUMS] and for ENCODING 2 [ROWS][LD_D_FEATURES]; numbers [ROWS][LD_FEATURES]; PLANES x
// [ROWS][LD_WIDTH], twice for SINE; not WIDE, another [ROWS][LD_WIDTH]; [ROWS][LD_OUTPUTS]; the weights.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    network_backward(const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c, int n, int ny, int nx,
                     const float* __restrict__ numbers, const int* __restrict__ integers, const number* __restrict__ packed,
                     int n_packed, int slot, const float* __restrict__ biases, const float* __restrict__ d_out,
                     const float* __restrict__ scale, float* out, int write_out, long long along, long long across, int start,
                     int stop, float* d_packed, float* d_table, number* kept, number* kept_slopes, number* deltas,
                     number* d_last, int rows) {
    extern __shared__ __align__(16) unsigned char shared[];
    float* bias = reinterpret_cast<float*>(shared);
    float* d_bias = bias + N_BIASES;
    float* d_f = d_bias + BIAS_SUMS;
    number* f = reinterpret_cast<number*>(d_f + (ENCODING == 2 ? ROWS * LD_D_FEATURES : 0));
    number* h = f + ROWS * LD_FEATURES;
    number* slopes = h + PLANES * ROWS * LD_WIDTH;
    number* d = WIDE ? h : slopes + (SINE ? PLANES * ROWS * LD_WIDTH : 0);
    number* d_outputs = (WIDE ? slopes + (SINE ? ROWS * LD_WIDTH : 0) : d + ROWS * LD_WIDTH);
    const int own = WARP * ROWS_OF_WARP;
    Tile tile{f + own * LD_FEATURES, h + own * LD_WIDTH,       slopes + own * LD_WIDTH,
              d + own * LD_WIDTH,    d_outputs + own * LD_OUTPUTS, d_f + own * LD_D_FEATURES,
              d_bias + WARP * N_BIASES, nullptr,               nullptr,
              nullptr,               (long long)rows * WIDTH};
    const Points points{a, b, c, n, ny, nx};
    const Encoding encoding{numbers, integers};
    for (int i = threadIdx.x; i < N_BIASES; i += THREADS) bias[i] = biases[i];
    for (int i = threadIdx.x; i < BIAS_SUMS; i += THREADS) d_bias[i] = 0.0f;
    __syncthreads();
    Weights weights;
    weights.begin(packed, d_outputs + ROWS * LD_OUTPUTS, n_packed, slot);
#if !WIDE
    float g[slots_before(DEPTH)][GROUP][4], g_out[SLOTS_OUT][2][4];
    clear(g);
    clear(g_out);
#endif
    for (int first = start + blockIdx.x * ROWS; first < stop; first += gridDim.x * ROWS) {
        const int mine = first + own;
        fill_features(points, encoding, mine, tile.f);
        if (WIDE) {
            const long long at = (long long)(mine - start) * WIDTH;
            tile.kept = kept + at, tile.kept_slopes = kept_slopes + at, tile.deltas = deltas + at;
        }
        for (int layer = 0; layer < DEPTH; ++layer) {
            const int below = WIDE ? 0 : (layer - 1) * ROWS * LD_WIDTH, here = WIDE ? 0 : layer * ROWS * LD_WIDTH;
            float v[M_TILES][WIDTH / 8][4];
            start_at_bias(v, bias + layer * WIDTH);
            if (layer > 0) product(v, weights, tile.h + below, LD_WIDTH, WIDTH / 16);
            if (reads_features(layer)) product(v, weights, tile.f, LD_FEATURES, FEATURES / 16);
            __syncwarp();
            activate(v, tile.h + here, tile.slopes + here);
            __syncwarp();
            if (WIDE) {
                keep_rows(tile.h, LD_WIDTH, WIDTH, tile.kept + layer * tile.plane);
                if (SINE) keep_rows(tile.slopes, LD_WIDTH, WIDTH, tile.kept_slopes + layer * tile.plane);
            }
        }
        {
            const int last = WIDE ? 0 : (DEPTH - 1) * ROWS * LD_WIDTH;
            float v[M_TILES][OUTPUTS / 8][4];
            start_at_bias(v, bias + DEPTH * WIDTH);
            product(v, weights, tile.h + last, LD_WIDTH, WIDTH / 16);
            if (write_out) write_outputs(v, out, mine, stop, along, across);
        }
        for (int i = LANE; i < ROWS_OF_WARP * OUTPUTS; i += 32) {
            const int row = i / OUTPUTS, output = i % OUTPUTS, point = mine + row;
            const bool given = point < stop && output < N_OUTPUTS;
            tile.d_out[row * LD_OUTPUTS + output] = to_number(given ? scale[0] * d_out[output * along + point * across] : 0.0f);
        }
#if ENCODING == 2
        for (int i = LANE; i < ROWS_OF_WARP * LD_D_FEATURES; i += 32) tile.d_f[i] = 0.0f;
#endif
        team_sync();
#if WIDE
        keep_rows(tile.d_out, LD_OUTPUTS, OUTPUTS, d_last + (long long)(mine - start) * OUTPUTS);
#else
        for (int output = LANE; output < N_OUTPUTS; output += 32) {
            float sum = 0.0f;
            for (int row = 0; row < ROWS_OF_WARP; ++row) sum += to_float(tile.d_out[row * LD_OUTPUTS + output]);
            tile.d_bias[DEPTH * WIDTH + output] += sum;
        }
        __syncwarp();  // some lanes had no output, and products need them together
        const int back = WARP % TEAM * ROWS_OF_WARP;
        add_gradient<WIDTH, OUTPUTS, 2>(g_out, tile.h + (DEPTH - 1) * ROWS * LD_WIDTH - back * LD_WIDTH, LD_WIDTH,
                                        tile.d_out - back * LD_OUTPUTS, LD_OUTPUTS);
#endif
        {
            float v[M_TILES][WIDTH / 8][4];
            clear(v);
            product(v, weights, tile.d_out, LD_OUTPUTS, OUTPUTS / 16);
            through_activation(v, tile, DEPTH - 1);
        }
#if WIDE
        for (int layer = DEPTH - 1; layer >= 0; --layer) through_weights(tile, weights, layer);
#else
        layers_down<DEPTH - 1>(g, tile, weights);
#endif
#if ENCODING == 2
        const float factor = 1.0f / scale[0];
        const float* df = tile.d_f;
        scatter_rows(points, encoding, mine, ROWS_OF_WARP, factor,
                     [=](int row, int feature) { return df[row * LD_D_FEATURES + feature]; }, d_table);
#endif
        team_sync();  // the team is done with this tile's features, activations and gradients
    }
    weights.end();
    __syncthreads();
#if !WIDE
    write_gradients<DEPTH - 1>(g, d_packed);
    write_gradient<WIDTH, OUTPUTS, 2>(g_out, d_packed + weights_before(DEPTH));
    for (int i = threadIdx.x; i < N_BIASES; i += THREADS) {
        float sum = 0.0f;
        for (int warp = 0; warp < WARPS; ++warp) sum += d_bias[warp * N_BIASES + i];
        atomicAdd(d_packed + N_WEIGHTS + i, sum);
    }
#endif
}

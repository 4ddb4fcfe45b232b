// What the network's kernels share: constants, the weights' way into shared memory, one layer, activations.
//
// Constants (fieldrx/backends/cuda/layout.py sets them): HALF; WIDTH neurons of a hidden layer, FEATURES the
// network reads, OUTPUTS, all rounded up to 16; N_FEATURES and N_OUTPUTS not rounded; DEPTH hidden layers; SKIPS,
// bit l set where layer l reads the features again; SINE with OMEGA, or SLOPE of a leaky ReLU; WARPS of a
// block, M_TILES of 16 points for each of them; RESIDENT 1 where all weights stay in shared memory, else
// STAGES of 16 rows of a weight matrix are under way; SEGMENTS, N_SEGMENTS see Weights.
#pragma once
#include "tiles.cuh"
#include "encoding.cuh"

#define ROWS_OF_WARP (16 * M_TILES)
#define ROWS (WARPS * ROWS_OF_WARP)
#define THREADS (32 * WARPS)
#define LD_WIDTH (WIDTH + PAD)
#define LD_FEATURES (FEATURES + PAD)
#define LD_OUTPUTS (OUTPUTS + PAD)
#define N_BIASES (DEPTH * WIDTH + OUTPUTS)
#define SLOTS (RESIDENT ? 1 : STAGES)

__device__ __forceinline__ constexpr bool reads_features(int layer) { return layer == 0 || (SKIPS >> layer & 1); }
// Numbers of the weights before those of a layer, without PAD.
__device__ __forceinline__ constexpr int weights_before(int layer) {
    int weights = 0;
    for (int l = 0; l < layer; ++l) weights += ((l > 0 ? WIDTH : 0) + (reads_features(l) ? FEATURES : 0)) * WIDTH;
    return weights;
}
#define N_WEIGHTS (weights_before(DEPTH) + WIDTH * OUTPUTS)

// The packed weights in the order in which a tile uses them: {chunks, row length} of matrix after matrix; a chunk
// is 16 rows.  After the last the first one follows, for the next tile.
__constant__ int SEGMENT_TABLE[N_SEGMENTS][2] = SEGMENTS;

// Hands out chunk after chunk of the weights in shared memory, to all warps of the block alike.
struct Weights {
    const number* global;  // packed, `size` numbers
    number* shared;        // all of them, or a ring of STAGES chunks of `slot` numbers
    int size, slot;
    int at, segment, left, filled, taken;

    __device__ __forceinline__ void copy(number* to, int from, int count) const {
        const int step = 16 / int(sizeof(number));
        for (int i = int(threadIdx.x) * step; i < count; i += THREADS * step) copy_async(to + i, global + from + i);
    }
    // Moves on by one chunk; gives its place and, in `count`, its size.
    __device__ __forceinline__ int advance(int* count) {
        const int here = at;
        *count = 16 * SEGMENT_TABLE[segment][1];
        at += *count;
        if (--left == 0) {
            segment = segment + 1 == N_SEGMENTS ? 0 : segment + 1;
            at = segment == 0 ? 0 : at;
            left = SEGMENT_TABLE[segment][0];
        }
        return here;
    }
    __device__ __forceinline__ void fill() {
        int count;
        const int from = advance(&count);
        copy(shared + filled % SLOTS * slot, from, count);
        copy_commit();
        ++filled;
    }
    __device__ __forceinline__ void begin(const number* packed, number* space, int n, int longest) {
        global = packed, shared = space, size = n, slot = longest;
        at = segment = filled = taken = 0, left = SEGMENT_TABLE[0][0];
        if (RESIDENT) {
            copy(shared, 0, size);
            copy_commit();
            copy_wait<0>();
            __syncthreads();
        } else {
            for (int stage = 0; stage < STAGES - 1; ++stage) fill();
        }
    }
    // The next chunk.  All warps are done with the one before the last when this returns.
    __device__ __forceinline__ const number* take() {
#if RESIDENT
        int count;
        return shared + advance(&count);
#else
        copy_wait<STAGES - 2>();
        __syncthreads();
        fill();
        if (HALF) __syncwarp();  // lanes may copy different numbers of pieces, and ldmatrix needs them together
        return shared + taken++ % SLOTS * slot;
#endif
    }
    __device__ __forceinline__ void end() {
        if (!RESIDENT) copy_wait<0>();
    }
};

// c += A W for the next `chunks` chunks of W, and A of this warp's rows.
template <int NT>
__device__ __forceinline__ void product(float (&c)[M_TILES][NT][4], Weights& weights, const number* a, int lda, int chunks) {
    for (int k = 0; k < chunks; ++k) {
        const number* w = weights.take();
        multiply_add<false>(c, a + 16 * k, lda, w, 8 * NT + PAD);
    }
}

template <int NT>
__device__ __forceinline__ void start_at_bias(float (&c)[M_TILES][NT][4], const float* bias) {
#pragma unroll
    for (int j = 0; j < NT; ++j) {
        const float2 b = *reinterpret_cast<const float2*>(bias + 8 * j + 2 * (LANE % 4));
#pragma unroll
        for (int m = 0; m < M_TILES; ++m) c[m][j][0] = c[m][j][2] = b.x, c[m][j][1] = c[m][j][3] = b.y;
    }
}

// act(v), and in `slope` its derivative.
__device__ __forceinline__ float activated(float v, float* slope) {
#if SINE
    // The angle in turns, without its whole turns, as exactly as float holds v.
    const float per_unit = float(OMEGA / 6.283185307179586);
    const float turns = __fmul_rn(v, per_unit), rest = fmaf(v, per_unit, -turns);  // see partial_turns
    float s, c;
    sincospif(2.0f * (turns - rintf(turns) + rest), &s, &c);
    *slope = float(OMEGA) * c;
    return s;
#else
    *slope = v > 0.0f ? 1.0f : float(SLOPE);
    return v > 0.0f ? v : v * float(SLOPE);
#endif
}

// The same derivative from what a kept plane holds: the activation, or of a sine the derivative itself.
__device__ __forceinline__ float slope_of(float kept) {
    return SINE ? kept : kept > 0.0f ? 1.0f : float(SLOPE);
}

// Activates c and stores it as this warp's rows of h; of a sine the derivatives go to `slopes` unless that is null.
__device__ __forceinline__ void activate(float (&c)[M_TILES][WIDTH / 8][4], number* h, number* slopes) {
    const int g = LANE / 4, t = LANE % 4;
#pragma unroll
    for (int m = 0; m < M_TILES; ++m)
#pragma unroll
        for (int j = 0; j < WIDTH / 8; ++j)
#pragma unroll
            for (int e = 0; e < 4; e += 2) {
                float s0, s1;
                const float v0 = activated(c[m][j][e], &s0), v1 = activated(c[m][j][e + 1], &s1);
                const int at = (16 * m + g + 4 * e) * LD_WIDTH + 8 * j + 2 * t;
                store_pair(h + at, v0, v1);
                if (SINE && slopes) store_pair(slopes + at, s0, s1);
            }
}

// This warp's rows of the features, padded with zeros.
__device__ __forceinline__ void fill_features(const Points& points, const Encoding& encoding, int first, number* f) {
    encode_rows(points, encoding, first, ROWS_OF_WARP, LANE, 32,
                [=](int row, int feature, float v) { f[row * LD_FEATURES + feature] = to_number(v); });
    for (int i = LANE; i < ROWS_OF_WARP * (FEATURES - N_FEATURES); i += 32)
        f[i % ROWS_OF_WARP * LD_FEATURES + N_FEATURES + i / ROWS_OF_WARP] = to_number(0.0f);
    __syncwarp();
}

// Writes this warp's outputs; output o of point p is at o along + p across.
__device__ __forceinline__ void write_outputs(const float (&c)[M_TILES][OUTPUTS / 8][4], float* out, int first, int n,
                                              long long along, long long across) {
    const int g = LANE / 4, t = LANE % 4;
#pragma unroll
    for (int m = 0; m < M_TILES; ++m)
#pragma unroll
        for (int j = 0; j < OUTPUTS / 8; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int point = first + 16 * m + g + 8 * (e / 2), output = 8 * j + 2 * t + e % 2;
                if (point < n && output < N_OUTPUTS) out[output * along + point * across] = c[m][j][e];
            }
}

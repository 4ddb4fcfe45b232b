// Products of small matrices by one warp, in one of two precisions, -DHALF=1 or 0.
//
// A warp holds a 16 x 8 NT matrix of floats as c[NT][4]: lane (g, t) = (lane / 4, lane % 4) has, of the 8
// columns of c[j], columns 8 j + 2 t and 8 j + 2 t + 1, in rows g (elements 0, 1) and g + 8 (elements 2, 3).
// Operands lie in shared memory as `number`: bits of a half for the tensor cores, or float, which is multiplied
// and added in float and nothing less.  Rows are PAD numbers longer than they need be, so that the 8 rows
// of a matrix fall into different banks.
#pragma once
#include "ptx.cuh"

#if HALF
typedef unsigned short number;
#define PAD 8
#else
typedef float number;
#define PAD 4
#endif

#define LANE (int(threadIdx.x) % 32)
#define WARP (int(threadIdx.x) / 32)

#if HALF
// The largest half stands for all that is larger; what is not a number stays so.
__device__ __forceinline__ float clamped(float v) { return v > 65504.0f ? 65504.0f : v < -65504.0f ? -65504.0f : v; }
__device__ __forceinline__ void store_pair(number* p, float a, float b) {
    *reinterpret_cast<unsigned*>(p) = pack_halves(clamped(a), clamped(b));
}
__device__ __forceinline__ float2 load_pair(const number* p) {
    const unsigned pair = *reinterpret_cast<const unsigned*>(p);
    return make_float2(lower_half(pair), upper_half(pair));
}
__device__ __forceinline__ number to_number(float v) { return number(pack_halves(clamped(v), 0.0f) & 0xffffu); }
__device__ __forceinline__ float to_float(number v) { return lower_half(v); }
#else
__device__ __forceinline__ void store_pair(number* p, float a, float b) {
    *reinterpret_cast<float2*>(p) = make_float2(a, b);
}
__device__ __forceinline__ float2 load_pair(const number* p) { return *reinterpret_cast<const float2*>(p); }
__device__ __forceinline__ number to_number(float v) { return v; }
__device__ __forceinline__ float to_float(number v) { return v; }
#endif

// c[m] += A_m B for the MT matrices A_m (16 x 16) below each other and B (16 x 8 NT).
//   a  [16 MT][lda] rows of A, or with TRANSPOSED [16][lda] columns of A; b  [16][ldb] rows of B
template <bool TRANSPOSED, int MT, int NT>
__device__ __forceinline__ void multiply_add(float (&c)[MT][NT][4], const number* a, int lda, const number* b, int ldb) {
#if HALF
    const int r = LANE % 8, odd = 8 * (LANE / 8 % 2), upper = 8 * (LANE / 16);
    unsigned fa[MT][4];
#pragma unroll
    for (int m = 0; m < MT; ++m) {
        if (TRANSPOSED) ldmatrix_transposed(fa[m], a + (upper + r) * lda + 16 * m + odd);
        else ldmatrix(fa[m], a + (16 * m + odd + r) * lda + upper);
    }
    const number* from = b + (odd + r) * ldb + upper;
#pragma unroll
    for (int j = 0; j < NT; j += 2) {
        unsigned fb[4];
        ldmatrix_transposed(fb, from + 8 * j);
#pragma unroll
        for (int m = 0; m < MT; ++m) {
            mma(c[m][j], fa[m], fb[0], fb[1]);
            mma(c[m][j + 1], fa[m], fb[2], fb[3]);
        }
    }
#else
    const int g = LANE / 4, t = LANE % 4;
#pragma unroll 4
    for (int k = 0; k < 16; ++k) {
        float upper[MT], lower[MT];
#pragma unroll
        for (int m = 0; m < MT; ++m) {
            upper[m] = TRANSPOSED ? a[k * lda + 16 * m + g] : a[(16 * m + g) * lda + k];
            lower[m] = TRANSPOSED ? a[k * lda + 16 * m + g + 8] : a[(16 * m + g + 8) * lda + k];
        }
#pragma unroll
        for (int j = 0; j < NT; ++j) {
            const float2 v = load_pair(b + k * ldb + 8 * j + 2 * t);
#pragma unroll
            for (int m = 0; m < MT; ++m) {
                c[m][j][0] = fmaf(upper[m], v.x, c[m][j][0]);
                c[m][j][1] = fmaf(upper[m], v.y, c[m][j][1]);
                c[m][j][2] = fmaf(lower[m], v.x, c[m][j][2]);
                c[m][j][3] = fmaf(lower[m], v.y, c[m][j][3]);
            }
        }
    }
#endif
}

template <int MT, int NT>
__device__ __forceinline__ void clear(float (&c)[MT][NT][4]) {
#pragma unroll
    for (int m = 0; m < MT; ++m)
#pragma unroll
        for (int j = 0; j < NT; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) c[m][j][e] = 0.0f;
}

// From a point to its features, and from the features' gradient to the table's.
//
// Constants: ENCODING 0 (the caller gives the features), 1 (plane waves) or 2 (a lattice on several levels);
// GRID 1 where the points are those of a grid, else 0; N_FEATURES; for waves N_WAVES; for a lattice LEVELS,
// LEVEL_FEATURES and SMOOTH.
#pragma once

// atomicAdd of float2 in global memory: of sm_90, in compilers since CUDA 12.2.
#define VECTOR_ATOMICS (__CUDA_ARCH__ >= 900 && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1202)

// Where points come from.
//   GRID 0: a (n, 3) as (z, y, x), or for ENCODING 0 a (n, N_FEATURES); b, c unused
//   GRID 1: a (n / ny / nx), b (ny), c (nx) the coordinates along z, y and x; x runs fastest
struct Points {
    const float *a, *b, *c;
    int n, ny, nx;
};

// What an encoding needs beside the points.
//   ENCODING 1: numbers (N_WAVES, 6), the frequency along z, y, x rounded to float and what that left over
//               [cycles per unit]; integers (N_WAVES, 2), the features of its sine and its cosine
//   ENCODING 2: numbers, the table; integers (LEVELS, 5), nodes along z, y, x, first parameter, and the size of
//               the hashed table less 1, or -1 where the level is dense
struct Encoding {
    const float* numbers;
    const int* integers;
};

__device__ __forceinline__ float3 coordinate(const Points& p, int i) {
    i = min(i, p.n - 1);  // rows beyond the last point are computed and thrown away
#if GRID
    return make_float3(p.a[i / (p.ny * p.nx)], p.b[i / p.nx % p.ny], p.c[i % p.nx]);
#else
    return make_float3(p.a[3 * i], p.a[3 * i + 1], p.a[3 * i + 2]);
#endif
}

#if ENCODING == 1
// f c, without its whole turns, to about 1e-7 however large it is; f = first + second.
__device__ __forceinline__ float partial_turns(float first, float second, float c) {
    const float product = __fmul_rn(first, c);  // contracted with the difference, the rest would count twice
    return product - rintf(product) + fmaf(second, c, fmaf(first, c, -product));
}

// sin(2 pi t) and cos(2 pi t): minimax polynomials of sin(pi t) and cos(pi t), whose angle is then doubled.
__device__ __forceinline__ void sincos_turns(float turns, float* sine, float* cosine) {
    const float t = turns - rintf(turns), q = t * t;
    float s = 0.07722012f, c = -0.0244207f;
    s = fmaf(s, q, -0.59804517f);
    s = fmaf(s, q, 2.55003138f);
    s = fmaf(s, q, -5.16770688f);
    s = fmaf(s, q, 3.14159258f) * t;
    c = fmaf(c, q, 0.23495392f);
    c = fmaf(c, q, -1.3352161f);
    c = fmaf(c, q, 4.0587096f);
    c = fmaf(c, q, -4.93480216f);
    c = fmaf(c, q, 1.0f);
    *sine = 2.0f * s * c;
    *cosine = fmaf(-2.0f * s, s, 1.0f);
}
#endif

#if ENCODING == 2
struct Cell {  // of the lattice of one level: its lower corner, and the weights of the upper nodes
    int z, y, x;
    float wz, wy, wx;
};

__device__ __forceinline__ void place(float coordinate, int nodes, int* cell, float* weight) {
    const float half = 0.5f * float(nodes - 1);
    const float at = fminf(fmaxf(fmaf(coordinate, half, half), 0.0f), 2.0f * half);
    *cell = min(int(at), nodes - 2);
    const float w = at - float(*cell);
    *weight = SMOOTH ? w * w * (3.0f - 2.0f * w) : w;
}

__device__ __forceinline__ Cell cell_of(const int* level, float3 zyx) {
    Cell cell;
    place(zyx.x, level[0], &cell.z, &cell.wz);
    place(zyx.y, level[1], &cell.y, &cell.wy);
    place(zyx.z, level[2], &cell.x, &cell.wx);
    return cell;
}

// First parameter of a corner (bits z, y, x) of a cell, and the corner's weight.
__device__ __forceinline__ int node(const int* level, const Cell& cell, int corner, float* weight) {
    const int cz = corner >> 2, cy = corner >> 1 & 1, cx = corner & 1;
    *weight = (cz ? cell.wz : 1.0f - cell.wz) * (cy ? cell.wy : 1.0f - cell.wy) * (cx ? cell.wx : 1.0f - cell.wx);
    const unsigned z = cell.z + cz, y = cell.y + cy, x = cell.x + cx;
    const unsigned entry = level[4] < 0 ? (z * level[1] + y) * level[2] + x
                                        : (x ^ (y * 2654435761u) ^ (z * 805459861u)) & unsigned(level[4]);
    return level[3] + int(entry) * LEVEL_FEATURES;
}

// The features of a node are read in pairs where their number is even: the table begins at a multiple of 8 bytes.
__device__ __forceinline__ void add_entry(const float* entry, float weight, float (&sum)[LEVEL_FEATURES]) {
#if LEVEL_FEATURES % 2 == 0
#pragma unroll
    for (int f = 0; f < LEVEL_FEATURES; f += 2) {
        const float2 pair = *reinterpret_cast<const float2*>(entry + f);
        sum[f] = fmaf(weight, pair.x, sum[f]);
        sum[f + 1] = fmaf(weight, pair.y, sum[f + 1]);
    }
#else
#pragma unroll
    for (int f = 0; f < LEVEL_FEATURES; ++f) sum[f] = fmaf(weight, entry[f], sum[f]);
#endif
}

// Adds to the gradient of a node, from sm_90 on two features at a time.
__device__ __forceinline__ void add_to_entry(float* entry, const float (&sum)[LEVEL_FEATURES]) {
#if LEVEL_FEATURES % 2 == 0 && VECTOR_ATOMICS
#pragma unroll
    for (int f = 0; f < LEVEL_FEATURES; f += 2)
        if (sum[f] != 0.0f || sum[f + 1] != 0.0f)
            atomicAdd(reinterpret_cast<float2*>(entry + f), make_float2(sum[f], sum[f + 1]));
#else
#pragma unroll
    for (int f = 0; f < LEVEL_FEATURES; ++f)
        if (sum[f] != 0.0f) atomicAdd(entry + f, sum[f]);
#endif
}
#endif

// Features of points first .. first + rows - 1, by `workers` threads of which this one is `worker`.
//   store(row, feature, value) is called for every row and every feature
template <class Store>
__device__ __forceinline__ void encode_rows(const Points& points, const Encoding& e, int first, int rows, int worker,
                                            int workers, Store store) {
#if ENCODING == 0
    for (int i = worker; i < rows * N_FEATURES; i += workers) {
        const int row = i / N_FEATURES, feature = i % N_FEATURES;
        store(row, feature, points.a[(long long)min(first + row, points.n - 1) * N_FEATURES + feature]);
    }
#else
    // A worker stays with its row, whose coordinates are computed once.
    const int span = min(rows, workers), groups = workers / span, group = worker / span;
    if (group >= groups) return;
    for (int row = worker % span; row < rows; row += span) {
        const float3 at = coordinate(points, first + row);
#if ENCODING == 1
        for (int wave = group; wave < N_WAVES; wave += groups) {
            const float* f = e.numbers + 6 * wave;
            const float turns = partial_turns(f[0], f[3], at.x) + partial_turns(f[1], f[4], at.y) + partial_turns(f[2], f[5], at.z);
            float sine, cosine;
            sincos_turns(turns, &sine, &cosine);
            store(row, e.integers[2 * wave], sine);
            store(row, e.integers[2 * wave + 1], cosine);
        }
#else
        for (int index = group; index < LEVELS; index += groups) {
            const int* level = e.integers + 5 * index;
            const Cell cell = cell_of(level, at);
            float sum[LEVEL_FEATURES] = {};
#pragma unroll
            for (int corner = 0; corner < 8; ++corner) {
                float weight;
                const int entry = node(level, cell, corner, &weight);
                add_entry(e.numbers + entry, weight, sum);
            }
#pragma unroll
            for (int f = 0; f < LEVEL_FEATURES; ++f) store(row, index * LEVEL_FEATURES + f, sum[f]);
        }
#endif
    }
#endif
}

#if ENCODING == 2
// Adds the gradient of the features of 16 or 32 points to that of the table; by a whole warp.
//   gradient(row, feature) gives the features' gradient.  Neighbours along x mostly share a cell: they are summed
//   within the warp, so that memory sees one addition for a run of points.
template <class Gradient>
__device__ __forceinline__ void scatter_rows(const Points& points, const Encoding& e, int first, int rows, float factor,
                                             Gradient gradient, float* table_gradient) {
    const int lane = LANE, row = lane % rows;
    const float3 at = coordinate(points, first + row);
    for (int base = 0; base < rows * LEVELS; base += 32) {
        const bool active = base + lane < rows * LEVELS;
        const int index = min((base + lane) / rows, LEVELS - 1);
        const int* level = e.integers + 5 * index;
        const Cell cell = cell_of(level, at);
        const long long key = (((long long)index * level[0] + cell.z) * level[1] + cell.y) * level[2] + cell.x;
        const long long before = __shfl_up_sync(0xffffffffu, key, 1);
        const unsigned heads = __ballot_sync(0xffffffffu, lane == 0 || key != before);
        const unsigned later = lane == 31 ? 0u : heads >> (lane + 1);
        const int end = later ? lane + __ffs(int(later)) : 32;  // first lane of the next run
        const bool head = heads >> lane & 1;
#pragma unroll
        for (int corner = 0; corner < 8; ++corner) {
            float weight;
            const int entry = node(level, cell, corner, &weight);
            float sums[LEVEL_FEATURES];
#pragma unroll
            for (int f = 0; f < LEVEL_FEATURES; ++f) {
                float sum = active ? weight * factor * gradient(row, index * LEVEL_FEATURES + f) : 0.0f;
#pragma unroll
                for (int d = 1; d < 32; d *= 2) {
                    const float other = __shfl_down_sync(0xffffffffu, sum, d);
                    if (lane + d < end) sum += other;
                }
                sums[f] = sum;
            }
            if (head) add_to_entry(table_gradient + entry, sums);
        }
    }
}
#endif

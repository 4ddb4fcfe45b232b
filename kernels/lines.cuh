// FFTs of lines in shared memory, every line by one warp, in place and without reordering.
//
// Forward is decimation in frequency: natural order in, digit-reversed order out.  Inverse is decimation in time:
// digit-reversed in, natural out.  Neither normalises.  What multiplies a spectrum comes in the same order.
//
// Constants: POINTS of a line; RADICES (4, 2, 3 or 5) of the stages, whose product they are; LINES that a block
// holds, one a warp; PITCH, elements from one line to the next.
#pragma once
#include "waves.cuh"

#define LANE (int(threadIdx.x) % 32)
#define WARP (int(threadIdx.x) / 32)

// i a in an inverse transform, -i a in a forward one.
template <bool INVERSE>
__device__ __forceinline__ complex quarter(complex a) {
    return INVERSE ? times_i(a) : over_i(a);
}

// v[p] <- sum_q exp(-+ 2 pi i p q / R) v[q]
template <bool INVERSE>
__device__ __forceinline__ void transform(complex (&v)[2]) {
    const complex sum = v[0] + v[1];
    v[1] = v[0] - v[1];
    v[0] = sum;
}
template <bool INVERSE>
__device__ __forceinline__ void transform(complex (&v)[3]) {
    const complex sum = v[1] + v[2], turned = quarter<INVERSE>(real(0.86602540378443865) * (v[1] - v[2]));
    const complex mean = v[0] - real(0.5) * sum;
    v[0] = v[0] + sum;
    v[1] = mean + turned;
    v[2] = mean - turned;
}
template <bool INVERSE>
__device__ __forceinline__ void transform(complex (&v)[4]) {
    const complex even = v[0] + v[2], odd = v[1] + v[3];
    const complex difference = v[0] - v[2], turned = quarter<INVERSE>(v[1] - v[3]);
    v[0] = even + odd;
    v[1] = difference + turned;
    v[2] = even - odd;
    v[3] = difference - turned;
}
template <bool INVERSE>
__device__ __forceinline__ void transform(complex (&v)[5]) {
    const real c1 = real(0.30901699437494742), c2 = real(-0.80901699437494742);  // cosines of 1 / 5 and 2 / 5 turn
    const real s1 = real(0.95105651629515357), s2 = real(0.58778525229247313);   // and sines
    const complex near = v[1] + v[4], far = v[2] + v[3], first = v[1] - v[4], second = v[2] - v[3];
    const complex mean1 = v[0] + (c1 * near + c2 * far), mean2 = v[0] + (c2 * near + c1 * far);
    const complex turned1 = quarter<INVERSE>(s1 * first + s2 * second);
    const complex turned2 = quarter<INVERSE>(s2 * first - s1 * second);
    v[0] = v[0] + (near + far);
    v[1] = mean1 + turned1;
    v[2] = mean2 + turned2;
    v[3] = mean2 - turned2;
    v[4] = mean1 - turned1;
}

// The stages from blocks of LENGTH points on; roots[k] = exp(-2 pi i k / POINTS).
template <int LENGTH, int... RADIX>
struct Stages {  // of a single point: none
    static __device__ __forceinline__ void forward(complex*, const complex*) {}
    static __device__ __forceinline__ void inverse(complex*, const complex*) {}
};
template <int LENGTH, int R, int... REST>
struct Stages<LENGTH, R, REST...> {
    static constexpr int LEGS = LENGTH / R;
    static __device__ __forceinline__ void forward(complex* line, const complex* roots) {
        for (int i = LANE; i < POINTS / R; i += 32) {
            const int leg = i % LEGS, at = i / LEGS * LENGTH + leg;
            complex v[R];
#pragma unroll
            for (int q = 0; q < R; ++q) v[q] = line[at + LEGS * q];
            transform<false>(v);
            line[at] = v[0];
#pragma unroll
            for (int p = 1; p < R; ++p)
                line[at + LEGS * p] = LEGS > 1 ? roots[leg * p * (POINTS / LENGTH)] * v[p] : v[p];
        }
        __syncwarp();
        Stages<LEGS, REST...>::forward(line, roots);
    }
    static __device__ __forceinline__ void inverse(complex* line, const complex* roots) {
        Stages<LEGS, REST...>::inverse(line, roots);
        for (int i = LANE; i < POINTS / R; i += 32) {
            const int leg = i % LEGS, at = i / LEGS * LENGTH + leg;
            complex v[R];
            v[0] = line[at];
#pragma unroll
            for (int p = 1; p < R; ++p) {
                const complex there = line[at + LEGS * p];
                v[p] = LEGS > 1 ? conj(roots[leg * p * (POINTS / LENGTH)]) * there : there;
            }
            transform<true>(v);
#pragma unroll
            for (int q = 0; q < R; ++q) line[at + LEGS * q] = v[q];
        }
        __syncwarp();
    }
};
typedef Stages<POINTS, RADICES> Fourier;

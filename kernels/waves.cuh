// Complex numbers, and the axial frequency of a wave.
//
// Compiled once with -DREAL=float and, where double precision is offered, once with -DREAL=double.  Angles
// are made in double precision and brought to within half a turn before they become REAL: rounding does
// not grow with the height of a slice or with the number of slices.
#pragma once
#ifndef REAL
#define REAL float
#endif

typedef REAL real;

struct alignas(2 * sizeof(real)) complex {
    real re, im;
};

__device__ __forceinline__ complex operator+(complex a, complex b) { return {a.re + b.re, a.im + b.im}; }
__device__ __forceinline__ complex operator-(complex a, complex b) { return {a.re - b.re, a.im - b.im}; }
__device__ __forceinline__ complex operator*(real a, complex b) { return {a * b.re, a * b.im}; }
__device__ __forceinline__ complex operator*(complex a, complex b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
__device__ __forceinline__ complex conj(complex a) { return {a.re, -a.im}; }
__device__ __forceinline__ complex times_i(complex a) { return {-a.im, a.re}; }
__device__ __forceinline__ complex over_i(complex a) { return {a.im, -a.re}; }

// sum + a b, with fused multiply-adds.
__device__ __forceinline__ complex add_product(complex sum, complex a, complex b) {
    sum.re = fma(a.re, b.re, sum.re);
    sum.im = fma(a.re, b.im, sum.im);
    sum.re = fma(-a.im, b.im, sum.re);
    sum.im = fma(a.im, b.re, sum.im);
    return sum;
}

__device__ __forceinline__ void sine_cosine(float turns, float* sine, float* cosine) {
    sincospif(2.0f * turns, sine, cosine);
}
__device__ __forceinline__ void sine_cosine(double turns, double* sine, double* cosine) {
    sincospi(2.0 * turns, sine, cosine);
}

// exp(2 pi i turns)
__device__ __forceinline__ complex turn(double turns) {
    complex out;
    sine_cosine(real(turns - rint(turns)), &out.im, &out.re);
    return out;
}

// sqrt(w), w > 0, to 1e-14 or better: in single precision one Newton step in double after a fast root, because
// double-precision roots and divisions are slow, and on most cards very slow.
__device__ __forceinline__ double root(double w) {
    if (sizeof(real) == 8) return sqrt(w);
    const double inverse = rsqrtf(float(w)), first = w * inverse;
    return fma(0.5 * inverse, fma(-first, first, w), first);
}

// Signed number of entry k of an FFT of n points.
__device__ __forceinline__ int signed_number(int k, int n) { return 2 * k < n ? k : k - n; }

// k modulo n, from 0 to n - 1.
__device__ __forceinline__ int modulo(int k, int n) {
    k %= n;
    return k < 0 ? k + n : k;
}

// Instructions that CUDA C++ has no words for.  Halves are kept as bits, so that no header is needed.
#pragma once

#ifdef CUDAEMU
#include "ptx_twins.h"  // the tests run kernels on a CPU: the same functions in C++
#else

// Two floats rounded to halves, the first in the lower bits.
__device__ __forceinline__ unsigned pack_halves(float lower, float upper) {
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(upper), "f"(lower));
    return pair;
}
__device__ __forceinline__ float lower_half(unsigned pair) {
    float value;
    asm("{ .reg .b16 lower, upper; mov.b32 {lower, upper}, %1; cvt.f32.f16 %0, lower; }" : "=f"(value) : "r"(pair));
    return value;
}
__device__ __forceinline__ float upper_half(unsigned pair) {
    float value;
    asm("{ .reg .b16 lower, upper; mov.b32 {lower, upper}, %1; cvt.f32.f16 %0, upper; }" : "=f"(value) : "r"(pair));
    return value;
}

// Four 8 x 8 matrices of halves from shared memory: lanes 8 i .. 8 i + 7 give the rows of matrix i, 16 bytes
// each.  Lane l gets, of row l / 4, columns 2 (l % 4) and the next; transposed: of column l / 4 those rows.
__device__ __forceinline__ void ldmatrix(unsigned (&r)[4], const void* row) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
__device__ __forceinline__ void ldmatrix_transposed(unsigned (&r)[4], const void* row) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

// c += A B with A 16 x 16 and B 16 x 8 of halves and c of floats.  With g = lane / 4 and t = lane % 4, a lane
// holds A[g, 2t..], A[g+8, 2t..], A[g, 2t+8..], A[g+8, 2t+8..]; B[2t.., g], B[2t+8.., g]; and of c
// [g, 2t], [g, 2t+1], [g+8, 2t], [g+8, 2t+1].
__device__ __forceinline__ void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Copies of 16 bytes from global to shared memory that run on while the thread does other work: a group ends
// with copy_commit(); copy_wait<P>() waits for all but the latest P groups.
__device__ __forceinline__ void copy_async(void* to, const void* from) {
    const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
}
__device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
__device__ __forceinline__ void copy_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#endif

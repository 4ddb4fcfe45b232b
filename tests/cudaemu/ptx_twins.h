// What the inline PTX of kernels/ptx.cuh does, in C++; layouts as in the PTX manual, "Matrix fragments".
#pragma once
#include "cudaemu.h"

namespace emu {
inline float half_to_float(unsigned short bits) {
    _Float16 h;
    std::memcpy(&h, &bits, 2);
    return float(h);
}
inline unsigned short float_to_half(float x) {
    const _Float16 h = _Float16(x);
    unsigned short bits;
    std::memcpy(&bits, &h, 2);
    return bits;
}
inline float low(unsigned pair) { return half_to_float(pair & 0xffff); }
inline float high(unsigned pair) { return half_to_float(pair >> 16); }
}  // namespace emu

inline unsigned pack_halves(float lower, float upper) {
    return unsigned(emu::float_to_half(upper)) << 16 | emu::float_to_half(lower);
}
inline float lower_half(unsigned pair) { return emu::low(pair); }
inline float upper_half(unsigned pair) { return emu::high(pair); }

// Lanes 8 i .. 8 i + 7 give the addresses of the rows of 8 x 8 matrix i; lane l gets, of row l / 4, columns
// 2 (l % 4) and the next; or, transposed, of column l / 4 those rows.
inline void load_matrices(unsigned (&r)[4], const void* row, bool transposed) {
    if (reinterpret_cast<uintptr_t>(row) % 16) emu::fail("ldmatrix: a row is not aligned to 16 bytes");
    emu::require_converged("ldmatrix");
    emu::deposit(row);
    __syncwarp();
    const unsigned l = emu::lane();
    for (unsigned i = 0; i < 4; ++i) {
        unsigned short value[2];
        for (unsigned e = 0; e < 2; ++e) {
            const unsigned from = transposed ? 2 * (l % 4) + e : l / 4, at = transposed ? l / 4 : 2 * (l % 4) + e;
            value[e] = emu::deposited<const unsigned short*>(8 * i + from)[at];
        }
        r[i] = unsigned(value[1]) << 16 | value[0];
    }
    __syncwarp();
}
inline void ldmatrix(unsigned (&r)[4], const void* row) { load_matrices(r, row, false); }
inline void ldmatrix_transposed(unsigned (&r)[4], const void* row) { load_matrices(r, row, true); }

// c += A B with A 16 x 16 and B 16 x 8 of halves, c of floats: mma.sync.m16n8k16.
inline void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    struct Operands { unsigned a[4], b[2]; };
    emu::deposit(Operands{{a[0], a[1], a[2], a[3]}, {b0, b1}});
    __syncwarp();
    const unsigned g = emu::lane() / 4, t = emu::lane() % 4;
    float columns[2][16];
    for (unsigned e = 0; e < 2; ++e)
        for (unsigned quad = 0; quad < 4; ++quad) {
            const Operands o = emu::deposited<Operands>(4 * (2 * t + e) + quad);
            for (unsigned i = 0; i < 2; ++i) {
                columns[e][8 * i + 2 * quad] = emu::low(o.b[i]);
                columns[e][8 * i + 2 * quad + 1] = emu::high(o.b[i]);
            }
        }
    for (unsigned upper = 0; upper < 2; ++upper) {
        float row[16];
        for (unsigned quad = 0; quad < 4; ++quad) {
            const Operands o = emu::deposited<Operands>(4 * g + quad);
            for (unsigned i = 0; i < 2; ++i) {
                row[8 * i + 2 * quad] = emu::low(o.a[2 * i + upper]);
                row[8 * i + 2 * quad + 1] = emu::high(o.a[2 * i + upper]);
            }
        }
        for (unsigned e = 0; e < 2; ++e)
            for (unsigned k = 0; k < 16; ++k) c[2 * upper + e] += row[k] * columns[e][k];
    }
    __syncwarp();
}

// cp.async: a copy takes place no earlier than the wait for its group, so that reading too early shows.
inline void copy_async(void* to, const void* from) {
    if (reinterpret_cast<uintptr_t>(to) % 16 || reinterpret_cast<uintptr_t>(from) % 16)
        emu::fail("cp.async: an address is not aligned to 16 bytes");
    ++emu::current->steps;
    emu::current->copies.push_back({to, from, 16, emu::current->group});
}
inline void copy_commit() { ++emu::current->group; }
template <int PENDING>
inline void copy_wait() {
    auto& copies = emu::current->copies;
    size_t done = 0;
    while (done < copies.size() && copies[done].group + PENDING < emu::current->group) {
        std::memcpy(copies[done].to, copies[done].from, copies[done].bytes);
        ++done;
    }
    copies.erase(copies.begin(), copies.begin() + done);
}

// Runs CUDA C++ kernels on one CPU thread, for tests.
//
// One block at a time; every CUDA thread of a block is a fiber.  A fiber runs until __syncthreads(),
// __syncwarp() or a shuffle makes it wait, and one warp runs as far as it can before the next: a missing
// barrier then gives wrong results in one of the two orders of threads.  Dynamic shared memory starts as
// NaN in every block and is followed by a canary; -fsanitize=bounds,alignment ends in fail() below.
#pragma once
#include <setjmp.h>
#include <ucontext.h>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#define CUDAEMU 1
#define __CUDA_ARCH__ 900
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0

// ---- qualifiers ---------------------------------------------------------------------------------
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __restrict__ __restrict
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __shared__ static  // arrays of a fixed size; emulator.py rewrites the dynamic one
#define __align__(n) __attribute__((aligned(n)))
#define CUDAEMU_DYNAMIC_SHARED(type, name) type* const name = reinterpret_cast<type*>(emu::dynamic_shared())

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
#define EMU_VECTORS(T, N)                                            \
    struct alignas(2 * sizeof(T)) N##2 { T x, y; };                  \
    struct N##3 { T x, y, z; };                                      \
    struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) N##4 { T x, y, z, w; }; \
    inline N##2 make_##N##2(T x, T y) { return {x, y}; }             \
    inline N##3 make_##N##3(T x, T y, T z) { return {x, y, z}; }     \
    inline N##4 make_##N##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTORS(float, float)
EMU_VECTORS(double, double)
EMU_VECTORS(int, int)
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace emu {
// ---- fibers -------------------------------------------------------------------------------------
enum State { READY, AT_BLOCK, AT_WARP, DONE };
struct Warp { unsigned live = 0, waiting = 0; alignas(16) unsigned char slot[32][64]; };
struct Copy { void* to; const void* from; unsigned bytes, group; };
struct Fiber {
    ucontext_t start;
    jmp_buf context;
    bool started;
    State state;
    uint3 thread;
    unsigned linear, mask, group, steps;  // steps: copies and atomics since the last barrier
    std::vector<Copy> copies;  // asynchronous copies that have not been waited for
};

constexpr size_t STACK = 128 * 1024, MOST_SHARED = 227 * 1024, CANARY = 256;
inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline std::vector<char> stacks;
inline Fiber* current;
inline jmp_buf scheduler;
inline dim3 grid_dim, block_dim;
inline uint3 block_index;
inline void (*body)(void*);
inline void* body_argument;
inline std::string error;
// Aligned to 16 bytes and no more, as the device promises.
alignas(128) inline unsigned char shared_buffer[16 + MOST_SHARED + CANARY];

inline unsigned char* dynamic_shared() { return shared_buffer + 16; }
inline Warp& warp() { return warps[current->linear / 32]; }
inline unsigned lane() { return current->linear % 32; }
inline void yield() { if (!_setjmp(current->context)) _longjmp(scheduler, 1); }
inline std::string place() {
    return " (block " + std::to_string(block_index.x) + "," + std::to_string(block_index.y) + "," +
           std::to_string(block_index.z) + " thread " + std::to_string(current->linear) + ")";
}
[[noreturn]] inline void fail(const std::string& what) {  // stops the launch; a fiber is never unwound
    error = what + place();
    _longjmp(scheduler, 2);
}
inline void release_if_complete(Warp& w, unsigned mask) {
    if ((w.waiting & mask) != (mask & w.live)) return;
    const unsigned base = unsigned(&w - warps.data()) * 32;
    for (unsigned l = 0; l < 32; ++l)
        if ((w.waiting & mask) >> l & 1) fibers[base + l].state = READY;
    w.waiting &= ~mask;
}
inline void trampoline() {
    body(body_argument);
    if (!current->copies.empty()) fail("a thread ends with asynchronous copies not waited for");
    current->state = DONE;
    Warp& w = warp();
    w.live &= ~(1u << lane());
    if (w.waiting) release_if_complete(w, fibers[current->linear / 32 * 32 + __builtin_ctz(w.waiting)].mask);
    _longjmp(scheduler, 1);
}
inline void run_fiber(Fiber& f) {
    current = &f;
    const int back = _setjmp(scheduler);
    if (back == 0) {
        if (f.started) _longjmp(f.context, 1);
        f.started = true;
        setcontext(&f.start);
    }
}
inline void run_block(bool reverse) {
    const unsigned n = fibers.size(), n_warps = warps.size();
    for (;;) {
        for (unsigned i = 0; i < n_warps; ++i)
            for (bool ran = true; ran;) {
                ran = false;
                for (unsigned k = 0; k < 32; ++k) {
                    const unsigned id = 32 * (reverse ? n_warps - 1 - i : i) + (reverse ? 31 - k : k);
                    if (id >= n || fibers[id].state != READY) continue;
                    ran = true;
                    run_fiber(fibers[id]);
                    if (!error.empty()) return;
                }
            }
        unsigned at_block = 0, done = 0;
        for (auto& f : fibers) { at_block += f.state == AT_BLOCK; done += f.state == DONE; }
        if (done == n) return;
        if (at_block + done < n) { error = "deadlock: threads of one warp wait at different barriers"; return; }
        if (done > 0) { error = "some threads wait at __syncthreads() and others have left"; return; }
        for (auto& f : fibers) f.state = READY;
    }
}

// ---- launch -------------------------------------------------------------------------------------
template <class T>
std::string describe() {  // what fake_cupy.py checks arguments with: "p<size>" or a kind and a size
    if constexpr (std::is_pointer_v<T>) {
        using P = std::remove_cv_t<std::remove_pointer_t<T>>;
        if constexpr (std::is_void_v<P>) return "p0 ";
        else return "p" + std::to_string(sizeof(P)) + " ";
    } else {
        const char* kind = std::is_floating_point_v<T> ? "f" : std::is_class_v<T> ? "V" : std::is_signed_v<T> ? "i" : "u";
        return kind + std::to_string(sizeof(T)) + " ";
    }
}
template <class... A>
const char* signature(void (*)(A...)) {
    static const std::string text = (describe<std::remove_cv_t<A>>() + ... + "");
    return text.c_str();
}
template <class... A, size_t... I>
void call(void (*k)(A...), void** arguments, std::index_sequence<I...>) {
    k(*static_cast<std::remove_cv_t<std::remove_reference_t<A>>*>(arguments[I])...);
}
template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block, void** arguments,
                   unsigned shared_bytes, int reverse) {
    struct Pack { void (*kernel)(A...); void** arguments; } pack{kernel, arguments};
    body = [](void* p) {
        auto* q = static_cast<Pack*>(p);
        call(q->kernel, q->arguments, std::index_sequence_for<A...>{});
    };
    body_argument = &pack;
    grid_dim = {grid[0], grid[1], grid[2]};
    block_dim = {block[0], block[1], block[2]};
    const unsigned n = block[0] * block[1] * block[2];
    if (n == 0 || n > 1024) return "a block must have 1 to 1024 threads";
    if (shared_bytes > MOST_SHARED) return "more dynamic shared memory than any device has";
    fibers.resize(n);
    stacks.resize(n * STACK);
    error.clear();
    const unsigned blocks = grid[0] * grid[1] * grid[2];
    for (unsigned i = 0; i < blocks; ++i) {
        const unsigned b = reverse ? blocks - 1 - i : i;
        block_index = {b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
        std::memset(dynamic_shared(), 0xff, shared_bytes + CANARY);
        warps.assign((n + 31) / 32, {});
        for (unsigned t = 0; t < n; ++t) {
            Fiber& f = fibers[t];
            f.started = false;
            f.state = READY;
            f.linear = t;
            f.group = f.steps = 0;
            f.copies.clear();
            f.thread = {t % block[0], t / block[0] % block[1], t / (block[0] * block[1])};
            getcontext(&f.start);
            f.start.uc_stack.ss_sp = &stacks[t * STACK];
            f.start.uc_stack.ss_size = STACK;
            f.start.uc_link = nullptr;
            makecontext(&f.start, trampoline, 0);
            warps[t / 32].live |= 1u << t % 32;
        }
        run_block(reverse);
        for (size_t k = 0; error.empty() && k < CANARY; ++k)
            if (dynamic_shared()[shared_bytes + k] != 0xff) error = "wrote beyond the dynamic shared memory" + place();
        if (!error.empty()) return error.c_str();
    }
    return nullptr;
}
}  // namespace emu

#define threadIdx (emu::current->thread)
#define blockIdx (emu::block_index)
#define blockDim (emu::block_dim)
#define gridDim (emu::grid_dim)
#define warpSize 32
#define CUDAEMU_EXPORT(kernel)                                                                           \
    extern "C" const char* emu_launch_##kernel(const unsigned* g, const unsigned* b, void** a, unsigned s, int r) { \
        return emu::launch(kernel, g, b, a, s, r);                                                       \
    }                                                                                                    \
    extern "C" const char* emu_signature_##kernel() { return emu::signature(kernel); }

// What g++ calls where -fsanitize=bounds,alignment finds a fault.
extern "C" __attribute__((used)) void __ubsan_handle_out_of_bounds_abort(void*, void*) { emu::fail("index beyond the end of an array"); }
extern "C" __attribute__((used)) void __ubsan_handle_type_mismatch_v1_abort(void*, void*) { emu::fail("misaligned access"); }

// ---- barriers, shuffles, atomics ----------------------------------------------------------------
inline void __syncthreads() {
    emu::current->steps = 0;
    emu::current->state = emu::AT_BLOCK;
    emu::yield();
}
inline void __syncwarp(unsigned mask = ~0u) {
    emu::Warp& w = emu::warp();
    if (!(mask >> emu::lane() & 1)) emu::fail("__syncwarp: the calling lane is not in the mask");
    emu::current->steps = 0;
    emu::current->state = emu::AT_WARP;
    emu::current->mask = mask;
    w.waiting |= 1u << emu::lane();
    emu::release_if_complete(w, mask);
    if (emu::current->state != emu::READY) emu::yield();
}
namespace emu {
template <class T>
void deposit(const T& v) {
    static_assert(sizeof(T) <= 64);
    std::memcpy(warp().slot[lane()], &v, sizeof v);
}
template <class T>
T deposited(unsigned l) {
    T v;
    std::memcpy(&v, warp().slot[l], sizeof v);
    return v;
}
template <class T>
T exchange(unsigned mask, T v, unsigned source) {
    deposit(v);
    __syncwarp(mask);
    if (!(mask & warp().live & 1u << source)) fail("shuffle: source lane " + std::to_string(source) + " takes no part");
    const T r = deposited<T>(source);
    __syncwarp(mask);
    return r;
}
// An instruction of the whole warp, such as ldmatrix.sync.aligned: lanes that went through a loop a different number
// of times have not met since.
inline void require_converged(const char* instruction) {
    const unsigned steps = current->steps, first = current->linear / 32 * 32;
    deposit(steps);
    __syncwarp();
    for (unsigned l = 0; l < 32 && first + l < fibers.size(); ++l)
        if (deposited<unsigned>(l) != steps) fail(std::string(instruction) + ": lanes have diverged since the last barrier");
    __syncwarp();
}
}  // namespace emu
template <class T>
T __shfl_sync(unsigned m, T v, int source, int width = 32) {
    return emu::exchange(m, v, (emu::lane() & ~(width - 1)) + (source & (width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned m, T v, int x) { return emu::exchange(m, v, emu::lane() ^ x); }
template <class T>
T __shfl_down_sync(unsigned m, T v, unsigned d, int width = 32) {
    const unsigned l = emu::lane();
    return emu::exchange(m, v, l % width + d < unsigned(width) ? l + d : l);
}
template <class T>
T __shfl_up_sync(unsigned m, T v, unsigned d, int width = 32) {
    const unsigned l = emu::lane();
    return emu::exchange(m, v, l % width >= d ? l - d : l);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    emu::deposit(predicate);
    __syncwarp(mask);
    unsigned votes = 0;
    for (unsigned l = 0; l < 32; ++l)
        if (mask & emu::warp().live & 1u << l) votes |= unsigned(emu::deposited<int>(l) != 0) << l;
    __syncwarp(mask);
    return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
template <class T, class U>
T atomicAdd(T* p, U v) {  // one fiber runs at a time
    const auto* at = reinterpret_cast<const unsigned char*>(p);
    if (std::is_floating_point_v<T> && at >= emu::dynamic_shared() && at < emu::dynamic_shared() + emu::MOST_SHARED)
        emu::fail("atomicAdd: a loop of compare-and-swap, as for every float in shared memory");
    ++emu::current->steps;
    const T old = *p;
    *p = T(old + T(v));
    return old;
}
inline float2 atomicAdd(float2* p, float2 v) {  // of sm_90, in global memory alone
    return {atomicAdd(&p->x, v.x), atomicAdd(&p->y, v.y)};
}
template <class T, class U>
T atomicMax(T* p, U v) {
    ++emu::current->steps;
    const T old = *p;
    if (T(v) > old) *p = T(v);
    return old;
}
template <class T>
T __ldg(const T* p) { return *p; }
inline void __threadfence() {}

// ---- arithmetic ---------------------------------------------------------------------------------
inline float __fmul_rn(float a, float b) {  // a product that no compiler contracts
    volatile float product = a * b;
    return product;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline void sincospif(float x, float* s, float* c) {
    *s = float(std::sin(M_PI * double(x)));
    *c = float(std::cos(M_PI * double(x)));
}
inline void sincospi(double x, double* s, double* c) {
    *s = std::sin(M_PI * x);
    *c = std::cos(M_PI * x);
}
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __float_as_uint(float x) { unsigned u; std::memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(unsigned u) { float x; std::memcpy(&x, &u, 4); return x; }
inline int __float_as_int(float x) { return int(__float_as_uint(x)); }
inline float __int_as_float(int i) { return __uint_as_float(unsigned(i)); }
template <class T>
T min(T a, T b) { return b < a ? b : a; }
template <class T>
T max(T a, T b) { return a < b ? b : a; }

// Fourier interpolation: the middle of fieldrx.interpolation.upsample and its adjoint, between two FFTs.
#include "waves.cuh"

// Moves the frequencies that both grids hold, those below the Nyquist frequency of the coarser one:
//   out[z, k] = scale exp(2 pi i (k_y turns_y + k_x turns_x)) in[z, k],  0 for other k
//   in (nz, in_y, in_x), out (nz, out_y, out_x) complex, in the order of numpy.fft
// Launch: one thread an element of a plane of out: grid (ceil(out_y out_x / block), nz).  No shared memory.
extern "C" __global__ void resample(const complex* __restrict__ in, int in_y, int in_x, int out_y, int out_x,
                                    double turns_y, double turns_x, real scale, complex* __restrict__ out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= out_y * out_x) return;
    const int y = signed_number(i / out_x, out_y), x = signed_number(i % out_x, out_x);
    complex value = {0, 0};
    if (2 * abs(y) < min(in_y, out_y) && 2 * abs(x) < min(in_x, out_x)) {
        const int from_y = y < 0 ? y + in_y : y, from_x = x < 0 ? x + in_x : x;
        value = scale * (turn(y * turns_y + x * turns_x) * in[(size_t(blockIdx.y) * in_y + from_y) * in_x + from_x]);
    }
    out[size_t(blockIdx.y) * out_y * out_x + i] = value;
}

// Passes over a volume, one read and one write of every voxel: the twins of fieldrx/backends/cpu/volume.py.
//
// Launch: one thread a voxel; where factors of slices are given, grid (ceil(plane / block), nz) for slices of
// `plane` voxels.  No shared memory.
#include "waves.cuh"

// contrast = scale (outputs[0] + i outputs[1]), without outputs[1] for one output.
//   outputs (n_outputs, n);  contrast (n)
extern "C" __global__ void to_contrast(const real* __restrict__ outputs, int n, int n_outputs, real scale,
                                       complex* __restrict__ contrast) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    contrast[i] = {scale * outputs[i], n_outputs > 1 ? scale * outputs[size_t(n) + i] : 0};
}

// The adjoint of to_contrast.
//   gradient (n);  outputs (n_outputs, n)
extern "C" __global__ void to_outputs(const complex* __restrict__ gradient, int n, int n_outputs, real scale,
                                      real* __restrict__ outputs) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    outputs[i] = scale * gradient[i].re;
    if (n_outputs > 1) outputs[size_t(n) + i] = scale * gradient[i].im;
}

// slices[z] = factors[z] (2 n0 + contrast[z]) contrast[z].
//   factors (nz);  contrast, slices (nz, plane)
extern "C" __global__ void potential(const complex* __restrict__ contrast, const real* __restrict__ factors, int plane,
                                     real n0, complex* __restrict__ slices) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    const size_t at = size_t(blockIdx.y) * plane + i;
    const complex c = contrast[at];
    slices[at] = factors[blockIdx.y] * (complex{2 * n0 + c.re, c.im} * c);
}

// The way back through potential: d_contrast[z] = 2 factors[z] conj(n0 + contrast[z]) d_slices[z].
//   d_slices, d_contrast (nz, plane)
extern "C" __global__ void potential_back(const complex* __restrict__ contrast, const complex* __restrict__ d_slices,
                                          const real* __restrict__ factors, int plane, real n0,
                                          complex* __restrict__ d_contrast) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= plane) return;
    const size_t at = size_t(blockIdx.y) * plane + i;
    const complex c = contrast[at];
    d_contrast[at] = 2 * factors[blockIdx.y] * (complex{n0 + c.re, -c.im} * d_slices[at]);
}

// Regularisers of a volume: value and gradient in one pass.

#include "sums.cuh"

struct Volume {
    const float* u;
    int nz, ny, nx;
    float wz, wy, wx, eps2;
};

// |D u| of voxel i = (z, y, x), smoothed: forward differences times weights, 0 at the far border.
__device__ __forceinline__ float length(const Volume& v, int i, int z, int y, int x) {
    const float here = v.u[i];
    const float dx = x + 1 < v.nx ? v.wx * (v.u[i + 1] - here) : 0.0f;
    const float dy = y + 1 < v.ny ? v.wy * (v.u[i + v.nx] - here) : 0.0f;
    const float dz = z + 1 < v.nz ? v.wz * (v.u[i + v.nx * v.ny] - here) : 0.0f;
    return sqrtf(dx * dx + dy * dy + dz * dz + v.eps2);
}

// value += tv sum_i (sqrt(|D u|_i^2 + eps^2) - eps) + negative sum_i min(u_i, 0)^2 + positive sum_i max(u_i, 0)^2;
// its gradient is added to grad.
//   u, grad (nz, ny, nx);  value (1) double
// Launch: any grid of blocks of a multiple of 32 threads.  Shared memory: one double a warp.
extern "C" __global__ void regularise(const float* __restrict__ u, int nz, int ny, int nx, float wz, float wy, float wx,
                                      float eps, float tv, float negative, float positive, float* __restrict__ grad,
                                      double* value) {
    const Volume v{u, nz, ny, nx, wz, wy, wx, eps * eps};
    const int row = nx, plane = nx * ny;
    double sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < nz * plane; i += gridDim.x * blockDim.x) {
        const float here = u[i], below = fminf(here, 0.0f), above = fmaxf(here, 0.0f);
        float gradient = 2.0f * (negative * below + positive * above);
        sum += negative * (double(below) * below) + positive * (double(above) * above);
        if (tv != 0.0f) {
            const int z = i / plane, y = i / row % ny, x = i % row;
            const float far = length(v, i, z, y, x);
            float slope = 0.0f, back = 0.0f;
            if (x + 1 < nx) slope += wx * wx * (u[i + 1] - here);
            if (y + 1 < ny) slope += wy * wy * (u[i + row] - here);
            if (z + 1 < nz) slope += wz * wz * (u[i + plane] - here);
            if (x > 0) back += wx * wx * (here - u[i - 1]) / length(v, i - 1, z, y, x - 1);
            if (y > 0) back += wy * wy * (here - u[i - row]) / length(v, i - row, z, y - 1, x);
            if (z > 0) back += wz * wz * (here - u[i - plane]) / length(v, i - plane, z - 1, y, x);
            gradient += tv * (back - slope / far);
            sum += tv * double(far - eps);
        }
        grad[i] += gradient;
    }
    add_to_total(sum, value);
}

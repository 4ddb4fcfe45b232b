// Regularisers of a volume: value and gradient in one pass.

// Adds the sum of `value` over a block to *total; whole warps must come here together.
__device__ __forceinline__ void add_to_total(double value, double* total) {
    __shared__ double of_warp[32];
#pragma unroll
    for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(0xffffffffu, value, d);
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x > 0) return;
    double sum = 0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += of_warp[w];
    atomicAdd(total, sum);
}

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

// value += sum_i (sqrt(|D u|_i^2 + eps^2) - eps);  grad += scale times its gradient.
//   u, grad (nz, ny, nx);  value (1) double
// Launch: any grid of blocks of a multiple of 32 threads.  Shared memory: one double a warp.
extern "C" __global__ void total_variation(const float* __restrict__ u, int nz, int ny, int nx, float wz, float wy, float wx,
                                           float eps, float scale, float* __restrict__ grad, double* value) {
    const Volume v{u, nz, ny, nx, wz, wy, wx, eps * eps};
    const int row = nx, plane = nx * ny;
    double sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < nz * plane; i += gridDim.x * blockDim.x) {
        const int z = i / plane, y = i / row % ny, x = i % row;
        const float here = u[i], far = length(v, i, z, y, x);
        float slope = 0.0f, back = 0.0f;
        if (x + 1 < nx) slope += wx * wx * (u[i + 1] - here);
        if (y + 1 < ny) slope += wy * wy * (u[i + row] - here);
        if (z + 1 < nz) slope += wz * wz * (u[i + plane] - here);
        if (x > 0) back += wx * wx * (here - u[i - 1]) / length(v, i - 1, z, y, x - 1);
        if (y > 0) back += wy * wy * (here - u[i - row]) / length(v, i - row, z, y - 1, x);
        if (z > 0) back += wz * wz * (here - u[i - plane]) / length(v, i - plane, z - 1, y, x);
        grad[i] += scale * (back - slope / far);
        sum += far - eps;
    }
    add_to_total(sum, value);
}

// value += sum_i min(u_i, 0)^2;  grad += scale times its gradient.
//   u, grad (n);  value (1) double
// Launch: any grid of blocks of a multiple of 32 threads.  Shared memory: one double a warp.
extern "C" __global__ void negativity(const float* __restrict__ u, int n, float scale, float* __restrict__ grad, double* value) {
    double sum = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const float v = fminf(u[i], 0.0f);
        grad[i] += scale * 2.0f * v;
        sum += double(v) * v;
    }
    add_to_total(sum, value);
}

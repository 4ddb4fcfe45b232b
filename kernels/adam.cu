// The optimiser.

// One step of Adam, in place; see fieldrx/backends/operators.py for the formula.
//   params, m, v (n), overwritten;  grad (n)
//   rate = lr / (1 - beta1^step);  scale = 1 / sqrt(1 - beta2^step)
// Launch: any grid; one thread an element.
extern "C" __global__ void adam_step(float* __restrict__ params, const float* __restrict__ grad, float* __restrict__ m,
                                     float* __restrict__ v, int n, float rate, float beta1, float beta2, float scale, float eps) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const float g = grad[i];
        const float first = beta1 * m[i] + (1.0f - beta1) * g;
        const float second = beta2 * v[i] + (1.0f - beta2) * g * g;
        m[i] = first;
        v[i] = second;
        params[i] -= rate * first / (sqrtf(second) * scale + eps);
    }
}

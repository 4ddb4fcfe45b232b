// A field's network, encoding included: values at points or on a grid.
//
// A block takes tiles of ROWS points, one after the other, until there are none; a warp owns ROWS_OF_WARP of
// them and does not wait for the others where all weights are in shared memory.  Features and activations live
// in shared memory and registers alone.
#include "network.cuh"

// Values of the field.
//   a, b, c, n, ny, nx: Points;  numbers, integers: Encoding;  packed (n_packed), biases: see above
//   out: output o of point p at o along + p across
// Launch: blocks of THREADS threads, as many as fit on the device at once, at most one a tile.
// Shared memory: [N_BIASES] float, [ROWS][LD_FEATURES] features, [ROWS][LD_WIDTH] activations, and the weights:
// all of them, or STAGES chunks of `slot` numbers.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
    network_forward(const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c, int n, int ny, int nx,
                    const float* __restrict__ numbers, const int* __restrict__ integers, const number* __restrict__ packed,
                    int n_packed, int slot, const float* __restrict__ biases, float* __restrict__ out, long long along,
                    long long across) {
    extern __shared__ __align__(16) unsigned char shared[];
    float* bias = reinterpret_cast<float*>(shared);
    number* f = reinterpret_cast<number*>(bias + N_BIASES) + WARP * ROWS_OF_WARP * LD_FEATURES;
    number* h = reinterpret_cast<number*>(bias + N_BIASES) + ROWS * LD_FEATURES + WARP * ROWS_OF_WARP * LD_WIDTH;
    const Points points{a, b, c, n, ny, nx};
    const Encoding encoding{numbers, integers};
    for (int i = threadIdx.x; i < N_BIASES; i += THREADS) bias[i] = biases[i];
    __syncthreads();
    Weights weights;
    weights.begin(packed, reinterpret_cast<number*>(bias + N_BIASES) + ROWS * (LD_FEATURES + LD_WIDTH), n_packed, slot);
    for (int tile = blockIdx.x; tile * ROWS < n; tile += gridDim.x) {
        const int first = tile * ROWS + WARP * ROWS_OF_WARP;
        fill_features(points, encoding, first, f);
        for (int layer = 0; layer < DEPTH; ++layer) {
            float v[M_TILES][WIDTH / 8][4];
            start_at_bias(v, bias + layer * WIDTH);
            if (layer > 0) product(v, weights, h, LD_WIDTH, WIDTH / 16);
            if (reads_features(layer)) product(v, weights, f, LD_FEATURES, FEATURES / 16);
            __syncwarp();  // all lanes have read h
            activate(v, h, nullptr);
            __syncwarp();
        }
        float v[M_TILES][OUTPUTS / 8][4];
        start_at_bias(v, bias + DEPTH * WIDTH);
        product(v, weights, h, LD_WIDTH, WIDTH / 16);
        write_outputs(v, out, first, n, along, across);
        __syncwarp();
    }
    weights.end();
}

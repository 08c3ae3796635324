/* LayerNorm, y = (x - mean) / sqrt(var + eps) w + b, the variance from the differences, and the
 * token shift that follows it in RWKV. A block a row; threads stride over the columns. With one row
 * a slot, as in decoding, norm and shift are one kernel.
 */
#include "kernels/cuda/device.h"

#define NORM_THREADS 1024

/* mean and 1 / sqrt(var + eps) of a row, for every thread of the block. */
static __device__ void row_moments(const float *x, size_t dim, float eps, float *mean, float *scale)
{
    __shared__ float parts[WARPS_MAX];
    float sum = 0.0f, square = 0.0f;

    for (size_t i = threadIdx.x; i < dim; i += blockDim.x)
        sum += x[i];
    *mean = block_sum(sum, parts) / (float)dim;
    for (size_t i = threadIdx.x; i < dim; i += blockDim.x)
        square += (x[i] - *mean) * (x[i] - *mean);
    *scale = 1.0f / sqrtf(block_sum(square, parts) / (float)dim + eps);
}

/* In place too: a thread reads its columns again before it writes them, and the moments are known
 * by then. */
static __global__ void layer_norm_kernel(float *y, const float *x, size_t dim, const float *w,
                                         const float *b, float eps)
{
    float mean, scale;

    x += blockIdx.x * dim;
    y += blockIdx.x * dim;
    row_moments(x, dim, eps, &mean, &scale);
    for (size_t i = threadIdx.x; i < dim; i += blockDim.x)
        y[i] = (x[i] - mean) * scale * w[i] + b[i];
}

void cuda_layer_norm(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                     const float *w, const float *b, float eps)
{
    cuda_launch(cuda_of(be), "layer_norm", layer_norm_kernel, rows,
                geometry_threads(dim, NORM_THREADS), y, x, dim, w, b, eps);
}

/* One row a slot, a block a slot: its column of prev belongs to one thread. */
static __global__ void norm_shift_kernel(const __grid_constant__ struct norm_shift s)
{
    size_t row = blockIdx.x * s.dim;
    float mean, scale;

    if (s.moves && s.moves[blockIdx.x] == 0.0f)
        return; /* the whole block */
    row_moments(s.x + row, s.dim, s.eps, &mean, &scale);
    for (size_t i = threadIdx.x; i < s.dim; i += blockDim.x) {
        float now = (s.x[row + i] - mean) * scale * s.w[i] + s.b[i];
        float step = s.prev[row + i] - now;

        s.prev[row + i] = now;
        for (size_t j = 0; j < s.count; j++)
            s.y[j][row + i] = step * s.mu[j][i] + now;
    }
}

/* From n, a thread an element. */
static __global__ void shift_kernel(const __grid_constant__ struct norm_shift s)
{
    size_t i = thread_index();

    if (i >= s.slots * s.rows * s.dim)
        return;
    size_t row = i / s.dim, column = i % s.dim;
    float now = s.n[i];
    float before = row % s.rows ? s.n[i - s.dim] : s.prev[row / s.rows * s.dim + column];

    for (size_t j = 0; j < s.count; j++)
        s.y[j][i] = (before - now) * s.mu[j][column] + now;
}

/* prev = the last row of n of every slot that moves, a thread an element. */
static __global__ void keep_last_kernel(const __grid_constant__ struct norm_shift s)
{
    size_t i = thread_index(), slot = i / s.dim;

    if (slot < s.slots && (!s.moves || s.moves[slot] != 0.0f))
        s.prev[i] = s.n[((slot + 1) * s.rows - 1) * s.dim + i % s.dim];
}

void cuda_norm_shift(struct backend *be, const struct norm_shift *n)
{
    struct cuda_backend *cuda = cuda_of(be);
    size_t count = n->slots * n->rows * n->dim;

    if (count == 0)
        return;
    if (n->rows == 1) {
        cuda_launch(cuda, "norm_shift", norm_shift_kernel, n->slots,
                    geometry_threads(n->dim, NORM_THREADS), *n);
        return;
    }
    cuda_layer_norm(be, n->n, n->x, n->slots * n->rows, n->dim, n->w, n->b, n->eps);
    cuda_launch(cuda, "shift", shift_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, *n);
    cuda_launch(cuda, "shift", keep_last_kernel,
                geometry_blocks(n->slots * n->dim, ELEMENT_THREADS), ELEMENT_THREADS, *n);
}

const void *cuda_norm_kernel(void)
{
    return (const void *)layer_norm_kernel;
}

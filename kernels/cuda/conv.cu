/* Depthwise convolution over time: y[t] = act(b + sum_j w[j] x[t + j]), every column alone; a
 * thread an output, so that the lanes of a warp read neighbouring columns.
 */
#include "kernels/cuda/device.h"

static __global__ void conv_depthwise_kernel(float *y, const float *x, size_t count, size_t dim,
                                             const float *w, const float *b, size_t kernel,
                                             enum activation act)
{
    size_t i = thread_index();

    if (i >= count)
        return;
    float sum = b ? b[i % dim] : 0.0f;

    for (size_t j = 0; j < kernel; j++)
        sum += w[j * dim + i % dim] * x[i + j * dim];
    y[i] = activate(sum, act);
}

void cuda_conv_depthwise(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                         const float *w, const float *b, size_t kernel, enum activation act)
{
    size_t count = rows * dim;

    cuda_launch(cuda_of(be), "conv_depthwise", conv_depthwise_kernel,
                geometry_blocks(count, ELEMENT_THREADS), ELEMENT_THREADS, y, x, count, dim, w, b,
                kernel, act);
}

const void *cuda_conv_kernel(void)
{
    return (const void *)conv_depthwise_kernel;
}

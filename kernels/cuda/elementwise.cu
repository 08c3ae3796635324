/* Operations of one element at a time: a thread each, its index counted over all blocks. x and y
 * may be the same.
 */
#include "kernels/cuda/device.h"
#include "kernels/half.h"

#include <cuda_fp16.h>

/* y = act((x - shift) scale + bias) */
static __global__ void affine_kernel(float *y, const float *x, size_t count, size_t dim,
                                     const float *shift, const float *scale, const float *bias,
                                     enum activation act)
{
    size_t i = thread_index();

    if (i >= count)
        return;
    float v = x[i];
    size_t column = i % dim;

    v = shift ? v - shift[column] : v;
    v = scale ? v * scale[column] : v;
    v = bias ? v + bias[column] : v;
    y[i] = activate(v, act);
}

void cuda_affine(struct backend *be, float *y, const float *x, size_t rows, size_t dim,
                 const float *shift, const float *scale, const float *bias, enum activation act)
{
    size_t count = rows * dim;

    cuda_launch(cuda_of(be), "affine", affine_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, y, x, count, dim, shift, scale, bias, act);
}

static __global__ void add_kernel(float *y, const float *x, size_t count)
{
    size_t i = thread_index();

    if (i < count)
        y[i] += x[i];
}

void cuda_add(struct backend *be, float *y, const float *x, size_t count)
{
    cuda_launch(cuda_of(be), "add", add_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, y, x, count);
}

/* y[i] = x[i] as a half; NaN stays */
static __global__ void to_half_kernel(__half *y, const float *x, size_t count)
{
    size_t i = thread_index();

    if (i < count) {
        float v = x[i] > HALF_MOST ? HALF_MOST : x[i] < -HALF_MOST ? -HALF_MOST : x[i];

        y[i] = __float2half(v);
    }
}

void cuda_to_half(struct backend *be, uint16_t *y, const float *x, size_t count)
{
    cuda_launch(cuda_of(be), "to_half", to_half_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, (__half *)y, x, count);
}

/* y[r, i] = x[r, i] sigmoid(x[r, dim + i]) */
static __global__ void glu_kernel(float *y, const float *x, size_t count, size_t dim)
{
    size_t i = thread_index();

    if (i >= count)
        return;
    const float *row = x + i / dim * 2 * dim;

    y[i] = row[i % dim] * sigmoid(row[dim + i % dim]);
}

void cuda_glu(struct backend *be, float *y, const float *x, size_t rows, size_t dim)
{
    size_t count = rows * dim;

    cuda_launch(cuda_of(be), "glu", glu_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, y, x, count, dim);
}

/* y[t, h] = sigmoid(x[t, h, 0]) (sigmoid(x[t, h, 1]) scale[h] - 1) + 2 */
static __global__ void relative_gate_kernel(float *y, const float *x, const float *scale,
                                            size_t count, size_t heads)
{
    size_t i = thread_index();

    if (i < count)
        y[i] = sigmoid(x[2 * i]) * (sigmoid(x[2 * i + 1]) * scale[i % heads] - 1.0f) + 2.0f;
}

void cuda_relative_gate(struct backend *be, float *y, const float *x, const float *scale,
                        size_t rows, size_t heads)
{
    size_t count = rows * heads;

    cuda_launch(cuda_of(be), "relative_gate", relative_gate_kernel,
                geometry_blocks(count, ELEMENT_THREADS), ELEMENT_THREADS, y, x, scale, count,
                heads);
}

const void *cuda_elementwise_kernel(void)
{
    return (const void *)affine_kernel;
}

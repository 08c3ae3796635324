/* Rotary positions, half-split pairs: (x[i], x[i + n / 2]) is turned by position * base^(-2 i / n),
 * n the head's size. A thread a row and pair, for all heads. Angles are computed in double, so that
 * an hour is as exact as a second; the frequencies travel with the launch.
 */
#include "kernels/cuda/device.h"

#include <math.h>

#define HALF_MAX 256

struct frequencies {
    double of[HALF_MAX];
};

static __global__ void rope_kernel(float *x, size_t count, size_t heads, size_t half,
                                   uint64_t position,
                                   const __grid_constant__ struct frequencies frequency)
{
    size_t index = thread_index();

    if (index >= count)
        return;
    size_t row = index / half, i = index % half;
    double sine, cosine;

    sincos((double)(position + row) * frequency.of[i], &sine, &cosine);
    float s = (float)sine, c = (float)cosine;

    for (size_t h = 0; h < heads; h++) {
        float *pair = x + (row * heads + h) * 2 * half + i;
        float a = pair[0], b = pair[half];

        pair[0] = a * c - b * s;
        pair[half] = b * c + a * s;
    }
}

void cuda_rope(struct backend *be, float *x, size_t rows, size_t heads, size_t head_dim,
               uint64_t position, float base)
{
    struct frequencies frequency = {};
    size_t half = head_dim / 2, count = rows * half;

    if (head_dim % 2 != 0 || half > HALF_MAX) {
        cuda_fail(cuda_of(be), "rope", "heads that are odd or larger than 512");
        return;
    }
    for (size_t i = 0; i < half; i++)
        frequency.of[i] = pow((double)base, -2.0 * (double)i / (double)head_dim);
    cuda_launch(cuda_of(be), "rope", rope_kernel, geometry_blocks(count, ELEMENT_THREADS),
                ELEMENT_THREADS, x, count, heads, half, position, frequency);
}

const void *cuda_rope_kernel(void)
{
    return (const void *)rope_kernel;
}

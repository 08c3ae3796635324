/* What a decoder asks of the logits: the largest, and the probability of one. One block strides
 * over a row of them: a vocabulary is a few hundred kilobytes. The answer goes to pinned memory,
 * and the stream is waited for.
 */
#include "kernels/cuda/best.h"

#include <string.h>

#define CHOOSE_THREADS 1024

/* A block a row. */
static __global__ void argmax_kernel(uint32_t *answers, const float *x, size_t count)
{
    __shared__ struct best parts[WARPS_MAX];
    struct best own = {-CUDART_INF_F, 0};

    x += blockIdx.x * count;
    for (size_t i = threadIdx.x; i < count; i += blockDim.x) {
        struct best next = {x[i], (uint32_t)i};

        own = better(own, next);
    }
    own = block_best(own, parts);
    if (threadIdx.x == 0)
        answers[blockIdx.x] = own.index;
}

/* 1 / sum_i exp(x_i - x_index); an overflow of the sum is a probability of 0, as it should be. */
static __global__ void probability_kernel(float *answer, const float *x, size_t count, size_t index)
{
    __shared__ float parts[WARPS_MAX];
    float sum = 0.0f;

    for (size_t i = threadIdx.x; i < count; i += blockDim.x)
        sum += expf(x[i] - x[index]);
    sum = block_sum(sum, parts);
    if (threadIdx.x == 0)
        *answer = 1.0f / sum;
}

void cuda_answer(struct cuda_backend *cuda, void *out, size_t count, const char *what)
{
    size_t bytes = count * sizeof(float);

    if (!cuda->failed)
        cuda_check(cuda,
                   cudaMemcpyAsync(cuda->answer_host, cuda->answer_device, bytes,
                                   cudaMemcpyDeviceToHost, cuda->stream),
                   what);
    if (cuda_wait(cuda, what))
        memcpy(out, cuda->answer_host, bytes);
    else
        memset(out, 0, bytes);
}

void cuda_argmax(struct backend *be, uint32_t *best, const float *x, size_t rows, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);

    for (size_t r = 0; r < rows; r += ANSWERS) {
        size_t now = rows - r < ANSWERS ? rows - r : ANSWERS;

        cuda_launch(cuda, "argmax", argmax_kernel, now, geometry_threads(count, CHOOSE_THREADS),
                    (uint32_t *)cuda->answer_device, x + r * count, count);
        cuda_answer(cuda, best + r, now, "argmax");
    }
}

float cuda_probability(struct backend *be, const float *x, size_t count, size_t index)
{
    struct cuda_backend *cuda = cuda_of(be);
    float p;

    cuda_launch(cuda, "probability", probability_kernel, 1, geometry_threads(count, CHOOSE_THREADS),
                cuda->answer_device, x, count, index);
    cuda_answer(cuda, &p, 1, "probability");
    return p;
}

const void *cuda_choose_kernel(void)
{
    return (const void *)argmax_kernel;
}

/* What a decoder asks of the logits: the largest, and the probability of one. One block strides
 * over them all: a vocabulary is a few hundred kilobytes. The answer goes to pinned memory, and the
 * stream is waited for.
 */
#include "kernels/cuda/best.h"

#include <string.h>

#define CHOOSE_THREADS 1024

static __global__ void argmax_kernel(uint32_t *answer, const float *x, size_t count)
{
    __shared__ struct best parts[WARPS_MAX];
    struct best own = {-CUDART_INF_F, 0};

    for (size_t i = threadIdx.x; i < count; i += blockDim.x) {
        struct best next = {x[i], (uint32_t)i};

        own = better(own, next);
    }
    own = block_best(own, parts);
    if (threadIdx.x == 0)
        *answer = own.index;
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

bool cuda_answer(struct cuda_backend *cuda, void *out, const char *what)
{
    if (cuda->failed)
        return false;
    cuda_check(cuda,
               cudaMemcpyAsync(cuda->answer_host, cuda->answer_device, sizeof(float),
                               cudaMemcpyDeviceToHost, cuda->stream),
               what);
    if (!cuda_wait(cuda, what))
        return false;
    memcpy(out, cuda->answer_host, sizeof(float));
    return true;
}

uint32_t cuda_argmax(struct backend *be, const float *x, size_t count)
{
    struct cuda_backend *cuda = cuda_of(be);
    uint32_t index = 0;

    cuda_launch(cuda, "argmax", argmax_kernel, 1, geometry_threads(count, CHOOSE_THREADS),
                (uint32_t *)cuda->answer_device, x, count);
    return cuda_answer(cuda, &index, "argmax") ? index : 0;
}

float cuda_probability(struct backend *be, const float *x, size_t count, size_t index)
{
    struct cuda_backend *cuda = cuda_of(be);
    float p = 0.0f;

    cuda_launch(cuda, "probability", probability_kernel, 1, geometry_threads(count, CHOOSE_THREADS),
                cuda->answer_device, x, count, index);
    return cuda_answer(cuda, &p, "probability") ? p : 0.0f;
}

/* What a decoder asks of the logits: the largest, and the probability of one. One block strides
 * over them all: a vocabulary is a few hundred kilobytes. The answer goes to pinned memory, and the
 * stream is waited for.
 */
#include "kernels/cuda/device.h"

#include <string.h>

#define CHOOSE_THREADS 1024

struct best {
    float value;
    uint32_t index;
};

/* The larger, the lower index on a tie. */
static __device__ struct best better(struct best a, struct best b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

static __device__ struct best warp_best(struct best own)
{
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
        struct best other;

        other.value = __shfl_xor_sync(ALL_LANES, own.value, distance);
        other.index = __shfl_xor_sync(ALL_LANES, own.index, distance);
        own = better(own, other);
    }
    return own;
}

static __global__ void argmax_kernel(uint32_t *answer, const float *x, size_t count)
{
    __shared__ struct best parts[WARPS_MAX];
    unsigned lane = threadIdx.x % LANES, warps = blockDim.x / LANES;
    struct best own = {-CUDART_INF_F, 0};

    for (size_t i = threadIdx.x; i < count; i += blockDim.x) {
        struct best next = {x[i], (uint32_t)i};

        own = better(own, next);
    }
    own = warp_best(own);
    if (lane == 0)
        parts[threadIdx.x / LANES] = own;
    __syncthreads();
    own = warp_best(parts[lane < warps ? lane : 0]);
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

/* The answer, on the host: four bytes. */
static bool fetch(struct cuda_backend *cuda, void *out, const char *what)
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
    return fetch(cuda, &index, "argmax") ? index : 0;
}

float cuda_probability(struct backend *be, const float *x, size_t count, size_t index)
{
    struct cuda_backend *cuda = cuda_of(be);
    float p = 0.0f;

    cuda_launch(cuda, "probability", probability_kernel, 1, geometry_threads(count, CHOOSE_THREADS),
                cuda->answer_device, x, count, index);
    return fetch(cuda, &p, "probability") ? p : 0.0f;
}

/* What the kernels share: sums over warps and blocks, activations. Blocks are one-dimensional and
 * of whole warps.
 */
#ifndef EARSHOT_KERNELS_CUDA_DEVICE_H
#define EARSHOT_KERNELS_CUDA_DEVICE_H

#include "kernels/cuda/cuda.h"

#include <math_constants.h>

#define WARPS_MAX 32 /* of a block */
#define ALL_LANES 0xffffffffu

__device__ inline size_t thread_index(void)
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

enum fold { FOLD_SUM, FOLD_MAX };

template <enum fold HOW> __device__ float fold_two(float a, float b)
{
    return HOW == FOLD_SUM ? a + b : fmaxf(a, b);
}

/* Every lane gets what all lanes' values come to, in the same order. */
template <enum fold HOW> __device__ float warp_fold(float v)
{
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        v = fold_two<HOW>(v, __shfl_xor_sync(ALL_LANES, v, distance));
    return v;
}

/* Every thread gets what all threads' values come to. parts: shared, [WARPS_MAX], not in use by
 * anybody; free again on return. */
template <enum fold HOW> __device__ float block_fold(float v, float *parts)
{
    const float nothing = HOW == FOLD_SUM ? 0.0f : -CUDART_INF_F;
    unsigned lane = threadIdx.x % LANES, warps = blockDim.x / LANES;

    v = warp_fold<HOW>(v);
    if (lane == 0)
        parts[threadIdx.x / LANES] = v;
    __syncthreads();
    v = warp_fold<HOW>(lane < warps ? parts[lane] : nothing);
    __syncthreads();
    return v;
}

__device__ inline float warp_sum(float v)
{
    return warp_fold<FOLD_SUM>(v);
}

__device__ inline float warp_max(float v)
{
    return warp_fold<FOLD_MAX>(v);
}

__device__ inline float block_sum(float v, float *parts)
{
    return block_fold<FOLD_SUM>(v, parts);
}

__device__ inline float block_max(float v, float *parts)
{
    return block_fold<FOLD_MAX>(v, parts);
}

__device__ inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

__device__ inline float activate(float x, enum activation act)
{
    switch (act) {
    case ACTIVATION_NONE:
        return x;
    case ACTIVATION_GELU:
        return x * normcdff(x);
    case ACTIVATION_RELU:
        return fmaxf(x, 0.0f);
    case ACTIVATION_RELU_SQUARED:
        return fmaxf(x, 0.0f) * fmaxf(x, 0.0f);
    case ACTIVATION_SILU:
        return x * sigmoid(x);
    case ACTIVATION_TANH:
        return tanhf(x);
    case ACTIVATION_SIGMOID:
        return sigmoid(x);
    }
    return x;
}

#endif

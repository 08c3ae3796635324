/* The largest of many values and where it is, found by one block. */
#ifndef EARSHOT_KERNELS_CUDA_BEST_H
#define EARSHOT_KERNELS_CUDA_BEST_H

#include "kernels/cuda/device.h"

struct best {
    float value;
    uint32_t index;
};

/* The larger, the lower index on a tie. */
__device__ inline struct best better(struct best a, struct best b)
{
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
}

__device__ inline struct best warp_best(struct best own)
{
    for (int distance = LANES / 2; distance > 0; distance /= 2) {
        struct best other;

        other.value = __shfl_xor_sync(ALL_LANES, own.value, distance);
        other.index = __shfl_xor_sync(ALL_LANES, own.index, distance);
        own = better(own, other);
    }
    return own;
}

/* Every thread gets the best of all threads. parts: shared, [WARPS_MAX], as for block_sum. */
__device__ inline struct best block_best(struct best own, struct best *parts)
{
    unsigned lane = threadIdx.x % LANES, warps = blockDim.x / LANES;

    own = warp_best(own);
    if (lane == 0)
        parts[threadIdx.x / LANES] = own;
    __syncthreads();
    own = warp_best(parts[lane < warps ? lane : 0]);
    __syncthreads();
    return own;
}

#endif

/* The values of weights on the device, in the layout that cuda.h tells. */
#ifndef EARSHOT_KERNELS_CUDA_VALUES_H
#define EARSHOT_KERNELS_CUDA_VALUES_H

#include "kernels/cuda/cuda.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define BLOCK TENSOR_BLOCK

__device__ inline float half_value(uint16_t bits)
{
    return __half2float(__ushort_as_half(bits));
}

__device__ inline float bfloat_value(uint16_t bits)
{
    return __uint_as_float((uint32_t)bits << 16);
}

__device__ inline float row_scale(const struct weight &w, size_t row, size_t column)
{
    return half_value(w.scales[row * (w.in / BLOCK) + column / BLOCK]);
}

/* One value, for what reads few of them. */
__device__ inline float weight_value(const struct weight &w, size_t row, size_t column)
{
    const uint8_t *p = w.values + row * w.row_bytes;
    size_t place = column % BLOCK % (BLOCK / 2);
    uint8_t two;

    switch (w.type) {
    case TENSOR_F32:
        return ((const float *)p)[column];
    case TENSOR_F16:
        return half_value(((const uint16_t *)p)[column]);
    case TENSOR_BF16:
        return bfloat_value(((const uint16_t *)p)[column]);
    case TENSOR_Q8_0:
        return (float)((const int8_t *)p)[column] * row_scale(w, row, column);
    case TENSOR_Q4_0:
        two = p[column / BLOCK * (BLOCK / 2) + place];
        return (float)((column % BLOCK < BLOCK / 2 ? two & 15 : two >> 4) - 8) *
               row_scale(w, row, column);
    }
    return 0.0f;
}

#endif

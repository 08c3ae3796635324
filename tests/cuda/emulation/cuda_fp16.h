/* See cuda_runtime.h. Sixteen-bit floats with the device's rounding, to nearest even. */
#ifndef EARSHOT_TESTS_CUDA_EMULATION_CUDA_FP16_H
#define EARSHOT_TESTS_CUDA_EMULATION_CUDA_FP16_H

#include "kernels/half.h"

#include <math.h>

struct __half {
    uint16_t bits;
};

static inline float __half2float(__half h)
{
    return half_to_float(h.bits);
}

static inline __half __ushort_as_half(uint16_t bits)
{
    return {bits};
}

static inline __half __float2half(float f)
{
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    float size = fabsf(f);
    int exponent;

    if (isnan(f))
        return {(uint16_t)(sign | 0x7e00)};
    if (size >= 65520.0f) /* half-way past the largest */
        return {(uint16_t)(sign | 0x7c00)};
    if (size == 0.0f)
        return {sign};
    frexpf(size, &exponent);
    exponent = exponent < -13 ? -13 : exponent; /* under it: subnormal */
    /* In units of the last place; nearbyint rounds to even. */
    int units = (int)nearbyintf(ldexpf(size, 11 - exponent));

    return {(uint16_t)(sign + ((exponent + 13) << 10) + units)};
}

#endif

/* Sixteen-bit floats, bit by bit and one by one: to floats exactly, from floats rounded. */
#ifndef EARSHOT_KERNELS_HALF_H
#define EARSHOT_KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static inline float half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 31;
    uint32_t mantissa = h & 1023;

    if (exponent == 31) /* infinity, NaN */
        return float_from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent > 0)
        return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f; /* subnormal, zero */
}

#define HALF_MOST 65504.0f

/* The nearest, the even one of two; what is above the largest becomes that. */
static inline uint16_t half_from_float(float f)
{
    uint32_t bits, sign;

    memcpy(&bits, &f, sizeof(bits));
    sign = bits >> 16 & 0x8000;
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) /* NaN */
        return (uint16_t)(sign | 0x7e00);
    if (bits > 0x477fe000) /* HALF_MOST */
        return (uint16_t)(sign | 0x7bff);
    if (bits < 0x38800000) { /* subnormal: a float near 0.5 has the same steps */
        float sum = float_from_bits(bits) + 0.5f;

        memcpy(&bits, &sum, sizeof(bits));
        return (uint16_t)(sign | (bits - 0x3f000000));
    }
    bits += 0xfff + (bits >> 13 & 1);
    return (uint16_t)(sign | (bits - 0x38000000) >> 13);
}

static inline float bfloat_to_float(uint16_t h)
{
    return float_from_bits((uint32_t)h << 16);
}

#endif

/* Vectors of floats for the operations: vf holds VL floats and takes + - * / like a float
 * (compilers' vector extension; a * b + c is fused where the processor can). What the extension
 * lacks is in one header for each instruction set: vf_set1, loads that widen, vf_store_half,
 * vf_sum, vf_sum4 of four vectors, vf_top (the largest lane), whole numbers (whole_*.h). All but
 * vf_store_half and the sums of floats are exact, and each sum has its own fixed order.
 */
#ifndef EARSHOT_KERNELS_CPU_SIMD_H
#define EARSHOT_KERNELS_CPU_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SIMD static inline __attribute__((always_inline))

#if defined(__AVX512F__) && defined(__AVX512VNNI__)
#include "kernels/cpu/simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels/cpu/simd_avx2.h"
#else
#include "kernels/cpu/simd_generic.h"
#endif

SIMD vf vf_load(const float *p)
{
    vf v;

    memcpy(&v, p, sizeof(v));
    return v;
}

SIMD void vf_store(float *p, vf v)
{
    memcpy(p, &v, sizeof(v));
}

SIMD vi vi_load(const void *p)
{
    vi v;

    memcpy(&v, p, sizeof(v));
    return v;
}

SIMD vi vi_set1(int32_t x)
{
    return x - (vi){0};
}

SIMD vf vi_float(vi v)
{
    return __builtin_convertvector(v, vf);
}

/* The first n floats, n < VL; the other lanes are zero, or left alone in memory. */
SIMD vf vf_load_part(const float *p, size_t n)
{
    float lanes[VL] = {0};

    memcpy(lanes, p, n * sizeof(float));
    return vf_load(lanes);
}

SIMD void vf_store_part(float *p, vf v, size_t n)
{
    float lanes[VL];

    vf_store(lanes, v);
    memcpy(p, lanes, n * sizeof(float));
}

/* The n next floats, at most VL. */
SIMD vf vf_load_n(const float *p, size_t n)
{
    return n >= VL ? vf_load(p) : vf_load_part(p, n);
}

/* The n next halves, at most VL. */
SIMD vf vf_load_half_n(const uint16_t *p, size_t n)
{
    uint16_t lanes[VL] = {0};

    if (n >= VL)
        return vf_load_half((const uint8_t *)p);
    memcpy(lanes, p, n * sizeof(*p));
    return vf_load_half((const uint8_t *)lanes);
}

SIMD void vf_store_n(float *p, vf v, size_t n)
{
    if (n >= VL)
        vf_store(p, v);
    else
        vf_store_part(p, v, n);
}

/* yes where the mask's lane is all ones, no where it is zero. */
SIMD vf vf_select(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

SIMD vf vf_abs(vf x)
{
    return (vf)((vi)x & 0x7fffffff);
}

/* b where it is larger; a otherwise, a NaN too. */
SIMD vf vf_max(vf a, vf b)
{
    return vf_select((vi)(a < b), b, a);
}

SIMD vf vf_min(vf a, vf b)
{
    return vf_select((vi)(a > b), b, a);
}

#endif

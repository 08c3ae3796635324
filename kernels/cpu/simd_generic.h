/* simd.h for any processor: 4 floats, and lane by lane where the extension has no word for it. */
#ifndef EARSHOT_KERNELS_CPU_SIMD_GENERIC_H
#define EARSHOT_KERNELS_CPU_SIMD_GENERIC_H

#include "kernels/half.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define VL 4
#define LINEAR_TILE_ROWS 3 /* 12 sums */
#define LINEAR_TILE_PANELS 1
#define LINEAR_DIRECT_ROWS 2
#define LINEAR_WHOLE_ROWS 4 /* the fastest of 1 to 4 with SSE2 */
#define LINEAR_WHOLE_PANELS 1

typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));

SIMD vf vf_set1(float x)
{
    return (vf){x, x, x, x};
}

SIMD float vf_sum(vf v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

SIMD void vf_sum4(float *out, vf a, vf b, vf c, vf d)
{
    out[0] = vf_sum(a);
    out[1] = vf_sum(b);
    out[2] = vf_sum(c);
    out[3] = vf_sum(d);
}

SIMD float vf_top(vf v)
{
    float a = v[0] > v[1] ? v[0] : v[1];
    float b = v[2] > v[3] ? v[2] : v[3];

    return a > b ? a : b;
}

SIMD uint16_t load_half(const uint8_t *p)
{
    uint16_t u;

    memcpy(&u, p, sizeof(u));
    return u;
}

/* As half_to_float, all lanes at once. */
SIMD vf vf_load_half(const uint8_t *p)
{
    vi h = {load_half(p), load_half(p + 2), load_half(p + 4), load_half(p + 6)};
    vi most = h & 0x7fff, is_small = most < 0x400, is_finite = most < 0x7c00;
    vf small = __builtin_convertvector(most, vf) * 0x1p-24f; /* subnormal, zero */
    vi other = (most << 13) + 0x70000000 - (is_finite & 0x38000000);

    return (vf)((is_small & (vi)small) | (~is_small & other) | (h & 0x8000) << 16);
}

SIMD void vf_store_half(uint16_t *p, vf v)
{
    for (size_t i = 0; i < VL; i++)
        p[i] = half_from_float(v[i]);
}

SIMD vf vf_load_bfloat(const uint8_t *p)
{
    return (vf){bfloat_to_float(load_half(p)), bfloat_to_float(load_half(p + 2)),
                bfloat_to_float(load_half(p + 4)), bfloat_to_float(load_half(p + 6))};
}

#include "kernels/cpu/whole_pairs.h"

/* sum + u0 s0 + u1 s1 in every lane, of sixteen bits each. */
SIMD vi vi_add_products(vi sum, vi u, vi s)
{
#ifdef __SSE2__
    return sum + (vi)_mm_madd_epi16((__m128i)u, (__m128i)s);
#else
    return sum + (u & 0xffff) * ((s << 16) >> 16) + (u >> 16) * (s >> 16);
#endif
}

#endif

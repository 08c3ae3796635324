/* simd.h for AVX2, FMA, F16C: 8 floats. */
#ifndef EARSHOT_KERNELS_CPU_SIMD_AVX2_H
#define EARSHOT_KERNELS_CPU_SIMD_AVX2_H

#include "kernels/half.h"

#include <immintrin.h>

#define VL 8
#define LINEAR_TILE_ROWS 6 /* 12 sums, 2 weights, 1 input of 16 registers */
#define LINEAR_TILE_PANELS 1
#define LINEAR_DIRECT_ROWS 2
#define LINEAR_WHOLE_ROWS 5 /* 10 sums, 2 weights, 1 input, 1 product, 1 mask */
#define LINEAR_WHOLE_PANELS 1

typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));

SIMD vf vf_set1(float x)
{
    return (vf)_mm256_set1_ps(x);
}

SIMD float vf_sum(vf v)
{
    __m128 b = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

SIMD void vf_sum4(float *out, vf a, vf b, vf c, vf d)
{
    __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps((__m256)a, (__m256)b),
                              _mm256_unpackhi_ps((__m256)a, (__m256)b));
    __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps((__m256)c, (__m256)d),
                              _mm256_unpackhi_ps((__m256)c, (__m256)d));
    __m256 abcd = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));

    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
}

SIMD float vf_top(vf v)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));

    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

SIMD vf vf_load_half(const uint8_t *p)
{
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

SIMD void vf_store_half(uint16_t *p, vf v)
{
    __m256 most = _mm256_set1_ps(HALF_MOST); /* first: NaN stays */
    __m256 x = _mm256_min_ps(most, _mm256_max_ps(-most, (__m256)v));

    _mm_storeu_si128((void *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

SIMD vf vf_load_bfloat(const uint8_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));

    return (vf)_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

#include "kernels/cpu/whole_pairs.h"

/* sum + u0 s0 + u1 s1 in every lane, of sixteen bits each. */
SIMD vi vi_add_products(vi sum, vi u, vi s)
{
    sum = (vi)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)u, (__m256i)s));
    __asm__("" : "+x"(sum)); /* or GCC sums products first, for which there are no registers */
    return sum;
}

#endif

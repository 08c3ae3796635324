/* simd.h for AVX-512 F, BW, DQ, VL, VNNI: 16 floats. */
#ifndef EARSHOT_KERNELS_CPU_SIMD_AVX512_H
#define EARSHOT_KERNELS_CPU_SIMD_AVX512_H

#include "kernels/half.h"

#include <immintrin.h>

#define VL 16
#define LINEAR_TILE_ROWS 12 /* 24 sums, 2 weights, 1 input of 32 registers */
#define LINEAR_TILE_PANELS 2
#define LINEAR_DIRECT_ROWS 2
#define LINEAR_WHOLE_ROWS 6 /* 24 sums, 2 weights, 1 input */
#define LINEAR_WHOLE_PANELS 2

typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));

SIMD vf vf_set1(float x)
{
    return (vf)_mm512_set1_ps(x);
}

SIMD float vf_sum(vf v)
{
    __m256 a =
        _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

SIMD void vf_sum4(float *out, vf a, vf b, vf c, vf d)
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps((__m512)a, (__m512)b),
                              _mm512_unpackhi_ps((__m512)a, (__m512)b));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps((__m512)c, (__m512)d),
                              _mm512_unpackhi_ps((__m512)c, (__m512)d));
    __m512 abcd = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));

    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

SIMD float vf_top(vf v)
{
    return _mm512_reduce_max_ps((__m512)v);
}

SIMD vf vf_load_half(const uint8_t *p)
{
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

SIMD void vf_store_half(uint16_t *p, vf v)
{
    __m512 most = _mm512_set1_ps(HALF_MOST); /* first: NaN stays */
    __m512 x = _mm512_min_ps(most, _mm512_max_ps(-most, (__m512)v));

    _mm256_storeu_si256((void *)p,
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

SIMD vf vf_load_bfloat(const uint8_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));

    return (vf)_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

#include "kernels/cpu/whole_digits.h"

/* sum + u0 s0 + u1 s1 + u2 s2 + u3 s3 in every lane: u its unsigned bytes, s its signed ones. */
SIMD vi vi_add_products(vi sum, vi u, vi s)
{
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)u, (__m512i)s);
}

#endif

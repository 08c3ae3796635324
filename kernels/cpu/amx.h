/* The matrix unit: eight tiles of 16 rows of 64 bytes, in registers of their own. Only the files of
 * table "amx" may include this.
 *
 *     c[16][16] += a[16][32] b[32][16]      bf16 times bf16, exact, summed in float32
 *
 * where b comes in pairs: [16][16][2], that is b[2 i] and b[2 i + 1] side by side.
 */
#ifndef EARSHOT_KERNELS_CPU_AMX_H
#define EARSHOT_KERNELS_CPU_AMX_H

#include "kernels/cpu/simd.h"

#include <immintrin.h>
#include <stdint.h>

#define TILE 16        /* rows of a tile, and its floats in a row */
#define TILE_INPUTS 32 /* its bf16 in a row */
#define TILE_HALVES ((size_t)TILE * TILE_INPUTS)
#define TILE_STRIDE ((size_t)TILE_INPUTS * sizeof(uint16_t))

/* What the compiler knows of tile instructions does not include all the memory they read: what was
 * stored for them must be there before, or it may be left out altogether (gcc 12). */
SIMD void amx_memory(void)
{
    __asm__ volatile("" ::: "memory");
}

/* All eight tiles whole. A thread calls begin before its first tile and end after its last: between
 * jobs the system has no tiles to save. */
SIMD void amx_begin(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } __attribute__((aligned(64))) config = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = TILE_STRIDE;
        config.rows[i] = TILE;
    }
    __asm__ volatile("" : : "m"(config) : "memory");
    _tile_loadconfig(&config);
}

SIMD void amx_end(void)
{
    _tile_release();
}

/* 32 floats as bf16, in their order: a row of a. */
SIMD void amx_store_row(uint16_t *out, vf first, vf second)
{
    __m512bh both = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);

    memcpy(out, &both, sizeof(both));
}

/* The same side by side: a row of b. */
SIMD void amx_store_pairs(uint16_t *out, vf first, vf second)
{
    static const uint16_t order[TILE_INPUTS] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
    };
    __m512bh both = _mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    __m512i pairs = _mm512_permutexvar_epi16(_mm512_loadu_si512(order), (__m512i)both);

    _mm512_storeu_si512(out, pairs);
}

#endif

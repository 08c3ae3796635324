/* The loops of limits.h: as many sums side by side as the latencies of additions need. */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/limits.h"
#include "kernels/cpu/simd.h"

#define SUMS 12
#define STREAMS 4
#define AHEAD 1024 /* bytes */
#define LINE 64

#define cpu_loops_here CPU_NAME(cpu_loops, CPU_MATRIX)

/* Four streams with prefetches: the fastest of what was tried, with and without, 1 to 8 streams. */
static float read_memory(const uint8_t *p, size_t size)
{
    size_t part = size / STREAMS / LINE * LINE;
    vi sum[STREAMS] = {0};

    for (size_t i = 0; i < part; i += LINE)
        for (size_t s = 0; s < STREAMS; s++) {
            const uint8_t *line = p + s * part + i;

            __builtin_prefetch(line + AHEAD);
            for (size_t j = 0; j < LINE; j += sizeof(vi))
                sum[s] ^= vi_load(line + j);
        }
    return vf_sum(vi_float(sum[0] ^ sum[1] ^ sum[2] ^ sum[3]));
}

static float run_fma(size_t rounds)
{
    vf sum[SUMS], factor = vf_set1((float)(rounds % 7) * 0.1f), term = vf_set1(0.5f);
    vf total = vf_set1(0.0f);

    for (size_t i = 0; i < SUMS; i++)
        sum[i] = vf_set1((float)i);
    for (size_t n = 0; n < rounds; n++)
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = sum[i] * factor + term;
    for (size_t i = 0; i < SUMS; i++)
        total += sum[i];
    return vf_sum(total);
}

#ifdef __AVX512VNNI__
static float run_bytes(size_t rounds)
{
    vi sum[SUMS], u = vi_set1((int32_t)rounds), s = vi_set1(0x01020304), total = {0};

    for (size_t i = 0; i < SUMS; i++)
        sum[i] = vi_set1((int32_t)i); /* alike they would be computed once */
    for (size_t n = 0; n < rounds; n++)
        for (size_t i = 0; i < SUMS; i++)
            sum[i] = vi_add_products(sum[i], u, s);
    for (size_t i = 0; i < SUMS; i++)
        total ^= sum[i];
    return vf_sum(vi_float(total));
}
#else
#define run_bytes NULL
#endif

#ifdef __AMX_BF16__
#include "kernels/cpu/amx.h"

#define TILE_PRODUCTS 4

static float run_tiles(size_t rounds)
{
    float c[TILE * TILE] __attribute__((aligned(64))) = {0};

    amx_begin();
    amx_memory();
    _tile_loadd(0, c, TILE_STRIDE);
    _tile_loadd(1, c, TILE_STRIDE);
    _tile_loadd(2, c, TILE_STRIDE);
    _tile_loadd(3, c, TILE_STRIDE);
    _tile_loadd(4, c, TILE_STRIDE);
    _tile_loadd(5, c, TILE_STRIDE);
    _tile_loadd(6, c, TILE_STRIDE);
    _tile_loadd(7, c, TILE_STRIDE);
    for (size_t n = 0; n < rounds; n++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, TILE_STRIDE);
    amx_memory();
    amx_end();
    return c[0];
}
#else
#define TILE 0
#define TILE_INPUTS 0
#define TILE_PRODUCTS 0
#define run_tiles NULL
#endif

const struct cpu_loops cpu_loops_here = {
    .ops = &cpu_ops,
    .read = read_memory,
    .fma = run_fma,
    .bytes = run_bytes,
    .tiles = run_tiles,
    .fma_operations = SUMS * VL * 2,
    .bytes_operations = SUMS * VL * 4 * 2,
    .tiles_operations = TILE_PRODUCTS * TILE * TILE * TILE_INPUTS * 2,
};
